package raft

// A node is stateless while the snapshot that its log begins behind cannot be read: it has its vote and its log, and
// nothing to apply the log to. The package comment says what it may do.
//
// It tells the leader with every acknowledgement: Commit of a MsgAppendResp is 0, or the index from which on a snapshot
// gives its sender a state. That is the index of the snapshot it has lost: what is below it may be gone from its log, and
// its journal does not go back. The leader sends one beside the entries, so that the node goes on counting for commits
// meanwhile.

// Stateless says whether the node waits for a state.
func (r *Raft) Stateless() bool { return r.stateless }

// Alone says whether no other voter exists that could have what this node lacks.
func (r *Raft) Alone() bool {
	for i := range r.peers {
		if p := &r.peers[i]; (p.voter || p.oldVoter) && p.id != r.cfg.ID {
			return false
		}
	}
	return true
}

// needs is what an acknowledgement says of the own state.
func (r *Raft) needs() uint64 {
	if r.stateless {
		return r.snap.Index
	}
	return 0
}

// adopt takes the state of a snapshot that the own log goes through: every entry behind it stays, others may count on it.
// REQUIRES: stateless; snap.Index <= s.Index, and the log matches s.
func (r *Raft) adopt(s SnapshotMeta, out *Effects) {
	if s.Index > r.commit {
		r.commitTo(s.Index)
	}
	r.stateless = false
	r.emitted = s.Index
	r.snap = s
	r.dropMemberships(s.Index)
	meta := s
	out.Install = &meta
}

// help sends a snapshot to a peer that has lost its state, at most one stream at a time.
func (r *Raft) help(p *peer, out *Effects) {
	if p.needs == 0 || p.helping || p.state == stateSnapshot || p.departed != nil || r.now < p.retryAt || r.applied < p.needs {
		return
	}
	p.helping = true
	out.Snapshots = append(out.Snapshots, SendSnapshot{To: p.id, Index: max(r.snap.Index, p.needs), Least: p.needs, Term: r.term})
}

// helped takes the end of a stream that help began. It reports whether there was one.
func (r *Raft) helped(p *peer, failed bool) bool {
	if !p.helping {
		return false
	}
	p.helping = false
	p.retryAt = r.now + r.cfg.ElectionTimeout // by then the peer has said whether it has a state now
	if failed {
		p.retryAt = r.now + r.cfg.HeartbeatEvery
	}
	return true
}
