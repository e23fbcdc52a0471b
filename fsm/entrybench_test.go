//go:build linux

package fsm

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// entryCommands is how many commands an entry has, about as many as with fifty clients that do not pipeline.
const (
	entryCommands = 25
	entryWindow   = 20 * entryCommands // commands that are prepared outside of the time that counts: they stay in the caches
)

// entryBench is one command: how a store is filled for it, and how it reads by a random number.
type entryBench struct {
	name  string
	fill  func(s *Store, keys int)
	words func(c *benchCommand, rnd uint64, keys int)
}

// benchCommand is a command whose memory is used again, so that no collection disturbs what is timed.
type benchCommand struct {
	words [4][]byte
	n     int
}

func (c *benchCommand) say(words ...string) {
	for _, w := range words {
		c.words[c.n] = append(c.words[c.n][:0], w...)
		c.n++
	}
}

// number says a number of so many digits behind a word.
func (c *benchCommand) number(word string, n uint64, digits int) {
	c.say(word)
	w := &c.words[c.n-1]
	*w = slices.Grow(*w, digits)[:len(word)+digits]
	for i := len(*w) - 1; i >= len(word); i-- {
		(*w)[i] = '0' + byte(n%10)
		n /= 10
	}
}

var entryBenches = []entryBench{
	{"set", fillWith(strings.Repeat("v", 64)), func(c *benchCommand, rnd uint64, keys int) {
		c.say("set")
		c.number("key:", rnd%uint64(keys), 12)
		c.number("v", rnd, 63)
	}},
	{"get", fillWith(strings.Repeat("v", 64)), func(c *benchCommand, rnd uint64, keys int) {
		c.say("get")
		c.number("key:", rnd%uint64(keys), 12)
	}},
	{"incr", fillWith("1000"), func(c *benchCommand, rnd uint64, keys int) {
		c.say("incr")
		c.number("key:", rnd%uint64(keys), 12)
	}},
	{"hset", func(s *Store, keys int) { fillSmall(s, "hset", keys) }, func(c *benchCommand, rnd uint64, keys int) {
		c.say("hset")
		c.number("key:", rnd%uint64(keys)/10, 12)
		c.number("m", rnd%uint64(keys), 15)
		c.number("", rnd, 16)
	}},
	{"zadd", func(s *Store, keys int) { fillSmall(s, "zadd", keys) }, func(c *benchCommand, rnd uint64, keys int) {
		c.say("zadd")
		c.number("key:", rnd%uint64(keys)/10, 12)
		c.words[c.n] = strconv.AppendUint(c.words[c.n][:0], rnd>>34, 10)
		c.n++
		c.number("m", rnd%uint64(keys), 15)
	}},
}

func fillWith(value string) func(s *Store, keys int) {
	return func(s *Store, keys int) {
		for i := range keys {
			s.Begin(s.Applied()+1, 1, 1)
			s.Exec(&Command{Spec: Lookup([]byte("set")), Args: asBytes([]string{"set", fmt.Sprintf("key:%012d", i), value})}, quiet{})
			s.End()
		}
	}
}

// BenchmarkEntry measures entries of entryCommands commands on random keys, as a follower applies them and as a leader
// does; collections have ten elements, keys counts elements. Reads ride in the entries of a leader. It reports the CPU time
// of a command, in the median of many windows and in the best tenth, which other work on the machine disturbs least.
func BenchmarkEntry(b *testing.B) {
	for _, keys := range []int{1000, 100_000, 5_000_000} {
		for _, e := range entryBenches {
			var s *Store
			for _, how := range []string{"follow", "lead"} {
				if e.name == "get" && how == "follow" {
					continue
				}
				b.Run(fmt.Sprintf("%s/%d/%s", e.name, keys, how), func(b *testing.B) {
					if s == nil {
						s = NewStore()
						e.fill(s, keys)
					}
					e.run(b, s, keys, how == "lead")
				})
			}
		}
	}
}

func (e *entryBench) run(b *testing.B, s *Store, keys int, lead bool) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	said := make([]benchCommand, entryWindow)
	var took []float64 // CPU ns per command
	rnd, entries, cmds := uint64(1), make([][]byte, entryWindow/entryCommands), newLeaderCommands(e.name)
	for done := 0; done < b.N; done += entryWindow {
		for i := range said {
			rnd = splitMix(rnd)
			said[i].n = 0
			e.words(&said[i], rnd, keys)
		}
		var start time.Duration
		if lead {
			cmds.prepare(s, said)
			start = cpu(b)
			cmds.apply(s)
		} else {
			encodeEntries(entries, said)
			start = cpu(b)
			for _, entry := range entries {
				if err := s.ApplyEntry(s.Applied()+1, entry); err != nil {
					b.Fatal(err)
				}
			}
		}
		took = append(took, float64(cpu(b)-start)/entryWindow)
	}
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2], "cpu-ns/op")
	b.ReportMetric(took[len(took)/10], "best-ns/op")
}

// encodeEntries makes entries of what is said.
func encodeEntries(entries [][]byte, said []benchCommand) {
	for i := range entries {
		data := AppendEntryHeader(entries[i][:0], 1, 1)
		for _, c := range said[i*entryCommands : min((i+1)*entryCommands, len(said))] {
			data = append(data, 0, '*')
			data = append(strconv.AppendInt(data, int64(c.n), 10), "\r\n"...)
			for _, w := range c.words[:c.n] {
				data = append(data, '$')
				data = append(strconv.AppendInt(data, int64(len(w)), 10), "\r\n"...)
				data = append(append(data, w...), "\r\n"...)
			}
		}
		entries[i] = data
	}
}

// leaderCommands are parsed and placed commands, as connections hand them over.
type leaderCommands struct {
	cmds [entryWindow]Command
	refs [entryWindow]*Command
	outs [entryWindow]Out
}

func newLeaderCommands(name string) *leaderCommands {
	l := new(leaderCommands)
	for i := range l.cmds {
		l.cmds[i].Spec = Lookup([]byte(name))
		l.refs[i], l.outs[i] = &l.cmds[i], quiet{}
	}
	return l
}

func (l *leaderCommands) prepare(s *Store, said []benchCommand) {
	for i := range said {
		l.cmds[i].Args = said[i].words[:said[i].n]
		s.Place(&l.cmds[i])
	}
}

func (l *leaderCommands) apply(s *Store) {
	for i := 0; i < entryWindow; i += entryCommands {
		s.Begin(s.Applied()+1, 1, 1)
		for from, end := i, min(i+entryCommands, entryWindow); from < end; from += Group {
			to := min(from+Group, end)
			s.ExecGroup(l.refs[from:to], l.outs[from:to])
		}
		s.End()
	}
}
