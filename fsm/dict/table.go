package dict

import "kvapp/fsm/slab"

// Space is memory outside of the Go heap in which tables stand. What it hands out is for words and no pointers.
type Space interface {
	// Alloc returns an object of n bytes, slab.Size(n) == n, with arbitrary content.
	Alloc(n int) (slab.Ref, []byte)
	// Free ends an object of n bytes.
	Free(r slab.Ref, n int)
	// Retire is Free for an object that copies of the epochs up to epoch may show: see Dict.Own.
	Retire(r slab.Ref, n int, epoch uint64)
}

// Table is a Dict whose tables stand on the Go heap until Enter is called, and in a Space from then on: there the garbage
// collector does not see them, and they are freed when they are replaced. Of a copied header only the references may be read,
// until the Space makes the memory of what is retired usable again.
type Table struct {
	Dict
	home home
}

// Own is Own of the Dict.
func (t *Table) Own(epoch uint64, shared bool) { t.own(epoch, shared, &t.home) }

// Put is Put of the Dict.
func (t *Table) Put(tag uint32, r slab.Ref) int { return t.put(tag, r, &t.home) }

// Set is Set of the Dict.
func (t *Table) Set(pos int, r slab.Ref) { t.set(pos, r, &t.home) }

// Del is Del of the Dict.
func (t *Table) Del(pos int) { t.del(pos, &t.home) }

// Alone says that no copy of the header is read any more.
func (t *Table) Alone() {
	if t.large != nil {
		t.large.since = 0
	}
}

// Enter moves the tables of t, of which there are no copies, from the Go heap into a space.
func (t *Table) Enter(s Space) {
	h := &t.home
	h.space = s
	if l := t.large; l != nil {
		l.enter(h)
		return
	}
	refs, index := t.refs, t.index
	if refs != nil {
		t.refs, h.refs = h.newRefs(len(refs))
		t.refs = append(t.refs, refs...)
	}
	if index != nil {
		h.newIndex(&t.Dict, len(index))
		copy(t.index, index)
	}
}

// FreeStep frees some of the memory in the Space, in less than a microsecond, and reports whether there was any. Once it was called
// the table is only good for more of it.
func (t *Table) FreeStep() bool {
	h := &t.home
	switch l := t.large; {
	case h.space == nil:
		return false
	case l != nil && l.freeStep(h):
		return true
	case t.refs != nil:
		h.dropRefs(&t.Dict, false)
	case t.index != nil:
		h.dropIndex(&t.Dict)
	default:
		return false
	}
	return true
}

// Bytes is what the table takes in its Space.
func (t *Table) Bytes() (n uint64) {
	if t.home.space == nil {
		return 0
	}
	if t.large != nil {
		n = t.large.bytes()
	}
	return n + uint64(wordBytes*cap(t.refs)+placeBytes*len(t.index))
}

const (
	wordBytes  = 8
	placeBytes = 2
	chunkBytes = wordBytes * chunkLen
)

// home is where the tables of one dictionary stand. Nil, or one without a space, is the Go heap.
type home struct {
	space Space
	// refs and index are where those of a small dictionary stand. Invariant: 0 while there is none, and on the Go heap.
	refs, index slab.Ref
}

func (h *home) outside() bool { return h != nil && h.space != nil }

// words returns n words with arbitrary content, or zeros.
func (h *home) words(n int, zero bool) ([]uint64, slab.Ref) {
	if !h.outside() {
		return make([]uint64, n), 0
	}
	ref, b := h.space.Alloc(wordBytes * n)
	words := slab.As[uint64](b)
	if zero {
		clear(words)
	}
	return words, ref
}

// freeWords ends what words has returned.
func (h *home) freeWords(words []uint64, ref slab.Ref) {
	if ref != 0 {
		h.space.Free(ref, wordBytes*len(words))
	}
}

// newRefs returns an empty slice with all the room that the allocator gives for n references.
func (h *home) newRefs(n int) ([]uint64, slab.Ref) {
	if !h.outside() {
		return append([]uint64(nil), make([]uint64, n)...)[:0], 0
	}
	refs, ref := h.words(slab.Size(wordBytes*n)/wordBytes, false)
	return refs[:0], ref
}

// setRefs gives the small dictionary, which has none, its references.
func (h *home) setRefs(d *Dict, refs []uint64, ref slab.Ref) {
	if d.refs = refs; h != nil {
		h.refs = ref
	}
}

// dropRefs takes the references of a small dictionary away. Shown says that copies of the header, of the epochs up to its
// own, may show them.
func (h *home) dropRefs(d *Dict, shown bool) {
	refs := d.refs
	if d.refs = nil; h == nil || h.refs == 0 {
		return
	}
	if shown {
		h.space.Retire(h.refs, wordBytes*cap(refs), d.epoch)
	} else {
		h.space.Free(h.refs, wordBytes*cap(refs))
	}
	h.refs = 0
}

// newIndex gives the small dictionary, which has none, an index of n free places.
func (h *home) newIndex(d *Dict, n int) {
	if !h.outside() {
		d.index = make([]uint16, n)
		return
	}
	ref, b := h.space.Alloc(placeBytes * n)
	clear(b)
	d.index, h.index = slab.As[uint16](b), ref
}

// dropIndex takes the index of a small dictionary away, which no copy looks at.
func (h *home) dropIndex(d *Dict) {
	index := d.index
	if d.index = nil; h == nil || h.index == 0 {
		return
	}
	h.space.Free(h.index, placeBytes*len(index))
	h.index = 0
}

// newChunk returns a chunk with arbitrary content.
func (h *home) newChunk(epoch uint64) chunk {
	if !h.outside() {
		return chunk{words: new([chunkLen]uint64), epoch: epoch}
	}
	words, ref := h.words(chunkLen, false)
	return chunk{(*[chunkLen]uint64)(words), ref, epoch}
}

// dropChunk ends a chunk, which copies of the epochs up to epoch may show if it is older than since.
func (h *home) dropChunk(c *chunk, since, epoch uint64) {
	switch {
	case c.ref == 0:
	case c.epoch < since:
		h.space.Retire(c.ref, chunkBytes, epoch)
	default:
		h.space.Free(c.ref, chunkBytes)
	}
}
