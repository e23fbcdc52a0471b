package fsm

import (
	"encoding/binary"
	"errors"
)

// A log entry for the state machine is a header {version, now_ms, seed} and any number of {database, RESP command}.
// The header is what makes apply deterministic: no replica looks at its own clock or dice.

const (
	entryVersion    = 1
	EntryHeaderSize = 1 + 8 + 8
)

var errEntry = errors.New("malformed log entry")

// AppendEntryHeader begins an entry. nowMs is the leader's clock in Unix milliseconds, never lower than that of any
// earlier entry; seed feeds everything random in the entry.
func AppendEntryHeader(dst []byte, nowMs int64, seed uint64) []byte {
	dst = append(dst, entryVersion)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(nowMs))
	return binary.LittleEndian.AppendUint64(dst, seed)
}

// AppendEntryCommand adds one write command.
func AppendEntryCommand(dst []byte, db int, raw []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(db))
	return append(dst, raw...)
}
