package fsm

import (
	"encoding/binary"
	"math/rand"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/fsm/rdb"
)

// A stream dumps and restores with its ids, what was deleted, and its groups with what is pending; the payload is the same again.
func TestDumpStream(t *testing.T) {
	m := newMachine(t)
	script(t, m, [2]string{"XADD k 5-1 f v n 12", "$3 5-1"}, [2]string{"XADD k 5-2 f w n 300", "$3 5-2"}, [2]string{"XADD k 9-0 other x", "$3 9-0"},
		[2]string{"XDEL k 5-2", ":1"})
	s := newStream()
	for _, id := range []streamID{{1, 1}, {1, 2}, {700, 0}} {
		s.add(id, [][]byte{[]byte("f"), []byte("v")})
	}
	s.addGroup([]byte("g"), streamID{1, 2}, 2)
	g := s.change([]byte("g"))
	alice, bob := s.addConsumer(g, []byte("alice"), 1000), s.addConsumer(g, []byte("bob"), 2000)
	s.pend(g, streamPending{id: streamID{1, 1}, at: 900, times: 3, consumer: bob})
	s.pend(g, streamPending{id: streamID{1, 2}, at: 950, times: 1, consumer: alice})
	s.addGroup([]byte("h"), streamID{0, 5}, unknownRead)
	var w rdb.Writer
	s.dump(&w)
	payload := string(w.Seal())
	require.Equal(t, "+OK\r\n", m.do("RESTORE", "groups", "0", payload))
	require.Equal(t, bulkReply(payload), m.do("DUMP", "groups"))
	require.Equal(t, "+stream\r\n", m.do("TYPE", "groups"))
	require.Equal(t, ":3\r\n", m.do("XLEN", "groups"))
	for _, key := range []string{"k", "groups"} {
		_, payload, _ := strings.Cut(m.do("DUMP", key), "\r\n")
		require.Equal(t, "+OK\r\n", m.do("RESTORE", "copy", "0", strings.TrimSuffix(payload, "\r\n"), "REPLACE"))
		require.Equal(t, m.do("XINFO", "STREAM", key, "FULL"), m.do("XINFO", "STREAM", "copy", "FULL"))
		require.Equal(t, m.do("DUMP", key), m.do("DUMP", "copy"))
	}
	require.Equal(t, "+OK\r\n", m.do("RESTORE", "copy", "0", "\x0f\x00\x00\x00\x00\x00\n\x00"+crcOf("\x0f\x00\x00\x00\x00\x00\n\x00"), "REPLACE"), "an empty one")
	require.Equal(t, ":0\r\n", m.do("XLEN", "copy"))
	require.NoError(t, m.s.Check())
	require.Equal(t, stateHash(m.s), stateHash(m.replay()))

	// Damage that the checksum does not show leads to an error or to a sound value.
	rnd, taken := rand.New(rand.NewSource(3)), 0
	for range 2000 {
		b := []byte(payload[:len(payload)-8])
		b[rnd.Intn(len(b)-2)] = byte(rnd.Intn(256))
		if m.do("RESTORE", "groups", "0", string(b)+crcOf(string(b)), "REPLACE") == "+OK\r\n" {
			taken++
		}
	}
	require.Greater(t, taken, 100)
	require.NoError(t, m.s.Check())
	require.Equal(t, stateHash(m.s), stateHash(m.replay()))
}

// crcOf is the checksum behind a payload.
func crcOf(b string) string {
	return string(binary.LittleEndian.AppendUint64(nil, bitwiseCRC([]byte(b))))
}
