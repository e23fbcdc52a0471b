package node

import (
	"kvapp/fsm"
	"kvapp/raft"
)

// EventKind says which fields of an Event are set.
type EventKind uint8

// Everything that happens to a Driver.
const (
	EvWrite            EventKind = 1 + iota // Batch: a client's run with at least one write
	EvRead                                  // Batch: a client's run of reads that found no lease
	EvMessages                              // Msgs: from one peer
	EvAppended                              // Seq, First (after a compaction), Free: an append job is durable
	EvFetched                               // Fetch, Entries, Failed
	EvFrozen                                // View, Snapshot.Meta.{Index,Term}: the applier froze the state
	EvSnapshotWritten                       // Snapshot: the snapshotter is done; Failed: the disk had no room for the file
	EvSnapshotSent                          // Peer, Snapshot.Meta, Failed, Refused
	EvSnapshotReceived                      // Peer, Term, Snapshot
	EvUnreachable                           // Peer
	EvWait                                  // Wait
	EvStatus                                // Status
	EvTakeSnapshot                          // Index answer through Reply
	EvHash                                  // Hash
	EvPoint                                 // Point: the applier passed an index at which states are compared
	EvRequest                               // Request
	EvVictims                               // Victims: what the applier chose to evict
	EvUnblock                               // Waiter, Why: a command is to wait no longer
)

// Event is one input of the Driver. Slices and pointers belong to the Driver from then on.
type Event struct {
	Kind     EventKind
	Failed   bool
	Refused  bool
	Seq      uint64
	First    uint64
	Free     int64 // or notLooked
	Term     uint64
	Peer     raft.NodeID
	Batch    *Batch
	Msgs     []raft.Message
	Fetch    raft.Fetch
	Entries  []raft.Entry
	Snapshot SnapshotFile
	View     *fsm.View
	Point    *Point
	Wait     *waiter
	Request  *request
	Status   chan<- Status // capacity 1
	Taken    chan<- uint64 // capacity 1: index of the snapshot, 0 if none could be taken
	Frozen   chan<- *fsm.View
	Victims  []fsm.Victim
	Waiter   fsm.WaiterID
	Why      fsm.Unblocking
}

// Work is what a turn of the Driver asks of the goroutines around it, in the order in which to do it. The Driver owns
// it; it is valid until the next EndTurn.
type Work struct {
	Send      []raft.Message
	Append    *AppendJob // at most one is under way
	Apply     []ApplyItem
	Fetch     []raft.Fetch
	Snapshots []SnapshotJob // streams to start
	Write     *WriteJob     // snapshot file to write
	Members   []raft.Member // non-nil: the transport's peers changed
	View      *View         // non-nil: publish
	Lease     int64         // reads may be served below this time; always current
	Fresh     int64         // all that was committed before this time is applied; always current, 0 = nothing is known
	WakeAt    uint64        // wake the loop when this index is applied; 0 = no need
}

// AppendJob is one write of the journal: a Record, a compaction, or both. With neither it only looks at the disk.
type AppendJob struct {
	Seq      uint64
	Record   Record
	Compact  bool
	Snapshot SnapshotFile
	KeepFrom uint64
	Prune    uint64 // with Compact: older snapshot files are not needed any more
	Look     bool   // see how much room the disk has
}

// SnapshotJob is one stream to start.
type SnapshotJob struct {
	To   raft.NodeID
	Term uint64
	File SnapshotFile
}

// WriteJob is one snapshot file to write from a frozen view.
type WriteJob struct {
	Meta raft.SnapshotMeta
	View *fsm.View
}

// ApplyItem is one step of the applier: exactly one of its parts is set, but for those that say that they go with another.
type ApplyItem struct {
	Entry    raft.Entry
	Proposal *proposal // the batches of this entry, when this node proposed it
	Restore  *SnapshotFile
	Freeze   bool             // post EvFrozen
	Frozen   chan<- *fsm.View // hand a view to somebody who asked
	Choose   *fsm.Choice      // post EvVictims
	Abandon  bool             // answer the batches that wait: Uncertain
	// Orphans goes with Entry: commands of it that have to wait have nobody left who would be answered. Post EvUnblock for each.
	Orphans bool
}
