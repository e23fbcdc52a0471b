package main

import (
	"context"
	"runtime"
	"time"

	"kvapp/fsm"
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
		for _, e := range []extent{small, large, big} {
			list = append(list, memoryOf(collectionOf(c.name, e), n))
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
			return r.perElement(mixedFill(n), all, collectionOf("hash", small).visits(n))
		},
	})
	return append(list, gcBenches(p)...)
}

// gcBenches measure collections of garbage at two sizes of the data: strings, and collections beyond what Redis packs.
func gcBenches(p params) []bench {
	n, four := p.elements(), count(4*p.keys)
	return []bench{{
		name: "gc",
		rows: []row{
			{"n", "one garbage collection with " + count(p.keys) + " keys: ms of CPU, all threads", goal{limit: 15}},
			{"4n", "one garbage collection with " + four + " keys: ms of CPU, all threads", goal{limit: 15}},
			{"growth", "the same, " + four + " keys over " + count(p.keys) + " keys", goal{limit: 1.5}},
		},
		steps: []func(*child) (figures, error){func(c *child) (figures, error) {
			return c.collect(fillStrings(c.keys), fillStrings(4*c.keys))
		}},
	}, {
		name: "gc-members",
		rows: []row{
			{"n", membersTitle(n), goal{limit: 15}},
			{"4n", membersTitle(4 * n), goal{limit: 15}},
			{"growth", "the same, four times as many over so many", goal{limit: 1.5}},
		},
		steps: []func(*child) (figures, error){func(c *child) (figures, error) {
			return c.collect(membersFill(n), membersFill(4*n))
		}},
	}}
}

func membersTitle(n int) string {
	return "one garbage collection with a hash, a set and a sorted set of " + count(n) + ", and as many members in keys of " +
		count(perLarge) + ": ms of CPU, all threads"
}

// membersFill makes n elements of every kind and extent that is not packed.
func membersFill(n int) script {
	var all []collection
	for _, name := range []string{"hash", "set", "zset"} {
		all = append(all, collectionOf(name, big), collectionOf(name, large))
	}
	return fills(n, all...)
}

func memoryOf(c collection, n int) bench {
	return bench{
		name: "memory/" + c.name + "-" + extentNames[c.extent],
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

// collect measures forced collections of garbage with some data, and with the four times as many that contain them.
func (c *child) collect(some, four script) (figures, error) {
	if err := c.fill(some); err != nil {
		return nil, err
	}
	n := collection5()
	if err := c.fill(four); err != nil {
		return nil, err
	}
	n4 := collection5()
	runtime.KeepAlive(c.store)
	return figures{"n": n, "4n": n4, "growth": n4 / n}, nil
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

// sizeChange is a load of keys, the deletion of half of them, and a load of others of other sizes.
type sizeChange struct {
	name, title string
	scripts     func(n int) []script
}

var sizeChanges = []sizeChange{
	{"one", "values of 64 B", changeOfSizes},
	{"many", "values of 1 to 512 B", changeOfManySizes},
}

// changeBenches measure what is left of the memory that a change of sizes makes free, when an idle node has given it back.
func changeBenches(p params) (list []bench) {
	for _, ch := range sizeChanges {
		title := count(p.change) + " keys with " + ch.title + ", half deleted, others of 32 to 288 B loaded: "
		list = append(list, bench{
			name: "change/" + ch.name,
			rows: []row{
				{"live", title + "resident bytes over live bytes (of records, used_memory)", goal{limit: 1.25}},
				{"records", title + "bytes mapped for records over live bytes of records", goal{limit: 1.25}},
				{"payload", title + "resident bytes over bytes of keys and values", goal{rival: true}},
			},
			steps: []func(*child) (figures, error){func(c *child) (figures, error) { return c.changed(ch) }},
			redis: func(_ context.Context, r *redis, p params) (figures, error) { return r.changed(ch, p.change) },
		})
	}
	return list
}

// changed does a change of sizes, and then what an idle node does.
func (c *child) changed(ch sizeChange) (figures, error) {
	for _, s := range ch.scripts(c.change) {
		if err := c.fill(s); err != nil {
			return nil, err
		}
	}
	for c.store.Tidy(batchSize) == fsm.RestMore {
	}
	grown, err := c.grown()
	live, mapped := c.store.Records()
	if live == 0 { // in this build records are on the Go heap, and nobody knows
		live = uint64(c.store.MemoryUsed())
		mapped = live
	}
	return figures{"live": grown / float64(live), "records": float64(mapped) / float64(live), "payload": grown / changedPayload(ch, c.change)}, err
}

// changed does the same to redis-server.
func (r *redis) changed(ch sizeChange, n int) (figures, error) {
	rss, used, err := r.memory()
	if err != nil {
		return nil, err
	}
	for _, s := range ch.scripts(n) {
		if err := r.fill(s); err != nil {
			return nil, err
		}
	}
	rss2, used2, err := r.memory()
	live := (rss2 - rss) / (used2 - used)
	return figures{"live": live, "records": live, "payload": (rss2 - rss) / changedPayload(ch, n)}, err
}

func changeOfSizes(n int) []script {
	return []script{fillStrings(n), deleteHalf(n), otherSizes(n, n/4)}
}

func changeOfManySizes(n int) []script {
	return []script{fillSizes(n), deleteHalf(n), otherSizes(n, n/4)}
}

// changedPayload is the bytes of keys and values behind a change of sizes, of which every second key is gone.
func changedPayload(ch sizeChange, n int) float64 {
	scripts := ch.scripts(n)
	return scripts[0].payload()/float64(n)*float64(n-n/2) + scripts[2].payload()
}
