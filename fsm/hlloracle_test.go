//go:build oracle

package fsm

import (
	"fmt"
	"math/rand"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOracleHyperLogLog compares replies and every byte of the values with redis-server, from the first element to beyond the
// promotion to dense registers, also of values with damaged runs.
func TestOracleHyperLogLog(t *testing.T) {
	o := startOracle(t, "2")
	for seed := range int64(25) {
		rnd := rand.New(rand.NewSource(seed))
		m := newMachine(t)
		o.do(t, []string{"FLUSHALL"})
		keys := []string{"h1", "h2", "h3", "h4"}
		space := []int{20, 500, 3000, 100_000}[rnd.Intn(4)]
		var history [][]string
		for range 120 {
			k := keys[rnd.Intn(len(keys))]
			var cmds [][]string
			switch rnd.Intn(9) {
			case 0, 1, 2, 3:
				cmd := []string{"PFADD", k}
				for range rnd.Intn([]int{2, 10, 300}[rnd.Intn(3)]) {
					cmd = append(cmd, strconv.Itoa(rnd.Intn(space)))
				}
				cmds = append(cmds, cmd)
			case 4:
				cmds = append(cmds, []string{"PFCOUNT", k})
			case 5:
				cmds = append(cmds, []string{"PFCOUNT", k, keys[rnd.Intn(4)], "none"})
			case 6:
				cmds = append(cmds, []string{"PFMERGE", k, keys[rnd.Intn(4)], keys[rnd.Intn(4)]})
			case 7:
				if rnd.Intn(4) == 0 {
					cmds = append(cmds, []string{"PFDEBUG", "TODENSE", k}, []string{"PFDEBUG", "GETREG", k})
				} else {
					cmds = append(cmds, []string{"PFDEBUG", "DECODE", k}, []string{"PFDEBUG", "ENCODING", k}, []string{"DEL", keys[rnd.Intn(4)]})
				}
			default:
				cmds = append(cmds, damagedHLL(rnd, k))
			}
			cmds = append(cmds, []string{"GET", k}, []string{"OBJECT", "ENCODING", k}, []string{"STRLEN", k})
			history = append(history, cmds[0])
			for i, want := range o.do(t, cmds...) {
				require.Equal(t, want, m.do(cmds[i]...), "seed %d: %.300q behind %.3000q", seed, cmds[i], fmt.Sprint(history))
			}
		}
		require.NoError(t, m.s.Check())
		require.Equal(t, stateHash(m.s), stateHash(m.replay()))
	}
}

// damagedHLL sets a key to a HyperLogLog of random runs: those of all registers, or of some.
func damagedHLL(rnd *rand.Rand, key string) []string {
	h := newHLL(nil)[:hllHead]
	left := hllRegisters
	for left > 0 && (rnd.Intn(200) > 0 || len(h) <= shortString) {
		switch rnd.Intn(3) {
		case 0:
			n := min(left, 1+rnd.Intn(hllValueRun))
			h, left = appendValues(h, uint8(1+rnd.Intn(4)), n), left-n
		case 1:
			n := min(left, 1+rnd.Intn(hllZeroRun))
			h, left = append(h, byte(n-1)), left-n
		default:
			n := min(left, 1+rnd.Intn(800))
			h, left = append(h, 0x40|byte((n-1)>>8), byte(n-1)), left-n
		}
	}
	h.spoil()
	return []string{"SET", key, string(h)}
}
