// Command bench compares three kvapp nodes with one redis-server (appendfsync always) in one run: both stand on the
// same machine and redis-benchmark drives them in turns, round after round, so that what disturbs the machine disturbs
// both. Absolute figures move with the machine; ratios stay.
//
// For every workload it prints the medians over the rounds: requests per second, p50 and p99 latency, and CPU
// microseconds per operation over all processes (the servers and redis-benchmark itself). Then the ratios of the
// medians, kvapp to redis, beside the floor that throughput must not fall below. It fails if one does.
//
//	main.go      flags, the run
//	workload.go  what is measured, and the floors
//	measure.go   one run of redis-benchmark
//	compare.go   rounds, medians, ratios, the table
//	servers.go   starts what is measured; ../process does the rest
package main
