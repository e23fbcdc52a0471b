package words

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestSplit(t *testing.T) {
	for line, want := range map[string][]string{
		"":                           nil,
		" \t \r":                     nil,
		"a":                          {"a"},
		"  set  a\t1 ":               {"set", "a", "1"},
		`a "" ''`:                    {"a", "", ""},
		`"a b" 'c d'`:                {"a b", "c d"},
		`"\n\r\t\b\a\x41\xfF\"\\\q"`: {"\n\r\t\b\a\x41\xff\"\\q"},
		`"\xg1\x4"`:                  {"xg1x4"},
		`'it\'s \n'`:                 {`it's \n`},
		`a"b c"`:                     {"ab c"},
		`a\b`:                        {`a\b`},
		"\va\vb\f c\rd":              {"a\vb\f", "c", "d"},
		"\"a\"\v'b'\fc":              {"a", "b", "c"},
		"caf\xc3\xa9 \xff":           {"caf\xc3\xa9", "\xff"},
	} {
		got, ok := Split([]byte(line))
		require.True(t, ok, "%q", line)
		var words []string
		for _, w := range got {
			words = append(words, string(w))
		}
		require.Equal(t, want, words, "%q", line)
	}
	for _, line := range []string{`"`, `'`, `a "b`, `"a\`, `"a\"`, `'a\'`, `"a"b`, `'a'b`, `"a""b"`} {
		_, ok := Split([]byte(line))
		require.False(t, ok, "%q", line)
	}
}

// What is quoted comes back as it was, byte for byte.
func TestQuotedWordsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOf(rapid.SliceOf(rapid.Byte())).Draw(t, "words")
		var line []byte
		for _, w := range want {
			line = append(line, ' ', '"')
			for _, c := range w {
				line = append(line, '\\', 'x')
				line = append(line, strconv.FormatUint(uint64(c>>4), 16)...)
				line = append(line, strconv.FormatUint(uint64(c&15), 16)...)
			}
			line = append(line, '"')
		}
		got, ok := Split(line)
		require.True(t, ok)
		require.Len(t, got, len(want))
		for i := range want {
			require.Equal(t, string(want[i]), string(got[i]))
		}
	})
}

func FuzzSplit(f *testing.F) {
	f.Add([]byte(`set "a b" 'c'`))
	f.Add([]byte(`"\x0`))
	f.Fuzz(func(t *testing.T, line []byte) {
		list, ok := Split(line)
		total := 0
		for _, w := range list {
			total += len(w)
		}
		if total > len(line) || !ok && list != nil {
			t.Fatalf("%q -> %q, %v", line, list, ok)
		}
	})
}
