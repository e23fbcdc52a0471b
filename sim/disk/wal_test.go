package disk

import (
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/raft"
	"kvapp/wal"
)

var testID = wal.Identity{Cluster: "c0ffee", Node: 7, Name: "n1", Incarnation: 99}

// BenchmarkDiskAppend is one durable batch of one entry per operation: what the log, its backend and the model cost.
func BenchmarkDiskAppend(b *testing.B) {
	d := New(1)
	require.NoError(b, wal.CreateOn(d, "/n1", testID))
	l, _, err := wal.Open("/n1", testID, wal.Options{FS: d})
	require.NoError(b, err)
	hard := raft.HardState{Term: 1, Vote: 7}
	batch := wal.Batch{Hard: hard, HasHard: true, Entries: []raft.Entry{{Index: 1, Term: 1, Data: make([]byte, 128)}}}
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Append(&batch); err != nil {
			b.Fatal(err)
		}
		batch.Entries[0].Index++
	}
}

func TestLogSurvivesCrash(t *testing.T) {
	d := New(1)
	require.NoError(t, wal.CreateOn(d, "/n1", testID))
	l, _, err := wal.Open("/n1", testID, wal.Options{FS: d, SegmentSize: 1000})
	require.NoError(t, err)
	hard := raft.HardState{Term: 1, Vote: 7}
	batch := wal.Batch{Hard: hard, HasHard: true, Entries: []raft.Entry{{Index: 1, Term: 1, Data: make([]byte, 128)}}}
	for range 20 {
		require.NoError(t, l.Append(&batch))
		batch.Entries[0].Index++
	}
	require.Equal(t, uint64(20), l.Last())
	for _, loss := range Losses() {
		d.Crash(loss)
		l, rec, err := wal.Open("/n1", testID, wal.Options{FS: d, SegmentSize: 1000})
		require.NoError(t, err)
		require.Len(t, rec.Entries, 20)
		require.Equal(t, uint64(20), l.Last())
	}
}
