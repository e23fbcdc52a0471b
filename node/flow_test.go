package node

import (
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

// What a peer sends stands in the inbox up to a limit; then its connection waits, others do not.
func TestInboxIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue[int]()
		var mu sync.Mutex
		var in []int
		for i := range 4 {
			go func() {
				<-time.After(time.Duration(i)) // it only sets the order
				if q.putBytes(i, 40, 100) {
					mu.Lock()
					in = append(in, i)
					mu.Unlock()
				}
			}()
		}
		<-time.After(time.Second)
		synctest.Wait()
		require.Equal(t, []int{0, 1}, in)
		require.Equal(t, 2, q.blocked)
		require.True(t, q.put(9), "what has no bytes never waits")
		require.Equal(t, []int{0, 1, 9}, q.take())
		synctest.Wait()
		require.Zero(t, q.blocked)
		require.EqualValues(t, 2, q.waits)
		require.EqualValues(t, 80, q.bytes)
		require.Len(t, q.take(), 2)

		require.True(t, q.putBytes(5, 1000, 100), "one item may be larger")
		late := make(chan bool)
		go func() { late <- q.putBytes(6, 1, 100) }()
		synctest.Wait()
		require.Equal(t, []int{5}, q.close())
		require.False(t, <-late)
	})
}

// An idle node moves records together when it is asked to give memory back, and then it is quiet.
func TestPurgeMovesRecords(t *testing.T) {
	bubble(t, 1, nil, func(w *world) {
		lead := w.leader()
		value := strings.Repeat("v", 200)
		for _, name := range []string{"set", "del"} {
			for from := 0; from < 10_000; from += 500 {
				var cmds []fsm.Command
				for i := from; i < from+500; i++ {
					if name == "set" {
						cmds = append(cmds, command(name, strconv.Itoa(i), value))
					} else if i%4 != 0 {
						cmds = append(cmds, command(name, strconv.Itoa(i)))
					}
				}
				o, _, _ := lead.do(false, cmds...)
				require.Equal(t, Done, o)
			}
		}
		n := lead.get()
		before := n.Store().Moves()
		n.Purge()
		w.until("all is done", func() bool {
			now := n.Store().Moves()
			return now.Done > before.Done && !now.Running
		})
		st, err := n.Status()
		require.NoError(t, err)
		require.Zero(t, st.WasteSince)
		o, r, _ := lead.do(false, command("dbsize"), command("get", "4"))
		require.Equal(t, Done, o)
		require.Equal(t, ":2500 "+value+" ", r)
		require.NoError(t, n.Store().Check()) // nobody applies anything now
	})
}

// The loop is told how much stands in its inbox, and a flood of a peer waits for it.
func TestDeliverWaitsForTheLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		p := w.nodes[0]
		p.stop()
		n := p.open() // it does not run: nobody takes
		msgs := []raft.Message{{Type: raft.MsgAppend, From: 2, To: 1, Entries: []raft.Entry{{Data: make([]byte, 30<<20)}}}}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for range 3 {
				n.Deliver(msgs)
			}
		}()
		synctest.Wait()
		st, err := n.Status()
		require.NoError(t, err)
		require.Equal(t, 2, st.InboxEvents)
		require.EqualValues(t, 60<<20, st.InboxBytes)
		require.EqualValues(t, 64<<20, st.InboxMax)
		require.EqualValues(t, 1, st.InboxWaits)
		require.Equal(t, PressureInbox, st.Pressure)
		n.inbox.close()
		<-ended
	})
}

// A leader that has lost its followers takes what it may leave uncommitted, and holds the rest back: the clients wait,
// and are told Busy, Uncertain or that nobody leads.
func TestUncommittedIsBounded(t *testing.T) {
	bubble(t, 3, func(c *Config) { c.Raft.MaxUncommitted, c.MaxEntryBytes = 100_000, 10_000 }, func(w *world) {
		lead := w.leader()
		followers := w.followers()
		for _, p := range followers {
			w.isolate(p.id, true)
		}
		outcomes := make(chan Outcome, 100)
		for i := range 100 {
			go func() {
				o, _, _ := lead.do(false, command("set", fmt.Sprint("k", i), strings.Repeat("x", 9000)))
				outcomes <- o
			}()
		}
		var st Status
		w.until("the core is full", func() bool {
			var err error
			st, err = lead.get().Status()
			require.NoError(t, err)
			return st.Pressure == PressureUncommitted && st.Waiting > 80
		})
		require.LessOrEqual(t, st.Uncommitted, int64(100_000))
		require.Greater(t, st.Uncommitted, int64(80_000))
		require.Greater(t, st.WaitingBytes, int64(80*9000))
		counts := map[Outcome]int{}
		for range 100 {
			counts[<-outcomes]++
		}
		require.Zero(t, counts[Done])
		require.Equal(t, 100, counts[Busy]+counts[NoLeader]+counts[Uncertain], counts)
		for _, p := range followers {
			w.isolate(p.id, false)
		}
		w.settled()
		st, err := w.leader().get().Status()
		require.NoError(t, err)
		require.Equal(t, NoPressure, st.Pressure)
	})
}

// While the applier is behind, a leader proposes nothing more.
func TestApplyBacklogHoldsProposals(t *testing.T) {
	d := newSoloDriver(t)
	d.cfg.ApplyBacklog = 10
	first := d.turn(writes(3)...)
	committed := d.stored(first)
	require.Len(t, committed.Apply, 1)
	require.Nil(t, d.turn(writes(9)...).Append)
	require.Equal(t, PressureApply, d.flow().Pressure)
	d.apply(committed)
	require.NotNil(t, d.turn().Append)
	require.Equal(t, NoPressure, d.flow().Pressure)
}
