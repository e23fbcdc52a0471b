package raft

// maxNumber bounds terms and indices: a message beyond is malformed, and arithmetic never overflows.
const maxNumber = 1 << 62

// wellFormed checks what a peer sent before anything of it is believed.
func wellFormed(m *Message) bool {
	if m.From == 0 || m.Term > maxNumber || m.Index > maxNumber || m.Hint > maxNumber || m.Commit > maxNumber {
		return false
	}
	switch m.Type {
	case MsgReadIndex, MsgReadIndexResp, MsgTransfer, MsgAnswer:
		return true
	case MsgState:
		return false
	case MsgChange:
		return len(m.Entries) == 1 && m.Entries[0].Kind == EntryChanges
	}
	if m.Term == 0 {
		return false
	}
	if m.Type == MsgPreVote || m.Type == MsgVote {
		return m.LogTerm < m.Term
	}
	if m.Type != MsgAppend {
		return true
	}
	if m.LogTerm > m.Term || (m.Index == 0) != (m.LogTerm == 0) {
		return false
	}
	term := m.LogTerm
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Index != m.Index+1+uint64(i) || e.Term < max(term, 1) || e.Term > m.Term {
			return false
		}
		switch e.Kind {
		case EntryCommand, EntryNoop:
		case EntryMembership:
			if _, err := decodeEntry(e.Data); err != nil {
				return false
			}
		default:
			return false
		}
		term = e.Term
	}
	return true
}

// onAppend handles an append of the own term.
func (r *Raft) onAppend(m *Message, out *Effects) error {
	if r.role == Leader || (r.leader != 0 && r.leader != m.From) {
		return nil // a second leader of one term: whoever sends this is wrong, and must not be believed
	}
	if r.role != Follower || r.leader != m.From {
		r.becomeFollower(m.Term, m.From, out)
	}
	r.heard(m.From)
	prev, ents := m.Index, m.Entries
	switch {
	case prev < r.commit:
		// What is committed is the leader's too; an old append must not be compared with terms that are forgotten.
		skip := min(r.commit-prev, uint64(len(ents)))
		ents = ents[skip:]
		if t, ok := r.log.term(r.commit); ok && len(ents) > 0 && ents[0].Term < t {
			return nil // no leader has such a log
		}
	case !r.log.matches(prev, m.LogTerm):
		r.refuse(m, out)
		return nil
	}
	if err := r.appendNew(ents, out); err != nil {
		return err
	}
	// Everything up to here is the leader's. Behind it the own log may still differ.
	same := max(m.Index+uint64(len(m.Entries)), r.commit)
	if commit := min(m.Commit, same); commit > r.commit {
		r.commitTo(commit)
	}
	r.acknowledge(m, same, out)
	return nil
}

// appendNew takes over what the log does not have yet. Only a real conflict cuts it: an old append that arrives late
// must not undo a newer one.
func (r *Raft) appendNew(ents []Entry, out *Effects) error {
	for len(ents) > 0 && r.log.matches(ents[0].Index, ents[0].Term) {
		ents = ents[1:]
	}
	if len(ents) == 0 {
		return nil
	}
	first := ents[0].Index
	if first <= r.commit {
		return r.fault("conflict-with-committed")
	}
	if first <= r.log.last {
		r.log.truncate(first)
		r.dur.clamp(first - 1)
		r.popMemberships(first)
	}
	for i := range ents {
		r.log.append(ents[i])
		if ents[i].Kind == EntryMembership {
			m, err := decodeEntry(ents[i].Data)
			if err != nil {
				return r.fault("membership-entry")
			}
			r.pushMembership(ents[i].Index, m)
		}
	}
	r.persistFrom(first, out)
	return nil
}

// acknowledge tells the leader how far the logs agree. With entries the answer waits for the disk; without, it speaks
// only of what is on disk already and leaves at once, so that a slow disk does not look like a dead node. The term must
// be on disk in any case: the leader's lease counts on it.
func (r *Raft) acknowledge(m *Message, same uint64, out *Effects) {
	resp := Message{
		Type: MsgAppendResp, From: r.cfg.ID, To: m.From, Term: r.term, Index: same, Commit: r.needs(), Ctx: m.Ctx, SentAt: m.SentAt,
		Transfer: r.unfit,
	}
	if len(m.Entries) == 0 && r.dur.done >= r.dur.hard {
		resp.Index = min(same, r.dur.index)
		out.Send = append(out.Send, resp)
		return
	}
	r.promise(resp, out)
}

// refuse names the place where the leader should look next: the last entry whose term is not above the leader's.
func (r *Raft) refuse(m *Message, out *Effects) {
	resp := Message{
		Type: MsgAppendResp, From: r.cfg.ID, To: m.From, Term: r.term, Reject: true, Index: m.Index, Commit: r.needs(), Ctx: m.Ctx,
		SentAt: m.SentAt, Transfer: r.unfit,
	}
	resp.Hint = r.log.seek(m.Index, m.LogTerm)
	resp.HintTerm, _ = r.log.term(resp.Hint)
	if r.dur.done >= r.dur.hard {
		out.Send = append(out.Send, resp)
		return
	}
	r.promise(resp, out)
}

// onSnapshotReceived handles EvSnapshotReceived.
func (r *Raft) onSnapshotReceived(ev *Event, out *Effects) error {
	s := &ev.Snapshot
	if ev.Term < r.term || ev.Term > maxNumber || s.Index > maxNumber || s.Term > ev.Term || s.Membership.valid() != nil {
		return nil
	}
	if ev.Term == r.term && (r.role == Leader || (r.leader != 0 && r.leader != ev.From)) {
		return nil
	}
	if ev.Term > r.term || r.role != Follower || r.leader != ev.From {
		r.becomeFollower(ev.Term, ev.From, out)
	}
	r.heard(ev.From)
	switch {
	case r.stateless && s.Index >= r.snap.Index && r.log.matches(s.Index, s.Term):
		r.adopt(*s, out)
	case s.Index <= r.commit:
	case r.log.matches(s.Index, s.Term):
		r.commitTo(s.Index)
	default:
		r.install(*s, out)
	}
	r.promise(Message{Type: MsgAppendResp, To: ev.From, Term: r.term, Index: max(s.Index, r.commit), Commit: r.needs()}, out)
	return nil
}

// install replaces the whole log by a snapshot. Until that is durable the disk still holds the old log, of which the
// committed part is as good as the snapshot.
func (r *Raft) install(s SnapshotMeta, out *Effects) {
	r.dur.clamp(r.commit)
	r.log.reset(s.Index, s.Term)
	r.commit, r.emitted, r.stateless = s.Index, s.Index, false
	r.first = s.Index + 1
	r.snap = s
	r.members = []memberAt{{index: s.Index, m: s.Membership}}
	r.rebuildPeers()
	meta := s
	out.Install = &meta
	clear(out.Apply)
	out.Apply = out.Apply[:0]
	clear(out.Persist.Entries)
	out.Persist.Entries = out.Persist.Entries[:0]
	out.Persist.Install = &meta
	r.nextSeq(out)
	r.dur.appended(s.Index)
}

// onSnapshotSaved handles EvSnapshotSaved: the journal is shorter from now on.
func (r *Raft) onSnapshotSaved(ev *Event) error {
	s := &ev.Snapshot
	switch {
	case s.Index > r.commit:
		return r.fault("snapshot-not-committed")
	case r.stateless:
		return r.fault("snapshot-of-no-state")
	}
	if s.Index > r.snap.Index {
		r.snap = *s
		r.dropMemberships(s.Index)
	}
	// Never believe that more is gone than the snapshot replaces.
	r.first = max(r.first, min(ev.Index, r.snap.Index+1))
	if r.first > 0 {
		r.log.forget(r.first - 1)
	}
	return nil
}
