package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sort"
)

// files is the backend for an FS that is not the operating system's: it leaves in the files what tidwall/wal would,
// which begins a new segment in front of a write when the last one is above the limit, and behind a record that reaches
// it. Appender only.
type files struct {
	fs       FS
	dir      string
	limit    int64
	segments []uint64 // first seq of each, ascending
	next     uint64   // seq of the next record to be written
	tail     File     // the last segment
	size     int64    // of tail

	buf  []byte // frames added and not flushed
	ends []int  // where each of them ends in buf
}

// openFiles opens the segments in dir behind record next-1. A directory without segments gets one.
func openFiles(fs FS, dir string, limit int64, next uint64) (*files, error) {
	list, err := listLog(fs, dir)
	if err != nil {
		return nil, err
	}
	f := &files{fs: fs, dir: dir, limit: limit, segments: list.segments, next: next}
	if len(f.segments) == 0 {
		f.segments = append(f.segments, 1)
		f.tail, err = fs.Create(segmentPath(dir, 1))
		return f, err
	}
	first := f.segments[len(f.segments)-1]
	data, err := fs.ReadFile(segmentPath(dir, first))
	if err != nil {
		return nil, err
	}
	n, end, err := skipFrames(data, math.MaxUint64)
	if err == nil {
		err = checkLast(first+n-1, next-1)
	}
	if err != nil {
		return nil, err
	}
	f.size = int64(end)
	f.tail, err = fs.OpenWrite(segmentPath(dir, first))
	return f, err
}

// skipFrames walks over the first most frames of b and says how many there are and where they end.
func skipFrames(b []byte, most uint64) (n uint64, end int, err error) {
	for ; n < most && end < len(b); n++ {
		_, size, reason := frame(b[end:])
		if reason != "" {
			return n, end, fmt.Errorf("frame at byte %d: %s", end, reason)
		}
		end += size
	}
	return n, end, nil
}

// Add implements backend.
func (f *files) Add(_ uint64, rec []byte) {
	f.buf = binary.AppendUvarint(f.buf, uint64(len(rec)))
	f.buf = append(f.buf, rec...)
	f.ends = append(f.ends, len(f.buf))
}

// Flush implements backend.
func (f *files) Flush() error {
	if len(f.ends) == 0 {
		return nil
	}
	if f.size > f.limit {
		if err := f.cycle(); err != nil {
			return err
		}
	}
	from := 0
	for _, end := range f.ends {
		f.next++
		if f.size+int64(end-from) < f.limit {
			continue
		}
		if err := f.write(f.buf[from:end]); err != nil {
			return err
		}
		if err := f.cycle(); err != nil {
			return err
		}
		from = end
	}
	err := f.write(f.buf[from:])
	f.buf, f.ends = f.buf[:0], f.ends[:0]
	if cap(f.buf) > keepBytes {
		f.buf = nil
	}
	return err
}

// write appends to the last segment.
func (f *files) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if _, err := f.tail.WriteAt(b, f.size); err != nil {
		return err
	}
	f.size += int64(len(b))
	return nil
}

// cycle makes the last segment durable and begins the next one.
func (f *files) cycle() error {
	if err := f.tail.Sync(); err != nil {
		return err
	}
	if err := f.tail.Close(); err != nil {
		return err
	}
	tail, err := f.fs.Create(segmentPath(f.dir, f.next))
	if err != nil {
		return err
	}
	f.tail, f.size, f.segments = tail, 0, append(f.segments, f.next)
	return nil
}

// Sync implements backend.
func (f *files) Sync(string) error { return f.tail.Sync() }

// TruncateFront implements backend. What is left of the segment that holds seq is written to a file seq.START, which
// from then on replaces all segments up to seq; a start that finds it goes on from there.
func (f *files) TruncateFront(seq uint64) error {
	if seq < f.segments[0] || seq > f.next {
		return fmt.Errorf("record %d is outside of %d to %d", seq, f.segments[0], f.next)
	}
	if seq == f.segments[0] {
		return nil
	}
	i := sort.Search(len(f.segments), func(i int) bool { return f.segments[i] > seq }) - 1
	rest, err := f.from(i, seq)
	if err != nil {
		return err
	}
	path := segmentPath(f.dir, seq)
	temp := path + startSuffix + tempSuffix
	if err := writeSynced(f.fs, temp, rest); err != nil {
		return errors.Join(err, f.fs.Remove(temp))
	}
	if err := f.fs.Rename(temp, path+startSuffix); err != nil {
		return err
	}
	last := i == len(f.segments)-1
	if last {
		if err := f.tail.Close(); err != nil {
			return err
		}
	}
	for _, first := range f.segments[:i+1] {
		if err := f.fs.Remove(segmentPath(f.dir, first)); err != nil {
			return err
		}
	}
	if err := f.fs.Rename(path+startSuffix, path); err != nil {
		return err
	}
	f.segments = append(f.segments[:0], f.segments[i:]...)
	f.segments[0] = seq
	if last {
		f.size = int64(len(rest))
		f.tail, err = f.fs.OpenWrite(path)
	}
	return err
}

// from returns the bytes of segment number i from record seq on.
func (f *files) from(i int, seq uint64) ([]byte, error) {
	data, err := f.fs.ReadFile(segmentPath(f.dir, f.segments[i]))
	if err != nil {
		return nil, err
	}
	if i == len(f.segments)-1 {
		data = data[:f.size] // without the zeros behind it
	}
	skip := seq - f.segments[i]
	n, off, err := skipFrames(data, skip)
	if err == nil && n < skip {
		err = fmt.Errorf("segment %d ends in front of record %d", f.segments[i], seq)
	}
	if err != nil {
		return nil, err
	}
	return data[off:], nil
}

// ClearCache implements backend: nothing is cached.
func (f *files) ClearCache() error { return nil }

// Close implements backend.
func (f *files) Close() error { return errors.Join(f.tail.Sync(), f.tail.Close()) }
