//go:build !linux

package wal

import "testing"

// asUser runs f with file permissions in force, which they are for everybody but root.
func asUser(_ *testing.T, f func()) { f() }
