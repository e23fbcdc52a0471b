package fsm

import (
	"math"
	"math/big"
	"strconv"
)

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

// parseFloat reads a double as Redis' getDoubleFromObject does, that is as C's strtod without leading space: decimal
// and hexadecimal numbers, inf and infinity in any case; not nan, nothing behind the number, no overflow to infinity.
func parseFloat(b []byte) (float64, bool) {
	if !floatText(b) {
		return 0, false
	}
	text := string(b)
	if isHex(b) && !hasExponent(b) {
		text += "p0" // Go demands an exponent, C does not
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(f) {
		return 0, false
	}
	return f, true
}

// floatText reports whether b consists only of what C's strtod takes: Go would also accept underscores, and "nan".
func floatText(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	for _, c := range b {
		if c == '_' || c <= ' ' {
			return false
		}
	}
	return true
}

// isHex reports whether b is a number with the prefix 0x.
func isHex(b []byte) bool {
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		b = b[1:]
	}
	return len(b) > 2 && b[0] == '0' && b[1]|0x20 == 'x'
}

func hasExponent(hex []byte) bool {
	for _, c := range hex {
		if c|0x20 == 'p' {
			return true
		}
	}
	return false
}

// appendDouble prints a double as Redis 7.0 does, with 17 significant digits.
func appendDouble(dst []byte, f float64) []byte {
	switch {
	case math.IsInf(f, 1):
		return append(dst, "inf"...)
	case math.IsInf(f, -1):
		return append(dst, "-inf"...)
	case math.IsNaN(f):
		return append(dst, "nan"...)
	}
	return strconv.AppendFloat(dst, f, 'g', 17, 64)
}

// longDouble is a number with the 64 bits of precision of the x87 type by which Redis computes INCRBYFLOAT. inf is
// +1 or -1 for an infinity, and num is nil then.
type longDouble struct {
	num *big.Float
	inf int
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

// floatArg reads a double argument; otherwise it answers the error.
func floatArg(b []byte, out Out) (float64, bool) {
	f, ok := parseFloat(b)
	if !ok {
		out.Error(errNotFloat)
	}
	return f, ok
}
