package fsm

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"slices"
)

// zsetValue is a sorted set. Two orders belong to it: that of scores, and the order of history (a new member comes last,
// the last one takes the place of one that is removed), which ZSCAN and ZRANDMEMBER show.
//
// While its form is zsetPacked the set is one packed sequence and searched from the front, as in Redis.
type zsetValue struct {
	// small holds, behind the number of members in zsetHead bytes, member, score and position in the order of history, by
	// (score, member). A position is below 128, which is one byte. Empty = no members.
	small packed
	// large holds the members in the order of history, and has a tree of them by (score, member). Not nil = the form is
	// zsetSkip.
	large *members
}

const (
	zsetHead  = 1
	zsetGroup = 3 // elements of one member
)

func (z *zsetValue) kind() kind { return kindZSet }

func (z *zsetValue) size() int {
	if d := z.large; d != nil {
		return 208 + d.bytes + d.len()*zsetEntryCost
	}
	return packedCost + len(z.small)
}

func (z *zsetValue) clone() object {
	if z.large != nil {
		return z.copyTo(new(memory))
	}
	return &zsetValue{small: z.small.clone()}
}

func (z *zsetValue) members() *members { return z.large }

func (z *zsetValue) copyTo(mem *memory) object { return &zsetValue{large: z.large.clone(mem)} }

func (z *zsetValue) fork(epoch uint64) object { return &zsetValue{large: z.large.fork(epoch)} }

func (z *zsetValue) sum() uint64 {
	if d := z.large; d != nil {
		return dictSum(d.len(), d.sum)
	}
	return hashBytes(z.small)
}

func (z *zsetValue) recount() uint64 {
	if d := z.large; d != nil {
		return dictSum(d.len(), d.recount())
	}
	return hashBytes(z.small)
}

func (z *zsetValue) form() form {
	if z.large != nil {
		return zsetSkip
	}
	return zsetPacked
}

func (z *zsetValue) setForm(f form) bool {
	f, ok := largerForm(z.form(), f)
	if f == zsetSkip {
		z.grow()
	}
	return ok
}

// grow changes the form to zsetSkip.
func (z *zsetValue) grow() {
	if z.large != nil {
		return
	}
	d := newMembers(kindZSet)
	c := z.from(0)
	for range z.len() {
		m := c.next()
		d.addWord(&m, c.score)
	}
	d.buildTree()
	z.small, z.large = nil, d
}

// newZSet makes a sorted set of the members of d, whose tree is not built yet.
func newZSet(d *members) *zsetValue {
	longest := 0
	for i := range d.len() {
		longest = max(longest, len(d.at(i).key))
	}
	if d.len() > ZSetMaxListpackEntries || longest > ZSetMaxListpackValue {
		d.buildTree()
		return &zsetValue{large: d}
	}
	z := &zsetValue{}
	z.small = z.small.start(zsetHead, d.bytes+3*d.len())
	for i := range d.len() {
		z.add(d.word(i), d.at(i).score)
	}
	return z
}

func (z *zsetValue) own() collection { return &zsetValue{z.small.clone(), z.large} }

func (z *zsetValue) packed() *packed {
	if z.large != nil {
		return nil
	}
	return &z.small
}

// len returns the number of members.
func (z *zsetValue) len() int {
	switch {
	case z.large != nil:
		return z.large.len()
	case len(z.small) == 0:
		return 0
	}
	return int(z.small[0])
}

// find returns where member stands: its position in the dict, or its offset in the packed sequence; -1 if it is absent.
func (z *zsetValue) find(member []byte) int {
	if z.large != nil {
		return z.large.find(member)
	}
	at, _ := z.findSmall(&word{kind: wordBytes, b: member})
	return at
}

// findSmall returns offset and rank of a member of the packed sequence, or -1.
func (z *zsetValue) findSmall(m *word) (at, rank int) {
	if len(z.small) == 0 || m.len() > ZSetMaxListpackValue {
		return -1, -1
	}
	var buf [packedRoom]byte
	return z.small.find(zsetHead, m.elem(buf[:0]), zsetGroup)
}

// findWord is find for a member of another set.
func (z *zsetValue) findWord(m *word) int {
	if z.large != nil {
		return z.large.findWord(m)
	}
	at, _ := z.findSmall(m)
	return at
}

// scoreAt returns the score of the member that find has found.
func (z *zsetValue) scoreAt(i int) float64 {
	if z.large != nil {
		return z.large.at(i).score
	}
	return z.small.score(z.small.next(i))
}

// score returns the score of member.
func (z *zsetValue) score(member []byte) (float64, bool) {
	if i := z.find(member); i >= 0 {
		return z.scoreAt(i), true
	}
	return 0, false
}

// rank returns how many members come before member, -1 if it is absent.
func (z *zsetValue) rank(member []byte) int {
	d := z.large
	if d == nil {
		_, rank := z.findSmall(&word{kind: wordBytes, b: member})
		return rank
	}
	if i := d.find(member); i >= 0 {
		return d.rankAt(i)
	}
	return -1
}

// below returns the number of members below b.
func (z *zsetValue) below(b *zbound) int {
	if z.large != nil {
		return z.large.tree.rank(b)
	}
	r := 0
	for at := zsetHead; at < len(z.small); r++ {
		m, score := z.small.word(at)
		if !b.aboveWord(z.small.score(score), &m) {
			break
		}
		at = z.small.skip(score, 2)
	}
	return r
}

// aboveWord is above for a member of a packed sequence.
func (b *zbound) aboveWord(score float64, m *word) bool {
	if above, ok := b.aboveScore(score); ok {
		return above
	}
	var buf [20]byte
	text := m.bytes(buf[:0])
	return b.aboveMember(text)
}

// put sets the score of member, not NaN, and reports whether it is new.
func (z *zsetValue) put(member []byte, score float64) bool {
	i := z.find(member)
	if i < 0 {
		z.putNew(word{kind: wordBytes, b: member}, score)
		return true
	}
	z.move(i, score)
	return false
}

// positiveZero turns -0 into 0, as Redis does in its packed encoding: equal scores then print equally.
func positiveZero(score float64) float64 {
	if score == 0 {
		return 0
	}
	return score
}

// putNew adds a member that is not there.
func (z *zsetValue) putNew(m word, score float64) { z.add(m, positiveZero(score)) }

// add is putNew for a score that stays as it is.
func (z *zsetValue) add(m word, score float64) {
	n := z.len()
	if n == ZSetMaxListpackEntries || m.len() > ZSetMaxListpackValue {
		z.grow()
	}
	if d := z.large; d != nil {
		var digits [20]byte
		d.tree.insert(zitem{score, d.add(m.bytes(digits[:0]), part{score: score})})
		return
	}
	var buf [packedRoom + 10]byte
	z.insertSmall(append(appendScore(m.elem(buf[:0]), score), byte(n)))
	z.small[0] = byte(n + 1)
}

// insertSmall puts member, score and position, which are encoded in e, into the packed sequence.
func (z *zsetValue) insertSmall(e packed) {
	z.small = z.small.start(zsetHead, len(e))
	at := z.placeSmall(e)
	z.small = z.small.open(at, at, len(e))
	copy(z.small[at:], e)
}

// placeSmall returns the offset of the first member above e.
func (z *zsetValue) placeSmall(e packed) int {
	m, after := e.word(0)
	var buf, other [ZSetMaxListpackValue]byte
	score, member := e.score(after), m.bytes(buf[:0])
	at := zsetHead
	for at < len(z.small) {
		next := z.small.next(at)
		s := z.small.score(next)
		if s > score {
			break
		}
		if s == score {
			w, _ := z.small.word(at)
			if bytes.Compare(w.bytes(other[:0]), member) > 0 {
				break
			}
		}
		at = z.small.skip(next, 2)
	}
	return at
}

// move gives the member that find has found another score.
func (z *zsetValue) move(i int, score float64) {
	old := z.scoreAt(i)
	if old == score {
		return
	}
	score = positiveZero(score)
	if d := z.large; d != nil {
		d.tree.removeAt(d.rankAt(i))
		d.tree.insert(zitem{score, d.set(i, part{score: score})})
		return
	}
	end := z.small.skip(i, zsetGroup)
	var buf [packedRoom + 10]byte
	e := append(buf[:0], z.small[i:z.small.next(i)]...)
	e = append(appendScore(e, score), z.small[end-1])
	z.small = z.small.open(i, end, 0)
	z.insertSmall(e)
}

// rankAt is the rank of the element at a position.
func (m *members) rankAt(i int) int {
	e := m.at(i)
	return m.tree.rank(e.bound())
}

// remove deletes member and reports whether it was there.
func (z *zsetValue) remove(member []byte) bool {
	i := z.find(member)
	if i < 0 {
		return false
	}
	if d := z.large; d != nil {
		d.tree.removeAt(d.rankAt(i))
		d.removeAt(i)
	} else {
		z.removeSmall(i)
	}
	return true
}

// removeRank removes the member of rank r.
func (z *zsetValue) removeRank(r int) {
	if d := z.large; d != nil {
		it := d.tree.removeAt(r)
		d.removeAt(d.position(d.tree.key(&it), it.ref))
		return
	}
	z.removeSmall(z.small.skip(zsetHead, r*zsetGroup))
}

// removeSmall removes the member at an offset of the packed sequence. The last one in the order of history takes its
// position.
func (z *zsetValue) removeSmall(at int) {
	end := z.small.skip(at, zsetGroup)
	pos, last := z.small[end-1], z.small[0]-1
	z.small = z.small.open(at, end, 0)
	z.small[0] = last
	for i := zsetHead; pos != last; {
		i = z.small.skip(i, zsetGroup)
		if z.small[i-1] == last {
			z.small[i-1] = pos
			return
		}
	}
}

// walk calls each for the ranks [from, to), which are in z.
func (z *zsetValue) walk(from, to int, reverse bool, each func(m word, score float64)) {
	if z == nil || from >= to {
		return
	}
	if z.large != nil {
		z.large.tree.walk(from, to, reverse, each)
		return
	}
	var places [ZSetMaxListpackEntries]uint16
	at := z.small.skip(zsetHead, from*zsetGroup)
	for r := from; r < to; r++ {
		m, score := z.small.word(at)
		if places[r] = uint16(at); !reverse {
			each(m, z.small.score(score))
		}
		at = z.small.skip(score, 2)
	}
	for r := to - 1; reverse && r >= from; r-- {
		m, score := z.small.word(int(places[r]))
		each(m, z.small.score(score))
	}
}

// zsetCursor walks the members of a sorted set, which does not change meanwhile, in the order of history.
type zsetCursor struct {
	z      *zsetValue
	i      int                            // the next position
	places [ZSetMaxListpackEntries]uint16 // offsets by position, of a packed sequence
	member word
	score  float64
}

// from returns a cursor whose next member is that of position i.
func (z *zsetValue) from(i int) (c zsetCursor) {
	c.z, c.i = z, i
	for at := zsetHead; at < len(z.small); {
		next := z.small.skip(at, zsetGroup)
		c.places[z.small[next-1]] = uint16(at)
		at = next
	}
	return c
}

// next moves to the next member and returns it. REQUIRES: there is one.
func (c *zsetCursor) next() word {
	if d := c.z.large; d != nil {
		e := d.at(c.i)
		c.member, c.score = word{kind: wordBytes, b: e.key}, e.score
	} else {
		var at int
		c.member, at = c.z.small.word(int(c.places[c.i]))
		c.score = c.z.small.score(at)
	}
	c.i++
	return c.member
}

// reply answers member and score as ZSCAN does.
func (c *zsetCursor) reply(tx *Tx, out Out) {
	c.member.reply(tx, out)
	// A bulk string in RESP3, too: Redis answers no double here.
	tx.buf = appendScanScore(tx.buf[:0], c.score, c.z.len())
	out.Bulk(tx.buf)
}

func (z *zsetValue) appendTo(dst []byte) []byte {
	n := z.len()
	dst = binary.AppendUvarint(dst, uint64(n))
	c := z.from(0)
	for i := range n {
		var score float64
		if z.large == nil {
			var at int
			dst, at = z.small.encode(dst, int(c.places[i]))
			score = z.small.score(at)
		} else {
			e := z.large.at(i)
			dst, score = appendBytes(dst, e.key), e.score
		}
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(score))
	}
	return dst
}

func decodeZSet(b []byte) (collection, error) {
	d := valueDecoder{b: b}
	n := d.count()
	if n > ZSetMaxListpackEntries {
		return newMembers(kindZSet).decode(d, n)
	}
	items := make([]packedItem, n)
	for i := range items {
		m := d.bytes()
		items[i] = packedItem{d.float(), m, byte(i)}
	}
	if !d.end() || n == 0 {
		return nil, errDecode
	}
	slices.SortFunc(items, func(a, b packedItem) int {
		return cmp.Or(cmp.Compare(a.score, b.score), bytes.Compare(a.member, b.member))
	})
	return packItems(items, len(b))
}

// packedItem is one member of a sorted set that is read in.
type packedItem struct {
	score  float64
	member []byte
	pos    byte // in the order of history
}

// packItems makes a sorted set of items in order, which take about so many bytes.
func packItems(items []packedItem, bytes int) (collection, error) {
	z, seen, long := &zsetValue{}, packedIndex{}, false
	p := newPacked(zsetHead + bytes)[:zsetHead]
	for _, it := range items {
		at := len(p)
		if p = appendElem(p, it.member); !seen.add(p, at, len(p)) {
			return nil, errDecode
		}
		p = append(appendScore(p, it.score), it.pos)
		long = long || len(it.member) > ZSetMaxListpackValue
	}
	if !long {
		p[0] = byte(len(items))
		z.small = p
		return z, nil
	}
	slices.SortFunc(items, func(a, b packedItem) int { return cmp.Compare(a.pos, b.pos) })
	z.large = newMembers(kindZSet)
	for _, it := range items {
		z.large.add(it.member, part{score: it.score})
	}
	z.large.buildTree()
	return z, nil
}

func init() { decoders[kindZSet] = decodeZSet }
