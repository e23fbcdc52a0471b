package resp

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"kvapp/node"
	"kvapp/raft"
)

func ctx(t testing.TB) context.Context {
	t.Helper()
	c, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return c
}

func TestGoRedisPlain(t *testing.T) {
	_, s, _ := one(t)
	for _, proto := range []int{2, 3} {
		rdb := redis.NewClient(&redis.Options{Addr: addrOf(s), Protocol: proto, DB: 2, ClientName: "plain"})
		require.NoError(t, rdb.Set(ctx(t), "a", "1", time.Minute).Err())
		require.Equal(t, "1", rdb.Get(ctx(t), "a").Val())
		cmds, err := rdb.Pipelined(ctx(t), func(p redis.Pipeliner) error {
			for i := range 500 {
				p.Incr(ctx(t), "n"+strconv.Itoa(proto))
				p.HSet(ctx(t), "h"+strconv.Itoa(proto), strconv.Itoa(i), i)
			}
			p.HGetAll(ctx(t), "h"+strconv.Itoa(proto))
			return nil
		})
		require.NoError(t, err)
		all, ok := cmds[1000].(*redis.MapStringStringCmd)
		require.True(t, ok)
		require.Len(t, all.Val(), 500)
		info, err := rdb.Command(ctx(t)).Result()
		require.NoError(t, err)
		require.Equal(t, int8(1), info["get"].FirstKeyPos)
		require.True(t, info["get"].ReadOnly)
		name, err := rdb.ClientGetName(ctx(t)).Result()
		require.NoError(t, err)
		require.Equal(t, "plain", name)
		require.NoError(t, rdb.Close())
	}
}

func TestGoRedisCluster(t *testing.T) {
	fakes, servers := cluster(t, 3)
	for _, readOnly := range []bool{false, true} {
		rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{addrOf(servers[2])}, ReadOnly: readOnly})
		for i := range 20 {
			key := "k" + strconv.Itoa(i)
			require.NoError(t, rdb.Set(ctx(t), key, i, 0).Err())
			require.Equal(t, strconv.Itoa(i), rdb.Get(ctx(t), key).Val())
		}
		//lint:ignore SA1019 clients older than Redis 7.0 send it
		slots, err := rdb.ClusterSlots(ctx(t)).Result()
		require.NoError(t, err)
		require.Len(t, slots, 1)
		require.Equal(t, 16383, slots[0].End)
		require.Len(t, slots[0].Nodes, 3)
		require.Equal(t, addrOf(servers[0]), slots[0].Nodes[0].Addr)
		shards, err := rdb.ClusterShards(ctx(t)).Result()
		require.NoError(t, err)
		require.Equal(t, "master", shards[0].Nodes[0].Role)
		require.NoError(t, rdb.Close())
	}
	require.Positive(t, fakes[1].reads.Load()+fakes[2].reads.Load(), "followers served reads")
}

// A cluster client follows when another node leads.
func TestGoRedisFollowsTheLeader(t *testing.T) {
	fakes, servers := cluster(t, 3)
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{addrOf(servers[0])}})
	defer func() { require.NoError(t, rdb.Close()) }()
	require.NoError(t, rdb.Set(ctx(t), "a", "1", 0).Err())
	lead := addrOf(servers[1])
	for i, f := range fakes {
		f.leader.Store(&lead)
		f.outcome.Store(int32(node.NotLeader))
		f.change(func(v *node.View) { v.Role, v.Leader, v.Last, v.Term = raft.Follower, 2, 2, 4 })
		if i == 1 {
			f.outcome.Store(int32(node.Done))
			f.change(func(v *node.View) { v.Role = raft.Leader })
		}
	}
	require.NoError(t, rdb.Set(ctx(t), "a", "2", 0).Err())
	require.Equal(t, "2", rdb.Get(ctx(t), "a").Val())
	require.Positive(t, fakes[1].writes.Load())
}

func TestRueidis(t *testing.T) {
	_, servers := cluster(t, 3)
	for _, single := range []bool{true, false} {
		cl, err := rueidis.NewClient(rueidis.ClientOption{
			InitAddress: []string{addrOf(servers[0])}, ForceSingleClient: single,
		})
		require.NoError(t, err)
		require.NoError(t, cl.Do(ctx(t), cl.B().Set().Key("a").Value("1").Build()).Error())
		got, err := cl.Do(ctx(t), cl.B().Get().Key("a").Build()).ToString()
		require.NoError(t, err)
		require.Equal(t, "1", got)
		cl.Close()
	}
}
