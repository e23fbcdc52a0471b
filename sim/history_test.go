package sim

import (
	"testing"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
)

// The second opinion must say no to what it exists for, and yes to what only looks odd.
func TestSecondOpinion(t *testing.T) {
	const never = 1 << 62
	bulk := func(s string) reply { return reply{kind: '$', text: s} }
	number := func(n int64) reply { return reply{kind: ':', num: n} }
	ok, absent := reply{kind: '+', text: "OK"}, reply{kind: '_'}
	done := func(begin, end int64, v verb, arg string, r reply) operation {
		return operation{client: int(begin), verb: v, arg: arg, reply: r, known: true, begin: begin, end: end}
	}
	lost := func(begin int64, v verb, arg string) operation {
		return operation{client: int(begin), verb: v, arg: arg, begin: begin, end: never}
	}
	for _, c := range []struct {
		name  string
		kind  byte
		legal bool
		ops   []operation
	}{
		{"read what was set", 'r', true, []operation{done(1, 2, set, "5", ok), done(3, 4, get, "", bulk("5"))}},
		{"read something else", 'r', false, []operation{done(1, 2, set, "5", ok), done(3, 4, get, "", bulk("6"))}},
		{"stale read", 'r', false, []operation{done(1, 2, set, "5", ok), done(3, 4, get, "", absent)}},
		{"read during the write", 'r', true, []operation{done(1, 9, set, "5", ok), done(3, 4, get, "", absent)}},
		{"back in time", 'r', false, []operation{
			done(1, 9, set, "5", ok), done(3, 4, get, "", bulk("5")), done(5, 6, get, "", absent)}},
		{"in doubt and done", 'r', true, []operation{lost(1, set, "5"), done(3, 4, get, "", absent), done(5, 6, get, "", bulk("5"))}},
		{"setnx twice", 'r', false, []operation{done(1, 2, setnx, "5", number(1)), done(3, 4, setnx, "6", number(1))}},
		{"setnx refused", 'r', true, []operation{done(1, 2, setnx, "5", number(1)), done(3, 4, setnx, "6", number(0))}},
		{"an error instead", 'r', false, []operation{done(1, 2, get, "", reply{kind: '-', text: "ERR"})}},
		{"counted", 'c', true, []operation{
			done(1, 2, incrby, "5", number(5)), done(3, 4, incrby, "2", number(7)), done(5, 6, get, "", bulk("7"))}},
		{"lost count", 'c', false, []operation{done(1, 2, incrby, "5", number(5)), done(3, 4, incrby, "2", number(2))}},
		{"not as a number is written", 'c', false, []operation{done(1, 2, incrby, "5", number(5)), done(3, 4, get, "", bulk("05"))}},
		{"appended", 'l', true, []operation{
			done(1, 9, appendTo, "5,", number(4)), done(1, 9, appendTo, "6,", number(2)), done(10, 11, get, "", bulk("6,5,"))}},
		{"in the other order", 'l', false, []operation{
			done(1, 9, appendTo, "5,", number(4)), done(1, 9, appendTo, "6,", number(2)), done(10, 11, get, "", bulk("5,6,"))}},
		{"appended twice", 'l', false, []operation{done(1, 2, appendTo, "5,", number(2)), done(3, 4, get, "", bulk("5,5,"))}},
	} {
		k := key{name: string(c.kind), history: c.ops}
		verdict := k.judge(judgeTime)
		if c.legal {
			require.Equal(t, porcupine.Ok, verdict, c.name)
		} else {
			require.Equal(t, porcupine.Illegal, verdict, c.name)
		}
	}
}
