package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cpuClock reads a clock of CPU time. One that the system does not have stands still; a figure of zero is refused later.
func cpuClock(id int32) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(id, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// threadCPU is the CPU time of this thread, to which the goroutine must be locked.
func threadCPU() time.Duration { return cpuClock(unix.CLOCK_THREAD_CPUTIME_ID) }

// processCPU is the CPU time of all threads of this process.
func processCPU() time.Duration { return cpuClock(unix.CLOCK_PROCESS_CPUTIME_ID) }

// resident is the memory of a process in bytes that is in no file: the pages of its program come and go as the system
// likes. It comes from smaps_rollup, because the counter in status is late by up to some hundred kilobytes for each thread.
func resident(pid int) (int64, error) {
	return procField(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Anonymous:")
}

// peakResident is the most memory that this process had since resetPeak, in bytes.
func peakResident() (int64, error) { return procField("/proc/self/status", "VmHWM:") }

func resetPeak() error { return os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

// procField reads a figure in kB.
func procField(path, name string) (int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("memory, which needs Linux: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == name {
			kb, err := strconv.ParseInt(f[1], 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, name)
}
