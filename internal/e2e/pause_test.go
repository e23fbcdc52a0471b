package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/internal/e2e/cluster"
)

// registers is how many keys the clients of the pause test share.
const registers = 4

// useRegisters writes values that nobody else writes, or reads, every pace. A client that is pinned stays at node first
// whatever that says.
func useRegisters(ctx context.Context, c *cluster.Cluster, rec *recorder, id, first int, pinned bool, limit, pace time.Duration) {
	s := newSession(c, first, limit)
	defer s.close()
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for n := int64(1); ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if pinned {
			s.at = first - 1
		}
		o := op{client: id, write: n%3 == 0, key: fmt.Sprintf("r%d", (int64(id)+n)%registers), value: int64(id)<<32 | n}
		args := []any{"GET", o.key}
		if o.write {
			args = []any{"SET", o.key, o.value}
		}
		o.call = rec.now()
		v, err := s.do(args...)
		o.ret = rec.now()
		switch judge(err) {
		case done:
			if !o.write {
				if o.value, err = number(v); err != nil {
					rec.bad(err)
					return
				}
			}
			rec.add(o)
		case unknown:
			if o.unknown = o.write; o.write {
				rec.add(o)
			}
		case wrong:
			rec.bad(fmt.Errorf("%v: %w", args, err))
			return
		}
	}
}

// sleepers are connections to one node that are open before it is paused.
type sleepers []*session

func newSleepers(t *testing.T, c *cluster.Cluster, node, n int) sleepers {
	var list sleepers
	for range n {
		s := newSession(c, node, 20*time.Second)
		t.Cleanup(s.close)
		_, err := s.do("PING")
		require.NoError(t, err)
		list = append(list, s)
	}
	return list
}

// read sends a GET on every connection, which the paused node finds in its socket buffers when it wakes up, and records
// the answers. It returns when all are written; wait waits for the answers.
func (l sleepers) read(rec *recorder) (wait func()) {
	var wg sync.WaitGroup
	for i, s := range l {
		o := op{client: 1000 + i, key: fmt.Sprintf("r%d", i%registers), call: rec.now()}
		wg.Go(func() {
			v, err := s.do("GET", o.key)
			o.ret = rec.now()
			if judge(err) == done {
				o.value, err = number(v)
			}
			switch judge(err) {
			case done:
				rec.add(o)
			case wrong:
				rec.bad(err)
			}
		})
	}
	return wg.Wait
}

// pauseLeader stops the leader for a while under load and checks everything the clients saw. When it wakes up believing
// that it leads, it finds reads that were sent after others had written elsewhere.
func pauseLeader(t *testing.T, c *cluster.Cluster, length time.Duration) {
	lead := c.Leader()
	before, err := c.Status(lead)
	require.NoError(t, err)
	rec := newRecorder()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var wg sync.WaitGroup
	for id := range 24 {
		first, pinned, limit := 1+id%c.Nodes(), id < 12, 300*time.Millisecond
		if pinned {
			first, limit = lead, 15*time.Second
		}
		wg.Go(func() { useRegisters(ctx, c, rec, id, first, pinned, limit, 15*time.Millisecond) })
	}
	asleep := newSleepers(t, c, lead, 100)
	require.NoError(t, rec.awaitAcks(100))
	c.Pause(lead)
	woken := time.After(length)
	require.NoError(t, rec.awaitAcks(100)) // by the others, who elect a new leader
	answers := asleep.read(rec)
	<-woken
	c.Resume(lead)
	require.NoError(t, rec.awaitAcks(100))
	answers()
	c.WaitReady()
	after, err := c.Status(lead)
	require.NoError(t, err)
	require.Greater(t, after["term"], before["term"], "others have led; on a busy machine it may lead again by now")
	cancel()
	wg.Wait()
	ops, err := rec.history()
	require.NoError(t, err)
	acked, lost := rec.count()
	t.Logf("%d operations, %d writes acknowledged, %d without an answer", len(ops), acked, lost)
	require.NoError(t, checkRegisters(append(ops, lastReads(t, c, rec)...)))
	c.SameState()
}

// lastReads reads all registers: the end of the story is part of it.
func lastReads(t *testing.T, c *cluster.Cluster, rec *recorder) (ops []op) {
	s := newSession(c, 1, 5*time.Second)
	defer s.close()
	for k := range registers {
		o := op{client: -1, key: fmt.Sprintf("r%d", k), call: rec.now()}
		v, err := s.insist(10*time.Second, "GET", o.key)
		require.NoError(t, err)
		o.ret = rec.now()
		o.value, err = number(v)
		require.NoError(t, err)
		ops = append(ops, o)
	}
	return ops
}

func TestPausedLeaderServesNothingStale(t *testing.T) {
	for _, mode := range []string{"lease", "quorum"} {
		t.Run(mode, func(t *testing.T) {
			c := cluster.Start(t, cluster.Options{Args: []string{"--read-mode", mode}})
			pauseLeader(t, c, 3*time.Second)
		})
	}
}
