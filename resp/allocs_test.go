package resp

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/redcon"

	"kvapp/fsm"
	"kvapp/internal/config"
	"kvapp/node"
)

// instant is a node that answers every command with OK at once, to measure the dispatch path alone.
type instant struct{ *fake }

func (instant) Write(b *node.Batch) {
	for range b.Cmds {
		b.Out.Simple("OK")
	}
	b.Outcome = node.Done
}

func (instant) Read(b *node.Batch, from int) int {
	for range b.Cmds[from:] {
		b.Out.Simple("OK")
	}
	b.Outcome = node.Done
	return len(b.Cmds)
}

// Between redcon's parsing and the node, and back, a command costs no allocation.
func TestDispatchAllocatesNothing(t *testing.T) {
	for name, line := range map[string][]string{
		"writes": {"SET a 1", "INCR b", "HSET h f v"}, "reads": {"GET a", "MGET a b c", "HGET h f"}, "mixed": {"SET a 1", "GET a", "PING", "GET b"},
	} {
		t.Run(name, func(t *testing.T) {
			c, sink := measured(t)
			var cmds []redcon.Command
			for _, l := range line {
				raw := pack(l)
				_, cmd, err := parse(raw)
				require.NoError(t, err)
				cmds = append(cmds, cmd)
			}
			c.serve(&cmds[0], cmds[1:])
			got := testing.AllocsPerRun(200, func() { c.serve(&cmds[0], cmds[1:]) })
			require.Zero(t, got)
			require.NotZero(t, c.net.BytesOut())
			require.NoError(t, sink.Close())
		})
	}
}

func parse(raw []byte) ([]byte, redcon.Command, error) {
	rd := redcon.NewReader(&chunk{raw})
	cmd, err := rd.ReadCommand()
	return raw, cmd, err
}

type chunk struct{ b []byte }

func (c *chunk) Read(p []byte) (int, error) {
	n := copy(p, c.b)
	c.b = c.b[n:]
	return n, nil
}

// measured is a connection that only the test serves; its replies are read and dropped.
func measured(t testing.TB) (*conn, net.Conn) {
	t.Helper()
	f := newFake(newGroup(), 0, members("127.0.0.1:1"))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s, err := NewServer(Options{Listener: ln, Node: instant{f}, Settings: config.New()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	cl := dial(t, addrOf(s))
	nc, err := s.guard.Accept()
	require.NoError(t, err)
	go func() {
		buf := make([]byte, 64<<10)
		for {
			if _, err := cl.nc.Read(buf); err != nil {
				return
			}
		}
	}()
	guarded, ok := nc.(*Conn)
	require.True(t, ok)
	return s.newConn(guarded), cl.nc
}

func BenchmarkDispatch(b *testing.B) {
	c, sink := measured(b)
	_, set, err := parse(pack("SET key value"))
	require.NoError(b, err)
	require.NotNil(b, fsm.Lookup([]byte("set")))
	rest := make([]redcon.Command, 15)
	for i := range rest {
		rest[i] = set
	}
	b.ReportAllocs()
	for b.Loop() {
		c.serve(&set, rest)
	}
	require.NoError(b, sink.Close())
}
