package fsm

import "hash/maphash"

// A dict is the member dictionary of sets, hashes and sorted sets: a dense array of entries and an index from key to
// position.
//
// The dense array is the state. Its order is the history of the collection (append; removal moves the last entry into
// the hole), hence equal on all replicas, and it alone decides what a client sees: SMEMBERS, SPOP, SSCAN. The index
// is hashed with a seed of this process, so that nobody can prepare colliding keys; it decides nothing but speed.
//
// The index is an extendible hash: a directory of small pages, and a full page splits alone. Growth therefore never
// costs more than one page, however large the collection (one table of 5M entries takes a third of a second to
// rebuild). Up to dictPlain entries there is no index at all.
//
// clone is O(n/dictChunkLen): chunks and pages carry the token of the dict that may write to them; whoever holds
// another token copies first.
//
// Not safe for concurrent use, except that any number of goroutines may read while none writes or clones.
type dict[V any] struct {
	own    *owner // chunks and pages with another token are shared
	n      int
	bytes  int            // sum of len(key)
	sum    uint64         // over the elements, see sum.go
	chunks []dictChunk[V] // all but the last are full
	dir    []*dictPage    // indexed by the depth highest bits of the hash; nil = no index yet
	depth  uint8
}

const (
	dictChunkLen = 256 // entries
	dictPageLen  = 512 // slots
	dictPlain    = 8   // entries searched without an index
	dictMaxDepth = 23  // the other 9 of 32 hash bits choose the slot in a page
	dictMaxLen   = 1<<32 - 2
)

// owner is the identity of one side of a clone. It has a size, so that two of them are never equal.
type owner struct{ _ byte }

type dictEntry[V any] struct {
	val V // first: an empty struct at the end would be padded
	key string
}

type dictChunk[V any] struct {
	own *owner
	e   []dictEntry[V]
}

// dictPage is an open-addressing table of 8 to dictPageLen slots, 0 = free, else hash<<32 | position+1.
type dictPage struct {
	own   *owner
	depth uint8 // all hashes here agree in this many highest bits; Invariant: <= dict.depth
	n     int
	slots []uint64
}

var dictSeed = maphash.MakeSeed()

func dictHash(key []byte) uint32          { return uint32(maphash.Bytes(dictSeed, key) >> 32) }
func dictHashString(key string) uint32    { return uint32(maphash.String(dictSeed, key) >> 32) }
func dictSlot(h uint32, pos int) uint64   { return uint64(h)<<32 | uint64(uint32(pos)+1) }
func dictPos(s uint64) int                { return int(uint32(s)) - 1 }
func (p *dictPage) home(s uint64) int     { return int(s>>32) & (len(p.slots) - 1) }
func (d *dict[V]) page(h uint32) int      { return int(h >> (32 - d.depth)) }
func (d *dict[V]) len() int               { return d.n }
func (d *dict[V]) at(i int) *dictEntry[V] { return &d.chunks[i/dictChunkLen].e[i%dictChunkLen] }

// find returns the position of key, or -1.
func (d *dict[V]) find(key []byte) int {
	if d.dir == nil {
		if d.n == 0 {
			return -1
		}
		for i := range d.chunks[0].e {
			if d.chunks[0].e[i].key == string(key) {
				return i
			}
		}
		return -1
	}
	h := dictHash(key)
	p := d.dir[d.page(h)]
	m := len(p.slots) - 1
	for i := int(h) & m; ; i = (i + 1) & m {
		s := p.slots[i]
		if s == 0 {
			return -1
		}
		if uint32(s>>32) == h && d.at(dictPos(s)).key == string(key) {
			return dictPos(s)
		}
	}
}

// findString is find for a key that is a string already.
func (d *dict[V]) findString(key string) int {
	if d.dir == nil {
		if d.n == 0 {
			return -1
		}
		for i := range d.chunks[0].e {
			if d.chunks[0].e[i].key == key {
				return i
			}
		}
		return -1
	}
	h := dictHashString(key)
	p := d.dir[d.page(h)]
	m := len(p.slots) - 1
	for i := int(h) & m; ; i = (i + 1) & m {
		s := p.slots[i]
		if s == 0 {
			return -1
		}
		if uint32(s>>32) == h && d.at(dictPos(s)).key == key {
			return dictPos(s)
		}
	}
}

// findWord is find for an element of another collection.
func (d *dict[V]) findWord(w *word) int {
	if w.kind == wordString {
		return d.findString(w.s)
	}
	var digits [20]byte
	return d.find(w.bytes(digits[:0]))
}

// add appends an entry whose key must be absent. REQUIRES: len() < dictMaxLen.
func (d *dict[V]) add(key string, val V) {
	pos := d.n
	if pos%dictChunkLen == 0 {
		c := dictChunk[V]{own: d.own}
		if pos > 0 {
			c.e = make([]dictEntry[V], 0, dictChunkLen)
		}
		d.chunks = append(d.chunks, c)
	}
	c := d.chunk(len(d.chunks) - 1)
	c.e = append(c.e, dictEntry[V]{val: val, key: key})
	d.n++
	d.bytes += len(key)
	k := hashBytes([]byte(key))
	d.sum += placeSum(pos, k) + pairSum(k, partSum(val))
	switch {
	case d.dir != nil:
		d.link(dictHashString(key), pos)
	case d.n > dictPlain:
		d.dir = []*dictPage{{own: d.own, slots: make([]uint64, 4*dictPlain)}}
		for i := range d.n {
			d.link(dictHashString(d.at(i).key), i)
		}
	}
}

// set replaces the value at position i.
func (d *dict[V]) set(i int, val V) {
	e := &d.chunk(i / dictChunkLen).e[i%dictChunkLen]
	k := hashBytes([]byte(e.key))
	d.sum += pairSum(k, partSum(val)) - pairSum(k, partSum(e.val))
	e.val = val
}

// removeAt removes position i; the last entry takes its place.
func (d *dict[V]) removeAt(i int) {
	last := d.n - 1
	d.bytes -= len(d.at(i).key)
	k := hashBytes([]byte(d.at(i).key))
	d.sum -= placeSum(i, k) + pairSum(k, partSum(d.at(i).val))
	if i != last {
		k = hashBytes([]byte(d.at(last).key))
		d.sum += placeSum(i, k) - placeSum(last, k)
	}
	if d.dir != nil {
		d.unlink(dictHashString(d.at(i).key), i)
		if i != last {
			d.relink(dictHashString(d.at(last).key), last, i)
		}
	}
	c := d.chunk(len(d.chunks) - 1)
	if i != last {
		d.chunk(i / dictChunkLen).e[i%dictChunkLen] = c.e[len(c.e)-1]
	}
	c.e[len(c.e)-1] = dictEntry[V]{}
	c.e = c.e[:len(c.e)-1]
	if len(c.e) == 0 {
		d.chunks[len(d.chunks)-1] = dictChunk[V]{}
		d.chunks = d.chunks[:len(d.chunks)-1]
	}
	d.n--
}

// clone returns a copy; both sides share chunks and pages until one of them writes. It counts as a write.
func (d *dict[V]) clone() dict[V] {
	c := *d
	d.own, c.own = &owner{}, &owner{}
	c.chunks = append([]dictChunk[V](nil), d.chunks...)
	c.dir = append([]*dictPage(nil), d.dir...)
	return c
}

// chunk returns chunk i for writing.
func (d *dict[V]) chunk(i int) *dictChunk[V] {
	c := &d.chunks[i]
	if c.own != d.own {
		c.own, c.e = d.own, append(make([]dictEntry[V], 0, min(len(c.e)+1, dictChunkLen)), c.e...)
	}
	return c
}

// span returns the range of the directory that points to the page of h.
func (d *dict[V]) span(h uint32, p *dictPage) (from, to int) {
	w := 1 << (d.depth - p.depth)
	from = d.page(h) &^ (w - 1)
	return from, from + w
}

// writable returns the page of h for writing.
func (d *dict[V]) writable(h uint32) *dictPage {
	p := d.dir[d.page(h)]
	if p.own == d.own {
		return p
	}
	c := &dictPage{own: d.own, depth: p.depth, n: p.n, slots: append([]uint64(nil), p.slots...)}
	for i, to := d.span(h, p); i < to; i++ {
		d.dir[i] = c
	}
	return c
}

func (p *dictPage) insert(s uint64) {
	m := len(p.slots) - 1
	i := p.home(s)
	for p.slots[i] != 0 {
		i = (i + 1) & m
	}
	p.slots[i] = s
	p.n++
}

// slot returns where s stands. REQUIRES: it does.
func (p *dictPage) slot(s uint64) int {
	m := len(p.slots) - 1
	i := p.home(s)
	for p.slots[i] != s {
		i = (i + 1) & m
	}
	return i
}

func (d *dict[V]) link(h uint32, pos int) {
	p := d.writable(h)
	for p.n*4 >= len(p.slots)*3 {
		d.grow(h, p)
		p = d.dir[d.page(h)]
	}
	p.insert(dictSlot(h, pos))
}

func (d *dict[V]) relink(h uint32, pos, to int) {
	p := d.writable(h)
	p.slots[p.slot(dictSlot(h, pos))] = dictSlot(h, to)
}

func (d *dict[V]) unlink(h uint32, pos int) {
	p := d.writable(h)
	m := len(p.slots) - 1
	i := p.slot(dictSlot(h, pos))
	for j := (i + 1) & m; p.slots[j] != 0; j = (j + 1) & m {
		// An entry may move back to i unless its home lies behind i.
		if (j-p.home(p.slots[j]))&m >= (j-i)&m {
			p.slots[i], i = p.slots[j], j
		}
	}
	p.slots[i] = 0
	p.n--
	if p.n < dictPageLen/8 && p.depth > 0 {
		d.merge(h, p)
	}
}

// grow makes room in p, the writable page of h: a small page doubles, a large one splits by the next bit of the hash.
func (d *dict[V]) grow(h uint32, p *dictPage) {
	old := p.slots
	if len(old) < dictPageLen || p.depth == dictMaxDepth {
		p.slots, p.n = make([]uint64, 2*len(old)), 0
		for _, s := range old {
			if s != 0 {
				p.insert(s)
			}
		}
		return
	}
	if p.depth == d.depth {
		dir := make([]*dictPage, 2*len(d.dir))
		for i, q := range d.dir {
			dir[2*i], dir[2*i+1] = q, q
		}
		d.dir = dir
		d.depth++
	}
	from, to := d.span(h, p)
	l := &dictPage{own: d.own, depth: p.depth + 1, slots: make([]uint64, dictPageLen)}
	r := &dictPage{own: d.own, depth: p.depth + 1, slots: make([]uint64, dictPageLen)}
	bit := uint64(1) << (63 - p.depth)
	for _, s := range old {
		switch {
		case s == 0:
		case s&bit == 0:
			l.insert(s)
		default:
			r.insert(s)
		}
	}
	for i := from; i < to; i++ {
		if i < (from+to)/2 {
			d.dir[i] = l
		} else {
			d.dir[i] = r
		}
	}
}

// merge joins p, the writable page of h, with the page it was once split from if both are nearly empty.
func (d *dict[V]) merge(h uint32, p *dictPage) {
	buddy := h ^ 1<<(32-p.depth)
	q := d.dir[d.page(buddy)]
	if q.depth != p.depth || p.n+q.n > dictPageLen/4 {
		return
	}
	l, _ := d.span(h, p)
	r, _ := d.span(buddy, q)
	from, w := min(l, r), 1<<(d.depth-p.depth)
	p.depth--
	for _, s := range q.slots {
		if s != 0 {
			p.insert(s)
		}
	}
	for i := from; i < from+2*w; i++ {
		d.dir[i] = p
	}
}
