package node

import (
	"errors"
	"io"

	"kvapp/raft"
)

// The interfaces of this file stand where chance enters: disk, network, clock and dice. cmd/kvapp wires the real
// ones; a simulator brings its own.

// SnapshotFile names one durable snapshot file.
type SnapshotFile struct {
	Meta raft.SnapshotMeta
	Name string
	Size int64  // bytes
	Sum  uint32 // CRC32C of the whole file
}

// Record is one write to the journal: one batch, one fsync. Hard comes first, then Install, then Entries.
type Record struct {
	Hard    raft.HardState
	HasHard bool
	Install *SnapshotFile
	Entries []raft.Entry
}

// Log is the durable journal. Append and Compact are called by the appender goroutine, Read by the fetcher, the rest
// by any. Every error is final.
type Log interface {
	Append(r *Record) error
	// Compact marks s as the start of the log and drops what is not needed behind keepFrom; it returns the first
	// index still readable.
	Compact(s SnapshotFile, keepFrom uint64) (first uint64, err error)
	// Read returns entries from [lo, hi): at least one, then as many as fit in maxBytes.
	Read(lo, hi uint64, maxBytes int) ([]raft.Entry, error)
	Bytes() int64
	Segments() int
	// Free is the number of bytes that the disk still takes; appender goroutine.
	Free() (int64, error)
}

// SnapshotWriter takes the payload of one snapshot. Exactly one of Commit and Abort ends it.
type SnapshotWriter interface {
	io.Writer
	Commit() (SnapshotFile, error)
	Abort()
}

// Snapshots is the store of snapshot files; any goroutine.
type Snapshots interface {
	Create(meta raft.SnapshotMeta) (SnapshotWriter, error)
	Open(f SnapshotFile) (io.ReadCloser, error)
	// PruneBelow removes the files of snapshots below index.
	PruneBelow(index uint64) error
	// Intact returns the snapshots whose files are whole, the newest first. It reads all of them.
	Intact() ([]SnapshotFile, error)
	// Quarantine renames a damaged file so that nothing takes it for a snapshot any more, and returns where it is; "" if
	// there is none.
	Quarantine(f SnapshotFile) (string, error)
}

// ErrRefused is what a member says to a snapshot that it cannot use.
var ErrRefused = errors.New("snapshot refused")

// Transport carries messages to the other members. Its methods are called by the loop and never block.
type Transport interface {
	Send(msgs []raft.Message)
	// SendSnapshot streams f to a member; done is called once, from any goroutine. Its error wraps ErrRefused when the
	// member does not want this file; after any other a part of it may be there, and sending it again goes on from it.
	SendSnapshot(to raft.NodeID, term uint64, f SnapshotFile, done func(error))
	SetMembers(m []raft.Member)
	// Refusals tells what was turned away since the start; any goroutine.
	Refusals() Refusals
}

// Refusals counts what other nodes sent and was turned away because of whom it came from.
type Refusals struct {
	OtherCluster   uint64 // connections of nodes of another cluster
	OldIncarnation uint64 // connections of a disk that was wiped, replaced or removed
	Otherwise      uint64 // connections in another version of the protocol, for somebody else, or of a false name
	Messages       uint64 // messages of a node that was replaced while its connection stood
}

// Clock tells time. Now is an interval clock in ns that counts suspended time and never goes back (CLOCK_BOOTTIME);
// WallMs is Unix time in milliseconds and may jump. Any goroutine.
type Clock interface {
	Now() int64
	WallMs() int64
}
