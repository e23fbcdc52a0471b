//go:build !linux

package main

import "syscall"

// endWithParent can do nothing here: after a kill -9 of `kvapp dev` its nodes go on.
func endWithParent(*syscall.SysProcAttr) {}
