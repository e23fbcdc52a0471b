package sim

import (
	"fmt"

	"kvapp/fsm"
	"kvapp/node"
	"kvapp/raft"
)

// host is one machine: what a node has while it lives, and what survives it.
type host struct {
	n     int // position in World.hosts
	id    raft.NodeID
	clock clock
	disk  *memJournal

	up   bool
	life uint32 // number of the process; counts up when it dies

	// Of the process.
	drv     *node.Driver
	core    *raft.Raft
	store   *fsm.Store
	applier *node.Applier
	seeds   uint64

	inbox    []node.Event
	messages []raft.Message // of the inbox
	busy     int64          // the loop takes no event before
	turnPut  bool           // an evTurn stands in the queue
	timerAt  int64          // the evTimer in the queue; 0 = none
	turns    uint64

	job      *node.AppendJob // under way
	jobs     uint64
	write    *node.WriteJob // under way
	applies  []node.ApplyItem
	applying bool
	applied  uint64 // times the applier was slow or fast

	lease   int64
	wakeAt  uint64
	paused  int64      // the whole process stands still until then
	asked   []*attempt // handed to the Driver and not answered
	serving []*attempt // connections at work on an answer
	handed  uint64     // last entry handed to the applier

	last   raft.Brief
	shadow shadow
}

// config is what the node is started with.
func (w *World) config(h *host) node.Config {
	o := &w.o
	return node.Config{
		Self: w.members[h.n], Cluster: "simulation",
		Raft: raft.Config{
			ID: h.id, Seed: w.random(coreSeed, uint8(h.n), uint64(h.life)),
			ElectionTimeout: o.Election, HeartbeatEvery: o.Heartbeat, LeaseMargin: o.Election / 10,
			MaxAppendBytes: o.MaxAppendBytes, MaxInflightMsgs: o.MaxInflightMsgs, MaxInflightBytes: o.MaxInflightBytes,
			MaxUncommitted: o.MaxUncommitted, CacheBytes: o.CacheBytes,
		},
		ParkTimeout: o.ParkTimeout, CommitTimeout: o.CommitTimeout, QuorumReads: o.QuorumReads,
		MaxEntryBytes: o.MaxEntryBytes, SweepLimit: 10, SnapshotBytes: o.SnapshotBytes, SnapshotKeep: o.SnapshotKeep,
		HoldBytes: o.HoldBytes, ApplyBacklog: o.ApplyBacklog,
	}
}

// start makes a node of what the disk holds.
func (w *World) start(h *host) {
	if h.up || w.failure != nil {
		return
	}
	rec := h.disk.recovered()
	deps := node.Deps{
		Log: h.disk, Snapshots: h.disk, Clock: &h.clock, Recovered: rec, Snapshot: h.disk.snap,
		Seed: func() uint64 { h.seeds++; return mix(w.o.Seed ^ uint64(h.n)<<40 ^ h.seeds) },
	}
	drv, err := node.OpenDriver(w.config(h), &deps)
	if err != nil {
		w.fail("node-starts", "n%d: %v", h.n+1, err)
		return
	}
	h.up = true
	h.drv, h.core, h.store = drv, drv.Core(), drv.Store()
	h.applier = node.NewApplier(h.store, h.disk, &h.clock, rec.Snapshot.Term)
	h.last = h.core.Brief()
	w.started(h, &rec)
	if w.tracing {
		w.trace(h, "start", "log %d..%d, snapshot %d, vote n%d in t%d", h.last.First, h.last.Last, h.last.Snapshot, w.index(h.last.Vote)+1, h.last.Term)
	}
	w.turn(h)
}

// post puts an event into the inbox of a node, which takes it at once if it is neither busy nor paused.
func (w *World) post(h *host, ev node.Event) {
	h.inbox = append(h.inbox, ev)
	w.wake(h)
}

func (w *World) wake(h *host) {
	if w.now >= h.busy {
		w.turn(h)
	} else if !h.turnPut {
		h.turnPut = true
		w.queue.put(event{at: h.busy, kind: evTurn, node: uint8(h.n), life: h.life})
	}
}

// maxTurns is how many turns may follow each other without anything happening in between.
const maxTurns = 1000

// turn runs turns of the loop until the node has nothing to do, as node.Node does when it is nudged.
func (w *World) turn(h *host) {
	for i := 0; ; i++ {
		if i == maxTurns {
			w.fail("loop-rests", "n%d: %d turns without a pause", h.n+1, i)
			return
		}
		h.turns++
		now := h.clock.Now()
		for i := range h.inbox {
			if err := h.drv.Handle(now, &h.inbox[i]); err != nil {
				w.fail("driver", "n%d: %v", h.n+1, err)
				return
			}
		}
		clear(h.inbox)
		h.inbox, h.messages = h.inbox[:0], h.messages[:0]
		work, err := h.drv.EndTurn(now)
		if err != nil {
			w.fail("driver", "n%d: %v", h.n+1, err)
			return
		}
		again := w.perform(h, work)
		w.observe(h)
		if w.failure != nil {
			return
		}
		if !again && len(h.inbox) == 0 {
			break
		}
	}
	w.collect(h)
	w.arm(h)
	if more, ok := w.luck(busyClass, uint8(h.n), h.turns); ok {
		h.busy = max(h.busy, w.now+span(more, us, w.o.Turn))
	}
}

// perform does the work of one turn, in the order of node.Node. It reports whether the loop is nudged.
func (w *World) perform(h *host, work *node.Work) bool {
	h.lease = work.Lease
	if work.Append != nil {
		w.issue(h, work.Append)
	}
	w.send(h, work.Send)
	for i := range work.Apply {
		w.committed(h, &work.Apply[i])
	}
	w.handOver(h, work.Apply)
	for _, f := range work.Fetch {
		w.fetch(h, f)
	}
	for i := range work.Snapshots {
		w.openStream(h, &work.Snapshots[i])
	}
	if work.Write != nil {
		w.writeSnapshot(h, work.Write)
	}
	h.wakeAt = work.WakeAt
	work.Reset()
	return h.wakeAt != 0 && h.store.Applied() >= h.wakeAt
}

// arm puts a timer for the Driver's deadline, unless one stands earlier: it may come too early, never too late.
func (w *World) arm(h *host) {
	at := max(h.clock.when(h.drv.Deadline()), w.now+1)
	if h.timerAt != 0 && h.timerAt <= at {
		return
	}
	h.timerAt = at
	w.queue.put(event{at: at, kind: evTimer, node: uint8(h.n), life: h.life})
}

// timer comes when a deadline may have passed.
func (w *World) timer(h *host, at int64) {
	if at != h.timerAt {
		return // an earlier one took its place
	}
	h.timerAt = 0
	if h.clock.Now() < h.drv.Deadline() {
		w.arm(h)
		return
	}
	w.wake(h)
}

// handOver gives committed entries to the applier, which is at once done with them unless it is slow.
func (w *World) handOver(h *host, items []node.ApplyItem) {
	if len(items) == 0 {
		return
	}
	h.applied++
	if more, ok := w.luck(applyClass, uint8(h.n), h.applied); ok || h.applying {
		h.applies = append(h.applies, items...)
		if !h.applying {
			h.applying = true
			w.queue.put(event{at: w.now + span(more, us, w.o.Apply), kind: evApply, node: uint8(h.n), life: h.life})
		}
		return
	}
	for i := range items {
		w.apply(h, &items[i])
	}
}

// applyOn is the turn of a slow applier: it takes everything that waits.
func (w *World) applyOn(h *host) {
	h.applying = false
	items := h.applies
	h.applies = nil
	for i := range items {
		w.apply(h, &items[i])
	}
	if w.failure == nil && (len(h.inbox) > 0 || h.wakeAt != 0 && h.store.Applied() >= h.wakeAt) {
		w.wake(h)
	}
	w.collect(h)
}

func (w *World) apply(h *host, item *node.ApplyItem) {
	if w.failure != nil {
		return
	}
	if err := h.applier.Apply(item, func(ev node.Event) { h.inbox = append(h.inbox, ev) }); err != nil {
		w.fail("applier", "n%d: %v", h.n+1, err)
		return
	}
	w.appliedItem(h, item)
}

// String names a node in messages.
func (h *host) String() string { return fmt.Sprintf("n%d", h.n+1) }
