package node

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/fsm"
	"kvapp/raft"
)

// bubble runs a test in virtual time.
func bubble(t *testing.T, n int, change func(*Config), f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, n, change)
		f(w)
	})
}

func TestSetReachesEveryNode(t *testing.T) {
	bubble(t, 3, nil, func(w *world) {
		o, r, b := w.leader().do(false, command("set", "hello", "world"), command("get", "hello"))
		require.Equal(t, Done, o)
		require.Equal(t, "+OK world ", r)
		require.NotZero(t, b.Index)
		w.settled()
		for _, p := range w.nodes {
			o, r, _ := p.do(true, command("get", "hello"))
			require.Equal(t, Done, o)
			require.Equal(t, "world ", r)
		}
	})
}

func TestSingleNodeServes(t *testing.T) {
	bubble(t, 1, nil, func(w *world) {
		o, r, _ := w.leader().do(false, command("incr", "n"), command("incr", "n"))
		require.Equal(t, Done, o)
		require.Equal(t, ":1 :2 ", r)
	})
}

func TestFollowerNamesTheLeader(t *testing.T) {
	bubble(t, 3, nil, func(w *world) {
		lead := w.leader()
		f := w.followers()[0]
		w.until("the follower knows", func() bool { return f.get().View().Leader == lead.id })
		for _, c := range []fsm.Command{command("set", "a", "1"), command("get", "a")} {
			o, _, b := f.do(false, c)
			require.Equal(t, NotLeader, o)
			require.Equal(t, fmt.Sprintf("c%d:1", lead.id), b.Leader)
		}
	})
}

func TestWriteParksUntilALeaderIsKnown(t *testing.T) {
	bubble(t, 3, nil, func(w *world) {
		w.until("the log is replayed", func() bool { return !w.nodes[0].get().View().Loading })
		o, _, _ := w.nodes[0].do(false, command("set", "a", "1")) // before any election
		require.Contains(t, []Outcome{Done, NotLeader}, o)
	})
}

// A node may be open for long before it runs: nobody waits for it meanwhile, and what is known is told.
func TestNothingBlocksBeforeRun(t *testing.T) {
	bubble(t, 3, nil, func(w *world) {
		w.leader().do(false, command("set", "a", "1"))
		w.settled()
		p := w.nodes[0]
		p.stop()
		n := p.open()
		st, err := n.Status()
		require.NoError(t, err)
		require.Len(t, st.Membership.Members, 3)
		require.NotZero(t, st.Term)
		require.True(t, n.View().Loading)
		own, others := n.Wait(1, true, 2, 0)
		require.False(t, own)
		require.Zero(t, others)
		_, _, err = n.StateHash()
		require.ErrorIs(t, err, ErrStarting)
		_, err = n.Snapshot()
		require.ErrorIs(t, err, ErrStarting)
		b := NewBatch(nil)
		n.Write(b)
		require.Equal(t, Loading, b.Outcome)
	})
}

func TestNoLeaderAfterParkTimeout(t *testing.T) {
	bubble(t, 3, nil, func(w *world) {
		w.leader()
		p := w.nodes[0]
		w.nodes[1].stop()
		w.nodes[2].stop()
		w.until("the leader is lost", func() bool { return p.get().View().Leader == 0 })
		start := time.Now()
		o, _, _ := p.do(false, command("set", "a", "1"))
		require.Equal(t, NoLeader, o)
		require.GreaterOrEqual(t, time.Since(start), 2*time.Second)
		o, _, _ = p.do(false, command("get", "a"))
		require.Equal(t, NoLeader, o)
	})
}

func TestProposalWithoutQuorumIsUncertain(t *testing.T) {
	bubble(t, 3, nil, func(w *world) {
		lead := w.leader()
		w.isolate(lead.id, true)
		o, _, _ := lead.do(false, command("set", "a", "1"))
		require.Equal(t, Uncertain, o)
	})
}

// proposeCutOff cuts the leader off and lets a client write there; fate is what the client will be told. The others have a
// leader of their own.
func (w *world) proposeCutOff() (old, next *peer, fate <-chan Outcome) {
	old = w.leader()
	w.isolate(old.id, true)
	got := make(chan Outcome, 1)
	go func() {
		o, _, _ := old.do(false, command("set", "a", "lost"))
		got <- o
	}()
	return old, w.leader(old), got
}

func TestOverwrittenProposalMayBeRetried(t *testing.T) {
	bubble(t, 3, func(c *Config) { c.CommitTimeout = 60_000 * ms }, func(w *world) {
		old, next, got := w.proposeCutOff()
		o, _, _ := next.do(false, command("set", "a", "kept"))
		require.Equal(t, Done, o)
		w.isolate(old.id, false)
		require.Equal(t, Overwritten, <-got)
		w.settled()
	})
}

// A snapshot does not tell which entries it holds: what became of a proposal below it, nobody knows.
func TestProposalBelowASnapshotIsUncertain(t *testing.T) {
	bubble(t, 3, func(c *Config) { c.CommitTimeout, c.SnapshotBytes, c.SnapshotKeep = 60_000*ms, 20_000, 1 }, func(w *world) {
		old, next, got := w.proposeCutOff()
		for range 100 {
			o, _, _ := next.do(false, command("set", "k", strings.Repeat("x", 1000)))
			require.Equal(t, Done, o)
		}
		w.isolate(old.id, false)
		require.Equal(t, Uncertain, <-got)
		w.settled()
	})
}

func TestIsolatedLeaderServesNoStaleRead(t *testing.T) {
	bubble(t, 3, nil, func(w *world) {
		old := w.leader()
		o, _, _ := old.do(false, command("set", "a", "1"))
		require.Equal(t, Done, o)
		w.isolate(old.id, true)
		next := w.leader(old)
		o, _, _ = next.do(false, command("set", "a", "2"))
		require.Equal(t, Done, o)
		o, r, _ := old.do(false, command("get", "a"))
		require.NotEqual(t, Done, o, r)
	})
}

func TestQuorumReadsNeedNoLease(t *testing.T) {
	bubble(t, 3, func(c *Config) { c.QuorumReads = true }, func(w *world) {
		var lead *peer
		w.until("a leader", func() bool {
			for _, p := range w.nodes {
				if p.get().View().Role == raft.Leader {
					lead = p
				}
			}
			return lead != nil
		})
		o, _, _ := lead.do(false, command("set", "a", "1"))
		require.Equal(t, Done, o)
		require.Zero(t, lead.get().lease.Load())
		o, r, _ := lead.do(false, command("get", "a"))
		require.Equal(t, Done, o)
		require.Equal(t, "1 ", r)
	})
}

func TestRestartKeepsEverything(t *testing.T) {
	bubble(t, 3, nil, func(w *world) {
		for i := range 50 {
			o, _, _ := w.leader().do(false, command("rpush", "l", strconv.Itoa(i)))
			require.Equal(t, Done, o)
		}
		for _, p := range w.nodes {
			p.stop()
		}
		for _, p := range w.nodes {
			p.start()
		}
		o, r, _ := w.leader().do(false, command("llen", "l"))
		require.Equal(t, Done, o)
		require.Equal(t, ":50 ", r)
		w.settled()
	})
}

func TestSlowFollowerCatchesUpBySnapshot(t *testing.T) {
	bubble(t, 3, func(c *Config) { c.SnapshotBytes = 20_000 }, func(w *world) {
		slow := w.followers()[0]
		slow.stop()
		lead := w.leader(slow)
		for i := range 1000 {
			o, _, _ := lead.do(false, command("set", "k"+strconv.Itoa(i%100), strings.Repeat("x", 50)+strconv.Itoa(i)))
			require.Equal(t, Done, o)
		}
		st, err := lead.get().Status()
		require.NoError(t, err)
		require.NotZero(t, st.SnapshotIndex)
		require.NotZero(t, st.SnapshotAt)
		require.Positive(t, st.Snapshots)
		require.Less(t, lead.log.Bytes(), int64(80_000), "the log was cut")
		slow.start()
		o, _, _ := lead.do(false, command("set", "after", "1"))
		require.Equal(t, Done, o)
		w.settled()
		require.NotZero(t, lead.streams)
	})
}

// A leader that takes several snapshots while a follower is being sent one keeps what that follower will need next.
func TestFollowerSlowerThanSnapshots(t *testing.T) {
	bubble(t, 3, func(c *Config) { c.SnapshotBytes, c.HoldBytes = 20_000, 10_000_000 }, func(w *world) {
		slow := w.followers()[0]
		slow.stop()
		lead := w.leader(slow)
		write := func(i int) {
			o, _, _ := lead.do(false, command("set", "k"+strconv.Itoa(i%100), strings.Repeat("x", 50)+strconv.Itoa(i)))
			require.Equal(t, Done, o)
		}
		for i := range 1000 {
			write(i)
		}
		for _, p := range w.nodes {
			p.streamTime = 2 * time.Second // 20 snapshots' time
		}
		slow.start()
		began := time.Now()
		for i := 0; slow.get().Store().Applied()+100 < lead.get().Store().Applied(); i++ {
			require.Less(t, time.Since(began), 20*time.Second, "it never catches up")
			write(i)
		}
		w.settled()
		require.Equal(t, 1, lead.streams)
		for i := range 2000 {
			write(i)
		}
		require.Less(t, lead.log.Bytes(), int64(100_000), "nothing is kept longer than needed")
	})
}

func TestSnapshotOnDemand(t *testing.T) {
	bubble(t, 1, nil, func(w *world) {
		lead := w.leader()
		o, _, _ := lead.do(false, command("set", "a", "1"))
		require.Equal(t, Done, o)
		index, err := lead.get().Snapshot()
		require.NoError(t, err)
		require.Equal(t, lead.get().Store().Applied(), index)
		lead.stop()
		lead.start()
		o, r, _ := w.leader().do(false, command("get", "a"))
		require.Equal(t, Done, o)
		require.Equal(t, "1 ", r)
	})
}

func TestJournalErrorIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		p := w.leader()
		boom := errors.New("disk on fire")
		p.log.mu.Lock()
		p.log.fail = boom
		p.log.mu.Unlock()
		o, _, _ := p.do(false, command("set", "a", "1"))
		require.Equal(t, Uncertain, o)
		require.ErrorIs(t, <-p.done, boom)
		p.done <- nil // the clean-up waits for it
		o, _, _ = p.do(false, command("set", "a", "1"))
		require.Equal(t, Stopped, o)
	})
}

func TestCounterSurvivesLeaderChanges(t *testing.T) {
	bubble(t, 3, func(c *Config) { c.SnapshotBytes = 3000 }, func(w *world) {
		var mu sync.Mutex
		acked, uncertain, stop := 0, 0, false
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for at := 0; ; at++ {
					mu.Lock()
					end := stop
					mu.Unlock()
					if end {
						return
					}
					o, _, _ := w.nodes[at%3].do(false, command("incr", "n"))
					mu.Lock()
					switch o {
					case Done:
						acked++
					case Uncertain:
						uncertain++
					}
					mu.Unlock()
					<-time.After(time.Millisecond)
				}
			})
		}
		for range 5 {
			lead := w.leader()
			<-time.After(300 * time.Millisecond)
			lead.stop()
			<-time.After(300 * time.Millisecond)
			lead.start()
		}
		w.leader()
		mu.Lock()
		stop = true
		mu.Unlock()
		wg.Wait()
		o, r, _ := w.leader().do(false, command("get", "n"))
		require.Equal(t, Done, o)
		n, err := strconv.Atoi(strings.TrimSpace(r))
		require.NoError(t, err)
		require.Greater(t, acked, 100)
		require.GreaterOrEqual(t, n, acked)
		require.LessOrEqual(t, n, acked+uncertain)
		w.settled()
	})
}

func TestExpiredKeysAreSwept(t *testing.T) {
	bubble(t, 3, nil, func(w *world) {
		lead := w.leader()
		for i := range 25 {
			o, _, _ := lead.do(false, command("set", "k"+strconv.Itoa(i), "v", "px", "100"))
			require.Equal(t, Done, o)
		}
		w.until("all gone on every node", func() bool {
			for _, p := range w.nodes {
				if keys, _ := p.get().Store().Keys(0); keys != 0 {
					return false
				}
			}
			return true
		})
		w.settled()
		before := lead.get().Store().Applied()
		<-time.After(5 * time.Second)
		require.Equal(t, before, lead.get().Store().Applied(), "an idle cluster writes nothing")
	})
}

func TestWaitCountsReplicas(t *testing.T) {
	bubble(t, 3, nil, func(w *world) {
		lead := w.leader()
		_, _, b := lead.do(false, command("set", "a", "1"))
		own, others := lead.get().Wait(b.Index, true, 2, 1000)
		require.True(t, own)
		require.Equal(t, 2, others)
		w.followers()[0].stop()
		_, _, b = lead.do(false, command("set", "a", "2"))
		start := time.Now()
		_, others = lead.get().Wait(b.Index, false, 2, 500)
		require.Equal(t, 1, others)
		require.GreaterOrEqual(t, time.Since(start), 500*time.Millisecond)
	})
}

// What a majority of the others has committed need not be on the leader's own disk yet: WAITAOF tells.
func TestWaitForTheOwnDisk(t *testing.T) {
	bubble(t, 3, nil, func(w *world) {
		lead := w.leader()
		lead.log.freeze(200 * time.Millisecond)
		_, _, b := lead.do(false, command("set", "a", "1"))
		own, others := lead.get().Wait(b.Index, false, 2, 1000)
		require.False(t, own)
		require.Equal(t, 2, others)
		own, _ = lead.get().Wait(b.Index, true, 0, 10)
		require.False(t, own, "it takes longer")
		own, others = lead.get().Wait(b.Index, true, 2, 0)
		require.True(t, own)
		require.Equal(t, 2, others)
	})
}

func TestManyBatchesShareEntries(t *testing.T) {
	bubble(t, 3, nil, func(w *world) {
		lead := w.leader()
		before := lead.get().Store().Applied()
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				o, _, _ := lead.do(false, command("set", "k"+strconv.Itoa(i), "v"))
				require.Equal(t, Done, o)
			})
		}
		wg.Wait()
		require.LessOrEqual(t, lead.get().Store().Applied()-before, uint64(3))
	})
}

func TestQueueWakesOncePerBurst(t *testing.T) {
	q := newQueue[int]()
	for i := range 3 {
		q.put(i)
	}
	<-q.wake
	require.Empty(t, q.wake)
	require.Equal(t, []int{0, 1, 2}, q.take())
	require.Empty(t, q.take())
	q.put(4)
	<-q.wake
	require.Equal(t, []int{4}, q.take())
}
