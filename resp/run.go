package resp

import (
	"time"

	"github.com/tidwall/redcon"

	"kvapp/fsm"
	"kvapp/node"
	"kvapp/raft"
)

// The bounds of one run. They keep the replies that gather before a flush, and the time the state machine spends on
// one connection, small.
const (
	flushBytes   = 64 << 10 // replies are sent when they pass this
	maxReads     = 256      // commands of a run of reads
	maxMixed     = 256      // commands of a run with a write
	maxRiding    = 64       // reads in a run with a write
	maxRawBytes  = 1 << 20  // request bytes of a run with a write; a single larger command still goes whole
	staleClockMs = 10       // age of the log's clock above which a leader brings it up to date for FlagClock reads
)

// runKind is the way a run goes.
type runKind uint8

const (
	noRun    runKind = iota
	readRun          // reads of keys
	localRun         // reads of the whole keyspace: never redirected
	writeRun         // from a write on
)

// run is the row of data commands that waits for execution.
type run struct {
	kind   runKind
	riding int
	raw    int
	node   *backend // which the run belongs to; what was placed by its state machine must not meet another one
	batch  *node.Batch
	cmds   []*command // parallel to batch.Cmds
}

// enqueue adds a data command to the run; a run that it does not fit into is executed first.
func (c *conn) enqueue(x *command, rc *redcon.Command) {
	kind, spec := c.kindOf(x), x.spec
	if spec.Changes != nil && kind == readRun && c.changes(x, rc) {
		kind, spec = writeRun, spec.Logged
	}
	// During a pause every command goes alone: what the pause does not hold is answered at once.
	if c.run.kind != noRun && (!c.fits(kind, rc) || c.srv.pause.active()) {
		c.flushRun()
	}
	r := &c.run
	if r.kind == noRun {
		r.kind, r.node = kind, c.srv.node()
	}
	if r.kind == writeRun && kind != writeRun {
		r.riding++
	}
	r.raw += len(rc.Raw)
	r.cmds = append(r.cmds, x)
	r.batch.Cmds = append(r.batch.Cmds, fsm.Command{Spec: spec, DB: c.db, Args: rc.Args, Raw: rc.Raw, Quiet: c.state.noTouch})
	r.node.Store().Place(&r.batch.Cmds[len(r.batch.Cmds)-1])
	if c.reply == replySkip {
		c.flushRun()
	}
}

func (c *conn) kindOf(x *command) runKind {
	switch {
	case x.is(fsm.FlagWrite):
		return writeRun
	case x.is(fsm.FlagClock) && c.srv.clockStale():
		return writeRun
	case x.keyless():
		return localRun
	default:
		return readRun
	}
}

// changes says that the read x is to be proposed, because it would change something. Behind the writes of its run it always is:
// they may be why. What this node serves by itself stays a read, and changes nothing.
func (c *conn) changes(x *command, rc *redcon.Command) bool {
	if c.servesItself(x) {
		return false
	}
	return c.run.kind == writeRun || c.srv.node().Store().Promote(&fsm.Command{Spec: x.spec, DB: c.db, Args: rc.Args})
}

func (c *conn) fits(kind runKind, rc *redcon.Command) bool {
	r := &c.run
	if r.kind != writeRun {
		return kind == r.kind && len(r.cmds) < maxReads
	}
	return len(r.cmds) < maxMixed && r.raw+len(rc.Raw) <= maxRawBytes && (kind == writeRun || r.riding < maxRiding)
}

// clockStale says that this node leads and its log's clock is too old to tell the distance to a deadline.
func (s *Server) clockStale() bool {
	n := s.node()
	return n.View().Role == raft.Leader && s.now().UnixMilli()-n.Store().Clock() > staleClockMs
}

// flushRun executes the run and leaves its replies in c.out.
func (c *conn) flushRun() {
	r := &c.run
	if r.kind == noRun {
		return
	}
	if c.srv.pause.active() {
		c.pausedRun()
	}
	c.mark = c.out.Len()
	switch {
	case c.ended:
	case r.kind == writeRun:
		c.runWrite()
	default:
		c.runReads()
	}
	c.silence()
	clear(r.batch.Cmds)
	r.batch.Cmds = r.batch.Cmds[:0]
	r.cmds = r.cmds[:0]
	r.kind, r.riding, r.raw, r.node = noRun, 0, 0, nil
	if c.out.Len() > flushBytes {
		c.flush()
	}
}

func (c *conn) runWrite() {
	b := c.run.batch
	b.ReadOnly = c.readOnly.Load()
	mark := c.out.Len()
	c.out.errors = 0
	c.run.node.Write(b)
	switch b.Outcome {
	case node.Done:
	case node.OutOfMemory:
		c.out.Truncate(mark)
		c.runShort()
		return
	default:
		c.out.Truncate(mark)
		c.refuse(b.Outcome, b.Leader, 0)
		return
	}
	if b.Index > c.lastWrite {
		c.lastWrite = b.Index
	}
	c.account(0, len(b.Cmds), mark, b.ExecNs)
}

// runShort executes a run that the node has refused for want of memory. As in Redis each command is judged by itself: those
// that may take memory are refused, the others executed, and what follows them is tried anew, because they may have made room.
func (c *conn) runShort() {
	for from := 0; from < len(c.run.cmds) && !c.ended; {
		to := from
		for to < len(c.run.cmds) && c.run.cmds[to].is(fsm.FlagDenyOOM) {
			x := c.run.cmds[to]
			x.stats.rejected.Add(1)
			c.fail(errOOM)
			c.trim()
			to++
		}
		from = to
		for to < len(c.run.cmds) && !c.run.cmds[to].is(fsm.FlagDenyOOM) {
			to++
		}
		if from < to {
			if !c.runPart(from, to) {
				return
			}
			if c.alone.Outcome == node.OutOfMemory { // for none of them there was a reason
				c.refuse(c.alone.Outcome, "", from)
				return
			}
		}
		if from = to; from < len(c.run.cmds) && (!c.runPart(from, len(c.run.cmds)) || c.alone.Outcome == node.Done) {
			return
		}
	}
}

// runPart executes the commands [from, to) of a run in a batch of their own. It returns false when that could not be done and
// they, and all behind them, have been answered; for want of memory it only leaves c.alone.Outcome.
func (c *conn) runPart(from, to int) bool {
	b := c.aside()
	writes := false
	for i := from; i < to; i++ {
		b.Cmds = append(b.Cmds, c.run.batch.Cmds[i])
		writes = writes || c.kindOf(c.run.cmds[i]) == writeRun
	}
	if !writes {
		for i := from; i < to; i++ {
			if !c.readAlone(i) {
				c.refuse(c.alone.Outcome, c.alone.Leader, i)
				return false
			}
			c.trim()
		}
		return true
	}
	b.ReadOnly = c.readOnly.Load()
	mark := c.out.Len()
	c.out.errors = 0
	c.run.node.Write(b)
	switch b.Outcome {
	case node.Done:
		c.lastWrite = max(c.lastWrite, b.Index)
		c.account(from, to, mark, b.ExecNs)
		c.trim()
	case node.OutOfMemory:
		c.out.Truncate(mark)
	default:
		c.out.Truncate(mark)
		c.refuse(b.Outcome, b.Leader, from)
		return false
	}
	return true
}

// aside returns an empty batch for parts of a run.
func (c *conn) aside() *node.Batch {
	if c.alone == nil {
		c.alone = node.NewBatch(c.out)
	}
	clear(c.alone.Cmds)
	c.alone.Cmds = c.alone.Cmds[:0]
	return c.alone
}

func (c *conn) runReads() {
	b := c.run.batch
	b.ReadOnly = c.readOnly.Load() || c.run.kind == localRun
	b.Mode, b.MaxStale = c.readMode, c.maxStale
	b.Limit = flushBytes
	for from := 0; from < len(b.Cmds) && !c.ended; {
		mark := c.out.Len()
		c.out.errors = 0
		start := c.srv.now()
		next := c.run.node.Read(b, from)
		if b.Outcome != node.Done {
			c.out.Truncate(mark)
			c.refuse(b.Outcome, b.Leader, from)
			return
		}
		c.account(from, next, mark, int64(c.srv.now().Sub(start)))
		from = next
		c.trim()
	}
}

// refuse answers the commands of the run from position from on, none of which was executed (or, Uncertain, may have
// been). The reads of a proposal are in no log and have no effect: they are served by themselves where that can be.
func (c *conn) refuse(o node.Outcome, leader string, from int) {
	b := c.run.batch
	reads, readsAt := o, leader // what becomes of reads
	for i := from; i < len(b.Cmds) && !c.ended; i++ {
		x, why, at := c.run.cmds[i], o, leader
		if c.run.kind == writeRun && !x.is(fsm.FlagWrite) {
			if c.worthReading(x, reads) {
				if c.readAlone(i) {
					continue
				}
				reads, readsAt = c.alone.Outcome, c.alone.Leader
			}
			why, at = reads, readsAt
		}
		x.stats.rejected.Add(1)
		c.fail(outcomeError(why, at, &b.Cmds[i], c.keys[:0]))
		c.trim()
	}
}

// worthReading says that the node may serve the read x although a proposal, or the read before it, ended with o. A
// node without a leader is not asked twice: every read would wait for one.
func (c *conn) worthReading(x *command, o node.Outcome) bool {
	switch o {
	case node.NotLeader:
		return c.servesItself(x)
	case node.Uncertain, node.Overwritten, node.Busy, node.DiskFull, node.OutOfMemory:
		return c.kindOf(x) != writeRun // a deadline needs the log's clock
	default:
		return false
	}
}

// servesItself says that a follower answers x for this connection.
func (c *conn) servesItself(x *command) bool {
	return !x.is(fsm.FlagWrite) && (c.readOnly.Load() || c.readMode == node.ReadStale || x.keyless())
}

// readAlone serves one read of a run that was not executed; false when it could not, and c.alone tells why.
func (c *conn) readAlone(i int) bool {
	c.aside().ReadOnly = c.servesItself(c.run.cmds[i])
	c.alone.Mode, c.alone.MaxStale = c.readMode, c.maxStale
	c.alone.Cmds = append(c.alone.Cmds, c.run.batch.Cmds[i])
	mark := c.out.Len()
	c.out.errors = 0
	start := c.srv.now()
	c.run.node.Read(c.alone, 0)
	if c.alone.Outcome != node.Done {
		c.out.Truncate(mark)
		return false
	}
	c.account(i, i+1, mark, int64(c.srv.now().Sub(start)))
	return true
}

// account books the commands [from, to) of the run, whose replies begin at mark. The time is shared evenly: it is
// exact for a single command, and an average within a run.
func (c *conn) account(from, to, mark int, nanos int64) {
	n := to - from
	if n == 0 {
		return
	}
	c.srv.stats.commands.Add(uint64(n))
	share := uint64(nanos) / uint64(n)
	for i := from; i < to; {
		x, same := c.run.cmds[i], 1
		for i+same < to && c.run.cmds[i+same] == x {
			same++
		}
		x.stats.calls.Add(uint64(same))
		x.stats.nanos.Add(share * uint64(same))
		i += same
	}
	c.state.last.Store(c.run.cmds[to-1])
	if c.out.errors > 0 {
		c.accountErrors(from, to, mark)
	}
}

// accountErrors finds the commands of the run that answered an error.
func (c *conn) accountErrors(from, to, mark int) {
	rest := c.out.Bytes()[mark:]
	for i := from; i < to && len(rest) > 0; i++ {
		size := replyLen(rest)
		if rest[0] == '-' {
			c.run.cmds[i].stats.failed.Add(1)
			c.srv.stats.failure(rest[1:size])
		}
		rest = rest[size:]
	}
}

// runOwn executes a command of this package.
func (c *conn) runOwn(x *command, args [][]byte) {
	c.paused(x, x.is(fsm.FlagWrite|fsm.FlagMayReplicate) || c.execWrites(x))
	if c.ended {
		return
	}
	c.mark = c.out.Len()
	c.state.last.Store(x)
	c.state.hold(args)
	start := c.srv.now()
	x.run(c, args)
	c.state.hold(nil)
	x.stats.calls.Add(1)
	x.stats.nanos.Add(uint64(c.srv.now().Sub(start)))
	c.srv.stats.commands.Add(1)
	if reply := c.out.Bytes()[c.mark:]; len(reply) > 0 && reply[0] == '-' {
		x.stats.failed.Add(1)
		c.srv.stats.failure(reply[1:])
	}
	c.silence()
	if c.out.Len() > flushBytes {
		c.flush()
	}
}

// pausedRun holds a run while CLIENT PAUSE asks for it.
func (c *conn) pausedRun() {
	for _, x := range c.run.cmds {
		if x.is(fsm.FlagWrite) || x.spec.Changes != nil {
			c.paused(x, true)
			return
		}
	}
	c.paused(c.run.cmds[0], false)
}

// paused holds the connection, which is about to execute x, while CLIENT PAUSE asks for it.
func (c *conn) paused(x *command, write bool) {
	if !c.srv.pause.active() {
		return
	}
	c.flush()
	c.state.last.Store(x)
	defer c.block()()
	if !c.srv.pause.wait(write, c.net.Gone(), c.srv.closed) {
		c.ended = true
	}
}

// silence drops the replies behind c.mark when CLIENT REPLY asks for it.
func (c *conn) silence() {
	switch c.reply {
	case replyOn:
		return
	case replySkip:
		c.reply = replyOn
	case replySkipNext:
		c.reply = replySkip
	case replyOff:
	}
	c.out.Truncate(c.mark)
}

// trim keeps the replies of a run that goes on from piling up.
func (c *conn) trim() {
	switch {
	case c.reply != replyOn:
		c.out.Truncate(c.mark)
	case c.out.Len() > flushBytes:
		c.flush()
	}
}

// fail answers an error and counts it.
func (c *conn) fail(msg string) {
	c.srv.stats.failure([]byte(msg))
	c.out.Error(msg)
}

// since is the time passed in whole seconds.
func since(now, then time.Time) int64 { return int64(now.Sub(then) / time.Second) }
