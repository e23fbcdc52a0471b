//go:build linux

package fsm

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"testing"
)

// smallWrites are commands that change one element of a collection of ten, by the name of the command that fills it. r
// names an element of all; odd steps take back what the even ones before them did.
var smallWrites = map[string]func(args []string, i, r int) []string{
	"hset": func(args []string, i, r int) []string {
		return append(args, "hset", smallKey(r), smallName(r), fmt.Sprintf("%016d", i))
	},
	"sadd": func(args []string, i, r int) []string {
		return append(args, []string{"srem", "sadd"}[i%2], smallKey(r), smallName(r))
	},
	"zadd": func(args []string, i, r int) []string {
		return append(args, "zadd", smallKey(r), strconv.Itoa(int(splitMix(uint64(i))>>34)), smallName(r))
	},
	"rpush": func(args []string, i, r int) []string {
		if i%2 == 1 {
			return append(args, "lpop", smallKey(r))
		}
		return append(args, "rpush", smallKey(r), smallName(r))
	},
}

func smallKey(r int) string  { return fmt.Sprintf("key:%012d", r/10) }
func smallName(r int) string { return fmt.Sprintf("m%015d", r) }

// BenchmarkSmall measures the applier on small collections at random, and the memory of an element.
func BenchmarkSmall(b *testing.B) {
	for _, name := range []string{"hset", "sadd", "zadd", "rpush"} {
		b.Run(name, func(b *testing.B) { benchmarkSmall(b, name, 1_000_000) })
	}
}

// fillSmall makes n elements.
func fillSmall(s *Store, name string, n int) {
	for i := range n / 10 {
		args := []string{name, smallKey(10 * i)}
		for r := 10 * i; r < 10*i+10; r++ {
			switch name {
			case "hset":
				args = append(args, smallName(r), fmt.Sprintf("%016d", r))
			case "zadd":
				args = append(args, strconv.Itoa(int(splitMix(uint64(r))>>34)), smallName(r))
			default:
				args = append(args, smallName(r))
			}
		}
		s.Begin(s.Applied()+1, 1, 1)
		s.Exec(&Command{Spec: Lookup([]byte(name)), Args: asBytes(args)}, quiet{})
		s.End()
	}
}

func benchmarkSmall(b *testing.B, name string, n int) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := resident(b)
	s := NewStore()
	fillSmall(s, name, n)
	size := float64(resident(b)-before) / float64(n)
	cmds, group, outs := make([]Command, window), make([]*Command, window), make([]Out, window)
	rnd, index := uint64(1), s.Applied()
	var windows []float64 // CPU ns per command
	var mallocs uint64
	for done := 0; done < b.N; done += window {
		for i := range cmds {
			if i%2 == 0 {
				rnd = splitMix(rnd)
			}
			args := asBytes(smallWrites[name](nil, done+i, int(rnd%uint64(n))))
			cmds[i] = Command{Spec: Lookup(args[0]), Args: args}
			group[i], outs[i] = &cmds[i], quiet{}
			s.Place(&cmds[i])
		}
		var from, to runtime.MemStats
		runtime.ReadMemStats(&from)
		start := cpu(b)
		for i := 0; i < window; i += Group {
			index++
			s.Begin(index, 1, 1)
			s.ExecGroup(group[i:i+Group], outs[i:i+Group])
			s.End()
		}
		windows = append(windows, float64(cpu(b)-start)/window)
		runtime.ReadMemStats(&to)
		mallocs += to.Mallocs - from.Mallocs
	}
	slices.Sort(windows)
	b.ReportMetric(windows[len(windows)/2], "cpu-ns/op")
	b.ReportMetric(windows[len(windows)/10], "best-ns/op")
	b.ReportMetric(float64(mallocs)/float64(len(windows)*window), "mallocs/op")
	b.ReportMetric(size, "residentB/elem")
}
