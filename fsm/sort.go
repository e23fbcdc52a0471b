package fsm

import (
	"bytes"
	"cmp"
	"math"
	"slices"
)

// SORT looks at keys that its arguments do not name: BY and GET make their names of the elements. With such a pattern it holds
// the locks of all shards (Spec.Wide). Redis refuses these patterns in a cluster; here one group has all slots.
//
// Elements of equal weight are ordered by their bytes, so the order is the same on every node. A set that is not sorted comes in
// the order of its history; to be stored it is sorted, as in Redis. Texts are compared by bytes, whatever the locale.

// sortOptions are the options of SORT.
type sortOptions struct {
	by           *sortPattern // nil = the elements themselves
	constant     bool         // BY has no place for an element: nothing is sorted
	start, count int64        // count < 0 = all
	gets         []sortPattern
	desc, alpha  bool
	store        []byte // nil = answer the elements
}

// sortPattern makes the name of a key of an element: what stands before the first asterisk, the element, what stands behind it.
type sortPattern struct {
	itself         bool // "#": no key, the element
	none           bool // there is no asterisk, so no key
	before, behind []byte
	field          []byte // of a hash, behind an arrow; empty = the key is a string
}

// sortItem is one element. The texts stand in the sorter's buffer.
type sortItem struct {
	from, to int
	weight   float64
	by       sortText // with ALPHA and BY
}

// sortText is a text in the sorter's buffer; from < 0 = there is none.
type sortText struct{ from, to int }

// sorter executes one SORT.
type sorter struct {
	tx    *Tx
	o     sortOptions
	buf   []byte
	items []sortItem
	name  []byte // scratch for the name of a key
}

func runSort(tx *Tx, args [][]byte, out Out)   { sortKey(tx, args, true, out) }
func runSortRO(tx *Tx, args [][]byte, out Out) { sortKey(tx, args, false, out) }

func sortKey(tx *Tx, args [][]byte, stores bool, out Out) {
	s := sorter{tx: tx}
	if !s.o.parse(args, stores, out) {
		return
	}
	it := tx.find(args[1])
	var c collection
	if !it.absent() {
		if k := it.kind(); k != kindList && k != kindSet && k != kindZSet {
			out.Error(errWrongType)
			return
		}
		c = it.collection(tx.light())
	}
	from, to := s.load(c)
	if !s.o.constant {
		if !s.weigh() {
			out.Error(errSortScore)
			return
		}
		slices.SortFunc(s.items, s.compare)
	}
	s.items = s.items[from:to]
	if s.o.store != nil {
		s.save(out)
		return
	}
	s.reply(out)
}

// parse reads the options; it answers an error itself.
func (o *sortOptions) parse(args [][]byte, stores bool, out Out) bool {
	o.count = -1
	for i := 2; i < len(args); i++ {
		rest := len(args) - i - 1
		switch word := args[i]; {
		case matchWord(word, "asc"):
			o.desc = false
		case matchWord(word, "desc"):
			o.desc = true
		case matchWord(word, "alpha"):
			o.alpha = true
		case matchWord(word, "limit") && rest >= 2:
			var ok bool
			if o.start, ok = intArg(args[i+1], out); !ok {
				return false
			}
			if o.count, ok = intArg(args[i+2], out); !ok {
				return false
			}
			i += 2
		case stores && matchWord(word, "store") && rest >= 1:
			i++
			o.store = args[i]
		case matchWord(word, "by") && rest >= 1:
			i++
			p := parseSortPattern(args[i])
			o.by = &p
			o.constant = p.none || p.itself
		case matchWord(word, "get") && rest >= 1:
			i++
			o.gets = append(o.gets, parseSortPattern(args[i]))
		default:
			out.Error(errSyntax)
			return false
		}
	}
	return true
}

// parseSortPattern takes a pattern apart. As in Redis a zero byte ends it for the asterisk and the arrow.
func parseSortPattern(b []byte) (p sortPattern) {
	text, _, _ := bytes.Cut(b, []byte{0})
	at := bytes.IndexByte(text, '*')
	if at < 0 {
		return sortPattern{itself: string(text) == "#", none: true}
	}
	p.before, p.behind = b[:at], b[at+1:]
	if arrow := bytes.Index(text[at+1:], []byte("->")); arrow >= 0 && at+1+arrow+2 < len(text) {
		p.behind, p.field = p.behind[:arrow], p.behind[arrow+2:]
	}
	return p
}

// load takes the elements of the collection, nil = none, and returns which of them the limits leave when they are in order. Of a
// list or a sorted set that is not to be sorted it takes those alone.
func (s *sorter) load(c collection) (from, to int) {
	if c == nil {
		return 0, 0
	}
	n := c.len()
	from, to = s.o.limits(n)
	if _, set := c.(*setValue); set && s.o.constant && s.o.store != nil {
		s.o.constant, s.o.alpha, s.o.by = false, true, nil
	}
	first, last := 0, n
	if _, set := c.(*setValue); s.o.constant && !set {
		first, last, from, to = from, to, 0, to-from
	}
	s.items = make([]sortItem, 0, last-first)
	switch v := c.(type) {
	case *listValue:
		s.loadList(v, first, last)
	case *setValue:
		it := v.from(0)
		for range n {
			s.add(it.next())
		}
	case *zsetValue:
		backward := s.o.constant && s.o.desc
		if backward {
			first, last = n-last, n-first
		}
		v.walk(first, last, backward, func(m word, _ float64) { s.add(m) })
	}
	return from, to
}

// loadList takes elements first to last; counted from the tail if the list is wanted backwards.
func (s *sorter) loadList(l *listValue, first, last int) {
	if first == last {
		return
	}
	backward, at := s.o.constant && s.o.desc, first
	if backward {
		at = l.len() - 1 - first
	}
	for it := l.iter(at, backward); first < last; first++ {
		s.add(it.next())
	}
}

// limits are the first of n elements that LIMIT leaves, and the first behind them.
func (o *sortOptions) limits(n int) (from, to int) {
	from = int(min(max(o.start, 0), int64(n)))
	if o.count < 0 || o.count > int64(n-from) {
		return from, n
	}
	return from, from + int(o.count)
}

// add takes one element.
func (s *sorter) add(w word) {
	from := len(s.buf)
	s.buf = w.appendTo(s.buf)
	s.items = append(s.items, sortItem{from: from, to: len(s.buf), by: sortText{from: -1}})
}

func (s *sorter) text(it *sortItem) []byte { return s.buf[it.from:it.to] }

// weigh finds out by what the elements are ordered. It reports false if some weight is no number.
func (s *sorter) weigh() bool {
	good := true
	for i := range s.items {
		it := &s.items[i]
		by, ok := s.text(it), true
		if s.o.by != nil {
			by, ok = s.lookup(s.o.by, it)
		}
		switch {
		case !ok:
		case !s.o.alpha:
			it.weight, ok = sortWeight(by)
			good = good && ok
		case s.o.by != nil:
			from := len(s.buf)
			s.buf = append(s.buf, by...)
			it.by = sortText{from, len(s.buf)}
		}
	}
	return good
}

// sortWeight reads a number as C does: white space may stand before it, nothing is 0, a zero byte ends it.
func sortWeight(b []byte) (float64, bool) {
	b, _, _ = bytes.Cut(b, []byte{0})
	if len(b) == 0 {
		return 0, true
	}
	f, ok := parseFloat(bytes.TrimLeft(b, " \t\n\v\f\r"))
	const least = 0x1p-1022 // below it digits are lost
	return f, ok && (f == 0 || math.Abs(f) >= least)
}

// lookup returns what the pattern finds for an element. It is valid until the next call.
func (s *sorter) lookup(p *sortPattern, it *sortItem) ([]byte, bool) {
	switch {
	case p.itself:
		return s.text(it), true
	case p.none:
		return nil, false
	}
	s.name = append(append(append(s.name[:0], p.before...), s.text(it)...), p.behind...)
	tx := s.tx
	tx.lastKey = nil // the scratch held another key
	found := tx.find(s.name)
	tx.lastKey = nil
	switch {
	case found.absent():
		return nil, false
	case len(p.field) == 0:
		if found.kind() != kindString {
			return nil, false
		}
		return tx.stringBytes(&found), true
	case found.kind() != kindHash:
		return nil, false
	}
	var l light
	h, _ := found.collection(&l).(*hashValue)
	val, ok := h.get(p.field, tx.now)
	if !ok {
		return nil, false
	}
	tx.buf = val.appendTo(tx.buf[:0])
	return tx.buf, true
}

// compare is the order of two elements.
func (s *sorter) compare(a, b sortItem) int {
	n := 0
	switch {
	case !s.o.alpha:
		n = cmp.Compare(a.weight, b.weight)
	case s.o.by != nil && a.by.from >= 0 && b.by.from >= 0:
		n = bytes.Compare(s.buf[a.by.from:a.by.to], s.buf[b.by.from:b.by.to])
	case s.o.by != nil:
		n = cmp.Compare(min(a.by.from, 0), min(b.by.from, 0))
	}
	if n == 0 {
		n = bytes.Compare(s.text(&a), s.text(&b))
	}
	if s.o.desc {
		return -n
	}
	return n
}

// reply answers the elements, or what GET finds for each.
func (s *sorter) reply(out Out) {
	out.Array(len(s.items) * max(1, len(s.o.gets)))
	for i := range s.items {
		it := &s.items[i]
		if len(s.o.gets) == 0 {
			out.Bulk(s.text(it))
		}
		for k := range s.o.gets {
			if val, ok := s.lookup(&s.o.gets[k], it); ok {
				out.Bulk(val)
			} else {
				out.Null()
			}
		}
	}
}

// save stores the same as a list, and answers its length. What GET does not find is an empty element.
func (s *sorter) save(out Out) {
	l := &listValue{}
	for i := range s.items {
		it := &s.items[i]
		if len(s.o.gets) == 0 {
			l.push(s.text(it), false)
		}
		for k := range s.o.gets {
			val, _ := s.lookup(&s.o.gets[k], it)
			l.push(val, false)
		}
	}
	l.growing(0)
	n := l.len()
	s.tx.replace(s.o.store, l)
	out.Int(int64(n))
}

// sortStore finds the key behind STORE, the last one if there are several.
func sortStore(args [][]byte, dst []int) []int {
	at := 0
	for i := 2; i < len(args); i++ {
		switch {
		case matchWord(args[i], "limit"):
			i += 2
		case matchWord(args[i], "get"), matchWord(args[i], "by"):
			i++
		case matchWord(args[i], "store") && i+1 < len(args):
			i++
			at = i
		}
	}
	if at > 0 {
		dst = append(dst, at)
	}
	return dst
}

// sortKeys finds the keys that the arguments of SORT name.
func sortKeys(args [][]byte, dst []int) []int {
	if len(args) > 1 {
		dst = append(dst, 1)
	}
	return sortStore(args, dst)
}

// firstKey finds the first argument alone.
func firstKey(args [][]byte, dst []int) []int {
	if len(args) > 1 {
		dst = append(dst, 1)
	}
	return dst
}

// sortWide says that a pattern makes names of keys.
func sortWide(args [][]byte) bool {
	for i := 2; i < len(args)-1; i++ {
		if (matchWord(args[i], "by") || matchWord(args[i], "get")) && bytes.IndexByte(args[i+1], '*') >= 0 {
			return true
		}
	}
	return false
}
