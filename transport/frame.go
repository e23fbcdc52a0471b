package transport

import (
	"bufio"
	"encoding/binary"
	"hash/crc32"
	"io"
	"net"
	"time"
)

const (
	// readBuffer is the size of a connection's read buffer: many small frames come with one read.
	readBuffer = 64 << 10
	// firstAlloc is the most that a frame's announced length alone can make the reader allocate. A longer payload
	// grows by doubling, so memory stays within twice what has arrived.
	firstAlloc = 1 << 20
	// segmentBytes is the largest piece of an entry handed to one write, so that the write deadline measures progress
	// and not size.
	segmentBytes = 1 << 20
	// writeBytes is how much one writev may carry under one deadline.
	writeBytes = 4 << 20
	// directBytes is how much Send writes itself: what a socket's buffer takes at once.
	directBytes = 64 << 10
)

// payloadLimits bounds the payload of each type of frame in bytes.
var payloadLimits = [frameTypeEnd]uint32{
	frameControl:        segmentBytes, // a sender begins another frame there
	frameEntries:        maxPayload,
	frameSnapshot:       1 << 20,
	frameSnapshotChunk:  chunkBytes,
	frameSnapshotDone:   maxVerdict,
	frameSnapshotOffset: 8,
}

// frame is one frame as it came from the wire.
type frame struct {
	group   uint32
	kind    frameType
	payload []byte
}

// frameReader cuts a connection's bytes into frames. Owned by the connection's reader goroutine.
type frameReader struct {
	br      *bufio.Reader
	scratch []byte // payload of frames that nobody keeps
	read    uint64 // bytes of complete frames so far
}

func newFrameReader(r io.Reader) *frameReader {
	return &frameReader{br: bufio.NewReaderSize(r, readBuffer)}
}

// next returns the next frame. The payload of a frameEntries is a fresh buffer of its exact size that belongs to the
// caller, because the entries will point into it; any other payload is valid until the following call. The error is
// io.EOF when the peer closed between two frames, or wraps errMalformed, or is the connection's.
func (f *frameReader) next() (frame, error) {
	h, err := f.br.Peek(frameHeaderLen)
	if err != nil {
		if err == io.EOF && len(h) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return frame{}, err
	}
	size := binary.LittleEndian.Uint32(h)
	fr := frame{group: binary.LittleEndian.Uint32(h[4:]), kind: frameType(h[8])}
	want := binary.LittleEndian.Uint32(h[12:])
	if fr.kind == 0 || fr.kind >= frameTypeEnd || h[9] != 0 || h[10] != 0 || h[11] != 0 {
		return frame{}, malformed("frame type % x", h[8:12])
	}
	if size > payloadLimits[fr.kind] {
		return frame{}, malformed("frame of %d bytes, the limit of type %d is %d", size, fr.kind, payloadLimits[fr.kind])
	}
	sum := crc32.Update(0, castagnoli, h[:12])
	if _, err := f.br.Discard(frameHeaderLen); err != nil {
		return frame{}, err
	}
	if fr.payload, err = f.payload(int(size), fr.kind == frameEntries); err != nil {
		return frame{}, err
	}
	if sum = crc32.Update(sum, castagnoli, fr.payload); sum != want {
		return frame{}, malformed("checksum %08x of a frame of %d bytes, want %08x", sum, size, want)
	}
	f.read += frameHeaderLen + uint64(size)
	return fr, nil
}

func (f *frameReader) payload(n int, keep bool) ([]byte, error) {
	var b []byte
	if !keep {
		b = f.scratch[:0]
	}
	for len(b) < n {
		if len(b) == cap(b) {
			grown := make([]byte, len(b), min(n, max(firstAlloc, 2*len(b))))
			copy(grown, b)
			b = grown
		}
		at := len(b)
		b = b[:min(n, cap(b))]
		if _, err := io.ReadFull(f.br, b[at:]); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	if !keep && cap(b) <= firstAlloc {
		f.scratch = b[:0]
	}
	return b, nil
}

// flush writes everything that was encoded, each writeBytes under a deadline of its own, and resets the encoder. It
// returns the number of bytes written.
func (e *encoder) flush(conn net.Conn, timeout time.Duration) (int64, error) {
	defer e.reset()
	var total int64
	for vec := e.segments(); len(vec) > 0; {
		k, size := 0, 0
		for k < len(vec) && (k == 0 || size+len(vec[k]) <= writeBytes) {
			size += len(vec[k])
			k++
		}
		if err := conn.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
			return total, err
		}
		var n int64
		var err error
		if k == 1 {
			var w int
			w, err = conn.Write(vec[0])
			n = int64(w)
		} else {
			e.out = vec[:k]
			n, err = e.out.WriteTo(conn)
		}
		total += n
		if err != nil {
			return total, err
		}
		vec = vec[k:]
	}
	return total, nil
}

// flat returns everything that was encoded in one piece, valid until the next reset.
func (e *encoder) flat() []byte {
	vec := e.segments()
	if len(vec) == 1 {
		return vec[0]
	}
	e.whole = e.whole[:0]
	for _, b := range vec {
		e.whole = append(e.whole, b...)
	}
	return e.whole
}

// writeAll writes b, each segmentBytes of it under a deadline of its own.
func writeAll(conn net.Conn, b []byte) (total int, err error) {
	for len(b) > 0 {
		if err := conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
			return total, err
		}
		n, err := conn.Write(b[:min(len(b), segmentBytes)])
		total += n
		if err != nil {
			return total, err
		}
		b = b[n:]
	}
	return total, nil
}
