package resp

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidwall/redcon"

	"kvapp/fsm"
	"kvapp/node"
)

// replyMode is what CLIENT REPLY asked for.
type replyMode uint8

const (
	replyOn       replyMode = iota
	replyOff                // until further notice
	replySkipNext           // CLIENT REPLY SKIP itself is being executed
	replySkip               // the reply of the next command is dropped
)

// conn is one client. Its goroutine owns it, except where a field says otherwise.
type conn struct {
	srv *Server
	net *Conn // the guarded socket; safe for any goroutine
	out *replies
	run run
	// mark is where in out the replies of the current run or command begin. Invariant: mark <= out.Len().
	mark  int
	alone *node.Batch // for reads that are served one by one; nil until needed
	keys  []int       // scratch

	db        int
	authed    bool
	reply     replyMode
	ended     bool         // nothing more is executed: QUIT, CLIENT KILL of itself, a broken socket
	tx        *transaction // open since MULTI, else nil
	lastWrite uint64       // log index of this connection's newest write; what WAIT waits for

	readMode node.ReadMode           // RAFT READMODE
	maxStale int64                   // ns; with node.ReadStale
	readOnly atomic.Bool             // READONLY mode; any goroutine may read
	watched  atomic.Pointer[watches] // by WATCH, else nil; any goroutine may read
	cache    cacheState              // CLIENT TRACKING
	state    clientState
}

// clientState is what CLIENT LIST of other connections shows.
type clientState struct {
	id       uint64
	created  time.Time
	addr     string // of the client
	laddr    string
	fd       int64                    // of the socket, -1 when it has none
	last     atomic.Pointer[command]  // newest command executed, nil before the first
	blocked  atomic.Bool              // a command waits: for keys, in WAIT, or for the end of CLIENT PAUSE
	timed    atomic.Bool              // with blocked: it waits for so long at most, as the command says
	blocking atomic.Pointer[blocking] // what CLIENT UNBLOCK may end, else nil
	request  atomic.Int64             // bytes of the command of this package that is being executed, as it came
	argv     atomic.Int64             // bytes of its arguments
	multi    atomic.Int64             // 0 = no transaction is open, else one more than the commands it has queued
	multiMem atomic.Int64             // bytes of the commands queued
	db       atomic.Int32
	proto    atomic.Int32

	mu      sync.Mutex
	name    string
	lib     string
	libVer  string
	noEvict bool
	noTouch bool
}

// replies is the Encoder of a connection. It notes when a data command answers an error, so that the replies need to
// be searched for errors only if there is one.
type replies struct {
	*Encoder
	errors int // since it was last set to 0
}

// Error implements fsm.Out.
func (r *replies) Error(msg string) {
	r.errors++
	r.Encoder.Error(msg)
}

var _ fsm.Out = (*replies)(nil)

func (s *Server) newConn(nc *Conn) *conn {
	c := &conn{srv: s, net: nc, out: &replies{Encoder: &Encoder{}}, keys: make([]int, 0, 16)}
	c.out.SetProto(2)
	c.run.batch = node.NewBatch(c.out)
	c.setAuthed(s.password() == "")
	c.state.id = nc.ID()
	c.state.created = s.now()
	c.state.addr = nc.RemoteAddr().String()
	c.state.laddr = nc.LocalAddr().String()
	c.state.fd = descriptor(nc.Conn)
	c.state.proto.Store(2)
	return c
}

// setAuthed also lifts the guard's limits for strangers.
func (c *conn) setAuthed(on bool) {
	c.authed = on
	c.net.Authenticated(on)
}

// handle is redcon's handler: first and everything behind it that the same read brought.
func (c *conn) handle(rc redcon.Conn, first redcon.Command) {
	first, rest := c.net.Commands(first, rc.ReadPipeline())
	if c.ended {
		return
	}
	defer c.rescue()
	c.serve(&first, rest)
}

// rescue turns a panic into the end of this one connection.
func (c *conn) rescue() {
	if p := recover(); p != nil {
		c.srv.log.Error("connection_panic", "client", c.state.addr, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		c.ended = true
		// The batch may be half filled: only the error goes out.
		c.out.Reset()
		c.mark = 0
		c.out.Error(errInternal)
		c.flush()
		c.net.CloseAfterReply()
	}
}

// serve executes one pipeline in order and sends the replies.
func (c *conn) serve(first *redcon.Command, rest []redcon.Command) {
	if c.cache.on {
		c.holdPushes()
	}
	c.dispatch(first)
	for i := 0; i < len(rest) && !c.ended; i++ {
		c.dispatch(&rest[i])
	}
	c.flushRun()
	c.flush()
	c.net.Silence(c.reply != replyOn)
	if c.cache.hold {
		c.releasePushes()
	}
	if c.ended {
		c.net.CloseAfterReply()
		return
	}
	// The others first: by the time redcon reads again the client's next command is often there. That saves a read that
	// finds nothing, a wait in the poller and a wake-up.
	runtime.Gosched()
}

// dispatch queues a data command, or executes any other one behind what is queued.
func (c *conn) dispatch(rc *redcon.Command) {
	if len(rc.Args) == 0 {
		return // the guard swallows empty commands; nothing to answer
	}
	x, v := c.judge(rc.Args)
	if c.tx != nil {
		c.queue(x, v, rc)
		return
	}
	if c.cache.on {
		c.track(x, v, rc.Args)
	}
	if v == accepted && x.data() {
		if x.blocks(rc.Args) {
			c.runBlocking(x, rc)
			return
		}
		c.enqueue(x, rc)
		return
	}
	c.flushRun()
	if c.ended {
		return
	}
	if v != accepted {
		c.mark = c.out.Len()
		c.reject(x, v, rc.Args)
		c.silence()
		return
	}
	c.runOwn(x, rc.Args)
}

// flush sends the replies gathered so far.
func (c *conn) flush() {
	if c.out.Len() == 0 {
		return
	}
	if _, err := c.net.Write(c.out.Bytes()); err != nil {
		c.ended = true // the guard has closed the socket; redcon's next read sees it
	}
	c.out.Reset()
	c.mark = 0
}

// reset brings the connection back to where it began, but for its id and socket.
func (c *conn) reset() {
	c.endTransaction()
	c.trackOff()
	c.setDB(0)
	c.setProto(2)
	c.setAuthed(c.srv.password() == "")
	if c.reply != replySkip { // else the answer to RESET itself is dropped
		c.reply = replyOn
	}
	c.readOnly.Store(false)
	c.readMode, c.maxStale = node.ReadDefault, 0
	st := &c.state
	st.mu.Lock()
	st.name, st.noTouch = "", false // NO-EVICT stays, as in Redis
	st.mu.Unlock()
}

func (c *conn) setDB(n int) {
	c.db = n
	c.state.db.Store(int32(n))
}

func (c *conn) setProto(n int) {
	c.out.SetProto(n)
	c.state.proto.Store(int32(n))
}

// replyLen is the length of the first whole reply in b, which this package encoded itself.
func replyLen(b []byte) int {
	pos, open := 0, 1
	for open > 0 && pos < len(b) {
		open--
		kind := b[pos]
		n, end := replyHead(b, pos+1)
		pos = end
		switch kind {
		case '$', '=', '!':
			if n >= 0 {
				pos += n + 2
			}
		case '*', '~', '>':
			open += max(0, n)
		case '%':
			open += 2 * max(0, n)
		}
	}
	return min(pos, len(b))
}

// replyHead reads the number of a reply's first line and returns where the line ends.
func replyHead(b []byte, pos int) (n, end int) {
	neg := false
	for ; pos < len(b) && b[pos] != '\n'; pos++ {
		switch ch := b[pos]; {
		case ch == '-':
			neg = true
		case '0' <= ch && ch <= '9' && n < 1<<40:
			n = n*10 + int(ch-'0')
		}
	}
	if neg {
		n = -n
	}
	return n, pos + 1
}
