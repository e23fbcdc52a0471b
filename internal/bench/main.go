package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// workload is one way to drive a server. floor is the ratio to redis-server below which the run fails; see the README
// for where the floors come from.
type workload struct {
	test                 string
	clients, pipeline, n int
	floor                float64
}

var workloads = []workload{
	{"set", 1, 1, 8_000, 0.24}, {"set", 50, 1, 100_000, 0.38}, {"set", 50, 16, 400_000, 0.41}, {"set", 200, 1, 100_000, 0.52},
	{"get", 1, 1, 20_000, 0.70}, {"get", 50, 1, 150_000, 0.70}, {"get", 50, 16, 800_000, 0.80}, {"get", 200, 1, 150_000, 0.81},
}

// result of one run of redis-benchmark.
type result struct {
	rps, p50, p99 float64
	cpu           float64 // microseconds per operation over all server processes
}

// server is something to measure.
type server struct {
	name string
	port int
	pids []int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	bin := flag.String("kvapp", "bin/kvapp", "the program to measure")
	rounds := flag.Int("rounds", 3, "rounds per workload")
	scale := flag.Float64("scale", 1, "factor on the number of requests")
	only := flag.String("only", "", "workloads to run, such as set/50/16; empty = all")
	flag.Parse()
	dir, err := os.MkdirTemp(".", "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // scratch
	kv, stopKv, err := startKvapp(ctx, *bin, dir)
	if err != nil {
		return err
	}
	defer stopKv()
	rd, stopRd, err := startRedis(ctx, dir)
	if err != nil {
		return err
	}
	defer stopRd()
	fmt.Fprintf(out, "%-14s %-6s %10s %8s %8s %9s\n", "workload", "server", "req/s", "p50 ms", "p99 ms", "cpu us/op")
	below := 0
	for _, w := range workloads {
		if *only != "" && *only != fmt.Sprintf("%s/%d/%d", w.test, w.clients, w.pipeline) {
			continue
		}
		w.n = int(float64(w.n) * *scale)
		ok, err := compare(ctx, out, w, *rounds, rd, kv)
		if err != nil {
			return err
		}
		if !ok {
			below++
		}
	}
	if below > 0 {
		return fmt.Errorf("%d workloads below their floor", below)
	}
	return nil
}

// compare runs both servers in turns and prints medians.
func compare(ctx context.Context, out io.Writer, w workload, rounds int, rd, kv *server) (bool, error) {
	var a, b []result
	for range rounds {
		for _, s := range []struct {
			s    *server
			list *[]result
		}{{rd, &a}, {kv, &b}} {
			r, err := measure(ctx, w, s.s)
			if err != nil {
				return false, fmt.Errorf("%s %s: %w", s.s.name, w.test, err)
			}
			*s.list = append(*s.list, r)
		}
	}
	name := fmt.Sprintf("%s c%d P%d", strings.ToUpper(w.test), w.clients, w.pipeline)
	ra, rb := median(a), median(b)
	for _, x := range []struct {
		n string
		r result
	}{{"redis", ra}, {"kvapp", rb}} {
		fmt.Fprintf(out, "%-14s %-6s %10.0f %8.3f %8.3f %9.1f\n", name, x.n, x.r.rps, x.r.p50, x.r.p99, x.r.cpu)
	}
	ratio, verdict := rb.rps/ra.rps, "ok"
	if ratio < w.floor {
		verdict = "BELOW"
	}
	fmt.Fprintf(out, "%-14s ratio  %10.2f  cpu %.2fx  floor %.2f %s\n", name, ratio, rb.cpu/ra.cpu, w.floor, verdict)
	return ratio >= w.floor, nil
}

func median(rs []result) result {
	pick := func(f func(result) float64) float64 {
		var v []float64
		for _, r := range rs {
			v = append(v, f(r))
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	return result{
		pick(func(r result) float64 { return r.rps }), pick(func(r result) float64 { return r.p50 }),
		pick(func(r result) float64 { return r.p99 }), pick(func(r result) float64 { return r.cpu }),
	}
}

// measure runs redis-benchmark once.
func measure(ctx context.Context, w workload, s *server) (result, error) {
	before, err := cpuTime(s.pids)
	if err != nil {
		return result{}, err
	}
	cmd := exec.CommandContext(ctx, "redis-benchmark", "-p", strconv.Itoa(s.port), "-t", w.test, "-c", strconv.Itoa(w.clients),
		"-P", strconv.Itoa(w.pipeline), "-n", strconv.Itoa(w.n), "-d", "64", "-r", "100000", "--csv")
	text, err := cmd.Output()
	if err != nil {
		return result{}, fmt.Errorf("redis-benchmark: %w: %s", err, text)
	}
	after, err := cpuTime(s.pids)
	if err != nil {
		return result{}, err
	}
	// "test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
	rows, err := csv.NewReader(strings.NewReader(string(text))).ReadAll()
	if err != nil || len(rows) != 2 || len(rows[1]) != 8 {
		return result{}, fmt.Errorf("redis-benchmark printed %q", text)
	}
	var v [3]float64
	for i, col := range []int{1, 4, 6} {
		if v[i], err = strconv.ParseFloat(rows[1][col], 64); err != nil {
			return result{}, err
		}
	}
	return result{v[0], v[1], v[2], float64((after - before).Microseconds()) / float64(w.n)}, nil
}

// cpuTime is user plus system time of the processes.
func cpuTime(pids []int) (sum time.Duration, err error) {
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, err
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		f := strings.Fields(rest)
		if len(f) < 13 {
			return 0, fmt.Errorf("/proc/%d/stat: %q", pid, b)
		}
		for _, x := range f[11:13] {
			n, err := strconv.ParseInt(x, 10, 64)
			if err != nil {
				return 0, err
			}
			sum += time.Duration(n) * 10 * time.Millisecond // USER_HZ is 100
		}
	}
	return sum, nil
}

// freePorts returns the first of n consecutive free ports whose peer and status ports are free too.
func freePorts(n int) (int, error) {
next:
	for base := 21000; base < 30000; base += n {
		for i := range n {
			for _, p := range []int{base + i, base + i + 10000, base + i + 20000} {
				l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
				if err != nil {
					continue next
				}
				if err := l.Close(); err != nil {
					return 0, err
				}
			}
		}
		return base, nil
	}
	return 0, fmt.Errorf("no free ports")
}

func startKvapp(ctx context.Context, bin, dir string) (*server, func(), error) {
	port, err := freePorts(3)
	if err != nil {
		return nil, nil, err
	}
	data := filepath.Join(dir, "kvapp")
	cmd := exec.Command(bin, "dev", "--port", strconv.Itoa(port), "--dir", data)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	stop := func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // gone already is as good
		_ = cmd.Wait()
	}
	s := &server{name: "kvapp"}
	lines := bufio.NewScanner(pipe)
	for lines.Scan() {
		if f := strings.Fields(lines.Text()); len(f) == 5 && f[0] == "leader" {
			s.port, err = strconv.Atoi(f[4])
		}
		if lines.Text() == "ready" {
			break
		}
	}
	if err != nil || s.port == 0 {
		stop()
		return nil, nil, fmt.Errorf("kvapp dev did not become ready: %w", err)
	}
	go func() { _, _ = io.Copy(io.Discard, pipe) }()
	for i := 1; i <= 3; i++ {
		b, err := os.ReadFile(filepath.Join(data, fmt.Sprintf("n%d", i), "kvapp.pid"))
		if err != nil {
			stop()
			return nil, nil, err
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err != nil {
			stop()
			return nil, nil, err
		}
		s.pids = append(s.pids, pid)
	}
	return s, stop, ctx.Err()
}

func startRedis(ctx context.Context, dir string) (*server, func(), error) {
	port, err := freePorts(1)
	if err != nil {
		return nil, nil, err
	}
	data := filepath.Join(dir, "redis")
	if err := os.MkdirAll(data, 0o755); err != nil {
		return nil, nil, err
	}
	cmd := exec.Command("redis-server", "--port", strconv.Itoa(port), "--dir", data, "--save", "", "--appendonly", "yes", "--appendfsync", "always")
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	stop := func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // gone already is as good
		_ = cmd.Wait()
	}
	s := &server{"redis", port, []int{cmd.Process.Pid}}
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return s, stop, c.Close()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			stop()
			return nil, nil, ctx.Err()
		}
	}
}
