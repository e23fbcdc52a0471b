package raft

// NodeID names a node inside one cluster; 0 means "none". It is derived from the node's name, so the same name
// always gives the same id.
type NodeID uint64

// EntryKind says what an Entry's Data means.
type EntryKind uint8

const (
	// EntryCommand carries bytes for the state machine; the core never looks into them.
	EntryCommand EntryKind = 1
	// EntryNoop is the first entry of every leader's term (thesis 6.4): once it is committed, everything before it is.
	EntryNoop EntryKind = 2
	// EntryMembership carries an encoded Membership. It takes effect when it is appended, not when it is committed.
	EntryMembership EntryKind = 3
	// EntryChanges stands in a MsgChange only, never in a log: it carries encoded Changes.
	EntryChanges EntryKind = 4
	// EntryState stands in a MsgState only, never in a log.
	EntryState EntryKind = 5
)

// Entry is one slot of the replicated log. Data is immutable from the moment the entry exists: the log, the network
// and the applier share it.
type Entry struct {
	Index uint64
	Term  uint64
	Kind  EntryKind
	Data  []byte
}

// Member is one node of the cluster as the membership entries describe it. Addresses are host:port.
type Member struct {
	ID         NodeID
	Name       string // what the operator calls it, for example "n1"
	PeerAddr   string // where other nodes reach its transport
	ClientAddr string // where clients reach it; what MOVED and CLUSTER SLOTS announce
	Learner    bool   // receives the log, does not vote
	// Promote makes the leader turn the learner into a voter when it has caught up.
	Promote bool
	// Leaving marks a learner of a joint membership that is dropped when that is left: a voter that is being removed.
	Leaving bool
	// Priority, 0 to MaxPriority: a voter with a higher one than the leader's gets leadership when it has caught up.
	Priority uint8
	// Incarnation of the disk that was added; 0 for a founding member, whose incarnation the others found out by themselves.
	Incarnation uint64
}

// MaxPriority is the highest Member.Priority.
const MaxPriority = 15

// Membership is the configuration of the cluster at one index of the log.
//
// Members holds every node in ascending order of ID. OldVoters is empty except in a joint configuration (thesis
// 4.3), where decisions need a majority of the voters in Members and also a majority of OldVoters.
type Membership struct {
	Members   []Member
	OldVoters []NodeID
}

// HardState is what a node must not forget: thesis figure 3.1. Commit may lag behind; it only saves work on restart. It
// never covers an entry that is not durable yet, so any prefix of a batch, hard state first, may survive a crash.
type HardState struct {
	Term   uint64
	Vote   NodeID
	Commit uint64
}

// SnapshotMeta says which prefix of the log a snapshot stands for, and the membership in effect at its end.
type SnapshotMeta struct {
	Index      uint64
	Term       uint64
	Membership Membership
}

// MessageType names what a Message asks or answers.
type MessageType uint8

// The messages of the protocol. A heartbeat is a MsgAppend without entries.
const (
	MsgPreVote MessageType = 1 + iota
	MsgPreVoteResp
	MsgVote
	MsgVoteResp
	MsgAppend
	MsgAppendResp
	MsgReadIndex
	MsgReadIndexResp
	MsgTimeoutNow
	MsgChange
	MsgTransfer
	MsgAnswer
	MsgState
)

// Message is what one core says to another. It is a plain value; only Entries points anywhere, at immutable data.
//
//	PreVote, Vote         Index, LogTerm = the candidate's last entry; Transfer set when the vote ignores leader contact
//	PreVoteResp, VoteResp Reject
//	Append                Index, LogTerm = the entry before Entries; Commit; Ctx, SentAt; Hint, HintTerm are not the core's
//	AppendResp            Index = last matching durable index, and Hint, HintTerm are not the core's; or with Reject Index =
//	                      the refused one and Hint, HintTerm = where to look next; Commit = 0, or of a node without a state
//	                      the least index of a snapshot that gives it one; Ctx, SentAt echoed; Transfer set when another
//	                      should lead than the sender, see EvUnfit
//	ReadIndex             Ctx = the asking node's read id; Hint = 1 when a lease does not do
//	ReadIndexResp         Ctx echoed; Index = what must be applied before the read, or Reject
//	TimeoutNow            nothing: the receiver is to campaign at once
//	Change                Ctx = the asking node's request id; one entry whose Data is AppendChanges'
//	Transfer              Ctx = the asking node's request id; Hint = who is to lead, 0 for any
//	Answer                Ctx echoed; Hint = number of the error, 0 for none; Index = end of the leader's log
//	State                 not the core's, which ignores it: whoever drives the cores may say things to each other
type Message struct {
	Type     MessageType
	Reject   bool
	Transfer bool
	From     NodeID
	To       NodeID
	Term     uint64
	Index    uint64
	LogTerm  uint64
	Commit   uint64
	Hint     uint64
	HintTerm uint64
	Ctx      uint64 // number of the leader's newest read round, or the id of a follower's read or request
	SentAt   int64  // the leader's clock when it sent the Append, echoed by the answer; the lease counts from here
	Entries  []Entry
}

// Role is what a node currently is.
type Role uint8

// Roles in the order of the protocol.
const (
	Follower Role = iota
	PreCandidate
	Candidate
	Leader
)
