package raft

// maxReads bounds the reads that wait for an answer.
const maxReads = 1 << 16

// waitingRead waits on the leader for a quorum to answer a message sent after it came. Invariant: ctx ascends.
type waitingRead struct {
	ctx   uint64
	index uint64 // what must be applied before the read
	from  NodeID // who asked; the node itself for an EvReadIndex
	id    uint64 // of the EvReadIndex, or Ctx of the MsgReadIndex
}

// onReadIndex handles EvReadIndex.
func (r *Raft) onReadIndex(id uint64, quorum bool, out *Effects) {
	switch {
	case r.role == Leader:
		r.leaderRead(r.cfg.ID, id, quorum, out)
	case r.leader == 0 || len(r.forwarded) >= maxReads:
		out.Reads = append(out.Reads, Read{ID: id, Err: ErrNotLeader})
	default:
		m := Message{Type: MsgReadIndex}
		if quorum {
			m.Hint = 1
		}
		r.askLeader(&r.forwarded, id, m, out)
	}
}

// onMsgReadIndex handles a follower's question. Its term does not matter: what matters is who leads now.
func (r *Raft) onMsgReadIndex(m *Message, out *Effects) {
	if r.peer(m.From) == nil {
		return
	}
	if r.role != Leader {
		r.readAnswer(m.From, m.Ctx, 0, false, out)
		return
	}
	r.leaderRead(m.From, m.Ctx, m.Hint != 0, out)
}

// leaderRead answers by the lease, unless a quorum is to be asked, or starts a round, or lets the read wait for the end of
// the one under way.
//
// The index is never below the own no-op: everything that earlier leaders committed stands before it.
func (r *Raft) leaderRead(from NodeID, id uint64, quorum bool, out *Effects) {
	if !quorum && r.now < r.lease() {
		r.readAnswer(from, id, r.commit, true, out)
		return
	}
	if len(r.reads) >= maxReads {
		r.readAnswer(from, id, 0, false, out)
		return
	}
	r.readCtx++
	r.reads = append(r.reads, waitingRead{ctx: r.readCtx, index: max(r.commit, r.noop), from: from, id: id})
	if r.reached(byRead) >= r.readRound {
		r.heartbeatAll(out)
	}
	r.answerReads(out)
}

// answerReads answers every read that a quorum has confirmed. A message carries the number of the newest read that came
// before it was sent, so its answer, however late, confirms no read that came after.
func (r *Raft) answerReads(out *Effects) {
	if len(r.reads) == 0 || r.role != Leader {
		return
	}
	confirmed := r.reached(byRead)
	n := 0
	if r.commit >= r.noop {
		for n < len(r.reads) && r.reads[n].ctx <= confirmed {
			w := &r.reads[n]
			r.readAnswer(w.from, w.id, w.index, true, out)
			n++
		}
		r.reads = r.reads[:copy(r.reads, r.reads[n:])]
	}
	if len(r.reads) > 0 && confirmed >= r.readRound && r.reads[len(r.reads)-1].ctx > confirmed {
		r.heartbeatAll(out)
	}
}

// readAnswer answers one read. A follower that asked needs the commit index too, and promptly.
func (r *Raft) readAnswer(to NodeID, id, index uint64, ok bool, out *Effects) {
	if to == r.cfg.ID {
		res := Read{ID: id, Index: index}
		if !ok {
			res = Read{ID: id, Err: ErrNotLeader}
		}
		out.Reads = append(out.Reads, res)
		return
	}
	out.Send = append(out.Send, Message{Type: MsgReadIndexResp, From: r.cfg.ID, To: to, Term: r.term, Index: index, Ctx: id, Reject: !ok})
	if p := r.peer(to); ok && p != nil && p.commit < index {
		p.owed = max(p.owed, index)
		r.payCommit(p, out)
	}
}

// payCommit tells a follower of a commit that one of its reads waits for, once the own state machine has applied it.
func (r *Raft) payCommit(p *peer, out *Effects) {
	if p.owed == 0 || r.applied < p.owed {
		return
	}
	if p.commit < p.owed && p.state == stateReplicate {
		r.heartbeat(p, out)
	}
	p.owed = 0
}

// dropReads refuses the waiting reads when the node stops leading.
func (r *Raft) dropReads(out *Effects) {
	for i := range r.reads {
		r.readAnswer(r.reads[i].from, r.reads[i].id, 0, false, out)
	}
	r.reads = r.reads[:0]
}

// onReadIndexResp handles the leader's answer.
func (r *Raft) onReadIndexResp(m *Message, out *Effects) {
	if m.From != r.leader {
		return
	}
	id, ok := r.forwarded.answer(m.Ctx)
	if !ok {
		return
	}
	res := Read{ID: id, Index: m.Index}
	if m.Reject {
		res.Index, res.Err = 0, ErrNotLeader
	}
	out.Reads = append(out.Reads, res)
}
