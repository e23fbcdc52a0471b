package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/internal/race"
	"kvapp/raft"
	"kvapp/wal"
)

const dir = "/data/n1"

var testID = wal.Identity{Cluster: "c0ffee", Node: 7, Name: "n1", Incarnation: 99}

// state is what a node must not forget, said simply.
type state struct {
	id      wal.Identity
	hard    raft.HardState
	snap    wal.Snapshot
	entries []raft.Entry // all behind snap
	peers   map[string]uint64
}

func (s *state) last() uint64 { return s.snap.Meta.Index + uint64(len(s.entries)) }

// after is the state with the first n records of b.
func (s state) after(b *wal.Batch, n int) state {
	s.entries = append([]raft.Entry(nil), s.entries...)
	if b.HasHard && n > 0 {
		s.hard = b.Hard
		n--
	}
	if b.Install != nil && n > 0 {
		s.snap, s.entries = *b.Install, nil
		n--
	}
	for _, e := range b.Entries[:min(n, len(b.Entries))] {
		s.entries = append(s.entries[:e.Index-s.snap.Meta.Index-1], e)
	}
	return s
}

// compacted is the state behind an own snapshot.
func (s state) compacted(sn wal.Snapshot) state {
	s.entries = append([]raft.Entry(nil), s.entries[sn.Meta.Index-s.snap.Meta.Index:]...)
	s.snap = sn
	return s
}

// refounded is the state as another cluster's, with a last entry of size bytes.
func (s state) refounded(size int) state {
	s.id.Cluster = fmt.Sprint("beef", s.hard.Term)
	s.hard = raft.HardState{Term: s.hard.Term + 1, Commit: s.hard.Commit}
	e := raft.Entry{Index: s.last() + 1, Term: s.hard.Term, Kind: raft.EntryMembership, Data: bytes.Repeat([]byte{byte(size)}, size)}
	s.entries = append(s.entries[:len(s.entries):len(s.entries)], e)
	return s
}

func (s *state) is(rec *wal.Recovered) bool {
	hard := s.hard
	hard.Commit = max(min(hard.Commit, s.last()), s.snap.Meta.Index)
	if rec.Identity != s.id || rec.Hard != hard || rec.Snapshot.Name != s.snap.Name || rec.Snapshot.Meta.Index != s.snap.Meta.Index {
		return false
	}
	if len(rec.Entries) != len(s.entries) || rec.First > s.snap.Meta.Index+1 {
		return false
	}
	for i, e := range s.entries {
		if r := rec.Entries[i]; r.Index != e.Index || r.Term != e.Term || r.Kind != e.Kind || string(r.Data) != string(e.Data) {
			return false
		}
	}
	return true
}

// node is a node's storage under a random workload, with the state that was acknowledged and those that a crash in the
// present step may leave instead.
type node struct {
	d     *Disk
	rand  *rand.Rand // of the workload
	size  int        // of a segment
	l     *wal.Log
	snaps *wal.Snapshots
	reg   *wal.Registry
	made  bool // Create has returned nil

	acked  state
	maybe  []state
	admits []string // peers that may be known
	sent   *transfer
}

// transfer is a snapshot that another node has sent, at least in part.
type transfer struct {
	sn  wal.Snapshot
	raw []byte
}

func newNode(seed uint64) *node {
	n := &node{d: New(seed), rand: rand.New(rand.NewPCG(seed, 1)), acked: state{id: testID, peers: map[string]uint64{}}}
	n.size = []int{200, 600, 1000}[n.rand.IntN(3)]
	return n
}

// run formats the disk and does steps until one fails.
func (n *node) run(steps int) error {
	if err := wal.CreateOn(n.d, dir, testID); err != nil {
		return err
	}
	n.made = true
	if _, err := n.open(); err != nil {
		return err
	}
	for range steps {
		n.maybe, n.admits, n.sent = nil, nil, nil
		if err := n.step(); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) open() (rec wal.Recovered, err error) {
	if n.l, rec, err = wal.Open(dir, wal.Identity{}, wal.Options{FS: n.d, SegmentSize: n.size}); err != nil {
		return rec, err
	}
	if n.snaps, err = wal.OpenSnapshotsOn(n.d, dir); err != nil {
		return rec, err
	}
	n.reg, err = wal.OpenRegistryOn(n.d, dir)
	return rec, err
}

func (n *node) step() error {
	switch r := n.rand.IntN(22); {
	case r < 12:
		return n.append(n.batch())
	case r < 15:
		return n.compact()
	case r < 17:
		return n.install()
	case r < 19:
		return n.admit()
	case r < 21:
		return n.refound(n.rand.IntN(400))
	}
	if err := n.l.Close(); err != nil {
		return err
	}
	rec, err := n.open()
	if err == nil && !n.acked.is(&rec) {
		err = errors.New("another state after a clean restart")
	}
	return err
}

func (n *node) append(b *wal.Batch) error {
	records := len(b.Entries)
	if b.HasHard {
		records++
	}
	if b.Install != nil {
		records++
	}
	for i := 1; i <= records; i++ {
		n.maybe = append(n.maybe, n.acked.after(b, i))
	}
	if err := n.l.Append(b); err != nil {
		return err
	}
	n.acked = n.acked.after(b, records)
	return nil
}

// batch is a hard state, entries or both; entries may replace others.
func (n *node) batch() *wal.Batch {
	b := &wal.Batch{Hard: n.acked.hard, HasHard: n.rand.IntN(2) == 0}
	if b.HasHard || b.Hard.Term == 0 {
		b.HasHard = true
		b.Hard.Term += 1 + n.rand.Uint64N(2)
		b.Hard.Vote = raft.NodeID(n.rand.IntN(9))
		b.Hard.Commit = n.rand.Uint64N(n.acked.last() + 3)
	}
	from := n.acked.last() + 1
	if n.rand.IntN(4) == 0 {
		from -= n.rand.Uint64N(from - n.acked.snap.Meta.Index)
	}
	b.Entries = n.entries(from, n.rand.Uint64N(6), b.Hard.Term)
	return b
}

func (n *node) entries(from, count, term uint64) (list []raft.Entry) {
	for i := range count {
		e := raft.Entry{Index: from + i, Term: term, Kind: raft.EntryCommand, Data: make([]byte, n.rand.IntN(400))}
		for j := range e.Data {
			e.Data[j] = byte(n.rand.Uint32())
		}
		list = append(list, e)
	}
	return list
}

// snapshot writes one into a directory of snapshots, this node's or another's.
func (n *node) snapshot(in *wal.Snapshots, index uint64) (sn wal.Snapshot, err error) {
	w, err := in.Create(raft.SnapshotMeta{Index: index, Term: n.acked.hard.Term})
	if err != nil {
		return sn, err
	}
	size := n.rand.IntN(200)
	if n.rand.IntN(4) == 0 {
		size += 64 << 10 // two blocks
	}
	if _, err := w.Write(bytes.Repeat([]byte{byte(n.rand.Uint32())}, size)); err != nil {
		return sn, err
	}
	return w.Commit()
}

// received takes a snapshot from another node, in two streams.
func (n *node) received(index uint64) (sn wal.Snapshot, err error) {
	leader, err := wal.OpenSnapshotsOn(New(1), "/leader")
	if err != nil {
		return sn, err
	}
	if sn, err = n.snapshot(leader, index); err != nil {
		return sn, err
	}
	f, err := leader.OpenRaw(sn)
	if err != nil {
		return sn, err
	}
	raw, err := io.ReadAll(f)
	if err != nil {
		return sn, err
	}
	n.sent = &transfer{sn, raw}
	w, err := n.snaps.Receive(sn)
	if err != nil {
		return sn, err
	}
	if _, err := w.Write(raw[:n.rand.IntN(len(raw))]); err != nil {
		return sn, err
	}
	if err := w.Keep(); err != nil {
		return sn, err
	}
	return sn, n.receiveRest()
}

// receiveRest goes on where the last stream has stopped.
func (n *node) receiveRest() error {
	w, err := n.snaps.Receive(n.sent.sn)
	if err != nil {
		return err
	}
	if _, err := w.Write(n.sent.raw[w.Size():]); err != nil {
		return err
	}
	_, err = w.Commit()
	return err
}

// compact drops what is behind a snapshot; every other time all that can be dropped.
func (n *node) compact() error {
	index, tail := n.acked.last(), uint64(0)
	if index == 0 {
		return nil
	}
	if n.rand.IntN(2) == 0 {
		index -= n.rand.Uint64N(min(index, uint64(len(n.acked.entries))+1))
		tail = n.rand.Uint64N(min(5, index+1))
	}
	sn, err := n.snapshot(n.snaps, index)
	if err != nil {
		return err
	}
	n.maybe = append(n.maybe, n.acked.compacted(sn))
	if _, err := n.l.Compact(sn, index+1-tail); err != nil {
		return err
	}
	n.acked = n.acked.compacted(sn)
	return n.snaps.PruneBelow(index)
}

// install begins anew behind a snapshot of another node.
func (n *node) install() error {
	sn, err := n.received(n.acked.snap.Meta.Index + 1 + n.rand.Uint64N(20))
	if err != nil {
		return err
	}
	b := &wal.Batch{Hard: n.acked.hard, HasHard: true, Install: &sn}
	b.Hard.Term++
	b.Entries = n.entries(sn.Meta.Index+1, n.rand.Uint64N(3), b.Hard.Term)
	return n.append(b)
}

// refound makes the log another cluster's.
func (n *node) refound(size int) error {
	next := n.acked.refounded(size)
	n.maybe = append(n.maybe, next)
	if err := n.l.Refound(next.id.Cluster, next.hard, next.entries[len(next.entries)-1]); err != nil {
		return err
	}
	n.acked = next
	return nil
}

func (n *node) admit() error {
	name := fmt.Sprint("peer", n.rand.IntN(8))
	if _, ok := n.acked.peers[name]; ok {
		return n.reg.Admit(name, incarnation(name))
	}
	n.admits = append(n.admits, name)
	if err := n.reg.Admit(name, incarnation(name)); err != nil {
		return err
	}
	n.acked.peers[name] = incarnation(name)
	return nil
}

func incarnation(name string) uint64 { return uint64(name[4]) * 1001 }

// on is the node with another disk.
func (n *node) on(d *Disk) *node {
	x := *n
	x.d = d
	x.acked.peers = maps.Clone(n.acked.peers)
	return &x
}

// recovers checks that what the disk has become starts with a legal state, and works on from there.
func (n *node) recovers() error {
	c := n.d
	ok, err := wal.ExistsOn(c, dir)
	if err != nil {
		return err
	}
	if !ok && n.made {
		return errors.New("the log is gone")
	}
	if !ok {
		if err := wal.CreateOn(c, dir, testID); err != nil {
			return err
		}
		n.made = true
	}
	rec, err := n.open()
	if err != nil {
		return err
	}
	if err := n.adopt(&rec); err != nil {
		return err
	}
	if err := n.checkBeside(); err != nil {
		return err
	}
	if _, err := wal.VerifyOn(c, dir); err != nil {
		return err
	}
	// The next batch follows on what was found, and all of it survives the worst failure.
	n.rand = rand.New(rand.NewPCG(c.Ops(), 2))
	if err := n.append(n.batch()); err != nil {
		return err
	}
	c.Crash(Loss{})
	if rec, err = n.open(); err == nil && !n.acked.is(&rec) {
		err = errors.New("another state after the second crash")
	}
	return err
}

// adopt finds the state that was recovered among the legal ones.
func (n *node) adopt(rec *wal.Recovered) error {
	for _, s := range append([]state{n.acked}, n.maybe...) {
		if s.is(rec) {
			s.peers = n.acked.peers
			n.acked, n.maybe = s, nil
			return nil
		}
	}
	return fmt.Errorf("recovered %+v, acknowledged %+v, %d states are possible", rec, n.acked, len(n.maybe))
}

// checkBeside checks the snapshot's file, the rest of one that was being received, and the registry.
func (n *node) checkBeside() error {
	if n.acked.snap.Name != "" {
		if err := n.reads(n.acked.snap); err != nil {
			return err
		}
	}
	if n.sent != nil {
		if err := n.receiveRest(); err != nil {
			return err
		}
		if err := n.reads(n.sent.sn); err != nil {
			return err
		}
	}
	if _, err := n.snaps.List(); err != nil {
		return err
	}
	for i := range 8 {
		name := fmt.Sprint("peer", i)
		if _, ok := n.acked.peers[name]; !ok {
			continue
		}
		var we *wal.WipedError
		if err := n.reg.Admit(name, 1); !errors.As(err, &we) || we.Known != incarnation(name) {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, name := range n.admits {
		if err := n.reg.Admit(name, incarnation(name)); err != nil {
			return err
		}
		n.acked.peers[name] = incarnation(name)
	}
	return nil
}

// reads checks every byte of a snapshot.
func (n *node) reads(sn wal.Snapshot) error {
	r, err := n.snaps.Open(sn)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r)
	return errors.Join(err, r.Close())
}

// The machine fails at every changing operation of a workload, and loses what it may lose in every way; and it fails
// once more while the node starts again.
func TestCrashAnywhere(t *testing.T) {
	const steps = 14
	for seed := range uint64(race.Share(4)) {
		whole := newNode(seed)
		require.NoError(t, whole.run(steps))
		total := int(whole.d.Ops())
		require.Greater(t, total, 30)
		for k := 1; k <= total; k++ {
			n := newNode(seed)
			n.d.CrashAfter(k)
			require.ErrorIs(t, n.run(steps), ErrCrashed)
			require.True(t, n.d.Crashed())
			killed := n.d.Clone()
			require.NoError(t, n.on(killed).recovers(), "seed %d, operation %d, killed", seed, k)
			for i, loss := range Losses() {
				c := n.d.Clone()
				c.pcg.Seed(uint64(k), uint64(i))
				c.Crash(loss)
				again := c.Clone()
				require.NoError(t, n.on(c).recovers(), "seed %d, operation %d, %+v", seed, k, loss)
				again.CrashAfter(1 + again.rand.IntN(12))
				x := n.on(again)
				if err := x.recovers(); err == nil {
					continue
				}
				require.True(t, again.Crashed(), "seed %d, operation %d, %+v", seed, k, loss)
				again.Crash(Losses()[again.rand.IntN(len(Losses()))])
				require.NoError(t, x.recovers(), "seed %d, operation %d, %+v, and again", seed, k, loss)
			}
		}
	}
}
