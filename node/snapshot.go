package node

import "kvapp/raft"

// maybeSnapshot starts a snapshot when the journal has grown enough, or the disk gets full.
func (d *Driver) maybeSnapshot() {
	if d.snapBusy || d.loading {
		return
	}
	due := d.log.Bytes()-d.snapBytes >= d.cfg.SnapshotBytes || d.snapLost
	fits := d.snapshotFits()
	d.disk.late = !fits && (due || d.disk.late)
	switch {
	case fits && (due || d.pressed()):
		d.freeze()
	case d.disk.full && d.disk.trimmed < d.snap.Meta.Index && !d.snapLost:
		d.trim()
	}
}

// trim cuts what is kept of the log in front of the newest snapshot. It counts as a snapshot under way.
func (d *Driver) trim() {
	d.snapBusy, d.snapSince = true, d.now
	d.disk.trimmed, d.disk.growth = d.snap.Meta.Index, d.log.Bytes()-d.snapBytes
	d.compact(d.snap)
}

// compact has the appender mark a durable snapshot in the journal, cut the log and remove older snapshots.
func (d *Driver) compact(f SnapshotFile) {
	d.next.Compact, d.next.Snapshot = true, f
	d.next.KeepFrom = d.keepFrom(f.Meta.Index)
	d.next.Prune = d.prune(f.Meta.Index, d.next.KeepFrom)
}

// takeSnapshot serves an operator's wish; the answer is the index of the snapshot.
func (d *Driver) takeSnapshot(answer chan<- uint64) {
	d.takers = append(d.takers, answer)
	switch {
	case d.stateless:
		d.tellTakers(0)
	case d.snapBusy:
	case d.snapshotFits():
		d.freeze()
	default:
		d.tellTakers(0)
	}
}

// tellTakers answers those who asked for a snapshot; 0 = none could be taken.
func (d *Driver) tellTakers(index uint64) {
	for _, c := range d.takers {
		c <- index
	}
	d.takers = d.takers[:0]
}

func (d *Driver) freeze() {
	d.snapBusy, d.snapSince = true, d.now
	d.out.Apply = append(d.out.Apply, ApplyItem{Freeze: true})
}

// wants says whether an own snapshot at index is of use: behind the newest one, or in its place.
func (d *Driver) wants(index uint64) bool {
	return index > d.snap.Meta.Index || index == d.snap.Meta.Index && d.snapLost
}

// frozen has the view; the snapshotter writes it.
func (d *Driver) frozen(ev *Event) {
	meta := ev.Snapshot.Meta
	if !d.wants(meta.Index) {
		ev.View.Close()
		d.snapshotIdle()
		return
	}
	meta.Membership = d.core.MembershipAt(meta.Index)
	d.out.Write = &WriteJob{Meta: meta, View: ev.View}
}

// snapshotWritten has the durable file: the appender marks it in the journal and cuts what is not needed.
func (d *Driver) snapshotWritten(ev *Event) {
	f := ev.Snapshot
	if ev.Failed {
		d.disk.late, d.disk.retryAt = true, d.now+retrySnapshot
		d.snapBusy = false
		d.tellTakers(0)
		return
	}
	if !d.wants(f.Meta.Index) {
		d.snapshotIdle() // a snapshot of the leader overtook it
		return
	}
	d.compact(f)
	d.snap, d.snapLost = f, false
	d.snapshots++
	d.snapAt, d.snapNs = d.clock.WallMs(), d.now-d.snapSince
}

// keepFrom returns the first entry to keep behind a new snapshot at index, for followers that are a little behind:
// SnapshotKeep entries, but not more than back to the snapshot before, since an entry may have a megabyte. A leader keeps
// more for a follower that answers and is further behind, or was sent a snapshot, until the log has HoldBytes:
// without that, a follower that takes longer for a snapshot than the leader for the next one would never catch up. On a
// disk that is full everybody gets a snapshot.
func (d *Driver) keepFrom(index uint64) uint64 {
	from := d.snap.Meta.Index + 1
	if index > d.cfg.SnapshotKeep {
		from = max(from, index+1-d.cfg.SnapshotKeep)
	}
	if d.disk.full {
		return index + 1
	}
	if d.log.Bytes() >= d.cfg.HoldBytes {
		return from
	}
	for _, p := range d.core.Status().Peers {
		has := max(p.Match, d.streamed[p.ID].file.Meta.Index)
		if has > 0 && d.now-p.LastContact < d.cfg.Raft.ElectionTimeout {
			from = min(from, has+1)
		}
	}
	return from
}

// stream is a snapshot that was sent to a member. Invariant, unless arrived: the file is there, and the log behind it.
type stream struct {
	file    SnapshotFile
	arrived bool
}

// streams chooses the snapshot for a member: the one before, if that did not arrive, because the member has a part of it;
// else the newest. One below least is of no use to it.
func (d *Driver) streams(to raft.NodeID, least uint64) SnapshotFile {
	if d.streamed == nil {
		d.streamed = make(map[raft.NodeID]stream)
	}
	if s, ok := d.streamed[to]; !ok || s.arrived || s.file.Meta.Index < least {
		d.streamed[to] = stream{file: d.snap}
	}
	return d.streamed[to].file
}

// prune returns the index below which snapshot files are not needed once the log begins at keepFrom behind a snapshot at
// index. It forgets the streams whose file would lead nowhere.
func (d *Driver) prune(index, keepFrom uint64) uint64 {
	for id, s := range d.streamed {
		switch {
		case s.arrived:
		case s.file.Meta.Index+1 < keepFrom:
			delete(d.streamed, id)
		default:
			index = min(index, s.file.Meta.Index)
		}
	}
	return index
}

// snapshotSent takes the end of a stream.
func (d *Driver) snapshotSent(ev *Event) error {
	s, ok := d.streamed[ev.Peer]
	switch {
	case !ok || s.file.Meta.Index != ev.Snapshot.Meta.Index:
	case ev.Refused:
		delete(d.streamed, ev.Peer)
	case !ev.Failed:
		s.arrived = true
		d.streamed[ev.Peer] = s
	}
	return d.step(raft.Event{Kind: raft.EvSnapshotSent, To: ev.Peer, Snapshot: ev.Snapshot.Meta, Failed: ev.Failed})
}

// recovered tells which entries the journal held at the start: what stands behind the snapshot counts as growth since.
func (d *Driver) recovered(entries []raft.Entry) {
	growth := int64(0)
	for i := range entries {
		if entries[i].Index > d.snap.Meta.Index {
			growth += int64(len(entries[i].Data))
		}
	}
	d.snapBytes = max(d.log.Bytes()-growth, 0)
}

func (d *Driver) snapshotIdle() {
	d.snapBusy = false
	d.snapBytes = d.log.Bytes()
	d.tellTakers(d.snap.Meta.Index)
}

// healthy says whether this node sees a working cluster.
func (d *Driver) healthy() bool {
	return d.role == raft.Leader || d.now-d.seenAt < 2*d.cfg.Raft.ElectionTimeout
}

// view builds the picture that other goroutines see.
func (d *Driver) view() *View {
	m := d.core.Membership()
	v := &View{
		Role: d.role, Term: d.term, Leader: d.leader, Last: d.lastKnown, Members: m.Members,
		Loading: d.loading, Stateless: d.stateless, Healthy: d.healthy(), DiskFull: d.disk.full,
	}
	for _, x := range m.Members {
		if x.ID == d.cfg.Raft.ID {
			d.self, v.Member = x, true
		}
	}
	v.Self, d.member = d.self, v.Member
	d.published = v.Healthy
	return v
}

// status collects what operators look at; the loop's goroutines add the figures of the disk.
func (d *Driver) status() Status {
	s := Status{
		Status: d.core.Status(), Flow: d.flow(), Name: d.cfg.Self.Name, Cluster: d.cfg.Cluster,
		LogBytes: d.log.Bytes(), LogSegments: d.log.Segments(), PendingReads: len(d.asking) + len(d.rounds),
		LeaderChanges: d.changes,
		AppliedClock:  d.store.Clock(), SnapshotIndex: d.snap.Meta.Index, SnapshotBusy: d.snapBusy, Now: d.now,
		SnapshotSince: d.snapSince, SnapshotAt: d.snapAt, SnapshotNs: d.snapNs, Snapshots: d.snapshots,
		LoadedKeys: d.loaded, LeaderSeen: d.seenAt,
		SnapshotLate: d.disk.late, DiskFree: d.disk.free, DiskReserve: d.disk.reserve, DiskFull: d.disk.full,
	}
	s.Applied = d.store.Applied()
	if p := d.cmp.newest(); p != nil {
		s.StateHash, s.HashIndex = p.Hash, p.Index
	}
	s.HashCompared = d.cmp.compared
	for _, p := range d.pending {
		s.Pending += len(p.batches)
	}
	return s
}
