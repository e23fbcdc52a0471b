// Package explore visits every state that a small cluster can reach: a bounded exhaustive search with the real core of
// package raft.
//
// A World bounds the search. From each state all choices are tried: any message under way arrives, or a copy of it does;
// a node's election timer runs out; a leader misses its quorum, sends heartbeats, gets a proposal, a read or a membership;
// a disk finishes its oldest writes; a node crashes, with any part of its unfinished writes on the disk that a crash can
// leave there, and starts again. A lost message is one that is never delivered. After each choice every invariant is
// tested: raft.(*Raft).Check, and those that span nodes (check.go). A broken one is reported with a shortest part of the
// way there that still breaks it.
//
// The package starts no goroutine and reads no clock; the same World gives the same Result.
//
// # States
//
// A state holds cores, disks, messages and what must not be contradicted later. A choice changes one node, so a state
// shares all else with the one before, and that node's core is a clone: to find the state again by 15 choices from the
// beginning takes over ten times as long (BenchmarkClone, BenchmarkReplay). Two states are the same when their keys are:
// a hash of what decides the future, with nodes named by what distinguishes them and moments by their order.
//
// # What is left out
//
//   - Distances in time: a clock stands still but when a choice lets a timer run out, and a vote is asked when the promise
//     to the last leader is over. Leases are off, because they need clocks that agree.
//   - Pre-votes are granted by everybody: they serve liveness, and safety must not depend on them.
//   - A link holds World.Link messages, new ones push out old ones.
//   - Messages that a correct core does not care for are dropped at once, unless World.Stale.
//   - Snapshots and reads of the journal: nothing is ever cut off the log's front.
package explore
