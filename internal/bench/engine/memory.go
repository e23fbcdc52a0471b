package main

import (
	"context"
	"runtime"
	"time"

	"kvapp/internal/bench/process"
)

// memoryBenches measure what data takes at rest, and what the garbage collector does about it.
func memoryBenches(p params) []bench {
	list := []bench{{
		name: "memory/strings",
		rows: []row{{"bytes", count(p.keys) + " keys of 16 B with values of 64 B: resident bytes per key", goal{limit: 110, rival: true}}},
		steps: []func(*child) (figures, error){func(c *child) (figures, error) {
			return c.perElement(fillStrings(c.keys), c.keys)
		}},
		redis: func(_ context.Context, r *redis, p params) (figures, error) {
			return r.perElement(fillStrings(p.keys), p.keys, oneKey("get", p.keys))
		},
	}}
	n := p.elements()
	for _, c := range collections {
		for _, big := range []bool{false, true} {
			list = append(list, memoryOf(collectionOf(c.name, big), n))
		}
	}
	all := 2 * len(collections) * n
	list = append(list, bench{
		name: "memory/mixed",
		rows: []row{{"bytes", "all of these collections together: resident bytes per element", goal{rival: true}}},
		steps: []func(*child) (figures, error){func(c *child) (figures, error) {
			return c.perElement(mixedFill(n), all)
		}},
		redis: func(_ context.Context, r *redis, _ params) (figures, error) {
			return r.perElement(mixedFill(n), all, collectionOf("hash", false).visits(n))
		},
	})
	four := count(4 * p.keys)
	return append(list, bench{
		name: "gc",
		rows: []row{
			{"n", "one garbage collection with " + count(p.keys) + " keys: ms of CPU, all threads", goal{limit: 15}},
			{"4n", "one garbage collection with " + four + " keys: ms of CPU, all threads", goal{limit: 15}},
			{"growth", "the same, " + four + " keys over " + count(p.keys) + " keys", goal{limit: 1.5}},
		},
		steps: []func(*child) (figures, error){collect},
	})
}

func memoryOf(c collection, n int) bench {
	size := "small"
	if c.big {
		size = "big"
	}
	return bench{
		name: "memory/" + c.name + "-" + size,
		rows: []row{{"bytes", c.title(count(n)) + ": resident bytes per element", goal{rival: true}}},
		steps: []func(*child) (figures, error){func(ch *child) (figures, error) {
			return ch.perElement(c.fill(n), n)
		}},
		redis: func(_ context.Context, r *redis, _ params) (figures, error) {
			return r.perElement(c.fill(n), n, c.visits(n))
		},
	}
}

// perElement fills the store and returns the resident bytes by element.
func (c *child) perElement(s script, n int) (figures, error) {
	if err := c.fill(s); err != nil {
		return nil, err
	}
	grown, err := c.grown()
	return figures{"bytes": grown / float64(n)}, err
}

// perElement does the same to redis-server. The visits, as many as there are elements, finish a growth of its tables
// that is under way.
func (r *redis) perElement(s script, n int, visits script) (figures, error) {
	rss, used, err := r.memory()
	if err != nil {
		return nil, err
	}
	if err := r.fill(s); err != nil {
		return nil, err
	}
	if err := r.fill(visits); err != nil {
		return nil, err
	}
	rss2, used2, err := r.memory()
	return figures{"bytes": (rss2 - rss) / float64(n), usedKey("bytes"): (used2 - used) / float64(n)}, err
}

// collect measures forced collections at two sizes of the same store.
func collect(c *child) (figures, error) {
	if err := c.fill(fillStrings(c.keys)); err != nil {
		return nil, err
	}
	small := collection5()
	if _, err := c.run(fillStrings(4*c.keys), c.keys, 3*c.keys); err != nil {
		return nil, err
	}
	large := collection5()
	runtime.KeepAlive(c.store)
	return figures{"n": small, "4n": large, "growth": large / small}, nil
}

// collection5 is the CPU time of a collection in ms: the median of five, behind one that cleans up.
func collection5() float64 {
	runtime.GC()
	var took []float64
	for range 5 {
		start := processCPU()
		runtime.GC()
		took = append(took, ms(processCPU()-start))
	}
	return process.Median(took)
}

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// changeBenches load keys, delete half of them, and load others of other sizes.
func changeBenches(p params) []bench {
	title := count(p.change) + " keys loaded, half deleted, others of 32 to 288 B loaded: resident bytes over "
	return []bench{{
		name: "change",
		rows: []row{
			{"live", title + "live bytes (Store.MemoryUsed, used_memory)", goal{limit: 1.25}},
			{"payload", title + "bytes of keys and values", goal{rival: true}},
		},
		steps: []func(*child) (figures, error){func(c *child) (figures, error) {
			for _, s := range changeOfSizes(c.change) {
				if err := c.fill(s); err != nil {
					return nil, err
				}
			}
			grown, err := c.grown()
			return figures{"live": grown / float64(c.store.MemoryUsed()), "payload": grown / changedPayload(c.change)}, err
		}},
		redis: func(_ context.Context, r *redis, p params) (figures, error) {
			rss, used, err := r.memory()
			if err != nil {
				return nil, err
			}
			for _, s := range changeOfSizes(p.change) {
				if err := r.fill(s); err != nil {
					return nil, err
				}
			}
			rss2, used2, err := r.memory()
			return figures{"live": (rss2 - rss) / (used2 - used), "payload": (rss2 - rss) / changedPayload(p.change)}, err
		},
	}}
}

func changeOfSizes(n int) []script {
	return []script{fillStrings(n), deleteHalf(n), otherSizes(n, n/4)}
}

// changedPayload is the bytes of keys and values behind changeOfSizes.
func changedPayload(n int) float64 {
	sum := 0
	var w words
	other := otherSizes(n, n/4)
	for i := range other.n {
		w.reset()
		other.say(i, &w)
		sum += w.payload()
	}
	return float64(sum + (n-n/2)*(nameSize+valueSize))
}
