package fsm

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A length in an entry is a canonical number on a line of its own, no larger than the entry.
func TestRespLength(t *testing.T) {
	for _, text := range []string{"$0\r\n", "$1\r\n", "$12\r\n", "$99\r\n", "$00\r\n", "$01\r\n", "$-1\r\n", "$-0\r\n", "$+1\r\n", "$\r\n", "$1\r", "$1",
		"$", "", "$1\n", "$1 \r\n", "$1a\r\n", "*1\r\n", "$18446744073709551617\r\n", "$9223372036854775807\r\n", "$1\rx"} {
		b := append([]byte(" "+text), "behind"...)
		line, _, whole := strings.Cut(text, "\r\n")
		n, ok := int64(0), false
		if whole && strings.HasPrefix(line, "$") {
			n, ok = parseInt([]byte(line[1:]))
		}
		got, next, valid := respLength(b, 1, '$')
		require.Equal(t, ok && n >= 0 && n <= int64(len(b)), valid, "%q", text)
		if valid {
			require.Equal(t, [2]int{int(n), 1 + len(text)}, [2]int{got, next}, "%q", text)
		}
		_, _, valid = respLength(b[:1+len(line)], 1, '$')
		require.False(t, valid, "%q", line)
	}
}

// FuzzNumbers: the parsers of numbers accept no more than C does, agree with each other, and read back what is printed.
func FuzzNumbers(f *testing.F) {
	for _, s := range []string{"0", "-1", "1.5e3", "0x1p-3", "inf", "-Infinity", ".5", "5.", "1e400", "4.9e-324", "9223372036854775807",
		"-9223372036854775808", "1e4932", "1e-4951", "0.1", " 1", "1_0", "0b1", "1e", "0x", "--1", "nan", "1\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, ok := parseInt(b); ok {
			require.Equal(t, string(b), strconv.FormatInt(n, 10), "canonical")
			require.Equal(t, len(b), intLen(n))
		} else if n, err := strconv.ParseInt(string(b), 10, 64); err == nil {
			require.NotEqual(t, string(b), strconv.FormatInt(n, 10), "every canonical number is one")
		}
		score, ok := parseFloat(b)
		if ok {
			require.False(t, math.IsNaN(score))
			require.NotContains(t, string(b), "_")
			again, ok := parseFloat(appendDouble(nil, score))
			require.True(t, ok)
			require.Equal(t, score, again)
			end, exclusive, ok := parseScoreEnd(b)
			require.True(t, ok)
			require.False(t, exclusive)
			require.Equal(t, score, end)
		}
		long, okLong := parseLongDouble(b)
		if !okLong {
			return
		}
		if near, _ := long.Float64(); ok && !long.IsInf() {
			require.InEpsilon(t, 1+math.Abs(score), 1+math.Abs(near), 1e-9)
		}
		if text, ok := addLongDouble(long, long); ok {
			require.False(t, strings.HasSuffix(string(text), ".") || text[0] == '+', "%s", text)
			_, ok = parseLongDouble(text)
			require.True(t, ok, "%q: INCRBYFLOAT must be able to go on", text)
		}
	})
}
