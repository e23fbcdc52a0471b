package sim

import (
	"testing"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
)

// A key that was evicted is absent from then on, until it is written to again: of that the log decides, not the reader.
func TestModelOfEvictions(t *testing.T) {
	w := &World{o: DrawSmall(1), keyAt: map[string]int{"l0.0": 0}, keys: []*key{{name: "l0.0"}}}
	w.o.Policy = 1
	k := w.keys[0]
	evict := func(index uint64, version string) {
		w.evict(index, [][]byte{[]byte("1"), []byte("x5"), []byte(version), []byte("l0.0")})
	}
	text := func(s string) *reply { return &reply{kind: '$', text: s} }
	shows := func(r *reply, low uint64) bool {
		_, ok := k.shows(r, low, ^uint64(0))
		return ok
	}
	absent := &reply{kind: '_'}
	evict(1, "1")
	require.Empty(t, k.versions, "it was not there")
	k.run(3, appendTo, 0, [][]byte{[]byte("7,")})
	k.run(5, appendTo, 0, [][]byte{[]byte("8,")})
	evict(6, "3")
	require.True(t, shows(text("7,8,"), 6), "it was written to since it was chosen")
	require.False(t, shows(absent, 6))
	evict(7, "5")
	require.True(t, shows(absent, 7))
	require.True(t, shows(text("7,8,"), 6), "a read that began before")
	require.False(t, shows(text("7,8,"), 7))
	require.Equal(t, reply{kind: ':', num: 2}, k.run(8, appendTo, 0, [][]byte{[]byte("9,")}))
	require.True(t, shows(text("9,"), 8))
	require.False(t, shows(text("7,8,9,"), 5))
	require.False(t, shows(absent, 8))
	require.Nil(t, w.failure)
	require.EqualValues(t, 1, w.reached[keyEvicted])
	require.EqualValues(t, 2, w.reached[evictionSpared])

	w.o.Policy = 4 // only what has a deadline
	evict(9, "8")
	require.Equal(t, "evicts-by-its-policy", w.failure.Invariant)
	w.o.Policy, w.failure = 0, nil
	evict(9, "8")
	require.Equal(t, "evicts-by-its-policy", w.failure.Invariant)
}

// The second opinion is told of evictions where the log has them, and does not take them for an excuse.
func TestEvictionsInTheHistory(t *testing.T) {
	tokens := []token{{fate: executed, index: 3}, {fate: executed, index: 8}}
	write := func(begin, end int64, id uint32, arg string) operation {
		ok := reply{kind: '+', text: "OK"}
		return operation{client: int(begin), verb: set, arg: arg, token: id, reply: ok, known: true, begin: begin, end: end}
	}
	read := func(begin, end int64, r reply) operation {
		return operation{client: int(begin), verb: get, reply: r, known: true, begin: begin, end: end}
	}
	ops := []operation{write(1, 2, 0, "0"), {verb: evicted, known: true, index: 5, end: never}, write(6, 9, 1, "1")}
	zero, one, absent := reply{kind: '$', text: "0"}, reply{kind: '$', text: "1"}, reply{kind: '_'}
	got := resolve(ops, tokens)
	require.EqualValues(t, 1, got[1].begin)
	require.EqualValues(t, 9, got[1].end)
	for _, c := range []struct {
		name  string
		legal bool
		reads []operation
	}{
		{"gone before the next write", true, []operation{read(3, 4, zero), read(5, 6, absent), read(10, 11, one)}},
		{"gone behind it", false, []operation{read(10, 11, absent)}},
		{"gone and back", false, []operation{read(3, 4, absent), read(5, 6, zero)}},
		{"never gone", true, []operation{read(3, 4, zero), read(10, 11, one)}},
	} {
		k := key{name: "r", history: resolve(append(ops[:len(ops):len(ops)], c.reads...), tokens)}
		want := porcupine.Illegal
		if c.legal {
			want = porcupine.Ok
		}
		require.Equal(t, want, k.judge(judgeTime), c.name)
	}
}
