//go:build oracle

package fsm

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOracleDigest compares the digests of values and of whole keyspaces of all types with those of redis-server.
func TestOracleDigest(t *testing.T) {
	o, m := startRedis(t), newMachine(t)
	both := func(cmd ...string) {
		require.Equal(t, o.do(cmd...)[0], m.do(cmd...)[0], cmd)
	}
	same := func(why any) {
		require.Equal(t, o.ask("debug", "digest"), strings.TrimSuffix(m.do("debug", "digest")[1:], "\r\n"), why)
	}
	same("empty")
	for db, name := range []string{"0", "1", "5", "15"} {
		o.do("select", name)
		m.db = []int{0, 1, 5, 15}[db]
		both("set", "int", "-12345")
		both("set", "text", "a\x00b")
		both("set", "long", sized(100))
		both("append", "int", "7")
		both("incrbyfloat", "float", "3.25")
		same(name)
		both(series(300, letters, "rpush", "list", "1", "-5", "")...)
		both(series(300, letters, "sadd", "set", "1")...)
		both("sadd", "ints", "5", "-7", "9223372036854775807")
		both(series(600, pairs, "hset", "hash", "f", sized(90))...)
		both("hset", "small", "1", "2", "a", "")
		same(name)
		for i, score := range []string{"1", "-1", "0", "0.1", "1e300", "5e-324", "100000", "1e16", "1e17", "123456789012345678", "inf", "-inf", "3.0000000000000004", "1e-5", "0.0001"} {
			both("zadd", "zset", score, letters(i)[0])
			both("zadd", "single", score, "m")
			same(score)
		}
		both(series(200, scored, "zadd", "large")...)
		both("pexpire", "list", "10000000")
		same(name)
		for _, key := range []string{"int", "text", "long", "float", "list", "set", "ints", "hash", "small", "zset", "large", "none"} {
			require.Equal(t, o.do("debug", "digest-value", key, "int"), m.do("debug", "digest-value", key, "int"), key)
		}
	}
	both("del", "int")
	both("persist", "list")
	same("changed")
}
