package node

import (
	"kvapp/raft"
)

// read takes a batch of reads that found no lease: it joins the round of this turn, or is redirected.
func (d *Driver) read(b *Batch) {
	if d.loading {
		b.finish(Loading)
		return
	}
	if b.deadline == 0 {
		b.deadline = d.now + d.cfg.ParkTimeout
	}
	d.asking = append(d.asking, b)
}

// readRound is reads that were asked about together.
type readRound struct {
	batches []*Batch
	askedAt int64 // interval time
}

func (r *readRound) finish(o Outcome) {
	for _, b := range r.batches {
		b.finish(o)
	}
}

// ask opens one read round for everything that asked in this turn, and one for what needs a quorum. Without a leader the
// reads stay parked.
func (d *Driver) ask() error {
	if len(d.asking) == 0 {
		return nil
	}
	keep := d.asking[:0]
	var usual, quorum []*Batch
	for _, b := range d.asking {
		addr, away := d.elsewhere()
		switch {
		case b.deadline <= d.now:
			b.finish(NoLeader)
		case away && !(d.member && (b.ReadOnly || b.Mode == ReadStale)):
			b.Leader = addr
			b.finish(NotLeader)
		case d.leader == 0:
			keep = append(keep, b)
		case b.Mode == ReadQuorum:
			quorum = append(quorum, b)
		default:
			usual = append(usual, b)
		}
	}
	clear(d.asking[len(keep):])
	d.asking = keep
	for _, batches := range [][]*Batch{usual, quorum} {
		if len(batches) == 0 {
			continue
		}
		d.lastID++
		d.rounds[d.lastID] = readRound{batches, d.now}
		ev := raft.Event{Kind: raft.EvReadIndex, ID: d.lastID, Quorum: batches[0].Mode == ReadQuorum}
		if err := d.step(ev); err != nil {
			return err
		}
	}
	return nil
}

// readAnswer takes the core's word on one round. A round that lost its leader is asked again in the next turn.
func (d *Driver) readAnswer(r *raft.Read) {
	round := d.rounds[r.ID]
	delete(d.rounds, r.ID)
	if r.Err != nil {
		d.asking = append(d.asking, round.batches...)
		return
	}
	d.ready.add(r.Index, round)
}

// serveReady wakes the reads whose index is applied; they read the store themselves.
func (d *Driver) serveReady() {
	if d.doubtful() != nil {
		return
	}
	for _, r := range d.ready.take(d.applied) {
		// What was committed before the question is in the index of the answer.
		d.fresh = max(d.fresh, r.round.askedAt)
		for _, b := range r.round.batches {
			b.deadline = 0
		}
		r.round.finish(Done)
	}
}

// readDeadline is when the oldest parked read gives up, 0 if none is parked.
func (d *Driver) readDeadline() int64 {
	if len(d.asking) == 0 {
		return 0
	}
	if d.leader != 0 {
		return d.now + askAgain
	}
	return d.asking[0].deadline
}

// askAgain is the pause in ns before a read round that failed is asked again.
const askAgain = 5e6

// readyQueue holds reads by the index that must be applied first.
type readyQueue struct {
	items []readyRead
}

type readyRead struct {
	index uint64
	round readRound
}

func (q *readyQueue) add(index uint64, round readRound) {
	q.items = append(q.items, readyRead{index, round})
}

func (q *readyQueue) lowest() uint64 {
	var low uint64
	for _, r := range q.items {
		if low == 0 || r.index < low {
			low = r.index
		}
	}
	return low
}

// take removes and returns the reads that may be served at applied.
func (q *readyQueue) take(applied uint64) []readyRead {
	var done []readyRead
	keep := q.items[:0]
	for _, r := range q.items {
		if r.index > applied {
			keep = append(keep, r)
			continue
		}
		done = append(done, r)
	}
	clear(q.items[len(keep):])
	q.items = keep
	return done
}

// waiter is one WAIT or WAITAOF: n other nodes must have index on disk, and with own this one.
type waiter struct {
	index    uint64
	own      bool
	n        int
	deadline int64
	done     chan durable // capacity 1
}

// durable says who has an entry on disk.
type durable struct {
	own    bool
	others int
}

// serveWaiters answers the WAITs that are satisfied, too late, or on a node that does not lead any more.
func (d *Driver) serveWaiters() {
	if len(d.waiters) == 0 {
		return
	}
	st := d.core.Status()
	keep := d.waiters[:0]
	for _, w := range d.waiters {
		have := durable{own: st.Durable >= w.index}
		for _, p := range st.Peers {
			if p.Match >= w.index && !p.Departed { // it has answered that the entry is on its disk
				have.others++
			}
		}
		if have.others >= w.n && (have.own || !w.own) || w.deadline <= d.now || d.role != raft.Leader {
			w.done <- have
			continue
		}
		keep = append(keep, w)
	}
	clear(d.waiters[len(keep):])
	d.waiters = keep
}
