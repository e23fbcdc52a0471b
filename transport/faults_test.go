package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/raft"
)

// proxy forwards connections to a node and can cut them.
type proxy struct {
	ln     net.Listener
	target string
	wg     sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
	limit int64 // bytes that a connection forwards towards the target before it is cut; 0 = no limit
}

func startProxy(t *testing.T, target string) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{ln: ln, target: target}
	p.wg.Add(1)
	go p.run()
	t.Cleanup(func() {
		_ = ln.Close()
		p.cut()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.ln.Addr().String() }

func (p *proxy) run() {
	defer p.wg.Done()
	for {
		in, err := p.ln.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = in.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, in, out)
		limit := p.limit
		p.mu.Unlock()
		if limit == 0 {
			limit = 1 << 60
		}
		p.wg.Add(2)
		go p.copy(out, io.LimitReader(in, limit), in)
		go p.copy(in, out, out)
	}
}

func (p *proxy) copy(dst net.Conn, r io.Reader, src net.Conn) {
	defer p.wg.Done()
	_, _ = io.Copy(dst, r)
	_ = dst.Close()
	_ = src.Close()
}

// cut closes every connection.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

func (p *proxy) setLimit(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit = n
}

// deafPeer accepts the handshake of a message connection as node 2 and never reads again. It returns its address.
func deafPeer(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			if _, _, err := readCall(conn); err != nil {
				return
			}
			_, _ = conn.Write(appendAnswer(nil, 0, "", &Hello{Cluster: "c1", Name: "n2", Node: 2, Incarnation: 102}))
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		wg.Wait()
		for _, c := range conns {
			_ = c.Close()
		}
	})
	return ln.Addr().String()
}

// dialAs opens a connection to n with a handshake as node 1.
func dialAs(t *testing.T, n *testNode, what purpose) net.Conn {
	t.Helper()
	self := Hello{Cluster: "c1", Name: "n1", Node: 1, Incarnation: 101, To: nodeName(n.id)}
	conn, _, err := call(t.Context(), n.addr, what, self)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func bulk(size int) []raft.Message {
	return []raft.Message{{Type: raft.MsgAppend, From: 1, To: 2, Entries: []raft.Entry{
		{Index: 1, Term: 1, Kind: raft.EntryCommand, Data: make([]byte, size)}}}}
}

func TestPeerThatDoesNotRead(t *testing.T) {
	a := startNode(t, 1, "")
	a.SetPeers([]Peer{{ID: 2, Name: "n2", Addr: deafPeer(t)}})
	a.waitConnected(t, 2)
	// More than the queue, the kernel's buffers and the batch in the sender's hands can hold.
	big := bulk(4 << 20)
	for range 64 {
		a.Send(0, big)
	}
	s := a.row(t, 2)
	require.Positive(t, s.Dropped)
	require.LessOrEqual(t, s.QueuedBytes, queueBytes)
	require.Equal(t, raft.NodeID(2), receive(t, a.unreachable))

	// When the sender hangs, bulk is refused and a heartbeat is not.
	eventually(t, func() bool {
		before := a.row(t, 2)
		a.Send(0, big)
		a.Send(0, []raft.Message{{Type: raft.MsgAppend, From: 1, To: 2}})
		after := a.row(t, 2)
		return after.Dropped == before.Dropped+1 && after.QueuedMessages == before.QueuedMessages+1
	})
}

func TestQueueLimits(t *testing.T) {
	tr := &Transport{ctx: t.Context(), notify: make(chan struct{}, 1)}
	p := newPeer(tr, Peer{ID: 2})
	t.Cleanup(p.cancel)
	huge := bulk(queueBytes + 1)
	small, beat := bulk(1), raft.Message{Type: raft.MsgAppend, To: 2}
	p.push(0, &beat)
	p.push(0, &huge[0]) // it may exceed the limit if it is the only one with entries
	p.push(0, &small[0])
	p.push(0, &beat)
	require.Len(t, p.take(), 3)
	require.EqualValues(t, 1, p.dropped.Swap(0))

	for range queueMessages {
		p.push(0, &small[0])
	}
	require.Len(t, p.queue, queueMessages*3/4)
	for range queueMessages {
		p.push(0, &beat)
	}
	require.Len(t, p.queue, queueMessages)
	require.EqualValues(t, queueMessages, p.dropped.Load())
	require.True(t, p.lost.Load())
	require.Len(t, tr.notify, 1)
}

func TestSenderIsWokenOncePerBurst(t *testing.T) {
	p := newPeer(&Transport{ctx: t.Context(), notify: make(chan struct{}, 1)}, Peer{ID: 2})
	t.Cleanup(p.cancel)
	m := raft.Message{Type: raft.MsgAppend, To: 2}
	p.push(0, &m)
	p.send()
	require.Empty(t, p.wake, "it is awake: it will look at the queue before it sleeps")
	require.Len(t, p.take(), 1)
	require.Nil(t, p.take())
	for range 3 {
		p.push(0, &m)
		p.send()
	}
	require.Len(t, p.wake, 1)
}

func TestUnknownReceiverIsCounted(t *testing.T) {
	a := startNode(t, 1, "")
	a.Send(0, []raft.Message{{Type: raft.MsgVote, From: 1, To: 9}})
	require.Equal(t, uint64(1), a.row(t, 0).Dropped)
}

func TestUnreachablePeerLosesItsQueue(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := ln.Addr().String()
	require.NoError(t, ln.Close())
	a := startNode(t, 1, "")
	a.SetPeers([]Peer{{ID: 2, Name: "n2", Addr: addr}})
	a.Send(0, []raft.Message{{Type: raft.MsgVote, From: 1, To: 2}})
	require.Equal(t, raft.NodeID(2), receive(t, a.unreachable))
	s := a.row(t, 2)
	require.Equal(t, uint64(1), s.Dropped)
	require.False(t, s.Connected)
	require.NotEmpty(t, s.LastError)
	eventually(t, func() bool { return strings.Count(a.logs.String(), "peer_lost") == 1 })
}

func TestCutConnectionIsReplaced(t *testing.T) {
	a, b := startNode(t, 1, ""), startNode(t, 2, "")
	px := startProxy(t, b.addr)
	a.SetPeers([]Peer{{ID: 2, Name: "n2", Addr: px.addr()}})
	for i := range uint64(3) {
		a.waitConnected(t, 2)
		a.Send(0, []raft.Message{{Type: raft.MsgVote, From: 1, To: 2, Term: i}})
		require.Equal(t, i, b.next(t).msgs[0].Term)
		px.cut()
		eventually(t, func() bool { return a.row(t, 2).Reconnects == i+1 })
	}
}

func TestHelloEndsTheWait(t *testing.T) {
	p := newPeer(&Transport{ctx: t.Context()}, Peer{ID: 2})
	t.Cleanup(p.cancel)
	p.kickNow()
	p.kickNow()
	require.True(t, p.pause(time.Now().Add(-time.Hour), time.Hour), "ends at once")
	began := time.Now()
	p.kickNow()
	require.True(t, p.pause(began, time.Hour))
	require.GreaterOrEqual(t, time.Since(began), backoffMin)
	p.cancel()
	require.False(t, p.pause(began, time.Hour))
}

func TestSetPeers(t *testing.T) {
	a, b, c := startNode(t, 1, ""), startNode(t, 2, ""), startNode(t, 2, "")
	a.SetPeers([]Peer{a.peer(), b.peer()})
	a.waitConnected(t, 2)
	require.Len(t, a.Stats(), 2, "the strangers and one peer: a node is not its own peer")
	// Another address.
	a.SetPeers([]Peer{c.peer()})
	eventually(t, func() bool {
		a.Send(0, []raft.Message{{Type: raft.MsgVote, From: 1, To: 2}})
		return len(c.got) > 0
	})
	// Removed: its goroutine and row go.
	a.SetPeers(nil)
	require.Len(t, a.Stats(), 1)
	require.NoError(t, a.Close())
	a.SetPeers([]Peer{b.peer()})
	require.Len(t, a.Stats(), 1)
}

func TestNewConnectionReplacesTheOld(t *testing.T) {
	b := startNode(t, 2, "")
	old := dialAs(t, b, purposeMessages)
	_, err := old.Write(encodeFrame(0, raft.Message{Type: raft.MsgVote}))
	require.NoError(t, err)
	require.Equal(t, raft.NodeID(1), b.next(t).from)
	_ = dialAs(t, b, purposeMessages)
	require.NoError(t, old.SetReadDeadline(time.Now().Add(patience)))
	_, err = old.Read(make([]byte, 1))
	var timeout net.Error
	require.False(t, errors.As(err, &timeout) && timeout.Timeout(), "the old connection must end")
}

func TestMalformedBytesCloseTheConnection(t *testing.T) {
	good := encodeFrame(0, raft.Message{Type: raft.MsgVote})
	flipped := bytes.Clone(good)
	flipped[frameHeaderLen+10] ^= 1
	long := bytes.Clone(good)
	binary.LittleEndian.PutUint32(long, maxPayload+1)
	var wrong encoder
	wrong.begin(0)
	wrong.end(frameSnapshotDone)
	for name, wire := range map[string][]byte{
		"checksum": flipped, "length": long, "type": wrong.buf, "text": []byte("GET / HTTP/1.1\r\n\r\n"),
	} {
		b := startNode(t, 2, "")
		b.SetPeers([]Peer{{ID: 1, Name: "n1", Addr: deafPeer(t)}})
		conn := dialAs(t, b, purposeMessages)
		_, err := conn.Write(wire)
		require.NoError(t, err, name)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
		_, err = conn.Read(make([]byte, 1))
		require.Error(t, err, name)
		eventually(t, func() bool { return b.row(t, 1).Malformed == 1 })
		require.Contains(t, b.logs.String(), "malformed", name)
	}
}

func TestStrangersAreClosedAndLoggedOnce(t *testing.T) {
	b := startNode(t, 2, "")
	for range 3 {
		conn, err := net.Dial("tcp", b.addr)
		require.NoError(t, err)
		_, err = conn.Write([]byte("*1\r\n$4\r\nPING\r\n"))
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
		_, err = conn.Read(make([]byte, 1))
		require.Error(t, err)
		require.NoError(t, conn.Close())
	}
	eventually(t, func() bool { return b.row(t, 0).Malformed == 3 })
	require.Equal(t, 1, strings.Count(b.logs.String(), "peer_refused"))
}

func TestOtherVersionIsToldSo(t *testing.T) {
	b := startNode(t, 2, "")
	conn, err := net.Dial("tcp", b.addr)
	require.NoError(t, err)
	defer conn.Close()
	wire := appendCall(nil, purposeMessages, &Hello{Cluster: "c1", Name: "n1", Node: 1, To: "n2"})
	wire[6] = 77
	_, err = conn.Write(wire)
	require.NoError(t, err)
	_, err = readAnswer(conn)
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, CodeVersion, refused.Code)
}

func TestProbeGivesUpInTime(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") // accepts in the kernel, never answers
	require.NoError(t, err)
	defer ln.Close()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	_, err = Probe(ctx, ln.Addr().String(), Hello{Cluster: "c", Name: "n1", Node: 1})
	require.ErrorIs(t, err, context.Canceled)
	_, err = Probe(t.Context(), ln.Addr().String(), Hello{Name: strings.Repeat("x", 256)})
	require.ErrorContains(t, err, "255")
}

// Everybody who connects gets an answer or is closed, however many there are.
func TestTooManyConnections(t *testing.T) {
	b := startNode(t, 2, "")
	for range maxInbound {
		dialAs(t, b, purposeSnapshot)
	}
	_, err := Probe(t.Context(), b.addr, Hello{Cluster: "c1", Name: "n1", Node: 1})
	require.Error(t, err)
	require.Contains(t, b.logs.String(), "connections are open")
}
