package cluster

import "syscall"

// childAttr makes children end with the test process, even when that is killed and cleans up nothing. The signal is
// tied to the thread that started the child; Go ends a thread only with a goroutine that is locked to it, and none
// here is.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
