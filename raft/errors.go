package raft

import "errors"

// These refuse a proposal that is certainly in no log.
var (
	ErrNotLeader = errors.New("not the leader")
	ErrBusy      = errors.New("too many uncommitted bytes")
	ErrPending   = errors.New("the leader's first entry or the membership before is not committed") // of a membership
)
