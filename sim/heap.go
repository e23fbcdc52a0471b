package sim

// kind says what an event of the simulation is. Events that belong to one life of a node carry its number and are
// dropped when the node has died since.
type kind uint8

const (
	evDeliver     kind = 1 + iota // ref: packet; a message reaches a node
	evTimer                       // a node's deadline may have come
	evTurn                        // a node that was busy or paused takes its inbox
	evPersist                     // the append job under way is done
	evApply                       // the applier goes on
	evFetch                       // ref: fetch; entries were read from the journal
	evWrite                       // the snapshot file is written
	evStream                      // ref: stream; the next chunk of a snapshot
	evArrive                      // ref: attempt; a request reaches a node
	evServe                       // ref: attempt; the connection serves its reads, or asks again for the lease
	evReply                       // ref: attempt; the answer reaches the client
	evThink                       // ref: client; the client begins its next operation
	evPatience                    // clients give up what takes too long
	evNemesis                     // faults are drawn
	evStart                       // a node starts
	evUnreachable                 // ref: peer; the transport tells that messages were lost
	evMend                        // ref: strike; a fault ends
	evPhase                       // ref: phase; see liveness.go
	evUnblock                     // ref: unblocking; the end of a wait is asked for
	kinds
)

// event is one entry of the queue: 32 bytes, no pointer.
type event struct {
	at   int64 // true time in ns
	seq  uint64
	ref  uint32
	life uint32
	kind kind
	node uint8
}

func (e *event) before(o *event) bool { return e.at < o.at || (e.at == o.at && e.seq < o.seq) }

// queue is a heap of events with four children per node: those of one node lie in two cache lines. Events of the same
// time come out in the order in which they were put.
type queue struct {
	events []event
	seq    uint64
}

func (q *queue) put(e event) {
	q.seq++
	e.seq = q.seq
	q.events = append(q.events, e)
	h := q.events
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(&h[parent]) {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = e
}

// take removes the first event. REQUIRES: there is one.
func (q *queue) take() event {
	h := q.events
	first := h[0]
	n := len(h) - 1
	e := h[n]
	h = h[:n]
	q.events = h
	if n == 0 {
		return first
	}
	i := 0
	for {
		child := 4*i + 1
		if child >= n {
			break
		}
		least := child
		for c := child + 1; c < min(child+4, n); c++ {
			if h[c].before(&h[least]) {
				least = c
			}
		}
		if !h[least].before(&e) {
			break
		}
		h[i] = h[least]
		i = least
	}
	h[i] = e
	return first
}

// slab hands out numbers for things that events refer to; what is given back is used again.
type slab[T any] struct {
	items []T
	free  []uint32
}

// add stores v and returns its number.
func (s *slab[T]) add(v T) uint32 {
	if n := len(s.free); n > 0 {
		ref := s.free[n-1]
		s.free = s.free[:n-1]
		s.items[ref] = v
		return ref
	}
	s.items = append(s.items, v)
	return uint32(len(s.items) - 1)
}

// take returns the thing and gives its number back.
func (s *slab[T]) take(ref uint32) T {
	v := s.items[ref]
	var zero T
	s.items[ref] = zero
	s.free = append(s.free, ref)
	return v
}
