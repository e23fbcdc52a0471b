package raft

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// anyMembership draws one that is not joint and has a voter.
func anyMembership(t *rapid.T) Membership {
	var m Membership
	for id := NodeID(1); id <= 7; id++ {
		p := Member{ID: id, Name: fmt.Sprint("n", id)}
		switch rapid.IntRange(0, 3).Draw(t, "part") {
		case 0:
			continue
		case 1:
			p.Learner = true
			p.Promote = rapid.Bool().Draw(t, "promote")
		}
		m.Members = append(m.Members, p)
	}
	if len(m.voters()) == 0 {
		return testMembers(1)
	}
	return m
}

func anyChanges(t *rapid.T) []Change {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Change {
		id := NodeID(rapid.IntRange(1, 9).Draw(t, "id"))
		return Change{
			Kind: ChangeKind(rapid.IntRange(1, int(ChangeSet)).Draw(t, "kind")),
			Member: Member{
				ID: id, Name: fmt.Sprint("n", id), Learner: rapid.Bool().Draw(t, "learner"),
				Priority: uint8(rapid.IntRange(0, MaxPriority).Draw(t, "priority")), PeerAddr: rapid.SampledFrom([]string{"", "a:1"}).Draw(t, "addr"),
				Incarnation: rapid.SampledFrom([]uint64{0, 0, 0, 7}).Draw(t, "incarnation"),
			},
		}
	}), 1, 5).Draw(t, "changes")
}

// quorum says whether ids decide under m.
func quorum(m *Membership, ids []NodeID) bool {
	majority := func(voters []NodeID) bool {
		n := 0
		for _, v := range voters {
			if slices.Contains(ids, v) {
				n++
			}
		}
		return n > len(voters)/2
	}
	return majority(m.voters()) && (len(m.OldVoters) == 0 || majority(m.OldVoters))
}

// Thesis 4.3: two memberships that follow each other have no quorums that do not meet, on the way to any other membership.
func TestSuccessiveQuorumsMeet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := anyMembership(t)
		target, err := m.With(anyChanges(t))
		if err != nil {
			return
		}
		require.NoError(t, target.valid())
		way := []Membership{m, m.toward(target)}
		if len(way[1].OldVoters) > 0 {
			way = append(way, way[1].left())
		}
		require.Equal(t, target.Members, way[len(way)-1].Members, "the way ends where it should")
		for i := range way {
			require.NoError(t, way[i].valid())
			got, err := DecodeMembership(AppendMembership(nil, way[i]))
			require.NoError(t, err)
			require.Equal(t, way[i], got)
		}
		for i := 1; i < len(way); i++ {
			for set := range 1 << 9 {
				var yes, no []NodeID
				for id := range 9 {
					if set&(1<<id) != 0 {
						yes = append(yes, NodeID(id+1))
					} else {
						no = append(no, NodeID(id+1))
					}
				}
				require.False(t, quorum(&way[i-1], yes) && quorum(&way[i], no), "%v and %v: %v against %v", way[i-1], way[i], yes, no)
			}
		}
	})
}

// A change that was made is there; made again it changes nothing.
func TestChangesAreIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := anyMembership(t)
		c := anyChanges(t)[:1]
		target, err := m.With(c)
		if err != nil {
			return
		}
		again, err := target.With(c)
		require.NoError(t, err)
		require.Equal(t, target, again)
		if c[0].Kind != ChangePromote {
			require.True(t, target.Has(c), "%v %v", target, c)
		}
		require.Equal(t, m.Has(c), slices.Equal(m.Members, target.Members) && (c[0].Kind != ChangePromote || !m.learner(c[0].Member.ID)))
	})
}

func (m *Membership) learner(id NodeID) bool {
	i, ok := m.find(id)
	return ok && m.Members[i].Learner
}

func TestChangesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyChanges(t)
		b := AppendChanges(nil, c)
		got, err := DecodeChanges(b)
		require.NoError(t, err)
		require.Equal(t, c, got)
		for n := range b {
			_, err := DecodeChanges(b[:n])
			require.ErrorIs(t, err, ErrMembership, "cut off")
		}
		_, err = DecodeChanges(append(b, 0))
		require.ErrorIs(t, err, ErrMembership)
	})
}

func FuzzDecodeChanges(f *testing.F) {
	member := Member{ID: 4, Name: "n4", PeerAddr: "p:1", ClientAddr: "c:1", Incarnation: 3, Priority: 2}
	f.Add(AppendChanges(nil, []Change{{Kind: ChangeAdd, Member: member}}))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeChanges(b)
		if err != nil {
			require.ErrorIs(t, err, ErrMembership)
			return
		}
		require.Equal(t, b, AppendChanges(nil, c), "one encoding")
	})
}

// etcd#21178 and its like: a node that was removed and comes back under its name with an empty disk is somebody else.
// What the old one had acknowledged counts no more, not even when it arrives only now.
func TestReaddedNodeBeginsAnew(t *testing.T) {
	l := newLone(t, 3, HardState{})
	l.win()
	for _, id := range []NodeID{2, 3} {
		l.ack(id, 1)
	}
	old := Message{Type: MsgAppendResp, From: 3, Term: l.term, Index: 1, SentAt: l.now}
	change := func(c Change) {
		l.wait(ms)
		l.feed(Event{Kind: EvChange, Changes: []Change{c}})
		require.NoError(t, l.eff.Answers[0].Err)
		for range 2 { // the joint membership, and the one after it
			l.sync()
			for _, id := range []NodeID{2, 3} {
				l.ack(id, l.LastIndex())
			}
		}
		l.feed(Event{Kind: EvApplied, Index: l.Commit()})
		require.False(t, l.changing())
	}
	change(Change{Kind: ChangeRemove, Member: Member{ID: 3}})
	change(Change{Kind: ChangeAdd, Member: Member{ID: 3, Name: "n3", Incarnation: 9, Learner: true}})
	p := l.peer(3)
	require.Nil(t, p.departed)
	p.match = 0
	l.recv(old)
	require.Zero(t, l.peer(3).match)
	l.feed(Event{Kind: EvChange, Changes: []Change{{Kind: ChangeAdd, Member: Member{ID: 3, Name: "n3", Incarnation: 10}}}})
	require.ErrorIs(t, l.eff.Answers[0].Err, ErrIncarnation, "a third disk under the name")
}
