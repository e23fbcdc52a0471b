package e2e

import (
	"context"
	"fmt"
	"slices"
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

// writer is one client that writes under its own name and remembers what it was told. It pipelines: command n of it is
// RPUSH list:<id> n and SET key:<id>:<n> value(n), then a key that soon expires.
type writer struct {
	id    int
	tried int   // numbers 1..tried were sent at least once
	acked []int // those whose pipeline was answered without an error
	wrong error
}

const depth = 5 // numbers in one pipeline

func (w *writer) list() string     { return fmt.Sprintf("list:%d", w.id) }
func (w *writer) key(n int) string { return fmt.Sprintf("key:%d:%d", w.id, n) }

// value has a length of its own for every n, up to about 1000 bytes.
func (w *writer) value(n int) string {
	return strings.Repeat(fmt.Sprintf("%d-%d,", w.id, n), 1+n*37%100)
}

// run writes until the connections are cut for good, that is until ctx ends.
func (w *writer) run(ctx context.Context, c *cluster.Cluster) {
	s := newSession(c, 1+w.id%c.Nodes(), 15*time.Second)
	defer s.close()
	for ctx.Err() == nil && w.wrong == nil {
		first := w.tried + 1
		w.tried += depth
		cmds, err := s.client().Pipelined(ctx, func(p redis.Pipeliner) error {
			for n := first; n < first+depth; n++ {
				p.RPush(ctx, w.list(), n)
				p.Set(ctx, w.key(n), w.value(n), 0)
				p.Set(ctx, fmt.Sprintf("short:%d:%d", w.id, n), "x", 50*time.Millisecond)
			}
			return nil
		})
		for n := range depth {
			w.note(first+n, cmds[3*n].Err(), cmds[3*n+1].Err())
		}
		s.route(err)
		if judge(err) == never && !strings.HasPrefix(err.Error(), "MOVED") {
			pause(ctx) // nobody leads: do not spin
		}
	}
}

// pause waits a moment or until ctx ends.
func pause(ctx context.Context) {
	timer := time.NewTimer(5 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (w *writer) note(n int, errs ...error) {
	ok := true
	for _, err := range errs {
		if judge(err) == wrong && !strings.Contains(err.Error(), "context canceled") {
			w.wrong = err
		}
		ok = ok && err == nil
	}
	if ok {
		w.acked = append(w.acked, n)
	}
}

// verify compares what the server holds with what this writer was told; keys below from were verified before.
func (w *writer) verify(t *testing.T, cl *redis.Client, from int) {
	t.Helper()
	require.NoError(t, w.wrong)
	ctx := context.Background()
	items, err := cl.LRange(ctx, w.list(), 0, -1).Result()
	require.NoError(t, err)
	var have []int
	for _, item := range items {
		n, err := strconv.Atoi(item)
		require.NoError(t, err)
		have = append(have, n)
	}
	slices.Sort(have)
	for i, n := range have {
		require.True(t, n >= 1 && n <= w.tried, "nobody sent %d", n)
		require.False(t, i > 0 && have[i-1] == n, "%d was executed twice", n)
	}
	var keys []string
	var want []any
	for _, n := range w.acked {
		_, found := slices.BinarySearch(have, n)
		require.True(t, found, "%d of writer %d was acknowledged and is gone", n, w.id)
		if n >= from {
			keys, want = append(keys, w.key(n)), append(want, w.value(n))
		}
	}
	for i := 0; i < len(keys); i += 500 {
		end := min(i+500, len(keys))
		got, err := cl.MGet(ctx, keys[i:end]...).Result()
		require.NoError(t, err)
		require.Equal(t, want[i:end], got)
	}
}

// load runs the writers until the returned function is called.
func load(c *cluster.Cluster, writers []*writer) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, w := range writers {
		wg.Go(func() { w.run(ctx, c) })
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

func newWriters(n int) []*writer {
	var list []*writer
	for id := range n {
		list = append(list, &writer{id: id})
	}
	return list
}

// Acceptance 5. Snapshots and compactions are frequent, so that kills hit them too.
func TestEverybodyIsKilledAtOnce(t *testing.T) {
	c := cluster.Start(t, cluster.Options{Args: []string{"--raft-snapshot-bytes", "300kb"}})
	writers := newWriters(8)
	rounds := 20
	if race.Enabled {
		rounds = 5
	}
	for round := range rounds {
		before := c.Client(c.Leader()).LLen(context.Background(), writers[0].list()).Val()
		from := writers[0].tried
		stop := load(c, writers)
		awaitLength(t, c, writers[0].list(), before+int64(20+round*7%40))
		c.KillAll()
		stop()
		c.StartAll()
		c.WaitReady()
		cl := c.Client(c.Leader())
		for _, w := range writers {
			w.verify(t, cl, from)
		}
	}
	cl := c.Client(c.Leader())
	total := 0
	for _, w := range writers {
		w.verify(t, cl, 1)
		total += len(w.acked)
	}
	index, hash := c.SameState()
	st, err := c.Status(c.Leader())
	require.NoError(t, err)
	require.Positive(t, st["snapshot"], "no snapshot was ever taken")
	t.Logf("%d acknowledged numbers, index %d, snapshot %v, hash %s", total, index, st["snapshot"], hash)
}

// awaitLength waits until a list has n elements.
func awaitLength(t *testing.T, c *cluster.Cluster, list string, n int64) {
	t.Helper()
	s := newSession(c, 1, 5*time.Second)
	defer s.close()
	require.NoError(t, cluster.Until(30*time.Second, "the load has begun", func() error {
		v, err := s.do("LLEN", list)
		if err != nil {
			return err
		}
		if got, err := number(v); err != nil || got < n {
			return fmt.Errorf("%s has %d of %d, %w", list, got, n, err)
		}
		return nil
	}))
}
