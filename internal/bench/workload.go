package main

import (
	"fmt"
	"strconv"
	"strings"
)

// workload is one way to drive a server: redis-benchmark -t test -c clients -P pipeline -n n -d 64 -r 100000.
type workload struct {
	test              string
	clients, pipeline int
	n                 int     // requests of one round
	floor             float64 // least ratio of requests per second to redis-server's; 0 = none
}

// The floors are what the other Raft server with Redis' protocol and an fsync per write, uhaha, reached on three nodes
// beside redis-server with appendfsync always, measured in one run on one machine: thousands of requests per second of
// the one over those of the other. GET with one client was not measured there, so it has no floor.
var workloads = []workload{
	{"set", 1, 1, 8_000, 1.3 / 5.4},
	{"set", 50, 1, 100_000, 22.5 / 59.5},
	{"set", 50, 16, 400_000, 157.0 / 384},
	{"set", 200, 1, 100_000, 42.1 / 80.6},
	{"get", 1, 1, 20_000, 0},
	{"get", 50, 1, 150_000, 62.5 / 89.2},
	{"get", 50, 16, 800_000, 641.0 / 800},
	{"get", 200, 1, 150_000, 69.5 / 85.8},
}

// warmup writes keys before anything is measured.
var warmup = workload{"set", 50, 16, 200_000, 0}

// String is the form that -only takes.
func (w workload) String() string { return fmt.Sprintf("%s/%d/%d", w.test, w.clients, w.pipeline) }

// title is the form that is printed.
func (w workload) title() string {
	return fmt.Sprintf("%s c=%d P=%d", strings.ToUpper(w.test), w.clients, w.pipeline)
}

// args is redis-benchmark's command line.
func (w workload) args(port int) []string {
	return []string{
		"-p", strconv.Itoa(port), "-t", w.test, "-c", strconv.Itoa(w.clients), "-P", strconv.Itoa(w.pipeline),
		"-n", strconv.Itoa(w.n), "-d", "64", "-r", "100000", "--csv",
	}
}

// selectWorkloads picks the workloads named by a list with commas, all for "", and scales their requests.
func selectWorkloads(only string, scale float64) ([]workload, error) {
	var list []workload
	want := make(map[string]bool)
	for name := range strings.SplitSeq(only, ",") {
		if name != "" {
			want[name] = true
		}
	}
	for _, w := range workloads {
		if only != "" && !want[w.String()] {
			continue
		}
		delete(want, w.String())
		w.n = max(int(float64(w.n)*scale), w.clients*w.pipeline)
		list = append(list, w)
	}
	for name := range want {
		return nil, fmt.Errorf("%q is no workload", name)
	}
	return list, nil
}
