//go:build unix

package nonblock

import (
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Reader reads one socket as its net.Conn does: it waits for bytes, minds the read deadline, and ends with io.EOF or a
// *net.OpError. It allocates nothing after NewReader.
type Reader struct {
	conn net.Conn
	raw  syscall.RawConn
	call func(fd uintptr) bool
	p    []byte
	n    int
	err  error
}

// NewReader returns a Reader for conn; if conn is no socket, its Read is all that is used.
func NewReader(conn net.Conn) *Reader {
	r := &Reader{conn: conn}
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return r
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return r
	}
	r.raw = raw
	r.call = func(fd uintptr) bool {
		for {
			r.n, r.err = read(int(fd), r.p)
			if r.err != unix.EINTR {
				return r.err != unix.EAGAIN
			}
		}
	}
	return r
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	if r.raw == nil || len(p) == 0 {
		return r.conn.Read(p)
	}
	r.p, r.n, r.err = p, 0, nil
	err := r.raw.Read(r.call)
	r.p = nil
	switch {
	case err != nil:
		return 0, err
	case r.err != nil:
		return 0, &net.OpError{
			Op: "read", Net: r.conn.LocalAddr().Network(), Source: r.conn.LocalAddr(), Addr: r.conn.RemoteAddr(),
			Err: os.NewSyscallError("read", r.err),
		}
	case r.n == 0:
		return 0, io.EOF
	}
	return r.n, nil
}
