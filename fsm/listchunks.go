package fsm

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
)

// owner is the identity of one side of a clone. It has a size, so that two of them are never equal.
type owner struct{ _ byte }

// listChunks is a large list: a directory of packed chunks. Both ends take and give elements in O(1); an inner position is
// found by walking the directory (200 or more short elements per step) and then one chunk, from the nearer end. The more bytes
// there are the larger are chunks (chunkLen), so that both walks grow with the square root.
//
// An element in a chunk is {uvarint length, bytes, the size of both so far, readable backwards}. Slices that methods
// return point into a chunk and are valid until the next change of the list. Chunks are shared between clones: they carry the
// token of the side that may write to them, and whoever holds another one copies first. Invariant: no chunk in dir[front:]
// is empty.
type listChunks struct {
	own   *owner
	n     int
	bytes int          // sum of the lengths of the elements
	pack  int          // sum of their packedLen
	quick bool         // the form is listQuick
	dir   []*listChunk // dir[:front] is room for pushes at the head
	front int
	spare *listChunk // an emptied chunk of listChunkLen bytes or more, for reuse
	poly  listSum
}

// listChunk holds n elements in buf[head:tail].
type listChunk struct {
	own        *owner
	n          int
	head, tail int
	buf        []byte
	poly       listSum
}

const (
	listChunkMin = 64
	listChunkLen = 4 << 10 // bytes; a longer element has a chunk of its own
	// Beyond listMedium bytes chunks are of listChunkMedium, and beyond listHuge of listChunkHuge. The collector of garbage looks
	// at each.
	listMedium      = 1 << 20
	listChunkMedium = 16 << 10
	listHuge        = 16 << 20
	listChunkHuge   = 64 << 10
)

// chunkLen is the most bytes of a chunk of several elements.
func (l *listChunks) chunkLen() int {
	switch held := l.bytes + 2*l.n; {
	case held < listMedium:
		return listChunkLen
	case held < listHuge:
		return listChunkMedium
	default:
		return listChunkHuge
	}
}

func uvarintLen(n int) int { return (bits.Len64(uint64(n)|1) + 6) / 7 }

// listElemLen returns the bytes an element of n bytes takes in a chunk.
func listElemLen(n int) int {
	n += uvarintLen(n)
	return n + uvarintLen(n)
}

// putElem writes e to the beginning of dst.
func putElem(dst, e []byte) {
	n := binary.PutUvarint(dst, uint64(len(e)))
	n += copy(dst[n:], e)
	end := n + uvarintLen(n)
	for i, v := end-1, n; ; i-- {
		if v < 0x80 {
			dst[i] = byte(v)
			return
		}
		dst[i] = byte(v) | 0x80
		v >>= 7
	}
}

// next returns the element at off and the offset behind it.
func (c *listChunk) next(off int) ([]byte, int) {
	n := int(c.buf[off])
	w := 1
	if n >= 0x80 {
		v, k := binary.Uvarint(c.buf[off:])
		n, w = int(v), k
	}
	end := off + w + n
	return c.buf[off+w : end : end], end + uvarintLen(w+n)
}

// prev returns where the element that ends at off begins.
func (c *listChunk) prev(off int) int {
	n, shift := 0, 0
	for {
		off--
		b := c.buf[off]
		n |= int(b&0x7f) << shift
		if b < 0x80 {
			return off - n
		}
		shift += 7
	}
}

// seek returns the offset of element i, 0 <= i <= n.
func (c *listChunk) seek(i int) int {
	if i > c.n/2 {
		off := c.tail
		for range c.n - i {
			off = c.prev(off)
		}
		return off
	}
	off := c.head
	for range i {
		_, off = c.next(off)
	}
	return off
}

func (c *listChunk) used() int { return c.tail - c.head }

// room makes place for need bytes before head or behind tail, by moving the content or growing the buffer. false if
// the chunk would have more than most.
func (c *listChunk) room(need, most int, front bool) bool {
	if front && c.head >= need || !front && c.tail+need <= len(c.buf) {
		return true
	}
	want := c.used() + need
	if want > most {
		return false
	}
	if want*4 <= len(c.buf)*3 {
		// Leaving half of the free space on the other side keeps this rare whichever side is pushed next.
		free := (len(c.buf) - want) / 2
		if front {
			free += need
		}
		c.move(c.buf, free)
		return true
	}
	size := max(listChunkMin, 2*len(c.buf))
	for size < want {
		size *= 2
	}
	size = min(size, most)
	at := 0
	if front {
		at = size - c.used()
	}
	c.move(make([]byte, size), at)
	return true
}

// move copies the content to buf[at:], which becomes the buffer.
func (c *listChunk) move(buf []byte, at int) {
	c.tail = at + copy(buf[at:], c.buf[c.head:c.tail])
	c.head, c.buf = at, buf
}

func (l *listChunks) chunks() []*listChunk { return l.dir[l.front:] }

// writable returns chunk i for writing.
func (l *listChunks) writable(i int) *listChunk {
	c := l.dir[l.front+i]
	if c.own != l.own {
		c = &listChunk{own: l.own, n: c.n, head: c.head, tail: c.tail, buf: bytes.Clone(c.buf)}
		l.dir[l.front+i] = c
	}
	c.poly.known = false
	return c
}

// fresh returns an empty chunk that has room for need bytes.
func (l *listChunks) fresh(need int) *listChunk {
	if c := l.spare; c != nil && need <= len(c.buf) {
		l.spare = nil
		return c
	}
	size := max(l.chunkLen(), need)
	if len(l.chunks()) == 0 {
		size = max(listChunkMin, need)
	}
	return &listChunk{own: l.own, buf: make([]byte, size)}
}

func (l *listChunks) push(e []byte, front bool) {
	if front {
		l.pushFront(e)
	} else {
		l.pushBack(e)
	}
}

func (l *listChunks) pushBack(e []byte) {
	need := listElemLen(len(e))
	var c *listChunk
	if k := len(l.chunks()); k > 0 {
		c = l.writable(k - 1)
	}
	if c == nil || !c.room(need, l.chunkLen(), false) {
		c = l.fresh(need)
		c.head, c.tail = 0, 0
		l.appendChunk(c)
	}
	putElem(c.buf[c.tail:], e)
	c.tail += need
	l.count(c, 1, len(e), packedLen(e))
	l.poly.added(e, false)
}

func (l *listChunks) pushFront(e []byte) {
	need := listElemLen(len(e))
	var c *listChunk
	if len(l.chunks()) > 0 {
		c = l.writable(0)
	}
	if c == nil || !c.room(need, l.chunkLen(), true) {
		c = l.fresh(need)
		c.head, c.tail = len(c.buf), len(c.buf)
		l.insertChunk(0, c)
	}
	c.head -= need
	putElem(c.buf[c.head:], e)
	l.count(c, 1, len(e), packedLen(e))
	l.poly.added(e, true)
}

func (l *listChunks) count(c *listChunk, n, bytes, pack int) {
	c.n += n
	l.n += n
	l.bytes += bytes
	l.pack += pack
}

// pop removes and returns the first or last element. REQUIRES: n > 0.
func (l *listChunks) pop(front bool) []byte {
	i := 0
	if !front {
		i = len(l.chunks()) - 1
	}
	c := l.writable(i)
	var e []byte
	if front {
		e, c.head = c.next(c.head)
	} else {
		c.tail = c.prev(c.tail)
		e, _ = c.next(c.tail)
	}
	l.count(c, -1, -len(e), -packedLen(e))
	l.poly.removed(e, front)
	if c.n == 0 {
		l.removeChunk(i)
	}
	return e
}

// appendChunk puts c behind all chunks. A queue that is filled here and emptied at the head moves through dir: when the
// end is reached, what is left goes back to the beginning.
func (l *listChunks) appendChunk(c *listChunk) {
	if len(l.dir) == cap(l.dir) && l.front > len(l.dir)/2 {
		n := copy(l.dir, l.dir[l.front:])
		clear(l.dir[n:])
		l.dir, l.front = l.dir[:n], 0
	}
	l.dir = append(l.dir, c)
}

// insertChunk puts c before chunk i.
func (l *listChunks) insertChunk(i int, c *listChunk) {
	if i > 0 {
		l.dir = slices.Insert(l.dir, l.front+i, c)
		return
	}
	if l.front == 0 {
		free := len(l.dir) + 1
		dir := make([]*listChunk, free+len(l.dir))
		copy(dir[free:], l.dir)
		l.dir, l.front = dir, free
	}
	l.front--
	l.dir[l.front] = c
}

// removeChunk drops chunk i, which belongs to this list alone.
func (l *listChunks) removeChunk(i int) {
	c := l.dir[l.front+i]
	l.spare = nil
	if room := len(c.buf); room >= listChunkLen && room <= l.chunkLen() && c.own == l.own {
		c.n = 0
		l.spare = c
	}
	if i == 0 {
		l.dir[l.front] = nil
		l.front++
		return
	}
	l.dir = slices.Delete(l.dir, l.front+i, l.front+i+1)
}

// locate returns the chunk of position i and the position in it. REQUIRES: 0 <= i < n.
func (l *listChunks) locate(i int) (chunk, pos int) {
	cs := l.chunks()
	if i < l.n/2 {
		for k, c := range cs {
			if i < c.n {
				return k, i
			}
			i -= c.n
		}
	}
	i = l.n - i // distance from the end, 1 = last
	for k := len(cs) - 1; ; k-- {
		if i <= cs[k].n {
			return k, cs[k].n - i
		}
		i -= cs[k].n
	}
}

// at returns element i. REQUIRES: 0 <= i < n.
func (l *listChunks) at(i int) []byte {
	k, pos := l.locate(i)
	c := l.chunks()[k]
	e, _ := c.next(c.seek(pos))
	return e
}

// listIter walks a list that does not change meanwhile.
type listIter struct {
	cs       []*listChunk
	chunk    int
	off      int
	backward bool
}

// iter starts at element i, which next returns first. REQUIRES: 0 <= i < n.
func (l *listChunks) iter(i int, backward bool) listIter {
	k, pos := l.locate(i)
	c := l.chunks()[k]
	if backward {
		pos++
	}
	return listIter{cs: l.chunks(), chunk: k, off: c.seek(pos), backward: backward}
}

// next returns the element and advances. REQUIRES: there is one.
func (it *listIter) next() []byte {
	c := it.cs[it.chunk]
	if it.backward {
		if it.off == c.head {
			it.chunk--
			c = it.cs[it.chunk]
			it.off = c.tail
		}
		it.off = c.prev(it.off)
		e, _ := c.next(it.off)
		return e
	}
	if it.off == c.tail {
		it.chunk++
		c = it.cs[it.chunk]
		it.off = c.head
	}
	e, off := c.next(it.off)
	it.off = off
	return e
}

// set replaces element i. REQUIRES: 0 <= i < n.
func (l *listChunks) set(i int, e []byte) {
	poly := l.poly
	old := l.replace(i, e)
	poly.sum += (hashBytes(e) - old) * listPower(i)
	l.poly = poly
}

// replace is set that leaves l.poly to the caller. It returns the hash of the old element.
func (l *listChunks) replace(i int, e []byte) (hash uint64) {
	k, pos := l.locate(i)
	c := l.writable(k)
	off := c.seek(pos)
	old, end := c.next(off)
	hash = hashBytes(old)
	if len(old) == len(e) {
		l.pack += packedLen(e) - packedLen(old)
		copy(old, e)
		return hash
	}
	l.count(c, -1, -len(old), -packedLen(old))
	if c.n == 0 {
		l.dir[l.front+k] = &listChunk{own: l.own, buf: make([]byte, max(listChunkMin, listElemLen(len(e))))}
		l.insertInto(k, 0, 0, e)
		return hash
	}
	copy(c.buf[off:], c.buf[end:c.tail])
	c.tail -= end - off
	l.insertInto(k, off, pos, e)
	return hash
}

// insert puts e before position i. REQUIRES: 0 <= i <= n.
func (l *listChunks) insert(i int, e []byte) {
	switch i {
	case 0:
		l.pushFront(e)
	case l.n:
		l.pushBack(e)
	default:
		k, pos := l.locate(i)
		c := l.writable(k)
		l.insertInto(k, c.seek(pos), pos, e)
	}
}

// insertInto puts e at offset off, position pos, of the writable chunk k, which splits if it must.
func (l *listChunks) insertInto(k, off, pos int, e []byte) {
	l.poly.known = false
	c := l.dir[l.front+k]
	need := listElemLen(len(e))
	rel := off - c.head
	if c.room(need, l.chunkLen(), false) {
		off = c.head + rel
		copy(c.buf[off+need:], c.buf[off:c.tail])
		putElem(c.buf[off:], e)
		c.tail += need
		l.count(c, 1, len(e), packedLen(e))
		return
	}
	if pos < c.n && pos > 0 {
		r := &listChunk{own: l.own, n: c.n - pos, buf: bytes.Clone(c.buf[off:c.tail])}
		r.tail = len(r.buf)
		c.n, c.tail = pos, off
		l.insertChunk(k+1, r)
	}
	if pos > 0 {
		k++
	}
	m := &listChunk{own: l.own, buf: make([]byte, need)}
	l.insertChunk(k, m)
	l.insertInto(k, 0, 0, e)
	l.join(k + 1)
	l.join(k)
}

// join appends chunk k to its predecessor if both fit into one, and reports whether it did.
func (l *listChunks) join(k int) bool {
	if k <= 0 || k >= len(l.chunks()) {
		return false
	}
	a, b := l.dir[l.front+k-1], l.dir[l.front+k]
	if a.used()+b.used() > l.chunkLen() {
		return false
	}
	a = l.writable(k - 1)
	if !a.room(b.used(), l.chunkLen(), false) {
		return false
	}
	a.tail += copy(a.buf[a.tail:], b.buf[b.head:b.tail])
	a.n += b.n
	l.removeChunk(k)
	return true
}

// removeEqual removes up to limit elements equal to e, from the head or from the tail, and returns how many.
func (l *listChunks) removeEqual(e []byte, limit int, fromTail bool) int {
	total, k := 0, 0
	if fromTail {
		k = len(l.chunks()) - 1
	}
	for k >= 0 && k < len(l.chunks()) && total < limit {
		dropped := l.filter(k, e, limit-total, fromTail)
		total += dropped
		gone := false
		switch {
		case l.dir[l.front+k].n == 0:
			l.removeChunk(k)
			gone = true
		case dropped > 0 && fromTail:
			l.join(k + 1)
		case dropped > 0:
			gone = l.join(k)
		}
		switch {
		case fromTail:
			k--
		case !gone:
			k++
		}
	}
	return total
}

// filter removes up to limit elements equal to e from chunk k and returns how many.
func (l *listChunks) filter(k int, e []byte, limit int, fromTail bool) int {
	c := l.chunks()[k]
	found := 0
	for off := c.head; off < c.tail; {
		var x []byte
		if x, off = c.next(off); bytes.Equal(x, e) {
			found++
		}
	}
	if found == 0 {
		return 0
	}
	skip, drop := 0, min(found, limit)
	if fromTail {
		skip = found - drop
	}
	c = l.writable(k)
	l.poly.known = false
	w, left := c.head, drop
	for off := c.head; off < c.tail; {
		x, end := c.next(off)
		if left > 0 && bytes.Equal(x, e) {
			if skip == 0 {
				left--
				off = end
				continue
			}
			skip--
		}
		w += copy(c.buf[w:], c.buf[off:end])
		off = end
	}
	c.tail = w
	l.count(c, -drop, -drop*len(e), -drop*packedLen(e))
	return drop
}

// trim removes the first and the last so many elements. REQUIRES: first+last < n.
func (l *listChunks) trim(first, last int) {
	for first > 0 {
		first -= l.cut(0, first, true)
	}
	for last > 0 {
		last -= l.cut(len(l.chunks())-1, last, false)
	}
}

// cut removes up to n elements from the head or tail of chunk k and returns how many.
func (l *listChunks) cut(k, n int, front bool) int {
	c := l.writable(k)
	n = min(n, c.n)
	sum, pack := 0, 0
	for range n {
		var e []byte
		if front {
			e, c.head = c.next(c.head)
		} else {
			c.tail = c.prev(c.tail)
			e, _ = c.next(c.tail)
		}
		sum += len(e)
		pack += packedLen(e)
		l.poly.removed(e, front)
	}
	l.count(c, -n, -sum, -pack)
	if c.n == 0 {
		l.removeChunk(k)
	}
	return n
}

// appendTo appends the elements, each behind its length.
func (l *listChunks) appendTo(dst []byte) []byte {
	for _, c := range l.chunks() {
		for off := c.head; off < c.tail; {
			var e []byte
			e, off = c.next(off)
			dst = append(binary.AppendUvarint(dst, uint64(len(e))), e...)
		}
	}
	return dst
}

// clone returns a copy; both sides share chunks until one of them writes. It counts as a write.
func (l *listChunks) clone() *listChunks {
	c := *l
	l.own, c.own = &owner{}, &owner{}
	l.spare, c.spare = nil, nil
	c.dir, c.front = slices.Clone(l.chunks()), 0
	return &c
}
