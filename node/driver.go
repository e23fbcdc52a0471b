package node

import (
	"errors"
	"fmt"
	"math"

	"kvapp/fsm"
	"kvapp/raft"
)

// Config holds what does not change while the node runs. Durations are in ns of the interval clock.
type Config struct {
	Self    raft.Member // what this node calls itself; where the membership lists it, that counts
	Cluster string      // cluster id, for display
	Raft    raft.Config

	ParkTimeout   int64 // how long a command waits for a leader to be known
	CommitTimeout int64 // how long a proposal waits for its commit before it is Uncertain
	QuorumReads   bool  // never use the lease

	MaxEntryBytes int    // client bytes merged into one entry; a single larger batch still goes whole
	SweepLimit    int    // keys deleted by one expiry sweep
	SnapshotBytes int64  // take a snapshot when the journal grew by this much since the last one
	SnapshotKeep  uint64 // most entries kept behind a snapshot for slow followers
	HashEvery     uint64 // the states of the nodes are compared every so many entries, 0 = never; the same on all nodes
	HoldBytes     int64  // size of the journal up to which a leader keeps what a slow follower still needs
	ApplyBacklog  int64  // bytes handed to the applier and not applied above which appends of the leader are refused
	// DiskReserve is how many bytes of the disk are left free, see disk; nil: none. Loop goroutine.
	DiskReserve func() int64
	// Memory is how much the keys may take, with how their use is noted; nil: no limit. Loop goroutine.
	Memory func() *Memory
}

// Driver is the logic of one node; see the package comment. Only the loop goroutine may touch it.
type Driver struct {
	cfg   Config
	core  *raft.Raft
	clock Clock
	seed  func() uint64
	store *fsm.Store // only its atomics: Applied, Clock, NextDeadline
	log   Log

	now int64
	eff raft.Effects
	out Work

	wanted []raft.SendSnapshot // scratch of absorb

	// Client batches that are in no entry yet, oldest first.
	waiting []*Batch
	// Own proposals not yet handed to the applier. Invariant: terms ascend, and the index within a term: a node that led
	// before and lost the end of its log may lead again with a shorter one.
	pending []*proposal

	asking  []*Batch             // reads of this turn, to be asked in one round
	rounds  map[uint64]readRound // read id -> reads whose index is not known yet
	lastID  uint64
	fresh   int64      // interval time: what was committed before is applied; 0 = nothing is known
	ready   readyQueue // reads whose index is known but not applied
	waiters []*waiter

	requests []*request // changes of the cluster that are not done

	self   raft.Member // as the membership had it when it last listed this node
	member bool        // the membership lists this node
	turned int         // clients that were sent to a voter because this node knows no leader

	next      AppendJob // what piled up while an append job is under way
	appending bool

	role      raft.Role
	term      uint64
	leader    raft.NodeID
	lastKnown raft.NodeID
	seenAt    int64  // when a leader was last known
	noop      uint64 // index of the own no-op while leading; proposals wait until it is applied
	applied   uint64
	handed    uint64 // last index handed to the applier
	backlog   int64  // bytes handed to the applier and not applied
	sizes     []handedEntry
	loading   bool
	stateless bool   // loading, and a snapshot of the leader has to come first
	stateTerm uint64 // of the last entry in the store that the Driver began with
	loadTo    uint64 // the recovered commit index: until it is applied the node is loading
	changes   uint64 // leader changes seen
	published bool   // View.Healthy as last published
	sweepAt   int64  // earliest interval time of the next sweep
	swept     uint64 // index of the last proposed sweep of this term

	disk disk
	busy busy
	mem  memory
	cmp  comparison

	blocking blocking

	snap      SnapshotFile
	snapLost  bool  // its file is gone, the store has its state
	snapBytes int64 // journal size after the last snapshot
	snapBusy  bool
	snapSince int64  // interval time: when the snapshot under way began
	snapAt    int64  // wall ms: when the newest one was durable, 0 = none in this run
	snapNs    int64  // what the newest own one took
	snapshots uint64 // own ones in this run
	loaded    int    // keys in the store when the Driver was made
	takers    []chan<- uint64
	streamed  map[raft.NodeID]stream // the snapshot that a member was sent last
	received  []SnapshotFile         // whole files from leaders, not installed (yet); few
}

// handedEntry is an entry that the applier has and has not applied, as far as the Driver knows.
type handedEntry struct {
	index   uint64
	bytes   int64
	batches int   // of clients of this node; 0 for an entry of somebody else
	grow    int64 // see proposal
}

// NewDriver joins a recovered core with its surroundings. snap is the newest own snapshot (zero if none), loadTo the
// commit index found in the journal.
func NewDriver(
	cfg Config, core *raft.Raft, store *fsm.Store, log Log, clock Clock, seed func() uint64, snap SnapshotFile, loadTo uint64,
) *Driver {
	d := &Driver{
		cfg: cfg, core: core, store: store, log: log, clock: clock, seed: seed, snap: snap, loadTo: loadTo,
		rounds: map[uint64]readRound{}, applied: store.Applied(), snapBytes: log.Bytes(),
		now: clock.Now(), seenAt: clock.Now(), self: cfg.Self, disk: disk{free: math.MaxInt64},
	}
	for db := range fsm.Databases {
		keys, _ := store.Keys(db)
		d.loaded += int(keys)
	}
	d.stateless = core.Stateless()
	d.loading = d.applied < loadTo
	d.out.Members = core.Contacts()
	d.out.View = d.view()
	return d
}

// OpenDriver restores a state machine from the newest snapshot, builds the core from the recovered log, and joins them. Of
// deps it uses not the transport. If the snapshot is damaged it does what the package comment says. An error names what is
// damaged.
func OpenDriver(cfg Config, deps *Deps) (*Driver, error) {
	st, err := openState(&cfg, deps)
	if err != nil {
		return nil, err
	}
	rec := deps.Recovered
	rec.Applied, rec.Stateless = st.applied, st.missing
	cfg.Raft.Now = deps.Clock.Now()
	if cfg.QuorumReads {
		cfg.Raft.LeaseMargin = cfg.Raft.ElectionTimeout // a lease of no length: the core does not count on clocks either
	}
	core, err := raft.New(cfg.Raft, rec)
	if err != nil {
		return nil, fmt.Errorf("raft core: %w", err)
	}
	if st.damage != nil {
		if st.missing && core.Alone() {
			return nil, st.damage // nobody else has a state either
		}
		if err := st.quarantine(deps); err != nil {
			return nil, err
		}
	}
	d := NewDriver(cfg, core, st.store, deps.Log, deps.Clock, deps.Seed, deps.Snapshot, core.Commit())
	d.stateTerm, d.snapLost = st.term, st.damage != nil && !st.missing
	d.recovered(rec.Entries)
	return d, nil
}

// Core is the consensus core, to look at. It must not be changed; loop goroutine.
func (d *Driver) Core() *raft.Raft { return d.core }

// StateTerm is the term of the last entry that the state machine held at the start: what its applier begins with.
func (d *Driver) StateTerm() uint64 { return d.stateTerm }

// Store is the state machine.
func (d *Driver) Store() *fsm.Store { return d.store }

// Handle takes one event at interval time now. It queues what the event asks for; EndTurn acts.
func (d *Driver) Handle(now int64, ev *Event) error {
	d.now = now
	switch ev.Kind {
	case EvWrite:
		d.write(ev.Batch)
	case EvRead:
		d.read(ev.Batch)
	case EvMessages:
		return d.messages(ev.Msgs)
	case EvAppended:
		return d.appended(ev)
	case EvFetched:
		return d.step(raft.Event{Kind: raft.EvFetched, To: ev.Fetch.To, Index: ev.Fetch.Lo, Entries: ev.Entries, Failed: ev.Failed})
	case EvVictims:
		d.victims(ev.Victims)
	case EvUnblock:
		d.unblock(ev.Waiter, ev.Why)
	case EvFrozen:
		d.frozen(ev)
	case EvSnapshotWritten:
		d.snapshotWritten(ev)
	case EvSnapshotSent:
		return d.snapshotSent(ev)
	case EvSnapshotReceived:
		d.received = append(d.received, ev.Snapshot)
		return d.step(raft.Event{Kind: raft.EvSnapshotReceived, From: ev.Peer, Term: ev.Term, Snapshot: ev.Snapshot.Meta})
	case EvUnreachable:
		return d.step(raft.Event{Kind: raft.EvUnreachable, To: ev.Peer})
	case EvWait:
		d.waiters = append(d.waiters, ev.Wait)
	case EvStatus:
		ev.Status <- d.status()
	case EvTakeSnapshot:
		d.takeSnapshot(ev.Taken)
	case EvHash:
		d.out.Apply = append(d.out.Apply, ApplyItem{Frozen: ev.Frozen})
	case EvPoint:
		d.noted(ev.Point)
	case EvRequest:
		d.requests = append(d.requests, ev.Request)
	default:
		return fmt.Errorf("node: unknown event %d", ev.Kind)
	}
	return nil
}

// step feeds the core; what it asks for gathers in d.eff until EndTurn.
func (d *Driver) step(ev raft.Event) error {
	ev.Now = d.now
	if err := d.core.Step(&ev, &d.eff); err != nil {
		return fmt.Errorf("raft core: %w", err)
	}
	return nil
}

// messages passes on what peers say. Appends are dropped while the applier is too far behind: the leader's window
// then closes, and memory stays bounded.
func (d *Driver) messages(msgs []raft.Message) error {
	full := d.applyFull()
	for i := range msgs {
		if d.overheard(&msgs[i]) {
			continue
		}
		if msgs[i].Type == raft.MsgAppend && len(msgs[i].Entries) > 0 && (full || !d.admits(&msgs[i])) {
			continue
		}
		full = d.keeps(&msgs[i]) || full
		if err := d.step(raft.Event{Kind: raft.EvMessage, Msg: msgs[i]}); err != nil {
			return err
		}
	}
	return nil
}

// EndTurn ends a turn: it lets the core see the time, proposes what waits, asks for reads, and returns the work.
func (d *Driver) EndTurn(now int64) (*Work, error) {
	d.now = now
	d.noteUse()
	d.expireParked()
	if len(d.waiting) > 0 && d.leader == 0 && !d.member {
		d.reroute()
	}
	if err := d.progress(); err != nil {
		return nil, err
	}
	if now >= d.core.NextDeadline() {
		if err := d.step(raft.Event{Kind: raft.EvTick}); err != nil {
			return nil, err
		}
	}
	d.roles()
	if err := d.judge(); err != nil {
		return nil, err
	}
	if err := d.ask(); err != nil {
		return nil, err
	}
	if err := d.propose(); err != nil {
		return nil, err
	}
	if err := d.serveRequests(); err != nil {
		return nil, err
	}
	if err := d.tellFitness(); err != nil {
		return nil, err
	}
	if err := d.absorb(); err != nil {
		return nil, err
	}
	d.maybeSnapshot()
	d.abandon()
	d.serveReady()
	d.serveWaiters()
	d.fill()
	return &d.out, nil
}

// progress tells the core how far the state machine is.
func (d *Driver) progress() error {
	applied := d.store.Applied()
	if applied == d.applied {
		return nil
	}
	d.applied = applied
	n := 0
	for n < len(d.sizes) && d.sizes[n].index <= applied {
		d.backlog -= d.sizes[n].bytes
		n++
	}
	d.sizes = d.sizes[:copy(d.sizes, d.sizes[n:])]
	if d.loading && applied >= d.loadTo {
		d.loading = false
		d.out.View = d.view()
	}
	return d.step(raft.Event{Kind: raft.EvApplied, Index: applied})
}

// roles follows the core's role, term and leader.
func (d *Driver) roles() {
	role, term, leader := d.core.Role(), d.core.Term(), d.core.Leader()
	if leader != 0 {
		d.seenAt = d.now
	}
	healthy := d.healthy()
	if role == d.role && term == d.term && leader == d.leader && !d.eff.Changed {
		if d.out.View == nil && healthy != d.published {
			d.out.View = d.view()
		}
		return
	}
	if leader != 0 && leader != d.lastKnown {
		d.changes++
		d.lastKnown = leader
	}
	if role == raft.Leader && (d.role != raft.Leader || d.term != term) {
		d.swept, d.noop = 0, d.core.LastIndex() // the core appended it in the step that won the election
		d.blocking.elected()
	}
	if role != raft.Leader && d.role == raft.Leader {
		d.blocking.deposed(d.now + d.cfg.CommitTimeout)
	}
	d.role, d.term, d.leader = role, term, leader
	if role != raft.Leader {
		d.noop, d.swept, d.streamed, d.busy.on = 0, 0, nil, false
		d.mem.deposed()
	}
	if d.eff.Changed {
		d.out.Members = d.core.Contacts()
	}
	d.out.View = d.view()
	d.reroute()
}

// write takes a client's batch.
func (d *Driver) write(b *Batch) {
	if d.loading {
		b.finish(Loading)
		return
	}
	if addr, ok := d.elsewhere(); ok {
		b.Leader = addr
		b.finish(NotLeader)
		return
	}
	b.deadline = d.now + d.cfg.ParkTimeout
	b.measure()
	d.waiting = append(d.waiting, b)
}

// propose turns what waits into entries, when their turn has come.
//
// While an entry is under way the next one grows, without a timer: it leaves, when the own disk is free, once the one
// before it is applied and its clients have been answered, or as soon as it is as large as everything that is under way.
// On a fast network this makes few large entries, and it is their number that costs: each is an fsync on every node, and
// two messages for every follower. On a slow network entries still follow each other without waiting for an answer, at
// most log2(clients) of them.
func (d *Driver) propose() error {
	if !d.mayPropose() {
		return nil
	}
	d.refuseUnfit()
	if d.applyFull() || d.busy.still(d.now, d.core.Commit()) {
		return nil
	}
	ready := d.fitMemory()
	sweep := d.dueSweep()
	own := sweep || len(d.mem.victims) > 0 || len(d.blocking.unblocks) > 0
	if !own && ready < d.underWay() {
		return nil
	}
	for ready > 0 || own {
		p := &proposal{nowMs: max(d.clock.WallMs(), d.store.Clock()), seed: d.seed(), since: d.now}
		size := d.gather(p) + d.addOwn(p, sweep)
		at := len(d.eff.Proposed)
		if err := d.step(raft.Event{Kind: raft.EvPropose, EntryKind: raft.EntryCommand, Data: p.encode(size)}); err != nil {
			return err
		}
		if at >= len(d.eff.Proposed) {
			return errors.New("node: the core did not answer a proposal")
		}
		res := d.eff.Proposed[at]
		if res.Err != nil {
			d.busy.refused(d.now, d.core.Commit())
			return nil // still waiting: for room, or for the new leader
		}
		d.busy.on = false
		p.index, p.term = res.Index, res.Term
		if sweep {
			d.swept, sweep = p.index, false
		}
		if len(d.mem.victims) > 0 {
			d.mem.evicted(p.index)
		}
		d.blocking.proposed(p)
		own = false
		d.disk.take(int64(size))
		d.pending = append(d.pending, p)
		d.dropGathered(len(p.batches))
		ready -= len(p.batches)
	}
	return nil
}

// mayPropose says whether the leader may hand anything to the core. An event comes when that changes.
func (d *Driver) mayPropose() bool {
	if d.doubtful() != nil {
		return false
	}
	return d.role == raft.Leader && d.noop != 0 && d.applied >= d.noop && !d.appending
}

// dueSweep says whether keys are due whose deletion the leader should propose now.
func (d *Driver) dueSweep() bool {
	if at, ok := d.nextSweep(); !ok || d.now < at {
		return false
	}
	d.sweepAt = d.now + sweepEvery
	return true
}

// nextSweep returns when the leader is to propose a sweep, in interval time; false if that takes more than time: one sweep
// is executed before the next.
func (d *Driver) nextSweep() (at int64, ok bool) {
	due := d.store.NextDeadline()
	if due == 0 || !d.mayPropose() || d.applied < d.swept || d.applyFull() || d.disk.full {
		return 0, false
	}
	at = max(d.now+max(due-d.clock.WallMs(), 0)*1e6, d.sweepAt)
	if d.busy.still(d.now, d.core.Commit()) {
		at = max(at, d.busy.againAt)
	}
	return at, true
}

// sweepEvery is the least time between two proposed sweeps in ns.
const sweepEvery = 5e6

// expireParked answers what has waited too long.
func (d *Driver) expireParked() {
	n := 0
	for n < len(d.waiting) && d.waiting[n].deadline <= d.now {
		switch b := d.waiting[n]; {
		case d.role != raft.Leader:
			b.finish(NoLeader)
		case b.held:
			b.finish(OutOfMemory)
		default:
			b.finish(Busy)
		}
		n++
	}
	if n > 0 {
		rest := copy(d.waiting, d.waiting[n:])
		clear(d.waiting[rest:])
		d.waiting = d.waiting[:rest]
	}
	// A proposal keeps its place: its entry may still be committed, then without anybody to answer.
	for _, p := range d.pending {
		if p.since+d.cfg.CommitTimeout > d.now {
			break
		}
		p.finish(Uncertain)
	}
}

// Deadline returns the interval time at which EndTurn must run even if nothing happens.
func (d *Driver) Deadline() int64 {
	at := d.core.NextDeadline()
	if len(d.waiting) > 0 {
		at = min(at, d.waiting[0].deadline)
	}
	for _, p := range d.pending {
		if len(p.batches) > 0 {
			at = min(at, p.since+d.cfg.CommitTimeout)
			break
		}
	}
	if r := d.readDeadline(); r != 0 {
		at = min(at, r)
	}
	if !d.member && d.succeeded() && len(d.waiting)+len(d.asking) > 0 {
		at = min(at, d.succeededUntil())
	}
	for _, w := range d.waiters {
		at = min(at, w.deadline)
	}
	if r := d.requestDeadline(); r != 0 {
		at = min(at, r)
	}
	if !d.appending {
		at = min(at, d.disk.lookAt)
	}
	if x := d.doubtDeadline(); x != 0 {
		at = min(at, x)
	}
	if sweep, ok := d.nextSweep(); ok {
		at = min(at, sweep)
	}
	if choice, ok := d.nextChoice(); ok {
		at = min(at, choice)
	}
	if d.blocking.abandonAt != 0 {
		at = min(at, d.blocking.abandonAt)
	}
	return at
}

// stop answers every batch the Driver holds: what was proposed may still be committed by the others.
func (d *Driver) stop() {
	for _, b := range d.waiting {
		b.finish(Stopped)
	}
	for _, p := range d.pending {
		p.finish(Uncertain)
	}
	for _, b := range d.asking {
		b.finish(Stopped)
	}
	for _, round := range d.rounds {
		round.finish(Stopped)
	}
	for _, r := range d.ready.take(1<<64 - 1) {
		r.round.finish(Stopped)
	}
	for i := range d.out.Apply {
		if p := d.out.Apply[i].Proposal; p != nil {
			p.finish(Uncertain)
		}
	}
	d.waiting, d.pending, d.asking, d.rounds = nil, nil, nil, nil
}
