package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"kvapp/fsm"
	"kvapp/raft"
	"kvapp/wal"
)

// snapshotBenches measure what a snapshot does to the writes that go on meanwhile, and how long it takes.
func snapshotBenches(p params) []bench {
	n := count(p.keys)
	list := []bench{{
		name: "snapshot/strings",
		rows: []row{
			{"stall", "worst write during a snapshot of " + n + " keys, freeze included: ms of CPU (redis-server: the fork, ms)", goal{limit: 1}},
			{"wall", "writes per second during a snapshot of " + n + " keys: % of before (redis-server: by usec_per_call)", goal{limit: 70, more: true}},
			{"cpu", "the same per second of the applier's CPU", goal{limit: 70, more: true}},
			{"peak", "peak memory during a snapshot of " + n + " keys under full write load: % of the peak before", goal{limit: 120}},
			{"write", "snapshot of " + n + " keys written and synced: s (redis-server: SAVE)", goal{rival: true}},
			{"load", "snapshot of " + n + " keys loaded: s (redis-server: restart)", goal{rival: true}},
		},
		steps: []func(*child) (figures, error){snapshotSteps, loadSnapshot},
		redis: redisSnapshots,
	}}
	for _, name := range []string{"hash", "list", "set", "zset"} {
		c := collectionOf(name, big)
		m := p.elements()
		list = append(list, bench{
			name: "snapshot/" + name,
			rows: []row{{"stall", "worst write during a snapshot of " + c.title(count(m)) + ": ms of CPU", goal{limit: 1}}},
			steps: []func(*child) (figures, error){func(ch *child) (figures, error) {
				if err := ch.fill(c.fill(m)); err != nil {
					return nil, err
				}
				stall, err := ch.stall(c.writes(m), 0)
				return figures{"stall": stall}, err
			}},
		})
	}
	return list
}

// save writes a view as a node does, durably.
func (c *child) save(v *fsm.View) error {
	defer v.Close()
	snaps, err := wal.OpenSnapshots(c.dir)
	if err != nil {
		return err
	}
	w, err := snaps.Create(raft.SnapshotMeta{Index: v.Index(), Term: 1})
	if err != nil {
		return err
	}
	if _, err := v.WriteTo(w); err != nil {
		return errors.Join(err, w.Abort())
	}
	if _, err = w.Commit(); err != nil {
		return err
	}
	return snaps.PruneBelow(v.Index())
}

// saving is a snapshot that another goroutine writes.
type saving struct {
	ended atomic.Bool
	err   chan error
}

func (c *child) startSaving(v *fsm.View) *saving {
	s := &saving{err: make(chan error, 1)}
	go func() {
		s.err <- c.save(v)
		s.ended.Store(true)
	}()
	return s
}

// snapshotSteps takes three snapshots: one under full write load, one whose every write is timed, one alone.
func snapshotSteps(c *child) (figures, error) {
	load := writeLoad(c.keys)
	if err := c.fill(fillStrings(c.keys)); err != nil {
		return nil, err
	}
	if _, err := settled(); err != nil {
		return nil, err
	}
	if err := resetPeak(); err != nil {
		return nil, err
	}
	before, err := c.pump(load, 0, batchSize, func(ops int) bool { return ops >= 2*c.keys })
	if err != nil {
		return nil, err
	}
	rest, err := peakResident()
	if err != nil {
		return nil, err
	}
	f, done, err := c.underLoad(load, before, rest)
	if err != nil {
		return nil, err
	}
	if f["stall"], err = c.stall(load, done); err != nil {
		return nil, err
	}
	if _, err := settled(); err != nil {
		return nil, err
	}
	start := time.Now()
	if err := c.save(c.store.Freeze()); err != nil {
		return nil, err
	}
	f["write"] = time.Since(start).Seconds()
	return f, nil
}

// underLoad takes a snapshot while writes go on as fast as they can; before is how fast they were, and rest the peak of
// memory then. It returns the figures, and how many commands of the load were used up.
func (c *child) underLoad(load script, before speed, rest int64) (figures, int, error) {
	if err := resetPeak(); err != nil {
		return nil, 0, err
	}
	s := c.startSaving(c.store.Freeze())
	during, err := c.pump(load, before.ops, batchSize/16, func(int) bool { return s.ended.Load() })
	if err := errors.Join(err, <-s.err); err != nil {
		return nil, 0, err
	}
	peak, err := peakResident()
	if err != nil {
		return nil, 0, err
	}
	cpu0, wall0 := before.perSecond()
	cpu1, wall1 := during.perSecond()
	return figures{
		"wall": 100 * wall1 / wall0, "cpu": 100 * cpu1 / cpu0, "peak": 100 * float64(peak) / float64(rest),
	}, before.ops + during.ops, nil
}

// afterwards is how many writes behind a snapshot or a deletion are still watched: what was put off must not come at once.
const afterwards = 10_000

// stall takes a snapshot and returns the longest CPU time in ms of any command until some time behind its end, and of
// Freeze itself.
func (c *child) stall(load script, from int) (float64, error) {
	if _, err := settled(); err != nil {
		return 0, err
	}
	start := threadCPU()
	v := c.store.Freeze()
	frozen := threadCPU() - start
	s := c.startSaving(v)
	behind := 0
	longest, _, err := c.worst(load, from, func(int) bool {
		if s.ended.Load() {
			behind++
		}
		return behind >= afterwards
	})
	return ms(max(longest, frozen)), errors.Join(err, <-s.err)
}

// loadSnapshot restores what snapshotSteps left, in a new process.
func loadSnapshot(c *child) (figures, error) {
	snaps, err := wal.OpenSnapshots(c.dir)
	if err != nil {
		return nil, err
	}
	list, err := snaps.List()
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errors.New("no snapshot to load")
	}
	start := time.Now()
	r, err := snaps.Open(list[len(list)-1])
	if err != nil {
		return nil, err
	}
	if err := errors.Join(c.store.Restore(r), r.Close()); err != nil {
		return nil, err
	}
	took := time.Since(start).Seconds()
	if keys, _ := c.store.Keys(0); int(keys) < c.keys {
		return nil, fmt.Errorf("loaded %d keys instead of %d or more", keys, c.keys)
	}
	return figures{"load": took}, nil
}

// redisSnapshots does the same to redis-server, whose snapshot is a fork.
func redisSnapshots(ctx context.Context, r *redis, p params) (figures, error) {
	load := writeLoad(p.keys)
	if err := r.fill(fillStrings(p.keys)); err != nil {
		return nil, err
	}
	n := min(2*p.keys, timedOps)
	before, err := r.timed("set", load, 0, n)
	if err != nil {
		return nil, err
	}
	rss, _, err := r.memory()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(r.resetStats(), r.all([]string{"bgsave"})); err != nil {
		return nil, err
	}
	for busy := 1.0; busy != 0; n += 10 * pipeline {
		if err := r.run(load, n, 10*pipeline); err != nil {
			return nil, err
		}
		if busy, err = r.info("persistence", "rdb_bgsave_in_progress"); err != nil {
			return nil, err
		}
	}
	during, err := r.perCall("set")
	if err != nil {
		return nil, err
	}
	fork, err := r.info("stats", "latest_fork_usec")
	if err != nil {
		return nil, err
	}
	cow, err := r.info("persistence", "rdb_last_cow_size")
	if err != nil {
		return nil, err
	}
	f := figures{"stall": fork / 1e3, "wall": 100 * before / during, "peak": 100 * (rss + cow) / rss}
	start := time.Now()
	if _, err := r.do("save"); err != nil {
		return nil, err
	}
	f["write"] = time.Since(start).Seconds()
	r.stop()
	start = time.Now()
	again, err := startRedis(ctx, p.dir)
	if err != nil {
		return nil, err
	}
	f["load"] = time.Since(start).Seconds()
	*r = *again
	if keys, err := r.do("dbsize"); err != nil || len(keys) < len(fmt.Sprint(p.keys)) {
		return nil, fmt.Errorf("redis-server loaded %q keys: %w", keys, err)
	}
	return f, nil
}
