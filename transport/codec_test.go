package transport

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"kvapp/raft"
)

// encodeFrame returns the bytes of one frame with msgs.
func encodeFrame(group uint32, msgs ...raft.Message) []byte {
	var e encoder
	e.begin(group)
	for i := range msgs {
		e.message(&msgs[i])
	}
	e.endMessages()
	return bytes.Join(e.segments(), nil)
}

func drawEntry(t *rapid.T) raft.Entry {
	e := raft.Entry{
		Index: rapid.Uint64().Draw(t, "index"),
		Term:  rapid.Uint64().Draw(t, "term"),
		Kind:  raft.EntryKind(rapid.IntRange(1, 3).Draw(t, "kind")),
	}
	if n := rapid.SampledFrom([]int{0, 1, 100, cutBytes - 1, cutBytes, cutBytes + 1}).Draw(t, "size"); n > 0 {
		e.Data = bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte")}, n)
	}
	return e
}

func drawMessage(t *rapid.T) raft.Message {
	u := func(name string) uint64 { return rapid.Uint64().Draw(t, name) }
	m := raft.Message{
		Type:     raft.MessageType(rapid.IntRange(1, int(raft.MsgAnswer)).Draw(t, "type")),
		Reject:   rapid.Bool().Draw(t, "reject"),
		Transfer: rapid.Bool().Draw(t, "transfer"),
		From:     1, To: 2,
		Term: u("term"), Index: u("index"), LogTerm: u("log term"), Commit: u("commit"),
		Hint: u("hint"), HintTerm: u("hint term"), Ctx: u("ctx"),
		SentAt: rapid.Int64().Draw(t, "sent at"),
	}
	for range rapid.IntRange(0, 3).Draw(t, "entries") {
		m.Entries = append(m.Entries, drawEntry(t))
	}
	return m
}

func TestMessagesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type batch struct {
			group uint32
			msgs  []raft.Message
		}
		var want []batch
		var e encoder
		for range rapid.IntRange(1, 3).Draw(t, "frames") {
			b := batch{group: rapid.Uint32().Draw(t, "group")}
			e.begin(b.group)
			size := 0
			for range rapid.IntRange(0, 4).Draw(t, "messages") {
				m := drawMessage(t)
				b.msgs = append(b.msgs, m)
				e.message(&m)
				size += messageSize(&m)
			}
			require.Equal(t, size, e.payload())
			e.endMessages()
			want = append(want, b)
		}
		total := e.size()
		wire := bytes.Join(e.segments(), nil)
		require.Len(t, wire, total)

		fr := newFrameReader(iotestReader{bytes.NewReader(wire), rapid.IntRange(1, 5000).Draw(t, "read size")})
		for _, b := range want {
			f, err := fr.next()
			require.NoError(t, err)
			require.Equal(t, b.group, f.group)
			msgs, err := decodeMessages(f.payload, 1, 2)
			require.NoError(t, err)
			require.Len(t, msgs, len(b.msgs))
			for i := range msgs {
				require.Equal(t, b.msgs[i], msgs[i])
			}
		}
		_, err := fr.next()
		require.Equal(t, io.EOF, err)
		require.Equal(t, uint64(total), fr.read)
	})
}

// iotestReader hands out at most n bytes per read.
type iotestReader struct {
	r io.Reader
	n int
}

func (r iotestReader) Read(p []byte) (int, error) { return r.r.Read(p[:min(len(p), r.n)]) }

func drawHeader(t *rapid.T) SnapshotHeader {
	str := rapid.StringN(0, 20, 60)
	h := SnapshotHeader{
		Term: rapid.Uint64().Draw(t, "term"),
		Name: str.Draw(t, "name"),
		Size: rapid.Int64Min(0).Draw(t, "size"),
		Sum:  rapid.Uint32().Draw(t, "sum"),
		Meta: raft.SnapshotMeta{Index: rapid.Uint64().Draw(t, "index"), Term: rapid.Uint64().Draw(t, "meta term")},
	}
	// Members ascend by ID and are not 0.
	for i := range rapid.IntRange(0, 3).Draw(t, "members") {
		h.Meta.Membership.Members = append(h.Meta.Membership.Members, raft.Member{
			ID:         raft.NodeID(1 + i*7),
			Name:       str.Draw(t, "member"),
			PeerAddr:   str.Draw(t, "peer addr"),
			ClientAddr: str.Draw(t, "client addr"),
			Learner:    rapid.Bool().Draw(t, "learner"),
		})
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "old voters") {
		h.Meta.Membership.OldVoters = append(h.Meta.Membership.OldVoters, raft.NodeID(2+i))
	}
	return h
}

func TestSnapshotHeaderRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawHeader(t)
		b := appendSnapshotHeader([]byte("x"), &want)
		got, err := decodeSnapshotHeader(b[1:])
		require.NoError(t, err)
		require.Equal(t, want, got)
		cut := rapid.IntRange(1, len(b)-1).Draw(t, "cut")
		_, err = decodeSnapshotHeader(b[1:cut])
		require.Error(t, err)
	})
}

func TestHelloRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringN(0, 60, maxName)
		want := Hello{
			Cluster: name.Draw(t, "cluster"), Name: name.Draw(t, "name"), To: name.Draw(t, "to"), Addr: name.Draw(t, "addr"),
			Node: raft.NodeID(rapid.Uint64().Draw(t, "node")), Incarnation: rapid.Uint64().Draw(t, "incarnation"),
		}
		require.NoError(t, want.check())
		what := purpose(rapid.IntRange(1, 3).Draw(t, "purpose"))
		gotWhat, got, err := readCall(bytes.NewReader(appendCall(nil, what, &want)))
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, what, gotWhat)

		got, err = readAnswer(bytes.NewReader(appendAnswer(nil, 0, "", &want)))
		require.NoError(t, err)
		require.Equal(t, want, got)

		reason := strings.Repeat("r", rapid.IntRange(0, 2*maxReason).Draw(t, "reason"))
		got, err = readAnswer(bytes.NewReader(appendAnswer(nil, CodeAdmit, reason, &want)))
		require.Equal(t, &RefusedError{Code: CodeAdmit, Reason: reason[:min(len(reason), maxReason)]}, err)
		require.Equal(t, want, got)
	})
}

// The bytes on the wire are a contract between two versions of the program that run in one cluster: a change here needs
// another wireVersion.
func TestGoldenBytes(t *testing.T) {
	frame := encodeFrame(0x0a0b0c0d, raft.Message{
		Type: raft.MsgAppend, Reject: true, Transfer: true, From: 1, To: 2,
		Term: 1, Index: 2, LogTerm: 3, Commit: 4, Hint: 5, HintTerm: 6, Ctx: 7, SentAt: -1,
		Entries: []raft.Entry{{Index: 8, Term: 9, Kind: raft.EntryCommand, Data: []byte("SET")}},
	})
	require.Equal(t, strings.Join([]string{
		"63000000" + "0d0c0b0a" + "02000000", // length, group, type
		"0503" + "0000" + "01000000",         // type, flags, entries
		"0100000000000000", "0200000000000000", "0300000000000000", "0400000000000000",
		"0500000000000000", "0600000000000000", "0700000000000000", "ffffffffffffffff",
		"0800000000000000", "0900000000000000", "03000000" + "01000000", "534554",
	}, ""), hex.EncodeToString(append(append([]byte{}, frame[:12]...), frame[16:]...)))
	require.Equal(t, "903049a1", hex.EncodeToString(frame[12:16]))

	h := Hello{Cluster: "c1", Name: "n1", Node: 0x0102, Incarnation: 0x0304, To: "n2", Addr: "h:1"}
	const hello = "0201000000000000" + "0403000000000000" + "026331" + "026e31" + "026e32" + "03683a31"
	require.Equal(t, "6b7670656572"+"02"+"02"+"1d000000"+"dea9496a"+hello,
		hex.EncodeToString(appendCall(nil, purposeSnapshot, &h)))
	require.Equal(t, "6b7670656572"+"02"+"06"+"21000000"+"241f73b0"+"0200"+"6e6f"+hello,
		hex.EncodeToString(appendAnswer(nil, CodeAdmit, "no", &h)))
}

func TestMalformedFrames(t *testing.T) {
	good := encodeFrame(1, raft.Message{Type: raft.MsgAppend, From: 1, To: 2, Entries: []raft.Entry{
		{Index: 1, Term: 1, Kind: raft.EntryCommand, Data: []byte("abc")}}})
	decode := func(wire []byte) error {
		f, err := newFrameReader(bytes.NewReader(wire)).next()
		if err != nil {
			return err
		}
		_, err = decodeMessages(f.payload, 1, 2)
		return err
	}
	require.NoError(t, decode(good))
	for cut := 1; cut < len(good); cut++ {
		require.ErrorIs(t, decode(good[:cut]), io.ErrUnexpectedEOF)
	}
	for bit := range len(good) * 8 {
		bad := bytes.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		err := decode(bad)
		require.Error(t, err, "bit %d", bit)
		require.True(t, errors.Is(err, errMalformed) || err == io.ErrUnexpectedEOF, "%v", err)
	}

	// With the right checksum, only the structure is left to check.
	payload := good[frameHeaderLen:]
	for name, change := range map[string]func(p []byte) []byte{
		"no type":          func(p []byte) []byte { p[0] = 0; return p },
		"unknown flag":     func(p []byte) []byte { p[1] = 4; return p },
		"reserved":         func(p []byte) []byte { p[3] = 1; return p },
		"too many entries": func(p []byte) []byte { binary.LittleEndian.PutUint32(p[4:], 1<<31); return p },
		"one more entry":   func(p []byte) []byte { p[4]++; return p },
		"one entry less":   func(p []byte) []byte { p[4]--; return p },
		"no kind":          func(p []byte) []byte { p[messageHeaderLen+20] = 0; return p },
		"data too long":    func(p []byte) []byte { p[messageHeaderLen+16]++; return p },
		"data too short":   func(p []byte) []byte { p[messageHeaderLen+16]--; return p },
		"a byte more":      func(p []byte) []byte { return append(p, 0) },
	} {
		_, err := decodeMessages(change(bytes.Clone(payload)), 1, 2)
		require.ErrorIs(t, err, errMalformed, name)
	}
}

// A length on the wire must not allocate more than what arrives.
func TestAnnouncedLengthAllocatesLittle(t *testing.T) {
	var e encoder
	e.begin(0)
	e.end(frameEntries)
	wire := bytes.Clone(e.buf)
	binary.LittleEndian.PutUint32(wire, maxPayload)
	result := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			_, err := newFrameReader(bytes.NewReader(wire)).next()
			if err != io.ErrUnexpectedEOF {
				b.Fatal(err)
			}
		}
	})
	require.Less(t, result.AllocedBytesPerOp(), int64(firstAlloc+2*readBuffer))
}

// Messages without entries are small: a frame of them that announces more than a sender ever writes is refused before
// anything is read.
func TestControlFramesAreSmall(t *testing.T) {
	var e encoder
	e.begin(0)
	for range queueMessages {
		e.message(&raft.Message{Type: raft.MsgAppendResp})
	}
	e.endMessages()
	full := bytes.Clone(e.buf)
	_, err := newFrameReader(bytes.NewReader(full)).next()
	require.NoError(t, err, "a whole queue of them fits")
	binary.LittleEndian.PutUint32(full, segmentBytes+1)
	_, err = newFrameReader(bytes.NewReader(full)).next()
	require.ErrorIs(t, err, errMalformed)
	require.ErrorContains(t, err, "limit")
}

func TestSteadyStateAllocations(t *testing.T) {
	p := newPeer(&Transport{ctx: t.Context(), notify: make(chan struct{}, 1)}, Peer{ID: 2, Name: "n2"})
	t.Cleanup(p.cancel)
	msgs := benchMessages()
	turn := func() {
		for i := range msgs {
			p.push(1, &msgs[i])
		}
		p.wakeUp()
		items := p.take()
		for i := 0; i < len(items); {
			i = p.frame(items, i)
		}
		p.enc.segments()
		p.enc.reset()
		clear(items)
	}
	turn()
	turn()
	require.Zero(t, testing.AllocsPerRun(100, turn), "queueing and encoding")

	frame := encodeFrame(1, msgs...)
	payload := frame[frameHeaderLen:]
	require.EqualValues(t, 2, testing.AllocsPerRun(100, func() {
		_, _ = decodeMessages(payload, 1, 2)
	}), "decoding: the messages and the entries")

	heartbeat := encodeFrame(1, raft.Message{Type: raft.MsgAppend})
	r := bytes.NewReader(heartbeat)
	fr := newFrameReader(r)
	require.EqualValues(t, 0, testing.AllocsPerRun(100, func() {
		r.Reset(heartbeat)
		_, _ = fr.next()
	}), "reading a frame without entries")
}
