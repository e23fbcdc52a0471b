package fsm

import (
	slotdict "kvapp/fsm/dict"
	"kvapp/fsm/slab"
)

// When many records are gone and others of other sizes have come, memory is held by spans that are nearly empty; see
// package slab. The applier moves records out of them: a few at the end of each entry while much is wasted, and more
// whenever its node calls Tidy. A move changes where a record stands and nothing else, so each node moves what it likes.
//
// While a view is open nothing moves: the view would keep the old record, so that a move costs memory and wins none.

// The slack of an arena is what it could give back, as a share of what lives in it. A node at rest begins to move at
// restSlack and goes on to enoughSlack, so that it does not begin again at once; entries pay for moves beyond busySlack.
// Together with the free pages that an arena keeps (1/32) each is well below a quarter.
const (
	restSlack   = 10 // a tenth
	enoughSlack = 20
	busySlack   = 6
	purgeSlack  = 100
	// leastSlack is the slack in bytes that is never worth a move, and leastPurged that for Purge.
	leastSlack  = 1 << 20
	leastPurged = leastSlack / 16
	// movesPerCommand is how many records an entry moves for each of its commands. What one command frees costs less than
	// one move on average.
	movesPerCommand = 2
)

// sparse says that the slack of an arena is above a share of what lives, and above least bytes.
func sparse(a *slab.Arena, share, least uint64) bool {
	least = max(least, a.Live()/share)
	return a.Mapped() > a.Live()+least && a.Slack() > least
}

// settle decides whether records of an arena are to be moved while nothing else is to be done; purge makes that more likely.
// Compacting is what it has decided before.
func settle(a *slab.Arena, compacting *bool, purge bool) bool {
	switch {
	case purge:
		*compacting = sparse(a, purgeSlack, leastPurged)
	case *compacting:
		*compacting = sparse(a, enoughSlack, leastSlack)
	default:
		*compacting = sparse(a, restSlack, leastSlack)
	}
	return *compacting
}

func (db *database) settle(purge bool) bool { return settle(db.arena, &db.compacting, purge) }

// fixed says that records must stay where they are: views may show them.
func (s *Store) fixed(db *database) bool { return s.views.Load() != 0 || db.retired.n != 0 }

// compact moves up to n records of a database together and returns how many; stuck says that it cannot go on.
func (s *Store) compact(db *database, n int) (moved int, stuck bool) {
	moved, stuck = db.arena.Evacuate(n, func(from, to slab.Ref) slab.Move { return s.moveRecord(db, from, to) })
	if moved > 0 {
		s.moves.Add(uint64(moved))
	}
	return moved, stuck
}

// moveRecord copies a record and has its key refer to the copy. It refuses if a view was opened that shows the record. One that
// no key refers to is an error that Check finds; what is around it is moved nevertheless.
func (s *Store) moveRecord(db *database, from, to slab.Ref) slab.Move {
	rec := db.record(from)
	slot, tag := int(Slot(rec.key())), slotdict.Tag(hashKey(s.seed, rec.key()))
	sh := &s.shards[slot/pageSlots]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	pos := db.position(slot, tag, from)
	switch {
	case s.views.Load() != 0:
		s.refusals.Add(1)
		return slab.Refused
	case pos < 0:
		return slab.Unknown
	}
	copy(db.arena.Bytes(to, len(rec)), rec)
	db.epochs[slot/pageSlots] = s.epoch
	d := db.dict(slot)
	d.Own(s.epoch, false)
	d.Set(pos, to)
	if at := rec.deadline(); at != 0 {
		db.due.Set(deadline{at, to}) // in the place of the one that is equal in the order
	}
	if it := (item{rec, db.objects.dir.Load()}); it.times() != nil && it.times().linked != 0 {
		db.fields.Set(deadline{it.times().linked, to})
	}
	return slab.Moved
}

// compactMembers is compact for the members of collections.
func (s *Store) compactMembers(n int) (moved int, stuck bool) {
	moved, stuck = s.memory.arena.Evacuate(n, s.moveMember)
	if moved > 0 {
		s.moves.Add(uint64(moved))
	}
	return moved, stuck
}

// moveMember is moveRecord for a member of a collection.
func (s *Store) moveMember(from, to slab.Ref) slab.Move {
	m := s.memory.ownerOf(from)
	if m == nil {
		return slab.Unknown
	}
	sh := &s.shards[m.slot/pageSlots]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	switch {
	case s.views.Load() != 0:
		s.refusals.Add(1)
		return slab.Refused
	case !m.move(from, to, s.epoch):
		return slab.Unknown
	default:
		return slab.Moved
	}
}

// position returns where in its slot's order a reference stands, -1 if it does not.
func (db *database) position(slot int, tag uint32, ref slab.Ref) int {
	d := db.dict(slot)
	if d == nil {
		return -1
	}
	for pos, at := d.Next(tag, 0); pos >= 0; pos, at = d.Next(tag, at) {
		if d.At(pos) == ref {
			return pos
		}
	}
	return -1
}

// Rest is what Tidy has left to do.
type Rest int

// The values of Rest.
const (
	RestNone    Rest = iota
	RestBlocked      // something that waits for views to be closed
	RestMore         // something to be done now
)

// stepsPerClose is for how many steps of Tidy a step of closing an arena counts.
const stepsPerClose = 16

// Tidy does what gives memory back and nobody waits for, in up to n steps of less than a microsecond mostly; n may be 0.
// Nothing that it does shows in the state. It returns what is left. Applier only, between entries.
func (s *Store) Tidy(n int) Rest {
	oldest, purge, running := s.oldest.Load(), s.purge.Load(), false
	rest := s.droppedRest(oldest)
	if n > 0 && rest == RestMore {
		rest = s.closeDropped(oldest)
		n = max(0, n-stepsPerClose)
	}
	for i := range s.dbs {
		db := s.dbs[i].Load()
		if db == nil {
			continue
		}
		if n > 0 {
			db.arena.Tidy()
			n = db.drain(n, oldest)
		}
		stuck := false
		if n > 0 && !s.fixed(db) && db.settle(purge) {
			var moved int
			moved, stuck = s.compact(db, n)
			n -= moved
			stuck = stuck && moved == 0
		}
		rest = max(rest, s.restOf(db, oldest, purge, stuck))
		running = running || db.compacting
	}
	rest = max(rest, s.tidyMembers(n, oldest, purge))
	running = running || s.memory.compacting
	s.running.Store(running)
	if purge && rest == RestNone {
		s.purge.Store(false)
	}
	s.measure()
	return rest
}

// tidyMembers is Tidy for the memory of members.
func (s *Store) tidyMembers(n int, oldest uint64, purge bool) Rest {
	mem, stuck := s.memory, false
	if n > 0 {
		mem.arena.Tidy()
		mem.tables.arena.Tidy()
		n = mem.drain(n, oldest)
	}
	fixed := s.views.Load() != 0 || mem.fixed()
	if n > 0 && !fixed && settle(mem.arena, &mem.compacting, purge) {
		var moved int
		moved, stuck = s.compactMembers(n)
		stuck = stuck && moved == 0
	}
	moves := settle(mem.arena, &mem.compacting, purge)
	switch {
	case mem.arena.Untidy() || mem.tables.arena.Untidy() || mem.ready(oldest):
		return RestMore
	default:
		return leftOver(moves, mem.held(), stuck || fixed)
	}
}

// restOf says what is left to be done for a database.
func (s *Store) restOf(db *database, oldest uint64, purge, stuck bool) Rest {
	moves := db.settle(purge)
	if db.arena.Untidy() || db.retired.ready(oldest) {
		return RestMore
	}
	return leftOver(moves, db.retired.n != 0, stuck || s.fixed(db))
}

// leftOver says what is left when nothing can be freed: moves, and what views hold.
func leftOver(moves, held, blocked bool) Rest {
	switch {
	case !moves && !held:
		return RestNone
	case blocked:
		return RestBlocked
	default:
		return RestMore
	}
}

// Purge asks that Tidy give back what it can, even at the price of many moves. Any goroutine.
func (s *Store) Purge() { s.purge.Store(true) }

// Moves is what was done against fragmentation on this node.
type Moves struct {
	Running bool   // as of the last call of Tidy there are more to do
	Done    uint64 // records moved
	Refused uint64 // moves that were given up because a view was opened
}

// Moves returns what was done against fragmentation. Any goroutine.
func (s *Store) Moves() Moves {
	return Moves{Running: s.running.Load(), Done: s.moves.Load(), Refused: s.refusals.Load()}
}
