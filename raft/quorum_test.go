package raft

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestQuorumTwin compares the arrays with an obviously right count.
func TestQuorumTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &Raft{cfg: testConfig(99, 0)}
		match := map[NodeID]uint64{}
		votes := map[NodeID]vote{}
		var halves [2][]NodeID
		for id := NodeID(1); id <= 9; id++ {
			p := peer{id: id, match: rapid.Uint64Range(0, 6).Draw(t, "match"), vote: vote(rapid.IntRange(0, 2).Draw(t, "vote"))}
			p.voter, p.oldVoter = rapid.Bool().Draw(t, "voter"), rapid.Bool().Draw(t, "old")
			match[id], votes[id] = p.match, p.vote
			if p.voter {
				halves[0] = append(halves[0], id)
			}
			if p.oldVoter {
				halves[1] = append(halves[1], id)
				r.joint = true
			}
			r.peers = append(r.peers, p)
		}
		if len(halves[0]) == 0 {
			return
		}
		counts := func(ok func(id NodeID) bool) bool {
			for _, half := range halves {
				n := 0
				for _, id := range half {
					if ok(id) {
						n++
					}
				}
				if len(half) > 0 && 2*n <= len(half) {
					return false
				}
			}
			return true
		}
		var want uint64
		for v := uint64(1); v <= 6; v++ {
			if counts(func(id NodeID) bool { return match[id] >= v }) {
				want = v
			}
		}
		require.Equal(t, want, r.reached(byMatch))
		won, lost := r.countVotes()
		require.Equal(t, counts(func(id NodeID) bool { return votes[id] == voteYes }), won)
		require.Equal(t, !counts(func(id NodeID) bool { return votes[id] != voteNo }), lost)
	})
}

func TestMembershipRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m Membership
		ids := rapid.SliceOfNDistinct(rapid.Uint64Min(1), 0, 8, rapid.ID[uint64]).Draw(t, "ids")
		slices.Sort(ids)
		for _, id := range ids {
			m.Members = append(m.Members, Member{
				ID: NodeID(id), Name: rapid.String().Draw(t, "name"), PeerAddr: rapid.String().Draw(t, "peer"),
				ClientAddr: rapid.String().Draw(t, "client"), Learner: rapid.Bool().Draw(t, "learner"),
			})
			if rapid.Bool().Draw(t, "old") {
				m.OldVoters = append(m.OldVoters, NodeID(id))
			}
		}
		got, err := DecodeMembership(AppendMembership([]byte("x"), m)[1:])
		require.NoError(t, err)
		require.Equal(t, m, got)
	})
}

func TestNodeIDFromName(t *testing.T) {
	require.Equal(t, NodeID(0xcbf29ce484222325), NodeIDFromName(""))
	require.Equal(t, NodeID(0xaf63dc4c8601ec8c), NodeIDFromName("a"))
	require.NotEqual(t, NodeIDFromName("n1"), NodeIDFromName("n2"))
}

// FuzzDecodeMembership: no input panics, and what is accepted has exactly one encoding.
func FuzzDecodeMembership(f *testing.F) {
	f.Add(AppendMembership(nil, testMembers(1, 2, 3)))
	member := Member{ID: 7, Name: "a", PeerAddr: "b:1", ClientAddr: "c:2", Learner: true}
	f.Add(AppendMembership(nil, Membership{Members: []Member{member}, OldVoters: []NodeID{1, 7}}))
	f.Add([]byte{1, 0x81, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeMembership(b)
		if err != nil {
			require.ErrorIs(t, err, ErrMembership)
			return
		}
		require.Equal(t, b, AppendMembership(nil, m))
	})
}

// FuzzStep: whatever members and strangers send, no message panics, gives an error, or breaks an invariant.
func FuzzStep(f *testing.F) {
	f.Add([]byte{5, 2, 1, 0, 0, 1, 0, 0, 0, 0, 1, 1, 6, 3, 1, 0, 1, 0, 0, 0, 0, 0, 1, 0})
	f.Add([]byte{3, 2, 9, 9, 9, 9, 0, 0, 0, 0, 0, 0, 255, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		c := newCluster(t, 3)
		l := c.elect(1)
		c.propose(l, "x")
		c.settle(nil)
		for i := 0; i+12 <= len(b) && i < 12*64; i += 12 {
			v := b[i : i+12]
			big := func(x byte) uint64 {
				if x > 250 {
					return ^uint64(0) - uint64(255-x)
				}
				return uint64(x % 16)
			}
			m := Message{
				Type: MessageType(v[0] % 11), Reject: v[0]&64 != 0, Transfer: v[0]&128 != 0, From: NodeID(v[1] % 6), To: NodeID(v[1]>>4%3 + 1),
				Term: big(v[2]), Index: big(v[3]), LogTerm: big(v[4]), Commit: big(v[5]), Hint: big(v[6]), HintTerm: big(v[7]),
				Ctx: big(v[8]), SentAt: int64(big(v[9])),
			}
			for k := range v[10] % 4 {
				m.Entries = append(m.Entries, Entry{Index: m.Index + 1 + uint64(k)*uint64(v[10]>>7+1), Term: big(v[11]), Kind: EntryKind(v[11]>>6 + 1)})
			}
			h := c.host(m.To)
			ev := Event{Kind: EvMessage, Now: c.now, Msg: m}
			require.NoError(t, h.core.Step(&ev, &h.eff))
			require.NoError(t, h.core.Check())
			if p := h.eff.Persist; p.Seq != 0 {
				ev = Event{Kind: EvPersisted, Now: c.now, Seq: p.Seq}
				require.NoError(t, h.core.Step(&ev, &h.eff))
			}
			h.eff.Reset()
			c.now += int64(v[11]) * ms
			ev = Event{Kind: EvTick, Now: c.now}
			require.NoError(t, h.core.Step(&ev, &h.eff))
			require.NoError(t, h.core.Check())
			h.eff.Reset()
		}
	})
}
