package fsm

import (
	"math"
	"math/bits"
	"slices"
	"sync/atomic"

	slotdict "kvapp/fsm/dict"
	"kvapp/fsm/slab"
)

// View is the keyspace frozen at one index. It may be read by one goroutine at a time, while the applier goes on: the
// applier copies what the view still shows before it changes it. Close gives that up; a view must be closed.
type View struct {
	s      *Store
	index  uint64
	clock  int64
	epoch  uint64
	dbs    [Databases]*frozenDB // nil = empty
	closed atomic.Bool
}

// frozenDB is a database as a view shows it.
type frozenDB struct {
	pages [shardCount]*slotPage
	arena *slab.Arena
	objs  *objectDir
}

// noView is Store.oldest without views.
const noView = math.MaxUint64

// Freeze returns the state at the applied index. It copies one pointer per shard of every database in use; writes that
// follow pay for copies of the pages, dictionaries and records they touch. Applier only, between entries.
func (s *Store) Freeze() *View { return s.freeze() }

// freeze is Freeze for the applier between commands, or for a reader that holds every shard.
func (s *Store) freeze() *View {
	s.freezeMu.Lock()
	defer s.freezeMu.Unlock()
	s.epoch++
	s.open = append(s.open, s.epoch)
	s.oldest.Store(s.open[0])
	s.views.Add(1)
	v := &View{s: s, index: s.applied.Load(), clock: s.clock.Load(), epoch: s.epoch}
	for i := range s.dbs {
		if db := s.dbs[i].Load(); db != nil {
			v.dbs[i] = &frozenDB{pages: db.pages, arena: db.arena, objs: db.objects.dir.Load()}
		}
	}
	return v
}

// Index is the index of the last entry the view shows.
func (v *View) Index() uint64 { return v.index }

// Close ends the view; it must not be read any more. Closing twice does nothing.
func (v *View) Close() {
	if v.closed.Swap(true) {
		return
	}
	v.dbs = [Databases]*frozenDB{}
	s := v.s
	s.freezeMu.Lock()
	defer s.freezeMu.Unlock()
	at, _ := slices.BinarySearch(s.open, v.epoch)
	s.open = slices.Delete(s.open, at, at+1)
	oldest := uint64(noView)
	if len(s.open) > 0 {
		oldest = s.open[0]
	}
	s.oldest.Store(oldest)
	s.views.Add(-1)
}

// frozenSlot is a slot of a database as a view shows it.
type frozenSlot struct {
	slotdict.View
	db *frozenDB
}

func (f *frozenSlot) item(i int) item { return item{recordAt(f.db.arena, f.At(i)), f.db.objs} }

// eachSlot calls f for every slot of a database that is not empty, ascending.
func (v *View) eachSlot(db int, f func(slot int, keys *frozenSlot)) {
	frozen := v.dbs[db]
	if frozen == nil {
		return
	}
	for n, p := range frozen.pages {
		if p == nil {
			continue
		}
		for i := range p {
			if p[i].Len() > 0 {
				f(n*pageSlots+i, &frozenSlot{p[i].View(), frozen})
			}
		}
	}
}

// Hash returns a hash of the logical state and of every slot's part in it: database, key, type, form, value and deadline of
// each key. Nodes that applied the same entries have the same hashes, whatever happened to them on the way.
func (v *View) Hash() (total uint64, slot func(i int) uint64) {
	var sums [shardCount]*[pageSlots]uint64
	var buf []byte
	var l light
	for db := range Databases {
		v.eachSlot(db, func(slot int, keys *frozenSlot) {
			page := &sums[slot/pageSlots]
			if *page == nil {
				*page = new([pageSlots]uint64)
			}
			for i := range keys.Len() {
				it := keys.item(i)
				buf = appendUint(buf[:0], uint64(db)<<8|it.code(), uint64(it.deadline()), uint64(it.keyLen()))
				buf = append(buf, it.key()...)
				buf = it.appendValue(buf, &l)
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

// appendValue appends the canonical encoding of the value, which it looks at by way of l.
func (it *item) appendValue(dst []byte, l *light) []byte {
	if c := it.collection(l); c != nil {
		return c.appendTo(dst)
	}
	return it.appendString(dst)
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
