package fsm

import (
	"encoding/binary"

	"kvapp/fsm/rdb"
)

// listValue is a list. While its form is listPacked it is one packed sequence, and behind each element stands its size, so
// that both ends are found at once; otherwise it is chunks. A command can bring a packed list above its limit (elements
// count as they came, so empty ones count nothing): it has chunks then, too, and keeps its form.
type listValue struct {
	small packed      // the number of elements in listHead bytes, then the elements; empty = none
	large *listChunks // not nil = it holds the list
}

const (
	listHead = 2
	// listSmallMax is the longest packed sequence: the limit, and an element's frame.
	listSmallMax = ListMaxListpackBytes + 16
)

// appendBack appends the size of an element, readable backwards: seven bits in a byte, the lowest last, and all but the
// first byte are marked.
func appendBack(dst []byte, n int) []byte {
	top := 7 * (rdb.BackLen(n) - 1)
	for shift := top; shift >= 0; shift -= 7 {
		b := byte(n>>shift) & 0x7f
		if shift < top {
			b |= 0x80
		}
		dst = append(dst, b)
	}
	return dst
}

// appendListElem appends an element of a packed list; it takes packedLen(e) bytes.
func appendListElem(dst, e []byte) []byte {
	from := len(dst)
	dst = appendElem(dst, e)
	return appendBack(dst, len(dst)-from)
}

// after returns the offset behind the element at off of a packed list.
func (p packed) after(off int) int {
	end := p.next(off)
	return end + rdb.BackLen(end-off)
}

// before returns where the element of a packed list that ends at off begins.
func (p packed) before(off int) int {
	n, shift := 0, 0
	for {
		off--
		b := p[off]
		n |= int(b&0x7f) << shift
		if b < 0x80 {
			return off - n
		}
		shift += 7
	}
}

func (l *listValue) kind() kind { return kindList }

// size follows from the form, not from how the list is held.
func (l *listValue) size() int {
	if l.form() == listQuick {
		return 192 + l.large.bytes + 4*l.large.n
	}
	return packedCost + listHead + l.packLen()
}

// packLen is the sum of packedLen of the elements.
func (l *listValue) packLen() int {
	if l.large != nil {
		return l.large.pack
	}
	return max(0, len(l.small)-listHead)
}

func (l *listValue) clone() object {
	if l.large != nil {
		return &listValue{large: l.large.clone()}
	}
	return &listValue{small: l.small.clone()}
}

func (l *listValue) own() collection { return &listValue{l.small.clone(), l.large} }

func (l *listValue) packed() *packed {
	if l.large != nil {
		return nil
	}
	return &l.small
}

// len returns the number of elements.
func (l *listValue) len() int {
	switch {
	case l.large != nil:
		return l.large.n
	case len(l.small) == 0:
		return 0
	}
	return int(binary.LittleEndian.Uint16(l.small))
}

// count adds to the number of elements of a packed list.
func (l *listValue) count(n int) { binary.LittleEndian.PutUint16(l.small, uint16(l.len()+n)) }

// chunks turns the list into chunks, if it is none, and returns them.
func (l *listValue) chunks() *listChunks {
	if l.large != nil {
		return l.large
	}
	d := &listChunks{}
	var digits [20]byte
	if n := l.len(); n > 0 {
		for it := l.iter(0, false); n > 0; n-- {
			e := it.next()
			d.pushBack(e.bytes(digits[:0]))
		}
	}
	l.small, l.large = nil, d
	return d
}

// pack makes the form listPacked, and the list one sequence if that is no longer than limit.
func (l *listValue) pack(limit int) {
	d := l.large
	if d == nil {
		return
	}
	if d.quick = false; d.pack > limit {
		return
	}
	l.small, l.large = d.packed(), nil
}

// packed returns the elements as a packed list.
func (l *listChunks) packed() packed {
	p := packed(nil).start(listHead, l.pack)
	for _, c := range l.chunks() {
		for off := c.head; off < c.tail; {
			var e []byte
			e, off = c.next(off)
			p = appendListElem(p, e)
		}
	}
	binary.LittleEndian.PutUint16(p, uint16(l.n))
	return p
}

// room makes p[from:to] of the packed list n bytes long. It reports false if the list became chunks instead.
func (l *listValue) room(from, to, n int) bool {
	if l.large == nil && len(l.small)-(to-from)+n > listSmallMax {
		l.chunks()
	}
	if l.large != nil {
		return false
	}
	l.small = l.small.start(listHead, n)
	from, to = max(from, listHead), max(to, listHead)
	l.small = l.small.open(from, to, n)
	return true
}

func (l *listValue) push(e []byte, front bool) {
	at := len(l.small)
	if front {
		at = listHead
	}
	l.insertAt(at, e, func(d *listChunks) { d.push(e, front) })
}

// insert puts e before position i. REQUIRES: 0 <= i <= len().
func (l *listValue) insert(i int, e []byte) {
	at := 0
	if l.large == nil {
		at = l.seek(i)
	}
	l.insertAt(at, e, func(d *listChunks) { d.insert(i, e) })
}

// insertAt puts e at an offset of the packed list, or calls large with the chunks.
func (l *listValue) insertAt(at int, e []byte, large func(d *listChunks)) {
	if l.large != nil {
		large(l.large)
		return
	}
	at = max(at, listHead)
	if !l.room(at, at, packedLen(e)) {
		large(l.large)
		return
	}
	appendListElem(l.small[at:at], e)
	l.count(1)
}

// set replaces element i. REQUIRES: 0 <= i < len().
func (l *listValue) set(i int, e []byte) {
	if l.large == nil {
		at := l.seek(i)
		if l.room(at, l.small.after(at), packedLen(e)) {
			appendListElem(l.small[at:at], e)
			return
		}
	}
	l.large.set(i, e)
}

// seek returns the offset of element i of a packed list, 0 <= i <= len().
func (l *listValue) seek(i int) int {
	n := l.len()
	if i > n/2 {
		off := len(l.small)
		for range n - i {
			off = l.small.before(off)
		}
		return off
	}
	off := listHead
	for range i {
		off = l.small.after(off)
	}
	return off
}

// end returns the first or last element. REQUIRES: there is one.
func (l *listValue) end(front bool) word {
	if front {
		return l.at(0)
	}
	return l.at(l.len() - 1)
}

// drop removes the first or last element. REQUIRES: there is one.
func (l *listValue) drop(front bool) {
	if l.large != nil {
		l.large.pop(front)
		return
	}
	if front {
		l.small = l.small.open(listHead, l.small.after(listHead), 0)
	} else {
		l.small = l.small.open(l.small.before(len(l.small)), len(l.small), 0)
	}
	l.count(-1)
}

// at returns element i. REQUIRES: 0 <= i < len().
func (l *listValue) at(i int) word {
	if l.large != nil {
		return word{kind: wordBytes, b: l.large.at(i)}
	}
	e, _ := l.small.word(l.seek(i))
	return e
}

// listCursor walks a list that does not change meanwhile.
type listCursor struct {
	small    packed
	off      int
	backward bool
	chunks   listIter // if small is nil
}

// iter starts at element i, which next returns first. REQUIRES: 0 <= i < len().
func (l *listValue) iter(i int, backward bool) listCursor {
	if l.large != nil {
		return listCursor{chunks: l.large.iter(i, backward)}
	}
	if backward {
		i++
	}
	return listCursor{small: l.small, off: l.seek(i), backward: backward}
}

// next returns the element and advances. REQUIRES: there is one.
func (c *listCursor) next() (e word) {
	switch {
	case c.small == nil:
		return word{kind: wordBytes, b: c.chunks.next()}
	case c.backward:
		c.off = c.small.before(c.off)
		e, _ = c.small.word(c.off)
	default:
		e, _ = c.small.word(c.off)
		c.off = c.small.after(c.off)
	}
	return e
}

// removeEqual removes up to limit elements equal to e, from the head or from the tail, and returns how many.
func (l *listValue) removeEqual(e []byte, limit int, fromTail bool) int {
	if l.large != nil {
		return l.large.removeEqual(e, limit, fromTail)
	}
	p, elem, found := l.small, appendElem(nil, e), 0
	for off := listHead; off < len(p); off = p.after(off) {
		if string(p[off:p.next(off)]) == string(elem) {
			found++
		}
	}
	skip, drop := 0, min(found, limit)
	if fromTail {
		skip = found - drop
	}
	if drop == 0 {
		return 0
	}
	w, left := listHead, drop
	for off := listHead; off < len(p); {
		end := p.after(off)
		switch match := left > 0 && string(p[off:p.next(off)]) == string(elem); {
		case match && skip == 0:
			left--
		default:
			if match {
				skip--
			}
			w += copy(p[w:], p[off:end])
		}
		off = end
	}
	l.small = p.open(w, len(p), 0)
	l.count(-drop)
	return drop
}

// trim removes the first and the last so many elements. REQUIRES: first+last < len().
func (l *listValue) trim(first, last int) {
	if l.large != nil {
		l.large.trim(first, last)
		return
	}
	from, to := l.seek(first), l.seek(l.len()-last)
	l.small = l.small.open(to, len(l.small), 0)
	l.small = l.small.open(listHead, from, 0)
	l.count(-first - last)
}

func (l *listValue) appendTo(dst []byte) []byte {
	n := l.len()
	dst = binary.AppendUvarint(dst, uint64(n))
	if l.large != nil {
		return l.large.appendTo(dst)
	}
	for off := listHead; off < len(l.small); {
		var end int
		dst, end = l.small.encode(dst, off)
		off = end + rdb.BackLen(end-off)
	}
	return dst
}

func decodeList(b []byte) (collection, error) {
	d := valueDecoder{b: b}
	l := &listValue{small: make(packed, 0, min(listHead+len(b), listSmallMax))}
	n := d.count()
	for ; n > 0 && !d.bad; n-- {
		if e := d.bytes(); !d.bad {
			l.push(e, false)
		}
	}
	if !d.end() || l.len() == 0 {
		return nil, errDecode
	}
	l.growing(0)
	return l, nil
}

func init() { decoders[kindList] = decodeList }
