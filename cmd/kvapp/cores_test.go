package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/raft"
)

func TestCores(t *testing.T) {
	self := raft.Member{PeerAddr: "127.0.0.1:1"}
	same := raft.Member{PeerAddr: "127.0.0.1:2"}
	other := raft.Member{PeerAddr: "10.0.0.2:1"}
	require.Equal(t, 8, cores([]raft.Member{self}, self, 8))
	require.Equal(t, 8, cores([]raft.Member{self, other, {PeerAddr: "10.0.0.3:1"}}, self, 8))
	require.Equal(t, 2, cores([]raft.Member{self, same, {PeerAddr: "127.0.0.1:3"}}, self, 8))
	require.Equal(t, 4, cores([]raft.Member{self, same, other}, self, 8))
	require.Equal(t, 1, cores([]raft.Member{self, same, {PeerAddr: "127.0.0.1:3"}}, self, 2))
}
