package raft

import "math"

// question waits on a follower for the leader's answer: a read, a change or a transfer.
type question struct {
	ctx      uint64 // of the message; no two of a node's questions have the same
	id       uint64 // of the event
	deadline int64
}

// questions are those that wait. Invariant: ctx and deadline ascend.
type questions []question

// answer removes the question that ctx answers, and returns its id; false if there is none any more.
func (q *questions) answer(ctx uint64) (id uint64, ok bool) {
	for i, x := range *q {
		if x.ctx == ctx {
			*q = append((*q)[:i], (*q)[i+1:]...)
			return x.id, true
		}
	}
	return 0, false
}

// expire removes the questions whose deadline is over, and calls late with the id of each.
func (q *questions) expire(now int64, late func(id uint64)) {
	n := 0
	for n < len(*q) && (*q)[n].deadline <= now {
		late((*q)[n].id)
		n++
	}
	*q = (*q)[:copy(*q, (*q)[n:])]
}

// askLeader sends m to the leader and keeps the question in q. REQUIRES: a leader is known, and is another node.
func (r *Raft) askLeader(q *questions, id uint64, m Message, out *Effects) {
	r.forwardCtx++
	*q = append(*q, question{ctx: r.forwardCtx, id: id, deadline: r.now + r.cfg.ElectionTimeout})
	m.From, m.To, m.Term, m.Ctx = r.cfg.ID, r.leader, r.term, r.forwardCtx
	out.Send = append(out.Send, m)
}

// giveUp answers the questions that the leader has not answered in time.
func (r *Raft) giveUp(now int64, out *Effects) {
	r.forwarded.expire(now, func(id uint64) { out.Reads = append(out.Reads, Read{ID: id, Err: ErrNotLeader}) })
	r.asked.expire(now, func(id uint64) { out.Answers = append(out.Answers, Answer{ID: id, Err: ErrNotLeader}) })
}

// giveUpAll answers everything that was asked of a leader that is no more.
func (r *Raft) giveUpAll(out *Effects) { r.giveUp(math.MaxInt64, out) }
