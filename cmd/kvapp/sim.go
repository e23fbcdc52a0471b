package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"kvapp/sim"
)

// simOptions are the flags of kvapp sim.
type simOptions struct {
	seed         uint64
	seeds        string
	lasts        time.Duration
	file         string
	small, large bool
	nodes        int
	trace        bool
	shrink       bool
	corners      bool
	jobs         int
}

func simCommand() *cobra.Command {
	var o simOptions
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Run simulated clusters, each from one seed, and check every invariant",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := bufio.NewWriter(cmd.OutOrStdout())
			// A world cannot be interrupted; the first signal ends one that runs alone, the second one all.
			defer context.AfterFunc(cmd.Context(), func() { signal.Reset(os.Interrupt, syscall.SIGTERM) })()
			if o.lasts == 0 && o.seeds == "" {
				signal.Reset(os.Interrupt, syscall.SIGTERM)
			}
			err := o.run(cmd.Context(), out)
			if ferr := out.Flush(); err == nil {
				err = ferr
			}
			return err
		},
	}
	f := cmd.Flags()
	f.Uint64Var(&o.seed, "seed", 1, "the one world to run")
	f.StringVar(&o.seeds, "seeds", "", "run all worlds from `A..B` instead, both included")
	f.DurationVar(&o.lasts, "for", 0, "run worlds that nobody has run before for this long instead, e.g. 30m")
	f.StringVar(&o.file, "case", "", "run the worlds of `FILE` instead, as --shrink prints them")
	f.BoolVar(&o.small, "small", false, "three nodes and tiny limits; otherwise the seed decides")
	f.BoolVar(&o.large, "large", false, "up to seven nodes and limits as in production")
	f.IntVar(&o.nodes, "nodes", 0, "number of nodes, 1 to 7; otherwise the seed decides")
	f.BoolVar(&o.trace, "trace", false, "one line per event")
	f.BoolVar(&o.shrink, "shrink", false, "of a world that fails, leave out what the failure does not need; print the rest and how it ends")
	f.BoolVar(&o.corners, "corners", false, "with --seeds: fail when there is a rare situation that no world met")
	f.IntVar(&o.jobs, "jobs", runtime.NumCPU(), "worlds that run at the same time, with --seeds and --for")
	cmd.MarkFlagsMutuallyExclusive("small", "large")
	cmd.MarkFlagsMutuallyExclusive("seed", "seeds", "for", "case")
	cmd.MarkFlagsMutuallyExclusive("trace", "shrink", "seeds", "for")
	for _, drawn := range []string{"small", "large", "nodes"} {
		cmd.MarkFlagsMutuallyExclusive("case", drawn)
	}
	return cmd
}

// world names the world of a seed.
func (o *simOptions) world(seed uint64) sim.Case {
	c := sim.Case{Seed: seed, Nodes: o.nodes}
	switch {
	case o.small:
		c.Preset = sim.Small
	case o.large:
		c.Preset = sim.Large
	}
	return c
}

func (o *simOptions) run(ctx context.Context, out *bufio.Writer) error {
	if o.nodes < 0 || o.nodes > sim.MaxNodes {
		return fmt.Errorf("--nodes %d: want 1 to %d", o.nodes, sim.MaxNodes)
	}
	switch {
	case o.lasts < 0:
		return fmt.Errorf("--for %v: want a duration above zero", o.lasts)
	case o.lasts > 0:
		first := uint64(time.Now().UnixMicro())
		return o.runMany(ctx, out, first, math.MaxUint64, time.Now().Add(o.lasts))
	case o.seeds != "":
		from, to, ok := strings.Cut(o.seeds, "..")
		first, err1 := strconv.ParseUint(from, 10, 64)
		last, err2 := strconv.ParseUint(to, 10, 64)
		if !ok || err1 != nil || err2 != nil || last < first {
			return fmt.Errorf("--seeds %q: want A..B", o.seeds)
		}
		return o.runMany(ctx, out, first, last, time.Time{})
	case o.file != "":
		return o.runFile(out)
	}
	return o.runOne(out, o.world(o.seed))
}

// runFile runs the worlds of a file, up to the first that fails.
func (o *simOptions) runFile(out io.Writer) error {
	f, err := os.Open(o.file)
	if err != nil {
		return err
	}
	cases, err := sim.ParseCases(f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("%s: %w", o.file, err)
	}
	for _, c := range cases {
		if err := o.runOne(out, c); err != nil {
			return err
		}
	}
	return nil
}

// runOne runs one world.
func (o *simOptions) runOne(out io.Writer, c sim.Case) error {
	if o.shrink {
		return shrink(out, c)
	}
	world := c.Options()
	fmt.Fprintln(out, world.String())
	var cfg sim.Config
	if o.trace {
		cfg.Trace = out
	}
	start := time.Now()
	r := c.Run(cfg)
	took := max(time.Since(start), 1)
	fmt.Fprintf(out, "%d events, %d entries, %.1f simulated seconds in %.3fs, hash %016x\n",
		r.Events, r.Entries, float64(r.Time)/1e9, took.Seconds(), r.Hash)
	if r.Failure != nil {
		return r.Failure
	}
	return nil
}

const (
	// shrinkRuns bounds the worlds that shrinking runs: a minute or two.
	shrinkRuns = 5000
	// lastLines is how much of the end of a shrunk world's trace is shown.
	lastLines = 60
)

// shrink prints the smallest world found that fails as c does, and how it comes to its end.
func shrink(out io.Writer, c sim.Case) error {
	s := sim.Shrink(c, shrinkRuns, sim.Config{})
	if s.Failure == nil {
		fmt.Fprintf(out, "%sholds: there is nothing to shrink\n", s.Case.String())
		return nil
	}
	fmt.Fprintf(out, "# %v\n# the smallest of %d worlds; again: kvapp sim --case FILE --trace\n%s", s.Failure, s.Runs, s.Case.String())
	end := lines{most: lastLines}
	s.Case.Run(sim.Config{Trace: &end})
	fmt.Fprintf(out, "# its last %d lines\n", len(end.kept))
	for _, line := range end.kept {
		fmt.Fprintf(out, "# %s\n", line)
	}
	return s.Failure
}

// lines keeps the last lines written to it.
type lines struct {
	most int
	part string // a line without its end
	kept []string
}

func (l *lines) Write(b []byte) (int, error) {
	whole := strings.Split(l.part+string(b), "\n")
	last := len(whole) - 1
	l.part, l.kept = whole[last], append(l.kept, whole[:last]...)
	l.kept = l.kept[max(0, len(l.kept)-l.most):]
	return len(b), nil
}

// runMany runs a range of seeds, or as many of it as begin before end, and counts. When ctx is done no other world begins.
func (o *simOptions) runMany(ctx context.Context, out *bufio.Writer, first, last uint64, end time.Time) error {
	// A world lives in a few MB and leaves garbage of ten times that: memory is cheaper here than collections are.
	defer debug.SetGCPercent(debug.SetGCPercent(collectAt))
	draw := func(seed uint64) sim.Options {
		c := o.world(seed)
		return c.Options()
	}
	total := sim.Sweep(first, last, o.jobs, draw, func(r sim.Result) bool {
		if r.Failure != nil {
			again := fmt.Sprintf("kvapp sim --seed %d%s", r.Options.Seed, o.how())
			fmt.Fprintf(out, "%s\n  %v\n  again: %s --trace\n  smaller: %s --shrink\n", r.Options.String(), r.Failure, again, again)
			_ = out.Flush() // the last one returns the error
		}
		return ctx.Err() == nil && (end.IsZero() || time.Now().Before(end))
	})
	fmt.Fprintf(out, "%sseeds from %d on\n", total.String(), first)
	if total.Failures > 0 {
		return fmt.Errorf("%d of %d worlds failed", total.Failures, total.Runs)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted after %d worlds", total.Runs)
	}
	if missing := total.Missing(false); o.corners && len(missing) > 0 {
		return fmt.Errorf("never met: %s", strings.Join(missing, ", "))
	}
	return nil
}

// collectAt is how much the heap may grow before a collection of garbage, in percent of what is in use.
const collectAt = 400

// how repeats the flags that make the worlds what they are.
func (o *simOptions) how() string {
	s := ""
	if o.small {
		s += " --small"
	}
	if o.large {
		s += " --large"
	}
	if o.nodes > 0 {
		s += fmt.Sprintf(" --nodes %d", o.nodes)
	}
	return s
}
