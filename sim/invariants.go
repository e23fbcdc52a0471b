package sim

import (
	"bytes"
	"fmt"

	"kvapp/node"
	"kvapp/raft"
	"kvapp/wal"
)

// committed is one slot of the ledger: the one history that every node must follow.
type committed struct {
	term uint64
	kind raft.EntryKind
	data []byte
}

// bookEntry is an entry that somebody has sent or written. Entries of one index and term are equal, and so are those
// before them: log matching follows by induction from equal data and an equal term of the entry before.
type bookEntry struct {
	term, before uint64
	kind         raft.EntryKind
	data         []byte
	more         []bookEntry // of other terms
}

// shadow is what the disk of a node certainly holds.
type shadow struct {
	hard  raft.HardState
	base  uint64   // index of the snapshot that the log was restarted behind
	under uint64   // its term
	terms []uint64 // of the entries behind base
}

func (s *shadow) last() uint64 { return s.base + uint64(len(s.terms)) }

func (s *shadow) term(index uint64) uint64 {
	switch {
	case index == s.base:
		return s.under
	case index < s.base || index > s.last():
		return 0
	}
	return s.terms[index-s.base-1]
}

// holds says whether the entry at index is on the disk with this term, or replaced by a snapshot.
func (s *shadow) holds(index, term uint64) bool {
	return index < s.base || s.term(index) == term
}

// recovered compares what a process found on its disk with what the disk certainly held. Only what it was working on when
// the process before died may make a difference: any first part of it.
func (w *World) recovered(h *host, rec *wal.Recovered) {
	s := &h.shadow
	var half node.Record
	if h.cut != nil && h.cut.Seq != 0 {
		half = h.cut.Record
	}
	h.cut = nil
	r := rec.Hard
	if !sameVote(r, s.hard) && !(half.HasHard && sameVote(r, half.Hard)) {
		w.fail("durable-survives", "%v finds t%d vote n%d, the disk held t%d vote n%d", h, r.Term, r.Vote, s.hard.Term, s.hard.Vote)
	}
	now := shadow{hard: rec.Hard, base: rec.Snapshot.Meta.Index, under: rec.Snapshot.Meta.Term}
	for i := range rec.Entries {
		now.terms = append(now.terms, rec.Entries[i].Term)
	}
	installed := half.Install != nil && half.Install.Meta.Index == now.base
	replaced := s.last() + 1 // from here on the write under way may have replaced what was there
	if len(half.Entries) > 0 {
		replaced = half.Entries[0].Index
	}
	for i := max(s.base, now.base); i <= s.last() && i < replaced && !installed; i++ {
		if i > 0 && now.term(i) != s.term(i) {
			w.fail("durable-survives", "%v finds t%d at entry %d of %d..%d, the disk held t%d", h, now.term(i), i, now.base, now.last(), s.term(i))
			return
		}
	}
	if now.last() < min(s.last(), replaced-1) && !installed {
		w.fail("durable-survives", "%v finds entries up to %d, the disk held %d", h, now.last(), s.last())
	}
	if now.base > uint64(len(w.ledger)) || (now.base > 0 && w.ledger[now.base-1].term != now.under) {
		w.fail("one-history", "%v finds a snapshot of %d/t%d", h, now.base, now.under)
	}
	if len(half.Entries) > 0 && now.last() == half.Entries[len(half.Entries)-1].Index {
		w.reach(crashKeptWrite)
	} else if half.HasHard || len(half.Entries) > 0 {
		w.reach(crashLostWrite)
	}
	// Entries behind a snapshot that the journal keeps for others are as durable as before.
	if now.base > s.base && !installed && now.base <= s.last() {
		now.base, now.under, now.terms = s.base, s.under, append(s.terms[:now.base-s.base:now.base-s.base], now.terms...)
	}
	h.shadow = now
	h.handed = rec.Snapshot.Meta.Index
}

func sameVote(a, b raft.HardState) bool { return a.Term == b.Term && a.Vote == b.Vote }

// persisted follows what a write has put on the disk.
func (w *World) persisted(h *host, job *node.AppendJob) {
	s, r := &h.shadow, &job.Record
	if r.HasHard && job.Seq != 0 {
		if r.Hard.Term < s.hard.Term || (r.Hard.Term == s.hard.Term && s.hard.Vote != 0 && r.Hard.Vote != s.hard.Vote) {
			w.fail("hard-state-grows", "%v writes t%d vote n%d over t%d vote n%d", h, r.Hard.Term, r.Hard.Vote, s.hard.Term, s.hard.Vote)
		}
		if r.Hard.Commit > s.last() {
			w.fail("commit-is-held", "%v writes the commit index %d, the disk holds entries up to %d", h, r.Hard.Commit, s.last())
		}
		s.hard = r.Hard
		if r.Hard.Vote != 0 {
			w.voted(h, r.Hard.Term, r.Hard.Vote)
		}
	}
	if r.Install != nil {
		w.noteCut(s, uint64(len(w.ledger))+1)
		s.base, s.under, s.terms = r.Install.Meta.Index, r.Install.Meta.Term, s.terms[:0]
	}
	if len(r.Entries) == 0 {
		return
	}
	from := r.Entries[0].Index
	if from <= s.base || from > s.last()+1 {
		w.fail("log-has-no-gap", "%v writes entry %d behind %d..%d", h, from, s.base, s.last())
		return
	}
	w.noteCut(s, from)
	s.terms = s.terms[:from-s.base-1]
	before := s.term(from - 1)
	for i := range r.Entries {
		e := &r.Entries[i]
		if e.Index != from+uint64(i) {
			w.fail("log-has-no-gap", "%v writes entry %d as number %d behind %d", h, e.Index, i, from)
		}
		w.enter(e, before)
		before = e.Term
		s.terms = append(s.terms, e.Term)
	}
}

// noteCut notes what the end of a log that is lost from an index on consists of.
func (w *World) noteCut(s *shadow, from uint64) {
	if from > s.last() {
		return
	}
	w.reach(logCut)
	if s.term(from) != s.term(s.last()) {
		w.reach(termsCut)
	}
	// What a crash left of a write that nobody saw stands in no book.
	for i := max(from, s.base+1); i <= s.last() && i < uint64(len(w.book)); i++ {
		b := &w.book[i]
		for k := range b.more {
			if b.more[k].term == s.term(i) {
				b = &b.more[k]
				break
			}
		}
		if b.kind == raft.EntryMembership && b.term == s.term(i) {
			w.reach(changeCut)
		}
	}
}

// enter compares an entry with all that have the same index and term.
func (w *World) enter(e *raft.Entry, before uint64) {
	for uint64(len(w.book)) <= e.Index {
		w.book = append(w.book, bookEntry{})
	}
	b := &w.book[e.Index]
	if b.term == 0 {
		*b = bookEntry{term: e.Term, before: before, kind: e.Kind, data: e.Data}
		return
	}
	if b.term != e.Term {
		found := false
		for i := range b.more {
			if b.more[i].term == e.Term {
				b, found = &b.more[i], true
				break
			}
		}
		if !found {
			b.more = append(b.more, bookEntry{term: e.Term, before: before, kind: e.Kind, data: e.Data})
			return
		}
	}
	if b.before != before || b.kind != e.Kind || !same(b.data, e.Data) {
		w.fail("log-matching", "entry %d of t%d is there twice: behind t%d %q, behind t%d %q", e.Index, e.Term, b.before, b.data, before, e.Data)
	}
}

func same(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || bytes.Equal(a, b))
}

// wire looks at a message that leaves a node: what it promises must be on the disk.
func (w *World) wire(h *host, m *raft.Message) {
	s := &h.shadow
	w.onWire(h, m)
	switch m.Type {
	case raft.MsgVoteResp:
		if m.Reject {
			return
		}
		if s.hard.Term < m.Term || (s.hard.Term == m.Term && s.hard.Vote != m.To) {
			w.fail("durable-before-told", "%s, but the disk holds t%d vote n%d", describe{m}, s.hard.Term, s.hard.Vote)
		}
		w.voted(h, m.Term, m.To)
	case raft.MsgTimeoutNow:
		w.reach(transferSent)
		if h.full {
			w.reach(fullHandedOver)
		}
	case raft.MsgVote:
		if s.hard.Term < m.Term || (s.hard.Term == m.Term && s.hard.Vote != h.id) {
			w.fail("durable-before-told", "%s, but the disk holds t%d vote n%d", describe{m}, s.hard.Term, s.hard.Vote)
		}
		w.voted(h, m.Term, h.id)
	case raft.MsgAppendResp:
		// An answer that echoes the leader's clock extends its lease, in a term that must not be forgotten.
		if (m.SentAt != 0 && s.hard.Term < m.Term) || (!m.Reject && s.last() < m.Index) {
			w.fail("durable-before-told", "%s, but the disk holds t%d and entries up to %d", describe{m}, s.hard.Term, s.last())
		}
	case raft.MsgAppend:
		if s.hard.Term < m.Term {
			w.fail("durable-before-told", "%s, but the disk holds t%d", describe{m}, s.hard.Term)
		}
		w.leads(h, m.Term)
		before := m.LogTerm
		for i := range m.Entries {
			w.enter(&m.Entries[i], before)
			before = m.Entries[i].Term
		}
	}
}

// voted notes a vote: one per node and term.
func (w *World) voted(h *host, term uint64, to raft.NodeID) {
	v := &w.votes[h.n]
	for uint64(len(*v)) <= term {
		*v = append(*v, 0)
	}
	if old := (*v)[term]; old != 0 && raft.NodeID(old) != to {
		w.fail("one-vote-per-term", "%v voted for n%d and n%d in t%d", h, old, to, term)
	}
	(*v)[term] = int8(to)
}

// leads notes a leader: one per term.
func (w *World) leads(h *host, term uint64) {
	for uint64(len(w.leaders)) <= term {
		w.leaders = append(w.leaders, -1)
	}
	if old := w.leaders[term]; old >= 0 && int(old) != h.n {
		w.fail("one-leader-per-term", "n%d and %v lead in t%d", old+1, h, term)
	}
	w.leaders[term] = int8(h.n)
}

// observe looks at a node after a turn.
func (w *World) observe(h *host) {
	was := h.last
	h.last = h.core.Brief()
	b := &h.last
	w.noteBrief(b)
	if b.Term < was.Term || b.Commit < was.Commit || b.Applied < was.Applied || b.First < was.First || b.Snapshot < was.Snapshot {
		w.fail("numbers-grow", "%v: from %+v to %+v", h, was, *b)
	}
	if b.Commit > was.Commit && b.Commit <= uint64(len(w.ledger)) {
		if t, ok := h.core.TermAt(b.Commit); ok && t != w.ledger[b.Commit-1].term {
			w.fail("one-history", "%v counts entry %d of t%d as committed, committed was one of t%d", h, b.Commit, t, w.ledger[b.Commit-1].term)
		}
	}
	if b.Durable > h.shadow.last() {
		w.fail("durable-is-durable", "%v counts %d as durable, the disk holds entries up to %d", h, b.Durable, h.shadow.last())
	}
	if b.Role == raft.Leader {
		w.observeLeader(h, &was)
	} else if was.Role == raft.Leader {
		w.reach(steppedDown)
		h.ledUntil = w.now
		if h.job != nil && w.now-h.jobAt > w.o.Election {
			w.reach(stalledSteppedDown)
		}
	}
	if w.tracing && (b.Role != was.Role || b.Term != was.Term) {
		w.trace(h, "role", "%c t%d -> %c t%d, leader n%d", roleLetters[was.Role], was.Term, roleLetters[b.Role], b.Term, b.Leader)
	}
	h.members = h.core.Membership()
	if h.turns%uint64(w.o.CheckEvery) == 0 {
		w.lookClosely(h)
	}
}

func (w *World) observeLeader(h *host, was *raft.Brief) {
	b := &h.last
	if was.Role != raft.Leader || was.Term != b.Term {
		w.reach(elected)
		w.leads(h, b.Term)
		w.becameLeader(h)
		n := uint64(len(w.ledger))
		for n > 0 && w.ledger[n-1].term > b.Term {
			n-- // committed by a later leader, before the last vote for this one arrived
		}
		if n > 0 {
			if t, ok := h.core.TermAt(n); !ok || t != w.ledger[n-1].term {
				w.fail("leader-completeness", "%v leads t%d without entry %d of t%d, which is committed; its log ends at %d", h, b.Term, n, w.ledger[n-1].term, b.Last)
			}
		}
	} else if b.Last < was.Last {
		w.fail("leader-appends-only", "%v leads t%d and its log went back from %d to %d", h, b.Term, was.Last, b.Last)
	} else {
		w.goesOnLeading(h, was)
	}
	if b.Commit > was.Commit {
		w.quorum(h)
		if b.Commit > b.Durable {
			w.reach(commitWithoutOwnDisk)
		}
	}
	if n := len(w.ledger); n > 0 && w.leased(h) && b.Term < w.ledger[n-1].term {
		w.fail("lease-excludes", "%v of t%d has a lease, and t%d has committed", h, b.Term, w.ledger[n-1].term)
	}
}

// leased says whether a node would serve a read now without asking anybody.
func (w *World) leased(h *host) bool { return h.up && h.lease > h.clock.Now() }

// quorum checks that what a leader has committed is on the disks of a majority, of both halves of a joint membership. The
// membership may have changed in the same turn, before or behind the commit.
func (w *World) quorum(h *host) {
	before, now := h.members, h.core.Membership()
	if before != nil && before != now && w.hasQuorum(h, before) == "" {
		return
	}
	if missing := w.hasQuorum(h, now); missing != "" {
		w.fail("committed-is-durable", "%s", missing)
	}
}

// hasQuorum says what is missing, if anything is.
func (w *World) hasQuorum(h *host, m *raft.Membership) string {
	index := h.last.Commit
	term, _ := h.core.TermAt(index)
	voters, have := 0, 0
	for i := range m.Members {
		if !m.Members[i].Learner {
			voters++
			if w.hosts[w.index(m.Members[i].ID)].shadow.holds(index, term) {
				have++
			}
		}
	}
	old := 0
	for _, id := range m.OldVoters {
		if w.hosts[w.index(id)].shadow.holds(index, term) {
			old++
		}
	}
	if have > voters/2 && (len(m.OldVoters) == 0 || old > len(m.OldVoters)/2) {
		return ""
	}
	return fmt.Sprintf("%v commits entry %d of t%d, which is on %d of %d disks and on %d of %d of the old membership",
		h, index, term, have, voters, old, len(m.OldVoters))
}

// lookClosely checks what costs more.
func (w *World) lookClosely(h *host) {
	if err := h.core.Check(); err != nil {
		w.fail("raft.Check", "%v: %v", h, err)
		return
	}
	if h.last.Role != raft.Leader {
		return
	}
	st := h.core.Status()
	w.matches(h, st.Peers)
	for i := range st.Peers {
		p := &st.Peers[i]
		if p.InflightMsgs == w.o.MaxInflightMsgs {
			w.reach(windowFull)
		}
		if n := w.index(p.ID); n >= 0 && p.Match > w.hosts[n].shadow.last() {
			w.fail("match-is-durable", "%v believes that n%d has %d, its disk holds entries up to %d", h, n+1, p.Match, w.hosts[n].shadow.last())
		}
	}
}

// committed follows what a node hands to its state machine.
func (w *World) committed(h *host, item *node.ApplyItem) {
	if item.Restore != nil {
		m := &item.Restore.Meta
		w.reach(snapshotInstalled)
		if m.Index > uint64(len(w.ledger)) || w.ledger[m.Index-1].term != m.Term {
			w.fail("one-history", "%v installs a snapshot of %d/t%d", h, m.Index, m.Term)
		}
		w.membershipAt(h, m)
		h.handed = m.Index
		if h.spoiled {
			w.reach(stateReceived)
			h.spoiled = false
		}
		return
	}
	e := &item.Entry
	if e.Index == 0 {
		return
	}
	if e.Index != h.handed+1 {
		w.fail("applied-in-order", "%v hands out entry %d behind %d", h, e.Index, h.handed)
		return
	}
	h.handed = e.Index
	n := uint64(len(w.ledger))
	if e.Index > n+1 {
		w.fail("applied-in-order", "%v hands out entry %d, the cluster has committed %d", h, e.Index, n)
		return
	}
	if e.Index <= n {
		if c := &w.ledger[e.Index-1]; c.term != e.Term || c.kind != e.Kind || !same(c.data, e.Data) {
			w.fail("one-history", "%v commits entry %d of t%d, committed was one of t%d", h, e.Index, e.Term, c.term)
		}
		return
	}
	w.extend(h, e)
}

// extend adds an entry to the one history.
func (w *World) extend(h *host, e *raft.Entry) {
	w.ledger = append(w.ledger, committed{e.Term, e.Kind, e.Data})
	for _, o := range w.hosts {
		if o != h && w.leased(o) && o.last.Term < e.Term && o.last.Role == raft.Leader {
			w.fail("lease-excludes", "%v commits in t%d, and %v of t%d has a lease", h, e.Term, o, o.last.Term)
		}
	}
	w.executeEntry(e.Index, &w.ledger[e.Index-1])
	if e.Kind == raft.EntryMembership {
		w.changed(h, e)
	}
}

// hashEvery is how often in entries the states of nodes are compared.
const hashEvery = 128

// appliedItem looks at a state machine after an item.
func (w *World) appliedItem(h *host, item *node.ApplyItem) {
	w.clockGrows(h)
	w.count(h)
	if item.Restore == nil && (item.Entry.Index == 0 || item.Entry.Index%hashEvery != 0) {
		return
	}
	w.compareHashNow(h)
}

// compareHashNow compares the state of a node with that of the others at its index.
func (w *World) compareHashNow(h *host) {
	v := h.store.Freeze()
	defer v.Close()
	total, err := v.Verify()
	if err != nil {
		w.fail("state-is-sound", "%v: %v", h, err)
	}
	w.compareHash(h, v.Index(), total)
}

// froze looks at the state that goes into a snapshot.
func (w *World) froze(h *host, job *node.WriteJob) {
	if job.View.Index() != job.Meta.Index {
		w.fail("snapshot-is-what-it-says", "%v freezes %d for a snapshot of %d", h, job.View.Index(), job.Meta.Index)
	}
	if i := job.Meta.Index; i == 0 || i > uint64(len(w.ledger)) || w.ledger[i-1].term != job.Meta.Term {
		w.fail("one-history", "%v freezes %d of t%d", h, i, job.Meta.Term)
	}
	w.membershipAt(h, &job.Meta)
	if job.Meta.Index%8 == 0 { // it costs as much as a hundred events
		total, _ := job.View.Hash()
		w.compareHash(h, job.Meta.Index, total)
	}
}

func (w *World) compareHash(h *host, index, hash uint64) {
	if h.planted {
		return // the nodes must find out by themselves
	}
	if old, ok := w.hashes[index]; ok && old != hash {
		w.fail("same-state", "%v holds another state at entry %d: hash %016x, known is %016x", h, index, hash, old)
	}
	w.hashes[index] = hash
}
