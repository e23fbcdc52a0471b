package wal

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/raft"
)

// refounded is a log of ten entries that has become another cluster's, and its directory.
func refounded(t *testing.T) (string, raft.Entry) {
	dir := newDir(t)
	l, _ := mustOpen(t, dir, Options{})
	require.NoError(t, l.Append(batch(3, 8, ents(1, 10, 3, 100))))
	e := raft.Entry{Index: 11, Term: 4, Kind: raft.EntryMembership, Data: raft.AppendMembership(nil, testMembership())}
	require.NoError(t, l.Refound("beef", hard(4, 8), e))
	require.True(t, Locked(dir))
	require.NoError(t, l.Close())
	require.False(t, Locked(dir))
	require.False(t, Locked(dir+"/nowhere"))
	return dir, e
}

func TestRefound(t *testing.T) {
	dir, e := refounded(t)
	_, _, err := Open(dir, testID, Options{})
	var other *IdentityError
	require.ErrorAs(t, err, &other, "the old cluster has no log here any more")
	id := testID
	id.Cluster = "beef"
	l, rec, err := Open(dir, id, Options{})
	require.NoError(t, err)
	require.Equal(t, id, rec.Identity)
	require.Equal(t, hard(4, 8), rec.Hard)
	require.Len(t, rec.Entries, 11)
	require.Equal(t, e, rec.Entries[10])

	// It goes on as any other: what a compaction writes anew names the new cluster.
	require.NoError(t, l.Append(batch(5, 11, ents(12, 20, 5, 100))))
	sn := writeSnapshot(t, dir, 15, 5, 100)
	_, err = l.Compact(sn, 16)
	require.NoError(t, err)
	require.NoError(t, l.Close())
	l, rec, err = Open(dir, id, Options{})
	require.NoError(t, err)
	require.Equal(t, id, rec.Identity)
	require.EqualValues(t, 20, l.Last())

	require.ErrorContains(t, l.Refound("beef", hard(6, 8), ents(21, 21, 6, 1)[0]), "already")
	require.ErrorContains(t, l.Refound("", hard(6, 8), ents(21, 21, 6, 1)[0]), "cluster id")
	require.ErrorContains(t, l.Refound("cafe", hard(1, 8), ents(21, 21, 1, 1)[0]), "term goes back")
	require.ErrorContains(t, l.Refound("cafe", hard(6, 8), ents(23, 23, 6, 1)[0]), "23")
	require.NoError(t, l.Refound("cafe", hard(6, 20), ents(21, 21, 6, 1)[0]), "nothing was written by then")
	require.NoError(t, l.Close())
}

// A power failure in the middle leaves the log of the old cluster, or one that has no member that could lead it; never
// the new membership in the old cluster.
func TestRefoundTorn(t *testing.T) {
	dir, e := refounded(t)
	whole := readFile(t, lastSegment(t, dir))
	seen := map[string]int{}
	for cut := len(whole) - 1; ; cut-- {
		at := copyDir(t, dir)
		require.NoError(t, os.Truncate(lastSegment(t, at), int64(cut)))
		l, rec, err := Open(at, Identity{}, Options{})
		require.NoError(t, err)
		require.NoError(t, l.Close())
		require.Len(t, rec.Entries, 10, "entry %d is of the last record", e.Index)
		seen[rec.Identity.Cluster]++
		if rec.Identity.Cluster == testID.Cluster {
			require.Equal(t, hard(3, 8), rec.Hard)
		}
		if seen[testID.Cluster] > 3 {
			break
		}
	}
	require.Greater(t, seen["beef"], 10)
}
