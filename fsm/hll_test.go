package fsm

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestHyperLogLogReplies(t *testing.T) {
	const (
		wrong   = "-WRONGTYPE Operation against a key holding the wrong kind of value"
		noHLL   = "-WRONGTYPE Key is not a valid HyperLogLog string value."
		damaged = "-INVALIDOBJ Corrupted HLL object detected"
		empty   = "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x7f\xff"
	)
	runReplies(t, []replyCase{
		{"PFADD h", ":1", ""},
		{"PFADD h", ":0", ""},
		{"GET h", "$18 " + empty, ""},
		{"OBJECT ENCODING h", "$3 raw", ""},
		{"PFCOUNT h", ":0", ""},
		{"GET h", "$18 " + strings.Replace(empty, "\x80", "\x00", 1), ""},
		{"PFADD h a b a", ":1", ""},
		{"PFADD h a", ":0", ""},
		{"PFDEBUG DECODE h", "$32 Z:12711 v:2,1 Z:3068 v:1,1 Z:603", ""},
		{"PFDEBUG encoding h", "+sparse", ""},
		{"PFCOUNT h", ":2", ""},
		{"PFCOUNT h none", ":2", ""},
		{"PFCOUNT none", ":0", ""},
		{"PFCOUNT none nope", ":0", ""},
		{"PFADD g b c d", ":1", ""},
		{"PFCOUNT h g", ":4", ""},
		{"PFMERGE m h g none", "+OK", ""},
		{"PFCOUNT m", ":4", ""},
		{"PFMERGE n", "+OK", ""},
		{"PFCOUNT n", ":0", ""},
		{"PFDEBUG TODENSE g", ":1", ""},
		{"PFDEBUG TODENSE g", ":0", ""},
		{"PFDEBUG ENCODING g", "+dense", ""},
		{"PFDEBUG DECODE g", "-ERR HLL encoding is not sparse", ""},
		{"PFADD g b", ":0", ""},
		{"PFADD g e", ":1", ""},
		{"PFCOUNT g", ":4", ""},
		{"STRLEN g", ":12304", ""},
		{"PFMERGE n g", "+OK", ""},
		{"PFDEBUG ENCODING n", "+dense", ""},
		{"EXPIRE n 100", ":1", ""},
		{"PFADD n q r", ":1", ""},
		{"PFCOUNT n", ":6", ""},
		{"TTL n", ":100", ""},
		{"PFDEBUG x h", "-ERR Unknown PFDEBUG subcommand 'x'", ""},
		{"PFDEBUG x none", "-ERR The specified key does not exist", ""},
		{"SET s 12", "+OK", ""},
		{"PFADD s x", noHLL, ""},
		{"PFCOUNT s", noHLL, ""},
		{"PFCOUNT h s", noHLL, ""},
		{"PFMERGE h s", noHLL, ""},
		{"PFDEBUG TODENSE s", noHLL, ""},
		{"SET s HYLL\x02bbbccccccccZ", "+OK", ""},
		{"PFCOUNT s", noHLL, ""},
		{"SET s HYLL\x00bbbccccccccZ", "+OK", ""},
		{"PFCOUNT s", noHLL, ""},
		{"SET short " + empty, "+OK", ""},
		{"PFADD short", ":0", ""},
		{"OBJECT ENCODING short", "$3 raw", ""},
		{"LPUSH l x", ":1", ""},
		{"PFADD l x", wrong, ""},
		{"PFCOUNT l", wrong, ""},
		{"PFCOUNT h l", wrong, ""},
		{"PFMERGE l h", wrong, ""},
		{"PFDEBUG TODENSE l", wrong, ""},
		{"SET c HYLL\x01aaa\x01\x00\x00\x00\x00\x00\x00\x00\x7f", "+OK", ""},
		{"PFCOUNT c", ":1", ""},
		{"PFCOUNT c none", damaged, ""},
		{"PFADD c x", damaged, ""},
		{"PFMERGE d c", damaged, ""},
		{"EXISTS d", ":0", ""},
		{"PFDEBUG GETREG c", damaged, ""},
		{"PFDEBUG TODENSE c", damaged, ""},
		{"PFDEBUG DECODE c", "$7 Z:16129", ""},
		{"SET c HYLL\x01aaa\x01\x00\x00\x00\x00\x00\x00\x80\x7f", "+OK", ""},
		{"PFCOUNT c", damaged, ""},
	})
}

func TestHLLSelfTest(t *testing.T) { require.NoError(t, HLLSelfTest()) }

// TestHLLModel compares registers with an array of them, whatever the form, and the state after a replay.
func TestHLLModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t)
		want := map[string]*[hllRegisters]uint8{}
		key := rapid.SampledFrom([]string{"a", "b", "c"})
		for range 12 {
			k := key.Draw(t, "key")
			if want[k] == nil {
				want[k] = new([hllRegisters]uint8)
			}
			switch rapid.IntRange(0, 5).Draw(t, "action") {
			case 0, 1, 2:
				cmd := []string{"pfadd", k}
				first := rapid.IntRange(0, 3000).Draw(t, "first")
				for n := range rapid.SampledFrom([]int{0, 1, 2, 10, 100, 1500}).Draw(t, "n") {
					e := strconv.Itoa(first + n)
					cmd = append(cmd, e)
					i, v := hllPlace([]byte(e))
					want[k][i] = max(want[k][i], v)
				}
				m.do(cmd...)
			case 3:
				o := key.Draw(t, "other")
				m.do("pfmerge", k, o)
				if want[o] != nil {
					for i, v := range want[o] {
						want[k][i] = max(want[k][i], v)
					}
				}
			case 4:
				m.do("pfcount", k)
			default:
				m.do("pfdebug", "todense", k)
			}
		}
		for k, registers := range want {
			var got [hllRegisters]uint8
			var hist hllHistogram
			for _, v := range registers {
				hist[v]++
			}
			text := m.do("get", k)
			if text == "$-1\r\n" {
				continue
			}
			_, text, _ = strings.Cut(text, "\r\n")
			require.True(t, hll(text[:len(text)-2]).merge(got[:]))
			require.Equal(t, *registers, got)
			require.Equal(t, fmt.Sprint(":", hist.estimate()), m.line("pfcount "+k))
			require.Equal(t, fmt.Sprint(":", hist.estimate()), m.line("pfcount "+k+" none"))
		}
		require.NoError(t, m.s.Check())
		require.Equal(t, stateHash(m.s), stateHash(m.replay()))
	})
}

// A count is noted by a command in the log, not by a read.
func TestPFCountIsPromoted(t *testing.T) {
	m := newMachine(t)
	m.do("pfadd", "h", "x")
	stale := m.do("get", "h")
	c := command(t, 0, "pfcount", "h")
	m.s.Read(&c, &m.out)
	require.Equal(t, ":1\r\n", m.out.take())
	require.Equal(t, stale, m.do("get", "h"))
	require.True(t, m.s.Promote(&c))
	require.Equal(t, pfcountLogged, c.Spec)
	require.Equal(t, ":1", m.line("pfcount h"))
	require.NotEqual(t, stale, m.do("get", "h"))
	for _, args := range [][]string{{"pfcount", "h"}, {"pfcount", "h", "h"}, {"pfcount", "none"}, {"get", "h"}} {
		c := command(t, 0, args...)
		require.False(t, m.s.Promote(&c), args)
	}
	require.Equal(t, stateHash(m.s), stateHash(m.replay()))
}

// FuzzHyperLogLog gives the commands any string for a HyperLogLog: they answer an error, or work on it.
func FuzzHyperLogLog(f *testing.F) {
	f.Add([]byte("\x7f\xff"), uint8(1), []byte("abc"))
	f.Add([]byte("\x84\x40"), uint8(1), []byte("\xff"))
	f.Add(make([]byte, hllDenseSize-hllHead), uint8(0), []byte("x"))
	f.Fuzz(func(t *testing.T, registers []byte, encoding uint8, elements []byte) {
		m := newMachine(t)
		text := string(append(append([]byte("HYLL"), encoding, 0, 0, 0, 1, 2, 3, 0, 0, 0, 0, 0x80), registers...))
		for _, k := range []string{"a", "b", "c"} {
			m.do("set", k, text)
		}
		for i := range min(len(elements), 64) {
			m.do("pfadd", "a", string(binary.AppendUvarint(nil, uint64(elements[i]))))
		}
		for _, cmd := range []string{"pfcount a", "pfcount a b", "pfmerge d a b", "pfmerge b d", "pfdebug decode b", "pfdebug getreg b", "pfdebug todense c", "pfcount c", "pfadd c x"} {
			require.NotEmpty(t, m.line(cmd))
		}
		require.NoError(t, m.s.Check())
		require.Equal(t, stateHash(m.s), stateHash(m.replay()))
	})
}
