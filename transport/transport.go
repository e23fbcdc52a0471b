package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"kvapp/raft"
)

// Times and limits. They are not configurable: none of them is worth a key that an operator has to understand.
const (
	handshakeTimeout = 2 * time.Second // dial and hello together
	writeTimeout     = 5 * time.Second // without progress of writeBytes
	backoffMin       = 20 * time.Millisecond
	backoffMax       = 160 * time.Millisecond // a network that is whole again is noticed within an election timeout
	refusedMax       = time.Second            // after a refusal: somebody has to change something first
	steadyAfter      = time.Second            // a connection that ended sooner may do so again
	unreachableEvery = 100 * time.Millisecond // per peer
	strangersEvery   = 10 * time.Second       // one log line for connections without a name

	queueMessages = 4096     // per peer
	queueBytes    = 64 << 20 // per peer
	maxInbound    = 256      // connections that others opened
)

// ErrClosed ends whatever was under way when the transport closed, ErrUnknownPeer a snapshot for somebody who is not,
// or no longer, among the peers; ErrSnapshotRefused comes with the words of a receiver that does not want this file.
var (
	ErrClosed          = errors.New("transport closed")
	ErrTryLater        = errors.New("try again later") // see Config.Admit and Config.ReceiveSnapshot
	ErrUnknownPeer     = errors.New("no such peer")
	ErrSnapshotRefused = errors.New("the receiver refuses the snapshot")
)

// Peer is another node as the membership describes it.
type Peer struct {
	ID          raft.NodeID
	Name, Addr  string // Addr is host:port
	Incarnation uint64 // of its disk; 0 = whichever Admit lets in
}

// Config is fixed for the life of a Transport. Every func but Refused, Unreachable and Logger is required.
type Config struct {
	Self     Hello        // To empty
	Listener net.Listener // the peer port; the Transport closes it
	// Admit says whether this incarnation of a node may speak. Its error's text is sent to the peer and the connection
	// refused. Any goroutine; must not block long.
	// If it wraps ErrTryLater the fault is not the caller's: the connection is closed without a refusal.
	Admit func(name string, incarnation uint64) error
	// Deliver takes the messages of one frame. The reader's goroutine: while it blocks, that peer is not read. msgs and
	// all it points to belong to the receiver.
	Deliver func(group uint32, from raft.NodeID, msgs []raft.Message)
	// Unreachable says that messages for this peer were dropped or may be lost; at most every 100 ms per peer. One
	// goroutine of the Transport's own.
	Unreachable func(id raft.NodeID)
	// ReceiveSnapshot makes the h.Size bytes of a file durable; its error's text is sent back. It calls begin once with
	// how many of them it has already, maybe all, and reads the others from the result, every byte of which was verified
	// by a checksum. Reading fails when the stream is cut; what was read by then should be kept for the next stream of
	// the same content. The goroutine of the stream's connection; of one group never two at once. If its error wraps
	// ErrTryLater the connection is closed without a word, and the sender comes back.
	ReceiveSnapshot func(h SnapshotHeader, begin func(have int64) (io.Reader, error)) error
	// Refused says that a peer refused this node for good. Once per change; the peer's sender goroutine.
	Refused func(peer Peer, err *RefusedError)
	Logger  *slog.Logger
}

// PeerStats counts what went to and came from one peer since it was added. The row with ID 0 stands for connections
// that belong to no peer.
type PeerStats struct {
	Peer
	Connected       bool   // the outbound connection is up
	Sent, Received  uint64 // messages
	Dropped         uint64 // messages
	Reconnects      uint64 // handshakes after the first
	BytesSent       uint64
	BytesReceived   uint64
	SnapshotsSent   uint64 // acknowledged by the peer
	Malformed       uint64 // connections closed because their bytes made no sense
	QueuedMessages  int
	QueuedBytes     int    // of messages with entries
	LastError       string // of the newest attempt to connect; empty while connected
	RefusalsByPeers uint64 // how often this node's hello was refused
}

// Refusals counts what was turned away because of whom it came from.
type Refusals struct {
	OtherCluster   uint64 // hellos of nodes of another cluster
	OldIncarnation uint64 // hellos of a disk that was wiped, replaced or removed
	Otherwise      uint64 // hellos in another version, for somebody else, or with a name and an id that do not fit
	Messages       uint64 // messages of a node that was replaced while its connection stood: dropped
}

// Transport is the node's side of the peer network. Make one with New.
type Transport struct {
	cfg    Config
	ctx    context.Context // ends at Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // every goroutine

	// peers, guests included, is replaced, never changed, under mu; Send and the readers look without a lock.
	peers     atomic.Pointer[map[raft.NodeID]*peer]
	strangers counters
	refusals  struct{ cluster, incarnation, otherwise, messages atomic.Uint64 }

	resumeWindow time.Duration // see the constant; a test makes it short

	notify chan struct{} // capacity 1: some peer has lost messages
	quiet  atomic.Int64  // unix ns until which strangers are not logged

	mu      sync.Mutex
	started bool
	closed  bool
	inbound map[net.Conn]Hello       // empty before the handshake
	streams map[uint32]*inStreams    // snapshots being received, by group
	readers map[raft.NodeID]net.Conn // newest inbound message connection of each node
}

// New checks cfg. Nothing runs before Start.
func New(cfg Config) (*Transport, error) {
	switch {
	case cfg.Self.Node == 0 || cfg.Self.Name == "":
		return nil, errors.New("transport: Self needs a node id and a name")
	case cfg.Listener == nil || cfg.Admit == nil || cfg.Deliver == nil || cfg.ReceiveSnapshot == nil:
		return nil, errors.New("transport: Listener, Admit, Deliver and ReceiveSnapshot are required")
	}
	if err := cfg.Self.check(); err != nil {
		return nil, fmt.Errorf("transport: %w", err)
	}
	cfg.Self.To = ""
	if cfg.Unreachable == nil {
		cfg.Unreachable = func(raft.NodeID) {}
	}
	if cfg.Refused == nil {
		cfg.Refused = func(Peer, *RefusedError) {}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	t := &Transport{
		cfg:          cfg,
		notify:       make(chan struct{}, 1),
		resumeWindow: resumeWindow,
		streams:      make(map[uint32]*inStreams),
		inbound:      make(map[net.Conn]Hello),
		readers:      make(map[raft.NodeID]net.Conn),
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.peers.Store(&map[raft.NodeID]*peer{})
	return t, nil
}

// Start begins to accept connections and to dial the peers. Call it once.
func (t *Transport) Start() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.started || t.closed {
		return
	}
	t.started = true
	t.wg.Add(2)
	go t.acceptLoop()
	go t.reportLoop()
	for _, p := range *t.peers.Load() {
		t.startPeer(p)
	}
}

// startPeer is called with mu held.
func (t *Transport) startPeer(p *peer) {
	t.wg.Add(1)
	go func() {
		defer t.wg.Done()
		p.run()
	}()
}

// Close ends every connection and goroutine, and returns when the last callback has returned. It must not be called
// from a callback. A second call does nothing.
func (t *Transport) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	t.closed = true
	t.cancel()
	err := t.cfg.Listener.Close()
	for c := range t.inbound {
		_ = c.Close()
	}
	t.mu.Unlock()
	t.wg.Wait()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("transport: close the listener: %w", err)
	}
	return nil
}

// SetPeers makes peers the nodes to talk to: new ones are dialled, those that are missing are dropped with their queue,
// unless they are guests now, a changed address takes effect at once. One whose incarnation changes is another node:
// nothing goes to the old one any more, and its connections end. The node itself may be among them. Any goroutine.
func (t *Transport) SetPeers(peers []Peer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	old := *t.peers.Load()
	next := make(map[raft.NodeID]*peer, len(peers))
	for _, want := range peers {
		if want.ID == t.cfg.Self.Node || want.ID == 0 {
			continue
		}
		p := old[want.ID]
		if p != nil && p.name == want.Name && p.incarnation == want.Incarnation {
			p.setAddr(want.Addr)
			p.setGuest(false)
			next[want.ID] = p
			continue
		}
		next[want.ID] = t.addPeer(want, false)
	}
	for id, conn := range t.readers {
		if hello := t.inbound[conn]; next[id] == nil && hello.Addr != "" {
			if next[id] = old[id]; next[id] == nil {
				next[id] = t.addPeer(hello.peer(), true)
			}
			next[id].setGuest(true)
		}
	}
	t.replacePeers(old, next)
	for conn, hello := range t.inbound {
		if outlived(next, &hello) {
			_ = conn.Close()
		}
	}
}

// addPeer makes a peer, which is not in the map yet. It is called with mu held.
func (t *Transport) addPeer(want Peer, guest bool) *peer {
	p := newPeer(t, want)
	p.guest.Store(guest)
	if t.started {
		t.startPeer(p)
	}
	return p
}

// replacePeers is called with mu held.
func (t *Transport) replacePeers(old, next map[raft.NodeID]*peer) {
	t.peers.Store(&next)
	for id, p := range old {
		if next[id] != p {
			p.cancel()
		}
	}
}

// welcomeGuest has a node that sends messages called back if it is no peer. It is called with mu held.
func (t *Transport) welcomeGuest(hello *Hello) {
	old := *t.peers.Load()
	if old[hello.Node] != nil || hello.Addr == "" || t.closed {
		return
	}
	next := maps.Clone(old)
	next[hello.Node] = t.addPeer(hello.peer(), true)
	t.replacePeers(old, next)
}

// dropGuest forgets a guest that sends no more. It is called with mu held.
func (t *Transport) dropGuest(node raft.NodeID) {
	old := *t.peers.Load()
	if p := old[node]; p == nil || !p.guest.Load() {
		return
	}
	next := maps.Clone(old)
	delete(next, node)
	t.replacePeers(old, next)
}

// peer is who said hello, as somebody to call.
func (h *Hello) peer() Peer {
	return Peer{ID: h.Node, Name: h.Name, Addr: h.Addr, Incarnation: h.Incarnation}
}

// outlived says that a node that said hello was replaced by one of the same name with another disk.
func outlived(peers map[raft.NodeID]*peer, hello *Hello) bool {
	p := peers[hello.Node]
	return p != nil && p.incarnation != 0 && p.incarnation != hello.Incarnation
}

// Send queues messages for the peers they name in To, all of one group. It never blocks: what does not fit a peer's
// queue, or is for nobody known, is dropped and counted. The message values are copied, their entries shared and must
// not change. From is not sent: it is this node. Any goroutine; messages of one caller to one peer keep their order.
func (t *Transport) Send(group uint32, msgs []raft.Message) {
	peers := *t.peers.Load()
	for i := range msgs {
		if p := peers[msgs[i].To]; p != nil {
			p.push(group, &msgs[i])
		} else {
			t.strangers.dropped.Add(1)
		}
	}
	// Wake only now: a sender that woke at the first message of a burst would write it alone.
	for i := range msgs {
		if p := peers[msgs[i].To]; p != nil {
			p.send()
		}
	}
}

// Stats returns one row per peer in ascending order of ID; any goroutine.
func (t *Transport) Stats() []PeerStats {
	peers := *t.peers.Load()
	out := []PeerStats{t.strangers.stats()}
	for _, id := range slices.Sorted(maps.Keys(peers)) {
		out = append(out, peers[id].stats())
	}
	return out
}

// Refusals tells what was turned away since the start; any goroutine.
func (t *Transport) Refusals() Refusals {
	r := &t.refusals
	return Refusals{
		OtherCluster: r.cluster.Load(), OldIncarnation: r.incarnation.Load(), Otherwise: r.otherwise.Load(), Messages: r.messages.Load(),
	}
}

// countRefusal counts a hello that is refused with c.
func (t *Transport) countRefusal(c Code) {
	switch c {
	case CodeCluster:
		t.refusals.cluster.Add(1)
	case CodeAdmit:
		t.refusals.incarnation.Add(1)
	default:
		t.refusals.otherwise.Add(1)
	}
}

// reportLoop is the goroutine that calls Unreachable. It is apart from the senders because one of them may hang in a
// write exactly when its queue overflows, and apart from Send because the caller must not be called back.
func (t *Transport) reportLoop() {
	defer t.wg.Done()
	timer := time.NewTimer(unreachableEvery)
	defer timer.Stop()
	for {
		select {
		case <-t.notify:
		case <-t.ctx.Done():
			return
		}
		for id, p := range *t.peers.Load() {
			if p.lost.Swap(false) {
				t.cfg.Unreachable(id)
			}
		}
		timer.Reset(unreachableEvery)
		select {
		case <-timer.C:
		case <-t.ctx.Done():
			return
		}
	}
}

// counters are what Stats adds up.
type counters struct {
	sent, received, dropped, connects, snapshots atomic.Uint64
	bytesSent, bytesReceived                     atomic.Uint64
	malformed, refusals                          atomic.Uint64
}

func (c *counters) stats() PeerStats {
	s := PeerStats{
		Sent:            c.sent.Load(),
		Received:        c.received.Load(),
		Dropped:         c.dropped.Load(),
		BytesSent:       c.bytesSent.Load(),
		BytesReceived:   c.bytesReceived.Load(),
		SnapshotsSent:   c.snapshots.Load(),
		Malformed:       c.malformed.Load(),
		RefusalsByPeers: c.refusals.Load(),
	}
	if n := c.connects.Load(); n > 1 {
		s.Reconnects = n - 1
	}
	return s
}

// tune sets the options of a peer connection: no delay for small messages, and a dead peer is noticed.
func tune(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetNoDelay(true)
		_ = tcp.SetKeepAliveConfig(keepAlive)
		setUserTimeout(tcp, int(userTimeout/time.Millisecond))
	}
}

const userTimeout = 10 * time.Second

var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3}
