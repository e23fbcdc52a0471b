package resp

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// live is the memory that is in use behind a collection.
func live() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// bounded demands that what is in use has not grown by more than limit bytes since base.
func bounded(t testing.TB, base, limit uint64) {
	t.Helper()
	require.Eventually(t, func() bool { return live() < base+limit }, patience, 10*time.Millisecond, "more than %d bytes over %d", limit, base)
}

// attack opens a connection and sends what the server may cut short.
func attack(t testing.TB, addr, what string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = nc.Close() })
	require.NoError(t, nc.SetDeadline(time.Now().Add(patience)))
	_, _ = nc.Write([]byte(what)) // may fail: the server closes
	return nc
}

// Lengths that redcon believes, alone and behind good commands, end nothing but their own connection.
func TestHugeLengths(t *testing.T) {
	for _, pass := range []string{"", "secret"} {
		s := guarded(t, pass)
		for _, n := range []string{"9223372036854775807", "9223372036854775805", "4611686018427387904", "-2", "18446744073709551615", "2147483648", "536870913"} {
			for _, head := range []string{"*1\r\n$", "*2\r\n$4\r\nECHO\r\n$", "*", "*1\r\n$4\r\nPING\r\n*1\r\n$"} {
				for _, before := range []string{"", cmd("PING"), cmd("ECHO", strings.Repeat("x", 5000)), "PING\r\n"} {
					if head == "*" && n == "-2" {
						continue // an empty command
					}
					nc := attack(t, addrOf(s), before+head+n+"\r\n"+cmd("PING"))
					all, _ := io.ReadAll(nc) // a reset is an end too
					require.Contains(t, string(all), "-ERR Protocol error: ", "%q", before+head+n)
					_ = nc.Close()
				}
			}
		}
		c := dial(t, addrOf(s))
		if pass != "" {
			c.do("AUTH " + pass)
		}
		require.Equal(t, pong, c.do("PING"))
	}
}

// A number of arguments costs nothing before they come.
func TestManyArgumentsAnnounced(t *testing.T) {
	s := guarded(t, "")
	base, before := live(), cpu(t)
	for range 40 {
		attack(t, addrOf(s), "*2147483647\r\n"+strings.Repeat("$1\r\nx\r\n", 1200)) // more than redcon's first buffer
	}
	soon(t, "everything has come", func() bool {
		in, _ := s.traffic()
		return in >= 40*8400
	})
	c := dial(t, addrOf(s))
	require.Equal(t, pong, c.do("PING"))
	// One round of a loop over 2^31-1 takes about two seconds.
	require.Less(t, cpu(t)-before, 10*time.Second)
	bounded(t, base, 16<<20)
}

func cpu(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A command that comes byte by byte does not deepen the stack, nor is it looked at again for every byte.
func TestDrip(t *testing.T) {
	in := []byte(cmd("ECHO", strings.Repeat("x", 256<<10)) + cmd("A", "b") + "PING\r\n")
	single := make([][]byte, len(in))
	for i := range in {
		single[i] = in[i : i+1]
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cmds, out := through(t, single, false)
	runtime.ReadMemStats(&after)
	require.Len(t, cmds, 3)
	require.Empty(t, out)
	require.Less(t, after.StackSys, before.StackSys+4<<20)
}

// The same through a socket, and others are served meanwhile.
func TestDripServesOthers(t *testing.T) {
	s := guarded(t, "")
	c, slow := dial(t, addrOf(s)), attack(t, addrOf(s), "*2\r\n$4\r\nECHO\r\n$30000\r\n")
	one := []byte("x")
	for i := range 30000 {
		_, err := slow.Write(one)
		require.NoError(t, err)
		if i%3000 == 0 {
			require.Equal(t, pong, c.do("PING"))
		}
	}
	_, err := slow.Write([]byte("\r\n"))
	require.NoError(t, err)
	got := make([]byte, len(bulk(strings.Repeat("x", 30000))))
	_, err = io.ReadFull(slow, got)
	require.NoError(t, err)
}

// What is announced is not allocated; what has come is held once, and given back.
func TestAnnouncedBulk(t *testing.T) {
	s := guarded(t, "")
	base := live()
	for range 50 {
		attack(t, addrOf(s), "*2\r\n$4\r\nECHO\r\n$536870912\r\n"+strings.Repeat("x", 100000))
	}
	soon(t, "everything has come", func() bool {
		in, _ := s.traffic()
		return in >= 50*100000
	})
	bounded(t, base, 24<<20)
	c := dial(t, addrOf(s))
	big := strings.Repeat("0123456789abcdef", 512<<10) // 8 MB
	for range 2 {
		c.send("SET big " + big)
		require.Equal(t, okay, c.reply())
		require.Equal(t, ":1\r\n", c.do("DEL big"))
	}
	bounded(t, base, 8<<20+uint64(len(big))) // the test's own copy
	require.Equal(t, pong, c.do("PING"))
}

// Half a command behind a large one does not keep the large one in memory.
func TestBehindALargeCommand(t *testing.T) {
	s := guarded(t, "")
	large := cmd("DEL", strings.Repeat("x", 4<<20), "y") + "*1\r\n$4\r\nPI"
	base := live()
	for range 10 {
		nc := attack(t, addrOf(s), large)
		got := make([]byte, 4)
		_, err := io.ReadFull(nc, got)
		require.NoError(t, err)
		require.Equal(t, ":0\r\n", string(got))
	}
	bounded(t, base, 8<<20)
}

// A client may not hold more input than the query buffer limit; nothing is answered, as in Redis.
func TestQueryBufferLimit(t *testing.T) {
	s := guarded(t, "", [2]string{"client-query-buffer-limit", "1048576"})
	for _, start := range []string{"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$100000000\r\n", "*1000000\r\n", "*1000000\r\n$3\r\nDEL\r\n"} {
		rest := strings.Repeat("$1\r\nx\r\n", 300000)
		nc := attack(t, addrOf(s), cmd("PING")+start+rest)
		all, err := io.ReadAll(nc)
		require.Equal(t, pong, string(all))
		if err != nil {
			require.ErrorIs(t, err, syscall.ECONNRESET, "closed by the server")
		}
	}
	require.Equal(t, pong, dial(t, addrOf(s)).do("PING"))
}

// A client that sends good commands for ever, cut at any places, costs what one batch costs.
func TestEndlessPipeline(t *testing.T) {
	s := guarded(t, "")
	c := dial(t, addrOf(s))
	require.NoError(t, c.nc.SetDeadline(time.Now().Add(3*patience)))
	go func() { _, _ = io.Copy(io.Discard, c.nc) }()
	base := live()
	piece := []byte(strings.Repeat(cmd("ECHO", strings.Repeat("y", 37)), 1500))
	off := 0
	for i := range 400 { // 26 MB in pieces that end inside commands
		n := 66000 + i%61
		for n > 0 {
			k := min(n, len(piece)-off)
			_, err := c.nc.Write(piece[off : off+k])
			require.NoError(t, err)
			off, n = (off+k)%len(piece), n-k
		}
	}
	bounded(t, base, 8<<20)
}

// A client that asks for 9 GB and reads nothing holds a few MB, others are served, and it is cut.
func TestUnreadReplies(t *testing.T) {
	s := guarded(t, "")
	c := dial(t, addrOf(s))
	c.send("SET big " + strings.Repeat("x", 1<<20))
	require.Equal(t, okay, c.reply())
	base := live()
	attack(t, addrOf(s), strings.Repeat(cmd("GET", "big"), 9000))
	var nc *Conn
	soon(t, "replies wait", func() bool {
		s.guard.Range(func(o *Conn) bool {
			if o.OutputBuffer() > highWater {
				nc = o
			}
			return nc == nil
		})
		return nc != nil
	})
	for range 20 {
		require.Equal(t, pong, c.do("PING"))
		require.LessOrEqual(t, nc.OutputBuffer(), int64(highWater+flushBytes+2<<20))
	}
	bounded(t, base, 16<<20)
	require.Contains(t, c.do("CLIENT LIST"), "cmd=get")
	// 60 s are too long to wait for.
	lim := *s.limits.Load()
	lim.OutSoft, lim.OutSoftSeconds = 1<<20, 1
	s.limits.Store(&lim)
	soon(t, "it is cut", func() bool { return s.guard.Count() == 1 })
	bounded(t, base, 4<<20)
	require.Equal(t, pong, c.do("PING"))
}

// Connections that say nothing, or half a line, hold little and keep nobody out.
func TestSilentConnections(t *testing.T) {
	s := guarded(t, "")
	base := live()
	for i := range 300 {
		attack(t, addrOf(s), []string{"", "*", "*3\r\n$3\r", "PI", "*1\r\n$4\r\nPI"}[i%5])
	}
	c := dial(t, addrOf(s))
	require.Equal(t, pong, c.do("PING"))
	soon(t, "all are connected", func() bool { return s.guard.Count() == 301 })
	bounded(t, base, 300*24<<10)
}

// Clients that were sent a large reply once, and idle, do not keep a buffer of its size.
func TestIdleAfterLargeReplies(t *testing.T) {
	s := guarded(t, "")
	c := dial(t, addrOf(s))
	value := strings.Repeat("x", 700<<10)
	c.send("SET large " + value)
	require.Equal(t, okay, c.reply())
	base := live()
	for range 50 {
		nc := attack(t, addrOf(s), cmd("GET", "large"))
		got := make([]byte, len(bulk(value)))
		_, err := io.ReadFull(nc, got)
		require.NoError(t, err)
	}
	bounded(t, base, 10<<20)
}

func TestMaxClients(t *testing.T) {
	s := guarded(t, "", [2]string{"maxclients", "2"})
	a, b := dial(t, addrOf(s)), dial(t, addrOf(s))
	require.Equal(t, pong, a.do("PING"))
	require.Equal(t, pong, b.do("PING"))
	for range 3 {
		c := dial(t, addrOf(s))
		require.Equal(t, "-ERR max number of clients reached\r\n", c.reply())
		c.closed()
	}
	require.Contains(t, a.do("INFO stats"), "rejected_connections:3\r\n")
	require.NoError(t, b.nc.Close())
	soon(t, "there is room again", func() bool { return s.guard.Count() == 1 })
	require.Equal(t, pong, dial(t, addrOf(s)).do("PING"))
}

// scarce is a listener that has no file descriptors for a while.
type scarce struct {
	net.Listener
	fails int
	conns chan net.Conn
	asked int
}

func (l *scarce) Accept() (net.Conn, error) {
	l.asked++
	if l.fails > 0 {
		l.fails--
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	nc, ok := <-l.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return nc, nil
}

func (l *scarce) Close() error { return nil }

// bubble runs f in virtual time with a listener whose clients are pipes.
func bubble(t *testing.T, lim Limits, f func(ln *Listener, in *scarce)) {
	synctest.Test(t, func(t *testing.T) {
		in := &scarce{conns: make(chan net.Conn, 10)}
		ln := NewListener(in, func() *Limits { return &lim }, discard)
		f(ln, in)
		ln.Range(func(c *Conn) bool { c.Kill(); return true })
		require.NoError(t, ln.Close())
	})
}

// Without file descriptors the listener waits, longer and longer, and then goes on.
func TestAcceptBacksOff(t *testing.T) {
	bubble(t, Limits{}, func(ln *Listener, in *scarce) {
		near, far := net.Pipe()
		in.fails = 20
		in.conns <- near
		start := time.Now()
		_, err := ln.Accept()
		require.NoError(t, err)
		require.Equal(t, 21, in.asked)
		// 5, 10, 20 ... 640 ms, then 1 s each.
		require.Equal(t, 1275*time.Millisecond+12*time.Second, time.Since(start))
		// The next failure begins with a short wait.
		in.fails = 1
		in.conns <- far
		start = time.Now()
		_, err = ln.Accept()
		require.NoError(t, err)
		require.Equal(t, acceptMin, time.Since(start))
		// Close ends a wait.
		in.fails = 100
		time.AfterFunc(3*time.Second, func() { _ = ln.Close() })
		_, err = ln.Accept()
		require.ErrorIs(t, err, net.ErrClosed)
	})
}

// joined is one more client.
func joined(t testing.TB, ln *Listener, in *scarce) (*Conn, net.Conn) {
	t.Helper()
	near, far := net.Pipe()
	in.conns <- near
	nc, err := ln.Accept()
	require.NoError(t, err)
	c, ok := nc.(*Conn)
	require.True(t, ok)
	return c, far
}

// inBackground reads whole commands of c, as redcon does, until the end.
func inBackground(c *Conn) (lines chan string) {
	lines = make(chan string, 1000)
	go func() {
		defer close(lines)
		p := make([]byte, 4096)
		for {
			n, err := c.Read(p)
			if err != nil {
				return
			}
			lines <- string(p[:n])
		}
	}()
	return lines
}

// Idle is who sends nothing while nothing of his runs: not who sends slowly, or waits for a command or a reply.
func TestIdleTimeout(t *testing.T) {
	bubble(t, Limits{IdleTimeout: 10 * time.Second, MaxBulk: 1 << 20, MaxInline: 1 << 16}, func(ln *Listener, in *scarce) {
		c, far := joined(t, ln, in)
		lines := inBackground(c)
		for _, ch := range []byte("PING\r\n") {
			_, err := far.Write([]byte{ch})
			require.NoError(t, err)
			time.Sleep(9 * time.Second)
			require.Equal(t, 1, ln.Count())
		}
		require.Equal(t, cmd("PING"), <-lines)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Zero(t, ln.Count(), "cut after 10 s of silence")

		// While a command runs, nobody is idle; afterwards the time begins anew with the reply.
		c, far = joined(t, ln, in)
		p := make([]byte, 4096)
		go func() { _, _ = far.Write([]byte("BLOCK\r\n")) }()
		_, err := c.Read(p)
		require.NoError(t, err)
		c.Gone()
		time.Sleep(time.Minute)
		require.Equal(t, 1, ln.Count())
		go func() { _, _ = io.ReadFull(far, make([]byte, 5)) }()
		_, err = c.Write([]byte(okay))
		require.NoError(t, err)
		inBackground(c)
		time.Sleep(9 * time.Second)
		require.Equal(t, 1, ln.Count())
		time.Sleep(2 * time.Second)
		require.Zero(t, ln.Count(), "idle again after a command that waited")
	})
}

// While a command waits its client may send more, go away, or stay; the next command notices just as well.
func TestReadAhead(t *testing.T) {
	bubble(t, Limits{MaxBulk: 1 << 20, MaxInline: 1 << 16}, func(ln *Listener, in *scarce) {
		c, far := joined(t, ln, in)
		p := make([]byte, 4096)
		read := func(want string) {
			t.Helper()
			n, err := c.Read(p)
			require.NoError(t, err)
			require.Equal(t, want, string(p[:n]))
		}
		go func() { _, _ = far.Write([]byte("BLOCK\r\n")) }()
		read(cmd("BLOCK"))
		for i := range 3 {
			gone := c.Gone()
			_, err := far.Write([]byte(fmt.Sprintf("ECHO %d\r\nPI", i)))
			require.NoError(t, err)
			synctest.Wait()
			select {
			case <-gone:
				t.Fatal("not gone")
			default:
			}
			read(cmd("ECHO", fmt.Sprint(i)))
			c.Gone() // reads ahead again, behind what was read ahead before
			_, err = far.Write([]byte("NG\r\n"))
			require.NoError(t, err)
			read(cmd("PING"))
		}
		// Nobody sends for a long time: the connection lives.
		c.Gone()
		go func() {
			time.Sleep(time.Hour)
			_, _ = far.Write([]byte("LAST\r\n"))
		}()
		read(cmd("LAST"))
		require.Equal(t, 1, ln.Count())

		gone := c.Gone()
		synctest.Wait()
		require.NoError(t, far.Close())
		<-gone
		synctest.Wait()
		require.Zero(t, ln.Count())
		require.ErrorIs(t, c.Push([]byte("x")), net.ErrClosed)
		<-c.Gone() // whoever asks later knows at once
	})
}

// What is read ahead is bounded, and arrives whole and in order.
func TestReadAheadIsBounded(t *testing.T) {
	c, nc, _ := pair(t, Limits{})
	_, err := nc.Write([]byte("BLOCK\r\n"))
	require.NoError(t, err)
	p := make([]byte, 4096)
	_, err = c.Read(p)
	require.NoError(t, err)
	c.Gone()
	var want bytes.Buffer
	for i := 0; want.Len() < 3<<20; i++ {
		want.WriteString(cmd("ECHO", fmt.Sprintf("%08d", i)))
	}
	go func() {
		_, _ = nc.Write(want.Bytes())
		_ = nc.CloseWrite()
	}()
	soon(t, "the limit is reached", func() bool { return c.BytesIn() >= maxAhead })
	<-c.ahead.done
	require.LessOrEqual(t, c.BytesIn(), uint64(maxAhead+readChunk+16))
	var got bytes.Buffer
	for {
		n, err := c.Read(p)
		if err != nil {
			require.ErrorIs(t, err, io.EOF)
			break
		}
		if c.beside == nil {
			got.Write(p[:n])
			continue
		}
		for _, x := range c.beside {
			got.Write(x.Raw)
		}
		c.beside = nil
	}
	require.Equal(t, want.String() == got.String(), true)
}

// A client that goes away while its commands wait is forgotten at once, in its first wait and in every later one.
func TestGoneWhilePaused(t *testing.T) {
	s := guarded(t, "")
	c, other := dial(t, addrOf(s)), dial(t, addrOf(s))
	for range 3 {
		require.Equal(t, okay, c.do("CLIENT PAUSE 100000 WRITE"))
		other.send("SET a 1")
		soon(t, "it waits", func() bool { return countBlocked(s.clients()) == 1 })
		require.Equal(t, okay, c.do("CLIENT UNPAUSE"))
		require.Equal(t, okay, other.reply())
	}
	require.Equal(t, okay, c.do("CLIENT PAUSE 100000 WRITE"))
	other.send("SET a 2")
	soon(t, "it waits", func() bool { return countBlocked(s.clients()) == 1 })
	require.NoError(t, other.nc.Close())
	soon(t, "forgotten", func() bool { return countBlocked(s.clients()) == 0 && s.guard.Count() == 1 })
	require.Equal(t, okay, c.do("CLIENT UNPAUSE"))
	require.Equal(t, bulk("1"), c.do("GET a"))
}

// CLIENT KILL ends clients in every state: idle, sending, blocked, not reading.
func TestKillInEveryState(t *testing.T) {
	s := guarded(t, "")
	c := dial(t, addrOf(s))
	c.send("SET big " + strings.Repeat("x", 1<<20))
	require.Equal(t, okay, c.reply())
	require.Equal(t, okay, c.do("CLIENT PAUSE 100000 WRITE"))
	attack(t, addrOf(s), "")
	attack(t, addrOf(s), "*2\r\n$4\r\nECHO\r\n$100\r\nab")
	attack(t, addrOf(s), cmd("SET", "a", "1"))
	attack(t, addrOf(s), strings.Repeat(cmd("GET", "big"), 100))
	soon(t, "all have come so far", func() bool {
		waiting := false
		s.guard.Range(func(o *Conn) bool { waiting = waiting || o.OutputBuffer() > highWater; return true })
		return waiting && countBlocked(s.clients()) == 1 && s.guard.Count() == 5
	})
	require.Equal(t, ":4\r\n", c.do("CLIENT KILL TYPE normal"))
	soon(t, "all are gone", func() bool { return s.guard.Count() == 1 && len(s.clients()) == 1 && countBlocked(s.clients()) == 0 })
	require.Equal(t, okay, c.do("CLIENT UNPAUSE"))
}

// A client that sends nothing more, and has sent everything, still gets its replies.
func TestHalfClosed(t *testing.T) {
	s := guarded(t, "")
	nc := attack(t, addrOf(s), "PING\r\n"+cmd("ECHO", strings.Repeat("x", 300000))+cmd("PING"))
	tcp, ok := nc.(*net.TCPConn)
	require.True(t, ok)
	require.NoError(t, tcp.CloseWrite())
	all, err := io.ReadAll(nc)
	require.NoError(t, err)
	require.Equal(t, pong+bulk(strings.Repeat("x", 300000))+pong, string(all))
}

// A protocol error counts as an error reply.
func TestProtocolErrorsAreCounted(t *testing.T) {
	s := guarded(t, "")
	c := dial(t, addrOf(s))
	require.Equal(t, okay, c.do("CONFIG RESETSTAT"))
	for _, in := range []string{"*x\r\n", "*1\r\n$-1\r\n", "'\r\n"} {
		_, err := io.ReadAll(attack(t, addrOf(s), in))
		require.NoError(t, err)
	}
	require.Contains(t, c.do("INFO errorstats"), "errorstat_ERR:count=3\r\n")
	require.Contains(t, c.do("INFO stats"), "total_error_replies:3\r\n")
}

// With CLIENT REPLY OFF a protocol error ends the connection without a word.
func TestSilentProtocolError(t *testing.T) {
	s := guarded(t, "")
	for _, mode := range []string{"OFF", "SKIP"} {
		c := dial(t, addrOf(s))
		c.send("PING", "CLIENT REPLY "+mode)
		require.Equal(t, pong, c.reply())
		_, err := c.nc.Write([]byte("*x\r\n"))
		require.NoError(t, err)
		c.closed()
	}
}

// The commands beside redcon are executed like any other: order, errors, the end.
func TestBesideRedcon(t *testing.T) {
	s := guarded(t, "")
	big := strings.Repeat("v", 10000)
	c := attack(t, addrOf(s), cmd("SET", "a", big)+cmd("PING")+cmd("GET", "a")+cmd("QUIT")+cmd("SET", "b", big))
	all, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Equal(t, okay+pong+bulk(big)+okay, string(all))
	d := dial(t, addrOf(s))
	require.Equal(t, "$-1\r\n", d.do("GET b"))
}
