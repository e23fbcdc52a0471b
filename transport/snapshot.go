package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"kvapp/raft"
)

const (
	// chunkBytes is the payload of one chunk of a snapshot stream, each with its own checksum.
	chunkBytes = 256 << 10
	// chunkTimeout is how long the receiver may take to make room for one chunk.
	chunkTimeout = 30 * time.Second
	// verdictTimeout is how long the receiver may take to make a whole snapshot durable.
	verdictTimeout = 5 * time.Minute

	maxFileName = 1024
	maxVerdict  = 4096
)

// SnapshotHeader describes a snapshot stream.
type SnapshotHeader struct {
	Group uint32
	From  raft.NodeID // filled in by the receiving side from the handshake
	Term  uint64      // of the leader that sends
	Meta  raft.SnapshotMeta
	Name  string // of the file
	Size  int64  // bytes
	Sum   uint32 // CRC32C of the whole file; ReceiveSnapshot compares
}

// SendSnapshot streams a snapshot file over a connection of its own: header, h.Size bytes of what open returns, and the
// receiver's verdict. It never blocks. done is called exactly once, from another goroutine: nil means that the
// receiver's ReceiveSnapshot returned nil. Removing the peer or closing the transport ends the stream. Any goroutine.
// On a closed transport done is called before SendSnapshot returns.
func (t *Transport) SendSnapshot(to raft.NodeID, h SnapshotHeader, open func() (io.ReadCloser, error), done func(error)) {
	t.mu.Lock()
	closed := t.closed
	p := (*t.peers.Load())[to]
	if !closed {
		t.wg.Add(1)
		go func() {
			defer t.wg.Done()
			done(t.sendSnapshot(p, &h, open))
		}()
	}
	t.mu.Unlock()
	if closed {
		done(ErrClosed)
	}
}

func (t *Transport) sendSnapshot(p *peer, h *SnapshotHeader, open func() (io.ReadCloser, error)) error {
	if p == nil {
		return fmt.Errorf("transport: send a snapshot: %w", ErrUnknownPeer)
	}
	err := p.stream(h, open)
	switch {
	case err == nil:
		p.snapshots.Add(1)
		return nil
	case t.ctx.Err() != nil:
		err = ErrClosed
	case p.ctx.Err() != nil:
		err = ErrUnknownPeer
	}
	return fmt.Errorf("transport: send snapshot %s to %s: %w", h.Name, p.name, err)
}

// stream is one snapshot stream from dial to verdict.
func (p *peer) stream(h *SnapshotHeader, open func() (io.ReadCloser, error)) error {
	if h.Size < 0 || len(h.Name) > maxFileName {
		return fmt.Errorf("size %d, name of %d bytes", h.Size, len(h.Name))
	}
	src, err := open()
	if err != nil {
		return err
	}
	defer src.Close()
	conn, err := p.call(p.ctx, p.public().Addr, purposeSnapshot)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(p.ctx, func() { _ = conn.Close() })()
	if err := p.sendFile(conn, h, src); err != nil {
		// A receiver that gives up says why before it closes.
		_ = conn.SetReadDeadline(time.Now().Add(time.Second))
		if verdict := readVerdict(conn); verdict != nil && !isNetwork(verdict) {
			return verdict
		}
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(verdictTimeout)); err != nil {
		return err
	}
	return readVerdict(conn)
}

func (p *peer) sendFile(conn net.Conn, h *SnapshotHeader, src io.Reader) error {
	var e encoder
	e.begin(h.Group)
	e.buf = appendSnapshotHeader(e.buf, h)
	e.end(frameSnapshot)
	chunk := make([]byte, chunkBytes)
	for left := h.Size; ; {
		n, err := e.flush(conn, chunkTimeout)
		p.bytesSent.Add(uint64(n))
		if err != nil || left == 0 {
			return err
		}
		part := chunk[:min(left, chunkBytes)]
		if _, err := io.ReadFull(src, part); err != nil {
			return fmt.Errorf("read the snapshot, %d of %d bytes left: %w", left, h.Size, err)
		}
		left -= int64(len(part))
		e.begin(h.Group)
		e.raw(part)
		e.end(frameSnapshotChunk)
	}
}

// verdictError is what the receiver of a snapshot answered.
type verdictError string

func (e verdictError) Error() string { return "the receiver says: " + string(e) }

func isNetwork(err error) bool {
	var v verdictError
	return !errors.As(err, &v)
}

func readVerdict(conn net.Conn) error {
	f, err := newFrameReader(conn).next()
	switch {
	case err != nil:
		return fmt.Errorf("wait for the receiver: %w", err)
	case f.kind != frameSnapshotDone:
		return malformed("frame type %d instead of a verdict", f.kind)
	case len(f.payload) > 0:
		return verdictError(f.payload[:min(len(f.payload), maxVerdict)])
	}
	return nil
}

// readSnapshot serves one inbound snapshot stream.
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
	body := &chunkReader{conn: conn, fr: fr, left: h.Size}
	err = t.cfg.ReceiveSnapshot(h, body)
	if err == nil && body.left > 0 {
		err = fmt.Errorf("%d of %d bytes were not read", body.left, h.Size)
	}
	var e encoder
	e.begin(h.Group)
	if err != nil {
		t.cfg.Logger.Warn("snapshot not received", "peer", hello.Name, "name", h.Name, "err", err)
		text := err.Error()
		if text == "" {
			text = "failed"
		}
		e.buf = append(e.buf, text[:min(len(text), maxVerdict)]...)
	}
	e.end(frameSnapshotDone)
	if _, werr := e.flush(conn, writeTimeout); werr != nil {
		return errors.Join(err, werr)
	}
	if err != nil {
		lingerClose(conn)
	}
	return errors.Join(err, body.err)
}

// lingerClose lets the peer read what was written last although it is still sending: closing with unread bytes would
// reset the connection and take the verdict with it.
func lingerClose(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.Copy(io.Discard, conn)
}

// chunkReader is the io.Reader that ReceiveSnapshot sees: the bytes of verified chunks, then io.EOF.
type chunkReader struct {
	conn net.Conn
	fr   *frameReader
	part []byte // of the newest chunk, not yet read
	left int64  // bytes of the file not yet read, part included
	err  error  // final
}

func (c *chunkReader) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if c.left == 0 {
		return 0, io.EOF
	}
	if len(c.part) == 0 {
		if c.err = c.next(); c.err != nil {
			return 0, c.err
		}
	}
	n := copy(p, c.part)
	c.part, c.left = c.part[n:], c.left-int64(n)
	return n, nil
}

func (c *chunkReader) next() error {
	_ = c.conn.SetReadDeadline(time.Now().Add(chunkTimeout))
	f, err := c.fr.next()
	switch {
	case err == io.EOF:
		return fmt.Errorf("the stream ended %d bytes early: %w", c.left, io.ErrUnexpectedEOF)
	case err != nil:
		return fmt.Errorf("%d bytes before the end: %w", c.left, err)
	case f.kind != frameSnapshotChunk:
		return malformed("frame type %d among chunks", f.kind)
	case len(f.payload) == 0 || len(f.payload) > chunkBytes || int64(len(f.payload)) > c.left:
		return malformed("chunk of %d bytes, %d bytes are left", len(f.payload), c.left)
	}
	c.part = f.payload
	return nil
}

// appendSnapshotHeader appends what decodeSnapshotHeader reads. Group travels in the frame and From in the handshake.
func appendSnapshotHeader(b []byte, h *SnapshotHeader) []byte {
	b = binary.LittleEndian.AppendUint64(b, h.Term)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.Size))
	b = binary.LittleEndian.AppendUint32(b, h.Sum)
	b = binary.LittleEndian.AppendUint64(b, h.Meta.Index)
	b = binary.LittleEndian.AppendUint64(b, h.Meta.Term)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(h.Name)))
	b = append(b, h.Name...)
	return appendMembership(b, &h.Meta.Membership)
}

const snapshotHeaderLen = 38

func decodeSnapshotHeader(p []byte) (SnapshotHeader, error) {
	if len(p) < snapshotHeaderLen {
		return SnapshotHeader{}, malformed("snapshot header of %d bytes", len(p))
	}
	h := SnapshotHeader{
		Term: binary.LittleEndian.Uint64(p),
		Size: int64(binary.LittleEndian.Uint64(p[8:])),
		Sum:  binary.LittleEndian.Uint32(p[16:]),
		Meta: raft.SnapshotMeta{Index: binary.LittleEndian.Uint64(p[20:]), Term: binary.LittleEndian.Uint64(p[28:])},
	}
	n := int(binary.LittleEndian.Uint16(p[36:]))
	p = p[snapshotHeaderLen:]
	if h.Size < 0 || n > maxFileName || n > len(p) {
		return SnapshotHeader{}, malformed("snapshot of %d bytes, name of %d", h.Size, n)
	}
	h.Name = string(p[:n])
	m, err := decodeMembership(p[n:])
	if err != nil {
		return SnapshotHeader{}, err
	}
	h.Meta.Membership = m
	return h, nil
}
