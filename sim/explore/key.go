package explore

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"kvapp/raft"
)

// key names a state. States that differ only in the names of nodes and in the distances between moments get the same one,
// as far as order can tell nodes apart without their names.
type key [16]byte

// keys makes keys; it holds what that needs again and again.
type keys struct {
	writer
	moments []raft.Moment
	net     []*raft.Message
}

// of also leaves out what happened in terms that everybody concerned has left for good: nothing can contradict it.
func (k *keys) of(w *World, s *state) key {
	k.order(s)
	if len(w.Changes) > 0 { // they name nodes
		slices.Sort(k.view.Nodes)
	}
	k.rank(s)
	k.b = k.b[:0]
	least := uint64(maxTerms)
	for _, i := range k.view.Nodes {
		k.node(s.nodes[i-1], s.past.votes[i-1][:])
		least = min(least, s.nodes[i-1].disk.hard.Term)
	}
	for t := least; t <= maxTerms; t++ {
		k.name(s.past.leaders[t])
		k.slots(s.past.logs[t])
	}
	k.slots(s.past.ledger)
	for _, t := range s.past.terms {
		k.num(t)
	}
	k.num(uint64(len(s.past.reads)))
	for _, n := range s.past.reads {
		k.num(uint64(n))
	}
	c := &s.spent
	for _, n := range [...]int{c.campaigns, c.proposals, c.heartbeats, c.crashes, c.duplicates, c.transfers, c.changes} {
		k.num(uint64(n))
	}
	k.messages(s)
	sum := sha256.Sum256(k.b)
	return key(sum[:16])
}

// messages groups them by link, in the order of the view; on one link the order counts.
func (k *keys) messages(s *state) {
	k.net = append(k.net[:0], s.net...)
	at := func(id raft.NodeID) int { return slices.Index(k.view.Nodes, id) }
	slices.SortStableFunc(k.net, func(a, b *raft.Message) int {
		return cmp.Or(cmp.Compare(at(a.From), at(b.From)), cmp.Compare(at(a.To), at(b.To)))
	})
	for _, m := range k.net {
		k.b = raft.AppendMessageState(k.b, m, &k.view)
	}
}

// writer appends parts of a state.
type writer struct {
	b    []byte
	view raft.View
}

func (w *writer) num(n uint64) { w.b = binary.AppendUvarint(w.b, n) }

func (w *writer) name(id raft.NodeID) { w.num(uint64(slices.Index(w.view.Nodes, id) + 1)) }

func (w *writer) node(n *node, votes []raft.NodeID) {
	w.b = n.core.AppendState(w.b, &w.view)
	w.hard(&n.disk.hard)
	w.entries(n.disk.entries)
	w.num(uint64(len(n.writes)))
	for j := range n.writes {
		p := &n.writes[j]
		w.num(p.Seq - n.writes[0].Seq)
		w.hard(&p.Hard)
		w.entries(p.Entries)
	}
	for _, vote := range votes[n.disk.hard.Term:] {
		w.name(vote)
	}
}

func (w *writer) hard(h *raft.HardState) {
	w.num(h.Term)
	w.name(h.Vote)
	w.num(h.Commit)
}

func (w *writer) entries(ents []raft.Entry) {
	w.num(uint64(len(ents)))
	for i := range ents {
		w.num(ents[i].Index)
		w.slot(slotOf(&ents[i]))
	}
}

func (w *writer) slots(slots []slot) {
	w.num(uint64(len(slots)))
	for _, s := range slots {
		w.slot(s)
	}
}

func (w *writer) slot(s slot) {
	w.num(s.term)
	w.num(uint64(s.kind))
	w.num(uint64(len(s.data)))
	w.b = append(w.b, s.data...)
}

// order names the nodes by what one can see of each without naming others.
func (k *keys) order(s *state) {
	var marks [maxNodes][]byte
	var buf [maxNodes][96]byte
	k.view.Nodes = k.view.Nodes[:0]
	for i, n := range s.nodes {
		m := append(buf[i][:0], byte(n.core.Term()), byte(n.core.Role()), byte(n.core.Commit()), byte(n.disk.hard.Term), byte(len(n.writes)))
		for _, e := range n.log {
			m = append(m, byte(e.term), byte(e.kind))
		}
		m = append(m, 0, byte(len(n.disk.entries)))
		for i := range n.disk.entries {
			m = append(m, byte(n.disk.entries[i].Term))
		}
		for t, leader := range s.past.leaders {
			vote := s.past.votes[i][t]
			switch {
			case uint64(t) < n.disk.hard.Term:
			case leader == id(i):
				m = append(m, 3)
			case vote != 0 && vote == leader:
				m = append(m, 2)
			case vote != 0:
				m = append(m, 1)
			default:
				m = append(m, 0)
			}
		}
		in, out := 0, 0
		for _, msg := range s.net {
			if msg.To == id(i) {
				in += 1 + int(msg.Type)*17 + int(msg.Index)*5 + int(msg.Term)*3
			}
			if msg.From == id(i) {
				out += 1 + int(msg.Type)*17 + int(msg.Index)*5 + int(msg.Term)*3
			}
		}
		marks[i] = append(m, byte(in), byte(in>>8), byte(out), byte(out>>8))
		k.view.Nodes = append(k.view.Nodes, id(i))
	}
	slices.SortStableFunc(k.view.Nodes, func(a, b raft.NodeID) int { return slices.Compare(marks[a-1], marks[b-1]) })
}

// rank makes k.view.Rank number the moments of every owner in their order.
func (k *keys) rank(s *state) {
	k.moments = k.moments[:0]
	for _, n := range s.nodes {
		k.moments = n.core.AppendMoments(k.moments)
	}
	for _, m := range s.net {
		if m.SentAt == 0 {
			continue
		}
		if m.Type == raft.MsgAppendResp {
			k.moments = append(k.moments, raft.Moment{Owner: m.To, At: m.SentAt})
		} else {
			k.moments = append(k.moments, raft.Moment{Owner: m.From, At: m.SentAt})
		}
	}
	slices.SortFunc(k.moments, func(a, b raft.Moment) int { return cmp.Or(cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.At, b.At)) })
	k.moments = slices.Compact(k.moments)
	k.view.Rank = k.position
}

func (k *keys) position(m raft.Moment) uint64 {
	rank := uint64(0)
	for _, o := range k.moments {
		if o.Owner == m.Owner {
			if rank++; o.At == m.At {
				return rank
			}
		}
	}
	return 0
}
