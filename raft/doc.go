// Package raft is the consensus core of one Raft group: a pure state machine that turns one Event into Effects.
//
// It owns the protocol state of one node: term, vote, role, the terms of the log and its recent entries, the
// memberships, and what the leader knows of its peers. It does no I/O, starts no goroutine, reads no clock and rolls
// no dice of its own: the clock comes with every Event, the randomness from Config.Seed. The same events give the same
// effects, byte for byte.
//
// A Raft belongs to one goroutine; nothing in it is safe for concurrent use. The entries in its messages are immutable
// and may be read by any goroutine for as long as it likes.
//
// # How to drive it
//
//	core, err := raft.New(cfg, recovered)
//	for each input {
//		core.Step(&event, &effects)       // any number of events
//		act on effects, in the order that Effects documents
//		effects.Reset()
//	}
//
// # What makes it safe
//
// Messages that promise durability (votes, vote requests, append acknowledgements) wait in a queue until the EvPersisted
// that covers them; the candidate's own vote and the leader's own acknowledgement wait there too. Vote requests wait
// because a candidate that crashed before its term was on disk could run again in the same term with a shorter log and
// count the votes that its longer log had won.
//
// The leader replicates while its own disk is writing, and commits as soon as a majority has the entry on disk, with or
// without itself.
//
// A follower refuses votes for Config.ElectionTimeout after it heard a leader and after its own start, whatever term it
// has learned since: the leader's lease counts on that.
//
// A leader tells of a commit only when its own state machine has applied it: followers never show what a read by the
// leader's lease would not.
//
// Memberships take effect when they are appended and are rolled back when the log is cut. A change of voters goes through
// a joint membership, in which decisions need a majority of both halves; whoever leads when that is committed leaves it.
// There is one change at a time, none before the leader's own no-op is committed. New nodes begin as learners and are
// promoted when they have caught up. A removed node is told of it for a while, so that it knows and keeps quiet.
//
// Leadership is handed over by telling a voter to campaign that has the whole log, while proposals wait: when an operator
// asks for it, when a voter of a higher priority has caught up, when the leader's disk stalls and the others go on without
// it, or when the leader is unfit by the word of its driver and a voter is not: every answer to an append tells that of its
// sender. From that message on the leader has no lease for the rest of its term, because it may arrive late.
//
// # A node without its state
//
// The snapshot that a log begins behind may be damaged. Then the node has lost its state, and neither its vote nor its log
// (Recovered.Stateless). Until it has a state again it follows:
//
//   - It votes. That a candidate holds all that is committed follows from the comparison of the ends of two logs, and its own
//     end is what it was. What the log begins behind was committed, so every candidate that passes holds it too.
//   - It acknowledges entries and counts for commits: a commit says that a majority has the entry on disk, and it does. It
//     never acknowledges anew what stood in the snapshot: that was committed before. So every two majorities still meet in a
//     node that has the entry; what is lost is one copy of the state below, which the leader must still have: it is elected
//     by a majority, is no stateless node itself, and its log goes at least as far as those of its voters.
//   - It hands out nothing to be applied, does not campaign, is not handed leadership, is not promoted, takes no snapshot.
//
// With every acknowledgement it tells from which index on a snapshot would help, and the leader sends one, beside the
// entries. A snapshot that the own log goes through is adopted: the entries behind it stay, because others may count on them
// (Effects.Install without Persist.Install). One from beyond the own log is installed as by every follower.
//
// What this costs: such a node cannot carry on what only it has. If a majority can only be had with it, and its log goes
// further than that of every node with a state, nobody is elected until one more of those is back, as with two failures of
// three. If all nodes have lost their states nobody is elected at all: a state cannot be invented.
//
// # Where to read on
// //
// Step (raft.go), then election.go, leader.go, progress.go and follower.go. log.go holds the entries, durable.go the
// queue of promises, read.go linearizable reads, membership.go the quorums, change.go and reconfigure.go how they change,
// transfer.go the handing over, stateless.go a node without its state, check.go every invariant.
package raft
