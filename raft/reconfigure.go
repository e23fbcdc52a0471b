package raft

import (
	"cmp"
	"slices"
)

// maxAsked bounds the changes and transfers that wait for the leader's answer.
const maxAsked = 64

// onChange handles EvChange.
func (r *Raft) onChange(ev *Event, out *Effects) {
	if r.role == Leader || r.leader == 0 {
		err := r.reconfigure(ev.Changes, out)
		out.Answers = append(out.Answers, Answer{ID: ev.ID, Index: r.log.last, Err: err})
		return
	}
	data := AppendChanges(nil, ev.Changes)
	r.ask(ev.ID, Message{Type: MsgChange, Entries: []Entry{{Kind: EntryChanges, Data: data}}}, out)
}

// ask passes a change or transfer on to the leader.
func (r *Raft) ask(id uint64, m Message, out *Effects) {
	if r.role != Follower || len(r.asked) >= maxAsked {
		out.Answers = append(out.Answers, Answer{ID: id, Err: ErrNotLeader})
		return
	}
	r.askLeader(&r.asked, id, m, out)
}

// onRequest handles MsgChange and MsgTransfer. One that was asked of another term's leader has been given up, and what was
// asked since may contradict it.
func (r *Raft) onRequest(m *Message, out *Effects) {
	if r.peer(m.From) == nil {
		return
	}
	var err error
	if m.Term != r.term {
		err = ErrNotLeader
	} else if m.Type == MsgTransfer {
		err = r.startTransfer(NodeID(m.Hint), out)
	} else {
		var changes []Change
		if changes, err = DecodeChanges(m.Entries[0].Data); err == nil {
			err = r.reconfigure(changes, out)
		}
	}
	out.Send = append(out.Send, Message{
		Type: MsgAnswer, From: r.cfg.ID, To: m.From, Term: r.term, Index: r.log.last, Ctx: m.Ctx, Hint: answerCode(err),
	})
}

// onAnswer handles the leader's answer.
func (r *Raft) onAnswer(m *Message, out *Effects) {
	if m.From != r.leader || m.Hint >= uint64(len(answers)) {
		return
	}
	if id, ok := r.asked.answer(m.Ctx); ok {
		out.Answers = append(out.Answers, Answer{ID: id, Index: m.Index, Err: answers[m.Hint]})
	}
}

// changing says whether the membership in effect is on its way: joint, or not committed. Before the own no-op is
// committed nobody knows (Ongaro's correction of single-server changes, 2015).
func (r *Raft) changing() bool {
	return r.joint || r.commit < max(r.noop, r.members[len(r.members)-1].index)
}

// Changing says whether the membership in effect is joint or not committed.
func (r *Raft) Changing() bool { return r.changing() }

// reconfigure begins to change the membership; nil also when nothing is to be done.
func (r *Raft) reconfigure(changes []Change, out *Effects) error {
	switch {
	case r.role != Leader:
		return ErrNotLeader
	case r.changing() || r.transfer.to != 0:
		return ErrPending
	}
	m := r.Membership()
	target, err := m.With(changes)
	if err != nil || slices.Equal(target.Members, m.Members) {
		return err
	}
	if r.log.last >= maxNumber {
		return ErrBusy
	}
	r.appendMembership(m.toward(target), out)
	return nil
}

// appendMembership lets m take effect. REQUIRES: role is Leader; m is a legal successor of the membership in effect.
func (r *Raft) appendMembership(m Membership, out *Effects) {
	r.pushMembership(r.log.last+1, m)
	r.appendOwn(Entry{Kind: EntryMembership, Data: AppendMembership(nil, m)}, out)
	r.maybeCommit(out) // the new quorum may have more on disk than the old one
}

// leaveJoint ends a joint membership that is committed, whoever began it (thesis 4.3). While leadership is handed over the
// next leader does it.
func (r *Raft) leaveJoint(out *Effects) {
	if r.role == Leader && r.joint && r.transfer.to == 0 && r.commit >= max(r.noop, r.members[len(r.members)-1].index) {
		r.appendMembership(r.Membership().left(), out)
	}
}

// retire ends the leadership of a node that is no member any more, once everybody who stays knows that (thesis 4.2.2): it
// hands over, or steps down if it cannot.
func (r *Raft) retire(out *Effects) {
	if r.transfer.to != 0 || r.changing() || r.Membership().votes(r.cfg.ID) || r.applied < r.members[len(r.members)-1].index {
		return
	}
	r.heartbeatAll(out)
	if r.startTransfer(0, out) != nil {
		r.becomeFollower(r.term, 0, out)
	}
}

// catchUp follows a learner that is to be promoted through rounds (thesis 4.2.1): in each it gets what the leader had when
// the round began. When a round takes less than an election timeout, the rest will not delay commits.
func (r *Raft) catchUp(p *peer) {
	if p.roundAt != 0 {
		if p.match < p.roundEnd {
			return
		}
		p.caughtUp = r.now-p.roundAt < r.cfg.ElectionTimeout
	}
	p.roundAt, p.roundEnd = r.now, r.log.last
}

// promoteLearners makes voters of the learners that have caught up and are in touch.
func (r *Raft) promoteLearners(out *Effects) {
	if r.changing() || r.transfer.to != 0 || r.log.last >= maxNumber {
		return
	}
	m := r.Membership()
	var target Membership
	for i := range r.peers {
		p := &r.peers[i]
		if !p.promote || !p.caughtUp || p.needs != 0 || !r.inTouch(p) {
			continue
		}
		if target.Members == nil {
			target.Members = slices.Clone(m.Members)
		}
		at, _ := target.find(p.id)
		target.Members[at].Learner, target.Members[at].Promote = false, false
	}
	if target.Members != nil {
		r.appendMembership(m.toward(target), out)
	}
}

// departed is what a leader keeps of a peer that was removed, until it knows of that or is given up: a node that does not
// would campaign for ever.
type departed struct {
	member Member
	index  uint64 // of the membership without it
	until  int64
}

// departTimeouts is for how many election timeouts a removed node is told.
const departTimeouts = 10

// depart keeps those of before that are no peers any more.
func (r *Raft) depart(index uint64, before *Membership) {
	for i := range before.Members {
		m := &before.Members[i]
		if m.ID == r.cfg.ID || r.peer(m.ID) != nil {
			continue
		}
		p := peer{id: m.ID, next: r.log.last + 1, addedAt: r.now}
		p.flight.msgs = make([]flight, r.cfg.MaxInflightMsgs)
		p.departed = &departed{member: *m, index: index, until: r.now + departTimeouts*r.cfg.ElectionTimeout}
		at, _ := slices.BinarySearchFunc(r.peers, m.ID, func(p peer, id NodeID) int { return cmp.Compare(p.id, id) })
		r.peers = slices.Insert(r.peers, at, p)
	}
}

// departLatest keeps those that the newest change has removed. One of them may be the leader that has handed over, and its clients
// wait there to be told who leads now.
func (r *Raft) departLatest() {
	if n := len(r.members); n > 1 && !r.joint {
		r.depart(r.members[n-1].index, &r.members[n-2].m)
		r.version++
	}
}

// forgetDeparted drops those that know, or that have had their time.
func (r *Raft) forgetDeparted() {
	n := len(r.peers)
	r.peers = slices.DeleteFunc(r.peers, func(p peer) bool {
		return p.departed != nil && (r.now >= p.departed.until || p.match >= p.departed.index && p.commit >= p.departed.index)
	})
	if len(r.peers) != n {
		r.version++ // who is to be reached has changed
	}
}

// Contacts returns the members in effect and those that were removed and are still told of that: everybody a transport
// should reach. It allocates.
func (r *Raft) Contacts() []Member {
	all := slices.Clone(r.Membership().Members)
	for i := range r.peers {
		if d := r.peers[i].departed; d != nil {
			all = append(all, d.member)
		}
	}
	return all
}
