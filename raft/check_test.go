package raft

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// busyFollower follows node 2, has something in memory that is not durable, and waits for answers of the leader.
func busyFollower(t *testing.T) *Raft {
	l := newLone(t, 3, HardState{Term: 1}, 1, 1)
	l.recv(Message{Type: MsgAppend, From: 2, Term: 2, Index: 2, LogTerm: 1, Commit: 1, Entries: entries(3, 2)})
	l.recv(Message{Type: MsgAppend, From: 2, Term: 2, Index: 3, LogTerm: 2, Commit: 1, Entries: entries(4, 2)})
	for id := range uint64(2) {
		l.feed(Event{Kind: EvReadIndex, ID: id})
		l.feed(Event{Kind: EvTransfer, ID: id})
	}
	require.Len(t, l.forwarded, 2)
	require.Len(t, l.dur.promises, 2)
	require.Len(t, l.dur.appends, 2)
	return l.Raft
}

// Check sees every invariant that it names: each is broken here, in a core that was sound. Only no-lease-after-hand-over
// cannot be: lease itself looks at handedOver, and the check watches over that.
func TestCheckSees(t *testing.T) {
	broken := map[string]int{}
	try := func(sound func(t *testing.T) *Raft, cases map[string]func(r *Raft)) {
		for name, breakIt := range cases {
			r := sound(t)
			require.NoError(t, r.Check())
			breakIt(r)
			var err *InvariantError
			require.ErrorAs(t, r.Check(), &err, name)
			require.Equal(t, name, err.Name)
			require.Contains(t, err.Error(), name)
			broken[name]++
		}
	}
	try(busyLeader, map[string]func(r *Raft){
		"applied<=emitted":           func(r *Raft) { r.applied = r.emitted + 1 },
		"emitted<=commit":            func(r *Raft) { r.emitted = r.commit + 1 },
		"commit<=last":               func(r *Raft) { r.commit = r.log.last + 1 },
		"snapshot<=commit":           func(r *Raft) { r.snap.Index = r.commit + 1 },
		"first<=snapshot+1":          func(r *Raft) { r.first = r.snap.Index + 2 },
		"durable<=last":              func(r *Raft) { r.dur.index = r.log.last + 1 },
		"leader-knows-itself":        func(r *Raft) { r.leader = 2 },
		"candidate-votes-for-itself": func(r *Raft) { r.vote = 2 },
		"noop-of-own-term":           func(r *Raft) { r.noop = r.log.last + 1 },
		"runs-ascend":                func(r *Raft) { r.log.runs[0].first = 7 },
		"chunks-contiguous":          func(r *Raft) { r.log.chunks[1].first++ },
		"entries-contiguous":         func(r *Raft) { r.log.chunks[1].ents[0].Index++ },
		"terms-match":                func(r *Raft) { r.log.chunks[1].ents[0].Term++ },
		"chunk-bytes":                func(r *Raft) { r.log.chunks[1].bytes++ },
		"log-bytes":                  func(r *Raft) { r.log.bytes++ },
		"uncommitted-bytes":          func(r *Raft) { r.uncommitted++ },
		"seq-order":                  func(r *Raft) { r.dur.done = r.dur.seq + 1 },
		"writes-ordered":             func(r *Raft) { r.dur.appends[0].seq = r.dur.done },
		"all-durable":                func(r *Raft) { r.dur.appends, r.dur.done = nil, r.dur.seq },
		"memberships-ascend":         func(r *Raft) { r.members[1].index = r.members[0].index },
		"membership-base-committed":  func(r *Raft) { r.members[0].index, r.members[1].index = r.commit+1, r.commit+2 },
		"membership-history":         func(r *Raft) { r.members[1].index = r.log.last },
		"joint":                      func(r *Raft) { r.joint = false },
		"peers-follow-members":       func(r *Raft) { r.peer(2).voter = false },
		"peers-follow-old-voters":    func(r *Raft) { r.peer(2).oldVoter = false },
		"peers-ascend":               func(r *Raft) { r.peers = append(r.peers, peer{id: 2, next: 1}) },
		"departed-decide-nothing":    func(r *Raft) { r.peer(2).departed = &departed{} },
		"match<next<=last+1":         func(r *Raft) { r.peer(2).match = r.peer(2).next },
		"snapshot-state":             func(r *Raft) { r.peer(2).snapshot = 1 },
		"flight-ascends":             func(r *Raft) { w := &r.peer(2).flight; w.msgs[w.first].last = r.peer(2).match },
		"flight-sum":                 func(r *Raft) { r.peer(2).flight.bytes++ },
		"reads-ascend":               func(r *Raft) { r.reads[0].ctx = r.readCtx + 1 },
	})
	try(busyFollower, map[string]func(r *Raft){
		"lastTerm<=term":         func(r *Raft) { r.term = 1 },
		"only-leader-has-reads":  func(r *Raft) { r.reads = append(r.reads, waitingRead{}) },
		"only-leader-transfers":  func(r *Raft) { r.transfer.to = 2 },
		"only-follower-forwards": func(r *Raft) { r.leader = 0 },
		"only-follower-asks":     func(r *Raft) { r.leader, r.forwarded = 0, nil },
		"memory-holds-unapplied": func(r *Raft) { r.log.chunks, r.emitted = nil, 1 },
		"memory-holds-undurable": func(r *Raft) {
			r.log.chunks, r.log.bytes = nil, 0
			r.commit, r.emitted, r.dur.index = r.log.last, r.log.last, 2
		},
		"runs-in-log":      func(r *Raft) { r.log.runs[len(r.log.runs)-1].first = r.log.last + 1 },
		"log-end":          func(r *Raft) { r.log.chunks = r.log.chunks[:len(r.log.chunks)-1] },
		"promises-ordered": func(r *Raft) { r.dur.promises[0].seq = r.dur.seq + 1 },
		"forwarded-ascend": func(r *Raft) { r.forwarded[1].ctx = r.forwarded[0].ctx },
	})
	require.Len(t, broken, 43)
}
