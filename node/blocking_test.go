package node

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/fsm"
)

// wait is a command that may have to wait, as a connection gives it to a node.
type wait struct {
	*Batch
	t   *testing.T
	out *reply
	at  *peer
	id  fsm.WaiterID
}

// sleep gives a command to a node and returns when it waits.
func (p *peer) sleep(words ...string) *wait {
	w := &wait{t: p.w.t, out: &reply{}, at: p}
	w.Batch = NewBatch(w.out)
	w.Cmds = append(w.Cmds, command(words...))
	w.MayWait()
	p.get().Block(w.Batch)
	select {
	case <-w.Waits():
	case <-time.After(time.Minute):
		require.Fail(w.t, "it does not wait", "%v", words)
	}
	w.id, _ = w.Waiter()
	return w
}

// answer waits for the answer.
func (w *wait) answer() (Outcome, string) {
	select {
	case <-w.Done():
	case <-time.After(time.Minute):
		require.Fail(w.t, "no answer")
	}
	return w.Outcome, w.out.String()
}

// waits says that it is not answered.
func (w *wait) waits() bool { return !w.Answered() }

// ok executes a command and returns its reply.
func (p *peer) ok(words ...string) string {
	o, got, _ := p.do(false, command(words...))
	require.Equal(p.w.t, Done, o, words)
	return got
}

// Who waits is answered when an entry feeds or ends it, in any number of entries at a time, and all nodes agree.
func TestBlock(t *testing.T) {
	bubble(t, 3, nil, func(w *world) {
		lead := w.leader()
		a, b, c, d := lead.sleep("blpop", "k", "0"), lead.sleep("blmove", "k", "j", "left", "left", "0"), lead.sleep("brpop", "k", "1.5"), lead.sleep("blpop", "k", "0")
		require.Equal(t, ":1 ", lead.ok("rpush", "k", "x"))
		o, got := a.answer()
		require.Equal(t, Done, o)
		require.Equal(t, "*2 k x ", got)
		require.NotZero(t, a.Index)
		require.True(t, b.waits())
		_, ms := c.Waiter()
		require.EqualValues(t, 1500, ms)
		lead.get().Unblock(c.id, fsm.UnblockTimeout)
		o, got = c.answer()
		require.Equal(t, Done, o)
		require.Equal(t, "nil ", got)
		lead.get().Unblock(b.id, fsm.UnblockGone)
		o, _ = b.answer()
		require.Equal(t, Done, o)
		o, got, _ = lead.do(false, fsm.UnblockCommand(d.id, fsm.UnblockError), command("rpush", "k", "y"), command("lpop", "k"))
		require.Equal(t, Done, o)
		require.Equal(t, ":1 :1 y ", got)
		_, got = d.answer()
		require.Equal(t, "-UNBLOCKED client unblocked via CLIENT UNBLOCK ", got)
		w.settled()
	})
}

// A batch that is served by a later command of its own entry is answered once.
func TestBlockAndFeedAtOnce(t *testing.T) {
	bubble(t, 1, nil, func(w *world) {
		lead := w.leader()
		lead.log.freeze(50 * time.Millisecond) // the next entry grows meanwhile
		done := make(chan string)
		for i := range 8 {
			go func() { done <- lead.ok("set", fmt.Sprint(i), "1") }()
		}
		waits := make(chan *wait)
		for range 4 {
			go func() {
				x := &wait{t: t, out: &reply{}, at: lead}
				x.Batch = NewBatch(x.out)
				x.Cmds = append(x.Cmds, command("blpop", "k", "0"))
				x.MayWait()
				lead.get().Block(x.Batch)
				_, got := x.answer()
				require.Equal(t, "*2 k x ", got)
				waits <- x
			}()
			go func() { done <- lead.ok("rpush", "k", "x") }()
		}
		for range 4 {
			<-waits
		}
		for range 12 {
			<-done
		}
		require.Equal(t, ":0 ", lead.ok("exists", "k"))
	})
}

// With the term ends the wait: whoever leads next, the client is told so, and what is pushed later is there.
func TestBlockEndsWithTheTerm(t *testing.T) {
	const role = "-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?) "
	bubble(t, 3, nil, func(w *world) {
		lead := w.leader()
		a := lead.sleep("blpop", "k", "0")
		require.NoError(t, lead.get().Transfer(0, 2000))
		o, got := a.answer()
		require.Equal(t, Done, o)
		require.Equal(t, role, got)
		next := w.leader()
		require.NotEqual(t, lead.id, next.id)
		b := next.sleep("blpop", "k", "0")
		b.at.get().Unblock(a.id, fsm.UnblockTimeout) // of a term that is over
		require.Equal(t, ":1 ", next.ok("rpush", "k", "x"))
		_, got = b.answer()
		require.Equal(t, "*2 k x ", got)
		c := next.sleep("blpop", "k", "0")
		w.isolate(next.id, true)
		last := w.leader(next)
		require.Equal(t, ":1 ", last.ok("rpush", "k", "x"))
		w.isolate(next.id, false)
		o, got = c.answer()
		require.Equal(t, Done, o)
		require.Equal(t, role, got)
		require.Equal(t, ":1 ", last.ok("llen", "k"))
		w.settled()
	})
}

// A node that is cut off does not keep its clients for longer than a commit may take, and tells them that nobody knows.
func TestBlockOfANodeCutOff(t *testing.T) {
	bubble(t, 3, nil, func(w *world) {
		lead := w.leader()
		a := lead.sleep("blpop", "k", "0")
		w.isolate(lead.id, true)
		began := w.clock.Now()
		o, got := a.answer()
		require.Equal(t, Uncertain, o)
		require.Empty(t, got)
		require.Less(t, w.clock.Now()-began, lead.cfg.CommitTimeout+2*lead.cfg.Raft.ElectionTimeout)
		require.GreaterOrEqual(t, w.clock.Now()-began, lead.cfg.CommitTimeout)
		w.isolate(lead.id, false)
		next := w.leader()
		require.Equal(t, ":1 ", next.ok("rpush", "k", "x"))
		require.Equal(t, ":1 ", next.ok("llen", "k"))
		w.settled()
	})
}

// An office in which nothing was committed has ended no wait: it is given up behind it.
func TestBlockAndAnOfficeWithoutEntries(t *testing.T) {
	b := NewBatch(nil)
	b.Cmds = append(b.Cmds, command("blpop", "k", "0"))
	b.MayWait()
	w := blocking{}
	w.deposed(10)
	require.Zero(t, w.abandonAt, "nobody waits")
	w.proposed(&proposal{batches: []*Batch{b}})
	w.deposed(20)
	require.EqualValues(t, 20, w.abandonAt)
	w.elected()
	require.Zero(t, w.abandonAt)
	w.deposed(30)
	require.EqualValues(t, 30, w.abandonAt)
}

// A command whose outcome its client was told to be unknown may have to wait all the same. Then nobody waits for long.
func TestBlockLeavesNoOrphans(t *testing.T) {
	bubble(t, 3, func(c *Config) { c.CommitTimeout = 100 * ms }, func(w *world) {
		lead := w.leader()
		for _, p := range w.nodes {
			p.log.freeze(150 * time.Millisecond)
		}
		b := NewBatch(&reply{})
		b.Cmds = append(b.Cmds, command("blpop", "k", "0"))
		b.MayWait()
		lead.get().Block(b)
		<-b.Done()
		require.Equal(t, Uncertain, b.Outcome)
		for _, p := range w.nodes {
			p.log.freeze(0)
		}
		applied := lead.get().Store().Applied()
		w.until("the orphan has come and gone", func() bool { return lead.get().Store().Applied() >= applied+2 })
		require.Same(t, lead, w.leader())
		require.Equal(t, ":1 ", lead.ok("rpush", "k", "x"))
		require.Equal(t, "x ", lead.ok("lpop", "k"))
		w.settled()
	})
}

// A node that ends answers who waits; waiters of before do not outlive the first entry of the next leader, snapshots or not.
func TestBlockAndRestart(t *testing.T) {
	bubble(t, 3, nil, func(w *world) {
		lead := w.leader()
		a := lead.sleep("blpop", "k", "0")
		for _, p := range w.nodes {
			_, err := p.get().Snapshot()
			require.NoError(t, err)
		}
		for _, p := range w.nodes {
			p.stop()
		}
		o, _ := a.answer()
		require.Equal(t, Uncertain, o)
		for _, p := range w.nodes {
			p.start()
		}
		lead = w.leader()
		require.Equal(t, ":1 ", lead.ok("rpush", "k", "x"))
		require.Equal(t, "x ", lead.ok("lpop", "k"))
		w.settled()
		b := NewBatch(&reply{})
		b.Cmds = append(b.Cmds, command("blpop", "k", "0"))
		b.MayWait()
		for _, p := range w.nodes {
			if p != lead {
				p.get().Block(b)
				<-b.Done()
				require.Equal(t, NotLeader, b.Outcome)
				break
			}
		}
		n := lead.get()
		lead.stop()
		n.Block(b)
		<-b.Done()
		require.Equal(t, Stopped, b.Outcome)
	})
}
