package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/fsm"
	"kvapp/raft"
)

// The world of these tests: memory instead of disks, a hub instead of a network, and the virtual time of a synctest
// bubble. Everything a node said to its memLog before it was stopped counts as durable.

const ms = int64(time.Millisecond)

// memLog is a journal in memory with the meaning of wal's: a batch has no gap and no overlap, its first entry replaces
// everything at or above its index.
type memLog struct {
	mu      sync.Mutex
	hard    raft.HardState
	snap    SnapshotFile
	entries []raft.Entry
	bytes   int64
	disk    int64 // bytes of the disk, 0 = without end; a write beyond it fails as the operating system's does
	looked  int   // how often Free was called
	latency time.Duration
	fail    error
}

// freeze makes every write take as long as d from now on.
func (l *memLog) freeze(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.latency = d
}

func (l *memLog) Append(r *Record) error {
	l.mu.Lock()
	latency := l.latency
	l.mu.Unlock()
	if latency > 0 {
		<-time.After(latency)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return l.fail
	}
	if r.HasHard {
		l.hard = r.Hard
	}
	if r.Install != nil {
		l.snap, l.entries = *r.Install, nil
	}
	for i, e := range r.Entries {
		if i > 0 && e.Index != r.Entries[i-1].Index+1 {
			return fmt.Errorf("entry %d follows entry %d", e.Index, r.Entries[i-1].Index)
		}
		if n := len(l.entries); n > 0 && e.Index <= l.entries[n-1].Index {
			keep := 0
			for keep < n && l.entries[keep].Index < e.Index {
				keep++
			}
			l.entries = l.entries[:keep]
		}
		l.entries = append(l.entries, e)
		l.bytes += int64(len(e.Data)) + 32
	}
	if l.disk != 0 && l.bytes > l.disk {
		return syscall.ENOSPC
	}
	return nil
}

// resize makes the disk as large as that.
func (l *memLog) resize(bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.disk = bytes
}

func (l *memLog) Compact(f SnapshotFile, keepFrom uint64) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f.Meta.Index < l.snap.Meta.Index {
		return 0, fmt.Errorf("snapshot at %d is older than the one at %d", f.Meta.Index, l.snap.Meta.Index)
	}
	l.snap = f
	for len(l.entries) > 0 && l.entries[0].Index < keepFrom {
		l.bytes -= int64(len(l.entries[0].Data)) + 32
		l.entries = l.entries[1:]
	}
	if len(l.entries) == 0 {
		return f.Meta.Index + 1, nil
	}
	return l.entries[0].Index, nil
}

func (l *memLog) Read(lo, hi uint64, maxBytes int) ([]raft.Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []raft.Entry
	size := 0
	for _, e := range l.entries {
		if e.Index < lo || e.Index >= hi {
			continue
		}
		if size += len(e.Data); len(out) > 0 && size > maxBytes {
			break
		}
		out = append(out, e)
	}
	if len(out) == 0 || out[0].Index != lo {
		return nil, errors.New("compacted")
	}
	return out, nil
}

func (l *memLog) Bytes() int64  { l.mu.Lock(); defer l.mu.Unlock(); return l.bytes }
func (l *memLog) Segments() int { return 1 }
func (l *memLog) looks() int    { l.mu.Lock(); defer l.mu.Unlock(); return l.looked }

func (l *memLog) Free() (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.looked++
	if l.disk == 0 {
		return 1 << 50, nil
	}
	return l.disk - l.bytes, nil
}

func (l *memLog) recovered() raft.Recovered {
	l.mu.Lock()
	defer l.mu.Unlock()
	rec := raft.Recovered{Hard: l.hard, Snapshot: l.snap.Meta, First: l.snap.Meta.Index + 1}
	if len(l.entries) > 0 {
		rec.First = min(rec.First, l.entries[0].Index)
	}
	for _, e := range l.entries {
		if n := len(rec.Terms); e.Index > l.snap.Meta.Index {
			rec.Entries = append(rec.Entries, e)
		} else if n == 0 || rec.Terms[n-1].Term < e.Term {
			rec.Terms = append(rec.Terms, raft.TermStart{Index: e.Index, Term: e.Term})
		}
	}
	return rec
}

// virtualClock is the clock of the bubble.
type virtualClock struct{ start time.Time }

func (c virtualClock) Now() int64    { return int64(time.Since(c.start)) + 1e9 }
func (c virtualClock) WallMs() int64 { return time.Now().UnixMilli() }

// world is a cluster of real nodes on a hub.
type world struct {
	t     *testing.T
	clock Clock
	nodes []*peer

	mu  sync.Mutex
	cut map[[2]raft.NodeID]bool // directed links that lose everything

	distort func(*raft.Message) // nil, or what the network does to messages
}

// peer is one node with what survives its death.
type peer struct {
	w       *world
	id      raft.NodeID
	cfg     Config
	log     *memLog
	snaps   *memSnaps
	mu      sync.Mutex
	node    *Node // nil while dead
	cancel  context.CancelFunc
	done    chan error
	streams int // snapshots sent

	streamTime time.Duration // that a snapshot takes; 0 = little
	streamErrs []error       // how the next snapshots that are sent fail
	sent       []string      // names of the snapshots that were sent, failed ones too
}

func newWorld(t *testing.T, n int, change func(*Config)) *world {
	w := &world{t: t, clock: virtualClock{time.Now()}, cut: map[[2]raft.NodeID]bool{}}
	var members []raft.Member
	for i := 1; i <= n; i++ {
		members = append(members, member(i))
	}
	first := raft.Entry{Index: 1, Term: 1, Kind: raft.EntryMembership, Data: raft.AppendMembership(nil, raft.Membership{Members: members})}
	for _, m := range members {
		w.add(m, change, &memLog{hard: raft.HardState{Term: 1, Commit: 1}, entries: []raft.Entry{first}})
	}
	t.Cleanup(func() {
		for _, p := range w.nodes {
			p.stop()
		}
	})
	return w
}

// add starts one more node on a log.
func (w *world) add(self raft.Member, change func(*Config), log *memLog) *peer {
	cfg := Config{
		Self: self, Cluster: "test",
		Raft: raft.Config{
			ID: self.ID, Seed: uint64(self.ID), ElectionTimeout: 400 * ms, HeartbeatEvery: 50 * ms, LeaseMargin: 40 * ms,
			MaxAppendBytes: 1 << 16, MaxInflightMsgs: 64, MaxInflightBytes: 1 << 20, MaxUncommitted: 1 << 20, CacheBytes: 1 << 16,
		},
		ParkTimeout: 2000 * ms, CommitTimeout: 3000 * ms, MaxEntryBytes: 1 << 16, SweepLimit: 10,
		SnapshotBytes: 1 << 40, SnapshotKeep: 10, ApplyBacklog: 1 << 20,
	}
	if change != nil {
		change(&cfg)
	}
	log.latency = 200 * time.Microsecond
	p := &peer{w: w, id: self.ID, cfg: cfg, snaps: newMemSnaps(), log: log}
	w.mu.Lock()
	w.nodes = append(w.nodes, p)
	w.mu.Unlock()
	p.start()
	return p
}

// member is node i as these worlds name it.
func member(i int) raft.Member {
	return raft.Member{
		ID: raft.NodeID(i), Name: fmt.Sprintf("n%d", i), PeerAddr: fmt.Sprintf("p%d:1", i), ClientAddr: fmt.Sprintf("c%d:1", i),
	}
}

// open makes a node of what the disk holds; it does not run yet.
func (p *peer) open() *Node {
	seed := uint64(p.id) * 1000
	n, err := New(p.cfg, Deps{
		Log: p.log, Snapshots: p.snaps, Transport: p, Clock: p.w.clock,
		Seed:      func() uint64 { seed++; return seed },
		Recovered: p.log.recovered(), Snapshot: p.log.snap,
	})
	require.NoError(p.w.t, err)
	return n
}

func (p *peer) start() {
	n := p.open()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	p.mu.Lock()
	p.node, p.cancel, p.done = n, cancel, done
	p.mu.Unlock()
	go func() { done <- n.Run(ctx) }()
}

// stop ends the node; what its log has not got is lost.
func (p *peer) stop() {
	p.mu.Lock()
	n := p.node
	p.node = nil
	p.mu.Unlock()
	if n == nil {
		return
	}
	p.cancel()
	require.NoError(p.w.t, <-p.done)
}

func (p *peer) get() *Node {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.node
}

// Send implements Transport: one hop of 100 us, in order.
func (p *peer) Send(msgs []raft.Message) {
	for _, m := range slices.Clone(msgs) {
		m.Entries = slices.Clone(m.Entries)
		p.w.mu.Lock()
		if p.w.distort != nil {
			p.w.distort(&m)
		}
		p.w.mu.Unlock()
		time.AfterFunc(100*time.Microsecond, func() {
			if n := p.w.reach(p.id, m.To); n != nil {
				n.Deliver([]raft.Message{m})
			}
		})
	}
}

// SendSnapshot implements Transport.
func (p *peer) SendSnapshot(to raft.NodeID, term uint64, f SnapshotFile, done func(error)) {
	b, ok := p.snaps.get(f.Name)
	p.w.mu.Lock()
	p.streams++
	p.sent = append(p.sent, f.Name)
	var fail error
	if len(p.streamErrs) > 0 {
		fail, p.streamErrs = p.streamErrs[0], p.streamErrs[1:]
	}
	p.w.mu.Unlock()
	time.AfterFunc(max(p.streamTime, time.Millisecond), func() {
		n := p.w.reach(p.id, to)
		if fail != nil {
			done(fail)
			return
		}
		if n == nil || !ok {
			done(errors.New("cut"))
			return
		}
		p.w.nodes[to-1].snaps.put(f, b)
		n.SnapshotReceived(p.id, term, f)
		done(nil)
	})
}

// SetMembers implements Transport.
func (p *peer) SetMembers([]raft.Member) {}

// Refusals implements Transport.
func (p *peer) Refusals() Refusals { return Refusals{OtherCluster: 7} }

func (w *world) reach(from, to raft.NodeID) *Node {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut[[2]raft.NodeID{from, to}] {
		return nil
	}
	if int(to) > len(w.nodes) {
		return nil
	}
	return w.nodes[to-1].get()
}

func (w *world) setDistort(f func(*raft.Message)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.distort = f
}

// isolate cuts or heals all links of one node.
func (w *world) isolate(id raft.NodeID, cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.nodes {
		w.cut[[2]raft.NodeID{id, p.id}] = cut
		w.cut[[2]raft.NodeID{p.id, id}] = cut
	}
}

// until polls in virtual time.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for range 20000 {
		if ok() {
			return
		}
		<-time.After(time.Millisecond)
	}
	w.t.Fatalf("never happened: %s", what)
}

// leader waits for a leader among the nodes that are not excluded.
func (w *world) leader(except ...*peer) *peer {
	w.t.Helper()
	var found *peer
	w.until("a leader", func() bool {
		for _, p := range w.nodes {
			if n := p.get(); n != nil && !slices.Contains(except, p) && n.View().Role == raft.Leader && n.lease.Load() > w.clock.Now() {
				found = p
				return true
			}
		}
		return false
	})
	return found
}

func (w *world) followers() []*peer {
	lead := w.leader()
	var list []*peer
	for _, p := range w.nodes {
		if p != lead {
			list = append(list, p)
		}
	}
	return list
}

// reply is an Out that renders values as text.
type reply struct{ bytes.Buffer }

func (r *reply) Simple(s string)      { fmt.Fprintf(r, "+%s ", s) }
func (r *reply) Error(s string)       { fmt.Fprintf(r, "-%s ", s) }
func (r *reply) Int(n int64)          { fmt.Fprintf(r, ":%d ", n) }
func (r *reply) Bulk(b []byte)        { fmt.Fprintf(r, "%s ", b) }
func (r *reply) BulkString(s string)  { fmt.Fprintf(r, "%s ", s) }
func (r *reply) Null()                { r.WriteString("nil ") }
func (r *reply) NullArray()           { r.WriteString("nil ") }
func (r *reply) Array(n int)          { fmt.Fprintf(r, "*%d ", n) }
func (r *reply) Map(n int)            { fmt.Fprintf(r, "%%%d ", n) }
func (r *reply) Set(n int)            { fmt.Fprintf(r, "~%d ", n) }
func (r *reply) Push(n int)           { fmt.Fprintf(r, ">%d ", n) }
func (r *reply) Double(f float64)     { fmt.Fprintf(r, "%v ", f) }
func (r *reply) DoubleText(b []byte)  { fmt.Fprintf(r, "%s ", b) }
func (r *reply) Bool(b bool)          { fmt.Fprintf(r, "%v ", b) }
func (r *reply) BigNumber(s string)   { fmt.Fprintf(r, "%s ", s) }
func (r *reply) Verbatim(_, s string) { fmt.Fprintf(r, "%s ", s) }
func (r *reply) RESP3() bool          { return true }

// command parses words into a Command.
func command(words ...string) fsm.Command {
	c := fsm.Command{Spec: fsm.Lookup([]byte(words[0]))}
	c.Raw = fmt.Appendf(nil, "*%d\r\n", len(words))
	for _, w := range words {
		c.Args = append(c.Args, []byte(w))
		c.Raw = fmt.Appendf(c.Raw, "$%d\r\n%s\r\n", len(w), w)
	}
	return c
}

// do runs commands as one batch on a node: a Write when any of them writes, else a Read.
func (p *peer) do(readOnly bool, cmds ...fsm.Command) (Outcome, string, *Batch) {
	out := &reply{}
	b := NewBatch(out)
	b.Cmds, b.ReadOnly = cmds, readOnly
	n := p.get()
	if n == nil {
		return Stopped, "", b
	}
	write := false
	for _, c := range cmds {
		write = write || c.Spec.Flags&fsm.FlagWrite != 0
	}
	if write {
		n.Write(b)
	} else {
		for from := 0; from < len(cmds); {
			if from = n.Read(b, from); b.Outcome != Done {
				break
			}
		}
	}
	return b.Outcome, out.String(), b
}

// settled waits until all living nodes have applied the same index and compares their hashes.
func (w *world) settled() {
	w.t.Helper()
	w.until("equal applied indexes", func() bool {
		var low, high uint64 = 1 << 62, 0
		for _, p := range w.nodes {
			if n := p.get(); n != nil {
				a := n.Store().Applied()
				low, high = min(low, a), max(high, a)
			}
		}
		return low == high
	})
	var hashes []uint64
	for _, p := range w.nodes {
		if n := p.get(); n != nil {
			_, h, err := n.StateHash()
			require.NoError(w.t, err)
			hashes = append(hashes, h)
		}
	}
	for _, h := range hashes {
		require.Equal(w.t, hashes[0], h)
	}
}
