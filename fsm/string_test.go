package fsm

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSetOptions(t *testing.T) {
	m := newMachine(t)
	script(t, m, [][2]string{
		{"set k v", "+OK"},
		{"get k", "$1 v"},
		{"set k w NX", "$-1"},
		{"set k w XX GET", "$1 v"},
		{"set n w XX", "$-1"},
		{"set n w NX GET", "$-1"},
		{"get n", "$1 w"},
		{"set k v EX 10", "+OK"},
		{"pttl k", ":10000"},
		{"set k v KEEPTTL", "+OK"},
		{"ttl k", ":10"},
		{"set k v PXAT 1700000005000", "+OK"},
		{"pttl k", ":5000"},
		{"set k v", "+OK"},
		{"pttl k", ":-1"},
		{"set k v EX 0", "-ERR invalid expire time in 'set' command"},
		{"set k v EX -1", "-ERR invalid expire time in 'set' command"},
		{"set k v EX 9223372036854775807", "-ERR invalid expire time in 'set' command"},
		{"set k v PX 9223372036854775807", "-ERR invalid expire time in 'set' command"},
		{"set k v EX x", "-ERR value is not an integer or out of range"},
		{"set k v EX", "-ERR syntax error"},
		{"set k v EX 1 PX 1", "-ERR syntax error"},
		{"set k v EX 1 KEEPTTL", "-ERR syntax error"},
		{"set k v KEEPTTL EX 1", "-ERR syntax error"},
		{"set k v NX XX", "-ERR syntax error"},
		{"set k v PERSIST", "-ERR syntax error"},
		{"set k v EX 5 ex 7", "+OK"},
		{"ttl k", ":7"},
		{"set k v EXAT 1", "+OK"},
		{"get k", "$-1"},
		{"dbsize", ":1"},
		{"SET k", "-ERR wrong number of arguments for 'set' command"},
		{"setex k 5 v", "+OK"},
		{"psetex k 0 v", "-ERR invalid expire time in 'psetex' command"},
		{"getex k persist", "$1 v"},
		{"ttl k", ":-1"},
		{"getex k exat 1", "$1 v"},
		{"exists k", ":0"},
		{"getex k ex 0", "$-1"},
	}...)
}

func TestIntegers(t *testing.T) {
	m := newMachine(t)
	script(t, m, [][2]string{
		{"incr n", ":1"},
		{"incrby n 9223372036854775806", ":9223372036854775807"},
		{"incr n", "-ERR increment or decrement would overflow"},
		{"decrby n -9223372036854775808", "-ERR decrement would overflow"},
		{"get n", "$19 9223372036854775807"},
		{"strlen n", ":19"},
		{"set n -9223372036854775808", "+OK"},
		{"strlen n", ":20"},
		{"decr n", "-ERR increment or decrement would overflow"},
		{"set n 01", "+OK"},
		{"incr n", "-ERR value is not an integer or out of range"},
		{"get n", "$2 01"},
		{"append n 2", ":3"},
		{"set n 1", "+OK"},
		{"append n 2", ":2"},
		{"incr n", ":13"},
		{"pexpire n 500", ":1"},
		{"incr n", ":14"},
		{"pttl n", ":500"},
		{"incrbyfloat n 0.1", "$4 14.1"},
		{"pttl n", ":500"},
		{"incrbyfloat n inf", "-ERR increment would produce NaN or Infinity"},
		{"incrbyfloat n x", "-ERR value is not a valid float"},
		{"incrbyfloat f 3.0e3", "$4 3000"},
		{"incrbyfloat f -3000", "$1 0"},
		{"incrby n 1", "-ERR value is not an integer or out of range"},
	}...)
}

func TestRanges(t *testing.T) {
	m := newMachine(t)
	script(t, m, [][2]string{
		{"set s Hello", "+OK"},
		{"getrange s 0 -1", "$5 Hello"},
		{"getrange s -3 -2", "$2 ll"},
		{"getrange s 3 1", "$0 "},
		{"substr s 1 100", "$4 ello"},
		{"getrange s -100 100", "$5 Hello"},
		{"setrange s 6 World", ":11"},
		{"get s", "$11 Hello\x00World"},
		{"setrange s -1 x", "-ERR offset is out of range"},
		{"setrange s 536870912 x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)"},
		{"setrange x 3 a", ":4"},
		{"get x", "$4 \x00\x00\x00a"},
		{"set i 12345", "+OK"},
		{"getrange i 1 2", "$2 23"},
		{"setrange i 0 9", ":5"},
		{"incr i", ":92346"},
	}...)
	require.Equal(t, ":0\r\n", m.do("setrange", "none", "5", ""))
	require.Equal(t, ":0\r\n", m.do("exists", "none"))
	require.Equal(t, ":5\r\n", m.do("setrange", "i", "9", ""))
}

func TestMany(t *testing.T) {
	m := newMachine(t)
	script(t, m, [][2]string{
		{"mset a 1 b 2 a 3", "+OK"},
		{"mget a b c", "*3 $1 3 $1 2 $-1"},
		{"mset a 1 b", "-ERR wrong number of arguments for 'mset' command"},
		{"msetnx c 1 a 2", ":0"},
		{"exists c", ":0"},
		{"msetnx c 1 d 2", ":1"},
		{"msetnx e", "-ERR wrong number of arguments for 'msetnx' command"},
		{"getdel a", "$1 3"},
		{"getdel a", "$-1"},
		{"getset a x", "$-1"},
		{"getset a y", "$1 x"},
		{"setnx a z", ":0"},
		{"setnx z z", ":1"},
		{"exists a a nope z", ":3"},
		{"unlink a a z", ":2"},
	}...)
}

func TestWrongType(t *testing.T) {
	m := newMachine(t)
	m.do("rpush", "l", "x")
	for _, cmd := range []string{"get l", "getdel l", "getex l", "getset l x", "append l x", "incr l", "incrbyfloat l 1",
		"getrange l 0 1", "setrange l 0 x", "setrange l 0 x", "strlen l", "set l x GET"} {
		require.Equal(t, "-"+errWrongType, m.line(cmd), cmd)
	}
	require.Equal(t, "*1 $-1", m.line("mget l"))
	require.Equal(t, "-"+errLCSType, m.line("lcs l x"))
	require.Equal(t, "+list", m.line("type l"))
	require.Equal(t, "+OK", m.line("set l x"))
}

func TestLCS(t *testing.T) {
	m := newMachine(t)
	script(t, m, [][2]string{
		{"mset a ohmytext b mynewtext", "+OK"},
		{"lcs a b", "$6 mytext"},
		{"lcs a b len", ":6"},
		{"lcs a b idx", "*4 $7 matches *2 *2 *2 :4 :7 *2 :5 :8 *2 *2 :2 :3 *2 :0 :1 $3 len :6"},
		{"lcs a b idx minmatchlen 4 withmatchlen", "*4 $7 matches *1 *3 *2 :4 :7 *2 :5 :8 :4 $3 len :6"},
		{"lcs a none", "$0 "},
		{"lcs a b idx len", "-ERR If you want both the length and indexes, please just use IDX."},
		{"lcs a b minmatchlen", "-ERR syntax error"},
	}...)
	m.do("set", "a", strings.Repeat("a", 20000))
	m.do("set", "b", strings.Repeat("b", 20000))
	require.Equal(t, "-"+errLCSMemory, m.line("lcs a b"))
}

// The scratch that a huge key or element leaves behind goes with its entry.
func TestScratchIsTrimmed(t *testing.T) {
	m := newMachine(t)
	key := strings.Repeat("k", 1<<20)
	m.do("set", key, "v")
	m.do("append", key, "w")
	m.do("rename", key, key+"2")
	m.do("rpush", "a", key, key)
	m.do("lmove", "a", "b", "left", "right")
	require.LessOrEqual(t, cap(m.s.tx.held), maxRaw)
	require.LessOrEqual(t, cap(m.s.tx.buf), maxRaw)
	require.Equal(t, bulk("vw"), m.do("get", key+"2"))
}
