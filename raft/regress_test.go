package raft

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Bugs that other implementations have had, each as one fixed case.

func membershipEntry(index, term uint64, m Membership) Entry {
	return Entry{Index: index, Term: term, Kind: EntryMembership, Data: AppendMembership(nil, m)}
}

// A node that does not know yet that it was promoted, and does not know the candidate, votes nevertheless.
func TestNonVoterVotes(t *testing.T) {
	m := testMembers(1, 2, 3)
	m.Members[0].Learner = true
	core, err := New(testConfig(1, 1000*ms), Recovered{First: 1, Snapshot: SnapshotMeta{Membership: m}})
	require.NoError(t, err)
	l := &lone{Raft: core, t: t, now: 1000 * ms}
	l.recv(Message{Type: MsgVote, From: 9, Term: 1})
	require.False(t, l.sync()[0].Reject)
	l.wait(1000 * ms)
	require.Empty(t, l.feed(Event{Kind: EvTick}), "but it does not campaign")
}

// etcd#12359, etcd#10563: the only node with an uncommitted membership that demotes it must still be able to win, because
// the others lack its entries and cannot get its vote.
func TestDemotedNodeMayFinishTheChange(t *testing.T) {
	joint, final := testMembers(1, 2), testMembers(1, 2)
	joint.Members[0].Learner, final.Members[0].Learner = true, true
	joint.OldVoters = []NodeID{1, 2}
	c := newCluster(t, 2)
	log := []Entry{membershipEntry(1, 1, joint), membershipEntry(2, 1, final)}
	for i, h := range c.hosts {
		h.disk.hard = HardState{Term: 1, Commit: 1}
		h.disk.entries = log[:2-i]
		c.crash(h, 0)
		c.start(h)
		c.ledger[1] = log[0]
	}
	l, next := c.host(1), c.host(2)
	for range 20 {
		c.now += 200 * ms
		c.step(l, Event{Kind: EvTick}) // only its timer runs out
		c.settle(nil)
	}
	require.Equal(t, Leader, next.core.Role(), "it hands over when the change is complete")
	require.Equal(t, uint64(2), c.ledger[3].Term, "committed by the node that is no voter")
	require.Equal(t, c.leads[2], l.id)
	require.Equal(t, uint64(4), next.core.Commit())
}

// A cut of the log that removes two memberships goes back by two; openraft#1808: a snapshot replaces them all.
func TestMembershipHistory(t *testing.T) {
	fresh := func() *lone {
		l := newLone(t, 3, HardState{})
		l.recv(Message{Type: MsgAppend, From: 2, Term: 1, Commit: 1, Entries: []Entry{
			entries(1, 1)[0], membershipEntry(2, 1, testMembers(1, 2)), entries(3, 1)[0], membershipEntry(4, 1, testMembers(1)),
		}})
		require.Equal(t, testMembers(1), *l.Membership())
		require.Equal(t, testMembers(1, 2, 3), l.MembershipAt(1))
		require.Equal(t, testMembers(1, 2), l.MembershipAt(2))
		require.Equal(t, testMembers(1, 2), l.MembershipAt(3))
		return l
	}
	l := fresh()
	l.recv(Message{Type: MsgAppend, From: 3, Term: 2, Index: 1, LogTerm: 1, Entries: entries(2, 2)})
	require.True(t, l.eff.Changed)
	require.Equal(t, testMembers(1, 2, 3), *l.Membership())
	l = fresh()
	l.feed(Event{Kind: EvSnapshotReceived, From: 3, Term: 2, Snapshot: SnapshotMeta{Index: 9, Term: 2, Membership: testMembers(1, 2, 3, 4)}})
	require.Equal(t, testMembers(1, 2, 3, 4), *l.Membership())
	l = fresh()
	l.sync()
	l.recv(Message{Type: MsgAppend, From: 2, Term: 1, Index: 4, LogTerm: 1, Commit: 3})
	l.feed(Event{Kind: EvApplied, Index: 3})
	l.feed(Event{Kind: EvSnapshotSaved, Index: 4, Snapshot: SnapshotMeta{Index: 3, Term: 1, Membership: l.MembershipAt(3)}})
	require.Equal(t, testMembers(1, 2), l.MembershipAt(3))
	require.Equal(t, testMembers(1), *l.Membership())
}

// cockroach#60612: logs that diverge over thousands of entries meet after one probe per term.
func TestLongDivergence(t *testing.T) {
	c := newCluster(t, 3)
	logs := [3][]uint64{{1, 1}, {1, 1}, {1, 1}}
	for range 3000 {
		logs[0] = append(logs[0], 6)
		logs[1] = append(logs[1], 6)
	}
	for i := range 3000 {
		logs[2] = append(logs[2], 2+uint64(i)/1000)
	}
	for i, h := range c.hosts {
		h.disk.hard, h.disk.entries = HardState{Term: 6, Commit: 1}, entries(1, logs[i]...)
		c.crash(h, 0)
		c.start(h)
	}
	refusals := 0
	h := c.host(1)
	for h.core.Role() != Leader {
		c.now += 200 * ms
		c.step(h, Event{Kind: EvTick})
		c.settle(func(m *Message) bool {
			if m.Type == MsgAppendResp && m.Reject {
				refusals++
			}
			return false
		})
	}
	for range 3 {
		c.tick(10 * ms)
		c.settle(nil)
	}
	require.LessOrEqual(t, refusals, 4)
	require.Equal(t, h.core.Commit(), c.host(3).core.Commit())
	require.Equal(t, c.data(h), c.data(c.host(3)))
}

// The same below the snapshot of a leader that was restarted: it knows where terms begin in what its journal kept.
func TestLongDivergenceBelowASnapshot(t *testing.T) {
	c := newCluster(t, 3)
	var logs [3][]uint64
	for i := range logs {
		logs[i] = []uint64{1, 1}
	}
	for i := range 900 {
		logs[0] = append(logs[0], 5+uint64(i)/450)
		logs[1] = append(logs[1], 5+uint64(i)/450)
		logs[2] = append(logs[2], 2+uint64(i)/300)
	}
	for i, h := range c.hosts {
		h.disk.hard, h.disk.entries = HardState{Term: 6, Commit: 1}, entries(1, logs[i]...)
		if i < 2 {
			h.disk.hard.Commit = 900
			h.disk.snap = SnapshotMeta{Index: 900, Term: 6, Membership: testMembers(1, 2, 3)}
		}
		c.crash(h, 0)
		c.start(h)
	}
	probes := 0
	h := c.host(1)
	for range 20 {
		c.now += 200 * ms
		if h.core.Role() != Leader {
			c.step(h, Event{Kind: EvTick})
		}
		c.settle(func(m *Message) bool {
			if m.Type == MsgAppendResp && m.Reject && m.From == 3 {
				probes++
			}
			return false
		})
		if h.core.Role() == Leader {
			break
		}
	}
	for range 5 {
		c.tick(10 * ms)
		c.settle(nil)
	}
	require.LessOrEqual(t, probes, 5, "one for each term")
	require.Equal(t, c.data(h), c.data(c.host(3)))
}

// tikv#12026: entries read for an earlier leadership are not those of the log any more.
func TestFetchedEntriesAreChecked(t *testing.T) {
	l := newLone(t, 3, HardState{Term: 2}, 1, 1, 2, 2)
	l.win()
	require.True(t, l.ownEntries(entries(2, 1, 2), 2))
	require.False(t, l.ownEntries(entries(2, 1, 1), 2), "another term")
	require.False(t, l.ownEntries(entries(3, 2), 2), "another place")
	require.False(t, l.ownEntries(entries(5, 3, 3), 5), "behind the end")
	require.False(t, l.ownEntries(nil, 2))
}

// A follower behind the leader's memory is served from the journal, one request at a time; one that fails is repeated, or
// a snapshot takes its place.
func TestSlowFollowerIsFetched(t *testing.T) {
	c := newCluster(t, 3)
	l := c.elect(1)
	for range 400 {
		require.NoError(t, c.propose(l, "0123456789").Err)
		c.settle(isolate(3))
	}
	require.Greater(t, l.core.log.memFirst(), uint64(100), "the cache is bounded")
	c.step(l, Event{Kind: EvUnreachable, To: 3})
	c.tick(10 * ms)
	for len(l.fetches) == 0 {
		m := c.net[0]
		c.net = c.net[1:]
		c.deliver(m)
	}
	require.Len(t, l.fetches, 1)
	l.fetches[0] = Event{Kind: EvFetched, To: 3, Index: l.fetches[0].Index, Failed: true}
	for range 5 {
		c.settle(nil)
		c.tick(10 * ms)
	}
	require.Equal(t, uint64(401), c.host(3).applied)

	c.snapshot(l, 0)
	require.Equal(t, l.core.Status().FirstIndex, uint64(402))
}

// A wiped disk under the same id: nobody panics, the node gets no vote from its loss, and the group goes on.
func TestWipedDisk(t *testing.T) {
	c := newCluster(t, 3)
	l := c.elect(1)
	c.propose(l, "x")
	c.settle(nil)
	h := c.host(3)
	c.crash(h, 0)
	h.disk = disk{first: 1, snap: SnapshotMeta{Membership: testMembers(1, 2, 3)}}
	h.voted = map[uint64]NodeID{}
	c.start(h)
	for range 20 {
		c.tick(10 * ms)
		c.settle(nil)
	}
	res := c.propose(l, "y")
	require.NoError(t, res.Err)
	c.settle(nil)
	require.Equal(t, Leader, l.core.Role())
	require.GreaterOrEqual(t, l.core.Commit(), res.Index)
}

// The hard state is the first record of a batch, so a crash may leave it without the entries that it came with. A commit
// index that counts on those entries would then commit what they should have replaced.
func TestTornBatchCommitsNothingOld(t *testing.T) {
	c := newCluster(t, 3)
	c.held = true
	h := c.host(1)
	from := func(term, prev, commit uint64, ents ...Entry) {
		m := Message{Type: MsgAppend, From: 2, To: 1, Term: term, Index: prev, LogTerm: min(prev, 1), Commit: commit, Entries: ents}
		c.step(h, Event{Kind: EvMessage, Msg: m})
	}
	from(1, 0, 0, entries(1, 1, 1, 1, 1, 1)...)
	c.persist(h, 1)
	from(2, 3, 5, entries(4, 2, 2)...)
	require.Equal(t, uint64(5), h.core.Commit())
	// All entries of term 2 are lost, the hard state is not.
	c.crashTorn(h, 0, len(h.writes), 1)
	require.Equal(t, uint64(2), h.disk.hard.Term)
	c.start(h)
	require.LessOrEqual(t, h.core.Commit(), uint64(3), "entries 4 and 5 on this disk were never committed")
}

// Events whose effects are taken together: what a newer leader overwrites is not handed to the disk any more, so that a
// batch has one entry per index.
func TestPersistHasNoOverlap(t *testing.T) {
	l := newLone(t, 3, HardState{})
	var out Effects
	for _, m := range []Message{
		{Type: MsgAppend, From: 2, To: 1, Term: 1, Entries: entries(1, 1, 1, 1)},
		{Type: MsgAppend, From: 3, To: 1, Term: 2, Index: 1, LogTerm: 1, Entries: entries(2, 2)},
		{Type: MsgAppend, From: 3, To: 1, Term: 2, Index: 2, LogTerm: 2, Entries: entries(3, 2)},
	} {
		require.NoError(t, l.Step(&Event{Kind: EvMessage, Now: l.now, Msg: m}, &out))
		require.NoError(t, l.Check())
	}
	require.Equal(t, append(entries(1, 1), entries(2, 2, 2)...), out.Persist.Entries)
	l.eff = out
	l.sync()
	require.Equal(t, uint64(3), l.dur.index)
}

// The journal cannot tell rot in its very last batch from a torn write, and cuts it off: a follower may come back without
// entries that it has acknowledged. The leader believes what it says now, and brings them again. Answers that are only
// late change nothing.
func TestLostTailIsSentAgain(t *testing.T) {
	c := newCluster(t, 3)
	l := c.elect(1)
	for range 5 {
		require.NoError(t, c.propose(l, "x").Err)
		c.settle(nil)
	}
	h := c.host(3)
	before := l.core.peer(3).match
	require.Equal(t, uint64(6), before)
	late := Message{Type: MsgAppendResp, From: 3, To: 1, Term: 1, Reject: true, Index: 5, Hint: 4, HintTerm: 1, SentAt: c.now}
	c.tick(10 * ms)
	c.settle(nil)
	c.deliver(late)
	require.Equal(t, before, l.core.peer(3).match, "a late refusal")

	c.crash(h, 0)
	h.disk.entries = h.disk.entries[:3]
	h.disk.hard.Commit = 3
	c.start(h)
	for range 5 {
		c.tick(10 * ms)
		c.settle(nil)
	}
	require.Equal(t, Leader, l.core.Role())
	require.Equal(t, uint64(6), h.applied)
	require.Equal(t, c.data(l), c.data(h))
	require.Equal(t, uint64(6), l.core.peer(3).match)
}

// A leader with a lease answers reads from what it has applied. A follower that is faster, and answers a read from what
// the leader has only committed, would let a client see a write and the next client not.
func TestFollowersShowNoMoreThanTheLeader(t *testing.T) {
	c := newCluster(t, 3)
	l, f := c.elect(1), c.host(2)
	c.tick(10 * ms)
	c.settle(nil)
	l.lazy = true
	require.NoError(t, c.propose(l, "x").Err)
	c.settle(nil)
	c.tick(10 * ms)
	c.settle(nil)
	require.Equal(t, uint64(2), l.core.Commit())
	require.Greater(t, l.core.LeaseUntil(), c.now)
	require.Equal(t, uint64(1), l.applied)
	require.Equal(t, uint64(1), f.applied)

	c.step(f, Event{Kind: EvReadIndex, ID: 5})
	c.settle(nil)
	require.Equal(t, Read{ID: 5, Index: 2}, f.reads[5])
	require.Equal(t, uint64(1), f.applied, "the read waits")
	c.apply(l, 2)
	c.settle(nil)
	require.Equal(t, uint64(2), f.applied, "and is told at once when it may go on")
}

// Ongaro 2015, redpanda#17675: a membership is proposed only on top of a committed one, and by a leader whose own no-op
// is committed. Otherwise two majorities may exist that do not meet.
func TestOneMembershipAtATime(t *testing.T) {
	l := newLone(t, 3, HardState{})
	l.win()
	add := func(id NodeID) error {
		l.feed(Event{Kind: EvChange, Changes: []Change{{Kind: ChangeAdd, Member: Member{ID: id}}}})
		return l.eff.Answers[0].Err
	}
	require.ErrorIs(t, add(4), ErrPending, "the no-op is not committed")
	l.ack(2, 1)
	require.NoError(t, add(4))
	require.Len(t, l.Membership().Members, 4)
	require.ErrorIs(t, add(5), ErrPending, "the one before is not committed")
	l.sync()
	l.ack(2, 2)
	require.NoError(t, add(5))
}

// hashicorp/raft#503, nebula#2419: a leader whose disk hangs goes on beating while nothing is committed. It steps down,
// and does not run again before its disk has finished something.
func TestHungDiskStepsDown(t *testing.T) {
	c := newCluster(t, 3)
	l := c.elect(1)
	c.held = true
	hung := l.disk
	require.NoError(t, c.propose(l, "x").Err)
	for range 2 * stallTimeouts * 10 {
		c.tick(10 * ms)
		c.settle(nil)
		for _, h := range c.hosts {
			if h != l {
				c.persist(h, len(h.writes))
			}
		}
	}
	require.Equal(t, hung.last(), l.disk.last())
	next := c.host(l.core.Leader())
	require.NotNil(t, next, "somebody else leads")
	require.NotEqual(t, l, next)
	c.crash(next, 0)
	c.crash(c.host(5-next.id), 0)
	term := l.core.Term()
	for range 50 {
		c.tick(10 * ms)
		c.settle(nil)
	}
	require.Equal(t, term, l.core.Term(), "a node with a hung disk does not run")
	require.Equal(t, Follower, l.core.Role())
	c.persist(l, len(l.writes))
	for range 50 {
		c.tick(10 * ms)
	}
	require.NotEqual(t, Follower, l.core.Role())

	one := newLone(t, 1, HardState{})
	one.feed(Event{Kind: EvTick})
	one.sync()
	one.feed(Event{Kind: EvPropose, EntryKind: EntryCommand})
	one.wait(10_000 * ms)
	one.feed(Event{Kind: EvTick})
	require.Equal(t, Leader, one.Role(), "nobody could take over")
}

// What a peer sends is never an error, however wrong: entries of older terms than what they would stand behind are no
// log that any leader has.
func TestEntriesOfFallingTermsAreIgnored(t *testing.T) {
	l := newLone(t, 3, HardState{Term: 3, Commit: 2}, 3, 3)
	l.recv(Message{Type: MsgAppend, From: 2, Term: 3, Entries: entries(1, 1, 1, 1, 1)})
	require.Equal(t, uint64(2), l.LastIndex())
}

// tikv#3572: a learner keeps its term and vote like a voter, so that it cannot vote twice when it becomes one.
func TestLearnerKeepsTermAndVote(t *testing.T) {
	m := testMembers(1, 2, 3)
	m.Members[0].Learner = true
	core, err := New(testConfig(1, 1000*ms), Recovered{First: 1, Snapshot: SnapshotMeta{Membership: m}})
	require.NoError(t, err)
	l := &lone{Raft: core, t: t, now: 1000 * ms}
	require.Empty(t, l.recv(Message{Type: MsgAppend, From: 2, Term: 4}), "not before the term is on the disk")
	require.Equal(t, HardState{Term: 4}, l.eff.Persist.Hard)
	require.NotEmpty(t, l.sync())
	l.wait(200 * ms)
	require.Empty(t, l.recv(Message{Type: MsgVote, From: 3, Term: 5}))
	require.Equal(t, HardState{Term: 5, Vote: 3}, l.eff.Persist.Hard)
	require.False(t, l.sync()[0].Reject)
	require.True(t, l.recv(Message{Type: MsgVote, From: 2, Term: 5})[0].Reject)
}

// hashicorp/raft#605: what was promised to a leader does not keep that leader from running after it has stepped down.
func TestFormerLeaderMayRunAtOnce(t *testing.T) {
	l := newLone(t, 3, HardState{})
	l.recv(Message{Type: MsgAppend, From: 2, Term: 1})
	l.sync()
	require.True(t, l.recv(Message{Type: MsgPreVote, From: 3, Term: 2})[0].Reject)
	require.False(t, l.recv(Message{Type: MsgPreVote, From: 2, Term: 2})[0].Reject)
	l.recv(Message{Type: MsgVote, From: 2, Term: 2})
	require.False(t, l.sync()[0].Reject)
}

// A heartbeat says how much is committed, and that may be more than this log has in common with the leader's.
func TestCommitStopsWhereTheLogsMatch(t *testing.T) {
	l := newLone(t, 3, HardState{Term: 3, Commit: 1}, 1, 1, 2)
	l.recv(Message{Type: MsgAppend, From: 2, Term: 3, Index: 2, LogTerm: 1, Commit: 9})
	require.Equal(t, uint64(2), l.Commit(), "entry 3 may be another one at the leader")
	l.recv(Message{Type: MsgAppend, From: 2, Term: 3, Index: 2, LogTerm: 1, Commit: 1})
	require.Equal(t, uint64(2), l.Commit())
	l.recv(Message{Type: MsgAppend, From: 2, Term: 3, Index: 2, LogTerm: 1, Commit: 9, Entries: entries(3, 3)})
	require.Equal(t, uint64(3), l.Commit())
}

// A request to the leader of an older term arrives late, when whoever asked has long been told that it was not done.
func TestLateRequestsAreRefused(t *testing.T) {
	l := newLone(t, 3, HardState{Term: 4})
	l.win()
	l.ack(2, 1)
	l.ack(3, 1)
	l.feed(Event{Kind: EvApplied, Index: 1})
	changes := AppendChanges(nil, []Change{{Kind: ChangeRemove, Member: Member{ID: 3}}})
	for _, m := range []Message{
		{Type: MsgTransfer, From: 2, Hint: 3, Ctx: 7},
		{Type: MsgChange, From: 2, Ctx: 8, Entries: []Entry{{Kind: EntryChanges, Data: changes}}},
	} {
		m.Term = l.term - 1
		out := l.recv(m)
		require.Len(t, out, 1)
		require.Equal(t, ErrNotLeader, answers[out[0].Hint])
		require.False(t, l.changing())
		require.Zero(t, l.transfer.to)
	}
	out := l.recv(Message{Type: MsgTransfer, From: 2, Hint: 3, Ctx: 9, Term: l.term})
	require.NoError(t, answers[out[len(out)-1].Hint])
	require.Equal(t, NodeID(3), l.transfer.to)
}
