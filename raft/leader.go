package raft

import "fmt"

// becomeLeader begins to lead with an entry of the own term: only that can be committed by counting (thesis 3.6.2).
func (r *Raft) becomeLeader(out *Effects) {
	r.role = Leader
	r.follow(r.cfg.ID, out)
	r.clearVotes()
	r.leaderSince = r.now
	r.heartbeatAt = r.now + r.cfg.HeartbeatEvery
	r.uncommitted = 0
	r.readCtx, r.readRound = 0, 0
	r.transfer, r.handedOver, r.transferAt = transfer{}, false, r.now+r.cfg.ElectionTimeout
	for i := range r.peers {
		r.peers[i].restart(r.log.last)
	}
	r.departLatest()
	r.noop = r.log.last + 1
	r.appendOwn(Entry{Kind: EntryNoop}, out)
}

// appendOwn adds e to the leader's log and sends it on.
func (r *Raft) appendOwn(e Entry, out *Effects) {
	e.Index, e.Term = r.log.last+1, r.term
	r.uncommitted += int64(len(e.Data))
	r.log.append(e)
	r.persistFrom(e.Index, out)
	r.replicateAll(out)
}

func (r *Raft) replicateAll(out *Effects) {
	for i := range r.peers {
		if p := &r.peers[i]; p.id != r.cfg.ID {
			r.replicate(p, out)
		}
	}
}

// onPropose handles EvPropose.
func (r *Raft) onPropose(ev *Event, out *Effects) {
	res := Proposed{ID: ev.ID}
	size := int64(len(ev.Data))
	switch {
	case r.role != Leader:
		res.Err = ErrNotLeader
	case r.uncommitted > 0 && r.uncommitted+size > r.cfg.MaxUncommitted, r.log.last >= maxNumber, r.transfer.to != 0:
		res.Err = ErrBusy
	case ev.EntryKind != EntryCommand:
		res.Err = fmt.Errorf("entries of kind %d cannot be proposed", ev.EntryKind)
	}
	if res.Err == nil {
		r.appendOwn(Entry{Kind: ev.EntryKind, Data: ev.Data}, out)
		res.Index, res.Term = r.log.last, r.term
	}
	out.Proposed = append(out.Proposed, res)
}

// leaderTick sends heartbeats, and steps down when no quorum has answered for an election timeout, or when the own disk
// hangs and others could do better.
func (r *Raft) leaderTick(out *Effects) {
	since := max(int64(r.reached(byContact)), r.leaderSince)
	if r.now-since >= r.cfg.ElectionTimeout || (r.diskHangs() && !r.soleVoter()) {
		r.becomeFollower(r.term, 0, out)
		return
	}
	r.handOver(out)
	if r.role != Leader || r.now < r.heartbeatAt {
		return
	}
	r.heartbeatAt = r.now + r.cfg.HeartbeatEvery
	r.forgetDeparted()
	r.heartbeatAll(out)
	r.promoteLearners(out)
	r.preferOther(out)
}

// heartbeatAll sends an empty append to everybody; it is also a new read round.
func (r *Raft) heartbeatAll(out *Effects) {
	r.readRound = r.readCtx
	for i := range r.peers {
		p := &r.peers[i]
		if p.id == r.cfg.ID {
			continue
		}
		r.heartbeat(p, out)
		if p.state != stateProbe {
			r.replicate(p, out)
		} else if _, ok := r.prevTerm(p); !ok && !p.fetching {
			p.probed = false
			r.replicate(p, out) // fetches the term, or begins a snapshot
		} else if !r.reachable(p) {
			r.sendSnapshot(p, out)
		}
	}
}

// onAppendResp handles an answer of the own term.
func (r *Raft) onAppendResp(m *Message, out *Effects) {
	p := r.peer(m.From)
	if r.role != Leader || p == nil || p.id == r.cfg.ID || m.Index > r.log.last || m.Ctx > r.readCtx || m.SentAt > r.now {
		return
	}
	if m.SentAt < p.addedAt {
		return // from before it was added: of a disk of the same name that is gone
	}
	p.contact = r.now
	if m.SentAt >= p.sentAt {
		p.needs = m.Commit
	}
	if m.SentAt != 0 && m.SentAt >= p.sentAt {
		p.unfit = m.Transfer
	}
	p.sentAt = max(p.sentAt, m.SentAt)
	p.readCtx = max(p.readCtx, m.Ctx)
	if m.Reject {
		r.refused(p, m, out)
	} else {
		r.acknowledged(p, m, out)
	}
	if p = r.peer(m.From); p != nil && r.role == Leader { // it was a member before the answer
		r.help(p, out)
	}
	r.answerReads(out)
}

// refused looks for the place where the logs agree, by the follower's hint and the own terms: every probe skips a
// whole term of one of them.
//
// An append that was sent after the peer had acknowledged more is refused only by a peer that has lost entries since: its
// disk rotted in the last batch, which looks like a torn write. It must get them again, and soon, because it may vote.
func (r *Raft) refused(p *peer, m *Message, out *Effects) {
	if m.Index <= p.match && m.SentAt > p.matchedAt && p.state != stateSnapshot {
		p.match = 0
		p.toProbe(p.next)
		p.next = m.Index + 1
	}
	stale := m.Index <= p.match
	switch p.state {
	case stateProbe:
		stale = stale || m.Index != p.next-1
	case stateReplicate:
		stale = stale || m.Index >= p.next
	case stateSnapshot:
		stale = true
	}
	if stale {
		return
	}
	next := m.Index
	if m.Hint <= m.Index {
		next = m.Hint + 1
		if _, known := r.log.term(m.Hint); known {
			next = r.log.seek(m.Hint, m.HintTerm) + 1
		}
	}
	p.toProbe(min(next, m.Index))
	r.replicate(p, out)
}

// acknowledged moves a peer forward; numbers do not go back, whatever order the answers arrive in.
func (r *Raft) acknowledged(p *peer, m *Message, out *Effects) {
	advanced := m.Index > p.match
	if advanced {
		p.match, p.matchedAt = m.Index, r.now
	}
	p.flight.free(m.Index)
	switch p.state {
	case stateProbe:
		if p.match+1 >= p.next || (p.probed && m.SentAt >= p.probedAt) {
			p.toReplicate()
		}
	case stateSnapshot:
		next := p.next
		p.next = p.match + 1
		if r.reachable(p) {
			p.toReplicate()
		} else {
			p.next = next
		}
	}
	p.next = max(p.next, p.match+1)
	if p.promote {
		r.catchUp(p)
	}
	if advanced {
		r.maybeCommit(out)
		if p = r.peer(m.From); p == nil { // the commit ended a joint membership
			return
		}
	}
	r.replicate(p, out)
	if p.caughtUp {
		r.promoteLearners(out)
	}
	r.handOver(out)
}

// maybeCommit commits what a quorum has on disk, from the first entry of the own term on (thesis 3.6.2, figure 8).
func (r *Raft) maybeCommit(out *Effects) {
	if index := r.reached(byMatch); index >= r.noop && index > r.commit {
		r.commitTo(index)
		r.leaveJoint(out)
	}
}

// commitTo moves the commit index forward. REQUIRES: commit < index <= last.
func (r *Raft) commitTo(index uint64) {
	if r.role == Leader {
		for i := max(r.commit+1, r.noop); i <= index; i++ {
			r.uncommitted -= int64(len(r.log.at(i).Data))
		}
	}
	r.commit = index
}

// lease returns the end of the lease, which begins when a message was sent that a quorum has answered: since then each of
// them refuses votes for an election timeout. 0 without a lease, and until the own no-op is applied.
func (r *Raft) lease() int64 {
	if r.role != Leader || r.applied < r.noop || r.handedOver {
		return 0
	}
	sent := int64(r.reached(bySentAt))
	if sent == 0 {
		return 0
	}
	return sent + r.cfg.ElectionTimeout - r.cfg.LeaseMargin
}
