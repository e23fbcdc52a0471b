package fsm

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A snapshot payload is
//
//	magic(8) clock(8) applied(8)                     little endian
//	{ db+1, slot, n, n * key, sum(8) }               for every slot that is not empty, ascending
//	0, number of keys
//	number of waiters
//	{ index, position, db, kind, dst, gone, n, n * number, n, n * { length, bytes } }
//
// with the waiters in the order of age, their keys by position and their arguments. A key is
//
//	code, deadline, version, length, key, length, value
//
// where code is kind and form of the value (item.code) and every number is a uvarint. Keys stand in the dense order of
// their slot, which is state: a restored node must answer SCAN cursors and removals as the others do. The sum of a slot is
// that of the state hash: who writes the snapshot compares it with the keys, and so does who reads it. Checksums of the bytes
// are the business of whoever stores the payload.
//
// Version 1 has kinds in place of codes: the forms are not known. Versions 1 and 2 have no sums, versions 1 to 3 no waiters,
// versions 1 to 4 no deadlines of fields.

const (
	snapshotMagic   = "kvfsm\x00\x00" // the version follows, one byte
	snapshotVersion = 5
)

var errSnapshot = errors.New("malformed snapshot")

// flushAt is the size in bytes at which the writer of a snapshot passes its buffer on.
const flushAt = 64 << 10

// appendUint appends numbers as uvarints.
func appendUint(dst []byte, numbers ...uint64) []byte {
	for _, n := range numbers {
		dst = binary.AppendUvarint(dst, n)
	}
	return dst
}

// WriteTo writes the payload of a snapshot and returns its size in bytes. It implements io.WriterTo. An *InvariantError says
// that the keys of a slot are not those that the writes have counted: the state is damaged.
func (v *View) WriteTo(w io.Writer) (n int64, err error) {
	sw := snapshotWriter{w: w}
	sw.buf = append(append(sw.buf, snapshotMagic...), snapshotVersion)
	sw.buf = binary.LittleEndian.AppendUint64(sw.buf, uint64(v.clock))
	sw.buf = binary.LittleEndian.AppendUint64(sw.buf, v.index)
	for db := range Databases {
		v.eachSlot(db, func(slot int, keys *frozenSlot) { sw.slot(db, slot, keys) })
	}
	sw.buf = appendUint(sw.buf, 0, sw.keys)
	sw.waiters(v.waits)
	sw.flush()
	if sw.err != nil {
		return sw.n, fmt.Errorf("write snapshot: %w", sw.err)
	}
	return sw.n, nil
}

type snapshotWriter struct {
	w    io.Writer
	buf  []byte
	val  []byte
	l    light
	keys uint64
	n    int64
	err  error // the first one; nothing is written behind it
}

func (sw *snapshotWriter) flush() {
	if sw.err == nil {
		var n int
		n, sw.err = sw.w.Write(sw.buf)
		sw.n += int64(n)
	}
	sw.buf = sw.buf[:0]
	if cap(sw.buf) > 16*flushAt {
		sw.buf = nil
	}
}

func (sw *snapshotWriter) slot(db, slot int, keys *frozenSlot) {
	if sw.err != nil {
		return
	}
	sw.keys += uint64(keys.Len())
	sw.buf = appendUint(sw.buf, uint64(db)+1, uint64(slot), uint64(keys.Len()))
	sum := uint64(0)
	for i := range keys.Len() {
		it := keys.item(i)
		sum += it.recountAt(i)
		sw.buf = appendUint(sw.buf, it.code(), uint64(it.deadline()), it.version(), uint64(it.keyLen()))
		sw.buf = append(sw.buf, it.key()...)
		sw.val = it.appendValue(sw.val[:0], &sw.l)
		sw.buf = appendUint(sw.buf, uint64(len(sw.val)))
		sw.buf = append(sw.buf, sw.val...)
		if cap(sw.val) > 16*flushAt {
			sw.val = nil
		}
		if len(sw.buf) >= flushAt {
			sw.flush()
		}
	}
	sw.buf = binary.LittleEndian.AppendUint64(sw.buf, sum)
	if err := compareSums(db, slot, keys.sum, sum); err != nil {
		sw.err = err
	}
}

// Restore replaces the whole state by the snapshot payload in r, which it reads to its end: an error of r there, such
// as a wrong checksum, still counts. With an error, which names the place in the payload, the state is unchanged.
// Readers see the old state or the new one. Applier only, between entries.
func (s *Store) Restore(r io.Reader) error {
	in := &countingReader{r: r}
	sr := snapshotReader{r: bufio.NewReaderSize(in, flushAt), where: "header"}
	sr.loading.seed, sr.loading.memory = s.seed, newMemory()
	sr.tx.s = &sr.loading
	sr.loading.use.Store(s.use.Load())
	if err := sr.read(); err != nil {
		s.discard(&sr.loading)
		return fmt.Errorf("restore snapshot: before byte %d, %s: %w", in.n-int64(sr.r.Buffered()), sr.where, err)
	}
	for i := range s.shards {
		s.shards[i].mu.Lock()
	}
	var all [Databases]*database
	for i := range s.dbs {
		all[i] = s.dbs[i].Swap(sr.loading.dbs[i].Load())
	}
	s.drop(sr.loading.memory, all[:]...)
	s.clock.Store(sr.clock)
	s.applied.Store(sr.applied)
	s.deadline.Store(s.earliest())
	s.noteAll(nil, nil)
	for i := range s.shards {
		s.shards[i].mu.Unlock()
	}
	s.Abandon()
	s.waits = sr.loading.waits
	s.index, s.now, s.dueMoved = sr.applied, sr.clock, false
	s.lastIndex = max(s.lastIndex, sr.applied, sr.tx.s.lastIndex)
	s.measure()
	return nil
}

// discard gives back what a store holds that nobody has seen; Tidy does it, in steps. Applier only.
func (s *Store) discard(unseen *Store) {
	for i := range s.shards {
		s.shards[i].mu.Lock()
	}
	for i := range unseen.dbs {
		if db := unseen.dbs[i].Load(); db != nil {
			s.dropped = append(s.dropped, droppedArena{arena: db.arena, epoch: s.epoch})
		}
	}
	if unseen.memory.used() {
		s.dropMemory(unseen.memory)
	}
	for i := range s.shards {
		s.shards[i].mu.Unlock()
	}
}

// countingReader counts the bytes that were read from r.
type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// snapshotReader loads into a store of its own, whose databases take the place of the old ones in the end.
type snapshotReader struct {
	r       *bufio.Reader
	loading Store
	tx      Tx
	where   string // what is being read, for errors
	clock   int64
	applied uint64
	version byte // of the payload
	buf     []byte
	name    []byte // the key being read
}

func (sr *snapshotReader) read() error {
	const magic = len(snapshotMagic) + 1
	var head [magic + 16]byte
	if _, err := io.ReadFull(sr.r, head[:]); err != nil {
		return shortRead(err)
	}
	sr.version = head[len(snapshotMagic)]
	if string(head[:len(snapshotMagic)]) != snapshotMagic || sr.version == 0 || sr.version > snapshotVersion {
		return fmt.Errorf("%w: unknown version", errSnapshot)
	}
	sr.clock = int64(binary.LittleEndian.Uint64(head[magic:]))
	sr.applied = binary.LittleEndian.Uint64(head[magic+8:])
	total, last := uint64(0), -1
	for {
		sr.where = fmt.Sprintf("behind %d keys", total)
		db, err := sr.uint(Databases)
		if err != nil {
			return err
		}
		if db == 0 {
			break
		}
		slot, err := sr.uint(Slots - 1)
		if err != nil {
			return err
		}
		at := int(db)*Slots + int(slot)
		if at <= last {
			return fmt.Errorf("%w: slots out of order", errSnapshot)
		}
		last = at
		n, err := sr.slot(int(db)-1, int(slot))
		if err != nil {
			return err
		}
		total += n
	}
	return sr.finish(total)
}

// finish checks the number of keys and that nothing follows.
func (sr *snapshotReader) finish(total uint64) error {
	n, err := sr.uint(1 << 62)
	if err != nil {
		return err
	}
	if n != total {
		return fmt.Errorf("%w: %d keys instead of %d", errSnapshot, total, n)
	}
	if err := sr.waiters(); err != nil {
		return err
	}
	if _, err := sr.r.ReadByte(); err != io.EOF {
		if err == nil {
			err = fmt.Errorf("%w: data behind the end", errSnapshot)
		}
		return err
	}
	return nil
}

// slot reads the keys of one slot.
func (sr *snapshotReader) slot(n, slot int) (keys uint64, err error) {
	if keys, err = sr.uint(1<<32 - 2); err != nil {
		return 0, err
	}
	if keys == 0 {
		return 0, fmt.Errorf("%w: empty slot", errSnapshot)
	}
	for i := range keys {
		if err := sr.key(n, slot); err != nil {
			sr.where = fmt.Sprintf("key %d of %d in slot %d of database %d", i+1, keys, slot, n)
			return 0, err
		}
	}
	return keys, sr.sum(n, slot)
}

// sum reads the sum of a slot whose keys have been read, and compares it with theirs.
func (sr *snapshotReader) sum(n, slot int) error {
	if sr.version < 3 {
		return nil
	}
	var b [8]byte
	if _, err := io.ReadFull(sr.r, b[:]); err != nil {
		return shortRead(err)
	}
	want := binary.LittleEndian.Uint64(b[:])
	if got := sr.loading.dbs[n].Load().sumOf(slot); got != want {
		sr.where = fmt.Sprintf("behind slot %d of database %d", slot, n)
		return fmt.Errorf("%w: the keys of the slot have the hash %016x, should have %016x", errSnapshot, got, want)
	}
	return nil
}

// key reads one key with its value.
func (sr *snapshotReader) key(n, slot int) error {
	code, err := sr.uint(1<<64 - 1)
	if err != nil {
		return err
	}
	k, f, ok := splitCode(code)
	if !ok || (sr.version == 1) != (f == formUnknown) || sr.version < 5 && k == kindHash && f == hashTimed {
		return fmt.Errorf("%w: unknown type %d", errSnapshot, code)
	}
	at, err := sr.uint(1<<63 - 1)
	if err != nil {
		return err
	}
	version, err := sr.uint(1<<64 - 1)
	if err != nil {
		return err
	}
	name, err := sr.bytes(maxKey)
	if err != nil {
		return err
	}
	key := append(sr.name[:0], name...)
	sr.name = key
	if int(Slot(key)) != slot {
		return fmt.Errorf("%w: key %.64q is of slot %d", errSnapshot, key, Slot(key))
	}
	val, err := sr.bytes(1 << 40)
	if err != nil {
		return err
	}
	sr.tx.lastKey = nil // the same memory held another key
	p, found := sr.tx.findWrite(n, key)
	if found {
		return fmt.Errorf("%w: key %.64q twice", errSnapshot, key)
	}
	sr.loading.index = version
	sr.loading.lastIndex = max(sr.loading.lastIndex, version)
	return sr.value(&p, key, k, f, val, int64(at))
}

// value stores the value of form f encoded in val.
func (sr *snapshotReader) value(p *place, key []byte, k kind, f form, val []byte, at int64) error {
	if k == kindString {
		if !sr.tx.restoreString(p, f, key, val, at) {
			return fmt.Errorf("key %.64q: %w: a string of form %d", key, errSnapshot, f)
		}
		return nil
	}
	if decoders[k] == nil {
		return fmt.Errorf("%w: unknown type %d", errSnapshot, k)
	}
	o, err := sr.decode(k, val)
	if err != nil {
		return fmt.Errorf("key %.64q: %s value: %w", key, kindNames[k], err)
	}
	if !o.setForm(f) {
		return fmt.Errorf("key %.64q: %w: a %s of form %d", key, errSnapshot, kindNames[k], f)
	}
	sr.tx.save(p, key, o, at)
	return nil
}

// decode makes the collection that is encoded in val. Members are made where they are going to stay.
func (sr *snapshotReader) decode(k kind, val []byte) (collection, error) {
	d := valueDecoder{b: val}
	if n := d.count(); n > mostPacked(k) {
		return newMembersIn(sr.loading.memory, k).decode(d, n)
	}
	return decoders[k](val)
}

// uint reads a number up to limit.
func (sr *snapshotReader) uint(limit uint64) (uint64, error) {
	n, err := binary.ReadUvarint(sr.r)
	if err != nil {
		return 0, shortRead(err)
	}
	if n > limit {
		return 0, fmt.Errorf("%w: number out of range", errSnapshot)
	}
	return n, nil
}

// bytes reads a length and as many bytes, valid until the next call. Memory grows with what r really holds, whatever
// the length claims.
func (sr *snapshotReader) bytes(limit uint64) ([]byte, error) {
	n, err := sr.uint(limit)
	if err != nil {
		return nil, err
	}
	if cap(sr.buf) > 16*flushAt {
		sr.buf = nil
	}
	sr.buf = sr.buf[:0]
	for n > 0 {
		part := min(n, flushAt)
		start := len(sr.buf)
		sr.buf = append(sr.buf, make([]byte, part)...)
		if _, err := io.ReadFull(sr.r, sr.buf[start:]); err != nil {
			return nil, shortRead(err)
		}
		n -= part
	}
	return sr.buf, nil
}

// shortRead names an end of the data where more must follow.
func shortRead(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: cut short", errSnapshot)
	}
	return err
}
