//go:build unix && (!linux || race)

package nonblock

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// The race detector has to see what these calls read and write, and that a read comes behind the write that it reads, in
// package net as well: package syscall tells it.

func read(fd int, p []byte) (int, error)      { return syscall.Read(fd, p) }
func write(fd int, p []byte) (int, error)     { return syscall.Write(fd, p) }
func clock(id int32, ts *unix.Timespec) error { return unix.ClockGettime(id, ts) }
