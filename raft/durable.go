package raft

// promise is a message that says something about the disk: it leaves once everything up to seq is durable.
type promise struct {
	seq uint64
	msg Message
}

// written is the last index of the log as of one Persist.Seq.
type written struct {
	seq   uint64
	index uint64
}

// durability knows what is on disk and holds back what others may rely on only when it is.
//
// Invariants: done <= seq; promises and appends are ordered by seq, and all of theirs are > done; index <= the last
// index of the log, and every entry up to it is on disk exactly as the log has it.
type durability struct {
	seq      uint64 // newest Persist.Seq handed out
	done     uint64 // newest Seq known to be durable
	hard     uint64 // newest Seq that changed term or vote
	since    int64  // when the disk last finished something, or got something to do
	index    uint64 // last own entry on disk
	promises []promise
	appends  []written
}

// appended notes that the log now ends at index, with the newest seq.
func (d *durability) appended(index uint64) {
	d.appends = append(d.appends, written{seq: d.seq, index: index})
}

// clamp is called when entries behind index are dropped from the log: a write of them that is still under way must not
// count for the entries that take their place.
func (d *durability) clamp(index uint64) {
	d.index = min(d.index, index)
	for i := range d.appends {
		d.appends[i].index = min(d.appends[i].index, index)
	}
}

// persisted takes the news that everything up to seq is durable.
func (d *durability) persisted(seq uint64) {
	d.done = max(d.done, seq)
	n := 0
	for n < len(d.appends) && d.appends[n].seq <= d.done {
		d.index = max(d.index, d.appends[n].index)
		n++
	}
	d.appends = d.appends[:copy(d.appends, d.appends[n:])]
}

// merge folds the append acknowledgement b into a, which may be older or newer: acknowledgements are cumulative. What they say of
// their sender is not, so that must be the same.
func (a *Message) merge(b *Message) bool {
	if a.Type != MsgAppendResp || b.Type != MsgAppendResp || a.To != b.To || a.Term != b.Term || a.Reject || b.Reject {
		return false
	}
	if a.Commit != b.Commit || a.Transfer != b.Transfer {
		return false
	}
	a.Index, a.Ctx, a.SentAt = max(a.Index, b.Index), max(a.Ctx, b.Ctx), max(a.SentAt, b.SentAt)
	return true
}

// promise sends m when everything handed out so far is durable.
func (r *Raft) promise(m Message, out *Effects) {
	m.From = r.cfg.ID
	d := &r.dur
	if d.done == d.seq {
		r.release(m, out)
		return
	}
	if n := len(d.promises); n > 0 && d.promises[n-1].seq == d.seq && d.promises[n-1].msg.merge(&m) {
		return
	}
	d.promises = append(d.promises, promise{seq: d.seq, msg: m})
}

// release lets a promise go; the own vote goes to the node itself. What was to be told to the leader of a term that is over is
// dropped: the entries may have been replaced before the disk had time for them.
func (r *Raft) release(m Message, out *Effects) {
	if m.Type == MsgAppendResp && m.Term < r.term {
		return
	}
	if m.To == r.cfg.ID {
		if r.role == Candidate && m.Term == r.term {
			r.recordVote(m.From, true, out)
		}
		return
	}
	out.Send = append(out.Send, m)
}

// onPersisted handles EvPersisted.
func (r *Raft) onPersisted(seq uint64, out *Effects) error {
	d := &r.dur
	if seq > d.seq {
		return r.fault("persisted-before-written")
	}
	d.persisted(seq)
	d.since = r.now
	n := 0
	for n < len(d.promises) && d.promises[n].seq <= d.done {
		n++
	}
	for i := 0; i < n; i++ {
		if i+1 < n && d.promises[i+1].msg.merge(&d.promises[i].msg) {
			continue
		}
		r.release(d.promises[i].msg, out)
	}
	rest := copy(d.promises, d.promises[n:])
	clear(d.promises[rest:])
	d.promises = d.promises[:rest]
	if r.role == Leader {
		r.maybeCommit(out)
		r.answerReads(out)
	}
	return nil
}

// stallTimeouts is the number of election timeouts without progress after which a disk counts as hung. It is well above
// what a busy disk takes for an fsync: a change of leader costs more than a slow write.
const stallTimeouts = 4

// diskHangs says whether the disk has had work for so long without finishing any that nobody should count on it: half as
// long when the others commit meanwhile, which they would not if it were the same for all.
func (r *Raft) diskHangs() bool {
	took := r.now - r.dur.since
	return r.dur.done < r.dur.seq && (took >= stallTimeouts*r.cfg.ElectionTimeout ||
		took >= stallTimeouts/2*r.cfg.ElectionTimeout && r.leftBehind())
}

// diskStalls says whether the disk has had work for half an election timeout without finishing any: too slow to begin to
// lead with.
func (r *Raft) diskStalls() bool {
	return r.dur.done < r.dur.seq && r.now-r.dur.since >= r.cfg.ElectionTimeout/2
}

// leftBehind says whether the others commit what the own disk stalls on, so that leadership is better with one of them. A
// disk that is slow for everybody, such as one that all share, is no reason to change anything.
func (r *Raft) leftBehind() bool { return r.diskStalls() && r.commit > r.dur.index }

// nextSeq opens the next write.
func (r *Raft) nextSeq(out *Effects) {
	if r.dur.done == r.dur.seq {
		r.dur.since = r.now
	}
	r.dur.seq++
	out.Persist.Seq = r.dur.seq
}

// hardChanged notes a new term or vote.
func (r *Raft) hardChanged(out *Effects) {
	r.nextSeq(out)
	r.dur.hard = r.dur.seq
	out.Persist.HardDirty = true
}

// persistFrom hands the entries from index on to the disk.
func (r *Raft) persistFrom(index uint64, out *Effects) {
	r.nextSeq(out)
	ents := out.Persist.Entries
	for len(ents) > 0 && ents[len(ents)-1].Index >= index { // replaced before the disk saw them
		ents = ents[:len(ents)-1]
	}
	out.Persist.Entries = r.log.appendTo(ents, index, r.log.last)
	r.dur.appended(r.log.last)
}
