package explore

import (
	"slices"

	"kvapp/raft"
)

// next carries out c on s, which is the caller's to change. It reports false when c is no choice in s, and the first
// invariant that is broken.
func (w *World) next(s *state, c *choice) (bool, error) {
	switch c.kind {
	case deliver, duplicate:
		return w.receive(s, c)
	case crash:
		return w.crash(s, c)
	}
	n := s.touch(c.node)
	leads := n.core.Role() == raft.Leader
	run := func(ev raft.Event) (bool, error) { return true, w.step(s, c.node, n, &ev) }
	switch c.kind {
	case persist:
		return w.persist(s, c.node, n, c.n)
	case campaign:
		return w.campaign(s, c.node, n)
	}
	if !leads {
		return false, nil
	}
	switch c.kind {
	case stepDown:
		n.now += electionTimeout
		return run(raft.Event{Kind: raft.EvTick})
	case heartbeat:
		s.spent.heartbeats++
		n.now = max(n.now, n.core.NextDeadline())
		return run(raft.Event{Kind: raft.EvTick})
	case propose:
		s.spent.proposals++
		return run(raft.Event{Kind: raft.EvPropose, EntryKind: raft.EntryCommand, Data: []byte{'a' + byte(s.spent.proposals) - 1}})
	case ask:
		s.spent.reads++
		s.past.reads = append(slices.Clip(s.past.reads), len(s.past.ledger))
		return run(raft.Event{Kind: raft.EvReadIndex, ID: uint64(s.spent.reads)})
	case transfer:
		s.spent.transfers++
		return run(raft.Event{Kind: raft.EvTransfer, To: id(c.n)})
	default:
		s.spent.changes++
		return run(raft.Event{Kind: raft.EvChange, Changes: w.Changes[s.spent.changes-1]})
	}
}

func sameMessage(a, b *raft.Message) bool {
	return a.Type == b.Type && a.From == b.From && a.To == b.To && a.Term == b.Term && a.Index == b.Index && a.LogTerm == b.LogTerm &&
		a.Commit == b.Commit && a.Hint == b.Hint && a.HintTerm == b.HintTerm && a.Ctx == b.Ctx && a.SentAt == b.SentAt &&
		a.Reject == b.Reject && a.Transfer == b.Transfer && len(a.Entries) == len(b.Entries)
}

func (w *World) receive(s *state, c *choice) (bool, error) {
	k := slices.IndexFunc(s.net, func(m *raft.Message) bool { return sameMessage(m, c.msg) })
	if k < 0 {
		return false, nil
	}
	m := s.net[k]
	i := int(m.To) - 1
	if m.Type == raft.MsgTimeoutNow && s.nodes[i].core.Term() >= w.Terms {
		return false, nil
	}
	if c.kind == deliver {
		s.net = slices.Delete(s.net, k, k+1)
	} else {
		s.spent.duplicates++
	}
	n := s.touch(i)
	if m.Type == raft.MsgVote && n.core.Role() != raft.Leader {
		n.now += electionTimeout // the node has promised its vote to nobody any more
	}
	return true, w.step(s, i, n, &raft.Event{Kind: raft.EvMessage, Msg: *m})
}

// campaign runs an election timeout and grants the pre-vote for everybody: it serves liveness, and safety must not depend
// on it.
func (w *World) campaign(s *state, i int, n *node) (bool, error) {
	term := n.core.Term()
	n.now = max(n.now, n.core.NextDeadline())
	if err := w.step(s, i, n, &raft.Event{Kind: raft.EvTick}); err != nil {
		return true, err
	}
	for j := range s.nodes {
		if j == i || n.core.Role() != raft.PreCandidate {
			continue
		}
		grant := raft.Message{Type: raft.MsgPreVoteResp, From: id(j), To: id(i), Term: term + 1}
		if err := w.step(s, i, n, &raft.Event{Kind: raft.EvMessage, Msg: grant}); err != nil {
			return true, err
		}
	}
	s.spent.campaigns++
	return n.core.Term() > term, nil
}

func (w *World) persist(s *state, i int, n *node, count int) (bool, error) {
	if count > len(n.writes) {
		return false, nil
	}
	for k := range count {
		n.disk.write(&n.writes[k])
	}
	seq := n.writes[count-1].Seq
	n.writes = slices.Clone(n.writes[count:])
	return true, w.step(s, i, n, &raft.Event{Kind: raft.EvPersisted, Seq: seq})
}

// crash loses what is not durable and starts the node again at once: a node that stays away is one that gets no messages.
func (w *World) crash(s *state, c *choice) (bool, error) {
	n := *s.nodes[c.node]
	if c.n+c.torn > len(n.writes) {
		return false, nil
	}
	for k := range c.n {
		n.disk.write(&n.writes[k])
	}
	if c.torn > 0 {
		p := merge(n.writes[c.n : c.n+c.torn])
		if c.records > len(p.Entries) {
			return false, nil
		}
		n.disk.tear(&p, c.records)
	}
	s.spent.crashes++
	s.nodes[c.node] = &n
	if err := w.start(c.node, &n); err != nil {
		return true, err
	}
	return true, w.step(s, c.node, &n, &raft.Event{Kind: raft.EvTick})
}

// step feeds ev to node i and does what the core asks for, but for the network and the disk; n is the node's copy of s.
func (w *World) step(s *state, i int, n *node, ev *raft.Event) error {
	ev.Now = n.now
	was := n.moment()
	out := &w.effects
	out.Reset()
	if err := n.core.Step(ev, out); err != nil {
		return err
	}
	if err := n.core.Check(); err != nil {
		return err
	}
	if out.Persist.Seq != 0 {
		p := out.Persist
		p.Entries = slices.Clone(p.Entries)
		n.writes = append(slices.Clip(n.writes), p)
		if len(p.Entries) > 0 {
			n.log = slices.Clip(n.log[:p.Entries[0].Index-1])
			for k := range p.Entries {
				n.log = append(n.log, slotOf(&p.Entries[k]))
			}
		}
	}
	if err := w.checkStep(s, i, n, was, out); err != nil {
		return err
	}
	for k := range out.Send {
		w.send(s, out.Send[k])
	}
	if len(out.Apply) > 0 {
		n.applied = out.Apply[len(out.Apply)-1].Index
		return w.step(s, i, n, &raft.Event{Kind: raft.EvApplied, Index: n.applied})
	}
	if !w.SlowDisks && w.Crashes == s.spent.crashes && len(n.writes) > 0 {
		_, err := w.persist(s, i, n, len(n.writes))
		return err
	}
	return nil
}

// send puts a message on its link. A full link loses the oldest.
func (w *World) send(s *state, m raft.Message) {
	if m.Type == raft.MsgPreVote || int(m.To) > len(s.nodes) {
		return
	}
	first, count := -1, 0
	for k, o := range s.net {
		if o.From == m.From && o.To == m.To {
			if count++; first < 0 {
				first = k
			}
		}
	}
	if count >= w.Link {
		s.net = slices.Delete(s.net, first, first+1)
	}
	s.net = append(s.net, &m)
}

// prune drops messages that a correct core does not care for: their receiver has left their term for good, or they answer
// what it does not ask any more.
func (w *World) prune(s *state) {
	if w.Stale {
		return
	}
	s.net = slices.DeleteFunc(s.net, func(m *raft.Message) bool {
		n := s.nodes[m.To-1]
		if m.Term != n.core.Term() || m.Term > n.disk.hard.Term {
			return m.Term < n.disk.hard.Term
		}
		switch m.Type {
		case raft.MsgVoteResp:
			return n.core.Role() != raft.Candidate
		case raft.MsgAppendResp:
			return n.core.Role() != raft.Leader
		}
		return false
	})
}
