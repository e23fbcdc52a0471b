package fsm

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"kvapp/fsm/rdb"
)

// The payloads are those of redis-server 7.0.15 for the same commands.
func TestDumpPayloads(t *testing.T) {
	m := newMachine(t)
	for _, c := range []struct{ cmd, payload string }{
		{"SET k 10", "\x00\xc0\n\n\x00n\x9fWE\x0e\xaec\xbb"},
		{"SET k hello", "\x00\x05hello\n\x00cr\xdfve4 \n"},
		{"SET k aaaaaaaaaaaaaaaaaaaaaaaaaaaaaabcabcabc", "\x00\xc3\x0e&\x01aa\xe0\x13\x00\x01bc@\x02\x01bc\n\x00\xd6\xcc`\x8a(\xd6\x8f\xb1"},
		{"SET k 70000", "\x00\xc2p\x11\x01\x00\n\x00\x01\xa4\b\xfe\x950\x95\xa5"},
		{"SET k -200", "\x00\xc18\xff\n\x00\";\x8f\xbb\xe8\xf4a\xf3"},
		{"RPUSH k a b 1000 -5", "\x12\x01\x02\x13\x13\x00\x00\x00\x04\x00\x81a\x02\x81b\x02\xc3\xe8\x02\xdf\xfb\x02\xff\n\x00\x86xR\x9d\xf2\xf2\x92\xe6"},
		{"SADD k 70000 1 2", "\x0b\x14\x04\x00\x00\x00\x03\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00p\x11\x01\x00\n\x00\x85\xd5\xc1\x06[\x1d\xd0U"},
		{"SADD k y x", "\x02\x02\x01y\x01x\n\x00\x0c\xdfk=\xb30\xbc\xf0"},
		{"HSET k f v n 12", "\x10\x12\x12\x00\x00\x00\x04\x00\x81f\x02\x81v\x02\x81n\x02\x0c\x01\xff\n\x00\x016\x94\x81\xd3[\x89t"},
		{"ZADD k 2.5 b 1 a", "\x11\x14\x14\x00\x00\x00\x04\x00\x81a\x02\x01\x01\x81b\x02\x832.5\x04\xff\n\x00\xd4Ln\xa4\xf6D\xd9\xd7"},
	} {
		m.do("DEL", "k", "copy")
		m.line(c.cmd)
		require.Equal(t, bulkReply(c.payload), m.do("DUMP", "k"), c.cmd)
		require.Equal(t, "+OK\r\n", m.do("RESTORE", "copy", "0", c.payload), c.cmd)
		require.Equal(t, m.do("DEBUG", "DIGEST-VALUE", "k"), m.do("DEBUG", "DIGEST-VALUE", "copy"), c.cmd)
		require.Equal(t, m.do("OBJECT", "ENCODING", "k"), m.do("OBJECT", "ENCODING", "copy"), c.cmd)
	}
	require.Equal(t, "$-1\r\n", m.do("DUMP", "none"))
	require.NoError(t, m.s.Check())
}

func TestRestoreReplies(t *testing.T) {
	const payload, hash = "\x00\xc0\n\n\x00n\x9fWE\x0e\xaec\xbb", "\x04\x01\x01f\x01v\n\x00\xad\xf2CV\xb1\x86\x0e\xfc"
	m := newMachine(t)
	for _, c := range []struct{ cmd, want string }{
		{"RESTORE k 0 P", "+OK"},
		{"GET k", "$2 10"},
		{"TTL k", ":-1"},
		{"RESTORE k 0 P", "-BUSYKEY Target key name already exists."},
		{"RESTORE k x x", "-BUSYKEY Target key name already exists."},
		{"RESTORE k 0 H REPLACE", "+OK"},
		{"HGETALL k", "*2 $1 f $1 v"},
		{"RESTORE k x P REPLACE", "-ERR value is not an integer or out of range"},
		{"RESTORE k -1 P REPLACE", "-ERR Invalid TTL value, must be >= 0"},
		{"RESTORE k 0 x REPLACE", "-ERR DUMP payload version or checksum are wrong"},
		{"RESTORE k 0 Px REPLACE", "-ERR DUMP payload version or checksum are wrong"},
		{"TYPE k", "+hash"},
		{"RESTORE k 5000 P replace idletime 100", "+OK"},
		{"PTTL k", ":5000"},
		{"OBJECT IDLETIME k", ":100"},
		{"RESTORE k 1700000009000 P REPLACE ABSTTL IDLETIME 99999999999", "+OK"},
		{"PEXPIRETIME k", ":1700000009000"},
		{"OBJECT IDLETIME k", ":16777215"},
		{"RESTORE k 0 P REPLACE FREQ 255", "+OK"},
		{"RESTORE k 0 P REPLACE FREQ 256", "-ERR Invalid FREQ value, must be >= 0 and <= 255"},
		{"RESTORE k 0 P REPLACE FREQ -1", "-ERR Invalid FREQ value, must be >= 0 and <= 255"},
		{"RESTORE k 0 P REPLACE IDLETIME -1", "-ERR Invalid IDLETIME value, must be >= 0"},
		{"RESTORE k 0 P REPLACE IDLETIME x", "-ERR value is not an integer or out of range"},
		{"RESTORE k 0 P REPLACE IDLETIME 1 FREQ 1", "-ERR syntax error"},
		{"RESTORE k 0 P REPLACE FREQ", "-ERR syntax error"},
		{"RESTORE k 0 P now", "-ERR syntax error"},
		{"RESTORE k 1 P REPLACE ABSTTL", "+OK"}, // long past: what was there goes
		{"EXISTS k", ":0"},
		{"RESTORE k 9223372036854775807 P", "+OK"},
		{"EXISTS k", ":0"},
		{"RESTORE k 0 P", "+OK"},
	} {
		words := strings.Fields(c.cmd)
		for i, w := range words {
			words[i] = strings.NewReplacer("P", payload, "H", hash).Replace(w)
			if i == 0 || len(w) > 2 {
				words[i] = w
			}
		}
		got := strings.TrimSuffix(strings.ReplaceAll(m.do(words...), "\r\n", " "), " ")
		require.Equal(t, c.want, got, c.cmd)
	}
	m.s.NoteUse(600, Use{LFU: true})
	require.Equal(t, "+OK\r\n", m.do("RESTORE", "k", "0", payload, "REPLACE", "FREQ", "77"))
	require.Equal(t, ":77\r\n", m.do("OBJECT", "FREQ", "k"))
	require.Equal(t, "+OK\r\n", m.do("RESTORE", "k", "0", payload, "REPLACE", "IDLETIME", "77"))
	require.Equal(t, ":5\r\n", m.do("OBJECT", "FREQ", "k"))
	require.NoError(t, m.s.Check())
	require.Equal(t, stateHash(m.s), stateHash(m.replay()))
}

// Elements that must differ do, whatever a payload says.
func TestRestoreRefusesRepeated(t *testing.T) {
	m := newMachine(t)
	for _, body := range []string{"\x02\x02\x01a\x01a", "\x02\x02\x011\xc0\x01", "\x04\x02\x01a\x01b\x01a\x01c", "\x05\x02\x01a\x00\x00\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x00\x00\x00\x00\xf0\x3f",
		"\x10\x14\x14\x00\x00\x00\x04\x00\x81f\x02\x81v\x02\x81f\x02\x81v\x02\x0c\xff", "\x02\x03\x01a\x01b"} {
		b := binary.LittleEndian.AppendUint16([]byte(body), rdb.Version)
		payload := string(binary.LittleEndian.AppendUint64(b, bitwiseCRC(b)))
		require.Equal(t, "-ERR Bad data format\r\n", m.do("RESTORE", "k", "0", payload), "%q", body)
		require.Equal(t, ":0\r\n", m.do("EXISTS", "k"))
	}
}

// bitwiseCRC is the checksum of payloads, bit by bit.
func bitwiseCRC(b []byte) (crc uint64) {
	for _, c := range b {
		crc ^= uint64(c)
		for range 8 {
			low := crc & 1
			if crc >>= 1; low != 0 {
				crc ^= 0x95ac9329ac4bc9b5
			}
		}
	}
	return crc
}

// What DUMP answers restores to an equal value of the same encoding, which dumps to the same bytes; a follower dumps the same.
func TestDumpRestore(t *testing.T) {
	number := rapid.Map(rapid.Int64(), func(n int64) string { return fmt.Sprint(n) })
	text := rapid.OneOf(rapid.StringN(0, 30, 90), number, rapid.SampledFrom([]string{sized(64), sized(65), sized(5000), "0", "-0"}))
	rapid.Check(t, func(rt *rapid.T) {
		m := newMachine(rt)
		kind := rapid.SampledFrom([]string{"SET", "RPUSH", "SADD", "HSET", "ZADD"}).Draw(rt, "kind")
		for range rapid.IntRange(1, 4).Draw(rt, "commands") {
			cmd := []string{kind, "k"}
			for _, s := range rapid.SliceOfN(text, 1, rapid.SampledFrom([]int{1, 3, 30, 200}).Draw(rt, "n")).Draw(rt, "texts") {
				switch kind {
				case "HSET":
					cmd = append(cmd, s, s)
				case "ZADD":
					cmd = append(cmd, fmt.Sprint(rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64).Draw(rt, "score")), s)
				case "SET":
					cmd = append(cmd[:2], s)
				default:
					cmd = append(cmd, s)
				}
			}
			m.do(cmd...)
		}
		dump := m.do("DUMP", "k")
		require.NotEqual(rt, "$-1\r\n", dump)
		_, payload, _ := strings.Cut(dump, "\r\n")
		payload = strings.TrimSuffix(payload, "\r\n")
		require.Equal(rt, "+OK\r\n", m.do("RESTORE", "copy", "0", payload))
		require.Equal(rt, m.do("DEBUG", "DIGEST-VALUE", "k"), m.do("DEBUG", "DIGEST-VALUE", "copy"))
		require.NoError(rt, m.s.Check())
		require.Equal(rt, stateHash(m.s), stateHash(m.replay()))
	})
}

// Damage that the checksum does not show leads to an error or to a sound value.
func TestRestoreDamaged(t *testing.T) {
	m := newMachine(t)
	rnd := rand.New(rand.NewSource(2))
	var bodies [][]byte
	for _, cmd := range [][]string{{"SET", "k", strings.Repeat("abc", 40)}, {"RPUSH", "k", "1", "two", "-300"}, {"SADD", "k", "1", "2"}, {"HSET", "k", "f", "v"},
		{"ZADD", "k", "1", "a", "2.5", "b"}, series(140, letters, "SADD", "k"), series(140, scored, "ZADD", "k")} {
		m.do("DEL", "k")
		m.do(cmd...)
		_, payload, _ := strings.Cut(m.do("DUMP", "k"), "\r\n")
		bodies = append(bodies, []byte(payload[:len(payload)-12]))
	}
	taken := 0
	for range 2000 {
		b := append([]byte(nil), bodies[rnd.Intn(len(bodies))]...)
		b[rnd.Intn(len(b))] = byte(rnd.Intn(256))
		b = binary.LittleEndian.AppendUint16(b, rdb.Version)
		b = binary.LittleEndian.AppendUint64(b, bitwiseCRC(b))
		if m.do("RESTORE", "k", "0", string(b), "REPLACE") == "+OK\r\n" {
			taken++
		}
	}
	require.Greater(t, taken, 300)
	require.NoError(t, m.s.Check())
	require.Equal(t, stateHash(m.s), stateHash(m.replay()))
}
