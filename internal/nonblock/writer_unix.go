//go:build unix

package nonblock

import (
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Writer writes to one socket. It allocates nothing after New.
type Writer struct {
	raw  syscall.RawConn
	call func(fd uintptr) bool // made once: a closure per write would be garbage
	b    []byte
	n    int
	err  error
}

// New returns a Writer for conn, nil if conn cannot be written without waiting.
func New(conn net.Conn) *Writer {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	w := &Writer{raw: raw}
	w.call = func(fd uintptr) bool {
		for {
			w.n, w.err = write(int(fd), w.b)
			if w.err != unix.EINTR {
				return true // also when the socket is full: nobody waits here
			}
		}
	}
	return w
}

// Write writes what the socket takes at once and returns how many bytes that was, 0 if the socket is full.
func (w *Writer) Write(b []byte) (int, error) {
	w.b, w.n, w.err = b, 0, nil
	err := w.raw.Write(w.call)
	w.b = nil
	switch {
	case err != nil:
		return 0, err
	case w.err == unix.EAGAIN:
		return 0, nil
	case w.err != nil:
		return 0, w.err
	case w.n == 0 && len(b) > 0:
		return 0, io.ErrShortWrite
	}
	return w.n, nil
}

// Read reads what has come without waiting for more and returns how many bytes that was. An error, and the end of the
// stream, are left to the next read that waits. One goroutine may read while another writes.
func (w *Writer) Read(b []byte) int {
	n := 0
	err := w.raw.Read(func(fd uintptr) bool {
		for {
			var err error
			if n, err = read(int(fd), b); err != unix.EINTR {
				return true
			}
		}
	})
	if err != nil {
		return 0
	}
	return max(0, n)
}

// Discard reads what has come, up to 1 MB, and drops it.
func (w *Writer) Discard() {
	var p [4096]byte
	// An error means that there is nothing to discard.
	_ = w.raw.Control(func(fd uintptr) {
		for range 256 {
			if n, err := unix.Read(int(fd), p[:]); n <= 0 || err != nil {
				return
			}
		}
	})
}
