package raft

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// newStateless is node 1 of three without the state of its snapshot at 3, with entries 2 to 5 and term 2.
func newStateless(t *testing.T, ids ...NodeID) *lone {
	rec := Recovered{
		Hard: HardState{Term: 2, Commit: 4}, First: 2, Terms: []TermStart{{Index: 2, Term: 1}}, Applied: 3, Stateless: true,
		Snapshot: SnapshotMeta{Index: 3, Term: 1, Membership: testMembers(ids...)},
		Entries:  []Entry{{Index: 4, Term: 1, Kind: EntryCommand, Data: []byte("d")}, {Index: 5, Term: 2, Kind: EntryCommand, Data: []byte("e")}},
	}
	core, err := New(testConfig(1, 1000*ms), rec)
	require.NoError(t, err)
	require.True(t, core.Stateless())
	return &lone{Raft: core, t: t, now: 1000 * ms}
}

func snapshotAt(index, term uint64) Event {
	meta := SnapshotMeta{Index: index, Term: term, Membership: testMembers(1, 2, 3)}
	return Event{Kind: EvSnapshotReceived, From: 2, Term: 2, Snapshot: meta}
}

func TestStatelessNeedsASnapshot(t *testing.T) {
	for _, rec := range []Recovered{
		{Stateless: true},
		{Stateless: true, Hard: HardState{Term: 1}, Snapshot: SnapshotMeta{Index: 1, Term: 1}, Applied: 2, Entries: []Entry{{Index: 2, Term: 1}}},
	} {
		_, err := New(testConfig(1, 0), rec)
		require.ErrorContains(t, err, "recovered state: none")
	}
}

// It never campaigns, however long it waits and whoever asks it to.
func TestStatelessFollows(t *testing.T) {
	for _, ids := range [][]NodeID{{1, 2, 3}, {1}} {
		l := newStateless(t, ids...)
		require.Equal(t, len(ids) == 1, l.Alone())
		for range 20 {
			l.wait(500 * ms)
			require.Empty(t, l.feed(Event{Kind: EvTick}))
			require.Equal(t, Follower, l.Role())
			require.Empty(t, l.eff.Apply)
			require.Greater(t, l.NextDeadline(), l.now)
		}
	}
	l := newStateless(t, 1, 2, 3)
	l.recv(Message{Type: MsgAppend, From: 2, Term: 2, Index: 5, LogTerm: 2})
	require.Empty(t, l.recv(Message{Type: MsgTimeoutNow, From: 2, Term: 2}))
	require.Equal(t, Follower, l.Role())
}

// It votes by its log, and acknowledges what is on its disk; every acknowledgement says what it needs.
func TestStatelessVotesAndAcknowledges(t *testing.T) {
	l := newStateless(t, 1, 2, 3)
	l.wait(300 * ms)
	require.Empty(t, l.recv(Message{Type: MsgVote, From: 2, Term: 3, Index: 4, LogTerm: 1})[1:], "its log is shorter: refused")
	l.recv(Message{Type: MsgVote, From: 3, Term: 3, Index: 5, LogTerm: 2})
	out := l.sync()
	require.Len(t, out, 1)
	require.False(t, out[0].Reject)
	l.recv(Message{Type: MsgAppend, From: 3, Term: 3, Index: 5, LogTerm: 2, Commit: 5, Entries: []Entry{{Index: 6, Term: 3, Kind: EntryNoop}}})
	require.Empty(t, l.eff.Apply, "nothing is handed out")
	require.Equal(t, uint64(5), l.Commit())
	out = l.sync()
	require.Len(t, out, 1)
	require.Equal(t, uint64(6), out[0].Index)
	require.Equal(t, uint64(3), out[0].Commit)
	out = l.recv(Message{Type: MsgAppend, From: 3, Term: 3, Index: 9, LogTerm: 3})
	require.True(t, out[0].Reject)
	require.Equal(t, uint64(3), out[0].Commit)
}

// A snapshot that the log goes through gives it a state, and every entry behind it stays.
func TestStatelessAdopts(t *testing.T) {
	for index, term := range map[uint64]uint64{3: 1, 4: 1, 5: 2} {
		l := newStateless(t, 1, 2, 3)
		out := l.feed(snapshotAt(index, term))
		require.Equal(t, index, l.eff.Install.Index)
		require.Nil(t, l.eff.Persist.Install, "the log stays")
		require.Zero(t, l.eff.Persist.Seq&^1, "nothing but the term is to be written")
		require.Len(t, l.eff.Apply, int(max(4, index)-index))
		require.Equal(t, uint64(5), l.LastIndex())
		require.Equal(t, max(4, index), l.Commit())
		require.False(t, l.Stateless())
		require.Len(t, out, 1)
		require.Zero(t, out[0].Commit)
		l.feed(Event{Kind: EvApplied, Index: index})
		l.feed(Event{Kind: EvSnapshotSaved, Snapshot: SnapshotMeta{Index: index, Term: term}, Index: 2})
		l.wait(500 * ms)
		require.Len(t, l.feed(Event{Kind: EvTick}), 2, "it may campaign again")
	}
}

// What does not fit changes nothing, what is beyond the log replaces it.
func TestStatelessAndOtherSnapshots(t *testing.T) {
	l := newStateless(t, 1, 2, 3)
	for _, ev := range []Event{snapshotAt(2, 1), snapshotAt(4, 2)} { // older than the journal; not what is committed
		out := l.feed(ev)
		require.Nil(t, l.eff.Install)
		require.True(t, l.Stateless())
		require.Equal(t, uint64(3), out[len(out)-1].Commit)
	}
	for _, ev := range []Event{snapshotAt(5, 1), snapshotAt(9, 2)} { // in the place of what is not committed; behind the log
		l = newStateless(t, 1, 2, 3)
		l.feed(ev)
		require.Equal(t, ev.Snapshot.Index, l.eff.Persist.Install.Index)
		require.Equal(t, ev.Snapshot.Index, l.LastIndex())
		require.False(t, l.Stateless())
	}
	l = newStateless(t, 1, 2, 3)
	var broken *InvariantError
	require.ErrorAs(t, l.Step(&Event{Kind: EvSnapshotSaved, Snapshot: SnapshotMeta{Index: 3, Term: 1}}, &l.eff), &broken)
}

// The leader sends a snapshot beside the entries, one stream at a time, and keeps its distance otherwise.
func TestLeaderHelpsAStatelessNode(t *testing.T) {
	l := newLone(t, 3, HardState{Term: 1, Commit: 4}, 1, 1, 1, 1)
	l.win()
	ack := func(needs uint64) []SendSnapshot {
		l.recv(Message{Type: MsgAppendResp, From: 2, Term: l.term, Index: l.log.last, Commit: needs, SentAt: l.now})
		return l.eff.Snapshots
	}
	l.recv(Message{Type: MsgAppendResp, From: 3, Term: l.term, Index: l.log.last, SentAt: l.now})
	require.Empty(t, ack(7), "an index that is not applied")
	require.Empty(t, ack(3), "nothing is applied yet")
	l.feed(Event{Kind: EvApplied, Index: 4})
	want := []SendSnapshot{{To: 2, Index: 3, Least: 3, Term: l.term}}
	require.Equal(t, want, ack(3), "also if there is none: it is to be taken")
	require.Empty(t, ack(3), "it is under way")
	l.feed(Event{Kind: EvSnapshotSent, To: 2, Failed: true})
	require.Empty(t, ack(3), "not at once again")
	l.wait(10 * ms)
	l.feed(Event{Kind: EvSnapshotSaved, Snapshot: SnapshotMeta{Index: 4, Term: 1, Membership: testMembers(1, 2, 3)}, Index: 1})
	want[0].Index = 4
	require.Equal(t, want, ack(3))
	l.feed(Event{Kind: EvPropose, EntryKind: EntryCommand, Data: []byte("x")})
	require.Len(t, l.eff.Send, 2, "entries go on")
	require.ErrorIs(t, l.startTransfer(2, &l.eff), ErrStateless)
	require.NoError(t, l.startTransfer(0, &l.eff))
	require.Equal(t, NodeID(3), l.transfer.to)
	require.True(t, l.Status().Peers[0].Stateless)
	l.feed(Event{Kind: EvSnapshotSent, To: 2})
	l.wait(99 * ms)
	require.Empty(t, ack(3), "time to say that it has it")
	l.wait(ms)
	require.Equal(t, want, ack(3))
	require.Empty(t, ack(0))
	require.False(t, l.Status().Peers[0].Stateless)
	late := Message{Type: MsgAppendResp, From: 2, Term: l.term, Index: 1, Commit: 3, SentAt: l.now - ms}
	l.recv(late)
	require.False(t, l.Status().Peers[0].Stateless, "an older answer")
}
