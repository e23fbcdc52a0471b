//go:build clients

package clients

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/internal/e2e/cluster"
)

// tool runs one of Redis' programs, which must succeed, and returns what it printed.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	require.NoError(t, err, "%s %v: %s", name, args, out)
	return strings.TrimSpace(string(out))
}

func TestRedisCli(t *testing.T) {
	cl := cluster.Start(t, cluster.Options{})
	lead, follower := cl.Leader(), cl.Followers()[0]
	port := func(n int) string { return strconv.Itoa(cl.Port(n)) }
	require.Equal(t, "OK", tool(t, "redis-cli", "-c", "-p", port(follower), "set", "hello", "world"))
	for n := 1; n <= cl.Nodes(); n++ {
		require.Equal(t, "world", tool(t, "redis-cli", "-c", "-p", port(n), "get", "hello"))
		require.Equal(t, "world", tool(t, "redis-cli", "-3", "-c", "-p", port(n), "get", "hello"))
	}
	require.Contains(t, tool(t, "redis-cli", "-p", port(follower), "set", "a", "1"), "MOVED 15495 "+cl.Addr(lead))

	for n := 1; n <= cl.Nodes(); n++ {
		check := tool(t, "redis-cli", "--cluster", "check", cl.Addr(n))
		for _, line := range []string{"[OK] All nodes agree about slots configuration.", "[OK] All 16384 slots covered.", "[OK] 1 keys in 1 masters.",
			"slots:[0-16383] (16384 slots) master", "2 additional replica(s)"} {
			require.Contains(t, check, line)
		}
		require.Contains(t, tool(t, "redis-cli", "--cluster", "info", cl.Addr(n)), "[OK] 1 keys in 1 masters.")
		call := tool(t, "redis-cli", "--cluster", "call", cl.Addr(n), "dbsize")
		for _, addr := range cl.Addrs() {
			require.Contains(t, call, addr+": 1")
		}
	}
}

// TestRedisBenchmark runs redis-benchmark's default list against the leader: a reply that is an error ends it.
func TestRedisBenchmark(t *testing.T) {
	cl := cluster.Start(t, cluster.Options{})
	port := strconv.Itoa(cl.Port(cl.Leader()))
	for _, args := range [][]string{{"-n", "20000", "-c", "50", "-P", "16"}, {"-n", "100", "-c", "1"}, {"-n", "5000", "-c", "1000"}} {
		out := tool(t, "redis-benchmark", append(args, "-p", port, "-q")...)
		require.NotContains(t, strings.ToLower(out), "error", "%v", args)
		require.GreaterOrEqual(t, strings.Count(out, "requests per second"), 19, "%v: %s", args, out)
	}
}
