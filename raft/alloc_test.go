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
	cfg.MaxUncommitted, cfg.CacheBytes = 64<<20, 1<<20
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

// TestStepsDoNotAllocate: after warm-up no step of the steady state allocates, but for one array per 128 entries, which
// messages share.
func TestStepsDoNotAllocate(t *testing.T) {
	b := newBench(t)
	require.Zero(t, testing.AllocsPerRun(1000, b.write), "write")
	require.Zero(t, testing.AllocsPerRun(1000, b.tick), "tick")
	require.Zero(t, testing.AllocsPerRun(1000, func() { b.ack(2) }), "acknowledgement")
	require.Zero(t, testing.AllocsPerRun(1000, b.read), "read by lease")
	require.Zero(t, testing.AllocsPerRun(1000, b.readRound), "read by quorum")
	f := newFollower(t)
	require.Zero(t, testing.AllocsPerRun(1000, f.follow), "append on a follower")
	require.NoError(t, b.err)
	require.NoError(t, f.err)
	require.Equal(t, Leader, b.core.Role())
	require.NoError(t, b.core.Check())
	require.NoError(t, f.core.Check())
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
