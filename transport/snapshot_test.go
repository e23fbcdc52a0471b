package transport

import (
	"bytes"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/raft"
)

// stream sends a snapshot from a to node 2.
func stream(a *testNode, h SnapshotHeader, open func() (io.ReadCloser, error)) <-chan error {
	done := make(chan error, 1)
	a.SendSnapshot(2, h, open, func(err error) { done <- err })
	return done
}

// seekable is a file.
type seekable struct{ *bytes.Reader }

func (seekable) Close() error { return nil }

// The sender dials through a proxy that cuts every connection after some bytes; the file arrives whole all the same, and
// what the receiver has read is not sent again.
func TestSnapshotContinuesAfterTenCuts(t *testing.T) {
	const perConn = 3 // whole chunks before the cut
	h, data, open := snapshotOf((10*perConn+1)*chunkBytes + 5)
	for name, open := range map[string]func() (io.ReadCloser, error){
		"stream":   open,
		"seekable": func() (io.ReadCloser, error) { return seekable{bytes.NewReader(data)}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := startNode(t, 1, ""), startNode(t, 2, "")
			px := startProxy(t, b.addr)
			px.setLimit(perConn*(chunkBytes+frameHeaderLen) + 1000)
			a.SetPeers([]Peer{{ID: 2, Name: "n2", Addr: px.addr()}})
			var got store
			b.onSnapshot(got.receive)
			require.NoError(t, receive(t, stream(a, h, open)))
			require.True(t, bytes.Equal(data, got.bytes()))
			require.GreaterOrEqual(t, len(got.starts()), 11)
			require.Zero(t, got.starts()[0])
			require.True(t, slices.IsSorted(got.starts())) // a cut may take what the receiver's kernel has not handed out
			require.Contains(t, b.logs.String(), "snapshot_interrupted")
			require.Contains(t, b.logs.String(), "snapshot_resumed")
		})
	}
}

// A stream that was cut for good is continued by another node's of the same content, whatever the file is called there.
func TestSnapshotContinuesAcrossSenders(t *testing.T) {
	a, b, c := startNode(t, 1, ""), startNode(t, 2, ""), startNode(t, 3, "")
	a.resumeWindow = 50 * time.Millisecond
	px := startProxy(t, b.addr)
	px.setLimit(2*chunkBytes + 1000)
	a.SetPeers([]Peer{{ID: 2, Name: "n2", Addr: px.addr()}})
	c.SetPeers([]Peer{b.peer()})
	h, data, open := snapshotOf(4 * chunkBytes)
	var got store
	begun := make(chan struct{}, 100)
	b.onSnapshot(func(h SnapshotHeader, begin func(int64) (io.Reader, error)) error {
		begun <- struct{}{}
		return got.receive(h, begin)
	})
	done := stream(a, h, open)
	receive(t, begun)
	require.NoError(t, px.ln.Close())
	require.Error(t, receive(t, done))
	h.Term, h.Name = 5, "other.snap"
	require.NoError(t, receive(t, stream(c, h, open)))
	require.True(t, bytes.Equal(data, got.bytes()))
	require.Positive(t, got.starts()[len(got.starts())-1])

	// Who has led before is told so; who has everything needs nothing.
	h.Term = 4
	require.ErrorContains(t, receive(t, stream(c, h, open)), "a leader of term 5")
	h.Term = 5
	sent := c.row(t, 2).BytesSent
	require.NoError(t, receive(t, stream(c, h, open)))
	require.Less(t, c.row(t, 2).BytesSent-sent, uint64(1000))
}

// A sender that comes back before the receiver has noticed the loss of the old connection ends it.
func TestSnapshotConnectionReplacesTheOld(t *testing.T) {
	a, b := startNode(t, 1, ""), startNode(t, 2, "")
	connect(a, b)
	h, data, open := snapshotOf(2 * chunkBytes)
	var got store
	began := make(chan struct{}, 100)
	b.onSnapshot(func(h SnapshotHeader, begin func(int64) (io.Reader, error)) error {
		began <- struct{}{}
		return got.receive(h, begin)
	})
	dead := dialAs(t, b, purposeSnapshot) // it says where to, and no more
	var e encoder
	e.begin(h.Group)
	e.buf = appendSnapshotHeader(e.buf, &h)
	e.end(frameSnapshot)
	_, err := e.flush(dead, patience)
	require.NoError(t, err)
	receive(t, began)
	require.NoError(t, receive(t, stream(a, h, open)))
	require.True(t, bytes.Equal(data, got.bytes()))
	require.Equal(t, []int64{0, 0}, got.starts())
}

// Of many connections that wait for the end of the old one, the last one goes on.
func TestNewestSnapshotConnectionWins(t *testing.T) {
	tr := &Transport{streams: map[uint32]*inStreams{}}
	h, _, _ := snapshotOf(10)
	conn := func() *inStream {
		c, other := net.Pipe()
		t.Cleanup(func() { _ = other.Close() })
		return &inStream{t: tr, h: h, conn: c, done: make(chan struct{})}
	}
	first := conn()
	require.NoError(t, tr.takeOver(first))
	results := make(chan error, 3)
	newest := func() *inStream {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		return tr.streams[h.Group].newest
	}
	for range 3 {
		s := conn()
		go func() { results <- tr.takeOver(s) }()
		eventually(t, func() bool { return newest() == s })
	}
	last := newest()
	tr.release(first)
	taken := 0
	for range 3 {
		if err := receive(t, results); err == nil {
			taken++
		} else {
			require.ErrorIs(t, err, errReplaced)
		}
	}
	require.Equal(t, 1, taken)
	require.Same(t, last, tr.streams[h.Group].current)
	tr.release(last)
	require.Nil(t, tr.streams[h.Group].current)
	require.Nil(t, tr.streams[h.Group].newest)
}

// The connection is cut while the receiver makes the file durable: the verdict comes over the next one.
func TestSnapshotVerdictAfterCut(t *testing.T) {
	a, b := startNode(t, 1, ""), startNode(t, 2, "")
	px := startProxy(t, b.addr)
	a.SetPeers([]Peer{{ID: 2, Name: "n2", Addr: px.addr()}})
	a.waitConnected(t, 2)
	var got store
	read, goOn := make(chan struct{}, 1), make(chan struct{})
	b.onSnapshot(func(h SnapshotHeader, begin func(int64) (io.Reader, error)) error {
		err := got.receive(h, begin)
		read <- struct{}{}
		<-goOn
		return err
	})
	h, _, open := snapshotOf(chunkBytes)
	done := stream(a, h, open)
	receive(t, read)
	first := b.inboundStream(h.Group)
	px.cut()
	eventually(t, func() bool { // the sender's second connection waits for the end of the first
		b.Transport.mu.Lock()
		defer b.Transport.mu.Unlock()
		return b.streams[h.Group].newest != first
	})
	close(goOn)
	require.NoError(t, receive(t, done))
	require.Equal(t, []int64{0, chunkBytes}, got.starts())
}

func (n *testNode) inboundStream(group uint32) *inStream {
	n.Transport.mu.Lock()
	defer n.Transport.mu.Unlock()
	return n.streams[group].current
}

// A receiver that is not ready yet is asked again.
func TestSnapshotForAReceiverThatStarts(t *testing.T) {
	a, b := startNode(t, 1, ""), startNode(t, 2, "")
	connect(a, b)
	h, data, open := snapshotOf(chunkBytes)
	var got store
	var calls atomic.Int32
	b.onSnapshot(func(h SnapshotHeader, begin func(int64) (io.Reader, error)) error {
		if calls.Add(1) < 3 {
			return ErrTryLater
		}
		return got.receive(h, begin)
	})
	for receive(t, stream(a, h, open)) != nil { // one that never began is not repeated by itself
		require.LessOrEqual(t, calls.Load(), int32(3))
	}
	require.True(t, bytes.Equal(data, got.bytes()))
	require.EqualValues(t, 3, calls.Load())
	require.NotContains(t, b.logs.String(), "snapshot_not_received")
}

func TestSnapshotCutForGood(t *testing.T) {
	a, b := startNode(t, 1, ""), startNode(t, 2, "")
	px := startProxy(t, b.addr)
	px.setLimit(chunkBytes)
	a.SetPeers([]Peer{{ID: 2, Name: "n2", Addr: px.addr()}})
	h, _, open := snapshotOf(4 * chunkBytes)
	started, failed := make(chan struct{}, 100), make(chan error, 100)
	b.onSnapshot(whole(func(h SnapshotHeader, r io.Reader) error {
		started <- struct{}{}
		_, err := io.Copy(io.Discard, r)
		failed <- err
		return err
	}))
	done := stream(a, h, open)
	receive(t, started)
	require.NoError(t, px.ln.Close())
	px.cut()
	require.Error(t, receive(t, failed))
	a.SetPeers(nil) // the sender might try for resumeWindow
	require.Error(t, receive(t, done))
}

func TestSnapshotSourceFails(t *testing.T) {
	a, b := startNode(t, 1, ""), startNode(t, 2, "")
	connect(a, b)
	b.onSnapshot(whole(func(h SnapshotHeader, r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	}))
	h, data, _ := snapshotOf(2 * chunkBytes)
	short := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data[:100])), nil }
	require.ErrorContains(t, receive(t, stream(a, h, short)), "read the snapshot")
	missing := func() (io.ReadCloser, error) { return nil, io.ErrClosedPipe }
	require.ErrorIs(t, receive(t, stream(a, h, missing)), io.ErrClosedPipe)
}

// A receiver that does not read to the end, or not at all, has not received the file; one that claims more than there is
// is wrong.
func TestSnapshotNotReadToTheEnd(t *testing.T) {
	a, b := startNode(t, 1, ""), startNode(t, 2, "")
	connect(a, b)
	h, _, open := snapshotOf(100)
	b.onSnapshot(whole(func(h SnapshotHeader, r io.Reader) error { return nil }))
	err := receive(t, stream(a, h, open))
	require.ErrorIs(t, err, ErrSnapshotRefused)
	require.ErrorContains(t, err, "not read")
	b.onSnapshot(func(SnapshotHeader, func(int64) (io.Reader, error)) error { return nil })
	require.ErrorContains(t, receive(t, stream(a, h, open)), "not read")
	b.onSnapshot(func(_ SnapshotHeader, begin func(int64) (io.Reader, error)) error {
		_, err := begin(101)
		return err
	})
	require.ErrorContains(t, receive(t, stream(a, h, open)), "101 bytes of 100")
}

// The receiver's disk is slow: what the sender is ahead by stays within the sockets' buffers, and a heartbeat on its own
// connection does not wait. TCP's flow control is the credit.
func TestSlowReceiverHoldsTheSenderBack(t *testing.T) {
	const size, step = 64 << 20, 1 << 20
	a, b := startNode(t, 1, ""), startNode(t, 2, "")
	connect(a, b)
	a.waitConnected(t, 2)
	var sent atomic.Int64
	h, data, _ := snapshotOf(size)
	open := func() (io.ReadCloser, error) {
		return io.NopCloser(io.TeeReader(bytes.NewReader(data), counter{&sent})), nil
	}
	goOn := make(chan struct{})
	b.onSnapshot(whole(func(h SnapshotHeader, r io.Reader) error {
		for range size / step {
			<-goOn // the disk writes
			if _, err := io.CopyN(io.Discard, r, step); err != nil {
				return err
			}
		}
		return nil
	}))
	done := stream(a, h, open)
	most := int64(0)
	for at := int64(0); at < size; at += step {
		for last := int64(-1); last != sent.Load(); { // until the sender has filled what there is to fill
			last = sent.Load()
			for i := range uint64(50) {
				a.Send(0, []raft.Message{{Type: raft.MsgAppend, From: 1, To: 2, Ctx: i}})
				require.Equal(t, i, b.next(t).msgs[0].Ctx)
			}
		}
		most = max(most, sent.Load()-at)
		goOn <- struct{}{}
	}
	require.NoError(t, receive(t, done))
	t.Logf("the sender was at most %d KiB ahead", most>>10)
	require.Less(t, most, int64(size/2))
}

type counter struct{ n *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}
