package resp

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidwall/redcon"

	"kvapp/internal/nonblock"
)

const (
	readChunk = 4 << 10  // bytes of a read of what is not known to be large
	minRoom   = 512      // bytes that a read behind held input has at least
	maxDeep   = 64 << 10 // bytes of a deep pipeline that become one batch
	maxAhead  = 1 << 20  // bytes read while a command runs
)

// Conn is a client's connection as redcon sees it. redcon is given whole commands only, in canonical RESP, and never
// more than it asks for: it needs no buffer beyond its first, and never meets a length that it would believe. Commands
// that do not fit are handed to the connection's handler beside redcon, see Commands.
//
// Read is called by one goroutine, which is also the one that calls Commands and Gone; all else may be called by any.
type Conn struct {
	net.Conn
	ln      *Listener
	id      uint64
	created time.Time

	authed atomic.Bool
	silent atomic.Bool
	last   atomic.Int64 // Unix ns of the newest byte that came or went
	in     atomic.Uint64
	query  atomic.Int64 // bytes of input held of commands that have not run
	output output
	from   *nonblock.Reader   // the socket, for whoever reads: Read, or ahead
	more   func(b []byte) int // reads what has come without waiting; nil when the socket cannot

	// Owned by the goroutine that calls Read. Invariant: raw begins with a command; its first seen bytes were scanned,
	// and scan is where that ended.
	scan   scanner
	raw    []byte
	seen   int
	empty  int              // bytes of an empty command at the beginning of raw
	beside []redcon.Command // for the handler, in place of the command that redcon was given for them
	deep   int              // bytes of the newest deep pipeline
	ahead  *ahead           // reads while a command runs; nil mostly
	fault  string           // protocol error, to be sent before the end
	eof    error            // what Read returns when everything before it is given

	reading atomic.Bool // Read waits for the socket

	mu   sync.Mutex
	gone chan struct{} // nil until asked for
	dead bool          // the socket is closed
}

var errTooMuch = errors.New("resp: client exceeds the query buffer limit")

// standIn is what redcon is given for commands that are handed over beside it. Its words mean nothing.
var standIn = []byte("*1\r\n$4\r\nPING\r\n")

func newGuarded(l *Listener, nc net.Conn, id uint64) *Conn {
	now := time.Now()
	c := &Conn{Conn: nc, ln: l, id: id, created: now}
	c.last.Store(now.UnixNano())
	if w := nonblock.New(nc); w != nil {
		c.output.direct, c.more = w, w.Read
	}
	c.from = nonblock.NewReader(nc)
	return c
}

// ID is unique among the connections of the listener, and grows.
func (c *Conn) ID() uint64 { return c.id }

// Created is when the client was accepted.
func (c *Conn) Created() time.Time { return c.created }

// LastActive is when the newest byte came from the client or went to it.
func (c *Conn) LastActive() time.Time { return time.Unix(0, c.last.Load()) }

// Authenticated lifts the limits for clients that have given no password when on is true.
func (c *Conn) Authenticated(on bool) { c.authed.Store(on) }

// Silence keeps protocol errors from being answered when on is true, as CLIENT REPLY OFF asks.
func (c *Conn) Silence(on bool) { c.silent.Store(on) }

// BytesIn counts what came.
func (c *Conn) BytesIn() uint64 { return c.in.Load() }

// BytesOut counts what was given to the socket.
func (c *Conn) BytesOut() uint64 { return c.output.sent.Load() }

// QueryBuffer is the number of bytes held of commands that have not begun.
func (c *Conn) QueryBuffer() int64 { return c.query.Load() }

// OutputBuffer is the number of bytes of replies that wait for the socket.
func (c *Conn) OutputBuffer() int64 { return max(0, c.output.waiting.Load()) }

// stranger says that the client has not given the password that there is.
func (c *Conn) stranger(l *Limits) bool { return l.Password && !c.authed.Load() }

// Commands returns what redcon's handler was called for: first and rest, or, when they only stand in for them, the
// commands that came beside redcon. The handler calls it once, before anything else.
func (c *Conn) Commands(first redcon.Command, rest []redcon.Command) (redcon.Command, []redcon.Command) {
	if b := c.beside; b != nil {
		c.beside = nil
		return b[0], b[1:]
	}
	return first, rest
}

// Read implements net.Conn for redcon: it returns when whole commands have come. A protocol error is answered, and
// ends the connection, after the commands before it.
func (c *Conn) Read(p []byte) (int, error) {
	c.settle()
	l := c.ln.lim()
	for {
		n := c.deliver(p, l)
		if n > 0 {
			return n, nil
		}
		if c.fault != "" || c.eof != nil || c.output.over.Load() {
			return 0, c.end()
		}
		if len(c.raw) == 0 {
			n, c.eof = c.fetch(p)
			if n = c.fresh(p, n, l); n > 0 {
				return n, nil
			}
			continue
		}
		c.fill(l)
	}
}

// end answers the protocol error, if there is one, and returns the error to stop redcon with.
func (c *Conn) end() error {
	if c.fault != "" && !c.silent.Load() && !c.output.over.Load() {
		msg := []byte("-ERR Protocol error: " + c.fault + "\r\n")
		if c.ln.failed != nil {
			c.ln.failed(msg[1:])
		}
		_ = c.Push(msg) // the connection ends either way
	}
	c.raw, c.fault = nil, ""
	c.query.Store(0)
	c.CloseAfterReply()
	if c.eof == nil {
		c.eof = io.EOF
	}
	return c.eof
}

// fresh looks at p[:n], which has just been read, and returns how much of it redcon may have. The rest goes to raw.
func (c *Conn) fresh(p []byte, n int, l *Limits) int {
	if n == len(p) && n >= readChunk && c.eof == nil && !c.stranger(l) && c.dive(p, l) {
		return 0
	}
	last := c.whole(p[:n], l)
	c.seen -= last
	if last < n && c.fault == "" {
		c.raw = append(make([]byte, 0, max(n-last, minRoom)), p[last:n]...)
	}
	c.query.Store(int64(len(c.raw)))
	return last
}

// dive is for pipelines that are deeper than p: everything that has come, up to 64 kB, becomes one batch. It returns
// false when there is no more than p.
func (c *Conn) dive(p []byte, l *Limits) bool {
	if c.more == nil {
		return false
	}
	room := min(max(2*c.deep, 4*len(p)), maxDeep)
	raw := make([]byte, room)
	n := copy(raw, p)
	m := c.more(raw[n:])
	c.arrived(m)
	if m == 0 {
		c.deep = 0
		return false
	}
	c.raw, c.deep = raw[:n+m], n+m
	return true
}

// whole scans b from seen on, and returns where its last whole command ends. It stops at what is no plain command:
// an inline request, an empty command, an error.
func (c *Conn) whole(b []byte, l *Limits) (last int) {
	lim := scanLimits{bulk: l.MaxBulk, stranger: c.stranger(l)}
	for c.seen < len(b) {
		if c.scan.args == 0 && !c.opening(b, last, &lim) {
			return last
		}
		n, done, fault := c.scan.arguments(b[c.seen:], &lim)
		c.seen += n
		if fault != "" {
			c.fault = fault
			return last
		}
		if !done {
			return last
		}
		if lim.stranger || l.Password && isReset(b[last:c.seen]) {
			return c.seen // it may be AUTH, or makes a stranger: what follows is judged when it has run
		}
		last = c.seen
	}
	return last
}

// isReset knows RESET in canonical RESP.
func isReset(b []byte) bool {
	return len(b) == len(resetRESP) && bytes.EqualFold(b, resetRESP)
}

var cr = []byte{'\r'}

var resetRESP = []byte("*1\r\n$5\r\nRESET\r\n")

// opening reads the first line of the command at from; true when it is whole and announces arguments. A line is looked
// at again only when bytes have come.
func (c *Conn) opening(b []byte, from int, lim *scanLimits) bool {
	if b[from] != '*' {
		return false
	}
	end := c.lineEnd(b, from)
	if end < 0 || c.fault != "" {
		return false
	}
	args, fault := openLine(b[from:end], lim)
	switch {
	case fault != "":
		c.fault = fault
		return false
	case args == 0:
		c.empty = end - from
		return false
	}
	b[end-1] = '\n'
	c.scan.args, c.seen = args, end
	return true
}

// lineEnd returns where a first line ends: behind the byte that follows its first CR, -1 when that has not come. No
// CR is found behind a NUL, as in Redis.
func (c *Conn) lineEnd(b []byte, from int) int {
	n := len(b) - from // bytes before the CR
	end := -1
	for c.seen < len(b) && b[c.seen] != 0 { // a NUL is found again the next time
		if b[c.seen] == '\r' {
			n = c.seen - from
			if c.seen+1 < len(b) {
				end = c.seen + 2
			}
			break
		}
		c.seen++
	}
	c.fault = tooLong(n, maxLine, "too big mbulk count string")
	return end
}

func tooLong(n, limit int, fault string) string {
	if n > limit {
		return fault
	}
	return ""
}

// deliver gives redcon, or the handler, what of raw is whole. It returns 0 when more must come first.
func (c *Conn) deliver(p []byte, l *Limits) int {
	for len(c.raw) > 0 && c.fault == "" {
		if c.scan.args == 0 && c.raw[0] != '*' {
			old := len(c.raw)
			switch out := c.inline(l); {
			case len(out) > 0:
				return c.give(p, out)
			case len(c.raw) == old:
				return 0
			}
			continue // behind empty lines
		}
		if last := c.whole(c.raw, l); last > 0 {
			b := c.consume(last)
			if last > len(p) && len(c.raw) > 0 {
				c.raw = bytes.Clone(c.raw) // the commands before it may be kept, and may be large
			}
			return c.give(p, b)
		}
		if c.empty == 0 {
			return 0
		}
		c.consume(c.empty)
		c.seen, c.empty = 0, 0
	}
	return 0
}

// consume takes n bytes off the beginning of raw.
func (c *Conn) consume(n int) []byte {
	b := c.raw[:n:n]
	if c.raw = c.raw[n:]; len(c.raw) == 0 {
		c.raw = nil
	}
	c.seen -= n
	return b
}

// give hands over b, whole commands in canonical RESP, which nobody else writes to.
func (c *Conn) give(p, b []byte) int {
	if c.query.Store(int64(len(c.raw))); len(b) <= len(p) {
		return copy(p, b)
	}
	c.beside = splitCommands(b)
	return copy(p, standIn)
}

// splitCommands cuts canonical RESP into commands, which share b.
func splitCommands(b []byte) []redcon.Command {
	var all []redcon.Command
	for len(b) > 0 {
		args, pos := lineNumber(b, 1)
		x := redcon.Command{Args: make([][]byte, args)}
		for i := range x.Args {
			size, from := lineNumber(b, pos+1)
			pos = from + size + 2
			x.Args[i] = b[from : from+size : from+size]
		}
		x.Raw = b[:pos:pos]
		all = append(all, x)
		b = b[pos:]
	}
	return all
}

// lineNumber reads the digits at pos and returns where the next line begins.
func lineNumber(b []byte, pos int) (n, next int) {
	for ; b[pos] != '\r'; pos++ {
		n = n*10 + int(b[pos]-'0')
	}
	return n, pos + 2
}

// inline translates the whole inline requests at the beginning of raw. The result is empty when there is none with
// words, and then what raw begins with, if anything, is not whole, no inline request, or an error.
func (c *Conn) inline(l *Limits) (out []byte) {
	stop := false
	for len(c.raw) > 0 && c.raw[0] != '*' && !stop {
		at, stuck := lineEnd(c.raw, c.seen)
		if at < 0 {
			if !stuck {
				c.seen = len(c.raw)
			}
			c.fault = tooLong(len(bytes.TrimSuffix(c.raw, cr)), l.MaxInline, "too big inline request")
			return out
		}
		line := bytes.TrimSuffix(c.raw[:at], cr)
		if c.fault = tooLong(len(line), l.MaxInline, "too big inline request"); c.fault != "" {
			return out
		}
		from, ok := len(out), false
		if out, ok = appendInline(out, line); !ok {
			c.fault = "unbalanced quotes in request"
			return out
		}
		c.consume(at + 1)
		c.seen = 0
		stop = len(out) > from && c.stranger(l) || l.Password && isReset(out[from:])
	}
	return out
}

// fill reads behind raw.
func (c *Conn) fill(l *Limits) {
	old := len(c.raw)
	if l.MaxQuery > 0 && int64(old) > l.MaxQuery {
		c.eof = errTooMuch
		return
	}
	// A large argument is read to its end and no further: what follows it would have to be copied.
	want := old + max(readChunk, min(old, maxDeep), c.deep)
	if c.scan.body > readChunk {
		want = old + int(c.scan.body)
		if c.scan.args > 1 {
			want += readChunk
		}
	}
	if room := min(want-old, minRoom); cap(c.raw)-old < room {
		// What is announced is not believed: the room doubles as bytes come.
		grown := make([]byte, old, max(min(want, old+max(old, c.deep)), old+minRoom))
		copy(grown, c.raw)
		c.raw = grown
	}
	free := c.raw[old:min(want, cap(c.raw))]
	n, err := c.fetch(free)
	c.raw, c.eof = c.raw[:old+n], err
	if c.deep = min(c.deep, 2*n); n < readChunk {
		c.deep = 0
	}
	c.query.Store(int64(len(c.raw)))
}

// fetch reads the socket.
func (c *Conn) fetch(p []byte) (int, error) {
	c.reading.Store(true)
	n, err := c.from.Read(p)
	c.reading.Store(false)
	c.arrived(n)
	return n, err
}

// arrived counts input.
func (c *Conn) arrived(n int) {
	if n > 0 {
		c.in.Add(uint64(n))
		c.touch()
	}
}

func (c *Conn) touch() { c.last.Store(time.Now().UnixNano()) }

// overdue says that the connection is idle, or its replies wait, for too long.
func (c *Conn) overdue(now time.Time, lim *Limits) bool {
	if lim.IdleTimeout > 0 && c.reading.Load() && now.UnixNano()-c.last.Load() > int64(lim.IdleTimeout) {
		return true
	}
	return c.output.overSoft(now, lim)
}

// Killed says whether the connection has come to its end by Kill; its goroutine may not know yet.
func (c *Conn) Killed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead
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

// ahead is what comes in while a command runs. Its goroutine owns the fields until done is closed.
type ahead struct {
	buf  []byte
	err  error
	done chan struct{}
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
	if c.ahead == nil && !c.dead {
		c.ahead = &ahead{done: make(chan struct{})}
		go c.readAhead(c.ahead)
	}
	return c.gone
}

// readAhead reads until settle stops it, there is too much, or the client is gone.
func (c *Conn) readAhead(a *ahead) {
	defer close(a.done)
	p := make([]byte, readChunk)
	for len(a.buf) < maxAhead {
		n, err := c.from.Read(p)
		c.arrived(n)
		a.buf = append(a.buf, p[:n]...)
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			return // settle wants to go on
		default:
			a.err = err
			c.Kill()
			return
		}
	}
}

// settle ends the reading ahead, and takes what it has read.
func (c *Conn) settle() {
	a := c.ahead
	if a == nil {
		return
	}
	c.ahead = nil
	// A deadline in the past stops a read; if it cannot be set the socket is closed, and the read has ended too.
	_ = c.SetReadDeadline(time.Unix(1, 0))
	<-a.done
	_ = c.SetReadDeadline(time.Time{})
	c.raw = append(c.raw, a.buf...)
	if a.err != nil {
		c.eof = a.err
	}
	c.query.Store(int64(len(c.raw)))
}
