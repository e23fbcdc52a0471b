package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"kvapp/internal/e2e/cluster"
)

const (
	// handOverPromise is the longest time for which a writer may wait while a leader hands over.
	handOverPromise = 50 * time.Millisecond
	// killPromise is the promised median of the time without a leader after a kill -9, measured by `make failover`.
	killPromise = 600 * time.Millisecond
)

// measured says that this is `make failover`, which has the machine for itself.
func measured() bool { return os.Getenv("E2E_ROUNDS") != "" }

// rounds is how often leaders are stopped or killed: fewer times in `make test` than in `make failover`.
func rounds(t *testing.T, usual int) int {
	t.Helper()
	if !measured() {
		return usual
	}
	n, err := strconv.Atoi(os.Getenv("E2E_ROUNDS"))
	require.NoError(t, err)
	return n
}

// clusterClient is go-redis' cluster client with its defaults, and every node as a seed.
func clusterClient(t *testing.T, c *cluster.Cluster) *redis.ClusterClient {
	t.Helper()
	cl := redis.NewClusterClient(&redis.ClusterOptions{Addrs: c.Addrs()})
	t.Cleanup(func() { _ = cl.Close() }) // nothing is pending
	return cl
}

// pulse is writers that count one key each up, through one cluster client, and note when they were answered.
type pulse struct {
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu     sync.Mutex
	acks   [][]time.Time // of each writer
	errors []error
}

func newPulse(cl *redis.ClusterClient, writers int) *pulse {
	ctx, cancel := context.WithCancel(context.Background())
	p := &pulse{stop: cancel, acks: make([][]time.Time, writers)}
	for id := range writers {
		p.wg.Go(func() {
			for ctx.Err() == nil {
				err := cl.Incr(context.Background(), fmt.Sprint("pulse", id)).Err()
				p.mu.Lock()
				if err != nil {
					p.errors = append(p.errors, err)
				} else {
					p.acks[id] = append(p.acks[id], time.Now())
				}
				p.mu.Unlock()
			}
		})
	}
	return p
}

// gap is the longest time between two answers to one writer that overlaps the time from from to to.
func (p *pulse) gap(from, to time.Time) (longest time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, acks := range p.acks {
		for i := 1; i < len(acks); i++ {
			if acks[i].After(from) && acks[i-1].Before(to) {
				longest = max(longest, acks[i].Sub(acks[i-1]))
			}
		}
	}
	return longest
}

// after waits until every writer has been answered n times since at.
func (p *pulse) after(t *testing.T, at time.Time, n int) {
	t.Helper()
	require.NoError(t, cluster.Until(30*time.Second, "writers are answered", func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		for id, acks := range p.acks {
			if len(acks) < n || !acks[len(acks)-n].After(at) {
				return fmt.Errorf("writer %d has not been", id)
			}
		}
		return nil
	}))
}

// end stops the writers, checks that every key counts what its writer was told, and returns the errors that they were told.
func (p *pulse) end(t *testing.T, cl *redis.ClusterClient) (failed []error) {
	t.Helper()
	p.stop()
	p.wg.Wait()
	for id, acks := range p.acks {
		n, err := cl.Get(context.Background(), fmt.Sprint("pulse", id)).Int()
		require.NoError(t, err)
		require.GreaterOrEqual(t, n, len(acks), "an acknowledged write is lost")
		require.LessOrEqual(t, n, len(acks)+len(p.errors))
	}
	return p.errors
}

// distribution prints times in order.
func distribution(t *testing.T, what string, times []time.Duration) {
	t.Helper()
	slices.Sort(times)
	if n := len(times); n > 0 {
		t.Logf("%s, %d times: min %v, median %v, max %v; all: %v", what, n, times[0], times[n/2], times[n-1], times)
	}
}

// A leader that is told to end hands over first: a cluster client's writers see no error, and hardly a pause.
func TestSigtermHandsOver(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	cl := clusterClient(t, c)
	p := newPulse(cl, 4)
	defer p.stop()
	p.after(t, time.Now(), 50)
	late := watchStalls(t)
	var gaps, ends []time.Duration
	n, busy := rounds(t, 4), 0
	for range n {
		lead := c.Leader()
		p.after(t, time.Now(), 20)
		from := time.Now()
		took := c.Stop(lead)
		p.after(t, time.Now(), 20)
		to := time.Now()
		require.Contains(t, c.LogTail(lead, 5), " handed_over ")
		if late.between(from, to) {
			busy++
		} else {
			gaps, ends = append(gaps, p.gap(from, to).Round(time.Millisecond/10)), append(ends, took.Round(time.Millisecond))
		}
		c.Start(lead)
		c.WaitReady()
	}
	require.Empty(t, p.end(t, cl))
	c.SameState()
	distribution(t, "longest wait of a writer at SIGTERM of the leader", gaps)
	distribution(t, "SIGTERM to exit", ends)
	if !measured() {
		return // a machine that does other things besides would be measured too
	}
	if len(gaps) <= busy {
		t.Logf("the machine is too busy to measure: %d of %d", busy, n)
		return
	}
	require.Less(t, gaps[len(gaps)-1], handOverPromise)
}
