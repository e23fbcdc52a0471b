// Package e2e holds the tests of the whole program: real processes on real sockets and disks, killed, paused, damaged
// and restarted under load. What clients were told is recorded and compared with what the servers hold afterwards.
//
// Tests behind the build tag oracle also need redis-cli and redis-benchmark. make soak repeats
// all the others.
package e2e
