package explore

import (
	"fmt"
	"slices"

	"kvapp/raft"
)

// moment is what a step is compared with.
type moment struct {
	role               raft.Role
	term, commit, last uint64
	members            *raft.Membership // in effect
	changed            uint64           // since which index
}

func (n *node) moment() moment {
	c := n.core
	m := moment{role: c.Role(), term: c.Term(), commit: c.Commit(), last: c.LastIndex(), members: c.Membership()}
	for m.changed = uint64(len(n.log)); m.changed > 0 && n.log[m.changed-1].kind != raft.EntryMembership; {
		m.changed--
	}
	return m
}

// checkStep tests what spans nodes, after node i has answered one event. n.log holds the new entries already.
func (w *World) checkStep(s *state, i int, n *node, was moment, out *raft.Effects) error {
	switch {
	case n.core.Term() < was.term:
		return fmt.Errorf("the term of n%d goes back from %d to %d", i+1, was.term, n.core.Term())
	case n.core.Commit() < was.commit:
		return fmt.Errorf("the commit index of n%d goes back from %d to %d", i+1, was.commit, n.core.Commit())
	case was.role == raft.Leader && n.core.Role() == raft.Leader && n.core.LastIndex() < was.last:
		return fmt.Errorf("n%d leads and cuts its log", i+1)
	case n.core.LastIndex() != uint64(len(n.log)):
		return fmt.Errorf("the log of n%d ends at %d, but %d entries went to its disk", i+1, n.core.LastIndex(), len(n.log))
	}
	if len(out.Persist.Entries) > 0 {
		for j, o := range s.nodes {
			if err := sameLogs(i, n.log, j, o.log); err != nil {
				return err
			}
		}
	}
	if n.core.Role() == raft.Leader {
		if err := s.leads(i, n); err != nil {
			return err
		}
	}
	for k := range out.Send {
		if err := s.promised(i, n, &out.Send[k]); err != nil {
			return err
		}
	}
	for k := range out.Apply {
		if err := s.committed(i, n, was, &out.Apply[k]); err != nil {
			return err
		}
	}
	for k := range out.Reads {
		if r := &out.Reads[k]; r.Err == nil && r.Index < uint64(s.past.reads[r.ID-1]) {
			return fmt.Errorf("n%d answers a read at %d, but %d entries were committed before it was asked", i+1, r.Index, s.past.reads[r.ID-1])
		}
	}
	return nil
}

// sameLogs is log matching: logs that agree at one index agree before it.
func sameLogs(i int, a []slot, j int, b []slot) error {
	same := false
	for k := min(len(a), len(b)) - 1; k >= 0; k-- {
		switch {
		case a[k] == b[k]:
			same = true
		case same:
			return fmt.Errorf("the logs of n%d and n%d agree behind %d, but not there", i+1, j+1, k+1)
		case a[k].term == b[k].term:
			return fmt.Errorf("entry %d of term %d is not the same on n%d and n%d", k+1, a[k].term, i+1, j+1)
		}
	}
	return nil
}

// leads is election safety and leader completeness; it remembers the leader's log.
func (s *state) leads(i int, n *node) error {
	term := n.core.Term()
	if was := s.past.leaders[term]; was != 0 && was != id(i) {
		return fmt.Errorf("n%d and n%d both lead term %d", was, i+1, term)
	}
	s.past.leaders[term] = id(i)
	for k, e := range s.past.ledger {
		if s.past.terms[k] < term && (k >= len(n.log) || n.log[k] != e) {
			return fmt.Errorf("n%d leads term %d without entry %d, which was committed in term %d", i+1, term, k+1, s.past.terms[k])
		}
	}
	s.past.logs[term] = n.log
	return nil
}

// promised tests what a message says about the disk of its sender, and that nobody votes twice.
func (s *state) promised(i int, n *node, m *raft.Message) error {
	hard := n.disk.hard
	switch {
	case m.Type == raft.MsgVote:
		if hard.Term < m.Term || (hard.Term == m.Term && hard.Vote != id(i)) {
			return fmt.Errorf("n%d asks for votes in term %d before that is durable", i+1, m.Term)
		}
	case m.Type == raft.MsgVoteResp && !m.Reject:
		if was := s.past.votes[i][m.Term]; was != 0 && was != m.To {
			return fmt.Errorf("n%d votes for n%d and for n%d in term %d", i+1, was, m.To, m.Term)
		}
		s.past.votes[i][m.Term] = m.To
		if hard.Term < m.Term || (hard.Term == m.Term && hard.Vote != m.To) {
			return fmt.Errorf("n%d votes in term %d before that is durable", i+1, m.Term)
		}
	case m.Type == raft.MsgAppendResp && !m.Reject:
		// A leader that lost its log in a crash is none any more, and does not count the answer.
		for k, e := range s.past.logs[m.Term][:min(m.Index, uint64(len(s.past.logs[m.Term])))] {
			if m.Term == n.core.Term() && !n.disk.holds(uint64(k)+1, e) {
				return fmt.Errorf("n%d acknowledges %d of term %d before entry %d is durable", i+1, m.Index, m.Term, k+1)
			}
		}
	}
	return nil
}

// committed tests an entry that node i hands to its state machine: it is everybody's at its index, and durable on a
// majority. A step that commits the end of a membership may commit more under the next one.
func (s *state) committed(i int, n *node, was moment, e *raft.Entry) error {
	if e.Index <= uint64(len(s.past.ledger)) {
		if s.past.ledger[e.Index-1] != slotOf(e) {
			return fmt.Errorf("n%d applies another entry at %d than was committed", i+1, e.Index)
		}
		return nil
	}
	if e.Index != uint64(len(s.past.ledger))+1 {
		return fmt.Errorf("n%d applies %d, but only %d entries were committed", i+1, e.Index, len(s.past.ledger))
	}
	s.past.ledger = append(slices.Clip(s.past.ledger), slotOf(e))
	s.past.terms = append(slices.Clip(s.past.terms), n.core.Term())
	if !s.durable(i, n, e, was.members) && (e.Index <= was.changed || !s.durable(i, n, e, n.core.Membership())) {
		return fmt.Errorf("n%d commits %d, which is not durable on a majority", i+1, e.Index)
	}
	return nil
}

// durable says whether e is on the disks of a majority of m, and of both halves if m is joint.
func (s *state) durable(i int, n *node, e *raft.Entry, m *raft.Membership) bool {
	var voters []raft.NodeID
	for _, p := range m.Members {
		if !p.Learner {
			voters = append(voters, p.ID)
		}
	}
	for _, half := range [...][]raft.NodeID{voters, m.OldVoters} {
		have := 0
		for _, v := range half {
			o := s.nodes[v-1]
			if v == id(i) {
				o = n
			}
			if o.disk.holds(e.Index, slotOf(e)) {
				have++
			}
		}
		if len(half) > 0 && have <= len(half)/2 {
			return false
		}
	}
	return true
}
