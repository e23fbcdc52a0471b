package raft

import (
	"encoding/binary"
	"slices"
)

// Clone returns a core that goes on as r would. The two share only what neither ever changes, so a search can try several
// events from one state.
func (r *Raft) Clone() *Raft {
	c := *r
	c.log.runs = slices.Clone(r.log.runs)
	c.log.chunks = slices.Clone(r.log.chunks)
	for i := range c.log.chunks {
		c.log.chunks[i].ents = slices.Clip(c.log.chunks[i].ents) // the next entry goes to a new array
	}
	c.dur.promises = slices.Clone(r.dur.promises)
	c.dur.appends = slices.Clone(r.dur.appends)
	c.members = slices.Clip(r.members)
	c.peers = slices.Clone(r.peers)
	for i := range c.peers {
		c.peers[i].flight.msgs = slices.Clone(r.peers[i].flight.msgs)
	}
	c.reads = slices.Clone(r.reads)
	c.forwarded = slices.Clone(r.forwarded)
	c.asked = slices.Clone(r.asked)
	return &c
}

// Moment is a time on the clock of a node.
type Moment struct {
	Owner NodeID
	At    int64
}

// View gives nodes and moments other names, so that states that differ only in names get the same bytes.
type View struct {
	Nodes []NodeID              // every node there is; its name is its position, counted from 1
	Rank  func(m Moment) uint64 // must keep the order of the moments of one owner
}

func (v *View) name(id NodeID) uint64 { return uint64(slices.Index(v.Nodes, id) + 1) }

// moments are those that the send times of answers are compared with.
func (p *peer) moments() [4]int64 { return [...]int64{p.matchedAt, p.probedAt, p.sentAt, p.addedAt} }

// AppendMoments appends every moment whose order decides what r does next: those that AppendState ranks.
func (r *Raft) AppendMoments(dst []Moment) []Moment {
	if r.role == Leader {
		for i := range r.peers {
			p := &r.peers[i]
			for _, at := range p.moments() {
				dst = append(dst, Moment{r.cfg.ID, at})
			}
		}
	}
	for i := range r.dur.promises {
		if m := &r.dur.promises[i].msg; m.SentAt != 0 {
			dst = append(dst, Moment{m.To, m.SentAt})
		}
	}
	return dst
}

// AppendState appends all that decides what r does next, provided that any timer may run out at any moment: two cores of
// one Config with the same bytes answer the same events in the same way. The clock, the timers and the dice are left out,
// sequence numbers of the disk are counted from what is durable, names follow v.
func (r *Raft) AppendState(dst []byte, v *View) []byte {
	w := stateWriter{b: dst, v: v}
	w.nums(r.term, uint64(r.role), w.v.name(r.vote), w.v.name(r.leader), r.commit, r.emitted, r.applied, r.first)
	w.nums(r.snap.Index, r.snap.Term)
	w.flags(r.unfit, r.stateless)
	w.log(&r.log)
	w.durability(&r.dur)
	w.num(uint64(len(r.members)))
	for i := range r.members {
		w.num(r.members[i].index)
		w.membership(&r.members[i].m)
	}
	for _, id := range v.Nodes {
		if p := r.peer(id); p != nil {
			w.peer(r, p)
		}
	}
	if r.role == Leader {
		w.nums(r.noop, uint64(r.uncommitted), w.v.name(r.transfer.to), r.readCtx, r.readRound, uint64(len(r.reads)))
		w.flags(r.handedOver)
		for _, q := range r.reads {
			w.nums(q.ctx, q.index, w.v.name(q.from), q.id)
		}
	}
	w.num(uint64(len(r.forwarded)))
	for _, f := range r.forwarded {
		w.nums(r.forwardCtx-f.ctx, f.id)
	}
	w.num(uint64(len(r.asked)))
	for _, a := range r.asked {
		w.nums(r.forwardCtx-a.ctx, a.id)
	}
	return w.b
}

type stateWriter struct {
	b []byte
	v *View
}

func (w *stateWriter) num(n uint64) { w.b = binary.AppendUvarint(w.b, n) }

func (w *stateWriter) nums(ns ...uint64) {
	for _, n := range ns {
		w.num(n)
	}
}

func (w *stateWriter) flags(bits ...bool) {
	var n uint64
	for i, b := range bits {
		if b {
			n |= 1 << i
		}
	}
	w.num(n)
}

func (w *stateWriter) log(l *memLog) {
	w.nums(l.last, uint64(len(l.runs)), uint64(len(l.chunks)))
	for _, run := range l.runs {
		w.nums(run.term, run.first)
	}
	for i := range l.chunks {
		w.num(uint64(len(l.chunks[i].ents)))
		w.entries(l.chunks[i].ents)
	}
}

func (w *stateWriter) entries(ents []Entry) {
	for i := range ents {
		e := &ents[i]
		w.nums(e.Index, e.Term, uint64(e.Kind), uint64(len(e.Data)))
		switch e.Kind {
		case EntryMembership: // it names nodes
			if m, err := DecodeMembership(e.Data); err == nil {
				w.membership(&m)
			}
		case EntryChanges:
			changes, _ := DecodeChanges(e.Data)
			for j := range changes {
				w.num(uint64(changes[j].Kind))
				w.member(&changes[j].Member)
			}
		default:
			w.b = append(w.b, e.Data...)
		}
	}
}

func (w *stateWriter) durability(d *durability) {
	w.nums(d.seq-d.done, max(d.hard, d.done)-d.done, d.index, uint64(len(d.promises)), uint64(len(d.appends)))
	for _, id := range w.v.Nodes { // promises to different nodes have no order
		for i := range d.promises {
			if p := &d.promises[i]; p.msg.To == id {
				w.num(p.seq - d.done)
				w.b = AppendMessageState(w.b, &p.msg, w.v)
			}
		}
	}
	for _, a := range d.appends {
		w.nums(a.seq-d.done, a.index)
	}
}

func (w *stateWriter) membership(m *Membership) {
	w.nums(uint64(len(m.Members)), uint64(len(m.OldVoters)))
	for _, id := range w.v.Nodes {
		for j := range m.Members {
			if m.Members[j].ID == id {
				w.member(&m.Members[j])
			}
		}
		w.flags(slices.Contains(m.OldVoters, id))
	}
}

func (w *stateWriter) member(m *Member) {
	w.nums(w.v.name(m.ID), uint64(m.Priority), m.Incarnation)
	w.flags(m.Learner, m.Promote, m.Leaving)
}

func (w *stateWriter) peer(r *Raft, p *peer) {
	w.num(uint64(p.vote))
	w.flags(p.voter, p.oldVoter)
	if r.role != Leader || p.id == r.cfg.ID {
		return
	}
	w.flags(p.probed, p.fetching, p.contact != 0, p.roundAt != 0, p.caughtUp, p.unfit, p.helping)
	if d := p.departed; d != nil {
		w.num(d.index)
		w.member(&d.member)
	}
	w.nums(p.match, p.next, uint64(p.state), p.readCtx, p.commit, p.owed, p.fetchLo, p.knownIndex, p.knownT, p.snapshot, p.roundEnd, p.needs)
	for _, at := range p.moments() {
		w.num(w.v.Rank(Moment{r.cfg.ID, at}))
	}
	w.num(uint64(p.flight.n))
	for k := range p.flight.n {
		f := p.flight.msgs[(p.flight.first+k)%len(p.flight.msgs)]
		w.nums(f.last, uint64(f.bytes))
	}
}

// AppendMessageState appends what a message says.
func AppendMessageState(dst []byte, m *Message, v *View) []byte {
	w := stateWriter{b: dst, v: v}
	hint := m.Hint
	if m.Type == MsgTransfer {
		hint = v.name(NodeID(hint))
	}
	w.nums(uint64(m.Type), v.name(m.From), v.name(m.To), m.Term, m.Index, m.LogTerm, m.Commit, hint, m.HintTerm, m.Ctx)
	w.flags(m.Reject, m.Transfer)
	if m.SentAt != 0 {
		owner := m.From
		if m.Type == MsgAppendResp {
			owner = m.To
		}
		w.num(v.Rank(Moment{owner, m.SentAt}))
	}
	w.num(uint64(len(m.Entries)))
	w.entries(m.Entries)
	return w.b
}
