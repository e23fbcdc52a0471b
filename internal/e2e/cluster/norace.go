//go:build !race

package cluster

// Race tells whether the race detector is on: the children have it then too, and are several times slower.
const Race = false
