package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/internal/e2e/cluster"
)

// memberState is what a node's RAFT STATUS says of one member, nil if it is none.
func memberState(c *cluster.Cluster, asked int, name string) (m map[any]any, changing bool, err error) {
	st, err := c.Status(asked)
	if err != nil {
		return nil, false, err
	}
	list, ok := st["members"].([]any)
	if !ok {
		return nil, false, fmt.Errorf("members: %v", st["members"])
	}
	for _, x := range list {
		if m, ok := x.(map[any]any); ok && m["name"] == name {
			return m, st["changing"] != false, nil
		}
	}
	return nil, st["changing"] != false, nil
}

// awaitVoter waits until every one of the nodes has it that node i votes, and that no change is under way: until a joint
// membership is left, its old half counts.
func awaitVoter(t *testing.T, c *cluster.Cluster, i int, nodes ...int) {
	t.Helper()
	require.NoError(t, cluster.Until(60*time.Second, c.Name(i)+" votes", func() error {
		for _, n := range nodes {
			m, changing, err := memberState(c, n, c.Name(i))
			if err != nil {
				return err
			}
			if m == nil || m["learner"] != false || changing {
				return fmt.Errorf("%s knows it as %v, in a change: %v", c.Name(n), m, changing)
			}
			// Until the change is complete the old voters decide too: of two, none may be missing.
			st, err := c.Status(n)
			if err != nil {
				return err
			}
			if st["changing"] != false {
				return fmt.Errorf("%s: the change is not complete", c.Name(n))
			}
		}
		return nil
	}))
}

// command sends one command to node i.
func command(t *testing.T, c *cluster.Cluster, i int, args ...any) error {
	t.Helper()
	cl := cluster.Dial(c.Addr(i))
	defer cl.Close() //nolint:errcheck // nothing is pending
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return cl.Do(ctx, args...).Err()
}

// A node joins with nothing but the address of a member, whichever, and is a voter soon.
func TestJoin(t *testing.T) {
	c := cluster.New(t, cluster.Options{Nodes: 3, Founders: 1})
	c.Start(1)
	c.Start(2) // it may be there first
	c.WaitReady()
	require.NoError(t, c.Client(c.Leader()).Set(context.Background(), "a", "1", 0).Err())
	awaitVoter(t, c, 2, 1, 2)
	c.Start(3, "--join", c.Addr(2))
	awaitVoter(t, c, 3, 1, 2, 3)
	c.SameState()
	for _, i := range []int{1, 2, 3} { // any of them may go
		c.Kill(i)
		v, err := c.Client(c.Leader()).Get(context.Background(), "a").Result()
		require.NoError(t, err)
		require.Equal(t, "1", v)
		c.Start(i)
		c.WaitReady()
	}
	log, err := os.ReadFile(c.LogFile(3))
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(log), " join_accepted "), "it asks no more once it has a log")
}

// A node that dies at any moment of its way in goes on when it is started again, also without being told how.
func TestJoinIsKilled(t *testing.T) {
	c := cluster.New(t, cluster.Options{Nodes: 2, Founders: 1})
	c.Start(1)
	c.WaitReady()
	for n := range 12 { // the later, the further it has come
		c.Start(2)
		deadline := time.After(time.Duration(n*n) * 3 * time.Millisecond)
		<-deadline
		c.Kill(2)
	}
	if _, err := os.Stat(c.DataDir(2) + "/log"); err == nil {
		c.Start(2, "--join", "")
	} else {
		require.ErrorIs(t, err, os.ErrNotExist)
		c.Start(2)
	}
	awaitVoter(t, c, 2, 1, 2)
	c.SameState()
}

// A disk that was wiped comes back as a learner after its name was removed, and not before. The old disk does not.
func TestWipedDiskComesBack(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	ctx := context.Background()
	require.NoError(t, c.Client(c.Leader()).Set(ctx, "a", "1", 0).Err())
	lost := c.Follower()
	c.SameState()
	c.Kill(lost)
	require.NoError(t, os.Rename(c.DataDir(lost), c.DataDir(lost)+".lost"))
	join := []string{"--join", strings.Join(c.Addrs(), ",")}
	c.Start(lost, join...)
	require.Equal(t, 1, c.WaitExit(lost))
	require.Contains(t, c.LogTail(lost, 1), "a member of that name exists with other data: remove it first")

	require.NoError(t, command(t, c, c.Follower(), "RAFT", "REMOVE", c.Name(lost)))
	require.NoError(t, command(t, c, c.Follower(), "RAFT", "REMOVE", c.Name(lost)), "again")
	c.Start(lost, join...)
	awaitVoter(t, c, lost, 1, 2, 3)
	c.WaitReady()
	c.SameState()

	c.Kill(lost)
	require.NoError(t, os.Rename(c.DataDir(lost), c.DataDir(lost)+".new"))
	require.NoError(t, os.Rename(c.DataDir(lost)+".lost", c.DataDir(lost)))
	c.Start(lost)
	require.Equal(t, 1, c.WaitExit(lost), "the old disk")
	require.Contains(t, c.LogTail(lost, 1), "has been wiped or replaced")
	require.NoError(t, os.Rename(c.DataDir(lost), c.DataDir(lost)+".lost"))
	require.NoError(t, os.Rename(c.DataDir(lost)+".new", c.DataDir(lost)))
	c.Start(lost)
	c.WaitReady()
	c.SameState()
}

// A member that was away while a name was removed and added again with another disk takes the new one in when it is back.
func TestAwayWhileADiskIsReplaced(t *testing.T) {
	c := cluster.New(t, cluster.Options{Nodes: 4, Founders: 4})
	c.StartAll()
	c.WaitReady()
	f := c.Followers()
	away, lost := f[0], f[1]
	c.SameState()
	c.Kill(away)
	c.Kill(lost)
	require.Error(t, command(t, c, f[2], "RAFT", "REMOVE", c.Name(lost)), "two of four are no majority")
	c.Start(away)
	c.WaitReady()
	require.NoError(t, command(t, c, f[2], "RAFT", "REMOVE", c.Name(lost)))
	c.Kill(away)
	require.NoError(t, os.RemoveAll(c.DataDir(lost)))
	lead := c.Leader()
	c.Start(lost, "--join", c.Addr(lead))
	awaitVoter(t, c, lost, lost, lead, f[2])
	c.Start(away)
	c.WaitReady()
	awaitVoter(t, c, lost, away)
	c.SameState()

	// It is needed now, and it counts.
	c.Kill(f[2])
	require.NoError(t, cluster.Until(30*time.Second, "a write is acknowledged", func() error {
		i, err := c.FindLeader(5 * time.Second)
		if err != nil {
			return err
		}
		return c.Client(i).Set(context.Background(), "b", "2", 0).Err()
	}))
}

// Who asks for another cluster than the one it has begun to join is told; so is one whose name is taken.
func TestJoinIsRefused(t *testing.T) {
	c := cluster.New(t, cluster.Options{Nodes: 2, Founders: 1, Args: []string{"--requirepass", "secret"}})
	c.Start(1)
	c.Start(2, "--requirepass", "", "--masterauth", "wrong")
	require.Equal(t, 1, c.WaitExit(2))
	require.Contains(t, c.LogTail(2, 1), "WRONGPASS")
	c.Start(2, "--requirepass", "")
	require.Equal(t, 1, c.WaitExit(2))
	require.Contains(t, c.LogTail(2, 1), "NOAUTH")
	c.Start(2, "--requirepass", "", "--join", "nonsense")
	require.Equal(t, 1, c.WaitExit(2))
	require.Contains(t, c.LogTail(2, 1), `--join: "nonsense" is not host:port`)
	require.NoDirExists(t, c.DataDir(2), "nothing was begun")
	c.Start(2, "--requirepass", "", "--masterauth", "secret", "--masteruser", "default", "--cluster-announce-port", fmt.Sprint(c.Port(1)))
	require.Equal(t, 1, c.WaitExit(2))
	require.Contains(t, c.LogTail(2, 1), "n1 has one of these addresses")
	c.Start(2, "--requirepass", "", "--masterauth", "secret")
	require.NoError(t, cluster.Until(30*time.Second, "it is added", func() error {
		if !strings.Contains(c.LogTail(2, 50), " join_accepted ") {
			return errors.New(c.LogTail(2, 1))
		}
		return nil
	}))
}

// A node that was alone joins another cluster without a restart, and keeps its place after one; a node that was removed
// becomes a cluster of its own, and can join again. What it held is set aside.
func TestMeetAndReset(t *testing.T) {
	c := cluster.New(t, cluster.Options{Nodes: 3, Founders: 1})
	ctx := context.Background()
	c.Start(1)
	c.Start(2, "--join", "")
	c.Start(3, "--join", "")
	for i := 1; i <= 3; i++ { // three clusters
		cl := c.Client(i)
		require.NoError(t, cluster.Until(30*time.Second, "it leads", func() error { return cl.Set(ctx, "k", i, 0).Err() }))
	}
	meet := func(i, with int) error {
		return command(t, c, i, "CLUSTER", "MEET", "127.0.0.1", c.Port(with), c.PeerPort(with))
	}
	require.EqualError(t, meet(2, 1), "ERR CLUSTER RESET can't be called with master nodes containing keys")
	require.NoError(t, c.Client(2).Del(ctx, "k").Err())
	require.NoError(t, c.Client(3).Del(ctx, "k").Err())
	nobody := cluster.Ports(t, 1)[0]
	err := command(t, c, 2, "CLUSTER", "MEET", "127.0.0.1", nobody)
	require.ErrorContains(t, err, "connection refused")
	require.NoError(t, meet(2, 2), "itself")
	other := cluster.New(t, cluster.Options{Nodes: 2})
	other.StartAll()
	other.WaitReady()
	err = command(t, c, 2, "CLUSTER", "MEET", "127.0.0.1", other.Port(1))
	require.ErrorContains(t, err, "has a member n2 already: start this node with another --node")

	one := c.Client(2) // one connection, before and after
	require.NoError(t, one.Ping(ctx).Err())
	require.NoError(t, meet(2, 1))
	awaitVoter(t, c, 2, 1, 2)
	require.NoError(t, meet(2, 1), "they have met")
	require.ErrorContains(t, meet(2, 3), "this node is not alone")
	require.ErrorContains(t, one.Get(ctx, "k").Err(), "MOVED ")
	c.Kill(2)
	c.Start(2, "--join", "") // as it was started first
	c.WaitReady()
	require.NoError(t, meet(3, 2))
	awaitVoter(t, c, 3, 1, 2, 3)
	c.SameState()

	err = command(t, c, 3, "CLUSTER", "RESET")
	require.EqualError(t, err, "ERR n3 is a member of its cluster: remove it first (RAFT REMOVE n3)")
	require.NoError(t, command(t, c, 2, "RAFT", "REMOVE", "n3"))
	require.NoError(t, command(t, c, 3, "CLUSTER", "RESET", "SOFT"))
	require.NoError(t, command(t, c, 3, "CLUSTER", "RESET"), "again")
	cl := c.Client(3)
	require.NoError(t, cluster.Until(30*time.Second, "it leads", func() error { return cl.Set(ctx, "k", 3, 0).Err() }))
	require.EqualError(t, command(t, c, 3, "CLUSTER", "RESET"), "ERR CLUSTER RESET can't be called with master nodes containing keys")
	c.Kill(3)
	c.Start(3) // with --join, as always: but it belongs to a cluster
	require.NoError(t, cluster.Until(30*time.Second, "it leads", func() error { return cl.Get(ctx, "k").Err() }))
	require.Contains(t, c.LogTail(3, 100), "join_ignored")
	require.NoError(t, cl.Del(ctx, "k").Err())
	require.NoError(t, meet(3, 1))
	awaitVoter(t, c, 3, 1, 2, 3)
	c.WaitReady()
	c.SameState()
	kept, err := filepath.Glob(filepath.Join(c.DataDir(3), "log.old-*"))
	require.NoError(t, err)
	require.Len(t, kept, 3)
	v, err := c.Client(c.Leader()).Get(ctx, "k").Result()
	require.NoError(t, err)
	require.Equal(t, "1", v)
}

// A member that was away while another node was added, and became the leader, is brought up to date by that one, which it
// has never heard of.
func TestStrangerLeads(t *testing.T) {
	c := cluster.New(t, cluster.Options{Nodes: 4, Founders: 3})
	c.StartAll()
	c.WaitReady()
	away := c.Follower()
	c.SameState()
	c.Kill(away)
	lead := c.Leader()
	c.Start(4)
	awaitVoter(t, c, 4, lead, 4)
	require.NoError(t, command(t, c, lead, "RAFT", "TRANSFER", "n4"))
	require.Equal(t, 4, c.Leader())
	require.NoError(t, c.Client(4).Set(context.Background(), "a", "1", 0).Err())
	c.Start(away)
	awaitVoter(t, c, 4, away)
	c.WaitReady()
	c.SameState()
}

// A member moves to other ports without being removed.
func TestMemberMoves(t *testing.T) {
	c := cluster.New(t, cluster.Options{Nodes: 3, Founders: 1})
	c.Start(1)
	c.WaitReady()
	c.Start(2)
	c.Start(3)
	awaitVoter(t, c, 2, 1, 2, 3)
	awaitVoter(t, c, 3, 1, 2, 3)
	require.NoError(t, command(t, c, 2, "RAFT", "TRANSFER", "n1"))
	c.Kill(3)
	ports := cluster.Ports(t, 2)
	addr := fmt.Sprintf("127.0.0.1:%d", ports[0])
	require.NoError(t, command(t, c, 2, "RAFT", "SETADDR", "n3", addr, "PEER", fmt.Sprintf("127.0.0.1:%d", ports[1])))
	c.Start(3, "--port", fmt.Sprint(ports[0]), "--peer-port", fmt.Sprint(ports[1]))
	moved := cluster.Client(t, addr)
	ctx := context.Background()
	require.NoError(t, cluster.Until(30*time.Second, "it names the leader", func() error {
		if err := moved.Get(ctx, "a").Err(); err == nil || !strings.HasPrefix(err.Error(), "MOVED ") {
			return fmt.Errorf("%v", err)
		}
		return nil
	}))
	c.Kill(2) // its vote is needed now
	require.NoError(t, cluster.Until(30*time.Second, "a write is acknowledged", func() error {
		return c.Client(1).Set(ctx, "a", "1", 0).Err()
	}))
	require.NoError(t, command(t, c, 1, "RAFT", "TRANSFER", "n3"))
	require.NoError(t, cluster.Until(30*time.Second, "it leads", func() error { return moved.Set(ctx, "a", "2", 0).Err() }))
	err := c.Client(1).Get(ctx, "a").Err()
	require.EqualError(t, err, "MOVED 15495 "+addr)
}
