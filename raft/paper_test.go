package raft

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// One test per property and rule of the thesis, each on a single core that the test talks to, or on a small cluster.

// lone is node 1 of n whose peers are played by the test.
type lone struct {
	*Raft
	t   *testing.T
	eff Effects
	now int64
}

func newLone(t *testing.T, n int, hard HardState, terms ...uint64) *lone {
	var ids []NodeID
	for i := range n {
		ids = append(ids, NodeID(i+1))
	}
	rec := Recovered{Hard: hard, First: 1, Snapshot: SnapshotMeta{Membership: testMembers(ids...)}}
	for i, term := range terms {
		rec.Entries = append(rec.Entries, Entry{Index: uint64(i + 1), Term: term, Kind: EntryCommand, Data: []byte("d")})
	}
	core, err := New(testConfig(1, 1000*ms), rec)
	require.NoError(t, err)
	return &lone{Raft: core, t: t, now: 1000 * ms}
}

func (l *lone) feed(ev Event) []Message {
	l.eff.Reset()
	ev.Now = l.now
	require.NoError(l.t, l.Step(&ev, &l.eff))
	require.NoError(l.t, l.Check())
	return slices.Clone(l.eff.Send)
}

func (l *lone) recv(m Message) []Message {
	m.To = 1
	return l.feed(Event{Kind: EvMessage, Msg: m})
}

// sync makes everything durable and returns what that releases.
func (l *lone) sync() []Message { return l.feed(Event{Kind: EvPersisted, Seq: l.dur.seq}) }

func (l *lone) wait(d int64) { l.now += d }

// win makes the core leader with the votes of all.
func (l *lone) win() {
	for l.role != Leader {
		l.now = max(l.now, l.electionAt)
		l.feed(Event{Kind: EvTick})
		for id := NodeID(2); int(id) <= len(l.peers); id++ {
			l.recv(Message{Type: MsgPreVoteResp, From: id, Term: l.term + 1})
		}
		l.sync()
		for id := NodeID(2); int(id) <= len(l.peers); id++ {
			l.recv(Message{Type: MsgVoteResp, From: id, Term: l.term})
		}
	}
	l.sync()
}

func (l *lone) ack(from NodeID, index uint64) []Message {
	return l.recv(Message{Type: MsgAppendResp, From: from, Term: l.term, Index: index, SentAt: l.now, Ctx: l.readCtx})
}

func entries(first uint64, terms ...uint64) []Entry {
	var out []Entry
	for i, term := range terms {
		out = append(out, Entry{Index: first + uint64(i), Term: term, Kind: EntryCommand, Data: []byte("e")})
	}
	return out
}

// 3.3: a node that sees a higher term becomes a follower of it; a lower one is told off.
func TestTermOnlyGrows(t *testing.T) {
	l := newLone(t, 3, HardState{})
	l.win()
	l.recv(Message{Type: MsgAppendResp, From: 2, Term: l.term + 4, Reject: true})
	require.Equal(t, Follower, l.Role())
	require.Equal(t, uint64(5), l.Term())
	out := l.recv(Message{Type: MsgAppend, From: 3, Term: 2, Entries: entries(1, 2)})
	require.Len(t, out, 1)
	require.True(t, out[0].Reject)
	require.Equal(t, uint64(5), out[0].Term)
	require.Equal(t, uint64(5), l.Term())
}

// 3.4, figure 3.1: one vote per term, first come first served, also after a restart; the same candidate may ask again.
func TestOneVotePerTerm(t *testing.T) {
	l := newLone(t, 3, HardState{})
	require.Empty(t, l.recv(Message{Type: MsgVote, From: 2, Term: 1}), "not before it is on disk")
	require.Equal(t, HardState{Term: 1, Vote: 2}, l.eff.Persist.Hard)
	require.True(t, l.eff.Persist.HardDirty)
	out := l.sync()
	require.Len(t, out, 1)
	require.False(t, out[0].Reject)
	out = l.recv(Message{Type: MsgVote, From: 3, Term: 1})
	require.True(t, out[0].Reject)
	out = l.recv(Message{Type: MsgVote, From: 2, Term: 1})
	require.False(t, out[0].Reject)

	again := newLone(t, 3, HardState{Term: 1, Vote: 2})
	again.wait(100 * ms)
	out = again.recv(Message{Type: MsgVote, From: 3, Term: 1})
	require.True(t, out[0].Reject)
}

// 3.6.1: no vote for a log that is behind: by its last term, then by its length.
func TestVoteNeedsUpToDateLog(t *testing.T) {
	for _, c := range []struct {
		logTerm, index uint64
		granted        bool
	}{{2, 1, false}, {3, 2, false}, {3, 3, true}, {3, 9, true}, {4, 1, true}, {2, 99, false}} {
		l := newLone(t, 3, HardState{Term: 5}, 1, 3, 3)
		l.wait(100 * ms)
		out := l.recv(Message{Type: MsgVote, From: 2, Term: 6, Index: c.index, LogTerm: c.logTerm})
		out = append(out, l.sync()...)
		require.Len(t, out, 1)
		require.Equal(t, c.granted, !out[0].Reject, "%+v", c)
	}
}

// Votes are counted once per voter and only for their own term and kind.
func TestVotesAreCountedOnce(t *testing.T) {
	l := newLone(t, 5, HardState{})
	l.now = l.electionAt
	l.feed(Event{Kind: EvTick})
	for range 3 {
		l.recv(Message{Type: MsgPreVoteResp, From: 2, Term: 1})
	}
	require.Equal(t, PreCandidate, l.Role())
	l.recv(Message{Type: MsgPreVoteResp, From: 3, Term: 1})
	require.Equal(t, Candidate, l.Role())
	for range 3 {
		l.recv(Message{Type: MsgVoteResp, From: 2, Term: 1})
	}
	l.recv(Message{Type: MsgVoteResp, From: 3, Term: 1})
	require.Equal(t, Candidate, l.Role(), "the own vote is not on disk yet")
	l.recv(Message{Type: MsgVoteResp, From: 9, Term: 1})
	require.Equal(t, Candidate, l.Role(), "a stranger's vote")
	l.sync()
	require.Equal(t, Leader, l.Role())
}

// A vote that comes late is none in the next term.
func TestVotesOfAnEarlierTermDoNotCount(t *testing.T) {
	l := newLone(t, 3, HardState{Term: 3})
	l.now = l.electionAt
	l.feed(Event{Kind: EvTick})
	l.recv(Message{Type: MsgPreVoteResp, From: 2, Term: 4})
	l.sync()
	require.Equal(t, Candidate, l.Role())
	l.recv(Message{Type: MsgVoteResp, From: 2, Term: 3})
	require.Equal(t, Candidate, l.Role())
	l.recv(Message{Type: MsgVoteResp, From: 2, Term: 4})
	require.Equal(t, Leader, l.Role())
}

// A candidate's requests wait for its own disk: otherwise it could crash, run again in the same term with a shorter log,
// and count the votes its longer log had won.
func TestVoteRequestsWaitForTheDisk(t *testing.T) {
	l := newLone(t, 3, HardState{})
	l.recv(Message{Type: MsgAppend, From: 2, Term: 1, Entries: entries(1, 1)})
	l.wait(300 * ms)
	l.feed(Event{Kind: EvTick})
	require.Equal(t, Follower, l.Role(), "a node whose disk does not answer does not campaign")
	l.sync()
	l.wait(300 * ms)
	l.feed(Event{Kind: EvTick})
	out := l.recv(Message{Type: MsgPreVoteResp, From: 3, Term: 2})
	require.Empty(t, out)
	out = l.sync()
	require.Len(t, out, 2)
	require.Equal(t, MsgVote, out[0].Type)
}

// 3.5: log matching. Refusal by index and by term, with the hint to skip a whole term.
func TestLogMatching(t *testing.T) {
	l := newLone(t, 3, HardState{Term: 6}, 1, 4, 4, 5)
	out := l.recv(Message{Type: MsgAppend, From: 2, Term: 6, Index: 9, LogTerm: 6})
	require.True(t, out[0].Reject)
	require.Equal(t, uint64(4), out[0].Hint)
	require.Equal(t, uint64(5), out[0].HintTerm)
	out = l.recv(Message{Type: MsgAppend, From: 2, Term: 6, Index: 4, LogTerm: 3})
	require.True(t, out[0].Reject)
	require.Equal(t, uint64(1), out[0].Hint, "behind the terms 5 and 4 at once")
	l.recv(Message{Type: MsgAppend, From: 2, Term: 6, Index: 2, LogTerm: 4, Entries: entries(3, 6, 6, 6)})
	require.Equal(t, entries(3, 6, 6, 6), l.eff.Persist.Entries)
	require.Equal(t, uint64(5), l.LastIndex())
	out = l.sync()
	require.Equal(t, uint64(5), out[0].Index)
}

// An old append, matched already, must not cut what came after it; nor one from below the committed prefix.
func TestOldAppendCutsNothing(t *testing.T) {
	l := newLone(t, 3, HardState{})
	l.recv(Message{Type: MsgAppend, From: 2, Term: 1, Entries: entries(1, 1, 1, 1), Commit: 2})
	l.recv(Message{Type: MsgAppend, From: 2, Term: 1, Entries: entries(1, 1)})
	require.Equal(t, uint64(3), l.LastIndex())
	l.recv(Message{Type: MsgAppend, From: 2, Term: 1, Index: 0, Commit: 3})
	require.Equal(t, uint64(2), l.Commit(), "commit only what this append shows to match")
	l.recv(Message{Type: MsgAppend, From: 2, Term: 1, Index: 1, LogTerm: 1, Entries: entries(2, 1, 1), Commit: 9})
	require.Equal(t, uint64(3), l.Commit())
	require.Equal(t, uint64(3), l.LastIndex())
}

// 3.6.2, figure 8: entries of earlier terms are committed only by one of the own term.
func TestOldTermsAreNotCounted(t *testing.T) {
	l := newLone(t, 5, HardState{Term: 2}, 1, 2)
	l.win()
	require.Equal(t, uint64(3), l.LastIndex())
	for id := NodeID(2); id <= 5; id++ {
		l.ack(id, 2)
	}
	require.Zero(t, l.Commit())
	l.ack(2, 3)
	require.Zero(t, l.Commit())
	l.ack(3, 3)
	require.Equal(t, uint64(3), l.Commit())
	require.Len(t, l.eff.Apply, 3)
}

// 10.2.1: the leader commits without its own disk, and never counts it early. A group of one must wait.
func TestOwnDiskCountsWhenDurable(t *testing.T) {
	l := newLone(t, 3, HardState{})
	l.win()
	l.ack(2, 1)
	l.feed(Event{Kind: EvPropose, EntryKind: EntryCommand, Data: []byte("x")})
	l.ack(2, 2)
	require.Equal(t, uint64(1), l.Commit())
	l.ack(3, 2)
	require.Equal(t, uint64(2), l.Commit(), "two other disks are a majority")

	one := newLone(t, 1, HardState{})
	one.feed(Event{Kind: EvTick})
	one.sync()
	one.feed(Event{Kind: EvPropose, EntryKind: EntryCommand, Data: []byte("x")})
	require.Zero(t, one.Commit())
	one.sync()
	require.Equal(t, uint64(2), one.Commit())
}

// A write of a slot that was overwritten meanwhile must not count for the entry that took its place.
func TestDurableIndexIsABASafe(t *testing.T) {
	l := newLone(t, 3, HardState{})
	l.recv(Message{Type: MsgAppend, From: 2, Term: 1, Entries: entries(1, 1, 1)})
	old := l.dur.seq
	l.recv(Message{Type: MsgAppend, From: 3, Term: 2, Entries: entries(1, 2, 2)})
	out := l.feed(Event{Kind: EvPersisted, Seq: old})
	require.Zero(t, l.dur.index)
	for _, m := range out {
		require.Equal(t, uint64(1), m.Term, "only what was promised to the old leader")
	}
	out = l.sync()
	require.Equal(t, uint64(2), l.dur.index)
	require.Equal(t, uint64(2), out[len(out)-1].Index)
}

// Many appends, one fsync, one acknowledgement.
func TestAcknowledgementsAreMerged(t *testing.T) {
	l := newLone(t, 3, HardState{})
	for i := range uint64(5) {
		require.Empty(t, l.recv(Message{
			Type: MsgAppend, From: 2, Term: 1, Index: i, LogTerm: min(i, 1), Entries: entries(i+1, 1), SentAt: int64(i), Ctx: i,
		}))
	}
	out := l.sync()
	require.Len(t, out, 1)
	require.Equal(t, uint64(5), out[0].Index)
	require.Equal(t, uint64(4), out[0].Ctx)
	require.Equal(t, int64(4), out[0].SentAt)
}

// A slow disk must not make a living follower look dead: heartbeats are answered at once, with what is durable.
func TestHeartbeatsDoNotWaitForTheDisk(t *testing.T) {
	l := newLone(t, 3, HardState{})
	l.recv(Message{Type: MsgAppend, From: 2, Term: 1})
	require.Empty(t, l.eff.Send, "the term is not on disk")
	l.sync()
	l.recv(Message{Type: MsgAppend, From: 2, Term: 1, Entries: entries(1, 1)})
	out := l.recv(Message{Type: MsgAppend, From: 2, Term: 1, Index: 1, LogTerm: 1})
	require.Len(t, out, 1)
	require.Zero(t, out[0].Index)
}

// 9.6 and 6.4.1: pre-votes and votes are refused within an election timeout of leader contact and of the own start.
func TestVotesAreRefusedNearALeader(t *testing.T) {
	l := newLone(t, 3, HardState{})
	l.recv(Message{Type: MsgAppend, From: 2, Term: 1})
	l.sync()
	l.wait(99 * ms)
	require.True(t, l.recv(Message{Type: MsgPreVote, From: 3, Term: 2})[0].Reject)
	require.Empty(t, l.recv(Message{Type: MsgVote, From: 3, Term: 2}))
	require.Equal(t, uint64(1), l.Term())
	l.wait(1 * ms)
	require.False(t, l.recv(Message{Type: MsgPreVote, From: 3, Term: 2})[0].Reject)

	l = newLone(t, 3, HardState{Term: 1})
	l.wait(99 * ms)
	require.Empty(t, l.recv(Message{Type: MsgVote, From: 3, Term: 2}))
	l.wait(1 * ms)
	l.recv(Message{Type: MsgVote, From: 3, Term: 2})
	require.Len(t, l.sync(), 1)
}

// What was promised to a leader holds in whatever term the node learns of meanwhile.
func TestPromiseOutlivesTheTerm(t *testing.T) {
	l := newLone(t, 3, HardState{})
	l.recv(Message{Type: MsgAppend, From: 2, Term: 1})
	l.sync()
	l.recv(Message{Type: MsgVoteResp, From: 2, Term: 4, Reject: true})
	require.Equal(t, uint64(4), l.Term())
	require.Empty(t, l.recv(Message{Type: MsgVote, From: 3, Term: 4}))
	require.Zero(t, l.eff.Persist.Seq, "nor is a vote on its way to the disk")
	require.Empty(t, l.recv(Message{Type: MsgVote, From: 3, Term: 5}))
	require.False(t, l.recv(Message{Type: MsgPreVote, From: 2, Term: 5})[0].Reject, "the one it was promised to asks itself")
}

// A pre-vote that is granted is no contact to a leader, and changes nothing.
func TestPreVoteChangesNothing(t *testing.T) {
	l := newLone(t, 3, HardState{})
	at := l.electionAt
	l.wait(50 * ms)
	require.False(t, l.recv(Message{Type: MsgPreVote, From: 3, Term: 1})[0].Reject)
	require.Equal(t, at, l.electionAt)
	require.Zero(t, l.eff.Persist.Seq)
	require.Zero(t, l.Term())
}

// etcd#8243: the only up-to-date log is behind in term. It must learn the term from the refusals and win.
func TestPreVoteWithLowerTerm(t *testing.T) {
	l := newLone(t, 3, HardState{Term: 2}, 1, 2, 2)
	l.now = l.electionAt
	l.feed(Event{Kind: EvTick})
	l.recv(Message{Type: MsgPreVoteResp, From: 2, Term: 9, Reject: true})
	require.Equal(t, uint64(9), l.Term())
	behind := newLone(t, 3, HardState{Term: 9}, 1)
	behind.wait(100 * ms)
	out := behind.recv(Message{Type: MsgPreVote, From: 2, Term: 3, Index: 3, LogTerm: 2})
	require.True(t, out[0].Reject)
	require.Equal(t, uint64(9), out[0].Term)
}

// 6.2: a leader without a quorum steps down; its reads are refused.
func TestCheckQuorum(t *testing.T) {
	l := newLone(t, 3, HardState{})
	l.win()
	l.ack(2, 1)
	for range 9 {
		l.wait(10 * ms)
		l.feed(Event{Kind: EvTick})
	}
	require.Equal(t, Leader, l.Role())
	l.feed(Event{Kind: EvReadIndex, ID: 5})
	require.Empty(t, l.eff.Reads)
	l.wait(10 * ms)
	l.feed(Event{Kind: EvTick})
	require.Equal(t, Follower, l.Role())
	require.Equal(t, []Read{{ID: 5, Err: ErrNotLeader}}, l.eff.Reads)
}

// The lease starts when the message was sent that a quorum answered; not before the no-op is applied; a later term's
// answer does not count.
func TestLease(t *testing.T) {
	l := newLone(t, 3, HardState{})
	l.win()
	sent := l.now
	l.wait(20 * ms)
	l.recv(Message{Type: MsgAppendResp, From: 2, Term: l.term, Index: 1, SentAt: sent})
	require.Zero(t, l.LeaseUntil())
	l.feed(Event{Kind: EvApplied, Index: 1})
	require.True(t, l.eff.Changed)
	require.Equal(t, sent+90*ms, l.LeaseUntil())
	l.feed(Event{Kind: EvReadIndex, ID: 1})
	require.Equal(t, []Read{{ID: 1, Index: 1}}, l.eff.Reads)
	l.recv(Message{Type: MsgAppendResp, From: 3, Term: l.term + 1, Reject: true, SentAt: l.now})
	require.Zero(t, l.LeaseUntil())
}

// 3.8: stepping down refuses proposals; too many uncommitted bytes do, too, but one proposal always fits.
func TestProposals(t *testing.T) {
	l := newLone(t, 3, HardState{})
	l.feed(Event{Kind: EvPropose, EntryKind: EntryCommand})
	require.ErrorIs(t, l.eff.Proposed[0].Err, ErrNotLeader)
	l.win()
	big := make([]byte, 2000)
	l.feed(Event{Kind: EvPropose, EntryKind: EntryCommand, ID: 3, Data: big})
	require.Equal(t, Proposed{ID: 3, Index: 2, Term: 1}, l.eff.Proposed[0])
	l.feed(Event{Kind: EvPropose, EntryKind: EntryCommand, Data: []byte("x")})
	require.ErrorIs(t, l.eff.Proposed[0].Err, ErrBusy)
	l.sync()
	l.ack(2, 2)
	l.feed(Event{Kind: EvPropose, EntryKind: EntryCommand, Data: []byte("x")})
	require.NoError(t, l.eff.Proposed[0].Err)
	l.feed(Event{Kind: EvPropose, EntryKind: EntryNoop})
	require.Error(t, l.eff.Proposed[0].Err)
	l.feed(Event{Kind: EvPropose, EntryKind: EntryMembership, Data: AppendMembership(nil, testMembers(1))})
	require.Error(t, l.eff.Proposed[0].Err, "memberships are changed by EvChange only")
	require.Equal(t, uint64(3), l.LastIndex())
}

// Answers out of order move nothing back.
func TestProgressOnlyGrows(t *testing.T) {
	l := newLone(t, 3, HardState{})
	l.win()
	for range 3 {
		l.feed(Event{Kind: EvPropose, EntryKind: EntryCommand, Data: []byte("x")})
	}
	l.sync()
	l.ack(2, 4)
	l.ack(2, 1)
	l.recv(Message{Type: MsgAppendResp, From: 2, Term: 1, Index: 3, Reject: true, Hint: 0})
	require.Equal(t, uint64(4), l.peer(2).match)
	require.Equal(t, uint64(5), l.peer(2).next)
	require.Equal(t, uint64(4), l.Commit())
	l.recv(Message{Type: MsgAppendResp, From: 2, Term: 1, Index: 99})
	require.Equal(t, uint64(4), l.peer(2).match, "more than the leader has")
}

// A fetch that comes back after the role or the log has changed is not acted on.
func TestLateFetch(t *testing.T) {
	l := newLone(t, 3, HardState{Term: 1}, 1, 1, 1)
	l.win()
	l.feed(Event{Kind: EvFetched, To: 2, Index: 1, Entries: entries(1, 1)})
	require.Empty(t, l.eff.Send, "nobody asked")
}

// A follower's reads fail when the leader changes or does not answer.
func TestForwardedReads(t *testing.T) {
	l := newLone(t, 3, HardState{})
	l.recv(Message{Type: MsgAppend, From: 2, Term: 1})
	l.sync()
	out := l.feed(Event{Kind: EvReadIndex, ID: 8})
	require.Equal(t, MsgReadIndex, out[0].Type)
	l.recv(Message{Type: MsgReadIndexResp, From: 3, Term: 1, Ctx: out[0].Ctx, Index: 4})
	require.Empty(t, l.eff.Reads, "not from the leader")
	l.recv(Message{Type: MsgReadIndexResp, From: 2, Term: 1, Ctx: out[0].Ctx, Index: 4})
	require.Equal(t, []Read{{ID: 8, Index: 4}}, l.eff.Reads)
	l.feed(Event{Kind: EvReadIndex, ID: 9})
	require.LessOrEqual(t, l.NextDeadline(), l.now+100*ms)
	l.wait(60 * ms)
	l.recv(Message{Type: MsgAppend, From: 2, Term: 1})
	l.wait(40 * ms)
	l.feed(Event{Kind: EvTick})
	require.Equal(t, []Read{{ID: 9, Err: ErrNotLeader}}, l.eff.Reads)
	l.feed(Event{Kind: EvReadIndex, ID: 10})
	l.recv(Message{Type: MsgAppend, From: 3, Term: 2})
	require.Equal(t, []Read{{ID: 10, Err: ErrNotLeader}}, l.eff.Reads)
}

// Recovered entries between Applied and Commit reach the state machine with the first step.
func TestRestartApplies(t *testing.T) {
	l := newLone(t, 3, HardState{Term: 1, Commit: 2}, 1, 1, 1)
	require.Equal(t, l.now, l.NextDeadline())
	l.feed(Event{Kind: EvTick})
	require.Len(t, l.eff.Apply, 2)
	require.Equal(t, Follower, l.Role())
}

// Terms below the snapshot must lead to it, or the log is not what it says.
func TestRecoveredTermsAreChecked(t *testing.T) {
	open := func(starts ...TermStart) error {
		_, err := New(testConfig(1, 0), Recovered{
			Hard: HardState{Term: 4}, First: 3, Terms: starts, Applied: 9, Snapshot: SnapshotMeta{Index: 9, Term: 4, Membership: testMembers(1)},
		})
		return err
	}
	require.NoError(t, open())
	require.NoError(t, open(TermStart{3, 1}, TermStart{5, 4}))
	require.NoError(t, open(TermStart{3, 1}))
	for _, starts := range [][]TermStart{
		{{2, 1}}, {{4, 1}}, {{3, 5}}, {{3, 1}, {10, 2}}, {{3, 2}, {3, 3}}, {{3, 2}, {5, 2}}, {{3, 2}, {5, 1}},
	} {
		require.Error(t, open(starts...), "%v", starts)
	}
}

// Snapshots: stale ones are acknowledged with the commit index, matching ones keep the log, others replace it.
func TestSnapshotReceived(t *testing.T) {
	meta := func(index, term uint64) Event {
		return Event{Kind: EvSnapshotReceived, From: 2, Term: 3, Snapshot: SnapshotMeta{Index: index, Term: term, Membership: testMembers(1, 2)}}
	}
	fresh := func() *lone { return newLone(t, 3, HardState{Term: 3, Commit: 2}, 1, 1, 2, 2) }
	l := fresh()
	out := l.feed(meta(1, 1))
	require.Equal(t, uint64(2), out[0].Index)
	require.Nil(t, l.eff.Install)
	l = fresh()
	l.feed(meta(3, 2))
	require.Nil(t, l.eff.Install)
	require.Equal(t, uint64(3), l.Commit())
	require.Equal(t, uint64(4), l.LastIndex())
	l = fresh()
	require.Empty(t, l.feed(meta(3, 3)), "acknowledged when durable")
	require.Equal(t, uint64(3), l.eff.Install.Index)
	require.Equal(t, uint64(3), l.eff.Persist.Install.Index)
	require.Empty(t, l.eff.Apply)
	require.Equal(t, uint64(3), l.LastIndex())
	require.Equal(t, testMembers(1, 2), *l.Membership())
	require.Equal(t, uint64(3), l.sync()[0].Index)
	l = fresh()
	stale := meta(9, 2)
	stale.Term = 2
	l.feed(stale)
	require.Nil(t, l.eff.Install)
}

// Faults of the caller are errors, not damage.
func TestCallerFaults(t *testing.T) {
	l := newLone(t, 3, HardState{})
	for _, ev := range []Event{
		{Kind: EvPersisted, Seq: 7}, {Kind: EvApplied, Index: 7}, {Kind: EvSnapshotSaved, Snapshot: SnapshotMeta{Index: 7}}, {Kind: 99},
	} {
		var broken *InvariantError
		require.ErrorAs(t, l.Step(&ev, &l.eff), &broken)
		require.NotEmpty(t, broken.Name)
		require.Contains(t, broken.Error(), broken.State)
	}
	_, err := New(Config{}, Recovered{})
	require.Error(t, err)
	_, err = New(testConfig(1, 0), Recovered{Entries: entries(2, 1), Hard: HardState{Term: 1}})
	require.Error(t, err)
	_, err = New(testConfig(1, 0), Recovered{Entries: entries(1, 2), Hard: HardState{Term: 1}})
	require.Error(t, err)
	_, err = New(testConfig(1, 0), Recovered{Hard: HardState{Term: 1, Commit: 3}})
	require.Error(t, err)
}
