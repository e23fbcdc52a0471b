package fsm

import (
	slotdict "kvapp/fsm/dict"
	"kvapp/fsm/slab"
)

// tables is where the dictionaries and trees of the store's members stand: outside of the Go heap, so that a collection of garbage
// costs no more with more members. It is another arena than that of the records: how many bytes there are depends on the seed of
// the hashes, and nothing here is ever moved. What is replaced is freed at once, unless a view may show it.
//
// It is the applier's.
type tables struct {
	arena   *slab.Arena
	retired retirement
}

var _ slotdict.Space = (*tables)(nil)

func newTables() *tables { return &tables{arena: slab.New()} }

// Alloc implements dict.Space.
func (t *tables) Alloc(n int) (slab.Ref, []byte) {
	ref := t.arena.Alloc(n)
	return ref, t.arena.Bytes(ref, n)
}

// Free implements dict.Space.
func (t *tables) Free(r slab.Ref, n int) { t.arena.Free(r, n) }

// Retire implements dict.Space. Epochs are the store's.
func (t *tables) Retire(r slab.Ref, n int, epoch uint64) {
	t.arena.Retire(n)
	t.retired.push(retired{epoch: epoch, ref: r, size: n})
}

// drain makes the memory of up to n retired tables usable again that views older than oldest could show, and returns how many are
// left of n.
func (t *tables) drain(n int, oldest uint64) int {
	for ; n > 0 && t.retired.ready(oldest); n-- {
		r := &t.retired.first.items[t.retired.from]
		t.arena.Release(r.ref, r.size)
		t.retired.pop()
	}
	return n
}
