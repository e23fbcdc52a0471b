package fsm

import (
	"encoding/binary"

	"kvapp/fsm/slab"
)

// A memory holds the records of members. The store has one, in an arena, for all collections of all databases: so MOVE and
// SWAPDB take no time. It is another one than those of the keys' records, because whoever moves a record must know what it
// is. With it go the tables by which the members are found (membertables.go).
//
// A collection that no key has yet, such as the result of SUNION or what is read from a snapshot, has a memory of its own on
// the Go heap, in blocks of bytes; any goroutine may have one. It becomes part of the store's when a key gets it, and not
// earlier: so what a command gives up leaves nothing behind.
//
// What a command frees of a collection that it deletes is freed later: DEL of millions of members takes no time. The
// bytes are taken out of the arena's count at once, so that it is a function of the state.
type memory struct {
	arena  *slab.Arena // nil = blocks
	tables *tables     // nil = they are on the Go heap

	blocks [][]byte
	filled int // bytes of the last block

	// The rest is of the store's memory, and of the applier alone.
	owners  []*members // by number, which begin with 1; nil = not in use, or dropped
	spare   []uint32   // numbers that are free
	retired retirement
	dropped []droppedMembers
	credit  int // records made since then: as many of dropped collections, twice, may be freed
	// compacting says that records are being moved together, until there is little slack.
	compacting bool
}

// droppedMembers is a deleted collection.
type droppedMembers struct {
	m     *members
	left  int    // records that are not freed yet: those at the positions below
	epoch uint64 // the store's when it was deleted: views with a higher number do not show it
}

const (
	blockBits  = 16 // of the bytes of a block
	blockFirst = 1 << 10
	blockUnit  = 8
	blockUnits = blockBits - 3
)

func newMemory() *memory {
	return &memory{arena: slab.New(), tables: newTables(), owners: make([]*members, 1)}
}

// from returns the bytes from the beginning of a record on.
func (mem *memory) from(r slab.Ref) []byte {
	if mem.arena != nil {
		return mem.arena.From(r)
	}
	return mem.blocks[r>>blockUnits][int(r&(1<<blockUnits-1))*blockUnit:]
}

// alloc returns a new record of n bytes.
func (mem *memory) alloc(n int) slab.Ref {
	if mem.arena != nil {
		mem.credit++
		return mem.arena.Alloc(n)
	}
	n = slab.Size(n)
	last := len(mem.blocks) - 1
	if last < 0 || mem.filled+n > len(mem.blocks[last]) {
		size := blockFirst
		if last >= 0 {
			size = min(2*len(mem.blocks[last]), 1<<blockBits)
		}
		mem.blocks, mem.filled = append(mem.blocks, make([]byte, max(size, n))), 0
		last++
	}
	r := slab.Ref(last<<blockUnits | mem.filled/blockUnit)
	mem.filled += n
	return r
}

// used says that there was ever a record in the store's memory.
func (mem *memory) used() bool { return len(mem.owners) > 1 }

// free ends a record of n bytes that no view shows.
func (mem *memory) free(r slab.Ref, n int) {
	if mem.arena != nil {
		mem.arena.Free(r, n)
	}
}

// retire ends a record that views of epochs up to epoch may show.
func (mem *memory) retire(r slab.Ref, n int, epoch uint64) {
	mem.arena.Retire(n)
	mem.retired.push(retired{epoch: epoch, ref: r, size: n})
}

// enter gives m a number. What it has in another memory stays there.
func (mem *memory) enter(m *members) {
	if last := len(mem.spare) - 1; last >= 0 {
		m.owner, mem.spare = mem.spare[last], mem.spare[:last]
	} else {
		m.owner = uint32(len(mem.owners))
		mem.owners = append(mem.owners, nil)
	}
	mem.owners[m.owner] = m
}

// adopt makes the records of m part of the memory, if they are not.
func (mem *memory) adopt(m *members) {
	if m.mem == mem {
		return
	}
	mem.enter(m)
	refs := make([]slab.Ref, m.len())
	m.live = 0
	for i := range refs {
		b := m.mem.from(m.dict.At(i))
		size := m.read(b).size
		refs[i] = mem.alloc(size)
		c := mem.arena.Bytes(refs[i], size)
		binary.LittleEndian.PutUint32(c, m.owner)
		copy(c[ownerBytes:], b[ownerBytes:])
		m.live += uint64(slab.Size(size))
	}
	if m.tree != nil {
		m.tree.root.each(func(it *zitem) { it.ref = refs[m.position(m.tree.key(it), it.ref)] })
		m.tree.enter(mem.tables)
	}
	m.mem = mem
	m.dict.Enter(mem.tables)
	for i, ref := range refs {
		m.dict.Set(i, ref)
	}
}

// drop takes members out of the state; epoch is the store's.
func (mem *memory) drop(m *members, epoch uint64) {
	mem.owners[m.owner] = nil
	mem.arena.RetireBytes(m.live)
	mem.dropped = append(mem.dropped, droppedMembers{m, m.len(), epoch})
}

const (
	// freesPerRecord is how many records of dropped collections are freed for each that is made: what is left becomes less.
	freesPerRecord = 2
	// freesPerEntry bounds that for one entry.
	freesPerEntry = 4096
)

// earned returns how many records an entry frees because others were made.
func (mem *memory) earned() int {
	if len(mem.dropped) == 0 && mem.retired.n == 0 && mem.tables.retired.n == 0 {
		mem.credit = 0
		return 0
	}
	n := min(mem.credit, freesPerEntry/freesPerRecord)
	mem.credit -= n
	return n * freesPerRecord
}

// drain frees up to n records and tables that views older than oldest could show, and returns how many are left of n.
func (mem *memory) drain(n int, oldest uint64) int {
	for ; n > 0 && mem.retired.ready(oldest); n-- {
		r := &mem.retired.first.items[mem.retired.from]
		mem.arena.Release(r.ref, r.size)
		mem.retired.pop()
	}
	n = mem.tables.drain(n, oldest)
	for n > 0 && len(mem.dropped) > 0 && mem.dropped[0].epoch < oldest {
		d := &mem.dropped[0]
		for ; n > 0 && d.left > 0; n-- {
			d.left--
			ref := d.m.dict.At(d.left)
			mem.arena.Release(ref, d.m.read(mem.from(ref)).size)
		}
		for ; n > 0 && d.left == 0 && d.m.freeStep(); n-- {
		}
		if n > 0 {
			mem.spare = append(mem.spare, d.m.owner)
			*d = droppedMembers{}
			if mem.dropped = mem.dropped[1:]; len(mem.dropped) == 0 {
				mem.dropped = nil
			}
		}
	}
	return n
}

// ready says that there is something to free that no view older than oldest shows.
func (mem *memory) ready(oldest uint64) bool {
	return mem.retired.ready(oldest) || mem.tables.retired.ready(oldest) || len(mem.dropped) > 0 && mem.dropped[0].epoch < oldest
}

// freeStep frees some of the tables of a dropped collection, and reports whether there were any.
func (m *members) freeStep() bool { return m.tree != nil && m.tree.freeStep() || m.dict.FreeStep() }

// held says that something is not freed yet.
func (mem *memory) held() bool { return mem.fixed() || mem.tables.retired.n != 0 }

// ownerOf returns the collection that a record is of, nil if there is none.
func (mem *memory) ownerOf(r slab.Ref) *members {
	if n := binary.LittleEndian.Uint32(mem.from(r)); int(n) < len(mem.owners) {
		return mem.owners[n]
	}
	return nil
}

// fixed says that records must stay where they are: some may be in views, or have no owner any more.
func (mem *memory) fixed() bool { return mem.retired.n != 0 || len(mem.dropped) != 0 }
