package fsm

import (
	"bytes"
	"math"
	"math/big"
	"strconv"
)

// numberText is what the scan of a float's text found.
type numberText struct {
	hex      bool
	infinite bool
	zero     bool // every digit of the mantissa is 0
	exponent int  // as written, clamped to +-maxExponent
}

// maxExponent is far beyond the range of a long double even for the longest text, and small enough to compute with.
const maxExponent = 50000

// maxFloatText is the longest text in bytes that Redis takes for a long double.
const maxFloatText = 5*1024 - 1

// scanNumber checks the grammar of C's strtod without leading space and without nan: a decimal or hexadecimal number
// with an optional exponent, inf or infinity. Go's parsers take more (underscores, 0b) and less (0x1 without p).
func scanNumber(b []byte) (t numberText, ok bool) {
	if len(b) > 0 && (b[0] == '+' || b[0] == '-') {
		b = b[1:]
	}
	if matchWord(b, "inf") || matchWord(b, "infinity") {
		t.infinite = true
		return t, true
	}
	if len(b) > 2 && b[0] == '0' && b[1]|0x20 == 'x' {
		t.hex = true
		b = b[2:]
	}
	t.zero = true
	digits, dots, i := 0, 0, 0
	for ; i < len(b); i++ {
		c := b[i]
		if c == '.' {
			if dots++; dots > 1 {
				return t, false
			}
			continue
		}
		if !(c >= '0' && c <= '9' || t.hex && (c|0x20 >= 'a' && c|0x20 <= 'f')) {
			break
		}
		digits++
		t.zero = t.zero && c == '0'
	}
	if digits == 0 {
		return t, false
	}
	return t, t.scanExponent(b[i:])
}

// scanExponent checks what stands behind the mantissa.
func (t *numberText) scanExponent(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	mark := byte('e')
	if t.hex {
		mark = 'p'
	}
	if b[0]|0x20 != mark {
		return false
	}
	b = b[1:]
	negative := false
	if len(b) > 0 && (b[0] == '+' || b[0] == '-') {
		negative = b[0] == '-'
		b = b[1:]
	}
	if len(b) == 0 {
		return false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
		t.exponent = min(t.exponent*10+int(c-'0'), maxExponent)
	}
	if negative {
		t.exponent = -t.exponent
	}
	return true
}

// parseFloat reads a double as Redis does. A number too large for a double, or too small to differ from zero, is no
// number.
func parseFloat(b []byte) (float64, bool) {
	t, ok := scanNumber(b)
	if !ok {
		return 0, false
	}
	text := string(b)
	if t.hex && bytes.IndexByte(b, 'p') < 0 && bytes.IndexByte(b, 'P') < 0 {
		text += "p0"
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f == 0 && !t.zero {
		return 0, false
	}
	return f, true
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

// The range of the x87 long double, as binary exponents of big.Float (mantissa in [0.5, 1)).
const (
	longDoubleMaxExp = 16384
	longDoubleMinExp = -16444 // of the smallest denormal number
)

// parseLongDouble reads a number with the 64 bits of precision by which Redis computes INCRBYFLOAT and HINCRBYFLOAT.
// It may be an infinity.
func parseLongDouble(b []byte) (*big.Float, bool) {
	if len(b) > maxFloatText {
		return nil, false
	}
	t, ok := scanNumber(b)
	if !ok {
		return nil, false
	}
	f := new(big.Float).SetPrec(64)
	if t.infinite {
		return f.SetInf(b[0] == '-'), true
	}
	if t.zero {
		return f, true
	}
	if t.exponent == maxExponent || t.exponent == -maxExponent {
		return nil, false
	}
	base := 10
	if t.hex {
		base = 0
	}
	if _, _, err := f.Parse(string(b), base); err != nil || f.IsInf() || f.Sign() == 0 {
		return nil, false
	}
	if e := f.MantExp(nil); e > longDoubleMaxExp || e < longDoubleMinExp {
		return nil, false
	}
	return f, true
}

// addLongDouble returns a+b in the text that Redis stores and answers: up to 17 digits behind the point, no trailing
// zeros. ok is false if the sum is not finite.
func addLongDouble(a, b *big.Float) (text []byte, ok bool) {
	if a.IsInf() || b.IsInf() {
		return nil, false
	}
	sum := new(big.Float).SetPrec(64).Add(a, b)
	if sum.Sign() != 0 && sum.MantExp(nil) > longDoubleMaxExp {
		return nil, false
	}
	text = sum.Append(nil, 'f', 17)
	if bytes.IndexByte(text, '.') >= 0 {
		text = bytes.TrimRight(text, "0")
		text = bytes.TrimSuffix(text, []byte{'.'})
	}
	if string(text) == "-0" {
		text = text[1:]
	}
	return text, true
}
