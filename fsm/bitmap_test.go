package fsm

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestBitmapReplies(t *testing.T) {
	const wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value"
	const badType = "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."
	const badOffset = "-ERR bit offset is not an integer or out of range"
	runReplies(t, []replyCase{
		{"SETBIT b 7 1", ":0", ""},
		{"SETBIT b 7 0", ":1", ""},
		{"GET b", "$1 \x00", ""},
		{"SETBIT b 7 1", ":0", ""},
		{"SETBIT b 7 1", ":1", ""},
		{"STRLEN b", ":1", ""},
		{"SETBIT b 100 0", ":0", ""},
		{"STRLEN b", ":13", ""},
		{"GETBIT b 7", ":1", ""},
		{"GETBIT b 8", ":0", ""},
		{"GETBIT b 4294967295", ":0", ""},
		{"GETBIT b 4294967296", badOffset, ""},
		{"GETBIT b -1", badOffset, ""},
		{"GETBIT b #1", badOffset, ""},
		{"GETBIT none 3", ":0", ""},
		{"SETBIT b 4294967296 1", badOffset, ""},
		{"SETBIT b x 1", badOffset, ""},
		{"SETBIT b 1 2", "-ERR bit is not an integer or out of range", ""},
		{"SETBIT b 1 x", "-ERR bit is not an integer or out of range", ""},
		{"SET n 12", "+OK", ""},
		{"OBJECT ENCODING n", "$3 int", ""},
		{"GETBIT n 2", ":1", ""},
		{"BITCOUNT n", ":6", ""},
		{"OBJECT ENCODING n", "$3 int", ""},
		{"SETBIT n 2 1", ":1", ""},
		{"OBJECT ENCODING n", "$3 raw", ""},
		{"GET n", "$2 12", ""},
		{"SET f foobar", "+OK", ""},
		{"BITCOUNT f", ":26", ""},
		{"BITCOUNT f 0 0", ":4", ""},
		{"BITCOUNT f 1 1 BYTE", ":6", ""},
		{"BITCOUNT f 5 30 BIT", ":17", ""},
		{"BITCOUNT f -1 -2 BITS", ":0", ""},
		{"BITCOUNT f -2 -1 BITS", "-ERR syntax error", ""},
		{"BITCOUNT f -1 -2", ":0", ""},
		{"BITCOUNT f 1", "-ERR syntax error", ""},
		{"BITCOUNT f 1 2 3", "-ERR syntax error", ""},
		{"BITCOUNT f x 2", "-ERR value is not an integer or out of range", ""},
		{"BITCOUNT none 1", ":0", ""},
		{"BITPOS f 1", ":1", ""},
		{"BITPOS f 0", ":0", ""},
		{"BITPOS f 1 2 -1 BIT", ":2", ""},
		{"BITPOS f 2", "-ERR The bit argument must be 1 or 0.", ""},
		{"BITPOS f x", "-ERR value is not an integer or out of range", ""},
		{"BITPOS f 1 0 1 NIBBLE", "-ERR syntax error", ""},
		{"BITPOS f 1 0 1 BIT 2", "-ERR syntax error", ""},
		{"BITPOS none 1", ":-1", ""},
		{"BITPOS none 0", ":0", ""},
		{"SET ones \xff\xff", "+OK", ""},
		{"BITPOS ones 0", ":16", ""},
		{"BITPOS ones 0 1", ":16", ""},
		{"BITPOS ones 0 0 -1", ":-1", ""},
		{"BITPOS ones 0 5", ":-1", ""},
		{"BITPOS ones 1 -9 -8", ":0", ""},
		{"BITCOUNT ones -9 -8", ":8", ""},
		{"BITCOUNT ones -8 -9", ":0", ""},
		{"BITOP AND and f ones", ":6", ""},
		{"GET and", "$6 fo\x00\x00\x00\x00", ""},
		{"OBJECT ENCODING and", "$3 raw", ""},
		{"BITOP OR or f ones none", ":6", ""},
		{"GET or", "$6 \xff\xffobar", ""},
		{"BITOP xor x f f", ":6", ""},
		{"BITOP NOT not ones", ":2", ""},
		{"GET not", "$2 \x00\x00", ""},
		{"BITOP OR digits n n", ":2", ""},
		{"GET digits", "$2 12", ""},
		{"OBJECT ENCODING digits", "$3 raw", ""},
		{"BITOP NOT not ones f", "-ERR BITOP NOT must be called with a single source key.", ""},
		{"BITOP NAND not ones f", "-ERR syntax error", ""},
		{"BITOP AND not none nope", ":0", ""},
		{"EXISTS not", ":0", ""},
		{"SADD s x", ":1", ""},
		{"SETBIT s 0 1", wrong, ""},
		{"GETBIT s 0", wrong, ""},
		{"BITCOUNT s", wrong, ""},
		{"BITPOS s 1", wrong, ""},
		{"BITOP OR d f s", wrong, ""},
		{"BITFIELD s GET u8 0", wrong, ""},
		{"BITFIELD s SET u8 0 1", wrong, ""},
		{"BITFIELD_RO s GET u8 0", wrong, ""},
		{"BITOP OR s f f", ":6", ""},
		{"TYPE s", "+string", ""},
		{"BITFIELD w SET i5 100 7 GET u4 0 INCRBY i5 100 1", "*3 :0 :0 :8", ""},
		{"STRLEN w", ":14", ""},
		{"BITFIELD w GET i5 #20 GET u5 #20", "*2 :8 :8", ""},
		{"BITFIELD w INCRBY i5 100 8", "*1 :-16", ""},
		{"BITFIELD w OVERFLOW SAT INCRBY i5 100 -3", "*1 :-16", ""},
		{"BITFIELD w OVERFLOW FAIL INCRBY i5 100 -3 GET i5 100", "*2 $-1 :-16", "*2 _ :-16"},
		{"BITFIELD w OVERFLOW SAT SET u8 0 -1 OVERFLOW WRAP SET u8 8 257 GET u16 0", "*3 :0 :0 :65281", ""},
		{"BITFIELD w SET i64 3 -2 GET i64 3 GET u63 3", "*3 :-574208952489738240 :-2 :9223372036854775807", ""},
		{"BITFIELD w GET u64 0", badType, ""},
		{"BITFIELD w GET i65 0", badType, ""},
		{"BITFIELD w GET U8 0", badType, ""},
		{"BITFIELD w GET u0 0", badType, ""},
		{"BITFIELD w GET u8 -1", badOffset, ""},
		{"BITFIELD w GET u8 #536870912", badOffset, ""},
		{"BITFIELD w GET u8", "-ERR syntax error", ""},
		{"BITFIELD w SET u8 0", "-ERR syntax error", ""},
		{"BITFIELD w SET u8 0 x", "-ERR value is not an integer or out of range", ""},
		{"BITFIELD w OVERFLOW UP", "-ERR Invalid OVERFLOW type specified", ""},
		{"BITFIELD w", "*0", ""},
		{"BITFIELD_RO w SET u8 0 1", "-ERR BITFIELD_RO only supports the GET subcommand", ""},
		{"BITFIELD_RO w GET u8 0 GET u8 #1", "*2 :255 :255", ""},
		{"BITFIELD_RO none GET u8 0", "*1 :0", ""},
		{"BITFIELD absent GET u8 0", "*1 :0", ""},
		{"EXISTS absent", ":0", ""},
		{"BITFIELD grown OVERFLOW FAIL SET u4 77 99", "*1 $-1", "*1 _"},
		{"STRLEN grown", ":11", ""},
	})
}

// bitModel is an obviously right bitmap: a text of zeros and ones.
type bitModel string

// fit returns the model with at least so many bits, in whole bytes.
func (m bitModel) fit(n int) bitModel {
	for len(m) < n {
		m += "00000000"
	}
	return m
}

func (m bitModel) count(bit byte, from, to int) (n, first int) {
	first = -1
	for i := max(0, from); i < min(to, len(m)); i++ {
		if m[i] == bit {
			if n++; first < 0 {
				first = i
			}
		}
	}
	return n, first
}

// number reads a field.
func (m bitModel) number(signed bool, bits, at int) *big.Int {
	n, _ := new(big.Int).SetString(string((m + bitModel(strings.Repeat("0", at+bits)))[at:at+bits]), 2)
	if signed && n.Bit(bits-1) == 1 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(bits)))
	}
	return n
}

// TestBitsModel compares bits, ranges and fields with the model.
func TestBitsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, md := newMachine(t), bitModel("")
		const room = 700
		for range 60 {
			at, bits, signed := rapid.IntRange(0, room).Draw(t, "at"), rapid.IntRange(1, 64).Draw(t, "bits"), rapid.Bool().Draw(t, "signed")
			if bits == 64 {
				signed = true
			}
			from, to := rapid.IntRange(0, room+100).Draw(t, "from"), rapid.IntRange(0, room+100).Draw(t, "to")
			kind := map[bool]string{true: "i", false: "u"}[signed] + strconv.Itoa(bits)
			switch rapid.IntRange(0, 5).Draw(t, "action") {
			case 0:
				on := rapid.SampledFrom([]string{"0", "1"}).Draw(t, "bit")
				md = md.fit(at + 1)
				require.Equal(t, ":"+string(md[at]), m.line(fmt.Sprint("setbit k ", at, " ", on)))
				md = md[:at] + bitModel(on) + md[at+1:]
			case 1:
				n, _ := md.count('1', from, to+1)
				require.Equal(t, fmt.Sprint(":", n), m.line(fmt.Sprint("bitcount k ", from, " ", to, " BIT")))
			case 2:
				bit := rapid.SampledFrom([]string{"0", "1"}).Draw(t, "bit")
				if md != "" {
					_, first := md.count(bit[0], from, to+1)
					require.Equal(t, fmt.Sprint(":", first), m.line(fmt.Sprint("bitpos k ", bit, " ", from, " ", to, " BIT")))
				}
			case 3:
				want := md.number(signed, bits, at)
				require.Equal(t, fmt.Sprint("*1 :", want), m.line(fmt.Sprint("bitfield k get ", kind, " ", at)))
			case 4, 5:
				md = md.fit(at + bits)
				by, mode := rapid.Int64().Draw(t, "by"), rapid.SampledFrom([]string{"wrap", "sat", "fail"}).Draw(t, "mode")
				sum := md.number(signed, bits, at)
				sum.Add(sum, big.NewInt(by))
				next := fitField(sum, signed, bits, mode)
				want := "$-1"
				if next != nil {
					text := new(big.Int).And(next, new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), uint(bits)), big.NewInt(1))).Text(2)
					md = md[:at] + bitModel(strings.Repeat("0", bits-len(text))+text) + md[at+bits:]
					want = ":" + next.String()
				}
				require.Equal(t, "*1 "+want, m.line(fmt.Sprint("bitfield k overflow ", mode, " incrby ", kind, " ", at, " ", by)))
			}
		}
		var got strings.Builder
		if md != "" {
			for _, c := range []byte(m.do("get", "k")[len(fmt.Sprintf("$%d\r\n", len(md)/8)):])[:len(md)/8] {
				fmt.Fprintf(&got, "%08b", c)
			}
		}
		require.Equal(t, string(md), got.String())
		require.NoError(t, m.s.Check())
		require.Equal(t, stateHash(m.s), stateHash(m.replay()))
	})
}

// fitField is the number as a field holds it, nil if it is not to be changed.
func fitField(n *big.Int, signed bool, bits int, mode string) *big.Int {
	size := new(big.Int).Lsh(big.NewInt(1), uint(bits))
	low, high := big.NewInt(0), new(big.Int).Sub(size, big.NewInt(1))
	if signed {
		half := new(big.Int).Rsh(size, 1)
		low, high = new(big.Int).Neg(half), new(big.Int).Sub(half, big.NewInt(1))
	}
	switch below, above := n.Cmp(low) < 0, n.Cmp(high) > 0; {
	case !below && !above:
		return n
	case mode == "fail":
		return nil
	case mode == "sat" && below:
		return low
	case mode == "sat":
		return high
	}
	n = new(big.Int).Mod(n, size)
	if n.Cmp(high) > 0 {
		n.Sub(n, size)
	}
	return n
}

// TestBitOpModel compares BITOP with the same done byte by byte, for lengths around those of words and of what stands in a
// record.
func TestBitOpModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t)
		size := rapid.SampledFrom([]int{0, 1, 7, 8, 9, 15, 16, 44, 45, 100, maxRaw - 1, maxRaw, maxRaw + 1})
		var sources [][]byte
		cmd := []string{"bitop", rapid.SampledFrom([]string{"and", "OR", "xor"}).Draw(t, "op"), "d"}
		longest := 0
		for i := range rapid.IntRange(1, 4).Draw(t, "keys") {
			b := make([]byte, size.Draw(t, "size"))
			seed := rapid.Uint64().Draw(t, "seed")
			for j := range b {
				b[j] = byte(splitMix(seed+uint64(j)) >> 8)
			}
			longest = max(longest, len(b))
			sources = append(sources, b)
			key := strconv.Itoa(i)
			m.do("set", key, string(b))
			cmd = append(cmd, key)
		}
		want := make([]byte, longest)
		for i := range want {
			for n, b := range sources {
				c := byte(0)
				if i < len(b) {
					c = b[i]
				}
				switch {
				case n == 0:
					want[i] = c
				case cmd[1] == "and":
					want[i] &= c
				case cmd[1] == "OR":
					want[i] |= c
				default:
					want[i] ^= c
				}
			}
		}
		require.Equal(t, fmt.Sprintf(":%d\r\n", longest), m.do(cmd...))
		if longest == 0 {
			require.Equal(t, ":0", m.line("exists d"))
			return
		}
		require.Equal(t, bulk(string(want)), m.do("get", "d"))
		require.Equal(t, bulk("raw"), m.do("object", "encoding", "d"))
		require.NoError(t, m.s.Check())
		restored := NewStore()
		require.NoError(t, restored.Restore(strings.NewReader(string(payload(t, m.s)))))
		require.Equal(t, stateHash(m.s), stateHash(restored))
	})
}

// A bit of a long string is written where it stands.
func TestSetBitOfLongString(t *testing.T) {
	m := newMachine(t)
	require.Equal(t, ":0", m.line("setbit k 80000000 1"))
	c := command(t, 0, "setbit", "k", "40000000", "1")
	n := testing.AllocsPerRun(100, func() {
		m.s.Begin(m.index, m.now, 1)
		m.s.Exec(&c, Discard)
		m.s.End()
	})
	require.LessOrEqual(t, n, 1.0)
	require.Equal(t, ":2", m.line("bitcount k"))
	require.Equal(t, ":80000000", m.line("bitpos k 1 40000001 -1 BIT"))
	require.NoError(t, m.s.Check())
}
