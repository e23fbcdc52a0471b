package sim

import (
	"errors"
	"fmt"

	"kvapp/internal/journal"
	"kvapp/node"
	"kvapp/raft"
	"kvapp/sim/disk"
	"kvapp/wal"
)

// dir is where a node has its data, on its own disk.
const dir = "/data"

// bootstrapTerm is the term of the first entry, which every founding member writes by itself.
const bootstrapTerm = 1

// found makes the disk of a node: of a founding member with the founding membership, of a spare one with an empty log.
func (w *World) found(h *host) {
	h.fs = disk.New(mix(w.o.Seed ^ uint64(h.n+1)*golden))
	h.incarnation = mix(w.o.Seed^uint64(h.n)) | 1
	if err := w.format(h); err != nil {
		w.fail("founding", "%v: %v", h, err)
	}
}

func (w *World) identity(h *host) wal.Identity {
	return wal.Identity{Cluster: w.cluster, Node: h.id, Name: w.members[h.n].Name, Incarnation: h.incarnation}
}

func (w *World) format(h *host) error {
	if err := wal.CreateOn(h.fs, dir, w.identity(h)); err != nil {
		return err
	}
	l, _, err := wal.Open(dir, w.identity(h), w.walOptions(h))
	if err != nil {
		return err
	}
	if h.n >= w.o.Nodes {
		return l.Close()
	}
	members := raft.AppendMembership(nil, raft.Membership{Members: w.members[:w.o.Nodes]})
	e := raft.Entry{Index: 1, Term: bootstrapTerm, Kind: raft.EntryMembership, Data: members}
	hard := raft.HardState{Term: bootstrapTerm, Commit: 1}
	if err := l.Append(&wal.Batch{Hard: hard, HasHard: true, Entries: []raft.Entry{e}}); err != nil {
		return err
	}
	h.shadow = shadow{hard: hard, terms: []uint64{bootstrapTerm}}
	return l.Close()
}

func (w *World) walOptions(h *host) wal.Options {
	return wal.Options{FS: h.fs, SegmentSize: w.o.SegmentSize}
}

// acquaint lets at least a majority of the others know every founding member, as the first start of a real one does.
func (w *World) acquaint() error {
	founders := w.hosts[:w.o.Nodes]
	stranger := int(w.o.Seed % uint64(len(founders)))
	for _, h := range founders {
		known, err := wal.OpenRegistryOn(h.fs, dir)
		if err != nil {
			return err
		}
		for _, o := range founders {
			if o == h || (len(founders) > 3 && o.n == (h.n+1)%len(founders) && h.n == stranger) {
				continue
			}
			if err := known.Admit(w.members[o.n].Name, o.incarnation); err != nil {
				return err
			}
		}
	}
	return nil
}

// start makes a node of what the disk holds, as cmd/kvapp does.
func (w *World) start(h *host) {
	if h.up || h.gone || w.failure != nil {
		return
	}
	ok, err := wal.ExistsOn(h.fs, dir)
	if err == nil && !ok {
		w.startEmpty(h)
		return
	}
	if err == nil {
		err = w.open(h)
	}
	if err != nil {
		w.notStarted(h, err)
		return
	}
	if w.tracing {
		w.trace(h, "start", "log %d..%d, snapshot %d, vote n%d in t%d", h.last.First, h.last.Last, h.last.Snapshot, w.index(h.last.Vote)+1, h.last.Term)
	}
	w.turn(h)
}

func (w *World) open(h *host) error {
	l, rec, err := wal.Open(dir, wal.Identity{Cluster: w.cluster, Node: h.id}, w.walOptions(h))
	if err != nil {
		return err
	}
	if h.known, err = wal.OpenRegistryOn(h.fs, dir); err != nil {
		return err
	}
	if h.files, err = wal.OpenSnapshotsOn(h.fs, dir); err != nil {
		return err
	}
	if len(rec.Notes) > 0 {
		w.reach(tornTail)
	}
	h.log = journal.NewLog(l)
	h.snaps = journal.Snapshots{Files: h.files}
	deps := node.Deps{
		Log: h.log, Snapshots: h.snaps, Clock: &h.clock,
		Recovered: raft.Recovered{Hard: rec.Hard, Snapshot: rec.Snapshot.Meta, First: rec.First, Terms: rec.Terms, Entries: rec.Entries},
		Snapshot:  node.SnapshotFile(rec.Snapshot),
		Seed:      func() uint64 { h.seeds++; return mix(w.o.Seed ^ uint64(h.n)<<40 ^ h.seeds) },
	}
	h.drv, err = node.OpenDriver(w.config(h), &deps)
	if err != nil {
		return err
	}
	h.up = true
	h.core, h.store = h.drv.Core(), h.drv.Store()
	h.applier = node.NewApplier(h.store, h.snaps, &h.clock, h.drv.StateTerm(), w.o.HashEvery)
	h.last = h.core.Brief()
	h.duties.born, h.duties.blank = h.clock.Now(), rec.Hard.Term == 0 && h.last.Last == 0
	w.recovered(h, &rec)
	h.handed = max(h.handed, h.store.Applied())
	switch {
	case h.core.Stateless():
		w.reach(stateMissing)
	case h.spoiled:
		h.spoiled = false
		if rec.Snapshot.Name != "" && !h.files.Has(rec.Snapshot) {
			w.reach(stateRebuilt)
		}
	}
	w.compareHashNow(h)
	return nil
}

// notStarted decides what a failed start means. A disk that fails may work the next time. Damage must have been done.
func (w *World) notStarted(h *host, err error) {
	w.halt(h)
	if w.tracing {
		w.trace(h, "refuse", "%v", err)
	}
	var corrupt *wal.CorruptError
	switch {
	case errors.As(err, &corrupt) && h.rotten:
		w.reach(rotDetected)
		h.gone = true
	case h.faulty && errors.Is(err, disk.ErrCrashed):
		h.fs.Kill()
		w.queue.put(event{at: w.now + w.o.Election, kind: evStart, node: uint8(h.n)})
	case h.full:
		w.queue.put(event{at: w.now + w.o.Election, kind: evStart, node: uint8(h.n)})
	default:
		w.fail("node-starts", "%v: %v", h, err)
	}
}

// startEmpty is the start of a node that finds no log: it has a new incarnation, and must register at a majority of the
// others before it may vote. They remember the one that it was before.
func (w *World) startEmpty(h *host) {
	admitted := 0
	for _, o := range w.hosts {
		if o == h || !o.up || w.links[h.n][o.n].cuts > 0 || w.links[o.n][h.n].cuts > 0 {
			continue
		}
		err := o.known.Admit(w.members[h.n].Name, h.incarnation)
		var wiped *wal.WipedError
		if errors.As(err, &wiped) {
			w.reach(wipedRefused)
			h.gone = true
			if w.tracing {
				w.trace(h, "refuse", "%v", err)
			}
			return
		}
		if err == nil {
			admitted++
		}
	}
	if admitted > (len(w.hosts)-1)/2 {
		w.fail("wiped-disk-refused", "%v has lost its disk, and %d others let it in as a new one", h, admitted)
		return
	}
	w.queue.put(event{at: w.now + w.o.Election, kind: evStart, node: uint8(h.n)})
}

// halt ends the process of a host: what it had in memory is gone, and who waits for an answer will not get one.
func (w *World) halt(h *host) {
	h.life++
	for _, list := range [][]*attempt{h.asked, h.serving} {
		for _, a := range list {
			a.ending = reset
			w.queue.put(event{at: w.now + w.requestDelay(a.c), kind: evReply, ref: w.attempts.add(a)})
		}
	}
	for i := range h.inbox {
		if v := h.inbox[i].View; v != nil {
			v.Close()
		}
	}
	h.process = process{}
}

// cutShort lets the disk work on what was under way for a few more operations, and then no more.
func (w *World) cutShort(h *host, d *dice) {
	h.fs.CrashAfter(1 + d.n(12))
	if h.job != nil {
		h.cut = h.job
		_, _ = h.job.Run(h.log, h.snaps)
	}
	if h.write != nil && !h.fs.Crashed() {
		_, _ = h.write.Run(h.snaps)
	}
}

// kill is kill -9: the disk keeps what was written.
func (w *World) kill(h *host, d *dice) {
	w.cutShort(h, d)
	h.fs.Kill()
	w.halt(h)
}

// powerLoss takes what was not synced, in part, and the interval clock begins anew.
func (w *World) powerLoss(h *host, d *dice) {
	w.cutShort(h, d)
	losses := disk.Losses()
	h.fs.Crash(losses[d.n(len(losses))])
	w.halt(h)
	h.clock.reboot(int64(d.n(100)) * second)
}

// stopped ends a node that has met an error of its disk: it says so and stops.
func (w *World) stopped(h *host, what string, err error) {
	var corrupt *wal.CorruptError
	if !h.faulty && !h.full && !(h.rotten && errors.As(err, &corrupt)) {
		w.fail(what, "%v: %v", h, err)
		return
	}
	w.reach(diskError)
	if w.tracing {
		w.trace(h, "stop", "%s: %v", what, err)
	}
	h.cut = h.job
	h.fs.Kill()
	w.halt(h)
	w.queue.put(event{at: w.now + w.o.Election, kind: evStart, node: uint8(h.n)})
}

// String names a node in messages.
func (h *host) String() string { return fmt.Sprintf("n%d", h.n+1) }
