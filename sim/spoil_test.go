package sim

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/internal/race"
)

// drawSpoilt draws small worlds of three to five nodes in which hardly a process starts again with a sound snapshot.
func drawSpoilt(seed uint64) Options {
	o := DrawSmall(seed)
	o.Nodes, o.Spares = 3+int(seed%2)*2, 0
	o.SnapshotBytes = 256 + int64(mix(seed)%1024)
	for _, c := range []class{changeClass, rotClass, wipeClass, lose} {
		o.Odds[c] = 0
	}
	o.Odds[killClass], o.Odds[powerClass], o.Odds[takeClass], o.Odds[spoilClass] = 9000, 6000, 9000, 50000
	return o
}

// Nodes that lose their snapshots get their states back, from their own disk or from the leader, and nothing is lost.
func TestSpoiltSnapshots(t *testing.T) {
	total := Sweep(1, uint64(race.Share(60)), runtime.GOMAXPROCS(0), drawSpoilt, func(r Result) bool {
		if r.Failure != nil {
			t.Errorf("%s\n%v", &r.Options, r.Failure)
		}
		return true
	})
	if race.Enabled {
		return // too few to get everywhere
	}
	for _, c := range []corner{snapshotSpoiled, stateMissing, stateRebuilt, stateReceived} {
		require.NotZero(t, total.Reached[cornerNames[c]], cornerNames[c])
		t.Logf("%6d %s", total.Reached[cornerNames[c]], cornerNames[c])
	}
}
