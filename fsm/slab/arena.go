package slab

import (
	"encoding/binary"
	"runtime"
	"sync/atomic"
)

// Ref names an object: 40 bits, 0 = none. Which Ref an object has depends on everything that happened in the Arena;
// nothing that replicas must agree on may follow from it.
type Ref uint64

// Arena is a growing space of objects. Its zero value is not usable; see New.
type Arena struct {
	// table holds the bytes of the regions. Blocks and their elements stay where they are, so that readers need no lock.
	table [maxRegions / blockLen]*[blockLen][]byte

	spans   [classes]spans
	leaving leaving   // the span whose objects are being moved away
	regions []*region // by number; nil = unused or part of a large object
	longest []uint16  // of each region, an upper bound of its longest run of free pages
	gaps    []uint32  // by number: unused numbers from here on; 0 = not the beginning of a gap
	purges  []purge   // memory to give back step by step
	live    uint64
	taken   int // pages in use
	dirty   int // free pages that keep their memory

	closing closing

	maps    *mappings
	cleanup runtime.Cleanup
}

// mappings are what an Arena has to give back in the end, by region number. It does not refer to the Arena.
type mappings struct {
	list  map[int][]byte
	ended atomic.Bool // all is given back
}

func (m *mappings) unmap() {
	for _, b := range m.list {
		unmapMemory(b)
	}
	clear(m.list)
	m.ended.Store(true)
}

// closing is how far CloseStep is.
type closing struct {
	region int
	at     int // bytes of the region
}

// purge is memory that is free already but not given back yet.
type purge struct {
	number uint32 // first page; or, with region, a region's number
	pages  int    // pages left
	region bool   // the object had a mapping of its own, of spare regions
	spare  int
}

// New returns an empty Arena, which has no memory yet.
func New() *Arena {
	a := &Arena{maps: &mappings{list: map[int][]byte{}}}
	a.cleanup = runtime.AddCleanup(a, (*mappings).unmap, a.maps)
	return a
}

// Close gives all memory back; no object may be looked at any more. An Arena that is collected needs no Close.
func (a *Arena) Close() {
	a.cleanup.Stop()
	a.maps.unmap()
	*a = Arena{maps: a.maps}
}

// CloseStep does a part of Close in some microseconds, and reports whether more is left. Once it was called the Arena is
// only good for more of it.
func (a *Arena) CloseStep() bool {
	a.purges, a.live = nil, 0
	for c := &a.closing; c.region < len(a.regions); c.region++ {
		mem, mapped := a.maps.list[c.region]
		if mapped && a.discardStep(mem) {
			return true
		}
		c.at = 0
		if mapped {
			a.table[c.region/blockLen][c.region%blockLen] = nil
			delete(a.maps.list, c.region)
			unmapEmpty(mem)
			c.region++
			return true
		}
	}
	a.Close()
	return false
}

// discardStep gives some memory of the region back that is being closed. It reports false if it has none any more.
func (a *Arena) discardStep(mem []byte) bool {
	c := &a.closing
	for c.at < len(mem) {
		from, to := c.at, min(len(mem), c.at+maxDiscard*pageSize)
		c.at = to
		n := (to - from + pageSize - 1) / pageSize
		if reg := a.regions[c.region]; reg != nil {
			n = reg.held(from / pageSize)
		}
		if n > 0 {
			discard(mem[from:to])
			a.taken = max(0, a.taken-n)
			return true
		}
	}
	return false
}

// Live is the sum of Size over all objects that are neither freed nor retired: a function of their sizes alone, whatever
// happened before.
func (a *Arena) Live() uint64 { return a.live }

// Mapped is the number of bytes in pages that objects are or were in and whose memory was not given back. It says what
// the Arena costs this process; it depends on the past.
func (a *Arena) Mapped() uint64 { return uint64(a.taken+a.dirty) * pageSize }

// Bytes returns the first n bytes of an object. Its capacity is n.
func (a *Arena) Bytes(r Ref, n int) []byte {
	mem := a.table[r/(regionGranules*blockLen)][r/regionGranules%blockLen]
	at := int(r%regionGranules) * granule
	return mem[at : at+n : at+n]
}

// From returns the bytes from the beginning of an object to the end of its region, for whoever finds the object's size
// in its first bytes. Only the object's own bytes may be used.
func (a *Arena) From(r Ref) []byte {
	mem := a.table[r/(regionGranules*blockLen)][r/regionGranules%blockLen]
	return mem[int(r%regionGranules)*granule:]
}

// Alloc returns a new object of n bytes, whose content is arbitrary; 0 when 8 TiB are in use. Without memory the program
// ends, as it does for every other allocation in Go.
func (a *Arena) Alloc(n int) Ref {
	if len(a.purges) > 0 {
		a.Tidy()
	}
	if n > maxSmall {
		return a.allocBig(n)
	}
	c := classOf(n)
	s := &a.spans[c]
	first := s.fullest()
	if first == 0 {
		if first = a.newSpan(c); first == 0 {
			return 0
		}
	}
	p := a.page(first)
	at := p.free
	if at != noObject {
		p.free = binary.LittleEndian.Uint16(a.From(Ref(first)*pageGranules + Ref(at)))
	} else {
		at = uint16(uint32(p.fresh) * classSizes[c] / granule)
		p.fresh++
	}
	s.objects++
	p.used++
	a.relist(c, first, p, p.used-1)
	a.live += uint64(classSizes[c])
	return Ref(first)*pageGranules + Ref(at)
}

// Free ends an object of n bytes, the number it was allocated with.
func (a *Arena) Free(r Ref, n int) {
	a.Retire(n)
	a.Release(r, n)
}

// Retire takes an object of n bytes out of Live while somebody may still read it. Release follows.
func (a *Arena) Retire(n int) { a.live -= uint64(Size(n)) }

// RetireBytes is Retire for several objects that take so many bytes together, by Size.
func (a *Arena) RetireBytes(n uint64) { a.live -= n }

// Release makes the memory of a retired object of n bytes usable again.
func (a *Arena) Release(r Ref, n int) {
	if len(a.purges) > 0 {
		a.Tidy()
	}
	if !OffHeap {
		spoil(a.Bytes(r, n))
	}
	if n > maxSmall {
		a.releaseBig(r, n)
		return
	}
	c := classOf(n)
	number := uint32(r / pageGranules)
	p := a.page(number)
	number -= uint32(p.back)
	p = a.page(number)
	at := uint16(r - Ref(number)*pageGranules)
	p.used--
	switch {
	case p.fresh == aside:
	case number == a.leaving.number:
		a.spans[c].objects--
		a.leaving.without(c, at)
	default:
		a.spans[c].objects--
		binary.LittleEndian.PutUint16(a.From(r), p.free)
		p.free = at
		a.relist(c, number, p, p.used+1)
	}
	if p.used == 0 {
		a.dropSpan(c, number)
	}
}

// ownMapping says that an object of n bytes has a mapping of its own.
func ownMapping(n int) bool { return n > regionSize/2 }

func (a *Arena) allocBig(n int) Ref {
	if !ownMapping(n) {
		first := a.takePages((n + pageSize - 1) / pageSize)
		if first != 0 {
			a.live += uint64(Size(n))
		}
		return Ref(first) * pageGranules
	}
	spare := (n + regionSize - 1) / regionSize
	r := a.newRegions(spare)
	if r < 0 {
		return 0
	}
	if r == 0 { // no object has the Ref 0
		a.gaps[0] = uint32(spare)
		if !a.addRegion() {
			return 0
		}
		if r = a.newRegions(spare); r < 0 {
			return 0
		}
	}
	mem, mapped := mapMemory(Size(n))
	a.setMemory(r, mem, mapped)
	a.taken += (n + pageSize - 1) / pageSize
	a.live += uint64(Size(n))
	return Ref(r) * regionGranules
}

func (a *Arena) releaseBig(r Ref, n int) {
	p := purge{number: uint32(r / pageGranules), pages: (n + pageSize - 1) / pageSize}
	if ownMapping(n) {
		p.number, p.region, p.spare = uint32(r/regionGranules), true, (n+regionSize-1)/regionSize
	}
	a.purges = append(a.purges, p)
	a.Tidy()
}

// Tidy gives some of the memory of large freed objects back, in some microseconds, and reports whether more is left.
// Alloc and Free call it too.
func (a *Arena) Tidy() bool {
	if len(a.purges) == 0 {
		return false
	}
	p := &a.purges[len(a.purges)-1]
	n := min(p.pages, maxDiscard)
	p.pages -= n
	if !p.region {
		a.givePages(p.number+uint32(p.pages), n)
	} else {
		mem := a.table[p.number/blockLen][p.number%blockLen]
		if _, mapped := a.maps.list[int(p.number)]; mapped {
			discard(mem[p.pages*pageSize : min(len(mem), (p.pages+n)*pageSize)])
		}
		a.taken -= n
	}
	if p.pages > 0 {
		return true
	}
	if p.region {
		a.dropRegion(int(p.number), p.spare)
	}
	a.purges = a.purges[:len(a.purges)-1]
	return len(a.purges) > 0
}

// Untidy reports whether Tidy has something to do.
func (a *Arena) Untidy() bool { return len(a.purges) > 0 }

// dropRegion ends a mapping of its own that took so many region numbers.
func (a *Arena) dropRegion(r, numbers int) {
	if mem, mapped := a.maps.list[r]; mapped {
		unmapMemory(mem)
		delete(a.maps.list, r)
	}
	a.table[r/blockLen][r%blockLen] = nil
	a.gaps[r] = uint32(numbers)
}
