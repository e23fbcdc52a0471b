package main

import (
	"errors"
	"math/rand/v2"
)

const (
	ms     = int64(1e6)
	second = int64(1e9)

	tickEvery = 10 * ms
	minDelay  = 1 * ms
	maxDelay  = 10 * ms
	window    = 64 // proposals under way when they come as fast as possible

	keepEntries  = 1000 // behind a snapshot
	compactEvery = 5000 // applied entries
)

// machine is one node: a core and its driver. Node numbers count from 0. A method sends by w.
type machine[M any] interface {
	tick(w *world[M]) error
	receive(m *M, w *world[M]) error
	propose(data []byte, w *world[M]) error
	leads() bool
	applied() uint64
	last() uint64
}

type eventKind uint8

const (
	evTick eventKind = iota
	evMessage
	evPropose
)

type event struct {
	at   int64
	seq  uint32 // events of one time keep their order
	kind eventKind
	node uint8
	ref  int32 // of a message
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// world is the simulation. It allocates nothing in the steady state.
type world[M any] struct {
	nodes  []machine[M]
	rng    *rand.Rand
	now    int64
	events uint64
	heap   []event
	seq    uint32
	msgs   []M
	free   []int32
	links  []int64 // by from*n+to: when the last message arrives
	from   int     // who is handling an event
	data   []byte
	every  int64 // between two proposals; 0: none, < 0: as fast as possible
}

func newWorld[M any](nodes []machine[M], perSecond int) *world[M] {
	w := &world[M]{nodes: nodes, rng: rand.New(rand.NewPCG(1, 2)), data: make([]byte, 100), links: make([]int64, len(nodes)*len(nodes))}
	for i := range nodes {
		w.put(event{at: int64(i) * ms, kind: evTick, node: uint8(i)})
	}
	w.every = -1
	if perSecond >= 0 {
		w.every = 0
	}
	if perSecond > 0 {
		w.every = second / int64(perSecond)
		w.put(event{at: w.every, kind: evPropose})
	}
	return w
}

// runUntil handles everything that happens before t.
func (w *world[M]) runUntil(t int64) error {
	for w.heap[0].at < t {
		e := w.take()
		w.now = e.at
		w.events++
		i := int(e.node)
		w.from = i
		var err error
		switch e.kind {
		case evTick:
			w.put(event{at: w.now + tickEvery, kind: evTick, node: e.node})
			err = w.nodes[i].tick(w)
		case evMessage:
			err = w.nodes[i].receive(&w.msgs[e.ref], w)
			w.free = append(w.free, e.ref)
		case evPropose:
			w.put(event{at: w.now + w.every, kind: evPropose})
			if i = w.leader(); i >= 0 {
				w.from = i
				err = w.nodes[i].propose(w.data, w)
			}
		}
		if err != nil {
			return err
		}
		if i >= 0 {
			if err := w.fill(i); err != nil {
				return err
			}
		}
	}
	w.now = t
	return nil
}

// fill keeps the window of proposals full.
func (w *world[M]) fill(i int) error {
	if w.every >= 0 || !w.nodes[i].leads() {
		return nil
	}
	n := w.nodes[i]
	for n.last() < n.applied()+window {
		w.events++
		was := n.last()
		if err := n.propose(w.data, w); err != nil {
			return err
		}
		if n.last() == was {
			return nil // not now
		}
	}
	return nil
}

func (w *world[M]) leader() int {
	for i, n := range w.nodes {
		if n.leads() {
			return i
		}
	}
	return -1
}

// send puts on its way what the node that is handling an event says to another. m may be one that has been received: a
// slot is free only after its event.
func (w *world[M]) send(to int, m *M) {
	link := &w.links[w.from*len(w.nodes)+to]
	*link = max(*link, w.now+minDelay+w.rng.Int64N(maxDelay-minDelay))
	var ref int32
	if n := len(w.free); n > 0 {
		ref, w.free = w.free[n-1], w.free[:n-1]
		w.msgs[ref] = *m
	} else {
		ref = int32(len(w.msgs))
		w.msgs = append(w.msgs, *m)
	}
	w.put(event{at: *link, kind: evMessage, node: uint8(to), ref: ref})
}

func (w *world[M]) put(e event) {
	w.seq++
	e.seq = w.seq
	w.heap = append(w.heap, e)
	i := len(w.heap) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !w.heap[i].before(&w.heap[up]) {
			break
		}
		w.heap[i], w.heap[up] = w.heap[up], w.heap[i]
		i = up
	}
}

func (w *world[M]) take() event {
	e := w.heap[0]
	n := len(w.heap) - 1
	w.heap[0] = w.heap[n]
	w.heap = w.heap[:n]
	for i := 0; ; {
		low := 2*i + 1
		if low >= n {
			return e
		}
		if low+1 < n && w.heap[low+1].before(&w.heap[low]) {
			low++
		}
		if !w.heap[low].before(&w.heap[i]) {
			return e
		}
		w.heap[i], w.heap[low] = w.heap[low], w.heap[i]
		i = low
	}
}

// agree says whether the cluster works: there is a leader, and nobody is far behind it.
func (w *world[M]) agree() error {
	i := w.leader()
	if i < 0 {
		return errors.New("no leader")
	}
	for _, n := range w.nodes {
		if n.applied()+10*window < w.nodes[i].applied() {
			return errors.New("a node lags")
		}
	}
	return nil
}
