//go:build linux

package fsm

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// cpu is the CPU time of this thread, to which the caller is locked: on a machine that does other work too, it says more
// than the clock.
func cpu(b require.TestingT) time.Duration {
	var t unix.Timespec
	require.NoError(b, unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t))
	return time.Duration(t.Nano())
}

// engine is a store of many strings of 64 bytes, or of integers, under keys of 16 bytes.
type engine struct {
	s    *Store
	n    int
	keys []byte // one behind the other
	rnd  uint64
}

func (e *engine) key(i int) []byte { return e.keys[16*i : 16*i+16] }

func newEngine(b *testing.B, n int, value func(i int) []byte) *engine {
	e := &engine{s: NewStore(), n: n, keys: make([]byte, 0, 16*n)}
	spec := Lookup([]byte("set"))
	for i := range n {
		e.keys = fmt.Appendf(e.keys, "key:%012d", i)
		e.exec(&Command{Spec: spec, Args: [][]byte{[]byte("set"), e.key(i), value(i)}}, uint64(i+1))
	}
	return e
}

func (e *engine) exec(c *Command, index uint64) {
	e.s.Begin(index, 1, 1)
	e.s.Exec(c, quiet{})
	e.s.End()
}

// window is the number of commands that are prepared outside of the time that counts, and then executed.
const window = 4096

// run executes at least b.N commands on random keys, in groups, and reports the CPU time of each, and the speed in the best
// tenth of the windows, which other work on the machine disturbs least. Placing a command is its connection's work and not
// counted.
func (e *engine) run(b *testing.B, group int, name string, extra ...string) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	spec, words := Lookup([]byte(name)), asBytes(append([]string{name, ""}, extra...))
	cmds, refs, outs := make([]Command, window), make([]*Command, window), make([]Out, window)
	keys := make([]byte, 0, 16*window)
	for i := range cmds {
		cmds[i] = Command{Spec: spec, Args: append([][]byte(nil), words...)}
		refs[i], outs[i] = &cmds[i], quiet{}
	}
	index := e.s.Applied()
	var windows []float64 // CPU ns per command
	for done := 0; done < b.N; done += window {
		keys = keys[:0]
		for i := range cmds {
			e.rnd = splitMix(e.rnd)
			keys = append(keys, e.key(int(e.rnd%uint64(e.n)))...)
			cmds[i].Args[1] = keys[16*i:]
			e.s.Place(&cmds[i])
		}
		start := cpu(b)
		for i := 0; i < window; i += group {
			index++
			e.s.Begin(index, 1, 1)
			e.s.ExecGroup(refs[i:i+group], outs[i:i+group])
			e.s.End()
		}
		windows = append(windows, float64(cpu(b)-start)/window)
	}
	slices.Sort(windows)
	sum := 0.0
	for _, w := range windows {
		sum += w
	}
	b.ReportMetric(sum/float64(len(windows)), "cpu-ns/op")
	b.ReportMetric(1e3/windows[len(windows)/10], "bestM/s")
}

// resident is the resident memory of this process in bytes, after a collection.
func resident(b require.TestingT) int {
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/statm")
	require.NoError(b, err)
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	require.NoError(b, err)
	return pages * os.Getpagesize()
}

// BenchmarkEngine measures the applier on random keys, one command at a time and in groups of 16 with the touch pass, the
// resident bytes of a key, and a garbage collection.
func BenchmarkEngine(b *testing.B) {
	for _, millions := range []int{1, 5, 20} {
		b.Run(fmt.Sprintf("%dM", millions), func(b *testing.B) { benchmarkEngine(b, millions*1_000_000) })
	}
}

func benchmarkEngine(b *testing.B, n int) {
	value, number := []byte(strings.Repeat("v", 64)), []byte("1000")
	before := resident(b)
	e := newEngine(b, n, func(int) []byte { return value })
	size := (resident(b) - before - 16*n) / n // without the benchmark's own keys
	run := func(name string, extra ...string) {
		for _, group := range []int{1, Group} {
			b.Run(fmt.Sprintf("%s/%d", name, group), func(b *testing.B) { e.run(b, group, name, extra...) })
		}
	}
	run("get")
	run("set", strings.Repeat("w", 64))
	b.Run("gc", func(b *testing.B) {
		const times = 3
		var before, after syscall.Rusage
		require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &before))
		for range times {
			runtime.GC()
		}
		require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &after))
		spent := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
		b.ReportMetric(float64(spent)/times/1e6, "cpu-ms/gc")
		b.ReportMetric(float64(size), "residentB/key")
	})
	e = newEngine(b, n, func(int) []byte { return number })
	run("incr")
}
