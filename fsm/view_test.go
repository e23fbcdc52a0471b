package fsm

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// A reader freezes the state between two commands of one entry: what the first wrote, the second may not change in place.
func TestViewInTheMiddleOfAnEntry(t *testing.T) {
	for _, cmds := range [][2][]string{
		{{"set", "k", "first"}, {"set", "k", "other"}},
		{{"set", "k", "41"}, {"incr", "k"}},
		{{"set", "k", "first", "px", "100000"}, {"pexpire", "k", "200000"}},
		{{"rpush", "k", "a", "b"}, {"lset", "k", "0", "c"}},
		{{"hset", "k", "f", "a"}, {"hset", "k", "f", "b"}},
		{{"append", "k", "first"}, {"setrange", "k", "0", "other"}},
	} {
		m := newMachine(t)
		m.do("set", "before", "1")
		m.s.Freeze().Close() // another epoch than that of the beginning
		m.s.Begin(m.index+1, m.now, 1)
		first, second := command(t, 0, cmds[0]...), command(t, 0, cmds[1]...)
		m.s.Exec(&first, &m.out)
		v := m.s.freeze()
		var before, after bytes.Buffer
		_, err := v.WriteTo(&before)
		require.NoError(t, err)
		m.s.Exec(&second, &m.out)
		m.s.End()
		_, err = v.WriteTo(&after)
		require.NoError(t, err)
		require.True(t, bytes.Equal(before.Bytes(), after.Bytes()), "%q", cmds)
		v.Close()
		require.NotEqual(t, before.Bytes(), payload(t, m.s))
		require.NoError(t, m.s.Check())
	}
}
