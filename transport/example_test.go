package transport_test

import (
	"fmt"
	"io"
	"net"

	"kvapp/raft"
	"kvapp/transport"
)

// Two nodes in one process: the first asks for a vote, the second prints what it gets.
func Example() {
	got := make(chan raft.Message)
	start := func(id raft.NodeID, name string) (*transport.Transport, transport.Peer, error) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, transport.Peer{}, err
		}
		t, err := transport.New(transport.Config{
			Self:     transport.Hello{Cluster: "demo", Name: name, Node: id, Incarnation: 1},
			Listener: ln,
			Admit:    func(string, uint64) error { return nil },
			Deliver: func(_ uint32, _ raft.NodeID, msgs []raft.Message) {
				for _, m := range msgs {
					got <- m
				}
			},
			ReceiveSnapshot: func(h transport.SnapshotHeader, begin func(int64) (io.Reader, error)) error {
				r, err := begin(0)
				if err != nil {
					return err
				}
				_, err = io.Copy(io.Discard, r)
				return err
			},
		})
		return t, transport.Peer{ID: id, Name: name, Addr: ln.Addr().String()}, err
	}
	a, pa, err := start(1, "n1")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer a.Close()
	b, pb, err := start(2, "n2")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	for _, t := range []*transport.Transport{a, b} {
		t.SetPeers([]transport.Peer{pa, pb})
		t.Start()
	}
	a.Send(0, []raft.Message{{Type: raft.MsgVote, From: 1, To: 2, Term: 7}})
	m := <-got
	fmt.Printf("node %d asks node %d for its vote in term %d\n", m.From, m.To, m.Term)
	// Output: node 1 asks node 2 for its vote in term 7
}
