package rdb

import (
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// sealed puts version and checksum behind a value.
func sealed(body string) []byte {
	b := binary.LittleEndian.AppendUint16([]byte(body), Version)
	return binary.LittleEndian.AppendUint64(b, checksum(b))
}

// read prints the elements of a payload.
func read(payload []byte) (string, error) {
	r, err := Open(payload)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for r.Next() {
		switch r.Kind() {
		case Hash:
			fmt.Fprintf(&b, "%q=%q ", r.Key, r.Val)
			if r.At != 0 {
				fmt.Fprintf(&b, "@%d ", r.At)
			}
		case SortedSet:
			fmt.Fprintf(&b, "%q=%v ", r.Key, r.Score)
		default:
			fmt.Fprintf(&b, "%q ", r.Key)
		}
	}
	return strings.TrimSuffix(b.String(), " "), r.Err()
}

func TestChecksum(t *testing.T) {
	require.Equal(t, uint64(0xe9c6d914c4b8d9ca), checksum([]byte("123456789")))
}

// Values as servers of all ages encode them.
func TestRead(t *testing.T) {
	node := "\x09\x09\x00\x00\x00\x01\x00\x05\x01\xff" // a string: the listpack of 5
	zl := "\x10\x10\x00\x00\x00\x0d\x00\x00\x00\x02\x00\x00\x01a\x03\xf5\xff"
	for _, c := range []struct{ body, want string }{
		{"\x00\x05hello", `"hello"`},
		{"\x00\x00", `""`},
		{"\x00\xc0\x85", `"-123"`},
		{"\x00\xc1\x39\x30", `"12345"`},
		{"\x00\xc2\x00\x00\x00\x80", `"-2147483648"`},
		{"\x00\xc3\x05\x18\x00a\xe0\x0e\x00", `"aaaaaaaaaaaaaaaaaaaaaaaa"`},
		{"\x00\x40\x02ab", `"ab"`},
		{"\x00\x80\x00\x00\x00\x02ab", `"ab"`},
		{"\x00\x81\x00\x00\x00\x00\x00\x00\x00\x02ab", `"ab"`},
		{"\x01\x02\x01a\xc0\x07", `"a" "7"`},
		{"\x02\x02\x01a\x01b", `"a" "b"`},
		{"\x03\x03\x01a\x031.5\x01b\xfe\x01c\xff", `"a"=1.5 "b"=+Inf "c"=-Inf`},
		{"\x04\x01\x01f\x01v", `"f"="v"`},
		{"\x05\x01\x01a\x00\x00\x00\x00\x00\x00\x04\x40", `"a"=2.5`},
		{"\x09\x12\x02\x01a\x05\x00value\x01b\x01\x02vxx\xff", `"a"="value" "b"="v"`},
		{"\x0a" + zl, `"a" "4"`},
		{"\x0b\x0c\x02\x00\x00\x00\x02\x00\x00\x00\xff\xff\x07\x00", `"-1" "7"`},
		{"\x0c" + zl, `"a"=4`},
		{"\x0d" + zl, `"a"="4"`},
		{"\x0e\x02" + zl + zl, `"a" "4" "a" "4"`},
		{"\x10\x0c\x0c\x00\x00\x00\x02\x00\x81f\x02\x0c\x01\xff", `"f"="12"`},
		{"\x11\x0c\x0c\x00\x00\x00\x02\x00\x81f\x02\x0c\x01\xff", `"f"=12`},
		{"\x12\x03\x02" + node + "\x01\x05plain\x02" + node, `"5" "plain" "5"`},
		{"\x14" + node, `"5"`},
		{"\x16\x02\x05\x01f\x01v\x00\x01g\x01w", `"f"="v" @5 "g"="w"`},
		{"\x18\x05\x00\x00\x00\x00\x00\x00\x00\x02\x01\x01f\x01v\x03\x01g\x01w", `"f"="v" @5 "g"="w" @7`},
		{"\x17\x0f\x0f\x00\x00\x00\x03\x00\x81f\x02\x81v\x02\x05\x01\xff", `"f"="v" @5`},
		{"\x19\x05\x00\x00\x00\x00\x00\x00\x00\x0f\x0f\x00\x00\x00\x03\x00\x81f\x02\x81v\x02\x05\x01\xff", `"f"="v" @5`},
		{"\x14\x1b\x1b\x00\x00\x00\xff\xff\xdf\xff\x02\xf1\x00\x80\x03\xf2\x00\x00\x80\x04\xf3\x00\x00\x00\x80\x05\x05\x01\xff", `"-1" "-32768" "-8388608" "-2147483648" "5"`},
	} {
		got, err := read(sealed(c.body))
		require.NoError(t, err, "%q", c.body)
		require.Equal(t, c.want, got, "%q", c.body)
	}
}

func TestReadRefuses(t *testing.T) {
	for _, body := range []string{
		"\x06", "\x1a\x00", "\x16\x00", "\xff", "\x00\xc4\x01", "\x00\x82\x01", "\x00\x81\xff\xff\xff\xff\xff\xff\xff\xff", "\x01\x00", "\x02\x00", "\x04\x00", "\x05\x00",
		"\x01\xc0\x01a",        // a code in place of a number of elements
		"\x03\x01\x01a\xfd",    // a score that is no number
		"\x03\x01\x01a\x031_0", // or one by other rules
		"\x05\x01\x01a\x00\x00\x00\x00\x00\x00\xf8\x7f",                                          // the same in 8 bytes
		"\x00\xc3\x05\x19\x00a\xe0\x0e\x00",                                                      // a byte more than the text has
		"\x00\xc3\x05\x17\x00a\xe0\x0e\x00",                                                      // a byte less
		"\x00\xc3\x03\x18\x20\x00\x00",                                                           // it refers to what is not there
		"\x00\xc3\x04\x81\x00\x00\x00\x00\x10\x00\x00\x00\x00a\xe0\x0e",                          // far more than it can be
		"\x0b\x08\x02\x00\x00\x00\x00\x00\x00\x00",                                               // no integers
		"\x0b\x0c\x02\x00\x00\x00\x02\x00\x00\x00\x07\x00\x07\x00",                               // the same twice
		"\x0b\x0c\x02\x00\x00\x00\x02\x00\x00\x00\x07\x00\xff\xff",                               // not ascending
		"\x0b\x0b\x03\x00\x00\x00\x01\x00\x00\x00\x07\x00\x00",                                   // an unknown width
		"\x0b\x0c\x02\x00\x00\x00\x03\x00\x00\x00\x07\x00\x08\x00",                               // fewer than it says
		"\x10\x0a\x0a\x00\x00\x00\x01\x00\x81f\x02\xff",                                          // a field without a value
		"\x10\x0c\x0c\x00\x00\x00\x03\x00\x81f\x02\x0c\x01\xff",                                  // a wrong number of elements
		"\x10\x0c\x0d\x00\x00\x00\x02\x00\x81f\x02\x0c\x01\xff",                                  // a wrong size
		"\x10\x0c\x0c\x00\x00\x00\x02\x00\x81f\x03\x0c\x01\xff",                                  // a wrong length behind an element
		"\x10\x0c\x0c\x00\x00\x00\x02\x00\x81f\x02\x0c\x01\xfe",                                  // no end
		"\x10\x07\x07\x00\x00\x00\x00\x00\xff",                                                   // no elements
		"\x18\x00\x00\x00\x00\x00\x00\x01\x00\x01\x01\x01f\x01v",                                 // a deadline beyond the last
		"\x18\xff\xff\xff\xff\xff\xff\x00\x00\x01\x02\x01f\x01v",                                 // the same by its distance
		"\x18\x05\x00\x00\x00\x00\x00\x00\x00\x01\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01f\x01v", // by its overflow
		"\x18\x05\x00\x00", // cut short
		"\x17\x0f\x0f\x00\x00\x00\x03\x00\x81f\x02\x81v\x02\x81x\x02\xff",    // one that is no number
		"\x17\x0e\x0e\x00\x00\x00\x03\x00\x81f\x02\x81v\x02\xdf\xff\x02\xff", // a negative one
		"\x17\x0d\x0d\x00\x00\x00\x02\x00\x81f\x02\x81v\x02\xff",             // none
		"\x12\x01\x03\x01a", // an unknown way to encode a node
		"\x0a\x10\x10\x00\x00\x00\x0c\x00\x00\x00\x02\x00\x00\x01a\x03\xf5\xff", // a wrong place of the last one
		"\x0a\x10\x10\x00\x00\x00\x0d\x00\x00\x00\x02\x00\x00\x01a\x04\xf5\xff", // a wrong length before an element
		"\x0a\x10\x10\x00\x00\x00\x0d\x00\x00\x00\x03\x00\x00\x01a\x03\xf5\xff", // a wrong number
		"\x09\x05\x01\x01a\xff",          // a field without a value
		"\x09\x08\x02\x01a\x01\x00v\xff", // cut short
	} {
		_, err := read(sealed(body))
		require.ErrorIs(t, err, ErrFormat, "%q", body)
	}
	good := sealed("\x00\x05hello")
	for i := range good {
		_, err := read(good[:i])
		require.ErrorIs(t, err, ErrFooter)
		bad := append([]byte(nil), good...)
		bad[i] ^= 0x10
		_, err = read(bad)
		require.ErrorIs(t, err, ErrFooter, "byte %d", i)
	}
	newer := binary.LittleEndian.AppendUint16([]byte("\x00\x05hello"), MaxVersion+1)
	_, err := read(binary.LittleEndian.AppendUint64(newer, checksum(newer)))
	require.ErrorIs(t, err, ErrFooter)
}

// What Writer writes Reader reads, whatever the writer was used for before.
func TestWriteRead(t *testing.T) {
	var used Writer
	rapid.Check(t, func(t *rapid.T) {
		var fresh Writer
		pieces := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "abc", "0123456789", strings.Repeat("x", 300), "\x00"}), 0, 40)
		text := rapid.Map(pieces, func(s []string) string { return strings.Join(s, "") })
		number := rapid.Map(rapid.Int64(), func(n int64) string { return fmt.Sprint(n) })
		texts := rapid.SliceOfN(rapid.OneOf(text, number, rapid.StringMatching(`-?0?[0-9]{0,11}`)), 1, 8).Draw(t, "texts")
		for _, w := range []*Writer{&fresh, &used} {
			w.Begin(TypeHash)
			w.Length(len(texts))
			for _, s := range texts {
				w.String([]byte(s))
				w.String([]byte(s))
			}
		}
		payload := fresh.Seal()
		require.Equal(t, payload, used.Seal())
		want := ""
		for _, s := range texts {
			want += fmt.Sprintf("%q=%q ", s, s)
		}
		got, err := read(payload)
		require.NoError(t, err)
		require.Equal(t, strings.TrimSuffix(want, " "), got)
	})
}

// Lengths of every width come back.
func TestLengths(t *testing.T) {
	for _, n := range []int{0, 1, 63, 64, 16383, 16384, math.MaxUint32, math.MaxUint32 + 1, math.MaxInt64} {
		var w Writer
		w.Begin(TypeString)
		w.Length(n)
		r := Reader{in: w.buf[1:]}
		require.EqualValues(t, n, r.length())
		require.NoError(t, r.err)
		require.Empty(t, r.in)
	}
}

// What stands behind an element takes a byte more than its bits do where they are all ones, as in Redis' lpEncodeBacklen.
func TestBackLen(t *testing.T) {
	for i, limit := range []int{1 << 7, 1<<14 - 1, 1<<21 - 1, 1<<28 - 1} {
		require.Equal(t, i+1, BackLen(limit-1), limit)
		require.Equal(t, i+2, BackLen(limit), limit)
	}
	require.Equal(t, 5, BackLen(1<<32-1))
}

// When the table of places has gone round, nothing of what it held is taken for a place.
func TestCompressorGoesRound(t *testing.T) {
	var c, fresh compressor
	text := []byte(strings.Repeat("abcdefgh", 9) + strings.Repeat("-", 40))
	want, ok := fresh.compress(text, len(text)-4)
	require.True(t, ok)
	want = append([]byte(nil), want...)
	c.compress(text, len(text)-4)
	for c.base = math.MaxUint32 - 500; ; {
		before := c.base
		got, ok := c.compress(text, len(text)-4)
		require.True(t, ok)
		require.Equal(t, want, got)
		if c.base < before {
			break
		}
	}
}

// The pieces of a stream come back as they were written; after the end everything is zero and an error.
func TestStreamPieces(t *testing.T) {
	var w Writer
	w.Begin(TypeStreamOffsets)
	w.Number(math.MaxUint64)
	w.String([]byte("12345"))
	w.Millis(-2)
	w.Raw([]byte("raw"))
	w.Listpack(2, []byte("\x81f\x02\x0c\x01"))
	r, err := Open(w.Seal())
	require.NoError(t, err)
	require.Equal(t, Stream, r.Kind())
	require.True(t, r.Offsets())
	require.False(t, r.Active())
	require.False(t, r.Next())
	require.EqualValues(t, uint64(math.MaxUint64), r.Number())
	require.Equal(t, "12345", string(r.Text()))
	require.EqualValues(t, -2, r.Millis())
	require.Equal(t, "raw", string(r.Raw(3)))
	r.Listpack()
	for _, want := range []string{"f", "12"} {
		e, ok := r.Element()
		require.True(t, ok)
		require.Equal(t, want, string(e))
	}
	_, ok := r.Element()
	require.False(t, ok)
	require.NoError(t, r.Err())
	require.Nil(t, r.Raw(11)) // there is no more than the footer
	require.Zero(t, r.Number())
	require.Nil(t, r.Text())
	require.ErrorIs(t, r.Err(), ErrFormat)
}

// A few bytes that claim to be much take no memory.
func TestMemoryIsBounded(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, body := range []string{
		"\x00\x81\x00\x00\x7f\xff\xff\xff\xff\xffx", "\x00\xc3\x02\x80\x1f\xff\xff\xff\x00a", "\x01\x81\x7f\xff\xff\xff\xff\xff\xff\xff\x01a",
		"\x0b\x08\x08\x00\x00\x00\xff\xff\xff\xff", "\x10\x07\xff\xff\xff\x7f\xff\xff\xff",
	} {
		_, err := read(sealed(body))
		require.ErrorIs(t, err, ErrFormat)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

// FuzzReader: any bytes with a correct checksum give elements or an error, never a crash, and what is a value stays one when it is
// written again.
func FuzzReader(f *testing.F) {
	for _, body := range []string{"\x00\xc3\x05\x18\x00a\xe0\x0e\x00", "\x01\x02\x01a\xc0\x07", "\x03\x01\x01a\x031.5", "\x09\x08\x01\x01a\x01\x00v\xff",
		"\x0b\x0c\x02\x00\x00\x00\x02\x00\x00\x00\xff\xff\x07\x00", "\x12\x01\x02\x09\x09\x00\x00\x00\x01\x00\x05\x01\xff",
		"\x0e\x01\x10\x10\x00\x00\x00\x0d\x00\x00\x00\x02\x00\x00\x01a\x03\xf5\xff", "\x11\x0c\x0c\x00\x00\x00\x02\x00\x81f\x02\x0c\x01\xff"} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := Open(sealed(string(body)))
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		var w Writer
		w.Begin(map[Kind]Type{String: TypeString, List: TypeList, Set: TypeSet, Hash: TypeHash, SortedSet: TypeZSet}[r.Kind()])
		if r.Kind() == Stream {
			require.False(t, r.Next())
			for range body {
				_, _, _, _ = r.Number(), r.Text(), r.Millis(), r.Raw(3)
				for r.Listpack(); r.Err() == nil; {
					if _, ok := r.Element(); !ok {
						break
					}
				}
			}
			return
		}
		n, all := 0, Writer{}
		for r.Next() {
			n++
			all.String(r.Key)
			switch r.Kind() {
			case Hash:
				all.String(r.Val)
			case SortedSet:
				require.False(t, math.IsNaN(r.Score))
				all.Score(r.Score)
			}
		}
		if r.Err() != nil {
			return
		}
		if r.Kind() != String {
			w.Length(n)
		}
		w.buf = append(w.buf, all.buf...)
		want, err := read(sealed(string(body)))
		require.NoError(t, err)
		got, err := read(w.Seal())
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}
