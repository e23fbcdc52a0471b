// Package journal joins package wal to package node, which do not know each other: node declares the log and the store of
// snapshots that it needs, wal has them. The server and the simulator run the same code between the two.
//
// It starts no goroutine. What may be called by whom is as node.Log and node.Snapshots say.
package journal
