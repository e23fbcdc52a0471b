package transport

import (
	"bytes"
	"hash/crc32"
	"testing"

	"encoding/binary"

	"github.com/stretchr/testify/require"

	"kvapp/raft"
)

// FuzzFrames feeds arbitrary bytes to the frame reader and arbitrary payloads to the decoder. What decodes must encode
// to the same bytes.
func FuzzFrames(f *testing.F) {
	f.Add(encodeFrame(0, raft.Message{Type: raft.MsgVote, Term: 1}))
	f.Add(encodeFrame(9, benchMessages()...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, wire []byte) {
		fr := newFrameReader(bytes.NewReader(wire))
		for {
			fra, err := fr.next()
			if err != nil {
				break
			}
			roundTrip(t, fra.payload)
		}
		if len(wire) > frameHeaderLen {
			roundTrip(t, wire[frameHeaderLen:])
			// The same bytes behind a header that fits them: the reader must hand them on.
			fixed := bytes.Clone(wire)
			copy(fixed[8:12], []byte{byte(frameEntries), 0, 0, 0})
			binary.LittleEndian.PutUint32(fixed, uint32(len(wire)-frameHeaderLen))
			sum := crc32.Update(crc32.Checksum(fixed[:12], castagnoli), castagnoli, fixed[frameHeaderLen:])
			binary.LittleEndian.PutUint32(fixed[12:], sum)
			fra, err := newFrameReader(bytes.NewReader(fixed)).next()
			require.NoError(t, err)
			require.True(t, bytes.Equal(fixed[frameHeaderLen:], fra.payload))
		}
	})
}

func roundTrip(t *testing.T, payload []byte) {
	msgs, err := decodeMessages(payload, 1, 2)
	if err != nil {
		require.ErrorIs(t, err, errMalformed)
		return
	}
	require.True(t, bytes.Equal(payload, encodeFrame(0, msgs...)[frameHeaderLen:]))
}

// FuzzHandshake feeds arbitrary bytes to both sides of the handshake. What is accepted must encode to the same bytes.
func FuzzHandshake(f *testing.F) {
	h := Hello{Cluster: "c", Name: "n1", Node: 1, Incarnation: 2, To: "n2"}
	f.Add(appendCall(nil, purposeMessages, &h))
	f.Add(appendAnswer(nil, 0, "", &h))
	f.Add(appendAnswer(nil, CodeAdmit, "no", &h))
	f.Fuzz(func(t *testing.T, wire []byte) {
		if what, got, err := readCall(bytes.NewReader(wire)); err == nil {
			require.True(t, bytes.HasPrefix(wire, appendCall(nil, what, &got)))
		}
		if got, err := readAnswer(bytes.NewReader(wire)); err == nil {
			again, err := readAnswer(bytes.NewReader(appendAnswer(nil, 0, "", &got)))
			require.NoError(t, err)
			require.Equal(t, got, again)
		}
		if got, err := decodeHello(wire); err == nil {
			require.True(t, bytes.Equal(wire, appendHello(nil, &got)))
		}
	})
}

// FuzzSnapshotHeader feeds arbitrary bytes to the decoder of snapshot headers.
func FuzzSnapshotHeader(f *testing.F) {
	h, _, _ := snapshotOf(100)
	f.Add(appendSnapshotHeader(nil, &h))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, p []byte) {
		got, err := decodeSnapshotHeader(p)
		if err != nil {
			return
		}
		again, err := decodeSnapshotHeader(appendSnapshotHeader(nil, &got))
		require.NoError(t, err)
		require.Equal(t, got, again)
	})
}
