package slab

import "math/bits"

const (
	pageBits       = 16
	pageSize       = 1 << pageBits
	pageGranules   = pageSize / granule
	regionSize     = 1 << regionBits
	regionPages    = regionSize / pageSize
	regionGranules = regionSize / granule
	bitmapWords    = (regionPages + 63) / 64

	maxRegions = 1 << 17
	blockLen   = 256 // regions in a block of the table
)

// page is what the arena knows of 64 KiB. Only the first page of a span uses what follows back.
type page struct {
	class      uint8  // of its span; 0 = none
	back       uint8  // pages from the first page of its span
	used       uint16 // live objects
	fresh      uint16 // objects handed out at least once: those behind them have never been written; or aside
	free       uint16 // granule of the first free object, counted from the span; noObject = none
	prev, next uint32 // neighbours in the list of spans of the same class and level, as page numbers; 0 = none
}

const (
	noObject = 0xffff
	aside    = 0xffff // no object of the span is handed out any more; see Arena.setAside
)

// bitmap has a bit for every page of a region.
type bitmap [bitmapWords]uint64

func (m *bitmap) set(from, n int, on bool) {
	for i := from; i < from+n; i++ {
		if on {
			m[i/64] |= 1 << (i % 64)
		} else {
			m[i/64] &^= 1 << (i % 64)
		}
	}
}

func (m *bitmap) has(i int) bool { return m[i/64]>>(i%64)&1 != 0 }

// run finds n neighbouring bits; without them at is -1 and longest the length of the longest run.
func (m *bitmap) run(n int) (at, longest int) {
	for i := 0; i < regionPages; {
		word := m[i/64] >> (i % 64)
		if word == 0 {
			i = (i/64 + 1) * 64
			continue
		}
		i += bits.TrailingZeros64(word)
		from := i
		for i < regionPages && m.has(i) {
			if i++; i-from == n {
				return from, n
			}
		}
		longest = max(longest, i-from)
	}
	return -1, longest
}

// region is what the arena knows of one region.
type region struct {
	pages  [regionPages]page
	free   bitmap
	dirty  bitmap // of the free pages, those that the system still keeps memory for
	mapped bool   // the memory is a mapping, not a slice of the Go heap
}

// held is how many of the maxDiscard pages from one on, which is a multiple of that, may have memory.
func (r *region) held(at int) int {
	none := (r.free[at/64] &^ r.dirty[at/64]) >> (at % 64)
	return maxDiscard - bits.OnesCount64(none&(1<<maxDiscard-1))
}

// page returns a page by its number.
func (a *Arena) page(number uint32) *page {
	return &a.regions[number/regionPages].pages[number%regionPages]
}

// memory returns the bytes of n pages of one region.
func (a *Arena) memory(number uint32, n int) []byte {
	at := int(number%regionPages) * pageSize
	return a.table[number/regionPages/blockLen][number/regionPages%blockLen][at : at+n*pageSize]
}

// takePages returns the first of n neighbouring free pages, 0 when the address space is used up.
// REQUIRES: 1 <= n <= regionPages/2.
func (a *Arena) takePages(n int) uint32 {
	for {
		for r, longest := range a.longest {
			if int(longest) < n {
				continue
			}
			at, most := a.regions[r].free.run(n)
			if at < 0 {
				a.longest[r] = uint16(most)
				continue
			}
			reg := a.regions[r]
			for i := at; i < at+n; i++ {
				if reg.dirty.has(i) {
					a.dirty--
				}
			}
			reg.free.set(at, n, false)
			reg.dirty.set(at, n, false)
			a.taken += n
			return uint32(r*regionPages + at)
		}
		if !a.addRegion() {
			return 0
		}
	}
}

// givePages makes n neighbouring pages free. Their memory goes back to the system unless only a small share is free.
// REQUIRES: n <= maxDiscard.
func (a *Arena) givePages(number uint32, n int) {
	r, at := number/regionPages, int(number%regionPages)
	reg := a.regions[r]
	a.taken -= n
	switch {
	case !reg.mapped:
	case a.dirty+n > keepDirty+a.taken/keepShare:
		discard(a.memory(number, n))
	default:
		a.dirty += n
		reg.dirty.set(at, n, true)
	}
	reg.free.set(at, n, true)
	a.longest[r] = regionPages // at most; the next search that fails knows better
}

const (
	maxDiscard = 8  // pages given back in one go: some microseconds
	keepDirty  = 32 // free pages that keep their memory in any case
	keepShare  = 32 // and one more for so many in use
)

// addRegion adds a region of free pages.
func (a *Arena) addRegion() bool {
	r := a.newRegions(1)
	if r < 0 {
		return false
	}
	mem, mapped := mapMemory(regionSize)
	reg := &region{mapped: mapped}
	first := 0
	if r == 0 {
		first = 1 // no object has the Ref 0
	}
	reg.free.set(first, regionPages-first, true)
	a.regions[r], a.longest[r] = reg, regionPages
	a.setMemory(r, mem, mapped)
	return true
}

// newRegions returns the first of n neighbouring unused region numbers, -1 if there are none left.
func (a *Arena) newRegions(n int) int {
	for r, length := range a.gaps {
		if int(length) >= n {
			if a.gaps[r] = 0; int(length) > n {
				a.gaps[r+n] = length - uint32(n)
			}
			return r
		}
	}
	r := len(a.regions)
	if r+n > maxRegions {
		return -1
	}
	for range n {
		a.regions, a.longest, a.gaps = append(a.regions, nil), append(a.longest, 0), append(a.gaps, 0)
	}
	return r
}

// setMemory enters a region's bytes into the table.
func (a *Arena) setMemory(r int, mem []byte, mapped bool) {
	block := &a.table[r/blockLen]
	if *block == nil {
		*block = new([blockLen][]byte)
	}
	(*block)[r%blockLen] = mem
	if mapped {
		a.maps.list[r] = mem
	}
}
