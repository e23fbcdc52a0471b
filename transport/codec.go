package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net"

	"kvapp/raft"
)

// Sizes of the wire format in bytes; doc.go draws the fields.
const (
	frameHeaderLen   = 16
	messageHeaderLen = 72
	entryHeaderLen   = 24

	// maxPayload bounds the messages of one frame. It only has to be above the largest single entry, a bulk string of
	// 512 MB and its command; the reader never allocates ahead of what has arrived.
	maxPayload = 1 << 30

	// cutBytes is the size from which an entry's Data is handed to writev as it stands instead of being copied into
	// the batch. Below it a copy is cheaper than one more segment.
	cutBytes = 16 << 10
)

// frameType says what the payload of a frame is.
type frameType uint8

const (
	frameControl        frameType = 1 + iota // messages without entries: nothing decoded points into the payload
	frameEntries                             // messages, at least one of them with entries
	frameSnapshot                            // a SnapshotHeader; first frame of a snapshot stream
	frameSnapshotChunk                       // raw bytes of the snapshot file
	frameSnapshotDone                        // the receiver's verdict: empty for success, else the error's text
	frameSnapshotOffset                      // how much of the file the receiver has, a u64; its answer to the header
	frameTypeEnd                             // one above the last type
)

const (
	flagReject   = 1 << 0
	flagTransfer = 1 << 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errMalformed is wrapped by every error that says the peer's bytes make no sense.
var errMalformed = errors.New("malformed")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errMalformed}, args...)...)
}

// messageSize is the number of payload bytes that m takes.
func messageSize(m *raft.Message) int {
	n := messageHeaderLen
	for i := range m.Entries {
		n += entryHeaderLen + len(m.Entries[i].Data)
	}
	return n
}

// encoder builds frames for one write. Everything small goes into one buffer; the Data of large entries stays where
// it is and is remembered as a cut. Owned by one goroutine; reset keeps the memory.
//
// Invariant: cuts ascend by at, and every frame but the last is complete.
type encoder struct {
	buf     []byte
	cuts    []cut
	cutSize int // bytes in cuts

	start    int // of the open frame's header in buf
	firstCut int // of the open frame
	cutStart int // cutSize when the open frame began
	entries  bool

	vec   [][]byte
	out   net.Buffers
	whole []byte // buffer of flat
}

// cut says that data belongs behind buf[:at].
type cut struct {
	at   int
	data []byte
}

func (e *encoder) reset() {
	clear(e.cuts)
	clear(e.vec[:cap(e.vec)])
	e.buf, e.cuts, e.vec, e.out, e.cutSize = e.buf[:0], e.cuts[:0], e.vec[:0], nil, 0
}

// size is the number of bytes that a write would send.
func (e *encoder) size() int { return len(e.buf) + e.cutSize }

// begin opens a frame; end closes it.
func (e *encoder) begin(group uint32) {
	e.start, e.firstCut, e.cutStart, e.entries = len(e.buf), len(e.cuts), e.cutSize, false
	e.buf = append(e.buf, make([]byte, frameHeaderLen)...)
	binary.LittleEndian.PutUint32(e.buf[e.start+4:], group)
}

// payload is the size of the open frame's payload so far.
func (e *encoder) payload() int {
	return len(e.buf) - e.start - frameHeaderLen + e.cutSize - e.cutStart
}

// end fills in length, type and checksum of the open frame.
func (e *encoder) end(t frameType) {
	h := e.buf[e.start : e.start+frameHeaderLen]
	binary.LittleEndian.PutUint32(h, uint32(e.payload()))
	h[8] = byte(t)
	sum := crc32.Update(0, castagnoli, h[:12])
	at := e.start + frameHeaderLen
	for _, c := range e.cuts[e.firstCut:] {
		sum = crc32.Update(sum, castagnoli, e.buf[at:c.at])
		sum = crc32.Update(sum, castagnoli, c.data)
		at = c.at
	}
	sum = crc32.Update(sum, castagnoli, e.buf[at:])
	binary.LittleEndian.PutUint32(h[12:], sum)
}

// endMessages closes a frame that message filled.
func (e *encoder) endMessages() {
	if e.entries {
		e.end(frameEntries)
		return
	}
	e.end(frameControl)
}

// message adds m to the open frame.
func (e *encoder) message(m *raft.Message) {
	var flags byte
	if m.Reject {
		flags |= flagReject
	}
	if m.Transfer {
		flags |= flagTransfer
	}
	b := append(e.buf, byte(m.Type), flags, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(m.Entries)))
	b = binary.LittleEndian.AppendUint64(b, m.Term)
	b = binary.LittleEndian.AppendUint64(b, m.Index)
	b = binary.LittleEndian.AppendUint64(b, m.LogTerm)
	b = binary.LittleEndian.AppendUint64(b, m.Commit)
	b = binary.LittleEndian.AppendUint64(b, m.Hint)
	b = binary.LittleEndian.AppendUint64(b, m.HintTerm)
	b = binary.LittleEndian.AppendUint64(b, m.Ctx)
	b = binary.LittleEndian.AppendUint64(b, uint64(m.SentAt))
	for i := range m.Entries {
		en := &m.Entries[i]
		e.entries = true
		b = binary.LittleEndian.AppendUint64(b, en.Index)
		b = binary.LittleEndian.AppendUint64(b, en.Term)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(en.Data)))
		b = append(b, byte(en.Kind), 0, 0, 0)
		if len(en.Data) < cutBytes {
			b = append(b, en.Data...)
			continue
		}
		e.cuts = append(e.cuts, cut{at: len(b), data: en.Data})
		e.cutSize += len(en.Data)
	}
	e.buf = b
}

// raw adds bytes to the open frame without copying them; they must not change before the write.
func (e *encoder) raw(p []byte) {
	if len(p) == 0 {
		return
	}
	e.cuts = append(e.cuts, cut{at: len(e.buf), data: p})
	e.cutSize += len(p)
}

// segments returns what is to be written, in order. The encoder owns it until the next reset.
func (e *encoder) segments() [][]byte {
	at := 0
	for _, c := range e.cuts {
		if c.at > at {
			e.vec = append(e.vec, e.buf[at:c.at])
			at = c.at
		}
		for d := c.data; len(d) > 0; {
			n := min(len(d), segmentBytes)
			e.vec = append(e.vec, d[:n])
			d = d[n:]
		}
	}
	if len(e.buf) > at {
		e.vec = append(e.vec, e.buf[at:])
	}
	return e.vec
}

// decodeMessages decodes the payload of a frameControl or frameEntries that came from one peer. Entries' Data points
// into p. It allocates one slice of messages and one of entries, both in proportion to len(p).
func decodeMessages(p []byte, from, to raft.NodeID) ([]raft.Message, error) {
	messages, entries, err := countMessages(p)
	if err != nil {
		return nil, err
	}
	msgs := make([]raft.Message, messages)
	var ents []raft.Entry
	if entries > 0 {
		ents = make([]raft.Entry, entries)
	}
	for i := range msgs {
		m := &msgs[i]
		n := int(binary.LittleEndian.Uint32(p[4:]))
		decodeMessageHeader(p, m)
		m.From, m.To = from, to
		p = p[messageHeaderLen:]
		if n == 0 {
			continue
		}
		m.Entries, ents = ents[:n:n], ents[n:]
		for j := range m.Entries {
			p = decodeEntry(p, &m.Entries[j])
		}
	}
	return msgs, nil
}

// countMessages walks the whole payload and checks every length in it, so that decoding cannot fail afterwards.
func countMessages(p []byte) (messages, entries int, err error) {
	for len(p) > 0 {
		if len(p) < messageHeaderLen {
			return 0, 0, malformed("message %d is cut off after %d bytes", messages, len(p))
		}
		if p[0] == 0 || p[1]&^(flagReject|flagTransfer) != 0 || p[2] != 0 || p[3] != 0 {
			return 0, 0, malformed("message %d has type and flags % x", messages, p[:4])
		}
		n := int(binary.LittleEndian.Uint32(p[4:]))
		p = p[messageHeaderLen:]
		if n > len(p)/entryHeaderLen {
			return 0, 0, malformed("message %d announces %d entries in %d bytes", messages, n, len(p))
		}
		for i := range n {
			if len(p) < entryHeaderLen {
				return 0, 0, malformed("entry %d of message %d is cut off after %d bytes", i, messages, len(p))
			}
			size := int(binary.LittleEndian.Uint32(p[16:]))
			if p[20] == 0 || p[21] != 0 || p[22] != 0 || p[23] != 0 {
				return 0, 0, malformed("entry %d of message %d has kind % x", i, messages, p[20:24])
			}
			if size > len(p)-entryHeaderLen {
				return 0, 0, malformed("entry %d of message %d announces %d of %d bytes", i, messages, size, len(p)-entryHeaderLen)
			}
			p = p[entryHeaderLen+size:]
		}
		messages++
		entries += n
	}
	return messages, entries, nil
}

func decodeMessageHeader(p []byte, m *raft.Message) {
	_ = p[messageHeaderLen-1]
	m.Type = raft.MessageType(p[0])
	m.Reject = p[1]&flagReject != 0
	m.Transfer = p[1]&flagTransfer != 0
	m.Term = binary.LittleEndian.Uint64(p[8:])
	m.Index = binary.LittleEndian.Uint64(p[16:])
	m.LogTerm = binary.LittleEndian.Uint64(p[24:])
	m.Commit = binary.LittleEndian.Uint64(p[32:])
	m.Hint = binary.LittleEndian.Uint64(p[40:])
	m.HintTerm = binary.LittleEndian.Uint64(p[48:])
	m.Ctx = binary.LittleEndian.Uint64(p[56:])
	m.SentAt = int64(binary.LittleEndian.Uint64(p[64:]))
}

// decodeEntry decodes the entry at the start of p, which countMessages has checked, and returns what follows it.
func decodeEntry(p []byte, e *raft.Entry) []byte {
	_ = p[entryHeaderLen-1]
	e.Index = binary.LittleEndian.Uint64(p)
	e.Term = binary.LittleEndian.Uint64(p[8:])
	e.Kind = raft.EntryKind(p[20])
	n := int(binary.LittleEndian.Uint32(p[16:]))
	p = p[entryHeaderLen:]
	if n > 0 {
		e.Data = p[:n:n]
	}
	return p[n:]
}
