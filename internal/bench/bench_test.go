package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const csvHead = `"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"` + "\n"

func TestParseCSV(t *testing.T) {
	r, err := parseCSV(csvHead + `"SET","59523.81","0.520","0.104","0.447","0.927","1.503","3.199"` + "\n")
	require.NoError(t, err)
	require.Equal(t, result{rps: 59523.81, p50: 0.447, p99: 1.503}, r)
	// By name, not by place.
	r, err = parseCSV("\"p99_latency_ms\",\"test\",\"p50_latency_ms\",\"rps\"\n1,2,3,4\n")
	require.NoError(t, err)
	require.Equal(t, result{rps: 4, p50: 3, p99: 1}, r)
	for text, want := range map[string]string{
		"":      "redis-benchmark printed",
		csvHead: "redis-benchmark printed",
		csvHead + `"SET","1","1","1","1","1","1","1"` + "\n" + `"GET","1","1","1","1","1","1","1"` + "\n": "redis-benchmark printed",
		csvHead + `"SET","fast","1","1","1","1","1","1"` + "\n":                                           "redis-benchmark's rps",
		csvHead + `"SET","0","1","1","1","1","1","1"` + "\n":                                              "measured nothing",
		"\"test\",\"rps\"\n\"SET\",\"1\"\n":                                                               "prints no p50_latency_ms",
		"Error from server: MOVED 1 127.0.0.1:1\n":                                                        "redis-benchmark printed",
	} {
		_, err := parseCSV(text)
		require.ErrorContains(t, err, want, text)
	}
}

func TestPerOperation(t *testing.T) {
	require.InDelta(t, 12.5, perOperation(125*time.Millisecond, 10_000), 1e-9)
}

func TestMedians(t *testing.T) {
	// Each figure by itself: the run with the middle rate need not have the middle latency.
	m := medians([]result{{100, 3, 9, 30}, {300, 2, 8, 10}, {200, 1, 7, 20}})
	require.Equal(t, result{200, 2, 8, 20}, m)
}

func TestComparison(t *testing.T) {
	c := comparison{
		workload: workload{"set", 50, 16, 1000, 0.41}, rounds: 3,
		redis: result{400_000, 2, 5, 3}, kvapp: result{200_000, 3, 20, 12},
	}
	require.Equal(t, result{0.5, 1.5, 4, 4}, c.ratio())
	var out bytes.Buffer
	printHead(&out)
	require.True(t, c.print(&out))
	require.Equal(t, ""+
		"workload                    req/s   p50 ms   p99 ms  CPU us/op\n"+
		"SET c=50 P=16   redis      400000    2.000    5.000        3.0\n"+
		"SET c=50 P=16   kvapp      200000    3.000   20.000       12.0\n"+
		"SET c=50 P=16   ratio        0.50     1.50     4.00       4.00  floor 0.41 ok, median of 3\n", out.String())
	c.kvapp.rps = 163_000
	out.Reset()
	require.False(t, c.print(&out))
	require.Contains(t, out.String(), "floor 0.41 BELOW")
	c.floor = 0
	out.Reset()
	require.True(t, c.print(&out))
	require.Contains(t, out.String(), "no floor")
	c.redis.p50 = 0
	require.Zero(t, c.ratio().p50)
}

// The workloads and floors that were promised.
func TestWorkloads(t *testing.T) {
	want := map[string]float64{
		"set/1/1": 0.24, "set/50/1": 0.38, "set/50/16": 0.41, "set/200/1": 0.52,
		"get/1/1": 0, "get/50/1": 0.70, "get/50/16": 0.80, "get/200/1": 0.81,
	}
	require.Len(t, workloads, len(want))
	for _, w := range workloads {
		require.InDelta(t, want[w.String()], w.floor, 0.005, w)
	}
	require.Equal(t, "-p 7001 -t set -c 50 -P 16 -n 400000 -d 64 -r 100000 --csv", strings.Join(workloads[2].args(7001), " "))
	require.Equal(t, "GET c=200 P=1", workloads[7].title())
}

func TestFit(t *testing.T) {
	w := workload{"set", 50, 16, 100_000, 0}
	require.Equal(t, 100_000, fit(w, 500_000, time.Second), "fast enough")
	require.Equal(t, 20_000, fit(w, 10_000, 2*time.Second))
	require.Equal(t, 800, fit(w, 1, time.Second), "at least one pipeline of every client")
}

func TestOptions(t *testing.T) {
	o, err := parseOptions(nil)
	require.NoError(t, err)
	require.Equal(t, workloads, o.list)
	require.Less(t, o.budget, 5*time.Minute)
	o, err = parseOptions([]string{"-only", "get/50/16,set/1/1", "-scale", "0.5", "-rounds", "1"})
	require.NoError(t, err)
	require.Equal(t, []workload{{"set", 1, 1, 4000, 1.3 / 5.4}, {"get", 50, 16, 400_000, 641.0 / 800}}, o.list)
	o, err = parseOptions([]string{"-only", "get/50/16", "-scale", "1e-9"})
	require.NoError(t, err)
	require.Equal(t, 800, o.list[0].n, "at least one pipeline of every client")
	for _, args := range [][]string{{"-only", "get/50/17"}, {"-rounds", "0"}, {"-scale", "0"}, {"x"}, {"-x"}} {
		_, err := parseOptions(args)
		require.Error(t, err, args)
	}
	_, err = parseOptions([]string{"-h"})
	require.ErrorIs(t, err, flag.ErrHelp)
}

func TestLeaderPort(t *testing.T) {
	says := "node       n1  clients 127.0.0.1:7001  status http://127.0.0.1:27001/metrics  log x\n" +
		"leader     n2 on port 7002\nready\nn3 ended\n"
	port, err := leaderPort(strings.NewReader(says))
	require.NoError(t, err)
	require.Equal(t, 7002, port)
	for _, bad := range []string{"", "ready\n", "leader n2 on port x\nready\n", "leader n2 on port 7002\n"} {
		_, err := leaderPort(strings.NewReader(bad))
		require.Error(t, err, bad)
	}
}

func TestReadPids(t *testing.T) {
	dir := t.TempDir()
	for i := 1; i <= nodes; i++ {
		home := filepath.Join(dir, fmt.Sprintf("n%d", i))
		require.NoError(t, os.Mkdir(home, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(home, "kvapp.pid"), fmt.Appendf(nil, "%d\n", 100+i), 0o600))
	}
	pids, err := readPids(dir)
	require.NoError(t, err)
	require.Equal(t, []int{101, 102, 103}, pids)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "n3", "kvapp.pid"), []byte("x"), 0o600))
	_, err = readPids(dir)
	require.Error(t, err)
	_, err = readPids(t.TempDir())
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestRunSaysWhatIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := run(context.Background(), []string{"-dir", t.TempDir()}, nil)
	require.ErrorContains(t, err, "redis-server")
	require.ErrorContains(t, err, "apt-get install redis-server redis-tools")
	require.NoError(t, run(context.Background(), []string{"-h"}, nil))
	require.Error(t, run(context.Background(), []string{"-rounds", "-1"}, nil))
}
