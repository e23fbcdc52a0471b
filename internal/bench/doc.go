// Command bench compares three kvapp nodes with one redis-server (appendfsync always) in one run: both stand on the same
// machine, redis-benchmark drives them in turns, and the ratio is taken round by round. Absolute figures move with the
// machine; ratios stay.
//
// It prints requests per second, p50 and p99 latency, CPU time per operation over all server processes, and for each
// workload the ratio of medians beside the floor it must not fall below.
package main
