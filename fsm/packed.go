package fsm

import (
	"encoding/binary"
	"math"
	"strconv"
)

// packed is how a small collection is held: its elements one behind the other in one slice of bytes, without pointers
// or an index. Whoever owns it puts a head of its own in front. An element is
//
//	0xxxxxxx                integer from 0 to 127
//	10xxxxxx                text of up to 63 bytes, which follow
//	110xxxxx xxxxxxxx       integer of 13 bits, signed
//	1110xxxx xxxxxxxx       text of up to 4095 bytes, which follow
//	11110000                length in 4 bytes, then text of so many bytes
//	11110001 to 11110100    integer in 2, 3, 4 or 8 bytes, signed
//	11110101                score in 8 bytes
//
// little endian. One content has one encoding, the shortest: so two elements are equal if their bytes are, and the length
// of a sequence is a function of what it holds. Each element takes as many bytes as in Redis' listpack without the length
// behind it (packedLen), which is what limits the size of a packed list.
//
// Methods that change a sequence return it, as append does. Nothing checks bytes that no method here has written: a
// sequence never comes from outside, since snapshots hold the encodings of object.appendTo.
type packed []byte

const (
	packedText  = 0x80 // tag and length of a short text
	packedInt13 = 0xc0
	packedMid   = 0xe0 // text of up to packedMidMax bytes
	packedLong  = 0xf0
	packedInt16 = 0xf1
	packedInt24 = 0xf2
	packedInt32 = 0xf3
	packedInt64 = 0xf4
	packedFloat = 0xf5

	packedTextMax = 63
	packedMidMax  = 4095

	// packedRoom is the most bytes that an element of a packed hash, set or sorted set takes.
	packedRoom = 2 + HashMaxListpackValue
	// packedCost is what size counts for a packed collection beyond its bytes: what the size of its record is rounded up.
	packedCost = 8
)

// packedSizes is the size in bytes of an element by its first byte; 0 = a longer text, whose length follows.
var packedSizes = func() (sizes [256]uint8) {
	for c := range sizes {
		switch {
		case c < packedText:
			sizes[c] = 1
		case c < packedInt13:
			sizes[c] = uint8(1 + c - packedText)
		case c < packedMid:
			sizes[c] = 2
		}
	}
	sizes[packedInt16], sizes[packedInt24], sizes[packedInt32] = 3, 4, 5
	sizes[packedInt64], sizes[packedFloat] = 9, 9
	return sizes
}()

// appendElem appends the element e, an integer in canonical form as a number.
func appendElem[S string | []byte](dst []byte, e S) []byte {
	if len(e) <= 20 {
		var digits [20]byte
		if n, ok := parseInt(digits[:copy(digits[:], e)]); ok {
			return appendIntElem(dst, n)
		}
	}
	switch n := len(e); {
	case n <= packedTextMax:
		dst = append(dst, packedText|byte(n))
	case n <= packedMidMax:
		dst = append(dst, packedMid|byte(n>>8), byte(n))
	default:
		dst = binary.LittleEndian.AppendUint32(append(dst, packedLong), uint32(n))
	}
	return append(dst, e...)
}

func appendIntElem(dst []byte, v int64) []byte {
	switch packedIntLen(v) {
	case 1:
		return append(dst, byte(v))
	case 2:
		return append(dst, packedInt13|byte(v>>8)&0x1f, byte(v))
	case 3:
		return append(dst, packedInt16, byte(v), byte(v>>8))
	case 4:
		return append(dst, packedInt24, byte(v), byte(v>>8), byte(v>>16))
	case 5:
		return binary.LittleEndian.AppendUint32(append(dst, packedInt32), uint32(v))
	}
	return binary.LittleEndian.AppendUint64(append(dst, packedInt64), uint64(v))
}

// appendScore appends a score, a whole number as an integer. -0 is none: its sign would be lost.
func appendScore(dst []byte, f float64) []byte {
	const exact = 1 << 53
	if f >= -exact && f <= exact && f == math.Trunc(f) && (f != 0 || !math.Signbit(f)) {
		return appendIntElem(dst, int64(f))
	}
	return binary.LittleEndian.AppendUint64(append(dst, packedFloat), math.Float64bits(f))
}

// newPacked returns a sequence of size bytes. The allocator's rounding is room to grow.
func newPacked(size int) packed { return append(packed(nil), make([]byte, size)...) }

// start gives an empty sequence a head of so many zero bytes, and room for n bytes behind it.
func (p packed) start(head, n int) packed {
	switch {
	case len(p) > 0:
		return p
	case cap(p) < head+n:
		return newPacked(head + n)[:head]
	}
	p = p[:head]
	clear(p)
	return p
}

// next returns the offset behind the element at off.
func (p packed) next(off int) int {
	if n := int(packedSizes[p[off]]); n != 0 {
		return off + n
	}
	if c := p[off]; c < packedLong {
		return off + 2 + int(c&0x0f)<<8 + int(p[off+1])
	}
	return off + 5 + int(binary.LittleEndian.Uint32(p[off+1:]))
}

// skip returns the offset behind n elements from off on.
func (p packed) skip(off, n int) int {
	for range n {
		off = p.next(off)
	}
	return off
}

// word returns the element at off, no score, and the offset behind it.
func (p packed) word(off int) (word, int) {
	end := p.next(off)
	switch c := p[off]; {
	case c < packedText || c >= packedInt13 && c < packedMid || c > packedLong:
		return word{kind: wordInt, n: p.integer(off)}, end
	case c < packedInt13:
		off++
	case c < packedLong:
		off += 2
	default:
		off += 5
	}
	return word{kind: wordBytes, b: p[off:end:end]}, end
}

// encode appends the element at off, no score, as appendTo of collections does, and returns the offset behind it.
func (p packed) encode(dst []byte, off int) ([]byte, int) {
	if c := p[off]; c >= packedText && c < packedInt13 {
		end, at := off+1+int(c-packedText), len(dst)
		dst = append(dst, p[off:end]...)
		dst[at] = c - packedText // the length as a uvarint
		return dst, end
	}
	w, end := p.word(off)
	return w.encode(dst), end
}

// integer returns the integer at off.
func (p packed) integer(off int) int64 {
	switch c := p[off]; c {
	case packedInt16:
		return int64(int16(binary.LittleEndian.Uint16(p[off+1:])))
	case packedInt24:
		return int64(int32(uint32(p[off+1])<<8|uint32(p[off+2])<<16|uint32(p[off+3])<<24) >> 8)
	case packedInt32:
		return int64(int32(binary.LittleEndian.Uint32(p[off+1:])))
	case packedInt64:
		return int64(binary.LittleEndian.Uint64(p[off+1:]))
	default:
		if c < packedText {
			return int64(c)
		}
		return int64(int16(uint16(c)<<11|uint16(p[off+1])<<3) >> 3)
	}
}

// score returns the score at off.
func (p packed) score(off int) float64 {
	if p[off] == packedFloat {
		return math.Float64frombits(binary.LittleEndian.Uint64(p[off+1:]))
	}
	return float64(p.integer(off))
}

// places returns the offsets of the first n groups of so many elements from off on.
func (p packed) places(off, group, n int) []uint32 {
	all := make([]uint32, n)
	for i := range all {
		all[i] = uint32(off)
		off = p.skip(off, group)
	}
	return all
}

// find returns the offset of the element whose encoding is key and how many groups stand before it, -1 if there is none.
// The sequence begins at off and consists of groups of so many elements; the first of each is compared.
func (p packed) find(off int, key []byte, group int) (at, pos int) {
	last := key[len(key)-1]
	for ; off < len(p); pos++ {
		end := p.next(off)
		// Equal lengths are common, and names differ at their ends.
		if end-off == len(key) && p[end-1] == last && string(p[off:end]) == string(key) {
			return off, pos
		}
		off = p.skip(end, group-1)
	}
	return -1, -1
}

// packedIndex tells whether an element is new to a sequence that is read in. A search from the front for each of n
// elements would take n*n steps.
type packedIndex struct {
	slots [2 * HashMaxListpackEntries]uint32 // offset of an element; 0 = free, since a head comes first
}

// add notes the element at p[at:end] and reports whether it is new. REQUIRES: no more than HashMaxListpackEntries.
func (x *packedIndex) add(p packed, at, end int) bool {
	for i := memberHash(p[at:end]); ; i++ {
		slot := &x.slots[i%uint32(len(x.slots))]
		if *slot == 0 {
			*slot = uint32(at)
			return true
		}
		if other := int(*slot); string(p[other:p.next(other)]) == string(p[at:end]) {
			return false
		}
	}
}

// open makes p[from:to] n bytes long, whose content is for the caller to write.
func (p packed) open(from, to, n int) packed {
	if to-from == n {
		return p
	}
	size := len(p) - (to - from) + n
	q := p
	if size > cap(p) {
		q = newPacked(size + size/16)
		copy(q, p[:from])
	}
	q = q[:size]
	copy(q[from+n:], p[to:])
	return q
}

// removeSwap removes the group of so many elements at offset at; the last group takes its place.
func (p packed) removeSwap(at, group int) packed {
	end := p.skip(at, group)
	last := at
	for next := end; next < len(p); {
		last, next = next, p.skip(next, group)
	}
	if last == at {
		return p.open(at, len(p), 0)
	}
	var buf [2 * packedRoom]byte
	moved := append(buf[:0], p[last:]...)
	p = p[:last].open(at, end, len(moved))
	copy(p[at:], moved)
	return p
}

func (p packed) clone() packed { return append(packed(nil), p...) }

// word is one element as it is held: bytes, or an integer of a packed collection. It is valid until the next change of the
// collection.
type word struct {
	kind wordKind
	n    int64
	b    []byte
}

// wordKind says which field of a word counts.
type wordKind uint8

const (
	wordBytes wordKind = iota
	wordInt            // stands for its digits
)

func (w *word) len() int {
	if w.kind == wordInt {
		return intLen(w.n)
	}
	return len(w.b)
}

// appendTo appends the text of w.
func (w *word) appendTo(dst []byte) []byte {
	if w.kind == wordInt {
		return strconv.AppendInt(dst, w.n, 10)
	}
	return append(dst, w.b...)
}

// bytes returns the text of w, in buf unless it is bytes already.
func (w *word) bytes(buf []byte) []byte {
	if w.kind == wordBytes {
		return w.b
	}
	return w.appendTo(buf)
}

// text returns the text of w as a string.
func (w *word) text() string {
	if w.kind == wordInt {
		return strconv.FormatInt(w.n, 10)
	}
	return string(w.b)
}

// integer returns the integer that w is in canonical form.
func (w *word) integer() (int64, bool) {
	if w.kind == wordInt {
		return w.n, true
	}
	return parseInt(w.b)
}

// elem appends w as an element of a packed sequence.
func (w *word) elem(dst []byte) []byte {
	if w.kind == wordInt {
		return appendIntElem(dst, w.n)
	}
	return appendElem(dst, w.b)
}

// encode appends w as appendTo of collections does: the length, then the text.
func (w *word) encode(dst []byte) []byte {
	return w.appendTo(binary.AppendUvarint(dst, uint64(w.len())))
}

// reply answers w.
func (w *word) reply(tx *Tx, out Out) {
	if w.kind == wordInt {
		tx.buf = strconv.AppendInt(tx.buf[:0], w.n, 10)
		out.Bulk(tx.buf)
		return
	}
	out.Bulk(w.b)
}

// equal reports whether e is the text of w.
func (w *word) equal(e []byte) bool {
	if w.kind == wordInt {
		n, ok := parseInt(e)
		return ok && n == w.n
	}
	return string(w.b) == string(e)
}

// matches reports whether w matches the glob pattern.
func (w *word) matches(pattern []byte) bool {
	if w.kind == wordInt {
		var buf [20]byte
		return globMatch(pattern, strconv.AppendInt(buf[:0], w.n, 10))
	}
	return globMatch(pattern, w.b)
}
