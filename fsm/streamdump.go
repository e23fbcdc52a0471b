package fsm

import (
	"encoding/binary"
	"math"
	"slices"

	"kvapp/fsm/rdb"
)

// A stream in Redis' format is its blocks, each a listpack behind the id of its first entry; then counters; then the groups. A
// block here is what stands in such a listpack but for two counters in front of it.
//
// DUMP writes what Redis 7.0 does, which does not know when a consumer was last given something: restored, it is when it was last
// seen, as in Redis 7.2.

// idBytes is the size of an id in the format, big endian.
const idBytes = 16

func appendRawID(dst []byte, id streamID) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, id.ms), id.seq)
}

func dumpID(w *rdb.Writer, id streamID) {
	w.Number(id.ms)
	w.Number(id.seq)
}

func (s *streamValue) dump(w *rdb.Writer) {
	w.Begin(rdb.TypeStreamOffsets)
	w.Length(s.blocks.Len())
	var raw [idBytes]byte
	var b []byte
	s.blocks.Scan(func(x *streamBlock) bool {
		w.String(appendRawID(raw[:0], x.id))
		b = x.dump(w, b[:0])
		return true
	})
	w.Length(s.n)
	dumpID(w, s.last)
	dumpID(w, s.edge(false))
	dumpID(w, s.maxDel)
	w.Number(s.added)
	w.Length(len(s.groups))
	for _, g := range s.groups {
		g.dump(w)
	}
}

// dump writes the block; b is scratch.
func (b *streamBlock) dump(w *rdb.Writer, scratch []byte) []byte {
	for _, n := range [...]int{b.n, b.deleted} {
		from := len(scratch)
		scratch = appendIntElem(scratch, int64(n))
		scratch = appendBack(scratch, len(scratch)-from)
	}
	scratch = append(scratch, b.buf...)
	elements := 2
	for off := 0; off < len(b.buf); off = b.buf.after(off) {
		elements++
	}
	w.Listpack(elements, scratch)
	return scratch
}

func (g *streamGroup) dump(w *rdb.Writer) {
	w.String([]byte(g.name))
	dumpID(w, g.last)
	w.Number(uint64(g.read))
	w.Length(g.pel.Len())
	var raw [idBytes]byte
	g.pel.Scan(func(p streamPending) bool {
		w.Raw(appendRawID(raw[:0], p.id))
		w.Millis(p.at)
		w.Number(uint64(p.times))
		return true
	})
	w.Length(len(g.order))
	for _, n := range g.order {
		c := g.consumers[n]
		w.String([]byte(c.name))
		w.Millis(c.seen)
		w.Length(c.pel.Len())
		c.pel.Scan(func(id streamID) bool {
			w.Raw(appendRawID(raw[:0], id))
			return true
		})
	}
}

// streamLoader reads a stream. It takes what servers write, and less of what nobody does: counters that are wrong, entries, names
// and ids out of order.
type streamLoader struct {
	r   *rdb.Reader
	s   *streamValue
	bad bool
}

// restoredStream is restored for a stream.
func restoredStream(r *rdb.Reader) (collection, error) {
	d := streamLoader{r: r, s: newStream()}
	live := streamID{} // the last entry that is not deleted
	for n := r.Number(); n > 0 && d.good(); n-- {
		d.block(&live)
	}
	d.counters(live)
	for n := r.Number(); n > 0 && d.good(); n-- {
		d.group()
	}
	if !d.good() {
		return nil, rdb.ErrFormat
	}
	return d.s, nil
}

func (d *streamLoader) good() bool {
	d.bad = d.bad || d.r.Err() != nil
	return !d.bad
}

// check notes a mistake unless ok.
func (d *streamLoader) check(ok bool) { d.bad = d.bad || !ok }

func (d *streamLoader) id() streamID {
	ms := d.r.Number()
	return streamID{ms, d.r.Number()}
}

func rawID(b []byte) streamID {
	if len(b) != idBytes {
		return streamID{}
	}
	return streamID{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

// signed reads a number that is not negative.
func (d *streamLoader) signed() int64 {
	n := d.r.Number()
	d.check(n <= math.MaxInt64)
	return int64(n)
}

// millis reads a time that is not before 1970.
func (d *streamLoader) millis() int64 {
	n := d.r.Millis()
	d.check(n >= 0)
	return n
}

// counters reads what stands between the blocks and the groups.
func (d *streamLoader) counters(live streamID) {
	s := d.s
	n := d.r.Number()
	s.last = d.id()
	s.added = n
	if d.r.Offsets() {
		d.id() // of the first entry, which is known
		s.maxDel = d.id()
		s.added = d.r.Number()
	}
	d.check(n == uint64(s.n) && !s.last.less(live))
}

// text reads an element of a block, as a slice of its own.
func (d *streamLoader) text() []byte {
	e, ok := d.r.Element()
	d.check(ok)
	return append([]byte(nil), e...)
}

// number reads an element of a block that is an integer.
func (d *streamLoader) number() int64 {
	e, ok := d.r.Element()
	n, number := parseInt(e)
	d.check(ok && number)
	return n
}

// block reads a block into the stream. Its entries have ids above live, which becomes the last of them.
func (d *streamLoader) block(live *streamID) {
	key := d.r.Text()
	id := rawID(key)
	d.check(len(key) == idBytes)
	d.r.Listpack()
	n, deleted, fields := d.number(), d.number(), d.number()
	d.check(n >= 0 && deleted >= 0 && max(n, deleted) <= math.MaxInt32 && n+deleted > 0 && fields > 0)
	var names [][]byte
	for ; fields > 0 && d.good(); fields-- {
		names = append(names, d.text())
	}
	d.check(d.number() == 0)
	var b *streamBlock
	for left := n + deleted; left > 0 && d.good(); left-- {
		b = d.entry(b, id, names, live)
	}
	_, more := d.r.Element()
	if d.check(!more); !d.good() {
		return
	}
	prev, ok := d.s.blocks.Max()
	d.check(int64(b.n) == n && int64(b.deleted) == deleted && (!ok || prev.id.less(b.id)))
	d.s.blocks.Set(b)
	d.s.n += b.n
	d.s.close(b)
}

// entry reads an entry into a block, nil = it is the first one of a new block.
func (d *streamLoader) entry(b *streamBlock, first streamID, names [][]byte, live *streamID) *streamBlock {
	flags := d.number()
	id := streamID{first.ms + uint64(d.number()), first.seq + uint64(d.number())}
	same := flags&streamSameFields != 0
	fields, elements := int64(len(names)), int64(streamIDElements+len(names))
	if !same {
		fields = d.number()
		elements = streamIDElements + 1 + 2*fields
	}
	var pairs [][]byte
	for i := int64(0); i < fields && d.good(); i++ {
		if same {
			pairs = append(pairs, names[i], d.text())
		} else {
			pairs = append(pairs, d.text(), d.text())
		}
	}
	d.check(d.number() == elements && len(pairs) > 0 && flags&^(streamDeleted|streamSameFields) == 0)
	if b == nil && d.good() {
		d.check(same && id == first)
		b = newStreamBlock(d.s.side, first, pairs)
	}
	if !d.good() || b.same(pairs) != same {
		d.bad = true
		return b
	}
	at := len(b.buf)
	b.add(id, pairs)
	switch {
	case flags&streamDeleted != 0:
		b.remove(at)
	default:
		d.check(live.less(id))
		*live = id
	}
	return b
}

// group reads a consumer group.
func (d *streamLoader) group() {
	s, name := d.s, append([]byte(nil), d.r.Text()...)
	last := d.id()
	read := s.ordinal(last)
	if d.r.Offsets() {
		read = int64(d.r.Number())
	}
	if d.check(read >= unknownRead); !d.good() || s.addGroup(name, last, read) == nil {
		d.bad = true
		return
	}
	g := s.change(name)
	var pending []streamPending
	for n := d.r.Number(); n > 0 && d.good(); n-- {
		p := streamPending{id: rawID(d.r.Raw(idBytes)), at: d.millis(), times: d.signed()}
		d.check(len(pending) == 0 || pending[len(pending)-1].id.less(p.id))
		pending = append(pending, p)
	}
	for n := d.r.Number(); n > 0 && d.good(); n-- {
		d.consumer(g, pending)
	}
	d.check(g.pel.Len() == len(pending)) // all of them have a consumer
}

// consumer reads a consumer, and which of the pending entries it has.
func (d *streamLoader) consumer(g *streamGroup, pending []streamPending) {
	name := append([]byte(nil), d.r.Text()...)
	seen := d.millis()
	active := seen
	if d.r.Active() {
		if active = d.r.Millis(); active < 0 {
			active = neverActive
		}
	}
	if _, ok := g.consumer(name); ok || !d.good() {
		d.bad = true
		return
	}
	who := d.s.addConsumer(g, name, seen)
	c := g.writable(who)
	c.active = active
	g.counted(c)
	for n := d.r.Number(); n > 0 && d.good(); n-- {
		id := rawID(d.r.Raw(idBytes))
		at, ok := slices.BinarySearchFunc(pending, id, func(p streamPending, id streamID) int {
			switch {
			case p.id.less(id):
				return -1
			case id.less(p.id):
				return 1
			}
			return 0
		})
		if _, taken := g.pel.Get(streamPending{id: id}); !ok || taken || !d.good() {
			d.bad = true
			return
		}
		p := pending[at]
		p.consumer = who
		d.s.pend(g, p)
	}
}
