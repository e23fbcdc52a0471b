package raft

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// bench is a leader of three whose followers answer at once and whose disk is instant.
type bench struct {
	core *Raft
	eff  Effects
	ev   Event
	data []byte
	err  error
}

func newBench(tb testing.TB) *bench {
	cfg := testConfig(1, 1000*ms)
	cfg.MaxAppendBytes, cfg.MaxInflightMsgs, cfg.MaxInflightBytes = 1<<20, 256, 16<<20
	cfg.MaxUncommitted, cfg.CacheBytes = 64<<20, 1<<18
	core, err := New(cfg, Recovered{First: 1, Snapshot: SnapshotMeta{Membership: testMembers(1, 2, 3)}})
	require.NoError(tb, err)
	b := &bench{core: core, data: make([]byte, 100)}
	b.step(Event{Kind: EvTick, Now: 2000 * ms})
	b.step(Event{Kind: EvMessage, Msg: Message{Type: MsgPreVoteResp, From: 2, To: 1, Term: 1}})
	b.durable()
	b.step(Event{Kind: EvMessage, Msg: Message{Type: MsgVoteResp, From: 2, To: 1, Term: 1}})
	require.Equal(tb, Leader, core.Role())
	b.durable()
	b.ack(2)
	b.ack(3)
	for range 3000 {
		b.write()
		b.tick()
		b.read()
	}
	require.NoError(tb, b.err)
	return b
}

func (b *bench) step(ev Event) {
	b.ev = ev
	b.ev.Now = max(ev.Now, b.core.now)
	if err := b.core.Step(&b.ev, &b.eff); err != nil {
		b.err = err
	}
	b.eff.Reset()
}

func (b *bench) durable() { b.step(Event{Kind: EvPersisted, Seq: b.core.dur.seq}) }

func (b *bench) ack(from NodeID) {
	b.step(Event{Kind: EvMessage, Msg: Message{
		Type: MsgAppendResp, From: from, To: 1, Term: 1, Index: b.core.LastIndex(), Ctx: b.core.readCtx, SentAt: b.core.now,
	}})
}

func (b *bench) write() {
	b.step(Event{Kind: EvPropose, EntryKind: EntryCommand, Data: b.data})
	b.durable()
	b.ack(2)
	b.ack(3)
	b.step(Event{Kind: EvApplied, Index: b.core.Commit()})
}

func (b *bench) tick() {
	b.step(Event{Kind: EvTick, Now: b.core.NextDeadline()})
	b.ack(2)
	b.ack(3)
}

func (b *bench) read() { b.step(Event{Kind: EvReadIndex, ID: 1}) }

// readRound asks while there is no lease.
func (b *bench) readRound() {
	b.core.now = max(b.core.now, b.core.LeaseUntil())
	b.read()
	b.ack(2)
}

// follower is a node that follows node 2.
func newFollower(tb testing.TB) *bench {
	b := newBench(tb)
	b.step(Event{Kind: EvMessage, Msg: Message{Type: MsgAppend, From: 2, To: 1, Term: 2}})
	b.durable()
	b.follow()
	require.NoError(tb, b.err)
	require.Equal(tb, Follower, b.core.Role())
	return b
}

var followed [1]Entry // in a real node this is the receive buffer

func (b *bench) follow() {
	last := b.core.LastIndex()
	term, _ := b.core.log.term(last)
	followed[0] = Entry{Index: last + 1, Term: 2, Kind: EntryCommand, Data: b.data}
	b.step(Event{Kind: EvMessage, Msg: Message{
		Type: MsgAppend, From: 2, To: 1, Term: 2, Index: last, LogTerm: term, Commit: last, Entries: followed[:],
	}})
	b.durable()
	b.step(Event{Kind: EvApplied, Index: b.core.Commit()})
}

// heartbeat is an append without entries from node 2.
func (b *bench) heartbeat() {
	last := b.core.LastIndex()
	term, _ := b.core.log.term(last)
	b.step(Event{Kind: EvMessage, Msg: Message{
		Type: MsgAppend, From: 2, To: 1, Term: 2, Index: last, LogTerm: term, Commit: b.core.Commit(),
	}})
}

// lost is an append behind the end of the follower's log: it is refused.
func (b *bench) lost() {
	b.step(Event{Kind: EvMessage, Msg: Message{Type: MsgAppend, From: 2, To: 1, Term: 2, Index: b.core.LastIndex() + 9, LogTerm: 2}})
}

// askLeader is a read on a follower and the leader's answer.
func (b *bench) askLeader() {
	b.read()
	b.step(Event{Kind: EvMessage, Msg: Message{
		Type: MsgReadIndexResp, From: 2, To: 1, Term: 2, Ctx: b.core.forwardCtx, Index: b.core.Commit(),
	}})
}

// refused is a follower's answer that it lacks what comes before the last entry, and then that it has got it.
func (b *bench) refused() {
	last := b.core.LastIndex()
	b.core.peer(2).match = last - 1
	b.step(Event{Kind: EvMessage, Msg: Message{
		Type: MsgAppendResp, Reject: true, From: 2, To: 1, Term: 1, Index: last, Hint: last - 1, HintTerm: 1, SentAt: b.core.now,
	}})
	b.ack(2)
}

// asked is a read of node 3 on the leader.
func (b *bench) asked() {
	b.step(Event{Kind: EvMessage, Msg: Message{Type: MsgReadIndex, From: 3, To: 1, Term: 1, Ctx: 7}})
}

// preVote is a candidate that a node which hears its leader refuses.
func (b *bench) preVote() {
	b.step(Event{Kind: EvMessage, Msg: Message{Type: MsgPreVote, From: 3, To: 1, Term: 9, Index: 1 << 20, LogTerm: 8}})
}

// TestStepsDoNotAllocate: after warm-up no step of the steady state allocates, but for one array per chunkEntries entries,
// which messages share.
func TestStepsDoNotAllocate(t *testing.T) {
	const n = 1000
	leader, follower := newBench(t), newFollower(t)
	for name, c := range map[string]struct {
		f    func()
		most float64 // allocations in n times
	}{
		"write":                   {leader.write, n/chunkEntries + 1},
		"heartbeats and answers":  {leader.tick, 0},
		"tick before its time":    {func() { leader.step(Event{Kind: EvTick}) }, 0},
		"acknowledgement":         {func() { leader.ack(2) }, 0},
		"refusal":                 {leader.refused, 0},
		"read by lease":           {leader.read, 0},
		"read by quorum":          {leader.readRound, 0},
		"read of a follower":      {leader.asked, 0},
		"pre-vote on the leader":  {leader.preVote, 0},
		"append on a follower":    {follower.follow, n/chunkEntries + 1},
		"heartbeat on a follower": {follower.heartbeat, 0},
		"refused append":          {follower.lost, 0},
		"read on a follower":      {follower.askLeader, 0},
		"proposal on a follower":  {func() { follower.step(Event{Kind: EvPropose, EntryKind: EntryCommand}) }, 0},
		"tick on a follower":      {func() { follower.step(Event{Kind: EvTick}) }, 0},
		"pre-vote on a follower":  {follower.preVote, 0},
	} {
		many := func() {
			for range n {
				c.f()
			}
		}
		require.LessOrEqual(t, testing.AllocsPerRun(1, many), c.most, name) // its first run, which is not counted, warms up
	}
	for _, b := range []*bench{leader, follower} {
		require.NoError(t, b.err)
		require.NoError(t, b.core.Check())
	}
	require.Equal(t, Leader, leader.core.Role())
	require.Equal(t, Follower, follower.core.Role())
}

func run(b *testing.B, s *bench, f func()) {
	b.ReportAllocs()
	for b.Loop() {
		f()
	}
	require.NoError(b, s.err)
}

// BenchmarkWrite is a proposal, its fsync, two acknowledgements and its apply: five steps.
func BenchmarkWrite(b *testing.B) { s := newBench(b); run(b, s, s.write) }

func BenchmarkAppendResp(b *testing.B) { s := newBench(b); run(b, s, func() { s.ack(2) }) }

// BenchmarkTick is a heartbeat to two followers and their answers: three steps.
func BenchmarkTick(b *testing.B) { s := newBench(b); run(b, s, s.tick) }

func BenchmarkLeaseRead(b *testing.B) { s := newBench(b); run(b, s, s.read) }

// BenchmarkFollowerAppend is an append, its fsync and an apply: three steps.
func BenchmarkFollowerAppend(b *testing.B) { s := newFollower(b); run(b, s, s.follow) }
