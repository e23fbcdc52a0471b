package sim

import (
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/internal/race"
	"kvapp/sim/disk"
)

// probe makes the machine of the first node fail at the k-th operation that its disk does from some moment on, once, and
// finds out whether that was before another moment.
type probe struct {
	k      int
	begins func(w *World, h *host) bool // asked after every event until it says yes
	ends   func(w *World, h *host) bool // and this one from then on
	power  bool                         // what was not synced is lost too, as far as the process does not end by itself first

	armed, done, crashed bool
	life                 uint32
}

func (p *probe) look(w *World) string {
	h := w.hosts[0]
	switch {
	case p.done || p.crashed || w.phase.step != faults:
	case !p.armed:
		if p.begins(w, h) {
			p.armed, p.life, h.faulty = true, h.life, true
			h.fs.CrashAfter(p.k)
		}
	case h.fs.Crashed():
		p.crashed = true
		h.cut = h.job
		if h.fs.Kill(); p.power {
			losses := disk.Losses()
			h.fs.Crash(losses[p.k%len(losses)])
		}
		w.halt(h)
		if p.power {
			h.clock.reboot(second)
		}
		w.queue.put(event{at: w.now + w.o.Election, kind: evStart, node: uint8(h.n)})
	case h.life != p.life && h.up: // it has found out by itself
		p.crashed = true
	case h.up && p.ends(w, h):
		p.done = true
		h.fs.CrashAfter(0)
	}
	return ""
}

// calm is a world in which nothing happens but clients and snapshots, and those often.
func calm(seed uint64) Options {
	o := DrawSmall(seed)
	o.Nodes, o.Spares, o.Duration, o.Quiet, o.Election, o.Heartbeat = 3, 0, 2*second, 100*ms, 200*ms, 40*ms
	o.Odds = [classes]int64{clients: always}
	o.SnapshotBytes, o.HoldBytes, o.SnapshotKeep, o.SegmentSize, o.CacheBytes = 2000, 0, 0, 300, 0
	o.MaxAppendBytes, o.MaxInflightBytes, o.ApplyBacklog, o.MaxUncommitted, o.MaxEntryBytes = 512, 4096, 1<<16, 8192, 512
	o.MinDelay, o.MeanDelay, o.MinFsync, o.MeanFsync, o.Think, o.Clients = 100*us, 500*us, 100*us, 300*us, 10*ms, 6
	return o
}

// The machine fails at every operation of the disk while a snapshot is taken, while one is installed, and while a node that
// finds its snapshot damaged gets its state back. Nothing acknowledged is lost, and the node goes on: every invariant of
// these worlds holds, and at their end all nodes have the same state.
func TestCrashAtEveryOperationOfASnapshot(t *testing.T) {
	step := 1
	if race.Enabled {
		step = 9
	}
	for name, scene := range map[string]func() (begins, ends func(w *World, h *host) bool){
		"taken": takes, "installed": installs, "damaged": loses,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for k := 1; ; k += step {
				p := &probe{k: k, power: k%2 == 0}
				p.begins, p.ends = scene()
				r := Run(calm(7), Config{suspect: p.look})
				if r.Failure != nil {
					t.Fatalf("operation %d: %v", k, r.Failure)
				}
				require.True(t, p.armed, "it never begins")
				if p.done {
					require.Greater(t, k, 10, "so few operations it cannot be")
					t.Logf("at most %d operations", k-1)
					break
				}
				require.True(t, p.crashed, "operation %d: it never ends", k)
			}
		})
	}
}

// takes is from the moment a view is frozen until the log is cut behind it.
func takes() (begins, ends func(w *World, h *host) bool) {
	before := uint64(0)
	begins = func(w *World, h *host) bool {
		before = h.last.Snapshot
		return w.now > 500*ms && h.up && h.write != nil && before > 0
	}
	ends = func(_ *World, h *host) bool { return h.last.Snapshot > before }
	return begins, ends
}

// installs is from the moment a node that was away can only be helped by a snapshot until its journal begins behind that.
func installs() (begins, ends func(w *World, h *host) bool) {
	cut := func(w *World, h *host, by int) {
		for _, o := range w.hosts[1:] {
			w.cut(h.n, o.n, by)
			w.cut(o.n, h.n, by)
		}
	}
	away, back := false, uint64(0)
	begins = func(w *World, h *host) bool {
		if !away {
			if away = w.now > 500*ms; away {
				cut(w, h, 1)
			}
			return false
		}
		for _, o := range w.hosts[1:] {
			if !o.up || o.last.First <= h.last.Last+1 {
				return false
			}
		}
		cut(w, h, -1)
		back = h.last.Last
		return true
	}
	ends = func(_ *World, h *host) bool { return h.last.Snapshot > back && h.shadow.base > back }
	return begins, ends
}

// loses is from the start of a node whose snapshot is damaged until there is another one in its place.
func loses() (begins, ends func(w *World, h *host) bool) {
	before := uint64(0)
	begins = func(w *World, h *host) bool {
		if w.now < 500*ms || !h.up || h.last.Snapshot == 0 || h.write != nil {
			return false
		}
		before = h.last.Snapshot
		d := dice(3)
		w.kill(h, &d)
		w.spoil(h, d)
		w.queue.put(event{at: w.now + ms, kind: evStart, node: uint8(h.n)})
		return h.spoiled
	}
	ends = func(_ *World, h *host) bool {
		return !h.spoiled && h.last.Snapshot > before && h.job == nil && h.write == nil
	}
	return begins, ends
}
