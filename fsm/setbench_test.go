package fsm

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestHotPathsAllocateNothing covers the commands whose argument and reply need no memory of their own.
func TestHotPathsAllocateNothing(t *testing.T) {
	b := newBench()
	fill(b, 5000, func(i int) []string { return []string{"RPUSH", "l", name(i)} })
	fill(b, 5000, func(i int) []string { return []string{"SADD", "s", name(i)} })
	fill(b, 5000, func(i int) []string { return []string{"HSET", "h", name(i), "value"} })
	fill(b, 5000, func(i int) []string { return []string{"ZADD", "z", name(i)[10:], name(i)} })
	for _, args := range [][]string{
		{"LRANGE", "l", "100", "120"}, {"LINDEX", "l", "2500"}, {"LLEN", "l"}, {"LMOVE", "l", "l", "LEFT", "RIGHT"},
		{"SISMEMBER", "s", name(77)}, {"SCARD", "s"}, {"SADD", "s", name(77)}, {"SMEMBERS", "s"},
		{"HGET", "h", name(77)}, {"HGETALL", "h"}, {"HLEN", "h"}, {"HMGET", "h", name(7), name(8)},
		{"ZSCORE", "z", name(77)}, {"ZRANK", "z", name(77)}, {"ZRANGE", "z", "1000", "1300"}, {"ZCARD", "z"},
		{"ZADD", "z", "7", name(7)}, {"ZRANGE", "z", "5", "9", "BYSCORE", "WITHSCORES"},
	} {
		c := Command{Spec: Lookup([]byte(args[0]))}
		for _, a := range args {
			c.Args = append(c.Args, []byte(a))
		}
		run := func() {
			b.out.b = b.out.b[:0]
			b.index++
			b.s.Begin(b.index, 1000, 1)
			b.s.Exec(&c, &b.out)
			b.s.End()
		}
		run()
		assert.Zero(t, testing.AllocsPerRun(20, run), "%q", args)
	}
}

// runBench measures one command on a collection that holds n members before; arg writes the number of the iteration
// into the command.
func runBench(t *testing.B, n int, load func(i int) []string, arg func(i int, args [][]byte), args ...string) {
	b := newBench()
	fill(b, n, load)
	c := Command{Spec: Lookup([]byte(args[0]))}
	for _, a := range args {
		c.Args = append(c.Args, []byte(a))
	}
	t.ReportAllocs()
	for i := 0; t.Loop(); i++ {
		if arg != nil {
			arg(i, c.Args)
		}
		b.out.b = b.out.b[:0]
		b.index++
		b.s.Begin(b.index, 1000, 1)
		b.s.Exec(&c, &b.out)
		b.s.End()
	}
}

const million = 1_000_000

// random writes a 16-byte pseudo-random member for i to b.
func random(i int, b []byte) {
	binary.BigEndian.PutUint64(b, splitMix(uint64(i)))
	binary.BigEndian.PutUint64(b[8:], splitMix(uint64(i)+1))
}

func randomName(i int) string {
	var b [16]byte
	random(i, b[:])
	return string(b[:])
}

const sixteen = "0123456789abcdef"

func BenchmarkLPush(b *testing.B) {
	runBench(b, million, func(int) []string { return []string{"RPUSH", "k", sixteen} }, nil, "LPUSH", "k", sixteen)
}

func BenchmarkRPopLPush(b *testing.B) {
	runBench(b, million, func(int) []string { return []string{"RPUSH", "k", sixteen} }, nil, "RPOPLPUSH", "k", "k")
}

func BenchmarkLIndex(b *testing.B) {
	runBench(b, million, func(int) []string { return []string{"RPUSH", "k", sixteen} }, nil, "LINDEX", "k", "500000")
}

func BenchmarkSAdd(b *testing.B) {
	runBench(b, million, func(i int) []string { return []string{"SADD", "k", randomName(i)} },
		func(i int, args [][]byte) { random(million+i, args[2]) }, "SADD", "k", sixteen)
}

func BenchmarkSIsMember(b *testing.B) {
	runBench(b, million, func(i int) []string { return []string{"SADD", "k", randomName(i)} },
		func(i int, args [][]byte) { random(i%million, args[2]) }, "SISMEMBER", "k", sixteen)
}

func BenchmarkHSet(b *testing.B) {
	runBench(b, million, func(i int) []string { return []string{"HSET", "k", randomName(i), "v"} },
		func(i int, args [][]byte) { random(i%million, args[2]) }, "HSET", "k", sixteen, "value")
}

func BenchmarkZAdd(b *testing.B) {
	runBench(b, million, func(i int) []string { return []string{"ZADD", "k", "1", randomName(i)} },
		func(i int, args [][]byte) { random(million+i, args[3]) }, "ZADD", "k", "1", sixteen)
}

func BenchmarkZRank(b *testing.B) {
	runBench(b, million, func(i int) []string { return []string{"ZADD", "k", "1", randomName(i)} },
		func(i int, args [][]byte) { random(i%million, args[2]) }, "ZRANK", "k", sixteen)
}

func BenchmarkZPopMin(b *testing.B) {
	runBench(b, 2*million, func(i int) []string { return []string{"ZADD", "k", "1", randomName(i)} }, nil, "ZPOPMIN", "k")
}

func BenchmarkSPop(b *testing.B) {
	runBench(b, 2*million, func(i int) []string { return []string{"SADD", "k", randomName(i)} }, nil, "SPOP", "k")
}
