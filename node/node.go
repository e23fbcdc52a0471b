package node

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"kvapp/fsm"
	"kvapp/raft"
)

// Deps is the world around a node.
type Deps struct {
	Log       Log
	Snapshots Snapshots
	Transport Transport
	Clock     Clock
	Seed      func() uint64 // randomness for entries; loop goroutine only
	Logger    *slog.Logger
	// Recovered is what the journal held; Snapshot its newest snapshot (zero if none).
	Recovered raft.Recovered
	Snapshot  SnapshotFile
	// OnRole is told the role whenever it changes; loop goroutine.
	OnRole func(raft.Role)
}

// Node is a Driver with its goroutines. It implements Client.
type Node struct {
	cfg   Config
	deps  Deps
	store *fsm.Store
	drv   *Driver

	inbox   *queue[Event]
	applies *queue[ApplyItem]
	fetches *queue[raft.Fetch]
	appends chan *AppendJob // capacity 1, at most one job under way
	writes  chan *WriteJob  // capacity 1, at most one snapshot under way
	wakeAt  atomic.Uint64   // the applier nudges the loop when it passes this index
	lease   atomic.Int64    // interval time until which local reads are linearizable
	fresh   atomic.Int64    // interval time: what was committed before is applied here; 0 = nothing is known
	view    atomic.Pointer[View]
	fsyncs  fsyncCounters
	waste   wasteCounters
	stopped chan struct{} // closed when Run has ended: nobody will answer any more

	mu      sync.Mutex // guards running
	running bool       // Run was called; until then the Driver belongs to whoever holds mu
}

type fsyncCounters struct{ count, sum, max atomic.Uint64 }

// note counts one write to the journal that took so many ns. Appender goroutine.
func (c *fsyncCounters) note(took uint64) {
	c.count.Add(1)
	c.sum.Add(took)
	if took > c.max.Load() {
		c.max.Store(took)
	}
}

var _ Client = (*Node)(nil)

// ErrStopped is returned when the node is going down, ErrStarting before Run.
var (
	ErrStopped  = errors.New("node stopped")
	ErrStarting = errors.New("node is starting")
)

// New restores the state machine from the newest snapshot and builds the core from the recovered log. Nothing runs
// before Run. An error names what is damaged.
func New(cfg Config, deps Deps) (*Node, error) {
	drv, err := OpenDriver(cfg, &deps)
	if err != nil {
		return nil, err
	}
	n := &Node{
		cfg: drv.cfg, deps: deps, store: drv.store, drv: drv,
		inbox:   newQueue[Event](),
		applies: newQueue[ApplyItem](),
		fetches: newQueue[raft.Fetch](),
		appends: make(chan *AppendJob, 1),
		writes:  make(chan *WriteJob, 1),
		stopped: make(chan struct{}),
	}
	n.view.Store(n.drv.out.View)
	return n, nil
}

// Deliver takes messages of a peer. It waits while too many bytes of entries stand in the inbox. Any goroutine but the
// loop's.
func (n *Node) Deliver(msgs []raft.Message) {
	size := int64(0)
	for i := range msgs {
		for j := range msgs[i].Entries {
			size += int64(len(msgs[i].Entries[j].Data))
		}
	}
	n.inbox.putBytes(Event{Kind: EvMessages, Msgs: msgs}, size, inboxBytes)
}

// Unreachable tells that messages for a peer were dropped; any goroutine.
func (n *Node) Unreachable(id raft.NodeID) { n.inbox.put(Event{Kind: EvUnreachable, Peer: id}) }

// SnapshotReceived tells that a whole snapshot file of the leader of term is on disk; any goroutine.
func (n *Node) SnapshotReceived(from raft.NodeID, term uint64, f SnapshotFile) {
	n.inbox.put(Event{Kind: EvSnapshotReceived, Peer: from, Term: term, Snapshot: f})
}

// Write implements Client.
func (n *Node) Write(b *Batch) { n.submit(Event{Kind: EvWrite, Batch: b}) }

// Block implements Client.
func (n *Node) Block(b *Batch) {
	switch {
	case n.view.Load().Loading:
		b.finish(Loading)
	case !n.inbox.put(Event{Kind: EvWrite, Batch: b}):
		b.finish(Stopped)
	}
}

// Unblock implements Client.
func (n *Node) Unblock(id fsm.WaiterID, why fsm.Unblocking) {
	n.inbox.put(Event{Kind: EvUnblock, Waiter: id, Why: why})
}

// submit hands a batch to the loop and waits for its answer. While the log is replayed the answer is known without
// asking; so it is before Run, when there is nobody to ask.
func (n *Node) submit(ev Event) {
	if n.view.Load().Loading {
		ev.Batch.Outcome = Loading
		return
	}
	if !n.inbox.put(ev) {
		ev.Batch.Outcome = Stopped
		return
	}
	<-ev.Batch.done // Run answers every batch that it took, also when it ends
}

// Read implements Client. The fast path takes no hop: with a lease, read under the shard's lock, and only then ask the
// clock whether the lease still holds, so that a pause in between cannot serve stale data. It is the same with the bound of
// reads that may be stale.
func (n *Node) Read(b *Batch, from int) int {
	mark := b.Out.Len()
	if until := n.readableUntil(b); until != 0 {
		next := b.Serve(n.store, from)
		if until > n.deps.Clock.Now() { // the one from before: a later leadership's says nothing about what was read
			b.Outcome = Done
			return next
		}
		b.Out.Truncate(mark)
	}
	b.deadline = 0
	n.submit(Event{Kind: EvRead, Batch: b})
	if b.Outcome != Done {
		return from
	}
	return b.Serve(n.store, from)
}

// readableUntil is the interval time until which b may be served from what this node has now, 0 if it may not.
func (n *Node) readableUntil(b *Batch) int64 {
	if b.Mode == ReadQuorum {
		return 0
	}
	until := n.lease.Load()
	if fresh := n.fresh.Load(); b.Mode == ReadStale && fresh != 0 {
		until = max(until, fresh+b.MaxStale)
	}
	return until
}

// Store implements Client.
func (n *Node) Store() *fsm.Store { return n.store }

// View implements Client.
func (n *Node) View() *View { return n.view.Load() }

// begin hands the Driver over to Run.
func (n *Node) begin() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.running = true
}

// asleep reports that Run was not called yet, and lets f, if there is one, look at the Driver then. Whoever would ask
// the loop asks this first: a node may be open for a long time before it runs, and must not keep clients waiting.
func (n *Node) asleep(f func(*Driver)) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.running && f != nil {
		f(n.drv)
	}
	return !n.running
}

// Status implements Client.
func (n *Node) Status() (s Status, err error) {
	if n.asleep(func(d *Driver) { s = d.status() }) {
		n.counted(&s)
		return s, nil
	}
	c := make(chan Status, 1)
	n.inbox.put(Event{Kind: EvStatus, Status: c})
	select {
	case s = <-c:
		n.counted(&s)
		s.FsyncCount, s.FsyncNs, s.FsyncMaxNs = n.fsyncs.count.Load(), n.fsyncs.sum.Load(), n.fsyncs.max.Load()
		return s, nil
	case <-n.stopped:
		return Status{}, ErrStopped
	}
}

// Wait implements Client.
func (n *Node) Wait(index uint64, own bool, want int, timeoutMs int64) (mine bool, others int) {
	if n.asleep(nil) {
		return false, 0
	}
	w := &waiter{index: index, own: own, n: want, deadline: n.deps.Clock.Now() + timeoutMs*1e6, done: make(chan durable, 1)}
	if timeoutMs == 0 {
		w.deadline = 1<<63 - 1
	}
	n.inbox.put(Event{Kind: EvWait, Wait: w})
	select {
	case have := <-w.done:
		return have.own, have.others
	case <-n.stopped:
		return false, 0
	}
}

// Purge implements Client.
func (n *Node) Purge() {
	n.store.Purge()
	n.applies.nudge()
}

// StateHash implements Client.
func (n *Node) StateHash() (uint64, uint64, error) {
	if n.asleep(nil) || n.view.Load().Stateless {
		return 0, 0, ErrStarting
	}
	c := make(chan *fsm.View, 1)
	n.inbox.put(Event{Kind: EvHash, Frozen: c})
	select {
	case v := <-c:
		defer v.Close()
		total, err := v.Verify()
		return v.Index(), total, err
	case <-n.stopped:
		return 0, 0, ErrStopped
	}
}

// Snapshot implements Client.
func (n *Node) Snapshot() (uint64, error) {
	if n.asleep(nil) || n.view.Load().Stateless {
		return 0, ErrStarting
	}
	c := make(chan uint64, 1)
	n.inbox.put(Event{Kind: EvTakeSnapshot, Taken: c})
	select {
	case index := <-c:
		if index == 0 {
			return 0, ErrDiskFull
		}
		return index, nil
	case <-n.stopped:
		return 0, ErrStopped
	}
}
