package cluster

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { Main(m) }

func TestKillAndRestart(t *testing.T) {
	t.Setenv("KVAPP_PORT", "1") // whatever the developer's shell has set
	c := Start(t, Options{})
	lead := c.Leader()
	ctx := context.Background()
	require.NoError(t, c.Client(lead).Set(ctx, "a", "1", 0).Err())
	require.Len(t, c.Pids(), 3)
	c.Kill(lead)
	require.False(t, c.Running(lead))
	require.Equal(t, Down, c.Part(lead, time.Second))
	require.NotEqual(t, lead, c.Leader())
	c.Start(lead)
	c.WaitReady()
	require.Len(t, c.Followers(), 2)
	v, err := c.Client(c.Leader()).Get(ctx, "a").Result()
	require.NoError(t, err)
	require.Equal(t, "1", v)
	index, hash := c.SameState()
	require.Positive(t, index)
	require.Len(t, hash, 16)
	c.KillAll()
	require.Empty(t, c.Pids())
	require.Contains(t, c.LogTail(lead, 1000), "serving")
}

// A child that ends without the test's doing must not go unnoticed.
func TestSurprisingEndIsNoticed(t *testing.T) {
	c := Start(t, Options{Nodes: 1})
	p := c.process(1)
	require.NoError(t, p.cmd.Process.Kill())
	<-p.done
	require.True(t, p.surprising())
	require.ErrorContains(t, c.start(1), "by itself")
	require.ErrorContains(t, c.ready(time.Second), "by itself")
	p.expect()
	require.False(t, p.surprising())
}

func TestChildrenEndWithTheTest(t *testing.T) {
	var pids []int
	t.Run("inner", func(t *testing.T) {
		c := Start(t, Options{})
		c.Pause(c.Leader()) // also a stopped one
		for _, pid := range c.Pids() {
			pids = append(pids, pid)
		}
	})
	require.Len(t, pids, 3)
	for _, pid := range pids {
		p, err := os.FindProcess(pid)
		require.NoError(t, err)
		require.Error(t, p.Signal(syscall.Signal(0)))
	}
}

func TestPortsAreReserved(t *testing.T) {
	seen := map[int]bool{}
	for range 5 {
		for _, p := range Ports(t, 6) {
			require.False(t, seen[p])
			seen[p] = true
		}
		p := DevPort(t, 3)
		require.False(t, seen[p])
		require.Less(t, p+20000+3, 32768)
		seen[p] = true
	}
}

func TestTail(t *testing.T) {
	name := t.TempDir() + "/x"
	require.NoError(t, os.WriteFile(name, []byte("a\nb\nc\n"), 0o600))
	require.Equal(t, "b\nc", tail(name, 2))
	require.Equal(t, "a\nb\nc", tail(name, 9))
	require.True(t, strings.Contains(tail(name+"y", 1), "no such file"))
}
