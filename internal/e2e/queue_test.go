package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"kvapp/internal/e2e/cluster"
)

const (
	producers    = 3
	queueWorkers = 4
	// workLimit is how long producers and workers wait for an answer that is not about an element to come: until then a node
	// has said that it knows none.
	workLimit = 15 * time.Second
	doneKey   = "done"
)

// floor is where items are made and worked off, and what everybody there was told.
type floor struct {
	c       *cluster.Cluster
	making  context.Context // ends before working does
	working context.Context
	stop    func() // ends making
	close   func() // ends working
	makers  sync.WaitGroup
	workers sync.WaitGroup

	mu       sync.Mutex
	acked    map[string]string // item -> what its push was answered
	doubted  map[string]bool   // items whose push has no answer
	given    map[string]int    // how often an item was handed to a worker that was told so
	finished map[string]int    // how often a worker was told that it has finished the item
	dropped  int               // workers that died with an item in hand
	quit     int               // waits that a worker gave up
	bad      error
}

func newFloor(t *testing.T, c *cluster.Cluster) *floor {
	f := &floor{c: c, acked: map[string]string{}, doubted: map[string]bool{}, given: map[string]int{}, finished: map[string]int{}}
	f.making, f.stop = context.WithCancel(context.Background())
	f.working, f.close = context.WithCancel(context.Background())
	t.Cleanup(func() {
		f.stop()
		f.close()
		f.makers.Wait()
		f.workers.Wait()
	})
	return f
}

// fail notes an answer that must not happen, and ends all work.
func (f *floor) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bad == nil {
		f.bad = err
	}
	f.stop()
	f.close()
}

// count adds to one of the counters. It fails when the item was counted there before.
func (f *floor) count(what string, of map[string]int, item string) {
	f.mu.Lock()
	of[item]++
	n := of[item]
	f.mu.Unlock()
	if n > 1 {
		f.fail(fmt.Errorf("%s was %s %d times", item, what, n))
	}
}

// add counts something up.
func (f *floor) add(n *int) {
	f.mu.Lock()
	*n++
	f.mu.Unlock()
}

// produce makes items of its own, one after the other, each of which push sends once.
func (f *floor) produce(id int, push func(s *session, item string) (any, error)) {
	s := newSession(f.c, 1+id%f.c.Nodes(), workLimit)
	defer s.close()
	for n := 0; f.making.Err() == nil; n++ {
		item := fmt.Sprintf("item %d of %d", n, id)
		v, err := push(s, item)
		f.pushed(item, v, err)
		pause(f.making) // workers that never have to wait would be a poor test
	}
}

// pushed notes what a producer was told.
func (f *floor) pushed(item string, v any, err error) {
	verdict := judge(err)
	if verdict == wrong {
		f.fail(fmt.Errorf("push: %w", err))
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch verdict {
	case done:
		f.acked[item] = fmt.Sprint(v)
	case unknown:
		f.doubted[item] = true
	}
}

// tell looks at what a worker was answered. It returns false if the worker has nothing to go on with.
func (f *floor) tell(what string, err error) bool {
	switch judge(err) {
	case done:
		return err == nil
	case wrong:
		if !errors.Is(err, redis.TxFailedErr) {
			f.fail(fmt.Errorf("%s: %w", what, err))
		}
	case never:
		pause(f.working) // nobody leads: do not spin
	}
	return false
}

// awaitWork waits until n more items are finished than now.
func (f *floor) awaitWork(t *testing.T, n int) {
	t.Helper()
	f.mu.Lock()
	before := len(f.finished)
	f.mu.Unlock()
	require.NoError(t, cluster.Until(30*time.Second, "items are worked off", func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.bad != nil {
			return &cluster.Final{Err: f.bad}
		}
		if now := len(f.finished); now < before+n {
			return fmt.Errorf("%d of %d", now-before, n)
		}
		return nil
	}))
}

// run kills leaders while there is work, and has one hand over, who tells the workers that wait. Then it has everything worked off
// that is there, as left tells.
func (f *floor) run(t *testing.T, left func(s *session) (int64, error)) {
	kills := rounds(t, 3)
	for n := range kills + 1 {
		f.awaitWork(t, 40)
		lead := f.c.Leader()
		if n < kills {
			f.c.Kill(lead)
		} else {
			f.c.Stop(lead)
		}
		f.awaitWork(t, 10)
		f.c.Start(lead)
		f.c.WaitReady()
	}
	f.stop()
	f.makers.Wait()
	s := newSession(f.c, 1, 5*time.Second)
	defer s.close()
	require.NoError(t, cluster.Until(60*time.Second, "everything is worked off", func() error {
		n, err := left(s)
		if err == nil && n > 0 {
			err = fmt.Errorf("%d items are not", n)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.bad != nil {
			return &cluster.Final{Err: f.bad}
		}
		return err
	}))
	f.close()
	f.workers.Wait()
	require.NoError(t, f.bad)
	f.c.SameState()
	t.Logf("%d kills, %d items acknowledged, %d without an answer, %d workers died at work, %d gave up waiting",
		kills, len(f.acked), len(f.doubted), f.dropped, f.quit)
}

// verify compares what is recorded as done with what was pushed.
func (f *floor) verify(t *testing.T) {
	t.Helper()
	recorded, err := f.c.Client(f.c.Leader()).LRange(context.Background(), doneKey, 0, -1).Result()
	require.NoError(t, err)
	times := map[string]int{}
	for _, item := range recorded {
		times[item]++
		require.Equal(t, 1, times[item], "%s is done twice", item)
		require.True(t, f.acked[item] != "" || f.doubted[item], "%s is done, and nobody has pushed it", item)
	}
	for _, item := range slices.Sorted(maps.Keys(f.acked)) {
		require.Equal(t, 1, times[item], "%s was acknowledged and is not done", item)
	}
	for item := range f.finished {
		require.Equal(t, 1, times[item], "%s was finished and is not done", item)
	}
	require.NotZero(t, f.dropped)
	require.NotZero(t, f.quit)
}

// listWorker takes items from the list todo into a list of its own, where it finds what it had in hand when it died.
type listWorker struct {
	f    *floor
	hand string
	rand *rand.Rand
	s    *session
}

const todoKey = "todo"

func (f *floor) listWorker(id int) {
	w := &listWorker{f: f, hand: fmt.Sprint("hand:", id), rand: rand.New(rand.NewPCG(1, uint64(id)))}
	w.s = newSession(f.c, 1+id%f.c.Nodes(), workLimit)
	defer func() { w.s.close() }()
	for f.working.Err() == nil {
		if w.finish() {
			w.take()
		}
	}
}

// take waits for an item, for a while, as long as it takes, or until it loses patience and hangs up.
func (w *listWorker) take() {
	timeout, cl := any(0), w.s.client()
	switch w.rand.IntN(4) {
	case 0:
		cl = cl.WithTimeout(time.Duration(1+w.rand.IntN(50)) * time.Millisecond) // it hangs up
	case 1:
		timeout = 0.02
	default:
		timeout = 1
	}
	item, err := cl.Do(context.Background(), "BLMOVE", todoKey, w.hand, "LEFT", "RIGHT", timeout).Text()
	w.s.route(err)
	if judge(err) == unknown {
		w.f.add(&w.f.quit)
	}
	if !w.f.tell("BLMOVE", err) {
		return
	}
	w.f.count("given", w.f.given, item)
	if w.rand.IntN(10) == 0 {
		w.f.add(&w.f.dropped)
		w.s.close()
		w.s = newSession(w.f.c, 1+w.rand.IntN(w.f.c.Nodes()), workLimit)
	}
}

// finish records what the worker has in hand as done. It returns true if that is nothing. What is answered does not matter: only
// who sees the item in hand finishes it, and WATCH lets only one do that, also when an EXEC without an answer comes late.
func (w *listWorker) finish() (empty bool) {
	item := ""
	err := w.s.client().Watch(context.Background(), func(tx *redis.Tx) error {
		ctx := context.Background()
		items, err := tx.LRange(ctx, w.hand, 0, 0).Result()
		if err != nil {
			return err
		}
		if empty = len(items) == 0; empty {
			return nil
		}
		_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.LRem(ctx, w.hand, 1, items[0])
			p.RPush(ctx, doneKey, items[0])
			return nil
		})
		if err == nil {
			item = items[0]
		}
		return err
	}, w.hand)
	w.s.route(err)
	if w.f.tell("finish", err) && !empty {
		w.f.count("finished", w.f.finished, item)
	}
	return empty && err == nil
}

// Acceptance 4 of the data model: BLMOVE.
func TestListQueueWhileLeadersAreKilled(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	f := newFloor(t, c)
	keys := []string{todoKey}
	for id := range queueWorkers {
		keys = append(keys, fmt.Sprint("hand:", id))
		f.workers.Go(func() { f.listWorker(id) })
	}
	for id := range producers {
		f.makers.Go(func() {
			f.produce(id, func(s *session, item string) (any, error) { return s.do("RPUSH", todoKey, item) })
		})
	}
	f.run(t, func(s *session) (left int64, err error) {
		for _, key := range keys {
			v, err := s.do("LLEN", key)
			if err != nil {
				return 0, err
			}
			n, err := number(v)
			if err != nil {
				return 0, err
			}
			left += n
		}
		return left, nil
	})
	f.verify(t)
}
