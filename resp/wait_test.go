package resp

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/fsm"
	"kvapp/node"
	"kvapp/raft"
)

func TestWait(t *testing.T) {
	f, _, c := one(t)
	require.Equal(t, ":0\r\n", c.do("WAIT 1 0"), "nothing written: nothing to wait for")
	f.acks.Store(2)
	c.send("SET a 1", "WAIT 2 0", "PING")
	require.Equal(t, "+OK\r\n", c.reply())
	require.Equal(t, ":2\r\n", c.reply())
	require.Equal(t, "+PONG\r\n", c.reply())
	f.acks.Store(1)
	require.Equal(t, ":1\r\n", c.do("WAIT 2 1"))
}

// WAITAOF tells of the own disk as well, and takes nothing that is no promise.
func TestWaitAOF(t *testing.T) {
	f, s, c := one(t)
	require.Equal(t, "*2\r\n:1\r\n:0\r\n", c.do("WAITAOF 1 1 0"), "nothing written: nothing to wait for")
	c.do("SET a 1")
	f.acks.Store(2)
	require.Equal(t, "*2\r\n:0\r\n:2\r\n", c.do("WAITAOF 1 2 1"))
	require.Equal(t, "*2\r\n:0\r\n:2\r\n", c.do("WAITAOF 0 0 0"))
	f.durable.Store(true)
	require.Equal(t, "*2\r\n:1\r\n:2\r\n", c.do("WAITAOF 1 2 0"))
	require.Equal(t, []string{"+OK", "+QUEUED", "*1 *2 :1 :2"}, c.lines("MULTI", "WAITAOF 1 9 0", "EXEC"))
	for line, want := range map[string]string{
		"2 0 0": errWaitLocal, "-1 0 0": errWaitLocal, "x 0 0": errNotInteger, "0 -1 0": errPositive, "0 x 0": errNotInteger, "0 0 -1": errTimeoutNeg, "0 0 x": errTimeout,
		"0 0": "ERR wrong number of arguments for 'waitaof' command",
	} {
		require.Equal(t, "-"+want+"\r\n", c.do("WAITAOF "+line), line)
	}
	f.change(func(v *node.View) { v.Role = raft.Follower })
	require.Equal(t, "-"+errWaitAOF+"\r\n", c.do("WAITAOF 0 0 0"))
	require.Equal(t, "-"+errWaitLocal+"\r\n", c.do("WAITAOF 2 0 0"))
	f.change(func(v *node.View) { v.Role = raft.Leader })
	f.patient.Store(true)
	d := dial(t, addrOf(s))
	id := strings.TrimSpace(d.do("CLIENT ID")[1:])
	require.Equal(t, "+OK\r\n", d.do("SET a 1"))
	for line, want := range map[string]string{"WAIT 3 0": ":2\r\n", "WAITAOF 0 3 0": "*2\r\n:1\r\n:2\r\n"} {
		for how, want := range map[string]string{"": want, " TIMEOUT": want, " ERROR": "-" + fsm.Unblocked + "\r\n"} {
			d.send(line)
			waits(t, s, 1)
			require.Equal(t, ":1\r\n", c.do("CLIENT UNBLOCK "+id+how))
			got := d.reply()
			require.Equal(t, want, got, line+how)
		}
	}
	require.Equal(t, ":0\r\n", c.do("CLIENT UNBLOCK "+id))
}
