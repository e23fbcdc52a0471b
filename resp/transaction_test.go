package resp

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/fsm"
	"kvapp/node"
)

// lines sends commands one by one and returns the replies, line ends shown as spaces.
func (c *client) lines(cmds ...string) (all []string) {
	for _, cmd := range cmds {
		all = append(all, strings.TrimSuffix(strings.ReplaceAll(c.do(cmd), "\r\n", " "), " "))
	}
	return all
}

// EXEC is one write, or one read when nothing is written, whatever else stands between the commands.
func TestExecIsOneBatch(t *testing.T) {
	f, _, c := one(t)
	require.Equal(t, []string{"+OK", "+QUEUED", "+QUEUED", "+QUEUED", "+QUEUED", "*4 +OK +PONG :2 $1 2"},
		c.lines("MULTI", "SET a 1", "PING", "INCR a", "GET a", "EXEC"))
	require.EqualValues(t, 1, f.writes.Load())
	require.EqualValues(t, 0, f.reads.Load())
	require.Equal(t, "*2 $1 2 :1", c.lines("MULTI", "GET a", "DBSIZE", "EXEC")[3])
	require.EqualValues(t, 1, f.writes.Load())
	require.EqualValues(t, 1, f.reads.Load())
	require.Equal(t, "*1 +PONG", c.lines("MULTI", "PING", "EXEC")[2])
	require.EqualValues(t, 1, f.reads.Load(), "nothing to ask the node for")
	require.Equal(t, "*1 +PONG", c.lines("WATCH a", "MULTI", "PING", "EXEC")[3])
	require.EqualValues(t, 3, f.reads.Load(), "the versions, and the comparison")
	require.Contains(t, c.do("INFO commandstats"), "cmdstat_incr:calls=1,")
	require.Contains(t, c.do("INFO commandstats"), "cmdstat_exec:calls=4,")
}

// What EXEC is told when nothing was executed, or nobody knows. In every case the transaction and the watches are over.
func TestExecRefused(t *testing.T) {
	for o, want := range map[node.Outcome]string{
		node.NotLeader:   "-MOVED 15495 127.0.0.1:9",
		node.NoLeader:    "-" + errNoLeader,
		node.Uncertain:   "-" + errUncertain,
		node.Overwritten: "-" + errOverwritten,
		node.Busy:        "-" + errBusy,
		node.Loading:     "-" + errLoading,
		node.Stopped:     "-" + errStopped,
		node.DiskFull:    "-EXECABORT Transaction discarded because of: " + errDiskFull,
		node.OutOfMemory: "-EXECABORT Transaction discarded because of: " + errOOM,
	} {
		f, _, c := one(t)
		addr := "127.0.0.1:9"
		f.leader.Store(&addr)
		c.lines("WATCH w", "MULTI", "PING", "GET a", "SET b 1")
		f.refused.Store(int32(o))
		require.Equal(t, []string{want, "-ERR EXEC without MULTI"}, c.lines("EXEC", "EXEC"), o)
		f.refused.Store(int32(node.Done))
		require.Equal(t, []string{"+OK", "+OK", "+QUEUED", "*1 $-1"}, c.lines("SET w 1", "MULTI", "GET b", "EXEC"), o)
	}
}

// A transaction of reads has no effect: what became of it is never unknown.
func TestExecOfReadsRefused(t *testing.T) {
	f, _, c := one(t)
	c.lines("MULTI", "GET a")
	f.outcome.Store(int32(node.Uncertain))
	require.Equal(t, "-"+errReadAgain, c.lines("EXEC")[0])
	c.lines("MULTI")
	f.outcome.Store(int32(node.NoLeader))
	require.Equal(t, []string{"+QUEUED", "*1 +PONG"}, c.lines("PING", "EXEC"))
}

// A follower sends clients to the leader when they queue, as Redis Cluster does; what it may answer it does.
func TestTransactionOnFollower(t *testing.T) {
	_, servers := cluster(t, 2)
	c := dial(t, addrOf(servers[1]))
	leader := addrOf(servers[0])
	require.Equal(t, []string{"+OK", "-MOVED 15495 " + leader, "+QUEUED", "-" + errExecAbort}, c.lines("MULTI", "SET a 1", "PING", "EXEC"))
	require.Equal(t, []string{"-MOVED 15495 " + leader, "+OK", "-MOVED 3300 " + leader, "+OK"}, c.lines("WATCH a", "MULTI", "MGET b a", "DISCARD"))
	require.Equal(t, []string{"+OK", "+QUEUED", "+QUEUED", "*2 :0 +PONG"}, c.lines("MULTI", "DBSIZE", "PING", "EXEC"))
	require.Equal(t, []string{"+OK", "+OK", "+OK", "+QUEUED", "*1 $-1"}, c.lines("READONLY", "WATCH a", "MULTI", "GET a", "EXEC"))
	require.Equal(t, []string{"+OK", "+OK", "-MOVED 15495 " + leader, "-" + errExecAbort}, c.lines("WATCH a", "MULTI", "SET a 1", "EXEC"))
	// A change that came by way of the leader is noticed here, too.
	require.Equal(t, "+OK", c.lines("WATCH a")[0])
	dial(t, leader).do("SET a 2")
	require.Equal(t, []string{"+OK", "+QUEUED", "*-1"}, c.lines("MULTI", "GET a", "EXEC"))
}

func TestTransactionLimits(t *testing.T) {
	_, s, c := one(t)
	require.Equal(t, "+OK\r\n", c.do("CONFIG SET client-query-buffer-limit 1mb"))
	c.do("MULTI")
	big := strings.Repeat("x", 300<<10)
	require.Equal(t, []string{"+QUEUED", "+QUEUED", "+QUEUED", "-" + errLargeMulti, "+QUEUED"},
		c.lines("SET a "+big, "SET b "+big, "SET c "+big, "SET d "+big, "SET e 1"))
	require.Equal(t, []string{"-" + errExecAbort, ":0"}, c.lines("EXEC", "EXISTS a b c d e"))
	for _, other := range s.clients() {
		require.Zero(t, other.state.multiMem.Load())
	}
}

// Who watches is known to the applier only as long as somebody does.
func TestWatchersCome(t *testing.T) {
	_, s, c := one(t)
	tab := &s.tracker.watched
	d := dial(t, addrOf(s))
	count := func() (clients int, keys int64) {
		s.tracker.mu.Lock()
		defer s.tracker.mu.Unlock()
		return tab.clients, tab.keys.Load()
	}
	c.lines("WATCH a b a", "WATCH b c")
	d.lines("WATCH a")
	clients, keys := count()
	require.Equal(t, 2, clients)
	require.EqualValues(t, 3, keys)
	c.lines("MULTI", "EXEC")
	clients, keys = count()
	require.Equal(t, 1, clients)
	require.EqualValues(t, 1, keys)
	require.NoError(t, d.nc.Close())
	require.Eventually(t, func() bool { n, keys := count(); return n == 0 && keys == 0 }, 10*time.Second, time.Millisecond)
	require.Empty(t, tab.by)
}

// A key that is as absent as before has no version that would tell: who watched it is told by the node.
func TestWatchedKeyCameAndWent(t *testing.T) {
	_, s, c := one(t)
	d := dial(t, addrOf(s))
	for _, between := range [][]string{
		{"SET k 1", "DEL k"}, {"SET k 1", "FLUSHALL"}, {"SELECT 1", "SET k 1", "SWAPDB 0 1", "SWAPDB 0 1", "DEL k", "SELECT 0"},
	} {
		require.Equal(t, "+OK", c.lines("WATCH k")[0])
		d.lines(between...)
		require.Equal(t, []string{"+OK", "+QUEUED", "*-1"}, c.lines("MULTI", "EXISTS k", "EXEC"), between)
		require.Equal(t, []string{"+OK", "+OK", "+QUEUED", "*1 :0"}, c.lines("WATCH k", "MULTI", "EXISTS k", "EXEC"), between)
	}
	c.lines("WATCH k")
	d.lines("SELECT 2", "SET k 1", "FLUSHDB", "SELECT 0")
	require.Equal(t, "*1 :0", c.lines("MULTI", "EXISTS k", "EXEC")[2], "the k of another database")
}

// While an entry is executed a version may not be what it seems; see conn.versions.
func TestWatchDuringEntry(t *testing.T) {
	f, _, c := one(t)
	g := f.group
	set := func(v string) {
		cmd := fsm.Command{Spec: fsm.Lookup([]byte("set")), Args: [][]byte{[]byte("set"), []byte("k"), []byte(v)}}
		g.store.Exec(&cmd, fsm.Discard)
	}
	g.begin()
	set("1")
	c.send("WATCH k")
	require.Eventually(t, func() bool { return f.reads.Load() > 0 }, 10*time.Second, time.Millisecond)
	require.NoError(t, c.nc.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	_, err := c.read()
	require.Error(t, err, "answered before the entry was executed")
	require.NoError(t, c.nc.SetReadDeadline(time.Time{}))
	set("2")
	g.store.End()
	require.Equal(t, "+OK\r\n", c.reply())
	require.Equal(t, "*-1", c.lines("MULTI", "GET k", "EXEC")[2])
	require.Equal(t, "*1 $1 2", c.lines("WATCH k", "MULTI", "GET k", "EXEC")[3])
}
