package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"kvapp/internal/nonblock"
	"kvapp/raft"
)

// acceptLoop is the goroutine of the listener.
func (t *Transport) acceptLoop() {
	defer t.wg.Done()
	wait := time.Duration(0)
	for {
		conn, err := t.cfg.Listener.Accept()
		if err == nil {
			wait = 0
			t.admit(conn)
			continue
		}
		if t.ctx.Err() != nil {
			return
		}
		// Out of file descriptors, most likely: it passes, and to give up would cut the node off for good.
		wait = min(max(2*wait, 5*time.Millisecond), time.Second)
		t.cfg.Logger.Error("peer_accept_failed", "error", err, "retry", wait)
		select {
		case <-time.After(wait):
		case <-t.ctx.Done():
			return
		}
	}
}

// admit starts a goroutine for conn unless there are too many.
func (t *Transport) admit(conn net.Conn) {
	if !t.track(conn) {
		t.logStranger(conn, Hello{}, errTooMany)
		_ = conn.Close()
		return
	}
	go func() {
		defer t.wg.Done()
		defer t.untrack(conn)
		t.serve(conn)
	}()
}

var errOutlived = errors.New("the node was replaced by one with another disk")

var errTooMany = fmt.Errorf("%d connections are open, or the transport closes", maxInbound)

// track makes Close end conn and wait for its goroutine.
func (t *Transport) track(conn net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || len(t.inbound) >= maxInbound {
		return false
	}
	t.inbound[conn] = Hello{}
	t.wg.Add(1)
	return true
}

// identify notes who opened conn. It reports false when that node was replaced while it was being welcomed.
func (t *Transport) identify(conn net.Conn, hello *Hello) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if outlived(*t.peers.Load(), hello) {
		return false
	}
	t.inbound[conn] = *hello
	return true
}

func (t *Transport) untrack(conn net.Conn) {
	t.mu.Lock()
	delete(t.inbound, conn)
	t.mu.Unlock()
	_ = conn.Close()
}

// serve is the goroutine of one connection that somebody else opened.
func (t *Transport) serve(conn net.Conn) {
	tune(conn)
	_ = conn.SetDeadline(time.Now().Add(handshakeTimeout))
	what, hello, err := t.welcome(conn)
	if err != nil {
		t.logStranger(conn, hello, err)
		return
	}
	if !t.identify(conn, &hello) {
		t.countRefusal(CodeAdmit)
		return
	}
	_ = conn.SetDeadline(time.Time{})
	if p := (*t.peers.Load())[hello.Node]; p != nil && !p.connected.Load() {
		p.kickNow()
	}
	switch what {
	case purposeMessages:
		err = t.readMessages(conn, hello)
	case purposeSnapshot:
		err = t.readSnapshot(conn, hello)
	case purposeProbe:
		return
	}
	if errors.Is(err, errMalformed) {
		t.count(hello.Node).malformed.Add(1)
		t.cfg.Logger.Error("peer_closed", "peer", hello.Name, "from", conn.RemoteAddr().String(), "error", err)
		return
	}
	t.cfg.Logger.Debug("peer_ended", "peer", hello.Name, "error", err)
}

// count returns where to count what comes from a node.
func (t *Transport) count(id raft.NodeID) *counters {
	if p := (*t.peers.Load())[id]; p != nil {
		return &p.counters
	}
	return &t.strangers
}

// welcome reads the hello and answers it. An error has been told to the caller where it is a *RefusedError.
func (t *Transport) welcome(conn net.Conn) (purpose, Hello, error) {
	what, hello, err := readCall(conn)
	if err == nil {
		err = t.check(what, &hello)
	}
	var refused *RefusedError
	if err != nil && !errors.As(err, &refused) {
		return 0, hello, err
	}
	self := t.cfg.Self
	self.To = hello.Name
	if refused != nil {
		t.countRefusal(refused.Code)
		refused.Peer = hello.Name
		if _, werr := conn.Write(appendAnswer(nil, refused.Code, refused.Reason, &self)); werr != nil {
			return 0, hello, errors.Join(err, werr)
		}
		if refused.Code == CodeVersion { // the rest of what the caller said is still unread
			lingerClose(conn)
		}
		return 0, hello, err
	}
	_, err = conn.Write(appendAnswer(nil, 0, "", &self))
	return what, hello, err
}

// check decides about a hello. The order is from the grossest mistake to the finest, so that the text fits the cause.
func (t *Transport) check(what purpose, h *Hello) error {
	self := &t.cfg.Self
	refuse := func(c Code, format string, args ...any) error {
		return &RefusedError{Code: c, Reason: fmt.Sprintf(format, args...)}
	}
	switch {
	case h.Cluster != self.Cluster:
		return refuse(CodeCluster, "this node belongs to cluster %q, not %q", self.Cluster, h.Cluster)
	case h.To != self.Name && (h.To != "" || what != purposeProbe):
		return refuse(CodeName, "this node is %q, not %q", self.Name, h.To)
	case h.Node == self.Node || h.Name == self.Name:
		return refuse(CodeSelf, "this node itself is %q with id %x", self.Name, uint64(self.Node))
	case h.Node == 0 || h.Name == "":
		return refuse(CodeIdentity, "a node needs a name and an id")
	}
	for id, p := range *t.peers.Load() {
		if (id == h.Node) != (p.name == h.Name) {
			return refuse(CodeIdentity, "here %q has id %x, not %q %x", p.name, uint64(id), h.Name, uint64(h.Node))
		}
	}
	err := t.cfg.Admit(h.Name, h.Incarnation)
	if errors.Is(err, ErrTryLater) {
		return err
	}
	if err != nil {
		return refuse(CodeAdmit, "%s", err.Error())
	}
	return nil
}

// readMessages delivers what a peer sends until its connection ends.
func (t *Transport) readMessages(conn net.Conn, hello Hello) error {
	t.replaceReader(&hello, conn)
	defer t.forgetReader(hello.Node, conn)
	fr := newFrameReader(nonblock.NewReader(conn))
	for {
		before := fr.read
		f, err := fr.next()
		if err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
		if f.kind != frameControl && f.kind != frameEntries {
			return malformed("frame type %d among messages", f.kind)
		}
		msgs, err := decodeMessages(f.payload, hello.Node, t.cfg.Self.Node)
		if err != nil {
			return err
		}
		if outlived(*t.peers.Load(), &hello) { // the connection is closed, but this was in its buffer
			t.refusals.messages.Add(uint64(len(msgs)))
			return errOutlived
		}
		count := t.count(hello.Node)
		count.bytesReceived.Add(fr.read - before)
		count.received.Add(uint64(len(msgs)))
		if len(msgs) > 0 {
			t.cfg.Deliver(f.group, hello.Node, msgs)
		}
	}
}

// replaceReader makes conn the one connection that node's messages come from. An older one is a leftover of which the
// other side knows nothing any more.
func (t *Transport) replaceReader(hello *Hello, conn net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if old := t.readers[hello.Node]; old != nil {
		_ = old.Close()
	}
	t.readers[hello.Node] = conn
	t.welcomeGuest(hello)
}

func (t *Transport) forgetReader(node raft.NodeID, conn net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.readers[node] == conn {
		delete(t.readers, node)
		t.dropGuest(node)
	}
}

// logStranger logs a connection that did not get through the handshake, at most one line per strangersEvery: port
// scanners and a misconfigured node that tries every second must not fill the disk.
func (t *Transport) logStranger(conn net.Conn, h Hello, err error) {
	if errors.Is(err, errMalformed) {
		t.strangers.malformed.Add(1)
	}
	now := time.Now().UnixNano()
	until := t.quiet.Load()
	if t.ctx.Err() != nil || now < until || !t.quiet.CompareAndSwap(until, now+int64(strangersEvery)) {
		return
	}
	t.cfg.Logger.Warn("peer_refused",
		"from", conn.RemoteAddr().String(), "name", h.Name, "error", err)
}
