package disk

import (
	"io"
	"io/fs"
	"syscall"
)

// file is an open file. It ends with Close, Kill and Crash.
type file struct {
	d        *Disk
	n        *inode
	name     string
	epoch    uint64
	off      int64 // of Read and Write
	writable bool
	closed   bool
}

func (f *file) Name() string { return f.name }

// usable says whether the file is still open.
func (f *file) usable(op Op) error {
	if f.closed || f.epoch != f.d.epoch {
		return pathError(op, f.name, fs.ErrClosed)
	}
	return nil
}

// change begins an operation that changes the file.
func (f *file) change(op Op) (started bool, err error) {
	if err := f.usable(op); err != nil {
		return false, err
	}
	if !f.writable {
		return false, pathError(op, f.name, syscall.EBADF)
	}
	return f.d.change(op, f.name)
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if err := f.usable(OpRead); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, pathError(OpRead, f.name, fs.ErrInvalid)
	}
	if err := f.d.look(f.name); err != nil {
		return 0, err
	}
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := f.ReadAt(p, f.off)
	f.off += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

func (f *file) Write(p []byte) (int, error) {
	n, err := f.WriteAt(p, f.off)
	f.off += int64(n)
	return n, err
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, pathError(OpWrite, f.name, fs.ErrInvalid)
	}
	started, err := f.change(OpWrite)
	switch {
	case err != nil && started:
		p = p[:f.d.rand.IntN(len(p)+1)]
	case err != nil:
		return 0, err
	}
	grown := off + int64(len(p)) - int64(len(f.n.data))
	if room := f.d.capacity - f.d.used; f.n.linked && grown > max(room, 0) {
		p = p[:max(0, int64(len(p))-(grown-max(room, 0)))]
		if err == nil {
			err = pathError(OpWrite, f.name, syscall.ENOSPC)
		}
	}
	before := len(f.n.data)
	f.n.write(p, off)
	if f.n.linked {
		f.d.used += int64(len(f.n.data) - before)
	}
	return len(p), err
}

func (f *file) Truncate(size int64) error {
	if size < 0 {
		return pathError(OpTruncate, f.name, fs.ErrInvalid)
	}
	if _, err := f.change(OpTruncate); err != nil {
		return err
	}
	f.d.resize(f.n, size)
	return nil
}

func (f *file) Sync() error {
	// fsync(2) of a file that is open for reading only is allowed.
	if err := f.usable(OpSync); err != nil {
		return err
	}
	started, err := f.d.change(OpSync, f.name)
	switch {
	case err == nil:
		f.n.sync()
	case started && !f.d.crashed:
		f.n.dirty = f.n.dirty[:0]
	}
	return err
}

func (f *file) Seek(offset int64, whence int) (int64, error) {
	if err := f.usable(OpRead); err != nil {
		return 0, err
	}
	switch whence {
	case io.SeekCurrent:
		offset += f.off
	case io.SeekEnd:
		offset += int64(len(f.n.data))
	}
	if offset < 0 {
		return 0, pathError(OpRead, f.name, fs.ErrInvalid)
	}
	f.off = offset
	return offset, nil
}

func (f *file) Close() error {
	if err := f.usable(OpRead); err != nil {
		return err
	}
	f.closed = true
	return nil
}

// write puts bytes into the page cache. A gap in front of them reads as zeros.
func (n *inode) write(p []byte, off int64) {
	if len(p) == 0 {
		return
	}
	end := off + int64(len(p))
	n.data = grow(n.data, off)
	over := copy(n.data[off:], p)
	n.data = append(n.data, p[over:]...)
	if last := len(n.dirty) - 1; last >= 0 && n.dirty[last].from >= 0 && n.dirty[last].to == off {
		n.dirty[last].to = end
		return
	}
	n.dirty = append(n.dirty, change{off, end})
}

// truncate makes the file size bytes long; new ones are zeros.
func (n *inode) truncate(size int64) {
	n.data = grow(n.data[:min(size, int64(len(n.data)))], size)
	n.dirty = append(n.dirty, change{-1, size})
}

// grow appends zeros up to size.
func grow(b []byte, size int64) []byte {
	if more := size - int64(len(b)); more > 0 {
		b = append(b, make([]byte, more)...)
	}
	return b
}

// sync makes the content durable. What a failed sync has given up stays on the disk as it was, zeros where it was
// nothing.
func (n *inode) sync() {
	for _, c := range n.dirty {
		n.keep(c)
	}
	n.dirty = n.dirty[:0]
	n.setSize(int64(len(n.data)))
}

// keep makes one change durable.
func (n *inode) keep(c change) {
	if c.from < 0 {
		n.setSize(c.to)
		return
	}
	to := min(c.to, int64(len(n.data)))
	if c.from >= to {
		return // cut off later
	}
	n.durable = grow(n.durable, c.from)
	src := n.data[c.from:to]
	over := copy(n.durable[c.from:], src)
	n.durable = append(n.durable, src[over:]...)
}

// setSize changes the length of the durable content.
func (n *inode) setSize(size int64) {
	n.durable = grow(n.durable[:min(size, int64(len(n.durable)))], size)
}
