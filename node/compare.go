package node

import (
	"encoding/binary"
	"fmt"
	"strings"

	"kvapp/fsm"
	"kvapp/raft"
)

// Replicas prove to each other that they hold the same state. At every index that is a multiple of Config.HashEvery the
// applier notes a Point. The Driver writes its newest one into the appends that it sends and into their answers, in two
// fields that the core does not use there, so it costs no message and nodes of other versions do not mind. A point says
// what somebody's state was at a committed index; it is true for ever, whoever leads.
//
// A leader and a follower that find that they differ ask each other for the hashes of the slots, to say where. Whoever is
// wrong stops: the follower, unless a majority of the voters has one hash and the leader another. A follower cannot know that,
// so it waits until such a leader would have stopped. Who is in doubt serves nothing.

// Point is the hash of the state at one index.
type Point struct {
	Index uint64
	Hash  uint64
	Slots *[fsm.Slots]uint64
}

const (
	keptPoints = 8  // own ones
	keptClaims = 64 // of others, about indices that are not reached yet
	keptDoubts = 32
	toldSlots  = 16 // most slots that an error names
)

// claim is a point of somebody else.
type claim struct {
	from        raft.NodeID
	index, hash uint64
}

// doubt is a claim that differs from the own point.
type doubt struct {
	claim
	own   *Point
	since int64              // interval time
	slots *[fsm.Slots]uint64 // of the other one; nil = not known
}

// comparison is what a Driver knows of the states of others.
type comparison struct {
	points   []*Point // own, ascending
	claims   []claim
	doubts   []doubt
	after    uint64 // points up to here are of a state that a snapshot has replaced
	compared uint64 // the last index at which somebody else had the same state
}

// DivergedError says that the state of this node is not what it should be.
type DivergedError struct {
	Index       uint64
	Hash, Other uint64
	Peer        string // who has Other
	Slots       []int  // the first that differ
	Differ      int    // how many do; 0 = it is not known which
}

// Error implements error.
func (e *DivergedError) Error() string {
	text := fmt.Sprintf("the state differs from that of %s at entry %d: its hash is %016x, should be %016x; ", e.Peer, e.Index, e.Hash, e.Other)
	if e.Differ == 0 {
		return text + "which slots differ is not known"
	}
	list := strings.Trim(fmt.Sprint(e.Slots), "[]")
	if more := e.Differ - len(e.Slots); more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return text + "slots that differ: " + list
}

// noted takes a point of the own state.
func (d *Driver) noted(p *Point) {
	c := &d.cmp
	if p.Index <= c.after {
		return
	}
	if len(c.points) == keptPoints {
		c.points = append(c.points[:0], c.points[1:]...)
	}
	c.points = append(c.points, p)
	waiting := c.claims
	c.claims = c.claims[:0]
	for _, x := range waiting {
		d.claimed(x)
	}
}

// replaced forgets the own state: that of a snapshot at index takes its place.
func (c *comparison) replaced(index uint64) {
	c.points, c.doubts, c.after = nil, nil, index-1
}

// newest is the last own point, nil if there is none.
func (c *comparison) newest() *Point {
	if len(c.points) == 0 {
		return nil
	}
	return c.points[len(c.points)-1]
}

// last is the last index whose point was noted, or never will be.
func (c *comparison) last() uint64 {
	if p := c.newest(); p != nil {
		return p.Index
	}
	return c.after
}

// at is the own point at index, nil if there is none any more.
func (c *comparison) at(index uint64) *Point {
	for _, p := range c.points {
		if p.Index == index {
			return p
		}
	}
	return nil
}

// carries says whether m has room for a point.
func carries(m *raft.Message) bool {
	return m.Type == raft.MsgAppend || m.Type == raft.MsgAppendResp && !m.Reject
}

// announce writes the newest point into messages that leave.
func (d *Driver) announce(msgs []raft.Message) {
	p := d.cmp.newest()
	if p == nil {
		return
	}
	for i := range msgs {
		if carries(&msgs[i]) {
			msgs[i].Hint, msgs[i].HintTerm = p.Index, p.Hash
		}
	}
}

// overheard looks at a message for what it says of its sender's state. It reports whether that is all that it says.
func (d *Driver) overheard(m *raft.Message) bool {
	switch {
	case m.Type == raft.MsgState && m.To == d.cfg.Raft.ID:
		d.stateMessage(m)
		return true
	case carries(m) && m.Hint != 0:
		d.claimed(claim{m.From, m.Hint, m.HintTerm})
	}
	return false
}

// claimed compares a claim with the own point, or keeps it until there is one.
func (d *Driver) claimed(x claim) {
	c := &d.cmp
	own := c.at(x.index)
	switch {
	case own != nil && own.Hash == x.hash:
		c.compared = max(c.compared, x.index)
	case own != nil:
		d.differs(x, own)
	case x.index > c.last():
		for i := range c.claims {
			if c.claims[i].from == x.from && c.claims[i].index == x.index {
				return
			}
		}
		if len(c.claims) == keptClaims {
			c.claims = append(c.claims[:0], c.claims[1:]...)
		}
		c.claims = append(c.claims, x)
	}
}

// differs notes a claim that is not the own point, and asks for the slots.
func (d *Driver) differs(x claim, own *Point) {
	c := &d.cmp
	for i := range c.doubts {
		if c.doubts[i].claim == x {
			return
		}
	}
	if len(c.doubts) == keptDoubts {
		c.doubts = append(c.doubts[:0], c.doubts[1:]...)
	}
	c.doubts = append(c.doubts, doubt{claim: x, own: own, since: d.now})
	d.out.Send = append(d.out.Send, raft.Message{
		Type: raft.MsgState, From: d.cfg.Raft.ID, To: x.from, Term: d.core.Term(), Index: x.index,
	})
}

// stateMessage is a question for the slots at an index, or an answer to one, which has an entry.
func (d *Driver) stateMessage(m *raft.Message) {
	if len(m.Entries) == 0 {
		if p := d.cmp.at(m.Index); p != nil {
			data := make([]byte, 0, 8*fsm.Slots)
			for _, sum := range p.Slots {
				data = binary.LittleEndian.AppendUint64(data, sum)
			}
			d.out.Send = append(d.out.Send, raft.Message{
				Type: raft.MsgState, From: d.cfg.Raft.ID, To: m.From, Term: d.core.Term(), Index: m.Index,
				Entries: []raft.Entry{{Index: m.Index, Kind: raft.EntryState, Data: data}},
			})
		}
		return
	}
	data := m.Entries[0].Data
	if len(data) != 8*fsm.Slots {
		return
	}
	slots := new([fsm.Slots]uint64)
	for i := range slots {
		slots[i] = binary.LittleEndian.Uint64(data[8*i:])
	}
	for i := range d.cmp.doubts {
		if x := &d.cmp.doubts[i]; x.from == m.From && x.index == m.Index {
			x.slots = slots
		}
	}
}

// doubtful returns the claim by which this node is probably wrong, nil without one: a follower's leader has another state,
// or a majority of the voters has another state than the leader.
func (d *Driver) doubtful() (worst *doubt) {
	for i := range d.cmp.doubts {
		x := &d.cmp.doubts[i]
		if d.role == raft.Leader && !d.outvoted(x) || d.role != raft.Leader && x.from != d.leader {
			continue
		}
		if worst == nil || worst.slots == nil && x.slots != nil && x.index == worst.index {
			worst = x
		}
	}
	return worst
}

// outvoted says whether a majority of the voters claims what x does.
func (d *Driver) outvoted(x *doubt) bool {
	voters, have := 0, 0
	for _, m := range d.core.Membership().Members {
		if m.Learner {
			continue
		}
		voters++
		for i := range d.cmp.doubts {
			if o := &d.cmp.doubts[i]; o.from == m.ID && o.index == x.index && o.hash == x.hash {
				have++
				break
			}
		}
	}
	return have > voters/2
}

// patience is how long one in doubt waits: a leader for the hashes of the slots, a follower for its leader to find out that
// it is the leader who is wrong.
func (d *Driver) patience() int64 {
	if d.role == raft.Leader {
		return d.cfg.Raft.ElectionTimeout
	}
	return 3 * d.cfg.Raft.ElectionTimeout
}

// judge ends the node if its state is wrong. Doubts about others end by themselves.
func (d *Driver) judge() error {
	c := &d.cmp
	if len(c.doubts) == 0 {
		return nil
	}
	if x := d.doubtful(); x != nil && (d.now >= x.since+d.patience() || d.role == raft.Leader && x.slots != nil) {
		return d.diverged(x)
	}
	n := 0
	for n < len(c.doubts) && d.now >= c.doubts[n].since+6*d.cfg.Raft.ElectionTimeout {
		n++
	}
	c.doubts = append(c.doubts[:0], c.doubts[n:]...)
	return nil
}

func (d *Driver) diverged(x *doubt) error {
	e := &DivergedError{Index: x.index, Hash: x.own.Hash, Other: x.hash, Peer: fmt.Sprintf("node %016x", uint64(x.from))}
	for _, m := range d.core.Membership().Members {
		if m.ID == x.from {
			e.Peer = m.Name
		}
	}
	for i := range fsm.Slots {
		if x.slots == nil || x.slots[i] == x.own.Slots[i] {
			continue
		}
		if e.Differ++; len(e.Slots) < toldSlots {
			e.Slots = append(e.Slots, i)
		}
	}
	return e
}

// doubtDeadline is when judge must look again, 0 if it need not.
func (d *Driver) doubtDeadline() int64 {
	if x := d.doubtful(); x != nil {
		return x.since + d.patience()
	}
	return 0
}
