package sim

import (
	"kvapp/node"
	"kvapp/raft"
)

// What a node may do at all, looked at when it does it. Each of these rules is a step of a proof: a cluster that breaks one
// is wrong at once, and shows it only if much else happens.

// duties is what a process is watched for over time.
type duties struct {
	born  int64            // on its own clock
	blank bool             // it began with nothing on its disk, so that nobody can count on what it promised
	clock int64            // of its state machine
	under *raft.Membership // the membership in effect when match was noted, in this term
	term  uint64
	match [MaxNodes]uint64
}

// ack is when a node last answered a leader in its term.
type ack struct {
	term uint64
	at   int64
}

// config is a committed membership, encoded.
type config struct {
	index uint64
	data  []byte
}

// isQuorum says whether a set of nodes, one bit each, is a majority of the voters, and of the old ones of a joint
// membership.
func (w *World) isQuorum(m *raft.Membership, set uint8) bool {
	return most(w.voters(m), set) && (len(m.OldVoters) == 0 || most(w.oldVoters(m), set))
}

// onWire looks at what a message says, besides what it promises.
func (w *World) onWire(h *host, m *raft.Message) {
	switch m.Type {
	case raft.MsgPreVoteResp:
		// A lease may count on a vote that was refused before the restart. What a transfer asks for it allows itself.
		if !m.Reject && !h.duties.blank && h.clock.Now() < h.duties.born+w.o.Election {
			w.fail("promises-after-a-start", "%s, %d ms after its start", describe{m}, (h.clock.Now()-h.duties.born)/ms)
		}
	case raft.MsgAppend:
		// Else a follower might show what the leader, who reads by its lease, does not show yet.
		if applied := h.store.Applied(); m.Commit > applied {
			w.fail("leader-shows-first", "%s, and it has applied %d", describe{m}, applied)
		}
	case raft.MsgAppendResp:
		if to := w.index(m.To); to >= 0 && m.Term == w.hosts[to].last.Term {
			w.acks[h.n][to] = ack{m.Term, w.now}
		}
	case raft.MsgTimeoutNow:
		b := h.core.Brief() // as of the turn's end: by then it may follow the heir, and have its entries
		if to := w.index(m.To); b.Term == m.Term && b.Last > w.hosts[to].shadow.last() {
			w.fail("heir-has-everything", "%s, whose disk holds entries up to %d, of %d", describe{m}, w.hosts[to].shadow.last(), b.Last)
		}
	}
}

// becameLeader checks that a new leader was elected.
func (w *World) becameLeader(h *host) {
	term, set := h.last.Term, uint8(0)
	for n := range w.votes {
		if v := w.votes[n]; term < uint64(len(v)) && raft.NodeID(v[term]) == h.id {
			set |= 1 << n
		}
	}
	if m := h.core.Membership(); !w.isQuorum(m, set) {
		w.fail("leader-has-a-quorum", "%v leads t%d with the votes of %07b, voters are %07b, before %07b", h, term, set, w.voters(m), w.oldVoters(m))
	}
}

// goesOnLeading compares a leader with what it was a turn before, in the same term.
func (w *World) goesOnLeading(h *host, was *raft.Brief) {
	b := &h.last
	own := func(index uint64) bool {
		t, ok := h.core.TermAt(index)
		return ok && t == b.Term
	}
	if b.Commit > was.Commit && !own(b.Commit) {
		w.fail("commits-its-own-term", "%v of t%d counts the copies of entry %d (thesis 3.6.2)", h, b.Term, b.Commit)
	}
	if b.Members == was.Members || h.members == nil {
		return
	}
	switch before, now := h.members, h.core.Membership(); {
	case !own(b.Commit):
		w.fail("changes-behind-own-entry", "%v of t%d changes the membership at %d, and has committed nothing but %d", h, b.Term, b.Members, b.Commit)
	case b.Commit < was.Members:
		w.fail("one-change-at-a-time", "%v of t%d changes the membership at %d, the one at %d is not committed", h, b.Term, b.Members, was.Members)
	default:
		w.promoted(h, w.voters(now)&w.listed(before)&^(w.voters(before)|w.oldVoters(before)))
	}
}

// promoted checks that who becomes a voter has something of the log.
func (w *World) promoted(h *host, set uint8) {
	if set == 0 {
		return
	}
	st := h.core.Status()
	for i := range st.Peers {
		if p := &st.Peers[i]; set>>w.index(p.ID)&1 == 1 && p.Match == 0 {
			w.fail("learners-catch-up", "%v makes n%d a voter, which has nothing yet", h, p.ID)
		}
	}
}

// matches checks that what a leader knows of the others only grows, as long as nobody leaves and comes back.
func (w *World) matches(h *host, peers []raft.PeerStatus) {
	d, m := &h.duties, h.core.Membership()
	same := d.under == m && d.term == h.last.Term
	d.under, d.term = m, h.last.Term
	for i := range peers {
		p := &peers[i]
		n := w.index(p.ID)
		if same && p.Match < d.match[n] {
			w.fail("match-grows", "%v of t%d knew that n%d has %d, now it says %d", h, d.term, n+1, d.match[n], p.Match)
		}
		d.match[n] = p.Match
	}
}

// readConfirmed checks that a leader that asks a quorum before it reads has been answered since.
func (w *World) readConfirmed(h *host, a *attempt) {
	if !w.o.QuorumReads || h.last.Role != raft.Leader || a.term != h.last.Term {
		return
	}
	set := uint8(1) << h.n
	for n := range w.hosts {
		if k := w.acks[n][h.n]; k.term == a.term && k.at >= a.asked {
			set |= 1 << n
		}
	}
	m := h.core.Membership()
	before := h.before // whoever confirmed it may have been a voter until a moment ago
	if before == nil {
		before = m
	}
	if !w.isQuorum(m, set) && !w.isQuorum(before, set) {
		w.fail("reads-ask-first", "%v of t%d serves a read, since which %07b have answered", h, a.term, set)
	}
}

// issued looks at what a leader hands to its disk.
func (w *World) issued(h *host, job *node.AppendJob) {
	b := h.core.Brief()
	if b.Role != raft.Leader {
		return
	}
	for i := range job.Record.Entries {
		e := &job.Record.Entries[i]
		if e.Term != b.Term || e.Kind != raft.EntryCommand {
			continue
		}
		// Its stamp and its effects follow from the state behind everything that was before.
		if t, ok := h.core.TermAt(h.store.Applied()); !ok || t != b.Term {
			w.fail("proposes-behind-own-entry", "%v of t%d proposes entry %d, and has applied %d", h, b.Term, e.Index, h.store.Applied())
		}
		return
	}
}

// membershipAt checks that a snapshot carries the membership of its index.
func (w *World) membershipAt(h *host, meta *raft.SnapshotMeta) {
	for i := len(w.configs) - 1; i >= 0; i-- {
		if c := &w.configs[i]; c.index <= meta.Index {
			if !same(raft.AppendMembership(nil, meta.Membership), c.data) {
				w.fail("snapshot-has-its-membership", "%v: a snapshot of %d does not hold the membership of %d", h, meta.Index, c.index)
			}
			return
		}
	}
}

// clockGrows checks that time goes on in a state machine.
func (w *World) clockGrows(h *host) {
	now := h.store.Clock()
	if now < h.duties.clock {
		w.fail("time-goes-on", "%v: the state's clock went from %d back to %d", h, h.duties.clock, now)
	}
	h.duties.clock = now
}
