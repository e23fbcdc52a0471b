package slab

import (
	"encoding/binary"
	"math/bits"
)

// Objects of other sizes leave spans with few objects behind. Evacuate empties such spans by moving what is in them to
// fuller ones of the same class.

// leaving is the span that is being emptied. Its objects' places are not handed out.
type leaving struct {
	number uint32 // its first page; 0 = none
	class  int
	next   int                             // objects in front of it have been moved or freed
	free   uint16                          // the list of free objects as far as it is not in empty yet; noObject = all is
	empty  [pageSize / granule / 64]uint64 // a bit for each object: it is free
}

// without notes that the object at a granule of the span is free.
func (l *leaving) without(class int, at uint16) {
	i := int(at) * granule / int(classSizes[class])
	l.empty[i/64] |= 1 << (i % 64)
}

// object returns the next object that is not free, below limit; limit if there is none.
func (l *leaving) object(limit int) int {
	for l.next < limit {
		full := ^l.empty[l.next/64] >> (l.next % 64)
		if full != 0 {
			l.next = min(limit, l.next+bits.TrailingZeros64(full))
			break
		}
		l.next = (l.next/64 + 1) * 64
	}
	return min(l.next, limit)
}

// Slack is the number of bytes of the spans that would be left over if the objects of every class were moved together.
func (a *Arena) Slack() uint64 {
	pages := 0
	for c := 1; c < classes; c++ {
		pages += a.spans[c].spare(c) * spanPages(c)
	}
	return uint64(pages) * pageSize
}

// spare is how many spans would be left over.
func (s *spans) spare(class int) int {
	if s.count < 2 {
		return 0
	}
	return (int(s.count)*spanObjects(class) - int(s.objects)) / spanObjects(class)
}

// Move is what became of an object that was to be moved.
type Move uint8

// The values of Move.
const (
	Moved   Move = iota
	Refused      // not now
	Unknown      // nobody knows the object: it can never be moved
)

// linksPerStep is how many links of a list of free objects are followed for the price of one move: each may be a cache line that
// comes from memory.
const linksPerStep = 16

// Evacuate moves up to n objects out of spans that have few, the emptiest of the class with the most slack first, and
// returns how many it has moved. To find out which objects a span has, it takes some of the n. It is stuck when there is no
// slack, or when move refuses.
//
// Move is called for every object: it copies the bytes at from to those at to, which have the same size, makes every Ref
// that says from say to, and returns Moved; or it changes nothing. It calls no other method that changes the Arena. Every
// object should be known to move, and none may be retired: the span of one that is unknown is set aside.
func (a *Arena) Evacuate(n int, move func(from, to Ref) Move) (moved int, stuck bool) {
	for ; n > 0; n-- {
		if a.leaving.number == 0 && !a.leave() {
			return moved, true
		}
		l := &a.leaving
		if l.free != noObject {
			a.follow()
			continue
		}
		size := int(classSizes[l.class])
		fresh := int(a.page(l.number).fresh)
		i := l.object(fresh)
		if i == fresh {
			return moved, true // an object was retired against the rules
		}
		from := Ref(l.number)*pageGranules + Ref(i*size/granule)
		to := a.Alloc(size)
		if to == 0 {
			return moved, true
		}
		switch move(from, to) {
		case Moved:
			a.Free(from, size)
			moved++
		case Unknown:
			a.Free(to, size)
			a.setAside()
		default:
			a.Free(to, size)
			return moved, true
		}
	}
	return moved, false
}

// follow takes some of the free objects of the span that is being emptied from its list.
func (a *Arena) follow() {
	l := &a.leaving
	for i := 0; i < linksPerStep && l.free != noObject; i++ {
		l.without(l.class, l.free)
		l.free = binary.LittleEndian.Uint16(a.From(Ref(l.number)*pageGranules + Ref(l.free)))
	}
}

// setAside takes the span that is being emptied out of its class. It has no slack any more, its places are not handed out, and
// it goes when its last object is freed.
func (a *Arena) setAside() {
	l := &a.leaving
	s, p := &a.spans[l.class], a.page(l.number)
	s.count--
	s.objects -= uint32(p.used)
	p.fresh = aside
	l.number = 0
}

// leave chooses the span to be emptied. It reports false if nothing would be won.
func (a *Arena) leave() bool {
	class, most := 0, 0
	for c := 1; c < classes; c++ {
		if pages := a.spans[c].spare(c) * spanPages(c); pages > most {
			class, most = c, pages
		}
	}
	if class == 0 {
		return false
	}
	l, number := &a.leaving, a.spans[class].emptiest()
	p := a.page(number)
	a.unlist(class, level(class, p.used), number, p)
	l.number, l.class, l.next, l.free = number, class, 0, p.free
	clear(l.empty[:])
	return true
}
