package fsm

import "kvapp/fsm/slab"

// Records and objects that a key no longer has may still be in a view. They are retired, and freed by later entries, a
// few for each command, when every view that could show them is closed.

// retired is a record that is in no dictionary any more.
type retired struct {
	epoch  uint64 // the store's when it was retired: views with a higher number do not show it
	ref    slab.Ref
	size   int
	handle handle // its object is retired too
	object bool   // there is one
}

const (
	retiredChunkLen = 256
	// drainPerCommand is how many retired records an entry frees for each of its commands.
	drainPerCommand = 8
)

type retiredChunk struct {
	items [retiredChunkLen]retired
	next  *retiredChunk
}

// retirement is a queue, oldest first.
type retirement struct {
	first, last *retiredChunk
	from, to    int // in first, in last
	n           int
}

func (q *retirement) push(r retired) {
	if q.last == nil || q.to == retiredChunkLen {
		c := new(retiredChunk)
		if q.last == nil {
			q.first, q.from = c, 0
		} else {
			q.last.next = c
		}
		q.last, q.to = c, 0
	}
	q.last.items[q.to] = r
	q.to++
	q.n++
}

// pop removes the oldest. REQUIRES: n > 0.
func (q *retirement) pop() {
	q.n--
	if q.from++; q.n == 0 {
		*q = retirement{}
	} else if q.from == retiredChunkLen {
		q.first, q.from = q.first.next, 0
	}
}

// ready says that the oldest is in no view older than oldest.
func (q *retirement) ready(oldest uint64) bool {
	return q.n > 0 && q.first.items[q.from].epoch < oldest
}

// discard takes a record, and with hasObject its object, out of the state: at once, or when the views that may show it
// are closed.
func (db *database) discard(ref slab.Ref, size int, h handle, hasObject, shared bool, epoch uint64) {
	if shared {
		db.arena.Retire(size)
		db.retired.push(retired{epoch: epoch, ref: ref, size: size, handle: h, object: hasObject})
		return
	}
	db.arena.Free(ref, size)
	if hasObject {
		db.objects.drop(h)
	}
}

// drain frees up to n retired records that views older than oldest could show. It returns how many are left to the
// caller's patience.
func (db *database) drain(n int, oldest uint64) int {
	for ; n > 0 && db.retired.ready(oldest); n-- {
		r := &db.retired.first.items[db.retired.from]
		db.arena.Release(r.ref, r.size)
		if r.object {
			db.objects.drop(r.handle)
		}
		db.retired.pop()
	}
	return n
}

// drain frees what was retired, and moves records together where memory is wasted, within bounds that follow from the number
// of commands of the entry. Applier only.
func (s *Store) drain() {
	n, moves := drainPerCommand*int(s.position+1), movesPerCommand*int(s.position+1)
	oldest := s.oldest.Load()
	s.closeDropped(oldest)
	s.memory.arena.Tidy()
	s.memory.tables.arena.Tidy()
	s.memory.drain(n+s.memory.earned(), oldest)
	for i := range s.dbs {
		if db := s.dbs[i].Load(); db != nil {
			db.arena.Tidy()
			n = db.drain(n, oldest)
			if moves > 0 && sparse(db.arena, busySlack, leastSlack) && !s.fixed(db) {
				moved, _ := s.compact(db, moves)
				moves -= moved
			}
		}
	}
	if mem := s.memory; moves > 0 && sparse(mem.arena, busySlack, leastSlack) && s.views.Load() == 0 && !mem.fixed() {
		s.compactMembers(moves)
	}
}

// droppedArena holds the records of a database that was dropped whole, or the records or tables of members.
type droppedArena struct {
	arena *slab.Arena
	epoch uint64 // the store's when it was dropped: views with a higher number do not show it
	// objects are those of the database whose members are still in the store's memory: those with a number from next on.
	objects *objects
	next    handle
}

// objectsPerStep is how many objects of a dropped database are looked at in a step.
const objectsPerStep = 32

// drop takes databases, nil for none, out of the state. If no other has a key, their members go with their whole memory, for
// which there is another one then. REQUIRES: all shards are locked, and the databases are no longer in the store.
func (s *Store) drop(next *memory, all ...*database) {
	for _, db := range all {
		if db != nil {
			s.dropped = append(s.dropped, droppedArena{arena: db.arena, epoch: s.epoch, objects: &db.objects})
		}
	}
	for i := range s.dbs {
		if s.dbs[i].Load() != nil && next == nil {
			return
		}
	}
	for i := range s.dropped {
		s.dropped[i].objects = nil
	}
	if s.memory.used() {
		s.dropMemory(s.memory)
		if next == nil {
			next = newMemory()
		}
	}
	if next != nil {
		s.memory = next
	}
}

// dropMemory takes a memory that was in use out of the state.
func (s *Store) dropMemory(mem *memory) {
	s.dropped = append(s.dropped, droppedArena{arena: mem.arena, epoch: s.epoch}, droppedArena{arena: mem.tables.arena, epoch: s.epoch})
}

// closeDropped gives some of the memory of dropped databases back that no view older than oldest shows, in some
// microseconds. What they had on the Go heap is the garbage collector's. It returns what is left.
func (s *Store) closeDropped(oldest uint64) Rest {
	if s.droppedRest(oldest) != RestMore {
		return s.droppedRest(oldest)
	}
	if d := &s.dropped[0]; !s.dropObjects(d) && !d.arena.CloseStep() {
		if s.dropped = s.dropped[1:]; len(s.dropped) == 0 {
			s.dropped = nil
		}
	}
	return s.droppedRest(oldest)
}

// dropObjects drops the members of some objects of a dropped database. It reports false if there are none left.
func (s *Store) dropObjects(d *droppedArena) bool {
	if d.objects == nil {
		return false
	}
	for range objectsPerStep {
		if int(d.next) == d.objects.n {
			d.objects = nil
			return false
		}
		s.release(d.objects.at(d.next))
		d.next++
	}
	return true
}

// droppedRest says what closeDropped would find to do.
func (s *Store) droppedRest(oldest uint64) Rest {
	switch {
	case len(s.dropped) == 0:
		return RestNone
	case s.dropped[0].epoch >= oldest:
		return RestBlocked
	default:
		return RestMore
	}
}
