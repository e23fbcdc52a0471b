package transport

import (
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/raft"
)

// sleeping waits until p's sender has nothing to do.
func sleeping(t *testing.T, n *testNode, id raft.NodeID) *peer {
	t.Helper()
	n.waitConnected(t, id)
	p := (*n.peers.Load())[id]
	eventually(t, func() bool {
		p.out.Lock()
		defer p.out.Unlock()
		return p.sock != nil && p.asleep.Load()
	})
	return p
}

// While the sender sleeps, Send writes itself: no other goroutine is woken.
func TestSendWritesItself(t *testing.T) {
	a, b := startNode(t, 1, ""), startNode(t, 2, "")
	connect(a, b)
	p := sleeping(t, a, 2)
	p.out.Lock() // the sender can write nothing
	require.True(t, p.asleep.CompareAndSwap(true, false))
	for i := range uint64(3) {
		p.push(0, &raft.Message{Type: raft.MsgAppend, To: 2, Index: i})
	}
	require.True(t, p.writeNow())
	p.out.Unlock()
	require.True(t, p.asleep.Load())
	require.Empty(t, p.wake)
	got := b.next(t).msgs
	require.Len(t, got, 3)
	for i := range got {
		require.EqualValues(t, i, got[i].Index)
	}
	require.EqualValues(t, 3, a.row(t, 2).Sent)
}

// What the socket does not take at once is left to the sender, and nothing is lost, repeated or overtaken.
func TestSendLeavesTheRestToTheSender(t *testing.T) {
	gate := make(chan struct{})
	got := make(chan []raft.Message, 1<<12)
	a := startNode(t, 1, "")
	b := startNode(t, 2, "", func(c *Config) {
		c.Deliver = func(_ uint32, _ raft.NodeID, msgs []raft.Message) {
			<-gate // the reader does not read on
			got <- msgs
		}
	})
	connect(a, b)
	p := sleeping(t, a, 2)
	const total = 3000
	data := make([]byte, 16<<10-1) // a few fit into what Send writes itself, all of them into no socket's buffer
	full := false
	for i := range uint64(total) {
		a.Send(0, []raft.Message{{Type: raft.MsgAppend, To: 2, Index: i, LogTerm: 1, Entries: []raft.Entry{
			{Index: i + 1, Term: 1, Kind: raft.EntryCommand, Data: data}}}})
		full = full || !p.asleep.Load()
	}
	require.True(t, full, "the socket was never full")
	close(gate)
	for want := uint64(0); want < total; {
		for _, m := range receive(t, got) {
			require.Equal(t, want, m.Index)
			require.Len(t, m.Entries[0].Data, len(data))
			want++
		}
	}
}

// inboundConns are the connections that others have opened to n.
func (n *testNode) inboundConns() (conns []net.Conn) {
	n.Transport.mu.Lock()
	defer n.Transport.mu.Unlock()
	for c := range n.inbound {
		conns = append(conns, c)
	}
	return conns
}

// Several goroutines send while connections break: no message is repeated, and those of one goroutine keep their order.
func TestSendWhileConnectionsBreak(t *testing.T) {
	a, b := startNode(t, 1, ""), startNode(t, 2, "")
	connect(a, b)
	a.waitConnected(t, 2)
	const writers, each = 4, 3000
	var wg sync.WaitGroup
	for w := range uint64(writers) {
		wg.Go(func() {
			for i := range uint64(each) {
				a.Send(0, []raft.Message{{Type: raft.MsgAppend, To: 2, Term: w, Index: i + 1}})
				if w == 0 && i%500 == 0 {
					for _, c := range b.inboundConns() {
						_ = c.Close()
					}
				}
			}
		})
	}
	wg.Wait()
	var last [writers]uint64
	eventually(t, func() bool { // the last word of every writer arrives once the connection stands again
		for w := range uint64(writers) {
			a.Send(0, []raft.Message{{Type: raft.MsgAppend, To: 2, Term: w, Index: each + 1}})
		}
		for len(b.got) > 0 {
			for _, m := range (<-b.got).msgs {
				if m.Index <= each {
					require.Greater(t, m.Index, last[m.Term])
				}
				last[m.Term] = max(m.Index, last[m.Term])
			}
		}
		return last == [writers]uint64{each + 1, each + 1, each + 1, each + 1}
	})
}
