package dict

import "kvapp/fsm/slab"

const (
	// TagBits is the number of bits of a tag.
	TagBits = 24

	linearMax = 16   // keys up to which a search compares tags one by one: two cache lines
	smallMax  = 4096 // keys up to which there is one slice and one table

	refBits = 64 - TagBits
	refMask = 1<<refBits - 1
	minLoad = 8 // a table with less than a key in so many words becomes smaller

	// A table of up to narrowMax words has words of 16 bits, a larger one of 32.
	narrowMax  = 1024
	narrowBits = 10 // of a word are the position; the others are the highest bits of the tag
	narrowMask = 1<<narrowBits - 1
	wideBits   = 13
	wideMask   = 1<<wideBits - 1
)

// Dict is a dictionary; the zero value is empty. It is one cache line long. Its tables are on the Go heap: see Table for one
// whose tables are not.
//
// Not safe for concurrent use, except that any number of goroutines may read while none writes.
type Dict struct {
	refs  []uint64 // tag<<refBits | reference, in order; unused with large
	index []uint16 // open addressing, linear probing; a word is 0 = free, else a part of the tag and position+1
	epoch uint64   // see Own
	large *large   // nil up to smallMax keys
}

// Tag is the part of a hash that a Dict uses.
func Tag(hash uint32) uint32 { return hash & (1<<TagBits - 1) }

func pack(tag uint32, r slab.Ref) uint64 { return uint64(tag)<<refBits | uint64(r) }
func tagOf(w uint64) uint32              { return uint32(w >> refBits) }
func refOf(w uint64) slab.Ref            { return slab.Ref(w & refMask) }

// Len is the number of keys.
func (d *Dict) Len() int {
	if d.large != nil {
		return d.large.n
	}
	return len(d.refs)
}

// At returns the reference at a position below Len.
func (d *Dict) At(pos int) slab.Ref {
	if d.large != nil {
		return refOf(*d.large.at(pos))
	}
	return refOf(d.refs[pos])
}

// Has reports whether the key at a position, which may be any number, has the tag, and returns its reference.
func (d *Dict) Has(pos int, tag uint32) (r slab.Ref, ok bool) {
	switch {
	case uint(pos) < uint(len(d.refs)):
		w := d.refs[pos]
		return refOf(w), tagOf(w) == tag
	case d.large != nil && uint(pos) < uint(d.large.n):
		w := *d.large.at(pos)
		return refOf(w), tagOf(w) == tag
	}
	return 0, false
}

// Next returns a position whose key has the tag, and with which at to ask for another one; -1 if there is none left. The
// first at is 0. Between two calls the dictionary must not change.
func (d *Dict) Next(tag, at uint32) (pos int, next uint32) {
	words := uint32(len(d.index))
	if words-1 >= narrowMax {
		return d.nextOther(tag, at)
	}
	mask := words - 1
	want := uint16(tag>>(TagBits-16)) &^ narrowMask
	for i := tag + at; ; i++ {
		w := d.index[i&mask]
		if w == 0 {
			return -1, 0
		}
		if w&^narrowMask == want {
			if pos := int(w&narrowMask) - 1; tagOf(d.refs[pos]) == tag {
				return pos, i + 1 - tag
			}
		}
	}
}

// Touch loads the word of the index at which a search for the tag begins, and decides nothing by it: called for several
// dictionaries in turn, it has the processor load all of them at the same time. What it returns says nothing.
func (d *Dict) Touch(tag uint32) int {
	if len(d.index) == 0 {
		return 0
	}
	return int(d.index[tag&uint32(d.words()-1)*uint32(len(d.index)/d.words())])
}

// nextOther is Next without a narrow index.
func (d *Dict) nextOther(tag, at uint32) (pos int, next uint32) {
	if len(d.index) == 0 {
		return d.nextLinear(tag, at)
	}
	mask := uint32(d.words() - 1)
	want := tag << (32 - TagBits) &^ wideMask
	for i := tag + at; ; i++ {
		w := d.wide(i & mask)
		if w == 0 {
			return -1, 0
		}
		if w&^wideMask == want {
			if pos := int(w&wideMask) - 1; tagOf(d.refs[pos]) == tag {
				return pos, i + 1 - tag
			}
		}
	}
}

// words is the number of words of the index.
func (d *Dict) words() int {
	if len(d.index) > narrowMax {
		return len(d.index) / 2
	}
	return len(d.index)
}

// wide is a word of a wide index.
func (d *Dict) wide(i uint32) uint32 { return uint32(d.index[2*i]) | uint32(d.index[2*i+1])<<16 }

// place is the position+1 in a word of the index, 0 if it is free.
func (d *Dict) place(i uint32) int {
	if len(d.index) > narrowMax {
		return int(d.wide(i) & wideMask)
	}
	return int(d.index[i] & narrowMask)
}

// setPlace writes a word of the index; place is 0 or position+1.
func (d *Dict) setPlace(i uint32, tag uint32, place int) {
	if len(d.index) <= narrowMax {
		if d.index[i] = uint16(place); place != 0 {
			d.index[i] |= uint16(tag>>(TagBits-16)) &^ narrowMask
		}
		return
	}
	w := uint32(place)
	if place != 0 {
		w |= tag << (32 - TagBits) &^ wideMask
	}
	d.index[2*i], d.index[2*i+1] = uint16(w), uint16(w>>16)
}

// nextLinear is Next without an index, and of a large dictionary.
func (d *Dict) nextLinear(tag, at uint32) (pos int, next uint32) {
	if d.large != nil {
		return d.large.next(tag, at)
	}
	for i := int(at); i < len(d.refs); i++ {
		if tagOf(d.refs[i]) == tag {
			return i, uint32(i) + 1
		}
	}
	return -1, 0
}

// Own must be called before the first change after the header was copied: epoch is the number of copies so far, and
// shared says that one of them may still be read. Calling it again with the same epoch does nothing.
func (d *Dict) Own(epoch uint64, shared bool) { d.own(epoch, shared, nil) }

// Put appends a key that is not present and returns its position.
func (d *Dict) Put(tag uint32, r slab.Ref) int { return d.put(tag, r, nil) }

// Set replaces the reference at a position; the key stays.
func (d *Dict) Set(pos int, r slab.Ref) { d.set(pos, r, nil) }

// Del removes the key at a position; the last one takes its place.
func (d *Dict) Del(pos int) { d.del(pos, nil) }

func (d *Dict) own(epoch uint64, shared bool, h *home) {
	if d.epoch == epoch {
		return
	}
	d.epoch = epoch
	switch {
	case d.large != nil:
		d.large = d.large.own(epoch, shared)
	case shared:
		d.resize(len(d.refs)+1, true, h)
	}
}

// resize gives the references room for at least want. Shown says that copies of the header may still show them where they are.
func (d *Dict) resize(want int, shown bool, h *home) {
	next, ref := h.newRefs(max(want, len(d.refs)))
	next = append(next, d.refs...)
	h.dropRefs(d, shown)
	h.setRefs(d, next, ref)
}

func (d *Dict) put(tag uint32, r slab.Ref, h *home) int {
	if d.large != nil {
		return d.large.put(pack(tag, r), d.epoch, h)
	}
	pos := len(d.refs)
	if pos == smallMax {
		d.large = newLarge(d.refs, d.epoch, h)
		h.dropRefs(d, false)
		h.dropIndex(d)
		return d.large.put(pack(tag, r), d.epoch, h)
	}
	if pos == cap(d.refs) {
		d.resize(pos+pos/16+2, false, h)
	}
	d.refs = append(d.refs, pack(tag, r))
	switch n := pos + 1; {
	case len(d.index) == 0 && n <= linearMax:
	case n*4 > d.words()*3:
		d.reindex(h)
	default:
		d.link(tag, pos)
	}
	return pos
}

func (d *Dict) set(pos int, r slab.Ref, h *home) {
	w := d.word(pos, h)
	*w = pack(tagOf(*w), r)
}

// word returns the reference at pos for changing it.
func (d *Dict) word(pos int, h *home) *uint64 {
	if d.large != nil {
		return d.large.change(pos, d.epoch, h)
	}
	return &d.refs[pos]
}

func (d *Dict) del(pos int, h *home) {
	if d.large != nil {
		d.large.del(pos, d.epoch, h)
		if d.large.n <= smallMax/4 {
			d.shrink(h)
		}
		return
	}
	last := len(d.refs) - 1
	if len(d.index) > 0 {
		d.unlink(pos)
		if pos != last {
			d.setPlace(d.find(last), tagOf(d.refs[last]), pos+1)
		}
	}
	d.refs[pos] = d.refs[last]
	d.refs = d.refs[:last]
	switch {
	case last <= linearMax/2:
		h.dropIndex(d)
	case len(d.index) > 0 && last*minLoad < d.words():
		d.reindex(h)
	}
	switch c := cap(d.refs); {
	case last == 0:
		h.dropRefs(d, false)
	case c > linearMax && last < c/4:
		d.resize(last+last/8+2, false, h)
	}
}

// shrink makes a large dictionary small.
func (d *Dict) shrink(h *home) {
	l := d.large
	d.large = nil
	d.resize(l.n+l.n/8, false, h)
	for i := range l.n {
		d.refs = append(d.refs, *l.at(i))
	}
	l.drop(d.epoch, h)
	d.reindex(h)
}

// reindex builds the index anew, at most half full.
func (d *Dict) reindex(h *home) {
	size := 2 * linearMax
	for size < 2*len(d.refs) {
		size *= 2
	}
	if size > narrowMax {
		size *= 2
	}
	h.dropIndex(d)
	h.newIndex(d, size)
	for i, w := range d.refs {
		d.link(tagOf(w), i)
	}
}

// link enters a position into the index.
func (d *Dict) link(tag uint32, pos int) {
	mask := uint32(d.words() - 1)
	i := tag & mask
	for d.place(i) != 0 {
		i = (i + 1) & mask
	}
	d.setPlace(i, tag, pos+1)
}

// find returns where the index refers to pos.
func (d *Dict) find(pos int) uint32 {
	mask := uint32(d.words() - 1)
	i := tagOf(d.refs[pos]) & mask
	for d.place(i) != pos+1 {
		i = (i + 1) & mask
	}
	return i
}

// unlink removes pos from the index and closes the gap, so that no search ends early.
func (d *Dict) unlink(pos int) {
	mask := uint32(d.words() - 1)
	gap := d.find(pos)
	for i := (gap + 1) & mask; d.place(i) != 0; i = (i + 1) & mask {
		at := d.place(i)
		tag := tagOf(d.refs[at-1])
		if (i-tag)&mask >= (i-gap)&mask {
			d.setPlace(gap, tag, at)
			gap = i
		}
	}
	d.setPlace(gap, 0, 0)
}

// View is what can be read of a copied header while its owner goes on.
type View struct {
	refs   []uint64
	chunks []chunk
	n      int
}

// View returns the references of the dictionary as it is.
func (d *Dict) View() View {
	if d.large != nil {
		return View{chunks: d.large.chunks, n: d.large.n}
	}
	return View{refs: d.refs, n: len(d.refs)}
}

// Len is the number of keys.
func (v *View) Len() int { return v.n }

// At returns the reference at a position below Len.
func (v *View) At(pos int) slab.Ref {
	if v.chunks != nil {
		return refOf(v.chunks[pos/chunkLen].words[pos%chunkLen])
	}
	return refOf(v.refs[pos])
}
