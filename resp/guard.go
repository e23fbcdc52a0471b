package resp

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	readChunk  = 4 << 10 // bytes of a read that does not go straight to redcon
	maxAhead   = 1 << 20 // bytes read while a command runs
	fatBuffer  = 64 << 10
	fatTimeout = 500 * time.Millisecond // idle time after which redcon's large buffer is dropped
)

// Conn is a client's connection as redcon sees it. Read gives redcon only what its parser takes: canonical RESP, and
// never a part of a command's first line. It is called by one goroutine; all else may be called by any.
//
// Memory: redcon keeps up to 2x a command while it comes in, and a copy of it while it runs. When the client idles,
// the guard makes redcon give its large buffer back (see slim).
type Conn struct {
	net.Conn
	ln      *Listener
	id      uint64
	created time.Time

	authed atomic.Bool
	last   atomic.Int64 // Unix ns of the newest byte that came
	in     atomic.Uint64
	query  atomic.Int64 // bytes of input held for a command that is not whole
	output output

	// Owned by the goroutine that calls Read.
	scan  scanner
	raw   []byte // came, but neither scanned nor given to redcon
	seen  int    // bytes of raw that hold no end of line
	ready []byte // canonical, to be given to redcon before raw
	whole bool   // ready ends with the end of a command
	open  int64  // bytes given to redcon of a command that is not whole
	fault string // protocol error, to be sent before the end
	eof   error  // what Read returns when everything before it is given

	mu      sync.Mutex
	reading bool          // Read waits for the socket
	ahead   *ahead        // somebody else reads it; nil mostly
	gone    chan struct{} // nil until asked for
	dead    bool          // the socket is closed
}

// ahead is what comes in while a command runs.
type ahead struct {
	mu     sync.Mutex
	buf    []byte
	err    error
	wanted bool          // Read waits: stop after the next bytes
	done   chan struct{} // closed when its goroutine reads no more
}

var errTooMuch = errors.New("resp: client exceeds the query buffer limit")

func newGuarded(l *Listener, nc net.Conn, id uint64) *Conn {
	now := time.Now()
	c := &Conn{Conn: nc, ln: l, id: id, created: now}
	c.last.Store(now.UnixNano())
	if sc, ok := nc.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			c.output.direct = newDirect(raw)
		}
	}
	return c
}

// ID is unique among the connections of the listener, and grows.
func (c *Conn) ID() uint64 { return c.id }

// Created is when the client was accepted.
func (c *Conn) Created() time.Time { return c.created }

// LastActive is when the newest byte came.
func (c *Conn) LastActive() time.Time { return time.Unix(0, c.last.Load()) }

// Authenticated lifts the limits for clients that have given no password when on is true.
func (c *Conn) Authenticated(on bool) { c.authed.Store(on) }

// BytesIn counts what came.
func (c *Conn) BytesIn() uint64 { return c.in.Load() }

// BytesOut counts what was given to the socket.
func (c *Conn) BytesOut() uint64 { return c.output.sent.Load() }

// QueryBuffer is the number of bytes held of commands that have not begun.
func (c *Conn) QueryBuffer() int64 { return c.query.Load() }

// OutputBuffer is the number of bytes of replies that wait for the socket.
func (c *Conn) OutputBuffer() int64 { return c.output.waiting.Load() }

// Read implements net.Conn for redcon: it returns when p is full or holds the end of at least one command. A protocol
// error is answered, and ends the connection, after the commands before it.
func (c *Conn) Read(p []byte) (int, error) {
	n, whole := 0, false
	for n < len(p) && !whole && c.fault == "" {
		var m int
		m, whole = c.next(p[n:])
		n += m
		if m == 0 && c.eof != nil {
			break
		}
	}
	c.query.Store(c.open + int64(len(c.raw)+len(c.ready)))
	if n > 0 && (whole || c.fault == "" && c.eof == nil) {
		return n, nil
	}
	return 0, c.end()
}

// end answers the protocol error, if there is one, and returns the error to stop redcon with.
func (c *Conn) end() error {
	if c.fault != "" {
		_ = c.Push([]byte("-ERR Protocol error: " + c.fault + "\r\n")) // the connection ends either way
		c.fault, c.eof = "", io.EOF
	}
	c.CloseAfterReply()
	return c.eof
}

// next gives some bytes to redcon. It may return 0 when what came is no part of a command yet.
func (c *Conn) next(p []byte) (n int, whole bool) {
	switch {
	case len(c.ready) > 0:
		n = copy(p, c.ready)
		c.ready = c.ready[n:]
		if len(c.ready) == 0 {
			c.ready = nil
			return n, c.whole
		}
		return n, false
	case len(c.raw) > 0 && c.scan.args == 0:
		c.boundary()
		return 0, false
	case len(c.raw) > 0:
		n = copy(p, c.raw)
		c.raw = c.raw[n:]
		if len(c.raw) == 0 {
			c.raw = nil
		}
		return c.pass(p[:n])
	case c.eof != nil:
		return 0, false
	case c.scan.args == 0 && cap(p) > fatBuffer:
		if c.slim(p) {
			return len(p), false
		}
		return 0, false
	}
	n, c.eof = c.fetch(p)
	return c.pass(p[:n])
}

// pass scans b, which redcon's buffer holds, in place. What redcon must not see yet goes to raw, and n is how much it
// may see.
func (c *Conn) pass(b []byte) (n int, whole bool) {
	var lim scanLimits
	l := c.ln.lim()
	lim.take(l, c.authed.Load())
	for n < len(b) {
		if c.scan.args == 0 {
			k := c.opening(b[n:], &lim)
			if k == 0 {
				c.hold(b[n:])
				return n, whole
			}
			n += k
			c.open = int64(k)
			continue
		}
		k, done, fault := c.scan.arguments(b[n:], &lim)
		n += k
		c.open += int64(k)
		if fault != "" {
			c.fault = fault
			return n, whole
		}
		if done {
			c.open, whole = 0, true
			if lim.stranger && n < len(b) {
				// The command may be AUTH: what follows is judged when it has run.
				c.hold(b[n:])
				return n, true
			}
		}
	}
	if l.MaxQuery > 0 && c.open > l.MaxQuery {
		c.eof = errTooMuch
	}
	return n, whole
}

// opening reads a first line that is whole, good and plain, and returns its length, else 0.
func (c *Conn) opening(b []byte, lim *scanLimits) int {
	if b[0] != '*' {
		return 0
	}
	var h header
	for i, ch := range b {
		if !h.push(ch) {
			continue
		}
		args, fault := h.open(lim)
		if args == 0 || fault != "" {
			return 0
		}
		b[i] = '\n'
		c.scan.args = args
		return i + 1
	}
	return 0
}

// hold keeps bytes from redcon. They come before what raw has.
func (c *Conn) hold(b []byte) {
	if len(c.raw) == 0 {
		c.raw = append(c.raw[:0], b...)
	} else {
		c.raw = append(bytes.Clone(b), c.raw...)
	}
	c.seen = 0
}

// boundary makes progress with raw, which begins a command: it moves a whole first line or inline request to ready,
// drops an empty command, or reads more.
func (c *Conn) boundary() {
	l := c.ln.lim()
	if c.raw[0] != '*' {
		c.inline(l)
		return
	}
	var lim scanLimits
	lim.take(l, c.authed.Load())
	// A line is looked at again only when bytes have come; one that is too long for any number is not looked at.
	cr := bytes.IndexByte(c.raw[c.seen:], '\r')
	if cr < 0 || c.seen+cr+1 >= len(c.raw) || bytes.IndexByte(c.raw[:c.seen+cr], 0) >= 0 {
		if cr < 0 {
			c.seen = len(c.raw)
		}
		c.more("too big mbulk count string", maxLine, cr >= 0 && c.seen+cr+1 >= len(c.raw))
		return
	}
	end := c.seen + cr + 2
	c.seen = 0
	var h header
	for _, ch := range c.raw[:end] {
		h.push(ch)
	}
	args, fault := h.open(&lim)
	if fault != "" {
		c.fault = fault
		return
	}
	if args > 0 {
		c.raw[end-1] = '\n'
		c.ready, c.whole = bytes.Clone(c.raw[:end]), false
		c.scan.args, c.open = args, int64(end)
	}
	c.consume(end)
}

// inline translates a whole inline request.
func (c *Conn) inline(l *Limits) {
	at, stuck := lineEnd(c.raw, c.seen)
	if at < 0 {
		if !stuck {
			c.seen = len(c.raw)
		}
		c.more("too big inline request", l.MaxInline, c.raw[len(c.raw)-1] == '\r')
		return
	}
	if at > l.MaxInline+1 {
		c.fault = "too big inline request"
		return
	}
	c.seen = 0
	out, first, ok := appendInline(nil, c.raw[:at])
	switch {
	case !ok:
		c.fault = "unbalanced quotes in request"
		return
	case bytes.EqualFold(first, []byte("post")) || bytes.EqualFold(first, []byte("host:")):
		// A browser was made to send this: silence, as Redis.
		c.ln.log.Warn("http_request_refused", "client", c.RemoteAddr().String())
		c.eof, c.raw = io.EOF, nil
		return
	}
	c.ready, c.whole = out, true
	c.consume(at + 1)
}

func (c *Conn) consume(n int) {
	if c.raw = c.raw[n:]; len(c.raw) == 0 {
		c.raw = nil
	}
}

// more reads behind raw, or gives up on a line that has more than limit bytes; a CR at its end does not count.
func (c *Conn) more(fault string, limit int, cr bool) {
	n := len(c.raw)
	if cr {
		n--
	}
	if n > limit {
		c.fault = fault
		return
	}
	if c.eof != nil {
		c.raw = nil
		return
	}
	c.query.Store(int64(len(c.raw)))
	old := len(c.raw)
	if cap(c.raw)-old < 512 {
		c.raw = append(make([]byte, 0, max(1024, 2*old)), c.raw...)
	}
	free := c.raw[old:cap(c.raw)]
	n, c.eof = c.fetch(free[:min(len(free), readChunk)])
	c.raw = c.raw[:old+n]
}

// slim waits for input a little; when none comes it fills p so that redcon drops a large buffer: empty lines and one
// that is not whole, for which redcon makes a new buffer of 8 kB. It returns false when there is input.
func (c *Conn) slim(p []byte) bool {
	var first [512]byte
	_ = c.SetReadDeadline(time.Now().Add(fatTimeout))
	n, err := c.fetch(first[:])
	_ = c.SetReadDeadline(time.Time{})
	if n > 0 {
		c.hold(first[:n])
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		c.eof = err
		return false
	}
	if n > 0 {
		return false
	}
	for i := range p {
		p[i] = '\n'
	}
	p[len(p)-1] = '\r'
	c.ready, c.whole = []byte{'\n'}, true
	return true
}

// fetch reads the socket, or takes what was read ahead.
func (c *Conn) fetch(p []byte) (int, error) {
	for {
		c.mu.Lock()
		a := c.ahead
		if a == nil {
			c.reading = true
			c.mu.Unlock()
			n, err := c.Conn.Read(p)
			c.mu.Lock()
			c.reading = false
			c.mu.Unlock()
			c.arrived(n)
			return n, err
		}
		c.mu.Unlock()
		if n, err, ok := a.take(p); ok {
			return n, err
		}
		<-a.done
		c.mu.Lock()
		a.mu.Lock()
		if len(a.buf) == 0 && a.err == nil {
			c.ahead = nil
		}
		a.mu.Unlock()
		c.mu.Unlock()
	}
}

// arrived counts input.
func (c *Conn) arrived(n int) {
	if n > 0 {
		c.in.Add(uint64(n))
		c.last.Store(time.Now().UnixNano())
	}
}

// take moves what was read ahead; ok is false when there is nothing yet.
func (a *ahead) take(p []byte) (n int, err error, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.wanted = true
	if len(a.buf) > 0 {
		n = copy(p, a.buf)
		a.buf = a.buf[n:]
		return n, nil, true
	}
	return 0, a.err, a.err != nil
}

// Gone returns a channel that is closed when the client has disconnected, or the connection has ended otherwise. The
// goroutine that executes a command calls it anew for every wait: the guard then reads ahead, up to 1 MB, until
// redcon reads again; only then is a disconnection noticed while the command runs.
func (c *Conn) Gone() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone == nil {
		c.gone = make(chan struct{})
		if c.dead {
			close(c.gone)
		}
	}
	if c.ahead == nil && !c.reading && !c.dead {
		c.ahead = &ahead{done: make(chan struct{})}
		go c.readAhead(c.ahead)
	}
	return c.gone
}

// readAhead reads until Read takes over, there is too much, or the client is gone.
func (c *Conn) readAhead(a *ahead) {
	defer close(a.done)
	p := make([]byte, readChunk)
	for {
		n, err := c.Conn.Read(p)
		c.arrived(n)
		a.mu.Lock()
		a.buf = append(a.buf, p[:n]...)
		a.err = err
		full := a.wanted || len(a.buf) >= maxAhead
		a.mu.Unlock()
		if err != nil {
			c.Kill()
			return
		}
		if full {
			return
		}
	}
}

// overdue says that the connection is idle, or its replies wait, for too long.
func (c *Conn) overdue(now time.Time, lim *Limits) bool {
	if lim.IdleTimeout > 0 && now.UnixNano()-c.last.Load() > int64(lim.IdleTimeout) {
		c.mu.Lock()
		idle := c.reading
		c.mu.Unlock()
		if idle {
			return true
		}
	}
	return c.output.overSoft(now, lim)
}

// Kill closes the socket at once; replies that wait are lost. Read, Write and Gone notice.
func (c *Conn) Kill() {
	c.mu.Lock()
	if c.dead {
		c.mu.Unlock()
		return
	}
	c.dead = true
	if c.gone != nil {
		close(c.gone)
	}
	c.mu.Unlock()
	_ = c.Conn.Close() // nothing is left to be done about a socket that fails to close
	c.output.abort()
	c.ln.forget(c.id)
}
