package fsm

import (
	"math"
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
	waits  []*waiter            // the oldest first
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
func (s *Store) Freeze() *View {
	v := s.freeze()
	v.waits = s.waits.all()
	return v
}

// freeze is Freeze without waiters, for the applier between commands, or for a reader that holds every shard.
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
	db  *frozenDB
	sum uint64
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
		for i := range p.dicts {
			if p.dicts[i].Len() > 0 {
				f(n*pageSlots+i, &frozenSlot{p.dicts[i].View(), frozen, p.sums[i]})
			}
		}
	}
}

// Hash returns the state hash, and every slot's part in it. Nodes that applied the same entries have the same, whatever
// happened to them on the way.
func (v *View) Hash() (total uint64, slots *[Slots]uint64) {
	slots = new([Slots]uint64)
	for n, db := range v.dbs {
		if db != nil {
			total += addSums(slots, n, &db.pages)
		}
	}
	return total + addWaiters(slots, v.waits), slots
}

// Hash is Freeze().Hash() without a view. Applier only, between entries.
func (s *Store) Hash() (total uint64, slots *[Slots]uint64) {
	slots = new([Slots]uint64)
	for n := range s.dbs {
		if db := s.dbs[n].Load(); db != nil {
			total += addSums(slots, n, &db.pages)
		}
	}
	return total + addWaiters(slots, s.waits.all()), slots
}

// addWaiters adds the parts of waiters to their slots, and returns the sum of them.
func addWaiters(slots *[Slots]uint64, all []*waiter) (total uint64) {
	for _, w := range all {
		slots[w.slot] += w.sum
		total += w.sum
	}
	return total
}

// addSums adds the slots of one database, and returns the sum of what it added.
func addSums(slots *[Slots]uint64, db int, pages *[shardCount]*slotPage) (total uint64) {
	factor := databaseFactor(db)
	for i, p := range pages {
		if p == nil {
			continue
		}
		for j, sum := range p.sums {
			slots[i*pageSlots+j] += sum * factor
			total += sum * factor
		}
	}
	return total
}

// Verify computes the state hash from the content of all keys. An *InvariantError names the first slot whose content is not
// what was counted by the writes.
func (v *View) Verify() (total uint64, err error) {
	for db := range v.dbs {
		v.eachSlot(db, func(slot int, keys *frozenSlot) {
			sum := uint64(0)
			for i := range keys.Len() {
				it := keys.item(i)
				sum += it.recountAt(i)
			}
			if err == nil {
				err = compareSums(db, slot, keys.sum, sum)
			}
			total += sum * databaseFactor(db)
		})
	}
	for _, w := range v.waits {
		total += w.sum
	}
	return total, err
}

// appendValue appends the canonical encoding of the value, which it looks at by way of l.
func (it *item) appendValue(dst []byte, l *light) []byte {
	if c := it.collection(l); c != nil {
		return c.appendTo(dst)
	}
	return it.appendString(dst)
}
