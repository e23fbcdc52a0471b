package resp

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/node"
)

// waits asserts that n connections wait.
func waits(t *testing.T, s *Server, n int64) {
	t.Helper()
	require.Eventually(t, func() bool { return countBlocked(s.clients()) == n }, 10*time.Second, time.Millisecond)
}

// Who waits is seen to, until the push that serves it is answered; the pipeline behind it waits as well.
func TestBlocking(t *testing.T) {
	_, s, c := one(t)
	b := dial(t, addrOf(s))
	b.send("BLPOP k 0", "SET x 1", "GET x")
	waits(t, s, 1)
	require.Contains(t, c.do("CLIENT LIST"), "flags=b ")
	require.Contains(t, c.do("INFO clients"), "blocked_clients:1\r\n")
	require.Equal(t, ":0\r\n", c.do("EXISTS x"))
	require.Equal(t, ":1\r\n", c.do("RPUSH k v"))
	require.NotContains(t, c.do("CLIENT LIST"), "flags=b ")
	require.Equal(t, "*2\r\n$1\r\nk\r\n$1\r\nv\r\n", b.reply())
	require.Equal(t, "+OK\r\n", b.reply())
	require.Equal(t, "$1\r\n1\r\n", b.reply())
	require.Equal(t, "*-1\r\n", b.do("BLPOP k 0.001"))
	require.Contains(t, c.do("INFO commandstats"), "cmdstat_blpop:calls=2,")
}

// INFO counts who waits, for how long and for what, and who watches.
func TestInfoOfWaits(t *testing.T) {
	_, s, c := one(t)
	counts := func(timed, watching, watched, keys, onGone int) {
		t.Helper()
		require.Contains(t, c.do("INFO clients"), fmt.Sprintf("clients_in_timeout_table:%d\r\npubsub_clients:0\r\nwatching_clients:%d\r\n"+
			"total_watched_keys:%d\r\ntotal_blocking_keys:%d\r\ntotal_blocking_keys_on_nokey:%d\r\n", timed, watching, watched, keys, onGone))
	}
	counts(0, 0, 0, 0, 0)
	require.Equal(t, "+OK\r\n", c.do("XGROUP CREATE st g $ MKSTREAM"))
	lines := []string{"BLPOP k l 0", "BLPOP k m 100", "XREAD BLOCK 0 STREAMS st $", "XREADGROUP GROUP g me BLOCK 100000 STREAMS st >"}
	var all []*client
	for i, line := range lines {
		all = append(all, dial(t, addrOf(s)))
		all[i].send(line)
		waits(t, s, int64(i+1))
	}
	require.Eventually(t, func() bool { // a connection hears of its limit a little later
		_, timed := countWaits(s.clients())
		return timed == 2
	}, 10*time.Second, time.Millisecond)
	for _, names := range []string{"a b", "b c", "d"} {
		b := dial(t, addrOf(s))
		require.Equal(t, "+OK\r\n", b.do("WATCH "+names))
	}
	counts(2, 3, 4, 4, 1)
	require.Equal(t, ":1\r\n", c.do("DEL st"))
	require.Contains(t, all[3].reply(), "-NOGROUP ")
	require.Equal(t, ":2\r\n", c.do("RPUSH l x y"))
	all[0].reply()
	waits(t, s, 2)
	counts(1, 3, 4, 3, 0)
}

// A client that has gone, or was killed, takes nothing any more.
func TestBlockedAndGone(t *testing.T) {
	_, s, c := one(t)
	for _, end := range []func(b *client, id string){
		func(b *client, _ string) { require.NoError(t, b.nc.Close()) },
		func(_ *client, id string) { require.Equal(t, ":1\r\n", c.do("CLIENT KILL ID "+id)) },
	} {
		b := dial(t, addrOf(s))
		id := strings.TrimSpace(b.do("CLIENT ID")[1:])
		b.send("BLPOP k 0")
		waits(t, s, 1)
		end(b, id)
		require.Eventually(t, func() bool { // until its goroutine has ended
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.conns) == 1
		}, 10*time.Second, time.Millisecond)
		require.Equal(t, ":1\r\n", c.do("RPUSH k v"))
		require.Equal(t, "$1\r\nv\r\n", c.do("LPOP k"))
	}
}

// What a command that may wait is told when it was not executed, or nobody knows.
func TestBlockingRefused(t *testing.T) {
	f, _, c := one(t)
	for o, want := range map[node.Outcome]string{
		node.NotLeader: "-MOVED 7629 127.0.0.1:9", node.NoLeader: "-" + errNoLeader, node.Uncertain: "-" + errUncertain, node.Overwritten: "-" + errOverwritten,
		node.Busy: "-" + errBusy, node.Stopped: "-" + errStopped, node.DiskFull: "-" + errDiskFull, node.OutOfMemory: "-" + errOOM,
	} {
		addr := "127.0.0.1:9"
		f.leader.Store(&addr)
		f.refused.Store(int32(o))
		require.Equal(t, want+"\r\n", c.do("BLPOP k 0"), o)
		f.refused.Store(int32(node.Done))
		require.Equal(t, "*-1\r\n", c.do("BLPOP k 0.001"), o)
	}
}

// A wait that nobody can end any more, because this node has lost its cluster, is of unknown outcome; CLIENT UNBLOCK of one whose
// leader is gone has ended nothing.
func TestBlockedAndLost(t *testing.T) {
	f, s, c := one(t)
	b := dial(t, addrOf(s))
	id := strings.TrimSpace(b.do("CLIENT ID")[1:])
	b.send("BLPOP k 0")
	waits(t, s, 1)
	for o, want := range map[node.Outcome]string{
		node.NotLeader: ":0", node.Overwritten: ":0", node.Uncertain: "-" + errUncertain, node.NoLeader: "-" + errNoLeader,
	} {
		f.refused.Store(int32(o))
		require.Equal(t, want+"\r\n", c.do("CLIENT UNBLOCK "+id), o)
	}
	f.group.mu.Lock()
	f.group.store.Abandon()
	f.group.answer()
	f.group.mu.Unlock()
	require.Equal(t, "-"+errUncertain+"\r\n", b.reply())
	f.refused.Store(int32(node.Done))
	b.send("BLPOP k 0")
	waits(t, s, 1)
	require.Equal(t, ":1\r\n", c.do("CLIENT UNBLOCK "+id+" ERROR"))
	require.Equal(t, "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n", b.reply())
	b.send("BLPOP k 0")
	waits(t, s, 1)
	f.group.mu.Lock()
	f.group.index++
	f.group.store.NewTerm(f.group.index)
	f.group.answer()
	f.group.mu.Unlock()
	require.Contains(t, b.reply(), "-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)\r\n")
}
