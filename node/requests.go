package node

import (
	"errors"

	"kvapp/raft"
)

// ErrTimeout says that the leader has begun with a request, and that it was not done in time. It may be done yet.
var ErrTimeout = errors.New("accepted, but not done in time")

// request is a wish about the cluster: a change of the membership, or another leader. Any node takes it; the core passes
// it on to the leader. What can be refused for now only, such as a change while another is under way, is asked again until
// the deadline.
type request struct {
	changes  []raft.Change // nil: a transfer
	to       raft.NodeID   // of a transfer; 0 = whoever is best
	deadline int64         // interval clock
	done     chan error    // capacity 1

	asking  bool // the core has it and has not answered
	id      uint64
	begun   bool        // the leader has taken it
	index   uint64      // of the leader's log when it did
	from    raft.NodeID // transfer: who was to give it up
	againAt int64       // not begun: when to ask again
	refused error       // why it was not taken the last time
}

// askAgainAfter is the pause in ns before a refused request is made again.
const askAgainAfter = 20e6

// serveRequests asks for what was not asked yet and answers what is done or too late.
func (d *Driver) serveRequests() error {
	keep := d.requests[:0]
	for _, r := range d.requests {
		done, err := d.serveRequest(r)
		if err != nil {
			return err
		}
		if !done {
			keep = append(keep, r)
		}
	}
	clear(d.requests[len(keep):])
	d.requests = keep
	return nil
}

func (d *Driver) serveRequest(r *request) (done bool, err error) {
	switch {
	case r.begun && d.fulfilled(r):
		r.done <- nil
		return true, nil
	case d.now >= r.deadline:
		r.done <- r.late()
		return true, nil
	case r.begun || r.asking || d.now < r.againAt:
		return false, nil
	}
	d.lastID++
	r.id, r.asking, r.from = d.lastID, true, d.core.Leader()
	ev := raft.Event{Kind: raft.EvTransfer, ID: r.id, To: r.to}
	if r.changes != nil {
		ev = raft.Event{Kind: raft.EvChange, ID: r.id, Changes: r.changes}
	}
	return false, d.step(ev)
}

// late is the answer to a request whose time is over.
func (r *request) late() error {
	if r.begun || r.refused == nil {
		return ErrTimeout
	}
	return r.refused
}

// fulfilled says whether what the leader has begun is done, as far as this node can see.
func (d *Driver) fulfilled(r *request) bool {
	if r.changes != nil {
		return d.core.Commit() >= r.index && !d.core.Changing() && d.core.Membership().Has(r.changes)
	}
	leader := d.core.Leader()
	if r.to != 0 {
		return leader == r.to
	}
	return leader != 0 && leader != r.from
}

// answered takes the leader's word on a request.
func (d *Driver) answered(a *raft.Answer) {
	for i, r := range d.requests {
		if !r.asking || r.id != a.ID {
			continue
		}
		r.asking = false
		switch a.Err {
		case nil:
			r.begun, r.index = true, a.Index
		case raft.ErrNotLeader, raft.ErrPending, raft.ErrBusy, raft.ErrNoTarget:
			r.againAt, r.refused = d.now+askAgainAfter, a.Err
		default:
			r.done <- a.Err
			d.requests = append(d.requests[:i], d.requests[i+1:]...)
		}
		return
	}
}

// requestDeadline is when serveRequests has something to do by itself; 0 if never.
func (d *Driver) requestDeadline() int64 {
	var at int64
	for _, r := range d.requests {
		if r.begun && d.fulfilled(r) {
			return d.now
		}
		next := r.deadline
		if !r.begun && !r.asking {
			next = min(next, r.againAt)
		}
		if at == 0 || next < at {
			at = next
		}
	}
	return at
}

// RequestEvent returns the event of a change of the membership, or without changes of a transfer, to whoever is best if to
// is 0, and where its answer will be found. deadline is a time of the interval clock.
func RequestEvent(changes []raft.Change, to raft.NodeID, deadline int64) (Event, <-chan error) {
	r := &request{changes: changes, to: to, deadline: deadline, done: make(chan error, 1)}
	return Event{Kind: EvRequest, Request: r}, r.done
}

// Change implements Client.
func (n *Node) Change(changes []raft.Change, timeoutMs int64) error {
	return n.request(changes, 0, timeoutMs)
}

// Transfer implements Client.
func (n *Node) Transfer(to raft.NodeID, timeoutMs int64) error {
	return n.request(nil, to, timeoutMs)
}

func (n *Node) request(changes []raft.Change, to raft.NodeID, timeoutMs int64) error {
	if n.asleep(nil) {
		return ErrStarting
	}
	ev, done := RequestEvent(changes, to, n.deps.Clock.Now()+timeoutMs*1e6)
	n.inbox.put(ev)
	select {
	case err := <-done:
		return err
	case <-n.stopped:
		return ErrStopped
	}
}
