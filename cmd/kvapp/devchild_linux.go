package main

import "syscall"

// endWithParent makes a child of `kvapp dev` end when dev has no chance to end it: after a kill -9, or with a closed
// terminal, the nodes would go on holding their ports. The signal is tied to the thread that started the child; Go ends
// a thread only with a goroutine that is locked to it, and none is.
func endWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGTERM }
