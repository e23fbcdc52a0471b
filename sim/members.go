package sim

import (
	"errors"
	"math/bits"

	"kvapp/node"
	"kvapp/raft"
)

// wish is a change of the membership, or a transfer, that a node was asked for and has not answered.
type wish struct {
	host     int
	life     uint32
	transfer bool
	answer   <-chan error
}

// wishFor asks a node for a change of the cluster.
func (w *World) wishFor(h *host, changes []raft.Change, to raft.NodeID) {
	if !h.up {
		return
	}
	ev, answer := node.RequestEvent(changes, to, h.clock.Now()+10*w.o.Election)
	w.wishes = append(w.wishes, wish{host: h.n, life: h.life, transfer: changes == nil, answer: answer})
	w.post(h, ev)
}

// grant looks for the answers to wishes.
func (w *World) grant() {
	keep := w.wishes[:0]
	for _, s := range w.wishes {
		if h := w.hosts[s.host]; !h.up || h.life != s.life {
			continue
		}
		select {
		case err := <-s.answer:
			w.granted(s, err)
		default:
			keep = append(keep, s)
		}
	}
	clear(w.wishes[len(keep):])
	w.wishes = keep
}

func (w *World) granted(s wish, err error) {
	if w.tracing {
		w.trace(w.hosts[s.host], "answer", "%v", err)
	}
	switch {
	case err == nil && s.transfer:
		w.reach(transferDone)
	case err == nil:
		w.reach(changeDone)
	case s.transfer && errors.Is(err, node.ErrTimeout):
		w.reach(transferTimedOut)
	case errors.Is(err, raft.ErrPending):
		w.reach(changePending)
	}
}

// drawChange asks a random node for one to three changes of random members.
func (w *World) drawChange(d *dice) {
	n := 1
	if d.oneIn(3) {
		n += 1 + d.n(2)
	}
	var changes []raft.Change
	for range n {
		o := w.hosts[d.n(len(w.hosts))]
		m := w.members[o.n]
		m.Incarnation = o.incarnation
		c := raft.Change{Kind: raft.ChangeAdd, Member: m}
		switch d.n(7) {
		case 0:
			c.Kind = raft.ChangeRemove
		case 1:
			c.Kind = raft.ChangeDemote
		case 2:
			c.Kind = raft.ChangePromote
		case 3:
			c.Kind = raft.ChangeSet
			c.Member.Priority = uint8(d.n(3))
		case 4:
			c.Member.Learner = true
		}
		changes = append(changes, c)
	}
	h := w.hosts[d.n(len(w.hosts))]
	if w.tracing {
		w.trace(h, "change", "%s", describe{changes})
	}
	w.wishFor(h, changes, 0)
}

// drawTransfer asks a random node that another shall lead.
func (w *World) drawTransfer(d *dice) {
	to := raft.NodeID(0)
	if d.oneIn(2) {
		to = w.members[d.n(len(w.members))].ID
	}
	h := w.hosts[d.n(len(w.hosts))]
	if w.tracing {
		w.trace(h, "transfer", "to n%d", to)
	}
	w.wishFor(h, nil, to)
}

// listed returns the members of a membership, one bit per node.
func (w *World) listed(m *raft.Membership) uint8 {
	set := uint8(0)
	for i := range m.Members {
		if n := w.index(m.Members[i].ID); n >= 0 {
			set |= 1 << n
		}
	}
	return set
}

// voters returns the voters of a membership, one bit per node.
func (w *World) voters(m *raft.Membership) uint8 {
	set := uint8(0)
	for i := range m.Members {
		if n := w.index(m.Members[i].ID); n >= 0 && !m.Members[i].Learner {
			set |= 1 << n
		}
	}
	return set
}

// most says whether more than half of the nodes of a are in b.
func most(a, b uint8) bool { return bits.OnesCount8(a&b) > bits.OnesCount8(a)/2 }

func (w *World) oldVoters(m *raft.Membership) uint8 {
	set := uint8(0)
	for _, id := range m.OldVoters {
		if n := w.index(id); n >= 0 {
			set |= 1 << n
		}
	}
	return set
}

// changed checks that a committed membership is a legal successor of the one committed before: of one set of voters a set
// that differs by one at most, or a joint one that begins with it; of a joint one its new half (thesis 4.3).
func (w *World) changed(h *host, e *raft.Entry) {
	m, err := raft.DecodeMembership(e.Data)
	if err != nil {
		w.fail("membership-chain", "entry %d: %v", e.Index, err)
		return
	}
	w.configs = append(w.configs, config{e.Index, e.Data})
	was := &w.membership
	now, old := w.voters(&m), w.oldVoters(&m)
	legal := false
	switch {
	case len(was.Members) == 0: // the founding one
		legal = true
	case len(was.OldVoters) > 0:
		legal = old == 0 && now == w.voters(was)
		w.reach(jointLeft)
		if e.Term != w.membershipTerm {
			w.reach(jointLeftByAnother)
		}
	case old != 0:
		legal = old == w.voters(was)
		w.reach(jointEntered)
	default:
		differ := now ^ w.voters(was)
		legal = differ&(differ-1) == 0
	}
	if !legal {
		w.fail("membership-chain", "entry %d of t%d: voters %07b old %07b behind voters %07b old %07b", e.Index, e.Term,
			now, old, w.voters(was), w.oldVoters(was))
	}
	if now&^w.voters(was)&w.listed(was) != 0 {
		w.reach(learnerPromoted)
	}
	if h.last.Role == raft.Leader && (now|old)>>h.n&1 == 0 {
		w.reach(leaderRemoved)
	}
	w.membership, w.membershipTerm = m, e.Term
}
