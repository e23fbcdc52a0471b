package fsm

import (
	"math/bits"
	"strings"
)

// Tx is the context of one command in execution. A command learns time, randomness and data from nowhere else.
//
// Methods that change something may be called by write commands only, for the keys of the command.
type Tx struct {
	DB  int // database of the connection
	s   *Store
	now int64
	rng uint64

	writes bool // this is a write command on the applier
	by     Out  // where its replies go, for the observer; nil for reads
	ownRng bool // rng is seeded; false for reads outside of the log until they roll
	locked shardSet

	// The hash slot and hash of the key asked for last: commands look up the same slice several times.
	lastKey  *byte
	lastLen  int
	lastSlot int
	lastHash uint32

	buf  []byte // scratch for numbers
	keys []int  // scratch for key positions

	sum uint32 // of touch
}

func (tx *Tx) begin(s *Store, db int, now int64, rng uint64) {
	tx.s, tx.DB, tx.now, tx.rng = s, db, now, rng
	tx.writes, tx.ownRng, tx.lastKey = false, true, nil
}

// know takes over what Place has worked out.
func (tx *Tx) know(c *Command) {
	if c.placed {
		key := c.Args[1]
		tx.lastKey, tx.lastLen, tx.lastSlot, tx.lastHash = &key[0], len(key), int(c.slot), c.hash
	}
}

// reset drops what would keep a connection's buffers alive while the Tx waits in the pool.
func (tx *Tx) reset() {
	tx.lastKey = nil
	if cap(tx.buf) > 4096 {
		tx.buf = nil
	}
}

// Now is the time in Unix ms: the stamp of the entry, or for reads outside of the log the state's clock.
func (tx *Tx) Now() int64 { return tx.now }

// golden is the increment of SplitMix64.
const golden = 0x9e3779b97f4a7c15

func splitMix(x uint64) uint64 {
	x += golden
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Rand returns the next random number. In an entry it follows from the entry's seed and the position of the command,
// the same on every node; a read outside of the log rolls its node's own dice.
func (tx *Tx) Rand() uint64 {
	if !tx.ownRng {
		tx.ownRng = true
		tx.rng = splitMix(tx.s.readSeed + tx.s.readDice.Add(1)*golden)
	}
	r := splitMix(tx.rng)
	tx.rng += golden
	return r
}

// RandN returns a random number below n; n must be positive.
func (tx *Tx) RandN(n int) int {
	hi, _ := bits.Mul64(tx.Rand(), uint64(n))
	return int(hi)
}

// shardSet is a set of shards.
type shardSet [shardCount / 64]uint64

var allShards = shardSet{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}

func (set *shardSet) add(shard int) { set[shard/64] |= 1 << (shard % 64) }

// lock takes the locks of the shards that the command's keys are in, ascending: exclusive for writes.
func (tx *Tx) lock(spec *Spec, args [][]byte) {
	tx.locked = shardSet{}
	switch {
	case spec.Flags&FlagAllKeys != 0:
		tx.locked = allShards
	case spec.Keys == nil && spec.FirstKey == 1 && spec.LastKey == 1 && len(args) > 1:
		slot, _ := tx.address(args[1])
		tx.locked.add(slot / pageSlots)
	default:
		tx.keys = spec.KeyPositions(args, tx.keys[:0])
		for _, i := range tx.keys {
			tx.locked.add(int(Slot(args[i])) / pageSlots)
		}
	}
	tx.acquire()
}

// acquire takes the locks of locked.
func (tx *Tx) acquire() {
	for w, word := range tx.locked {
		for ; word != 0; word &= word - 1 {
			sh := &tx.s.shards[w*64+bits.TrailingZeros64(word)]
			if tx.writes {
				sh.mu.Lock()
			} else {
				sh.mu.RLock()
			}
		}
	}
}

// unlock releases what lock took. A command may call it early when it no longer looks at the keyspace.
func (tx *Tx) unlock() {
	for w, word := range tx.locked {
		for ; word != 0; word &= word - 1 {
			sh := &tx.s.shards[w*64+bits.TrailingZeros64(word)]
			if tx.writes {
				sh.mu.Unlock()
			} else {
				sh.mu.RUnlock()
			}
		}
	}
	tx.locked = shardSet{}
}

// address returns the hash slot and the hash of key.
func (tx *Tx) address(key []byte) (slot int, hash uint32) {
	if len(key) == 0 {
		return 0, hashKey(tx.s.seed, key)
	}
	if tx.lastKey == &key[0] && tx.lastLen == len(key) {
		return tx.lastSlot, tx.lastHash
	}
	slot, hash = int(Slot(key)), hashKey(tx.s.seed, key)
	tx.lastKey, tx.lastLen, tx.lastSlot, tx.lastHash = &key[0], len(key), slot, hash
	return slot, hash
}

// find returns the entry of a key for reading, nil if it is absent or due. It counts as a hit or miss.
func (tx *Tx) find(key []byte) *entry {
	slot, hash := tx.address(key)
	sh := &tx.s.shards[slot/pageSlots]
	if db := tx.s.dbs[tx.DB].Load(); db != nil {
		if d := db.dict(slot); d != nil {
			if pos := d.find(hash, key); pos >= 0 && !d.entries[pos].expired(tx.now) {
				sh.hits.Add(1)
				return &d.entries[pos]
			}
		}
	}
	sh.misses.Add(1)
	return nil
}

// place is where a write found a key. It is valid until the next change of the same slot.
type place struct {
	db   *database
	dict *slotDict
	slot int
	pos  int
	hash uint32
}

func (p *place) entry() *entry { return &p.dict.entries[p.pos] }

// findWrite returns the place of a key of database n for changing it. A due key is deleted first. With ok false the
// key is absent and only slot and hash are set.
func (tx *Tx) findWrite(n int, key []byte) (p place, ok bool) {
	p.slot, p.hash = tx.address(key)
	if p.db = tx.s.dbs[n].Load(); p.db == nil {
		return p, false
	}
	d := p.db.dict(p.slot)
	if d == nil {
		return p, false
	}
	if p.pos = d.find(p.hash, key); p.pos < 0 {
		return p, false
	}
	p.dict = tx.own(p.db, p.slot)
	if p.entry().expired(tx.now) {
		tx.remove(&p)
		tx.s.expired.Add(1)
		return p, false
	}
	return p, true
}

// own returns a slot's dictionary for changing it; if a frozen view may still read it, it becomes a copy first. The
// index of positions moves along: views never look at it.
func (tx *Tx) own(db *database, slot int) *slotDict {
	s, d := tx.s, db.dict(slot)
	if d.epoch == s.epoch {
		return d
	}
	if s.views.Load() == 0 {
		d.epoch = s.epoch
		return d
	}
	c := &slotDict{index: d.index, epoch: s.epoch, tags: d.tags}
	c.entries = make([]entry, len(d.entries), len(d.entries)+len(d.entries)/4+2)
	copy(c.entries, d.entries)
	for i := range c.entries {
		if c.entries[i].obj != nil {
			c.entries[i].meta |= metaShared
		}
	}
	db.setDict(slot, c, s.epoch, true)
	return c
}

// ownObject makes the entry's object safe to change.
func (tx *Tx) ownObject(e *entry) object {
	if e.meta&metaShared != 0 {
		if tx.s.views.Load() > 0 {
			e.obj = e.obj.clone()
		}
		e.meta &^= metaShared
	}
	return e.obj
}

// lookup returns the object of a key for reading, nil if the key is absent or due. ok is false, and the caller
// answers errWrongType, if the key holds another kind.
func (tx *Tx) lookup(key []byte, k kind) (o object, ok bool) {
	e := tx.find(key)
	if e == nil {
		return nil, true
	}
	if e.obj == nil || e.obj.kind() != k {
		return nil, false
	}
	return e.obj, true
}

// lookupWrite is lookup for changing the object: a due key is deleted first, and an object that a frozen view shares
// is cloned. The caller reports the change with touched, or deletes a key that became empty.
func (tx *Tx) lookupWrite(key []byte, k kind) (o object, ok bool) {
	p, found := tx.findWrite(tx.DB, key)
	if !found {
		return nil, true
	}
	e := p.entry()
	if e.obj == nil || e.obj.kind() != k {
		return nil, false
	}
	return tx.ownObject(e), true
}

// set stores an object that nobody else holds under key, whatever the key held; its deadline is gone.
func (tx *Tx) set(key []byte, o object) { tx.setObject(key, o) }

// setObject is set that returns the place of the key.
func (tx *Tx) setObject(key []byte, o object) place {
	p, ok := tx.findWrite(tx.DB, key)
	if !ok {
		tx.add(tx.DB, &p, entry{data: string(key), obj: o, num: int64(o.size()), meta: uint32(len(key)) << 2})
		return p
	}
	e := p.entry()
	before := e.cost()
	if len(e.data) > len(key) {
		e.data = strings.Clone(e.key()) // lets go of the string it held
	}
	e.obj, e.num, e.meta = o, int64(o.size()), uint32(len(key))<<2
	tx.changed(&p, before, false)
	return p
}

// changed accounts for a new value of an existing entry, whose cost was before.
func (tx *Tx) changed(p *place, before int64, keepTTL bool) {
	e := p.entry()
	e.version = tx.s.index
	if d := e.cost() - before; d != 0 {
		p.db.mem.Add(d)
	}
	tx.note(p)
	if !keepTTL && e.expireAt != 0 {
		tx.setDeadline(p, 0)
	}
}

// add inserts a new key into database n at the slot of p and completes p. The entry's data, value and meta are set;
// its deadline is not.
func (tx *Tx) add(n int, p *place, e entry) {
	if p.db == nil {
		p.db = newDatabase()
		tx.s.dbs[n].Store(p.db)
	}
	if p.db.dict(p.slot) == nil {
		tx.setDict(p, &slotDict{epoch: tx.s.epoch})
	}
	e.hash, e.version = p.hash, tx.s.index
	p.dict = tx.own(p.db, p.slot)
	p.pos = p.dict.insert(e)
	p.db.counts.add(p.slot, 1)
	p.db.keys.Add(1)
	p.db.mem.Add(e.cost())
	tx.note(p)
}

// remove takes the key at p out of its database.
func (tx *Tx) remove(p *place) {
	e := p.entry()
	tx.note(p)
	tx.setDeadline(p, 0)
	p.db.mem.Add(-e.cost())
	p.db.keys.Add(-1)
	p.db.counts.add(p.slot, -1)
	if p.dict.remove(p.pos); len(p.dict.entries) == 0 {
		tx.setDict(p, nil)
	}
}

func (tx *Tx) setDict(p *place, d *slotDict) {
	p.db.setDict(p.slot, d, tx.s.epoch, tx.s.views.Load() != 0)
}

// delete removes a key and reports whether it existed and was not due.
func (tx *Tx) delete(key []byte) bool {
	p, ok := tx.findWrite(tx.DB, key)
	if ok {
		tx.remove(&p)
	}
	return ok
}

// touched reports that the value of an existing key changed in place: its version becomes the index of the entry.
func (tx *Tx) touched(key []byte) {
	p, ok := tx.findWrite(tx.DB, key)
	if !ok {
		return
	}
	tx.note(&p)
	e := p.entry()
	e.version = tx.s.index
	if e.obj != nil {
		if d := int64(e.obj.size()) - e.num; d != 0 {
			e.num += d
			p.db.mem.Add(d)
		}
	}
}

// setDeadline gives the key at p another deadline in Unix ms; 0 = none.
func (tx *Tx) setDeadline(p *place, at int64) {
	if p.entry().expireAt != at {
		tx.s.dueMoved = true
		p.setDeadline(at)
		tx.note(p)
	}
}

// setDeadline keeps the order of expiry and its counters in step with the entry.
func (p *place) setDeadline(at int64) {
	e := p.entry()
	if e.expireAt != 0 {
		p.db.due.Delete(deadline{e.expireAt, e.key()})
		p.db.expires.Add(-1)
		p.db.expireSum.Add(-(e.expireAt / 1000))
	}
	if e.expireAt = at; at != 0 {
		// The key is copied, or the tree would keep an old value of the entry alive.
		p.db.due.Set(deadline{at, strings.Clone(e.key())})
		p.db.expires.Add(1)
		p.db.expireSum.Add(at / 1000)
	}
}
