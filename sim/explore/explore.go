package explore

import (
	"errors"
	"fmt"

	"kvapp/raft"
)

// World bounds what is searched: every state that a cluster of Nodes can reach within it is visited.
type World struct {
	Name       string
	Nodes      int
	Learners   int     // of Nodes, the last ones
	Start      []Start // what is on the disk of each node at first; empty disks if there is none
	Terms      uint64  // no node campaigns beyond, but for one that decides alone and starts again
	Campaigns  int
	Proposals  int
	Reads      int // asked of leaders
	Heartbeats int // rounds of them, beside the messages that answers and proposals cause
	Crashes    int
	Duplicates int             // messages delivered that stay under way
	Transfers  int             // asked of leaders
	Changes    [][]raft.Change // asked of leaders in this order
	Link       int             // messages under way from one node to another, at most; more lose the oldest
	SlowDisks  bool            // writes wait for the choice that finishes them; else they are done at once, or a crash takes them
	Stale      bool            // messages of a term that their receiver has left for good stay under way
	MaxStates  int             // the search gives up there; 0: it does not

	effects raft.Effects
}

// Start is what a disk holds: the terms of its entries, which are commands of one byte.
type Start struct {
	Term uint64
	Vote raft.NodeID
	Log  []uint64
}

func (b *Start) disk() disk {
	d := disk{hard: raft.HardState{Term: b.Term, Vote: b.Vote}}
	for i, term := range b.Log {
		d.entries = append(d.entries, raft.Entry{Index: uint64(i) + 1, Term: term, Kind: raft.EntryCommand, Data: []byte{'s'}})
	}
	return d
}

// Result says what a search has seen.
type Result struct {
	States      int // distinct
	Transitions int
	Depth       int    // longest way without a repeated state
	Term        uint64 // highest that was led
	Committed   int    // most entries that were committed
	Complete    bool   // there are no other states within the bounds
	Broken      error
	Trace       []string // a way to Broken, without choices that it does not need
}

func (w *World) valid() error {
	if w.Nodes < 1 || w.Nodes > maxNodes || w.Terms < 1 || w.Terms+uint64(w.Crashes) > maxTerms || w.Link < 1 || w.Learners >= w.Nodes ||
		(len(w.Start) > 0 && len(w.Start) != w.Nodes) {
		return errors.New("explore: Nodes, Terms, Link, Learners or Start is out of range")
	}
	return nil
}

// members is the first membership.
func (w *World) members() raft.Membership {
	var m raft.Membership
	for i := range w.Nodes {
		m.Members = append(m.Members, raft.Member{ID: id(i), Learner: i >= w.Nodes-w.Learners})
	}
	return m
}

func (w *World) first() (*state, error) {
	s := &state{}
	for i := range w.Nodes {
		n := &node{now: electionTimeout}
		if len(w.Start) > 0 {
			n.disk = w.Start[i].disk()
		}
		if err := w.start(i, n); err != nil {
			return nil, fmt.Errorf("explore: node %d: %w", i+1, err)
		}
		s.nodes = append(s.nodes, n)
	}
	return s, nil
}

// search is one depth-first search.
type search struct {
	w    *World
	keys keys
	seen map[key]struct{}
	path []choice
	res  Result
	free [][]choice // lists of choices to use again
}

// Search visits every state of w until an invariant breaks.
func Search(w World) (Result, error) {
	if err := w.valid(); err != nil {
		return Result{}, err
	}
	s, err := w.first()
	if err != nil {
		return Result{}, err
	}
	x := &search{w: &w, seen: make(map[key]struct{})}
	x.res.Complete = true
	x.visit(s)
	x.res.States = len(x.seen)
	if x.res.Broken != nil {
		x.res.Complete = false
		x.res.Trace, err = w.shrink(x.path)
	}
	return x.res, err
}

// visit goes on from s everywhere, if s is new. When an invariant breaks it leaves path as the way there.
func (x *search) visit(s *state) {
	x.w.prune(s)
	k := x.keys.of(x.w, s)
	if _, ok := x.seen[k]; ok {
		return
	}
	if x.w.MaxStates > 0 && len(x.seen) >= x.w.MaxStates {
		x.res.Complete = false
		return
	}
	x.seen[k] = struct{}{}
	x.note(s)
	var list []choice
	if n := len(x.free); n > 0 {
		list, x.free = x.free[n-1][:0], x.free[:n-1]
	}
	list = x.w.choices(list, s)
	for i := range list {
		child := s.clone()
		ok, err := x.w.next(child, &list[i])
		if !ok && err == nil {
			continue
		}
		x.res.Transitions++
		x.path = append(x.path, list[i])
		if err != nil {
			x.res.Broken = err
			return
		}
		if x.visit(child); x.res.Broken != nil {
			return
		}
		x.path = x.path[:len(x.path)-1]
	}
	x.free = append(x.free, list)
}

func (x *search) note(s *state) {
	x.res.Depth = max(x.res.Depth, len(x.path))
	x.res.Committed = max(x.res.Committed, len(s.past.ledger))
	for t, leader := range s.past.leaders {
		if leader != 0 {
			x.res.Term = max(x.res.Term, uint64(t))
		}
	}
}

// shrink leaves out choices as long as something still breaks, and prints what is left.
func (w *World) shrink(path []choice) ([]string, error) {
	for again := true; again; {
		again = false
		for i := len(path) - 1; i >= 0; i-- {
			shorter := append(append([]choice(nil), path[:i]...), path[i+1:]...)
			used, broken, err := w.replay(shorter)
			if err != nil {
				return nil, err
			}
			if broken != nil {
				path, again = used, true
				i = min(i, len(path))
			}
		}
	}
	_, broken, err := w.replay(path)
	if err != nil {
		return nil, err
	}
	var lines []string
	for i := range path {
		lines = append(lines, path[i].String())
	}
	return append(lines, fmt.Sprint(broken)), nil
}

// replay makes the choices again, without those that are not possible any more, until something breaks.
func (w *World) replay(path []choice) (used []choice, broken, err error) {
	s, err := w.first()
	if err != nil {
		return nil, nil, err
	}
	for i := range path {
		child := s.clone()
		ok, broken := w.next(child, &path[i])
		if !ok {
			continue
		}
		used = append(used, path[i])
		if broken != nil {
			return used, broken, nil
		}
		w.prune(child)
		s = child
	}
	return used, nil, nil
}
