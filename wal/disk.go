package wal

import (
	"errors"

	tidwall "github.com/tidwall/wal"
)

// backend is what stands between a Log and the disk; the disk may fail in each of these, so tests stand in between.
type backend interface {
	WriteBatch(b *tidwall.Batch) error
	// Sync makes everything written durable. tail is the path of the last segment, the only one that is not yet.
	Sync(tail string) error
	TruncateFront(index uint64) error
	ClearCache() error
	Close() error
}

// disk is the backend of a running node: tidwall/wal, but for the fsync at the end of every batch, which no thread waits
// for where the system can do that. Appender only.
//
// A thread that waits in fsync keeps the scheduler's processor until the runtime's monitor takes it away, and the
// monitor looks for that every 20 us as long as it finds such threads: measured, 22 % of the CPU time of a follower and
// 10 % of a leader's went there.
type disk struct {
	*tidwall.Log
	flush *flusher // nil: fsync
}

func newDisk(w *tidwall.Log) disk {
	flush, err := newFlusher()
	if err != nil {
		flush = nil // a sandbox may forbid it; fsync does the same
	}
	return disk{Log: w, flush: flush}
}

// Sync implements backend.
func (d disk) Sync(tail string) error {
	if d.flush == nil {
		return d.Log.Sync()
	}
	return d.flush.sync(tail)
}

// TruncateFront implements backend. tidwall/wal replaces the segment that holds index by a new file, perhaps of the same
// name.
func (d disk) TruncateFront(index uint64) error {
	err := d.Log.TruncateFront(index)
	if d.flush != nil {
		err = errors.Join(err, d.flush.forget())
	}
	return err
}

// Close implements backend.
func (d disk) Close() error {
	err := d.Log.Close()
	if d.flush != nil {
		err = errors.Join(err, d.flush.close())
	}
	return err
}
