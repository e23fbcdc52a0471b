package fsm

import "math"

// streamBlock holds neighbouring entries of a stream: what Redis keeps in one listpack, byte for byte but for the two counters in
// front.
//
//	fields, field*, 0 {flags, ms, seq, [fields, (field, value)* | value*], elements}*
//
// The block begins with the names of the fields of its first entry. An entry whose fields have the same names in the same order is
// marked, and has values only. Its id stands as the difference from that of the first one. Elements is how many elements stand
// before it, so that entries can be walked backwards. What is deleted stays where it is, marked; the block goes with its last entry.
type streamBlock struct {
	side    *owner
	id      streamID // of the first entry, deleted or not
	last    streamID // of the last entry, deleted or not
	n       int      // entries that are not deleted
	deleted int
	head    int    // where the first entry begins
	buf     packed // packed list elements, each with its size behind
	sum     uint64 // of the hashes of the names and of each entry
}

const (
	streamDeleted    = 1 // flags of an entry
	streamSameFields = 2
	streamIDElements = 3 // flags and id of an entry
)

// newStreamBlock returns an empty block for the entry with an id, and those behind it.
func newStreamBlock(side *owner, id streamID, pairs [][]byte) *streamBlock {
	size := 64
	for _, p := range pairs {
		size += len(p) + 4
	}
	b := &streamBlock{side: side, id: id, last: id, buf: make(packed, 0, size)}
	b.number(int64(len(pairs) / 2))
	for i := 0; i < len(pairs); i += 2 {
		b.buf = appendListElem(b.buf, pairs[i])
	}
	b.number(0)
	b.head = len(b.buf)
	b.sum = hashBytes(b.buf)
	return b
}

// number appends an integer.
func (b *streamBlock) number(n int64) {
	from := len(b.buf)
	b.buf = appendIntElem(b.buf, n)
	b.buf = appendBack(b.buf, len(b.buf)-from)
}

// full is the size in bytes of Redis' listpack with the same content.
func (b *streamBlock) full() int {
	counter := func(n int) int { return packedIntLen(int64(n)) + 1 }
	return listpackFrame + counter(b.n) + counter(b.deleted) + len(b.buf)
}

// size is what the block adds to that of its stream.
func (b *streamBlock) size() int { return streamBlockCost + len(b.buf) }

// part is what the block adds to the state hash.
func (b *streamBlock) part() uint64 { return fold(b.id.hash(), b.sum^mixC) }

// takes says that an entry of these fields and values is to stand in the block, and not in a new one.
func (b *streamBlock) takes(pairs [][]byte) bool {
	size := b.full()
	for _, p := range pairs {
		size += len(p)
	}
	return size < StreamNodeMaxBytes && b.n+b.deleted < StreamNodeMaxEntries
}

// same says that the fields have the names that the block begins with.
func (b *streamBlock) same(pairs [][]byte) bool {
	n, off := b.integer(0)
	if int(n) != len(pairs)/2 {
		return false
	}
	for i := 0; i < len(pairs); i += 2 {
		w, _ := b.buf.word(off)
		if !w.equal(pairs[i]) {
			return false
		}
		off = b.buf.after(off)
	}
	return true
}

// integer returns the integer at off, and what is behind it.
func (b *streamBlock) integer(off int) (n int64, end int) {
	return b.buf.integer(off), b.buf.after(off)
}

// add appends an entry. REQUIRES: the block may be written to, and is not counted; see streamValue.open.
func (b *streamBlock) add(id streamID, pairs [][]byte) {
	from, flags := len(b.buf), int64(0)
	if b.same(pairs) {
		flags = streamSameFields
	}
	b.number(flags)
	b.number(int64(id.ms - b.id.ms))
	b.number(int64(id.seq - b.id.seq))
	elements := streamIDElements + len(pairs)/2
	if flags == 0 {
		b.number(int64(len(pairs) / 2))
		elements += 1 + len(pairs)/2
	}
	for i, p := range pairs {
		if flags == 0 || i%2 == 1 {
			b.buf = appendListElem(b.buf, p)
		}
	}
	b.number(int64(elements))
	b.sum += hashBytes(b.buf[from:])
	b.n++
	b.last = id
}

// remove marks the entry at an offset as deleted. REQUIRES: as add; it is not deleted yet.
func (b *streamBlock) remove(at int) {
	e := b.entry(at)
	b.sum -= hashBytes(b.buf[at:e.end])
	b.buf[at] |= streamDeleted
	b.sum += hashBytes(b.buf[at:e.end])
	b.n--
	b.deleted++
}

// streamEntry is an entry as it stands in its block. It is valid until the next change of the stream.
type streamEntry struct {
	block   *streamBlock
	id      streamID
	deleted bool
	same    bool // only values stand at body
	fields  int
	at      int // where it begins
	body    int // the first field or value
	end     int // behind the entry
}

// entry returns the entry that begins at off.
func (b *streamBlock) entry(off int) streamEntry {
	e := streamEntry{block: b, at: off}
	flags, off := b.integer(off)
	ms, off := b.integer(off)
	seq, off := b.integer(off)
	e.id = streamID{b.id.ms + uint64(ms), b.id.seq + uint64(seq)}
	e.deleted, e.same = flags&streamDeleted != 0, flags&streamSameFields != 0
	elements := 0
	if e.same {
		n, _ := b.integer(0)
		e.fields, elements = int(n), int(n)
	} else {
		var n int64
		n, off = b.integer(off)
		e.fields, elements = int(n), 2*int(n)
	}
	e.body = off
	for range elements {
		off = b.buf.after(off)
	}
	e.end = b.buf.after(off)
	return e
}

// before returns where the entry that ends at off begins.
func (b *streamBlock) before(off int) int {
	off = b.buf.before(off)
	for n := b.buf.integer(off); n > 0; n-- {
		off = b.buf.before(off)
	}
	return off
}

// walk is streamValue.walk within the block. It returns false when f did.
func (b *streamBlock) walk(first, last streamID, reverse bool, f func(e *streamEntry) bool) bool {
	off, end := b.head, len(b.buf)
	if reverse {
		off, end = end, off
	}
	for off != end {
		var e streamEntry
		if reverse {
			e = b.entry(b.before(off))
			off = e.at
		} else {
			e = b.entry(off)
			off = e.end
		}
		if !e.deleted && !e.id.less(first) && !last.less(e.id) && !f(&e) {
			return false
		}
	}
	return true
}

// each calls f for names and values of the entry's fields in turn.
func (e *streamEntry) each(f func(w word)) {
	buf, name := e.block.buf, 0
	if e.same {
		name = buf.after(0)
	}
	off := e.body
	for range e.fields {
		if e.same {
			w, _ := buf.word(name)
			f(w)
			name = buf.after(name)
		} else {
			w, _ := buf.word(off)
			f(w)
			off = buf.after(off)
		}
		w, _ := buf.word(off)
		f(w)
		off = buf.after(off)
	}
}

// reply answers the entry: its id, and names and values of its fields.
func (e *streamEntry) reply(tx *Tx, out Out) {
	out.Array(2)
	e.id.reply(tx, out)
	out.Array(2 * e.fields)
	e.each(func(w word) { w.reply(tx, out) })
}

// check returns what the block would be by its content alone: counters, last id and sum.
func (b *streamBlock) recount() (c streamBlock) {
	c = streamBlock{id: b.id, last: b.id, head: b.head, buf: b.buf, sum: hashBytes(b.buf[:b.head])}
	for off := b.head; off < len(b.buf); {
		e := b.entry(off)
		c.sum += hashBytes(b.buf[off:e.end])
		c.last = e.id
		if e.deleted {
			c.deleted++
		} else {
			c.n++
		}
		off = e.end
	}
	return c
}

// noLimit is a count that nothing exceeds.
const noLimit = math.MaxInt
