package hunt

import (
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/sim"
)

var (
	budget = flag.Duration("budget", time.Second, "CPU time after which no other cluster is begun")
	first  = flag.Uint64("seed", 1_000_001, "first seed")
)

// One cluster in this many is a large one.
const large = 10

func TestHunt(t *testing.T) {
	debug.SetGCPercent(400) // as kvapp sim does
	runtime.GOMAXPROCS(1)   // what a second of CPU is worth does not depend on the machine's cores
	for n := uint64(0); n == 0 || cpuTime(t) < *budget; n++ {
		draw := sim.DrawSmall
		if n%large == large-1 {
			draw = sim.DrawLarge
		}
		r := sim.Run(draw(*first+n), sim.Config{})
		if r.Failure == nil {
			continue
		}
		t.Run(fmt.Sprintf("seed %d %s", n+1, r.Failure.Invariant), func(t *testing.T) {
			t.Errorf("%s\n%v", &r.Options, r.Failure)
		})
		return
	}
}

func cpuTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
