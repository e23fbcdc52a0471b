package raft

import "errors"

// These refuse a proposal that is certainly in no log.
var (
	ErrNotLeader = errors.New("not the leader")
	ErrBusy      = errors.New("too many uncommitted bytes, or leadership is being handed over")
)

// These refuse an EvChange or EvTransfer.
var (
	ErrPending     = errors.New("another change is under way")
	ErrNoMember    = errors.New("no such member")
	ErrIncarnation = errors.New("a member of that name exists with other data: remove it first")
	ErrLastVoter   = errors.New("the cluster would be left without a voter")
	ErrNotVoter    = errors.New("not a voter")
	ErrNoTarget    = errors.New("no other voter is in touch")
	ErrStateless   = errors.New("that node has lost its state and waits for a snapshot")
)
