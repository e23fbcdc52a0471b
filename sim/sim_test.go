package sim

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/internal/race"
)

// Worlds that go test runs; make sim runs many more. Still all but the rarest situations must be met.
const (
	smallWorlds = 100
	largeWorlds = 5
)

func TestCorpus(t *testing.T) {
	report := func(r Result) bool {
		if r.Failure != nil {
			t.Errorf("%s\n%v", &r.Options, r.Failure)
		}
		return true
	}
	total := Sweep(1, uint64(race.Share(smallWorlds)), runtime.GOMAXPROCS(0), DrawSmall, report)
	large := Sweep(1, uint64(race.Share(largeWorlds)), runtime.GOMAXPROCS(0), DrawLarge, report)
	for name, n := range large.Reached {
		total.Reached[name] += n
	}
	t.Logf("\n%v%v", &total, &large)
	if !race.Enabled {
		require.Empty(t, total.Missing(true))
	}
}

// Nothing but the seed decides what happens, not even whether somebody watches.
func TestSameSeedSameBytes(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	worlds := []Options{DrawSmall(1), DrawLarge(2), DrawSmall(2), DrawSmall(3), DrawSmall(4)}
	for _, o := range worlds[:max(race.Share(len(worlds)), 1)] {
		runtime.GOMAXPROCS(1)
		first := Run(o, Config{})
		runtime.GOMAXPROCS(4)
		one, two := sha256.New(), sha256.New()
		second := Run(o, Config{Trace: one})
		third := Run(o, Config{Trace: two})
		require.Nil(t, first.Failure)
		require.Equal(t, first.Hash, second.Hash)
		require.Equal(t, first.Events, second.Events)
		require.Equal(t, first.Reached, third.Reached)
		require.Equal(t, one.Sum(nil), two.Sum(nil))
	}
	require.NotEqual(t, Run(Draw(1), Config{}).Hash, Run(Draw(2), Config{}).Hash)
}

// A heap that hands events out in the wrong order would still run, only another world.
func TestQueueOrder(t *testing.T) {
	d := dice(1)
	var q queue
	for range 10000 {
		q.put(event{at: int64(d.n(500))})
		if d.oneIn(3) {
			q.take()
		}
	}
	last := q.take()
	for len(q.events) > 0 {
		e := q.take()
		require.True(t, last.before(&e), fmt.Sprint(last, e))
		last = e
	}
}

// when is the inverse of at, whatever the drift.
func TestClock(t *testing.T) {
	w := &World{}
	for _, ppm := range []int64{-200_000, -1000, 0, 1, 333, 200_000} {
		c := clock{w: w, begin: 12345, zero: 777 * second, ppm: ppm}
		for local := c.zero; local < c.zero+100*second; local += second/3 + 1 {
			at := c.when(local)
			require.GreaterOrEqual(t, c.at(at), local)
			require.Less(t, c.at(at-1), local)
		}
		w.now = 50 * second
		shows := c.Now()
		c.turn(-ppm / 2)
		require.Equal(t, shows, c.Now())
	}
}
