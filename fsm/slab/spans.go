package slab

import "math/bits"

// levels is the number of lists by occupancy in which a class keeps its spans with room.
const levels = 8

// spans is what the arena knows of the spans of one class.
type spans struct {
	room    [levels]uint32 // by level, the first span with room, as a page number; 0 = none
	levels  uint8          // a bit for each level that has a span
	count   uint32
	objects uint32 // in all of them
}

// fullest returns a span with room of the highest level: objects gather in few spans, and the others become empty. 0 if
// there is no span with room.
func (s *spans) fullest() uint32 {
	if s.levels == 0 {
		return 0
	}
	return s.room[bits.Len8(s.levels)-1]
}

// emptiest returns a span with room of the lowest level. REQUIRES: there is one.
func (s *spans) emptiest() uint32 { return s.room[bits.TrailingZeros8(s.levels)] }

// spanObjects is the number of objects in a span.
func spanObjects(class int) int { return int(spanCounts[class]) }

var spanCounts = func() (counts [classes]uint16) {
	for c := 1; c < classes; c++ {
		counts[c] = uint16(spanPages(c) * pageSize / int(classSizes[c]))
	}
	return counts
}()

// level is the list for a span with so many objects; levels if it is full.
func level(class int, used uint16) int { return int(uint64(used) * levelScale[class] >> 32) }

// levelScale is levels/spanObjects times 2^32, rounded so that a full span, and no other, has the level levels.
var levelScale = func() (scale [classes]uint64) {
	for c := 1; c < classes; c++ {
		scale[c] = uint64((levels<<32 + spanObjects(c) - 1) / spanObjects(c))
	}
	return scale
}()

// newSpan adds an empty span to a class and returns its first page, 0 if there is no room.
func (a *Arena) newSpan(c int) uint32 {
	n := spanPages(c)
	first := a.takePages(n)
	if first == 0 {
		return 0
	}
	for i := range n {
		*a.page(first + uint32(i)) = page{class: uint8(c), back: uint8(i), free: noObject}
	}
	a.spans[c].count++
	a.list(c, 0, first, a.page(first))
	return first
}

// dropSpan gives the pages of an empty span back.
func (a *Arena) dropSpan(c int, number uint32) {
	if a.page(number).fresh != aside {
		if number == a.leaving.number {
			a.leaving.number = 0
		} else {
			a.unlist(c, 0, number, a.page(number))
		}
		a.spans[c].count--
	}
	n := spanPages(c)
	for i := range uint32(n) {
		*a.page(number + i) = page{}
	}
	a.givePages(number, n)
}

// relist moves a span that had so many objects before to the list where it belongs.
func (a *Arena) relist(c int, number uint32, p *page, before uint16) {
	from, to := level(c, before), level(c, p.used)
	if from == to {
		return
	}
	if from < levels {
		a.unlist(c, from, number, p)
	}
	if to < levels {
		a.list(c, to, number, p)
	}
}

// list puts a span in front of those of a level.
func (a *Arena) list(c, level int, number uint32, p *page) {
	s := &a.spans[c]
	p.prev, p.next = 0, s.room[level]
	if p.next != 0 {
		a.page(p.next).prev = number
	}
	s.room[level] = number
	s.levels |= 1 << level
}

// unlist takes a span out of those of a level.
func (a *Arena) unlist(c, level int, number uint32, p *page) {
	s := &a.spans[c]
	if p.prev != 0 {
		a.page(p.prev).next = p.next
	} else if s.room[level] = p.next; p.next == 0 {
		s.levels &^= 1 << level
	}
	if p.next != 0 {
		a.page(p.next).prev = p.prev
	}
	p.prev, p.next = 0, 0
}
