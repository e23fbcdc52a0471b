package fsm

import (
	"fmt"

	"kvapp/fsm/slab"
)

// checkMemory verifies the members of all collections, and that nothing else is in the memory.
func (s *Store) checkMemory() error {
	owned, live := 0, uint64(0)
	for n := range s.dbs {
		db := s.dbs[n].Load()
		for slot := 0; db != nil && slot < Slots; slot++ {
			for i := range db.keysIn(slot) {
				it := db.itemAt(slot, i)
				m := membersOf(it.object())
				if m == nil {
					continue
				}
				if it.objs.at(it.handle()).kept != m || m.mem != s.memory || s.memory.owners[m.owner] != m || m.slot != slot {
					return &InvariantError{"members have an owner", fmt.Sprintf("%q: number %d, slot %d", it.key(), m.owner, m.slot)}
				}
				if err := m.check(); err != nil {
					return fmt.Errorf("%q: %w", it.key(), err)
				}
				owned++
				live += m.live
			}
		}
	}
	if err := s.memory.checkTables(); err != nil {
		return err
	}
	return s.memory.check(owned, live, len(s.dropped) > 0)
}

// check compares the memory with so many collections, of so many bytes, that have keys. With more there may be others: those
// of databases that are being dropped.
func (mem *memory) check(owned int, live uint64, more bool) error {
	used := 0
	for _, m := range mem.owners {
		if m != nil {
			used++
		}
	}
	if !more && (used != owned || live != mem.arena.Live()) {
		return &InvariantError{"members are in a collection", fmt.Sprintf("%d collections of %d bytes; counted %d, %d", used, mem.arena.Live(), owned, live)}
	}
	if n := len(mem.owners) - 1 - len(mem.spare) - len(mem.dropped); n != used {
		return &InvariantError{"numbers of collections", fmt.Sprintf("%d in use, %d not free", used, n)}
	}
	return nil
}

// checkTables verifies that every table is one of a collection, or of one that is being freed.
func (mem *memory) checkTables() error {
	sum := uint64(0)
	for _, m := range mem.owners {
		if m != nil {
			sum += m.tableBytes()
		}
	}
	for i := range mem.dropped {
		sum += mem.dropped[i].m.tableBytes()
	}
	if live := mem.tables.arena.Live(); live != sum {
		return &InvariantError{"tables are in a collection", fmt.Sprintf("%d bytes; counted %d", live, sum)}
	}
	return nil
}

// tableBytes is what dictionary and tree take outside of the Go heap.
func (m *members) tableBytes() uint64 {
	n := m.dict.Bytes()
	if m.tree != nil {
		n += m.tree.bytes()
	}
	return n
}

// check verifies the counts of a collection, and that every element is found where it stands.
func (m *members) check() error {
	var bytes, vals int
	var live uint64
	for i := range m.len() {
		e := m.at(i)
		bytes, vals, live = bytes+len(e.key), vals+len(e.val), live+uint64(slab.Size(e.size))
		if at := m.find(e.key); at != i {
			return &InvariantError{"an element is found at its place", fmt.Sprintf("%.64q at %d: %d", e.key, i, at)}
		}
		if m.owner != 0 && m.mem.ownerOf(m.dict.At(i)) != m {
			return &InvariantError{"a record knows its collection", fmt.Sprintf("%.64q", e.key)}
		}
		if e.size != m.recordSize(e.key, e.part) {
			return &InvariantError{"size of a record", fmt.Sprintf("%.64q: %d", e.key, e.size)}
		}
	}
	if bytes != m.bytes || vals != m.vals || live != m.live {
		return &InvariantError{"counts of a collection", fmt.Sprintf("%d, %d, %d; counted %d, %d, %d", m.bytes, m.vals, m.live, bytes, vals, live)}
	}
	if m.tree != nil {
		if err := m.checkTree(); err != nil {
			return err
		}
	}
	if m.frozen && len(m.fresh) < (m.len()+63)/64 {
		return &InvariantError{"what views show is known", fmt.Sprintf("%d of %d", 64*len(m.fresh), m.len())}
	}
	return nil
}

// checkTree verifies that the tree of a sorted set has its elements, in order.
func (m *members) checkTree() error {
	n, err := m.tree.root.check(true)
	if err != nil {
		return err
	}
	var last *zitem
	m.tree.root.each(func(it *zitem) {
		key := m.tree.key(it)
		i := m.find(key)
		switch {
		case err != nil:
		case i < 0 || m.dict.At(i) != it.ref || m.at(i).score != it.score:
			err = &InvariantError{"a tree has the elements", fmt.Sprintf("%.64q, score %g, at %d", key, it.score, i)}
		case last != nil && m.tree.below(it, &zbound{score: last.score, member: m.tree.key(last), after: true}):
			err = &InvariantError{"a tree is in order", fmt.Sprintf("%.64q, score %g", key, it.score)}
		}
		last = it
	})
	if err == nil && (n != m.len() || m.tree.m != m) {
		err = &InvariantError{"a tree has the elements", fmt.Sprintf("%d of %d", n, m.len())}
	}
	return err
}

// check verifies the shape of a node and returns the number of items below it.
func (n *znode) check(root bool) (items int, err error) {
	bad := func(what string, v int) (int, error) {
		return 0, &InvariantError{"nodes of a tree", fmt.Sprintf("%d %s", v, what)}
	}
	if root && n.inner == nil && len(n.items) == 0 {
		return 0, nil
	}
	switch in := n.inner; {
	case in == nil && (len(n.items) == 0 || len(n.items) > zleafMax || cap(n.items) > zleafMax):
		return bad("items", len(n.items))
	case in == nil:
		return len(n.items), nil
	case len(n.items) != 0 || len(in.kids) < 2 || len(in.kids) > zinnerMax || len(in.counts) != len(in.kids) || len(in.seps) != len(in.kids)-1:
		return bad("kids", len(in.kids))
	}
	for i := range n.inner.kids {
		sub, err := n.inner.kids[i].check(false)
		if err != nil {
			return 0, err
		}
		if sub != n.inner.counts[i] || !root && sub == 0 {
			return bad("items below", sub)
		}
		items += sub
	}
	return items, nil
}
