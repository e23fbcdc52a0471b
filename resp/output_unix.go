//go:build unix

package resp

import (
	"io"
	"syscall"

	"golang.org/x/sys/unix"
)

// direct uses a socket without blocking. One goroutine at a time writes, one reads.
type direct struct {
	raw  syscall.RawConn
	call func(fd uintptr) bool // made once: a closure per write would be garbage
	b    []byte
	n    int
	err  error
}

func newDirect(raw syscall.RawConn) *direct {
	d := &direct{raw: raw}
	d.call = func(fd uintptr) bool {
		for {
			d.n, d.err = unix.Write(int(fd), d.b)
			if d.err != unix.EINTR {
				return true // also when the socket is full: nobody waits here
			}
		}
	}
	return d
}

// write writes what the socket takes at once.
func (d *direct) write(b []byte) (int, error) {
	d.b, d.n, d.err = b, 0, nil
	err := d.raw.Write(d.call)
	d.b = nil
	switch {
	case err != nil:
		return 0, err
	case d.err == unix.EAGAIN:
		return 0, nil
	case d.err != nil:
		return 0, d.err
	case d.n == 0:
		return 0, io.ErrShortWrite
	}
	return d.n, nil
}

// read reads what has come, 0 when that is nothing; an error is left to the next read that may wait.
func (d *direct) read(b []byte) int {
	n := 0
	err := d.raw.Read(func(fd uintptr) bool {
		for {
			var err error
			if n, err = unix.Read(int(fd), b); err != unix.EINTR {
				return true
			}
		}
	})
	if err != nil {
		return 0
	}
	return max(0, n)
}

// discard reads what has come, up to 1 MB, and drops it.
func (d *direct) discard() {
	var p [4096]byte
	// An error means that there is nothing to discard.
	_ = d.raw.Control(func(fd uintptr) {
		for range 256 {
			if n, err := unix.Read(int(fd), p[:]); n <= 0 || err != nil {
				return
			}
		}
	})
}
