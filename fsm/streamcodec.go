package fsm

// The canonical encoding of a stream, where strings have their length in front and every number is a uvarint:
//
//	last id, highest deleted id, added
//	n { id, n { flags, id less that of the block, n, (name, value)* | value* } }     blocks and their entries
//	n { name, last id, read+1, n { name, seen, active+1 }, n { id, at, times, consumer } }     groups
//
// An id is two numbers; a consumer is its place among the names; the first entry of a block has its names. Flags are those of the
// entry in its block: the names are missing if they are those of the first entry.

func appendID(dst []byte, id streamID) []byte { return appendUint(dst, id.ms, id.seq) }

func (s *streamValue) appendTo(dst []byte) []byte {
	dst = appendUint(appendID(appendID(dst, s.last), s.maxDel), s.added, uint64(s.blocks.Len()))
	s.blocks.Scan(func(b *streamBlock) bool {
		dst = b.appendTo(dst)
		return true
	})
	dst = appendUint(dst, uint64(len(s.groups)))
	for _, g := range s.groups {
		dst = g.appendTo(dst)
	}
	return dst
}

func (b *streamBlock) appendTo(dst []byte) []byte {
	dst = appendUint(appendID(dst, b.id), uint64(b.n+b.deleted))
	for off := b.head; off < len(b.buf); {
		e := b.entry(off)
		named := !e.same || off == b.head
		dst = appendUint(dst, uint64(b.buf.integer(off)))
		dst = appendID(dst, streamID{e.id.ms - b.id.ms, e.id.seq - b.id.seq})
		if named {
			dst = appendUint(dst, uint64(e.fields))
		}
		name := true
		e.each(func(w word) {
			if named || !name {
				dst = w.encode(dst)
			}
			name = !name
		})
		off = e.end
	}
	return dst
}

func (g *streamGroup) appendTo(dst []byte) []byte {
	dst = appendUint(appendID(appendBytes(dst, g.name), g.last), uint64(g.read+1), uint64(len(g.order)))
	places := make([]uint64, len(g.consumers))
	for i, n := range g.order {
		c := g.consumers[n]
		places[n] = uint64(i)
		dst = appendUint(appendBytes(dst, c.name), uint64(c.seen), uint64(c.active+1))
	}
	dst = appendUint(dst, uint64(g.pel.Len()))
	g.pel.Scan(func(p streamPending) bool {
		dst = appendUint(appendID(dst, p.id), uint64(p.at), uint64(p.times), places[p.consumer])
		return true
	})
	return dst
}

func decodeStream(b []byte) (collection, error) {
	d := valueDecoder{b: b}
	s := newStream()
	last := d.id()
	maxDel, added := d.id(), d.uvarint()
	live := streamID{} // of the last entry that is not deleted
	for n := d.count(); n > 0 && !d.bad; n-- {
		b := d.block(s.side, &live)
		if prev, ok := s.blocks.Max(); b == nil || ok && !prev.id.less(b.id) {
			return nil, errDecode
		}
		s.blocks.Set(b)
		s.n += b.n
		s.close(b)
	}
	s.last, s.maxDel, s.added = last, maxDel, added
	for n := d.count(); n > 0 && !d.bad; n-- {
		d.group(s)
	}
	if !d.end() || last.less(live) {
		return nil, errDecode
	}
	return s, nil
}

func init() { decoders[kindStream] = decodeStream }

func (d *valueDecoder) id() streamID {
	ms := d.uvarint()
	return streamID{ms, d.uvarint()}
}

// signed reads a number that is not negative.
func (d *valueDecoder) signed() int64 {
	n := int64(d.uvarint())
	d.bad = d.bad || n < 0
	return n
}

// block reads a block; nil if it is none. Its entries that are not deleted have ids above live, which becomes the last of them.
func (d *valueDecoder) block(side *owner, live *streamID) (b *streamBlock) {
	id, n := d.id(), d.count()
	var pairs [][]byte
	for i := range n {
		flags, delta := d.uvarint(), d.id()
		same := flags&streamSameFields != 0
		if i == 0 && (!same || delta != streamID{}) || flags > streamDeleted|streamSameFields {
			return nil
		}
		if pairs = d.pairs(pairs[:0], b, same); d.bad {
			return nil
		}
		if b == nil {
			b = newStreamBlock(side, id, pairs)
		}
		if b.same(pairs) != same {
			return nil
		}
		at, id := len(b.buf), streamID{b.id.ms + delta.ms, b.id.seq + delta.seq}
		b.add(id, pairs)
		switch {
		case flags&streamDeleted != 0:
			b.remove(at)
		case !live.less(id):
			return nil
		default:
			*live = id
		}
	}
	return b
}

// pairs reads names and values of an entry, only values if they have the names that b begins with.
func (d *valueDecoder) pairs(pairs [][]byte, b *streamBlock, same bool) [][]byte {
	n, off := 0, 0
	if b == nil || !same {
		n = d.count()
	} else {
		fields, head := b.integer(0)
		n, off = int(fields), head
	}
	d.bad = d.bad || n == 0
	for ; n > 0 && !d.bad; n-- {
		if b == nil || !same {
			pairs = append(pairs, d.bytes())
		} else {
			w, _ := b.buf.word(off)
			pairs, off = append(pairs, w.appendTo(nil)), b.buf.after(off)
		}
		pairs = append(pairs, d.bytes())
	}
	return pairs
}

// group reads a group into s, behind those that it has.
func (d *valueDecoder) group(s *streamValue) {
	name, last := d.bytes(), d.id()
	read := d.signed() - 1
	if k := len(s.groups); d.bad || k > 0 && s.groups[k-1].name >= string(name) {
		d.bad = true
		return
	}
	s.addGroup(name, last, read)
	g := s.change(name)
	for n := d.count(); n > 0 && !d.bad; n-- {
		name, seen, active := d.bytes(), d.signed(), d.signed()-1
		if k := len(g.order); d.bad || k > 0 && g.consumers[g.order[k-1]].name >= string(name) {
			d.bad = true
			return
		}
		n := s.addConsumer(g, name, seen)
		c := g.writable(n)
		c.active = active
		g.counted(c)
	}
	before := streamID{}
	for n := d.count(); n > 0 && !d.bad; n-- {
		p := streamPending{id: d.id(), at: d.signed(), times: d.signed()}
		who := d.uvarint()
		if d.bad || who >= uint64(len(g.order)) || g.pel.Len() > 0 && !before.less(p.id) {
			d.bad = true
			return
		}
		p.consumer, before = g.order[who], p.id
		s.pend(g, p)
	}
}

// content is the hash of a stream by the parts of its blocks and groups.
func (s *streamValue) content(blocks, groups uint64) uint64 {
	return fold(fold(s.last.hash()^uint64(s.n)*golden, s.maxDel.hash()^s.added)^blocks, groups^mixC)
}

func (s *streamValue) sum() uint64 {
	s.settle()
	return s.content(s.sums.blocks, s.sums.groups)
}

func (s *streamValue) recount() uint64 {
	var blocks, groups uint64
	s.blocks.Scan(func(b *streamBlock) bool {
		c := b.recount()
		blocks += c.part()
		return true
	})
	for _, g := range s.groups {
		c := *g
		c.sum = 0
		for _, n := range g.order {
			c.sum += g.consumers[n].part()
		}
		g.pel.Scan(func(p streamPending) bool {
			c.sum += p.part(g.consumers[p.consumer])
			return true
		})
		groups += c.part()
	}
	return s.content(blocks, groups)
}
