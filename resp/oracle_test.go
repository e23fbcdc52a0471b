//go:build oracle

package resp

import (
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// oracle starts a live redis-server and returns its address.
func oracle(t *testing.T) string { return liveRedis(t) }

// clusterOracle starts one in cluster mode that owns every slot.
func clusterOracle(t *testing.T) string {
	addr := liveRedis(t, "--cluster-enabled", "yes", "--cluster-port", freePort(t))
	c := dial(t, addr)
	require.Equal(t, "+OK\r\n", c.do("CLUSTER ADDSLOTSRANGE 0 16383"))
	require.Eventually(t, func() bool { return strings.Contains(c.do("CLUSTER INFO"), "cluster_state:ok") }, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, c.nc.Close())
	return addr
}

func freePort(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(ln.Addr().String())
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	return port
}

// liveRedis starts a redis-server on a port that is free, which it may cease to be until the server has it: then it
// starts on another one.
func liveRedis(t *testing.T, args ...string) string {
	t.Helper()
	for range 5 {
		if addr := tryRedis(t, args); addr != "" {
			return addr
		}
	}
	require.Fail(t, "redis-server does not start")
	return ""
}

// tryRedis returns the address of a server that certainly is the one it started, or "".
func tryRedis(t *testing.T, args []string) string {
	t.Helper()
	port, dir := freePort(t), t.TempDir()
	addr := net.JoinHostPort("127.0.0.1", port)
	cmd := exec.Command("redis-server", append([]string{"--save", "", "--port", port, "--dir", dir}, args...)...)
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		if answersFrom(addr, dir) {
			return addr
		}
		select {
		case <-ended:
			return ""
		case <-time.After(10 * time.Millisecond):
		}
	}
	return ""
}

// answersFrom says that a server at addr works in dir.
func answersFrom(addr, dir string) bool {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	defer func() { _ = nc.Close() }()
	if nc.SetDeadline(time.Now().Add(time.Second)) != nil {
		return false
	}
	if _, err := nc.Write(pack("CONFIG GET dir")); err != nil {
		return false
	}
	buf := make([]byte, 4096)
	n, err := nc.Read(buf)
	got := string(buf[:n])
	return err == nil && (strings.Contains(got, dir) || strings.HasPrefix(got, "-NOAUTH")) // one with a password does not tell
}

// same are the commands whose replies must be those of Redis 7.0 byte for byte, in RESP2 and RESP3.
var same = strings.Split(`PING
PING a
PING a b
ECHO
ECHO a
GET
FOO
foo a b c
FOO aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb ccccccccc d
FOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOOO
CLIENT
CLIENT foo
client FOO
CLIENT ID a
CLIENT GETNAME
CLIENT SETNAME abc
CLIENT GETNAME
CLIENT KILL foo
CLIENT KILL ID abc
CLIENT KILL ID 0
CLIENT KILL ID 1 foo
CLIENT KILL TYPE foo
CLIENT KILL SKIPME foo
CLIENT KILL USER foo
CLIENT KILL ADDR 1:1
CLIENT KILL a b c
CLIENT LIST TYPE foo
CLIENT LIST TYPE pubsub
CLIENT LIST TYPE replica
CLIENT LIST ID a
CLIENT LIST ID
CLIENT LIST foo
CLIENT REPLY foo
CLIENT NO-EVICT foo
CLIENT NO-EVICT on
CLIENT NO-EVICT off
CLIENT PAUSE
CLIENT PAUSE a
CLIENT PAUSE -1
CLIENT PAUSE 1 foo
CLIENT PAUSE 0
CLIENT UNPAUSE
CONFIG
CONFIG GET
CONFIG SET
CONFIG SET a
CONFIG SET a b
CONFIG SET maxclients x
CONFIG SET maxclients 10 maxclients 20
CONFIG SET maxclients 1000 nosuch 1
CONFIG GET maxmemory maxmemory
CONFIG GET nosuch*
CONFIG GET maxclients
CONFIG RESETSTAT
CONFIG foo
COMMAND foo
COMMAND GETKEYS
COMMAND GETKEYS foo a
COMMAND GETKEYS get a
COMMAND GETKEYS mset a 1 b 2
COMMAND GETKEYS zunionstore d 2 a b
COMMAND GETKEYS get
COMMAND GETKEYS ping a
COMMAND GETKEYS get a b
COMMAND GETKEYS client id
COMMAND GETKEYS client foo
COMMAND GETKEYSANDFLAGS get
COMMAND GETKEYSANDFLAGS get a
COMMAND GETKEYSANDFLAGS set a b
COMMAND GETKEYSANDFLAGS set a get
COMMAND GETKEYSANDFLAGS SET a b GeT
COMMAND GETKEYSANDFLAGS set a b getx
COMMAND GETKEYSANDFLAGS mset a 1 b
COMMAND GETKEYSANDFLAGS zunionstore d x a b
COMMAND GETKEYSANDFLAGS zunionstore d 0 a b
COMMAND GETKEYSANDFLAGS zunionstore d 3 a b
COMMAND GETKEYSANDFLAGS zunionstore d 2 a b
COMMAND GETKEYSANDFLAGS zunion -1 a b
COMMAND GETKEYSANDFLAGS lmpop 1 a left
COMMAND GETKEYSANDFLAGS rename a b
COMMAND GETKEYSANDFLAGS copy a b db 1
COMMAND GETKEYSANDFLAGS sdiffstore a b c
COMMAND GETKEYSANDFLAGS zrangestore a b 0 1
COMMAND GETKEYSANDFLAGS dbsize a
COMMAND LIST FILTERBY foo bar
COMMAND LIST FILTERBY ACLCAT foo
COMMAND LIST FILTERBY MODULE foo
COMMAND LIST FILTERBY PATTERN xadd|
COMMAND LIST FILTERBY PATTERN pin*
COMMAND LIST foo
COMMAND INFO nosuch
COMMAND INFO ping echo select auth hello reset quit readonly readwrite asking wait time role info
COMMAND INFO get mget mset del incr append setrange expire ttl keys scan randomkey dbsize flushall lpush lrange hset hget hgetall sadd smembers spop zadd zrange zincrby
COMMAND INFO client|kill client|list client|reply config|get config|set
COMMAND INFO client|nosuch nosuch|x
SELECT
SELECT a
SELECT 99
SELECT -1
SELECT 3
SELECT 0
AUTH a
AUTH a b
AUTH default b
AUTH a b c
HELLO a
HELLO 4
HELLO 3 foo
HELLO 3 setname
HELLO 2 auth a
HELLO 2 auth foo bar
TIME a
ROLE a
WAIT
WAIT a 1
WAIT 1 -1
WAIT 1 a
WAIT 0 1
RESET a
RESET
INFO nosuch
READONLY a
CLUSTER
QUIT a`, "\n")

func TestSameAsRedis(t *testing.T) {
	addr := oracle(t)
	_, s, _ := one(t)
	for _, proto := range []string{"2", "3"} {
		ours, theirs := dial(t, addrOf(s)), dial(t, addr)
		ours.do("HELLO " + proto)
		theirs.do("HELLO " + proto)
		for _, line := range same {
			want, got := theirs.do(line), ours.do(line)
			if want != got {
				at := 0
				for at < min(len(want), len(got)) && want[at] == got[at] {
					at++
				}
				from := max(0, at-100)
				t.Errorf("RESP%s %s\nwant %q\n got %q", proto, line, want[from:min(len(want), at+100)], got[from:min(len(got), at+100)])
			}
			if line == "RESET" {
				ours.do("HELLO " + proto)
				theirs.do("HELLO " + proto)
			}
		}
	}
}

// redis-cli accepts three nodes as one healthy cluster.
func TestClusterCheck(t *testing.T) {
	_, servers := cluster(t, 3)
	for _, s := range servers {
		out, err := exec.Command("redis-cli", "--cluster", "check", addrOf(s)).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "[OK] All 16384 slots covered.")
		require.Contains(t, string(out), "[OK] All nodes agree about slots configuration.")
	}
	out, err := exec.Command("redis-cli", "--cluster", "call", addrOf(servers[1]), "dbsize").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, 3, strings.Count(string(out), ": 0"), "%s", out)
	host, port, err := net.SplitHostPort(addrOf(servers[2]))
	require.NoError(t, err)
	out, err = exec.Command("redis-cli", "-c", "-h", host, "-p", port, "set", "a", "1").CombinedOutput()
	require.NoError(t, err)
	require.Equal(t, "OK\n", string(out))
	out, err = exec.Command("redis-benchmark", "-h", host, "-p", strings.TrimPrefix(addrOf(servers[0]), host+":"), "-n", "2000", "-P", "16", "-t", "set,get,lpush", "-q").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NotContains(t, string(out), "rror")
}
