package raft

import "errors"

// ErrNotLeader and ErrBusy refuse a proposal that is certainly in no log.
var (
	ErrNotLeader = errors.New("not the leader")
	ErrBusy      = errors.New("too many uncommitted bytes")
)
