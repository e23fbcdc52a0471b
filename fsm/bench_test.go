package fsm

import (
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// quiet is an Out that costs nothing.
type quiet struct{ discard }

// prepared returns a function that executes the command as the applier does.
func prepared(t require.TestingT, s *Store, args ...string) func() {
	c := command(t, 0, args...)
	return func() {
		s.Begin(s.Applied()+1, s.Clock(), 1)
		s.Exec(&c, quiet{})
		s.End()
	}
}

func TestAllocations(t *testing.T) {
	s := NewStore()
	value := strings.Repeat("v", 64)
	for name, want := range map[string]float64{"set": 0, "get": 0, "incr": 0, "append": 0, "setint": 0, "strlen": 0, "pttl": 0, "exists": 0} {
		run := map[string]func(){
			"set":    prepared(t, s, "set", "key:000000000001", value),
			"get":    prepared(t, s, "get", "key:000000000001"),
			"incr":   prepared(t, s, "incr", "counter"),
			"append": prepared(t, s, "append", "log", ""),
			"setint": prepared(t, s, "set", "number", "12345"),
			"strlen": prepared(t, s, "strlen", "key:000000000001"),
			"pttl":   prepared(t, s, "pttl", "key:000000000001"),
			"exists": prepared(t, s, "exists", "key:000000000001", "counter"),
		}[name]
		run()
		require.Equal(t, want, testing.AllocsPerRun(200, run), name)
	}
	for _, cmds := range [][3]string{ // a small collection, and what is done to it again and again
		{"hset h a 1 b 2", "hset h c 12345 a x", "hdel h c"},
		{"hset h a 1 b 2", "hincrby h b 1", "hget h b"},
		{"sadd s a 1", "sadd s b", "srem s b"},
		{"sadd n 1 2 3", "sadd n 70", "srem n 70"},
		{"sadd s2 a b", "smove s s2 a", "smove s2 s a"},
		{"zadd z 1 a 2 b", "zadd z 3 a", "zadd z 1 a"},
		{"rpush l a b", "rpush l c", "lpop l"},
		{"rpush l2 a", "lmove l l2 left right", "lmove l2 l right left"},
	} {
		prepared(t, s, words(cmds[0])...)()
		there, back := prepared(t, s, words(cmds[1])...), prepared(t, s, words(cmds[2])...)
		run := func() {
			there()
			back()
		}
		run()
		require.Equal(t, 0.0, testing.AllocsPerRun(200, run), cmds)
	}
	read := command(t, 0, "get", "key:000000000001")
	s.Read(&read, quiet{})
	require.Less(t, testing.AllocsPerRun(200, func() { s.Read(&read, quiet{}) }), 0.5, "a read outside of the log")
	entry := AppendEntryCommand(AppendEntryHeader(nil, 1, 1), 0, rawCommand("set", "key:000000000001", value))
	require.Equal(t, 0.0, testing.AllocsPerRun(200, func() { require.NoError(t, s.ApplyEntry(s.Applied()+1, entry)) }))
}

const benchKeys = 1_000_000

// filled returns a store of benchKeys strings of 64 bytes, and the commands that set them.
func filled(b *testing.B, name string, extra ...string) (*Store, []Command) {
	s := NewStore()
	spec := Lookup([]byte("set"))
	value := []byte(strings.Repeat("v", 64))
	cmds := make([]Command, benchKeys)
	rnd := uint64(1)
	for i := range cmds {
		key := []byte(fmt.Sprintf("key:%012d", i))
		c := Command{Spec: spec, Args: [][]byte{[]byte("set"), key, value}}
		s.Begin(uint64(i+1), 1, 1)
		s.Exec(&c, quiet{})
		s.End()
		cmds[i] = Command{Spec: Lookup([]byte(name)), Args: append([][]byte{[]byte(name), key}, asBytes(extra)...)}
	}
	for i := range cmds { // random access, the worst case for caches
		rnd = splitMix(rnd)
		j := rnd % benchKeys
		cmds[i], cmds[j] = cmds[j], cmds[i]
	}
	return s, cmds
}

func asBytes(args []string) (b [][]byte) {
	for _, a := range args {
		b = append(b, []byte(a))
	}
	return b
}

func benchmarkExec(b *testing.B, name string, extra ...string) {
	s, cmds := filled(b, name, extra...)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		s.Begin(uint64(i), 1, 1)
		s.Exec(&cmds[i%benchKeys], quiet{})
		s.End()
	}
}

func BenchmarkSet1M(b *testing.B) { benchmarkExec(b, "set", strings.Repeat("w", 64)) }
func BenchmarkGet1M(b *testing.B) { benchmarkExec(b, "get") }
func BenchmarkExpire1M(b *testing.B) {
	benchmarkExec(b, "pexpire", "100000")
}

func BenchmarkRead1M(b *testing.B) {
	s, cmds := filled(b, "get")
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			s.Read(&cmds[i%benchKeys], quiet{})
		}
	})
}

func BenchmarkIncr(b *testing.B) {
	s := NewStore()
	run := prepared(b, s, "incr", "counter")
	b.ReportAllocs()
	for range b.N {
		run()
	}
}

// BenchmarkInsert measures new keys, and reports the heap that a key takes.
func BenchmarkInsert(b *testing.B) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := NewStore()
	spec := Lookup([]byte("set"))
	c := Command{Spec: spec, Args: [][]byte{[]byte("set"), nil, []byte(strings.Repeat("v", 64))}}
	key := []byte("key:000000000000")
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		n := strconv.Itoa(i)
		copy(key[len(key)-len(n):], n)
		c.Args[1] = key
		s.Begin(uint64(i), 1, 1)
		s.Exec(&c, quiet{})
		s.End()
	}
	b.StopTimer()
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(b.N), "heapB/key")
	b.ReportMetric(float64(s.MemoryUsed())/float64(b.N), "modelB/key")
	runtime.KeepAlive(s)
}

func BenchmarkFreeze1M(b *testing.B) {
	s, _ := filled(b, "get")
	b.ResetTimer()
	for range b.N {
		s.Freeze().Close()
	}
}

func BenchmarkSnapshot1M(b *testing.B) {
	s, _ := filled(b, "get")
	b.ResetTimer()
	for range b.N {
		v := s.Freeze()
		n, err := v.WriteTo(io.Discard)
		require.NoError(b, err)
		b.SetBytes(n)
		v.Close()
	}
}

func BenchmarkVerify1M(b *testing.B) {
	s, _ := filled(b, "get")
	b.ResetTimer()
	for range b.N {
		v := s.Freeze()
		_, err := v.Verify()
		require.NoError(b, err)
		v.Close()
	}
}

func BenchmarkSlot(b *testing.B) {
	key := []byte("key:000000000001")
	for range b.N {
		Slot(key)
	}
}

func BenchmarkLookup(b *testing.B) {
	name := []byte("SET")
	for range b.N {
		Lookup(name)
	}
}
