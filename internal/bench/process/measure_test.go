package process

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestParseStat(t *testing.T) {
	line := "4242 (redis) server (x) S 1 4242 4242 0 -1 4194560 100 0 0 0 11 22 33 44 20 0 5 0 1000 0 0"
	d, err := parseStat(line)
	require.NoError(t, err)
	require.Equal(t, 1100*time.Millisecond, d, "110 ticks of 10 ms: own and waited-for children, user and system")
	for _, bad := range []string{"", "1 (x", "1 (x) S 1 2 3", strings.Replace(line, " 22 ", " x ", 1)} {
		_, err := parseStat(bad)
		require.Error(t, err, bad)
	}
}

func TestCPUTime(t *testing.T) {
	before, err := CPUTime([]int{os.Getpid()})
	require.NoError(t, err)
	var after time.Duration
	require.Eventually(t, func() bool {
		for i, x := 0, 0; i < 10_000_000; i++ {
			x += i * x
		}
		after, err = CPUTime([]int{os.Getpid(), os.Getpid()})
		return err == nil && after >= 2*before+100*time.Millisecond
	}, 20*time.Second, time.Microsecond)
	_, err = CPUTime([]int{1 << 30})
	require.ErrorContains(t, err, "needs Linux")
}

func TestMedian(t *testing.T) {
	require.InDelta(t, 2, Median([]float64{3, 1, 2}), 0)
	require.InDelta(t, 2.5, Median([]float64{4, 1, 3, 2}), 0)
	require.InDelta(t, 7, Median([]float64{7}), 0)
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SliceOfN(rapid.Float64Range(0, 1e6), 1, 20).Draw(t, "v")
		m, below, above := Median(v), 0, 0
		for _, x := range v {
			if x < m {
				below++
			}
			if x > m {
				above++
			}
		}
		if 2*below > len(v) || 2*above > len(v) {
			t.Fatalf("median %v of %v", m, v)
		}
	})
}
