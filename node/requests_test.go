package node

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/fsm"
	"kvapp/raft"
)

func add(i int) []raft.Change { return []raft.Change{{Kind: raft.ChangeAdd, Member: member(i)}} }

func remove(i int) []raft.Change {
	return []raft.Change{{Kind: raft.ChangeRemove, Member: raft.Member{ID: raft.NodeID(i)}}}
}

// voters counts the voters that a node knows of.
func (p *peer) voters() (n int) {
	for _, m := range p.get().View().Members {
		if !m.Learner {
			n++
		}
	}
	return n
}

// A leader that was removed keeps its clients until it hears who leads now, when all it knows is that its term is over.
func TestRemovedLeaderWaitsForTheNext(t *testing.T) {
	bubble(t, 3, nil, func(w *world) {
		old := w.leader()
		old.do(false, command("set", "a", "1"))
		term := old.get().View().Term
		var late atomic.Bool
		late.Store(true)
		w.setDistort(func(m *raft.Message) {
			if late.Load() && m.Type == raft.MsgAppend && m.To == old.id && m.Term > term {
				m.To = 99
			}
		})
		require.NoError(t, old.get().Change(remove(int(old.id)), 5000))
		w.until("its term is over", func() bool { return old.get().View().Term > term })
		require.Zero(t, old.get().View().Leader)

		answers := make(chan *Batch, 4)
		for i := range cap(answers) {
			go func() {
				_, _, b := old.do(i%2 == 0, command("get", "a"), command("set", "a", "2"))
				answers <- b
			}()
		}
		<-time.After(10 * time.Millisecond) // virtual
		late.Store(false)
		next := w.leader(old).get().View().Self.ClientAddr
		for range cap(answers) {
			b := <-answers
			require.Equal(t, NotLeader, b.Outcome)
			require.Equal(t, next, b.Leader)
		}
	})
}

// A cluster grows from one node to three and shrinks to one again, through whichever node is asked.
func TestGrowAndShrink(t *testing.T) {
	bubble(t, 1, nil, func(w *world) {
		lead := w.leader()
		lead.do(false, command("set", "a", "1"))
		for i := 2; i <= 3; i++ {
			w.add(member(i), nil, &memLog{})
			require.NoError(t, w.nodes[i-2].get().Change(add(i), 5000))
			require.NoError(t, w.nodes[i-2].get().Change(add(i), 5000), "again")
			w.until("it is a voter and knows it", func() bool { return w.nodes[i-1].voters() == i })
			require.True(t, w.nodes[i-1].get().View().Member)
		}
		w.settled()
		o, r, _ := w.nodes[2].do(true, command("get", "a"))
		require.Equal(t, Done, o)
		require.Equal(t, "1 ", r)

		require.NoError(t, w.nodes[2].get().Change(remove(1), 5000), "the leader")
		w.until("it knows", func() bool { return !w.nodes[0].get().View().Member })
		require.Equal(t, "n1", w.nodes[0].get().View().Self.Name, "it still knows who it is")
		sends := func(to ...string) {
			for _, read := range []bool{false, true} {
				for _, c := range []fsm.Command{command("get", "a"), command("set", "a", "9")} {
					o, _, b := w.nodes[0].do(read, c)
					require.Equal(t, NotLeader, o)
					require.Contains(t, to, b.Leader)
				}
			}
		}
		sends(w.leader(w.nodes[0]).get().View().Self.ClientAddr) // nobody has to ask twice
		<-time.After(time.Minute)                                // virtual
		require.Zero(t, w.nodes[0].get().View().Leader)
		sends("c2:1", "c3:1") // it sends clients on, for ever
		next := w.leader(w.nodes[0])
		rest := w.nodes[1]
		if rest == next {
			rest = w.nodes[2]
		}
		require.NoError(t, next.get().Change(remove(int(rest.id)), 5000))
		w.until("it knows", func() bool { return !rest.get().View().Member })
		require.ErrorIs(t, next.get().Change(remove(int(next.id)), 5000), raft.ErrLastVoter)
		o, _, _ = next.do(false, command("set", "a", "2"))
		require.Equal(t, Done, o)

		// A sole voter that restarts leads at once, although it once was one of several.
		next.stop()
		next.start()
		require.Equal(t, next, w.leader(w.nodes[0], rest))
	})
}

// Requests that come while another is under way are asked again, not refused.
func TestChangesQueueUp(t *testing.T) {
	bubble(t, 3, nil, func(w *world) {
		w.leader()
		for i := 4; i <= 5; i++ {
			w.add(member(i), nil, &memLog{})
		}
		var wg sync.WaitGroup
		for i := 4; i <= 5; i++ {
			for _, p := range w.nodes[:3] {
				wg.Go(func() { require.NoError(t, p.get().Change(add(i), 5000)) })
			}
		}
		wg.Wait()
		w.until("both are voters", func() bool { return w.nodes[0].voters() == 5 })
		lead := w.leader()
		err := lead.get().Change([]raft.Change{{Kind: raft.ChangePromote, Member: raft.Member{ID: 9}}}, 5000)
		require.ErrorIs(t, err, raft.ErrNoMember)
	})
}

// A learner that cannot catch up is not promoted, and the others go on.
func TestUnreachableNodeStaysLearner(t *testing.T) {
	bubble(t, 3, nil, func(w *world) {
		lead := w.leader()
		require.NoError(t, lead.get().Change(add(4), 5000))
		promote := []raft.Change{{Kind: raft.ChangePromote, Member: raft.Member{ID: 4}}}
		require.ErrorIs(t, lead.get().Change(promote, 2000), ErrTimeout)
		o, _, _ := lead.do(false, command("set", "a", "1"))
		require.Equal(t, Done, o)
		require.Equal(t, 3, lead.voters())
	})
}

// Leadership is handed over under load: no client sees an error but the redirection, and nothing is lost.
func TestTransferUnderLoad(t *testing.T) {
	bubble(t, 3, nil, func(w *world) {
		w.leader()
		var stop atomic.Bool
		var wg sync.WaitGroup
		acked := make([]int, 8)
		var gap atomic.Int64
		for id := range acked {
			wg.Go(func() {
				at, last := 0, time.Now()
				for !stop.Load() {
					o, _, b := w.nodes[at].do(false, command("incr", fmt.Sprint("k", id)))
					switch o {
					case Done:
						acked[id]++
						gap.Store(max(gap.Load(), int64(time.Since(last))))
						last = time.Now()
					case NotLeader:
						_, err := fmt.Sscanf(b.Leader, "c%d:1", &at)
						require.NoError(t, err)
						at--
					default:
						require.Fail(t, "a client was told", "%v", o)
					}
				}
			})
		}
		for i := range 6 {
			old := w.leader()
			<-time.After(200 * time.Millisecond)
			gap.Store(0)
			require.NoError(t, w.nodes[i%3].get().Transfer(0, 2000))
			next := w.leader(old)
			require.NotEqual(t, old, next)
			<-time.After(100 * time.Millisecond)
			require.Less(t, time.Duration(gap.Load()), 50*time.Millisecond)
		}
		lead := w.leader()
		require.NoError(t, lead.get().Transfer(lead.id, 2000), "it leads already")
		stop.Store(true)
		wg.Wait()
		for id, n := range acked {
			require.Positive(t, n)
			_, r, _ := w.leader().do(false, command("get", fmt.Sprint("k", id)))
			require.Equal(t, fmt.Sprint(n, " "), r)
		}
	})
}

// A frozen disk of the leader: another one leads within three election timeouts, and acknowledges writes.
func TestFrozenDiskHandsOver(t *testing.T) {
	bubble(t, 3, nil, func(w *world) {
		lead := w.leader()
		lead.do(false, command("set", "a", "1"))
		lead.log.freeze(time.Hour)
		frozen := time.Now()
		o, _, _ := lead.do(false, command("set", "a", "2"))
		require.Equal(t, Done, o, "the others have it on their disks")
		next := w.leader(lead)
		o, _, _ = next.do(false, command("set", "a", "3"))
		require.Equal(t, Done, o)
		require.Less(t, time.Since(frozen), 3*400*time.Millisecond)
	})
}

func TestTransferIsGivenUp(t *testing.T) {
	bubble(t, 3, nil, func(w *world) {
		lead, f := w.leader(), w.followers()[0]
		w.isolate(f.id, true)
		require.ErrorIs(t, lead.get().Transfer(f.id, 2000), ErrTimeout)
		o, _, _ := lead.do(false, command("set", "a", "1"))
		require.Equal(t, Done, o)
		o, _, _ = lead.do(false, command("get", "a"))
		require.Equal(t, Done, o, "by a round, without the lease")
		require.ErrorIs(t, lead.get().Transfer(9, 2000), raft.ErrNotVoter)
		w.isolate(lead.id, true)
		require.ErrorIs(t, f.get().Transfer(0, 2000), raft.ErrNotLeader, "nobody to ask")
	})
}

func TestMembersAreLogged(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}}))
	old := []raft.Member{member(1), member(2), member(3), member(4), {ID: 5, Name: "n5", Learner: true}}
	leaving, learner := raft.Member{ID: 3, Name: "n3", Learner: true, Leaving: true}, raft.Member{ID: 6, Name: "n6", Learner: true}
	now := []raft.Member{member(1), member(2), leaving, member(4), member(5), learner}
	now[1].PeerAddr, now[3].Learner = "elsewhere:1", true
	logMembers(log, old, now)
	require.Equal(t, []string{
		"msg=member_moved node=n2 clients=c2:1 peers=elsewhere:1",
		"msg=member_demoted node=n4",
		"msg=member_promoted node=n5",
		`msg=member_added node=n6 clients="" peers="" learner=true`,
		"msg=member_removed node=n3",
	}, strings.Split(strings.TrimSpace(b.String()), "\n"))
	b.Reset()
	logMembers(log, now, append(now[:2:2], now[3:]...))
	require.Empty(t, b.String(), "it was said when it began")
}
