package transport

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/raft"
)

// scripted accepts connections, reads the hello and lets script do the rest. It returns the address.
func scripted(t *testing.T, script func(conn net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Add(1)
			go func() {
				defer wg.Done()
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(patience))
				if _, _, err := readCall(conn); err == nil {
					script(conn)
				}
			}()
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		wg.Wait()
	})
	return ln.Addr().String()
}

var node2 = Hello{Cluster: "c1", Name: "n2", Node: 2, Incarnation: 102}

// The side that dials checks the answer as strictly as the other side checks the hello.
func TestWrongAnswers(t *testing.T) {
	say := func(b []byte) func(net.Conn) { return func(c net.Conn) { _, _ = c.Write(b) } }
	answer := func(change func(h *Hello)) []byte {
		h := node2
		change(&h)
		return appendAnswer(nil, 0, "", &h)
	}
	version := answer(func(*Hello) {})
	version[6] = 9
	flipped := answer(func(*Hello) {})
	flipped[len(flipped)-1] ^= 1
	for name, c := range map[string]struct {
		bytes []byte
		want  string
	}{
		"cluster":     {answer(func(h *Hello) { h.Cluster = "c9" }), "c9"},
		"name":        {answer(func(h *Hello) { h.Name = "n9" }), "n9"},
		"id":          {answer(func(h *Hello) { h.Node = 0xabc }), "abc"},
		"incarnation": {answer(func(h *Hello) { h.Incarnation = 66 }), "disk was wiped"},
		"version":     {version, "version 9"},
		"checksum":    {flipped, "checksum"},
		"long record": {append(version[:6:6], wireVersion, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0), "limit"},
		"no peer":     {[]byte("-ERR unknown command\r\n"), "starts with"},
		"silence":     {nil, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			a := startNode(t, 1, "")
			a.forbid("n2", 66)
			a.SetPeers([]Peer{{ID: 2, Name: "n2", Addr: scripted(t, say(c.bytes))}})
			eventually(t, func() bool { return a.row(t, 2).LastError != "" })
			require.Contains(t, a.row(t, 2).LastError, c.want)
			require.False(t, a.row(t, 2).Connected)
			done := make(chan error, 1)
			h, _, open := snapshotOf(10)
			a.SendSnapshot(2, h, open, func(err error) { done <- err })
			require.ErrorContains(t, receive(t, done), c.want)
		})
	}
}

func TestPeerThatSpeaksOnAOneWayConnection(t *testing.T) {
	a := startNode(t, 1, "")
	a.SetPeers([]Peer{{ID: 2, Name: "n2", Addr: scripted(t, func(c net.Conn) {
		_, _ = c.Write(appendAnswer(nil, 0, "", &node2))
		_, _ = c.Write([]byte("x"))
		_, _ = io.Copy(io.Discard, c)
	})}})
	eventually(t, func() bool { return a.row(t, 2).LastError != "" })
	require.Contains(t, a.row(t, 2).LastError, "one-way")
}

// What a broken receiver answers to a snapshot.
func TestWrongSnapshotAnswers(t *testing.T) {
	frame := func(kind frameType, payload ...byte) []byte {
		var e encoder
		e.begin(3)
		e.buf = append(e.buf, payload...)
		e.end(kind)
		return e.buf
	}
	zero := frame(frameSnapshotOffset, make([]byte, 8)...)
	for name, c := range map[string]struct {
		bytes []byte
		want  string
	}{
		"no offset":       {frame(frameControl), "instead of an offset"},
		"offset too high": {frame(frameSnapshotOffset, 0, 0, 0, 0, 0, 0, 0, 1), "offset"},
		"no room":         {frame(frameSnapshotDone, []byte("no room")...), "refuses the snapshot: no room"},
		"refusal":         {append(zero[:len(zero):len(zero)], frame(frameSnapshotDone, []byte("full")...)...), "refuses the snapshot: full"},
	} {
		a := startNode(t, 1, "")
		a.SetPeers([]Peer{{ID: 2, Name: "n2", Addr: scripted(t, func(conn net.Conn) {
			_, _ = conn.Write(appendAnswer(nil, 0, "", &node2))
			_, _ = conn.Write(c.bytes)
			_, _ = io.Copy(io.Discard, conn)
		})}})
		done := make(chan error, 1)
		h, _, open := snapshotOf(10)
		a.SendSnapshot(2, h, open, func(err error) { done <- err })
		require.ErrorContains(t, receive(t, done), c.want, name)
	}
}

// What a broken sender of a snapshot says.
func TestWrongSnapshotStreams(t *testing.T) {
	h, data, _ := snapshotOf(100)
	for name, send := range map[string]func(e *encoder){
		"other frame": func(e *encoder) { e.begin(3); e.endMessages() },
		"too much":    func(e *encoder) { e.begin(3); e.raw(append(data, 'x')); e.end(frameSnapshotChunk) },
		"nothing":     func(e *encoder) { e.begin(3); e.end(frameSnapshotChunk) },
	} {
		b := startNode(t, 2, "")
		failed := make(chan error, 1)
		b.onSnapshot(whole(func(h SnapshotHeader, r io.Reader) error {
			_, err := io.Copy(io.Discard, r)
			failed <- err
			return err
		}))
		conn := dialAs(t, b, purposeSnapshot)
		var e encoder
		e.begin(3)
		e.buf = appendSnapshotHeader(e.buf, &h)
		e.end(frameSnapshot)
		send(&e)
		_, err := e.flush(conn, patience)
		require.NoError(t, err)
		require.ErrorIs(t, receive(t, failed), errMalformed, name)
		eventually(t, func() bool { return b.row(t, 0).Malformed == 1 })
	}
}

// Messages queued together arrive together, one Deliver per group.
func TestBurstArrivesTogether(t *testing.T) {
	a, b := startNode(t, 1, ""), startNode(t, 2, "")
	connect(a, b)
	p := (*a.peers.Load())[2]
	eventually(t, p.asleep.Load)
	var burst []raft.Message
	for i := range uint64(100) {
		burst = append(burst, raft.Message{Type: raft.MsgAppend, From: 1, To: 2, Index: i})
	}
	for i := range burst[:50] {
		p.push(7, &burst[i])
	}
	a.Send(8, burst[50:])
	d := b.next(t)
	require.Equal(t, uint32(7), d.group)
	require.Equal(t, burst[:50], d.msgs)
	d = b.next(t)
	require.Equal(t, uint32(8), d.group)
	require.Equal(t, burst[50:], d.msgs)
	eventually(t, func() bool { return a.row(t, 2).Sent == 100 })
	require.Equal(t, a.row(t, 2).BytesSent, b.row(t, 1).BytesReceived)
}

// flakyListener fails its first Accepts.
type flakyListener struct {
	net.Listener
	failures int
}

func (l *flakyListener) Accept() (net.Conn, error) {
	if l.failures > 0 {
		l.failures--
		return nil, errors.New("too many open files")
	}
	return l.Listener.Accept()
}

func TestAcceptErrorsPass(t *testing.T) {
	b := startNode(t, 2, "", func(c *Config) { c.Listener = &flakyListener{c.Listener, 3} })
	_, err := Probe(t.Context(), b.addr, Hello{Cluster: "c1", Name: "n1", Node: 1})
	require.NoError(t, err)
	require.Contains(t, b.logs.String(), "too many open files")
}

func TestNewChecksItsConfig(t *testing.T) {
	_, err := New(Config{})
	require.ErrorContains(t, err, "node id")
	_, err = New(Config{Self: Hello{Name: "n1", Node: 1}})
	require.ErrorContains(t, err, "required")
	require.Equal(t, "cluster", CodeCluster.String())
	require.Equal(t, "code 99", Code(99).String())
}
