package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"kvapp/internal/e2e/cluster"
)

// recoverNode runs kvapp recover on the directory of a node that does not run.
func recoverNode(t *testing.T, c *cluster.Cluster, i int, args ...string) (string, error) {
	t.Helper()
	cmd := cluster.Command(t, append([]string{"recover", "--dir", c.DataDir(i)}, args...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// positionOf is what kvapp recover prints of a node without changing anything.
func positionOf(t *testing.T, c *cluster.Cluster, i int) string {
	t.Helper()
	out, err := recoverNode(t, c, i)
	require.Error(t, err, "nobody has answered")
	found := regexp.MustCompile(`(?m)^position +(\S+)$`).FindStringSubmatch(out)
	require.NotNil(t, found, out)
	return found[1]
}

// Two of three disks are gone. What is left founds a cluster of its own with everything it has; the others cannot come
// back into it with what they held, but with empty directories.
func TestRecoverFromTheLossOfAMajority(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	fill(t, c, 0, 1000)
	c.SameState()
	out, err := recoverNode(t, c, 1, "--yes")
	require.Error(t, err)
	require.Contains(t, out, "the node is running")
	c.KillAll()
	old := filepath.Join(t.TempDir(), "old")
	for _, i := range []int{2, 3} {
		require.NoError(t, os.Rename(c.DataDir(i), fmt.Sprint(old, i)))
	}
	out, err = recoverNode(t, c, 1)
	require.Error(t, err)
	require.Contains(t, out, "nothing was changed")
	out, err = recoverNode(t, c, 1, "--yes")
	require.NoError(t, err, out)
	t.Log(out)
	c.Start(1)
	require.Equal(t, 1, c.Leader())
	checkFilled(t, c, 0, 1000)
	fill(t, c, 1000, 1010)

	// The disks turn up again: they are in another cluster, and one of them alone is not even that.
	require.NoError(t, os.Rename(fmt.Sprint(old, 2), c.DataDir(2)))
	c.Start(2)
	strangerIsRefused(t, c, 2, 0)
	require.Equal(t, cluster.Leading, c.Part(1, 3*time.Second))
	c.Kill(2)

	require.NoError(t, os.RemoveAll(c.DataDir(2)))
	for _, i := range []int{2, 3} {
		c.Start(i, "--join", c.Addr(1))
	}
	c.WaitReady()
	fill(t, c, 1010, 1020)
	c.SameState()
	require.NoError(t, cluster.Until(30*time.Second, "all of them vote", func() error {
		st, err := c.Status(1)
		if err == nil && st["voters"].(int64) != 3 {
			err = fmt.Errorf("%v voters", st["voters"])
		}
		return err
	}))

	// So they are when their names are members again.
	n, err := refusedOthers(c)
	require.NoError(t, err)
	c.Kill(3)
	require.NoError(t, os.Rename(c.DataDir(3), old+"new"))
	require.NoError(t, os.Rename(fmt.Sprint(old, 3), c.DataDir(3)))
	c.Start(3)
	strangerIsRefused(t, c, 3, n)
	fill(t, c, 1020, 1030)
	c.Kill(3)
	require.NoError(t, os.RemoveAll(c.DataDir(3)))
	require.NoError(t, os.Rename(old+"new", c.DataDir(3)))
	c.Start(3)
	c.WaitReady()
	c.SameState()

	c.Kill(1)
	c.Leader()
	checkFilled(t, c, 0, 1030)
	c.Start(1)
	c.WaitReady()
}

// refusedOthers is how often node 1 has turned away a node of another cluster.
func refusedOthers(c *cluster.Cluster) (int64, error) {
	st, err := c.Status(1)
	if err != nil {
		return 0, err
	}
	return st["refused"].(map[any]any)["other_cluster"].(int64), nil
}

// strangerIsRefused waits until node 1 has turned away more than n nodes of another cluster, and checks that node i serves
// nobody.
func strangerIsRefused(t *testing.T, c *cluster.Cluster, i int, n int64) {
	t.Helper()
	require.NoError(t, cluster.Until(30*time.Second, "the recovered cluster has refused the old node", func() error {
		now, err := refusedOthers(c)
		if err == nil && now <= n {
			err = fmt.Errorf("%d are refused", now)
		}
		return err
	}))
	require.NoError(t, cluster.Until(30*time.Second, "the old one answers", func() error {
		_, err := c.Status(i)
		return err
	}))
	require.ErrorContains(t, c.Client(i).Get(context.Background(), "k1").Err(), "CLUSTERDOWN")
}

// Three of five are gone; the two that are left held the same, and go on together.
func TestRecoverTwoOfFive(t *testing.T) {
	c := cluster.Start(t, cluster.Options{Nodes: 5, Args: []string{"--raft-election-ms", "1000"}})
	fill(t, c, 0, 100)
	c.SameState()
	c.KillAll()
	line := positionOf(t, c, 1) + "," + positionOf(t, c, 2)
	for tries := 0; endOf(t, line, 1) != endOf(t, line, 2); tries++ {
		// One of them has written something since, such as the first entry of another leader.
		require.Less(t, tries, 10, line)
		for i := 1; i <= 5; i++ {
			c.Start(i)
		}
		c.WaitReady()
		c.SameState()
		c.KillAll()
		line = positionOf(t, c, 1) + "," + positionOf(t, c, 2)
	}
	for i := 3; i <= 5; i++ {
		require.NoError(t, os.RemoveAll(c.DataDir(i)))
	}
	for _, i := range []int{1, 2} {
		out, err := recoverNode(t, c, i, "--survivors", line, "--yes")
		require.NoError(t, err, out)
		require.Contains(t, out, "of n1, n2.")
	}
	c.Start(1)
	c.Start(2)
	c.WaitReady()
	checkFilled(t, c, 0, 100)
	fill(t, c, 100, 200)
	c.SameState()
	lead := c.Leader()
	c.Kill(3 - lead)
	require.NoError(t, cluster.Until(30*time.Second, "one alone is no majority", func() error {
		err := c.Client(lead).Set(context.Background(), "a", "1", 0).Err()
		if err == nil || !strings.HasPrefix(err.Error(), "CLUSTERDOWN") && !strings.HasPrefix(err.Error(), "UNCERTAIN") {
			return fmt.Errorf("it says %w", err)
		}
		return nil
	}))
	c.Start(3 - lead)
	c.WaitReady()
}

// endOf is the term and the index of the last entry of node i, from the positions of survivors.
func endOf(t *testing.T, line string, i int) string {
	t.Helper()
	m := regexp.MustCompile(fmt.Sprintf(`n%d:\d+/(\d+/\d+)/`, i)).FindStringSubmatch(line)
	require.NotNil(t, m, line)
	return m[1]
}

// checkFilled reads what fill has written.
func checkFilled(t *testing.T, c *cluster.Cluster, from, to int) {
	t.Helper()
	cl := c.Client(c.Leader())
	cmds, err := cl.Pipelined(context.Background(), func(p redis.Pipeliner) error {
		for i := from; i < to; i++ {
			p.Get(context.Background(), fmt.Sprint("k", i))
		}
		return nil
	})
	require.NoError(t, err)
	require.Len(t, cmds, to-from)
	for i, cmd := range cmds {
		require.Equal(t, strings.Repeat("v", 20+(from+i)%50), cmd.(*redis.StringCmd).Val())
	}
}
