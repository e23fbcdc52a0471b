package fsm

import (
	"slices"
	"strings"

	"github.com/tidwall/btree"
)

// streamGroup is a consumer group: it was given all entries up to last, and remembers those that nobody has acknowledged.
type streamGroup struct {
	side *owner
	name string
	last streamID
	read int64 // entries of the stream up to last, also those that are gone; unknownRead
	// pel is what is pending, by id. Each is pending for one consumer, which has the id in its own tree.
	pel       *btree.BTreeG[streamPending]
	consumers []*streamConsumer // by number, nil = not in use; the numbers are no state
	order     []uint32          // the numbers by name
	spare     []uint32          // those not in use
	sum       uint64            // of what the consumers and the pending entries add to the state hash
}

// streamConsumer is one consumer of a group.
type streamConsumer struct {
	side   *owner
	name   string
	key    uint64                  // the hash of the name
	seen   int64                   // Unix ms of the last command that named it
	active int64                   // and of the last one that gave it something, neverActive
	pel    *btree.BTreeG[streamID] // what is pending for it
}

const neverActive = -1

// streamPending is an entry that was delivered and not acknowledged; it may be gone from the stream.
type streamPending struct {
	id       streamID
	at       int64  // Unix ms of the last delivery
	times    int64  // how often it was delivered
	consumer uint32 // the number of who has it
}

// part is what a pending entry adds to the state hash.
func (p *streamPending) part(c *streamConsumer) uint64 {
	return fold(p.id.hash()^c.key, fold(uint64(p.at)^mixC, uint64(p.times)^mixD))
}

// part is what a consumer adds to the state hash, without what is pending.
func (c *streamConsumer) part() uint64 {
	return fold(c.key^mixA, fold(uint64(c.seen)^mixB, uint64(c.active)^mixC))
}

// part is what a group adds to the state hash.
func (g *streamGroup) part() uint64 {
	return fold(hashBytes([]byte(g.name))^g.last.hash(), fold(uint64(g.read)^mixD, g.sum^uint64(len(g.order))*golden))
}

// seek returns where in the order of names a group stands, or would.
func (s *streamValue) seek(name []byte) (int, bool) {
	return slices.BinarySearchFunc(s.groups, string(name), func(g *streamGroup, name string) int { return strings.Compare(g.name, name) })
}

// group returns a group for reading, nil if there is none.
func (s *streamValue) group(name []byte) *streamGroup {
	if at, ok := s.seek(name); ok {
		return s.groups[at]
	}
	return nil
}

// change returns a group for writing to, until another one is asked for; nil if there is none.
func (s *streamValue) change(name []byte) *streamGroup {
	at, ok := s.seek(name)
	if !ok {
		return nil
	}
	s.settle()
	g := s.groups[at]
	s.sums.groups -= g.part()
	if g.side != s.side {
		c := *g
		c.side, c.pel = s.side, g.pel.Copy()
		c.consumers, c.order, c.spare = slices.Clone(g.consumers), slices.Clone(g.order), slices.Clone(g.spare)
		g = &c
		s.groups[at] = g
	}
	s.dirty = g
	return g
}

// settle counts the group that was changed last.
func (s *streamValue) settle() {
	if s.dirty != nil {
		s.sums.groups += s.dirty.part()
		s.dirty = nil
	}
}

// addGroup adds a group; it returns nil if there is one of that name.
func (s *streamValue) addGroup(name []byte, last streamID, read int64) *streamGroup {
	at, ok := s.seek(name)
	if ok {
		return nil
	}
	g := &streamGroup{side: s.side, name: string(name), last: last, read: read,
		pel: newStreamTree(func(a, b streamPending) bool { return a.id.less(b.id) })}
	s.groups = slices.Insert(s.groups, at, g)
	s.sums.groups += g.part()
	s.bytes += streamGroupCost + len(name)
	return g
}

// dropGroup removes a group, and reports whether there was one.
func (s *streamValue) dropGroup(name []byte) bool {
	g := s.group(name)
	if g == nil {
		return false
	}
	s.settle()
	s.sums.groups -= g.part()
	s.bytes -= streamGroupCost + len(g.name) + g.pel.Len()*streamPendingCost
	for _, n := range g.order {
		s.bytes -= streamMemberCost + len(g.consumers[n].name)
	}
	at, _ := s.seek(name)
	s.groups = slices.Delete(s.groups, at, at+1)
	return true
}

// seek returns where in the order of names a consumer stands, or would.
func (g *streamGroup) seek(name []byte) (int, bool) {
	return slices.BinarySearchFunc(g.order, string(name), func(n uint32, name string) int {
		return strings.Compare(g.consumers[n].name, name)
	})
}

// consumer returns the number of a consumer; false if there is none of that name.
func (g *streamGroup) consumer(name []byte) (uint32, bool) {
	if at, ok := g.seek(name); ok {
		return g.order[at], true
	}
	return 0, false
}

// writable returns a consumer for writing to, what it adds taken out of the sum; counted puts it in again.
func (g *streamGroup) writable(n uint32) *streamConsumer {
	c := g.consumers[n]
	g.sum -= c.part()
	if c.side != g.side {
		own := *c
		own.side, own.pel = g.side, c.pel.Copy()
		c = &own
		g.consumers[n] = c
	}
	return c
}

func (g *streamGroup) counted(c *streamConsumer) { g.sum += c.part() }

// addConsumer adds a consumer, whose name is not in use, to a group that was asked for with change, or added.
func (s *streamValue) addConsumer(g *streamGroup, name []byte, now int64) uint32 {
	at, _ := g.seek(name)
	c := &streamConsumer{side: g.side, name: string(name), key: hashBytes(name), seen: now, active: neverActive,
		pel: newStreamTree(streamID.less)}
	n := uint32(len(g.consumers))
	if last := len(g.spare) - 1; last >= 0 {
		n, g.spare = g.spare[last], g.spare[:last]
		g.consumers[n] = c
	} else {
		g.consumers = append(g.consumers, c)
	}
	g.order = slices.Insert(g.order, at, n)
	g.counted(c)
	s.bytes += streamMemberCost + len(name)
	return n
}

// dropConsumer removes a consumer with what is pending for it, and returns how much that was; false if there is none of that name.
func (s *streamValue) dropConsumer(g *streamGroup, name []byte) (pending int, ok bool) {
	at, ok := g.seek(name)
	if !ok {
		return 0, false
	}
	n := g.order[at]
	c := g.consumers[n]
	c.pel.Scan(func(id streamID) bool {
		p, _ := g.pel.Delete(streamPending{id: id})
		g.sum -= p.part(c)
		return true
	})
	g.sum -= c.part()
	g.order = slices.Delete(g.order, at, at+1)
	g.consumers[n], g.spare = nil, append(g.spare, n)
	s.bytes -= streamMemberCost + len(c.name) + c.pel.Len()*streamPendingCost
	return c.pel.Len(), true
}

// pend notes that an entry is pending as p says, whoever had it before.
func (s *streamValue) pend(g *streamGroup, p streamPending) {
	old, replaced := g.pel.Set(p)
	switch {
	case !replaced:
		s.bytes += streamPendingCost
	case old.consumer != p.consumer:
		g.sum -= old.part(g.consumers[old.consumer])
		from := g.writable(old.consumer)
		from.pel.Delete(p.id)
		g.counted(from)
	default:
		g.sum -= old.part(g.consumers[p.consumer])
	}
	if !replaced || old.consumer != p.consumer {
		to := g.writable(p.consumer)
		to.pel.Set(p.id)
		g.counted(to)
	}
	g.sum += p.part(g.consumers[p.consumer])
}

// acknowledge removes a pending entry, and reports whether there was one.
func (s *streamValue) acknowledge(g *streamGroup, id streamID) bool {
	p, ok := g.pel.Delete(streamPending{id: id})
	if !ok {
		return false
	}
	g.sum -= p.part(g.consumers[p.consumer])
	c := g.writable(p.consumer)
	c.pel.Delete(id)
	g.counted(c)
	s.bytes -= streamPendingCost
	return true
}

// lag is how many entries the group has not been given yet; false if nobody can tell.
func (s *streamValue) lag(g *streamGroup) (n int64, ok bool) {
	switch {
	case s.added == 0:
		return 0, true
	case g.read != unknownRead && !s.tombstones(g.last):
		return int64(s.added) - g.read, true
	}
	read := s.ordinal(g.last)
	return int64(s.added) - read, read != unknownRead
}

// deliver notes that the group was given the entry with an id, and all before it.
func (s *streamValue) deliver(g *streamGroup, id streamID) {
	if !g.last.less(id) {
		return
	}
	switch {
	case g.read != unknownRead && !s.tombstones(id):
		g.read++
	case s.added != 0:
		g.read = s.ordinal(id)
	}
	g.last = id
}
