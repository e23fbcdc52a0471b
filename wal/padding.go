package wal

import (
	"errors"

	"golang.org/x/sys/unix"
)

// padding writes zeros behind the last record of the last segment, before they are needed.
//
// A write behind the end of a file makes it longer, and a length is metadata: fdatasync then waits for a commit of the file
// system's journal as well, which is a second write and two more threads that have to run. A write over zeros that are on the
// disk is the data alone. Measured on ext4, three nodes and 50 clients on two cores: 0.76 ms instead of 0.93 for a sync.
//
// A file of n bytes of records gets n/4 zeros at most, so a small log has none, and less than a fifth of a file is nothing. No
// record begins with a zero (frame): where one stands and only zeros follow, the segment ends.
//
// Of the appender only.
type padding struct {
	fs    FS
	path  string // of the last segment; "": not known
	file  File   // the same, nil: not opened yet
	end   int64  // where the zeros end
	known int64  // bytes of records at the last call: what came since is one batch
}

const (
	leastPadding = 4 << 10
	mostPadding  = 256 << 10
	// padBatches is for how many batches like the last one zeros must do: else the syncs that they save are too few for
	// writing everything twice.
	padBatches = 4
)

var zeros [mostPadding]byte

// grow adds zeros to the last segment, of size bytes of records, which will have limit at most, unless there are enough.
// What it writes is durable with what is written already.
func (p *padding) grow(path string, size, limit int64) error {
	if path != p.path {
		if err := p.forget(); err != nil {
			return err
		}
		p.path = path
	}
	batch := size - p.known
	p.known = size
	if size <= p.end {
		return nil
	}
	n := min(size/4, mostPadding, limit-size)
	if n < max(leastPadding, padBatches*batch) {
		return nil
	}
	if err := p.open(); err != nil {
		return err
	}
	// Without room for zeros there may be some for records.
	wrote, err := p.file.WriteAt(zeros[:n], size)
	p.end = size + int64(wrote)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return nil
	}
	return err
}

func (p *padding) open() (err error) {
	if p.file == nil {
		p.file, err = p.fs.OpenWrite(p.path)
	}
	return err
}

// trim takes the zeros away from a segment that gets no more records, size bytes of them. If a crash is faster they are
// taken away when the log is opened.
func (p *padding) trim(path string, size int64) error {
	if path != p.path {
		return nil
	}
	var err error
	if p.end > size {
		err = p.file.Truncate(size)
	}
	return errors.Join(err, p.forget())
}

// forget must be called when another file may have come to bear the path of the last segment.
func (p *padding) forget() error {
	file := p.file
	*p = padding{fs: p.fs}
	if file == nil {
		return nil
	}
	return file.Close()
}

// allZero says whether b holds nothing but zeros.
func allZero(b []byte) bool {
	for len(b) > 0 {
		n := min(len(b), len(zeros))
		if string(b[:n]) != string(zeros[:n]) {
			return false
		}
		b = b[n:]
	}
	return true
}

// sizeOf is the length that the file of a segment with size bytes of records must have.
func (p *padding) sizeOf(path string, size int64) int64 {
	if path == p.path {
		size = max(size, p.end)
	}
	return size
}
