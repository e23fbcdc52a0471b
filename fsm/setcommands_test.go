package fsm

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// parseScan splits the reply of a scan into the next cursor and the elements.
func parseScan(t require.TestingT, reply string) (cursor string, elements []string) {
	lines := strings.Split(reply, "\r\n")
	require.Equal(t, "*2", lines[0], reply)
	for i := 5; i < len(lines); i += 2 {
		elements = append(elements, lines[i])
	}
	return lines[2], elements
}

// TestScanGuarantee changes a set during a scan: what is in it all the time is returned.
func TestScanGuarantee(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBench()
		n := rapid.IntRange(1, 1000).Draw(t, "n")
		stay := map[string]bool{}
		for i := range n {
			b.do("SADD", "s", name(i))
			stay[name(i)] = true
		}
		seen := map[string]bool{}
		cursor := "0"
		for round := 0; ; round++ {
			require.Less(t, round, 5000)
			next, elements := parseScan(t, b.do("SSCAN", "s", cursor, "COUNT", strconv.Itoa(rapid.IntRange(1, 300).Draw(t, "count"))))
			for _, e := range elements[:] {
				seen[e] = true
			}
			if cursor = next; cursor == "0" {
				break
			}
			for range rapid.IntRange(0, 20).Draw(t, "removed") {
				m := name(rapid.IntRange(0, n-1).Draw(t, "member"))
				b.do("SREM", "s", m)
				delete(stay, m)
			}
			for range rapid.IntRange(0, 20).Draw(t, "added") {
				b.do("SADD", "s", "x"+strconv.Itoa(rapid.IntRange(0, 100000).Draw(t, "new")))
			}
		}
		for m := range stay {
			require.True(t, seen[m], m)
		}
	})
}

func TestScanShapes(t *testing.T) {
	b := newBench()
	fill(b, 300, func(i int) []string { return []string{"HSET", "h", name(i), "v"} })
	fill(b, 300, func(i int) []string { return []string{"ZADD", "z", "1.5", name(i)} })
	cursor, elements := parseScan(t, b.do("HSCAN", "h", "0", "COUNT", "100"))
	require.Equal(t, "200", cursor)
	require.Len(t, elements, 200)
	cursor, elements = parseScan(t, b.do("ZSCAN", "z", "0", "COUNT", "1000", "MATCH", "*00029?"))
	require.Equal(t, "0", cursor)
	require.Len(t, elements, 20)
	require.Contains(t, elements, "1.5")
	require.Equal(t, "*2\r\n$1\r\n0\r\n*0\r\n", b.do("SSCAN", "none", "17", "COUNT", "nonsense"))
	require.Equal(t, "-"+errCursor+"\r\n", b.do("SSCAN", "none", "x"))
	require.Equal(t, "-"+errSyntax+"\r\n", b.do("HSCAN", "h", "0", "COUNT", "0"))
	require.Equal(t, "-"+errWrongType+"\r\n", b.do("SSCAN", "h", "0"))
}

// TestRandomIsDeterministic runs random writes twice, on stores with different hash seeds.
func TestRandomIsDeterministic(t *testing.T) {
	run := func() (replies string, states [][]byte) {
		b := newBench()
		fill(b, 2000, func(i int) []string { return []string{"SADD", "s", name(i)} })
		for i := range 300 {
			replies += b.do("SPOP", "s") + b.do("SPOP", "s", strconv.Itoa(i%4)) + b.do("SRANDMEMBER", "s", "-3")
			b.do("SADD", "s", name(i))
		}
		b.do("SUNIONSTORE", "u", "s", "t")
		b.do("ZUNIONSTORE", "z", "2", "s", "u")
		replies += b.do("ZRANDMEMBER", "z", "5") + b.do("SMEMBERS", "u")
		for _, k := range []string{"s", "u", "z"} {
			states = append(states, b.object(t, k).appendTo(nil))
		}
		return replies, states
	}
	r1, s1 := run()
	r2, s2 := run()
	require.Equal(t, r1, r2)
	require.Equal(t, s1, s2)
}

// TestRandomPicks checks counts, distinctness and membership.
func TestRandomPicks(t *testing.T) {
	b := newBench()
	fill(b, 50, func(i int) []string { return []string{"HSET", "h", name(i), "v"} })
	for _, count := range []int{1, 7, 25, 49, 50, 51} {
		lines := strings.Split(strings.TrimSuffix(b.do("HRANDFIELD", "h", strconv.Itoa(count)), "\r\n"), "\r\n")
		var got []string
		for i := 2; i < len(lines); i += 2 {
			got = append(got, lines[i])
		}
		slices.Sort(got)
		require.Len(t, slices.Compact(got), min(count, 50))
		require.True(t, strings.HasPrefix(b.do("HRANDFIELD", "h", strconv.Itoa(-count)), fmt.Sprintf("*%d\r\n", count)))
	}
	seen := map[string]bool{}
	for range 2000 {
		seen[b.do("HRANDFIELD", "h")] = true
	}
	require.Len(t, seen, 50, "every field has a chance")
	require.Equal(t, "-"+errOutOfRange+"\r\n", b.do("HRANDFIELD", "h", "-16777217"))
	require.Equal(t, "-"+errLongRange+"\r\n", b.do("HRANDFIELD", "h", "-9223372036854775808"))
}

// TestRandomIsEven draws one of ten again and again: none comes much more often than another, and neighbours in the log
// do not repeat each other.
func TestRandomIsEven(t *testing.T) {
	b := newBench()
	for i := range 10 {
		m := strconv.Itoa(i)
		b.do("SADD", "s", m)
		b.do("HSET", "h", m, "v")
		b.do("ZADD", "z", m, m)
	}
	b.do("COPY", "s", "keep")
	last := func(reply string) string {
		lines := strings.Split(reply, "\r\n")
		return lines[len(lines)-2]
	}
	const draws = 20000
	for _, cmd := range [][]string{{"SRANDMEMBER", "s"}, {"SRANDMEMBER", "s", "1"}, {"SRANDMEMBER", "s", "3"}, {"SRANDMEMBER", "s", "-3"}, {"HRANDFIELD", "h"},
		{"ZRANDMEMBER", "z", "2"}, {"SPOP", "s"}, {"SPOP", "s", "4"}} {
		seen, same, before := map[string]int{}, 0, ""
		for range draws {
			m := last(b.do(cmd...))
			seen[m]++
			if m == before {
				same++
			}
			before = m
			if cmd[0] == "SPOP" {
				b.do("COPY", "keep", "s", "REPLACE")
			}
		}
		require.Len(t, seen, 10, "%q", cmd)
		for m, n := range seen {
			require.InDelta(t, draws/10, n, draws/100, "%q %s", cmd, m)
		}
		require.InDelta(t, draws/10, same, draws/100, "%q repeats", cmd)
	}
	b.do("FLUSHALL")
	for i := range 10 {
		b.do("SET", strconv.Itoa(i)+"{"+strconv.Itoa(i/3)+"}", "v")
	}
	seen := map[string]int{}
	for range draws {
		seen[last(b.do("RANDOMKEY"))]++
	}
	require.Len(t, seen, 10)
	for k, n := range seen {
		require.InDelta(t, draws/10, n, draws/100, "RANDOMKEY %s", k)
	}
}

// counter is an Out that keeps the length of a reply only.
type counter struct {
	wire
	n int
}

func (c *counter) Bulk(b []byte)       { c.n += len(b) }
func (c *counter) BulkString(s string) { c.n += len(s) }
func (c *counter) Len() int            { return c.n + len(c.b) }
func (c *counter) Truncate(int)        { c.n, c.b = 0, c.b[:0] }

// TestRandomReplyIsBounded asks for more than the largest string.
func TestRandomReplyIsBounded(t *testing.T) {
	b := newBench()
	b.do("SADD", "s", strings.Repeat("x", 1<<20))
	var out counter
	c := Command{Spec: Lookup([]byte("srandmember")), Args: [][]byte{[]byte("srandmember"), []byte("s"), []byte("-16000000")}}
	b.s.Read(&c, &out)
	require.Equal(t, "-"+errOutOfRange+"\r\n", string(out.b))
}
