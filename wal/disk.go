package wal

import (
	"errors"
	"fmt"

	tidwall "github.com/tidwall/wal"
)

// backend writes the segments of a journal. Every one of them writes the same bytes into files of the same names.
type backend interface {
	// Add takes record seq, which follows the one added before it. Nothing is written before Flush; rec is copied.
	Add(seq uint64, rec []byte)
	// Flush writes what was added, without waiting for the disk, and begins new segments in between.
	Flush() error
	// Sync makes everything written durable. tail is the path of the last segment, the only one that is not yet.
	Sync(tail string) error
	// TruncateFront makes seq the first record.
	TruncateFront(seq uint64) error
	ClearCache() error
	Close() error
}

// openBackend opens the segments in dir, which must be whole and end in front of record next, to append to them.
func openBackend(fs FS, dir string, segmentSize int, next uint64) (backend, error) {
	if !isNative(fs) {
		return openFiles(fs, dir, int64(segmentSize), next)
	}
	w, err := tidwall.Open(dir, &tidwall.Options{
		NoSync:           true, // Append syncs once, behind its last write
		SegmentSize:      segmentSize,
		SegmentCacheSize: 1,
		NoCopy:           true,
		AllowEmpty:       true,
		DirPerms:         dirPerm,
		FilePerms:        filePerm,
	})
	if err != nil {
		return nil, err
	}
	last, err := w.LastIndex()
	if err == nil {
		err = checkLast(last, next-1)
	}
	if err != nil {
		closeQuietly(w)
		return nil, err
	}
	return newDisk(w), nil
}

// checkLast compares what a backend finds in the files with what the scan did.
func checkLast(have, want uint64) error {
	if have != want {
		return fmt.Errorf("record %d is found last, by verification %d", have, want)
	}
	return nil
}

// disk is the backend of a running node: tidwall/wal, but for the fsync at the end of every batch, which no thread waits
// for where the system can do that. Appender only.
//
// A thread that waits in fsync keeps the scheduler's processor until the runtime's monitor takes it away, and the
// monitor looks for that every 20 us as long as it finds such threads: measured, 22 % of the CPU time of a follower and
// 10 % of a leader's went there.
type disk struct {
	*tidwall.Log
	batch tidwall.Batch
	bytes int      // in batch
	most  int      // highest value of bytes since batch was new
	flush *flusher // nil: fsync
}

func newDisk(w *tidwall.Log) *disk {
	flush, err := newFlusher()
	if err != nil {
		flush = nil // a sandbox may forbid it; fsync does the same
	}
	return &disk{Log: w, flush: flush}
}

// Add implements backend.
func (d *disk) Add(seq uint64, rec []byte) {
	d.batch.Write(seq, rec)
	d.bytes += len(rec)
}

// Flush implements backend.
func (d *disk) Flush() error {
	if err := d.WriteBatch(&d.batch); err != nil {
		return err
	}
	d.most = max(d.most, d.bytes)
	d.bytes = 0
	if d.most > keepBytes {
		d.batch, d.most = tidwall.Batch{}, 0
	}
	return nil
}

// Sync implements backend.
func (d *disk) Sync(tail string) error {
	if d.flush == nil {
		return d.Log.Sync()
	}
	return d.flush.sync(tail)
}

// TruncateFront implements backend. tidwall/wal replaces the segment that holds seq by a new file, perhaps of the same
// name.
func (d *disk) TruncateFront(seq uint64) error {
	err := d.Log.TruncateFront(seq)
	if d.flush != nil {
		err = errors.Join(err, d.flush.forget())
	}
	return err
}

// Close implements backend.
func (d *disk) Close() error {
	err := d.Log.Close()
	if d.flush != nil {
		err = errors.Join(err, d.flush.close())
	}
	return err
}
