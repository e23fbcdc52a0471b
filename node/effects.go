package node

import (
	"kvapp/raft"
)

// absorb turns the core's effects into work. The order of Apply and Restore is the order of the log.
func (d *Driver) absorb() error {
	e := &d.eff
	d.roles()
	d.announce(e.Send)
	d.out.Send = append(d.out.Send, e.Send...)
	d.out.Fetch = append(d.out.Fetch, e.Fetch...)
	d.mergePersist(&e.Persist)
	if e.Install != nil {
		d.install(e.Install.Index, e.Persist.Install == nil)
	}
	for i := range e.Apply {
		d.handOver(&e.Apply[i])
	}
	for i := range e.Reads {
		d.readAnswer(&e.Reads[i])
	}
	for i := range e.Answers {
		d.answered(&e.Answers[i])
	}
	wanted := append(d.wanted[:0], e.Snapshots...)
	d.wanted = wanted
	e.Reset()
	for _, s := range wanted {
		if d.snap.Meta.Index >= s.Index && d.snap.Meta.Index != 0 && !d.snapLost {
			d.out.Snapshots = append(d.out.Snapshots, SnapshotJob{To: s.To, Term: s.Term, File: d.streams(s.To, s.Least)})
			continue
		}
		if d.snap.Meta.Index < s.Least && !d.snapBusy && !d.loading && d.snapshotFits() {
			d.freeze()
		}
		if err := d.step(raft.Event{Kind: raft.EvSnapshotSent, To: s.To, Failed: true}); err != nil {
			return err
		}
	}
	return nil
}

// mergePersist adds to the next append job.
func (d *Driver) mergePersist(p *raft.Persist) {
	if p.Seq == 0 {
		return
	}
	n := &d.next
	n.Seq = p.Seq
	n.Record.Hard = p.Hard
	n.Record.HasHard = n.Record.HasHard || p.HardDirty || len(p.Entries) > 0 || p.Install != nil
	if p.Install != nil {
		f := d.receivedAt(p.Install.Index)
		n.Record.Install = &f
		n.Record.Entries = n.Record.Entries[:0]
	}
	ents := n.Record.Entries
	for len(p.Entries) > 0 && len(ents) > 0 && ents[len(ents)-1].Index >= p.Entries[0].Index {
		ents = ents[:len(ents)-1] // replaced while it waited for the disk
	}
	n.Record.Entries = append(ents, p.Entries...)
}

// receivedAt is the received file that the core decided to install.
func (d *Driver) receivedAt(index uint64) (f SnapshotFile) {
	for _, r := range d.received {
		if r.Meta.Index == index {
			f = r
		}
	}
	return f
}

// install replaces the state by the received snapshot. What this node had proposed below it is of unknown fate. One that is
// adopted leaves the log as it is: the journal is told as of an own one.
func (d *Driver) install(index uint64, adopted bool) {
	f := d.receivedAt(index)
	d.received = nil
	if d.stateless {
		d.stateless, d.backlog = false, 0
		d.out.View = d.view()
	}
	d.cmp.replaced(index)
	for len(d.pending) > 0 && d.pending[0].index <= index {
		d.pending[0].finish(Uncertain)
		d.pending = d.pending[1:]
	}
	d.out.Apply = append(d.out.Apply, ApplyItem{Restore: &f})
	d.handed = index
	if d.next.Compact { // an own snapshot that this one overtook while it waited for the appender
		d.next.Compact = false
		d.snapshotIdle()
	}
	if adopted {
		d.snapBusy, d.snapSince = true, d.now
		d.compact(f)
	}
	d.snap, d.snapLost, d.snapAt = f, false, d.clock.WallMs()
}

// handOver gives one committed entry to the applier, with the proposal it came from if that was ours.
func (d *Driver) handOver(e *raft.Entry) {
	item := ApplyItem{Entry: *e}
	batches, grow := 0, int64(0)
	for len(d.pending) > 0 {
		p := d.pending[0]
		if p.term > e.Term || (p.term == e.Term && p.index > e.Index) {
			break
		}
		d.pending = d.pending[1:]
		switch {
		case p.index < e.Index:
			p.finish(Uncertain)
		case p.term != e.Term:
			// Also when it stood behind e: no log that holds e, as every future leader's does, can hold an entry of an
			// older term behind it.
			p.finish(Overwritten)
		default:
			item.Orphans = p.orphans
			if grow = p.grow; len(p.batches) > 0 {
				item.Proposal, batches = p, len(p.batches)
			}
		}
	}
	size := int64(len(e.Data))
	d.backlog += size
	d.sizes = append(d.sizes, handedEntry{e.Index, size, batches, grow})
	d.handed = e.Index
	d.out.Apply = append(d.out.Apply, item)
}

// fill completes the work of the turn.
func (d *Driver) fill() {
	if !d.appending && (d.next.Seq != 0 || d.next.Compact || d.now >= d.disk.lookAt) {
		job := d.next
		job.Look = job.Compact || job.Record.Install != nil || d.disk.due(d.now)
		d.next = AppendJob{}
		d.appending = true
		d.out.Append = &job
	}
	d.out.Lease = d.core.LeaseUntil()
	if d.cfg.QuorumReads || d.loading {
		d.out.Lease = 0
	}
	d.out.Fresh = d.fresh
	if d.doubtful() != nil {
		d.out.Lease, d.out.Fresh = 0, 0
	}
	d.out.WakeAt = d.wakeAt()
}

// wakeAt is the lowest applied index somebody waits for.
func (d *Driver) wakeAt() uint64 {
	at := d.ready.lowest()
	if d.doubtful() != nil {
		at = 0 // nothing is served before something else happens
	}
	if d.noop > d.applied && (at == 0 || d.noop < at) {
		at = d.noop
	}
	if len(d.waiting) > 0 && len(d.sizes) > 0 && (at == 0 || d.sizes[0].index < at) {
		at = d.sizes[0].index // propose waits for it
	}
	if i := d.mem.index; i > d.applied && (at == 0 || i < at) {
		at = i // more may have to be evicted
	}
	if d.loading && (at == 0 || d.loadTo < at) {
		at = d.loadTo
	}
	return at
}

// Reset forgets the work after it has been done.
func (w *Work) Reset() {
	w.Send, w.Fetch, w.Snapshots = w.Send[:0], w.Fetch[:0], w.Snapshots[:0]
	clear(w.Apply)
	w.Apply = w.Apply[:0]
	w.Append, w.Write, w.Members, w.View = nil, nil, nil, nil
}

// appended takes the answer of the appender.
func (d *Driver) appended(ev *Event) error {
	d.appending = false
	if ev.Free != notLooked {
		d.measured(ev.Free)
	}
	if ev.First != 0 {
		d.snapBusy = false
		d.snapBytes = max(0, d.log.Bytes()-d.disk.growth)
		d.disk.growth = 0
		d.tellTakers(d.snap.Meta.Index)
		if err := d.step(raft.Event{Kind: raft.EvSnapshotSaved, Snapshot: d.snap.Meta, Index: ev.First}); err != nil {
			return err
		}
	}
	if ev.Seq == 0 {
		return nil
	}
	return d.step(raft.Event{Kind: raft.EvPersisted, Seq: ev.Seq})
}
