package node

import "kvapp/raft"

// reroute answers the parked batches that now know where to go.
func (d *Driver) reroute() {
	addr, ok := d.elsewhere()
	if !ok {
		return
	}
	for _, b := range d.waiting {
		b.Leader = addr
		b.finish(NotLeader)
	}
	clear(d.waiting)
	d.waiting = d.waiting[:0]
}

// elsewhere says whether clients have to go to another node, and where: to the leader; or, from a node that is no member
// and will not hear of a leader any more, to some voter it knows of, each in turn.
func (d *Driver) elsewhere() (addr string, ok bool) {
	if d.leader != 0 {
		return d.leaderAddr(), d.role != raft.Leader
	}
	if d.member || d.succeeded() {
		return "", false
	}
	var voters []string
	for _, m := range d.core.Membership().Members {
		if !m.Learner {
			voters = append(voters, m.ClientAddr)
		}
	}
	if len(voters) == 0 {
		return "", false
	}
	d.turned++
	return voters[d.turned%len(voters)], true
}

// succeeded says that this node has just led and is soon to hear who does now, also if it is no member any more. Clients wait for
// that: a voter that has not heard it either would send them back.
func (d *Driver) succeeded() bool {
	return d.lastKnown == d.cfg.Raft.ID && d.leader == 0 && d.now < d.succeededUntil()
}

func (d *Driver) succeededUntil() int64 { return d.seenAt + d.cfg.Raft.ElectionTimeout }

func (d *Driver) leaderAddr() string {
	for _, m := range d.core.Membership().Members {
		if m.ID == d.leader {
			return m.ClientAddr
		}
	}
	return ""
}
