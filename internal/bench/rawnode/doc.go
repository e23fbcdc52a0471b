// Command rawnode compares the consensus core with go.etcd.io/raft/v3's RawNode on one simulated workload, in a module of
// its own, so that the dependency is none of the server's.
//
// Nodes with instant disks in memory stand on a network that delays every message by 1 to 10 ms and keeps the order on
// each link. A clock ticks every 10 ms, which is the heartbeat interval; the election timeout is 100 ms; pre-vote and
// check-quorum are on. Proposals of 100 bytes come at a rate, or as fast as 64 of them are committed. An event is a tick of a node,
// a message that arrives, or a proposal: the same for both. Every node handles an event and does all that follows before the next.
//
// Both are measured in turns, round after round, by the CPU time they use, so that what disturbs the machine disturbs
// both; the table shows the medians. Absolute figures move with the machine, ratios stay.
//
//	main.go   flags, rounds, the table
//	world.go  the simulation
//	ours.go   kvapp/raft and a driver as simple as can be
//	etcd.go   RawNode and the driver its documentation asks for
package main
