package fsm

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A group does what its commands do one by one, wherever their keys lie and whatever the commands before them did to
// those keys.
func TestExecGroup(t *testing.T) {
	key := rapid.Custom(func(t *rapid.T) string {
		return fmt.Sprintf("{%d}%d", rapid.IntRange(0, 2).Draw(t, "slot"), rapid.IntRange(0, 40).Draw(t, "key"))
	})
	rapid.Check(t, func(t *rapid.T) {
		grouped, single := NewStore(), NewStore()
		for index := uint64(1); index <= 20; index++ {
			now := 1_700_000_000_000 + int64(index)
			grouped.Begin(index, now, index)
			single.Begin(index, now, index)
			var cmds []*Command
			var outs []Out
			var want []*wire
			for range rapid.IntRange(1, Group).Draw(t, "commands") {
				k, db := key.Draw(t, "key"), rapid.IntRange(0, 1).Draw(t, "db")
				words := rapid.SampledFrom([][]string{
					{"SET", k, "v"}, {"SET", k, "7", "PX", "2"}, {"DEL", k}, {"INCR", k}, {"APPEND", k, "x"}, {"GET", k}, {"SPOP", k},
					{"RENAME", k, key.Draw(t, "to")}, {"MOVE", k, "1"}, {"LPUSH", k, "a"}, {"SADD", k, "a", "b"}, {"MSET", k, "1", key.Draw(t, "two"), "2"},
					{"FLUSHDB"}, {"SWAPDB", "0", "1"}, {"RANDOMKEY"}, {"SET", "", "empty"},
				}).Draw(t, "words")
				c, same := command(t, db, words...), command(t, db, words...)
				if rapid.Bool().Draw(t, "placed") {
					grouped.Place(&c)
				}
				cmds, outs, want = append(cmds, &c), append(outs, &wire{}), append(want, &wire{})
				single.Exec(&same, want[len(want)-1])
			}
			grouped.ExecGroup(cmds, outs)
			grouped.End()
			single.End()
			for i := range want {
				require.Equal(t, string(want[i].b), string(outs[i].(*wire).b), "%s", cmds[i].Raw)
			}
			require.NoError(t, grouped.Check())
		}
		require.Equal(t, stateHash(single), stateHash(grouped))
	})
}

// A group of reads answers what each of them would alone, and ends early when its replies are large.
func TestReadGroup(t *testing.T) {
	m := newMachine(t)
	for i := range 100 {
		m.do("SET", fmt.Sprintf("s%d", i), strings.Repeat("v", 100))
		m.do("HSET", fmt.Sprintf("h%d", i), "f", "1")
	}
	m.do("SET", "due", "v", "PX", "1")
	m.now += 10
	m.do("SET", "n", "1")
	rapid.Check(t, func(t *rapid.T) {
		var cmds []Command
		for range rapid.IntRange(1, 50).Draw(t, "commands") {
			i := rapid.IntRange(0, 120).Draw(t, "i")
			words := rapid.SampledFrom([][]string{
				{"GET", fmt.Sprintf("s%d", i)}, {"HGET", fmt.Sprintf("h%d", i), "f"}, {"GET", fmt.Sprintf("h%d", i)}, {"GET", "due"}, {"TTL", "due"},
				{"EXISTS", "s1", fmt.Sprintf("s%d", i)}, {"MGET", "s1", "s2"}, {"DBSIZE"}, {"GET", ""}, {"LRANGE", "s1", "0", "1"}, {"STRLEN", "s1"},
			}).Draw(t, "words")
			c := command(t, 0, words...)
			if rapid.IntRange(0, 9).Draw(t, "placed") > 0 {
				m.s.Place(&c)
			}
			cmds = append(cmds, c)
		}
		var want, got wire
		for i := range cmds {
			m.s.Read(&cmds[i], &want)
		}
		for from := 0; from < len(cmds); {
			n := m.s.ReadGroup(cmds[from:], &got, 1<<20)
			require.Positive(t, n)
			from += n
		}
		require.Equal(t, string(want.b), string(got.b))
	})
	var cmds []Command
	for range Group {
		cmds = append(cmds, command(t, 0, "GET", "s1"))
		m.s.Place(&cmds[len(cmds)-1])
	}
	var out wire
	require.Equal(t, 3, m.s.ReadGroup(cmds, &out, 250))
	require.Equal(t, 1, m.s.ReadGroup(cmds, &out, 0), "one goes in any case")
	require.Equal(t, Group, m.s.ReadGroup(cmds, &out, 1<<20))
}
