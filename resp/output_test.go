package resp

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pair is a guarded connection whose limits the test owns, and the socket of its client.
func pair(t testing.TB, lim Limits) (*Conn, *net.TCPConn, *Listener) {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	if lim.MaxBulk == 0 {
		lim.MaxBulk, lim.MaxInline = 1<<20, 64<<10
	}
	ln := NewListener(inner, func() *Limits { return &lim }, discard)
	t.Cleanup(func() { require.NoError(t, ln.Close()) })
	nc, err := net.Dial("tcp", inner.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = nc.Close() })
	require.NoError(t, nc.SetDeadline(time.Now().Add(patience)))
	accepted, err := ln.Accept()
	require.NoError(t, err)
	c, ok := accepted.(*Conn)
	require.True(t, ok)
	t.Cleanup(c.Kill)
	tcp, ok := nc.(*net.TCPConn)
	require.True(t, ok)
	return c, tcp, ln
}

// soon waits for a state.
func soon(t testing.TB, what string, f func() bool) {
	t.Helper()
	require.Eventually(t, f, patience, time.Millisecond, what)
}

// stuff pushes until the socket takes no more, and returns what was pushed.
func stuff(t testing.TB, c *Conn, piece []byte) (sent []byte) {
	t.Helper()
	for c.OutputBuffer() == 0 {
		require.NoError(t, c.Push(piece))
		sent = append(sent, piece...)
	}
	return sent
}

// noted is a socket that remembers its write deadline.
type noted struct {
	*net.TCPConn
	deadline atomic.Int64 // Unix ns, 0 = none
	set      atomic.Int64 // how often there was one
}

func (n *noted) SetWriteDeadline(at time.Time) error {
	if at.IsZero() {
		n.deadline.Store(0)
	} else {
		n.deadline.Store(at.UnixNano())
		n.set.Add(1)
	}
	return n.TCPConn.SetWriteDeadline(at)
}

// The deadline of a reply that had to wait does not stay for the next one: when it passed while the client idled, that
// reply would fail.
func TestNoDeadlineStays(t *testing.T) {
	c, nc, _ := pair(t, Limits{WriteTimeout: time.Hour})
	tcp, ok := c.Conn.(*net.TCPConn)
	require.True(t, ok)
	socket := &noted{TCPConn: tcp}
	c.Conn = socket
	sent := stuff(t, c, bytes.Repeat([]byte("+x\r\n"), 1<<16))
	_, err := io.ReadFull(nc, make([]byte, len(sent)))
	require.NoError(t, err)
	soon(t, "the queue is empty", func() bool {
		c.output.mu.Lock()
		defer c.output.mu.Unlock()
		return !c.output.writing
	})
	require.NotZero(t, socket.set.Load())
	require.Zero(t, socket.deadline.Load())
	require.NoError(t, c.Push([]byte("+late\r\n")))
	got := make([]byte, 7)
	_, err = io.ReadFull(nc, got)
	require.NoError(t, err)
	require.Equal(t, "+late\r\n", string(got))
}

// A client that takes nothing is cut after the write timeout, and whoever waits for it goes on.
func TestWriteTimeout(t *testing.T) {
	c, _, ln := pair(t, Limits{WriteTimeout: 100 * time.Millisecond})
	piece := bytes.Repeat([]byte("x"), 256<<10)
	var err error
	for err == nil {
		_, err = c.Write(piece)
	}
	require.ErrorIs(t, err, net.ErrClosed)
	soon(t, "forgotten", func() bool { return ln.Count() == 0 })
	require.Zero(t, c.OutputBuffer())
}

// drip is a socket of whose Write only n bytes pass per deadline.
type drip struct {
	net.Conn
	n    int
	left int
}

func (d *drip) SetWriteDeadline(time.Time) error { d.left = d.n; return nil }

func (d *drip) Write(b []byte) (int, error) {
	n, err := d.Conn.Write(b[:min(len(b), d.left)])
	if err == nil && n < len(b) {
		err = fmt.Errorf("write: %w", errTimeoutForTest)
	}
	return n, err
}

var errTimeoutForTest = timeoutError{}

type timeoutError struct{}

func (timeoutError) Error() string   { return "timed out" }
func (timeoutError) Is(e error) bool { return e.Error() == "i/o timeout" }

// A client that is slow, but takes something within every timeout, gets everything.
func TestSlowIsNotStuck(t *testing.T) {
	near, far := net.Pipe()
	lim := Limits{WriteTimeout: time.Minute}
	ln := NewListener(nil, func() *Limits { return &lim }, discard)
	c := newGuarded(ln, &drip{Conn: near, n: 10}, 1)
	want := strings.Repeat("0123456789abcdef", 100)
	require.NoError(t, c.Push([]byte(want)))
	require.NoError(t, far.SetDeadline(time.Now().Add(patience)))
	got := make([]byte, len(want))
	_, err := io.ReadFull(far, got)
	require.NoError(t, err)
	require.Equal(t, want, string(got))
	c.Kill()
}

// A reply is activity, as the idle time of Redis has it: who waited long for a command is not cut behind its reply.
func TestReplyIsActivity(t *testing.T) {
	c, _, _ := pair(t, Limits{})
	c.last.Store(1)
	_, err := c.Write([]byte(okay))
	require.NoError(t, err)
	require.Zero(t, c.OutputBuffer(), "written at once")
	require.Less(t, time.Since(c.LastActive()), time.Minute)
}

// Pushes of many goroutines and replies are not torn, and those of one goroutine come in order.
func TestPushesAndRepliesAreNotTorn(t *testing.T) {
	c, nc, _ := pair(t, Limits{WriteTimeout: time.Minute})
	const writers, each = 4, 2000
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				b := []byte(fmt.Sprintf("%d %d %s\n", w, i, strings.Repeat(string(rune('a'+w)), i%300)))
				if w == 0 {
					if _, err := c.Write(b); err != nil {
						t.Error(err)
					}
				} else if err := c.Push(b); err != nil {
					t.Error(err)
				}
			}
		})
	}
	go func() {
		wg.Wait()
		c.CloseAfterReply()
	}()
	all, err := io.ReadAll(nc)
	require.NoError(t, err)
	next := [writers]int{}
	for _, line := range strings.Split(strings.TrimSuffix(string(all), "\n"), "\n") {
		var w, i int
		_, err := fmt.Sscanf(line, "%d %d", &w, &i)
		require.NoError(t, err, line)
		require.Equal(t, next[w], i)
		require.Equal(t, fmt.Sprintf("%d %d %s", w, i, strings.Repeat(string(rune('a'+w)), i%300)), line)
		next[w]++
	}
	require.Equal(t, [writers]int{each, each, each, each}, next)
	require.EqualValues(t, len(all), c.BytesOut())
}

// What was sent before the end arrives, although the client has sent what nobody read.
func TestLastWordsArrive(t *testing.T) {
	for range 20 {
		c, nc, _ := pair(t, Limits{WriteTimeout: time.Minute})
		_, err := nc.Write(make([]byte, 100000))
		require.NoError(t, err)
		want := bytes.Repeat([]byte("y"), 300000)
		_, err = c.Write(want)
		require.NoError(t, err)
		c.CloseAfterReply()
		require.ErrorIs(t, c.Push([]byte("more")), net.ErrClosed)
		got := make([]byte, len(want))
		_, err = io.ReadFull(nc, got)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func TestOutputLimits(t *testing.T) {
	piece := bytes.Repeat([]byte("x"), 100<<10)
	flood := func(t *testing.T, write func(*Conn) error, lim Limits) (most int64) {
		c, _, _ := pair(t, lim)
		for i := 0; ; i++ {
			require.Less(t, i, 2000, "never dropped")
			most = max(most, c.OutputBuffer())
			if err := write(c); err != nil {
				require.ErrorIs(t, err, net.ErrClosed)
				soon(t, "gone", func() bool { return c.OutputBuffer() == 0 })
				return most
			}
		}
	}
	write := func(c *Conn) error { _, err := c.Write(piece); return err }
	push := func(c *Conn) error { return c.Push(piece) }
	small := func(c *Conn) (err error) {
		for i := 0; i < 20 && err == nil; i++ {
			err = c.Push(piece[:1000])
		}
		return err
	}
	t.Run("hard, replies", func(t *testing.T) {
		most := flood(t, write, Limits{OutHard: 5 << 20})
		require.LessOrEqual(t, most, int64(5<<20))
		require.Greater(t, most, int64(4<<20), "not before the limit")
	})
	t.Run("hard, pushes", func(t *testing.T) {
		require.LessOrEqual(t, flood(t, push, Limits{OutHard: 1 << 20}), int64(1<<20))
	})
	t.Run("no limit, pushes", func(t *testing.T) {
		require.LessOrEqual(t, flood(t, push, Limits{}), int64(pushHard))
	})
	t.Run("no limit, replies", func(t *testing.T) {
		most := flood(t, write, Limits{WriteTimeout: 200 * time.Millisecond})
		require.LessOrEqual(t, most, int64(highWater+len(piece)))
	})
	t.Run("soft", func(t *testing.T) {
		most := flood(t, write, Limits{OutSoft: 3 << 20, OutSoftSeconds: 1})
		require.LessOrEqual(t, most, int64(3<<20+len(piece)))
		require.Greater(t, most, int64(3<<20-len(piece)), "not before the limit")
	})
	t.Run("no password given", func(t *testing.T) {
		require.LessOrEqual(t, flood(t, small, Limits{Password: true}), int64(hardStrange))
	})
}

// Writers, pushers, enders and killers at the same time: nothing hangs, nothing is left.
func TestOutputEndsUnderAnything(t *testing.T) {
	for round := range 60 {
		c, nc, ln := pair(t, Limits{WriteTimeout: 200 * time.Millisecond, OutSoft: 1 << 20})
		piece := bytes.Repeat([]byte("x"), 200<<10)
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				if _, err := c.Write(piece); err != nil {
					return
				}
			}
		})
		wg.Go(func() {
			for c.Push(piece[:100]) == nil {
				runtime.Gosched()
			}
		})
		wg.Go(func() {
			for c.Push(piece[:10000]) == nil {
				_ = c.output.overSoft(time.Now(), ln.lim())
				runtime.Gosched()
			}
		})
		soon(t, "output waits", func() bool { return c.OutputBuffer() > 0 })
		switch round % 4 {
		case 0:
			c.Kill()
		case 1:
			c.CloseAfterReply()
		case 2:
			require.NoError(t, nc.Close())
		case 3:
			wg.Go(c.Kill)
			wg.Go(c.CloseAfterReply)
		}
		wg.Wait()
		soon(t, "forgotten", func() bool { return ln.Count() == 0 })
	}
}
