package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/raft"
	"kvapp/wal"
)

// leftNode makes the directory of a node of a cluster n1 to n5, of which n5 is a learner, with last entries of lastTerm and
// all but the last two committed.
func leftNode(t *testing.T, name string, term, lastTerm, last uint64) string {
	t.Helper()
	var m raft.Membership
	for i := 1; i <= 5; i++ {
		n := fmt.Sprintf("n%d", i)
		m.Members = append(m.Members, raft.Member{
			ID: raft.NodeIDFromName(n), Name: n, ClientAddr: fmt.Sprintf("10.0.0.%d:1", i), PeerAddr: fmt.Sprintf("10.0.0.%d:2", i),
			Learner: i == 5, Promote: i == 5,
		})
	}
	slices.SortFunc(m.Members, func(a, b raft.Member) int { return cmp.Compare(a.ID, b.ID) })
	dir := filepath.Join(t.TempDir(), name)
	id := wal.Identity{Cluster: "c0ffee", Node: raft.NodeIDFromName(name), Name: name, Incarnation: 7}
	require.NoError(t, wal.Create(dir, id))
	log, _, err := wal.Open(dir, id, wal.Options{})
	require.NoError(t, err)
	b := &wal.Batch{Hard: raft.HardState{Term: term, Commit: last - 2}, HasHard: true}
	for i := uint64(1); i <= last; i++ {
		e := raft.Entry{Index: i, Term: lastTerm, Kind: raft.EntryCommand, Data: []byte("x")}
		if i == 1 {
			e.Kind, e.Data = raft.EntryMembership, raft.AppendMembership(nil, m)
		}
		b.Entries = append(b.Entries, e)
	}
	require.NoError(t, log.Append(b))
	require.NoError(t, log.Close())
	return dir
}

// content is what a directory holds.
func content(t *testing.T, dir string) (rec wal.Recovered) {
	t.Helper()
	log, rec, err := wal.Open(dir, wal.Identity{}, wal.Options{})
	require.NoError(t, err)
	require.NoError(t, log.Close())
	return rec
}

func TestRecoverAlone(t *testing.T) {
	dir := leftNode(t, "n1", 4, 3, 12)
	before := content(t, dir)
	for _, answer := range []string{"", "\n", "yes\n", "n2\n"} {
		var out bytes.Buffer
		require.ErrorContains(t, recoverDir(dir, "", false, strings.NewReader(answer), &out), "nothing was changed")
		for _, part := range []string{
			"node        n1, incarnation 0000000000000007, of cluster c0ffee\n", "log         entries 1 to 12, snapshot at 0, term 4\n",
			"committed   up to 10,", "n5 10.0.0.5:1, learner\n", "position    n1:4/3/12\n", "behind entry 12 of term 3",
			"Entries 11 to 12 become final", "must never serve again", "Type n1 to go on: ",
		} {
			require.Contains(t, out.String(), part)
		}
		require.Equal(t, before, content(t, dir))
	}
	var out bytes.Buffer
	require.NoError(t, recoverDir(dir, "", false, strings.NewReader("n1\n"), &out))
	require.Contains(t, out.String(), "recovered   n1 is in cluster ")
	after := content(t, dir)
	require.NotEqual(t, before.Identity.Cluster, after.Identity.Cluster)
	require.Equal(t, before.Identity.Incarnation, after.Identity.Incarnation)
	require.Equal(t, raft.HardState{Term: 5, Commit: 10}, after.Hard)
	require.Equal(t, before.Entries, after.Entries[:12])
	e := after.Entries[12]
	require.Equal(t, []any{uint64(13), uint64(5), raft.EntryMembership}, []any{e.Index, e.Term, e.Kind})
	m, err := raft.DecodeMembership(e.Data)
	require.NoError(t, err)
	require.Len(t, m.Members, 1)
	require.Equal(t, "n1", m.Members[0].Name)

	require.ErrorContains(t, recoverDir(dir, "", true, nil, &out), "nothing is to be recovered", "it is a majority of itself now")
}

// Two nodes with the same log make the same cluster, whichever is recovered first; a learner votes there. One that is
// behind has no part in it.
func TestRecoverTogether(t *testing.T) {
	one, two, three := leftNode(t, "n1", 4, 3, 12), leftNode(t, "n5", 6, 3, 12), leftNode(t, "n2", 4, 3, 11)
	line := "n5:6/3/12, n1:4/3/12,n2:4/3/11"
	var out bytes.Buffer
	require.NoError(t, recoverDir(one, line, true, nil, &out))
	require.Contains(t, out.String(), "- n2 is behind, and has no part in it.\n")
	require.NoError(t, recoverDir(two, line, true, nil, &out))
	err := recoverDir(three, line, true, nil, &out)
	require.ErrorContains(t, err, "n1, n5 may hold writes that this node does not")
	a, b := content(t, one), content(t, two)
	require.Equal(t, a.Identity.Cluster, b.Identity.Cluster)
	require.Equal(t, "c0ffee", content(t, three).Identity.Cluster)
	require.Equal(t, a.Entries[12], b.Entries[12])
	require.Equal(t, uint64(7), b.Hard.Term)
	m, err := raft.DecodeMembership(a.Entries[12].Data)
	require.NoError(t, err)
	require.Len(t, m.Members, 2)
	for _, x := range m.Members {
		require.Contains(t, "n1 n5", x.Name)
		require.False(t, x.Learner || x.Promote)
	}
	alone := leftNode(t, "n1", 4, 3, 12)
	require.NoError(t, recoverDir(alone, "", true, nil, &out))
	require.NotEqual(t, a.Identity.Cluster, content(t, alone).Identity.Cluster, "another cluster of the same node")
}

func TestRecoverRefuses(t *testing.T) {
	dir := leftNode(t, "n1", 4, 3, 12)
	before := content(t, dir)
	for line, want := range map[string]string{
		"n1:4/3/12,n2:4/4/5":            "n2 may hold writes",
		"n1:4/3/12,n2:4/3/13":           "n2 may hold writes",
		"n2:4/3/12":                     "does not name this node",
		"n1:4/3/11":                     "this node is at n1:4/3/12",
		"n1:5/3/12":                     "this node is at n1:4/3/12",
		"n1:4/3/12,n1:4/3/12":           "twice",
		"n1:4/3/12,n9:4/3/12":           "n9 is no member",
		"n1:4/3/12,n2:4/3/12,n3:4/3/10": "with n1, n2, n3 there is a majority",
		"n1:4/3/12,n2":                  "not name:term/term/index",
		"n1:4/3/12,n2:4/3/x":            "invalid syntax",
	} {
		err := recoverDir(dir, line, true, nil, &bytes.Buffer{})
		require.ErrorContains(t, err, want, line)
	}
	require.Equal(t, before, content(t, dir))

	require.ErrorContains(t, recoverDir("", "", true, nil, &bytes.Buffer{}), "--dir")
	require.ErrorIs(t, recoverDir(t.TempDir(), "", true, nil, &bytes.Buffer{}), wal.ErrNoLog)
	stranger := leftNode(t, "n9", 4, 3, 12)
	require.ErrorContains(t, recoverDir(stranger, "", true, nil, &bytes.Buffer{}), "n9 is no member")
	empty := filepath.Join(t.TempDir(), "n1")
	require.NoError(t, wal.Create(empty, wal.Identity{Cluster: "c", Node: 1, Name: "n1", Incarnation: 1}))
	require.ErrorContains(t, recoverDir(empty, "", true, nil, &bytes.Buffer{}), "holds no data")
	require.NoError(t, origin{aside: 1}.write(dir))
	require.ErrorContains(t, recoverDir(dir, "", true, nil, &bytes.Buffer{}), "not finished")
	require.NoError(t, origin{}.write(dir))

	log, _, err := wal.Open(dir, wal.Identity{}, wal.Options{})
	require.NoError(t, err)
	require.ErrorContains(t, recoverDir(dir, "", true, nil, &bytes.Buffer{}), "is running")
	require.NoError(t, log.Close())
	broken := brokenReader{errors.New("broken")}
	require.ErrorIs(t, recoverDir(dir, "", false, broken, &bytes.Buffer{}), broken.error)
}

// brokenReader is a terminal that has gone away.
type brokenReader struct{ error }

func (b brokenReader) Read([]byte) (int, error) { return 0, b.error }
