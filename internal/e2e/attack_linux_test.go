package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/internal/e2e/cluster"
	"kvapp/internal/race"
)

// resident is the memory in bytes that a process occupies.
func resident(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	require.NoError(t, err)
	pages, err := strconv.Atoi(strings.Fields(string(b))[1])
	require.NoError(t, err)
	return pages * os.Getpagesize()
}

// burnt is the CPU time a process has used.
func burnt(t *testing.T, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(t, err)
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // from field 3 on
	user, err := strconv.Atoi(f[11])
	require.NoError(t, err)
	system, err := strconv.Atoi(f[12])
	require.NoError(t, err)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// attackers are connections that send what they like and read nothing.
type attackers struct {
	t    *testing.T
	addr string
	wg   sync.WaitGroup
	mu   sync.Mutex
	open []net.Conn
}

// send opens n connections; each sends the pieces in order until the server refuses to take them.
func (a *attackers) send(n int, pieces ...string) {
	for range race.Share(n) {
		nc, err := net.Dial("tcp", a.addr)
		if err != nil {
			a.t.Errorf("the server takes no connections: %v", err)
			return
		}
		a.mu.Lock()
		a.open = append(a.open, nc)
		a.mu.Unlock()
		a.wg.Go(func() {
			_ = nc.SetWriteDeadline(time.Now().Add(3 * time.Second)) // an attack that is not read on has arrived
			for _, p := range pieces {
				if _, err := nc.Write([]byte(p)); err != nil {
					return
				}
			}
		})
	}
}

func (a *attackers) leave() {
	a.wg.Wait()
	for _, nc := range a.open {
		_ = nc.Close()
	}
}

func singles(s string) (all []string) { return strings.Split(s, "") }

// everything a client may do to a server: huge lengths, endless lines, drips, floods, and replies that nobody reads.
func (a *attackers) everything() {
	ping := "*1\r\n$4\r\nPING\r\n"
	for _, n := range []string{"9223372036854775807", "9223372036854775805", "-2", "99999999999999999999", "2147483648", "536870913", "+1", "01", ""} {
		for _, head := range []string{"*", "*1\r\n$", "*2\r\n$4\r\nECHO\r\n$"} {
			a.send(2, head+n+"\r\n")
			a.send(2, ping+head+n+"\r\n"+ping)
		}
	}
	a.send(20, "*2147483647\r\n"+strings.Repeat("$1\r\nx\r\n", 3000))
	a.send(5, append([]string{"*2\r\n$4\r\nECHO\r\n$5000000\r\n"}, singles(strings.Repeat("x", 20000))...)...)
	a.send(30, "*2\r\n$4\r\nECHO\r\n$536870912\r\n", strings.Repeat("x", 100000))
	a.send(10, strings.Repeat("a", 1<<20))
	a.send(10, "*"+strings.Repeat("1", 1<<20))
	a.send(10, "*1\r\n$"+strings.Repeat("1", 1<<20))
	a.send(10, "PING\x00"+strings.Repeat("\r\n", 1<<19))
	a.send(5, strings.Repeat("*0\r\n*-1\r\n\r\n", 100000))
	a.send(5, strings.Repeat(ping, 300000))
	a.send(5, strings.Repeat("PING\r\n", 300000))
	a.send(5, strings.Repeat("*2\r\n$4\r\nECHO\r\n$37\r\n"+strings.Repeat("y", 37)+"\r\n", 50000))
	a.send(4, strings.Repeat("*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n", 9000))
	a.send(4, "POST / HTTP/1.1\r\nHost: localhost\r\n\r\nFLUSHALL\r\n")
	a.send(4, "QUIT\r\n"+strings.Repeat(ping, 1000))
	a.send(300)
	a.send(100, "*3\r\n$3\r\nSE")
}

// The program survives every attack that is known, at the same time: it goes on serving, its memory stays bounded, and
// when the attackers have said what they had to say, they cost no CPU.
func TestAttacks(t *testing.T) {
	c := cluster.Start(t, cluster.Options{Nodes: 1})
	pid := c.Pids()[1]
	ctx, client := context.Background(), c.Client(1)
	require.NoError(t, client.Set(ctx, "big", strings.Repeat("x", 1<<20), 0).Err())
	base := resident(t, pid)
	a := &attackers{t: t, addr: c.Addr(1)}
	most := base
	for round := range 2 {
		a.everything()
		for i := range 20 {
			key := fmt.Sprintf("k%d-%d", round, i)
			require.NoError(t, client.Set(ctx, key, "v", 0).Err())
			require.Equal(t, "v", client.Get(ctx, key).Val())
			most = max(most, resident(t, pid))
		}
	}
	a.wg.Wait()
	from, before := time.Now(), burnt(t, pid)
	require.NoError(t, cluster.Until(60*time.Second, "the attackers cost nothing", func() error {
		passed, used := time.Since(from), burnt(t, pid)-before
		if passed < time.Second {
			return fmt.Errorf("%v of CPU so far", used)
		}
		from, before = from.Add(passed), before+used
		if used > passed/5 {
			return fmt.Errorf("%v of CPU in %v", used, passed)
		}
		return nil
	}))
	most = max(most, resident(t, pid))
	t.Logf("memory: %d MB before, at most %d MB", base>>20, most>>20)
	require.Less(t, most, base+512<<20)
	require.Equal(t, "v", client.Get(ctx, "k0-0").Val(), "FLUSHALL was not executed")
	a.leave()
	require.NoError(t, cluster.Until(10*time.Second, "the attackers are forgotten", func() error {
		info := client.Info(ctx, "clients").Val()
		if !strings.Contains(info, "connected_clients:1\r\n") {
			return fmt.Errorf("%s", info)
		}
		return nil
	}))
	require.Equal(t, pid, c.Pids()[1])
	require.NoError(t, client.Set(ctx, "after", "v", 0).Err())
}

// Without file descriptors the program neither dies nor spins, and it serves again when there are some.
func TestNoFileDescriptors(t *testing.T) {
	c := cluster.New(t, cluster.Options{Nodes: 1})
	prog := cluster.Command(t, c.CommandLine(1)...)
	cmd := exec.Command("/bin/sh", append([]string{"-c", `ulimit -n 48; exec "$0" "$@"`}, prog.Args...)...)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	ping := func(nc net.Conn) error {
		_ = nc.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := nc.Write([]byte("PING\r\n")); err != nil {
			return err
		}
		got := make([]byte, 7)
		if _, err := io.ReadFull(nc, got); err != nil || string(got) != "+PONG\r\n" {
			return fmt.Errorf("%q, %w", got, err)
		}
		return nil
	}
	var first net.Conn
	require.NoError(t, cluster.Until(20*time.Second, "it serves", func() (err error) {
		if first, err = net.Dial("tcp", c.Addr(1)); err != nil {
			return err
		}
		return ping(first)
	}))
	var all []net.Conn
	for range 100 { // the kernel accepts what the program cannot
		nc, err := net.Dial("tcp", c.Addr(1))
		require.NoError(t, err)
		all = append(all, nc)
	}
	start, before := time.Now(), burnt(t, cmd.Process.Pid)
	require.NoError(t, cluster.Until(time.Minute, "two seconds pass", func() error {
		if err := ping(first); err != nil {
			return &cluster.Final{Err: err}
		}
		if time.Since(start) < 2*time.Second {
			return errors.New("not yet")
		}
		return nil
	}))
	require.Less(t, burnt(t, cmd.Process.Pid)-before, time.Since(start)/2)
	for _, nc := range all {
		_ = nc.Close()
	}
	require.NoError(t, cluster.Until(20*time.Second, "it serves new clients", func() error {
		nc, err := net.Dial("tcp", c.Addr(1))
		if err != nil {
			return err
		}
		defer func() { _ = nc.Close() }()
		return ping(nc)
	}))
}
