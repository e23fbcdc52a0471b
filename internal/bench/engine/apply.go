package main

import (
	"context"

	"kvapp/internal/bench/process"
)

// timedOps is the most commands that one measurement of speed executes.
const timedOps = 2_000_000

// applyRow is one command to be timed on a data set.
type applyRow struct {
	command, title string
	script         script
	goal           goal
}

// applyBenches measure commands of random keys, the worst case for caches.
func applyBenches(p params) []bench {
	n, m := p.keys, p.elements()
	simple, other := goal{limit: 2, more: true, rival: true}, goal{more: true, rival: true}
	on := " on " + count(n) + " keys, million/s of CPU"
	list := []bench{
		applyBench("apply/string", fillStrings(n), oneKey("get", n),
			applyRow{"set", "SET" + on, setStrings(n), simple}, applyRow{"get", "GET" + on, oneKey("get", n), simple}),
		applyBench("apply/number", fillNumbers(n), oneKey("get", n), applyRow{"incr", "INCR" + on, oneKey("incr", n), simple}),
	}
	for _, name := range []string{"hash", "zset"} {
		small, big := collectionOf(name, small), collectionOf(name, big)
		command := small.add
		title := map[string]string{"hash": "HSET", "zset": "ZADD"}[name] + " into "
		list = append(list,
			applyBench("apply/"+name+"-small", small.fill(n), small.visits(n),
				applyRow{command, title + count(n/perKey) + " " + small.title("") + ", million/s of CPU", small.writes(n), other}),
			applyBench("apply/"+name+"-big", big.fill(m), big.visits(m),
				applyRow{command, title + big.title(count(m)) + ", million/s of CPU", big.writes(m), other}))
	}
	return list
}

func applyBench(name string, fill, visits script, rows ...applyRow) bench {
	b := bench{name: name}
	for _, r := range rows {
		b.rows = append(b.rows, row{r.command, r.title, r.goal})
	}
	b.steps = []func(*child) (figures, error){func(c *child) (figures, error) {
		if err := c.fill(fill); err != nil {
			return nil, err
		}
		if _, err := settled(); err != nil {
			return nil, err
		}
		f := make(figures)
		for _, r := range rows {
			var err error
			if f[r.command], err = c.rate(r.script); err != nil {
				return nil, err
			}
		}
		return f, nil
	}}
	b.redis = func(_ context.Context, r *redis, _ params) (figures, error) {
		if err := r.fill(fill); err != nil {
			return nil, err
		}
		if err := r.fill(visits); err != nil { // finishes a growth of tables
			return nil, err
		}
		f := make(figures)
		for _, row := range rows {
			usec, err := r.timed(row.command, row.script, 0, min(row.script.n, timedOps))
			if err != nil {
				return nil, err
			}
			f[row.command] = 1 / usec
		}
		return f, nil
	}
	return b
}

// rate is the commands per microsecond of thread CPU time: the median of five rounds, behind a short one that warms up.
func (c *child) rate(s script) (float64, error) {
	n := max(min(s.n, timedOps)/5, batchSize)
	if _, err := c.run(s, 0, n/5); err != nil {
		return 0, err
	}
	var rates []float64
	for round := range 5 {
		sp, err := c.run(s, n+round*n, n)
		if err != nil {
			return 0, err
		}
		cpu, _ := sp.perSecond()
		rates = append(rates, cpu/1e6)
	}
	return process.Median(rates), nil
}

// timed executes n commands of a script and returns the server's own microseconds per call.
func (r *redis) timed(command string, s script, from, n int) (float64, error) {
	if err := r.resetStats(); err != nil {
		return 0, err
	}
	if err := r.run(s, from, n); err != nil {
		return 0, err
	}
	return r.perCall(command)
}
