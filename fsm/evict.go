package fsm

import (
	"cmp"
	"math"
	"slices"

	"kvapp/fsm/slab"
)

// Eviction has two halves. Choose picks keys by what this node knows of their use; only the leader asks for it, and what
// it picks depends on that node alone. The command of EvictCommands, which the leader proposes then, names them: every node
// deletes the same keys, at the same place in the log. Between the two a key may have changed. The command says with which
// version each was picked, and one that was written to since, given a value or another deadline, stays: it is in use, and
// with a volatile policy it may have lost the deadline that allowed its eviction.

// Policy says which keys are evicted when memory is short.
type Policy uint8

// The policies of Redis.
const (
	NoEviction Policy = iota
	AllKeysLRU
	AllKeysLFU
	AllKeysRandom
	VolatileLRU
	VolatileLFU
	VolatileRandom
	VolatileTTL
)

var policyNames = []string{"noeviction", "allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-random",
	"volatile-ttl"}

// ParsePolicy returns the policy of a name, NoEviction for one that there is not.
func ParsePolicy(name string) Policy { return Policy(max(0, slices.Index(policyNames, name))) }

// String is the policy's name.
func (p Policy) String() string { return policyNames[p] }

// LFU says that the policy goes by how often keys are used; see Use.
func (p Policy) LFU() bool { return p == AllKeysLFU || p == VolatileLFU }

func (p Policy) volatile() bool { return p >= VolatileLRU }
func (p Policy) random() bool   { return p == AllKeysRandom || p == VolatileRandom }

// Choice is what Choose is asked for.
type Choice struct {
	Policy  Policy
	Need    int64 // bytes, by Counted, that the keys should take together
	Limit   int   // most keys
	Samples int   // keys that are looked at for each one chosen
	Seed    uint64
}

// Victim is a key to evict.
type Victim struct {
	DB      int
	Key     []byte
	Version uint64 // that the key had when it was chosen
	Bytes   int64  // that it took then
}

const (
	// maxSamples bounds Choice.Samples: with so many a choice is exact for all purposes.
	maxSamples = 256
	// maxCandidates bounds what one choice looks at.
	maxCandidates = 8192
	// spareSamples are looked at beyond what was asked for, so that a choice of one is not the best of a handful.
	spareSamples = 16
)

// candidate is a key that Choose has looked at.
type candidate struct {
	score uint64 // the higher the better a victim
	db    int
	ref   slab.Ref
	bytes int64
}

// Counted is what the keys take in bytes: the sum of what MEMORY USAGE answers for each. It follows from the state alone and is
// equal on all nodes. Any goroutine.
func (s *Store) Counted() int64 {
	n := s.MemoryUsed()
	for i := range s.dbs {
		if db := s.dbs[i].Load(); db != nil {
			n += db.expires.Load() * deadlineCost
		}
	}
	return n
}

// Evicted is the number of keys that were evicted. Any goroutine.
func (s *Store) Evicted() uint64 { return s.evicted.Load() }

// Choose returns keys to evict, best first; none if there are no keys that the policy allows to evict. It changes nothing.
// Applier only, between entries.
func (s *Store) Choose(c *Choice) []Victim {
	if c.Policy == NoEviction || c.Need <= 0 || c.Limit <= 0 {
		return nil
	}
	total := 0
	for i := range s.dbs {
		total += s.eligible(i, c.Policy)
	}
	if total == 0 {
		return nil
	}
	most := s.guess(c)
	switch samples := min(max(1, c.Samples), maxSamples); {
	case c.Policy == VolatileTTL:
		s.nearest(most)
	case c.Policy.random():
		s.sample(c, total, most)
	default:
		most = min(most, maxCandidates/samples)
		n := most*samples + spareSamples
		s.sample(c, total, n)
		if n < total {
			most = max(1, min(most, len(s.candidates)/samples))
		}
	}
	return s.best(c.Need, most)
}

// guess is how many keys of average size have the bytes that are needed, within the limit.
func (s *Store) guess(c *Choice) int {
	keys := int64(0)
	for i := range s.dbs {
		n, _ := s.Keys(i)
		keys += n
	}
	average := max(1, s.Counted()/max(1, keys))
	return int(min(c.Need/average+1, int64(c.Limit), maxCandidates))
}

// eligible is how many keys of a database the policy allows to evict.
func (s *Store) eligible(db int, p Policy) int {
	keys, expires := s.Keys(db)
	if p.volatile() {
		return int(expires)
	}
	return int(keys)
}

// sample gathers n of the total keys that may be evicted, drawn at random, or all of them if there are no more.
func (s *Store) sample(c *Choice, total, n int) {
	s.candidates = s.candidates[:0]
	dice := c.Seed
	for i := range min(n, total) {
		at := i
		if n < total {
			dice += golden
			at = int(splitMix(dice) % uint64(total))
		}
		db := 0
		for ; at >= s.eligible(db, c.Policy); db++ {
			at -= s.eligible(db, c.Policy)
		}
		s.consider(db, s.dbs[db].Load().number(at, c.Policy.volatile()), c)
	}
}

// number returns a key by its number among all of the database, or among those with a deadline.
func (db *database) number(i int, volatile bool) slab.Ref {
	if volatile {
		d, _ := db.due.GetAt(i)
		return d.ref
	}
	slot, pos := db.counts.locate(i)
	return db.dict(slot).At(pos)
}

// nearest gathers the keys with the n earliest deadlines of every database.
func (s *Store) nearest(n int) {
	s.candidates = s.candidates[:0]
	for i := range s.dbs {
		db := s.dbs[i].Load()
		if db == nil {
			continue
		}
		left := n
		db.due.Scan(func(d deadline) bool {
			it := item{db.record(d.ref), db.objects.dir.Load()}
			s.candidates = append(s.candidates, candidate{math.MaxInt64 - uint64(d.at), i, d.ref, it.bytes()})
			left--
			return left > 0
		})
	}
}

// consider makes a key a candidate.
func (s *Store) consider(n int, ref slab.Ref, c *Choice) {
	db := s.dbs[n].Load()
	it := item{db.record(ref), db.objects.dir.Load()}
	score := splitMix(c.Seed ^ uint64(ref)<<4 ^ uint64(n)) // for a policy that goes by chance
	if !c.Policy.random() {
		score = s.idle(it.use())
	}
	s.candidates = append(s.candidates, candidate{score, n, ref, it.bytes()})
}

// bytes is what the key takes by Counted.
func (it *item) bytes() int64 {
	if it.deadline() != 0 {
		return it.cost() + deadlineCost
	}
	return it.cost()
}

// best returns the best candidates, at most so many, until they take the bytes needed.
func (s *Store) best(need int64, most int) (victims []Victim) {
	slices.SortFunc(s.candidates, func(a, b candidate) int {
		return cmp.Or(-cmp.Compare(a.score, b.score), cmp.Compare(a.db, b.db), cmp.Compare(a.ref, b.ref))
	})
	s.candidates = slices.CompactFunc(s.candidates, func(a, b candidate) bool { return a.db == b.db && a.ref == b.ref })
	for i := range s.candidates {
		if len(victims) == most || need <= 0 {
			break
		}
		c := &s.candidates[i]
		r := s.dbs[c.db].Load().record(c.ref)
		victims = append(victims, Victim{DB: c.db, Key: slices.Clone(r.key()), Version: r.version(), Bytes: c.bytes})
		need -= c.bytes
	}
	return victims
}

// evictName is the command by which a leader has keys evicted on every node. Clients cannot call it.
const evictName = "_evict"

var evictSpec = &Spec{
	Name: evictName, Event: noEvent, Arity: -3, Flags: FlagWrite | FlagInternal, Group: "generic", Run: runEvict,
	Summary: "Evicts keys, each behind the version that it must still have.", Complexity: "O(n) with n keys",
}

// EvictCommands returns the internal write commands that evict the victims: one for each database, which Command.DB names.
func EvictCommands(victims []Victim) (cmds []Command) {
	for db := range Databases {
		c := Command{Spec: evictSpec, DB: db, Args: [][]byte{[]byte(evictName)}}
		for i := range victims {
			if v := &victims[i]; v.DB == db {
				c.Args = append(c.Args, appendInt(nil, int64(v.Version)), v.Key)
			}
		}
		if len(c.Args) > 1 {
			c.Raw = appendCommand(nil, c.Args)
			cmds = append(cmds, c)
		}
	}
	return cmds
}

// appendCommand appends a command in RESP.
func appendCommand(dst []byte, args [][]byte) []byte {
	dst = appendInt(append(dst, '*'), int64(len(args)))
	for _, a := range args {
		dst = appendInt(append(dst, "\r\n$"...), int64(len(a)))
		dst = append(append(dst, "\r\n"...), a...)
	}
	return append(dst, "\r\n"...)
}

// runEvict deletes the keys that still have their version. Each goes under the lock of its own shard, as if it had been
// deleted by a command of its own.
func runEvict(tx *Tx, args [][]byte, out Out) {
	tx.quiet = true
	n := int64(0)
	for i := 1; i+1 < len(args); i += 2 {
		version, ok := intArg(args[i], out)
		if !ok {
			return
		}
		if tx.evict(uint64(version), args[i+1]) {
			n++
		}
	}
	tx.s.evicted.Add(uint64(n))
	out.Int(n)
}

func (tx *Tx) evict(version uint64, key []byte) bool {
	sh := &tx.s.shards[int(Slot(key))/pageSlots]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	p, found := tx.findWrite(tx.DB, key)
	if !found || p.version() != version {
		return false
	}
	tx.tellAt(&p, EventEvicted, "evicted")
	tx.clear(&p)
	return true
}
