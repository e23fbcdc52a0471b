package resp

import (
	"time"

	"github.com/tidwall/redcon"

	"kvapp/fsm"
	"kvapp/node"
)

// blocking is a wait of a connection that CLIENT UNBLOCK may end: of a data command, whose wait is part of the log, or of WAIT.
type blocking struct {
	node  *backend      // that has the wait in its log; nil for WAIT
	batch *node.Batch   // with node: the command
	known chan struct{} // closed when it is known whether the command waits
	id    fsm.WaiterID  // behind known: the name of the wait; zero = it was answered at once
	end   chan fsm.Unblocking
}

// over says that the command has been answered, also when its connection does not know yet.
func (w *blocking) over() bool { return w.batch != nil && len(w.batch.Done()) > 0 }

// waits says that a command of the connection waits. Any goroutine.
func (st *clientState) waits() bool {
	if !st.blocked.Load() {
		return false
	}
	w := st.blocking.Load()
	return w == nil || !w.over()
}

// blocks says whether the command, which is on data, may have to wait.
func (x *command) blocks(args [][]byte) bool {
	return x.is(fsm.FlagBlocking) && (x.spec.Blocks == nil || x.spec.Blocks(args))
}

// runBlocking executes a command that may have to wait. What the client sends meanwhile is executed afterwards.
func (c *conn) runBlocking(x *command, rc *redcon.Command) {
	c.flushRun()
	c.paused(x, x.is(fsm.FlagWrite))
	if c.ended {
		return
	}
	c.flush()
	c.mark = c.out.Len()
	c.state.last.Store(x)
	if !x.is(fsm.FlagWrite) && c.readFirst(x, rc) {
		return
	}
	n, b := c.srv.node(), node.NewBatch(c.out)
	b.Cmds = append(b.Cmds, fsm.Command{Spec: logged(x.spec), DB: c.db, Args: rc.Args, Raw: rc.Raw})
	b.MayWait()
	c.out.errors = 0
	c.srv.stats.commands.Add(1)
	x.stats.calls.Add(1)
	c.state.hold(rc.Args)
	c.await(n, b)
	c.state.hold(nil)
	if b.Outcome == node.Done {
		c.lastWrite = max(c.lastWrite, b.Index)
		x.stats.nanos.Add(uint64(b.ExecNs))
		if reply := c.out.Bytes()[c.mark:]; c.out.errors > 0 && len(reply) > 0 {
			x.stats.failed.Add(1)
			c.srv.stats.failure(reply[1:])
		}
	} else {
		c.out.Truncate(c.mark)
		x.stats.rejected.Add(1)
		c.fail(outcomeError(b.Outcome, b.Leader, &b.Cmds[0], c.keys[:0]))
	}
	c.silence()
}

// logged is the form of a command that stands in the log.
func logged(s *fsm.Spec) *fsm.Spec {
	if s.Logged != nil {
		return s.Logged
	}
	return s
}

// readFirst executes a read that may have to wait as one that does not. It returns false if that answered that there is nothing:
// then the command has to go through the log, in which it can wait.
func (c *conn) readFirst(x *command, rc *redcon.Command) bool {
	c.enqueue(x, rc)
	c.flushRun()
	reply := c.out.Bytes()[min(c.mark, c.out.Len()):]
	switch {
	case c.ended:
		return true
	case string(reply) != "*-1\r\n" && string(reply) != "_\r\n" && string(reply) != "$-1\r\n":
		return true
	}
	c.out.Truncate(c.mark)
	return false
}

// await hands b to the node and returns when it is answered.
func (c *conn) await(n *backend, b *node.Batch) {
	began := c.srv.now()
	w := &blocking{node: n, batch: b, known: make(chan struct{})}
	c.state.blocking.Store(w)
	defer c.state.blocking.Store(nil)
	n.Block(b)
	if w.over() {
		<-b.Done()
		close(w.known)
		return
	}
	defer c.block()() // not before the node has it: who sees that this connection is blocked comes behind it
	var due <-chan time.Time
	var gone, closed <-chan struct{}
	for {
		select {
		case <-b.Done():
			if w.id == (fsm.WaiterID{}) {
				close(w.known)
			}
			return
		case <-b.Waits():
			id, ms := b.Waiter()
			w.id = id
			close(w.known)
			gone, closed = c.net.Gone(), c.srv.closed
			if ms > 0 {
				c.state.timed.Store(true)
				timer := time.NewTimer(time.Duration(min(ms, longestPause))*time.Millisecond - c.srv.now().Sub(began))
				defer timer.Stop()
				due = timer.C
			}
		case <-due:
			n.Unblock(w.id, fsm.UnblockTimeout)
		case <-gone:
			gone, c.ended = nil, true
			n.Unblock(w.id, fsm.UnblockGone)
		case <-closed:
			closed, c.ended = nil, true
			n.Unblock(w.id, fsm.UnblockGone)
		}
	}
}

func clientUnblock(c *conn, args [][]byte) {
	why := fsm.UnblockTimeout
	switch {
	case len(args) > 4:
		c.out.Error(wrongUse(args))
		return
	case len(args) == 4 && is(args[3], "error"):
		why = fsm.UnblockError
	case len(args) == 4 && !is(args[3], "timeout"):
		c.out.Error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
		return
	}
	id, ok := parseInt(args[2])
	if !ok {
		c.out.Error(errNotInteger)
		return
	}
	c.srv.mu.Lock()
	target := c.srv.conns[uint64(id)]
	c.srv.mu.Unlock()
	if target == nil || id < 1 {
		c.out.Int(0)
		return
	}
	switch w := target.state.blocking.Load(); {
	case w == nil:
		c.out.Int(0)
	case w.node == nil:
		select {
		case w.end <- why:
			c.out.Int(1)
		default:
			c.out.Int(0) // somebody else was faster
		}
	default:
		c.unblock(w, why)
	}
}

// unblock ends a wait that is part of the log, and answers whether it was this that has ended it.
func (c *conn) unblock(w *blocking, why fsm.Unblocking) {
	select {
	case <-w.known:
	case <-c.srv.closed:
		c.ended = true
		return
	}
	if w.id == (fsm.WaiterID{}) {
		c.out.Int(0)
		return
	}
	mark := c.out.Len()
	b := node.NewBatch(c.out)
	b.Cmds = append(b.Cmds, fsm.UnblockCommand(w.id, why))
	w.node.Write(b)
	switch b.Outcome {
	case node.Done:
	case node.NotLeader, node.Overwritten: // the next leader ends the wait
		c.out.Truncate(mark)
		c.out.Int(0)
	default:
		c.out.Truncate(mark)
		c.out.Error(outcomeError(b.Outcome, b.Leader, &b.Cmds[0], nil))
	}
}
