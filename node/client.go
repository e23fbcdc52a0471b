package node

import (
	"kvapp/fsm"
	"kvapp/raft"
)

// Outcome says what became of a Batch.
type Outcome uint8

// The outcomes. Only Done means that replies were produced; NotLeader, NoLeader, Overwritten, Busy, Loading, DiskFull and
// OutOfMemory mean that no command of the batch is or will be in any log.
const (
	Done        Outcome = iota
	NotLeader           // Batch.Leader holds the leader's client address
	NoLeader            // nobody leads, park-timeout has passed
	Uncertain           // proposed, outcome unknown: may still be committed
	Overwritten         // proposed, and certainly replaced by another entry
	Busy                // not proposed in time: over the limit of uncommitted bytes, or what is under way does not commit
	Loading             // the log is being replayed
	Stopped             // this node is going down; nothing was proposed
	DiskFull            // this node leads, and its disk has no room for the writes; nothing was proposed
	// OutOfMemory: this node leads, the keys take more than they may, and the batch holds a command that is refused then;
	// nothing was proposed.
	OutOfMemory
)

// ReadMode says what a batch of reads needs.
type ReadMode uint8

// The modes. All but ReadStale are linearizable.
const (
	ReadDefault ReadMode = iota // by the leader's lease, unless Config.QuorumReads
	ReadQuorum                  // by asking a quorum, whatever clocks do
	ReadStale                   // from what this node has, if all that was committed Batch.MaxStale ago is in it
)

// Batch is one run of data commands of one connection: proposed whole, answered in order. Its connection owns it and
// reuses it; between Write or Read and their return it belongs to the node. Cmds may hold reads between the writes:
// they are executed at their place on the node that proposed. Args and Raw must stay untouched until the call returns;
// Raw is copied into the log entry.
type Batch struct {
	Cmds []fsm.Command
	Out  fsm.Out
	// ReadOnly is the connection's READONLY mode: a follower serves reads itself, linearizably.
	ReadOnly bool
	Mode     ReadMode
	MaxStale int64 // ns; with ReadStale, which also counts as ReadOnly
	// Limit is the number of reply bytes after which Read returns early.
	Limit int

	Outcome Outcome
	Leader  string // client address of the leader, with NotLeader
	Index   uint64 // of the entry, after a Done write
	ExecNs  int64  // time spent in the state machine: of a write, the share of its entry's by the number of commands

	done     chan struct{} // capacity 1: finishing never blocks
	blocked  *fsm.Blocked  // of the only command, if it may have to wait; see Block
	waits    chan struct{} // capacity 1: tells that it does
	raw      int           // bytes the write commands take in an entry
	grow     int64         // see proposal; 0 = nothing that is refused when memory is short
	held     bool          // waits for memory; the Driver's
	deadline int64         // interval clock: when to stop waiting for a leader
}

// NewBatch returns a batch that writes its replies to out.
func NewBatch(out fsm.Out) *Batch {
	return &Batch{Out: out, Limit: 64 << 10, done: make(chan struct{}, 1)}
}

// MayWait prepares a batch for Block: its only command may have to wait.
func (b *Batch) MayWait() {
	b.blocked = new(fsm.Blocked)
	b.waits = make(chan struct{}, 1)
	b.Cmds[0].Blocked = b.blocked
}

// Done is what a batch that was given to Block is answered by.
func (b *Batch) Done() <-chan struct{} { return b.done }

// Waits tells, once, that the command of a batch that was given to Block has to wait. Then Waiter may be called.
func (b *Batch) Waits() <-chan struct{} { return b.waits }

// Waiter returns the name of the wait and how long it is meant to be, in ms; 0 = without end.
func (b *Batch) Waiter() (id fsm.WaiterID, ms int64) { return b.blocked.ID, b.blocked.Timeout }

// Answer hands the batch back to its connection, as Block has to when it is answered; Park tells that its command waits. For
// implementations of Client that are not Node.
func (b *Batch) Answer(o Outcome) { b.finish(o) }

// Park is told of in Answer.
func (b *Batch) Park() { b.waits <- struct{}{} }

// finish hands the batch back to its connection. REQUIRES: called once per Write, Read or Block.
func (b *Batch) finish(o Outcome) {
	b.Outcome = o
	b.done <- struct{}{}
}

// Answered takes the answer of a batch that was handed to a Driver, if there is one, without waiting for it. It reports
// true once.
func (b *Batch) Answered() bool {
	select {
	case <-b.done:
		return true
	default:
		return false
	}
}

// View is what any goroutine may know of the cluster without asking the loop. It is immutable.
type View struct {
	Self    raft.Member
	Member  bool // the membership lists Self; not before it was added, and not when it was removed
	Role    raft.Role
	Term    uint64
	Leader  raft.NodeID // 0 = none known
	Last    raft.NodeID // the newest leader ever known; what CLUSTER SLOTS shows during an election
	Members []raft.Member
	Loading bool
	// Stateless: Loading, because the snapshot was damaged: one of the leader has to come.
	Stateless bool
	Healthy   bool // this node leads with a quorum, or has heard a leader within two election timeouts
	// DiskFull: less than the reserve is free on this node's disk. It takes no writes while it leads, and hands over if it can.
	DiskFull bool
}

// Status is everything RAFT STATUS and INFO print; asking for it is an event of the loop.
type Status struct {
	raft.Status
	Flow
	Refusals      Refusals
	Name          string
	Cluster       string
	LogBytes      int64
	LogSegments   int
	Pending       int // batches proposed and not answered
	PendingReads  int
	LeaderChanges uint64
	FsyncCount    uint64
	FsyncNs       uint64 // sum
	FsyncMaxNs    uint64
	AppliedClock  int64 // ms, newest stamp applied
	SnapshotIndex uint64
	SnapshotBusy  bool
	SnapshotSince int64  // interval clock: when the snapshot under way began
	SnapshotAt    int64  // wall clock in ms: when the newest one of this run was durable, 0 = none yet
	SnapshotNs    int64  // how long the newest own one of this run took, 0 = none yet
	Snapshots     uint64 // own ones of this run
	LoadedKeys    int    // keys in the snapshot that the node started from
	SnapshotLate  bool   // one is due and does not fit on the disk
	DiskFree      int64  // bytes at the last look, less what was accepted since
	DiskReserve   int64  // bytes that should stay free
	DiskFull      bool
	StateHash     uint64 // of the newest index at which states are compared, HashIndex
	HashIndex     uint64
	HashCompared  uint64 // the last such index at which another node had the same
	LeaderSeen    int64  // interval clock: when a leader was known last
	WasteSince    int64  // interval clock: since when records are to be moved because memory is fragmented, 0 = they are not
	WasteNs       int64  // how long that was so before
	Now           int64  // the loop's interval clock, for ages
}

// Client is what the client's side of the server needs of a node. All methods are safe for any goroutine.
type Client interface {
	// Write proposes the batch (at least one write command, or a read with fsm.FlagClock) and returns when it is
	// answered; b.Outcome tells how.
	Write(b *Batch)
	// Block is Write for a batch made ready by MayWait. It returns at once: b.Done tells of the answer, b.Waits that there is none
	// yet. A wait has no end but those of package fsm: the caller asks for it with Unblock. When the leader has changed it takes at
	// most Config.CommitTimeout until the answer, which is Uncertain if this node has not heard of the new leader by then.
	Block(b *Batch)
	// Unblock ends a wait of a command that was given to Block, and does not wait for it. It does nothing if this node does not
	// lead: then the wait ends by itself.
	Unblock(id fsm.WaiterID, why fsm.Unblocking)
	// Read serves the reads b.Cmds[from:] linearizably until the end or b.Limit and returns the next position.
	Read(b *Batch, from int) (next int)
	// Store is the state machine; its read methods may be called any time.
	Store() *fsm.Store
	// View returns the current picture of the cluster.
	View() *View
	// Status asks the loop.
	Status() (Status, error)
	// Wait blocks until n other nodes have the entry at index on disk, and with own this one as well, or the timeout, 0 = none. It
	// returns who has: of the others how many. It returns at once when this node does not lead.
	Wait(index uint64, own bool, n int, timeoutMs int64) (mine bool, others int)
	// Purge asks the applier to give memory back, also where it takes many moves of records, and does not wait for it.
	Purge()
	// StateHash freezes the state and returns its hash and the index it stands for. It looks at every key: an error says that
	// the state is damaged.
	StateHash() (index uint64, hash uint64, err error)
	// Change changes the membership, all changes at once, and returns when they are committed: nil also when there was
	// nothing to do. ErrTimeout: the leader has begun with it. Otherwise an error of raft says why not.
	Change(changes []raft.Change, timeoutMs int64) error
	// Transfer makes a voter the leader, 0 for the best one that is not; errors as Change.
	Transfer(to raft.NodeID, timeoutMs int64) error
	// Snapshot takes a snapshot now and returns its index. ErrDiskFull: it would not fit.
	Snapshot() (index uint64, err error)
}
