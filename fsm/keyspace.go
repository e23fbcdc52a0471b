package fsm

import (
	"bytes"
	"hash/maphash"
	"sync/atomic"

	"github.com/tidwall/btree"

	slotdict "kvapp/fsm/dict"
	"kvapp/fsm/slab"
)

// kind is the type of a value. The numbers stand in snapshots and never change.
type kind uint8

const (
	kindNone   kind = 0
	kindString kind = 1
	kindList   kind = 2
	kindSet    kind = 3
	kindHash   kind = 4
	kindZSet   kind = 5
	kindStream kind = 6
	kindCount       = 7
)

// kindNames are the words of the TYPE command.
var kindNames = [kindCount]string{"none", "string", "list", "set", "hash", "zset", "stream"}

// object is the value of a key that does not stand in its record. The applier mutates an object only after tx.lookupWrite
// returned it; everyone else only reads.
type object interface {
	kind() kind
	// clone returns a deep copy. It is called before a mutation while a frozen view may still read the old one, and
	// by COPY.
	clone() object
	// appendTo appends the canonical encoding of the value. It must preserve every order a client can observe, since
	// snapshots and the state hash are made of it: equal histories give equal bytes on every node.
	appendTo(dst []byte) []byte
	// size estimates the memory of the value in bytes, in O(1), as a function of the logical state alone.
	size() int
	// sum is the content's part in the state hash, see sum.go, in time that does not grow with a large collection; it may note
	// what it finds, so it is the applier's. recount computes the same from the content alone, and only reads.
	sum() uint64
	recount() uint64
	// form is how Redis would hold the value.
	form() form
}

// decoders turn the output of appendTo back into an object, by kind; each value file sets its own in init. A decoder
// gets untrusted bytes: it returns an error for anything appendTo cannot have written, allocates no more than a small
// multiple of len(b), and keeps no reference to b.
var decoders [kindCount]func(b []byte) (collection, error)

const (
	// Databases is the number of databases, as Redis has by default.
	Databases = 16
	// Slots is the number of hash slots.
	Slots = 16384
	// entryCost is what MemoryUsed counts for a key beyond its bytes.
	entryCost = 88
)

// deadline is one key in the order of expiry, or one hash in that of its fields.
type deadline struct {
	at  int64    // Unix ms; of a hash, the earliest of its fields'
	ref slab.Ref // the record
}

// pageSlots is the number of slots that one shard guards.
const pageSlots = Slots / shardCount

// slotPage holds the dictionaries of one shard's slots, and the sums of their keys, see sum.go. A view shares the pages: the
// applier copies one before it changes it.
type slotPage struct {
	dicts [pageSlots]slotdict.Dict
	sums  [pageSlots]uint64
}

// database is one numbered database. The applier owns it; a reader may look at a page and at records under the lock of
// its shard, and at counts while it holds all of them. The atomics are for anyone.
type database struct {
	pages   [shardCount]*slotPage // nil = its slots are empty
	epochs  [shardCount]uint64    // of each page: the store's when it was last known to be in no frozen view
	counts  fenwick               // keys per slot
	arena   *slab.Arena           // the records
	objects objects
	retired retirement
	// compacting says that records are being moved together, until there is little slack.
	compacting bool
	due        *btree.BTreeG[deadline] // in the order of deadline and key
	fields     *btree.BTreeG[deadline] // the hashes with deadlines of fields, in the same order
	keys       atomic.Int64
	expires    atomic.Int64 // keys with a deadline; equals due.Len()
	timed      atomic.Int64 // hashes of which fields have deadlines; equals fields.Len()
	expireSum  atomic.Int64 // sum of the deadlines in seconds
	mem        atomic.Int64 // sum of item.cost
}

func newDatabase() *database {
	db := &database{arena: slab.New()}
	db.due = btree.NewBTreeGOptions(db.sooner, btree.Options{NoLocks: true})
	db.fields = btree.NewBTreeGOptions(db.sooner, btree.Options{NoLocks: true})
	return db
}

// sooner is the order of expiry.
func (db *database) sooner(a, b deadline) bool {
	if a.at != b.at {
		return a.at < b.at
	}
	return a.ref != b.ref && bytes.Compare(db.record(a.ref).key(), db.record(b.ref).key()) < 0
}

// record returns the record that a reference names.
func (db *database) record(r slab.Ref) record { return recordAt(db.arena, r) }

func recordAt(a *slab.Arena, r slab.Ref) record {
	b := record(a.From(r))
	n := headSize(b.head())
	return b[:n:n]
}

// dict returns the dictionary of a slot, nil if its page is empty.
func (db *database) dict(slot int) *slotdict.Dict {
	if p := db.pages[slot/pageSlots]; p != nil {
		return &p.dicts[slot%pageSlots]
	}
	return nil
}

// sumOf is the sum of a slot.
func (db *database) sumOf(slot int) uint64 {
	if p := db.pages[slot/pageSlots]; p != nil {
		return p.sums[slot%pageSlots]
	}
	return 0
}

// keysIn is the number of keys in a slot.
func (db *database) keysIn(slot int) int {
	if d := db.dict(slot); d != nil {
		return d.Len()
	}
	return 0
}

// itemAt returns the key at a position of a slot's order.
func (db *database) itemAt(slot, pos int) item {
	return item{db.record(db.dict(slot).At(pos)), db.objects.dir.Load()}
}

// find returns the position, reference and record of a key; the record is nil if the key is absent. It looks first at a
// position where the key may be; any number will do.
func (db *database) find(slot int, hash uint32, key []byte, hint int) (pos int, ref slab.Ref, rec record) {
	d := db.dict(slot)
	if d == nil {
		return -1, 0, nil
	}
	tag := slotdict.Tag(hash)
	if ref, ok := d.Has(hint, tag); ok {
		if rec := db.record(ref); string(rec.key()) == string(key) {
			return hint, ref, rec
		}
	}
	for pos, at := d.Next(tag, 0); pos >= 0; pos, at = d.Next(tag, at) {
		ref := d.At(pos)
		if rec := db.record(ref); string(rec.key()) == string(key) {
			return pos, ref, rec
		}
	}
	return -1, 0, nil
}

// fenwick counts keys per slot and answers in O(log slots) which slot holds the i-th key.
type fenwick [Slots + 1]uint32

func (f *fenwick) add(slot int, delta int32) {
	for i := slot + 1; i <= Slots; i += i & -i {
		f[i] += uint32(delta)
	}
}

// before returns the number of keys in the slots below slot.
func (f *fenwick) before(slot int) int {
	n := 0
	for i := slot; i > 0; i -= i & -i {
		n += int(f[i])
	}
	return n
}

// locate returns the slot of the key with number i, counted over all slots, and its position there. Slots if i is not
// below the number of keys.
func (f *fenwick) locate(i int) (slot, pos int) {
	at := 0
	for step := Slots; step > 0; step >>= 1 {
		if next := at + step; next <= Slots && int(f[next]) <= i {
			at = next
			i -= int(f[next])
		}
	}
	return at, i
}

// hashKey is the hash by which dictionaries find a key; nothing visible depends on it.
func hashKey(seed maphash.Seed, key []byte) uint32 { return uint32(maphash.Bytes(seed, key)) }
