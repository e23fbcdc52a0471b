// Package wal keeps on disk what a node must not forget: the Raft log, the snapshot files, and which incarnation of
// each peer the node has accepted.
//
// # On disk
//
//	dir/LOCK        flock(2)ed by the one process that has the log open
//	dir/log/        the journal: segments written by tidwall/wal, plus <segment>.torn, the bytes a repair cut off
//	dir/snapshots/  one file per snapshot, at most one that is partly received, and damaged ones (Snapshots)
//	dir/peers       the incarnations of other nodes (Registry)
//	dir/*.old-*     what SetAside has kept of an earlier node
//
// All of it lies on an FS, the operating system's unless another one is given. tidwall/wal knows the operating system's
// only; on any other the segments are written by an own backend, byte for byte as tidwall/wal writes them.
//
// # The journal
//
// The journal is a sequence of records, numbered by seq from 1 without a gap. seq is not the Raft index and only
// grows: a conflicting suffix is never cut off, it is replaced by appending (an Entry record with index i drops every
// entry at or above i), and a snapshot from the leader is a marker that drops all entries. So every state of the disk
// is a prefix of one history, and a crash can only make it shorter.
//
// tidwall/wal frames a record with its length and nothing else; each record therefore carries a CRC32C, its own seq
// and its position in the batch that was made durable together. Record, inside tidwall's uvarint(len) frame, all
// integers little endian:
//
//	crc32c u32 over the rest | seq u64 | pos u32 | type u8 | group u32 (0) | body
//	1 Identity           version u32 | node u64 | incarnation u64 | cluster | name       (strings: uvarint length, bytes)
//	2 HardState          term u64 | vote u64 | commit u64
//	3 Entry              index u64 | term u64 | kind u8 | data to the end of the record
//	4 SnapshotKept       index u64 | term u64 | size u64 | sum u32 | name | membership    own snapshot: entries stay
//	5 SnapshotInstalled  the same                                                        all entries are dropped
//	6 Refounded          cluster | term u64 | vote u64 | commit u64 | as Entry            the log is that cluster's from here on
//
// The last segment may end with zeros, which later records are written over (padding). No record begins with a zero. A segment
// that is full, and the last one of a log that was closed, have none; those that a killed process leaves are taken away by Open.
//
// A batch is: hard state, install marker, entries, in this order and with one fsync (fdatasync in the kernel's background
// where there is one, see disk). The hard state comes first so
// that a torn batch never leaves an entry of a term the node does not know. Refounded is a batch of its own, and one record,
// because no part of it may be there without the rest.
//
// # Damage
//
// Open verifies every record. A bad record in the last segment with no record of a later batch behind it is what a
// crash during the last write leaves: nobody was told that batch is durable, so it is cut off (the bytes are kept in
// <segment>.torn). Every other damage refuses to start, with file, byte and record. Limit: rot inside the very last
// batch cannot be told from a torn write and is cut off too, and the loss of the newest segment's directory entry cannot
// be seen. The other way round, a client's value that imitates a later record makes a torn write look like damage: then
// the node refuses although it could start.
//
// The file of the snapshot that the log begins behind is not looked at by Open: its reader finds out. Quarantine keeps a
// damaged one under another name (<snapshot>.damaged), Intact finds the others that are whole.
//
// # Failure
//
// Any error of a write, sync, truncate or read is final: the Log remembers it and every later call returns it. After
// a failed fsync nobody knows which pages reached the disk, so nothing is retried; the next Open finds out.
//
// # Goroutines
//
// The package starts none. One goroutine, the appender, calls Append, Compact and Close. Read, First, Last, Bytes,
// Segments and Free may be called from any goroutine. Snapshots and Registry may be used from any goroutine; a
// SnapshotWriter belongs to one.
package wal
