package fsm

import "fmt"

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
	return nil
}

func (s *Store) checkDatabase(n int, db *database) error {
	var keys, expires, mem, seconds int64
	for slot := range Slots {
		d, count := db.dict(slot), 0
		if d != nil {
			count = len(d.entries)
		}
		if d != nil && count == 0 {
			return &InvariantError{"an empty slot has no dictionary", fmt.Sprintf("db %d slot %d", n, slot)}
		}
		if got := db.counts.before(slot+1) - db.counts.before(slot); got != count {
			return &InvariantError{"keys per slot", fmt.Sprintf("db %d slot %d: %d, counted %d", n, slot, count, got)}
		}
		if d == nil {
			continue
		}
		for i := range d.entries {
			e := &d.entries[i]
			if err := s.checkEntry(db, d, slot, i); err != nil {
				return err
			}
			keys++
			mem += e.cost()
			if e.expireAt != 0 {
				expires++
				seconds += e.expireAt / 1000
			}
		}
	}
	if keys != db.keys.Load() || expires != db.expires.Load() || int(expires) != db.due.Len() ||
		mem != db.mem.Load() || seconds != db.expireSum.Load() {
		return &InvariantError{"counters", fmt.Sprintf("db %d: %d keys, %d expires, %d due, %d bytes; counted %d, %d, %d, %d",
			n, db.keys.Load(), db.expires.Load(), db.due.Len(), db.mem.Load(), keys, expires, expires, mem)}
	}
	return nil
}

// checkEntry verifies one entry: it is found where it stands, in its own slot, with its deadline in the order of
// expiry and the size of its object accounted.
func (s *Store) checkEntry(db *database, d *slotDict, slot, pos int) error {
	e := &d.entries[pos]
	key := []byte(e.key())
	if int(Slot(key)) != slot || e.hash != hashKey(s.seed, key) || d.find(e.hash, key) != pos {
		return &InvariantError{"a key is found at its place", fmt.Sprintf("%q in slot %d at %d", key, slot, pos)}
	}
	if e.obj != nil && e.num != int64(e.obj.size()) {
		return &InvariantError{"accounted size", fmt.Sprintf("%q: %d, is %d", key, e.num, e.obj.size())}
	}
	if e.expireAt != 0 {
		if _, ok := db.due.Get(deadline{e.expireAt, e.key()}); !ok {
			return &InvariantError{"a deadline stands in the order of expiry", fmt.Sprintf("%q", key)}
		}
	}
	return nil
}
