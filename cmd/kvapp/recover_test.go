package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/raft"
	"kvapp/wal"
)

// leftNode makes the directory of a node of a cluster n1 to n5, of which n5 is a learner, with last entries of lastTerm and
// all but the last two committed. change may make another membership of it.
func leftNode(t *testing.T, name string, term, lastTerm, last uint64, change ...func(m *raft.Membership)) string {
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
	for _, c := range change {
		c(&m)
	}
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
		require.ErrorContains(t, recoverDir(t.Context(), dir, "", false, strings.NewReader(answer), &out), "nothing was changed")
		for _, part := range []string{
			"node        n1, incarnation 0000000000000007, of cluster c0ffee\n", "log         entries 1 to 12, snapshot at 0, term 4\n",
			"committed   up to 10,", "n5 10.0.0.5:1, learner\n", "position    n1:4/3/12/3/10\n", "ends with entry 12 of term 3, are lost",
			"Entries 11 to 12 become final", "must never serve again", "Type n1 to go on: ",
		} {
			require.Contains(t, out.String(), part)
		}
		require.Equal(t, before, content(t, dir))
	}
	var out bytes.Buffer
	require.NoError(t, recoverDir(t.Context(), dir, "", false, strings.NewReader("n1\n"), &out))
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

	require.ErrorContains(t, recoverDir(t.Context(), dir, "", true, nil, &out), "nothing is to be recovered", "it is a majority of itself now")
}

// Two nodes with the same log make the same cluster, whichever is recovered first; a learner votes there. One that is
// behind has no part in it.
func TestRecoverTogether(t *testing.T) {
	one, two, three := leftNode(t, "n1", 4, 3, 12), leftNode(t, "n5", 6, 3, 12), leftNode(t, "n2", 4, 3, 11)
	line := "n5:6/3/12/3/10, n1:4/3/12/3/10,n2:4/3/11/3/9"
	var out bytes.Buffer
	require.NoError(t, recoverDir(t.Context(), one, line, true, nil, &out))
	require.Contains(t, out.String(), "- n2 is behind, and has no part in it.\n")
	require.NoError(t, recoverDir(t.Context(), two, line, true, nil, &out))
	err := recoverDir(t.Context(), three, line, true, nil, &out)
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
	require.NoError(t, recoverDir(t.Context(), alone, "", true, nil, &out))
	require.NotEqual(t, a.Identity.Cluster, content(t, alone).Identity.Cluster, "another cluster of the same node")
}

func TestRecoverRefuses(t *testing.T) {
	dir := leftNode(t, "n1", 4, 3, 12)
	before := content(t, dir)
	for line, want := range map[string]string{
		"n1:4/3/12/3/10,n2:4/4/5/4/3":                      "n2 may hold writes",
		"n1:4/3/12/3/10,n2:4/3/13/3/11":                    "n2 may hold writes",
		"n2:4/3/12/3/10":                                   "does not name this node",
		"n1:4/3/11/3/9":                                    "this node is at n1:4/3/12/3/10",
		"n1:5/3/12/3/10":                                   "this node is at n1:4/3/12/3/10",
		"n1:4/3/12/3/10,n1:4/3/12/3/10":                    "twice",
		"n1:4/3/12/3/10,n9:4/3/12/3/10":                    "n9 is no member",
		"n1:4/3/12/3/10,n2:4/3/12/3/10,n3:4/3/10/3/8":      "with n1, n2, n3 there is a majority",
		"n1:4/3/12/3/10,n2":                                "not name:term/term/index/term/index",
		"n1:4/3/12/3/10,n2:4/3/x/3/2":                      "invalid syntax",
		"n1:4/3/12/3/10,n2:3/4/12/4/10":                    "where no log ends",
		"n1:4/3/12/3/10,n2:4/3/1152921504606846977/0/0":    "where no log ends",
		"n1:4/3/12/3/10,n2:18446744073709551615/3/12/3/10": "where no log ends",
	} {
		err := recoverDir(t.Context(), dir, line, true, nil, &bytes.Buffer{})
		require.ErrorContains(t, err, want, line)
	}
	require.Equal(t, before, content(t, dir))

	require.ErrorContains(t, recoverDir(t.Context(), "", "", true, nil, &bytes.Buffer{}), "--dir")
	require.ErrorIs(t, recoverDir(t.Context(), t.TempDir(), "", true, nil, &bytes.Buffer{}), wal.ErrNoLog)
	stranger := leftNode(t, "n9", 4, 3, 12)
	require.ErrorContains(t, recoverDir(t.Context(), stranger, "", true, nil, &bytes.Buffer{}), "n9 is no member")
	empty := filepath.Join(t.TempDir(), "n1")
	require.NoError(t, wal.Create(empty, wal.Identity{Cluster: "c", Node: 1, Name: "n1", Incarnation: 1}))
	require.ErrorContains(t, recoverDir(t.Context(), empty, "", true, nil, &bytes.Buffer{}), "holds no data")
	require.NoError(t, origin{aside: 1}.write(dir))
	require.ErrorContains(t, recoverDir(t.Context(), dir, "", true, nil, &bytes.Buffer{}), "not finished")
	require.NoError(t, origin{}.write(dir))

	log, _, err := wal.Open(dir, wal.Identity{}, wal.Options{})
	require.NoError(t, err)
	require.ErrorContains(t, recoverDir(t.Context(), dir, "", true, nil, &bytes.Buffer{}), "is running")
	require.NoError(t, log.Close())
	broken := brokenReader{errors.New("broken")}
	require.ErrorIs(t, recoverDir(t.Context(), dir, "", false, broken, &bytes.Buffer{}), broken.error)
	require.Equal(t, before, content(t, dir))
}

// brokenReader is a terminal that has gone away.
type brokenReader struct{ error }

func (b brokenReader) Read([]byte) (int, error) { return 0, b.error }

// Who interrupts the question has said no.
func TestRecoverIsInterrupted(t *testing.T) {
	dir := leftNode(t, "n1", 4, 3, 12)
	before := content(t, dir)
	in, terminal := io.Pipe()
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	require.ErrorContains(t, recoverDir(ctx, dir, "", false, in, &bytes.Buffer{}), "nothing was changed")
	require.NoError(t, terminal.Close())
	require.Equal(t, before, content(t, dir))
}

// A power failure at any byte of what is written leaves a directory on which the same line does it; when it is done, the
// same line says so.
func TestRecoverAgain(t *testing.T) {
	dir := leftNode(t, "n1", 4, 3, 12)
	old := readSegment(t, dir)
	line := "n1:4/3/12/3/10,n5:6/3/12/3/10"
	require.NoError(t, recoverDir(t.Context(), dir, line, true, nil, &bytes.Buffer{}))
	done := content(t, dir)
	whole := readSegment(t, dir)
	require.Equal(t, old, whole[:len(old)])
	for cut := len(old); cut < len(whole); cut++ {
		require.NoError(t, os.Truncate(segment(t, dir), int64(cut)))
		require.NoError(t, recoverDir(t.Context(), dir, line, true, nil, &bytes.Buffer{}), "cut at byte %d of %d to %d", cut, len(old), len(whole))
		require.Equal(t, done, content(t, dir))
	}
	for _, line := range []string{line, "n1:4/3/12/3/10,n2:4/3/11/3/9,n5:6/3/12/3/10"} {
		err := recoverDir(t.Context(), dir, line, true, nil, &bytes.Buffer{})
		require.ErrorContains(t, err, "there is a majority of "+done.Identity.Cluster+"; start what is left")
	}
}

// The log that ends in the highest term lacks what was committed in a later one, of which nothing but that knowledge is left:
// here entry 11, of which the survivors n1 and n2 hold different ones. n1 has to be left out.
func TestRecoverHoldsWhatIsCommitted(t *testing.T) {
	dir := leftNode(t, "n1", 3, 3, 12)
	for line, without := range map[string]string{
		"n1:3/3/12/3/10,n2:5/2/11/2/11":                "without n1,",
		"n1:3/3/12/3/10,n2:5/2/14/2/13":                "without n1,",
		"n1:3/3/12/3/10,n2:5/2/14/2/13,n5:4/3/12/3/11": "without n1, n5,",
	} {
		err := recoverDir(t.Context(), dir, line, true, nil, &bytes.Buffer{})
		require.ErrorContains(t, err, "n2 knows that entry 1")
		require.ErrorContains(t, err, without)
	}
	other := leftNode(t, "n2", 5, 2, 13)
	err := recoverDir(t.Context(), other, "n1:3/3/12/3/10,n2:5/2/13/2/11", true, nil, &bytes.Buffer{})
	require.ErrorContains(t, err, "n1 may hold writes", "so it is tried first")
	require.NoError(t, recoverDir(t.Context(), other, "n2:5/2/13/2/11", true, nil, &bytes.Buffer{}))
	require.NoError(t, recoverDir(t.Context(), dir, "n1:3/3/12/3/10,n2:4/3/11/3/11", true, nil, &bytes.Buffer{}), "it holds that entry")
}

// segment is the only segment of a node's log.
func segment(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "log", "*[0-9]"))
	require.NoError(t, err)
	require.Len(t, names, 1)
	return names[0]
}

func readSegment(t *testing.T, dir string) []byte {
	t.Helper()
	b, err := os.ReadFile(segment(t, dir))
	require.NoError(t, err)
	return b
}

// What a learner has is better than nothing, and said to be of a learner.
func TestRecoverLearner(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, recoverDir(t.Context(), leftNode(t, "n5", 4, 3, 12), "", true, nil, &out))
	require.Contains(t, out.String(), "- No voter is among them")
	for name, line := range map[string]string{"n1": "", "n5": "n1:4/3/12/3/10,n5:4/3/12/3/10"} {
		out.Reset()
		require.NoError(t, recoverDir(t.Context(), leftNode(t, name, 4, 3, 12), line, true, nil, &out))
		require.NotContains(t, out.String(), "No voter")
	}
}

// A voter whose removal was under way may be all that is left. The new membership is not joint any more.
func TestRecoverLeaving(t *testing.T) {
	dir := leftNode(t, "n1", 4, 3, 12, func(m *raft.Membership) {
		for i := range m.Members {
			p := &m.Members[i]
			if !p.Learner {
				m.OldVoters = append(m.OldVoters, p.ID)
			}
			if p.Name == "n1" {
				p.Learner, p.Leaving = true, true
			}
		}
	})
	var out bytes.Buffer
	require.NoError(t, recoverDir(t.Context(), dir, "", true, nil, &out))
	require.Contains(t, out.String(), "n1 10.0.0.1:1, voter that is being removed\n")
	require.NotContains(t, out.String(), "No voter")
	after := content(t, dir)
	m, err := raft.DecodeMembership(after.Entries[12].Data)
	require.NoError(t, err)
	require.Equal(t, raft.Membership{Members: []raft.Member{{
		ID: raft.NodeIDFromName("n1"), Name: "n1", ClientAddr: "10.0.0.1:1", PeerAddr: "10.0.0.1:2",
	}}}, m)
}

// Damage anywhere in what the node would read at its start is told before anything is written, and so is a format of
// another version.
func TestRecoverRefusesDamage(t *testing.T) {
	var members raft.Membership
	dir := leftNode(t, "n1", 4, 3, 12, func(m *raft.Membership) { members = *m })
	snapshots, err := wal.OpenSnapshots(dir)
	require.NoError(t, err)
	w, err := snapshots.Create(raft.SnapshotMeta{Index: 10, Term: 3, Membership: members})
	require.NoError(t, err)
	_, err = w.Write(bytes.Repeat([]byte("state"), 1000))
	require.NoError(t, err)
	sn, err := w.Commit()
	require.NoError(t, err)
	log, _, err := wal.Open(dir, wal.Identity{}, wal.Options{})
	require.NoError(t, err)
	_, err = log.Compact(sn, 2)
	require.NoError(t, err)
	require.NoError(t, log.Append(&wal.Batch{Hard: raft.HardState{Term: 4, Commit: 10}, HasHard: true}))
	require.NoError(t, log.Close())
	registry, err := wal.OpenRegistry(dir)
	require.NoError(t, err)
	require.NoError(t, registry.Admit("n2", 5))

	before := readSegment(t, dir)
	for path, at := range map[string]int{segment(t, dir): 10, filepath.Join(dir, "snapshots", sn.Name): 3000, filepath.Join(dir, "peers"): 20} {
		whole, err := os.ReadFile(path)
		require.NoError(t, err)
		broken := bytes.Clone(whole)
		broken[at] ^= 1
		require.NoError(t, os.WriteFile(path, broken, 0o640))
		err = recoverDir(t.Context(), dir, "", true, nil, &bytes.Buffer{})
		require.ErrorContains(t, err, "damaged file "+path)
		require.NoError(t, os.WriteFile(path, whole, 0o640))
		require.Equal(t, before, readSegment(t, dir))
	}

	// Byte 22 of the first record is where the format's version begins.
	newer := bytes.Clone(before)
	rec := newer[1 : 1+newer[0]]
	rec[21]++
	binary.LittleEndian.PutUint32(rec, crc32.Checksum(rec[4:], crc32.MakeTable(crc32.Castagnoli)))
	require.NoError(t, os.WriteFile(segment(t, dir), newer, 0o640))
	err = recoverDir(t.Context(), dir, "", true, nil, &bytes.Buffer{})
	var other *wal.FormatError
	require.ErrorAs(t, err, &other)
	require.ErrorContains(t, err, "another version of kvapp")
	require.Equal(t, newer, readSegment(t, dir))
	require.NoError(t, os.WriteFile(segment(t, dir), before, 0o640))
	require.NoError(t, recoverDir(t.Context(), dir, "", true, nil, &bytes.Buffer{}))
}

func TestRecoverChecksTheUser(t *testing.T) {
	dir := leftNode(t, "n1", 4, 3, 12)
	require.NoError(t, checkOwner(dir, os.Geteuid()))
	require.ErrorContains(t, checkOwner(dir, os.Geteuid()+1), "run it as the user that the node runs as")
	if os.Geteuid() != 0 {
		return // nobody else may give a directory away
	}
	before := content(t, dir)
	require.NoError(t, os.Chown(filepath.Join(dir, "log"), 65534, 65534))
	require.ErrorContains(t, recoverDir(t.Context(), dir, "", true, nil, &bytes.Buffer{}), "belongs to user 65534")
	require.Equal(t, before, content(t, dir))
}
