package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"time"

	"kvapp/internal/nonblock"
	"kvapp/node"
	"kvapp/raft"
	"kvapp/resp"
	"kvapp/transport"
	"kvapp/wal"
)

// peerTransport makes a transport.Transport a node.Transport. Loop goroutine.
type peerTransport struct {
	t        *transport.Transport
	snaps    *wal.Snapshots
	registry *wal.Registry
	self     raft.NodeID
}

func (p *peerTransport) Send(msgs []raft.Message) { p.t.Send(group, msgs) }

func (p *peerTransport) SendSnapshot(to raft.NodeID, term uint64, f node.SnapshotFile, done func(error)) {
	h := transport.SnapshotHeader{
		Group: group, From: p.self, Term: term, Meta: f.Meta, Name: f.Name, Size: f.Size, Sum: f.Sum,
	}
	open := func() (io.ReadCloser, error) { return p.snaps.OpenRaw(wal.Snapshot(f)) }
	p.t.SendSnapshot(to, h, open, func(err error) {
		if errors.Is(err, transport.ErrSnapshotRefused) {
			err = fmt.Errorf("%w: %w", node.ErrRefused, err)
		}
		done(err)
	})
}

// SetMembers also tells the registry: whom the log names is admitted, with the disk that it names.
func (p *peerTransport) SetMembers(members []raft.Member) {
	p.registry.Follow(members)
	peers := make([]transport.Peer, 0, len(members))
	for _, m := range members {
		if m.ID != p.self {
			peers = append(peers, transport.Peer{ID: m.ID, Name: m.Name, Addr: m.PeerAddr, Incarnation: m.Incarnation})
		}
	}
	p.t.SetPeers(peers)
}

func (p *peerTransport) Refusals() node.Refusals { return node.Refusals(p.t.Refusals()) }

// group is the number of the only Raft group; it stands in every record and frame.
const group = 0

// receiveSnapshot takes a snapshot file from the leader; reader goroutine of the stream. The file is durable before
// the node hears of it, and means nothing before the journal names it. What has arrived when the stream breaks is kept.
func (in *instance) receiveSnapshot(h transport.SnapshotHeader, begin func(have int64) (io.Reader, error)) error {
	n := in.running()
	if n == nil {
		return fmt.Errorf("%w: still starting", transport.ErrTryLater)
	}
	f := wal.Snapshot{Meta: h.Meta, Name: h.Name, Size: h.Size, Sum: h.Sum}
	if in.snaps.Has(f) { // it came from a leader that was deposed before the end, or the verdict got lost
		if _, err := begin(f.Size); err != nil {
			return err
		}
	} else if err := in.receiveFile(f, begin); err != nil {
		return err
	}
	in.srv.log.Info("snapshot_received", "index", f.Meta.Index, "bytes", f.Size)
	n.SnapshotReceived(h.From, h.Term, node.SnapshotFile(f))
	return nil
}

func (in *instance) receiveFile(f wal.Snapshot, begin func(have int64) (io.Reader, error)) error {
	w, err := in.snaps.Receive(f)
	if err != nil {
		return err
	}
	err = in.roomFor(f.Size - w.Size())
	if err == nil {
		var r io.Reader
		if r, err = begin(w.Size()); err == nil {
			_, err = io.Copy(w, r)
		}
	}
	if err != nil {
		return errors.Join(err, w.Keep())
	}
	_, err = w.Commit()
	return err
}

// roomFor refuses a snapshot that would leave the journal less than it may need.
func (in *instance) roomFor(bytes int64) error {
	free, err := in.journal.Free()
	if err != nil {
		return err
	}
	if room := free - in.srv.set.Int("raft-disk-reserve-bytes")/2; bytes > room {
		return fmt.Errorf("no room on the disk for %d bytes, only for %d", bytes, max(room, 0))
	}
	return nil
}

// bootClock counts suspended time (CLOCK_BOOTTIME), so that a lease cannot outlive a suspended machine.
type bootClock struct{}

// Now implements node.Clock. It cannot fail for a constant clock id; 0 would only make every lease look valid never.
func (bootClock) Now() int64 { return nonblock.Boottime() }

func (bootClock) WallMs() int64 { return time.Now().UnixMilli() }

// randomSeed returns the source of the seeds in log entries: unpredictable from outside, cheap.
func randomSeed() func() uint64 {
	var key [32]byte
	if _, err := rand.Read(key[:]); err != nil {
		binary.LittleEndian.PutUint64(key[:], uint64(time.Now().UnixNano()))
	}
	src := mrand.NewChaCha8(key)
	return src.Uint64
}

// peerTraffic tells the client's side what the transport has counted.
func (in *instance) peerTraffic() []resp.PeerTraffic {
	var all []resp.PeerTraffic
	for _, p := range in.peers.Stats() {
		if p.ID == 0 {
			continue // connections that belong to no peer
		}
		all = append(all, resp.PeerTraffic{ID: p.ID, Connected: p.Connected, Sent: p.Sent, Received: p.Received,
			BytesSent: p.BytesSent, BytesReceived: p.BytesReceived, Snapshots: p.SnapshotsSent})
	}
	return all
}

// incarnationOf asks another node of this cluster which disk it has; any goroutine.
func (in *instance) incarnationOf(name, peerAddr string) (uint64, error) {
	hello := in.hello()
	hello.To = name
	ctx, cancel := context.WithTimeout(context.Background(), probeLimit)
	defer cancel()
	theirs, err := transport.Probe(ctx, peerAddr, hello)
	return theirs.Incarnation, err
}

// probeLimit is how long another node may take to say who it is.
const probeLimit = 3 * time.Second
