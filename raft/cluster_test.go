package raft

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

const ms = int64(1e6)

func testConfig(id NodeID, now int64) Config {
	return Config{
		ID: id, Seed: uint64(id) * 77, ElectionTimeout: 100 * ms, HeartbeatEvery: 10 * ms, LeaseMargin: 10 * ms,
		MaxAppendBytes: 64, MaxInflightMsgs: 4, MaxInflightBytes: 128, MaxUncommitted: 1 << 10, CacheBytes: 256, Now: now,
	}
}

func testMembers(ids ...NodeID) Membership {
	var m Membership
	for _, id := range ids {
		m.Members = append(m.Members, Member{ID: id, Name: fmt.Sprintf("n%d", id)})
	}
	return m
}

// disk is what survives a crash.
type disk struct {
	hard    HardState
	snap    SnapshotMeta
	first   uint64
	entries []Entry // from first on
	lost    bool    // the snapshot cannot be read
}

func (d *disk) write(p *Persist) {
	d.hard = p.Hard
	if p.Install != nil {
		d.snap, d.first, d.entries, d.lost = *p.Install, p.Install.Index+1, nil, false
	}
	for _, e := range p.Entries {
		d.entries = append(d.entries[:e.Index-d.first:e.Index-d.first], e)
	}
}

func (d *disk) last() uint64 { return d.first + uint64(len(d.entries)) - 1 }

// tear writes what a crash in the middle of one batch leaves: the records in front of the first that is missing. The
// hard state is the first of them.
func (d *disk) tear(p *Persist, records int) {
	if records == 0 {
		return
	}
	part := Persist{Hard: p.Hard}
	if records--; p.Install != nil && records > 0 {
		part.Install = p.Install
		records--
	}
	if part.Install == p.Install {
		part.Entries = p.Entries[:min(records, len(p.Entries))]
	}
	d.write(&part)
}

// merge makes one batch of several writes, as an appender does that finds them waiting.
func merge(writes []Persist) Persist {
	var all Persist
	for i := range writes {
		p := &writes[i]
		all.Seq, all.Hard = p.Seq, p.Hard
		if p.Install != nil {
			all.Install, all.Entries = p.Install, nil
		}
		all.Entries = append(all.Entries, p.Entries...)
	}
	return all
}

// host is one node: the core and a driver as simple as can be.
type host struct {
	id      NodeID
	core    *Raft // nil while down
	eff     Effects
	disk    disk
	writes  []Persist         // handed out, not yet on the disk
	handed  uint64            // last index handed to the state machine
	applied uint64            // last index it has applied
	adopted *SnapshotMeta     // by the core, and not yet what the journal begins behind
	lazy    bool              // the state machine applies only when it is told to
	voted   map[uint64]NodeID // term -> vote seen on the wire
	reads   map[uint64]Read
	props   []Proposed
	answers []Answer
	fetches []Event
	streams []SendSnapshot
}

// cluster is a set of hosts on a network that the test controls, and the checks that span nodes.
type cluster struct {
	t      require.TestingT
	now    int64
	hosts  []*host
	net    []Message
	ledger map[uint64]Entry // committed, by index
	leads  map[uint64]NodeID
	config func(id NodeID, now int64) Config
	held   bool // writes stay in memory until persist
	twins  bool // every step is made by a clone too
	seen   situations
	trace  func(format string, args ...any)
}

func newCluster(t require.TestingT, n int) *cluster {
	c := &cluster{
		t: t, now: 1000 * ms, ledger: map[uint64]Entry{}, leads: map[uint64]NodeID{}, seen: situations{}, config: testConfig,
		trace: func(string, ...any) {},
	}
	var ids []NodeID
	for i := range n {
		ids = append(ids, NodeID(i+1))
	}
	for _, id := range ids {
		c.addHost(id, testMembers(ids...))
	}
	return c
}

func (c *cluster) addHost(id NodeID, m Membership) *host {
	h := &host{id: id, voted: map[uint64]NodeID{}, reads: map[uint64]Read{}, disk: disk{first: 1, snap: SnapshotMeta{Membership: m}}}
	c.hosts = append(c.hosts, h)
	c.start(h)
	return h
}

func (c *cluster) host(id NodeID) *host {
	for _, h := range c.hosts {
		if h.id == id {
			return h
		}
	}
	return nil
}

func (c *cluster) start(h *host) {
	d := &h.disk
	rec := Recovered{Hard: d.hard, Snapshot: d.snap, First: d.first, Applied: d.snap.Index, Stateless: d.lost}
	rec.Hard.Commit = max(min(rec.Hard.Commit, d.last()), d.snap.Index) // a torn batch may have left less than its hard state says
	for _, e := range d.entries[:d.snap.Index+1-d.first] {
		if n := len(rec.Terms); n == 0 || rec.Terms[n-1].Term < e.Term {
			rec.Terms = append(rec.Terms, TermStart{Index: e.Index, Term: e.Term})
		}
	}
	rec.Entries = slices.Clone(d.entries[d.snap.Index+1-d.first:])
	core, err := New(c.config(h.id, c.now), rec)
	require.NoError(c.t, err)
	h.core, h.applied, h.handed = core, d.snap.Index, d.snap.Index
	h.eff.Reset()
	require.NoError(c.t, core.Check())
}

// crash loses what is not on the disk; the first keep pending writes still reach it.
func (c *cluster) crash(h *host, keep int) { c.crashTorn(h, keep, 0, 0) }

// crashTorn is a crash that catches the disk in a batch made of the torn writes behind the first keep: records of it
// reached the disk.
func (c *cluster) crashTorn(h *host, keep, torn, records int) {
	keep = min(keep, len(h.writes))
	for i := range h.writes[:keep] {
		h.disk.write(&h.writes[i])
	}
	lost := h.writes[keep:]
	if torn = min(torn, len(lost)); torn > 0 {
		p := merge(lost[:torn])
		h.disk.tear(&p, records)
		if records == 1 && len(p.Entries) > 0 {
			c.seen["a torn batch: hard state only"]++
		}
		if p.Install == nil && records > 1 && records <= len(p.Entries) {
			c.seen["a torn batch: part of the entries"]++
		}
	} else if len(lost) > 0 {
		p := merge(lost)
		if len(p.Entries) > 0 {
			c.seen["a crash lost entries"]++
		}
		if p.Hard.Vote != 0 && (p.Hard.Vote != h.disk.hard.Vote || p.Hard.Term != h.disk.hard.Term) {
			c.seen["a crash lost a vote"]++
		}
	}
	h.core, h.writes, h.fetches, h.streams, h.adopted = nil, nil, nil, nil, nil
}

func (c *cluster) step(h *host, ev Event) {
	if h.core == nil {
		return
	}
	ev.Now = c.now
	was := h.moment()
	compare := func() {}
	if c.twins {
		compare = c.twin(h, ev)
	}
	require.NoError(c.t, h.core.Step(&ev, &h.eff))
	compare()
	require.NoError(c.t, h.core.Check())
	require.GreaterOrEqual(c.t, h.core.Term(), was.term, "term goes back")
	require.GreaterOrEqual(c.t, h.core.Commit(), was.commit, "commit goes back")
	if was.role == Leader && h.core.Role() == Leader {
		require.GreaterOrEqual(c.t, h.core.LastIndex(), was.last, "a leader cut its log")
	}
	c.watch(h, &ev, was)
	if h.core.Role() == Leader {
		c.checkLeader(h)
	}
	c.act(h)
}

// checkLeader: election safety and leader completeness.
func (c *cluster) checkLeader(h *host) {
	term := h.core.Term()
	if was, ok := c.leads[term]; ok {
		require.Equal(c.t, was, h.id, "two leaders in term %d", term)
		return
	}
	c.leads[term] = h.id
	c.trace("%d leads term %d", h.id, term)
	for index, e := range c.ledger {
		if got, ok := h.core.log.term(index); ok {
			require.Equal(c.t, e.Term, got, "leader %d of term %d lacks committed entry %d", h.id, term, index)
		} else {
			require.Less(c.t, index, h.core.log.runs[0].first, "leader %d of term %d lacks committed entry %d", h.id, term, index)
		}
	}
}

// act does what the core asks for, but for the network and, while held, the disk.
func (c *cluster) act(h *host) {
	e := &h.eff
	if e.Persist.Seq != 0 {
		p := e.Persist
		p.Entries = slices.Clone(p.Entries)
		h.writes = append(h.writes, p)
	}
	for _, m := range e.Send {
		if m.Type == MsgVoteResp && !m.Reject {
			was, ok := h.voted[m.Term]
			require.True(c.t, !ok || was == m.To, "%d votes twice in term %d", h.id, m.Term)
			require.True(c.t, h.disk.hard.Term > m.Term || (h.disk.hard.Term == m.Term && h.disk.hard.Vote == m.To), "vote before it is on disk")
			h.voted[m.Term] = m.To
		}
		if m.Type == MsgAppendResp && !m.Reject && h.core.Term() == m.Term {
			require.LessOrEqual(c.t, m.Index, max(h.disk.last(), h.disk.snap.Index), "acknowledged before it is on disk")
		}
		c.net = append(c.net, m)
	}
	if e.Install != nil {
		h.handed, h.adopted = e.Install.Index, nil
		if e.Persist.Install == nil {
			c.seen["a snapshot adopted"]++
			meta := *e.Install
			h.adopted = &meta
		}
	}
	for _, a := range e.Apply {
		require.Equal(c.t, h.handed+1, a.Index, "node %d applies with a gap", h.id)
		if was, ok := c.ledger[a.Index]; ok {
			require.Equal(c.t, was, a, "node %d applies another entry", h.id)
		}
		c.ledger[a.Index] = a
		h.handed = a.Index
	}
	for _, r := range e.Reads {
		h.reads[r.ID] = r
	}
	h.props = append(h.props, e.Proposed...)
	h.answers = append(h.answers, e.Answers...)
	for _, f := range e.Fetch {
		h.fetches = append(h.fetches, h.read(&f))
	}
	h.streams = append(h.streams, e.Snapshots...)
	e.Reset()
	if !c.held {
		c.persist(h, len(h.writes))
	}
	c.mark(h)
	if !h.lazy {
		c.apply(h, h.handed)
	}
}

// apply lets the state machine of h go on up to index.
func (c *cluster) apply(h *host, index uint64) {
	if index > h.applied {
		h.applied = index
		c.step(h, Event{Kind: EvApplied, Index: index})
	}
}

// read answers a Fetch from the disk.
func (h *host) read(f *Fetch) Event {
	ev := Event{Kind: EvFetched, To: f.To, Index: f.Lo}
	if f.Lo < h.disk.first || f.Hi > h.disk.last()+1 || f.Lo >= f.Hi {
		ev.Failed = true
		return ev
	}
	size := 0
	for _, e := range h.disk.entries[f.Lo-h.disk.first : f.Hi-h.disk.first] {
		size += len(e.Data)
		if len(ev.Entries) > 0 && size > f.MaxBytes {
			break
		}
		ev.Entries = append(ev.Entries, e)
	}
	return ev
}

// persist brings the n oldest writes to the disk, with one fsync.
func (c *cluster) persist(h *host, n int) {
	if n = min(n, len(h.writes)); n == 0 {
		return
	}
	for i := range h.writes[:n] {
		h.disk.write(&h.writes[i])
	}
	seq := h.writes[n-1].Seq
	h.writes = slices.Clone(h.writes[n:])
	c.step(h, Event{Kind: EvPersisted, Seq: seq})
}

// mark lets the journal begin behind an adopted snapshot, once it holds what is in front of that.
func (c *cluster) mark(h *host) {
	s, d := h.adopted, &h.disk
	if s == nil || s.Index > d.last() || len(h.writes) > 0 {
		return
	}
	h.adopted = nil
	require.GreaterOrEqual(c.t, s.Index, d.snap.Index, "the journal goes back")
	d.snap, d.lost = *s, false
	c.step(h, Event{Kind: EvSnapshotSaved, Snapshot: *s, Index: d.first})
}

// deliver hands a message to its receiver.
func (c *cluster) deliver(m Message) {
	if h := c.host(m.To); h != nil {
		c.step(h, Event{Kind: EvMessage, Msg: m})
	}
}

// background does the oldest fetch and snapshot stream of h; it returns whether there was any.
func (c *cluster) background(h *host) bool {
	switch {
	case h.core == nil:
		return false
	case len(h.fetches) > 0:
		ev := h.fetches[0]
		h.fetches = h.fetches[1:]
		c.step(h, ev)
	case len(h.streams) > 0:
		s := h.streams[0]
		h.streams = h.streams[1:]
		c.stream(h, s, false)
	default:
		return false
	}
	return true
}

func (c *cluster) stream(h *host, s SendSnapshot, fail bool) {
	to := c.host(s.To)
	if h.disk.snap.Index < s.Least {
		c.seen["a snapshot taken for a stateless node"]++
		c.snapshot(h, 3)
	}
	if to == nil || to.core == nil || h.disk.snap.Index < s.Index || h.disk.lost {
		fail = true
	}
	meta := h.disk.snap
	if !fail {
		c.step(to, Event{Kind: EvSnapshotReceived, From: h.id, Term: s.Term, Snapshot: meta})
	}
	c.step(h, Event{Kind: EvSnapshotSent, To: s.To, Snapshot: meta, Failed: fail})
}

// snapshot saves a snapshot of what h has applied and keeps the last keep entries before it.
func (c *cluster) snapshot(h *host, keep uint64) {
	index := h.applied
	if index <= h.disk.snap.Index || index > h.disk.last() || len(h.writes) > 0 || h.core.stateless || h.adopted != nil {
		return
	}
	d := &h.disk
	d.snap = SnapshotMeta{Index: index, Term: c.ledger[index].Term, Membership: h.core.MembershipAt(index)}
	first := max(d.first, index+1-min(keep, index))
	d.entries = slices.Clone(d.entries[first-d.first:])
	d.first = first
	c.step(h, Event{Kind: EvSnapshotSaved, Snapshot: d.snap, Index: first})
}

func (c *cluster) tick(d int64) {
	c.now += d
	for _, h := range c.hosts {
		if h.core != nil && c.now >= h.core.NextDeadline() {
			c.step(h, Event{Kind: EvTick})
		}
	}
}

// settle delivers until nothing moves; drop loses messages.
func (c *cluster) settle(drop func(m *Message) bool) {
	for range 100000 {
		busy := false
		for _, h := range c.hosts {
			busy = c.background(h) || busy
		}
		if len(c.net) > 0 {
			m := c.net[0]
			c.net = c.net[1:]
			if drop == nil || !drop(&m) {
				c.deliver(m)
			}
			busy = true
		}
		if !busy {
			return
		}
	}
	require.Fail(c.t, "the cluster does not settle")
}

// elect makes id the leader: only its timer runs out.
func (c *cluster) elect(id NodeID) *host {
	h := c.host(id)
	for range 20 {
		c.now += 200 * ms
		c.step(h, Event{Kind: EvTick})
		c.settle(nil)
		if h.core.Role() == Leader {
			return h
		}
	}
	require.Fail(c.t, "no election", "node %d", id)
	return nil
}

func (c *cluster) propose(h *host, data string) Proposed {
	n := len(h.props)
	c.step(h, Event{Kind: EvPropose, EntryKind: EntryCommand, ID: 7, Data: []byte(data)})
	require.Len(c.t, h.props, n+1)
	return h.props[n]
}

// data returns the commands of a node's log, for comparison.
func (c *cluster) data(h *host) string {
	s := ""
	for i := range h.disk.entries {
		if e := &h.disk.entries[i]; e.Kind == EntryCommand {
			s += fmt.Sprintf("%d:%s ", e.Term, e.Data)
		}
	}
	return s
}

func isolate(ids ...NodeID) func(m *Message) bool {
	return func(m *Message) bool { return slices.Contains(ids, m.From) || slices.Contains(ids, m.To) }
}

func TestThreeNodesReplicate(t *testing.T) {
	c := newCluster(t, 3)
	l := c.elect(1)
	for i := range 20 {
		require.NoError(t, c.propose(l, fmt.Sprint("x", i)).Err)
	}
	c.settle(nil)
	c.tick(10 * ms)
	c.settle(nil)
	for _, h := range c.hosts {
		require.Equal(t, uint64(21), h.core.Commit())
		require.Equal(t, uint64(21), h.applied)
	}
	require.Positive(t, l.core.LeaseUntil())
}
