package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// inStream is the receiving side of one snapshot connection. It is the io.Reader that ReceiveSnapshot gets: the bytes
// of verified chunks behind what the receiver has, then io.EOF. When the connection breaks the stream ends; the sender
// comes back with another, and the receiver says again how much it has.
//
// Owned by the goroutine of its connection, which runs ReceiveSnapshot; another may close conn.
type inStream struct {
	t     *Transport
	h     SnapshotHeader
	conn  net.Conn
	fr    *frameReader
	begun bool   // the sender was told where to go on
	part  []byte // of the newest chunk, not yet read; points into fr's scratch
	left  int64  // bytes of the file not yet read, part included
	err   error  // of the connection; final

	done chan struct{} // closed at the end
}

// inStreams are the snapshot streams of one group: one at a time is received.
type inStreams struct {
	current *inStream // nil: none
	newest  *inStream // the last one that came: current, or waiting for its end; nil: none
	term    uint64    // the highest that a stream came with
}

var errReplaced = errors.New("the sender came back with another connection")

// readSnapshot serves one inbound snapshot connection.
func (t *Transport) readSnapshot(conn net.Conn, hello Hello) error {
	fr := newFrameReader(conn)
	_ = conn.SetReadDeadline(time.Now().Add(handshakeTimeout))
	f, err := fr.next()
	if err != nil {
		return err
	}
	if f.kind != frameSnapshot {
		return malformed("frame type %d instead of a snapshot header", f.kind)
	}
	h, err := decodeSnapshotHeader(f.payload)
	if err != nil {
		return err
	}
	h.Group, h.From = f.group, hello.Node
	s := &inStream{t: t, h: h, conn: conn, fr: fr, left: h.Size, done: make(chan struct{})}
	if err := t.takeOver(s); err != nil {
		if errors.Is(err, errReplaced) {
			return err
		}
		return s.verdict(err)
	}
	defer t.release(s)
	return s.finish(t.cfg.ReceiveSnapshot(h, s.begin))
}

// takeOver makes s the stream of its group and ends the one before it: a sender that comes back knows nothing of its
// older connection any more. It waits until that one has ended, because both write the same file. A leader that was
// deposed is refused, or the two would end each other's streams for ever.
func (t *Transport) takeOver(s *inStream) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.streams[s.h.Group]
	if g == nil {
		g = &inStreams{}
		t.streams[s.h.Group] = g
	}
	if g.term > s.h.Term {
		return fmt.Errorf("a leader of term %d has sent a snapshot", g.term)
	}
	g.term, g.newest = s.h.Term, s
	if cur := g.current; cur != nil {
		_ = cur.conn.Close()
		t.mu.Unlock()
		<-cur.done
		t.mu.Lock()
		if g.newest != s {
			return errReplaced
		}
	}
	g.current = s
	return nil
}

// release ends s.
func (t *Transport) release(s *inStream) {
	t.mu.Lock()
	g := t.streams[s.h.Group]
	g.current = nil
	if g.newest == s {
		g.newest = nil
	}
	t.mu.Unlock()
	close(s.done)
}

// begin tells the sender that the receiver has the first have bytes of the file; the result reads the rest.
func (s *inStream) begin(have int64) (io.Reader, error) {
	if s.begun || have < 0 || have > s.h.Size {
		return nil, fmt.Errorf("transport: the receiver has %d bytes of %d", have, s.h.Size)
	}
	s.begun, s.left = true, s.h.Size-have
	if have > 0 {
		s.t.cfg.Logger.Info("snapshot_resumed", "name", s.h.Name, "bytes", have, "bytes_left", s.left)
	}
	var e encoder
	e.begin(s.h.Group)
	e.buf = binary.LittleEndian.AppendUint64(e.buf, uint64(have))
	e.end(frameSnapshotOffset)
	_, s.err = e.flush(s.conn, writeTimeout)
	return s, nil
}

// Read implements io.Reader.
func (s *inStream) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.left == 0 {
		return 0, io.EOF
	}
	if len(s.part) == 0 {
		if s.err = s.chunk(); s.err != nil {
			return 0, s.err
		}
	}
	n := copy(p, s.part)
	s.part, s.left = s.part[n:], s.left-int64(n)
	return n, nil
}

// chunk reads the next chunk.
func (s *inStream) chunk() error {
	_ = s.conn.SetReadDeadline(time.Now().Add(chunkTimeout))
	f, err := s.fr.next()
	switch {
	case err == io.EOF:
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	case f.kind != frameSnapshotChunk:
		return malformed("frame type %d among chunks", f.kind)
	case len(f.payload) == 0 || int64(len(f.payload)) > s.left:
		return malformed("chunk of %d bytes, %d bytes are left", len(f.payload), s.left)
	}
	s.part = f.payload
	return nil
}

// finish ends the stream: err is what ReceiveSnapshot returned. What finish returns is only about the connection.
func (s *inStream) finish(err error) error {
	if s.err != nil { // nobody is there to hear a verdict
		s.t.cfg.Logger.Warn("snapshot_interrupted", "name", s.h.Name, "bytes_left", s.left, "error", s.err)
		return s.err
	}
	if errors.Is(err, ErrTryLater) {
		return err
	}
	if err == nil && (!s.begun || s.left > 0) {
		err = fmt.Errorf("%d of %d bytes were not read", s.left, s.h.Size)
	}
	return s.verdict(err)
}

// verdict is the receiver's last word: nil when the whole file is durable.
func (s *inStream) verdict(err error) error {
	var e encoder
	e.begin(s.h.Group)
	if err != nil {
		text := err.Error()
		if text == "" {
			text = "failed"
		}
		e.buf = append(e.buf, text[:min(len(text), maxVerdict)]...)
		s.t.cfg.Logger.Warn("snapshot_not_received", "name", s.h.Name, "error", err)
	}
	e.end(frameSnapshotDone)
	if _, werr := e.flush(s.conn, writeTimeout); werr != nil {
		return werr
	}
	if err != nil {
		lingerClose(s.conn)
	}
	return nil
}

// lingerClose lets the peer read what was written last although it is still sending: closing with unread bytes would
// reset the connection and take the last words with it.
func lingerClose(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.Copy(io.Discard, conn)
}
