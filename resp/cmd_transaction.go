package resp

import (
	"runtime"
	"slices"

	"kvapp/fsm"
	"kvapp/node"
	"kvapp/raft"
)

// transactionCommands mark the beginning and the end of transactions.
var transactionCommands = []entry{
	{run: multi, spec: spec("multi", 1, begins, "transaction", "1.2.0", "transactions", "O(1)", "Begins a transaction: the commands that follow wait for EXEC.")},
	{run: execute, spec: spec("exec", 1, ownState|fsm.FlagSkipSlowlog, "transaction", "1.2.0", "transactions", "Depends on commands in the transaction",
		"Executes the commands of the transaction together.")},
	{run: discardQueue, spec: spec("discard", 1, begins, "transaction", "2.0.0", "transactions", "O(N), when N is the number of queued commands",
		"Forgets the commands of the transaction.")},
	{run: watch, spec: watchSpec()},
	{run: unwatch, spec: spec("unwatch", 1, begins, "transaction", "2.2.0", "transactions", "O(1)", "Forgets all watched keys.")},
}

const begins = ownState | fsm.FlagFast | fsm.FlagAllowBusy

func watchSpec() fsm.Spec {
	s := spec("watch", -2, begins, "transaction", "2.2.0", "transactions", "O(1) for every key.",
		"Has the next transaction executed only if none of these keys changes before.", multiple(fsm.Arg{Name: "key", Type: "key"}))
	s.FirstKey, s.LastKey, s.KeyStep, s.KeyFlags = 1, -1, 1, []string{"RO"}
	return s
}

// atOnce lists the commands that a transaction does not queue.
var atOnce = []string{"multi", "exec", "discard", "watch", "quit", "reset"}

func multi(c *conn, _ [][]byte) {
	if c.tx != nil {
		c.out.Error(errNestedMulti)
		return
	}
	c.tx = &transaction{db: c.db}
	c.state.multi.Store(1)
	c.out.Simple("OK")
}

func discardQueue(c *conn, _ [][]byte) {
	if c.tx == nil {
		c.out.Error(errDiscardAlone)
		return
	}
	c.endTransaction()
	c.out.Simple("OK")
}

func unwatch(c *conn, _ [][]byte) {
	c.srv.tracker.unwatch(c)
	c.out.Simple("OK")
}

func watch(c *conn, args [][]byte) {
	if c.tx != nil {
		c.out.Error(errWatchInside)
		return
	}
	w, fresh := c.srv.tracker.watch(c, args)
	if len(fresh) == 0 {
		c.out.Simple("OK")
		return
	}
	versions, o, leader := c.versions(w.node, append(args[:1:1], fresh...))
	if o != node.Done {
		c.srv.tracker.unwatch(c, fresh...)
		c.out.Error(outcomeError(o, leader, &fsm.Command{Spec: fsm.Versions, Args: args}, c.keys[:0]))
		return
	}
	for i, key := range fresh {
		w.list = append(w.list, fsm.Watch{DB: c.db, Key: append([]byte(nil), key...), Version: versions[i]})
	}
	c.out.Simple("OK")
}

// versionsOut takes the replies of fsm.Versions.
type versionsOut struct {
	fsm.Out // what fsm.Versions does not use
	versions,
	deadlines []int64
}

// Int implements fsm.Out: version and deadline come by turns.
func (o *versionsOut) Int(n int64) {
	if len(o.versions) == len(o.deadlines) {
		o.versions = append(o.versions, n)
	} else {
		o.deadlines = append(o.deadlines, n)
	}
}

// versionTries is how often versions asks again because a key changes all the time.
const versionTries = 16

// versions asks for the versions of args[1:].
//
// A version is the index of an entry. While the entry is being executed it may change the key once more, and the version
// would stay: so one that is that new does not count, and is asked for again when the entry has been executed. If the keys change
// so often that none of the attempts finds them at rest, older versions are returned: the keys have newer ones already, and the
// transaction will find that they have changed.
func (c *conn) versions(n *backend, args [][]byte) (list []uint64, o node.Outcome, leader string) {
	out := &versionsOut{Out: fsm.Discard}
	b := node.NewBatch(out)
	b.Cmds = []fsm.Command{{Spec: fsm.Versions, DB: c.db, Args: args}}
	b.ReadOnly, b.Mode, b.MaxStale = c.readOnly.Load(), c.readMode, c.maxStale
	var before []uint64
	for try := 0; ; try++ {
		applied := n.Store().Applied()
		out.versions, out.deadlines = out.versions[:0], out.deadlines[:0]
		if n.Read(b, 0); b.Outcome != node.Done {
			return nil, b.Outcome, b.Leader
		}
		if try == 0 && c.due(n, out.deadlines) {
			// As in Redis a key that is due is absent. The clock of the state does not know it yet.
			if n.Write(b); b.Outcome != node.Done {
				return nil, b.Outcome, b.Leader
			}
			continue
		}
		now := make([]uint64, len(out.versions))
		for i, v := range out.versions {
			now[i] = uint64(v)
		}
		newest := slices.Max(now)
		switch {
		case newest <= applied:
			return now, node.Done, ""
		case try >= versionTries && before != nil:
			return before, node.Done, ""
		}
		before = now
		for n.Store().Applied() < newest {
			select {
			case <-c.srv.closed:
				return nil, node.Stopped, ""
			default:
				runtime.Gosched() // microseconds
			}
		}
	}
}

// due says that this node leads and one of the deadlines, in Unix ms, has passed.
func (c *conn) due(n *backend, deadlines []int64) bool {
	now := c.srv.now().UnixMilli()
	for _, at := range deadlines {
		if at != 0 && at < now && n.View().Role == raft.Leader {
			return true
		}
	}
	return false
}
