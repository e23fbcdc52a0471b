package fsm

import (
	"bytes"
	"hash/maphash"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// watcher is an Observer that remembers what it was told.
type watcher struct {
	keys map[string]Out
	all  int // how often
	by   Out
}

func (w *watcher) KeyChanged(_ int, key []byte, _ bool, by Out) {
	if w.keys == nil {
		w.keys = map[string]Out{}
	}
	w.keys[string(key)] = by
}

func (w *watcher) AllChanged(_ func(int, []byte) bool, by Out) { w.all, w.by = w.all+1, by }

// TestObserverHearsEveryChange runs random commands and compares the hashes of the slots before and after each.
func TestObserverHearsEveryChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t)
		slots := func() *[Slots]uint64 {
			v := m.s.Freeze()
			defer v.Close()
			v.waits = nil // they are no keys
			_, all := v.Hash()
			return all
		}
		before := slots()
		for range rapid.IntRange(1, 30).Draw(t, "commands") {
			var w watcher
			m.s.SetObserver(&w)
			m.now += rapid.Int64Range(0, 4).Draw(t, "ms")
			m.db = rapid.IntRange(0, 1).Draw(t, "db")
			args := monkeyCommand(t)
			m.do(args...)
			after := slots()
			told := map[int]bool{}
			for k, by := range w.keys {
				told[int(Slot([]byte(k)))] = true
				require.True(t, by == &m.out || by == Discard, "Discard takes the reply of a waiter")
			}
			for slot := range Slots {
				if before[slot] != after[slot] && w.all == 0 {
					require.True(t, told[slot], "%q changed slot %d unheard", args, slot)
				}
			}
			before = after
		}
	})
}

func TestObserver(t *testing.T) {
	m := newMachine(t)
	var w watcher
	m.s.SetObserver(&w)
	heard := func(lines ...string) (keys []string) {
		w = watcher{}
		for _, l := range lines {
			m.line(l)
		}
		for k, by := range w.keys {
			require.Same(t, &m.out, by)
			keys = append(keys, k)
		}
		return keys
	}
	require.ElementsMatch(t, []string{"a", "b"}, heard("mset a 1 b 2"))
	require.ElementsMatch(t, []string{"a"}, heard("expire a 1"))
	require.Empty(t, heard("get a", "get b", "exists a b", "del c", "setnx a 3", "persist b"))
	require.ElementsMatch(t, []string{"b", "c"}, heard("rename b c"))
	m.now += 5000
	w = watcher{}
	m.sweep(10)
	require.Contains(t, w.keys, "a")

	for _, line := range []string{"flushall", "flushdb", "swapdb 0 1"} {
		heard(line)
		require.Equal(t, 1, w.all, line)
		require.Same(t, &m.out, w.by)
	}
	shown := payload(t, m.s)
	other := newStore(maphash.MakeSeed())
	other.SetObserver(&w)
	w = watcher{}
	require.NoError(t, other.Restore(bytes.NewReader(shown)))
	require.Equal(t, 1, w.all)
	require.Nil(t, w.by)

	m.s.SetObserver(nil)
	require.Empty(t, heard("set a 1", "flushall"))
	require.Zero(t, w.all)
}
