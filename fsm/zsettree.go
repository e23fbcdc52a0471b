package fsm

import (
	"bytes"
	"cmp"
	"slices"

	"kvapp/fsm/slab"
)

// ztree orders the members of a sorted set by (score, member bytes): a B+tree whose inner nodes count what lies below
// them, so that rank and access by rank are O(log n). Its leaves refer to the records of the members, which it does not own;
// a member must be in the tree no longer than its record is.
//
// There is one tree for a collection and what was forked from it: views do not look at it. So what leaves is freed at once.
type ztree struct {
	m      *members
	tables *tables // where the items of leaves stand; nil = on the Go heap
	root   znode   // without items = empty
}

const (
	// zleafMax is the most items of a leaf: an insertion moves half of them.
	zleafMax  = 512
	zleafStep = 64 // items by which the room of a leaf grows
	zinnerMax = 64 // children
)

// zitem is one member with its score, which is never NaN. There are no pointers in it.
type zitem struct {
	score float64
	ref   slab.Ref
}

const zitemBytes = 16

// znode is a leaf (inner == nil) that holds items in order, or an inner node.
type znode struct {
	items []zitem
	ref   slab.Ref // of the items; 0 = there are none, or they are on the Go heap
	inner *zinner
}

// bound is the cut before the element e.
func (e *member) bound() *zbound { return &zbound{score: e.score, member: e.key} }

// zinner is what an inner node has. Invariants: len(kids) == len(counts) == len(seps)+1, counts[i] is the number of items
// below kids[i], and everything in kids[i] is lower than seps[i], which is lower than or equal to everything in kids[i+1].
type zinner struct {
	seps   []zsep
	kids   []znode
	counts []int
}

// zsep separates two neighbours. It is no item: what it was made of may be gone.
type zsep struct {
	score  float64
	member []byte
}

// zbound is a cut through the order: items are below it or not.
type zbound struct {
	score  float64
	member []byte
	lex    bool // compare members only (all scores are equal)
	after  bool // an item equal to (score, member) is below
	all    bool // every item of this score is below
}

// aboveScore decides by the score alone, if it can.
func (b *zbound) aboveScore(score float64) (above, decided bool) {
	switch {
	case b.lex:
		return false, false
	case score != b.score:
		return score < b.score, true
	}
	return true, b.all
}

func (b *zbound) aboveMember(member []byte) bool {
	c := bytes.Compare(member, b.member)
	return c < 0 || c == 0 && b.after
}

func (t *ztree) key(it *zitem) []byte { return t.m.key(t.m.mem.from(it.ref)) }

func (t *ztree) below(it *zitem, b *zbound) bool {
	if above, ok := b.aboveScore(it.score); ok {
		return above
	}
	return b.aboveMember(t.key(it))
}

// cut returns how many of the items are below b, which is no cut by member alone.
func (t *ztree) cut(items []zitem, b *zbound) int {
	lo, hi := 0, len(items)
	for lo < hi {
		m := int(uint(lo+hi) / 2)
		switch score := items[m].score; { // few scores are equal: most steps are over without a call
		case score < b.score:
			lo = m + 1
		case score > b.score:
			hi = m
		case b.all || b.aboveMember(t.key(&items[m])):
			lo = m + 1
		default:
			hi = m
		}
	}
	return lo
}

// kid returns which child b cuts, which is no cut by member alone.
func (n *zinner) kid(b *zbound) int {
	lo, hi := 0, len(n.seps)
	for lo < hi {
		m := int(uint(lo+hi) / 2)
		switch s := &n.seps[m]; {
		case s.score < b.score:
			lo = m + 1
		case s.score > b.score:
			hi = m
		case b.all || b.aboveMember(s.member):
			lo = m + 1
		default:
			hi = m
		}
	}
	return lo
}

// at returns the child that holds rank r, and the rank there.
func (n *zinner) at(r int) (kid, rank int) {
	for r >= n.counts[kid] {
		r -= n.counts[kid]
		kid++
	}
	return kid, r
}

func (t *ztree) len() int { return t.root.size() }

func (n *znode) size() int {
	if n.inner == nil {
		return len(n.items)
	}
	s := 0
	for _, c := range n.inner.counts {
		s += c
	}
	return s
}

// each calls f for all items, in order.
func (n *znode) each(f func(it *zitem)) {
	n.leaves(func(n *znode) {
		for i := range n.items {
			f(&n.items[i])
		}
	})
}

// rank returns the number of items below b.
func (t *ztree) rank(b *zbound) int {
	if b.lex {
		return t.lexRank(b)
	}
	r, n := 0, &t.root
	for n.inner != nil {
		i := n.inner.kid(b)
		for _, c := range n.inner.counts[:i] {
			r += c
		}
		n = &n.inner.kids[i]
	}
	return r + t.cut(n.items, b)
}

// lexRank is rank by member. It asks for items by rank: if scores differ, which is a client's mistake, the answer still follows
// from the order of the members, and not from how the nodes of this tree have come about.
func (t *ztree) lexRank(b *zbound) int {
	lo, hi := 0, t.len()
	for lo < hi {
		if m := int(uint(lo+hi) / 2); t.below(&t.from(m)[0], b) {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

// leaf returns the leaf that holds rank r and the offset in it. REQUIRES: 0 <= r < len().
func (t *ztree) leaf(r int) (*znode, int) {
	n := &t.root
	for n.inner != nil {
		var i int
		i, r = n.inner.at(r)
		n = &n.inner.kids[i]
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

// walk calls each for the items of the ranks [from, to).
func (t *ztree) walk(from, to int, reverse bool, each func(m word, score float64)) {
	for !reverse && from < to {
		items := t.from(from)
		items = items[:min(len(items), to-from)]
		for i := range items {
			each(word{kind: wordBytes, b: t.key(&items[i])}, items[i].score)
		}
		from += len(items)
	}
	for reverse && from < to {
		items := t.upTo(to - 1)
		items = items[max(0, len(items)-(to-from)):]
		for i := len(items) - 1; i >= 0; i-- {
			each(word{kind: wordBytes, b: t.key(&items[i])}, items[i].score)
		}
		to -= len(items)
	}
}

// insert adds an item that must be absent.
func (t *ztree) insert(it zitem) {
	b := zbound{score: it.score, member: t.key(&it), after: true}
	sep, right, split := t.insertBelow(&t.root, it, &b)
	if split {
		l := t.root
		t.root = znode{inner: &zinner{seps: []zsep{sep}, kids: []znode{l, right}, counts: []int{l.size(), right.size()}}}
	}
}

// insertBelow inserts an item, which b cuts behind, into node n; if n had to split, it returns the new right half and its lower
// bound.
func (t *ztree) insertBelow(n *znode, it zitem, b *zbound) (_ zsep, _ znode, split bool) {
	if n.inner == nil {
		return t.insertLeaf(n, it, b)
	}
	in := n.inner
	i := in.kid(b)
	sep, right, split := t.insertBelow(&in.kids[i], it, b)
	in.counts[i]++
	if !split {
		return zsep{}, znode{}, false
	}
	rs := right.size()
	in.counts[i] -= rs
	in.seps = slices.Insert(in.seps, i, sep)
	in.kids = slices.Insert(in.kids, i+1, right)
	in.counts = slices.Insert(in.counts, i+1, rs)
	if len(in.kids) <= zinnerMax {
		return zsep{}, znode{}, false
	}
	at := len(in.kids) / 2
	if i+1 == len(in.kids)-1 { // ascending insertion, such as loading, leaves full nodes behind
		at = len(in.kids) - 2
	}
	up := in.seps[at-1]
	r := &zinner{seps: slices.Clone(in.seps[at:]), kids: slices.Clone(in.kids[at:]), counts: slices.Clone(in.counts[at:])}
	clear(in.seps[at-1:])
	clear(in.kids[at:])
	in.seps, in.kids, in.counts = in.seps[:at-1], in.kids[:at], in.counts[:at]
	return up, znode{inner: r}, true
}

// insertLeaf is insertBelow for a leaf.
func (t *ztree) insertLeaf(n *znode, it zitem, b *zbound) (_ zsep, r znode, split bool) {
	i := t.cut(n.items, b)
	if len(n.items) < zleafMax {
		t.insertItem(n, i, it)
		return zsep{}, r, false
	}
	if i == zleafMax {
		t.insertItem(&r, 0, it)
	} else {
		const at = zleafMax / 2
		t.fill(&r, n.items[at:], at+zleafStep)
		t.fill(n, n.items[:at], at+zleafStep)
		if i <= at {
			t.insertItem(n, i, it)
		} else {
			t.insertItem(&r, i-at, it)
		}
	}
	return t.between(&n.items[len(n.items)-1], &r.items[0]), r, true
}

// fill gives a leaf these items, which may be its own, in memory that has room for so many; zleafMax is enough.
func (t *ztree) fill(n *znode, items []zitem, room int) {
	old := *n
	room = min(room, zleafMax)
	if t.tables == nil {
		n.items = make([]zitem, 0, room)
	} else {
		var b []byte
		n.ref, b = t.tables.Alloc(slab.Size(room * zitemBytes))
		n.items = slab.As[zitem](b)[:0]
	}
	n.items = append(n.items, items...)
	t.free(&old)
}

// free ends the memory of a leaf.
func (t *ztree) free(n *znode) {
	if n.ref != 0 {
		t.tables.Free(n.ref, cap(n.items)*zitemBytes)
	}
}

// insertItem adds an item to a leaf that is not full.
func (t *ztree) insertItem(n *znode, i int, it zitem) {
	if c := cap(n.items); len(n.items) == c {
		room := c + zleafStep
		if c < zleafStep {
			room = max(2, 2*c)
		}
		t.fill(n, n.items, room)
	}
	n.items = slices.Insert(n.items, i, it)
}

// enter moves the leaves from the Go heap to where tables stand.
func (t *ztree) enter(to *tables) {
	t.tables = to
	t.root.leaves(func(n *znode) { t.fill(n, n.items, cap(n.items)) })
}

// leaves calls f for all leaves, in order.
func (n *znode) leaves(f func(n *znode)) {
	if n.inner == nil {
		f(n)
		return
	}
	for i := range n.inner.kids {
		n.inner.kids[i].leaves(f)
	}
}

// freeStep frees a leaf, and reports whether there are more. Once it was called the tree is only good for more of it.
func (t *ztree) freeStep() (more bool) {
	n, up := &t.root, (*zinner)(nil)
	for n.inner != nil && len(n.inner.kids) > 0 {
		up = n.inner
		n = &up.kids[len(up.kids)-1]
	}
	t.free(n)
	if *n = (znode{}); up != nil {
		up.kids = up.kids[:len(up.kids)-1]
	}
	return up != nil
}

// bytes is what the leaves take outside of the Go heap.
func (t *ztree) bytes() (sum uint64) {
	t.root.leaves(func(n *znode) {
		if n.ref != 0 {
			sum += uint64(cap(n.items) * zitemBytes)
		}
	})
	return sum
}

// between returns the shortest separator of two neighbours.
func (t *ztree) between(l, r *zitem) zsep {
	if l.score != r.score {
		return zsep{score: r.score}
	}
	a, b := t.key(l), t.key(r)
	n := 0
	for n < len(a) && a[n] == b[n] { // b is the larger one, so it is not the beginning of a
		n++
	}
	return zsep{r.score, bytes.Clone(b[:n+1])}
}

// refer has the item that b cuts before refer to another record of the same member.
func (t *ztree) refer(b *zbound, to slab.Ref) {
	n, i := t.leaf(t.rank(b))
	n.items[i].ref = to
}

// removeAt removes and returns the item of rank r. REQUIRES: 0 <= r < len().
func (t *ztree) removeAt(r int) zitem {
	it := t.removeBelow(&t.root, r)
	if in := t.root.inner; in != nil && len(in.kids) == 1 {
		t.root = in.kids[0]
	}
	return it
}

func (t *ztree) removeBelow(n *znode, r int) zitem {
	if n.inner == nil {
		it := n.items[r]
		n.items = slices.Delete(n.items, r, r+1)
		if c := cap(n.items); c > zleafStep && len(n.items) < c/4 {
			t.fill(n, n.items, len(n.items)+zleafStep)
		}
		return it
	}
	i, r := n.inner.at(r)
	k := &n.inner.kids[i]
	it := t.removeBelow(k, r)
	n.inner.counts[i]--
	if k.inner == nil && len(k.items) < zleafMax/4 || k.inner != nil && len(k.inner.kids) < zinnerMax/4 {
		t.balance(n.inner, max(i-1, 0))
	}
	return it
}

// balance joins the children i and i+1 of n, or shares their content evenly if it is too much for one. Every inner
// node has two children at least, so both exist.
func (t *ztree) balance(n *zinner, i int) {
	l, r := &n.kids[i], &n.kids[i+1]
	both := false
	if l.inner == nil {
		all := slices.Concat(l.items, r.items)
		if both = len(all) > zleafMax; both {
			at := len(all) / 2
			t.fill(l, all[:at], at+zleafStep)
			t.fill(r, all[at:], len(all)-at+zleafStep)
			n.seps[i] = t.between(&l.items[at-1], &r.items[0])
		} else {
			t.fill(l, all, len(all)+zleafStep)
			t.free(r)
		}
	} else {
		both = balanceInner(l.inner, r.inner, &n.seps[i])
	}
	if both {
		n.counts[i], n.counts[i+1] = l.size(), r.size()
		return
	}
	n.counts[i] += n.counts[i+1]
	n.seps = slices.Delete(n.seps, i, i+1)
	n.kids = slices.Delete(n.kids, i+1, i+2)
	n.counts = slices.Delete(n.counts, i+1, i+2)
}

// balanceInner shares the children of two neighbours evenly, or gives l all of them, and reports false, if that is not too
// many. Sep stands between the two.
func balanceInner(l, r *zinner, sep *zsep) bool {
	seps := slices.Concat(l.seps, []zsep{*sep}, r.seps)
	kids, counts := slices.Concat(l.kids, r.kids), slices.Concat(l.counts, r.counts)
	if len(kids) <= zinnerMax {
		*l = zinner{seps, kids, counts}
		return false
	}
	at := len(kids) / 2
	*sep = seps[at-1]
	*l = zinner{slices.Clone(seps[:at-1]), slices.Clone(kids[:at]), slices.Clone(counts[:at])}
	*r = zinner{slices.Clone(seps[at:]), slices.Clone(kids[at:]), slices.Clone(counts[at:])}
	return true
}

// buildTree makes the tree of a sorted set anew, with full leaves.
func (m *members) buildTree() {
	t := &ztree{m: m, tables: m.mem.tables}
	items := make([]zitem, m.len())
	for i := range items {
		items[i] = zitem{m.at(i).score, m.dict.At(i)}
	}
	slices.SortFunc(items, func(a, b zitem) int {
		if c := cmp.Compare(a.score, b.score); c != 0 {
			return c // without a look at the records
		}
		return bytes.Compare(t.key(&a), t.key(&b))
	})
	var level []znode
	var seps []zsep
	for from := 0; from < len(items); from += zleafMax {
		var leaf znode
		to := min(from+zleafMax, len(items))
		t.fill(&leaf, items[from:to], to-from)
		if from > 0 {
			seps = append(seps, t.between(&items[from-1], &items[from]))
		}
		level = append(level, leaf)
	}
	for len(level) > 1 {
		level, seps = raise(level, seps)
	}
	if len(level) > 0 {
		t.root = level[0]
	}
	m.tree = t
}

// raise returns the inner nodes above the nodes of one level, two at least, and their separators.
func raise(kids []znode, seps []zsep) (level []znode, between []zsep) {
	nodes := (len(kids) + zinnerMax - 1) / zinnerMax
	for i := range nodes {
		from, to := i*len(kids)/nodes, (i+1)*len(kids)/nodes
		in := &zinner{seps: slices.Clone(seps[from : to-1]), kids: slices.Clone(kids[from:to])}
		for j := range in.kids {
			in.counts = append(in.counts, in.kids[j].size())
		}
		if level = append(level, znode{inner: in}); to < len(kids) {
			between = append(between, seps[to-1])
		}
	}
	return level, between
}
