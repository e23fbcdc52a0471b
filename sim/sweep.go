package sim

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Total sums up many runs.
type Total struct {
	Runs, Failures  int
	Events, Entries uint64
	Time            int64         // simulated, in ns
	Took            time.Duration // of all goroutines together
	Wall            time.Duration
	Reached         map[string]uint64
}

// Sweep runs the worlds of all seeds from first to last, jobs of them at a time, each in a goroutine of its own. done is
// called for each when it has ended, one after the other, in any order; when it returns false no other world begins.
func Sweep(first, last uint64, jobs int, draw func(seed uint64) Options, done func(Result) bool) Total {
	total := Total{Reached: map[string]uint64{}}
	begin := time.Now()
	var mu sync.Mutex
	var wg sync.WaitGroup
	next, more := first, true
	for range max(jobs, 1) {
		wg.Go(func() {
			for {
				mu.Lock()
				seed := next
				if !more || seed > last || seed < first {
					mu.Unlock()
					return
				}
				next++
				mu.Unlock()
				start := time.Now()
				r := Run(draw(seed), Config{})
				mu.Lock()
				total.add(&r, time.Since(start))
				more = done(r) && more
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	total.Wall = time.Since(begin)
	return total
}

func (t *Total) add(r *Result, took time.Duration) {
	t.Runs++
	if r.Failure != nil {
		t.Failures++
	}
	t.Events += r.Events
	t.Entries += r.Entries
	t.Time += r.Time
	t.Took += took
	for name, n := range r.Reached {
		t.Reached[name] += n
	}
}

// String is a table of what was done and which corners were met how often.
func (t *Total) String() string {
	var b strings.Builder
	for c := range corners {
		fmt.Fprintf(&b, "%12d %s\n", t.Reached[cornerNames[c]], cornerNames[c])
	}
	s := t.Took.Seconds()
	fmt.Fprintf(&b, "%d worlds, %d failed; %d events, %d entries, %d simulated seconds in %.1fs, %.1fs of one core: %.2f M events/s, %.0f simulated seconds/s\n",
		t.Runs, t.Failures, t.Events, t.Entries, t.Time/second, t.Wall.Seconds(), s, float64(t.Events)/s/1e6, float64(t.Time)/1e9/s)
	return b.String()
}
