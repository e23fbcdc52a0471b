package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"kvapp/raft"
)

// formatVersion is the version of the record format; a log of any other version is refused.
const formatVersion = 1

// Limits of the format. They keep every length far from overflow and bound what a decoder allocates.
const (
	maxCluster = 64
	maxName    = 255
	maxRecord  = 1 << 31 // bytes of one record, header included
	maxIndex   = 1 << 62 // of an entry
)

type recordType uint8

const (
	recIdentity  recordType = 1
	recHardState recordType = 2
	recEntry     recordType = 3
	recKept      recordType = 4 // own snapshot: entries up to its index may be dropped, the rest stays
	recInstalled recordType = 5 // snapshot from the leader: every entry is dropped
	recRefounded recordType = 6 // the log is another cluster's from here on, with this hard state and entry
)

const (
	headerLen    = 4 + 8 + 4 + 1 + 4
	hardStateLen = 3 * 8
	entryHeadLen = 8 + 8 + 1
	minRecord    = headerLen + entryHeadLen // no record is shorter
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errTorn is what decodeRecord returns for bytes that are not a whole record: only these may be the rest of a write
// that a crash cut short. A record with a good checksum but a content nobody knows gives any other error.
var errTorn = errors.New("checksum does not match")

// unknownFormat is the error for an intact record of a kind that only another version writes.
type unknownFormat string

func (u unknownFormat) Error() string { return string(u) }

// Identity says to whom a log belongs. It is written by Create and never changes, but for the cluster: see Refound.
type Identity struct {
	Cluster     string // hex id of the cluster, 1 to 64 bytes
	Node        raft.NodeID
	Name        string // at most 255 bytes
	Incarnation uint64 // random, drawn when the directory is formatted
}

func (id *Identity) valid() error {
	switch {
	case len(id.Cluster) == 0 || len(id.Cluster) > maxCluster:
		return fmt.Errorf("wal: cluster id of %d bytes, want 1 to %d", len(id.Cluster), maxCluster)
	case id.Node == 0:
		return errors.New("wal: node id is zero")
	case len(id.Name) > maxName:
		return fmt.Errorf("wal: node name of %d bytes, want at most %d", len(id.Name), maxName)
	}
	return nil
}

// valid refuses what could be written but not read back.
func (s *Snapshot) valid() error {
	if len(s.Name) > maxName || s.Size < 0 || s.Meta.Index > maxIndex {
		return fmt.Errorf("snapshot %q at %d of %d bytes is out of range", s.Name, s.Meta.Index, s.Size)
	}
	_, err := raft.DecodeMembership(raft.AppendMembership(nil, s.Meta.Membership))
	return err
}

// record is one decoded record. Only the fields that belong to typ are set; entry.Data aliases the input.
type record struct {
	seq      uint64
	pos      uint32 // number of the record in the batch that became durable together, from 0
	typ      recordType
	identity Identity
	hard     raft.HardState
	entry    raft.Entry
	snapshot Snapshot
}

// beginRecord appends the header; sealRecord completes it once the body is there.
func beginRecord(dst []byte, seq uint64, pos uint32, typ recordType) []byte {
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, seq)
	dst = binary.LittleEndian.AppendUint32(dst, pos)
	dst = append(dst, byte(typ))
	return binary.LittleEndian.AppendUint32(dst, 0)
}

func sealRecord(rec []byte) {
	binary.LittleEndian.PutUint32(rec, crc32.Checksum(rec[4:], castagnoli))
}

func appendIdentity(dst []byte, id *Identity) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, formatVersion)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(id.Node))
	dst = binary.LittleEndian.AppendUint64(dst, id.Incarnation)
	dst = appendString(dst, id.Cluster)
	return appendString(dst, id.Name)
}

func appendHardState(dst []byte, h raft.HardState) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, h.Term)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.Vote))
	return binary.LittleEndian.AppendUint64(dst, h.Commit)
}

func appendEntry(dst []byte, e *raft.Entry) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, e.Index)
	dst = binary.LittleEndian.AppendUint64(dst, e.Term)
	dst = append(dst, byte(e.Kind))
	return append(dst, e.Data...)
}

// appendRefounded is one record, so that a torn write leaves all of it or nothing.
func appendRefounded(dst []byte, cluster string, h raft.HardState, e *raft.Entry) []byte {
	return appendEntry(appendHardState(appendString(dst, cluster), h), e)
}

func appendSnapshot(dst []byte, s *Snapshot) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, s.Meta.Index)
	dst = binary.LittleEndian.AppendUint64(dst, s.Meta.Term)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(s.Size))
	dst = binary.LittleEndian.AppendUint32(dst, s.Sum)
	dst = appendString(dst, s.Name)
	m := raft.AppendMembership(nil, s.Meta.Membership)
	dst = binary.AppendUvarint(dst, uint64(len(m)))
	return append(dst, m...)
}

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// checkRecord says whether b is a whole record, and its seq and pos if it is.
func checkRecord(b []byte) (seq uint64, pos uint32, ok bool) {
	if len(b) < minRecord || crc32.Checksum(b[4:], castagnoli) != binary.LittleEndian.Uint32(b) {
		return 0, 0, false
	}
	return binary.LittleEndian.Uint64(b[4:]), binary.LittleEndian.Uint32(b[12:]), true
}

// decodeRecord reads one record. It returns errTorn when b is damaged, and another error when b is what some program
// wrote on purpose but this one does not understand: an unknownFormat if it can say what that is.
func decodeRecord(b []byte, r *record) error {
	seq, pos, ok := checkRecord(b)
	if !ok {
		return errTorn
	}
	*r = record{seq: seq, pos: pos, typ: recordType(b[16])}
	if g := binary.LittleEndian.Uint32(b[17:]); g != 0 {
		return unknownFormat(fmt.Sprintf("record of group %d, this version knows only group 0", g))
	}
	d := decoder{b: b[headerLen:]}
	switch r.typ {
	case recIdentity:
		if v := d.u32(); v != formatVersion && !d.failed {
			return unknownFormat(fmt.Sprintf("format version %d, this version reads %d", v, formatVersion))
		}
		r.identity.Node = raft.NodeID(d.u64())
		r.identity.Incarnation = d.u64()
		r.identity.Cluster = string(d.bytes(maxCluster))
		r.identity.Name = string(d.bytes(maxName))
	case recHardState:
		r.hard = d.hardState()
	case recEntry:
		r.entry = d.entry()
	case recRefounded:
		r.identity.Cluster = string(d.bytes(maxCluster))
		r.hard, r.entry = d.hardState(), d.entry()
	case recKept, recInstalled:
		if err := decodeSnapshot(&d, &r.snapshot); err != nil {
			return err
		}
	default:
		return unknownFormat(fmt.Sprintf("unknown record type %d", r.typ))
	}
	if d.failed || len(d.b) != 0 {
		return fmt.Errorf("malformed record of type %d", r.typ)
	}
	return nil
}

func decodeSnapshot(d *decoder, s *Snapshot) error {
	s.Meta.Index = d.u64()
	s.Meta.Term = d.u64()
	s.Size = int64(d.u64())
	s.Sum = d.u32()
	s.Name = string(d.bytes(maxName))
	m := d.bytes(maxRecord)
	if d.failed {
		return errors.New("malformed snapshot record")
	}
	var err error
	if s.Meta.Membership, err = raft.DecodeMembership(m); err != nil {
		return fmt.Errorf("membership of the snapshot: %w", err)
	}
	return nil
}

// decoder takes fields off the front of b. After the first field that is not there every further one is zero.
type decoder struct {
	b      []byte
	failed bool
}

func (d *decoder) take(n int) []byte {
	if d.failed || n > len(d.b) {
		d.failed = true
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) u8() uint8 {
	if v := d.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (d *decoder) u32() uint32 {
	if v := d.take(4); v != nil {
		return binary.LittleEndian.Uint32(v)
	}
	return 0
}

func (d *decoder) u64() uint64 {
	if v := d.take(8); v != nil {
		return binary.LittleEndian.Uint64(v)
	}
	return 0
}

func (d *decoder) rest() []byte { return d.take(len(d.b)) }

func (d *decoder) hardState() raft.HardState {
	return raft.HardState{Term: d.u64(), Vote: raft.NodeID(d.u64()), Commit: d.u64()}
}

func (d *decoder) entry() raft.Entry {
	return raft.Entry{Index: d.u64(), Term: d.u64(), Kind: raft.EntryKind(d.u8()), Data: d.rest()}
}

func (d *decoder) uvarint() uint64 {
	n, w := binary.Uvarint(d.b)
	if d.failed || w <= 0 {
		d.failed = true
		return 0
	}
	d.b = d.b[w:]
	return n
}

// bytes takes a uvarint length, at most limit, and that many bytes.
func (d *decoder) bytes(limit uint64) []byte {
	n := d.uvarint()
	if n > limit || n > uint64(len(d.b)) {
		d.failed = true
		return nil
	}
	return d.take(int(n))
}

// uvarintLen is the length of n as a uvarint: what tidwall/wal writes before a record of n bytes.
func uvarintLen(n int) int {
	w := 1
	for ; n >= 0x80; n >>= 7 {
		w++
	}
	return w
}
