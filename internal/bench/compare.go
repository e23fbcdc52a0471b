package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"kvapp/internal/bench/process"
)

// comparison is one workload's outcome.
type comparison struct {
	workload
	rounds       int
	redis, kvapp result // medians
}

// fit is the number of requests of a run that should take no longer than limit at rate requests per second.
func fit(w workload, rate float64, limit time.Duration) int {
	return max(min(w.n, int(rate*limit.Seconds())), w.clients*w.pipeline)
}

// compare runs both servers in turns, rounds times within the budget: a short run of each tells how many requests fit,
// and when the budget is used up all the same, no further round begins.
func compare(ctx context.Context, w workload, rounds int, budget time.Duration, rd, kv *process.Server) (comparison, error) {
	limit := time.Now().Add(budget)
	for _, s := range []*process.Server{rd, kv} {
		probe := w
		probe.n = max(w.n/20, w.clients*w.pipeline)
		r, err := measure(ctx, probe, s)
		if err != nil {
			return comparison{}, fmt.Errorf("%s: %w", s.Name, err)
		}
		w.n = fit(w, r.rps, budget/time.Duration(2*rounds))
	}
	var a, b []result
	for i := range rounds {
		if i > 0 && time.Now().After(limit) {
			break
		}
		order := []*process.Server{rd, kv}
		if i%2 == 1 { // neither always follows the other
			slices.Reverse(order)
		}
		for _, s := range order {
			r, err := measure(ctx, w, s)
			if err != nil {
				return comparison{}, fmt.Errorf("%s: %w", s.Name, err)
			}
			if s == rd {
				a = append(a, r)
			} else {
				b = append(b, r)
			}
		}
	}
	return comparison{w, len(a), medians(a), medians(b)}, nil
}

// medians takes the median of every figure by itself.
func medians(rs []result) result {
	pick := func(f func(result) float64) float64 {
		var v []float64
		for _, r := range rs {
			v = append(v, f(r))
		}
		return process.Median(v)
	}
	return result{
		pick(func(r result) float64 { return r.rps }), pick(func(r result) float64 { return r.p50 }),
		pick(func(r result) float64 { return r.p99 }), pick(func(r result) float64 { return r.cpu }),
	}
}

// ratio is kvapp's median over redis-server's, for every figure.
func (c comparison) ratio() result {
	over := func(a, b float64) float64 {
		if b == 0 {
			return 0 // redis-benchmark rounds latencies to 0.001 ms
		}
		return a / b
	}
	return result{
		over(c.kvapp.rps, c.redis.rps), over(c.kvapp.p50, c.redis.p50),
		over(c.kvapp.p99, c.redis.p99), over(c.kvapp.cpu, c.redis.cpu),
	}
}

// ok reports whether the floor holds.
func (c comparison) ok() bool { return c.floor == 0 || c.ratio().rps >= c.floor }

func printHead(out io.Writer) {
	fmt.Fprintf(out, "%-15s %-6s %10s %8s %8s %10s\n", "workload", "", "req/s", "p50 ms", "p99 ms", "CPU us/op")
}

// print writes both medians and their ratios, and reports whether the floor holds.
func (c comparison) print(out io.Writer) bool {
	for _, row := range []struct {
		name string
		r    result
	}{{"redis", c.redis}, {"kvapp", c.kvapp}} {
		fmt.Fprintf(out, "%-15s %-6s %10.0f %8.3f %8.3f %10.1f\n", c.title(), row.name, row.r.rps, row.r.p50, row.r.p99, row.r.cpu)
	}
	verdict := "no floor"
	switch {
	case c.floor > 0 && c.ok():
		verdict = fmt.Sprintf("floor %.2f ok", c.floor)
	case c.floor > 0:
		verdict = fmt.Sprintf("floor %.2f BELOW", c.floor)
	}
	r := c.ratio()
	fmt.Fprintf(out, "%-15s %-6s %10.2f %8.2f %8.2f %10.2f  %s, median of %d\n", c.title(), "ratio", r.rps, r.p50, r.p99, r.cpu, verdict, c.rounds)
	return c.ok()
}
