// Package node drives one Raft group: it joins the consensus core (raft), the durable log, the state machine (fsm)
// and the transport, and it is what the client's side of the server (resp) talks to.
//
// # The parts
//
// Driver is the brain. It owns the core, the proposals that wait for their commit and the reads that wait for their
// index. Handle takes one Event, EndTurn turns everything that the turn gathered into effects. Neither blocks, starts
// a goroutine or looks at a clock, so a simulator can run it as it stands.
//
// Node is the body: the goroutines around one Driver. All of them live in run.go; what they do with the work of a turn is in
// jobs.go, so that a simulator does the same in one goroutine.
//
//	goroutine      owns                          talks by
//	conn (many)    its Batch                     inbox -> Batch.done
//	loop           the Driver                    inbox; hands out append, apply, send
//	appender       the journal's writer          one job at a time -> EvAppended
//	applier        the state machine's writer    apply queue -> Batch.done, EvFrozen, EvVictims; an atomic applied index
//	fetcher        cold reads of the journal     fetch queue -> EvFetched
//	snapshotter    one frozen view (0 or 1)      -> EvSnapshotWritten
//
// # One turn of the loop
//
// The loop takes everything that stands in its inbox, hands each event to the Driver, and ends the turn: all waiting
// client batches become one entry (up to MaxEntryBytes), which leaves for the followers while the own fsync runs.
// While an fsync runs no new entry is built: the next batch grows by itself, so there are no batching timers.
//
// # Commands that wait
//
// A batch whose command has to wait stays with the applier until an entry answers it: blocking.go says how that ends, whoever leads.
//
// # A damaged snapshot
//
// The journal says behind which snapshot the log begins. If its file is missing, damaged or cannot be decoded, the state is
// lost, and nothing else is (restart.go). In this order:
//
//  1. The state is rebuilt from another snapshot file that is whole, or from nothing, if the log holds every entry behind it.
//     What is replayed was committed: it ends at the index of the lost snapshot. A new snapshot is due at once (snapLost); until
//     it is durable the same is done at every start, since neither the older file nor the log behind it goes before.
//  2. The core starts without a state, see package raft: the node votes and takes entries, and the leader sends it a snapshot.
//     One that the log goes through is restored and marked in the journal as an own one would be, so every entry behind it
//     stays. If the node dies in between, the received file is on its disk, and 1 finds it.
//  3. A node that has nobody to ask ends with the reason.
//
// Before 1 or 2 the damaged file gets another name: a file that the leader sends may have the same. If the node dies before
// that, it finds the damage again; afterwards, that the file is missing.
//
// While it is stateless the Driver is loading: clients get Loading, there is no lease, no snapshot and no point of comparison.
// Entries that the core cannot hand out stay in memory; beyond ApplyBacklog no more are taken.
//
// # Invariants
//
//   - A Batch is answered exactly once. Until then the node owns it; afterwards nothing here refers to it.
//   - Done is answered only for an entry that is committed and applied on this node, and when a command that had to wait is answered
//     by one.
//   - NotLeader, NoLeader, Overwritten, Busy, Loading, DiskFull, OutOfMemory and Stopped are answered only when no log holds the
//     commands, or another entry is committed in their place. Everything else is Uncertain.
//   - At most one append job is under way; what piles up meanwhile is merged into the next one.
//   - No queue grows without end, see flow.go.
//   - The first error of the journal, of the state machine or of an invariant ends the loop; Run returns it.
package node
