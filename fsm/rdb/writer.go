package rdb

import (
	"encoding/binary"
	"math"
	"strconv"
)

// Writer writes one payload. The zero value is ready to be used, and after Seal again.
type Writer struct {
	t    Type
	buf  []byte
	blob []byte // scratch for a packed encoding
	lzf  compressor
}

// Begin forgets what was written, and writes the type.
func (w *Writer) Begin(t Type) { w.t, w.buf = t, append(w.buf[:0], byte(t)) }

// Length writes a number, such as how many elements follow.
func (w *Writer) Length(n int) { w.Number(uint64(n)) }

// Number writes a number of 64 bits.
func (w *Writer) Number(v uint64) {
	switch {
	case v < 1<<6:
		w.buf = append(w.buf, length6|byte(v))
	case v <= mostLength14:
		w.buf = append(w.buf, length14|byte(v>>8), byte(v))
	case v <= math.MaxUint32:
		w.buf = binary.BigEndian.AppendUint32(append(w.buf, length32), uint32(v))
	default:
		w.buf = binary.BigEndian.AppendUint64(append(w.buf, length64), v)
	}
}

// String writes a string in the shortest of its encodings.
func (w *Writer) String(b []byte) {
	if len(b) <= longestSmallInteger {
		if n, ok := smallInteger(b); ok && w.integer(n) {
			return
		}
	}
	if len(b) >= minCompressed {
		if text, ok := w.lzf.compress(b, len(b)-4); ok {
			w.buf = append(w.buf, lengthCode|codeLZF)
			w.Length(len(text))
			w.Length(len(b))
			w.buf = append(w.buf, text...)
			return
		}
	}
	w.Length(len(b))
	w.buf = append(w.buf, b...)
}

// smallInteger reads an integer in canonical form.
func smallInteger(b []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(b), 10, 64)
	var digits [20]byte
	return n, err == nil && string(strconv.AppendInt(digits[:0], n, 10)) == string(b)
}

// Integer writes the string of an integer's digits.
func (w *Writer) Integer(n int64) {
	if !w.integer(n) {
		var digits [20]byte
		text := strconv.AppendInt(digits[:0], n, 10)
		w.Length(len(text))
		w.buf = append(w.buf, text...)
	}
}

// integer writes a string as a number of up to 32 bits. It reports false, and has written nothing, if n is longer.
func (w *Writer) integer(n int64) bool {
	switch {
	case n == int64(int8(n)):
		w.buf = append(w.buf, lengthCode|codeInt8, byte(n))
	case n == int64(int16(n)):
		w.buf = binary.LittleEndian.AppendUint16(append(w.buf, lengthCode|codeInt16), uint16(n))
	case n == int64(int32(n)):
		w.buf = binary.LittleEndian.AppendUint32(append(w.buf, lengthCode|codeInt32), uint32(n))
	default:
		return false
	}
	return true
}

// Score writes the score of a member of TypeZSet.
func (w *Writer) Score(f float64) {
	w.buf = binary.LittleEndian.AppendUint64(w.buf, math.Float64bits(f))
}

// Deadline writes that of a field of TypeHashTimes, in Unix ms, 0 = none; first is the earliest of all fields.
func (w *Writer) Deadline(at, first int64) {
	if at != 0 {
		at -= first - 1
	}
	w.Number(uint64(at))
}

const (
	// ListpackFrame is the size in bytes of a listpack without elements.
	ListpackFrame   = listpackHead + 1
	listpackHead    = 6
	listpackUnknown = math.MaxUint16 // as the number of elements: the elements are to be counted
	packedEnd       = 0xff
)

// Node says that a listpack of TypeListListpacks follows.
func (w *Writer) Node() { w.Length(nodePacked) }

// Listpack writes, as a string, the listpack of n elements that stand in b. Each is encoded as listpacks have it, the length
// behind it included.
func (w *Writer) Listpack(n int, b []byte) {
	w.blob = binary.LittleEndian.AppendUint32(w.blob[:0], uint32(ListpackFrame+len(b)))
	w.blob = binary.LittleEndian.AppendUint16(w.blob, uint16(min(n, listpackUnknown)))
	w.blob = append(w.blob, b...)
	w.blob = append(w.blob, packedEnd)
	w.String(w.blob)
}

// Intset writes, as a string, a set of integers in ascending order, each in so many bytes: 2, 4 or 8.
func (w *Writer) Intset(width int, all []int64) {
	w.blob = binary.LittleEndian.AppendUint32(w.blob[:0], uint32(width))
	w.blob = binary.LittleEndian.AppendUint32(w.blob, uint32(len(all)))
	for _, n := range all {
		switch width {
		case 2:
			w.blob = binary.LittleEndian.AppendUint16(w.blob, uint16(n))
		case 4:
			w.blob = binary.LittleEndian.AppendUint32(w.blob, uint32(n))
		default:
			w.blob = binary.LittleEndian.AppendUint64(w.blob, uint64(n))
		}
	}
	w.String(w.blob)
}

// Seal writes version and checksum, and returns the payload. It is valid until the next Begin.
func (w *Writer) Seal() []byte {
	version := uint16(Version)
	if layouts[w.t].timed {
		version = TimesVersion
	}
	w.buf = binary.LittleEndian.AppendUint16(w.buf, version)
	w.buf = binary.LittleEndian.AppendUint64(w.buf, checksum(w.buf))
	return w.buf
}

// Trim gives back scratch of more than so many bytes. What Seal returned is no longer valid.
func (w *Writer) Trim(most int) {
	if cap(w.buf)+cap(w.blob)+cap(w.lzf.out) > most {
		w.buf, w.blob, w.lzf.out = nil, nil, nil
	}
}
