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
// # Where to read on
//
// Step (raft.go), then election.go, leader.go, progress.go and follower.go. log.go holds the entries, durable.go the
// queue of promises, read.go linearizable reads, membership.go the quorums, change.go and reconfigure.go how they change,
// transfer.go the handing over, check.go every invariant.
package raft
