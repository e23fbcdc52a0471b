package wal

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/raft"
)

var testID = Identity{Cluster: "c0ffee", Node: 7, Name: "n1", Incarnation: 99}

// newDir is a formatted directory.
func newDir(t testing.TB) string {
	dir := filepath.Join(t.TempDir(), "data")
	require.NoError(t, Create(dir, testID))
	return dir
}

func mustOpen(t testing.TB, dir string, opt Options) (*Log, Recovered) {
	l, rec, err := Open(dir, testID, opt)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l, rec
}

func hard(term, commit uint64) raft.HardState {
	return raft.HardState{Term: term, Vote: 7, Commit: commit}
}

// ents makes entries lo..hi of a term whose data tells them apart.
func ents(lo, hi, term uint64, size int) []raft.Entry {
	var out []raft.Entry
	for i := lo; i <= hi; i++ {
		d := bytes.Repeat([]byte{byte(i*31 + term)}, size)
		copy(d, fmt.Sprintf("%d/%d", i, term))
		out = append(out, raft.Entry{Index: i, Term: term, Kind: raft.EntryCommand, Data: d})
	}
	return out
}

func batch(term, commit uint64, es []raft.Entry) *Batch {
	return &Batch{Hard: hard(term, commit), HasHard: true, Entries: es}
}

// copyDir copies a directory tree, as the disk would look to the next process.
func copyDir(t testing.TB, from string) string {
	to := filepath.Join(t.TempDir(), "copy")
	copyTo(t, from, to)
	return to
}

func copyTo(t testing.TB, from, to string) {
	require.NoError(t, os.RemoveAll(to))
	require.NoError(t, os.CopyFS(to, os.DirFS(from)))
}

func lastSegment(t testing.TB, dir string) string {
	l, err := listLog(osFS{}, filepath.Join(dir, logName))
	require.NoError(t, err)
	return segmentPath(filepath.Join(dir, logName), l.segments[len(l.segments)-1])
}

func readFile(t testing.TB, path string) []byte {
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return b
}

func writeFile(t testing.TB, path string, b []byte) {
	require.NoError(t, os.WriteFile(path, b, filePerm))
}

func flip(b []byte, i int) []byte {
	b = bytes.Clone(b)
	b[i] ^= 0x10
	return b
}

// writeSnapshot makes a durable snapshot file with a payload of size bytes.
func writeSnapshot(t testing.TB, dir string, index, term uint64, size int) Snapshot {
	s, err := OpenSnapshots(dir)
	require.NoError(t, err)
	w, err := s.Create(raft.SnapshotMeta{Index: index, Term: term, Membership: testMembership()})
	require.NoError(t, err)
	_, err = w.Write(payload(size))
	require.NoError(t, err)
	sn, err := w.Commit()
	require.NoError(t, err)
	return sn
}

func payload(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return b
}

func testMembership() raft.Membership {
	return raft.Membership{
		Members: []raft.Member{
			{ID: 3, Name: "n2", PeerAddr: "10.0.0.2:17001", ClientAddr: "10.0.0.2:7001"},
			{ID: 7, Name: "n1", PeerAddr: "10.0.0.1:17001", ClientAddr: "10.0.0.1:7001", Learner: true},
		},
		OldVoters: []raft.NodeID{3, 7},
	}
}

func readAll(t testing.TB, r io.ReadCloser, err error) []byte {
	require.NoError(t, err)
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	return b
}
