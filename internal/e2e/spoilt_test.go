package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/internal/e2e/cluster"
	"kvapp/internal/race"
)

// cutLogs starts a cluster whose logs do not go back to their beginning any more.
func cutLogs(t *testing.T) *cluster.Cluster {
	c := cluster.Start(t, cluster.Options{Args: []string{"--raft-snapshot-bytes", "1mb"}})
	writes := int64(20_000)
	if race.Enabled {
		writes = 8000
	}
	_, err := flood(context.Background(), c, 2, 2000, writes, strings.Repeat("x", 1000))
	require.NoError(t, err)
	c.SameState()
	for i := range c.Nodes() {
		require.NoError(t, cluster.Until(30*time.Second, "the log is cut", func() error {
			st, err := c.Status(i + 1)
			if err == nil && st["first"].(int64) == 1 {
				err = fmt.Errorf("it begins with entry 1")
			}
			return err
		}))
	}
	return c
}

// snapshotFiles are the whole snapshots of a node, the newest last, and the one that it is receiving.
func snapshotFiles(t *testing.T, c *cluster.Cluster, i int) (whole, parts []string) {
	t.Helper()
	dir := filepath.Join(c.DataDir(i), "snapshots")
	whole, err := filepath.Glob(filepath.Join(dir, "*.snap"))
	require.NoError(t, err)
	parts, err = filepath.Glob(filepath.Join(dir, "*.part"))
	require.NoError(t, err)
	slices.Sort(whole)
	return whole, parts
}

func damagedFiles(t *testing.T, c *cluster.Cluster, i int) []string {
	t.Helper()
	kept, err := filepath.Glob(filepath.Join(c.DataDir(i), "snapshots", "*.damaged*"))
	require.NoError(t, err)
	return kept
}

// A damaged snapshot is refused by name, and the node comes back by itself, from the leader.
func TestDamagedSnapshotComesFromTheLeader(t *testing.T) {
	c := cutLogs(t)
	victim, kept := c.Follower(), 0
	for how, damage := range map[string]func(path string, data []byte) error{
		"checksum": func(path string, data []byte) error {
			data[len(data)/2] ^= 0x10
			return os.WriteFile(path, data, 0o640)
		},
		"bytes, the log says": func(path string, data []byte) error { return os.Truncate(path, int64(len(data)/3)) },
		"no such file":        func(path string, _ []byte) error { return os.Remove(path) },
	} {
		c.SameState()
		c.Kill(victim)
		files, _ := snapshotFiles(t, c, victim)
		require.NotEmpty(t, files)
		for _, path := range files {
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, damage(path, data))
		}
		begin := len(c.LogTail(victim, 1<<20))
		c.Start(victim)
		c.WaitReady()
		c.SameState()
		said := c.LogTail(victim, 1<<20)[begin:]
		newest := files[len(files)-1]
		require.Contains(t, said, "snapshot_damaged file="+filepath.Base(newest))
		for _, word := range []string{how, "state_missing", "snapshot_received", "state_received"} {
			require.Contains(t, said, word)
		}
		if how != "no such file" {
			kept++
		}
		require.Len(t, damagedFiles(t, c, victim), kept, "the file is kept, if there is one")
		st, err := c.Status(victim)
		require.NoError(t, err)
		require.Equal(t, false, st["state_missing"])
		fill(t, c, 0, 10)
	}
	// What it has received is whole.
	c.Kill(victim)
	begin := len(c.LogTail(victim, 1<<20))
	c.Start(victim)
	c.WaitReady()
	c.SameState()
	require.NotContains(t, c.LogTail(victim, 1<<20)[begin:], "snapshot_damaged")
}

// kill -9 at any point of the way there: the next start goes on, whether the snapshot was being received, was there and not
// installed, or was in its place.
func TestKilledWhileItGetsItsStateBack(t *testing.T) {
	c := cutLogs(t)
	victim := c.Follower()
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	_, hash := c.SameState()
	c.Kill(victim)
	size := int64(0)
	for round := range 12 {
		if files, _ := snapshotFiles(t, c, victim); len(files) > 0 {
			at := files[len(files)-1]
			data, err := os.ReadFile(at)
			require.NoError(t, err)
			size = int64(len(data))
			data[rng.IntN(len(data))] ^= 1
			require.NoError(t, os.WriteFile(at, data, 0o640))
		}
		until := int64(rng.Float64() * 1.1 * float64(size))
		c.Start(victim)
		require.NoError(t, cluster.Until(30*time.Second, "so much has arrived", func() error {
			files, parts := snapshotFiles(t, c, victim)
			for _, path := range parts {
				if st, err := os.Stat(path); err == nil && st.Size() >= until {
					return nil
				}
			}
			if len(files) == 0 {
				return fmt.Errorf("nothing yet")
			}
			return nil
		}))
		c.Kill(victim)
		t.Logf("round %d: killed after %d of %d bytes", round, until, size)
	}
	c.Start(victim)
	c.WaitReady()
	_, again := c.SameState()
	require.Equal(t, hash, again)
}
