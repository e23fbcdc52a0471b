package sim

import (
	"errors"

	"kvapp/fsm"
	"kvapp/internal/journal"
	"kvapp/node"
	"kvapp/raft"
	"kvapp/sim/disk"
	"kvapp/wal"
)

// host is one machine: a disk and a clock, and the process that runs on it.
type host struct {
	n     int // position in World.hosts
	id    raft.NodeID
	clock clock

	fs          *disk.Disk
	incarnation uint64
	shadow      shadow          // what the disk certainly holds
	cut         *node.AppendJob // what it worked on when the process died
	faulty      bool            // an operation was told to fail
	full        bool            // there is no room
	rotten      bool            // a bit was flipped
	spoiled     bool            // a snapshot file was damaged, and the node has had no state since
	wiped       bool            // the disk was lost
	planted     bool            // its state is not what the log says
	gone        bool            // never starts again
	tail        string          // path of the last segment in front of the newest batch; empty before the first
	tailAt      int64           // its size then

	life uint32 // number of the process; counts up when it dies
	// How often something has happened on this machine; these address chance.
	seeds, turns, jobs, applied uint64
	last                        raft.Brief // of the process, and of the one before where there is none

	process
}

// process is what dies with a process.
type process struct {
	up      bool
	drv     *node.Driver
	core    *raft.Raft
	store   *fsm.Store
	applier *node.Applier
	log     *journal.Log
	snaps   journal.Snapshots
	files   *wal.Snapshots
	known   *wal.Registry

	inbox    []node.Event
	messages []raft.Message // of the inbox
	busy     int64          // the loop takes no event before
	paused   int64          // the whole process stands still until then
	turnPut  bool           // an evTurn stands in the queue
	timerAt  int64          // the evTimer in the queue; 0 = none

	job      *node.AppendJob // under way
	jobAt    int64           // since when
	write    *node.WriteJob  // under way
	applies  []node.ApplyItem
	applying bool
	members  *raft.Membership // in effect after the last turn
	before   *raft.Membership // in effect before the turns that follow each other now
	handed   uint64           // last entry handed to the applier

	lease   int64
	wakeAt  uint64
	duties  duties
	asked   []*attempt    // handed to the Driver and not answered
	serving []*attempt    // connections at work on an answer
	nudges  []*unblocking // CLIENT UNBLOCKs that are not answered

	ledUntil int64 // when it stopped leading
}

// config is what the node is started with.
func (w *World) config(h *host) node.Config {
	o := &w.o
	cfg := node.Config{
		Self: w.members[h.n], Cluster: "simulation",
		Raft: raft.Config{
			ID: h.id, Seed: w.random(coreSeed, uint8(h.n), uint64(h.life)),
			ElectionTimeout: o.Election, HeartbeatEvery: o.Heartbeat, LeaseMargin: o.Election / 10,
			MaxAppendBytes: o.MaxAppendBytes, MaxInflightMsgs: o.MaxInflightMsgs, MaxInflightBytes: o.MaxInflightBytes,
			MaxUncommitted: o.MaxUncommitted, CacheBytes: o.CacheBytes,
		},
		ParkTimeout: o.ParkTimeout, CommitTimeout: o.CommitTimeout, QuorumReads: o.QuorumReads,
		MaxEntryBytes: o.MaxEntryBytes, SweepLimit: 10, SnapshotBytes: o.SnapshotBytes, SnapshotKeep: o.SnapshotKeep,
		HoldBytes: o.HoldBytes, ApplyBacklog: o.ApplyBacklog, HashEvery: o.HashEvery,
		Memory: func() *node.Memory { return w.limit },
	}
	if o.Odds[reserve] > 0 {
		cfg.DiskReserve = func() int64 { return o.DiskReserve }
	}
	return cfg
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
	h.before = h.members
	for i := 0; ; i++ {
		if i == maxTurns {
			w.fail("loop-rests", "n%d: %d turns without a pause", h.n+1, i)
			return
		}
		h.turns++
		now := h.clock.Now()
		for i := range h.inbox {
			if err := h.drv.Handle(now, &h.inbox[i]); err != nil {
				w.driverEnds(h, err)
				return
			}
		}
		clear(h.inbox)
		h.inbox, h.messages = h.inbox[:0], h.messages[:0]
		work, err := h.drv.EndTurn(now)
		if err != nil {
			w.driverEnds(h, err)
			return
		}
		life := h.life
		again := w.perform(h, work)
		if h.life != life { // its disk was damaged
			return
		}
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

// driverEnds is a failure, unless a wrong state was planted: then the node ends, and does not come back.
func (w *World) driverEnds(h *host, err error) {
	var d *node.DivergedError
	if !h.planted || !errors.As(err, &d) {
		w.fail("driver", "n%d: %v", h.n+1, err)
		return
	}
	if w.tracing {
		w.trace(h, "stop", "%v", err)
	}
	w.caught(h.n, d)
	h.fs.Kill()
	w.halt(h)
	h.gone = true
}

// sow writes a key into the state of a node that nobody else has.
func (w *World) sow(h *host, index uint64) {
	entry := fsm.AppendEntryHeader(nil, h.store.Clock(), 1)
	entry = fsm.AppendEntryCommand(entry, 0, []byte("*3\r\n$3\r\nSET\r\n$7\r\nplanted\r\n$1\r\nx\r\n"))
	if err := h.store.ApplyEntry(index, entry); err != nil {
		w.fail("planting", "%v: %v", h, err)
	}
	h.planted = true
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
	if !h.up {
		return false
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
	w.applyAll(h, items)
}

// applyAll executes items until the process dies of one, and tidies up behind them.
func (w *World) applyAll(h *host, items []node.ApplyItem) {
	life := h.life
	for i := range items {
		if w.apply(h, &items[i]); h.life != life || w.failure != nil {
			return
		}
	}
	h.store.Tidy(tidySteps) // as an applier does that has nothing else to do
}

// tidySteps is what an applier tidies up at a time.
const tidySteps = 64

// applyOn is the turn of a slow applier: it takes everything that waits.
func (w *World) applyOn(h *host) {
	h.applying = false
	items, life := h.applies, h.life
	h.applies = nil
	w.applyAll(h, items)
	if h.life != life || w.failure != nil {
		return
	}
	if len(h.inbox) > 0 || (h.wakeAt != 0 && h.store.Applied() >= h.wakeAt) {
		w.wake(h)
	}
	w.collect(h)
}

func (w *World) apply(h *host, item *node.ApplyItem) {
	if err := h.applier.Apply(item, func(ev node.Event) { h.inbox = append(h.inbox, ev) }); err != nil {
		w.stopped(h, "state-is-sound", err)
		return
	}
	if index := item.Entry.Index; index != 0 && w.plant != nil && w.plant(h.n, index) {
		w.sow(h, index)
	}
	w.appliedItem(h, item)
}
