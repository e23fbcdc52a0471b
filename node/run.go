package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
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
	n.fresh.Store(w.Fresh)
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
		if n.deps.Logger != nil {
			n.logChange(n.view.Load(), w.View)
			logMembers(n.deps.Logger, n.view.Load().Members, w.View.Members)
		}
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
			n.inbox.put(Event{Kind: EvSnapshotSent, Peer: s.To, Snapshot: s.File, Failed: err != nil, Refused: errors.Is(err, ErrRefused)})
		})
	}
	if w.Write != nil {
		n.writes <- w.Write // capacity 1 and the Driver keeps at most one under way
	}
	n.wakeAt.Store(w.WakeAt)
	if w.WakeAt != 0 && n.store.Applied() >= w.WakeAt {
		n.inbox.nudge() // applied while the turn ran
	}
	w.Reset()
}

func (n *Node) logChange(old, v *View) {
	switch {
	case v.DiskFull && !old.DiskFull:
		n.deps.Logger.Error("disk_full", "effect", "no writes while this node leads; another leads if it has room")
	case !v.DiskFull && old.DiskFull:
		n.deps.Logger.Info("disk_recovered")
	}
	if old.Stateless && !v.Stateless {
		n.deps.Logger.Info("state_received")
	}
	switch {
	case old.Role == v.Role && old.Term == v.Term && old.Leader == v.Leader:
	case v.Role == raft.Leader && old.Role != raft.Leader:
		n.deps.Logger.Info("leader_elected", "term", v.Term)
	case old.Role == raft.Leader && v.Role != raft.Leader:
		n.deps.Logger.Warn("stepped_down", "term", v.Term)
	case v.Leader != 0 && v.Leader != old.Leader:
		n.deps.Logger.Info("follows_leader", "term", v.Term, "leader", memberName(v, v.Leader))
	}
}

// logMembers tells how one membership differs from the one before. A voter that is on its way out is removed already.
func logMembers(log *slog.Logger, old, now []raft.Member) {
	find := func(all []raft.Member, id raft.NodeID) (m raft.Member, ok bool) {
		for _, m := range all {
			if m.ID == id && !m.Leaving {
				return m, true
			}
		}
		return raft.Member{}, false
	}
	for _, m := range now {
		was, ok := find(old, m.ID)
		switch {
		case m.Leaving:
		case !ok:
			log.Info("member_added", "node", m.Name, "clients", m.ClientAddr, "peers", m.PeerAddr, "learner", m.Learner)
		case was.Learner && !m.Learner:
			log.Info("member_promoted", "node", m.Name)
		case !was.Learner && m.Learner:
			log.Info("member_demoted", "node", m.Name)
		case was.ClientAddr != m.ClientAddr || was.PeerAddr != m.PeerAddr:
			log.Info("member_moved", "node", m.Name, "clients", m.ClientAddr, "peers", m.PeerAddr)
		}
	}
	for _, m := range old {
		if _, ok := find(now, m.ID); !ok && !m.Leaving {
			log.Info("member_removed", "node", m.Name)
		}
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
	log := timedLog{n.deps.Log, n.deps.Clock, &n.fsyncs}
	for {
		select {
		case <-ctx.Done():
			return nil
		case job := <-n.appends:
			ev, err := job.Run(log, n.deps.Snapshots)
			if err != nil {
				return fmt.Errorf("journal: %w", err)
			}
			n.inbox.put(ev)
		}
	}
}

// timedLog notes what the writes of a Log took.
type timedLog struct {
	Log
	clock Clock
	took  *fsyncCounters
}

// Append implements Log.
func (l timedLog) Append(r *Record) error {
	start := l.clock.Now()
	if err := l.Log.Append(r); err != nil {
		return err
	}
	l.took.note(uint64(l.clock.Now() - start))
	return nil
}

// applier executes committed entries in the order of the log and answers the batches that proposed them. While memory is to
// be given back a timer makes it do some of that, too.
func (n *Node) applier(ctx context.Context) error {
	a := NewApplier(n.store, n.deps.Snapshots, n.deps.Clock, n.drv.StateTerm(), n.cfg.HashEvery)
	defer a.Close()
	post := func(ev Event) { n.inbox.put(ev) }
	timer := time.NewTimer(0)
	defer timer.Stop()
	armed := true
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.applies.wake:
		case <-timer.C:
			armed = false
			a.Tidy(tidyFor, n.applies.waiting)
		}
		items := n.applies.take()
		for i := range items {
			if err := a.Apply(&items[i], post); err != nil {
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
		if !armed {
			rest := n.store.Tidy(0)
			if armed = rest != fsm.RestNone; armed {
				timer.Reset(pauses[rest])
			}
			n.waste.note(n.deps.Clock.Now(), n.store.Moves().Running)
		}
	}
}

const (
	// tidyFor is how long the applier tidies up at a time if it has nothing else to do, in ns.
	tidyFor = 250e3
	// TidyShare is the share of the applier's time that this takes, in percent.
	TidyShare = 25
)

// pauses are the times between.
var pauses = [...]time.Duration{
	fsm.RestBlocked: 50 * time.Millisecond,
	fsm.RestMore:    tidyFor * (100 - TidyShare) / TidyShare,
}

// wasteCounters tell for how long memory was fragmented, in ns.
type wasteCounters struct{ since, sum atomic.Int64 }

// note notes at interval time now whether it is. Applier goroutine.
func (c *wasteCounters) note(now int64, is bool) {
	since := c.since.Load()
	switch {
	case is && since == 0:
		c.since.Store(max(now, 1))
	case !is && since != 0:
		c.sum.Add(now - since)
		c.since.Store(0)
	}
}

// fetcher reads old entries for followers that are far behind, so that the loop never waits for the disk.
func (n *Node) fetcher(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.fetches.wake:
		}
		for _, f := range n.fetches.take() {
			n.inbox.put(Fetched(f, n.deps.Log))
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
			ev, err := job.Run(n.deps.Snapshots)
			if err != nil {
				return fmt.Errorf("write snapshot: %w", err)
			}
			if n.deps.Logger != nil {
				n.deps.Logger.Info("snapshot_done", "index", ev.Snapshot.Meta.Index, "bytes", ev.Snapshot.Size,
					"took_ms", (n.deps.Clock.Now()-start)/1e6)
			}
			n.inbox.put(ev)
		}
	}
}
