package node

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/raft"
)

func entry(index, term uint64) raft.Entry { return raft.Entry{Index: index, Term: term} }

// What piles up while the disk is busy becomes one batch: an entry that a newer leader replaces leaves it, and an own
// snapshot that an installed one overtakes is not marked any more.
func TestAppendJobsMerge(t *testing.T) {
	d := &Driver{log: &memLog{}, clock: virtualClock{}}
	d.mergePersist(&raft.Persist{Seq: 1, Entries: []raft.Entry{entry(5, 1), entry(6, 1), entry(7, 1)}})
	d.mergePersist(&raft.Persist{Seq: 2, Hard: raft.HardState{Term: 2}, Entries: []raft.Entry{entry(6, 2)}})
	d.mergePersist(&raft.Persist{Seq: 3, Hard: raft.HardState{Term: 2}, Entries: []raft.Entry{entry(7, 2)}})
	require.Equal(t, []raft.Entry{entry(5, 1), entry(6, 2), entry(7, 2)}, d.next.Record.Entries)
	require.NoError(t, d.log.Append(&d.next.Record))
	d.mergePersist(&raft.Persist{Seq: 4, Hard: raft.HardState{Term: 3}, Entries: []raft.Entry{entry(4, 3)}})
	require.Equal(t, []raft.Entry{entry(4, 3)}, d.next.Record.Entries)

	d.snapBusy = true
	d.takers = append(d.takers, make(chan<- uint64, 1))
	d.snapshotWritten(&Event{Snapshot: SnapshotFile{Meta: raft.SnapshotMeta{Index: 4}}})
	require.True(t, d.next.Compact)
	d.received = []SnapshotFile{{Meta: raft.SnapshotMeta{Index: 9}}}
	d.mergePersist(&raft.Persist{Seq: 5, Install: &raft.SnapshotMeta{Index: 9}, Entries: []raft.Entry{entry(10, 3)}})
	d.install(9)
	require.False(t, d.next.Compact, "the journal refuses to go back to an older snapshot")
	require.False(t, d.snapBusy)
	require.Empty(t, d.takers)
	require.Equal(t, []raft.Entry{entry(10, 3)}, d.next.Record.Entries)
	require.NoError(t, d.log.Append(&d.next.Record))
}

// A node that led, lost the end of its log and leads again with a shorter one: what it proposed first is certainly
// overwritten, and what it proposed since is answered in time.
func TestProposalsOfAnEarlierTerm(t *testing.T) {
	d := &Driver{}
	propose := func(index, term uint64) *Batch {
		b := NewBatch(nil)
		d.pending = append(d.pending, &proposal{index: index, term: term, batches: []*Batch{b}})
		return b
	}
	lost, later := propose(10, 1), propose(11, 1)
	kept, next := propose(8, 3), propose(9, 3)
	for _, e := range []raft.Entry{entry(6, 1), entry(7, 1)} {
		d.handOver(&e)
	}
	require.Len(t, d.pending, 4)
	e := entry(8, 3)
	d.handOver(&e)
	require.Equal(t, Overwritten, lost.Outcome)
	require.Equal(t, Overwritten, later.Outcome)
	require.Equal(t, []*Batch{kept}, d.out.Apply[2].Proposal.batches)
	e = entry(9, 3)
	d.handOver(&e)
	require.Equal(t, []*Batch{next}, d.out.Apply[3].Proposal.batches)
	require.Empty(t, d.pending)
}

// pausingClock lets time pass, and things happen, just after it was read.
type pausingClock struct {
	Clock
	pause atomic.Pointer[func()]
}

func (c *pausingClock) Now() int64 {
	now := c.Clock.Now()
	if f := c.pause.Swap(nil); f != nil {
		(*f)()
	}
	return now
}

// A node that is paused between reading its clock and reading its messages must not date the messages back: here it
// would forget that it has just heard a leader, and vote against the leader's lease.
func TestPauseDoesNotDateMessagesBack(t *testing.T) {
	bubble(t, 3, nil, func(w *world) {
		w.leader()
		for _, p := range w.nodes {
			p.stop()
		}
		clock := &pausingClock{Clock: w.clock}
		w.clock = clock
		p := w.nodes[0]
		p.start()
		n := p.get()
		<-time.After(time.Second)
		term := n.View().Term + 1
		pause := func() {
			<-time.After(time.Second)
			n.Deliver([]raft.Message{{Type: raft.MsgAppend, From: 2, To: 1, Term: term}})
		}
		clock.pause.Store(&pause)
		w.until("it follows", func() bool { return n.View().Leader == 2 })
		n.Deliver([]raft.Message{{Type: raft.MsgVote, From: 3, To: 1, Term: term + 1, Index: 100, LogTerm: term}})
		<-time.After(100 * time.Millisecond)
		require.Equal(t, term, n.View().Term, "no vote within an election timeout of a leader's message")
	})
}

// With read-mode quorum no clock is trusted: a leader that is cut off answers no read, not even in the first moment.
func TestQuorumReadsNeedAQuorum(t *testing.T) {
	bubble(t, 3, func(c *Config) { c.QuorumReads = true }, func(w *world) {
		var lead *peer
		w.until("a leader that serves", func() bool {
			for _, p := range w.nodes {
				if p.get().View().Role == raft.Leader {
					lead = p
					o, _, _ := p.do(false, command("get", "a"))
					return o == Done
				}
			}
			return false
		})
		w.isolate(lead.id, true)
		o, _, _ := lead.do(false, command("get", "a"))
		require.NotEqual(t, Done, o)
	})
}
