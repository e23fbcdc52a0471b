package node

// Bytes pile up in four places, each of which is bounded and holds back the one before it: what is committed and not
// applied (Config.ApplyBacklog) stops proposals of a leader and entries for a follower; what is proposed and not committed
// (raft.Config.MaxUncommitted) stops proposals; what waits to be proposed belongs to connections, of which each has one
// batch and reads no further before that is answered; and what peers have sent and the loop has not looked at
// (inboxBytes) stops the reading from their connections.

// inboxBytes is how many bytes of entries from peers may stand in the inbox; one message may be larger.
const inboxBytes = 64 << 20

// Flow tells how full the queues of a node are. Bytes unless it says otherwise.
type Flow struct {
	UncommittedMax int64 // limit of Status.Uncommitted
	Waiting        int   // client batches that are in no entry yet
	WaitingBytes   int64
	InboxEvents    int // events that the loop has not looked at
	InboxBytes     int64
	InboxMax       int64
	InboxWaits     uint64 // how often a peer's connection had to wait for the loop
	ApplyBytes     int64  // committed and not applied
	ApplyMax       int64
	InflightMsgs   int // limit of messages without an answer, per peer
	InflightBytes  int // the same for their entries
	Pressure       Pressure
}

// Pressure names the queue that is full and holds back what comes next.
type Pressure string

// The queues.
const (
	NoPressure          Pressure = "no"
	PressureUncommitted Pressure = "uncommitted"
	PressureApply       Pressure = "apply"
	PressureInbox       Pressure = "inbox"
	PressureMemory      Pressure = "memory" // writes wait until keys are evicted
)

// flow is the Driver's part of it.
func (d *Driver) flow() Flow {
	f := Flow{
		UncommittedMax: d.cfg.Raft.MaxUncommitted, Waiting: len(d.waiting),
		ApplyBytes: d.backlog, ApplyMax: d.cfg.ApplyBacklog,
		InflightMsgs: d.cfg.Raft.MaxInflightMsgs, InflightBytes: d.cfg.Raft.MaxInflightBytes,
		Pressure: NoPressure,
	}
	for _, b := range d.waiting {
		f.WaitingBytes += int64(b.raw)
	}
	switch {
	case d.applyFull():
		f.Pressure = PressureApply
	case d.busy.on && len(d.waiting) > 0:
		f.Pressure = PressureUncommitted
	case d.mem.held > 0:
		f.Pressure = PressureMemory
	}
	return f
}

// applyFull says that the applier is too far behind to be given more.
func (d *Driver) applyFull() bool { return d.backlog > d.cfg.ApplyBacklog }

// busy remembers that the core has refused a proposal because of what is not committed yet: to build the entry again,
// only to have it refused again, is worth nothing before there was a commit. It may also have been a transfer of the
// leadership, so now and then it is.
type busy struct {
	on      bool
	commit  uint64
	againAt int64 // interval clock
}

const askBusyEvery = 5e6 // ns

// still says that nothing has changed since the refusal.
func (b *busy) still(now int64, commit uint64) bool {
	return b.on && b.commit == commit && now < b.againAt
}

func (b *busy) refused(now int64, commit uint64) {
	*b = busy{on: true, commit: commit, againAt: now + askBusyEvery}
}

// counted adds what the Driver does not know; any goroutine.
func (n *Node) counted(s *Status) {
	s.Refusals = n.deps.Transport.Refusals()
	s.WasteSince, s.WasteNs = n.waste.since.Load(), n.waste.sum.Load()
	f, q := &s.Flow, n.inbox
	q.mu.Lock()
	defer q.mu.Unlock()
	f.InboxEvents, f.InboxBytes, f.InboxMax, f.InboxWaits = len(q.items), q.bytes, inboxBytes, q.waits
	if q.blocked > 0 {
		f.Pressure = PressureInbox
	}
}
