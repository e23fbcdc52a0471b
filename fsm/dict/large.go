package dict

const (
	// Chunks and pages are as large as a copy of one may be: the collector of garbage looks at each, not at what is in it.
	chunkLen = 2048 // references
	pageBits = 11
	pageLen  = 1 << pageBits // words of an index page
	maxDepth = TagBits - pageBits
)

// chunk is a part of the dense array.
type chunk [chunkLen]uint64

// large holds what a dictionary of many keys has instead of a slice and a table.
type large struct {
	n      int
	chunks []*chunk // all but the last are full
	epochs []uint64 // of each chunk: that of the dictionary when the chunk was made
	since  uint64   // chunks with an older epoch are in a copy of the dictionary
	dir    []*page  // by the depth highest bits of the tag
	depth  uint8
}

// page is a table of the index, 0 = free, else tag<<32 | position+1. It has pageLen words, and more only when tags cannot
// be told apart by maxDepth bits.
type page struct {
	depth uint8 // all tags here agree in so many highest bits. Invariant: <= that of large
	shift uint8 // len(words) = pageLen << shift
	n     int
	words []uint64
}

func newPage(depth, shift uint8) *page {
	return &page{depth: depth, shift: shift, words: make([]uint64, pageLen<<shift)}
}

func word(tag uint32, pos int) uint64  { return uint64(tag)<<32 | uint64(pos+1) }
func (p *page) home(tag uint32) uint32 { return tag & (pageLen - 1) << p.shift }
func (l *large) slot(tag uint32) int   { return int(tag >> (TagBits - l.depth)) }
func (l *large) at(pos int) *uint64    { return &l.chunks[pos/chunkLen][pos%chunkLen] }
func (p *page) mask() uint32           { return uint32(len(p.words) - 1) }

func newLarge(refs []uint64, epoch uint64) *large {
	l := &large{dir: []*page{newPage(0, 0)}}
	for _, w := range refs {
		l.put(w, epoch)
	}
	return l
}

// next is Next of the dictionary.
func (l *large) next(tag, at uint32) (pos int, next uint32) {
	p := l.dir[l.slot(tag)]
	for i := p.home(tag) + at; ; i++ {
		at++
		w := p.words[i&p.mask()]
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
	c.chunks = append(make([]*chunk, 0, len(l.chunks)+1), l.chunks...)
	c.epochs = append(make([]uint64, 0, len(l.epochs)+1), l.epochs...)
	return &c
}

// change returns the reference at pos for changing it.
func (l *large) change(pos int, epoch uint64) *uint64 {
	i := pos / chunkLen
	if l.epochs[i] < l.since {
		c := *l.chunks[i]
		l.chunks[i], l.epochs[i] = &c, epoch
	}
	return &l.chunks[i][pos%chunkLen]
}

func (l *large) put(w uint64, epoch uint64) int {
	pos := l.n
	if pos%chunkLen == 0 {
		l.chunks, l.epochs = append(l.chunks, new(chunk)), append(l.epochs, epoch)
	}
	l.n++
	*l.change(pos, epoch) = w
	l.link(tagOf(w), pos)
	return pos
}

func (l *large) del(pos int, epoch uint64) {
	last := l.n - 1
	l.unlink(tagOf(*l.at(pos)), pos)
	if pos != last {
		w := *l.at(last)
		p, i := l.find(tagOf(w), last)
		p.words[i] = word(tagOf(w), pos)
		*l.change(pos, epoch) = w
	}
	l.n = last
	if last%chunkLen == 0 {
		i := last / chunkLen
		l.chunks[i] = nil
		l.chunks, l.epochs = l.chunks[:i], l.epochs[:i]
	}
}

func (p *page) insert(w uint64) {
	i := p.home(uint32(w>>32)) & p.mask()
	for p.words[i] != 0 {
		i = (i + 1) & p.mask()
	}
	p.words[i] = w
	p.n++
}

// link enters a position into the index.
func (l *large) link(tag uint32, pos int) {
	p := l.dir[l.slot(tag)]
	for p.n*4 >= len(p.words)*3 {
		l.grow(tag, p)
		p = l.dir[l.slot(tag)]
	}
	p.insert(word(tag, pos))
}

// find returns where the index refers to pos, whose tag is given.
func (l *large) find(tag uint32, pos int) (p *page, i uint32) {
	p = l.dir[l.slot(tag)]
	w := word(tag, pos)
	for i = p.home(tag) & p.mask(); p.words[i] != w; i = (i + 1) & p.mask() {
	}
	return p, i
}

// unlink removes pos from the index and closes the gap.
func (l *large) unlink(tag uint32, pos int) {
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
		l.merge(tag, p)
	}
}

// span returns the range of the directory that refers to p, the page of tag.
func (l *large) span(tag uint32, p *page) (from, to int) {
	w := 1 << (l.depth - p.depth)
	from = l.slot(tag) &^ (w - 1)
	return from, from + w
}

// grow makes room in p, the page of tag: it splits by the next bit of the tag, or doubles when there is none.
func (l *large) grow(tag uint32, p *page) {
	if p.depth == maxDepth {
		q := newPage(p.depth, p.shift+1)
		p.moveTo(func(uint32) *page { return q })
		from, to := l.span(tag, p)
		for i := from; i < to; i++ {
			l.dir[i] = q
		}
		return
	}
	if p.depth == l.depth {
		dir := make([]*page, 2*len(l.dir))
		for i, q := range l.dir {
			dir[2*i], dir[2*i+1] = q, q
		}
		l.dir = dir
		l.depth++
	}
	low, high := newPage(p.depth+1, 0), newPage(p.depth+1, 0)
	bit := uint32(1) << (TagBits - 1 - p.depth)
	p.moveTo(func(tag uint32) *page {
		if tag&bit == 0 {
			return low
		}
		return high
	})
	from, to := l.span(tag, p)
	for i := from; i < to; i++ {
		if i < (from+to)/2 {
			l.dir[i] = low
		} else {
			l.dir[i] = high
		}
	}
}

// moveTo inserts what p holds into other pages.
func (p *page) moveTo(other func(tag uint32) *page) {
	for _, w := range p.words {
		if w != 0 {
			other(uint32(w >> 32)).insert(w)
		}
	}
}

// merge joins p, the page of tag, with the page it was once split from if both are nearly empty.
func (l *large) merge(tag uint32, p *page) {
	buddy := tag ^ 1<<(TagBits-p.depth)
	q := l.dir[l.slot(buddy)]
	if q.depth != p.depth || p.n+q.n > pageLen/4 {
		return
	}
	from := l.slot(tag) &^ (2<<(l.depth-p.depth) - 1)
	to := from + 2<<(l.depth-p.depth)
	both := newPage(p.depth-1, 0)
	p.moveTo(func(uint32) *page { return both })
	q.moveTo(func(uint32) *page { return both })
	for i := from; i < to; i++ {
		l.dir[i] = both
	}
}
