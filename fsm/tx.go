package fsm

import "math/bits"

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
	quiet  bool // see Command.Quiet
	ownRng bool // rng is seeded; false for reads outside of the log until they roll
	locked shardSet
	single *shard // the only one that is locked; nil = see locked

	// The hash slot and hash of the key asked for last: commands look up the same slice several times. Hint is the position
	// where it may be, -1 = nobody knows: the key that stands there is compared.
	lastKey  *byte
	lastLen  int
	lastSlot int
	lastHash uint32
	hint     int

	// The key, by database, slot and hash, whose use was noted last; see changeUse.
	used     int
	usedHash uint32

	buf  []byte // scratch for numbers
	held []byte // scratch for a value between two keys
	keys []int  // scratch for key positions

	txn    *Transaction // of the command, nil if it is none
	wait   awaiting     // see blocking.go
	events events       // see events.go

	lights [2]light // values of collections that are packed in their records or new
	lit    int      // how many of them are in use

	sum uint32 // of touch
}

func (tx *Tx) begin(s *Store, db int, now int64, rng uint64) {
	tx.s, tx.DB, tx.now, tx.rng = s, db, now, rng
	tx.writes, tx.ownRng, tx.lastKey, tx.quiet, tx.used, tx.hint = false, true, nil, false, -1, -1
}

// run executes the command.
func (tx *Tx) run(c *Command, out Out) {
	if to := tx.s.notifier.Load(); to != nil || tx.events.to != nil {
		tx.listen(to, c.Spec)
	}
	c.Spec.Run(tx, c.Args, out)
	for ; tx.lit > 0; tx.lit-- {
		tx.lights[tx.lit-1].hold(nil) // records go, and with them the memory they stood in
	}
}

// know takes over what is known of the command: what Place has worked out, where its key may be, and whether it counts.
func (tx *Tx) know(c *Command, hint int) {
	tx.quiet, tx.hint = c.Quiet, hint
	if tx.txn != c.Txn {
		tx.txn = c.Txn
	}
	if c.placed {
		key := c.Args[1]
		tx.lastKey, tx.lastLen, tx.lastSlot, tx.lastHash = &key[0], len(key), int(c.slot), c.hash
	}
}

// reset drops what would keep a connection's buffers alive while the Tx waits in the pool.
func (tx *Tx) reset() {
	tx.lastKey, tx.txn = nil, nil
	tx.trim(4096)
}

// trim drops scratch of more than so many bytes.
func (tx *Tx) trim(most int) {
	if cap(tx.buf) > most {
		tx.buf = nil
	}
	if cap(tx.held) > most {
		tx.held = nil
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
	if spec.FirstKey == 1 && spec.LastKey == 1 && spec.Keys == nil && len(args) > 1 && spec.Flags&FlagAllKeys == 0 {
		slot, _ := tx.address(args[1])
		tx.single = &tx.s.shards[slot/pageSlots]
		if tx.writes {
			tx.single.mu.Lock()
		} else {
			tx.single.mu.RLock()
		}
		return
	}
	tx.gather(spec, args)
	tx.acquire()
}

// gather notes in locked the shards that the command's keys are in.
func (tx *Tx) gather(spec *Spec, args [][]byte) {
	tx.locked = shardSet{}
	switch {
	case spec.Flags&FlagAllKeys != 0 || spec.Wide != nil && spec.Wide(args):
		tx.locked = allShards
	case tx.txn != nil:
		tx.lockTransaction(tx.txn)
	default:
		tx.keys = spec.KeyPositions(args, tx.keys[:0])
		for _, i := range tx.keys {
			tx.locked.add(int(Slot(args[i])) / pageSlots)
		}
	}
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
	if sh := tx.single; sh != nil {
		tx.single = nil
		if tx.writes {
			sh.mu.Unlock()
		} else {
			sh.mu.RUnlock()
		}
		return
	}
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
	tx.lastKey, tx.lastLen, tx.lastSlot, tx.lastHash, tx.hint = &key[0], len(key), slot, hash, -1
	return slot, hash
}
