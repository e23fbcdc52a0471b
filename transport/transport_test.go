package transport

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/raft"
)

func TestMessagesBothWays(t *testing.T) {
	a, b := startNode(t, 1, ""), startNode(t, 2, "")
	connect(a, b)
	want := []raft.Message{
		{Type: raft.MsgAppend, From: 1, To: 2, Term: 3, Entries: []raft.Entry{
			{Index: 7, Term: 3, Kind: raft.EntryCommand, Data: []byte("x")},
			{Index: 8, Term: 3, Kind: raft.EntryCommand, Data: bytes.Repeat([]byte("y"), 3*segmentBytes+5)},
			{Index: 9, Term: 3, Kind: raft.EntryNoop},
		}},
		{Type: raft.MsgTimeoutNow, From: 1, To: 2, Term: 3},
	}
	a.Send(5, want)
	var got []raft.Message
	for len(got) < len(want) {
		d := b.next(t)
		require.Equal(t, uint32(5), d.group)
		require.Equal(t, raft.NodeID(1), d.from)
		got = append(got, d.msgs...)
	}
	require.Equal(t, want, got)
	b.Send(5, []raft.Message{{Type: raft.MsgAppendResp, From: 2, To: 1, Index: 9}})
	require.Equal(t, raft.MsgAppendResp, a.next(t).msgs[0].Type)
}

func TestReconnectAfterPeerRestart(t *testing.T) {
	a, b := startNode(t, 1, ""), startNode(t, 2, "")
	connect(a, b)
	a.waitConnected(t, 2)
	require.NoError(t, b.Close())
	eventually(t, func() bool { return !a.row(t, 2).Connected })
	require.Equal(t, raft.NodeID(2), receive(t, a.unreachable))
	b = startNode(t, 2, b.addr)
	connect(a, b)
	a.waitConnected(t, 2)
	a.Send(0, []raft.Message{{Type: raft.MsgVote, From: 1, To: 2}})
	require.Equal(t, raft.MsgVote, b.next(t).msgs[0].Type)
	require.Equal(t, uint64(1), a.row(t, 2).Reconnects)
}

func TestRefusals(t *testing.T) {
	otherCluster := func(r Refusals) uint64 { return r.OtherCluster }
	oldIncarnation := func(r Refusals) uint64 { return r.OldIncarnation }
	otherwise := func(r Refusals) uint64 { return r.Otherwise }
	cases := []struct {
		name string
		self Hello
		peer Peer
		code Code

		counted func(Refusals) uint64
	}{
		{"other cluster", Hello{Cluster: "c2", Name: "n1", Node: 1, Incarnation: 101}, Peer{ID: 2, Name: "n2"}, CodeCluster, otherCluster},
		{"wrong name", Hello{Cluster: "c1", Name: "n1", Node: 1, Incarnation: 101}, Peer{ID: 9, Name: "n9"}, CodeName, otherwise},
		{"wiped", Hello{Cluster: "c1", Name: "n1", Node: 1, Incarnation: 66}, Peer{ID: 2, Name: "n2"}, CodeAdmit, oldIncarnation},
		{"id and name of another", Hello{Cluster: "c1", Name: "n1", Node: 3, Incarnation: 101}, Peer{ID: 2, Name: "n2"}, CodeIdentity, otherwise},
		{"its own id", Hello{Cluster: "c1", Name: "n1", Node: 2, Incarnation: 101}, Peer{ID: 5, Name: "n2"}, CodeSelf, otherwise},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := startNode(t, 2, "")
			b.forbid("n1", 66)
			b.SetPeers([]Peer{{ID: 3, Name: "n3", Addr: "127.0.0.1:1"}})
			a := startNode(t, 1, "", func(cfg *Config) { cfg.Self = c.self })
			c.peer.Addr = b.addr
			a.SetPeers([]Peer{c.peer})
			got := receive(t, a.refused)
			require.Equal(t, c.code, got.Code)
			require.Equal(t, c.peer.Name, got.Peer)
			require.NotEmpty(t, got.Reason)
			// It is tried again, but told and logged once.
			eventually(t, func() bool { return a.row(t, c.peer.ID).RefusalsByPeers >= 3 })
			require.Empty(t, a.refused)
			require.Equal(t, 1, strings.Count(a.logs.String(), "peer_refuses"))
			require.False(t, a.row(t, c.peer.ID).Connected)
			require.GreaterOrEqual(t, c.counted(b.Refusals()), uint64(3))
			one := b.Refusals()
			require.Equal(t, c.counted(one), one.OtherCluster+one.OldIncarnation+one.Otherwise, "nothing else")
		})
	}
}

// Messages that were read before the node they come from was replaced, and not looked at, are dropped and counted.
func TestMessagesOfAReplacedNode(t *testing.T) {
	gate := make(chan struct{})
	got := make(chan []raft.Message, 10)
	b := startNode(t, 2, "", func(c *Config) {
		c.Deliver = func(_ uint32, _ raft.NodeID, msgs []raft.Message) {
			got <- msgs
			<-gate
		}
	})
	b.SetPeers([]Peer{{ID: 1, Name: "n1", Addr: deafPeer(t), Incarnation: 101}})
	conn := dialAs(t, b, purposeMessages)
	frame := encodeFrame(0, raft.Message{Type: raft.MsgVote}, raft.Message{Type: raft.MsgVote})
	_, err := conn.Write(bytes.Repeat(frame, 3))
	require.NoError(t, err)
	receive(t, got)
	b.SetPeers([]Peer{{ID: 1, Name: "n1", Addr: deafPeer(t), Incarnation: 201}})
	close(gate)
	eventually(t, func() bool { return b.Refusals().Messages == 2 })
	require.Empty(t, got)
	again := Hello{Cluster: "c1", Name: "n1", Node: 1, Incarnation: 101, To: "n2"}
	old, _, err := call(t.Context(), b.addr, purposeMessages, again)
	if err == nil { // admitted by the registry of this test, and known to be replaced
		require.NoError(t, old.SetReadDeadline(time.Now().Add(patience)))
		_, err = old.Read(make([]byte, 1))
		require.NoError(t, old.Close())
	}
	require.Error(t, err)
	eventually(t, func() bool { return b.Refusals().OldIncarnation == 1 })
}

func TestProbe(t *testing.T) {
	b := startNode(t, 2, "")
	b.forbid("n1", 66)
	self := Hello{Cluster: "c1", Name: "n1", Node: 1, Incarnation: 5, To: "n2"}
	h, err := Probe(t.Context(), b.addr, self)
	require.NoError(t, err)
	require.Equal(t, Hello{Cluster: "c1", Name: "n2", Node: 2, Incarnation: 102, To: "n1"}, h)

	self.Incarnation, self.To = 66, ""
	h, err = Probe(t.Context(), b.addr, self)
	var refused *RefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, CodeAdmit, refused.Code)
	require.Equal(t, "disk was wiped", refused.Reason)
	require.Equal(t, "c1", h.Cluster)
}

// snapshotOf makes a header and an open func for n bytes.
func snapshotOf(n int) (SnapshotHeader, []byte, func() (io.ReadCloser, error)) {
	data := bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n]
	h := SnapshotHeader{Group: 3, Term: 4, Name: "00000009.snap", Size: int64(n), Sum: crc32.Checksum(data, castagnoli),
		Meta: raft.SnapshotMeta{Index: 9, Term: 4, Membership: raft.Membership{
			Members: []raft.Member{{ID: 1, Name: "n1", PeerAddr: "a:1", ClientAddr: "b:2"}},
		}}}
	return h, data, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
}

func TestSnapshot(t *testing.T) {
	for _, size := range []int{0, 1, chunkBytes, 5*chunkBytes + 17} {
		a, b := startNode(t, 1, ""), startNode(t, 2, "")
		connect(a, b)
		h, data, open := snapshotOf(size)
		var got []byte
		var gotHeader SnapshotHeader
		b.onSnapshot(whole(func(h SnapshotHeader, r io.Reader) error {
			var err error
			gotHeader = h
			got, err = io.ReadAll(r)
			return err
		}))
		done := make(chan error, 1)
		a.SendSnapshot(2, h, open, func(err error) { done <- err })
		require.NoError(t, receive(t, done))
		require.True(t, bytes.Equal(data, got))
		h.From = 1
		require.Equal(t, h, gotHeader)
	}
}

func TestSnapshotRefused(t *testing.T) {
	a, b := startNode(t, 1, ""), startNode(t, 2, "")
	connect(a, b)
	b.onSnapshot(whole(func(SnapshotHeader, io.Reader) error { return errors.New("disk full") }))
	h, _, open := snapshotOf(64 << 20)
	done := make(chan error, 1)
	a.SendSnapshot(2, h, open, func(err error) { done <- err })
	require.ErrorContains(t, receive(t, done), "disk full")
	a.SendSnapshot(7, h, open, func(err error) { done <- err })
	require.ErrorIs(t, receive(t, done), ErrUnknownPeer)
}

func TestHeartbeatsPassASnapshot(t *testing.T) {
	a, b := startNode(t, 1, ""), startNode(t, 2, "")
	connect(a, b)
	release := make(chan struct{})
	b.onSnapshot(whole(func(h SnapshotHeader, r io.Reader) error {
		<-release // the stream is stuck: its buffers fill up
		_, err := io.Copy(io.Discard, r)
		return err
	}))
	h, _, open := snapshotOf(32 << 20)
	done := make(chan error, 1)
	a.SendSnapshot(2, h, open, func(err error) { done <- err })
	for i := range 100 {
		a.Send(0, []raft.Message{{Type: raft.MsgAppend, From: 1, To: 2, Ctx: uint64(i)}})
		require.Equal(t, uint64(i), b.next(t).msgs[0].Ctx)
	}
	require.Empty(t, done)
	close(release)
	require.NoError(t, receive(t, done))
	require.Equal(t, uint64(1), a.row(t, 2).SnapshotsSent)
}

func TestCloseWithEverythingInFlight(t *testing.T) {
	a, b := startNode(t, 1, ""), startNode(t, 2, "")
	connect(a, b)
	a.waitConnected(t, 2)
	started, closed := make(chan struct{}), make(chan struct{})
	b.onSnapshot(whole(func(h SnapshotHeader, r io.Reader) error {
		_, err := io.CopyN(io.Discard, r, 1<<20)
		close(started)
		<-closed // the stream is stuck: its buffers are full when the sender closes
		_, rest := io.Copy(io.Discard, r)
		return errors.Join(err, rest)
	}))
	h, _, open := snapshotOf(256 << 20)
	done := make(chan error, 1)
	a.SendSnapshot(2, h, open, func(err error) { done <- err })
	receive(t, started)
	for range 1000 {
		a.Send(0, []raft.Message{{Type: raft.MsgAppend, From: 1, To: 2, Entries: []raft.Entry{
			{Index: 1, Term: 1, Kind: raft.EntryCommand, Data: make([]byte, cutBytes)}}}})
	}
	require.NoError(t, a.Close())
	close(closed)
	require.ErrorIs(t, receive(t, done), ErrClosed)
	require.NoError(t, b.Close())
	a.SendSnapshot(2, h, open, func(err error) { done <- err })
	require.ErrorIs(t, receive(t, done), ErrClosed)
	a.Send(0, []raft.Message{{Type: raft.MsgAppend, To: 2}})
}

// A peer with another disk is another node: what the old one still has open ends, whichever side opened it, and it does
// not get in again.
func TestPeerWithAnotherDisk(t *testing.T) {
	a, old := startNode(t, 1, ""), startNode(t, 2, "")
	connect(a, old)
	a.waitConnected(t, 2)
	old.waitConnected(t, 1)
	a.Send(0, []raft.Message{{Type: raft.MsgVote, From: 1, To: 2}})
	old.next(t)

	peer := old.peer()
	peer.Incarnation = 203
	a.SetPeers([]Peer{peer}) // Admit would still let the old one in, as if it had been asked before
	eventually(t, func() bool { return old.row(t, 1).Reconnects >= 2 })
	a.forbid("n2", 102)
	require.Equal(t, CodeAdmit, receive(t, old.refused).Code)
	eventually(t, func() bool { return !a.row(t, 2).Connected })
	require.NoError(t, old.Close())

	next := startNode(t, 2, old.addr, func(cfg *Config) { cfg.Self.Incarnation = 203 })
	next.SetPeers([]Peer{a.peer()})
	a.waitConnected(t, 2)
	a.Send(0, []raft.Message{{Type: raft.MsgTimeoutNow, From: 1, To: 2}})
	require.Equal(t, raft.MsgTimeoutNow, next.next(t).msgs[0].Type)
	next.Send(0, []raft.Message{{Type: raft.MsgAppendResp, From: 2, To: 1}})
	require.Equal(t, raft.MsgAppendResp, a.next(t).msgs[0].Type)
	require.Empty(t, a.got, "nothing of the old one came through")
	a.SetPeers([]Peer{peer})
	require.True(t, a.row(t, 2).Connected, "the same again changes nothing")
}

func withAddr(cfg *Config) { cfg.Self.Addr = cfg.Listener.Addr().String() }

// Who sends messages and is no peer is answered, for as long as it sends: also one that was a peer before, and one that
// becomes a peer.
func TestGuestsAreAnswered(t *testing.T) {
	a, b := startNode(t, 1, "", withAddr), startNode(t, 2, "", withAddr)
	b.SetPeers([]Peer{a.peer()})
	b.Send(0, []raft.Message{{Type: raft.MsgAppend, From: 2, To: 1}})
	require.Equal(t, raft.NodeID(2), a.next(t).from)
	answer := func() { // what is sent while it connects anew may be lost
		t.Helper()
		eventually(t, func() bool {
			a.Send(0, []raft.Message{{Type: raft.MsgAppendResp, From: 1, To: 2}})
			return len(b.got) > 0
		})
		for len(b.got) > 0 {
			require.Equal(t, raft.NodeID(1), b.next(t).from)
		}
	}
	answer()
	a.SetPeers(nil)
	answer()
	peer := b.peer()
	peer.Incarnation = 102
	for range 3 {
		a.SetPeers([]Peer{peer})
		answer()
		a.SetPeers(nil) // removed, and it does not know
		answer()
	}

	b.SetPeers(nil)
	eventually(t, func() bool { // it sends no more: the guest is gone, and with it b's guest
		return len(a.Stats()) == 1 && len(b.Stats()) == 1
	})
	require.Empty(t, a.refused)
	require.Empty(t, b.refused)
}

// A guest that comes again, or that is replaced by another disk, is called back at its new address.
func TestGuestComesAgain(t *testing.T) {
	a, b := startNode(t, 1, "", withAddr), startNode(t, 2, "", withAddr)
	b.SetPeers([]Peer{a.peer()})
	b.waitConnected(t, 1)
	require.NoError(t, b.Close())
	b = startNode(t, 2, "", withAddr, func(cfg *Config) { cfg.Self.Incarnation = 7 })
	b.SetPeers([]Peer{a.peer()})
	eventually(t, func() bool {
		a.Send(0, []raft.Message{{Type: raft.MsgAppendResp, From: 1, To: 2}})
		return len(b.got) > 0
	})
	require.Equal(t, uint64(7), a.row(t, 2).Incarnation)
}
