package raft

import (
	"fmt"
)

// Raft is the core of one node in one group. It belongs to one goroutine.
type Raft struct {
	cfg Config
	rng uint64
	now int64 // newest Event.Now; never goes back

	// term and vote as handed to the disk. Invariant: term only grows; vote changes from 0 only within a term.
	term   uint64
	vote   NodeID
	role   Role
	leader NodeID // of term, 0 if none known; the node itself while it leads

	log memLog
	dur durability
	// Invariant: snap.Index <= commit, applied <= emitted <= commit <= log.last. None goes back.
	commit  uint64
	emitted uint64 // last index handed out in Effects.Apply, or replaced by Effects.Install
	applied uint64
	snap    SnapshotMeta // newest snapshot of this node
	first   uint64       // first index the journal keeps; <= snap.Index+1
	// Invariant: while stateless the node follows, and emitted == applied == snap.Index although nothing is applied.
	stateless bool

	members []memberAt // history, ascending; [0] holds at the snapshot, the last one is in effect
	peers   []peer     // of the membership in effect, ascending by id
	joint   bool
	version uint64 // counts changes of the membership

	// Elections.
	timeout    int64  // drawn at the last change of role
	electionAt int64  // when a node that does not lead campaigns
	heardAt    int64  // newest sign of life of a leader
	heardFrom  NodeID // which one; 0 if none since the start
	quietUntil int64  // no vote before: this node may have promised a lease before it was restarted

	// Of the leader.
	leaderSince int64
	heartbeatAt int64
	noop        uint64 // index of the first entry of the own term
	uncommitted int64  // bytes of own entries behind commit
	readCtx     uint64 // number of the newest read of this term
	readRound   uint64 // newest read that was sent to everybody
	reads       []waitingRead

	transfer   transfer
	handedOver bool  // a TimeoutNow of this term was sent: whoever gets it, however late, may win without the voters' promises
	transferAt int64 // no transfer by the node's own wish before

	// Of everybody else.
	forwardCtx uint64
	forwarded  questions // reads
	asked      questions // changes and transfers
	preferred  bool      // no voter has a higher priority
	unfit      bool      // another should lead if one can, see EvUnfit
}

// New builds the core of a node from what its disk holds. An error says that Config or Recovered is unusable.
func New(cfg Config, rec Recovered) (*Raft, error) {
	if err := cfg.valid(); err != nil {
		return nil, fmt.Errorf("raft: configuration: %w", err)
	}
	s := rec.Snapshot
	if err := s.Membership.valid(); err != nil {
		return nil, fmt.Errorf("raft: snapshot %d: %w", s.Index, err)
	}
	r := &Raft{
		cfg: cfg, rng: cfg.Seed ^ mix(uint64(cfg.ID)), now: cfg.Now,
		term: max(rec.Hard.Term, s.Term), snap: s, first: max(min(rec.First, s.Index+1), 1),
		commit: max(rec.Hard.Commit, s.Index, rec.Applied), applied: rec.Applied, emitted: rec.Applied, stateless: rec.Stateless,
	}
	if r.term == rec.Hard.Term {
		r.vote = rec.Hard.Vote
	}
	// Ids of forwarded reads must not repeat after a restart: a late answer would be taken for a new one.
	r.forwardCtx = mix(r.rng^uint64(cfg.Now)*0x9e3779b97f4a7c15) &^ (1 << 63)
	r.log.chunkBytes = int64(max(cfg.MaxAppendBytes, 1))
	r.log.reset(s.Index, s.Term)
	if !r.log.before(rec.Terms, r.first, s.Index, s.Term) {
		return nil, fmt.Errorf("raft: recovered log: terms %v do not lead from %d to %d of term %d", rec.Terms, r.first, s.Index, s.Term)
	}
	r.members = []memberAt{{index: s.Index, m: s.Membership}}
	for i := range rec.Entries {
		if err := r.recover(&rec.Entries[i]); err != nil {
			return nil, fmt.Errorf("raft: recovered log: %w", err)
		}
	}
	if rec.Applied < s.Index || r.commit > r.log.last {
		return nil, fmt.Errorf("raft: recovered log ends at %d: snapshot %d, applied %d, commit %d", r.log.last, s.Index, rec.Applied, r.commit)
	}
	if rec.Stateless && (s.Index == 0 || rec.Applied != s.Index) {
		return nil, fmt.Errorf("raft: recovered state: none, with snapshot %d and applied %d", s.Index, rec.Applied)
	}
	r.dur.index = r.log.last
	r.rebuildPeers()
	r.redraw()
	if r.term > 0 || r.log.last > 0 {
		r.quietUntil = cfg.Now + cfg.ElectionTimeout
	}
	// A node that has always been alone has promised nobody anything.
	if r.soleVoter() && (r.term == 0 || r.vote == cfg.ID) {
		r.electionAt = cfg.Now
	}
	return r, nil
}

// recover takes one entry of the journal.
func (r *Raft) recover(e *Entry) error {
	if e.Index != r.log.last+1 {
		return fmt.Errorf("entry %d follows %d", e.Index, r.log.last)
	}
	if e.Term < r.log.lastTerm() || e.Term > r.term {
		return fmt.Errorf("entry %d has term %d, after %d, in term %d", e.Index, e.Term, r.log.lastTerm(), r.term)
	}
	r.log.append(*e)
	if e.Kind == EntryMembership {
		m, err := decodeEntry(e.Data)
		if err != nil {
			return fmt.Errorf("entry %d: %w", e.Index, err)
		}
		r.members = append(r.members, memberAt{index: e.Index, m: m})
	}
	return nil
}

func (c *Config) valid() error {
	switch {
	case c.ID == 0:
		return fmt.Errorf("ID is 0")
	case c.HeartbeatEvery <= 0 || c.ElectionTimeout <= c.HeartbeatEvery:
		return fmt.Errorf("HeartbeatEvery %d, ElectionTimeout %d", c.HeartbeatEvery, c.ElectionTimeout)
	case c.LeaseMargin < 0 || c.LeaseMargin > c.ElectionTimeout:
		return fmt.Errorf("LeaseMargin %d, ElectionTimeout %d", c.LeaseMargin, c.ElectionTimeout)
	case c.MaxAppendBytes <= 0 || c.MaxInflightMsgs <= 0 || c.MaxInflightBytes <= 0 || c.MaxUncommitted <= 0 || c.CacheBytes < 0:
		return fmt.Errorf("a limit is not positive")
	case c.Now < 0:
		return fmt.Errorf("negative Now")
	}
	return nil
}

// Step handles one event and appends to out what the caller has to do. An error is an *InvariantError: the caller broke
// the contract or the core is broken, and the process must stop. What peers send never gives an error.
func (r *Raft) Step(ev *Event, out *Effects) error {
	r.now = max(r.now, ev.Now)
	role, term, leader, version := r.role, r.term, r.leader, r.version
	leased := r.now < r.lease()
	if err := r.dispatch(ev, out); err != nil {
		return err
	}
	if r.emitted < r.commit && !r.stateless {
		out.Apply = r.log.appendTo(out.Apply, r.emitted+1, r.commit)
		r.emitted = r.commit
	}
	r.log.shrink(min(r.applied, r.dur.index), r.first, r.cfg.CacheBytes)
	if out.Persist.Seq != 0 {
		// A crash may leave the hard state without the entries of its batch, and on the disk what they should replace:
		// the commit index speaks only of entries that are there already.
		out.Persist.Hard = HardState{Term: r.term, Vote: r.vote, Commit: min(r.commit, r.dur.index)}
	}
	if role != r.role || term != r.term || leader != r.leader || version != r.version || leased != (r.now < r.lease()) {
		out.Changed = true
	}
	return nil
}

func (r *Raft) dispatch(ev *Event, out *Effects) error {
	switch ev.Kind {
	case EvTick:
		r.tick(out)
	case EvMessage:
		return r.onMessage(&ev.Msg, out)
	case EvPropose:
		r.onPropose(ev, out)
	case EvReadIndex:
		r.onReadIndex(ev.ID, ev.Quorum, out)
	case EvPersisted:
		return r.onPersisted(ev.Seq, out)
	case EvApplied:
		if ev.Index > r.emitted {
			return r.fault("applied-before-handed-out")
		}
		r.applied = max(r.applied, ev.Index)
		if r.role == Leader {
			for i := range r.peers {
				r.payCommit(&r.peers[i], out)
			}
			r.handOver(out)
			r.retire(out)
		}
	case EvFetched:
		r.onFetched(ev, out)
	case EvSnapshotSaved:
		return r.onSnapshotSaved(ev)
	case EvSnapshotSent:
		r.onSnapshotSent(ev)
	case EvSnapshotReceived:
		return r.onSnapshotReceived(ev, out)
	case EvUnreachable:
		r.onUnreachable(ev.To)
	case EvChange:
		r.onChange(ev, out)
	case EvTransfer:
		r.onTransfer(ev, out)
	case EvUnfit:
		r.unfit = ev.Failed
	default:
		return r.fault("unknown-event")
	}
	return nil
}

func (r *Raft) tick(out *Effects) {
	r.giveUp(r.now, out)
	if r.role == Leader {
		r.leaderTick(out)
	} else if r.now >= r.electionAt {
		r.electionTimeout(out)
	}
}

// onMessage sorts a message by its term, then by its type.
func (r *Raft) onMessage(m *Message, out *Effects) error {
	if m.To != r.cfg.ID || m.From == r.cfg.ID || !wellFormed(m) {
		return nil
	}
	switch m.Type {
	case MsgReadIndex:
		r.onMsgReadIndex(m, out)
		return nil
	case MsgReadIndexResp:
		r.onReadIndexResp(m, out)
		return nil
	case MsgPreVote:
		r.onPreVote(m, out)
		return nil
	case MsgChange, MsgTransfer:
		r.onRequest(m, out)
		return nil
	case MsgAnswer:
		r.onAnswer(m, out)
		return nil
	}
	if m.Term > r.term && !r.newTerm(m, out) {
		return nil
	}
	if m.Term < r.term {
		r.oldTerm(m, out)
		return nil
	}
	switch m.Type {
	case MsgVote:
		r.onVote(m, out)
	case MsgAppend:
		return r.onAppend(m, out)
	case MsgAppendResp:
		r.onAppendResp(m, out)
	case MsgVoteResp:
		if r.role == Candidate {
			r.recordVote(m.From, !m.Reject, out)
		}
	case MsgPreVoteResp:
		if r.role == PreCandidate && m.Reject {
			r.recordVote(m.From, false, out)
		}
	case MsgTimeoutNow:
		r.onTimeoutNow(m, out)
	}
	return nil
}

// newTerm meets a term above the own. It returns whether the message is still to be handled.
func (r *Raft) newTerm(m *Message, out *Effects) bool {
	switch m.Type {
	case MsgVote:
		if !m.Transfer && r.promised(m.From) {
			return false
		}
		r.becomeFollower(m.Term, 0, out)
		return true
	case MsgAppend:
		r.becomeFollower(m.Term, m.From, out)
		return true
	case MsgPreVoteResp:
		if !m.Reject { // granted for the term that does not exist yet
			if r.role == PreCandidate && m.Term == r.term+1 {
				r.recordVote(m.From, true, out)
			}
			return false
		}
	case MsgTimeoutNow:
		return false // from a leader that this node does not know
	}
	// Answers only move the term when they come from a member: nobody else was asked.
	if r.peer(m.From) != nil {
		r.becomeFollower(m.Term, 0, out)
	}
	return false
}

// oldTerm tells senders that are behind.
func (r *Raft) oldTerm(m *Message, out *Effects) {
	switch m.Type {
	case MsgAppend:
		out.Send = append(out.Send, Message{Type: MsgAppendResp, From: r.cfg.ID, To: m.From, Term: r.term, Reject: true, Index: m.Index})
	case MsgVote:
		r.onVote(m, out)
	}
}

// NextDeadline returns the time at which an EvTick must come at the latest.
func (r *Raft) NextDeadline() int64 {
	if r.emitted < r.commit && !r.stateless {
		return r.now // recovered entries wait for the first step
	}
	at := r.electionAt
	if r.role == Leader {
		at = r.heartbeatAt
	}
	if len(r.forwarded) > 0 {
		at = min(at, r.forwarded[0].deadline)
	}
	if len(r.asked) > 0 {
		at = min(at, r.asked[0].deadline)
	}
	return at
}

// LeaseUntil returns the time until which this leader may serve reads without asking anybody; 0 without a lease. It is
// not 0 only when the leader's own no-op has been applied.
func (r *Raft) LeaseUntil() int64 { return r.lease() }

// Role returns what the node currently is.
func (r *Raft) Role() Role { return r.role }

// Term returns the current term.
func (r *Raft) Term() uint64 { return r.term }

// Leader returns the leader of the current term; 0 if none is known.
func (r *Raft) Leader() NodeID { return r.leader }

// Commit returns the last index known to be committed.
func (r *Raft) Commit() uint64 { return r.commit }

// LastIndex returns the index of the last entry of the log.
func (r *Raft) LastIndex() uint64 { return r.log.last }

// Reset forgets what has been done and keeps the memory.
func (e *Effects) Reset() {
	// One by one: to write the whole struct costs more than most steps do.
	e.Persist.Entries, e.Send, e.Apply = emptied(e.Persist.Entries), emptied(e.Send), emptied(e.Apply)
	e.Proposed, e.Reads, e.Answers = emptied(e.Proposed), emptied(e.Reads), emptied(e.Answers)
	e.Fetch, e.Snapshots = e.Fetch[:0], e.Snapshots[:0]
	e.Persist.Seq, e.Persist.Hard, e.Persist.HardDirty, e.Changed = 0, HardState{}, false, false
	if e.Install != nil {
		e.Install, e.Persist.Install = nil, nil
	}
}

// emptied forgets the elements of s and keeps its array.
func emptied[T any](s []T) []T {
	if len(s) > 0 {
		clear(s)
	}
	return s[:0]
}
