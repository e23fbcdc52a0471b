package fsm

import (
	"fmt"
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
