package fsm

import (
	"fmt"

	"kvapp/fsm/slab"
)

// InvariantError names a broken invariant of the keyspace.
type InvariantError struct {
	Name  string
	State string
}

// Error implements error.
func (e *InvariantError) Error() string {
	return "keyspace invariant broken: " + e.Name + ": " + e.State
}

// Check verifies the invariants of the whole keyspace in O(keys). Applier only, between entries.
func (s *Store) Check() error {
	for n := range s.dbs {
		db := s.dbs[n].Load()
		if db == nil {
			continue
		}
		if err := s.checkDatabase(n, db); err != nil {
			return err
		}
	}
	if got, want := s.deadline.Load(), s.earliest(); got != want {
		return &InvariantError{"next deadline", fmt.Sprintf("%d, should be %d", got, want)}
	}
	if err := s.checkWaiters(); err != nil {
		return err
	}
	return s.checkMemory()
}

func (s *Store) checkDatabase(n int, db *database) error {
	var keys, expires, timed, mem, seconds, objects int64
	var live uint64
	for slot := range Slots {
		count := db.keysIn(slot)
		if got := db.counts.before(slot+1) - db.counts.before(slot); got != count {
			return &InvariantError{"keys per slot", fmt.Sprintf("db %d slot %d: %d, counted %d", n, slot, count, got)}
		}
		sum := uint64(0)
		for i := range count {
			it := db.itemAt(slot, i)
			sum += it.recountAt(i)
			if err := s.checkKey(db, &it, slot, i); err != nil {
				return err
			}
			keys++
			mem += it.cost()
			live += uint64(slab.Size(len(it.record)))
			if at := it.deadline(); at != 0 {
				expires++
				seconds += at / 1000
			}
			if it.enc() == encObject {
				objects++
			}
			if it.times().len() > 0 {
				timed++
			}
		}
		if err := compareSums(n, slot, db.sumOf(slot), sum); err != nil {
			return err
		}
	}
	if keys != db.keys.Load() || expires != db.expires.Load() || int(expires) != db.due.Len() ||
		mem != db.mem.Load() || seconds != db.expireSum.Load() {
		return &InvariantError{"counters", fmt.Sprintf("db %d: %d keys, %d expires, %d due, %d bytes; counted %d, %d, %d, %d",
			n, db.keys.Load(), db.expires.Load(), db.due.Len(), db.mem.Load(), keys, expires, expires, mem)}
	}
	if timed != db.timed.Load() || int(timed) != db.fields.Len() {
		return &InvariantError{"hashes with deadlines", fmt.Sprintf("db %d: %d, %d in order; counted %d", n, db.timed.Load(), db.fields.Len(), timed)}
	}
	if live != db.arena.Live() {
		return &InvariantError{"bytes in the arena", fmt.Sprintf("db %d: %d, counted %d", n, db.arena.Live(), live)}
	}
	if held := int64(db.objects.live() - db.retired.objects()); held != objects {
		return &InvariantError{"objects", fmt.Sprintf("db %d: %d, counted %d", n, held, objects)}
	}
	return nil
}

// objects is the number of retired objects.
func (q *retirement) objects() (n int) {
	from := q.from
	for c := q.first; c != nil; c = c.next {
		to := retiredChunkLen
		if c == q.last {
			to = q.to
		}
		for i := from; i < to; i++ {
			if c.items[i].object {
				n++
			}
		}
		from = 0
	}
	return n
}

// checkPlace verifies that a collection stands where its content wants it: in the record, or as an object that takes no more
// memory than it needs.
func checkPlace(it *item) error {
	c := it.collection(new(light))
	if c == nil {
		return nil
	}
	small, inRecord := c.packed(), it.enc() >= encPacked
	switch {
	case c.len() == 0 && c.kind() != kindStream:
		return &InvariantError{"collections have elements", fmt.Sprintf("%q", it.key())}
	case inRecord != (small != nil && len(*small) <= maxPacked):
		return &InvariantError{"small collections stand in their records", fmt.Sprintf("%q: %v", it.key(), inRecord)}
	case inRecord && it.textLen() != int64(c.size()):
		return &InvariantError{"accounted size", fmt.Sprintf("%q: %d, is %d", it.key(), it.textLen(), c.size())}
	case !inRecord && small != nil && small.loose():
		return &InvariantError{"objects have little room", fmt.Sprintf("%q: %d bytes, room for %d", it.key(), len(*small), cap(*small))}
	}
	return nil
}

// checkKey verifies one key: it is found where it stands, in its own slot, with its deadline in the order of expiry and
// the size of its object accounted.
func (s *Store) checkKey(db *database, it *item, slot, pos int) error {
	key := it.key()
	if at, ref, _ := db.find(slot, hashKey(s.seed, key), key, -1); int(Slot(key)) != slot || at != pos || ref != db.dict(slot).At(pos) {
		return &InvariantError{"a key is found at its place", fmt.Sprintf("%q in slot %d at %d", key, slot, pos)}
	}
	if o := it.object(); o != nil && it.textLen() != int64(o.size()) {
		return &InvariantError{"accounted size", fmt.Sprintf("%q: %d, is %d", key, it.textLen(), o.size())}
	}
	if err := checkPlace(it); err != nil {
		return err
	}
	if it.version() > s.lastIndex {
		return &InvariantError{"versions are past", fmt.Sprintf("%q: %d", key, it.version())}
	}
	if at := it.deadline(); at != 0 {
		if d, ok := db.due.Get(deadline{at, db.dict(slot).At(pos)}); !ok || d.ref != db.dict(slot).At(pos) {
			return &InvariantError{"a deadline stands in the order of expiry", fmt.Sprintf("%q", key)}
		}
	}
	if t := it.times(); t != nil {
		return checkTimes(db, it, t, db.dict(slot).At(pos))
	}
	return nil
}

// checkTimes verifies the deadlines of a hash's fields: they are of its fields, can be found both ways, and the earliest stands in
// the order of expiry.
func checkTimes(db *database, it *item, t *fieldTimes, ref slab.Ref) error {
	h, _ := it.object().(*hashValue)
	var last fieldTime
	n, bad := 0, false
	t.each(func(f fieldTime) bool {
		bad = bad || last.compare(f) >= 0 || f.at <= 0 || f.pos < 0 || f.pos >= h.len() || t.get(f.pos) != f.at
		last = f
		n++
		return true
	})
	if bad || n != t.len() || n > 0 && t.last() != last.at {
		return &InvariantError{"deadlines of fields", fmt.Sprintf("%q: %d of %d fields", it.key(), t.len(), h.len())}
	}
	if t.linked != t.first().at {
		return &InvariantError{"the earliest deadline of a field", fmt.Sprintf("%q: %d, is %d", it.key(), t.linked, t.first().at)}
	}
	if d, ok := db.fields.Get(deadline{t.linked, ref}); t.linked != 0 && (!ok || d.ref != ref) {
		return &InvariantError{"a hash stands in the order of expiry", fmt.Sprintf("%q", it.key())}
	}
	return nil
}
