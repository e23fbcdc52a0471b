package main

import (
	"io"
	"log"

	etcd "go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// theirs is a RawNode with a MemoryStorage.
type theirs struct {
	node    *etcd.RawNode
	storage *etcd.MemoryStorage
	members *pb.ConfState
	done    uint64 // applied
	end     uint64 // of the log
	kept    uint64 // index of the last snapshot
	leading bool
}

func newTheirs(n int) ([]machine[*pb.Message], error) {
	members := &pb.ConfState{}
	for i := range n {
		members.Voters = append(members.Voters, uint64(i+1))
	}
	var nodes []machine[*pb.Message]
	for i := range n {
		storage := etcd.NewMemoryStorage()
		one := uint64(1)
		snapshot := &pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: &one, Term: &one, ConfState: members}}
		if err := storage.ApplySnapshot(snapshot); err != nil {
			return nil, err
		}
		node, err := etcd.NewRawNode(&etcd.Config{
			ID: uint64(i + 1), ElectionTick: 10, HeartbeatTick: 1, Storage: storage, Applied: 1,
			MaxSizePerMsg: 1 << 20, MaxInflightMsgs: 256, MaxInflightBytes: 16 << 20, MaxUncommittedEntriesSize: 64 << 20,
			CheckQuorum: true, PreVote: true, Logger: &etcd.DefaultLogger{Logger: log.New(io.Discard, "", 0)},
		})
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, &theirs{node: node, storage: storage, members: members, done: 1, end: 1, kept: 1})
	}
	return nodes, nil
}

func (t *theirs) leads() bool     { return t.leading }
func (t *theirs) applied() uint64 { return t.done }
func (t *theirs) last() uint64    { return t.end }

func (t *theirs) tick(w *world[*pb.Message]) error {
	t.node.Tick()
	return t.turn(w)
}

func (t *theirs) receive(m **pb.Message, w *world[*pb.Message]) error {
	if err := t.node.Step(*m); err != nil && err != etcd.ErrProposalDropped {
		return err
	}
	return t.turn(w)
}

func (t *theirs) propose(data []byte, w *world[*pb.Message]) error {
	if err := t.node.Propose(data); err != nil && err != etcd.ErrProposalDropped {
		return err
	}
	return t.turn(w)
}

// turn does what the documentation of Ready asks for.
func (t *theirs) turn(w *world[*pb.Message]) error {
	for t.node.HasReady() {
		rd := t.node.Ready()
		if rd.SoftState != nil {
			t.leading = rd.SoftState.RaftState == etcd.StateLeader
		}
		if !etcd.IsEmptyHardState(rd.HardState) {
			if err := t.storage.SetHardState(rd.HardState); err != nil {
				return err
			}
		}
		if n := len(rd.Entries); n > 0 {
			if err := t.storage.Append(rd.Entries); err != nil {
				return err
			}
			t.end = rd.Entries[n-1].GetIndex()
		}
		for i, m := range rd.Messages {
			w.send(int(m.GetTo())-1, &rd.Messages[i])
		}
		if n := len(rd.CommittedEntries); n > 0 {
			t.done = rd.CommittedEntries[n-1].GetIndex()
		}
		t.node.Advance(rd)
	}
	if t.done-t.kept < compactEvery {
		return nil
	}
	t.kept = t.done
	if _, err := t.storage.CreateSnapshot(t.done, t.members, nil); err != nil {
		return err
	}
	return t.storage.Compact(t.done - keepEntries)
}
