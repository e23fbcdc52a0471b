package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"syscall"
	"time"
)

func main() {
	rounds := flag.Int("rounds", 5, "times that each is measured")
	measure := flag.Duration("for", time.Second, "CPU time for which each is measured, each time")
	flag.Parse()
	if err := run(*rounds, *measure); err != nil {
		fmt.Fprintln(os.Stderr, "rawnode:", err)
		os.Exit(1)
	}
}

// load is one row of the table.
type load struct {
	nodes     int
	perSecond int // proposals; < 0: as fast as possible
}

var loads = []load{{3, 0}, {3, 100}, {3, 1000}, {3, -1}, {5, 0}, {5, 100}, {5, 1000}, {5, -1}}

func (l load) String() string {
	switch {
	case l.perSecond < 0:
		return fmt.Sprintf("%d nodes, as fast as possible", l.nodes)
	case l.perSecond == 0:
		return fmt.Sprintf("%d nodes, idle", l.nodes)
	}
	return fmt.Sprintf("%d nodes, %d proposals/s", l.nodes, l.perSecond)
}

// figures are what one measurement says.
type figures struct {
	events  float64 // per CPU second, as the others
	allocs  float64 // per event
	time    float64 // simulated seconds
	entries float64 // applied
}

// runner is a world of either kind.
type runner interface {
	runUntil(t int64) error
	agree() error
	state() (now int64, events, applied uint64)
}

func (w *world[M]) state() (now int64, events, applied uint64) {
	if i := w.leader(); i >= 0 {
		applied = w.nodes[i].applied()
	}
	return w.now, w.events, applied
}

// warmUp is how long a world runs before it is measured.
const warmUp = 5 * second

// cpuTime is what the process has used, the garbage collector included. Other work on the machine does not count.
func cpuTime() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, err
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

func take(w runner, d time.Duration) (f figures, err error) {
	now, events, applied := w.state()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start, err := cpuTime()
	if err != nil {
		return f, err
	}
	took := time.Duration(0)
	at := now
	for took < d {
		at += second / 10
		if err := w.runUntil(at); err != nil {
			return f, err
		}
		used, err := cpuTime()
		if err != nil {
			return f, err
		}
		took = used - start
	}
	runtime.ReadMemStats(&after)
	if err := w.agree(); err != nil {
		return f, err
	}
	_, events2, applied2 := w.state()
	s := took.Seconds()
	n := float64(events2 - events)
	return figures{
		events: n / s, allocs: float64(after.Mallocs-before.Mallocs) / n, time: float64(at-now) / float64(second) / s,
		entries: float64(applied2-applied) / s,
	}, nil
}

func worlds(l load) ([2]runner, error) {
	mine, err := newOurs(l.nodes)
	if err != nil {
		return [2]runner{}, err
	}
	other, err := newTheirs(l.nodes)
	if err != nil {
		return [2]runner{}, err
	}
	return [2]runner{newWorld(mine, l.perSecond), newWorld(other, l.perSecond)}, nil
}

func median(all []figures, of func(f *figures) float64) float64 {
	var v []float64
	for i := range all {
		v = append(v, of(&all[i]))
	}
	slices.Sort(v)
	return v[len(v)/2]
}

// compare measures both in turns and returns the medians.
func compare(l load, rounds int, d time.Duration) (both [2]figures, err error) {
	ws, err := worlds(l)
	if err != nil {
		return both, err
	}
	var all [2][]figures
	for round := range rounds {
		for k, w := range ws {
			if round == 0 {
				if err := w.runUntil(warmUp); err != nil {
					return both, err
				}
			}
			f, err := take(w, d)
			if err != nil {
				return both, err
			}
			all[k] = append(all[k], f)
		}
	}
	for k := range both {
		both[k] = figures{
			events:  median(all[k], func(f *figures) float64 { return f.events }),
			allocs:  median(all[k], func(f *figures) float64 { return f.allocs }),
			time:    median(all[k], func(f *figures) float64 { return f.time }),
			entries: median(all[k], func(f *figures) float64 { return f.entries }),
		}
	}
	return both, nil
}

func run(rounds int, d time.Duration) error {
	fmt.Printf("%-31s %21s  %6s %17s %19s %19s\n", "", "events/s", "ratio", "allocs/event", "simulated s/s", "entries/s")
	fmt.Printf("%-31s %10s %10s  %6s %8s %8s %9s %9s %9s %9s\n", "", "kvapp", "RawNode", "", "kvapp", "RawNode", "kvapp", "RawNode", "kvapp", "RawNode")
	for _, l := range loads {
		f, err := compare(l, rounds, d)
		if err != nil {
			return fmt.Errorf("%v: %w", l, err)
		}
		a, b := &f[0], &f[1]
		fmt.Printf("%-31v %10.0f %10.0f  %5.1fx %8.2f %8.2f %9.0f %9.0f %9.0f %9.0f\n",
			l, a.events, b.events, a.events/b.events, a.allocs, b.allocs, a.time, b.time, a.entries, b.entries)
	}
	return nil
}
