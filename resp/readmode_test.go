package resp

import (
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/node"
)

// RAFT READMODE decides how this connection's reads are served, until it says otherwise or is reset.
func TestReadMode(t *testing.T) {
	fakes, servers := cluster(t, 2)
	f := fakes[1]
	c, other := dial(t, addrOf(servers[1])), dial(t, addrOf(servers[1]))
	mode := func() (node.ReadMode, int64) {
		m := f.mode.Load()
		return m.mode, m.maxStale
	}
	for _, x := range [][2]string{
		{"RAFT READMODE lease", "default"}, {"RAFT READMODE quorum", "quorum"}, {"RAFT READMODE STALE 250", "stale 250"},
		{"RAFT READMODE stale 86400000", "stale 86400000"}, {"RAFT READMODE Default", "default"},
	} {
		require.Equal(t, "+OK\r\n", c.do(x[0]), x[0])
		require.Equal(t, bulk(x[1]), c.do("RAFT READMODE"), x[0])
	}
	for _, line := range []string{"RAFT READMODE", "RAFT READMODE default"} {
		c.do(line)
		require.Regexp(t, `^-MOVED `, c.do("GET a"))
	}
	c.do("RAFT READMODE stale 250")
	require.Equal(t, "$-1\r\n", c.do("GET a"), "this node serves it")
	m, bound := mode()
	require.Equal(t, node.ReadStale, m)
	require.EqualValues(t, 250e6, bound)
	require.Regexp(t, `^-MOVED `, c.do("SET a 1"), "writes go to the leader")
	require.Regexp(t, `^-MOVED `, other.do("GET a"), "other connections are as before")
	c.send("SET a 1", "GET a") // the read behind a write that was not executed
	require.Regexp(t, `^-MOVED `, c.reply())
	require.Equal(t, "$-1\r\n", c.reply())
	m, bound = mode()
	require.Equal(t, node.ReadStale, m)
	require.EqualValues(t, 250e6, bound)
	c.do("RAFT READMODE quorum")
	c.do("READONLY")
	require.Equal(t, "$-1\r\n", c.do("GET a"))
	m, bound = mode()
	require.Equal(t, node.ReadQuorum, m)
	require.Zero(t, bound)
	require.Equal(t, "+RESET\r\n", c.do("RESET"))
	require.Equal(t, bulk("default"), c.do("RAFT READMODE"))

	for line, want := range map[string]string{
		"RAFT READMODE fast": errSyntax, "RAFT READMODE stale": errSyntax, "RAFT READMODE quorum 1": errSyntax, "RAFT READMODE stale 1 2": errSyntax,
		"RAFT READMODE stale 0": errStaleBound, "RAFT READMODE stale x": errStaleBound, "RAFT READMODE stale 86400001": errStaleBound,
	} {
		require.Equal(t, "-"+want+"\r\n", c.do(line), line)
	}
	require.NoError(t, servers[1].settings.Set("read-mode", "quorum"))
	require.Equal(t, "-"+errNoLease+"\r\n", c.do("RAFT READMODE lease"), "there is none")
	require.Equal(t, bulk("default"), c.do("RAFT READMODE"))
}
