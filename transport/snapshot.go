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
	// resumeWindow is how long the sender tries to go on with a stream that broke before it gives up. What the receiver
	// has is not lost then: the next stream of the same file goes on from there.
	resumeWindow = 10 * time.Second
	// verdictTimeout is how long the receiver may take to verify what it has of a snapshot, or to make all of it durable.
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
	Sum   uint32 // CRC32C of the whole file; ReceiveSnapshot compares. With Meta and Size it says what the content is
}

// SendSnapshot streams a snapshot file over a connection of its own: header, h.Size bytes of what open returns, and the
// receiver's verdict. A connection that breaks on the way is replaced, and the stream continues where the receiver
// stands; open is called once per connection (an io.Seeker saves reading what is skipped). It never blocks. done is
// called exactly once, from another goroutine: nil means that the receiver's ReceiveSnapshot returned nil. Removing the
// peer or closing the transport ends the stream. Any goroutine. On a closed transport done is called before
// SendSnapshot returns.
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
	s := outStream{p: p, h: h, open: open}
	err := s.run()
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

// outStream is the sending side of one snapshot, owned by its goroutine.
type outStream struct {
	p     *peer
	h     *SnapshotHeader
	open  func() (io.ReadCloser, error)
	moved time.Time // when the receiver last took something; zero before it took the header
}

// finalError ends a stream although a new connection could be made.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// run tries one connection after the other until there is a verdict or the window closes. A first connection that does
// not even get its header through is not repeated: the caller decides when to try again.
func (s *outStream) run() error {
	if s.h.Size < 0 || len(s.h.Name) > maxFileName {
		return fmt.Errorf("size %d, name of %d bytes", s.h.Size, len(s.h.Name))
	}
	for wait := backoffMin; ; wait = min(2*wait, backoffMax) {
		err := s.attempt()
		var final finalError
		var refused *RefusedError
		if err == nil || errors.As(err, &final) || errors.As(err, &refused) || s.p.ctx.Err() != nil {
			return err
		}
		if time.Since(s.moved) > s.p.t.resumeWindow {
			return err
		}
		select {
		case <-time.After(wait):
		case <-s.p.ctx.Done():
		}
	}
}

// attempt is one connection from dial to verdict.
func (s *outStream) attempt() error {
	src, err := s.open()
	if err != nil {
		return finalError{err}
	}
	defer src.Close()
	conn, err := s.p.call(s.p.ctx, s.p.public().Addr, purposeSnapshot)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(s.p.ctx, func() { _ = conn.Close() })()

	fr := newFrameReader(conn)
	if err := s.sendFile(conn, fr, src); err != nil {
		var final finalError
		if errors.As(err, &final) || errors.Is(err, errMalformed) {
			return err
		}
		// A receiver that gives up says why before it closes.
		_ = conn.SetReadDeadline(time.Now().Add(time.Second))
		if refused, verr := readVerdict(fr); verr == nil && refused != nil {
			return finalError{refused}
		}
		return err
	}
	_ = conn.SetReadDeadline(time.Now().Add(verdictTimeout))
	refused, err := readVerdict(fr)
	var timeout net.Error
	switch {
	case refused != nil:
		return finalError{refused}
	case errors.As(err, &timeout) && timeout.Timeout():
		return finalError{err} // it had its time
	}
	return err
}

// sendFile sends the header, learns where the receiver stands and sends the rest of the file.
func (s *outStream) sendFile(conn net.Conn, fr *frameReader, src io.Reader) error {
	var e encoder
	e.begin(s.h.Group)
	e.buf = appendSnapshotHeader(e.buf, s.h)
	e.end(frameSnapshot)
	if err := s.flush(&e, conn); err != nil {
		return err
	}
	_ = conn.SetReadDeadline(time.Now().Add(verdictTimeout))
	at, err := readOffset(fr, s.h.Size)
	if err != nil {
		return err
	}
	s.moved = time.Now()
	if err := skip(src, at); err != nil {
		return finalError{fmt.Errorf("skip %d bytes of the snapshot: %w", at, err)}
	}
	chunk := make([]byte, chunkBytes)
	for at < s.h.Size {
		part := chunk[:min(s.h.Size-at, chunkBytes)]
		if _, err := io.ReadFull(src, part); err != nil {
			return finalError{fmt.Errorf("read the snapshot at %d of %d bytes: %w", at, s.h.Size, err)}
		}
		e.begin(s.h.Group)
		e.raw(part)
		e.end(frameSnapshotChunk)
		if err := s.flush(&e, conn); err != nil {
			return err
		}
		at += int64(len(part))
		s.moved = time.Now()
	}
	return nil
}

func (s *outStream) flush(e *encoder, conn net.Conn) error {
	n, err := e.flush(conn, chunkTimeout)
	s.p.bytesSent.Add(uint64(n))
	return err
}

func skip(r io.Reader, n int64) error {
	if n == 0 {
		return nil
	}
	if seeker, ok := r.(io.Seeker); ok {
		_, err := seeker.Seek(n, io.SeekStart)
		return err
	}
	_, err := io.CopyN(io.Discard, r, n)
	return err
}

// readOffset reads how much of a file of size bytes the receiver has.
func readOffset(fr *frameReader, size int64) (int64, error) {
	f, err := fr.next()
	if err != nil {
		return 0, fmt.Errorf("wait for the receiver: %w", err)
	}
	if f.kind == frameSnapshotDone && len(f.payload) > 0 {
		return 0, finalError{refusal(f)}
	}
	if f.kind != frameSnapshotOffset || len(f.payload) != 8 {
		return 0, malformed("frame type %d of %d bytes instead of an offset", f.kind, len(f.payload))
	}
	at := binary.LittleEndian.Uint64(f.payload)
	if at > uint64(size) {
		return 0, malformed("offset %d in %d bytes", at, size)
	}
	return int64(at), nil
}

// readVerdict reads the receiver's last word: nil, or its refusal. err says that there was none.
func readVerdict(fr *frameReader) (refused, err error) {
	f, err := fr.next()
	switch {
	case err != nil:
		return nil, fmt.Errorf("wait for the receiver: %w", err)
	case f.kind != frameSnapshotDone:
		return nil, malformed("frame type %d instead of a verdict", f.kind)
	case len(f.payload) > 0:
		return refusal(f), nil
	}
	return nil, nil
}

func refusal(f frame) error { return fmt.Errorf("%w: %s", ErrSnapshotRefused, f.payload) }

// appendSnapshotHeader appends what decodeSnapshotHeader reads. Group travels in the frame and From in the handshake.
func appendSnapshotHeader(b []byte, h *SnapshotHeader) []byte {
	b = binary.LittleEndian.AppendUint64(b, h.Term)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.Size))
	b = binary.LittleEndian.AppendUint32(b, h.Sum)
	b = binary.LittleEndian.AppendUint64(b, h.Meta.Index)
	b = binary.LittleEndian.AppendUint64(b, h.Meta.Term)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(h.Name)))
	b = append(b, h.Name...)
	return raft.AppendMembership(b, h.Meta.Membership)
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
	m, err := raft.DecodeMembership(p[n:])
	if err != nil {
		return SnapshotHeader{}, malformed("snapshot header: %v", err)
	}
	h.Meta.Membership = m
	return h, nil
}
