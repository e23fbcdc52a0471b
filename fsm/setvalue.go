package fsm

import (
	"encoding/binary"
	"errors"
	"math"
)

// setValue is a set. The order of its members is part of its value: a new one comes last, and the last one takes the
// place of one that is removed.
//
// While its form is setInts or setPacked the set is one packed sequence and searched from the front, as in Redis.
type setValue struct {
	// small holds a small set. Its first byte tells how: setWidth and the width of the integers that follow, or the number
	// of elements that follow. Nil = no members yet; the form is setInts.
	small packed
	large *members // not nil = the form is setTable
}

const (
	setHead  = 1
	setWidth = 0xf0 // above every number of members of a packed set
)

// Bytes of one member beyond its content, for size: as measured for members and values of 16 bytes, rounded up.
const (
	setEntryCost  = 34
	hashEntryCost = 36
	zsetEntryCost = 66
)

func (s *setValue) kind() kind { return kindSet }

func (s *setValue) size() int {
	if d := s.large; d != nil {
		return 192 + d.bytes + d.len()*setEntryCost
	}
	return packedCost + len(s.small)
}

func (s *setValue) clone() object {
	if s.large != nil {
		return s.copyTo(new(memory))
	}
	return &setValue{small: s.small.clone()}
}

func (s *setValue) members() *members { return s.large }

func (s *setValue) copyTo(mem *memory) object { return &setValue{large: s.large.clone(mem)} }

func (s *setValue) fork(epoch uint64) object { return &setValue{large: s.large.fork(epoch)} }

func (s *setValue) sum() uint64 {
	if d := s.large; d != nil {
		return dictSum(d.len(), d.sum)
	}
	return hashBytes(s.small)
}

func (s *setValue) recount() uint64 {
	if d := s.large; d != nil {
		return dictSum(d.len(), d.recount())
	}
	return hashBytes(s.small)
}

func (s *setValue) form() form {
	if s.large != nil {
		return setTable
	}
	return smallSetForm(s.small)
}

// smallSetForm is the form of the set that p holds.
func smallSetForm(p []byte) form {
	if len(p) == 0 || p[0] > setWidth {
		return setInts
	}
	return setPacked
}

func (s *setValue) setForm(f form) bool {
	f, ok := largerForm(s.form(), f)
	if ok {
		s.grow(f)
	}
	return ok
}

// grow changes the form to a larger one; setPacked becomes setTable if there are too many members.
func (s *setValue) grow(f form) {
	n := s.len()
	if f <= s.form() {
		return
	}
	c := s.from(0)
	if f == setTable || n > SetMaxListpackEntries {
		d := newMembers(kindSet)
		for range n {
			m := c.next()
			var digits [20]byte
			d.add(m.bytes(digits[:0]), part{})
		}
		s.small, s.large = nil, d
		return
	}
	p := newPacked(setHead + len(s.small))[:setHead]
	for range n {
		m := c.next()
		p = m.elem(p)
	}
	p[0] = byte(n)
	s.small = p
}

// crowded says, before a command adds members, that so many as it has make the set a table, however many of them are
// new.
func (s *setValue) crowded(members [][]byte) bool {
	limit := SetMaxListpackEntries
	if s.len() > 0 && s.form() == setInts {
		limit = SetMaxIntsetEntries
	}
	if _, number := parseInt(members[0]); s.len() == 0 && number {
		limit = SetMaxIntsetEntries
	}
	return len(members) > limit
}

// fresh is the form of a set with the same members that is built anew.
func (s *setValue) fresh() form {
	numbers, longest := true, 0
	c := s.from(0)
	for range s.len() {
		m := c.next()
		if _, number := m.integer(); !number {
			numbers = false
		}
		longest = max(longest, m.len())
	}
	switch n := s.len(); {
	case numbers && n <= SetMaxIntsetEntries:
		return setInts
	case n <= SetMaxListpackEntries && longest <= SetMaxListpackValue:
		return setPacked
	}
	return setTable
}

// rebuild holds a large set anew, and not as setInts, as Redis does when SPOP leaves few members.
func (s *setValue) rebuild() {
	if s.large == nil || s.len() > SetMaxListpackEntries || s.fresh() == setTable {
		return
	}
	p := newPacked(setHead + s.large.bytes + s.len())[:setHead]
	for i := range s.len() {
		p = appendElem(p, s.large.at(i).key)
	}
	p[0] = byte(s.len())
	s.small, s.large = p, nil
}

func (s *setValue) own() collection { return &setValue{s.small.clone(), s.large} }

func (s *setValue) packed() *packed {
	if s.large != nil {
		return nil
	}
	return &s.small
}

// len returns the number of members.
func (s *setValue) len() int {
	switch {
	case s.large != nil:
		return s.large.len()
	case len(s.small) == 0:
		return 0
	case s.small[0] > setWidth:
		return (len(s.small) - setHead) / s.width()
	}
	return int(s.small[0])
}

// find returns where member stands: its position in the dict, or its offset in the small set; -1 if it is absent.
func (s *setValue) find(member []byte) int {
	if s.large != nil {
		return s.large.find(member)
	}
	m := word{kind: wordBytes, b: member}
	if n, ok := parseInt(member); ok {
		m = word{kind: wordInt, n: n}
	}
	return s.findWord(&m)
}

// findWord is find for a member of another set.
func (s *setValue) findWord(m *word) int {
	if s.large != nil {
		return s.large.findWord(m)
	}
	if len(s.small) == 0 || m.len() > SetMaxListpackValue {
		return -1
	}
	if s.small[0] > setWidth {
		if n, ok := m.integer(); ok {
			return s.findInt(n)
		}
		return -1
	}
	var buf [packedRoom]byte
	at, _ := s.small.find(setHead, m.elem(buf[:0]), 1)
	return at
}

func (s *setValue) has(member []byte) bool   { return s.find(member) >= 0 }
func (s *setValue) hasWord(member word) bool { return s.findWord(&member) >= 0 }

// insert adds member and reports whether it was new.
func (s *setValue) insert(member []byte) bool {
	if d := s.large; d != nil {
		if d.find(member) >= 0 {
			return false
		}
		d.add(member, part{})
		return true
	}
	m := word{kind: wordBytes, b: member}
	if n, ok := parseInt(member); ok {
		m = word{kind: wordInt, n: n}
	}
	return s.insertWord(m)
}

// insertWord is insert for a member of another set.
func (s *setValue) insertWord(m word) bool {
	if s.findWord(&m) >= 0 {
		return false
	}
	s.add(m)
	return true
}

// add adds a member that is not there. As in Redis, the form follows from how many members there are now and from this
// one.
func (s *setValue) add(m word) {
	n := s.len() + 1
	number, isInt := int64(0), false
	if f := s.form(); f == setInts {
		number, isInt = m.integer()
		switch {
		case isInt && n > SetMaxIntsetEntries:
			s.grow(setTable)
		case isInt:
			s.addInt(number)
			return
		case n <= SetMaxListpackEntries && m.len() <= SetMaxListpackValue:
			s.toPacked()
		default:
			s.grow(setTable)
		}
	} else if f == setPacked && (n > SetMaxListpackEntries || m.len() > SetMaxListpackValue) {
		s.grow(setTable)
	}
	if s.large != nil {
		var digits [20]byte
		s.large.add(m.bytes(digits[:0]), part{})
		return
	}
	var buf [packedRoom]byte
	e := m.elem(buf[:0])
	end := len(s.small)
	s.small = s.small.open(end, end, len(e))
	copy(s.small[end:], e)
	s.small[0]++
}

// toPacked is grow to setPacked, also for a set that is empty.
func (s *setValue) toPacked() {
	if s.len() > 0 {
		s.grow(setPacked)
		return
	}
	s.small = s.small.start(setHead, 0)
	s.small[0] = 0
}

// remove deletes member and reports whether it was there.
func (s *setValue) remove(member []byte) bool {
	i := s.find(member)
	switch {
	case i < 0:
		return false
	case s.large != nil:
		s.large.removeAt(i)
	default:
		s.removeSmall(i)
	}
	return true
}

// removeSmall removes the member at an offset of the small set.
func (s *setValue) removeSmall(at int) {
	if s.small[0] > setWidth {
		s.removeInt(at)
		return
	}
	s.small = s.small.removeSwap(at, 1)
	s.small[0]--
}

// dropAt removes the member at position i.
func (s *setValue) dropAt(i int) {
	if s.large != nil {
		s.large.removeAt(i)
		return
	}
	s.removeSmall(s.offset(i))
}

// offset returns where position i of a small set begins.
func (s *setValue) offset(i int) int {
	switch {
	case len(s.small) == 0:
		return 0
	case s.small[0] > setWidth:
		return setHead + i*s.width()
	}
	return s.small.skip(setHead, i)
}

// at returns the member at position i.
func (s *setValue) at(i int) word {
	c := s.from(i)
	return c.next()
}

// places returns where the members of a packed set begin, for many members at random positions; nil if no walk is needed
// to find one.
func (s *setValue) places() []uint32 {
	if s.form() != setPacked {
		return nil
	}
	return s.small.places(setHead, 1, s.len())
}

// random is at that knows the places.
func (s *setValue) random(i int, places []uint32) word {
	if places == nil {
		return s.at(i)
	}
	m, _ := s.small.word(int(places[i]))
	return m
}

// setCursor walks the members of a set that does not change meanwhile.
type setCursor struct {
	s      *setValue
	at     int // the next position in the dict, or offset in the small set
	member word
}

// from returns a cursor whose next member is that of position i.
func (s *setValue) from(i int) setCursor {
	if s.large == nil {
		i = s.offset(i)
	}
	return setCursor{s: s, at: i}
}

// next moves to the next member and returns it. REQUIRES: there is one.
func (c *setCursor) next() word {
	switch s := c.s; {
	case s.large != nil:
		c.member = s.large.word(c.at)
		c.at++
	case s.small[0] > setWidth:
		c.member = word{kind: wordInt, n: s.int(c.at)}
		c.at += s.width()
	default:
		c.member, c.at = s.small.word(c.at)
	}
	return c.member
}

func (c *setCursor) reply(tx *Tx, out Out) { c.member.reply(tx, out) }

func (s *setValue) appendTo(dst []byte) []byte {
	n := s.len()
	dst = binary.AppendUvarint(dst, uint64(n))
	if s.form() == setPacked {
		for off := setHead; off < len(s.small); {
			dst, off = s.small.encode(dst, off)
		}
		return dst
	}
	c := s.from(0)
	for range n {
		m := c.next()
		dst = m.encode(dst)
	}
	return dst
}

func decodeSet(b []byte) (collection, error) {
	d := valueDecoder{b: b}
	s := &setValue{}
	n := d.count()
	if n > SetMaxIntsetEntries {
		return newMembers(kindSet).decode(d, n)
	}
	if s.decodeInts(&d, n) || n <= SetMaxListpackEntries && s.decodeSmall(&d, n) {
		n = 0
	}
	for ; n > 0 && !d.bad; n-- {
		if m := d.bytes(); !d.bad && !s.insert(m) {
			return nil, errDecode
		}
	}
	if !d.end() || s.len() == 0 {
		return nil, errDecode
	}
	return s, nil
}

// decodeSmall reads n members from d, not all of them integers, into the new set. It reports false, and has read nothing, if
// they are not n different short ones.
func (s *setValue) decodeSmall(d *valueDecoder, n int) bool {
	var seen packedIndex
	rest := *d
	p := newPacked(setHead + min(len(rest.b), n*packedRoom))[:setHead]
	for range n {
		m := rest.bytes()
		if rest.bad || len(m) > SetMaxListpackValue {
			return false
		}
		at := len(p)
		if p = appendElem(p, m); !seen.add(p, at, len(p)) {
			return false
		}
	}
	p[0] = byte(n)
	s.small, *d = p, rest
	return true
}

var errDecode = errors.New("malformed value")

func appendBytes[S string | []byte](dst []byte, s S) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// valueDecoder reads what the appendTo methods of the collections write. After a mistake bad is true and every method
// returns zero.
type valueDecoder struct {
	b   []byte
	bad bool
}

// uvarint accepts the shortest encoding only: one value, one encoding.
func (d *valueDecoder) uvarint() uint64 {
	v, k := binary.Uvarint(d.b)
	if d.bad || k <= 0 || k > 1 && v>>(7*(k-1)) == 0 {
		d.bad = true
		return 0
	}
	d.b = d.b[k:]
	return v
}

// count reads the number of elements that follow; it cannot be more than there are bytes.
func (d *valueDecoder) count() int {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.bad = true
		return 0
	}
	return int(n)
}

// bytes reads one length-prefixed string; the result points into the input.
func (d *valueDecoder) bytes() []byte {
	n := d.count()
	if d.bad {
		return nil
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}

// float reads a number that is not NaN.
func (d *valueDecoder) float() float64 {
	if d.bad || len(d.b) < 8 {
		d.bad = true
		return 0
	}
	f := math.Float64frombits(binary.LittleEndian.Uint64(d.b))
	d.b = d.b[8:]
	d.bad = math.IsNaN(f)
	return f
}

// end reports whether everything was read without a mistake.
func (d *valueDecoder) end() bool { return !d.bad && len(d.b) == 0 }

func init() { decoders[kindSet] = decodeSet }
