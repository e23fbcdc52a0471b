package node

import (
	"fmt"

	"kvapp/fsm"
	"kvapp/raft"
)

// What the goroutines around the Driver do with its work stands here, apart from the goroutines, so that a simulator runs
// the same code.

// Applier executes the items of Work.Apply in the order in which the Driver handed them out. It is the only writer of
// the store and belongs to one goroutine.
type Applier struct {
	store *fsm.Store
	snaps Snapshots
	clock Clock
	term  uint64 // of the last applied entry
	every uint64 // Config.HashEvery
	// parked are the batches whose command waits, by what the store knows them by. Never ranged over.
	parked map[*fsm.Blocked]*Batch
}

// NewApplier returns the applier of a store that holds everything up to an entry of term. After so many entries it notes a
// Point, see Config.HashEvery.
func NewApplier(store *fsm.Store, snaps Snapshots, clock Clock, term, every uint64) *Applier {
	return &Applier{store: store, snaps: snaps, clock: clock, term: term, every: every, parked: make(map[*fsm.Blocked]*Batch)}
}

// Apply executes one item and answers the batches that proposed it. Where it leads to an event of the Driver, that is
// handed to post. An error means that the state cannot be trusted any more.
func (a *Applier) Apply(item *ApplyItem, post func(Event)) error {
	if err := a.apply(item, post); err != nil {
		return err
	}
	a.answerParked(item.Entry.Index)
	index := item.Entry.Index
	if item.Restore != nil {
		index = item.Restore.Meta.Index
	}
	if index != 0 && a.every != 0 && index%a.every == 0 {
		total, slots := a.store.Hash()
		post(Event{Kind: EvPoint, Point: &Point{Index: index, Hash: total, Slots: slots}})
	}
	return nil
}

func (a *Applier) apply(item *ApplyItem, post func(Event)) error {
	s := a.store
	switch {
	case item.Restore != nil:
		if err := restore(s, a.snaps, *item.Restore); err != nil {
			return err
		}
		a.term = item.Restore.Meta.Term
	case item.Freeze:
		v := s.Freeze()
		meta := raft.SnapshotMeta{Index: v.Index(), Term: a.term}
		post(Event{Kind: EvFrozen, View: v, Snapshot: SnapshotFile{Meta: meta}})
	case item.Frozen != nil:
		item.Frozen <- s.Freeze()
	case item.Choose != nil:
		post(Event{Kind: EvVictims, Victims: s.Choose(item.Choose)})
	case item.Proposal != nil:
		item.Proposal.run(s, &item.Entry, discard, a.clock)
		a.term = item.Entry.Term
		a.answerParked(item.Entry.Index) // first, so that who fed a wait finds it ended
		a.finish(item.Proposal)
	case item.Entry.Kind == raft.EntryCommand:
		if err := s.ApplyEntry(item.Entry.Index, item.Entry.Data); err != nil {
			return fmt.Errorf("apply entry %d: %w", item.Entry.Index, err)
		}
		a.term = item.Entry.Term
	case item.Abandon:
		s.Abandon()
	case item.Entry.Kind == raft.EntryNoop:
		s.NewTerm(item.Entry.Index)
		a.term = item.Entry.Term
	default:
		s.SetApplied(item.Entry.Index)
		a.term = item.Entry.Term
	}
	if item.Orphans {
		for _, id := range s.Orphans(item.Entry.Index) {
			post(Event{Kind: EvUnblock, Waiter: id, Why: fsm.UnblockGone})
		}
	}
	return nil
}

// finish answers the batches of a proposal that has been executed, but for those whose command waits.
func (a *Applier) finish(p *proposal) {
	for _, b := range p.batches {
		if b.blocked != nil && b.blocked.Waits {
			a.parked[b.blocked] = b
			b.waits <- struct{}{}
			continue
		}
		b.finish(Done)
	}
	p.batches = p.batches[:0]
}

// answerParked answers the batches whose command waits no longer, as of the entry at index.
func (a *Applier) answerParked(index uint64) {
	for _, w := range a.store.TakeAnswered() {
		b := a.parked[w]
		if b == nil {
			continue // it was served by the entry that it stood in
		}
		delete(a.parked, w)
		b.Index = index
		if w.Lost {
			b.finish(Uncertain)
		} else {
			b.finish(Done)
		}
	}
}

// Close answers the batches whose commands wait: nobody will apply what ends that.
func (a *Applier) Close() {
	a.store.Abandon()
	a.answerParked(0)
}

// Tidy has the store do what gives memory back and nobody waits for, until that is done, limit ns have passed, or busy
// reports that there is something else to do; a few microseconds at least. It returns what is left.
func (a *Applier) Tidy(limit int64, busy func() bool) fsm.Rest {
	for start := a.clock.Now(); ; {
		rest := a.store.Tidy(tidySteps)
		if rest != fsm.RestMore || busy() || a.clock.Now()-start >= limit {
			return rest
		}
	}
}

// tidySteps is how much the applier tidies up before it looks whether there is something else to do.
const tidySteps = 16

// discard takes the replies nobody waits for.
var discard = fsm.Discard

// restore replaces the state by a snapshot.
func restore(store *fsm.Store, snaps Snapshots, f SnapshotFile) error {
	r, err := snaps.Open(f)
	if err != nil {
		return fmt.Errorf("open snapshot %s: %w", f.Name, err)
	}
	err = store.Restore(r)
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("load snapshot %s: %w", f.Name, err)
	}
	store.SetApplied(f.Meta.Index)
	return nil
}

// Writes says whether the job writes anything; else it only looks at the disk.
func (j *AppendJob) Writes() bool { return j.Seq != 0 || j.Compact }

// Run writes the job and returns what EvAppended has to say. Every error is final.
func (j *AppendJob) Run(log Log, snaps Snapshots) (Event, error) {
	ev := Event{Kind: EvAppended, Seq: j.Seq}
	if j.Seq != 0 {
		if err := log.Append(&j.Record); err != nil {
			return ev, err
		}
	}
	var err error
	switch {
	case j.Compact:
		if ev.First, err = log.Compact(j.Snapshot, j.KeepFrom); err == nil {
			err = snaps.PruneBelow(j.Prune)
		}
	case j.Record.Install != nil:
		err = snaps.PruneBelow(j.Record.Install.Meta.Index)
	}
	ev.Free = notLooked
	if err == nil && j.Look {
		ev.Free, err = log.Free()
	}
	return ev, err
}

// Run writes the view to a file, closes it, and returns what EvSnapshotWritten has to say. A full disk ends the file and
// not the node: nothing refers to it yet. Every other error is final.
func (j *WriteJob) Run(snaps Snapshots) (Event, error) {
	defer j.View.Close()
	f, err := j.write(snaps)
	if diskFull(err) {
		return Event{Kind: EvSnapshotWritten, Failed: true}, nil
	}
	return Event{Kind: EvSnapshotWritten, Snapshot: f}, err
}

func (j *WriteJob) write(snaps Snapshots) (SnapshotFile, error) {
	w, err := snaps.Create(j.Meta)
	if err != nil {
		return SnapshotFile{}, err
	}
	if _, err := j.View.WriteTo(w); err != nil {
		w.Abort()
		return SnapshotFile{}, err
	}
	return w.Commit()
}

// Fetched reads what a follower that is far behind needs, and returns what EvFetched has to say.
func Fetched(f raft.Fetch, log Log) Event {
	entries, err := log.Read(f.Lo, f.Hi, f.MaxBytes)
	return Event{Kind: EvFetched, Fetch: f, Entries: entries, Failed: err != nil}
}

// Serve executes the reads of the batch from position from on, until the end or its limit of reply bytes, and returns
// the next position. The caller knows why what the store holds may be shown. Any goroutine.
func (b *Batch) Serve(s *fsm.Store, from int) int {
	limit := b.Out.Len() + b.Limit
	for from < len(b.Cmds) {
		from += s.ReadGroup(b.Cmds[from:], b.Out, limit)
		if b.Out.Len() >= limit {
			break
		}
	}
	return from
}
