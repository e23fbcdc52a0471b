package fsm

import (
	"encoding/binary"
	"hash/maphash"
	"math"

	slotdict "kvapp/fsm/dict"
	"kvapp/fsm/slab"
)

// members are the elements of a large hash, set or sorted set: a dictionary (package dict) of references to records in a
// memory (membermemory.go). Neither has pointers that the garbage collector follows, and of a key's value neither is on the Go heap.
//
// The order of the dictionary is the state: it is the history of the collection (append; removal moves the last element into
// the hole), hence equal on all replicas, and it alone decides what a client sees: SMEMBERS, SPOP, SSCAN. Elements are
// found by a hash with a seed of this process, so that nobody can prepare keys that collide; it decides nothing but speed.
//
// A record is
//
//	owner(4) [score(8)] length key [length value]
//
// with the score in sorted sets, the value in hashes, and lengths as uvarints. Owner is the number of the collection in the
// table of its memory: by it, and the key, a record that is moved finds its reference.
//
// While a view may show a record it is neither changed nor freed. Which those are is known by position: fork makes all of
// them shown, and what is written later is not.
//
// Not safe for concurrent use, except that any number of goroutines may read while none writes.
type members struct {
	dict  slotdict.Table
	mem   *memory
	kind  kind
	owner uint32 // in the table of mem; 0 = mem is of this collection alone
	slot  int    // of the key, with owner
	tree  *ztree // of a sorted set: all elements by (score, key); nil while it is not built

	bytes int    // sum of the lengths of the keys
	vals  int    // and of the values
	sum   uint64 // over the elements, see sum.go
	live  uint64 // bytes of the records, as the arena counts them

	frozen bool     // views may show records
	epoch  uint64   // the store's when it was forked
	fresh  []uint64 // with frozen, a bit for each position: no view shows the record there
}

// part is what an element has besides its key.
type part struct {
	val   []byte  // in hashes
	score float64 // in sorted sets
}

// member is one element. It is valid until the next change of the collection.
type member struct {
	key []byte
	part
	size int // bytes of the record
}

const (
	ownerBytes = 4
	scoreBytes = 8
)

var memberSeed = maphash.MakeSeed()

func memberHash(key []byte) uint32 { return uint32(maphash.Bytes(memberSeed, key) >> 32) }

func memberTag(key []byte) uint32 { return slotdict.Tag(memberHash(key)) }

// newMembers returns an empty collection of a kind, with a memory of its own.
func newMembers(k kind) *members { return newMembersIn(new(memory), k) }

// newMembersIn returns an empty collection of a kind in a memory: the store's, or one of its own.
func newMembersIn(mem *memory, k kind) *members {
	m := &members{kind: k, mem: mem}
	if mem.arena != nil {
		mem.enter(m)
		m.dict.Enter(mem.tables)
	}
	return m
}

func (m *members) len() int { return m.dict.Len() }

// keyAt is where the length of the key stands in a record.
func (m *members) keyAt() int {
	if m.kind == kindZSet {
		return ownerBytes + scoreBytes
	}
	return ownerBytes
}

// cutText returns the text behind the length at at, and where it ends.
func cutText(b []byte, at int) ([]byte, int) {
	n := int(b[at])
	at++
	if n >= 0x80 {
		long, k := binary.Uvarint(b[at-1:])
		n, at = int(long), at-1+k
	}
	return b[at : at+n : at+n], at + n
}

// key returns the key of the record that begins with b.
func (m *members) key(b []byte) []byte {
	key, _ := cutText(b, m.keyAt())
	return key
}

// read takes apart the record that begins with b.
func (m *members) read(b []byte) (e member) {
	e.key, e.size = cutText(b, m.keyAt())
	switch m.kind {
	case kindHash:
		e.val, e.size = cutText(b, e.size)
	case kindZSet:
		e.score = math.Float64frombits(binary.LittleEndian.Uint64(b[ownerBytes:]))
	}
	return e
}

// textSize is the bytes that a text takes with its length.
func textSize(n int) int {
	size := n + 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

// recordSize is the bytes of the record of an element.
func (m *members) recordSize(key []byte, p part) int {
	size := m.keyAt() + textSize(len(key))
	if m.kind == kindHash {
		size += textSize(len(p.val))
	}
	return size
}

// write fills the record b.
func (m *members) write(b, key []byte, p part) {
	binary.LittleEndian.PutUint32(b, m.owner)
	if m.kind == kindZSet {
		m.writeScore(b, p.score)
	}
	at := m.keyAt()
	at += binary.PutUvarint(b[at:], uint64(len(key)))
	at += copy(b[at:], key)
	if m.kind == kindHash {
		at += binary.PutUvarint(b[at:], uint64(len(p.val)))
		copy(b[at:], p.val)
	}
}

func (m *members) writeScore(b []byte, score float64) {
	binary.LittleEndian.PutUint64(b[ownerBytes:], math.Float64bits(score))
}

// at returns the element at a position.
func (m *members) at(i int) member { return m.read(m.mem.from(m.dict.At(i))) }

// word returns the key at a position.
func (m *members) word(i int) word {
	return word{kind: wordBytes, b: m.key(m.mem.from(m.dict.At(i)))}
}

// find returns the position of key, or -1.
func (m *members) find(key []byte) int {
	tag := memberTag(key)
	for pos, at := m.dict.Next(tag, 0); pos >= 0; pos, at = m.dict.Next(tag, at) {
		if string(m.key(m.mem.from(m.dict.At(pos)))) == string(key) {
			return pos
		}
	}
	return -1
}

// findWord is find for an element of another collection.
func (m *members) findWord(w *word) int {
	var digits [20]byte
	return m.find(w.bytes(digits[:0]))
}

// partSum is the hash of what an element has besides its key; 0 if elements have nothing.
func (m *members) partSum(p part) uint64 {
	switch m.kind {
	case kindHash:
		return hashBytes(p.val) | 1
	case kindZSet:
		return splitMix(math.Float64bits(p.score)) | 1
	default:
		return 0
	}
}

// add appends an element whose key must be absent.
func (m *members) add(key []byte, p part) slab.Ref {
	ref := m.put(key, p)
	pos := m.dict.Put(memberTag(key), ref)
	m.mark(pos, true)
	m.bytes += len(key)
	m.vals += len(p.val)
	k := hashBytes(key)
	m.sum += placeSum(pos, k) + pairSum(k, m.partSum(p))
	return ref
}

// put makes a record.
func (m *members) put(key []byte, p part) slab.Ref {
	size := m.recordSize(key, p)
	ref := m.mem.alloc(size)
	m.write(m.mem.from(ref)[:size], key, p)
	m.live += uint64(slab.Size(size))
	return ref
}

// set replaces what the element at a position has besides its key, in place if it fits. It returns the reference.
func (m *members) set(i int, p part) slab.Ref {
	ref := m.dict.At(i)
	b := m.mem.from(ref)
	old := m.read(b)
	k := hashBytes(old.key)
	m.sum += pairSum(k, m.partSum(p)) - pairSum(k, m.partSum(old.part))
	m.vals += len(p.val) - len(old.val)
	size := m.recordSize(old.key, p)
	switch shown := !m.private(i); {
	case shown || slab.Size(size) != slab.Size(old.size):
		next := m.put(old.key, p)
		m.discard(ref, old.size, shown)
		m.dict.Set(i, next)
		m.mark(i, true)
		return next
	case m.kind == kindZSet:
		m.writeScore(b, p.score)
	case m.kind == kindHash:
		at := old.size - textSize(len(old.val))
		b = b[:size]
		at += binary.PutUvarint(b[at:], uint64(len(p.val)))
		copy(b[at:], p.val)
	}
	return ref
}

// removeAt removes the element at a position; the last one takes its place.
func (m *members) removeAt(i int) {
	ref, last := m.dict.At(i), m.len()-1
	e := m.at(i)
	m.bytes -= len(e.key)
	m.vals -= len(e.val)
	k := hashBytes(e.key)
	m.sum -= placeSum(i, k) + pairSum(k, m.partSum(e.part))
	if i != last {
		k = hashBytes(m.at(last).key)
		m.sum += placeSum(i, k) - placeSum(last, k)
	}
	shown := !m.private(i)
	m.mark(i, m.private(last))
	m.mark(last, false)
	m.dict.Del(i)
	m.discard(ref, e.size, shown)
}

// discard takes a record out of the collection, which a view may show.
func (m *members) discard(ref slab.Ref, size int, shown bool) {
	m.live -= uint64(slab.Size(size))
	if shown {
		m.mem.retire(ref, size, m.epoch)
	} else {
		m.mem.free(ref, size)
	}
}

// private says that no view shows the record at a position.
func (m *members) private(i int) bool { return !m.frozen || m.fresh[i/64]>>(i%64)&1 != 0 }

// mark notes whether no view shows the record at a position, which may be the first behind the last.
func (m *members) mark(i int, private bool) {
	switch {
	case !m.frozen:
		return
	case i/64 == len(m.fresh):
		m.fresh = append(m.fresh, 0)
	}
	if m.fresh[i/64] &^= 1 << (i % 64); private {
		m.fresh[i/64] |= 1 << (i % 64)
	}
}

// fork returns what the collection is from now on, while views show the receiver, which is never changed again. Records and
// chunks of references are of both; the index goes along, since views look at positions only. Epoch is the store's.
func (m *members) fork(epoch uint64) *members {
	c := *m
	c.dict.Own(epoch, true)
	c.frozen, c.epoch, c.fresh = true, epoch, make([]uint64, (c.len()+63)/64)
	c.mem.owners[c.owner] = &c
	if c.tree != nil {
		c.tree.m = &c
	}
	return &c
}

// thaw says that no view shows the collection any more.
func (m *members) thaw() {
	m.frozen, m.fresh = false, nil
	m.dict.Alone()
}

// clone returns a copy in a memory: the store's, or one of its own.
func (m *members) clone(mem *memory) *members {
	c := newMembersIn(mem, m.kind)
	for i := range m.len() {
		e := m.at(i)
		c.dict.Put(memberTag(e.key), c.put(e.key, e.part))
	}
	c.bytes, c.vals, c.sum = m.bytes, m.vals, m.sum
	if m.tree != nil {
		c.buildTree()
	}
	return c
}

// decode adds the n elements that are encoded in d, which holds nothing else.
func (m *members) decode(d valueDecoder, n int) (collection, error) {
	for ; n > 0 && !d.bad; n-- {
		key, p := d.bytes(), part{}
		switch m.kind {
		case kindHash:
			p.val = d.bytes()
		case kindZSet:
			p.score = d.float()
		}
		if d.bad || m.find(key) >= 0 {
			return nil, errDecode
		}
		m.add(key, p)
	}
	h := &hashValue{large: m}
	if m.kind == kindHash {
		h.decodeTimes(&d)
	}
	if !d.end() {
		return nil, errDecode
	}
	switch m.kind {
	case kindHash:
		return h, nil
	case kindSet:
		return &setValue{large: m}, nil
	default:
		m.buildTree()
		return &zsetValue{large: m}, nil
	}
}

// mostPacked is the most elements of a collection that may be anything else than members.
func mostPacked(k kind) int {
	switch k {
	case kindHash:
		return HashMaxListpackEntries
	case kindSet:
		return SetMaxIntsetEntries
	case kindZSet:
		return ZSetMaxListpackEntries
	default:
		return math.MaxInt
	}
}

// recount is sum computed from the elements.
func (m *members) recount() (sum uint64) {
	for i := range m.len() {
		e := m.at(i)
		k := hashBytes(e.key)
		sum += placeSum(i, k) + pairSum(k, m.partSum(e.part))
	}
	return sum
}

// move copies a record to another place and refers to that. It reports false if the record is not of the collection. No view
// shows the collection; epoch is the store's.
func (m *members) move(from, to slab.Ref, epoch uint64) bool {
	b := m.mem.from(from)
	e := m.read(b)
	pos := m.position(e.key, from)
	if pos < 0 {
		return false
	}
	copy(m.mem.from(to)[:e.size], b)
	if m.tree != nil {
		m.tree.refer(e.bound(), to)
	}
	m.dict.Own(epoch, false)
	m.dict.Set(pos, to)
	return true
}

// position returns where a reference to the record of a key stands, -1 if it does not.
func (m *members) position(key []byte, ref slab.Ref) int {
	tag := memberTag(key)
	for pos, at := m.dict.Next(tag, 0); pos >= 0; pos, at = m.dict.Next(tag, at) {
		if m.dict.At(pos) == ref {
			return pos
		}
	}
	return -1
}

// keeper is an object that may have members.
type keeper interface {
	object
	// members returns them, nil while the object is packed.
	members() *members
	// copyTo is clone for members that are going to be the store's.
	copyTo(mem *memory) object
	// fork is clone for the case that only views look at the receiver from now on; see members.fork.
	fork(epoch uint64) object
}

// membersOf returns the members of any object, nil if it has none.
func membersOf(o object) *members {
	if k, ok := o.(keeper); ok {
		return k.members()
	}
	return nil
}

// copied returns a copy of an object, which a key of the store is going to have.
func (s *Store) copied(o object) object {
	if k, ok := o.(keeper); ok && k.members() != nil {
		return k.copyTo(s.memory)
	}
	return o.clone()
}

// forked returns the object that takes the place of one that views go on to show.
func forked(o object, epoch uint64) object {
	if k, ok := o.(keeper); ok && k.members() != nil {
		return k.fork(epoch)
	}
	return o.clone()
}
