package wal_test

import (
	"fmt"
	"os"
	"path/filepath"

	"kvapp/raft"
	"kvapp/wal"
)

func Example() {
	parent, err := os.MkdirTemp("", "wal")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(parent)
	dir := filepath.Join(parent, "n1")

	me := wal.Identity{Cluster: "c0ffee", Node: 7, Name: "n1", Incarnation: 42}
	if err := wal.Create(dir, me); err != nil {
		fmt.Println(err)
		return
	}
	l, _, err := wal.Open(dir, me, wal.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = l.Append(&wal.Batch{
		Hard: raft.HardState{Term: 1, Vote: 7}, HasHard: true,
		Entries: []raft.Entry{{Index: 1, Term: 1, Kind: raft.EntryCommand, Data: []byte("SET k v")}},
	})
	fmt.Println("durable up to", l.Last(), err)
	fmt.Println(l.Close())

	_, rec, err := wal.Open(dir, wal.Identity{Name: "n1"}, wal.Options{})
	fmt.Println(rec.Hard.Vote, string(rec.Entries[0].Data), err)
	// Output:
	// durable up to 1 <nil>
	// <nil>
	// 7 SET k v <nil>
}
