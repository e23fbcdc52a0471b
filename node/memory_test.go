package node

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"kvapp/fsm"
)

// limited is a setting of memory that can be changed.
func limited(m Memory) (*atomic.Pointer[Memory], func(*Config)) {
	var at atomic.Pointer[Memory]
	at.Store(&m)
	return &at, func(c *Config) { c.Memory = at.Load }
}

func setCommand(i, size int) fsm.Command {
	return command("set", fmt.Sprint("key:", i), strings.Repeat("x", size))
}

// fillMemory writes until the leader takes no more, and returns how many writes that were.
func fillMemory(t *testing.T, lead *peer, size int) int {
	for i := range 10_000 {
		switch o, _, _ := lead.do(false, setCommand(i, size)); o {
		case Done:
		case OutOfMemory:
			return i
		default:
			require.Fail(t, "neither done nor refused", o)
		}
	}
	require.Fail(t, "the memory is never full")
	return 0
}

func TestWritesAreRefusedWhenMemoryIsFull(t *testing.T) {
	const limit = 100_000
	_, change := limited(Memory{Limit: limit})
	bubble(t, 3, change, func(w *world) {
		lead := w.leader()
		n := fillMemory(t, lead, 1000)
		store := lead.get().Store()
		require.Greater(t, store.Counted(), int64(limit), "the write that passes the limit is the last")
		require.Less(t, store.Counted(), int64(limit+1200))
		index := store.Applied()
		for range 10 {
			o, _, _ := lead.do(false, setCommand(0, 1))
			require.Equal(t, OutOfMemory, o, "also what would make the state smaller, as in Redis")
		}
		require.Equal(t, index, store.Applied(), "nothing of it is in the log")
		o, r, _ := lead.do(false, command("get", "key:1"))
		require.Equal(t, Done, o)
		require.Len(t, r, 1001)
		o, _, _ = lead.do(false, command("expire", "key:2", "100"), command("del", "key:3", "key:4"))
		require.Equal(t, Done, o)
		require.LessOrEqual(t, fillMemory(t, lead, 1000), n, "there is room again, by itself")
		require.Zero(t, store.Evicted())
		w.settled()
	})
}

// writers fill the cluster from several clients at once, who follow the leader, until they are told to stop.
func writers(w *world, clients, depth, size int) (stop func() (done, failed int64)) {
	var wg sync.WaitGroup
	var end atomic.Bool
	var done, failed atomic.Int64
	for c := range clients {
		wg.Go(func() {
			for i := 0; !end.Load(); i++ {
				var cmds []fsm.Command
				for j := range depth {
					cmds = append(cmds, setCommand((i*clients+c)*depth+j, size))
				}
				switch o, _, _ := w.leader().do(false, cmds...); o {
				case Done:
					done.Add(int64(depth))
				case OutOfMemory, Busy:
					failed.Add(1)
				default:
					<-time.After(time.Millisecond) // a change of the leader
				}
			}
		})
	}
	return func() (int64, int64) {
		end.Store(true)
		wg.Wait()
		return done.Load(), failed.Load()
	}
}

// Clients that write more and more see no error, whoever leads, the state stays below the limit, and is the same on all
// nodes.
func TestEvictionKeepsTheLimit(t *testing.T) {
	const limit = 300_000
	for _, p := range []fsm.Policy{fsm.AllKeysLRU, fsm.AllKeysLFU, fsm.AllKeysRandom} {
		_, change := limited(Memory{Limit: limit, Policy: p, Samples: 5, Use: fsm.Use{LFU: p.LFU(), LogFactor: 10, Decay: 1}})
		bubble(t, 3, change, func(w *world) {
			first := w.leader()
			stop := writers(w, 8, 20, 50)
			most := int64(0)
			watch := func(lead *peer, evicted uint64) {
				w.until("keys are evicted", func() bool {
					s := lead.get().Store()
					most = max(most, s.Counted())
					return s.Evicted() >= evicted
				})
			}
			watch(first, 3000)
			first.stop()
			second := w.leader(first)
			watch(second, second.get().Store().Evicted()+3000)
			first.start()
			done, failed := stop()
			require.Zero(t, failed)
			require.Greater(t, done, int64(6000))
			require.Less(t, most, int64(limit+limit/50))
			require.Greater(t, most, int64(limit*8/10))
			w.settled()
			require.NoError(t, second.get().Store().Check())
		})
	}
}

// A policy that finds nothing to evict is as none.
func TestNothingToEvict(t *testing.T) {
	_, change := limited(Memory{Limit: 50_000, Policy: fsm.VolatileLRU, Samples: 5})
	bubble(t, 1, change, func(w *world) {
		lead := w.leader()
		fillMemory(t, lead, 1000)
		for range 10 {
			o, _, _ := lead.do(false, setCommand(0, 1))
			require.Equal(t, OutOfMemory, o)
		}
		for i := range 20 {
			o, _, _ := lead.do(false, command("expire", fmt.Sprint("key:", i), "1000"))
			require.Equal(t, Done, o)
		}
		<-time.After(time.Second)
		for i := range 15 {
			o, _, _ := lead.do(false, setCommand(1000+i, 1000))
			require.Equal(t, Done, o, i)
		}
		store := lead.get().Store()
		require.Less(t, store.Counted(), int64(51_200))
		require.Greater(t, store.Evicted(), uint64(10))
		o, r, _ := lead.do(false, command("exists", "key:25", "key:26", "key:27", "key:28", "key:1014"))
		require.Equal(t, Done, o)
		require.Equal(t, ":5 ", r, "what has no deadline stays")
	})
}

// When the limit is lowered the state shrinks by itself, and nobody is refused meanwhile.
func TestLimitIsLowered(t *testing.T) {
	at, change := limited(Memory{Policy: fsm.AllKeysLRU, Samples: 5})
	bubble(t, 3, change, func(w *world) {
		lead := w.leader()
		for i := range 100 {
			var cmds []fsm.Command
			for j := range 100 {
				cmds = append(cmds, setCommand(i*100+j, 10))
			}
			o, _, _ := lead.do(false, cmds...)
			require.Equal(t, Done, o)
		}
		store := lead.get().Store()
		require.Greater(t, store.Counted(), int64(1_000_000))
		at.Store(&Memory{Limit: 200_000, Policy: fsm.AllKeysLRU, Samples: 5})
		w.until("the state is below the limit", func() bool { return store.Counted() <= 200_000 })
		require.Greater(t, store.Counted(), int64(150_000))

		at.Store(&Memory{Limit: 20_000, Policy: fsm.AllKeysLRU, Samples: 5})
		for i := range 20 {
			o, _, _ := lead.do(false, setCommand(i, 10))
			require.Equal(t, Done, o)
		}
		w.until("the state is below the limit", func() bool { return store.Counted() <= 20_000 })
		at.Store(&Memory{Limit: 1, Policy: fsm.AllKeysLRU, Samples: 5})
		w.until("nothing is left", func() bool { return store.Counted() == 0 })
		for range 3 {
			o, _, _ := lead.do(false, setCommand(1, 1))
			require.Equal(t, Done, o, "one key always fits")
		}
		at.Store(&Memory{})
		o, _, _ := lead.do(false, setCommand(1, 300_000))
		require.Equal(t, Done, o)
		w.settled()
	})
}

// Whatever waits for memory has something to wait for, and only writes that must are refused.
func TestFitting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := func(name string) int64 { return rapid.Int64Range(0, 100).Draw(t, name) }
		f := fitting{limit: 1 + n("limit"), used: n("used"), freed: n("freed"), added: n("added"), evicts: rapid.Bool().Draw(t, "evicts")}
		grow := n("grow")
		switch f.judge(grow) {
		case goes:
			over := f.used+f.added+grow > f.limit
			require.True(t, !over || grow == 0 || f.added == 0 || f.added+grow <= f.freed/2, "it passes the limit only alone, or while more is freed")
		case waits:
			f.short += grow
			require.True(t, f.added > 0 || f.evicts && f.need() > 0)
		case refused:
			require.True(t, f.used > f.limit && !f.evicts)
		}
	})
}

// What was chosen is forgotten when another node leads, and nothing is chosen twice at a time.
func TestChoiceOfADeposedLeader(t *testing.T) {
	d := newSoloDriver(t)
	d.cfg.Memory = func() *Memory { return &Memory{Limit: 1, Policy: fsm.AllKeysLRU, Samples: 5} }
	set := command("set", "k", "v")
	d.store.Begin(d.store.Applied(), 1, 1)
	d.store.Exec(&set, &reply{})
	d.store.End()
	first := d.turn()
	require.Len(t, first.Apply, 1)
	require.NotNil(t, first.Apply[0].Choose)
	require.Empty(t, d.turn().Apply)
	require.Greater(t, d.Deadline(), d.now, "it is being chosen")

	victims := d.store.Choose(first.Apply[0].Choose)
	require.Len(t, victims, 1)
	evict := d.turn(Event{Kind: EvVictims, Victims: victims})
	require.NotNil(t, evict.Append)
	require.Positive(t, d.evicting())
	committed := d.stored(evict)
	require.Len(t, committed.Apply, 1, "nothing is chosen before that is applied")
	require.Equal(t, committed.Apply[0].Entry.Index, committed.WakeAt)
	require.NoError(t, d.store.ApplyEntry(committed.Apply[0].Entry.Index, committed.Apply[0].Entry.Data))
	require.EqualValues(t, 1, d.store.Evicted())
	require.Empty(t, d.turn().Apply)
	require.Zero(t, d.evicting())

	d.mem.asked = true
	d.mem.victims, d.mem.chosen = victims, 9
	d.mem.deposed()
	require.Equal(t, memory{asked: true, at: d.mem.at}, d.mem)
	d.role = 0
	d.victims(victims)
	require.Equal(t, memory{at: d.mem.at}, d.mem)
}
