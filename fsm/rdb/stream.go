package rdb

import "encoding/binary"

// A stream is no sequence of elements of one kind. Its reader takes the payload apart with the methods below, in the order of the
// format, and asks Err in the end, and before it trusts a number: after a mistake every method returns zero.

// Stream is the kind of a stream.
const Stream Kind = SortedSet + 1

// Offsets says that the payload tells what was ever added to the stream, and read by its groups: since Redis 7.0.
func (r *Reader) Offsets() bool { return r.t != TypeStream }

// Active says that the payload tells when a consumer was last given something: since Redis 7.2.
func (r *Reader) Active() bool { return r.t == TypeStreamActive }

// Number reads a number.
func (r *Reader) Number() uint64 {
	if r.err != nil {
		return 0
	}
	return r.length()
}

// Millis reads a time in Unix ms.
func (r *Reader) Millis() int64 {
	if b := r.take(8); b != nil {
		return int64(binary.LittleEndian.Uint64(b))
	}
	return 0
}

// Raw reads n bytes. They are valid as long as the payload.
func (r *Reader) Raw(n int) []byte { return r.take(n) }

// Text reads a string, valid until the next call.
func (r *Reader) Text() []byte {
	if r.err != nil {
		return nil
	}
	return r.text(0)
}

// Listpack begins to read the elements of a listpack, which Element returns.
func (r *Reader) Listpack() {
	if r.err == nil {
		r.open(listpack)
	}
}

// Element returns the next element of the listpack, valid until the next call; false behind the last one, and after a mistake.
func (r *Reader) Element() ([]byte, bool) {
	if r.err != nil || !r.inSeq {
		return nil, false
	}
	e, ok := r.element(0)
	r.inSeq = ok
	return e, ok
}

// Millis writes a time in Unix ms.
func (w *Writer) Millis(ms int64) { w.buf = binary.LittleEndian.AppendUint64(w.buf, uint64(ms)) }

// Raw writes bytes as they are.
func (w *Writer) Raw(b []byte) { w.buf = append(w.buf, b...) }
