package fsm

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/tidwall/btree"
)

// A stream is a sequence of entries in the order of their ids, which only grow.
//
// Entries stand in blocks (streamblock.go), the elements of a block in the encoding of packed, and a block begins where one of
// Redis would: it is full with StreamNodeMaxEntries entries, or when the next one could bring it to StreamNodeMaxBytes. Where
// blocks begin is state, because XTRIM with ~ removes only whole ones: so the limits are constants, the same on every node, and
// snapshots and the state hash hold the blocks as they are, deleted entries included, until their block goes.
//
// Blocks stand in a tree by the id of their first entry. A range is found in O(log n) and one block, appending takes O(log n)
// steps among the blocks and none among the entries, and trimming drops whole blocks as far as it can. Cloning takes O(1): trees
// are copied when they change, node by node, and so are blocks, groups and consumers: each carries the token of the side that may
// write to it.
//
// Groups (streamgroup.go) stand in the order of their names. What is pending is a tree by id, for the group and for each
// consumer.
//
// A stream without entries is a value, too: it remembers its ids and groups. Only DEL and what is like it remove the key.

// streamID is the id of an entry.
type streamID struct{ ms, seq uint64 }

var maxStreamID = streamID{math.MaxUint64, math.MaxUint64}

func (a streamID) less(b streamID) bool { return a.ms < b.ms || a.ms == b.ms && a.seq < b.seq }

// next returns the id behind a; false if there is none.
func (a streamID) next() (streamID, bool) {
	if a.seq++; a.seq == 0 {
		a.ms++
	}
	return a, a != streamID{}
}

// prev returns the id before a; false if there is none.
func (a streamID) prev() (streamID, bool) {
	if a.seq == 0 {
		a.ms--
	}
	a.seq--
	return a, a != maxStreamID
}

func (a streamID) appendTo(dst []byte) []byte {
	return strconv.AppendUint(append(strconv.AppendUint(dst, a.ms, 10), '-'), a.seq, 10)
}

// hash is a part of state hashes.
func (a streamID) hash() uint64 { return fold(a.ms^mixA, a.seq^mixB) }

// reply answers the id as a string.
func (a streamID) reply(tx *Tx, out Out) {
	tx.buf = a.appendTo(tx.buf[:0])
	out.Bulk(tx.buf)
}

// streamValue is a stream.
type streamValue struct {
	side   *owner                          // marks the blocks, groups and consumers that may be written to
	blocks *btree.BTreeG[*streamBlock]     // by id
	n      int                             // entries that are not deleted
	last   streamID                        // the highest id ever given; new ones are higher
	added  uint64                          // entries ever added, by what was noted or XSETID said
	maxDel streamID                        // the highest id that XDEL removed, or XSETID said
	bytes  int                             // of the blocks, groups, consumers and what is pending, as size counts them
	groups []*streamGroup                  // by name
	dirty  *streamGroup                    // its part is not in groupSum
	sums   struct{ blocks, groups uint64 } // of the parts of all blocks, and of all groups but dirty
}

const (
	// StreamNodeMaxEntries is the number of entries, deleted ones included, with which a block is full.
	StreamNodeMaxEntries = 100
	// StreamNodeMaxBytes is the size in bytes that blocks of more than one entry stay below.
	StreamNodeMaxBytes = 4096

	// streamMaxEntry is the most bytes of fields and values of one entry.
	streamMaxEntry = 1 << 30

	streamCost        = 240 // bytes of a stream without blocks and groups
	streamBlockCost   = 112 // of a block beyond its elements
	streamGroupCost   = 320 // of a group beyond its name
	streamMemberCost  = 200 // of a consumer beyond its name
	streamPendingCost = 88  // of a pending entry, in both trees
)

func newStream() *streamValue {
	return &streamValue{side: &owner{}, blocks: newStreamTree(func(a, b *streamBlock) bool { return a.id.less(b.id) })}
}

func newStreamTree[T any](less func(a, b T) bool) *btree.BTreeG[T] {
	return btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})
}

func (s *streamValue) kind() kind { return kindStream }

func (s *streamValue) form() form { return streamBlocks }

func (s *streamValue) setForm(f form) bool { return f == streamBlocks }

// len returns the number of entries, which may be none.
func (s *streamValue) len() int { return s.n }

func (s *streamValue) packed() *packed { return nil }

func (s *streamValue) own() collection { return s }

func (s *streamValue) size() int { return streamCost + s.bytes }

// clone returns a copy; both sides share what neither writes to. It counts as a write.
func (s *streamValue) clone() object {
	s.settle()
	c := *s
	s.side, c.side = &owner{}, &owner{}
	c.blocks = s.blocks.Copy()
	c.groups = append([]*streamGroup(nil), s.groups...)
	return &c
}

// floor returns the last block that begins at id or before, nil if there is none.
func (s *streamValue) floor(id streamID) (b *streamBlock) {
	s.blocks.Descend(&streamBlock{id: id}, func(x *streamBlock) bool {
		b = x
		return false
	})
	return b
}

// walk calls f for the entries from first to last, backwards if reverse, until f returns false.
func (s *streamValue) walk(first, last streamID, reverse bool, f func(e *streamEntry) bool) {
	if last.less(first) {
		return
	}
	visit := func(b *streamBlock) bool { return b.walk(first, last, reverse, f) }
	if reverse {
		s.blocks.Descend(&streamBlock{id: last}, func(b *streamBlock) bool { return visit(b) && first.less(b.id) })
		return
	}
	from := first
	if b := s.floor(first); b != nil {
		from = b.id
	}
	s.blocks.Ascend(&streamBlock{id: from}, func(b *streamBlock) bool { return !last.less(b.id) && visit(b) })
}

// count returns how many entries there are from first to last, but no more than limit. It looks into the blocks at both ends of
// the range only.
func (s *streamValue) count(first, last streamID, limit int) (n int) {
	if last.less(first) {
		return 0
	}
	from := first
	if b := s.floor(first); b != nil {
		from = b.id
	}
	var held *streamBlock // it lies in the range, or begins before it; what follows tells whether it ends there
	tally := func(b *streamBlock, whole bool) {
		if whole && !b.id.less(first) {
			n += b.n
			return
		}
		b.walk(first, last, false, func(*streamEntry) bool {
			n++
			return true
		})
	}
	s.blocks.Ascend(&streamBlock{id: from}, func(b *streamBlock) bool {
		if held != nil {
			tally(held, !last.less(b.id))
		}
		held = b
		if last.less(b.id) {
			held = nil
		}
		return held != nil && n < limit
	})
	if held != nil && n < limit {
		tally(held, last == maxStreamID)
	}
	return min(n, limit)
}

// find returns the entry with an id; false if there is none, or it is deleted.
func (s *streamValue) find(id streamID) (e streamEntry, ok bool) {
	if b := s.floor(id); b != nil {
		b.walk(id, id, false, func(x *streamEntry) bool {
			e, ok = *x, true
			return false
		})
	}
	return e, ok
}

// edge returns the id of the first or last entry, 0-0 if there is none.
func (s *streamValue) edge(last bool) (id streamID) {
	if s.n == 0 {
		return id
	}
	s.walk(streamID{}, maxStreamID, last, func(e *streamEntry) bool {
		id = e.id
		return false
	})
	return id
}

// open returns b, or a copy of it, for writing to; close counts it again. Between them the stream is not to be looked at.
func (s *streamValue) open(b *streamBlock) *streamBlock {
	s.sums.blocks -= b.part()
	s.bytes -= b.size()
	if b.side != s.side {
		c := *b
		c.side, c.buf = s.side, b.buf.clone()
		b = &c
		s.blocks.Set(b)
	}
	return b
}

func (s *streamValue) close(b *streamBlock) {
	s.sums.blocks += b.part()
	s.bytes += b.size()
}

// drop removes a block with all its entries.
func (s *streamValue) drop(b *streamBlock) {
	s.n -= b.n
	s.sums.blocks -= b.part()
	s.bytes -= b.size()
	s.blocks.Delete(b)
}

// tail returns the block for the next entry, which has an id above last; nil if it needs a new one.
func (s *streamValue) tail(id streamID, pairs [][]byte) *streamBlock {
	for {
		b, ok := s.blocks.Max()
		switch {
		case !ok:
			return nil
		case b.n == 0 && !b.last.less(id): // XSETID has gone back behind entries that are deleted
			s.drop(b)
		case b.takes(pairs):
			return s.open(b)
		default:
			if b.side == s.side && b.buf.loose() {
				b.buf = b.buf.clone()
			}
			return nil
		}
	}
}

// add appends an entry of fields and values in turn. REQUIRES: id is higher than last.
func (s *streamValue) add(id streamID, pairs [][]byte) {
	b := s.tail(id, pairs)
	if b == nil {
		b = newStreamBlock(s.side, id, pairs)
		s.blocks.Set(b)
	}
	b.add(id, pairs)
	s.close(b)
	s.n++
	s.added++
	s.last = id
}

// remove deletes the entry with an id, and reports whether there was one.
func (s *streamValue) remove(id streamID) bool {
	e, ok := s.find(id)
	if !ok {
		return false
	}
	if s.maxDel.less(id) {
		s.maxDel = id
	}
	if e.block.n == 1 {
		s.drop(e.block)
		return true
	}
	b := s.open(e.block)
	b.remove(e.at)
	s.close(b)
	s.n--
	return true
}

// streamTrim says which entries XTRIM, or XADD, removes from the front.
type streamTrim struct {
	by     trimBy
	most   int64    // entries to keep, with trimLen
	least  streamID // the first id to keep, with trimID
	approx bool     // whole blocks only
	limit  int64    // no more entries than that, 0 = any number
}

type trimBy uint8

const (
	trimNone trimBy = iota
	trimLen
	trimID
)

// enough says that the entry with an id, and what is behind it, stays.
func (s *streamValue) enough(t *streamTrim, id streamID) bool {
	if t.by == trimLen {
		return int64(s.n) <= t.most
	}
	return !id.less(t.least)
}

// trim removes entries from the front and returns how many.
func (s *streamValue) trim(t streamTrim) (removed int64) {
	for {
		b, ok := s.blocks.Min()
		if !ok || t.by == trimLen && int64(s.n) <= t.most || t.limit > 0 && removed+int64(b.n) > t.limit {
			return removed
		}
		whole := t.by == trimLen && int64(s.n-b.n) >= t.most || t.by == trimID && b.last.less(t.least)
		if whole {
			removed += int64(b.n)
			s.drop(b)
			continue
		}
		if !t.approx {
			removed += s.trimBlock(b, &t)
		}
		return removed
	}
}

// trimBlock removes entries from the front of the first block, which stays.
func (s *streamValue) trimBlock(b *streamBlock, t *streamTrim) (removed int64) {
	b = s.open(b)
	for off := b.head; off < len(b.buf); {
		e := b.entry(off)
		if s.enough(t, e.id) {
			break
		}
		if off = e.end; !e.deleted {
			b.remove(e.at)
			s.n--
			removed++
		}
	}
	s.close(b)
	return removed
}

// tombstones says that an entry at id or behind it may have been deleted by XDEL, and not because all before the first one are gone.
func (s *streamValue) tombstones(id streamID) bool {
	return s.n > 0 && s.maxDel != streamID{} && !s.maxDel.less(id) && !s.maxDel.less(s.edge(false))
}

// unknownRead is what a group has read when nobody can tell.
const unknownRead = -1

// ordinal is how many entries had been added when the one with an id was, unknownRead if that cannot be told.
func (s *streamValue) ordinal(id streamID) int64 {
	switch added := int64(s.added); {
	case s.added == 0:
		return 0
	case s.n == 0 && !s.last.less(id):
		return added
	case id == s.last:
		return added
	case s.last.less(id):
		return unknownRead
	default:
		first := s.edge(false)
		if s.maxDel != (streamID{}) && !s.maxDel.less(first) {
			return unknownRead
		}
		switch {
		case id.less(first):
			return added - int64(s.n)
		case id == first:
			return added - int64(s.n) + 1
		}
		return unknownRead
	}
}

// radixNodes is how many nodes Redis' tree of the blocks would have: one for each block, one for each place where ids part, and
// one for each run of bytes before such a place or an end. It takes a step for each block.
func (s *streamValue) radixNodes() (nodes int) {
	const width = 16
	var (
		key  [width]byte
		path []int // where the ids so far part, on the way to the last of them
		last = -1  // where that one parts from the one before
	)
	run := func(to, from int) {
		if to-from > 1 {
			nodes++
		}
	}
	part := func(at int) {
		for top := len(path) - 1; top >= 0 && path[top] > at; top-- {
			depth := path[top]
			if path = path[:top]; top > 0 {
				run(depth, max(at, path[top-1]))
			} else {
				run(depth, at)
			}
		}
		if top := len(path) - 1; at >= 0 && (top < 0 || path[top] < at) {
			path = append(path, at)
			nodes++
		}
	}
	s.blocks.Scan(func(b *streamBlock) bool {
		next := streamKey(b.id)
		if nodes > 0 {
			at := 0
			for at < width-1 && key[at] == next[at] {
				at++
			}
			run(width, max(last, at))
			part(at)
			last = at
		}
		nodes++
		key = next
		return true
	})
	if nodes == 0 {
		return 1
	}
	run(width, last)
	part(-1)
	return nodes
}

func streamKey(id streamID) (b [16]byte) {
	binary.BigEndian.PutUint64(b[:], id.ms)
	binary.BigEndian.PutUint64(b[8:], id.seq)
	return b
}
