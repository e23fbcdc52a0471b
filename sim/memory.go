package sim

import (
	"strconv"

	"kvapp/fsm"
	"kvapp/node"
)

// Worlds with the class memory have a limit of what keys may take. What a leader evicts stands in the log: the model takes
// a key away when the entry names the version that the key has, and what clients are answered afterwards is compared with
// that. So a write that was acknowledged is missing only where an entry says so.

// evictName is the command by which a leader has keys evicted: its arguments are pairs of a version and a key, and a version
// is the index of the entry that changed the key last.
const evictName = "_evict"

// limitMemory sets the limit of all nodes, in bytes; 0 = none.
func (w *World) limitMemory(limit int64) {
	p := w.o.Policy
	// With this factor a counter of uses grows with every use: else it would go by chance that no seed decides.
	use := fsm.Use{LFU: p.LFU(), LogFactor: 0, Decay: 1}
	w.limit = &node.Memory{Limit: limit, Policy: p, Samples: w.o.Samples, Use: use}
	w.ceiling = max(w.ceiling, limit)
}

// changeLimit sets another limit.
func (w *World) changeLimit(d dice) {
	limit := w.o.MaxMemory << d.n(2) >> d.n(2)
	w.reach(memoryChanged)
	if w.tracing {
		w.trace(w.hosts[0], "limit", "%d bytes", limit)
	}
	w.limitMemory(limit)
}

// volatile says whether only keys with a deadline may be evicted.
func (o *Options) volatile() bool { return o.Policy >= fsm.VolatileLRU }

// evict executes the evictions of a committed entry on the model.
func (w *World) evict(index uint64, args [][]byte) {
	if w.o.Policy == fsm.NoEviction {
		w.fail("evicts-by-its-policy", "entry %d evicts %q, and nothing is to be evicted", index, args)
		return
	}
	for i := 0; i+1 < len(args); i += 2 {
		at, ok := w.keyAt[string(args[i+1])]
		if !ok {
			continue // of a sundry command
		}
		k := w.keys[at]
		now := k.now()
		if now == nil || strconv.FormatUint(now.index, 10) != string(args[i]) {
			w.reach(evictionSpared)
			continue
		}
		if w.o.volatile() && !now.expires {
			w.fail("evicts-by-its-policy", "entry %d evicts %s, which has no deadline", index, k.name)
			return
		}
		w.reach(keyEvicted)
		k.versions = append(k.versions, version{index: index, gone: true})
		k.history = append(k.history, operation{verb: evicted, known: true, index: index, end: never})
	}
}

// spareRoom is by how many bytes the keys may pass the limit: one batch may when nothing else is under way, copies and gaps
// add more than the leader counts with, and a key that was to go stays if it was written to since it was chosen.
const spareRoom = 2 << 10

// count looks at what the keys take behind an entry that a node has applied: the same on all nodes, and within the limit.
func (w *World) count(h *host) {
	if h.planted {
		return
	}
	index, n := h.store.Applied(), h.store.Counted()
	for uint64(len(w.counted)) <= index {
		w.counted = append(w.counted, -1)
	}
	if was := w.counted[index]; was >= 0 && was != n {
		w.fail("counts-the-same", "%v counts %d bytes of keys behind entry %d, another node counted %d", h, n, index, was)
	}
	w.counted[index] = n
	if w.o.MaxMemory > 0 && w.limit.Limit > 0 && n > w.ceiling+spareRoom {
		w.fail("memory-is-kept", "the keys take %d bytes behind entry %d, the limit was never above %d", n, index, w.ceiling)
	}
}

// fits says whether a leader at rest has evicted all that it should.
func (w *World) fits(l *host) bool {
	if w.limit.Limit == 0 || l.store.Counted() <= w.limit.Limit {
		return true
	}
	for db := range fsm.Databases {
		if keys, _ := l.store.Keys(db); keys > 0 {
			return false
		}
	}
	return true
}
