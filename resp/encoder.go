package resp

import (
	"math"
	"strconv"

	"kvapp/fsm"
)

// keepBuffer is the largest buffer, in bytes, that Encoder.Reset keeps: enough for the replies between two flushes, and
// not so much that thousands of idle connections would matter.
const keepBuffer = 2 * flushBytes

// Encoder gathers replies in RESP2 or RESP3. The zero value is empty and speaks RESP2. One goroutine at a time uses it;
// in steady state it allocates nothing.
type Encoder struct {
	buf   []byte
	resp3 bool
}

var _ fsm.Out = (*Encoder)(nil)

// SetProto takes the protocol of what is encoded from now on: 3 for RESP3, else RESP2.
func (e *Encoder) SetProto(v int) { e.resp3 = v == 3 }

// Proto returns 2 or 3.
func (e *Encoder) Proto() int {
	if e.resp3 {
		return 3
	}
	return 2
}

// RESP3 implements fsm.Out.
func (e *Encoder) RESP3() bool { return e.resp3 }

// Bytes returns what was encoded; it is valid until the next call of any other method.
func (e *Encoder) Bytes() []byte { return e.buf }

// Len returns the number of bytes encoded.
func (e *Encoder) Len() int { return len(e.buf) }

// Truncate forgets what is behind the first n bytes, 0 <= n <= Len.
func (e *Encoder) Truncate(n int) { e.buf = e.buf[:n] }

// Reset forgets everything. It keeps the buffer for the next replies unless it has grown over keepBuffer.
func (e *Encoder) Reset() {
	if cap(e.buf) > keepBuffer {
		e.buf = nil
		return
	}
	e.buf = e.buf[:0]
}

// Raw appends whole replies that are encoded already.
func (e *Encoder) Raw(b []byte) { e.buf = append(e.buf, b...) }

// head appends a kind and a number, as a line.
func (e *Encoder) head(kind byte, n int64) {
	e.buf = append(e.buf, kind)
	e.buf = strconv.AppendInt(e.buf, n, 10)
	e.buf = append(e.buf, '\r', '\n')
}

// line appends a kind and a text, as a line; a CR or LF in the text becomes a space, or it would end the reply.
func (e *Encoder) line(kind byte, s string) {
	e.buf = append(e.buf, kind)
	from := len(e.buf)
	e.buf = append(e.buf, s...)
	for i, c := range e.buf[from:] {
		if c == '\r' || c == '\n' {
			e.buf[from+i] = ' '
		}
	}
	e.buf = append(e.buf, '\r', '\n')
}

// Simple implements fsm.Out.
func (e *Encoder) Simple(s string) { e.line('+', s) }

// Error implements fsm.Out.
func (e *Encoder) Error(msg string) { e.line('-', msg) }

// Int implements fsm.Out.
func (e *Encoder) Int(n int64) { e.head(':', n) }

// Bulk implements fsm.Out.
func (e *Encoder) Bulk(b []byte) {
	e.head('$', int64(len(b)))
	e.buf = append(e.buf, b...)
	e.buf = append(e.buf, '\r', '\n')
}

// BulkString implements fsm.Out.
func (e *Encoder) BulkString(s string) {
	e.head('$', int64(len(s)))
	e.buf = append(e.buf, s...)
	e.buf = append(e.buf, '\r', '\n')
}

// Null implements fsm.Out.
func (e *Encoder) Null() { e.null("$-1\r\n") }

// NullArray implements fsm.Out.
func (e *Encoder) NullArray() { e.null("*-1\r\n") }

func (e *Encoder) null(resp2 string) {
	if e.resp3 {
		resp2 = "_\r\n"
	}
	e.buf = append(e.buf, resp2...)
}

// Array implements fsm.Out.
func (e *Encoder) Array(n int) { e.head('*', int64(n)) }

// Map implements fsm.Out.
func (e *Encoder) Map(n int) {
	if e.resp3 {
		e.head('%', int64(n))
		return
	}
	e.head('*', 2*int64(n))
}

// Set implements fsm.Out.
func (e *Encoder) Set(n int) { e.aggregate('~', n) }

// Push implements fsm.Out.
func (e *Encoder) Push(n int) { e.aggregate('>', n) }

func (e *Encoder) aggregate(kind byte, n int) {
	if !e.resp3 {
		kind = '*'
	}
	e.head(kind, int64(n))
}

// Double implements fsm.Out.
func (e *Encoder) Double(f float64) {
	var tmp [32]byte
	text := appendReplyDouble(tmp[:0], f)
	e.DoubleText(text)
}

// DoubleText implements fsm.Out.
func (e *Encoder) DoubleText(text []byte) {
	if !e.resp3 {
		e.Bulk(text)
		return
	}
	e.buf = append(e.buf, ',')
	e.buf = append(e.buf, text...)
	e.buf = append(e.buf, '\r', '\n')
}

// appendReplyDouble prints as C's %.17g does, which is what Redis 7.0 sends.
func appendReplyDouble(dst []byte, f float64) []byte {
	switch {
	case math.IsInf(f, 1):
		return append(dst, "inf"...)
	case math.IsInf(f, -1):
		return append(dst, "-inf"...)
	case math.IsNaN(f):
		return append(dst, "nan"...)
	}
	// With an explicit precision, Go's 'g' keeps to C's rule for the exponent and drops trailing zeros as C does.
	return strconv.AppendFloat(dst, f, 'g', 17, 64)
}

// Bool implements fsm.Out.
func (e *Encoder) Bool(b bool) {
	text := ":0\r\n"
	switch {
	case e.resp3 && b:
		text = "#t\r\n"
	case e.resp3:
		text = "#f\r\n"
	case b:
		text = ":1\r\n"
	}
	e.buf = append(e.buf, text...)
}

// BigNumber implements fsm.Out.
func (e *Encoder) BigNumber(s string) {
	if e.resp3 {
		e.line('(', s)
		return
	}
	e.BulkString(s)
}

// Verbatim implements fsm.Out.
func (e *Encoder) Verbatim(kind, s string) {
	if !e.resp3 {
		e.BulkString(s)
		return
	}
	e.head('=', int64(len(kind)+1+len(s)))
	e.buf = append(e.buf, kind...)
	e.buf = append(e.buf, ':')
	e.buf = append(e.buf, s...)
	e.buf = append(e.buf, '\r', '\n')
}
