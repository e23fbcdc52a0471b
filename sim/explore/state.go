package explore

import (
	"slices"

	"kvapp/raft"
)

const (
	maxNodes = 5
	maxTerms = 7

	electionTimeout = 100
	heartbeatEvery  = 1
)

// slot is what the search remembers of an entry.
type slot struct {
	term uint64
	kind raft.EntryKind
	data string
}

func slotOf(e *raft.Entry) slot { return slot{term: e.Term, kind: e.Kind, data: string(e.Data)} }

// disk is what survives a crash. The slices are never written to, only replaced.
type disk struct {
	hard    raft.HardState
	entries []raft.Entry // from index 1 on
}

// write makes p durable.
func (d *disk) write(p *raft.Persist) {
	d.hard = p.Hard
	if len(p.Entries) > 0 {
		d.entries = append(slices.Clip(d.entries[:p.Entries[0].Index-1]), p.Entries...)
	}
}

// tear writes the first records of a batch: the hard state, then the entries.
func (d *disk) tear(p *raft.Persist, records int) {
	part := raft.Persist{Hard: p.Hard, Entries: p.Entries[:records-1]}
	d.write(&part)
}

// holds says whether the entry at index is durable and is s.
func (d *disk) holds(index uint64, s slot) bool {
	return index <= uint64(len(d.entries)) && slotOf(&d.entries[index-1]) == s
}

// node is one member with what its driver keeps. It is never changed once a state holds it.
type node struct {
	core    *raft.Raft
	now     int64
	disk    disk
	writes  []raft.Persist // handed out, not yet durable, in order
	log     []slot         // the log as it was handed out, from index 1 on
	applied uint64
}

// past is what has happened as far as it must not be contradicted.
type past struct {
	leaders [maxTerms + 1]raft.NodeID           // by term
	logs    [maxTerms + 1][]slot                // of the leader of a term, as long as it was at most
	votes   [maxNodes][maxTerms + 1]raft.NodeID // by voter and term, as the network saw them
	ledger  []slot                              // committed, from index 1 on
	terms   []uint64                            // in which that was
	reads   []int                               // by read: how many entries were committed when it was asked
}

// spent counts what World bounds.
type spent struct {
	campaigns, proposals, reads, heartbeats, crashes, duplicates, transfers, changes int
}

// state is everything: a search goes from states to states. It shares nodes and messages with others.
type state struct {
	nodes []*node
	net   []*raft.Message // in the order in which they were sent
	past  past
	spent spent
}

func (s *state) clone() *state {
	c := *s
	c.nodes = slices.Clone(s.nodes)
	c.net = slices.Clone(s.net)
	return &c
}

// touch makes a node of s its own.
func (s *state) touch(i int) *node {
	n := *s.nodes[i]
	n.core = n.core.Clone()
	s.nodes[i] = &n
	return &n
}

func id(i int) raft.NodeID { return raft.NodeID(i + 1) }
func (w *World) config(i int, now int64) raft.Config {
	return raft.Config{
		ID: id(i), Seed: 1, Now: now, ElectionTimeout: electionTimeout, HeartbeatEvery: heartbeatEvery,
		LeaseMargin:    electionTimeout, // no leases: they need clocks that agree
		MaxAppendBytes: 1, MaxInflightMsgs: w.Link, MaxInflightBytes: 1 << 10, MaxUncommitted: 1 << 10, CacheBytes: 1 << 20,
	}
}

func (w *World) start(i int, n *node) error {
	rec := raft.Recovered{Hard: n.disk.hard, First: 1, Entries: n.disk.entries, Snapshot: raft.SnapshotMeta{Membership: w.members()}}
	rec.Hard.Commit = min(rec.Hard.Commit, uint64(len(n.disk.entries)))
	core, err := raft.New(w.config(i, n.now), rec)
	if err != nil {
		return err
	}
	n.core, n.writes, n.applied = core, nil, 0
	n.log = make([]slot, 0, len(n.disk.entries))
	for k := range n.disk.entries {
		n.log = append(n.log, slotOf(&n.disk.entries[k]))
	}
	return nil
}
