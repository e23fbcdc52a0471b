package explore

import (
	"fmt"

	"kvapp/raft"
)

type kind uint8

const (
	deliver   kind = iota // message; it is gone
	duplicate             // message; it stays
	campaign              // node: its election timer runs out and everybody grants the pre-vote
	stepDown              // node: as a leader it hears no quorum for an election timeout
	heartbeat             // node
	propose               // node
	ask                   // node: a read by quorum
	transfer              // node: hands leadership to the n-th node
	change                // node: gets the next change of the membership
	persist               // node: its oldest writes become durable, n of them with one fsync
	crash                 // node: n writes reached the disk, then records of a batch made of the next torn writes; it starts again
)

// choice is one way to go on from a state.
type choice struct {
	kind             kind
	node             int
	msg              *raft.Message
	n, torn, records int
}

func (c *choice) String() string {
	name := fmt.Sprint("n", c.node+1)
	switch c.kind {
	case deliver:
		return "deliver " + describe(c.msg)
	case duplicate:
		return "deliver a copy of " + describe(c.msg)
	case campaign:
		return name + " campaigns"
	case stepDown:
		return name + " hears no quorum"
	case heartbeat:
		return name + " sends heartbeats"
	case propose:
		return name + " gets a proposal"
	case ask:
		return name + " gets a read"
	case transfer:
		return fmt.Sprintf("%s hands over to n%d", name, c.n+1)
	case change:
		return name + " gets a change of the membership"
	case persist:
		return fmt.Sprintf("%s finishes %d writes", name, c.n)
	default:
		return fmt.Sprintf("%s crashes after %d writes and %d records of the next %d, and starts again", name, c.n, c.records, c.torn)
	}
}

func describe(m *raft.Message) string {
	name := [...]string{"", "PreVote", "PreVoteResp", "Vote", "VoteResp", "Append", "AppendResp", "ReadIndex", "ReadIndexResp", "TimeoutNow", "Change", "Transfer", "Answer", "State"}[m.Type]
	s := fmt.Sprintf("%d->%d %s t%d", m.From, m.To, name, m.Term)
	switch m.Type {
	case raft.MsgVote:
		s += fmt.Sprintf(" at %d/t%d", m.Index, m.LogTerm)
	case raft.MsgAppend:
		s += fmt.Sprintf(" at %d/t%d commit %d", m.Index, m.LogTerm, m.Commit)
	case raft.MsgAppendResp:
		s += fmt.Sprintf(" %d", m.Index)
	}
	for i := range m.Entries {
		e := &m.Entries[i]
		s += fmt.Sprintf(" [%d/t%d %s]", e.Index, e.Term, [...]string{"", string(e.Data), "noop", "members"}[e.Kind])
	}
	if m.Reject {
		s += " reject"
	}
	return s
}

// busy is the node whose disk must finish, or fail, before anything else happens; -1 if there is none. In a world of slow
// disks there never is.
func (w *World) busy(s *state) int {
	if !w.SlowDisks {
		for i, n := range s.nodes {
			if len(n.writes) > 0 {
				return i
			}
		}
	}
	return -1
}

// choices appends every way to go on from s.
func (w *World) choices(dst []choice, s *state) []choice {
	if i := w.busy(s); i >= 0 {
		return w.diskChoices(dst, s, i)
	}
	for k, m := range s.net {
		if repeated(s.net[:k], m) {
			continue
		}
		dst = append(dst, choice{kind: deliver, msg: m})
		if s.spent.duplicates < w.Duplicates {
			dst = append(dst, choice{kind: duplicate, msg: m})
		}
	}
	for i, n := range s.nodes {
		if n.core.Role() != raft.Leader {
			if n.core.Term() < w.Terms && s.spent.campaigns < w.Campaigns {
				dst = append(dst, choice{kind: campaign, node: i})
			}
		} else {
			dst = w.leaderChoices(dst, s, i)
		}
		if len(n.writes) > 0 || s.spent.crashes < w.Crashes {
			dst = w.diskChoices(dst, s, i)
		}
	}
	return dst
}

// repeated says whether the same message stands earlier: then it need not be tried.
func repeated(net []*raft.Message, m *raft.Message) bool {
	for _, o := range net {
		if sameMessage(o, m) {
			return true
		}
	}
	return false
}

func (w *World) leaderChoices(dst []choice, s *state, i int) []choice {
	if len(s.nodes) > 1 {
		dst = append(dst, choice{kind: stepDown, node: i})
	}
	if s.spent.heartbeats < w.Heartbeats {
		dst = append(dst, choice{kind: heartbeat, node: i})
	}
	if s.spent.proposals < w.Proposals {
		dst = append(dst, choice{kind: propose, node: i})
	}
	if s.spent.reads < w.Reads {
		dst = append(dst, choice{kind: ask, node: i})
	}
	for j := range s.nodes {
		if j != i && s.spent.transfers < w.Transfers {
			dst = append(dst, choice{kind: transfer, node: i, n: j})
		}
	}
	if s.spent.changes < len(w.Changes) {
		dst = append(dst, choice{kind: change, node: i})
	}
	return dst
}

func (w *World) diskChoices(dst []choice, s *state, i int) []choice {
	writes := s.nodes[i].writes
	for n := 1; n <= len(writes); n++ {
		dst = append(dst, choice{kind: persist, node: i, n: n})
	}
	if s.spent.crashes >= w.Crashes {
		return dst
	}
	for n := 0; n <= len(writes); n++ {
		dst = append(dst, choice{kind: crash, node: i, n: n})
		for torn := 1; n+torn <= len(writes); torn++ {
			p := merge(writes[n : n+torn])
			for records := 1; records <= len(p.Entries); records++ {
				dst = append(dst, choice{kind: crash, node: i, n: n, torn: torn, records: records})
			}
		}
	}
	return dst
}

// merge makes one batch of several writes, as an appender does that finds them waiting.
func merge(writes []raft.Persist) raft.Persist {
	all := raft.Persist{Seq: writes[len(writes)-1].Seq, Hard: writes[len(writes)-1].Hard}
	for i := range writes {
		ents := writes[i].Entries
		if len(ents) == 0 {
			continue
		}
		keep := all.Entries
		for len(keep) > 0 && keep[len(keep)-1].Index >= ents[0].Index {
			keep = keep[:len(keep)-1]
		}
		all.Entries = append(keep[:len(keep):len(keep)], ents...)
	}
	return all
}
