package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"kvapp/internal/bench/process"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options of a run.
type options struct {
	bin    string
	dir    string
	rounds int
	scale  float64
	budget time.Duration
	list   []workload
}

func parseOptions(args []string) (*options, error) {
	var o options
	var only string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&o.bin, "kvapp", "bin/kvapp", "the program to measure")
	flags.StringVar(&o.dir, "dir", "bench-out", "where both keep their data during the run")
	flags.IntVar(&o.rounds, "rounds", 5, "rounds per workload")
	flags.Float64Var(&o.scale, "scale", 1, "factor on the number of requests")
	flags.DurationVar(&o.budget, "budget", 4*time.Minute, "time for all workloads: a slow machine gets fewer requests, then fewer rounds")
	flags.StringVar(&only, "only", "", "workloads to run, such as set/50/16,get/50/16 (test/clients/pipeline); empty = all")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if o.rounds < 1 || o.scale <= 0 || flags.NArg() > 0 {
		return nil, errors.New("rounds and scale are positive, and there are no arguments")
	}
	var err error
	o.list, err = selectWorkloads(only, o.scale)
	return &o, err
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parseOptions(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, tool := range []string{"redis-server", "redis-benchmark"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%w (Debian: apt-get install redis-server redis-tools)", err)
		}
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "run-")
	if err != nil {
		return err
	}
	return errors.Join(benchmark(ctx, o, dir, out), os.RemoveAll(dir))
}

// benchmark starts both servers, runs every workload and stops them.
func benchmark(ctx context.Context, o *options, dir string, out io.Writer) error {
	rd, err := process.StartRedis(ctx, dir, "--save", "", "--appendonly", "yes", "--appendfsync", "always")
	if err != nil {
		return err
	}
	defer rd.Stop()
	kv, err := startKvapp(ctx, o.bin, dir)
	if err != nil {
		return err
	}
	defer kv.Stop()
	for _, s := range []*process.Server{rd, kv} { // keys for the reads, and warm code for the first round
		if _, err := measure(ctx, warmup, s); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	printHead(out)
	below := 0
	for _, w := range o.list {
		c, err := compare(ctx, w, o.rounds, o.budget/time.Duration(len(o.list)), rd, kv)
		if err != nil {
			return fmt.Errorf("%s: %w", w, err)
		}
		if !c.print(out) {
			below++
		}
	}
	if below > 0 {
		return fmt.Errorf("%d of %d workloads below their floor", below, len(o.list))
	}
	return nil
}
