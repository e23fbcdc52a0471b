package node

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/fsm"
	"kvapp/raft"
)

func often(c *Config) { c.HashEvery = 8 }

// distorted makes a node execute "set key bad" for what others know as "set key fit", as a bug or broken memory would.
func distorted(to ...*peer) func(*raft.Message) {
	return func(m *raft.Message) {
		for _, p := range to {
			for i := range m.Entries {
				if e := &m.Entries[i]; m.To == p.id && m.Type == raft.MsgAppend {
					e.Data = bytes.Replace(e.Data, []byte("$3\r\nfit\r\n"), []byte("$3\r\nbad\r\n"), 1)
				}
			}
		}
	}
}

// end waits until a node has stopped by itself, and returns why; a minute at most.
func (p *peer) end() (err error) {
	select {
	case err = <-p.done:
	case <-time.After(time.Minute):
		return errors.New("it goes on and on")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.node = nil
	return err
}

// someWrites is more than HashEvery entries of a living leader.
func (w *world) someWrites(n int) {
	for i := range n {
		w.until("a write", func() bool {
			o, _, _ := w.leader().do(false, command("set", fmt.Sprint("k", i), fmt.Sprint(i)))
			return o == Done
		})
	}
}

func TestFollowerThatDiffersStops(t *testing.T) {
	bubble(t, 3, often, func(w *world) {
		lead, f := w.leader(), w.followers()[0]
		w.setDistort(distorted(f))
		w.someWrites(5)
		o, _, _ := lead.do(false, command("set", "first", "fit"), command("set", "second", "fine"))
		require.Equal(t, Done, o)
		w.someWrites(20)
		began := w.clock.Now()
		var d *DivergedError
		require.ErrorAs(t, f.end(), &d)
		require.Less(t, w.clock.Now()-began, 3000*ms)
		slot := int(fsm.Slot([]byte("first")))
		require.Equal(t, []int{slot}, d.Slots)
		require.Equal(t, 1, d.Differ)
		require.Zero(t, d.Index%8)
		require.Equal(t, fmt.Sprint("n", lead.id), d.Peer)
		require.Contains(t, d.Error(), fmt.Sprintf("differs from that of n%d at entry %d", lead.id, d.Index))
		require.Contains(t, d.Error(), fmt.Sprintf("slots that differ: %d", slot))
		w.someWrites(20) // the others go on
		require.Equal(t, lead, w.leader())

		// The log on its disk is what it was sent: it differs again, whenever it starts.
		f.start()
		w.someWrites(10)
		require.ErrorAs(t, f.end(), &d)
	})
}

// A follower in doubt shows nothing.
func TestWhoIsInDoubtServesNothing(t *testing.T) {
	bubble(t, 3, often, func(w *world) {
		f := w.followers()[0]
		w.setDistort(distorted(f))
		w.leader().do(false, command("set", "first", "fit"))
		w.someWrites(20)
		w.until("both have told", func() bool {
			st, err := f.get().Status()
			return err == nil && st.HashIndex >= 16
		})
		<-time.After(100 * time.Millisecond) // two heartbeats
		o, r, _ := f.do(true, command("get", "first"))
		require.Equal(t, Stopped, o, r)
		var d *DivergedError
		require.ErrorAs(t, f.end(), &d)
	})
}

func TestLeaderThatIsOutvotedStops(t *testing.T) {
	bubble(t, 3, often, func(w *world) {
		lead, f := w.leader(), w.followers()
		w.setDistort(distorted(f...)) // both in the same way
		lead.do(false, command("set", "first", "fit"))
		for i := range 20 {
			lead.do(false, command("set", fmt.Sprint("k", i), "v"))
		}
		var d *DivergedError
		require.ErrorAs(t, lead.end(), &d)
		require.Equal(t, []int{int(fsm.Slot([]byte("first")))}, d.Slots)
		require.NotEqual(t, lead, w.leader())
		w.someWrites(30)
		o, r, _ := w.leader().do(false, command("get", "first"))
		require.Equal(t, Done, o)
		require.Equal(t, "bad ", r, "what the majority has")
		for _, p := range f {
			require.NotNil(t, p.get())
		}
	})
}

// Restarts, snapshots and a follower that comes late raise no false alarm, and states are compared afterwards.
func TestEqualStatesAreCompared(t *testing.T) {
	bubble(t, 3, func(c *Config) { often(c); c.SnapshotBytes, c.SnapshotKeep = 2000, 3 }, func(w *world) {
		late := w.followers()[1]
		late.stop()
		for round := range 4 {
			w.someWrites(60)
			lead := w.leader()
			_, err := lead.get().Snapshot()
			require.NoError(t, err)
			if round == 1 {
				late.start()
			}
			if p := w.followers()[0]; round > 1 {
				p.stop()
				p.start()
			}
		}
		w.someWrites(20)
		w.settled()
		for _, p := range w.nodes {
			w.until("comparison", func() bool {
				st, err := p.get().Status()
				require.NoError(t, err)
				return st.HashCompared == st.HashIndex && st.HashIndex+8 > st.Applied
			})
		}
	})
}

func TestDivergedErrorNamesAFew(t *testing.T) {
	e := &DivergedError{Index: 5, Hash: 1, Other: 2, Peer: "n2"}
	require.Contains(t, e.Error(), "which slots differ is not known")
	e.Slots, e.Differ = []int{3, 4}, 2
	require.True(t, strings.HasSuffix(e.Error(), "slots that differ: 3 4"))
	e.Differ = 9
	require.True(t, strings.HasSuffix(e.Error(), "slots that differ: 3 4 and 7 more"))
	require.True(t, errors.As(fmt.Errorf("x: %w", e), &e))
}

// Whatever peers send, a Driver takes it.
func TestStrangeStateMessages(t *testing.T) {
	bubble(t, 3, often, func(w *world) {
		w.someWrites(20)
		f := w.followers()[0]
		for _, m := range []raft.Message{
			{Type: raft.MsgState, From: 9, To: f.id, Index: 8},
			{Type: raft.MsgState, From: 2, To: f.id, Index: 1 << 60, Entries: []raft.Entry{{}}},
			{Type: raft.MsgState, From: 2, To: f.id, Index: 8, Entries: []raft.Entry{{Data: []byte("short")}}},
			{Type: raft.MsgState, From: 2, To: 77, Index: 8},
		} {
			f.get().Deliver([]raft.Message{m})
		}
		w.someWrites(20)
		w.settled()
	})
}
