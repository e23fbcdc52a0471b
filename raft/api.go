package raft

// Config is fixed for the life of a core.
type Config struct {
	ID   NodeID
	Seed uint64 // of the election timeouts; give every node another one
	// ElectionTimeout in ns: a follower campaigns after a random time in [ElectionTimeout, 2*ElectionTimeout) without
	// contact to a leader; votes are refused for ElectionTimeout after contact and after the node's own start.
	ElectionTimeout int64
	HeartbeatEvery  int64 // ns
	// LeaseMargin in ns is subtracted from ElectionTimeout to get the length of the leader's lease: it bounds how far
	// two clocks may drift apart in one election timeout.
	LeaseMargin      int64
	MaxAppendBytes   int   // entry bytes in one MsgAppend (one entry is always sent whole)
	MaxInflightMsgs  int   // unanswered MsgAppend per peer
	MaxInflightBytes int   // unanswered entry bytes per peer
	MaxUncommitted   int64 // bytes of own uncommitted proposals; more are refused with ErrBusy
	CacheBytes       int64 // bytes of applied, durable entries kept in memory for followers
	Now              int64 // clock at New, see Event.Now
}

// Recovered is what the log held when the process started.
type Recovered struct {
	Hard     HardState
	Snapshot SnapshotMeta // Index 0 at the first start, with the bootstrap membership
	First    uint64       // first index that Fetch can still read from the journal (<= Snapshot.Index+1)
	Terms    []TermStart  // where the terms of the entries from First to Snapshot.Index begin, the first one at First
	Entries  []Entry      // every entry behind Snapshot.Index, in order, no gap
	Applied  uint64       // what the state machine already holds; Snapshot.Index <= Applied <= Hard.Commit
	// Stateless says that the snapshot cannot be read: the state machine holds nothing, Applied is Snapshot.Index.
	Stateless bool
}

// TermStart says that the entries from Index on have Term, up to where the next one begins.
type TermStart struct {
	Index uint64
	Term  uint64
}

// EventKind says which fields of an Event are set.
type EventKind uint8

// Every input of the core.
const (
	EvTick             EventKind = 1 + iota // time has passed; only Now
	EvMessage                               // Msg arrived
	EvPropose                               // ID, EntryKind, Data: append as leader; answered by Effects.Proposed in the same Step
	EvReadIndex                             // ID, Quorum: answered by Effects.Reads, at once or later
	EvPersisted                             // Seq: everything handed out with Persist.Seq <= Seq is durable
	EvApplied                               // Index: the state machine has applied up to here
	EvFetched                               // To, Index, Entries, Failed: answer to a Fetch
	EvSnapshotSaved                         // Snapshot, Index: own snapshot is durable; Index is the first entry the journal keeps
	EvSnapshotSent                          // To, Snapshot, Failed: the stream to To ended
	EvSnapshotReceived                      // Snapshot, From, Term: a whole snapshot file arrived from the leader of Term
	EvUnreachable                           // To: the transport lost messages for this peer
	EvChange                                // ID, Changes: change the membership; answered by Effects.Answers, at once or later
	EvTransfer                              // ID, To: hand leadership to To, 0 for the best; answered as EvChange
	EvUnfit                                 // Failed: this node should not lead if another can; else it may again
)

// Event is one input. Now is the caller's interval clock in ns (it must count suspended time); it never goes back.
type Event struct {
	Kind      EventKind
	Now       int64
	Failed    bool
	Quorum    bool // a lease does not do: a quorum has to be asked
	EntryKind EntryKind
	ID        uint64
	Seq       uint64
	Index     uint64
	Term      uint64
	From, To  NodeID
	Data      []byte
	Entries   []Entry
	Changes   []Change
	Snapshot  SnapshotMeta
	Msg       Message
}

// Effects collects what the caller has to do. The caller owns it, may feed several events before it acts, and calls
// Reset afterwards (capacity is kept).
//
// Contract, in this order:
//  1. Send may be sent at once, also before Persist is durable. Messages that promise durability (votes, append
//     acknowledgements) are held back by the core and appear in Send after the EvPersisted that covers them.
//  2. Persist, if Persist.Seq != 0, is written as one batch with one fsync: hard state first, then Install, then
//     Entries, which follow each other without a gap; the first replaces every entry of the journal at or above its
//     index. A caller that makes one batch of several does the same to the entries of the earlier ones.
//  3. Install, then Apply are handed to the state machine, in order.
//  4. The rest in any order.
type Effects struct {
	Persist Persist
	Send    []Message
	// Install: restore the state machine from this received snapshot before Apply. Without Persist.Install the log stays as
	// it is, and the journal is to begin behind this snapshot, as behind an own one.
	Install   *SnapshotMeta
	Apply     []Entry // newly committed entries, in order, no gap
	Proposed  []Proposed
	Reads     []Read
	Answers   []Answer
	Fetch     []Fetch
	Snapshots []SendSnapshot
	// Changed is set when role, term, leader or membership differ from before, or a lease was gained or lost. A lease
	// that only grows does not set it: ask LeaseUntil.
	Changed bool
}

// Persist is what must reach the disk. Seq grows with every change; EvPersisted answers with the highest one written.
type Persist struct {
	Seq       uint64
	Hard      HardState // current values; written when HardDirty, or for free with anything else
	HardDirty bool
	Install   *SnapshotMeta // all entries are dropped, the log restarts behind this snapshot
	Entries   []Entry
}

// Proposed answers one EvPropose. Err is nil, ErrNotLeader or ErrBusy; with an error the proposal is in no log.
type Proposed struct {
	ID    uint64
	Index uint64
	Term  uint64
	Err   error
}

// Read answers one EvReadIndex: the read may be served once Index is applied. Err is ErrNotLeader when it must be asked again.
type Read struct {
	ID    uint64
	Index uint64
	Err   error
}

// Answer says what the leader made of an EvChange or EvTransfer. Without an error it has begun with it; the caller sees by
// the membership, or the leader, when it is done. ErrNotLeader, also after an election timeout without an answer, means
// that the outcome is not known; asking again is harmless.
type Answer struct {
	ID    uint64
	Index uint64 // without an error: last entry of the leader's log, the change included
	Err   error
}

// Fetch asks for entries [Lo, Hi) from the journal, at most MaxBytes of data but at least one entry, for peer To.
type Fetch struct {
	To       NodeID
	Lo, Hi   uint64
	MaxBytes int
}

// SendSnapshot asks to stream the snapshot at Index to To in the leader's Term; EvSnapshotSent reports the end. One below
// Least is of no use to the receiver: if there is none, one is to be taken.
type SendSnapshot struct {
	To    NodeID
	Index uint64
	Least uint64
	Term  uint64
}

// PeerStatus is the leader's view of one other member.
type PeerStatus struct {
	ID            NodeID
	Match, Next   uint64
	State         string // "probe", "replicate", "snapshot"
	InflightMsgs  int
	InflightBytes int
	LastContact   int64 // clock of the newest answer, 0 if none
	CaughtUp      bool  // a learner that is as far as a voter has to be
	Departed      bool  // was removed and is being told of that
	Stateless     bool  // has lost its state and waits for a snapshot
}

// Status is a copy of what operators look at. Peers is filled on the leader only.
type Status struct {
	ID          NodeID
	Role        Role
	Term        uint64
	Vote        NodeID
	Leader      NodeID // 0: none known
	Commit      uint64
	Applied     uint64
	Durable     uint64 // last own entry known to be on disk
	FirstIndex  uint64
	LastIndex   uint64
	Snapshot    uint64
	Uncommitted int64 // bytes
	LeaseUntil  int64
	Membership  Membership
	Stateless   bool   // the node waits for a state; Applied says nothing
	Changing    bool   // the membership in effect is joint or not committed
	Transfer    NodeID // who is being handed leadership, 0 for nobody
	Peers       []PeerStatus
}
