package wal

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/raft"
)

// refounded is a log of ten entries that has become another cluster's with an eleventh, and its directory before and after.
func refounded(t *testing.T) (before, dir string, e raft.Entry) {
	dir = newDir(t)
	l, _ := mustOpen(t, dir, Options{})
	require.NoError(t, l.Append(batch(3, 8, ents(1, 10, 3, 100))))
	before = copyDir(t, dir)
	e = raft.Entry{Index: 11, Term: 4, Kind: raft.EntryMembership, Data: raft.AppendMembership(nil, testMembership())}
	require.NoError(t, l.Refound("beef", hard(4, 8), e))
	require.EqualValues(t, 11, l.Last())
	got, err := l.Read(10, 12, 1000)
	require.NoError(t, err)
	require.Equal(t, append(ents(10, 10, 3, 100), e), got)
	require.True(t, Locked(dir))
	require.NoError(t, l.Close())
	require.False(t, Locked(dir))
	require.False(t, Locked(dir+"/nowhere"))
	return before, dir, e
}

func TestRefound(t *testing.T) {
	_, dir, e := refounded(t)
	_, _, err := Open(dir, testID, Options{})
	var other *IdentityError
	require.ErrorAs(t, err, &other, "the old cluster has no log here any more")
	id := testID
	id.Cluster = "beef"
	l, rec, err := Open(dir, id, Options{SegmentSize: 200})
	require.NoError(t, err)
	require.Equal(t, id, rec.Identity)
	require.Equal(t, hard(4, 8), rec.Hard)
	require.Len(t, rec.Entries, 11)
	require.Equal(t, e, rec.Entries[10])

	for name, err := range map[string]error{
		"already":        l.Refound("beef", hard(6, 8), ents(12, 12, 6, 1)[0]),
		"cluster id":     l.Refound("", hard(6, 8), ents(12, 12, 6, 1)[0]),
		"term goes back": l.Refound("cafe", hard(1, 8), ents(12, 12, 1, 1)[0]),
		"13 does not":    l.Refound("cafe", hard(6, 8), ents(13, 13, 6, 1)[0]),
		"11 does not":    l.Refound("cafe", hard(6, 8), ents(11, 11, 6, 1)[0]),
		"of term 7":      l.Refound("cafe", hard(6, 8), ents(12, 12, 7, 1)[0]),
	} {
		require.ErrorContains(t, err, name)
	}
	require.NoError(t, l.Refound("cafe", hard(6, 8), ents(12, 12, 6, 300)[0]), "nothing was written by then, nor is the log at an end")
	require.NoError(t, l.Close())
	require.ErrorIs(t, l.Refound("babe", hard(7, 8), ents(13, 13, 7, 1)[0]), ErrClosed)
}

func TestOwner(t *testing.T) {
	uid, err := Owner(newDir(t))
	require.NoError(t, err)
	require.Equal(t, os.Geteuid(), uid)
	_, err = Owner(t.TempDir())
	require.ErrorIs(t, err, ErrNoLog)
	file := t.TempDir() + "/file"
	writeFile(t, file, nil)
	_, err = Owner(file)
	require.ErrorContains(t, err, file)
}

// A compaction writes the new identity, behind the record that has changed it and is kept, or in place of it.
func TestRefoundCompacted(t *testing.T) {
	for _, keepFrom := range []uint64{12, 15} {
		dir := newDir(t)
		l, _ := mustOpen(t, dir, Options{SegmentSize: 200})
		require.NoError(t, l.Append(batch(3, 8, ents(1, 11, 3, 100))))
		require.NoError(t, l.Refound("beef", hard(4, 8), ents(12, 12, 4, 100)[0]))
		require.NoError(t, l.Append(batch(4, 8, ents(13, 20, 4, 100))))
		first, err := l.Compact(writeSnapshot(t, dir, 16, 4, 100), keepFrom)
		require.NoError(t, err)
		require.Greater(t, first, uint64(10))
		require.LessOrEqual(t, first, keepFrom)
		require.NoError(t, l.Close())
		l, rec, err := Open(dir, Identity{Cluster: "beef"}, Options{})
		require.NoError(t, err)
		require.Equal(t, hard(4, 16), rec.Hard)
		require.Equal(t, first, rec.First)
		require.NoError(t, l.Close())
	}
}

// Of a write that was cut short nothing counts, at whichever byte.
func TestRefoundTorn(t *testing.T) {
	before, dir, _ := refounded(t)
	_, old := mustOpen(t, before, Options{})
	whole, left := len(readFile(t, lastSegment(t, dir))), len(readFile(t, lastSegment(t, before)))
	require.Greater(t, whole, left+100)
	for cut := left; cut < whole; cut++ {
		at := copyDir(t, dir)
		require.NoError(t, os.Truncate(lastSegment(t, at), int64(cut)))
		l, rec, err := Open(at, Identity{}, Options{})
		require.NoError(t, err)
		require.NoError(t, l.Close())
		require.Len(t, rec.Notes, min(cut-left, 1))
		rec.Notes = nil
		require.Equal(t, old, rec)
	}
}
