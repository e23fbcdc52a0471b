package resp

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/fsm"
	"kvapp/internal/config"
)

// What CONFIG GET shows are the limits that the state machine applies.
func TestLimitsOfEncodings(t *testing.T) {
	for name, want := range map[string]int{
		"hash-max-listpack-entries": fsm.HashMaxListpackEntries, "hash-max-listpack-value": fsm.HashMaxListpackValue,
		"set-max-intset-entries": fsm.SetMaxIntsetEntries, "set-max-listpack-entries": fsm.SetMaxListpackEntries,
		"set-max-listpack-value": fsm.SetMaxListpackValue, "zset-max-listpack-entries": fsm.ZSetMaxListpackEntries,
		"zset-max-listpack-value": fsm.ZSetMaxListpackValue, "list-max-listpack-size": fsm.ListMaxListpackSize,
	} {
		require.Equal(t, strconv.Itoa(want), config.Lookup(name).Default(), name)
	}
}

func TestObject(t *testing.T) {
	_, servers := cluster(t, 2)
	c, follower := dial(t, addrOf(servers[0])), dial(t, addrOf(servers[1]))
	for _, step := range [][2]string{
		{"SET a 1", "+OK\r\n"},
		{"OBJECT ENCODING a", bulk("int")},
		{"OBJECT REFCOUNT a", ":2147483647\r\n"},
		{"OBJECT ENCODING", "-ERR wrong number of arguments for 'object|encoding' command\r\n"},
		{"OBJECT FREQ a", "-ERR unknown subcommand 'FREQ'. Try OBJECT HELP.\r\n"},
		{"OBJECT ENCODING nokey", "$-1\r\n"},
		{"COMMAND GETKEYS OBJECT ENCODING a", "*1\r\n" + bulk("a")},
	} {
		require.Equal(t, step[1], c.do(step[0]), step[0])
	}
	require.Contains(t, c.do("OBJECT HELP"), "+ENCODING <key>\r\n")
	require.Equal(t, "-MOVED 15495 "+addrOf(servers[0])+"\r\n", follower.do("OBJECT ENCODING a"))
	require.Contains(t, follower.do("OBJECT HELP"), "+ENCODING <key>\r\n")
	follower.do("READONLY")
	require.Equal(t, bulk("int"), follower.do("OBJECT ENCODING a"))
}
