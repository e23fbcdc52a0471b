package resp

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// PFCOUNT is a read to clients. On the leader it notes the count in the key, through the log; a follower answers and changes
// nothing.
func TestPFCountNotesTheCount(t *testing.T) {
	_, servers := cluster(t, 2)
	c, follower := dial(t, addrOf(servers[0])), dial(t, addrOf(servers[1]))
	stale := func(reply string) bool { return reply[strings.Index(reply, "HYLL")+15]&0x80 != 0 }
	require.Equal(t, ":1\r\n", c.do("PFADD h a b c"))
	require.Equal(t, "+OK\r\n", follower.do("READONLY"))
	require.Equal(t, ":3\r\n", follower.do("PFCOUNT h"))
	require.True(t, stale(c.do("GET h")))
	require.Equal(t, ":3\r\n", c.do("PFCOUNT h"))
	require.False(t, stale(c.do("GET h")))
	require.False(t, stale(follower.do("GET h")))
	require.Equal(t, ":3\r\n", c.do("PFCOUNT h"))
	require.Equal(t, ":1\r\n", c.do("PFADD h d"))
	require.Equal(t, ":4\r\n", c.do("PFCOUNT h none"))
	require.True(t, stale(c.do("GET h")))
	require.Equal(t, "+OK\r\n", c.do("PFSELFTEST"))
	require.Equal(t, "+sparse\r\n", c.do("PFDEBUG ENCODING h"))
}
