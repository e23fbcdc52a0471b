package recovery

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"kvapp/raft"
	"kvapp/wal"
)

func TestPositionsAreParsed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Position{Name: rapid.StringMatching(`[a-z0-9.-]{1,9}`).Draw(t, "name")}
		p.Term = rapid.Uint64Max(maxPosition).Draw(t, "term")
		p.LastTerm = rapid.Uint64Max(p.Term).Draw(t, "last term")
		p.CommitTerm = rapid.Uint64Max(p.LastTerm).Draw(t, "commit term")
		p.Last = rapid.Uint64Max(maxPosition).Draw(t, "last")
		p.Commit = rapid.Uint64Max(p.Last).Draw(t, "commit")
		got, err := ParsePosition(p.String())
		require.NoError(t, err)
		require.Equal(t, p, got)
	})
	for _, text := range []string{"", "n1", ":1/1/1/1/1", "n1:1/1/1/1", "n1:1/1/1/1/x", "n1:1/2/1/1/1", "n1:2/1/1/2/1", "n1:1/1/1/1/2"} {
		_, err := ParsePosition(text)
		require.Error(t, err, text)
	}
}

func FuzzParsePosition(f *testing.F) {
	f.Add("n1:4/3/12/3/10")
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := ParsePosition(text); err == nil {
			again, err := ParsePosition(p.String())
			require.NoError(t, err)
			require.Equal(t, p, again)
		}
	})
}

// held is what the disk of n1 to n5 holds: entries of these terms, and so many of them committed.
func held(name string, term, commit uint64, terms ...uint64) wal.Recovered {
	var m raft.Membership
	for i := 1; i <= 5; i++ {
		m.Members = append(m.Members, raft.Member{ID: raft.NodeID(i), Name: fmt.Sprintf("n%d", i)})
	}
	rec := wal.Recovered{Identity: wal.Identity{Cluster: "old", Name: name}, Hard: raft.HardState{Term: term, Commit: commit}}
	for i, t := range terms {
		e := raft.Entry{Index: uint64(i + 1), Term: t, Kind: raft.EntryCommand}
		if i == 0 {
			e.Kind, e.Data = raft.EntryMembership, raft.AppendMembership(nil, m)
		}
		rec.Entries = append(rec.Entries, e)
	}
	return rec
}

// The log whose end has the highest term goes before a longer one, unless it lacks what another knows to be committed. Logs
// with the same end found the new cluster together, in a term above theirs.
func TestWhoFounds(t *testing.T) {
	short, long := held("n1", 3, 1, 1, 3), held("n2", 5, 1, 1, 2, 2)
	knows := held("n2", 5, 3, 1, 2, 2)
	plan := func(rec wal.Recovered, line string) *Recovery {
		r, err := New(rec, uint64(len(rec.Entries)), line)
		require.NoError(t, err)
		return r
	}
	position := func(rec wal.Recovered) string { return plan(rec, "").Position().String() }
	require.Equal(t, "n1:3/3/2/1/1", position(short))
	line := position(short) + "," + position(long)
	require.NoError(t, plan(short, line).Check())
	require.ErrorContains(t, plan(long, line).Check(), "n1 may hold writes that this node does not")
	line = position(short) + ", " + position(knows)
	require.ErrorContains(t, plan(short, line).Check(), "n2 knows that entry 3 of term 2 is committed, and it is not in this log: recover without n1")
	require.NoError(t, plan(knows, position(knows)).Check())
	require.ErrorContains(t, plan(knows, "n1:3/3/2/1/1,n2:5/2/3/2/3,n3:1/1/1/1/1").Check(), "there is a majority of old")

	twin := held("n4", 4, 2, 1, 2, 2)
	line = position(long) + "," + position(twin)
	one, two := plan(long, line), plan(twin, line)
	require.NoError(t, one.Check())
	require.NoError(t, two.Check())
	require.Equal(t, "n2, n4", one.Names())
	cluster, hard, e := one.Plan()
	other, own, same := two.Plan()
	require.Equal(t, cluster, other)
	require.Equal(t, e, same)
	require.Equal(t, raft.HardState{Term: 6, Commit: 1}, hard)
	require.Equal(t, raft.HardState{Term: 6, Commit: 2}, own)
	require.Equal(t, []uint64{4, 6}, []uint64{e.Index, e.Term})
	m, err := raft.DecodeMembership(e.Data)
	require.NoError(t, err)
	var members []string
	for _, member := range m.Members {
		members = append(members, member.Name)
	}
	require.Equal(t, []string{"n2", "n4"}, members, "who is lost has no vote")
}
