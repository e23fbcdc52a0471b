package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"kvapp/fsm"
	"kvapp/internal/config"
	"kvapp/node"
	"kvapp/raft"
	"kvapp/transport"
	"kvapp/wal"
)

// register makes a majority of the other members remember this node's incarnation before its empty log may vote.
//
// Why a majority of the others: a node whose disk was wiped comes back with a new incarnation and has to register
// again. Two majorities of the others share a member, and that member refuses the second incarnation. So an empty log
// can never replace, in an election, the log that once acknowledged writes.
func (in *instance) register(ctx context.Context) error {
	s := in.srv
	var others []raft.Member
	for _, m := range s.line {
		if m.ID != s.self.ID {
			others = append(others, m)
		}
	}
	if len(others) == 0 {
		return nil
	}
	need := len(others)/2 + 1
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	var have atomic.Int32
	for _, m := range others {
		wg.Go(func() {
			if err := in.registerAt(ctx, m); err != nil {
				cancel(err)
				return
			}
			if have.Add(1) == int32(need) {
				cancel(errRegistered)
			}
		})
	}
	s.log.Info("first_start", "waiting_for", names(others), "need", need)
	wg.Wait()
	switch err := context.Cause(ctx); {
	case have.Load() >= int32(need):
		return nil
	case errors.Is(err, context.Canceled):
		return nil // asked to stop
	default:
		return err
	}
}

var errRegistered = errors.New("registered")

// registerAt asks one member until it answers. nil: registered; an error: refused for good, or ctx ended.
func (in *instance) registerAt(ctx context.Context, m raft.Member) error {
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		hello := in.hello()
		hello.To = m.Name
		theirs, err := transport.Probe(ctx, m.PeerAddr, hello)
		if err == nil {
			return in.registry.Admit(theirs.Name, theirs.Incarnation)
		}
		var refused *transport.RefusedError
		if errors.As(err, &refused) {
			if refused.Code == transport.CodeAdmit {
				return wipedError(in.id.Name, in.srv.set.Get("dir"), refused)
			}
			return fmt.Errorf("%s at %s refuses this node: %w", m.Name, m.PeerAddr, refused)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

func names(members []raft.Member) string {
	var list []string
	for _, m := range members {
		list = append(list, m.Name+"="+m.PeerAddr)
	}
	return strings.Join(list, ",")
}

// nodeConfig translates the settings.
func nodeConfig(set *config.Settings, id wal.Identity, self raft.Member) node.Config {
	const ms = int64(time.Millisecond)
	election := set.Int("raft-election-ms") * ms
	return node.Config{
		Self: self, Cluster: id.Cluster,
		Raft: raft.Config{
			ID:               id.Node,
			Seed:             randomSeed()(), // not the identity: nodes that once drew alike would at every start
			ElectionTimeout:  election,
			HeartbeatEvery:   set.Int("raft-heartbeat-ms") * ms,
			LeaseMargin:      election / 10,
			MaxAppendBytes:   1 << 20,
			MaxInflightMsgs:  256,
			MaxInflightBytes: 16 << 20,
			MaxUncommitted:   64 << 20,
			CacheBytes:       32 << 20,
		},
		ParkTimeout:   set.Int("park-timeout") * ms,
		CommitTimeout: set.Int("commit-timeout") * ms,
		QuorumReads:   set.Get("read-mode") == "quorum",
		MaxEntryBytes: 1 << 20,
		SweepLimit:    1000,
		SnapshotBytes: set.Int("raft-snapshot-bytes"),
		SnapshotKeep:  10000,
		HashEvery:     4096,
		HoldBytes:     holdFactor * set.Int("raft-snapshot-bytes"),
		ApplyBacklog:  256 << 20,
		DiskReserve:   func() int64 { return set.Int("raft-disk-reserve-bytes") },
	}
}

// memoryOf returns what the settings say of the memory of keys, which it follows as they change.
func memoryOf(set *config.Settings) func() *node.Memory {
	var now atomic.Pointer[node.Memory]
	read := func(string) {
		p := fsm.ParsePolicy(set.Get("maxmemory-policy"))
		now.Store(&node.Memory{
			Limit: set.Int("maxmemory"), Policy: p, Samples: int(set.Int("maxmemory-samples")),
			Use: fsm.Use{LFU: p.LFU(), LogFactor: set.Int("lfu-log-factor"), Decay: set.Int("lfu-decay-time")},
		})
	}
	set.OnChange(read)
	read("")
	return now.Load
}

// holdFactor is how many snapshots' worth of log a leader keeps for a follower that is slow but alive.
const holdFactor = 16
