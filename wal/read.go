package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sort"

	"kvapp/raft"
)

const (
	readWindow  = 256 << 10 // bytes read from a segment at once, unless a record is larger
	readEntries = 64 << 10  // entries returned at most
)

// Read returns the entries from lo up to but not including hi, as far as they are durable and their data adds up to at
// most maxBytes; the first one always. It is for entries that are no longer in memory: it reads the segment files and
// checks every record. ErrCompacted and ErrUnavailable say that lo is not in the log; any other error is final. Any
// goroutine; it delays Compact, never Append.
func (l *Log) Read(lo, hi uint64, maxBytes int) ([]raft.Entry, error) {
	if lo >= hi {
		return nil, fmt.Errorf("wal: read of the empty range %d to %d", lo, hi)
	}
	l.files.RLock()
	defer l.files.RUnlock()
	if err := l.err(); err != nil {
		return nil, err
	}
	at, segments, err := l.locate(lo, hi, maxBytes)
	if err != nil {
		return nil, err
	}
	r := reader{l: l, segments: segments, budget: maxBytes}
	out, err := r.read(lo, at)
	r.close()
	if err != nil {
		return nil, l.fail("read", err)
	}
	return out, nil
}

// locate copies what is needed to find entries [lo, hi), so that the files are read without the mutex.
func (l *Log) locate(lo, hi uint64, maxBytes int) ([]uint64, []segment, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case lo < l.idx.first:
		return nil, nil, fmt.Errorf("%w: entry %d, the first is %d", ErrCompacted, lo, l.idx.first)
	case lo > l.idx.last():
		return nil, nil, fmt.Errorf("%w: entry %d, the last is %d", ErrUnavailable, lo, l.idx.last())
	}
	at := l.idx.at[lo-l.idx.first:]
	if n := hi - lo; uint64(len(at)) > n {
		at = at[:n]
	}
	if len(at) > readEntries {
		at = at[:readEntries]
	}
	// Entry n+1 begins at least its own data behind entry 1: no need to copy the positions of those beyond maxBytes.
	room := uint64(max(maxBytes, 0)) + uint64(len(at))*(minRecord+5)
	n := sort.Search(len(at), func(i int) bool { return at[i]-at[0] > room && i > 0 })
	at = append([]uint64(nil), at[:n]...)
	from := findSegment(l.segments, at[0])
	to := findSegment(l.segments, at[n-1])
	return at, append([]segment(nil), l.segments[from:to+1]...), nil
}

// findSegment returns the one that holds logical position p.
func findSegment(segments []segment, p uint64) int {
	return sort.Search(len(segments), func(i int) bool { return segments[i].end() > p })
}

// reader reads the entries of one call. The entries it returns share the windows' memory.
type reader struct {
	l        *Log
	segments []segment // those that hold the entries, in order
	budget   int       // bytes of data that may still be returned

	file   File   // segments[0], nil before it is opened
	window []byte // bytes of file from offset base on
	base   int64
}

func (r *reader) close() {
	if r.file != nil {
		closeQuietly(r.file)
		r.file = nil
	}
}

func (r *reader) read(lo uint64, at []uint64) ([]raft.Entry, error) {
	out := make([]raft.Entry, 0, min(len(at), 1024))
	var rec record
	for i, p := range at {
		for p >= r.segments[0].end() {
			r.close()
			r.segments, r.window = r.segments[1:], nil
		}
		b, err := r.frame(int64(p - r.segments[0].start))
		if err != nil {
			return nil, err
		}
		damage := func(reason string) error {
			return &CorruptError{segmentPath(r.l.dir, r.segments[0].first), int64(p - r.segments[0].start), rec.seq, reason}
		}
		if err := decodeRecord(b, &rec); err != nil {
			return nil, damage(err.Error())
		}
		if rec.typ != recEntry && rec.typ != recRefounded || rec.entry.Index != lo+uint64(i) {
			return nil, damage(fmt.Sprintf("not the record of entry %d", lo+uint64(i)))
		}
		if r.budget -= len(rec.entry.Data); r.budget < 0 && i > 0 {
			break
		}
		out = append(out, rec.entry)
	}
	return out, nil
}

// frame returns the record whose frame begins at byte off of segments[0].
func (r *reader) frame(off int64) ([]byte, error) {
	const longestLength = 5 // of a uvarint up to maxRecord
	left := r.segments[0].size - off
	b, err := r.bytes(off, min(longestLength, left))
	if err != nil {
		return nil, err
	}
	size, w := binary.Uvarint(b)
	if w <= 0 || size > maxRecord || int64(w)+int64(size) > left {
		return nil, &CorruptError{segmentPath(r.l.dir, r.segments[0].first), off, 0, fmt.Sprintf("impossible length %d", size)}
	}
	if b, err = r.bytes(off, int64(w)+int64(size)); err != nil {
		return nil, err
	}
	return b[w:], nil
}

// bytes returns n bytes from offset off on, through the window.
func (r *reader) bytes(off, n int64) ([]byte, error) {
	if from := off - r.base; r.window != nil && from >= 0 && from+n <= int64(len(r.window)) {
		return r.window[from : from+n : from+n], nil
	}
	path := segmentPath(r.l.dir, r.segments[0].first)
	if r.file == nil {
		var err error
		if r.file, err = r.l.fs.Open(path); err != nil {
			return nil, err
		}
	}
	ahead := min(int64(max(r.budget, 0)), math.MaxInt64/2) + 4096
	size := min(max(n, min(ahead, readWindow)), r.segments[0].size-off)
	if size < n {
		return nil, &CorruptError{path, off, 0, "the record ends behind the segment"}
	}
	window := make([]byte, size)
	if _, err := r.file.ReadAt(window, off); err != nil {
		return nil, errors.Join(err, &CorruptError{path, off, 0, "cannot be read"})
	}
	r.window, r.base = window, off
	return window[:n:n], nil
}
