package raft

// peerState says how the leader talks to a peer.
type peerState uint8

const (
	// stateProbe: where the logs agree is not known; one MsgAppend at a time asks.
	stateProbe peerState = iota
	// stateReplicate: entries are sent ahead of the answers, as far as the window allows.
	stateReplicate
	// stateSnapshot: a snapshot is under way; only heartbeats that claim nothing are sent.
	stateSnapshot
)

func (s peerState) String() string {
	return [...]string{"probe", "replicate", "snapshot"}[s]
}

type vote uint8

const (
	voteNone vote = iota
	voteYes
	voteNo
)

// flight is an unanswered MsgAppend that carries entries up to last.
type flight struct {
	last  uint64
	bytes int
}

// window is a ring of what is in flight to one peer. Invariant: n <= len(msgs); bytes is their sum; last ascends.
type window struct {
	msgs  []flight
	first int
	n     int
	bytes int
}

func (w *window) add(last uint64, bytes int) {
	w.msgs[(w.first+w.n)%len(w.msgs)] = flight{last: last, bytes: bytes}
	w.n++
	w.bytes += bytes
}

// free forgets what is answered by an acknowledgement of index.
func (w *window) free(index uint64) {
	for w.n > 0 && w.msgs[w.first].last <= index {
		w.bytes -= w.msgs[w.first].bytes
		w.first = (w.first + 1) % len(w.msgs)
		w.n--
	}
}

func (w *window) reset() { w.first, w.n, w.bytes = 0, 0, 0 }

// peer is what a node knows of a member, itself included. All but the votes is the leader's and of its term.
type peer struct {
	id       NodeID
	voter    bool      // of the membership, or of its new half
	oldVoter bool      // of the old half of a joint membership
	promote  bool      // a learner to be made a voter when it has caught up
	vote     vote      // of the running election
	departed *departed // not nil: no member any more, but it is still told of that

	// match is the last index known to be on the peer's disk and equal to ours; next is the first to send.
	// Invariant: match < next <= last+1. Not kept for the node itself: see durability.index.
	match, next uint64
	matchedAt   int64 // when match was last raised
	state       peerState
	flight      window
	probed      bool  // stateProbe: a probe is out
	probedAt    int64 // stateProbe: when it was sent

	contact int64  // clock of the newest answer, 0 if none in this term
	sentAt  int64  // newest own send time that was echoed
	unfit   bool   // another should lead, by the answer to what was sent at sentAt
	readCtx uint64 // newest read round that was echoed
	commit  uint64 // highest commit index sent
	owed    uint64 // commit index that a read of the peer waits for; 0 if none

	fetching           bool   // a Fetch is under way, from fetchLo on
	fetchLo            uint64 // Invariant: fetching or 0
	knownIndex, knownT uint64 // a term learned from fetched entries that are too old for memLog
	snapshot           uint64 // stateSnapshot: the index of the snapshot under way
	retryAt            int64  // no new snapshot before
	needs              uint64 // the peer has no state, and a snapshot from this index on would give it one; 0: it has one
	helping            bool   // such a snapshot is under way; Invariant: then state is not stateSnapshot

	addedAt  int64  // when this leader added it; what it answers to anything older is another's
	roundEnd uint64 // catch-up: the round is over when match gets here (thesis 4.2.1)
	roundAt  int64  // catch-up: when the round began, 0 before the first
	caughtUp bool   // the last round was short enough
}

// restart forgets everything of an earlier term.
func (p *peer) restart(last uint64) {
	w := p.flight
	w.reset()
	*p = peer{id: p.id, voter: p.voter, oldVoter: p.oldVoter, promote: p.promote, vote: p.vote, next: last + 1, flight: w}
}

func (p *peer) toProbe(next uint64) {
	p.state, p.next, p.probed, p.snapshot = stateProbe, max(next, p.match+1), false, 0
	p.flight.reset()
}

func (p *peer) toReplicate() {
	p.state, p.next, p.snapshot = stateReplicate, max(p.next, p.match+1), 0
	p.flight.reset()
}

func (p *peer) full(cfg *Config) bool {
	return p.flight.n == len(p.flight.msgs) || p.flight.bytes >= cfg.MaxInflightBytes
}

// prevTerm returns the term of the entry before p.next; false if it has to be fetched first.
func (r *Raft) prevTerm(p *peer) (uint64, bool) {
	if t, ok := r.log.term(p.next - 1); ok {
		return t, true
	}
	if p.knownIndex == p.next-1 && p.knownIndex != 0 {
		return p.knownT, true
	}
	return 0, false
}

// reachable says whether the journal still holds what a peer needs that is sent entries from next on.
func (r *Raft) reachable(p *peer) bool {
	if _, ok := r.prevTerm(p); ok {
		return p.next >= r.first
	}
	return p.next > r.first
}

// replicate sends p what it can take now. REQUIRES: role is Leader, p is not the node itself.
func (r *Raft) replicate(p *peer, out *Effects) {
	for {
		if p.state == stateSnapshot || p.fetching || (p.state == stateProbe && p.probed) {
			return
		}
		if p.state == stateReplicate && (p.next > r.log.last || p.full(&r.cfg)) {
			return
		}
		if !r.reachable(p) {
			r.sendSnapshot(p, out)
			return
		}
		prev, ok := r.prevTerm(p)
		if !ok {
			r.fetch(p, p.next-1, out)
			return
		}
		if p.state == stateProbe {
			r.probe(p, prev, out)
			return
		}
		if p.next < r.log.memFirst() {
			r.fetch(p, p.next, out)
			return
		}
		ents, size := r.log.slice(p.next, r.cfg.MaxAppendBytes)
		r.sendEntries(p, prev, ents, size, out)
	}
}

// sendEntries sends ents, which begin at p.next, and moves on without waiting for the answer.
func (r *Raft) sendEntries(p *peer, prevTerm uint64, ents []Entry, size int, out *Effects) {
	r.sendAppend(p, p.next-1, prevTerm, ents, out)
	last := ents[len(ents)-1]
	p.knownIndex, p.knownT = last.Index, last.Term
	p.next = last.Index + 1
	p.flight.add(last.Index, size)
}

// probe asks whether the logs agree before p.next. Only the first one of a term carries entries: after a refusal most
// likely the next is refused too.
func (r *Raft) probe(p *peer, prevTerm uint64, out *Effects) {
	var ents []Entry
	if p.next >= r.noop && p.next <= r.log.last && p.next >= r.log.memFirst() {
		ents, _ = r.log.slice(p.next, r.cfg.MaxAppendBytes)
	}
	p.probed, p.probedAt = true, r.now
	r.sendAppend(p, p.next-1, prevTerm, ents, out)
}

// sendAppend sends one MsgAppend. It tells of no commit that the own state machine has not applied: with a lease this
// node answers reads from there without asking, and no follower may have shown more before.
func (r *Raft) sendAppend(p *peer, prev, prevTerm uint64, ents []Entry, out *Effects) {
	out.Send = append(out.Send, Message{
		Type: MsgAppend, From: r.cfg.ID, To: p.id, Term: r.term, Index: prev, LogTerm: prevTerm,
		Commit: r.applied, Ctx: r.readCtx, SentAt: r.now, Entries: ents,
	})
	p.commit = r.applied
}

// heartbeat sends an append without entries, also to a peer whose window is full. It shows the peer's log end as the
// leader believes it to be, so a lost append is found by the refusal.
func (r *Raft) heartbeat(p *peer, out *Effects) {
	prev, ok := r.prevTerm(p)
	if p.state == stateSnapshot || !ok {
		r.sendAppend(p, 0, 0, nil, out)
		return
	}
	if p.state == stateProbe {
		p.probed, p.probedAt = true, r.now
	}
	r.sendAppend(p, p.next-1, prev, nil, out)
}

// fetch asks the journal for entries that are no longer in memory, at most one request per peer.
func (r *Raft) fetch(p *peer, lo uint64, out *Effects) {
	hi := min(max(r.log.memFirst(), lo+1), r.log.last+1)
	p.fetching, p.fetchLo = true, lo
	out.Fetch = append(out.Fetch, Fetch{To: p.id, Lo: lo, Hi: hi, MaxBytes: r.cfg.MaxAppendBytes})
}

// onFetched handles EvFetched. The role, the term and the peer may have changed since the question.
func (r *Raft) onFetched(ev *Event, out *Effects) {
	p := r.peer(ev.To)
	if r.role != Leader || p == nil || !p.fetching || p.fetchLo != ev.Index {
		return
	}
	p.fetching, p.fetchLo = false, 0
	if ev.Failed {
		if r.snap.Index >= p.next {
			r.sendSnapshot(p, out)
		}
		return // else the next heartbeat tries again
	}
	ents := ev.Entries
	if !r.ownEntries(ents, ev.Index) {
		return
	}
	if ents[0].Index == p.next-1 {
		p.knownIndex, p.knownT = ents[0].Index, ents[0].Term
		ents = ents[1:]
	}
	prev, ok := r.prevTerm(p)
	if ok && len(ents) > 0 && ents[0].Index == p.next && p.state == stateReplicate && !p.full(&r.cfg) {
		size := 0
		for i := range ents {
			size += len(ents[i].Data)
		}
		r.sendEntries(p, prev, ents[:len(ents):len(ents)], size, out)
	}
	r.replicate(p, out)
}

// ownEntries checks that fetched entries are still those of the log.
func (r *Raft) ownEntries(ents []Entry, lo uint64) bool {
	for i := range ents {
		e := &ents[i]
		if e.Index != lo+uint64(i) || e.Index > r.log.last {
			return false
		}
		if t, ok := r.log.term(e.Index); ok && t != e.Term {
			return false
		}
	}
	return len(ents) > 0
}

// sendSnapshot starts to bring p to the newest snapshot, if p has been heard of lately.
func (r *Raft) sendSnapshot(p *peer, out *Effects) {
	if r.snap.Index == 0 || r.snap.Index <= p.match || r.now < p.retryAt || p.departed != nil {
		return
	}
	if p.contact == 0 || r.now-p.contact >= r.cfg.ElectionTimeout || p.helping {
		return
	}
	p.state, p.snapshot = stateSnapshot, r.snap.Index
	p.flight.reset()
	out.Snapshots = append(out.Snapshots, SendSnapshot{To: p.id, Index: r.snap.Index, Least: p.needs, Term: r.term})
}

// onSnapshotSent handles EvSnapshotSent. Nothing is sent at once: the next heartbeat goes on, so that a stream that
// fails immediately does not spin.
func (r *Raft) onSnapshotSent(ev *Event) {
	p := r.peer(ev.To)
	if r.role != Leader || p == nil || r.helped(p, ev.Failed) || p.state != stateSnapshot {
		return
	}
	if ev.Failed {
		p.retryAt = r.now + r.cfg.HeartbeatEvery
		p.toProbe(p.match + 1)
		return
	}
	p.retryAt = r.now + r.cfg.ElectionTimeout
	p.toProbe(p.snapshot + 1)
}

// onUnreachable handles EvUnreachable: what was in flight is probably lost.
func (r *Raft) onUnreachable(id NodeID) {
	if p := r.peer(id); r.role == Leader && p != nil && p.state == stateReplicate {
		p.toProbe(p.match + 1)
	}
}
