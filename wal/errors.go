package wal

import (
	"errors"
	"fmt"
)

var (
	// ErrCompacted says that the first entry asked for is below First: it was replaced by a snapshot.
	ErrCompacted = errors.New("wal: entry is compacted")
	// ErrUnavailable says that the first entry asked for is above Last.
	ErrUnavailable = errors.New("wal: entry is not in the log")
	// ErrClosed is returned by every call after Close.
	ErrClosed = errors.New("wal: log is closed")
	// ErrLocked says that another process, or another Log of this process, has the directory open.
	ErrLocked = errors.New("wal: directory is in use by another process")
	// ErrNotEmpty is returned by Create for a directory that already holds something.
	ErrNotEmpty = errors.New("wal: directory is not empty")
	// ErrNoLog is returned by Open for a directory that Create has not formatted.
	ErrNoLog = errors.New("wal: directory holds no log")
)

// CorruptError names damage that is not repaired. Offset is the byte in File where the damaged record, block or field
// begins; Record is its sequence number in the journal (a block number in a snapshot file).
type CorruptError struct {
	File   string
	Offset int64
	Record uint64
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("wal: damaged file %s at byte %d, record %d: %s", e.File, e.Offset, e.Record, e.Reason)
}

// FormatError names what this version cannot read although it is not damaged: another version of kvapp has written it.
// The fields are those of a CorruptError.
type FormatError struct {
	File   string
	Offset int64
	Record uint64
	Reason string
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("wal: file of another version of kvapp: %s at byte %d, record %d: %s", e.File, e.Offset, e.Record, e.Reason)
}

// IdentityError says that the log belongs to another node or cluster than the configuration says.
type IdentityError struct {
	Dir   string
	Field string // "cluster", "node", "name" or "incarnation"
	Have  string // in the log
	Want  string // in the configuration
}

func (e *IdentityError) Error() string {
	return fmt.Sprintf("wal: %s belongs to %s %s, but this node is configured as %s", e.Dir, e.Field, e.Have, e.Want)
}

// WipedError says that a node came back with another incarnation than the one accepted before: its disk was wiped or
// replaced, so it has forgotten votes and acknowledgements and must not take part under the same name.
type WipedError struct {
	Name  string
	Known uint64
	Seen  uint64
}

func (e *WipedError) Error() string {
	return fmt.Sprintf("wal: node %s was accepted as incarnation %016x and now is %016x: its disk was wiped or replaced; remove it and join it as a new node",
		e.Name, e.Known, e.Seen)
}
