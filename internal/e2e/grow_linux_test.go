package e2e

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"kvapp/internal/e2e/cluster"
	"kvapp/internal/race"
)

// stateMB is how large the state is that a new node gets: `make bigstate` asks for a gigabyte.
func stateMB(t *testing.T) int64 {
	t.Helper()
	text := os.Getenv("E2E_STATE_MB")
	if text == "" {
		return int64(max(8, race.Share(24)))
	}
	n, err := strconv.ParseInt(text, 10, 64)
	require.NoError(t, err)
	return n
}

// write fills the state with so many keys of size bytes each.
func write(t *testing.T, cl *redis.Client, keys int, size int) {
	t.Helper()
	pad := strings.Repeat("x", size)
	const batch = 500
	for from := 0; from < keys; from += batch {
		_, err := cl.Pipelined(context.Background(), func(p redis.Pipeliner) error {
			for k := from; k < min(from+batch, keys); k++ {
				p.Set(context.Background(), fmt.Sprint("state:", k), strconv.Itoa(k)+pad, 0)
			}
			return nil
		})
		require.NoError(t, err)
	}
}

// A new node gets a large state while a cluster client writes, although every connection is cut after a twelfth of it: what
// has arrived is not sent again, and nobody notices.
func TestLargeStateReachesANewNode(t *testing.T) {
	mb := stateMB(t)
	c := cluster.New(t, cluster.Options{
		Nodes: 4, Founders: 3, Hosts: map[int]string{4: farHost},
		Args: []string{"--raft-snapshot-bytes", fmt.Sprint(mb/3, "mb"), "--raft-election-ms", "2000"}, // a busy machine is no reason to elect
	})
	g := newGate(t, c, 4)
	c.StartAll()
	c.WaitReady()
	lead := c.Leader()
	begin := time.Now()
	const size = 8 << 10
	keys := int(mb << 20 / size)
	write(t, c.Client(lead), keys, size)
	require.NoError(t, c.Client(lead).Do(context.Background(), "RAFT", "SNAPSHOT").Err())
	st, err := c.Status(lead)
	require.NoError(t, err)
	require.Greater(t, st["first"], int64(1), "the log of the leader still holds everything")
	t.Logf("%d MB written in %v", mb, time.Since(begin))

	cl := clusterClient(t, c)
	p := newPulse(cl, 4)
	defer p.stop()
	p.after(t, time.Now(), 10)
	g.limit.Store(mb << 20 / 12)
	begin = time.Now()
	c.Start(4)
	require.NoError(t, cluster.Until(10*time.Minute, "the new node votes", func() error {
		m, _, err := memberState(c, 4, c.Name(4))
		if err == nil && (m == nil || m["learner"] != false) {
			err = fmt.Errorf("it knows itself as %v, %d cuts", m, g.cuts.Load())
		}
		return err
	}))
	took, to := time.Since(begin), time.Now()
	gap := p.gap(begin, to)
	require.Empty(t, p.end(t, cl))
	log := c.LogTail(4, 10_000)
	got := received(t, log)
	t.Logf("a voter after %v: %d cuts, %d bytes forwarded for a snapshot of %d; longest wait of a writer %v",
		took, g.cuts.Load(), g.forwarded.Load(), got, gap)
	require.GreaterOrEqual(t, g.cuts.Load(), int64(10))
	require.Contains(t, log, "snapshot_resumed")
	require.Less(t, g.forwarded.Load(), got+g.cuts.Load()*1_000_000)
	c.SameState()
	n, err := c.Client(4).Do(context.Background(), "DBSIZE").Int()
	require.NoError(t, err)
	require.Equal(t, keys+4, n)
}
