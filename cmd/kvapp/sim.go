package main

import (
	"bufio"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kvapp/sim"
)

// simOptions are the flags of kvapp sim.
type simOptions struct {
	seed         uint64
	seeds        string
	small, large bool
	nodes        int
	trace        bool
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
			err := o.run(out)
			if ferr := out.Flush(); err == nil {
				err = ferr
			}
			return err
		},
	}
	f := cmd.Flags()
	f.Uint64Var(&o.seed, "seed", 1, "the one world to run")
	f.StringVar(&o.seeds, "seeds", "", "run all worlds from `A..B` instead, both included")
	f.BoolVar(&o.small, "small", false, "three nodes and tiny limits; otherwise the seed decides")
	f.BoolVar(&o.large, "large", false, "up to seven nodes and limits as in production")
	f.IntVar(&o.nodes, "nodes", 0, "number of nodes, 1 to 7; otherwise the seed decides")
	f.BoolVar(&o.trace, "trace", false, "one line per event")
	f.BoolVar(&o.corners, "corners", false, "with --seeds: fail when there is a rare situation that no world met")
	f.IntVar(&o.jobs, "jobs", runtime.NumCPU(), "worlds that run at the same time, with --seeds")
	cmd.MarkFlagsMutuallyExclusive("small", "large")
	cmd.MarkFlagsMutuallyExclusive("seed", "seeds")
	cmd.MarkFlagsMutuallyExclusive("trace", "seeds")
	return cmd
}

// draw takes the options of the world of a seed.
func (o *simOptions) draw(seed uint64) sim.Options {
	world := sim.Draw(seed)
	switch {
	case o.small:
		world = sim.DrawSmall(seed)
	case o.large:
		world = sim.DrawLarge(seed)
	}
	if o.nodes > 0 {
		world.Nodes, world.Spares = o.nodes, min(world.Spares, sim.MaxNodes-o.nodes)
	}
	return world
}

func (o *simOptions) run(out io.Writer) error {
	if o.nodes < 0 || o.nodes > sim.MaxNodes {
		return fmt.Errorf("--nodes %d: want 1 to %d", o.nodes, sim.MaxNodes)
	}
	if o.seeds != "" {
		return o.runMany(out)
	}
	world := o.draw(o.seed)
	fmt.Fprintln(out, world.String())
	c := sim.Config{}
	if o.trace {
		c.Trace = out
	}
	start := time.Now()
	r := sim.Run(world, c)
	took := max(time.Since(start), 1)
	fmt.Fprintf(out, "%d events, %d entries, %.1f simulated seconds in %.3fs, hash %016x\n",
		r.Events, r.Entries, float64(r.Time)/1e9, took.Seconds(), r.Hash)
	if r.Failure != nil {
		return r.Failure
	}
	return nil
}

// runMany runs a range of seeds and counts.
func (o *simOptions) runMany(out io.Writer) error {
	from, to, ok := strings.Cut(o.seeds, "..")
	first, err1 := strconv.ParseUint(from, 10, 64)
	last, err2 := strconv.ParseUint(to, 10, 64)
	if !ok || err1 != nil || err2 != nil || last < first {
		return fmt.Errorf("--seeds %q: want A..B", o.seeds)
	}
	// A world lives in a few MB and leaves garbage of ten times that: memory is cheaper here than collections are.
	defer debug.SetGCPercent(debug.SetGCPercent(collectAt))
	total := sim.Sweep(first, last, o.jobs, o.draw, func(r sim.Result) {
		if r.Failure != nil {
			fmt.Fprintf(out, "%s\n  %v\n  again: kvapp sim --seed %d%s --trace\n", r.Options.String(), r.Failure, r.Options.Seed, o.how())
		}
	})
	fmt.Fprint(out, total.String())
	if total.Failures > 0 {
		return fmt.Errorf("%d of %d worlds failed", total.Failures, total.Runs)
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
