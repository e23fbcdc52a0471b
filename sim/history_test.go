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

// What the log says of commands in doubt may end a search, and must not hide what a client has seen.
func TestTheLogDecidesAboutDoubts(t *testing.T) {
	const never = 1 << 62
	done := func(begin, end int64, token uint32, arg string, r reply) operation {
		return operation{client: int(begin), verb: appendTo, arg: arg, token: token, reply: r, known: true, begin: begin, end: end}
	}
	lost := func(begin int64, token uint32, arg string) operation {
		return operation{client: int(begin), verb: appendTo, arg: arg, token: token, begin: begin, end: never}
	}
	shown := func(begin, end int64, text string) operation {
		return operation{client: int(begin), verb: get, reply: reply{kind: '$', text: text}, known: true, begin: begin, end: end}
	}
	number := func(n int64) reply { return reply{kind: ':', num: n} }
	tokens := []token{{fate: executed, index: 3}, {fate: executed, index: 5}, {fate: proposed}, {fate: notInLog}}
	ops := []operation{lost(1, 0, "0,"), done(4, 9, 1, "1,", number(4)), lost(2, 2, "2,"), lost(3, 3, "3,")}

	got := resolve(ops, tokens)
	require.Len(t, got, 2, "what is in no log has not happened")
	require.EqualValues(t, 9, got[0].end, "the log holds it before what was answered then")
	require.EqualValues(t, never, ops[0].end, "the history itself stays as it was")

	for _, c := range []struct {
		name  string
		legal bool
		more  operation
	}{
		{"as the log says", true, shown(10, 11, "0,1,")},
		{"before both", true, shown(5, 6, "0,")},
		{"what is in no log", false, shown(10, 11, "0,1,2,")},
		{"in another order", false, shown(10, 11, "1,0,")},
		{"without the one in doubt", false, shown(10, 11, "1,")},
	} {
		k := key{name: "l", history: resolve(append(ops[:len(ops):len(ops)], c.more), tokens)}
		want := porcupine.Illegal
		if c.legal {
			want = porcupine.Ok
		}
		require.Equal(t, want, k.judge(judgeTime), c.name)
	}
}
