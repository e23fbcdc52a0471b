package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"kvapp/internal/bench/process"
)

// result of one run of redis-benchmark.
type result struct {
	rps      float64 // requests per second
	p50, p99 float64 // ms
	cpu      float64 // microseconds per operation over all processes: servers and client
}

// measure runs redis-benchmark once.
func measure(ctx context.Context, w workload, s *process.Server) (result, error) {
	before, err := process.CPUTime(s.Pids)
	if err != nil {
		return result{}, err
	}
	cmd := exec.CommandContext(ctx, "redis-benchmark", w.args(s.Port)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		return result{}, fmt.Errorf("redis-benchmark: %w: %s%s", err, text, stderr.Bytes())
	}
	after, err := process.CPUTime(s.Pids)
	if err != nil {
		return result{}, err
	}
	r, err := parseCSV(string(text))
	if err != nil {
		return result{}, err
	}
	client := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	r.cpu = perOperation(after-before+client, w.n)
	return r, nil
}

// perOperation is the microseconds that n operations took each.
func perOperation(total time.Duration, n int) float64 {
	return float64(total.Nanoseconds()) / 1e3 / float64(n)
}

// parseCSV reads what redis-benchmark --csv prints for one test: a head, and a row of figures in the head's order.
func parseCSV(text string) (result, error) {
	var r result
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(rows) != 2 {
		return r, fmt.Errorf("redis-benchmark printed %q", text)
	}
	for _, f := range []struct {
		column string
		to     *float64
	}{{"rps", &r.rps}, {"p50_latency_ms", &r.p50}, {"p99_latency_ms", &r.p99}} {
		found := false
		for i, name := range rows[0] {
			if name != f.column {
				continue
			}
			if *f.to, err = strconv.ParseFloat(rows[1][i], 64); err != nil {
				return r, fmt.Errorf("redis-benchmark's %s: %w", f.column, err)
			}
			found = true
		}
		if !found {
			return r, fmt.Errorf("redis-benchmark prints no %s: %q", f.column, text)
		}
	}
	if r.rps <= 0 {
		return r, fmt.Errorf("redis-benchmark measured nothing: %q", text)
	}
	return r, nil
}
