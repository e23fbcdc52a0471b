package resp

import (
	"bytes"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/internal/config"
)

// allow lets clients of this machine use DEBUG.
func allow(t *testing.T, s *Server, value string) {
	t.Helper()
	require.NoError(t, s.settings.Set("enable-debug-command", value))
}

func TestDebugIsOff(t *testing.T) {
	_, s, c := one(t)
	require.Equal(t, "-"+errDebugOff+"\r\n", c.do("DEBUG DIGEST"))
	require.Equal(t, "-ERR wrong number of arguments for 'debug' command\r\n", c.do("DEBUG"))
	require.Equal(t, "-ERR CONFIG SET failed (possibly related to argument 'enable-debug-command') - can't set immutable config\r\n",
		c.do("CONFIG SET enable-debug-command yes"))
	require.Contains(t, c.do("INFO commandstats"), "cmdstat_debug:calls=0,usec=0,usec_per_call=0.00,rejected_calls=2,failed_calls=0")
	for _, on := range []string{"local", "yes"} {
		allow(t, s, on)
		require.Contains(t, c.do("DEBUG HELP"), "+DIGEST\r\n", on)
	}
	require.Equal(t, "+OK\r\n", c.do("CONFIG SET requirepass secret"))
	require.Equal(t, "-"+errNoAuth+"\r\n", dial(t, addrOf(s)).do("DEBUG DIGEST"))
}

func TestDebug(t *testing.T) {
	_, servers := cluster(t, 2)
	allow(t, servers[0], "yes")
	allow(t, servers[1], "yes")
	c, follower := dial(t, addrOf(servers[0])), dial(t, addrOf(servers[1]))
	require.Equal(t, "+0000000000000000000000000000000000000000\r\n", c.do("DEBUG DIGEST"))
	for _, step := range [][2]string{
		{"SET a 1", "+OK\r\n"},
		{"RPUSH l a bc 300", ":3\r\n"},
		{"DEBUG OBJECT nokey", "-ERR no such key\r\n"},
		{"DEBUG object", "-ERR unknown subcommand or wrong number of arguments for 'object'. Try DEBUG HELP.\r\n"},
		{"DEBUG SEGFAULT", "-ERR unknown subcommand or wrong number of arguments for 'SEGFAULT'. Try DEBUG HELP.\r\n"},
		{"DEBUG DIGEST-VALUE nokey", "*1\r\n+0000000000000000000000000000000000000000\r\n"},
		{"DEBUG DIGEST-VALUE", "*0\r\n"},
		{"DEBUG SET-ACTIVE-EXPIRE 1", "+OK\r\n"},
		{"DEBUG QUICKLIST-PACKED-THRESHOLD 100b", "+OK\r\n"},
		{"DEBUG QUICKLIST-PACKED-THRESHOLD 4gb", "-" + errThreshold + "\r\n"},
		{"DEBUG STRINGMATCH-LEN a*c abbc", ":1\r\n"},
		{"DEBUG STRINGMATCH-LEN [a-c]x dx", ":0\r\n"},
		{"DEBUG RELOAD", "+OK\r\n"},
		{"DEBUG RELOAD noflush MERGE", "+OK\r\n"},
		{"DEBUG RELOAD nosave", "-" + errReloadNoSave + "\r\n"},
		{"DEBUG RELOAD now", "-" + errReloadOption + "\r\n"},
		{"DEBUG SLEEP 0", "+OK\r\n"},
		{"DEBUG SLEEP -1", "+OK\r\n"},
		{"DEBUG SLEEP x", "+OK\r\n"},
		{"DEBUG SLEEP 0.001", "+OK\r\n"},
		{"DEBUG ERROR word", "-word\r\n"},
		{"DEBUG LISTPACK a", "-ERR Not a listpack encoded object.\r\n"},
		{"DEBUG LISTPACK nokey", "-ERR no such key\r\n"},
		{"GET a", bulk("1")},
	} {
		require.Equal(t, step[1], c.do(step[0]), step[0])
	}
	require.Regexp(t, `^\+Value at:0x[0-9a-f]+ refcount:1 encoding:int serializedlength:2\r\n$`, c.do("DEBUG OBJECT a"))
	digest := c.do("DEBUG DIGEST")
	require.NotContains(t, digest, "0000000000")
	require.Equal(t, digest, follower.do("DEBUG DIGEST"), "every node answers for itself")
}

func TestDebugWritesToTheLog(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var log bytes.Buffer
	s, err := NewServer(Options{Listener: ln, Node: newFake(newGroup(), 0, members(ln.Addr().String())), Settings: config.New(),
		Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	serveUntilEnd(t, s)
	allow(t, s, "yes")
	c := dial(t, addrOf(s))
	require.Equal(t, ":2\r\n", c.do("RPUSH l a 300"))
	require.Equal(t, "+Listpack structure printed on stdout\r\n", c.do("DEBUG LISTPACK l"))
	require.Equal(t, "+OK\r\n", c.do("DEBUG LOG hello"))
	require.NoError(t, s.Close()) // nobody writes to the log any more
	require.Contains(t, log.String(), `{total bytes 13} {num entries 2}\n{0, entry bytes 3} \"a\"\n{1, entry bytes 3} \"300\"`)
	require.Contains(t, log.String(), "debug_log message=hello")
}

// A connection that sleeps holds nobody else, and ends with the server.
func TestDebugSleep(t *testing.T) {
	_, s, c := one(t)
	allow(t, s, "yes")
	sleeper := dial(t, addrOf(s))
	sleeper.send("DEBUG SLEEP 1e30")
	require.Eventually(t, func() bool { return countBlocked(s.clients()) == 1 }, 10*time.Second, time.Millisecond)
	require.Equal(t, "+OK\r\n", c.do("SET a 1"))
	require.Equal(t, bulk("1"), c.do("GET a"))
	require.NoError(t, s.Close())
}

func TestDebugActiveExpire(t *testing.T) {
	_, s, c := one(t)
	allow(t, s, "yes")
	c.do("SET a 1 PX 10000000")
	store := s.node().Store()
	require.NotZero(t, store.NextDeadline())
	require.Equal(t, "+OK\r\n", c.do("DEBUG SET-ACTIVE-EXPIRE 0"))
	require.Zero(t, store.NextDeadline())
	require.Equal(t, "+OK\r\n", c.do("DEBUG SET-ACTIVE-EXPIRE 1"))
	require.NotZero(t, store.NextDeadline())
	require.NoError(t, store.Check())
}
