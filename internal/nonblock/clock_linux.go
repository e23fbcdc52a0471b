package nonblock

import "golang.org/x/sys/unix"

// Boottime is CLOCK_BOOTTIME in ns: an interval clock that counts suspended time, too. It returns 0 if the system has no such
// clock. Any goroutine.
func Boottime() int64 {
	var ts unix.Timespec
	if err := clock(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return ts.Nano()
}
