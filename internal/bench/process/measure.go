package process

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Median of at least one value.
func Median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	if n%2 == 1 {
		return v[n/2]
	}
	return (v[n/2-1] + v[n/2]) / 2
}

// userHz is the unit of the times in /proc/PID/stat, the same on every Linux that Go runs on.
const userHz = 100

// CPUTime is the user and system time of processes, and of the children they waited for.
func CPUTime(pids []int) (sum time.Duration, err error) {
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, fmt.Errorf("CPU time, which needs Linux: %w", err)
		}
		t, err := parseStat(string(b))
		if err != nil {
			return 0, fmt.Errorf("process %d: %w", pid, err)
		}
		sum += t
	}
	return sum, nil
}

// parseStat reads utime, stime, cutime and cstime of a line of /proc/PID/stat. The name of the program stands in
// parentheses and may hold anything.
func parseStat(line string) (time.Duration, error) {
	end := strings.LastIndexByte(line, ')')
	f := strings.Fields(line[end+1:])
	if end < 0 || len(f) < 15 {
		return 0, errors.New("no times in " + strconv.Quote(line))
	}
	var ticks int64
	for _, x := range f[11:15] {
		n, err := strconv.ParseInt(x, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / userHz, nil
}
