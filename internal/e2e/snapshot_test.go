package e2e

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"kvapp/internal/e2e/cluster"
	"kvapp/internal/race"
)

// flood writes in big pipelines over several connections to the leader until ctx ends or limit writes are acknowledged.
// Every value ends with pad. On a machine that is busy enough the leader may change: then the pipeline is sent again.
func flood(ctx context.Context, c *cluster.Cluster, conns, keys int, limit int64, pad string) (written int64, err error) {
	const batch = 1000
	var n atomic.Int64
	errs := make([]error, conns)
	first := c.Leader()
	var wg sync.WaitGroup
	for id := range conns {
		wg.Go(func() {
			cl := cluster.Dial(c.Addr(first))
			defer func() { errs[id] = errors.Join(errs[id], cl.Close()) }()
			for ctx.Err() == nil && n.Load() < limit {
				at := int(n.Load())
				_, err := cl.Pipelined(context.Background(), func(p redis.Pipeliner) error {
					for i := range batch {
						p.Set(context.Background(), fmt.Sprintf("flood:%d", (at*7+i*conns+id)%keys), strconv.Itoa(at+i)+pad, 0)
					}
					return nil
				})
				switch {
				case err == nil:
					n.Add(batch)
				case movedOn(err):
					lead, err := c.FindLeader(30 * time.Second)
					if err != nil {
						errs[id] = err
						return
					}
					if errs[id] = cl.Close(); errs[id] != nil {
						return
					}
					cl = cluster.Dial(c.Addr(lead))
				default:
					errs[id] = err
					return
				}
			}
		})
	}
	wg.Wait()
	return n.Load(), errors.Join(errs...)
}

// movedOn says whether the leader that was asked has lost its office. SET may be sent again whatever became of it.
func movedOn(err error) bool {
	for _, word := range []string{"MOVED", "UNCERTAIN", "TRYAGAIN", "CLUSTERDOWN"} {
		if strings.HasPrefix(err.Error(), word) {
			return true
		}
	}
	return false
}

// Acceptance 8.
func TestStoppedFollowerCatchesUpBySnapshot(t *testing.T) {
	writes, pad, size := int64(1_000_000), "", "4mb"
	if race.Enabled { // a quarter of the bytes, and as many snapshots
		writes, pad, size = 10_000, strings.Repeat("x", 1000), "1mb"
	}
	c := cluster.Start(t, cluster.Options{Args: []string{"--raft-snapshot-bytes", size}})
	slow, lead := c.Follower(), c.Leader()
	c.Kill(slow)
	begin := time.Now()
	n, err := flood(context.Background(), c, 4, 50_000, writes, pad)
	require.NoError(t, err)
	require.GreaterOrEqual(t, n, writes)
	t.Logf("%d writes in %v", n, time.Since(begin))
	before, err := c.Status(lead)
	require.NoError(t, err)
	require.Greater(t, before["first"], int64(1), "the log of the leader still holds everything")

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var more int64
	var wg sync.WaitGroup
	wg.Go(func() { more, err = flood(ctx, c, 2, 50_000, 1<<60, pad) })
	begin = time.Now()
	c.Start(slow)
	require.NoError(t, cluster.Until(60*time.Second, "the follower has caught up", func() error {
		st, err := c.Status(slow)
		if err != nil {
			return err
		}
		if st["applied"].(int64) < before["commit"].(int64) {
			return fmt.Errorf("at %d of %d", st["applied"], before["commit"])
		}
		return nil
	}))
	t.Logf("at what was committed before its start after %v", time.Since(begin))
	cancel()
	wg.Wait()
	require.NoError(t, err)
	require.Positive(t, more, "no writes went on meanwhile")
	c.WaitReady()
	index, hash := c.SameState()
	t.Logf("all at index %d, hash %s, after %v and %d more writes", index, hash, time.Since(begin), more)
	require.Contains(t, c.LogTail(slow, 1000), "snapshot_received")

	// What it received is on its disk: it starts from it.
	c.Kill(slow)
	c.Start(slow)
	c.WaitReady()
	_, again := c.SameState()
	require.Equal(t, hash, again)
}
