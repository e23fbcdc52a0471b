package node

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/fsm"
	"kvapp/raft"
)

func entry(index, term uint64) raft.Entry { return raft.Entry{Index: index, Term: term} }

// What piles up while the disk is busy becomes one batch: an entry that a newer leader replaces leaves it, and an own
// snapshot that an installed one overtakes is not marked any more.
func TestAppendJobsMerge(t *testing.T) {
	d := &Driver{log: &memLog{}, clock: virtualClock{}}
	d.mergePersist(&raft.Persist{Seq: 1, Entries: []raft.Entry{entry(5, 1), entry(6, 1), entry(7, 1)}})
	d.mergePersist(&raft.Persist{Seq: 2, Hard: raft.HardState{Term: 2}, Entries: []raft.Entry{entry(6, 2)}})
	d.mergePersist(&raft.Persist{Seq: 3, Hard: raft.HardState{Term: 2}, Entries: []raft.Entry{entry(7, 2)}})
	require.Equal(t, []raft.Entry{entry(5, 1), entry(6, 2), entry(7, 2)}, d.next.Record.Entries)
	require.NoError(t, d.log.Append(&d.next.Record))
	d.mergePersist(&raft.Persist{Seq: 4, Hard: raft.HardState{Term: 3}, Entries: []raft.Entry{entry(4, 3)}})
	require.Equal(t, []raft.Entry{entry(4, 3)}, d.next.Record.Entries)

	d.snapBusy = true
	d.takers = append(d.takers, make(chan<- uint64, 1))
	d.snapshotWritten(&Event{Snapshot: SnapshotFile{Meta: raft.SnapshotMeta{Index: 4}}})
	require.True(t, d.next.Compact)
	d.received = []SnapshotFile{{Meta: raft.SnapshotMeta{Index: 9}}}
	d.mergePersist(&raft.Persist{Seq: 5, Install: &raft.SnapshotMeta{Index: 9}, Entries: []raft.Entry{entry(10, 3)}})
	d.install(9, false)
	require.False(t, d.next.Compact, "the journal refuses to go back to an older snapshot")
	require.False(t, d.snapBusy)
	require.Empty(t, d.takers)
	require.Equal(t, []raft.Entry{entry(10, 3)}, d.next.Record.Entries)
	require.NoError(t, d.log.Append(&d.next.Record))
}

// A node that led, lost the end of its log and leads again with a shorter one: what it proposed first is certainly
// overwritten, and what it proposed since is answered in time.
func TestProposalsOfAnEarlierTerm(t *testing.T) {
	d := &Driver{}
	propose := func(index, term uint64) *Batch {
		b := NewBatch(nil)
		d.pending = append(d.pending, &proposal{index: index, term: term, batches: []*Batch{b}})
		return b
	}
	lost, later := propose(10, 1), propose(11, 1)
	kept, next := propose(8, 3), propose(9, 3)
	for _, e := range []raft.Entry{entry(6, 1), entry(7, 1)} {
		d.handOver(&e)
	}
	require.Len(t, d.pending, 4)
	e := entry(8, 3)
	d.handOver(&e)
	require.Equal(t, Overwritten, lost.Outcome)
	require.Equal(t, Overwritten, later.Outcome)
	require.Equal(t, []*Batch{kept}, d.out.Apply[2].Proposal.batches)
	e = entry(9, 3)
	d.handOver(&e)
	require.Equal(t, []*Batch{next}, d.out.Apply[3].Proposal.batches)
	require.Empty(t, d.pending)
}

// pausingClock lets time pass, and things happen, just after it was read.
type pausingClock struct {
	Clock
	pause atomic.Pointer[func()]
}

func (c *pausingClock) Now() int64 {
	now := c.Clock.Now()
	if f := c.pause.Swap(nil); f != nil {
		(*f)()
	}
	return now
}

// A node that is paused between reading its clock and reading its messages must not date the messages back: here it
// would forget that it has just heard a leader, and vote against the leader's lease.
func TestPauseDoesNotDateMessagesBack(t *testing.T) {
	bubble(t, 3, nil, func(w *world) {
		w.leader()
		for _, p := range w.nodes {
			p.stop()
		}
		clock := &pausingClock{Clock: w.clock}
		w.clock = clock
		p := w.nodes[0]
		p.start()
		n := p.get()
		<-time.After(time.Second)
		term := n.View().Term + 1
		pause := func() {
			<-time.After(time.Second)
			n.Deliver([]raft.Message{{Type: raft.MsgAppend, From: 2, To: 1, Term: term}})
		}
		clock.pause.Store(&pause)
		w.until("it follows", func() bool { return n.View().Leader == 2 })
		n.Deliver([]raft.Message{{Type: raft.MsgVote, From: 3, To: 1, Term: term + 1, Index: 100, LogTerm: term}})
		<-time.After(100 * time.Millisecond)
		require.Equal(t, term, n.View().Term, "no vote within an election timeout of a leader's message")
	})
}

// With read-mode quorum no clock is trusted: a leader that is cut off answers no read, not even in the first moment.
func TestQuorumReadsNeedAQuorum(t *testing.T) {
	bubble(t, 3, func(c *Config) { c.QuorumReads = true }, func(w *world) {
		var lead *peer
		w.until("a leader that serves", func() bool {
			for _, p := range w.nodes {
				if p.get().View().Role == raft.Leader {
					lead = p
					o, _, _ := p.do(false, command("get", "a"))
					return o == Done
				}
			}
			return false
		})
		w.isolate(lead.id, true)
		o, _, _ := lead.do(false, command("get", "a"))
		require.NotEqual(t, Done, o)
	})
}

// reelected takes a reply while the node loses its leadership and wins it again.
type reelected struct {
	reply
	n *Node
}

func (r *reelected) Null() { r.n.lease.Store(100) }

type fixedClock struct{ Clock }

func (fixedClock) Now() int64 { return 50 }

// A lease that this node got back after others had led says nothing about what it had read before.
func TestLeaseOfALaterLeadership(t *testing.T) {
	n := &Node{store: fsm.NewStore(), inbox: newQueue[Event]()}
	n.inbox.close()
	n.view.Store(&View{})
	n.deps.Clock = fixedClock{}
	n.lease.Store(10)
	b := NewBatch(&reelected{n: n})
	b.Cmds = []fsm.Command{command("get", "a")}
	n.Read(b, 0)
	require.Equal(t, Stopped, b.Outcome, "it must ask the loop")
	require.Equal(t, 1, n.Read(b, 0))
	require.Equal(t, Done, b.Outcome)
}

// soloDriver is a Driver of a cluster of one that leads; disk and applier are the test.
type soloDriver struct {
	*Driver
	t       *testing.T
	now     int64
	elected Work // of the turn that won the election
}

func newSoloDriver(t *testing.T) *soloDriver {
	d := electedDriver(t)
	d.finish(d.elected)
	require.GreaterOrEqual(t, d.applied, d.noop)
	return d
}

// electedDriver is one whose first entry is not even written.
func electedDriver(t *testing.T) *soloDriver {
	first := raft.Entry{Index: 1, Term: 1, Kind: raft.EntryMembership, Data: raft.AppendMembership(nil, raft.Membership{
		Members: []raft.Member{{ID: 1, Name: "n1", ClientAddr: "c:1", PeerAddr: "p:1"}}})}
	cfg := Config{
		Raft: raft.Config{
			ID: 1, Seed: 1, ElectionTimeout: 400 * ms, HeartbeatEvery: 50 * ms, LeaseMargin: 40 * ms, MaxAppendBytes: 1 << 16,
			MaxInflightMsgs: 64, MaxInflightBytes: 1 << 20, MaxUncommitted: 1 << 20, CacheBytes: 1 << 16,
		},
		ParkTimeout: 2000 * ms, CommitTimeout: 3000 * ms, MaxEntryBytes: 1 << 16, SnapshotBytes: 1 << 40, ApplyBacklog: 1 << 20,
	}
	core, err := raft.New(cfg.Raft, raft.Recovered{
		Hard: raft.HardState{Term: 1, Commit: 1}, First: 1, Entries: []raft.Entry{first},
	})
	require.NoError(t, err)
	store := fsm.NewStore()
	clock := virtualClock{time.Now()}
	d := &soloDriver{t: t, Driver: NewDriver(cfg, core, store, &memLog{}, clock, func() uint64 { return 1 }, SnapshotFile{}, 1)}
	for d.noop == 0 {
		require.Less(t, d.now, int64(10e9), "no leader")
		d.now += 100 * ms
		d.elected = d.turn()
		for d.noop == 0 && (d.elected.Append != nil || d.applied < d.store.Applied()) {
			d.apply(d.elected)
			d.elected = d.stored(d.elected)
		}
	}
	return d
}

// turn ends a turn and returns a copy of what it asks for.
func (d *soloDriver) turn(events ...Event) Work {
	for i := range events {
		require.NoError(d.t, d.Handle(d.now, &events[i]))
	}
	w, err := d.EndTurn(d.now)
	require.NoError(d.t, err)
	work := *w
	work.Apply = slices.Clone(w.Apply)
	w.Reset()
	return work
}

// finish does the work of a turn, and of the turns that follow from it.
func (d *soloDriver) finish(w Work) {
	for {
		d.apply(w)
		if w.Append == nil && d.applied == d.store.Applied() {
			return
		}
		w = d.stored(w)
	}
}

// stored makes what w appends durable and returns the next turn's work.
func (d *soloDriver) stored(w Work) Work {
	if w.Append == nil {
		return d.turn()
	}
	return d.turn(Event{Kind: EvAppended, Seq: w.Append.Seq, Free: 1 << 50})
}

func (d *soloDriver) apply(w Work) {
	for i := range w.Apply {
		if e := w.Apply[i].Entry; e.Index > 0 {
			d.store.SetApplied(e.Index)
		}
		if p := w.Apply[i].Proposal; p != nil {
			p.finish(Done)
		}
	}
}

func writes(n int) (list []Event) {
	for range n {
		b := NewBatch(nil)
		b.Cmds = append(b.Cmds, command("set", "k", "v"))
		list = append(list, Event{Kind: EvWrite, Batch: b})
	}
	return list
}

// While an entry is under way the next one grows: until the first is applied, or until it is as large.
func TestNextEntryGrowsWhileOneIsUnderWay(t *testing.T) {
	d := newSoloDriver(t)
	first := d.turn(writes(3)...)
	require.NotNil(t, first.Append)
	require.Len(t, d.pending, 1)
	require.Empty(t, d.turn(writes(2)...).Append, "the disk is busy")

	committed := d.stored(first)
	require.Len(t, committed.Apply, 1)
	require.Nil(t, committed.Append, "2 wait, 3 are under way")
	require.Equal(t, committed.Apply[0].Entry.Index, committed.WakeAt, "the applier tells when it is done")
	d.apply(committed)
	second := d.turn()
	require.NotNil(t, second.Append, "what waits leaves when the entry before it is applied")
	require.Empty(t, d.waiting)

	committed = d.stored(second)
	require.Nil(t, d.turn(writes(1)...).Append)
	third := d.turn(writes(1)...)
	require.NotNil(t, third.Append, "as much waits as is under way, although nothing of that is applied")
	d.apply(committed)
	d.finish(third)
	require.Zero(t, d.underWay())
}

// Keys that are due are no reason to wake up as long as nothing can be proposed, and are swept by one entry at a time.
func TestDueKeysDoNotKeepALeaderBusy(t *testing.T) {
	d := newSoloDriver(t)
	set := command("set", "k", "v", "px", "1")
	d.store.Begin(d.store.Applied(), 1, 1)
	d.store.Exec(&set, &reply{})
	d.store.End()
	sweep := d.turn()
	require.NotNil(t, sweep.Append)

	d.now += 2 * sweepEvery
	require.Nil(t, d.turn().Append)
	require.Greater(t, d.Deadline(), d.now, "the disk is busy")
	committed := d.stored(sweep)
	require.Len(t, committed.Apply, 1)
	require.Nil(t, committed.Append, "the last sweep is not applied")
	require.Greater(t, d.Deadline(), d.now)
	d.apply(committed) // here it has deleted nothing
	require.NotNil(t, d.turn().Append)
	require.Greater(t, d.Deadline(), d.now)
}

// What an earlier leader has left must be applied before anything is proposed: the time of an entry is never behind that of
// the state.
func TestNothingIsProposedBeforeTheFirstEntryIsApplied(t *testing.T) {
	d := electedDriver(t)
	committed := d.stored(d.elected)
	for range 3 {
		if d.core.Commit() < d.noop {
			committed = d.stored(committed)
		}
	}
	require.NotEmpty(t, committed.Apply)
	require.Equal(t, d.noop, d.core.Commit())
	require.Nil(t, d.turn(writes(1)...).Append)
	require.Equal(t, 1, len(d.waiting))
	d.apply(committed)
	require.NotNil(t, d.turn().Append)
	require.Empty(t, d.waiting)
}
