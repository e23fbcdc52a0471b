package resp

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/fsm"
	"kvapp/node"
)

const oom = "-" + errOOM + "\r\n"

// Of a pipeline that comes when memory is short the commands that may take memory are refused, each by itself; the others are
// executed at their place, and those behind them are tried anew.
func TestPipelineWithoutMemory(t *testing.T) {
	f, _, c := one(t)
	for _, l := range [][2]string{
		{"SET big " + strings.Repeat("x", 1000), "+OK\r\n"}, {"SET a 1", "+OK\r\n"}, {"SET b 2", "+OK\r\n"},
		{"CONFIG SET maxmemory 500", "+OK\r\n"},
		{"SET a 2", oom}, {"GET a", bulk("1")}, {"INCR a", oom}, {"GETDEL nokey", "$-1\r\n"}, {"EXPIRE a 100", ":1\r\n"}, {"TTL a", ":100\r\n"},
	} {
		require.Equal(t, l[1], c.do(l[0]), l[0])
	}
	before := f.group.store.Applied()
	c.send("SET a 2", "APPEND a x", "GET a")
	for _, want := range []string{oom, oom, bulk("1")} {
		require.Equal(t, want, c.reply())
	}
	require.Equal(t, before, f.group.store.Applied(), "nothing of that reached the log")

	c.send("GET b", "SET a 2", "GET a", "INCR a", "DEL b", "GET b", "MSET x 1 y 2", "EXISTS b", "DEL big", "SET a 3", "GET a", "INCR a", "DEL a")
	for i, want := range []string{bulk("2"), oom, bulk("1"), oom, ":1\r\n", "$-1\r\n", oom, ":0\r\n", ":1\r\n", "+OK\r\n", bulk("3"), ":4\r\n", ":1\r\n"} {
		require.Equal(t, want, c.reply(), i)
	}
	require.Contains(t, c.do("INFO errorstats"), "errorstat_OOM:count=")
	require.Contains(t, c.do("INFO commandstats"), "cmdstat_mset:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0")
	require.Contains(t, c.do("INFO memory"), "maxmemory:500\r\nmaxmemory_human:500B\r\nmaxmemory_policy:noeviction\r\n")

	// Whatever else the node says holds for the rest of the pipeline.
	require.Equal(t, "+OK\r\n", c.do("SET big "+strings.Repeat("x", 1000)))
	writes := f.writes.Load()
	change := func() {
		if f.writes.Load() == writes+1 {
			f.outcome.Store(int32(node.NoLeader))
		}
	}
	f.onWrite.Store(&change)
	c.send("SET a 2", "DEL nokey", "SET a 2", "GET a")
	for i, want := range []string{oom, "-" + errNoLeader + "\r\n", "-" + errNoLeader + "\r\n", "-" + errNoLeader + "\r\n"} {
		require.Equal(t, want, c.reply(), i)
	}
	f.outcome.Store(int32(node.Done))
	f.onWrite.Store(nil)
	f.refused.Store(int32(node.OutOfMemory)) // it never is, for these
	c.send("DEL a", "EXPIRE a 1", "GET nokey")
	for i, want := range []string{oom, oom, "$-1\r\n"} {
		require.Equal(t, want, c.reply(), i)
	}
	f.refused.Store(int32(node.Done))
	require.Equal(t, "+PONG\r\n", c.do("PING"))
}

// CLIENT NO-TOUCH keeps the commands of a connection from counting as uses, but for TOUCH.
func TestNoTouch(t *testing.T) {
	f, s, c := one(t)
	c.do("SET k v")
	idle := func() string {
		f.group.store.NoteUse(50, fsm.Use{})
		return c.do("OBJECT IDLETIME k")
	}
	require.Equal(t, ":50\r\n", idle())
	require.Equal(t, "+OK\r\n", c.do("CLIENT NO-TOUCH on"))
	for _, line := range []string{"GET k", "APPEND k x", "EXISTS k"} {
		c.do(line)
		require.Equal(t, ":50\r\n", idle(), line)
	}
	require.Equal(t, ":1\r\n", c.do("TOUCH k"))
	require.Equal(t, ":0\r\n", idle())
	f.group.store.NoteUse(90, fsm.Use{})
	other := dial(t, addrOf(s))
	other.do("GET k")
	require.Equal(t, ":0\r\n", c.do("OBJECT IDLETIME k"))
}

// Clients that cache a key are told that it was evicted, and INFO counts it.
func TestEvictionIsTold(t *testing.T) {
	f, s, c := one(t)
	c.do("HELLO 3")
	c.do("CLIENT TRACKING on")
	c.do("SET k v")
	c.do("GET k")
	g := f.group
	g.mu.Lock()
	victims := g.store.Choose(&fsm.Choice{Policy: fsm.AllKeysLRU, Need: 1, Limit: 1, Samples: 5})
	g.begin()
	for _, cmd := range fsm.EvictCommands(victims) {
		g.store.Exec(&cmd, fsm.Discard)
	}
	g.store.End()
	g.mu.Unlock()
	require.Equal(t, ">2\r\n"+bulk("invalidate")+"*1\r\n"+bulk("k"), c.reply())
	other := dial(t, addrOf(s))
	require.Contains(t, other.do("INFO stats"), "\r\nevicted_keys:1\r\n")
	other.do("CONFIG RESETSTAT")
	require.Contains(t, other.do("INFO stats"), "\r\nevicted_keys:0\r\n")
	require.Contains(t, other.do("_evict 1 k"), "-ERR unknown command '_evict'")
}
