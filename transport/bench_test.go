package transport

import (
	"bytes"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/raft"
)

// benchMessages is what a busy leader sends in one burst: an append with small entries, and a few acknowledgements.
func benchMessages() []raft.Message {
	m := raft.Message{Type: raft.MsgAppend, From: 1, To: 2, Term: 5, Index: 100, LogTerm: 5, Commit: 99, Ctx: 7, SentAt: 12345}
	for i := range uint64(8) {
		m.Entries = append(m.Entries, raft.Entry{Index: 101 + i, Term: 5, Kind: raft.EntryCommand, Data: make([]byte, 128)})
	}
	ack := raft.Message{Type: raft.MsgAppendResp, From: 1, To: 2, Term: 5, Index: 108}
	return []raft.Message{m, ack, ack}
}

func BenchmarkEncode(b *testing.B) {
	msgs := benchMessages()
	var e encoder
	b.ReportAllocs()
	for b.Loop() {
		e.reset()
		e.begin(1)
		for i := range msgs {
			e.message(&msgs[i])
		}
		e.endMessages()
	}
	b.SetBytes(int64(e.size()))
}

func BenchmarkDecode(b *testing.B) {
	wire := encodeFrame(1, benchMessages()...)
	r := bytes.NewReader(wire)
	fr := newFrameReader(r)
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(wire)
		f, err := fr.next()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := decodeMessages(f.payload, 1, 2); err != nil {
			b.Fatal(err)
		}
	}
}

// pair is two connected transports; deliver is called for what arrives at the second.
func pair(b *testing.B, deliverA, deliverB func([]raft.Message)) (*Transport, *Transport) {
	b.Helper()
	var nodes [2]*Transport
	var peers []Peer
	for i, deliver := range []func([]raft.Message){deliverA, deliverB} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(b, err)
		id := raft.NodeID(i + 1)
		nodes[i], err = New(Config{
			Self:            Hello{Cluster: "c", Name: nodeName(id), Node: id},
			Listener:        ln,
			Admit:           func(string, uint64) error { return nil },
			Deliver:         func(_ uint32, _ raft.NodeID, msgs []raft.Message) { deliver(msgs) },
			ReceiveSnapshot: func(SnapshotHeader, func(int64) (io.Reader, error)) error { return nil },
		})
		require.NoError(b, err)
		peers = append(peers, Peer{ID: id, Name: nodeName(id), Addr: ln.Addr().String()})
		b.Cleanup(func() { require.NoError(b, nodes[i].Close()) })
	}
	for _, n := range nodes {
		n.SetPeers(peers)
		n.Start()
	}
	for _, n := range nodes {
		for !n.Stats()[1].Connected {
		}
	}
	return nodes[0], nodes[1]
}

// BenchmarkPingPong is one append and its acknowledgement over loopback.
func BenchmarkPingPong(b *testing.B) {
	back := make(chan struct{}, 1)
	ack := []raft.Message{{Type: raft.MsgAppendResp, From: 2, To: 1}}
	var second *Transport
	ready := make(chan struct{})
	first, second := pair(b,
		func([]raft.Message) { back <- struct{}{} },
		func([]raft.Message) { <-ready; second.Send(0, ack) })
	close(ready)
	msgs := benchMessages()[:1]
	b.ReportAllocs()
	for b.Loop() {
		first.Send(0, msgs)
		<-back
	}
}

// BenchmarkStream is how fast one sender's messages arrive, with 256 on the way.
func BenchmarkStream(b *testing.B) {
	window := make(chan struct{}, 256)
	first, _ := pair(b, func([]raft.Message) {}, func(msgs []raft.Message) {
		for range msgs {
			<-window
		}
	})
	msgs := benchMessages()[:1]
	b.SetBytes(int64(messageSize(&msgs[0])))
	b.ReportAllocs()
	for b.Loop() {
		window <- struct{}{}
		first.Send(0, msgs)
	}
}
