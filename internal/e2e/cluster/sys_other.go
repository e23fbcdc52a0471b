//go:build !linux

package cluster

import "syscall"

// childAttr keeps a Ctrl-C on the test away from the children: the test ends them.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
