package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/internal/e2e/cluster"
)

// A disk without room, here because more is to stay free than there is: writes are refused, reads go on, and writes too
// as soon as there is room, without anybody's help.
func TestWritesStopWhenTheDiskIsFull(t *testing.T) {
	c := cluster.Start(t, cluster.Options{Args: []string{"--raft-election-ms", "1000"}})
	ctx := context.Background()
	lead := c.Leader()
	cl := c.Client(lead)
	keep := func(i int, bytes string) {
		require.NoError(t, c.Client(i).ConfigSet(ctx, "raft-disk-reserve-bytes", bytes).Err())
	}
	require.NoError(t, cl.Set(ctx, "a", "1", 0).Err())
	require.ErrorContains(t, cl.ConfigSet(ctx, "raft-disk-reserve-bytes", "1mb").Err(), "between")

	// On a follower it matters to nobody else.
	follower := c.Follower()
	keep(follower, "1000000gb")
	full := func(i int) {
		require.NoError(t, cluster.Until(10*time.Second, "the disk is full", func() error {
			st, err := c.Status(i)
			if err == nil && st["disk_full"] != true {
				err = fmt.Errorf("%v free", st["disk_free_bytes"])
			}
			return err
		}))
	}
	full(follower)
	require.NoError(t, cl.Set(ctx, "a", "2", 0).Err())

	keep(lead, "1000000gb")
	full(lead)
	require.ErrorContains(t, cl.Set(ctx, "a", "3", 0).Err(), "MISCONF ")
	got, err := cl.Get(ctx, "a").Result()
	require.NoError(t, err)
	require.Equal(t, "2", got)
	require.ErrorContains(t, cl.Do(ctx, "RAFT", "SNAPSHOT").Err(), "no room")
	info, err := cl.Info(ctx, "persistence").Result()
	require.NoError(t, err)
	require.Contains(t, info, "aof_last_write_status:err\r\n")
	require.Contains(t, info, "disk_full:1\r\n")

	keep(lead, "16mb")
	require.NoError(t, cluster.Until(10*time.Second, "writes go on", func() error { return cl.Set(ctx, "a", "4", 0).Err() }))
	keep(follower, "16mb")
	require.NoError(t, cl.Do(ctx, "RAFT", "SNAPSHOT").Err())
	c.SameState()
	log := c.LogTail(lead, 1000)
	require.Contains(t, log, "disk_full")
	require.Contains(t, log, "disk_recovered")
}
