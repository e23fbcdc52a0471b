package resp

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What the commands on deadlines of fields look like from outside; what they do is tried in fsm.
func TestHashFieldExpiry(t *testing.T) {
	_, _, c := one(t)
	for _, row := range [][2]string{
		{"HSET h a 1 b 2 c 3", ":3\r\n"},
		{"HEXPIRE h 100 FIELDS 2 a none", "*2\r\n:1\r\n:-2\r\n"},
		{"HTTL h FIELDS 2 a b", "*2\r\n:100\r\n:-1\r\n"},
		{"HEXPIRE h 100 FIELDS 1", "-ERR wrong number of arguments for 'hexpire' command\r\n"},
		{"HPEXPIRE h 0 FIELDS 1 c", "*1\r\n:2\r\n"},
		{"HGETALL h", "*4\r\n" + bulk("a") + bulk("1") + bulk("b") + bulk("2")},
		{"COMMAND GETKEYS HEXPIRE h 1 FIELDS 1 f", "*1\r\n" + bulk("h")},
	} {
		require.Equal(t, row[1], c.do(row[0]), row[0])
	}
	require.Contains(t, c.do("INFO keyspace"), "db0:keys=1,expires=0,avg_ttl=0,subexpiry=1\r\n")
	require.Contains(t, c.do("INFO stats"), "expired_subkeys:1\r\n")
	c.do("CONFIG RESETSTAT")
	require.Contains(t, c.do("INFO stats"), "expired_subkeys:0\r\n")
	words := ":1\r\n:1\r\n:1\r\n*3\r\n"
	for name, want := range map[string]string{
		"hexpire":      ":-6\r\n*3\r\n+write\r\n+denyoom\r\n+fast\r\n" + words + "+@write\r\n+@hash\r\n+@fast\r\n",
		"hpersist":     ":-5\r\n*2\r\n+write\r\n+fast\r\n" + words + "+@write\r\n+@hash\r\n+@fast\r\n",
		"hpexpiretime": ":-5\r\n*2\r\n+readonly\r\n+fast\r\n" + words + "+@read\r\n+@hash\r\n+@fast\r\n",
	} {
		require.Contains(t, c.do("COMMAND INFO "+name), bulk(name)+want)
	}
	c.do("HELLO 3")
	require.Equal(t, "*1\r\n:-1\r\n", c.do("HPTTL h FIELDS 1 b"))
}
