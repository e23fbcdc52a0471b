package sim

import (
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/fsm"
	"kvapp/node"
)

// A state that differs is found by the nodes themselves, whoever leads, and the one that has it stops and says where.
func TestPlantedDivergenceIsFound(t *testing.T) {
	for seed := uint64(1); seed <= 6; seed++ {
		o := DrawSmall(seed)
		o.Odds = [classes]int64{clients: always}
		o.SnapshotBytes, o.HashEvery = 1<<30, 8
		victim := int(seed % 3)
		var found []*node.DivergedError
		r := Run(o, Config{
			plant: func(host int, index uint64) bool { return host == victim && index == 21 },
			caught: func(host int, why *node.DivergedError) {
				require.Equal(t, victim, host)
				found = append(found, why)
			},
		})
		require.Nil(t, r.Failure, "seed %d", seed)
		require.Len(t, found, 1, "seed %d", seed)
		require.Equal(t, []int{int(fsm.Slot([]byte("planted")))}, found[0].Slots)
		require.Equal(t, uint64(24), found[0].Index)
	}
}
