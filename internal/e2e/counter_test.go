package e2e

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/internal/e2e/cluster"
	"kvapp/internal/race"
)

// failoverPromise is what README and issue promise for the median of ten kills with the defaults.
const failoverPromise = time.Second

// counting is clients that count one counter up and now and then read it.
type counting struct {
	rec  *recorder
	wg   sync.WaitGroup
	stop context.CancelFunc
}

// count starts n clients. Each begins an operation every pace: a history of every operation that the servers could do
// would be too long to be checked.
func count(c *cluster.Cluster, n int, pace time.Duration) *counting {
	ctx, cancel := context.WithCancel(context.Background())
	w := &counting{rec: newRecorder(), stop: cancel}
	for id := range n {
		w.wg.Go(func() { countUp(ctx, c, w.rec, id, pace) })
	}
	return w
}

func countUp(ctx context.Context, c *cluster.Cluster, rec *recorder, id int, pace time.Duration) {
	s := newSession(c, 1+id%c.Nodes(), 15*time.Second)
	defer s.close()
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		o := op{client: id, write: n%4 != 3}
		cmd := "INCR"
		if !o.write {
			cmd = "GET"
		}
		o.call = rec.now()
		v, err := s.do(cmd, "counter")
		o.ret = rec.now()
		switch judge(err) {
		case done:
			if o.value, err = number(v); err != nil {
				rec.bad(err)
				return
			}
			rec.add(o)
		case unknown:
			if o.unknown = o.write; o.write {
				rec.add(o)
			}
		case wrong:
			rec.bad(fmt.Errorf("%s: %w", cmd, err))
			return
		}
	}
}

// number reads an integer reply, a value, or no value as 0.
func number(v any) (int64, error) {
	switch v := v.(type) {
	case nil:
		return 0, nil
	case int64:
		return v, nil
	case string:
		return strconv.ParseInt(v, 10, 64)
	}
	return 0, fmt.Errorf("%T is no number", v)
}

// end stops the clients and returns what they saw.
func (w *counting) end(t *testing.T) []op {
	w.stop()
	w.wg.Wait()
	ops, err := w.rec.history()
	require.NoError(t, err)
	return ops
}

// awaitFirst waits until a write that was called after at is acknowledged and returns when the first one was.
func (w *counting) awaitFirst(t *testing.T, at int64) (first int64) {
	t.Helper()
	require.NoError(t, cluster.Until(30*time.Second, "a write is acknowledged", func() error {
		if first = w.rec.firstAck(at); first == 0 {
			return errors.New("none")
		}
		return nil
	}))
	return first
}

// Acceptance 4, and the promised time of a failover.
func TestCounterWhileLeadersAreKilled(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	late := watchStalls(t)
	w := count(c, 20, 20*time.Millisecond)
	defer w.stop()
	var gaps []time.Duration
	busy := 0
	for range rounds(t, 10) {
		lead := c.Leader()
		require.NoError(t, w.rec.awaitAcks(300))
		at, begin := w.rec.now(), time.Now()
		c.Kill(lead)
		gap := time.Duration(w.awaitFirst(t, at) - at)
		if late.between(begin, begin.Add(gap)) {
			busy++
			t.Logf("%v, but the machine was overloaded", gap)
		} else {
			gaps = append(gaps, gap)
		}
		c.Start(lead)
		c.WaitReady()
	}
	ops := w.end(t)
	s := newSession(c, 1, 5*time.Second)
	defer s.close()
	v, err := s.insist(10*time.Second, "GET", "counter")
	require.NoError(t, err)
	final, err := number(v)
	require.NoError(t, err)
	acked, lost := w.rec.count()
	t.Logf("%d operations, %d acknowledged writes, %d without an answer, final value %d", len(ops), acked, lost, final)
	require.LessOrEqual(t, int64(acked), final)
	require.LessOrEqual(t, final, int64(acked+lost))
	begin := time.Now()
	require.NoError(t, checkCounter(ops, final))
	t.Logf("checked in %v", time.Since(begin))
	c.SameState()
	checkFailover(t, gaps, busy)
}

// checkFailover compares the promise with the failovers during which the machine kept up.
func checkFailover(t *testing.T, gaps []time.Duration, busy int) {
	if len(gaps) <= busy {
		t.Logf("the machine is too busy to measure failovers: %d of %d", busy, busy+len(gaps))
		return
	}
	distribution(t, "kill -9 of the leader to the next acknowledged write", gaps)
	median := gaps[len(gaps)/2]
	promise := failoverPromise
	if measured() {
		promise = killPromise
	}
	if !race.Enabled {
		require.Less(t, median, promise)
	}
}
