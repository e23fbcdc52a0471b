//go:build oracle

package e2e

import (
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/internal/e2e/cluster"
)

// tool runs a program of Debian's redis-tools and returns all it printed; a failure of the program fails the test.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	require.NoError(t, err, "%s %s\n%s", name, strings.Join(args, " "), out)
	return strings.TrimSpace(string(out))
}

func (d *dev) cli(i int, args ...string) string {
	d.t.Helper()
	return tool(d.t, "redis-cli", append([]string{"-p", strconv.Itoa(d.port + i - 1)}, args...)...)
}

// Acceptance 1: what a newcomer types after make run.
func TestRedisCli(t *testing.T) {
	d := newDev(t)
	d.start()
	lead := d.waitAll()
	require.Equal(t, "OK", d.cli(2, "-c", "set", "hello", "world"))
	for i := 1; i <= 3; i++ {
		require.Equal(t, "world", d.cli(i, "-c", "get", "hello"))
		require.Equal(t, "1", d.cli(i, "-c", "incr", fmt.Sprint("counter", i)))
		require.Equal(t, "world", d.cli(i, "-3", "-c", "get", "hello"))
		if i != lead {
			for _, key := range []string{"a", "{a}b", "hello", "123456789"} {
				slot := d.cli(i, "cluster", "keyslot", key)
				require.Equal(t, "MOVED "+slot+" "+d.addr(lead), d.cli(i, "set", key, "1"))
			}
			require.Equal(t, "MOVED 15495 "+d.addr(lead), d.cli(i, "set", "a", "1"))
		}
	}
	require.Equal(t, "12739", d.cli(1, "cluster", "keyslot", "123456789"))
	require.Contains(t, d.cli(lead, "-3", "hello"), "\nproto 3\n")
	d.cli(1, "-c", "rpush", "list", "a", "b")
	require.Equal(t, "a\nb", d.cli(1, "-3", "-c", "lrange", "list", "0", "-1"))
	check := func() {
		for i := 1; i <= 3; i++ {
			out := d.cli(1, "--cluster", "check", d.addr(i))
			require.Contains(t, out, "[OK] All nodes agree about slots configuration.")
			require.Contains(t, out, "[OK] All 16384 slots covered.")
			require.NotContains(t, out, "ERR")
		}
	}
	check()

	require.Regexp(t, regexp.MustCompile(`^killed n2 `), tool(t, d.command().Path, d.command("dev", "kill", "2").Args[1:]...))
	require.NoError(t, cluster.Until(10*time.Second, "the others serve", func() error {
		out, err := exec.Command("redis-cli", "-c", "-p", strconv.Itoa(d.port), "set", "while", "away").CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != "OK" {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}))
	require.Regexp(t, regexp.MustCompile(`^started n2 `), tool(t, d.command().Path, d.command("dev", "start", "2").Args[1:]...))
	d.waitAll()
	require.Equal(t, "away", d.cli(2, "-c", "get", "while"))
	check()

	d.interrupt()
	d.start()
	d.waitAll()
	for i := 1; i <= 3; i++ {
		require.Equal(t, "world", d.cli(i, "-c", "get", "hello"))
		require.Equal(t, "1", d.cli(i, "-c", "get", fmt.Sprint("counter", i)))
	}
	d.interrupt()
}

// Acceptance 2: redis-benchmark's default list, every test of it answered without an error.
func TestRedisBenchmark(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	for _, x := range []struct{ n, c, p int }{{100_000, 50, 16}, {1_000, 1, 1}, {20_000, 1000, 1}} {
		t.Run(fmt.Sprintf("n%d c%d P%d", x.n, x.c, x.p), func(t *testing.T) {
			begin := time.Now()
			out := tool(t, "redis-benchmark", "-p", strconv.Itoa(c.Port(c.Leader())), "-q",
				"-n", strconv.Itoa(x.n), "-c", strconv.Itoa(x.c), "-P", strconv.Itoa(x.p))
			lines := regexp.MustCompile(`(?m)^.*?([A-Z][^\r\n]*): ([0-9.]+) requests per second`).FindAllStringSubmatch(strings.ReplaceAll(out, "\r", "\n"), -1)
			var names []string
			for _, l := range lines {
				names = append(names, l[1])
				t.Logf("%-50s %s/s", l[1], l[2])
			}
			require.Equal(t, []string{
				"PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "LPUSH", "RPUSH", "LPOP", "RPOP", "SADD", "HSET", "SPOP", "ZADD", "ZPOPMIN",
				"LPUSH (needed to benchmark LRANGE)", "LRANGE_100 (first 100 elements)", "LRANGE_300 (first 300 elements)",
				"LRANGE_500 (first 500 elements)", "LRANGE_600 (first 600 elements)", "MSET (10 keys)",
			}, names)
			require.NotContains(t, out, "Error")
			require.NotContains(t, out, "WARN")
			t.Logf("took %v", time.Since(begin))
		})
	}
	c.SameState()
}
