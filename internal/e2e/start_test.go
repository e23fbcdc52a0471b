package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"kvapp/internal/e2e/cluster"
	"kvapp/internal/race"
)

// startPromise is what the issue promises for a start on empty directories, endPromise what is reasonable for SIGTERM.
const (
	startPromise = 2 * time.Second
	endPromise   = time.Second
)

// measure repeats f and returns the times during which the machine kept up, ascending.
func measure(t *testing.T, n int, f func() time.Duration) (kept []time.Duration) {
	late := watchStalls(t)
	for range n {
		begin := time.Now()
		if took := f(); !late.between(begin, time.Now()) {
			kept = append(kept, took)
		}
	}
	if len(kept) < n {
		t.Logf("the machine was overloaded in %d of %d rounds", n-len(kept), n)
	}
	slices.Sort(kept)
	return kept
}

func TestStartOnEmptyDirectories(t *testing.T) {
	times := measure(t, 3, func() time.Duration {
		begin := time.Now()
		c := cluster.Start(t, cluster.Options{})
		took := time.Since(begin)
		c.KillAll()
		return took
	})
	t.Logf("start to ready: %v", times)
	for _, took := range times {
		if !race.Enabled {
			require.Less(t, took, startPromise)
		}
	}
}

// SIGTERM under load: exit code 0, soon, and nothing acknowledged is lost; then everybody again.
func TestSigtermUnderLoad(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	writers := newWriters(4)
	stop := load(c, writers)
	defer stop()
	awaitLength(t, c, writers[0].list(), 20)
	times := measure(t, 3, func() time.Duration {
		i := c.Leader()
		took := c.Stop(i)
		require.Contains(t, c.LogTail(i, 1), "* stopped")
		c.Start(i)
		c.WaitReady()
		return took
	})
	t.Logf("SIGTERM to exit: %v", times)
	for _, took := range times {
		if !race.Enabled {
			require.Less(t, took, endPromise)
		}
	}
	stop()
	for i := range c.Pids() {
		c.Stop(i)
	}
	c.StartAll()
	c.WaitReady()
	for _, w := range writers {
		w.verify(t, c.Client(c.Leader()), 1)
	}
	c.SameState()
}

// dev is a running `kvapp dev`.
type dev struct {
	t     *testing.T
	port  int
	dir   string
	cmd   *exec.Cmd
	out   *output
	ended chan error
}

// output is what a process has printed so far.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func newDev(t *testing.T) *dev {
	return &dev{t: t, port: cluster.DevPort(t, 3), dir: filepath.Join(t.TempDir(), "kvapp-dev")}
}

// start runs it in the foreground, as a user would, and waits for the line `ready`.
func (d *dev) start() {
	d.t.Helper()
	d.out, d.ended = &output{}, make(chan error, 1)
	cmd := d.command("dev")
	cmd.Stdout, cmd.Stderr = d.out, d.out
	cmd.WaitDelay = 5 * time.Second // should a node hold on to them
	require.NoError(d.t, cmd.Start())
	d.cmd = cmd
	ended := d.ended
	go func() {
		ended <- cmd.Wait()
		close(ended)
	}()
	d.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT) // ended already is as good
		<-ended
		if d.t.Failed() {
			d.t.Logf("kvapp dev printed:\n%s", d.out)
		}
	})
	require.NoError(d.t, cluster.Until(30*time.Second, "it prints ready", func() error {
		if !strings.Contains(d.out.String(), "\nready\n") {
			return fmt.Errorf("%q", d.out)
		}
		return nil
	}))
}

func (d *dev) command(args ...string) *exec.Cmd {
	return cluster.Command(d.t, append(args, "--port", strconv.Itoa(d.port), "--dir", d.dir)...)
}

func (d *dev) addr(i int) string { return fmt.Sprintf("127.0.0.1:%d", d.port+i-1) }

// waitAll waits until all three nodes answer, and returns the leader.
func (d *dev) waitAll() (lead int) {
	d.t.Helper()
	require.NoError(d.t, cluster.Until(30*time.Second, "all nodes answer", func() error {
		lead = 0
		for i := 1; i <= 3; i++ {
			cl := cluster.Dial(d.addr(i))
			err := cl.Exists(context.Background(), "kvapp").Err()
			_ = cl.Close() // nothing is pending
			switch {
			case err == nil:
				lead = i
			case !strings.HasPrefix(err.Error(), "MOVED "):
				return err
			}
		}
		if lead == 0 {
			return fmt.Errorf("nobody leads")
		}
		return nil
	}))
	return lead
}

// gone waits until no node answers.
func (d *dev) gone() {
	d.t.Helper()
	require.NoError(d.t, cluster.Until(10*time.Second, "all nodes are gone", func() error {
		for i := 1; i <= 3; i++ {
			cl := cluster.Dial(d.addr(i))
			err := cl.Ping(context.Background()).Err()
			_ = cl.Close() // nothing is pending
			if err == nil || !strings.Contains(err.Error(), "refused") {
				return fmt.Errorf("node %d: %v", i, err)
			}
		}
		return nil
	}))
}

// interrupt is Ctrl-C: it ends with exit code 0, and so do the nodes, soon.
func (d *dev) interrupt() {
	d.t.Helper()
	begin := time.Now()
	require.NoError(d.t, d.cmd.Process.Signal(syscall.SIGINT))
	require.NoError(d.t, <-d.ended)
	d.gone()
	d.t.Logf("Ctrl-C took %v", time.Since(begin))
}

// What make run writes survives Ctrl-C and the death of any node, kill -9 of dev itself included.
func TestDevKeepsData(t *testing.T) {
	d := newDev(t)
	d.start()
	ctx := context.Background()
	ways := 3
	if runtime.GOOS != "linux" {
		ways = 2 // elsewhere nodes outlive a killed parent
	}
	for n := range ways {
		key := fmt.Sprint("k", n)
		cl := cluster.Client(t, d.addr(d.waitAll()))
		require.NoError(t, cl.Set(ctx, key, "v", 0).Err())
		switch n {
		case 0:
			d.interrupt()
			d.start()
		case 1:
			require.NoError(t, d.command("dev", "kill", "2").Run())
			require.NoError(t, d.command("dev", "start", "2").Run())
		case 2:
			require.NoError(t, d.cmd.Process.Kill())
			require.Error(t, <-d.ended)
			require.NoError(t, d.command("dev", "kill", "2").Run()) // the only one that is not a child of dev
			d.gone()
			d.start()
		}
		got, err := cluster.Client(t, d.addr(d.waitAll())).Get(ctx, key).Result()
		require.NoError(t, err)
		require.Equal(t, "v", got)
	}
	d.interrupt()
}

// Acceptance 1 without redis-cli: every port answers, the right way.
func TestEveryPortServesOrNamesTheLeader(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	ctx := context.Background()
	lead := c.Leader()
	for _, i := range c.Followers() {
		for key, slot := range map[string]int{"a": 15495, "123456789": 12739, "{a}b": 15495} {
			want := fmt.Sprintf("MOVED %d %s", slot, c.Addr(lead))
			require.EqualError(t, c.Client(i).Set(ctx, key, "1", 0).Err(), want)
			require.EqualError(t, c.Client(i).Get(ctx, key).Err(), want)
		}
	}
	for i := 1; i <= c.Nodes(); i++ { // a client that knows one node only
		cl := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{c.Addr(i)}})
		key := fmt.Sprint("hello", i)
		require.NoError(t, cl.Set(ctx, key, "world", 0).Err())
		got, err := cl.Get(ctx, key).Result()
		require.NoError(t, err)
		require.Equal(t, "world", got)
		require.NoError(t, cl.Close())
	}
}
