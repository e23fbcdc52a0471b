package fsm

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A packed collection of exactly as many bytes as a record takes stands there, one that is a byte longer does not, whichever way
// it came to that length.
func TestPackedUpToTheLastByte(t *testing.T) {
	name := func(i int) string { return "e" + strconv.Itoa(1000+i) + strings.Repeat("x", 40) }
	for _, c := range []struct {
		add  []string
		rest func(n int) []string // changes the last element to one of n bytes
	}{
		{[]string{"rpush", "k"}, func(n int) []string { return []string{"lset", "k", "-1", strings.Repeat("y", n)} }},
		{[]string{"hset", "k", "f"}, func(n int) []string { return []string{"hset", "k", "f", strings.Repeat("y", n)} }},
	} {
		m := newMachine(t)
		if c.add[0] == "rpush" {
			for i := range 43 {
				m.do("rpush", "k", name(i))
			}
		} else {
			for i := range 42 {
				m.do("hset", "k", strconv.Itoa(200+i), name(i))
			}
		}
		m.do(append(c.add, "y")...)
		seen := map[int]bool{}
		grow := func(n int) {
			m.do(c.rest(n)...)
			require.NoError(t, m.s.Check())
			it := m.s.dbs[0].Load().itemAt(int(Slot([]byte("k"))), 0)
			size := len(*it.collection(new(light)).packed())
			seen[size] = true
			require.Equal(t, size <= maxPacked, it.enc() >= encPacked, "%s: %d bytes", c.add[0], size)
		}
		for n := 1; n <= 60; n++ {
			grow(n)
		}
		for n := 60; n > 0; n-- {
			grow(n)
		}
		for size := maxPacked - 1; size <= maxPacked+2; size++ {
			require.True(t, seen[size], "%s: %d bytes were not met", c.add[0], size)
		}
	}
}
