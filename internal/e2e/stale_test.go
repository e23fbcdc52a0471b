package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"kvapp/internal/e2e/cluster"
)

// A follower that has lost everybody serves reads of a connection that accepts stale ones, and stops when their bound has
// passed.
func TestStaleReadsEnd(t *testing.T) {
	const bound = 1500 * time.Millisecond
	c := cluster.Start(t, cluster.Options{Args: []string{"--park-timeout", "50"}})
	ctx := context.Background()
	lead, last := c.Leader(), c.Follower()
	require.NoError(t, c.Client(lead).Set(ctx, "a", "1", 0).Err())
	opts := c.Client(last).Options()
	opts.OnConnect = func(ctx context.Context, cn *redis.Conn) error {
		return cn.Do(ctx, "RAFT", "READMODE", "STALE", bound.Milliseconds()).Err()
	}
	cl := redis.NewClient(opts)
	defer cl.Close() //nolint:errcheck // nothing is pending
	got, err := cl.Get(ctx, "a").Result()
	require.NoError(t, err)
	require.Equal(t, "1", got)
	c.Kill(6 - lead - last)
	got, err = cl.Get(ctx, "a").Result()
	require.NoError(t, err)
	require.Equal(t, "1", got)
	c.Kill(lead)
	dead := time.Now()
	served := 0
	require.NoError(t, cluster.Until(30*time.Second, "reads are refused", func() error {
		asked := time.Now()
		err := cl.Get(ctx, "a").Err()
		switch {
		case err != nil:
			require.EqualError(t, err, "CLUSTERDOWN No raft leader")
			require.Greater(t, served, 1)
			return nil
		case asked.Sub(dead) > bound:
			return &cluster.Final{Err: context.DeadlineExceeded}
		}
		served++
		return context.Canceled // once more
	}))
	t.Logf("%d reads served, refused after %v", served, time.Since(dead))
}
