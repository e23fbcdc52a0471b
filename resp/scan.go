package resp

import "bytes"

// maxLine is how many bytes a line that announces a length may have before its CR comes, as in Redis.
const maxLine = 64 << 10

// scanner follows the framing of RESP requests byte by byte, over any cuts between reads, as redis-server 7.0 does. It
// makes its input canonical in place: what follows a payload, or a CR of a header, becomes what the protocol says.
//
// Invariant: at a boundary between commands all fields are zero.
type scanner struct {
	args int64 // bulks of the command that have not ended
	body int64 // bytes of the current bulk that have not come, with CR LF; 0 = its header comes
	head header
}

// header is a line such as "$12\r\n" of which some bytes have come.
type header struct {
	kind  byte   // its first byte
	n     int    // bytes so far
	value uint64 // of the digits so far, at most 1<<63
	digit int    // how many
	minus bool
	bad   bool // not a number as Redis accepts it
	stuck bool // a NUL: Redis never finds the end of this line
	cr    bool // the CR has come
}

// scanLimits are the limits of one call.
type scanLimits struct {
	bulk     int64
	stranger bool // has not given the password
}

// maxArgs is how many arguments a command may announce.
const maxArgs = 1<<31 - 1

// push takes one byte of a line and returns true when it was the last.
func (h *header) push(c byte) bool {
	h.n++
	switch {
	case h.cr:
		return true
	case h.stuck:
	case c == '\r':
		h.cr = true
		if h.n == 1 {
			h.kind = c
		}
	case c == 0:
		h.stuck = true
	case h.n == 1:
		h.kind = c
	default:
		h.digits(c)
	}
	return false
}

// digits takes a byte of the number: no plus, no leading zero, no minus zero, no more than 64 bits.
func (h *header) digits(c byte) {
	d := uint64(c - '0')
	switch {
	case c == '-' && h.n == 2:
		h.minus = true
	case c < '0' || c > '9', h.digit > 0 && h.value == 0, h.minus && c == '0' && h.digit == 0, h.value > (h.limit()-d)/10:
		h.bad = true
	default:
		h.value = h.value*10 + d
		h.digit++
	}
}

// limit is the largest magnitude of a number of this sign.
func (h *header) limit() uint64 {
	if h.minus {
		return 1 << 63
	}
	return 1<<63 - 1
}

// number returns the number of a whole line.
func (h *header) number() (int64, bool) {
	v := int64(h.value) // 1<<63 becomes the lowest number, and stays it
	if h.minus {
		v = -v
	}
	return v, !h.bad && h.digit > 0
}

// openLine judges b, a whole line that opens a command.
func openLine(b []byte, l *scanLimits) (args int64, fault string) {
	if n, size := quick(b); size == len(b) {
		if n > 10 && l.stranger {
			return 0, "unauthenticated multibulk length"
		}
		return n, ""
	}
	var h header
	for _, ch := range b {
		h.push(ch)
	}
	return h.open(l)
}

// quick reads a line at the beginning of b that is like nearly all of them: a kind, up to 7 digits as Redis accepts
// them, CR LF. It returns size 0 for any other.
func quick(b []byte) (n int64, size int) {
	for i := 1; i < len(b) && i <= 8; i++ {
		c := b[i]
		switch {
		case '0' <= c && c <= '9' && (i == 1 || b[1] != '0'):
			n = n*10 + int64(c-'0')
		case c == '\r' && i > 1 && i+1 < len(b) && b[i+1] == '\n':
			return n, i + 2
		default:
			return 0, 0
		}
	}
	return 0, 0
}

// open judges a whole line that opens a command. It returns the number of arguments, 0 for a command to be skipped.
func (h *header) open(l *scanLimits) (args int64, fault string) {
	v, ok := h.number()
	switch {
	case !ok || v > maxArgs:
		return 0, "invalid multibulk length"
	case v > 10 && l.stranger:
		return 0, "unauthenticated multibulk length"
	}
	return max(0, v), ""
}

// bulk judges a whole line that opens an argument.
func (h *header) bulk(l *scanLimits) (size int64, fault string) {
	if h.kind != '$' {
		c := h.kind
		if c == '\r' || c == '\n' {
			c = ' '
		}
		return 0, "expected '$', got '" + string([]byte{c}) + "'"
	}
	v, ok := h.number()
	switch {
	case !ok || v < 0 || v > l.bulk:
		return 0, "invalid bulk length"
	case v > 16384 && l.stranger:
		return 0, "unauthenticated bulk length"
	}
	return v, ""
}

// arguments scans b, which continues the command that is open, to the end of b or of the command: done is true then
// and n is where. A fault is the text of a protocol error.
func (s *scanner) arguments(b []byte, l *scanLimits) (n int, done bool, fault string) {
	for n < len(b) {
		if s.body > 0 {
			n += s.payload(b[n:])
			if s.body > 0 {
				return n, false, ""
			}
			if s.args--; s.args == 0 {
				return n, true, ""
			}
			continue
		}
		if s.head.n == 0 && b[n] == '$' {
			if size, k := quick(b[n:]); k > 0 && size <= l.bulk && (size <= 16384 || !l.stranger) {
				n, s.body = n+k, size+2
				continue
			}
		}
		end := s.head.push(b[n])
		if end {
			b[n] = '\n'
		}
		n++
		if !end {
			if s.head.n > maxLine && !s.head.cr {
				return n, false, "too big bulk count string"
			}
			continue
		}
		size, fault := s.head.bulk(l)
		if fault != "" {
			return n, false, fault
		}
		s.head, s.body = header{}, size+2
	}
	return n, false, ""
}

// payload skips what b has of the current bulk, and writes its CR LF where the client sent anything else.
func (s *scanner) payload(b []byte) int {
	k := int(min(s.body, int64(len(b))))
	left := s.body - int64(k)
	// The CR is the byte after which one is left, the LF the one after which none is.
	if at := int64(k) - 1 - (1 - left); left <= 1 && at >= 0 && at < int64(k) {
		b[at] = '\r'
	}
	if left == 0 {
		b[k-1] = '\n'
	}
	s.body = left
	return k
}

// lineEnd finds the LF of an inline request behind from; stuck says that a NUL comes first, behind which Redis finds
// no end.
func lineEnd(b []byte, from int) (at int, stuck bool) {
	at = bytes.IndexByte(b[from:], '\n')
	nul := bytes.IndexByte(b[from:], 0)
	if nul >= 0 && (at < 0 || nul < at) {
		return -1, true
	}
	if at >= 0 {
		at += from
	}
	return at, false
}
