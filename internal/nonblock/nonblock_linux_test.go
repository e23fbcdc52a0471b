package nonblock

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pair is the two ends of a TCP connection.
func pair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, ln.Close()) }()
	a, err = net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	b, err = ln.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
	return a, b
}

// The Reader ends as the connection's own Read does.
func TestReaderReadsAsItsConnection(t *testing.T) {
	t.Run("waits for bytes, and for the end", func(t *testing.T) {
		a, b := pair(t)
		sent := bytes.Repeat([]byte("0123456789"), 50_000)
		go func() {
			_, _ = a.Write(sent)
			_ = a.Close()
		}()
		r := NewReader(b)
		var got []byte
		for _, size := range []int{0, 1, 1000, 200_000} { // above and below what is read without the scheduler
			p := make([]byte, size)
			n, err := r.Read(p)
			require.NoError(t, err)
			got = append(got, p[:n]...)
		}
		rest, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, sent, append(got, rest...))
		n, err := r.Read(make([]byte, 10))
		require.Zero(t, n)
		require.Equal(t, io.EOF, err)
	})
	t.Run("minds the deadline", func(t *testing.T) {
		a, b := pair(t)
		r := NewReader(b)
		require.NoError(t, b.SetReadDeadline(time.Now().Add(-time.Second)))
		_, err := r.Read(make([]byte, 10))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, b.SetReadDeadline(time.Time{}))
		done := make(chan error, 1)
		go func() { _, err := r.Read(make([]byte, 10)); done <- err }()
		require.NoError(t, b.SetReadDeadline(time.Now().Add(time.Millisecond)))
		require.ErrorIs(t, <-done, os.ErrDeadlineExceeded)
		require.NoError(t, b.SetReadDeadline(time.Time{}))
		_, err = a.Write([]byte("later"))
		require.NoError(t, err)
		p := make([]byte, 10)
		n, err := r.Read(p)
		require.NoError(t, err)
		require.Equal(t, "later", string(p[:n]))
	})
	t.Run("ends when the connection is closed", func(t *testing.T) {
		_, b := pair(t)
		r := NewReader(b)
		done := make(chan error, 1)
		go func() { _, err := r.Read(make([]byte, 10)); done <- err }()
		require.NoError(t, b.Close())
		require.ErrorIs(t, <-done, net.ErrClosed)
		_, err := r.Read(make([]byte, 10))
		require.ErrorIs(t, err, net.ErrClosed)
	})
	t.Run("says that the peer has reset it", func(t *testing.T) {
		a, b := pair(t)
		require.NoError(t, a.(*net.TCPConn).SetLinger(0))
		require.NoError(t, a.Close())
		_, err := NewReader(b).Read(make([]byte, 10))
		require.ErrorIs(t, err, syscall.ECONNRESET)
		var op *net.OpError
		require.ErrorAs(t, err, &op)
		require.Equal(t, "read", op.Op)
		require.Equal(t, b.RemoteAddr(), op.Addr)
	})
	t.Run("takes what is no socket", func(t *testing.T) {
		a, b := net.Pipe()
		go func() { _, _ = a.Write([]byte("x")); _ = a.Close() }()
		text, err := io.ReadAll(NewReader(b))
		require.NoError(t, err)
		require.Equal(t, "x", string(text))
	})
}

// A Writer writes what fits and never waits; what comes out at the other end is what it said.
func TestWriterWritesWhatFits(t *testing.T) {
	a, b := pair(t)
	w := New(a)
	require.NotNil(t, w)
	var sent int
	chunk := bytes.Repeat([]byte{7}, 100_000)
	for _, size := range []int{1, 1000, len(chunk)} {
		n, err := w.Write(chunk[:size])
		require.NoError(t, err)
		require.Equal(t, size, n)
		sent += n
	}
	for {
		n, err := w.Write(chunk)
		require.NoError(t, err)
		sent += n
		if n == 0 {
			break
		}
	}
	require.NoError(t, a.(*net.TCPConn).CloseWrite())
	got, err := io.ReadAll(NewReader(b))
	require.NoError(t, err)
	require.Len(t, got, sent)
	_, err = w.Write([]byte("x"))
	require.True(t, errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed), "%v", err)
}

func TestBoottimeGoesOn(t *testing.T) {
	first := Boottime()
	require.Positive(t, first)
	for last := first; last == first; {
		last = Boottime()
		require.GreaterOrEqual(t, last, first)
	}
}

// Nothing is allocated for a call.
func TestCallsAllocateNothing(t *testing.T) {
	a, b := pair(t)
	w, r, p := New(a), NewReader(b), make([]byte, 16)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		n, err := w.Write(p)
		if n == len(p) && err == nil {
			_, err = io.ReadFull(r, p)
		}
		if err != nil {
			t.Error(n, err)
		}
		Boottime()
	}))
}
