package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"kvapp/raft"
)

// streamKey tells whether two snapshot connections carry the same stream.
type streamKey struct {
	from        raft.NodeID
	group       uint32
	term, index uint64
	name        string
	size        int64
	sum         uint32
}

// inStream is the receiving side of one snapshot. It implements the io.Reader that ReceiveSnapshot sees: the bytes of
// verified chunks, then io.EOF. When its connection breaks it waits for the sender to come back with another.
//
// Owned by the goroutine of the connection that began it, which runs ReceiveSnapshot; the goroutines of connections
// that continue the stream only hand them over (readSnapshot) and wait for done.
type inStream struct {
	t    *Transport
	h    SnapshotHeader
	conn net.Conn
	fr   *frameReader
	part []byte // of the newest chunk, not yet read; points into fr's scratch
	left int64  // bytes of the file not yet read, part included
	err  error  // final

	next   chan inConn   // capacity 1, sent with t.mu held: the connection that continues the stream
	newest net.Conn      // guarded by t.mu: the one handed over last
	done   chan struct{} // closed at the end
}

// inConn is a connection whose header frame was read.
type inConn struct {
	conn net.Conn
	fr   *frameReader
}

// readSnapshot serves one inbound snapshot connection: it begins a stream or continues one.
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
	key := streamKey{h.From, h.Group, h.Term, h.Meta.Index, h.Name, h.Size, h.Sum}

	t.mu.Lock()
	s := t.streams[key]
	if s != nil {
		s.replace(inConn{conn, fr})
		t.mu.Unlock()
		<-s.done
		return nil
	}
	s = &inStream{t: t, h: h, left: h.Size, next: make(chan inConn, 1), newest: conn, done: make(chan struct{})}
	t.streams[key] = s
	t.mu.Unlock()

	if s.err = s.use(inConn{conn, fr}); s.err == nil {
		err = t.cfg.ReceiveSnapshot(h, s)
	}
	return s.finish(key, err)
}

// replace hands over c and cuts off the connection before it, of which the sender knows nothing any more. t.mu is held.
func (s *inStream) replace(c inConn) {
	select {
	case <-s.next:
	default:
	}
	s.next <- c
	_ = s.newest.Close()
	s.newest = c.conn
}

// use makes c the stream's connection and tells the sender where to go on.
func (s *inStream) use(c inConn) error {
	s.conn, s.fr = c.conn, c.fr
	var e encoder
	e.begin(s.h.Group)
	e.buf = binary.LittleEndian.AppendUint64(e.buf, uint64(s.h.Size-s.left))
	e.end(frameSnapshotOffset)
	_, err := e.flush(c.conn, writeTimeout)
	return err
}

// Read implements io.Reader.
func (s *inStream) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.left == 0 {
		return 0, io.EOF
	}
	for len(s.part) == 0 {
		err := s.chunk()
		if err == nil {
			break
		}
		if errors.Is(err, errMalformed) {
			s.t.count(s.h.From).malformed.Add(1)
		}
		if s.err = s.resume(err); s.err != nil {
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

// resume waits for the connection that replaces the one that failed because of cause.
func (s *inStream) resume(cause error) error {
	_ = s.conn.Close()
	s.t.cfg.Logger.Warn("snapshot_interrupted",
		"name", s.h.Name, "bytes_left", s.left, "error", cause)
	timer := time.NewTimer(s.t.resumeWindow)
	defer timer.Stop()
	for {
		select {
		case c := <-s.next:
			if err := s.use(c); err == nil {
				return nil
			}
			_ = c.conn.Close()
		case <-s.t.ctx.Done():
			return fmt.Errorf("%w with %d of %d bytes left", ErrClosed, s.left, s.h.Size)
		case <-timer.C:
			return fmt.Errorf("the stream broke off with %d of %d bytes left: %w", s.left, s.h.Size, cause)
		}
	}
}

// finish ends the stream, logs and sends the verdict over the newest connection. err is what ReceiveSnapshot returned;
// what finish returns is only about the connection.
func (s *inStream) finish(key streamKey, err error) error {
	if err == nil {
		err = s.err
	}
	if err == nil && s.left > 0 {
		err = fmt.Errorf("%d of %d bytes were not read", s.left, s.h.Size)
	}
	s.t.mu.Lock()
	delete(s.t.streams, key)
	s.t.mu.Unlock()
	defer close(s.done)
	select {
	case c := <-s.next: // the sender came back while the file was being made durable
		if uerr := s.use(c); uerr != nil {
			return uerr
		}
	default:
	}
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
