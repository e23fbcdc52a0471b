package raft

import "slices"

// random returns the next number of a splitmix64 sequence.
func (r *Raft) random() uint64 {
	r.rng += 0x9e3779b97f4a7c15
	return mix(r.rng)
}

func mix(x uint64) uint64 {
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb
	return x ^ (x >> 31)
}

// redraw takes another election timeout and starts it now.
func (r *Raft) redraw() {
	r.timeout = r.cfg.ElectionTimeout + int64(r.random()%uint64(r.cfg.ElectionTimeout))
	if !r.preferred || r.unfit {
		r.timeout += r.cfg.ElectionTimeout / 2
	}
	r.electionAt = r.now + r.timeout
}

// becomeFollower follows leader (0 = unknown) in term, which is at least the own term.
func (r *Raft) becomeFollower(term uint64, leader NodeID, out *Effects) {
	wasLeader := r.role == Leader
	changed := r.role != Follower || term != r.term
	r.role = Follower // first of all: it ends the lease
	if term != r.term {
		r.term, r.vote = term, 0
		r.hardChanged(out)
	}
	if wasLeader {
		r.dropReads(out)
		r.uncommitted, r.transfer = 0, transfer{}
		r.peers = slices.DeleteFunc(r.peers, func(p peer) bool { return p.departed != nil })
	}
	r.follow(leader, out)
	if changed {
		r.clearVotes()
		r.redraw()
	}
}

// follow sets the leader. Reads that were sent to another one have to be asked again.
func (r *Raft) follow(leader NodeID, out *Effects) {
	if r.leader != leader {
		r.leader = leader
		r.giveUpAll(out)
	}
}

func (r *Raft) clearVotes() {
	for i := range r.peers {
		r.peers[i].vote = voteNone
	}
}

// promised says whether the node must refuse its vote to a candidate: it has heard a leader, or has started, less than
// an election timeout ago. That leader itself may ask: it does not lead any more.
func (r *Raft) promised(candidate NodeID) bool {
	if r.role == Leader {
		return true
	}
	if r.now < r.quietUntil {
		return true
	}
	return r.heardFrom != 0 && r.heardFrom != candidate && r.now < r.heardAt+r.cfg.ElectionTimeout
}

// heard notes a sign of life of the leader.
func (r *Raft) heard(leader NodeID) {
	r.heardFrom, r.heardAt = leader, r.now
	r.electionAt = r.now + r.timeout
}

// electionTimeout starts an election, if the node may lead and its disk keeps up: without it no vote could leave.
func (r *Raft) electionTimeout(out *Effects) {
	if !r.mayLead() || r.dur.done < r.dur.hard || r.diskStalls() {
		r.follow(0, out) // nor is it known that anybody leads
		r.redraw()
		return
	}
	r.preCampaign(out)
}

// preCampaign asks whether an election could be won, without disturbing anybody (thesis 9.6).
func (r *Raft) preCampaign(out *Effects) {
	r.role = PreCandidate
	r.follow(0, out)
	r.clearVotes()
	r.redraw()
	for i := range r.peers {
		if p := &r.peers[i]; p.id != r.cfg.ID && (p.voter || p.oldVoter) {
			out.Send = append(out.Send, r.voteRequest(MsgPreVote, p.id, r.term+1, false))
		}
	}
	r.recordVote(r.cfg.ID, true, out)
}

// campaign asks for votes in a new term. Both the requests and the own vote wait for the disk, see promise.
func (r *Raft) campaign(transfer bool, out *Effects) {
	r.role = Candidate
	r.term++
	r.vote = r.cfg.ID
	r.hardChanged(out)
	r.follow(0, out)
	r.clearVotes()
	r.redraw()
	for i := range r.peers {
		if p := &r.peers[i]; p.id != r.cfg.ID && (p.voter || p.oldVoter) {
			r.promise(r.voteRequest(MsgVote, p.id, r.term, transfer), out)
		}
	}
	r.promise(Message{Type: MsgVoteResp, To: r.cfg.ID, Term: r.term}, out)
}

func (r *Raft) voteRequest(t MessageType, to NodeID, term uint64, transfer bool) Message {
	return Message{Type: t, From: r.cfg.ID, To: to, Term: term, Index: r.log.last, LogTerm: r.log.lastTerm(), Transfer: transfer}
}

// recordVote counts one answer per voter, the first.
func (r *Raft) recordVote(from NodeID, granted bool, out *Effects) {
	p := r.peer(from)
	if p == nil || p.vote != voteNone {
		return
	}
	p.vote = voteNo
	if granted {
		p.vote = voteYes
	}
	won, lost := r.countVotes()
	switch {
	case won && r.role == PreCandidate:
		r.campaign(false, out)
	case won:
		r.becomeLeader(out)
	case lost:
		r.becomeFollower(r.term, 0, out)
	}
}

// upToDate says whether a candidate's log holds at least what ours does (thesis 3.6.1).
func (r *Raft) upToDate(m *Message) bool {
	own := r.log.lastTerm()
	return m.LogTerm > own || (m.LogTerm == own && m.Index >= r.log.last)
}

// onPreVote answers what the vote would be. It changes nothing, and is no sign of life of a leader.
func (r *Raft) onPreVote(m *Message, out *Effects) {
	resp := Message{Type: MsgPreVoteResp, From: r.cfg.ID, To: m.From, Term: m.Term}
	if m.Term <= r.term || !r.upToDate(m) || r.promised(m.From) {
		resp.Reject, resp.Term = true, r.term
	}
	out.Send = append(out.Send, resp)
}

// onVote handles a request of the own term or an older one.
func (r *Raft) onVote(m *Message, out *Effects) {
	if m.Term == r.term && r.vote != m.From && !m.Transfer && r.promised(m.From) {
		return // the term may have been learned otherwise since the promise
	}
	resp := Message{Type: MsgVoteResp, From: r.cfg.ID, To: m.From, Term: r.term}
	free := r.vote == m.From || (r.vote == 0 && r.leader == 0)
	if m.Term < r.term || !free || !r.upToDate(m) {
		resp.Reject = true
		out.Send = append(out.Send, resp)
		return
	}
	if r.vote == 0 {
		r.vote = m.From
		r.hardChanged(out)
	}
	r.electionAt = r.now + r.timeout
	r.promise(resp, out)
}

// onTimeoutNow starts an election at once: the leader hands over (thesis 3.10).
func (r *Raft) onTimeoutNow(m *Message, out *Effects) {
	if m.Term == r.term && r.role == Follower && m.From == r.leader && r.mayLead() && !r.diskStalls() {
		r.campaign(true, out)
	}
}
