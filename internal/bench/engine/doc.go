// Command engine measures the state machine, package fsm, beside redis-server in the same run, and writes one Markdown
// table: what a key costs in memory, what the garbage collector costs, how fast commands are applied, what a snapshot does
// to writes, how long the deletion of a huge value takes. Every row has a target; missing one is no error.
//
// Both sides get the same commands (words.go, data.go). On the side of kvapp no network and no log is involved: the
// commands are applied as the applier of a node does it, in entries of many, placed beforehand, executed in groups, with
// the replies encoded. What is timed is the CPU time of that one thread, so that what else runs on the machine disturbs
// little; the making of the commands is outside. redis-server is filled through its port, and asked for its own figures:
// commandstats has time on the wall, but of the commands alone; those that were interrupted are left out (SLOWLOG).
//
// What needs a heap of its own runs in a process of its own: the program starts itself with -child, which comes first
// and is no flag for people; the child prints its figures as JSON.
//
//	main.go      flags, the run
//	child.go     processes that measure
//	report.go    rows, targets, the table
//	memory.go    resident bytes, garbage collection, a change of sizes
//	apply.go     commands per second
//	snapshot.go  writes during a snapshot, writing and loading one
//	drop.go      deletions of huge values
//	applier.go   drives a store
//	redis.go     drives a redis-server
//	data.go      data sets and commands
//	words.go     one command
//	clock.go     CPU time and memory of processes
package main
