package resp

import (
	"time"

	"kvapp/fsm"
	"kvapp/raft"
)

// waitSlice is how long WAIT asks the node at a time, so that it notices when its client or the server goes away, or CLIENT UNBLOCK
// ends it.
const waitSlice = 200 // ms

// timeout reads a number of ms; false if it was answered that it is none.
func (c *conn) timeout(arg []byte) (ms int64, ok bool) {
	ms, ok = parseInt(arg)
	switch {
	case !ok:
		c.out.Error(errTimeout)
	case ms < 0:
		c.out.Error(errTimeoutNeg)
		ok = false
	}
	return ms, ok
}

func wait(c *conn, args [][]byte) {
	if c.srv.node().View().Role != raft.Leader {
		c.out.Error(errWaitReplica)
		return
	}
	n, ok := parseInt(args[1])
	if !ok {
		c.out.Error(errNotInteger)
		return
	}
	ms, ok := c.timeout(args[2])
	if !ok {
		return
	}
	if _, others, ended := c.waitFor(false, n, ms); ended == "" {
		c.out.Int(int64(others))
	} else {
		c.out.Error(ended)
	}
}

func waitAOF(c *conn, args [][]byte) {
	local, ok := parseInt(args[1])
	if !ok {
		c.out.Error(errNotInteger)
		return
	}
	if local < 0 || local > 1 {
		c.out.Error(errWaitLocal)
		return
	}
	n, ok := parseInt(args[2])
	if !ok {
		c.out.Error(errNotInteger)
		return
	}
	if n < 0 {
		c.out.Error(errPositive)
		return
	}
	ms, ok := c.timeout(args[3])
	if !ok {
		return
	}
	if c.srv.node().View().Role != raft.Leader {
		c.out.Error(errWaitAOF)
		return
	}
	own, others, ended := c.waitFor(local == 1, n, ms)
	if ended != "" {
		c.out.Error(ended)
		return
	}
	c.out.Array(2)
	if own {
		c.out.Int(1)
	} else {
		c.out.Int(0)
	}
	c.out.Int(int64(others))
}

// waitFor returns who has this connection's writes on disk: this node, and how many others. It waits until want others do, and
// with local this node, for ms at most, 0 = no limit. ended is the error with which CLIENT UNBLOCK has ended it.
func (c *conn) waitFor(local bool, want, ms int64) (own bool, others int, ended string) {
	if c.lastWrite == 0 { // nothing to wait for: every node has nothing of this connection
		return true, c.others(), ""
	}
	if want <= 0 && !local || c.tx != nil { // as in Redis a transaction does not wait
		own, others = c.srv.node().Wait(c.lastWrite, false, 0, 1)
		return own, others, ""
	}
	c.flush()
	w := &blocking{end: make(chan fsm.Unblocking, 1)}
	c.state.blocking.Store(w)
	defer c.state.blocking.Store(nil)
	defer c.block()()
	c.state.timed.Store(ms > 0)
	gone := c.net.Gone()
	for left := ms; ; left -= waitSlice {
		slice := int64(waitSlice)
		if ms > 0 {
			slice = min(slice, left)
		}
		asked := time.Now()
		own, others = c.srv.node().Wait(c.lastWrite, local, int(min(want, 1<<20)), slice)
		// An answer before its time that is too low comes from a node that stopped or leads no more.
		early := time.Since(asked) < time.Duration(slice)*time.Millisecond/2
		if int64(others) >= want && (own || !local) || ms > 0 && left <= waitSlice || early {
			return own, others, ""
		}
		select {
		case why := <-w.end:
			if why == fsm.UnblockError {
				ended = fsm.Unblocked
			}
			return own, others, ended
		case <-gone:
			c.ended = true
			return own, others, ""
		case <-c.srv.closed:
			c.ended = true
			return own, others, ""
		default:
		}
	}
}

// others counts the nodes beside this one.
func (c *conn) others() int {
	return max(0, len(c.srv.node().View().Members)-1)
}
