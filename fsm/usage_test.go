package fsm

import (
	"math"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// seededStore is one whose local dice are always the same.
func seededStore() *Store {
	s := NewStore()
	s.readSeed = 1
	return s
}

// idle is what OBJECT IDLETIME answers at a second.
func (m *machine) idle(second int64, key string) string {
	m.s.NoteUse(second, Use{})
	return m.line("object idletime " + key)
}

// What counts as a use is what Redis counts: looking at a key from outside does not.
func TestIdleTime(t *testing.T) {
	m := newMachine(t)
	m.s.NoteUse(1000, Use{})
	m.do("set", "k", "v")
	m.do("set", "d", "v", "px", "100000")
	second := int64(1000)
	for _, quiet := range []string{"exists k", "type k", "ttl k", "pttl k", "object encoding k", "object refcount k", "object idletime k",
		"memory usage k", "debug object k", "scan 0", "keys *", "randomkey", "get other", "set other v"} {
		second += 10
		m.s.NoteUse(second, Use{})
		m.line(quiet)
		require.Equal(t, ":"+strconv.FormatInt(second-1000, 10), m.idle(second, "k"), quiet)
	}
	for _, use := range []string{"get k", "strlen k", "touch k", "append k x", "set k v", "expire k 100", "persist k", "mget a k", "getex k",
		"setrange k 0 x", "rename k k2", "rename k2 k", "copy k k3", "setnx k x"} {
		second += 10
		m.s.NoteUse(second, Use{})
		m.line(use)
		if use != "rename k k2" {
			require.Equal(t, ":3", m.idle(second+3, "k"), use)
		}
	}
	require.Equal(t, "$-1", m.line("object idletime nokey"))

	// Another record of the same key notes the same.
	m.s.NoteUse(second+100, Use{})
	m.do("pexpire", "d", "200000")
	m.s.NoteUse(second+200, Use{})
	require.Equal(t, ":100", m.line("object idletime d"))
	v := m.s.Freeze()
	require.Equal(t, ":100", m.line("object idletime d"))
	m.do("append", "k", "x")
	require.Equal(t, ":0", m.line("object idletime k"))
	v.Close()

	// The clock has 24 bits.
	m.s.NoteUse(1<<24-1, Use{})
	m.do("get", "k")
	require.Equal(t, ":3", m.idle(1<<24+2, "k"))
}

func TestQuietCommands(t *testing.T) {
	m := newMachine(t)
	m.do("set", "k", "v")
	m.s.NoteUse(50, Use{})
	read := func(c *Command) { m.s.Read(c, quiet{}) }
	group := func(c *Command) {
		m.s.Place(c)
		m.s.ReadGroup([]Command{*c, *c}, quiet{}, 1<<20)
	}
	exec := func(c *Command) {
		m.s.Begin(m.s.Applied()+1, 1, 1)
		m.s.Exec(c, quiet{})
		m.s.End()
	}
	for _, run := range []func(*Command){read, group, exec} {
		c := command(t, 0, "get", "k")
		c.Quiet = true
		run(&c)
		require.Equal(t, ":50", m.line("object idletime k"))
	}
	c := command(t, 0, "append", "k", "x")
	c.Quiet = true
	exec(&c)
	require.Equal(t, ":50", m.line("object idletime k"))
	c = command(t, 0, "touch", "k")
	c.Quiet = true
	read(&c)
	require.Equal(t, ":0", m.line("object idletime k"), "TOUCH always counts")
}

func TestFrequency(t *testing.T) {
	m := newMachine(t)
	m.do("set", "k", "v")
	require.Contains(t, m.line("object freq k"), "-ERR An LFU maxmemory policy is not selected")
	lfu := Use{LFU: true, LogFactor: 0, Decay: 1}
	m.s.NoteUse(60, lfu)
	require.Contains(t, m.line("object idletime k"), "-ERR An LFU maxmemory policy is selected")
	require.Equal(t, "$-1", m.line("object freq nokey"))
	m.do("set", "n", "v")
	require.Equal(t, ":5", m.line("object freq n"))
	m.do("get", "n")
	require.Equal(t, ":6", m.line("object freq n"), "with a factor of 0 every use counts")
	m.do("append", "n", "x")
	require.Equal(t, ":7", m.line("object freq n"), "and a command that looks a key up twice is one use")
	m.do("rename", "n", "r")
	require.Equal(t, ":8", m.line("object freq r"), "a key keeps its counter under another name")
	m.do("copy", "r", "c")
	require.Equal(t, ":5", m.line("object freq c"), "a copy is a new key")
	m.do("set", "r", "w")
	require.Equal(t, ":10", m.line("object freq r"), "a new value is no new key")
	m.s.NoteUse(60*4, lfu)
	require.Equal(t, ":7", m.line("object freq r"))
	m.s.NoteUse(60*400, lfu)
	require.Equal(t, ":0", m.line("object freq r"))
	m.s.NoteUse(60*400, Use{LFU: true})
	require.Equal(t, ":10", m.line("object freq r"), "without decay")
	for range 1000 {
		m.do("get", "r")
	}
	require.Equal(t, ":255", m.line("object freq r"))
}

// The counter grows as the table in redis.conf says: with the default factor of 10 it is about 18 after a thousand uses and
// 142 after a hundred thousand.
func TestFrequencyIsLogarithmic(t *testing.T) {
	s := seededStore()
	s.NoteUse(60, Use{LFU: true, LogFactor: 10, Decay: 1})
	h := makeHead(encInt, 1, intBytes, 0)
	sum := map[int]float64{}
	for n := range 20 {
		r := make(record, headSize(h))
		r.fill(h, 1, s.newUse(), 0, []byte("k"))
		for i := range 100_000 {
			s.changeUse(r, s.use.Load(), uint64(n)<<32+uint64(i))
			if i+1 == 1000 || i+1 == 100_000 {
				sum[i+1] += float64(r.use()&mostCount) / 20
			}
		}
	}
	require.InDelta(t, 18, sum[1000], 4)
	require.InDelta(t, 142, sum[100_000], 10)
}

// A counter never grows by more than one, and decays by whole periods.
func TestCounter(t *testing.T) {
	s := seededStore()
	rapid.Check(t, func(t *rapid.T) {
		u := Use{LFU: true, LogFactor: rapid.SampledFrom([]int64{0, 1, 10, math.MaxInt32}).Draw(t, "factor"),
			Decay: rapid.SampledFrom([]int64{0, 1, 7, math.MaxInt32}).Draw(t, "decay")}
		minute := rapid.Int64Range(0, 1<<20).Draw(t, "minute")
		n := uint32(rapid.IntRange(0, mostCount).Draw(t, "n"))
		passed := rapid.Int64Range(0, 1<<16-1).Draw(t, "passed")
		s.NoteUse((minute+passed)*60+rapid.Int64Range(0, 59).Draw(t, "second"), u)
		want := int64(n)
		if u.Decay > 0 {
			want = max(0, want-passed/u.Decay)
		}
		word := uint32(minute)&minutesMask<<countBits | n
		require.EqualValues(t, want, s.count(word, uint32(minute+passed)&minutesMask))
		require.EqualValues(t, mostCount-want, s.idle(word))
		next := s.countUse(word, s.use.Load(), rapid.Uint64().Draw(t, "dice"))
		require.LessOrEqual(t, next, uint32(useMask))
		grown := int64(next&mostCount) - want
		require.True(t, grown == 0 || grown == 1 && want < mostCount, grown)
	})
}

// Readers note uses while the applier changes keys and a view is written; under the race detector this proves that they may.
func TestUseIsNotedConcurrently(t *testing.T) {
	m := newMachine(t)
	keys := []string{"a", "b", "c", ""}
	for _, k := range keys {
		m.do("set", k, "")
	}
	var wg sync.WaitGroup
	for g := range 3 {
		wg.Go(func() {
			var cmds []Command
			for _, k := range keys {
				c := command(t, 0, "get", k)
				m.s.Place(&c)
				cmds = append(cmds, c)
			}
			for i := range 300 {
				m.s.NoteUse(int64(g*1000+i), Use{LFU: i%2 == 0})
				m.s.ReadGroup(cmds, quiet{}, 1<<20)
				m.s.Read(&cmds[3], quiet{})
			}
		})
	}
	for i := range 100 {
		view := freeze(t, m.s)
		for _, k := range keys {
			m.do([]string{"append", "incr", "set"}[i%3], k, "1")
			m.do("pexpire", k, "1000000")
			m.do("set", k, "")
		}
		require.Equal(t, view.want, <-view.written)
	}
	wg.Wait()
	require.NoError(t, m.s.Check())
}
