//go:build race

package wal

import "flag"

// The race detector looks for races, of which a property test shows the same in few draws, and makes each ten times as slow;
// the plain run draws 100. A flag on the command line wins.
func init() {
	if err := flag.Set("rapid.checks", "15"); err != nil {
		panic(err)
	}
}
