//go:build oracle

package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/internal/e2e/cluster"
)

// myID is the id of node i in CLUSTER commands.
func myID(t *testing.T, c *cluster.Cluster, i int) string {
	t.Helper()
	id, err := c.Client(i).Do(context.Background(), "CLUSTER", "MYID").Text()
	require.NoError(t, err)
	return id
}

// awaitMembers waits until node i knows of n members, and of nobody else.
func awaitMembers(t *testing.T, c *cluster.Cluster, i, n int) {
	t.Helper()
	require.NoError(t, cluster.Until(30*time.Second, fmt.Sprintf("%s knows of %d members", c.Name(i), n), func() error {
		st, err := c.Status(i)
		if err != nil {
			return err
		}
		if list, _ := st["members"].([]any); len(list) != n || st["member"] != true {
			return fmt.Errorf("%v, itself: %v", list, st["member"])
		}
		return nil
	}))
}

// The lines of Redis' own tool that add a node and delete one, with a node that has never been told of this cluster.
func TestRedisCliAddsAndDeletesNodes(t *testing.T) {
	c := cluster.New(t, cluster.Options{Nodes: 5, Founders: 3})
	c.StartAll()
	c.WaitReady()
	ctx := context.Background()
	require.NoError(t, c.Client(c.Leader()).Set(ctx, "a", "1", 0).Err())
	lead, ask := c.Leader(), c.Follower() // of the three: n4 leads, too, when it is alone
	for _, extra := range [][]string{nil, {"--cluster-slave"}, {"--cluster-slave", "--cluster-master-id"}} {
		i := 4
		if !c.Running(i) {
			c.Start(i, "--join", "")
		}
		awaitMembers(t, c, i, 1)
		if len(extra) == 2 {
			extra = append(extra, myID(t, c, lead))
		}
		out := tool(t, "redis-cli", append([]string{"--cluster", "add-node", c.Addr(i), c.Addr(ask)}, extra...)...)
		require.Contains(t, out, "[OK] New node added correctly.")
		awaitVoter(t, c, i, 1, 2, 3, i)
		c.WaitReady()
		c.SameState()

		out = tool(t, "redis-cli", "--cluster", "check", c.Addr(i))
		require.Contains(t, out, "[OK] All nodes agree about slots configuration.")
		out = tool(t, "redis-cli", "--cluster", "del-node", c.Addr(ask), myID(t, c, i))
		require.Contains(t, out, ">>> Sending CLUSTER RESET SOFT to the deleted node.")
		awaitMembers(t, c, i, 1)
		awaitMembers(t, c, ask, 3)
		require.NoError(t, cluster.Until(30*time.Second, "it leads alone", func() error { return c.Client(i).Set(ctx, "own", "1", 0).Err() }))
		require.NoError(t, c.Client(i).FlushAll(ctx).Err())
	}
	require.Contains(t, c.LogTail(4, 100), " set_aside ")

	// What redis-cli will not do: a node with keys is not added, the leader is not deleted.
	require.NoError(t, c.Client(4).Set(ctx, "own", "1", 0).Err())
	out, err := exec.Command("redis-cli", "--cluster", "add-node", c.Addr(4), c.Addr(ask)).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "is not empty")
	err = command(t, c, 4, "CLUSTER", "MEET", "127.0.0.1", fmt.Sprint(c.Port(1)))
	require.EqualError(t, err, "ERR CLUSTER RESET can't be called with master nodes containing keys")
	out, err = exec.Command("redis-cli", "--cluster", "del-node", c.Addr(ask), myID(t, c, lead)).CombinedOutput()
	require.Error(t, err)
	require.True(t, strings.Contains(string(out), "is not empty"), string(out))
	v, err := c.Client(lead).Get(ctx, "a").Result()
	require.NoError(t, err)
	require.Equal(t, "1", v)
}
