package raft

// transfer is leadership on its way to another voter (thesis 3.10). While there is one no proposal is accepted.
type transfer struct {
	to       NodeID // 0: there is none
	deadline int64  // then it is given up and proposals are accepted again
	againAt  int64  // when TimeoutNow is sent again, for the case that it was lost
}

// onTransfer handles EvTransfer.
func (r *Raft) onTransfer(ev *Event, out *Effects) {
	if r.role == Leader || r.leader == 0 {
		err := r.startTransfer(ev.To, out)
		out.Answers = append(out.Answers, Answer{ID: ev.ID, Index: r.log.last, Err: err})
		return
	}
	r.ask(ev.ID, Message{Type: MsgTransfer, Hint: uint64(ev.To)}, out)
}

// startTransfer begins to hand leadership to a voter, 0 for the best one. Its end is a new leader, or the deadline.
func (r *Raft) startTransfer(to NodeID, out *Effects) error {
	if r.role != Leader {
		return ErrNotLeader
	}
	if to == 0 {
		best := r.successor(func(*peer) bool { return true })
		if best == nil {
			return ErrNoTarget
		}
		to = best.id
	}
	p := r.peer(to)
	switch {
	case to == r.cfg.ID || to == r.transfer.to:
		return nil
	case p == nil || !p.voter:
		return ErrNotVoter
	case p.needs != 0:
		return ErrStateless
	case r.transfer.to != 0:
		return ErrPending
	}
	r.beginTransfer(p, r.cfg.ElectionTimeout, out)
	return nil
}

// beginTransfer makes p the next leader if that is done within limit. REQUIRES: role is Leader, p is another voter, no
// transfer is under way.
func (r *Raft) beginTransfer(p *peer, limit int64, out *Effects) {
	r.transfer = transfer{to: p.id, deadline: r.now + limit}
	r.handOver(out)
}

// inTouch says whether a peer has answered within the last election timeout.
func (r *Raft) inTouch(p *peer) bool {
	return p.contact != 0 && r.now-p.contact < r.cfg.ElectionTimeout
}

// successor returns the voter among those that fit which would lead best: who is not unfit, then by priority, then by how much
// of the log it has. nil if none is in touch.
func (r *Raft) successor(fits func(p *peer) bool) *peer {
	var best *peer
	for i := range r.peers {
		p := &r.peers[i]
		if p.id == r.cfg.ID || !p.voter || p.needs != 0 || !r.inTouch(p) || !fits(p) {
			continue
		}
		if best == nil || r.better(p, best) {
			best = p
		}
	}
	return best
}

// better says whether p would lead better than o.
func (r *Raft) better(p, o *peer) bool {
	switch a, b := r.priority(p.id), r.priority(o.id); {
	case p.unfit != o.unfit:
		return o.unfit
	case a != b:
		return a > b
	default:
		return p.match > o.match
	}
}

// ready says whether leadership can go to p at once: what it misses is under way.
func (r *Raft) ready(p *peer) bool {
	return p.state == stateReplicate && p.match+nearlyCaughtUp >= r.log.last
}

// priority returns the priority of a member, 0 for anybody else.
func (r *Raft) priority(id NodeID) uint8 {
	m := r.Membership()
	if i, ok := m.find(id); ok {
		return m.Members[i].Priority
	}
	return 0
}

// setPreferred follows the membership: who is not preferred campaigns a little later.
func (r *Raft) setPreferred() {
	m, own := r.Membership(), r.priority(r.cfg.ID)
	r.preferred = true
	for i := range m.Members {
		if p := &m.Members[i]; !p.Learner && p.Priority > own {
			r.preferred = false
		}
	}
}

// handOver goes on with a transfer: once the target has the whole log on its disk, and every client here has been
// answered, it is told to campaign.
func (r *Raft) handOver(out *Effects) {
	t := &r.transfer
	if r.role != Leader || t.to == 0 {
		return
	}
	p := r.peer(t.to)
	if p == nil || !p.voter || r.now >= t.deadline {
		*t = transfer{}
		r.transferAt = r.now + transferPause*r.cfg.ElectionTimeout
		if !r.joint && !r.Membership().votes(r.cfg.ID) {
			r.becomeFollower(r.term, 0, out) // see retire
		}
		r.leaveJoint(out) // what the heir would have done
		return
	}
	if p.match == r.log.last && r.applied == r.log.last && r.now >= t.againAt {
		t.againAt = r.now + r.cfg.HeartbeatEvery
		r.handedOver = true
		out.Send = append(out.Send, Message{Type: MsgTimeoutNow, From: r.cfg.ID, To: p.id, Term: r.term})
	}
}

const (
	// transferPause is the number of election timeouts before a leader tries again by itself to hand over.
	transferPause = 10
	// unfitPause is the least number of election timeouts that an unfit leader leads before it hands over: by then it has heard
	// from everybody who else is unfit, and who may not hand over more often cannot do it in a circle.
	unfitPause = 3
	// nearlyCaughtUp is how many entries a voter may miss when leadership is to go to it: they are sent while proposals wait.
	nearlyCaughtUp = 64
)

// preferOther hands leadership over when the own disk stalls and the others go on; when this node is unfit, to a voter that
// is not; or to a voter with a higher priority that has caught up, and is not unfit.
func (r *Raft) preferOther(out *Effects) {
	if r.transfer.to != 0 || r.now < r.transferAt {
		return
	}
	var best *peer
	limit := r.cfg.ElectionTimeout
	switch {
	case r.leftBehind():
		best = r.successor(func(p *peer) bool { return p.match >= r.commit })
		limit /= 2
	case r.changing():
	case r.unfit:
		if r.now >= r.leaderSince+unfitPause*r.cfg.ElectionTimeout {
			best = r.successor(func(p *peer) bool { return !p.unfit && r.ready(p) })
		}
	case !r.preferred:
		own := r.priority(r.cfg.ID)
		best = r.successor(func(p *peer) bool { return !p.unfit && r.priority(p.id) > own && r.ready(p) })
	}
	if best != nil {
		r.beginTransfer(best, limit, out)
	}
}
