package transport

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"kvapp/internal/nonblock"
	"kvapp/raft"
)

// peer is one other node: its queue, and the goroutine that owns the connection to it (run).
type peer struct {
	t           *Transport
	id          raft.NodeID
	name        string
	incarnation uint64
	ctx         context.Context // ends when the peer is removed or the transport closes
	cancel      context.CancelFunc

	counters
	guest     atomic.Bool // not one that SetPeers named
	connected atomic.Bool
	lost      atomic.Bool // messages were dropped since the last Unreachable
	// asleep: the sender waits for wake. It is set under mu while the queue is empty; who resets it writes the queue, or
	// wakes the sender.
	asleep atomic.Bool
	wake   chan struct{} // capacity 1
	kick   chan struct{} // capacity 1: worth trying to connect at once

	mu        sync.Mutex
	addr      string
	redial    context.CancelFunc // ends the current attempt or connection; nil between two
	queue     []item
	bytes     int // of the queued messages that have entries, as messageSize counts
	lastError string

	// out is held by whoever writes to the connection: the sender, or Send while the sender sleeps. Order: out before mu.
	out   sync.Mutex
	sock  *nonblock.Writer // nil while there is no connection, or none that can be written without waiting
	spare []item           // the slice that queue is not using
	enc   encoder
	rest  []byte // of enc's buffer: what Send could not write; the sender goes on with it

	// Owned by the sender.
	refused RefusedError // the refusal that was reported last
	failure string       // the failure that was logged last
}

// item is one queued message.
type item struct {
	group uint32
	size  int
	msg   raft.Message
}

func newPeer(t *Transport, p Peer) *peer {
	n := &peer{
		t:           t,
		id:          p.ID,
		name:        p.Name,
		addr:        p.Addr,
		incarnation: p.Incarnation,
		wake:        make(chan struct{}, 1),
		kick:        make(chan struct{}, 1),
	}
	n.ctx, n.cancel = context.WithCancel(t.ctx)
	return n
}

func (p *peer) setAddr(addr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.addr == addr {
		return
	}
	p.addr = addr
	p.again()
}

// again ends the attempt or connection under way for another one. It is called with mu held.
func (p *peer) again() {
	if p.redial != nil {
		p.redial()
	}
	p.kickNow()
}

// setGuest makes the peer a guest, or a peer again. A guest is called without an address to be called back at: else two
// nodes that are each other's guests would stay that for ever.
func (p *peer) setGuest(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.guest.Swap(on) != on {
		p.again()
	}
}

// kickNow ends the wait before the next attempt to connect.
func (p *peer) kickNow() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// push queues a copy of m, or drops it. Messages with entries may fill three quarters of the queue's slots, and only
// they count against its bytes, so that a slow link never crowds out heartbeats, votes and acknowledgements. One that is
// larger than the limit goes when no other is queued.
func (p *peer) push(group uint32, m *raft.Message) {
	size, bulk := messageSize(m), len(m.Entries) > 0
	p.mu.Lock()
	n := len(p.queue)
	ok := n < queueMessages
	if bulk {
		fits := p.bytes == 0 || p.bytes+size <= queueBytes
		ok = fits && n < queueMessages*3/4 && size <= maxPayload
	}
	if ok {
		p.queue = append(p.queue, item{group: group, size: size, msg: *m})
		if bulk {
			p.bytes += size
		}
	}
	p.mu.Unlock()
	if !ok {
		p.lose(1)
	}
}

// send sends what is queued: itself, if the sender sleeps and the socket takes it at once, which saves the way through
// another goroutine. Otherwise the sender does.
func (p *peer) send() {
	if !p.asleep.Load() || !p.asleep.CompareAndSwap(true, false) {
		return
	}
	if p.out.TryLock() {
		done := p.writeNow()
		p.out.Unlock()
		if done {
			return
		}
	}
	p.wakeUp()
}

// writeNow writes the queue without waiting. It reports false when the sender has to go on. REQUIRES: out is held, the
// sender was asleep.
func (p *peer) writeNow() bool {
	if p.sock == nil || len(p.rest) > 0 {
		return false
	}
	p.mu.Lock()
	if p.bytes > directBytes {
		p.mu.Unlock()
		return false
	}
	if len(p.queue) == 0 { // the message before, for the same peer, took it along
		p.asleep.Store(true)
		p.mu.Unlock()
		return true
	}
	items := p.queue
	p.queue, p.spare, p.bytes = p.spare[:0], items, 0
	p.mu.Unlock()
	for i := 0; i < len(items); {
		i = p.frame(items, i)
	}
	b := p.enc.flat()
	n, err := p.sock.Write(b)
	p.bytesSent.Add(uint64(n))
	p.sent.Add(uint64(len(items)))
	clear(items)
	if err != nil || n < len(b) {
		p.rest = b[n:] // a socket that is broken tells the sender too
		return false
	}
	p.enc.reset()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) > 0 {
		return false
	}
	p.asleep.Store(true)
	return true
}

// wakeUp wakes the sender.
func (p *peer) wakeUp() {
	select {
	case p.wake <- struct{}{}:
	default: // a wake-up of an earlier connection was never taken; it serves as well
	}
}

// take hands the whole queue to the sender, which gives the slice back with its next take. With nothing queued it
// returns nil, and the next push will wake the sender.
func (p *peer) take() []item {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		p.asleep.Store(true)
		return nil
	}
	items := p.queue
	p.queue, p.spare, p.bytes = p.spare[:0], items, 0
	return items
}

// lose counts n messages as dropped and has Unreachable called.
func (p *peer) lose(n int) {
	if n > 0 {
		p.dropped.Add(uint64(n))
	}
	if p.lost.Load() || p.lost.Swap(true) {
		return
	}
	select {
	case p.t.notify <- struct{}{}:
	default:
	}
}

// run is the sender goroutine: connect, send, and again.
//
// Messages that arrive while there is no connection wait for the attempt that is under way or comes next. If it fails
// they are dropped: what Raft said a second ago is not worth sending.
func (p *peer) run() {
	defer p.cancel()
	for wait := backoffMin; ; {
		began := time.Now()
		up, err := p.attempt()
		if p.ctx.Err() != nil {
			return
		}
		if up && time.Since(began) > steadyAfter {
			wait = backoffMin
		}
		refused := p.failed(err, up)
		if !p.pause(began, wait) {
			return
		}
		most := backoffMax
		if refused {
			most = refusedMax
		}
		wait = min(2*wait, most)
	}
}

// attempt dials the peer and, when the handshake succeeds, sends until the connection ends. up says whether it did
// succeed. setAddr and cancel end the attempt early.
func (p *peer) attempt() (up bool, err error) {
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	select {
	case <-p.kick: // what it announced is happening
	default:
	}
	p.mu.Lock()
	addr := p.addr
	p.redial = cancel
	p.mu.Unlock()
	conn, err := p.call(ctx, addr, purposeMessages)
	if err != nil {
		return false, err
	}
	// Closing the connection also ends a write that hangs.
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer conn.Close()

	p.connects.Add(1)
	p.connected.Store(true)
	defer p.connected.Store(false)
	p.mu.Lock()
	p.lastError = ""
	p.mu.Unlock()
	p.t.cfg.Logger.Info("peer_connected", "peer", p.name, "addr", addr)
	p.refused, p.failure = RefusedError{}, ""
	return true, p.pump(conn)
}

// call dials the peer and checks that the node that answers is the right one, in the right incarnation.
func (p *peer) call(ctx context.Context, addr string, what purpose) (net.Conn, error) {
	self := p.t.cfg.Self
	self.To = p.name
	if p.guest.Load() {
		self.Addr = ""
	}
	conn, h, err := call(ctx, addr, what, self)
	if err != nil {
		return nil, err
	}
	if h.Node != p.id {
		_ = conn.Close()
		return nil, fmt.Errorf("the answer comes from node %q with id %x, not %x", h.Name, uint64(h.Node), uint64(p.id))
	}
	err = p.t.cfg.Admit(h.Name, h.Incarnation)
	if err == nil && p.incarnation != 0 && p.incarnation != h.Incarnation { // replaced since
		err = fmt.Errorf("it is incarnation %016x, not %016x", h.Incarnation, p.incarnation)
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("this node does not admit it: %w", err)
	}
	return conn, nil
}

// pump sends what is queued until the connection ends; it returns why.
func (p *peer) pump(conn net.Conn) error {
	gone := make(chan error, 1)
	p.t.wg.Add(1)
	go func() { // the peer never sends here: a read ends when the connection does
		defer p.t.wg.Done()
		_, err := conn.Read(make([]byte, 1))
		if err == nil {
			err = malformed("the peer spoke on a one-way connection")
		}
		gone <- err
		_ = conn.Close()
	}()
	p.out.Lock()
	p.sock = nonblock.New(conn)
	p.out.Unlock()
	defer func() {
		p.out.Lock()
		p.sock, p.rest = nil, nil
		p.enc.reset()
		p.out.Unlock()
	}()
	for {
		sent, err := p.drain(conn)
		if err != nil {
			return err
		}
		if !sent {
			select {
			case <-p.wake:
				continue
			case err := <-gone:
				return err
			case <-p.ctx.Done():
				return p.ctx.Err()
			}
		}
	}
}

// drain sends what Send left behind, or else the whole queue; false when there was nothing, and the next Send may write
// itself.
func (p *peer) drain(conn net.Conn) (bool, error) {
	p.out.Lock()
	defer p.out.Unlock()
	if len(p.rest) > 0 {
		rest := p.rest
		p.rest = nil
		defer p.enc.reset()
		n, err := writeAll(conn, rest)
		p.bytesSent.Add(uint64(n))
		if err != nil {
			return true, err
		}
		return true, conn.SetWriteDeadline(time.Time{})
	}
	items := p.take()
	if items == nil {
		return false, nil
	}
	err := p.write(conn, items)
	clear(items)
	if err != nil {
		return true, err
	}
	return true, conn.SetWriteDeadline(time.Time{}) // one that has passed would fail the writes of Send
}

// write sends items, in one write(2) unless they are many or large. Messages it could not hand to the kernel are
// counted as dropped.
func (p *peer) write(conn net.Conn, items []item) error {
	for i := 0; i < len(items); {
		first := i
		for i < len(items) && p.enc.size() < segmentBytes {
			i = p.frame(items, i)
		}
		n, err := p.enc.flush(conn, writeTimeout)
		p.bytesSent.Add(uint64(n))
		if err != nil {
			p.lose(len(items) - first)
			return err
		}
		p.sent.Add(uint64(i - first))
	}
	if cap(p.enc.buf) > writeBytes {
		p.enc.buf = nil // one burst must not pin its memory for good
	}
	return nil
}

// frame encodes one frame that begins with items[i] and holds messages of its group; it returns the next i.
func (p *peer) frame(items []item, i int) int {
	group := items[i].group
	p.enc.begin(group)
	for size := 0; i < len(items) && items[i].group == group; i++ {
		size += items[i].size
		if size > maxPayload || (size > segmentBytes && p.enc.payload() > 0) {
			break
		}
		p.enc.message(&items[i].msg)
	}
	p.enc.endMessages()
	return i
}

// failed records why there is no connection, once per change, and drops what waits for it. up says that there was
// one: then messages that the kernel had taken may be lost as well. It reports whether the peer refused this node.
func (p *peer) failed(err error, up bool) bool {
	p.mu.Lock()
	dropped := len(p.queue)
	clear(p.queue)
	p.queue, p.bytes = p.queue[:0], 0
	p.lastError = err.Error()
	p.mu.Unlock()
	if up || dropped > 0 {
		p.lose(dropped)
	}

	log := p.t.cfg.Logger
	var refused *RefusedError
	if errors.As(err, &refused) {
		p.refusals.Add(1)
		if *refused != p.refused {
			p.refused = *refused
			log.Error("peer_refuses", "peer", p.name, "code", refused.Code.String(), "reason", refused.Reason)
			if !p.guest.Load() {
				p.t.cfg.Refused(p.public(), refused)
			}
		}
		return true
	}
	if kind := failureKind(err); kind != p.failure {
		p.failure = kind
		log.Warn("peer_lost", "peer", p.name, "error", err)
	}
	return false
}

// failureKind cuts what differs between two attempts, the port numbers, from an error's text.
func failureKind(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Op + " " + op.Err.Error()
	}
	return err.Error()
}

// pause waits up to a jittered duration; a kick ends the wait, but never within backoffMin of the last attempt, so
// that two nodes cannot drive each other in circles. It reports false when the peer is gone.
func (p *peer) pause(began time.Time, wait time.Duration) bool {
	full := wait/2 + rand.N(wait)
	timer := time.NewTimer(full)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.ctx.Done():
		return false
	case <-p.kick:
	}
	timer.Reset(max(0, min(full, backoffMin-time.Since(began))))
	select {
	case <-timer.C:
		return true
	case <-p.ctx.Done():
		return false
	}
}

func (p *peer) public() Peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Peer{ID: p.id, Name: p.name, Addr: p.addr, Incarnation: p.incarnation}
}

func (p *peer) stats() PeerStats {
	s := p.counters.stats()
	s.Connected = p.connected.Load()
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Peer = Peer{ID: p.id, Name: p.name, Addr: p.addr, Incarnation: p.incarnation}
	s.QueuedMessages, s.QueuedBytes, s.LastError = len(p.queue), p.bytes, p.lastError
	return s
}
