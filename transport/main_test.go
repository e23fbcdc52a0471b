package transport

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"kvapp/raft"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// delivery is one call of Deliver.
type delivery struct {
	group uint32
	from  raft.NodeID
	msgs  []raft.Message
}

// testNode is a transport with channels at its callbacks.
type testNode struct {
	*Transport
	id          raft.NodeID
	addr        string
	got         chan delivery
	unreachable chan raft.NodeID
	refused     chan *RefusedError
	logs        *logBuffer

	mu        sync.Mutex
	forbidden map[string]uint64 // name -> incarnation that is not admitted
	receive   receiver
}

// receiver is a Config.ReceiveSnapshot.
type receiver func(h SnapshotHeader, begin func(have int64) (io.Reader, error)) error

// whole makes a receiver of a func that wants all bytes.
func whole(f func(SnapshotHeader, io.Reader) error) receiver {
	return func(h SnapshotHeader, begin func(int64) (io.Reader, error)) error {
		r, err := begin(0)
		if err != nil {
			return err
		}
		return f(h, r)
	}
}

// store is a receiver that keeps what has arrived when the stream breaks.
type store struct {
	mu      sync.Mutex
	data    []byte
	resumed []int64 // how much there was when a stream began
}

func (s *store) bytes() []byte { s.mu.Lock(); defer s.mu.Unlock(); return s.data }

func (s *store) starts() []int64 { s.mu.Lock(); defer s.mu.Unlock(); return s.resumed }

func (s *store) receive(h SnapshotHeader, begin func(int64) (io.Reader, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resumed = append(s.resumed, int64(len(s.data)))
	r, err := begin(int64(len(s.data)))
	if err != nil {
		return err
	}
	buf := make([]byte, 1000)
	for {
		n, err := r.Read(buf)
		s.data = append(s.data, buf[:n]...)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func nodeName(id raft.NodeID) string { return "n" + string(rune('0'+id)) }

// startNode starts node id on addr ("" for a port of the system's choice) with no peers.
func startNode(t *testing.T, id raft.NodeID, addr string, change ...func(*Config)) *testNode {
	t.Helper()
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	ln, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	n := &testNode{
		id:          id,
		addr:        ln.Addr().String(),
		got:         make(chan delivery, 1<<16),
		unreachable: make(chan raft.NodeID, 1<<16),
		refused:     make(chan *RefusedError, 1<<10),
		logs:        &logBuffer{},
		forbidden:   map[string]uint64{},
	}
	cfg := Config{
		Self:     Hello{Cluster: "c1", Name: nodeName(id), Node: id, Incarnation: 100 + uint64(id)},
		Listener: ln,
		Admit: func(name string, incarnation uint64) error {
			n.mu.Lock()
			defer n.mu.Unlock()
			if bad, ok := n.forbidden[name]; ok && bad == incarnation {
				return errors.New("disk was wiped")
			}
			return nil
		},
		Deliver: func(group uint32, from raft.NodeID, msgs []raft.Message) {
			n.got <- delivery{group, from, msgs}
		},
		Unreachable: func(id raft.NodeID) { n.unreachable <- id },
		ReceiveSnapshot: func(h SnapshotHeader, begin func(int64) (io.Reader, error)) error {
			n.mu.Lock()
			f := n.receive
			n.mu.Unlock()
			if f == nil {
				return errors.New("no snapshot expected")
			}
			return f(h, begin)
		},
		Refused: func(p Peer, err *RefusedError) { n.refused <- err },
		Logger:  slog.New(slog.NewTextHandler(n.logs, nil)),
	}
	for _, f := range change {
		f(&cfg)
	}
	n.Transport, err = New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	n.Start()
	return n
}

func (n *testNode) forbid(name string, incarnation uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.forbidden[name] = incarnation
}

func (n *testNode) onSnapshot(f receiver) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.receive = f
}

func (n *testNode) peer() Peer { return Peer{ID: n.id, Name: nodeName(n.id), Addr: n.addr} }

// connect makes every node a peer of every other.
func connect(nodes ...*testNode) {
	var peers []Peer
	for _, n := range nodes {
		peers = append(peers, n.peer())
	}
	for _, n := range nodes {
		n.SetPeers(peers)
	}
}

func (n *testNode) row(t *testing.T, id raft.NodeID) PeerStats {
	t.Helper()
	for _, s := range n.Stats() {
		if s.ID == id {
			return s
		}
	}
	require.Fail(t, "no such peer")
	return PeerStats{}
}

func (n *testNode) waitConnected(t *testing.T, id raft.NodeID) {
	t.Helper()
	eventually(t, func() bool { return n.row(t, id).Connected })
}

// next returns the next delivery.
func (n *testNode) next(t *testing.T) delivery {
	t.Helper()
	return receive(t, n.got)
}

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		require.FailNow(t, "nothing arrived")
		var zero T
		return zero
	}
}

func eventually(t *testing.T, f func() bool) {
	t.Helper()
	require.Eventually(t, f, patience, time.Millisecond)
}

// logBuffer collects log lines.
type logBuffer struct {
	mu  sync.Mutex
	buf []byte
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, p...)
	return len(p), nil
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.buf)
}
