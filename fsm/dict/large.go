package dict

import "kvapp/fsm/slab"

const (
	// Chunks are as large as a copy of one may be, and pages as large as the split of one.
	chunkLen = 2048 // references
	pageBits = 11
	pageLen  = 1 << pageBits // words of an index page
	maxDepth = TagBits - pageBits
)

// chunk is a part of the dense array.
type chunk struct {
	words *[chunkLen]uint64
	ref   slab.Ref // 0 = on the Go heap
	epoch uint64   // that of the dictionary when the chunk was made
}

// large holds what a dictionary of many keys has instead of a slice and a table.
type large struct {
	n      int
	chunks []chunk  // all but the last are full
	since  uint64   // chunks with an older epoch are in a copy of the dictionary
	dir    []uint32 // numbers of pages, by the depth highest bits of the tag
	pages  []page
	unused []uint32 // numbers without a page
	depth  uint8
}

// page is a table of the index, 0 = free, else tag<<32 | position+1. It has pageLen words, and more only when tags cannot
// be told apart by maxDepth bits.
type page struct {
	words []uint64 // nil = there is no page of this number
	ref   slab.Ref // 0 = on the Go heap
	n     int32
	depth uint8 // all tags here agree in so many highest bits. Invariant: <= that of large
	shift uint8 // len(words) = pageLen << shift
}

func word(tag uint32, pos int) uint64  { return uint64(tag)<<32 | uint64(pos+1) }
func (p *page) home(tag uint32) uint32 { return tag & (pageLen - 1) << p.shift }
func (l *large) slot(tag uint32) int   { return int(tag >> (TagBits - l.depth)) }
func (l *large) at(pos int) *uint64    { return &l.chunks[pos/chunkLen].words[pos%chunkLen] }
func (p *page) mask() uint32           { return uint32(len(p.words) - 1) }

// page returns the page of a tag, until there is another one.
func (l *large) page(tag uint32) *page { return &l.pages[l.dir[l.slot(tag)]] }

func newLarge(refs []uint64, epoch uint64, h *home) *large {
	l := &large{dir: []uint32{0}}
	l.newPage(0, 0, h)
	for _, w := range refs {
		l.put(w, epoch, h)
	}
	return l
}

// newPage returns the number of a new page.
func (l *large) newPage(depth, shift uint8, h *home) uint32 {
	p := page{depth: depth, shift: shift}
	p.words, p.ref = h.words(pageLen<<shift, true)
	if last := len(l.unused) - 1; last >= 0 {
		number := l.unused[last]
		l.unused = l.unused[:last]
		l.pages[number] = p
		return number
	}
	l.pages = append(l.pages, p)
	return uint32(len(l.pages) - 1)
}

// dropPage ends a page.
func (l *large) dropPage(number uint32, h *home) {
	h.freeWords(l.pages[number].words, l.pages[number].ref)
	l.pages[number] = page{}
	l.unused = append(l.unused, number)
}

// next is Next of the dictionary.
func (l *large) next(tag, at uint32) (pos int, next uint32) {
	p := l.page(tag)
	words, mask := p.words, p.mask()
	for i := p.home(tag) + at; ; i++ {
		at++
		w := words[i&mask]
		if w == 0 {
			return -1, 0
		}
		if uint32(w>>32) == tag {
			return int(uint32(w)) - 1, at
		}
	}
}

// own returns what the dictionary may change from now on: with shared a copy of the directory, whose chunks follow when
// they are changed. The index moves along, since copies never look at it.
func (l *large) own(epoch uint64, shared bool) *large {
	if !shared {
		l.since = 0
		return l
	}
	c := *l
	c.since = epoch
	c.chunks = append(make([]chunk, 0, len(l.chunks)+1), l.chunks...)
	return &c
}

// change returns the reference at pos for changing it.
func (l *large) change(pos int, epoch uint64, h *home) *uint64 {
	c := &l.chunks[pos/chunkLen]
	if c.epoch < l.since {
		old := *c
		*c = h.newChunk(epoch)
		*c.words = *old.words
		h.dropChunk(&old, l.since, epoch)
	}
	return &c.words[pos%chunkLen]
}

func (l *large) put(w uint64, epoch uint64, h *home) int {
	pos := l.n
	if pos%chunkLen == 0 {
		l.chunks = append(l.chunks, h.newChunk(epoch))
	}
	l.n++
	*l.change(pos, epoch, h) = w
	l.link(tagOf(w), pos, h)
	return pos
}

func (l *large) del(pos int, epoch uint64, h *home) {
	last := l.n - 1
	l.unlink(tagOf(*l.at(pos)), pos, h)
	if pos != last {
		w := *l.at(last)
		p, i := l.find(tagOf(w), last)
		p.words[i] = word(tagOf(w), pos)
		*l.change(pos, epoch, h) = w
	}
	l.n = last
	if last%chunkLen == 0 {
		i := last / chunkLen
		h.dropChunk(&l.chunks[i], l.since, epoch)
		l.chunks[i] = chunk{}
		l.chunks = l.chunks[:i]
	}
}

// drop ends the dictionary, of which copies may show chunks.
func (l *large) drop(epoch uint64, h *home) {
	for i := range l.chunks {
		h.dropChunk(&l.chunks[i], l.since, epoch)
	}
	for i := range l.pages {
		h.freeWords(l.pages[i].words, l.pages[i].ref)
	}
}

// freeStep ends a chunk or a page that no copy looks at, and reports whether there was one.
func (l *large) freeStep(h *home) bool {
	if last := len(l.chunks) - 1; last >= 0 {
		h.dropChunk(&l.chunks[last], 0, 0)
		l.chunks = l.chunks[:last]
		return true
	}
	if last := len(l.pages) - 1; last >= 0 {
		h.freeWords(l.pages[last].words, l.pages[last].ref)
		l.pages = l.pages[:last]
		return true
	}
	return false
}

// enter moves chunks and pages from the Go heap to where h says.
func (l *large) enter(h *home) {
	for i := range l.chunks {
		c := &l.chunks[i]
		old := *c
		*c = h.newChunk(old.epoch)
		*c.words = *old.words
	}
	for i := range l.pages {
		if p := &l.pages[i]; p.words != nil {
			old := p.words
			p.words, p.ref = h.words(len(old), false)
			copy(p.words, old)
		}
	}
}

// bytes is what chunks and pages take.
func (l *large) bytes() (n uint64) {
	for i := range l.pages {
		n += uint64(wordBytes * len(l.pages[i].words))
	}
	return n + uint64(chunkBytes*len(l.chunks))
}

func (p *page) insert(w uint64) {
	i := p.home(uint32(w>>32)) & p.mask()
	for p.words[i] != 0 {
		i = (i + 1) & p.mask()
	}
	p.words[i] = w
	p.n++
}

// full says that the page has to grow.
func (p *page) full() bool { return int(p.n)*4 >= len(p.words)*3 }

// link enters a position into the index.
func (l *large) link(tag uint32, pos int, h *home) {
	p := l.page(tag)
	for p.full() {
		l.grow(tag, h)
		p = l.page(tag)
	}
	p.insert(word(tag, pos))
}

// find returns where the index refers to pos, whose tag is given.
func (l *large) find(tag uint32, pos int) (p *page, i uint32) {
	p = l.page(tag)
	w := word(tag, pos)
	for i = p.home(tag) & p.mask(); p.words[i] != w; i = (i + 1) & p.mask() {
	}
	return p, i
}

// unlink removes pos from the index and closes the gap.
func (l *large) unlink(tag uint32, pos int, h *home) {
	p, gap := l.find(tag, pos)
	mask := p.mask()
	for i := (gap + 1) & mask; p.words[i] != 0; i = (i + 1) & mask {
		home := p.home(uint32(p.words[i]>>32)) & mask
		if (i-home)&mask >= (i-gap)&mask {
			p.words[gap], gap = p.words[i], i
		}
	}
	p.words[gap] = 0
	p.n--
	if p.n < pageLen/8 && p.depth > 0 {
		l.merge(tag, h)
	}
}

// refer has the directory refer to a page for all tags that agree with tag in the depth highest bits.
func (l *large) refer(tag uint32, depth uint8, number uint32) {
	w := 1 << (l.depth - depth)
	from := l.slot(tag) &^ (w - 1)
	for i := from; i < from+w; i++ {
		l.dir[i] = number
	}
}

// grow makes room in the page of tag: it splits by the next bit of the tag, or doubles when there is none.
func (l *large) grow(tag uint32, h *home) {
	number := l.dir[l.slot(tag)]
	depth, shift := l.pages[number].depth, l.pages[number].shift
	if depth == maxDepth {
		wider := l.newPage(depth, shift+1, h)
		l.moveTo(number, func(uint32) uint32 { return wider })
		l.refer(tag, depth, wider)
		l.dropPage(number, h)
		return
	}
	if depth == l.depth {
		dir := make([]uint32, 2*len(l.dir))
		for i, q := range l.dir {
			dir[2*i], dir[2*i+1] = q, q
		}
		l.dir = dir
		l.depth++
	}
	low, high := l.newPage(depth+1, 0, h), l.newPage(depth+1, 0, h)
	bit := uint32(1) << (TagBits - 1 - depth)
	l.moveTo(number, func(tag uint32) uint32 {
		if tag&bit == 0 {
			return low
		}
		return high
	})
	l.refer(tag&^bit, depth+1, low)
	l.refer(tag|bit, depth+1, high)
	l.dropPage(number, h)
}

// moveTo inserts what a page holds into others.
func (l *large) moveTo(number uint32, other func(tag uint32) uint32) {
	for _, w := range l.pages[number].words {
		if w != 0 {
			l.pages[other(uint32(w>>32))].insert(w)
		}
	}
}

// merge joins the page of tag with the page it was once split from if both are nearly empty.
func (l *large) merge(tag uint32, h *home) {
	a := l.dir[l.slot(tag)]
	depth := l.pages[a].depth
	b := l.dir[l.slot(tag^1<<(TagBits-depth))]
	if l.pages[b].depth != depth || l.pages[a].n+l.pages[b].n > pageLen/4 {
		return
	}
	both := l.newPage(depth-1, 0, h)
	l.moveTo(a, func(uint32) uint32 { return both })
	l.moveTo(b, func(uint32) uint32 { return both })
	l.refer(tag, depth-1, both)
	l.dropPage(a, h)
	l.dropPage(b, h)
}
