package fsm

import "slices"

// ztree orders the members of a sorted set by (score, member bytes): a B+tree whose inner nodes count what lies below
// them, so that rank and access by rank are O(log n). Nodes are shared between clones as in dict.
type ztree struct {
	own  *owner
	root *znode // nil = empty
}

const (
	zleafMax  = 128 // items
	zinnerMax = 64  // children
)

// zitem is one member with its score, which is never NaN.
type zitem struct {
	score  float64
	member string
}

// znode is a leaf (kids == nil) that holds items in order, or an inner node. Invariants of an inner node:
// len(kids) == len(counts) == len(items)+1, counts[i] is the number of items below kids[i], and everything in kids[i]
// is lower than items[i], which is lower than or equal to everything in kids[i+1].
type znode struct {
	own    *owner
	items  []zitem
	kids   []*znode
	counts []int
}

// zbound is a cut through the order: items are below it or not.
type zbound struct {
	score  float64
	member string
	lex    bool // compare members only (all scores are equal)
	after  bool // an item equal to (score, member) is below
	all    bool // every item of this score is below
}

func (b *zbound) above(it *zitem) bool {
	if !b.lex {
		if it.score != b.score {
			return it.score < b.score
		}
		if b.all {
			return true
		}
	}
	if b.after {
		return it.member <= b.member
	}
	return it.member < b.member
}

// cut returns how many of the items are below b.
func (b *zbound) cut(items []zitem) int {
	lo, hi := 0, len(items)
	for lo < hi {
		if m := int(uint(lo+hi) / 2); b.above(&items[m]) {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

func (t *ztree) len() int { return t.root.size() }

func (n *znode) size() int {
	if n == nil {
		return 0
	}
	if n.kids == nil {
		return len(n.items)
	}
	s := 0
	for _, c := range n.counts {
		s += c
	}
	return s
}

// rank returns the number of items below b.
func (t *ztree) rank(b *zbound) int {
	if b.lex {
		return t.lexRank(b)
	}
	r, n := 0, t.root
	if n == nil {
		return 0
	}
	for n.kids != nil {
		i := b.cut(n.items)
		for _, c := range n.counts[:i] {
			r += c
		}
		n = n.kids[i]
	}
	return r + b.cut(n.items)
}

// lexRank is rank by member. It asks for items by rank: if scores differ, which is a client's mistake, the answer still follows
// from the order of the members, and not from how the nodes of this tree have come about.
func (t *ztree) lexRank(b *zbound) int {
	lo, hi := 0, t.len()
	for lo < hi {
		if m := int(uint(lo+hi) / 2); b.above(&t.from(m)[0]) {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

// leaf returns the leaf that holds rank r and the offset in it. REQUIRES: 0 <= r < len().
func (t *ztree) leaf(r int) (*znode, int) {
	n := t.root
	for n.kids != nil {
		i := 0
		for r >= n.counts[i] {
			r -= n.counts[i]
			i++
		}
		n = n.kids[i]
	}
	return n, r
}

// from returns rank r and its followers in the same leaf; the caller goes on with the rank behind them.
func (t *ztree) from(r int) []zitem {
	n, i := t.leaf(r)
	return n.items[i:]
}

// upTo returns the items of one leaf that end with rank r.
func (t *ztree) upTo(r int) []zitem {
	n, i := t.leaf(r)
	return n.items[:i+1]
}

// clone returns a copy that shares all nodes; it counts as a write.
func (t *ztree) clone() ztree {
	c := *t
	t.own, c.own = &owner{}, &owner{}
	return c
}

// insert adds an item that must be absent.
func (t *ztree) insert(it zitem) {
	if t.root == nil {
		t.root = &znode{own: t.own}
	}
	t.root = t.writable(t.root)
	sep, right := t.insertBelow(t.root, it)
	if right != nil {
		l := t.root
		t.root = &znode{own: t.own, items: []zitem{sep}, kids: []*znode{l, right}, counts: []int{l.size(), right.size()}}
	}
}

// insertBelow inserts into the writable node n; if n had to split, it returns the new right half and its lower bound.
func (t *ztree) insertBelow(n *znode, it zitem) (zitem, *znode) {
	if n.kids == nil {
		b := zbound{score: it.score, member: it.member}
		i := b.cut(n.items)
		n.items = slices.Insert(n.items, i, it)
		if len(n.items) <= zleafMax {
			return zitem{}, nil
		}
		// Ascending insertion, such as loading, leaves full leaves behind.
		at := len(n.items) / 2
		if i == len(n.items)-1 {
			at = i
		}
		r := &znode{own: t.own, items: append(make([]zitem, 0, zleafMax+1), n.items[at:]...)}
		clear(n.items[at:])
		n.items = n.items[:at]
		return r.items[0], r
	}
	b := zbound{score: it.score, member: it.member, after: true}
	i := b.cut(n.items)
	k := t.writable(n.kids[i])
	n.kids[i] = k
	sep, right := t.insertBelow(k, it)
	n.counts[i]++
	if right == nil {
		return zitem{}, nil
	}
	rs := right.size()
	n.counts[i] -= rs
	n.items = slices.Insert(n.items, i, sep)
	n.kids = slices.Insert(n.kids, i+1, right)
	n.counts = slices.Insert(n.counts, i+1, rs)
	if len(n.kids) <= zinnerMax {
		return zitem{}, nil
	}
	at := len(n.kids) / 2
	if i+1 == len(n.kids)-1 {
		at = len(n.kids) - 2
	}
	up := n.items[at-1]
	r := &znode{own: t.own, items: slices.Clone(n.items[at:]), kids: slices.Clone(n.kids[at:]), counts: slices.Clone(n.counts[at:])}
	clear(n.items[at-1:])
	clear(n.kids[at:])
	n.items, n.kids, n.counts = n.items[:at-1], n.kids[:at], n.counts[:at]
	return up, r
}

// removeAt removes and returns the item of rank r. REQUIRES: 0 <= r < len().
func (t *ztree) removeAt(r int) zitem {
	t.root = t.writable(t.root)
	it := t.removeBelow(t.root, r)
	switch {
	case len(t.root.kids) == 1:
		t.root = t.root.kids[0]
	case t.root.kids == nil && len(t.root.items) == 0:
		t.root = nil
	}
	return it
}

func (t *ztree) removeBelow(n *znode, r int) zitem {
	if n.kids == nil {
		it := n.items[r]
		n.items = slices.Delete(n.items, r, r+1)
		return it
	}
	i := 0
	for r >= n.counts[i] {
		r -= n.counts[i]
		i++
	}
	k := t.writable(n.kids[i])
	n.kids[i] = k
	it := t.removeBelow(k, r)
	n.counts[i]--
	if len(k.items) < zleafMax/4 && k.kids == nil || k.kids != nil && len(k.kids) < zinnerMax/4 {
		t.balance(n, max(i-1, 0))
	}
	return it
}

// balance joins the children i and i+1 of n, or shares their content evenly if it is too much for one. Every inner
// node has two children at least, so both exist.
func (t *ztree) balance(n *znode, i int) {
	l, r := t.writable(n.kids[i]), t.writable(n.kids[i+1])
	n.kids[i], n.kids[i+1] = l, r
	if l.kids == nil {
		l.items = append(l.items, r.items...)
	} else {
		l.items = append(append(l.items, n.items[i]), r.items...)
		l.kids = append(l.kids, r.kids...)
		l.counts = append(l.counts, r.counts...)
	}
	leaf := l.kids == nil
	if leaf && len(l.items) <= zleafMax || !leaf && len(l.kids) <= zinnerMax {
		n.counts[i] += n.counts[i+1]
		n.items = slices.Delete(n.items, i, i+1)
		n.kids = slices.Delete(n.kids, i+1, i+2)
		n.counts = slices.Delete(n.counts, i+1, i+2)
		return
	}
	if leaf {
		at := len(l.items) / 2
		r.items = slices.Clone(l.items[at:])
		clear(l.items[at:])
		l.items = l.items[:at]
		n.items[i] = r.items[0]
	} else {
		at := len(l.kids) / 2
		n.items[i] = l.items[at-1]
		r.items, r.kids, r.counts = slices.Clone(l.items[at:]), slices.Clone(l.kids[at:]), slices.Clone(l.counts[at:])
		clear(l.items[at-1:])
		clear(l.kids[at:])
		l.items, l.kids, l.counts = l.items[:at-1], l.kids[:at], l.counts[:at]
	}
	n.counts[i], n.counts[i+1] = l.size(), r.size()
}

// writable returns n, or a copy of it if another clone can see n.
func (t *ztree) writable(n *znode) *znode {
	if n.own == t.own {
		return n
	}
	return &znode{own: t.own, items: slices.Clone(n.items), kids: slices.Clone(n.kids), counts: slices.Clone(n.counts)}
}
