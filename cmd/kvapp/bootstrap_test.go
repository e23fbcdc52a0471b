package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/internal/config"
	"kvapp/raft"
	"kvapp/wal"
)

// With the same sequence at every start, nodes whose election timeouts are close to each other, or long, would repeat
// the same slow elections after every crash.
func TestElectionTimeoutsDifferBetweenStarts(t *testing.T) {
	id := wal.Identity{Name: "n1", Cluster: "c", Node: 1, Incarnation: 7}
	set := config.New()
	require.NotEqual(t, nodeConfig(set, id, raft.Member{}).Raft.Seed, nodeConfig(set, id, raft.Member{}).Raft.Seed)
}
