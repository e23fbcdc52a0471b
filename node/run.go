package node

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"kvapp/fsm"
	"kvapp/raft"
)

// Run starts the goroutines and blocks until ctx ends (nil) or something is damaged (the error). It may be called
// once. When it returns every batch has been answered.
func (n *Node) Run(ctx context.Context) error {
	n.begin()
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	for _, part := range []func(context.Context) error{n.loop, n.appender, n.applier, n.fetcher, n.snapshotter} {
		wg.Go(func() {
			if err := part(ctx); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	n.lease.Store(0)
	n.answerAll()
	close(n.stopped)
	err := context.Cause(ctx)
	cancel(nil)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// answerAll answers what the loop and the applier still held when they ended.
func (n *Node) answerAll() {
	abandon(n.inbox.close())
	n.drv.stop()
	for _, item := range n.applies.close() {
		if item.Proposal != nil {
			item.Proposal.finish(Uncertain)
		}
	}
}

// abandon answers the batches of events that no Driver has seen.
func abandon(events []Event) {
	for i := range events {
		if b := events[i].Batch; b != nil {
			b.finish(Stopped)
		}
	}
}

// loop is the one goroutine that touches the Driver.
func (n *Node) loop(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var armed int64 // what the timer stands at; it may fire too early, never too late
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.inbox.wake:
		case <-timer.C:
			armed = 0
		}
		// Whoever can run runs first: connections that were just answered send their replies, others bring their commands,
		// and this turn makes one larger entry of them.
		runtime.Gosched()
		events := n.inbox.take()
		// Behind take: whatever happens between the two, no event is taken for older than it is. A follower would forget
		// the leader too early, a leader would serve a read by a lease that ended before the read was asked.
		now := n.deps.Clock.Now()
		for i := range events {
			if err := n.drv.Handle(now, &events[i]); err != nil {
				abandon(events[i+1:])
				return err
			}
		}
		work, err := n.drv.EndTurn(now)
		if err != nil {
			return err
		}
		n.perform(ctx, work)
		if at := n.drv.Deadline(); armed == 0 || at < armed {
			timer.Reset(time.Duration(max(at-now, 0)))
			armed = at
		}
	}
}

// perform hands out the work of one turn; nothing here blocks.
func (n *Node) perform(ctx context.Context, w *Work) {
	n.lease.Store(w.Lease)
	if w.Append != nil {
		n.appends <- w.Append // capacity 1 and the Driver keeps at most one under way
	}
	if len(w.Send) > 0 {
		n.deps.Transport.Send(w.Send)
	}
	if w.View != nil {
		if w.View.Role != n.view.Load().Role && n.deps.OnRole != nil {
			n.deps.OnRole(w.View.Role)
		}
		n.logChange(n.view.Load(), w.View)
		n.view.Store(w.View)
	}
	if w.Members != nil {
		n.deps.Transport.SetMembers(w.Members)
	}
	for i := range w.Apply {
		n.applies.put(w.Apply[i])
	}
	for _, f := range w.Fetch {
		n.fetches.put(f)
	}
	for _, s := range w.Snapshots {
		n.deps.Transport.SendSnapshot(s.To, s.Term, s.File, func(err error) {
			n.inbox.put(Event{Kind: EvSnapshotSent, Peer: s.To, Snapshot: s.File, Failed: err != nil})
		})
	}
	if w.Write != nil {
		n.writes <- w.Write // capacity 1 and the Driver keeps at most one under way
	}
	n.wakeAt.Store(w.WakeAt)
	if w.WakeAt != 0 && n.store.Applied() >= w.WakeAt {
		n.inbox.nudge() // applied while the turn ran
	}
	w.reset()
}

func (n *Node) logChange(old, v *View) {
	if n.deps.Logger == nil || (old.Role == v.Role && old.Term == v.Term && old.Leader == v.Leader) {
		return
	}
	switch {
	case v.Role == raft.Leader && old.Role != raft.Leader:
		n.deps.Logger.Info("leader_elected", "term", v.Term)
	case old.Role == raft.Leader && v.Role != raft.Leader:
		n.deps.Logger.Warn("stepped_down", "term", v.Term)
	case v.Leader != 0 && v.Leader != old.Leader:
		n.deps.Logger.Info("follows_leader", "term", v.Term, "leader", memberName(v, v.Leader))
	}
}

func memberName(v *View, id raft.NodeID) string {
	for _, m := range v.Members {
		if m.ID == id {
			return m.Name
		}
	}
	return ""
}

// appender writes the journal: one job, one fsync, one answer. An error is final.
func (n *Node) appender(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case job := <-n.appends:
			first, err := n.append(job)
			if err != nil {
				return fmt.Errorf("journal: %w", err)
			}
			n.inbox.put(Event{Kind: EvAppended, Seq: job.Seq, First: first})
		}
	}
}

func (n *Node) append(job *AppendJob) (first uint64, err error) {
	if job.Seq != 0 {
		start := n.deps.Clock.Now()
		if err := n.deps.Log.Append(&job.Record); err != nil {
			return 0, err
		}
		took := uint64(n.deps.Clock.Now() - start)
		n.fsyncs.count.Add(1)
		n.fsyncs.sum.Add(took)
		if took > n.fsyncs.max.Load() {
			n.fsyncs.max.Store(took)
		}
	}
	if job.Compact {
		if first, err = n.deps.Log.Compact(job.Snapshot, job.KeepFrom); err != nil {
			return 0, err
		}
		return first, n.deps.Snapshots.PruneBelow(job.Snapshot.Meta.Index)
	}
	if job.Record.Install != nil {
		return 0, n.deps.Snapshots.PruneBelow(job.Record.Install.Meta.Index)
	}
	return 0, nil
}

// applier executes committed entries in the order of the log and answers the batches that proposed them.
func (n *Node) applier(ctx context.Context) error {
	a := &applier{node: n, term: n.deps.Recovered.Snapshot.Term}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.applies.wake:
		}
		items := n.applies.take()
		for i := range items {
			if err := a.apply(&items[i]); err != nil {
				for j := i + 1; j < len(items); j++ {
					if items[j].Proposal != nil {
						items[j].Proposal.finish(Uncertain)
					}
				}
				return err
			}
		}
		if at := n.wakeAt.Load(); at != 0 && n.store.Applied() >= at {
			n.inbox.nudge()
		}
	}
}

// applier is the state of the applier goroutine.
type applier struct {
	node *Node
	term uint64 // of the last applied entry
}

func (a *applier) apply(item *ApplyItem) error {
	n, s := a.node, a.node.store
	switch {
	case item.Restore != nil:
		if err := restore(s, n.deps.Snapshots, *item.Restore); err != nil {
			return err
		}
		a.term = item.Restore.Meta.Term
	case item.Freeze:
		v := s.Freeze()
		meta := raft.SnapshotMeta{Index: v.Index(), Term: a.term}
		n.inbox.put(Event{Kind: EvFrozen, View: v, Snapshot: SnapshotFile{Meta: meta}})
	case item.Frozen != nil:
		item.Frozen <- s.Freeze()
	case item.Proposal != nil:
		item.Proposal.run(s, &item.Entry, discard, n.deps.Clock)
		a.term = item.Entry.Term
		item.Proposal.finish(Done)
	case item.Entry.Kind == raft.EntryCommand:
		if err := s.ApplyEntry(item.Entry.Index, item.Entry.Data); err != nil {
			return fmt.Errorf("apply entry %d: %w", item.Entry.Index, err)
		}
		a.term = item.Entry.Term
	default:
		s.SetApplied(item.Entry.Index)
		a.term = item.Entry.Term
	}
	return nil
}

// discard takes the replies nobody waits for.
var discard = fsm.Discard

// fetcher reads old entries for followers that are far behind, so that the loop never waits for the disk.
func (n *Node) fetcher(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.fetches.wake:
		}
		for _, f := range n.fetches.take() {
			entries, err := n.deps.Log.Read(f.Lo, f.Hi, f.MaxBytes)
			n.inbox.put(Event{Kind: EvFetched, Fetch: f, Entries: entries, Failed: err != nil})
		}
	}
}

// snapshotter writes one frozen view at a time to a file.
func (n *Node) snapshotter(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case job := <-n.writes:
			start := n.deps.Clock.Now()
			f, err := n.writeSnapshot(job)
			if err != nil {
				return fmt.Errorf("write snapshot: %w", err)
			}
			if n.deps.Logger != nil {
				n.deps.Logger.Info("snapshot_done", "index", f.Meta.Index, "bytes", f.Size,
					"took_ms", (n.deps.Clock.Now()-start)/1e6)
			}
			n.inbox.put(Event{Kind: EvSnapshotWritten, Snapshot: f})
		}
	}
}

func (n *Node) writeSnapshot(job *WriteJob) (SnapshotFile, error) {
	defer job.View.Close()
	w, err := n.deps.Snapshots.Create(job.Meta)
	if err != nil {
		return SnapshotFile{}, err
	}
	if _, err := job.View.WriteTo(w); err != nil {
		w.Abort()
		return SnapshotFile{}, err
	}
	return w.Commit()
}
