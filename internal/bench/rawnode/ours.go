package main

import (
	"errors"

	"kvapp/raft"
)

// ours is kvapp/raft with a journal in memory.
type ours struct {
	core           *raft.Raft
	eff            raft.Effects
	evs            [5]raft.Event // one for each kind, so that a step sets only what changes
	journal        []raft.Entry  // from first on
	first          uint64
	written, told  uint64 // sequence number of the disk; as the core knows it
	done, toldDone uint64 // applied; as the core knows it
	kept           uint64 // index of the last snapshot
}

func newOurs(n int) ([]machine[raft.Message], error) {
	var m raft.Membership
	for i := range n {
		m.Members = append(m.Members, raft.Member{ID: raft.NodeID(i + 1)})
	}
	var nodes []machine[raft.Message]
	for i := range n {
		core, err := raft.New(raft.Config{
			ID: raft.NodeID(i + 1), Seed: uint64(i + 1), ElectionTimeout: 10 * tickEvery, HeartbeatEvery: tickEvery, LeaseMargin: tickEvery,
			MaxAppendBytes: 1 << 20, MaxInflightMsgs: 256, MaxInflightBytes: 16 << 20, MaxUncommitted: 64 << 20, CacheBytes: 1 << 20,
		}, raft.Recovered{First: 1, Snapshot: raft.SnapshotMeta{Membership: m}})
		if err != nil {
			return nil, err
		}
		o := &ours{core: core, first: 1}
		for k, kind := range [...]raft.EventKind{raft.EvTick, raft.EvMessage, raft.EvPropose, raft.EvPersisted, raft.EvApplied} {
			o.evs[k].Kind = kind
		}
		o.evs[proposes].EntryKind = raft.EntryCommand
		nodes = append(nodes, o)
	}
	return nodes, nil
}

func (o *ours) leads() bool     { return o.core.Role() == raft.Leader }
func (o *ours) applied() uint64 { return o.done }
func (o *ours) last() uint64    { return o.core.LastIndex() }

// Positions in ours.evs.
const (
	ticks = iota
	receives
	proposes
	persisted
	hasApplied
)

func (o *ours) tick(w *world[raft.Message]) error {
	return o.turn(&o.evs[ticks], w)
}

func (o *ours) receive(m *raft.Message, w *world[raft.Message]) error {
	ev := &o.evs[receives]
	ev.Msg = *m
	return o.turn(ev, w)
}

func (o *ours) propose(data []byte, w *world[raft.Message]) error {
	ev := &o.evs[proposes]
	ev.Data = data
	return o.turn(ev, w)
}

// turn steps ev, and then what follows from it until nothing is left to do: the disk is done, and the state machine.
func (o *ours) turn(ev *raft.Event, w *world[raft.Message]) error {
	for {
		ev.Now = w.now
		if err := o.core.Step(ev, &o.eff); err != nil {
			return err
		}
		e := &o.eff
		for i := range e.Send {
			w.send(int(e.Send[i].To)-1, &e.Send[i])
		}
		if len(e.Fetch) > 0 || len(e.Snapshots) > 0 {
			return errors.New("a follower is too far behind for this workload")
		}
		if ents := e.Persist.Entries; len(ents) > 0 {
			o.journal = append(o.journal[:ents[0].Index-o.first], ents...)
		}
		o.written = max(o.written, e.Persist.Seq)
		if n := len(e.Apply); n > 0 {
			o.done = e.Apply[n-1].Index
		}
		e.Reset()
		switch {
		case o.written > o.told:
			o.told = o.written
			ev = &o.evs[persisted]
			ev.Seq = o.written
		case o.done > o.toldDone:
			o.toldDone = o.done
			ev = &o.evs[hasApplied]
			ev.Index = o.done
		case o.done-o.kept >= compactEvery:
			ev = o.compact()
		default:
			return nil
		}
	}
}

// compact takes a snapshot and cuts the journal.
func (o *ours) compact() *raft.Event {
	first := max(o.first, o.done+1-min(o.done, keepEntries))
	meta := raft.SnapshotMeta{Index: o.done, Term: o.journal[o.done-o.first].Term, Membership: *o.core.Membership()}
	rest := copy(o.journal, o.journal[first-o.first:])
	clear(o.journal[rest:])
	o.journal = o.journal[:rest]
	o.first, o.kept = first, o.done
	return &raft.Event{Kind: raft.EvSnapshotSaved, Snapshot: meta, Index: first}
}
