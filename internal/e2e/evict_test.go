package e2e

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"kvapp/internal/e2e/cluster"
	"kvapp/internal/race"
)

// figure is a number of INFO.
func figure(cl *redis.Client, section, name string) (int64, error) {
	info, err := cl.Info(context.Background(), section).Result()
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(info, "\r\n"+name+":")
	if !ok {
		return 0, fmt.Errorf("no %s in INFO %s", name, section)
	}
	word, _, _ := strings.Cut(rest, "\r\n")
	return strconv.ParseInt(word, 10, 64)
}

// highest follows what the keys take on a node until it is told to stop, and returns the most it saw.
func highest(t *testing.T, c *cluster.Cluster, i int) (stop func() int64) {
	ctx, cancel := context.WithCancel(context.Background())
	most := int64(0)
	var failed error
	var wg sync.WaitGroup
	wg.Go(func() {
		cl := cluster.Dial(c.Addr(i))
		for ctx.Err() == nil && failed == nil {
			var n int64
			n, failed = figure(cl, "memory", "used_memory_counted")
			most = max(most, n)
			pause(ctx)
		}
		_ = cl.Close()
	})
	return func() int64 {
		cancel()
		wg.Wait()
		require.NoError(t, failed)
		return most
	}
}

// More is written than may stay: with a policy nobody gets an error, and the keys never take much more than they may, whoever
// leads; without one writes are refused, and all else goes on.
func TestMaxmemory(t *testing.T) {
	const limit = 5 << 20
	writes := int64(50_000)
	if race.Enabled {
		writes = 30_000
	}
	c := cluster.Start(t, cluster.Options{Args: []string{"--maxmemory", "5mb", "--maxmemory-policy", "allkeys-lru", "--raft-election-ms", "1000"}})
	ctx := context.Background()
	lead := c.Leader()
	for range 2 {
		before, err := figure(c.Client(lead), "stats", "evicted_keys")
		require.NoError(t, err)
		stop := highest(t, c, lead)
		written, err := flood(ctx, c, 8, 10*int(writes), writes, strings.Repeat("x", 200))
		require.NoError(t, err)
		require.GreaterOrEqual(t, written, writes)
		most := stop()
		t.Logf("at most %d of %d bytes", most, limit)
		require.Less(t, most, int64(limit*11/10))
		after, err := figure(c.Client(lead), "stats", "evicted_keys")
		require.NoError(t, err)
		require.Greater(t, after, before+writes/4)
		c.Kill(lead)
		c.Start(lead)
		lead = c.Leader()
	}
	c.WaitReady()
	c.SameState()

	lead = c.Leader()
	cl := c.Client(lead)
	for i := range c.Nodes() {
		require.NoError(t, c.Client(i+1).Do(ctx, "CONFIG", "SET", "maxmemory", "2mb", "maxmemory-policy", "noeviction").Err())
	}
	require.EqualError(t, cl.Set(ctx, "new", "1", 0).Err(), "OOM command not allowed when used memory > 'maxmemory'.")
	key, err := cl.RandomKey(ctx).Result()
	require.NoError(t, err)
	require.NoError(t, cl.Get(ctx, key).Err())
	require.NoError(t, cl.Del(ctx, key).Err())

	// Nobody writes, and yet the state shrinks when the policy allows it.
	require.NoError(t, cl.ConfigSet(ctx, "maxmemory-policy", "allkeys-lfu").Err())
	require.NoError(t, cluster.Until(10*time.Second, "the keys are evicted", func() error {
		n, err := figure(cl, "memory", "used_memory_counted")
		if err == nil && n > 2<<20 {
			err = fmt.Errorf("%d bytes", n)
		}
		return err
	}))
	require.NoError(t, cl.Set(ctx, "new", "1", 0).Err())
	c.SameState()
}
