package raft

import (
	"fmt"
	"slices"
)

// InvariantError says that something that must never happen has happened. The node must stop: its state cannot be trusted.
type InvariantError struct {
	Name  string // which invariant
	State string // what the node looked like
}

func (e *InvariantError) Error() string { return "raft: invariant " + e.Name + " broken: " + e.State }

func (r *Raft) fault(name string) error {
	return &InvariantError{Name: name, State: fmt.Sprintf(
		"role %d term %d vote %d leader %d commit %d emitted %d applied %d durable %d seq %d/%d first %d last %d snapshot %d",
		r.role, r.term, r.vote, r.leader, r.commit, r.emitted, r.applied, r.dur.index, r.dur.done, r.dur.seq, r.first, r.log.last, r.snap.Index)}
}

// Status returns a copy of what operators look at. It allocates.
func (r *Raft) Status() Status {
	s := Status{
		ID: r.cfg.ID, Role: r.role, Term: r.term, Vote: r.vote, Leader: r.leader, Commit: r.commit, Applied: r.applied,
		Durable: r.dur.index, FirstIndex: r.first, LastIndex: r.log.last, Snapshot: r.snap.Index, Uncommitted: r.uncommitted,
		LeaseUntil: r.lease(), Stateless: r.stateless, Changing: r.changing(), Transfer: r.transfer.to,
	}
	m := r.Membership()
	s.Membership = Membership{Members: slices.Clone(m.Members), OldVoters: slices.Clone(m.OldVoters)}
	if r.role != Leader {
		return s
	}
	for i := range r.peers {
		p := &r.peers[i]
		if p.id == r.cfg.ID {
			continue
		}
		s.Peers = append(s.Peers, PeerStatus{
			ID: p.id, Match: p.match, Next: p.next, State: p.state.String(), InflightMsgs: p.flight.n, InflightBytes: p.flight.bytes,
			LastContact: p.contact, CaughtUp: p.caughtUp, Departed: p.departed != nil, Stateless: p.needs != 0,
		})
	}
	return s
}

// Check tests every invariant that one node can see and returns an *InvariantError for the first that is broken. It
// costs time in proportion to the log in memory: tests and the simulator call it after every Step.
func (r *Raft) Check() error {
	for _, c := range [...]struct {
		name string
		ok   bool
	}{
		{"applied<=emitted", r.applied <= r.emitted},
		{"emitted<=commit", r.emitted <= r.commit},
		{"commit<=last", r.commit <= r.log.last},
		{"snapshot<=commit", r.snap.Index <= r.commit},
		{"first<=snapshot+1", r.first >= 1 && r.first <= r.snap.Index+1},
		{"durable<=last", r.dur.index <= r.log.last},
		{"lastTerm<=term", r.log.lastTerm() <= r.term},
		{"memory-holds-unapplied", r.log.memFirst() <= r.emitted+1},
		{"leader-knows-itself", (r.role == Leader) == (r.leader == r.cfg.ID)},
		{"candidate-votes-for-itself", r.role < Candidate || r.vote == r.cfg.ID},
		{"only-leader-has-reads", r.role == Leader || len(r.reads) == 0},
		{"only-follower-forwards", len(r.forwarded) == 0 || (r.role == Follower && r.leader != 0)},
		{"only-follower-asks", len(r.asked) == 0 || (r.role == Follower && r.leader != 0)},
		{"only-leader-transfers", r.transfer.to == 0 || r.role == Leader},
		{"no-lease-after-hand-over", !r.handedOver || r.lease() == 0},
		{"stateless-follows", !r.stateless || r.role == Follower},
		{"stateless-applies-nothing", !r.stateless || r.applied == r.snap.Index && r.emitted == r.snap.Index},
		{"noop-of-own-term", r.role != Leader || r.noop <= r.log.last && r.log.lastTerm() == r.term},
	} {
		if !c.ok {
			return r.fault(c.name)
		}
	}
	for _, check := range [...]func() string{r.checkLog, r.checkDurability, r.checkMembers, r.checkPeers, r.checkReads} {
		if broken := check(); broken != "" {
			return r.fault(broken)
		}
	}
	return nil
}

func (r *Raft) checkLog() string {
	l := &r.log
	for i := 1; i < len(l.runs); i++ {
		if l.runs[i].first <= l.runs[i-1].first || l.runs[i].term <= l.runs[i-1].term {
			return "runs-ascend"
		}
	}
	if l.runs[0].first > r.commit || l.runs[len(l.runs)-1].first > l.last {
		return "runs-in-log"
	}
	next := l.memFirst()
	var bytes, own int64
	for i := range l.chunks {
		c := &l.chunks[i]
		if c.first != next || len(c.ents) == 0 || len(c.ents) > chunkEntries {
			return "chunks-contiguous"
		}
		var size int64
		for j := range c.ents {
			e := &c.ents[j]
			if e.Index != next {
				return "entries-contiguous"
			}
			if t, ok := l.term(e.Index); ok && t != e.Term || !ok && e.Index >= l.runs[0].first {
				return "terms-match"
			}
			if e.Index > r.commit && e.Term == r.term {
				own += int64(len(e.Data))
			}
			size += entrySize(e)
			next++
		}
		if size != c.bytes {
			return "chunk-bytes"
		}
		bytes += size
	}
	if next != l.last+1 {
		return "log-end"
	}
	if bytes != l.bytes {
		return "log-bytes"
	}
	if r.role != Leader {
		own = 0
	}
	if own != r.uncommitted {
		return "uncommitted-bytes"
	}
	return ""
}

func (r *Raft) checkDurability() string {
	d := &r.dur
	if d.done > d.seq || d.hard > d.seq {
		return "seq-order"
	}
	last := d.done
	for i := range d.promises {
		if d.promises[i].seq < last || d.promises[i].seq <= d.done || d.promises[i].seq > d.seq {
			return "promises-ordered"
		}
		last = d.promises[i].seq
	}
	last = d.done
	for i := range d.appends {
		if d.appends[i].seq <= last || d.appends[i].index > r.log.last {
			return "writes-ordered"
		}
		last = d.appends[i].seq
	}
	if d.done == d.seq && d.index != r.log.last {
		return "all-durable"
	}
	if r.log.memFirst() > d.index+1 && r.log.memFirst() > r.snap.Index+1 {
		return "memory-holds-undurable"
	}
	return ""
}

func (r *Raft) checkMembers() string {
	for i := range r.members {
		if i > 0 && (r.members[i].index <= r.members[i-1].index || r.members[i].index > r.log.last) {
			return "memberships-ascend"
		}
	}
	if r.members[0].index > r.commit {
		return "membership-base-committed"
	}
	n := len(r.members) - 1
	for i := r.log.last; i >= max(r.log.memFirst(), r.snap.Index+1); i-- {
		if r.log.at(i).Kind != EntryMembership {
			continue
		}
		if n < 0 || r.members[n].index != i {
			return "membership-history"
		}
		n--
	}
	m := r.Membership()
	if r.joint != (len(m.OldVoters) > 0) {
		return "joint"
	}
	for i := range m.Members {
		if p := r.peer(m.Members[i].ID); p == nil || p.voter == m.Members[i].Learner {
			return "peers-follow-members"
		}
	}
	for _, id := range m.OldVoters {
		if p := r.peer(id); p == nil || !p.oldVoter {
			return "peers-follow-old-voters"
		}
	}
	return ""
}

func (r *Raft) checkPeers() string {
	for i := range r.peers {
		p := &r.peers[i]
		if i > 0 && p.id <= r.peers[i-1].id {
			return "peers-ascend"
		}
		if p.departed != nil && (p.voter || p.oldVoter || r.role != Leader) {
			return "departed-decide-nothing"
		}
		if r.role != Leader || p.id == r.cfg.ID {
			continue
		}
		if p.match >= p.next || p.next > r.log.last+1 {
			return "match<next<=last+1"
		}
		if (p.state == stateSnapshot) != (p.snapshot != 0) || p.helping && p.state == stateSnapshot {
			return "snapshot-state"
		}
		w := &p.flight
		bytes, last := 0, p.match
		for k := range w.n {
			f := w.msgs[(w.first+k)%len(w.msgs)]
			if f.last <= last || f.last >= p.next {
				return "flight-ascends"
			}
			bytes, last = bytes+f.bytes, f.last
		}
		if w.n > len(w.msgs) || bytes != w.bytes || (w.n > 0 && p.state != stateReplicate) {
			return "flight-sum"
		}
	}
	return ""
}

func (r *Raft) checkReads() string {
	for i := range r.reads {
		w := &r.reads[i]
		if w.ctx > r.readCtx || (i > 0 && w.ctx <= r.reads[i-1].ctx) {
			return "reads-ascend"
		}
	}
	for i := range r.forwarded {
		if i > 0 && (r.forwarded[i].ctx <= r.forwarded[i-1].ctx || r.forwarded[i].deadline < r.forwarded[i-1].deadline) {
			return "forwarded-ascend"
		}
	}
	return ""
}
