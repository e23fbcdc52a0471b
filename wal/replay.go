package wal

import (
	"errors"
	"fmt"

	"kvapp/raft"
)

// replay rebuilds the state of a log from its records, in order. It is fed by scanLog.
type replay struct {
	started bool // a record was seen
	// cut says that a compaction cut off the front of the log. What is left of the entries then can begin anywhere, and
	// can be replaced from below, because what was in between is gone with the older segments; that nothing is missing
	// behind the last snapshot is checked at the end. A marker that drops all entries ends this.
	cut bool
	// anchored is set once the index of the next entry is known: at once in a log that is not cut, else by the first
	// entry.
	anchored bool

	identity    Identity
	hasIdentity bool
	hard        raft.HardState
	snapshot    Snapshot
	idx         index
	entries     []raft.Entry // parallel to idx.at; Data is dropped once a snapshot covers the entry
}

func newReplay() *replay { return &replay{idx: index{first: 1}} }

// apply takes the record at logical position at. An error means that no correct writer leaves this sequence.
func (p *replay) apply(at uint64, r *record) error {
	if !p.started {
		p.started, p.cut, p.anchored = true, r.seq != 1, r.seq == 1
	}
	switch r.typ {
	case recIdentity:
		if p.hasIdentity && p.identity != r.identity {
			return fmt.Errorf("identity changes from %+v to %+v", p.identity, r.identity)
		}
		p.identity, p.hasIdentity = r.identity, true
	case recHardState:
		return p.hardState(r.hard)
	case recEntry:
		return p.entry(at, &r.entry)
	case recKept:
		return p.kept(r.snapshot)
	case recRefounded:
		// In a log that is cut the identity may be further on: the new one, then.
		if p.hasIdentity {
			p.identity.Cluster = r.identity.Cluster
		}
		if err := p.hardState(r.hard); err != nil {
			return err
		}
		return p.entry(at, &r.entry)
	case recInstalled:
		p.snapshot = r.snapshot
		p.cut = false
		p.restart(r.snapshot.Meta.Index + 1)
	}
	return nil
}

func (p *replay) hardState(h raft.HardState) error {
	if h.Term < p.hard.Term {
		return fmt.Errorf("term goes back from %d to %d", p.hard.Term, h.Term)
	}
	p.hard = h
	return nil
}

// restart forgets every entry; the next one is first.
func (p *replay) restart(first uint64) {
	p.anchored = true
	p.idx.reset(first)
	p.entries = p.entries[:0]
}

func (p *replay) entry(at uint64, e *raft.Entry) error {
	if !p.anchored || p.cut && e.Index < p.idx.first {
		p.restart(e.Index)
	}
	if err := p.idx.checkNext(e.Index, p.snapshot.Meta.Index); err != nil {
		return err
	}
	p.idx.put(e.Index, at)
	p.entries = append(p.entries[:e.Index-p.idx.first], *e)
	return nil
}

func (p *replay) kept(s Snapshot) error {
	i := s.Meta.Index
	if i < p.snapshot.Meta.Index {
		return fmt.Errorf("snapshot goes back from %d to %d", p.snapshot.Meta.Index, i)
	}
	if p.anchored && i > p.idx.last() {
		return fmt.Errorf("snapshot at %d, but the last entry is %d", i, p.idx.last())
	}
	p.snapshot = s
	for j := range p.entries {
		if p.entries[j].Index > i {
			break
		}
		p.entries[j].Data = nil
	}
	return nil
}

// finish checks what can only be checked at the end.
func (p *replay) finish() error {
	if !p.hasIdentity {
		return errors.New("wal: the log has no identity record: its beginning is damaged or missing")
	}
	if !p.anchored {
		p.restart(p.snapshot.Meta.Index + 1)
	}
	if p.idx.first > p.snapshot.Meta.Index+1 {
		return fmt.Errorf("wal: entries %d to %d are missing: the beginning of the log is lost", p.snapshot.Meta.Index+1, p.idx.first-1)
	}
	return nil
}

// recovered is the state as the consensus core wants it: commit never above what is there, never below the snapshot.
func (p *replay) recovered() Recovered {
	rec := Recovered{
		Identity: p.identity,
		Hard:     p.hard,
		Snapshot: p.snapshot,
		First:    p.idx.first,
		Entries:  p.entries[p.snapshot.Meta.Index+1-p.idx.first:],
	}
	for i := range p.entries[:len(p.entries)-len(rec.Entries)] {
		if e, n := &p.entries[i], len(rec.Terms); n == 0 || rec.Terms[n-1].Term < e.Term {
			rec.Terms = append(rec.Terms, raft.TermStart{Index: e.Index, Term: e.Term})
		}
	}
	if last := p.idx.last(); rec.Hard.Commit > last {
		rec.Notes = append(rec.Notes, fmt.Sprintf("commit index %d is behind the last entry %d: lowered", rec.Hard.Commit, last))
		rec.Hard.Commit = last
	}
	rec.Hard.Commit = max(rec.Hard.Commit, p.snapshot.Meta.Index)
	return rec
}
