package rdb

import (
	"encoding/binary"
	"math"
	"strconv"
)

// Kind is what a value is, whatever its encoding.
type Kind uint8

// The kinds.
const (
	String Kind = 1 + iota
	List
	Set
	Hash
	SortedSet
)

// Reader takes one value apart: Open, then Next until it reports false, then Err; for streams see stream.go.
type Reader struct {
	kind Kind
	// Key is an element: the string, or an element of a list, a member, a field. Val is the value of a field, Score the score of a
	// member of a sorted set, never NaN. They are valid until the next call of Next.
	Key, Val []byte
	Score    float64
	At       int64 // the deadline of a field in Unix ms, up to MaxDeadline; 0 = none

	t     Type
	in    []byte // what is left of the payload, the footer included, as Redis has it
	left  uint64 // strings or pairs that follow, or nodes
	first uint64 // of TypeHashTimes: the earliest deadline
	seq   sequence
	inSeq bool // the next element stands in seq
	found bool // there was an element
	err   error
	blob  []byte    // what a packed encoding was compressed to
	texts [3][]byte // scratch for strings that do not stand verbatim in the payload
}

// layouts says, for every type that is read, what it is and which packed encoding one string, or every node, has.
var layouts = [typeCount]struct {
	kind   Kind
	packed packing
	nodes  bool // a sequence of packed strings
	timed  bool // every field comes with its deadline
}{
	TypeString:                 {kind: String},
	TypeList:                   {kind: List},
	TypeSet:                    {kind: Set},
	TypeZSetText:               {kind: SortedSet},
	TypeHash:                   {kind: Hash},
	TypeZSet:                   {kind: SortedSet},
	TypeHashZipmap:             {kind: Hash, packed: zipmap},
	TypeListZiplist:            {kind: List, packed: ziplist},
	TypeSetIntset:              {kind: Set, packed: intset},
	TypeZSetZiplist:            {kind: SortedSet, packed: ziplist},
	TypeHashZiplist:            {kind: Hash, packed: ziplist},
	TypeListZiplists:           {kind: List, packed: ziplist, nodes: true},
	TypeHashListpack:           {kind: Hash, packed: listpack},
	TypeZSetListpack:           {kind: SortedSet, packed: listpack},
	TypeListListpacks:          {kind: List, packed: listpack, nodes: true},
	TypeSetListpack:            {kind: Set, packed: listpack},
	TypeHashTimes:              {kind: Hash, timed: true},
	TypeHashTimesEarly:         {kind: Hash, timed: true},
	TypeHashListpackTimes:      {kind: Hash, packed: listpack, timed: true},
	TypeHashListpackTimesEarly: {kind: Hash, packed: listpack, timed: true},
	TypeStream:                 {kind: Stream},
	TypeStreamOffsets:          {kind: Stream},
	TypeStreamActive:           {kind: Stream},
}

// Open checks version and checksum of a payload, and begins to read it. The payload must not change until the reader is done. It
// returns ErrFooter, or ErrFormat for a type that is none or is not read.
func Open(payload []byte) (*Reader, error) {
	end := len(payload) - footerBytes
	if end < 0 || binary.LittleEndian.Uint16(payload[end:]) > MaxVersion {
		return nil, ErrFooter
	}
	if sum := len(payload) - 8; binary.LittleEndian.Uint64(payload[sum:]) != checksum(payload[:sum]) {
		return nil, ErrFooter
	}
	t := Type(payload[0])
	if t >= typeCount || layouts[t].kind == 0 {
		return nil, ErrFormat
	}
	r := &Reader{kind: layouts[t].kind, t: t, in: payload[1:], left: 1, first: 1}
	if t == TypeHashTimes || t == TypeHashListpackTimes {
		r.first = uint64(r.Millis())
	}
	if layouts[t].packed == 0 && t != TypeString && r.kind != Stream || layouts[t].nodes {
		r.left = r.length()
	}
	return r, r.err
}

// Kind tells what the value is.
func (r *Reader) Kind() Kind { return r.kind }

// Timed tells that the value is a hash whose fields may have deadlines.
func (r *Reader) Timed() bool { return layouts[r.t].timed }

// Err is ErrFormat if the value is malformed, which includes that it is a collection without elements. REQUIRES: Next has
// reported false, or the value is a stream.
func (r *Reader) Err() error {
	if r.err == nil && !r.found && r.kind != Stream {
		return ErrFormat
	}
	return r.err
}

// Next goes to the next element. It reports false behind the last one, and at a mistake.
func (r *Reader) Next() bool {
	layout := layouts[r.t]
	for r.err == nil && r.kind != Stream {
		switch {
		case r.inSeq:
			if r.Key, r.inSeq = r.element(0); r.inSeq {
				r.part()
			} else {
				continue
			}
		case r.left == 0:
			return false
		default:
			r.left--
			if layout.packed != 0 && !r.plain() {
				r.open(layout.packed)
				continue
			}
			if layout.timed {
				r.deadline(r.length())
			}
			if r.Key = r.text(0); layout.packed == 0 {
				r.rest()
			}
		}
		r.found = r.found || r.err == nil
		return r.err == nil
	}
	return false
}

// plain reads how a node of TypeListListpacks is encoded, and reports whether it is one element.
func (r *Reader) plain() bool {
	if r.t != TypeListListpacks {
		return false
	}
	n := r.length()
	if r.err == nil && n != nodePlain && n != nodePacked {
		r.err = ErrFormat
	}
	return r.err == nil && n == nodePlain
}

// open begins to read the elements of a packed string.
func (r *Reader) open(p packing) {
	text := r.string(&r.blob)
	if r.err == nil {
		r.seq, r.err = openSequence(p, text)
		r.inSeq = r.err == nil
	}
}

// element returns the next element of the packed string; false at its end or a mistake.
func (r *Reader) element(scratch int) ([]byte, bool) {
	e, ok, err := r.seq.next(&r.texts[scratch])
	if err != nil {
		r.err = err
	}
	return e, ok && err == nil
}

// part reads what belongs to the element of a packed string.
func (r *Reader) part() {
	if r.kind != Hash && r.kind != SortedSet {
		return
	}
	val, ok := r.element(1)
	if r.err == nil && !ok {
		r.err = ErrFormat
	}
	if r.Val = val; r.err == nil && r.kind == SortedSet {
		r.score(val)
	}
	if r.err == nil && layouts[r.t].timed {
		at, ok := r.element(2)
		n, isInt := smallInteger(at)
		if r.At = n; !ok || !isInt || n < 0 || n > MaxDeadline {
			r.err = ErrFormat
		}
	}
}

// deadline takes the deadline of a field, which counts from just before the first one; 0 = none.
func (r *Reader) deadline(n uint64) {
	if r.first > MaxDeadline || n > MaxDeadline || n != 0 && n+r.first-1 > MaxDeadline {
		r.err = ErrFormat
		return
	}
	if r.At = int64(n); n != 0 {
		r.At = int64(n + r.first - 1)
	}
}

// score reads a score in digits, which must be nothing else.
func (r *Reader) score(text []byte) {
	for _, c := range text {
		if c == '_' || c == 'x' || c == 'X' {
			r.err = ErrFormat
			return
		}
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil && !math.IsInf(f, 0) || math.IsNaN(f) {
		r.err = ErrFormat
	}
	r.Score = f
}

// rest reads what belongs to an element of a sequence of strings.
func (r *Reader) rest() {
	switch r.t {
	case TypeHash, TypeHashTimes, TypeHashTimesEarly:
		r.Val = r.text(1)
	case TypeZSet:
		if b := r.take(8); b != nil {
			r.Score = math.Float64frombits(binary.LittleEndian.Uint64(b))
		}
		if math.IsNaN(r.Score) {
			r.err = ErrFormat
		}
	case TypeZSetText:
		r.oldScore()
	}
}

// oldScore reads a length of one byte and digits; three lengths are none.
func (r *Reader) oldScore() {
	n := r.take(1)
	if n == nil {
		return
	}
	switch n[0] {
	case 255:
		r.Score = math.Inf(-1)
	case 254:
		r.Score = math.Inf(1)
	case 253: // not a number
		r.err = ErrFormat
	default:
		if text := r.take(int(n[0])); text != nil {
			r.score(text)
		}
	}
}

// take returns the next n bytes, nil at a mistake.
func (r *Reader) take(n int) []byte {
	if r.err != nil || n > len(r.in) {
		r.err = ErrFormat
		return nil
	}
	b := r.in[:n:n]
	r.in = r.in[n:]
	return b
}

// length reads a number that is no code.
func (r *Reader) length() uint64 {
	n, code := r.lengthOrCode()
	if code {
		r.err = ErrFormat
	}
	return n
}

// lengthOrCode reads a length, or how a string is encoded.
func (r *Reader) lengthOrCode() (n uint64, code bool) {
	b := r.take(1)
	if b == nil {
		return 0, false
	}
	first := b[0]
	switch {
	case first&lengthBits == length6:
		return uint64(first), false
	case first&lengthBits == lengthCode:
		return uint64(first &^ lengthBits), true
	case first&lengthBits == length14:
		if b = r.take(1); b != nil {
			return uint64(first&^lengthBits)<<8 | uint64(b[0]), false
		}
	case first == length32:
		if b = r.take(4); b != nil {
			return uint64(binary.BigEndian.Uint32(b)), false
		}
	case first == length64:
		if b = r.take(8); b != nil {
			return binary.BigEndian.Uint64(b), false
		}
	default:
		r.err = ErrFormat
	}
	return 0, false
}

// text reads a string, with one of the scratches.
func (r *Reader) text(scratch int) []byte { return r.string(&r.texts[scratch]) }

// string reads a string, in scratch unless it is verbatim.
func (r *Reader) string(scratch *[]byte) []byte {
	n, code := r.lengthOrCode()
	switch {
	case r.err != nil:
		return nil
	case !code:
		if n > uint64(len(r.in)) {
			r.err = ErrFormat
			return nil
		}
		return r.take(int(n))
	}
	switch n {
	case codeInt8:
		if b := r.take(1); b != nil {
			return number(scratch, int64(int8(b[0])))
		}
	case codeInt16:
		if b := r.take(2); b != nil {
			return number(scratch, int64(int16(binary.LittleEndian.Uint16(b))))
		}
	case codeInt32:
		if b := r.take(4); b != nil {
			return number(scratch, int64(int32(binary.LittleEndian.Uint32(b))))
		}
	case codeLZF:
		return r.compressed(scratch)
	}
	r.err = ErrFormat
	return nil
}

// number prints n.
func number(scratch *[]byte, n int64) []byte {
	*scratch = strconv.AppendInt((*scratch)[:0], n, 10)
	return *scratch
}

// compressed reads a string in LZF.
func (r *Reader) compressed(scratch *[]byte) []byte {
	short, size := r.length(), r.length()
	if r.err != nil || short > uint64(len(r.in)) || size > MaxText || size > short*lzfMost {
		r.err = ErrFormat
		return nil
	}
	in := r.take(int(short))
	if cap(*scratch) < int(size) {
		*scratch = make([]byte, 0, size)
	}
	text, ok := expand((*scratch)[:0], in, int(size))
	if !ok {
		r.err = ErrFormat
		return nil
	}
	*scratch = text
	return text
}
