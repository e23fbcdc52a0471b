//go:build linux && !race

package nonblock

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawBytes is how much a call may move that the scheduler does not know of. More takes tens of microseconds.
const rawBytes = 64 << 10

// read is read(2) of a descriptor that does not block.
func read(fd int, p []byte) (int, error) {
	if len(p) == 0 || len(p) > rawBytes {
		return unix.Read(fd, p)
	}
	return result(unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p))))
}

// write is write(2) to a descriptor that does not block.
func write(fd int, p []byte) (int, error) {
	if len(p) == 0 || len(p) > rawBytes {
		return unix.Write(fd, p)
	}
	return result(unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p))))
}

func result(n, _ uintptr, errno unix.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// clock is clock_gettime(2).
func clock(id int32, ts *unix.Timespec) error {
	if _, _, errno := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, uintptr(id), uintptr(unsafe.Pointer(ts)), 0); errno != 0 {
		return errno
	}
	return nil
}
