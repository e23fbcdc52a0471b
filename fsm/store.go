package fsm

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/tidwall/btree"

	"kvapp/fsm/slab"
)

const shardCount = 256

// shard guards pageSlots neighbouring slots in every database, those of one slotPage. Padded to a cache line of its own.
type shard struct {
	mu           sync.RWMutex
	hits, misses atomic.Uint64 // of reads on this node; not part of the state
	_            [24]byte
}

// Store is the keyspace: the state machine of one Raft group.
//
// One goroutine, the applier, calls Begin, Exec, End, ApplyEntry, NewTerm, SetApplied, Freeze, Tidy and Restore; the rest may be
// called from any goroutine. The applier changes what a reader can see only under the exclusive locks of the shards
// concerned.
type Store struct {
	shards [shardCount]shard
	dbs    [Databases]atomic.Pointer[database] // nil = empty; replaced under all locks, created under one
	seed   maphash.Seed
	memory *memory // of members; see there

	applied  atomic.Uint64
	clock    atomic.Int64 // largest nowMs of any entry
	deadline atomic.Int64 // see NextDeadline
	noSweep  atomic.Bool  // see SetActiveExpire
	expired  atomic.Uint64
	subkeys  atomic.Uint64 // see ExpiredFields
	evicted  atomic.Uint64
	observer atomic.Pointer[Observer] // nil = none
	notifier atomic.Pointer[Notifier] // of keyspace events; nil most of the time
	live     atomic.Uint64            // see Records
	mapped   atomic.Uint64            // see Records
	moves    atomic.Uint64            // see Moves
	refusals atomic.Uint64            // see Moves
	running  atomic.Bool              // see Moves
	purge    atomic.Bool              // see Purge

	use       atomic.Uint64 // the clock of uses: seconds(24) minutes(16) LFU(1); see NoteUse
	logFactor atomic.Int64
	decay     atomic.Int64

	// epoch counts freezes; views counts those not closed. Both change under freezeMu, by the applier between
	// commands or by a reader that holds every shard; the applier looks at them while it holds a shard exclusively.
	freezeMu sync.Mutex
	epoch    uint64
	views    atomic.Int64
	open     []uint64      // the epochs of the views that are not closed, ascending
	oldest   atomic.Uint64 // the first of them; the largest number if there is none

	// Of the applier alone.
	index     uint64 // of the entry in execution
	lastIndex uint64 // no record has a higher version
	seen      uint64 // epoch for which frozenAt was set
	frozenAt  uint64 // records with a higher version are in no view
	now       int64  // its stamp
	entrySeed uint64
	position  uint64 // write commands executed in the entry
	rides     uint64 // reads executed in the entry
	dueMoved  bool   // some deadline changed: End computes NextDeadline
	dropped   []droppedArena
	tx        Tx
	replay    replay

	candidates []candidate // scratch of Choose

	waits    waiters
	answered []*Blocked // see TakeAnswered

	waitedKeys, deprivedKeys atomic.Int64 // see Waiting; any goroutine

	readers  sync.Pool     // *Tx
	readSeed uint64        // of the randomness of reads outside of the log; another one in every process
	readDice atomic.Uint64 // reads that rolled
}

// NewStore returns an empty keyspace.
func NewStore() *Store { return newStore(maphash.MakeSeed()) }

func newStore(seed maphash.Seed) *Store {
	s := &Store{seed: seed, memory: newMemory(), readSeed: maphash.Bytes(seed, []byte("reads"))}
	s.oldest.Store(noView)
	s.readers.New = func() any { return new(Tx) }
	s.replay.init()
	return s
}

// Applied is the index of the last entry applied. Any goroutine.
func (s *Store) Applied() uint64 { return s.applied.Load() }

// Clock is the largest stamp of any applied entry in Unix ms: what reads take for now. Any goroutine.
func (s *Store) Clock() int64 { return s.clock.Load() }

// NextDeadline is the first stamp in Unix ms at which a sweep would delete something, 0 if no key or field has a deadline. Any
// goroutine.
func (s *Store) NextDeadline() int64 {
	if s.noSweep.Load() {
		return 0
	}
	return s.deadline.Load()
}

// SetActiveExpire says whether NextDeadline tells of keys that are due; if not, this node proposes no sweep. Not part of the
// state. Any goroutine.
func (s *Store) SetActiveExpire(on bool) { s.noSweep.Store(!on) }

// Begin starts the entry at index with its stamp in Unix ms and its seed. The clock never goes back. Applier only.
func (s *Store) Begin(index uint64, nowMs int64, seed uint64) {
	if clock := s.clock.Load(); nowMs < clock {
		nowMs = clock
	}
	if nowMs != s.clock.Load() { // a store costs as much as the rest
		s.clock.Store(nowMs)
	}
	s.lastIndex = max(s.lastIndex, index)
	s.index, s.now, s.entrySeed, s.position, s.rides = index, nowMs, seed, 0, 0
}

// Exec runs one command of the entry begun: a write as every node runs it, or a read that rides between the writes
// and sees exactly what came before it. Only writes advance the position that seeds Rand, because the entry holds
// only them. Applier only.
func (s *Store) Exec(c *Command, out Out) { s.exec(c, out, -1) }

// exec is Exec for a command whose placed key may be at a position of its slot's order.
func (s *Store) exec(c *Command, out Out, hint int) {
	tx := &s.tx
	s.enter(c, out)
	tx.know(c, hint)
	if !tx.writes {
		tx.run(c, out)
		return
	}
	if s.waits.n != 0 || c.Spec.Flags&FlagBlocking != 0 {
		s.execWaiting(c, out)
		return
	}
	tx.lock(c.Spec, c.Args)
	tx.run(c, out)
	tx.unlock()
	tx.by = nil
}

// enter begins a command of the entry, or of a transaction in it.
func (s *Store) enter(c *Command, out Out) {
	tx := &s.tx
	if c.Spec.Flags&FlagWrite == 0 {
		tx.begin(s, c.DB, s.now, splitMix(^s.entrySeed+s.rides))
		s.rides++
		return
	}
	tx.begin(s, c.DB, s.now, splitMix(s.entrySeed+s.position*golden))
	s.position++
	tx.writes, tx.by = true, out
}

// End finishes the entry: Applied becomes its index. Applier only.
func (s *Store) End() {
	if s.dueMoved {
		s.dueMoved = false
		s.deadline.Store(s.earliest())
	}
	s.applied.Store(s.index)
	s.tx.trim(maxRaw)
	s.drain()
	s.measure()
}

// measure notes what Records and Waiting tell.
func (s *Store) measure() {
	s.measureWaits()
	var live, mapped uint64
	for i := range s.dbs {
		if db := s.dbs[i].Load(); db != nil {
			live += db.arena.Live()
			mapped += db.arena.Mapped()
		}
	}
	live += s.memory.arena.Live() + s.memory.tables.arena.Live()
	mapped += s.memory.arena.Mapped() + s.memory.tables.arena.Mapped()
	for i := range s.dropped {
		mapped += s.dropped[i].arena.Mapped()
	}
	if live != s.live.Load() {
		s.live.Store(live)
	}
	if mapped != s.mapped.Load() {
		s.mapped.Store(mapped)
	}
}

// Records returns the bytes of all records and of the tables of members, and of the memory that the system has given for them, as
// of the last entry.
// MemoryUsed models the whole state and is equal on all nodes; this is what one part of it takes on this node, where the
// Go heap does not show it: both are zero in builds that keep records on the Go heap. Any goroutine.
func (s *Store) Records() (live, mapped uint64) {
	if !slab.OffHeap {
		return 0, 0
	}
	return s.live.Load(), s.mapped.Load()
}

// SetApplied passes an entry that holds no commands and begins no term. Applier only.
func (s *Store) SetApplied(index uint64) { s.applied.Store(index) }

// Read executes one read at the state's clock, under the read locks of its keys' shards. Any goroutine.
func (s *Store) Read(c *Command, out Out) {
	tx, _ := s.readers.Get().(*Tx)
	tx.begin(s, c.DB, 0, 0)
	tx.ownRng = false
	tx.know(c, -1)
	tx.lock(c.Spec, c.Args)
	tx.now = s.clock.Load() // behind the lock: never older than the writes it shows
	tx.run(c, out)
	tx.unlock()
	tx.reset()
	s.readers.Put(tx)
}

// Promote makes the command a write, to be proposed, if it is a read that would change something, and reports whether it did.
// Any goroutine; the command's.
func (s *Store) Promote(c *Command) bool {
	if c.Spec.Changes == nil {
		return false
	}
	tx, _ := s.readers.Get().(*Tx)
	tx.begin(s, c.DB, 0, 0)
	tx.know(c, -1)
	tx.lock(c.Spec, c.Args)
	tx.now = s.clock.Load()
	changes := c.Spec.Changes(tx, c.Args)
	tx.unlock()
	tx.reset()
	s.readers.Put(tx)
	if changes {
		c.Spec = c.Spec.Logged
	}
	return changes
}

// earliest finds the first stamp at which some key, or a field of a hash, is due.
func (s *Store) earliest() int64 {
	first := int64(0)
	for i := range s.dbs {
		db := s.dbs[i].Load()
		if db == nil {
			continue
		}
		for _, order := range [...]*btree.BTreeG[deadline]{db.due, db.fields} {
			if d, ok := order.Min(); ok && (first == 0 || d.at < first-1) {
				first = d.at + 1
			}
		}
	}
	return first
}

// Keys returns how many keys database db holds, and how many of them have a deadline; due keys count until they are
// swept. Any goroutine.
func (s *Store) Keys(db int) (keys, expires int64) {
	d := s.dbs[db].Load()
	if d == nil {
		return 0, 0
	}
	return d.keys.Load(), d.expires.Load()
}

// AvgTTL is the mean time to live in ms of the keys of database db that have a deadline, by the state's clock and
// accurate to a second. Any goroutine.
func (s *Store) AvgTTL(db int) int64 {
	d := s.dbs[db].Load()
	if d == nil {
		return 0
	}
	n := d.expires.Load()
	if n == 0 {
		return 0
	}
	return max(0, (d.expireSum.Load()/n)*1000-s.clock.Load())
}

// Expired is the number of keys deleted because they were due. Any goroutine.
func (s *Store) Expired() uint64 { return s.expired.Load() }

// ExpiredFields is the number of fields of hashes deleted because they were due; those of a hash that goes with its last one count
// as a key. Any goroutine.
func (s *Store) ExpiredFields() uint64 { return s.subkeys.Load() }

// FieldExpires is the number of hashes of database db of which fields have deadlines. Any goroutine.
func (s *Store) FieldExpires(db int) int64 {
	if d := s.dbs[db].Load(); d != nil {
		return d.timed.Load()
	}
	return 0
}

// Hits is the number of keys that reads found on this node. Any goroutine.
func (s *Store) Hits() (n uint64) {
	for i := range s.shards {
		n += s.shards[i].hits.Load()
	}
	return n
}

// Misses is the number of keys that reads did not find on this node. Any goroutine.
func (s *Store) Misses() (n uint64) {
	for i := range s.shards {
		n += s.shards[i].misses.Load()
	}
	return n
}

// MemoryUsed estimates the bytes of all keys and values from the logical state. Any goroutine.
func (s *Store) MemoryUsed() (n int64) {
	for i := range s.dbs {
		if d := s.dbs[i].Load(); d != nil {
			n += d.mem.Load()
		}
	}
	return n
}

// CountKeysInSlot counts the keys of database 0 in a hash slot. Any goroutine.
func (s *Store) CountKeysInSlot(slot int) int {
	if slot < 0 || slot >= Slots {
		return 0
	}
	sh := &s.shards[slot/pageSlots]
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	db := s.dbs[0].Load()
	if db == nil {
		return 0
	}
	return db.keysIn(slot)
}

// KeysInSlot returns copies of up to n keys of database 0 in a hash slot. Any goroutine.
func (s *Store) KeysInSlot(slot, n int) [][]byte {
	if slot < 0 || slot >= Slots || n <= 0 {
		return nil
	}
	sh := &s.shards[slot/pageSlots]
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	db := s.dbs[0].Load()
	if db == nil {
		return nil
	}
	keys := make([][]byte, min(n, db.keysIn(slot)))
	for i := range keys {
		it := db.itemAt(slot, i)
		keys[i] = append([]byte(nil), it.key()...)
	}
	return keys
}
