package fsm

import (
	"github.com/tidwall/btree"
	"hash/maphash"
	"strings"
	"sync/atomic"
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
	kindCount       = 6
)

// kindNames are the words of the TYPE command.
var kindNames = [kindCount]string{"none", "string", "list", "set", "hash", "zset"}

// object is the value of a key. Plain strings and integers are stored inside their entry and have no object; see
// entry. The applier mutates an object only after tx.lookupWrite returned it; everyone else only reads.
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
	// form is how Redis would hold the value. setForm takes over the form that a snapshot tells; it reports false for one
	// that the value cannot have.
	form() form
	setForm(f form) bool
}

// decoders turn the output of appendTo back into an object, by kind; each value file sets its own in init. A decoder
// gets untrusted bytes: it returns an error for anything appendTo cannot have written, allocates no more than a small
// multiple of len(b), and keeps no reference to b.
var decoders [kindCount]func(b []byte) (object, error)

const (
	// Databases is the number of databases, as Redis has by default.
	Databases = 16
	// Slots is the number of hash slots.
	Slots = 16384
	// entryCost is what MemoryUsed counts for a key beyond its bytes: the entry, its share of the position index and
	// of the dictionary's growth slack.
	entryCost = 88
)

// entry is one key with its value: 64 bytes.
//
// The value is obj if that is not nil, else num if the integer bit is set, else data[keyLen():].
type entry struct {
	data     string // the key, and directly behind it the value of a raw string: one allocation for both
	obj      object
	num      int64  // the integer; or, with obj, the bytes accounted for it in database.mem
	expireAt int64  // Unix ms; 0 = never
	version  uint64 // index of the log entry that modified the key last
	hash     uint32 // of the key, with the store's seed
	meta     uint32 // keyLen<<2 | flags
}

// maxKey is the longest key in bytes that an entry can hold; clients are limited to maxString.
const maxKey = 1<<30 - 1

const (
	metaInt    = 1 // the value is num
	metaShared = 2 // obj is also in a frozen view: clone before mutation
)

func (e *entry) keyLen() int   { return int(e.meta >> 2) }
func (e *entry) key() string   { return e.data[:e.meta>>2] }
func (e *entry) isInt() bool   { return e.meta&metaInt != 0 }
func (e *entry) value() string { return e.data[e.meta>>2:] }

func (e *entry) kind() kind {
	if e.obj != nil {
		return e.obj.kind()
	}
	return kindString
}

// expired reports whether the key is due at now (Unix ms). As in Redis a key still exists in the millisecond of its
// deadline.
func (e *entry) expired(now int64) bool { return e.expireAt != 0 && now > e.expireAt }

// cost is the entry's part of database.mem. It follows from the key and the value alone, not from how they are held,
// so it is the same on every node and after a restore.
func (e *entry) cost() int64 {
	n := int64(entryCost + len(e.data))
	switch {
	case e.obj != nil:
		n += e.num
	case e.isInt():
		n += int64(intLen(e.num))
	}
	return n
}

// joinData builds the string of an entry in one allocation.
func joinData(key, val []byte) string {
	var b strings.Builder
	b.Grow(len(key) + len(val))
	b.Write(key)
	b.Write(val)
	return b.String()
}

// slotDict holds the keys of one hash slot of one database: a dense array in history order and an index of positions.
//
// Removal moves the last entry into the gap, so the order depends on the history of commands alone and is the same on
// every node; the seed of the hash only shapes the index. Invariants: with more than linearMax entries there is an
// index; if there is one, it holds position+1 of every entry exactly once, 0 elsewhere, and is at most 3/4 full. tags
// holds the tag of each of the first linearMax entries.
type slotDict struct {
	entries []entry
	index   []uint32         // open addressing, linear probing, length a power of two
	epoch   uint64           // the store's epoch when entries was last known to be in no frozen view
	tags    [linearMax]uint8 // a search reads them in place of the entries, each of which is a cache line
}

// linearMax is the number of entries up to which a search compares the tags one by one.
const linearMax = 8

// tag is a part of a key's hash that the index does not use.
func tag(hash uint32) uint8 { return uint8(hash >> 24) }

// find returns the position of key, or -1.
func (d *slotDict) find(hash uint32, key []byte) int {
	if len(d.index) == 0 {
		want := tag(hash)
		for i := range min(len(d.entries), linearMax) {
			if d.tags[i] != want {
				continue
			}
			if e := &d.entries[i]; e.hash == hash && e.key() == string(key) {
				return i
			}
		}
		return -1
	}
	mask := uint32(len(d.index) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		p := d.index[i]
		if p == 0 {
			return -1
		}
		if e := &d.entries[p-1]; e.hash == hash && e.key() == string(key) {
			return int(p - 1)
		}
	}
}

// insert appends an entry whose key is not present and returns its position.
func (d *slotDict) insert(e entry) int {
	pos := len(d.entries)
	if pos == cap(d.entries) {
		grown := make([]entry, pos, pos+pos/4+2)
		copy(grown, d.entries)
		d.entries = grown
	}
	d.entries = append(d.entries, e)
	if pos < linearMax {
		d.tags[pos] = tag(e.hash)
	}
	switch n := pos + 1; {
	case len(d.index) == 0 && n <= linearMax:
	case n*4 > len(d.index)*3:
		d.reindex()
	default:
		d.place(e.hash, uint32(n))
	}
	return pos
}

// remove deletes the entry at pos; the last entry takes its place.
func (d *slotDict) remove(pos int) {
	last := len(d.entries) - 1
	if len(d.index) > 0 {
		d.unplace(pos)
		if pos != last {
			d.index[d.indexOf(last)] = uint32(pos + 1)
		}
	}
	d.entries[pos] = d.entries[last]
	if pos < linearMax {
		d.tags[pos] = tag(d.entries[pos].hash)
	}
	d.entries[last] = entry{}
	d.entries = d.entries[:last]
	switch {
	case last <= linearMax/2:
		d.index = nil
	case len(d.index) > 0 && last*8 < len(d.index):
		d.reindex()
	}
	if c := cap(d.entries); c > 16 && last < c/4 {
		shrunk := make([]entry, last, last+last/4+2)
		copy(shrunk, d.entries)
		d.entries = shrunk
	}
}

// reindex builds the index anew, at most half full.
func (d *slotDict) reindex() {
	size := 2 * linearMax
	for size < 2*len(d.entries) {
		size *= 2
	}
	d.index = make([]uint32, size)
	for i := range d.entries {
		d.place(d.entries[i].hash, uint32(i+1))
	}
}

func (d *slotDict) place(hash, p uint32) {
	mask := uint32(len(d.index) - 1)
	i := hash & mask
	for d.index[i] != 0 {
		i = (i + 1) & mask
	}
	d.index[i] = p
}

// indexOf returns where the index refers to the entry at pos.
func (d *slotDict) indexOf(pos int) uint32 {
	mask := uint32(len(d.index) - 1)
	i := d.entries[pos].hash & mask
	for d.index[i] != uint32(pos+1) {
		i = (i + 1) & mask
	}
	return i
}

// unplace removes the reference to pos and closes the gap, so that no search ends early.
func (d *slotDict) unplace(pos int) {
	mask := uint32(len(d.index) - 1)
	gap := d.indexOf(pos)
	for i := (gap + 1) & mask; d.index[i] != 0; i = (i + 1) & mask {
		home := d.entries[d.index[i]-1].hash & mask
		if (i-home)&mask >= (i-gap)&mask {
			d.index[gap] = d.index[i]
			gap = i
		}
	}
	d.index[gap] = 0
}

// deadline is one key in the order of expiry.
type deadline struct {
	at  int64 // Unix ms
	key string
}

func (d deadline) before(o deadline) bool {
	if d.at != o.at {
		return d.at < o.at
	}
	return d.key < o.key
}

// pageSlots is the number of slots that one shard guards.
const pageSlots = Slots / shardCount

// slotPage holds the dictionaries of one shard's slots. A view shares the pages: the applier copies one before it changes
// it.
type slotPage struct {
	dicts [pageSlots]*slotDict // nil = empty
	epoch uint64               // the store's epoch when the page was last known to be in no frozen view
}

// database is one numbered database. The applier owns it; a reader may look at a page under the lock of its shard, and at
// counts while it holds all of them. The atomics are for anyone.
type database struct {
	pages     [shardCount]*slotPage // nil = its slots are empty
	counts    fenwick               // keys per slot
	due       *btree.BTreeG[deadline]
	keys      atomic.Int64
	expires   atomic.Int64 // keys with a deadline; equals due.Len()
	expireSum atomic.Int64 // sum of the deadlines in seconds
	mem       atomic.Int64 // sum of entry.cost
}

func newDatabase() *database {
	return &database{due: btree.NewBTreeGOptions(deadline.before, btree.Options{NoLocks: true})}
}

// dict returns the dictionary of a slot, nil if it is empty.
func (db *database) dict(slot int) *slotDict {
	if p := db.pages[slot/pageSlots]; p != nil {
		return p.dicts[slot%pageSlots]
	}
	return nil
}

// setDict gives a slot its dictionary; nil empties it. The page becomes a copy first if frozen says that a view may still
// show what was there before epoch.
func (db *database) setDict(slot int, d *slotDict, epoch uint64, frozen bool) {
	at := &db.pages[slot/pageSlots]
	switch p := *at; {
	case p == nil:
		*at = &slotPage{epoch: epoch}
	case p.epoch != epoch && frozen:
		*at = &slotPage{dicts: p.dicts, epoch: epoch}
	default:
		p.epoch = epoch
	}
	(*at).dicts[slot%pageSlots] = d
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
