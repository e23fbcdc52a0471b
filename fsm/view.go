package fsm

import (
	"math/bits"
	"sync/atomic"
)

// View is the keyspace frozen at one index. It may be read by one goroutine at a time, while the applier goes on: the
// applier copies what the view still shows before it changes it. Close gives that up; a view must be closed.
type View struct {
	s      *Store
	index  uint64
	clock  int64
	pages  [Databases]*[shardCount]*slotPage
	closed atomic.Bool
}

// Freeze returns the state at the applied index. It copies one pointer per shard of every database in use; writes that
// follow pay for copies of the pages and slots they touch. Applier only, between entries.
func (s *Store) Freeze() *View { return s.freeze() }

// freeze is Freeze for the applier between commands, or for a reader that holds every shard.
func (s *Store) freeze() *View {
	s.freezeMu.Lock()
	defer s.freezeMu.Unlock()
	s.epoch++
	s.views.Add(1)
	v := &View{s: s, index: s.applied.Load(), clock: s.clock.Load()}
	for i := range s.dbs {
		if db := s.dbs[i].Load(); db != nil {
			pages := db.pages
			v.pages[i] = &pages
		}
	}
	return v
}

// Index is the index of the last entry the view shows.
func (v *View) Index() uint64 { return v.index }

// Close ends the view; it must not be read any more. Closing twice does nothing.
func (v *View) Close() {
	if !v.closed.Swap(true) {
		v.pages = [Databases]*[shardCount]*slotPage{}
		v.s.views.Add(-1)
	}
}

// eachSlot calls f with the entries of every slot of a database that is not empty, ascending.
func (v *View) eachSlot(db int, f func(slot int, entries []entry)) {
	if v.pages[db] == nil {
		return
	}
	for n, p := range v.pages[db] {
		if p == nil {
			continue
		}
		for i, d := range p.dicts {
			if d != nil {
				f(n*pageSlots+i, d.entries)
			}
		}
	}
}

// Hash returns a hash of the logical state and of every slot's part in it: database, key, type, form, value and deadline of
// each key. Nodes that applied the same entries have the same hashes, whatever happened to them on the way.
func (v *View) Hash() (total uint64, slot func(i int) uint64) {
	var sums [shardCount]*[pageSlots]uint64
	var buf []byte
	for db := range Databases {
		v.eachSlot(db, func(slot int, entries []entry) {
			page := &sums[slot/pageSlots]
			if *page == nil {
				*page = new([pageSlots]uint64)
			}
			for i := range entries {
				e := &entries[i]
				buf = appendUint(buf[:0], uint64(db)<<8|e.code(), uint64(e.expireAt), uint64(e.keyLen()))
				buf = append(buf, e.key()...)
				buf = e.appendValue(buf)
				sum := hashBytes(buf)
				(*page)[slot%pageSlots] += sum
				total += sum
			}
		})
	}
	return total, func(i int) uint64 {
		if page := sums[i/pageSlots]; page != nil {
			return page[i%pageSlots]
		}
		return 0
	}
}

// appendValue appends the canonical encoding of the entry's value.
func (e *entry) appendValue(dst []byte) []byte {
	if e.obj != nil {
		return e.obj.appendTo(dst)
	}
	return e.appendString(dst)
}

// hashBytes is a 64-bit hash with a fixed definition (multiply and fold, eight bytes at a time): nodes compare it, so
// it must never change.
func hashBytes(b []byte) uint64 {
	h := uint64(len(b)) ^ 0x51ed270b9f652295
	for ; len(b) >= 8; b = b[8:] {
		w := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		h = fold(h^w, golden)
	}
	w := uint64(0)
	for i, c := range b {
		w |= uint64(c) << (8 * i)
	}
	return splitMix(fold(h^w, 0xbf58476d1ce4e5b9))
}

// fold spreads x over 64 bits; x*k modulo 2^128 is folded so that no bit is lost, and x is mixed in again so that no
// input gives zero for all that follows.
func fold(x, k uint64) uint64 {
	hi, lo := bits.Mul64(x, k)
	return hi ^ lo ^ bits.RotateLeft64(x, 29)
}
