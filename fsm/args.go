package fsm

import "math"

// maxString is the longest string value in bytes (Redis' proto-max-bulk-len).
const maxString = 512 << 20

// parseInt reads a 64-bit integer exactly as Redis does: canonical decimal, nothing else ("+1", "01", "-0", " 1" are
// not).
func parseInt(b []byte) (int64, bool) {
	if len(b) == 1 && b[0] >= '0' && b[0] <= '9' {
		return int64(b[0] - '0'), true
	}
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	digits, negative := b, b[0] == '-'
	if negative {
		digits = b[1:]
	}
	if len(digits) == 0 || digits[0] < '1' || digits[0] > '9' {
		return 0, false
	}
	v := uint64(0)
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		d := uint64(c - '0')
		if v > (math.MaxUint64-d)/10 {
			return 0, false
		}
		v = v*10 + d
	}
	if negative {
		if v > 1<<63 {
			return 0, false
		}
		return -int64(v), true
	}
	if v > math.MaxInt64 {
		return 0, false
	}
	return int64(v), true
}

// matchWord reports whether b is the word, which is given in lower case, in any case.
func matchWord(b []byte, word string) bool {
	if len(b) != len(word) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

// intArg reads an integer argument; otherwise it answers the error.
func intArg(b []byte, out Out) (int64, bool) {
	n, ok := parseInt(b)
	if !ok {
		out.Error(errNotInteger)
	}
	return n, ok
}

// rangeArgs reads a first and a last position, args[2] and args[3]; otherwise it answers the error.
func rangeArgs(args [][]byte, out Out) (first, last int64, ok bool) {
	if first, ok = intArg(args[2], out); ok {
		last, ok = intArg(args[3], out)
	}
	return first, last, ok
}

// floatArg reads a double argument; otherwise it answers the error.
func floatArg(b []byte, out Out) (float64, bool) {
	f, ok := parseFloat(b)
	if !ok {
		out.Error(errNotFloat)
	}
	return f, ok
}

// smallInt reads an integer that fits 32 bits.
func smallInt(b []byte) (int64, bool) {
	n, ok := parseInt(b)
	return n, ok && n >= math.MinInt32 && n <= math.MaxInt32
}

// smallIntArg reads an argument of 32 bits; otherwise it answers the error.
func smallIntArg(b []byte, out Out) (int64, bool) {
	n, ok := intArg(b, out)
	if ok && (n < math.MinInt32 || n > math.MaxInt32) {
		out.Error(errIntRange)
		return 0, false
	}
	return n, ok
}
