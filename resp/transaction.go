package resp

import (
	"strings"

	"github.com/tidwall/redcon"

	"kvapp/fsm"
	"kvapp/node"
	"kvapp/raft"
)

// Between MULTI and EXEC commands are checked and queued. EXEC makes one fsm.Transaction of those on data, with the watched
// keys: one write, that stands in one log entry, or one read if none of them writes. The commands of this package among them
// are executed by the connection's goroutine when those on data have been; their replies go between the others.

// transaction is what a connection has queued since MULTI.
type transaction struct {
	failed bool // a command was refused: EXEC executes nothing
	db     int  // of the next command
	queue  []queued
	bytes  int       // of queue
	flags  fsm.Flags // of any command in queue
}

// queued is a command that waits for EXEC. Its bytes are its own.
type queued struct {
	x    *command
	db   int
	args [][]byte
	raw  []byte
}

const (
	// maxTransaction is how many bytes of commands and watched keys a transaction may have. All of it is one entry, and a
	// message between nodes can have twice as much.
	maxTransaction = 512 << 20
	// queuedCost and watchCost are what is counted for a queued command, or a watched key, beside its bytes.
	queuedCost = 128
	watchCost  = 64
)

// queue takes a command while a transaction is open.
func (c *conn) queue(x *command, v verdict, rc *redcon.Command) {
	if v == accepted && x.atOnce {
		c.runOwn(x, rc.Args)
		return
	}
	c.mark = c.out.Len()
	if v != accepted {
		c.reject(x, v, rc.Args)
		c.spoil()
		return
	}
	if msg := c.refusal(x, rc); msg != "" {
		c.state.last.Store(x)
		x.stats.rejected.Add(1)
		c.fail(msg)
		c.spoil()
		return
	}
	c.paused(x, x.is(fsm.FlagWrite|fsm.FlagMayReplicate))
	if c.ended {
		return
	}
	c.state.last.Store(x)
	c.mark = c.out.Len()
	c.tx.add(x, rc)
	c.state.multi.Store(int64(len(c.tx.queue)) + 1)
	c.state.multiMem.Store(int64(c.tx.bytes))
	c.out.Simple("QUEUED")
	c.silence()
	if c.out.Len() > flushBytes {
		c.flush()
	}
}

// spoil notes that the command whose error stands behind c.mark was refused. What is queued is not needed any more.
func (c *conn) spoil() {
	c.silence()
	if c.tx != nil {
		c.tx.failed, c.tx.queue, c.tx.bytes = true, nil, 0
		c.state.multiMem.Store(0)
	}
}

// refusal says why a command cannot be queued, in the order of Redis' checks; "" if it can.
func (c *conn) refusal(x *command, rc *redcon.Command) string {
	if x.is(fsm.FlagNoMulti) {
		return errNoMulti
	}
	v := c.srv.node().View()
	if x.data() {
		switch {
		case v.Loading:
			return errLoading
		case v.Leader != 0 && v.Role != raft.Leader && !c.servesItself(x):
			if addr := leaderAddr(v, v.Leader); addr != "" {
				return moved(&fsm.Command{Spec: x.spec, Args: rc.Args}, addr, c.keys[:0])
			}
		}
	}
	switch {
	case v.Role == raft.Leader && c.srv.outOfMemory():
		return errOOM
	case v.Role == raft.Leader && v.DiskFull && x.is(fsm.FlagWrite):
		return errDiskFull
	case c.tx.bytes+len(rc.Raw)+queuedCost > c.transactionLimit():
		return errLargeMulti
	}
	return ""
}

// outOfMemory says that the keys take more than they may, and that no policy will change that.
func (s *Server) outOfMemory() bool {
	limit := s.settings.Int("maxmemory")
	return limit > 0 && fsm.ParsePolicy(s.settings.Get("maxmemory-policy")) == fsm.NoEviction && s.node().Store().Counted() > limit
}

// transactionLimit is how many bytes may be queued: what a client may have the server keep for it.
func (c *conn) transactionLimit() int {
	limit := int64(maxTransaction)
	if query := c.srv.settings.Int("client-query-buffer-limit"); query > 0 {
		limit = min(limit, query)
	}
	return int(limit)
}

// add queues a command; one that has no chance to be executed is only counted.
func (t *transaction) add(x *command, rc *redcon.Command) {
	q := queued{x: x, db: t.db}
	if !t.failed {
		q.raw = append([]byte(nil), rc.Raw...)
		q.args = argsOf(q.raw, rc.Args)
		t.bytes += len(q.raw) + queuedCost
	}
	t.flags |= x.spec.Flags
	t.queue = append(t.queue, q)
	if x.name == "select" {
		if n, ok := parseInt(rc.Args[1]); ok && 0 <= n && n < fsm.Databases {
			t.db = int(n)
		}
	}
}

// argsOf finds the arguments in a command in canonical RESP.
func argsOf(raw []byte, like [][]byte) [][]byte {
	args := make([][]byte, len(like))
	_, at := replyHead(raw, 1)
	for i, a := range like {
		_, at = replyHead(raw, at+1)
		args[i] = raw[at : at+len(a) : at+len(a)]
		at += len(a) + 2
	}
	return args
}

// endTransaction forgets what was queued and watched.
func (c *conn) endTransaction() {
	c.tx, c.cache.caching = nil, false
	c.srv.tracker.unwatch(c)
	c.state.multi.Store(0)
	c.state.multiMem.Store(0)
}

// abort ends the transaction because EXEC itself was refused, as the error behind c.mark says.
func (c *conn) abort() {
	why := string(c.out.Bytes()[c.mark+1 : c.out.Len()-2])
	c.out.Truncate(c.mark)
	c.endTransaction()
	c.out.Error(errExecAbortFor + strings.TrimPrefix(why, "ERR "))
}

// execWrites says that x is an EXEC of a transaction that writes.
func (c *conn) execWrites(x *command) bool {
	return c.tx != nil && x.name == "exec" && c.tx.flags&(fsm.FlagWrite|fsm.FlagMayReplicate) != 0
}

func execute(c *conn, _ [][]byte) {
	t, w := c.tx, c.watched.Load()
	if t == nil {
		c.out.Error(errExecAlone)
		return
	}
	defer c.endTransaction()
	switch {
	case t.failed:
		c.out.Error(errExecAbort)
	case w != nil && (w.lost.Load() || w.node != c.srv.node()):
		c.out.NullArray()
	case w != nil && t.bytes+w.bytes > maxTransaction:
		c.out.Error(errExecAbortFor + errLargeMulti)
	default:
		c.runQueue(t, w)
	}
}

// runQueue executes what was queued.
func (c *conn) runQueue(t *transaction, w *watches) {
	txn := &fsm.Transaction{}
	if w != nil {
		txn.Watches = w.list
	}
	protos, own := c.plan(t, txn)
	mark, data := c.out.Len(), []byte(nil)
	if len(txn.Cmds)+len(txn.Watches) > 0 {
		proto := c.out.Proto()
		if protos != nil {
			txn.Before = func(i int) { c.out.SetProto(protos[i]) }
		}
		ok, nanos := c.runData(t, txn)
		c.out.SetProto(proto)
		if !ok {
			return
		}
		reply := c.out.Bytes()[mark:]
		n, head := replyHead(reply, 1)
		if reply[0] != '*' || n < 0 { // a watched key has changed
			return
		}
		c.accountQueue(t, reply[head:], nanos)
		if !own {
			return
		}
		data = append(data, reply[head:]...)
		c.out.Truncate(mark)
	}
	c.out.Array(len(t.queue))
	for i := range t.queue {
		q := &t.queue[i]
		if !q.x.data() {
			c.runQueued(q)
			continue
		}
		size := replyLen(data)
		if c.reply != replyOff {
			c.out.Raw(data[:size])
		}
		data = data[size:]
	}
}

// plan fills in the commands on data. own says that there are others, too; protos is not nil if HELLO is one of them, and
// says in which protocol each command on data is answered.
func (c *conn) plan(t *transaction, txn *fsm.Transaction) (protos []int, own bool) {
	c.state.mu.Lock()
	quiet := c.state.noTouch
	c.state.mu.Unlock()
	caching, proto, changes := c.cache.caching, c.out.Proto(), false
	for i := range t.queue {
		q := &t.queue[i]
		if !q.x.data() {
			own = true
			switch q.x.name {
			case "hello":
				if p, ok := c.helloProto(q.args); ok {
					changes = changes || p != proto
					proto = p
				}
			case "client|caching":
				caching = true
			}
			continue
		}
		if c.cache.on {
			c.cache.caching = caching
			c.track(q.x, accepted, q.args)
		}
		protos = append(protos, proto)
		txn.Cmds = append(txn.Cmds, fsm.Command{Spec: q.x.spec, DB: q.db, Args: q.args, Raw: q.raw, Quiet: quiet})
	}
	if !changes {
		protos = nil
	}
	return protos, own
}

// runData executes the commands on data and leaves their replies, as an array, in c.out. If that cannot be done it answers
// why, and returns false. nanos is the time that they took.
func (c *conn) runData(t *transaction, txn *fsm.Transaction) (ok bool, nanos int64) {
	n, b, mark := c.srv.node(), c.aside(), c.out.Len()
	b.Cmds = append(b.Cmds, txn.Command())
	b.ReadOnly, b.Mode, b.MaxStale = c.readOnly.Load(), c.readMode, c.maxStale
	c.out.errors = 0
	writes := b.Cmds[0].Spec.Flags&fsm.FlagWrite != 0
	start := c.srv.now()
	if writes || t.flags&fsm.FlagClock != 0 && c.srv.clockStale() {
		n.Write(b)
		nanos = b.ExecNs
	} else {
		b.ReadOnly = b.ReadOnly || t.keyless()
		n.Read(b, 0)
		nanos = int64(c.srv.now().Sub(start))
	}
	if b.Outcome == node.Done {
		if writes {
			c.lastWrite = max(c.lastWrite, b.Index)
		}
		clear(b.Cmds)
		return true, nanos
	}
	c.out.Truncate(mark)
	msg := outcomeError(b.Outcome, b.Leader, &b.Cmds[0], nil)
	switch {
	case b.Outcome == node.NotLeader && b.Leader != "":
		first := txn.First()
		msg = moved(&first, b.Leader, c.keys[:0])
	case b.Outcome == node.OutOfMemory || b.Outcome == node.DiskFull:
		msg = errExecAbortFor + msg
	}
	clear(b.Cmds)
	c.out.Error(msg)
	return false, 0
}

// keyless says that none of the commands on data names keys: every node may answer.
func (t *transaction) keyless() bool {
	for i := range t.queue {
		if x := t.queue[i].x; x.data() && !x.keyless() {
			return false
		}
	}
	return true
}

// accountQueue books the commands on data, whose replies are given.
func (c *conn) accountQueue(t *transaction, replies []byte, nanos int64) {
	n := uint64(0)
	for i := range t.queue {
		if t.queue[i].x.data() {
			n++
		}
	}
	c.srv.stats.commands.Add(n)
	for i := range t.queue {
		x := t.queue[i].x
		if !x.data() {
			continue
		}
		x.stats.calls.Add(1)
		x.stats.nanos.Add(uint64(nanos) / n)
		if c.out.errors > 0 {
			size := replyLen(replies)
			if replies[0] == '-' {
				x.stats.failed.Add(1)
				c.srv.stats.failure(replies[1:size])
			}
			replies = replies[size:]
		}
	}
}

// runQueued executes a command of this package.
func (c *conn) runQueued(q *queued) {
	before, from := c.reply, c.out.Len()
	start := c.srv.now()
	q.x.run(c, q.args)
	q.x.stats.calls.Add(1)
	q.x.stats.nanos.Add(uint64(c.srv.now().Sub(start)))
	c.srv.stats.commands.Add(1)
	from = min(from, c.out.Len()) // it may have sent what was there
	if reply := c.out.Bytes()[from:]; len(reply) > 0 && reply[0] == '-' {
		q.x.stats.failed.Add(1)
		c.srv.stats.failure(reply[1:])
	}
	switch {
	case before == replyOff && c.reply == replyOn: // CLIENT REPLY ON: as in Redis it is answered, and what was before it is not
		rest := append([]byte(nil), c.out.Bytes()[from:]...)
		c.out.Truncate(c.mark)
		c.out.Raw(rest)
	case before != c.reply: // CLIENT REPLY OFF or SKIP are not answered, what was before them is
		c.mark = c.out.Len()
	case c.reply == replyOff:
		c.out.Truncate(from)
	}
}
