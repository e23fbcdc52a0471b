package disk

import (
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/raft"
	"kvapp/wal"
)

// BenchmarkDiskAppend is one durable batch of a hard state and one entry per operation: what the log, its backend and
// the model cost. Segments are small, as in a simulation; what it
// allocates is their growth.
func BenchmarkDiskAppend(b *testing.B) {
	d := New(1)
	require.NoError(b, wal.CreateOn(d, dir, testID))
	l, _, err := wal.Open(dir, testID, wal.Options{FS: d, SegmentSize: 64 << 10})
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
