package fsm

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// hashValue is a hash. The order of its fields is part of its value: a new one comes last, and the last one takes the
// place of one that is removed.
//
// While its form is hashPacked the hash is one packed sequence and searched from the front, as in Redis: it has no more
// than HashMaxListpackEntries short fields. When a field gets a deadline it becomes hashTimed, which is the same with a table
// of deadlines beside it; it is an object then, and as in Redis stays one when the last deadline is gone.
type hashValue struct {
	small packed      // the number of fields in hashHead bytes, then field, value, field, ...; empty = no fields
	large *members    // not nil = the form is hashTable
	times *fieldTimes // nil = no field has a deadline; empty ones say in a small hash that the form is hashTimed
}

const (
	hashHead  = 2
	hashGroup = 2 // elements of one field
)

func (h *hashValue) kind() kind { return kindHash }

func (h *hashValue) size() int {
	if d := h.large; d != nil {
		return 200 + d.bytes + d.vals + d.len()*hashEntryCost + h.times.size()
	}
	size := packedCost + len(h.small)
	if h.times != nil {
		size += hashTimedCost + h.times.size()
	}
	return size
}

func (h *hashValue) clone() object {
	if h.large != nil {
		return h.copyTo(new(memory))
	}
	return &hashValue{small: h.small.clone(), times: h.times.fork()}
}

func (h *hashValue) members() *members { return h.large }

func (h *hashValue) copyTo(mem *memory) object {
	return &hashValue{large: h.large.clone(mem), times: h.times.fork()}
}

func (h *hashValue) fork(epoch uint64) object {
	return &hashValue{large: h.large.fork(epoch), times: h.times.fork()}
}

func (h *hashValue) sum() uint64 {
	sum := uint64(0)
	if d := h.large; d != nil {
		sum = dictSum(d.len(), d.sum)
	} else {
		sum = hashBytes(h.small)
	}
	if n := h.times.len(); n > 0 {
		sum = timedSum(sum, n, h.times.sum)
	}
	return sum
}

func (h *hashValue) recount() uint64 {
	sum := uint64(0)
	if d := h.large; d != nil {
		sum = dictSum(d.len(), d.recount())
	} else {
		sum = hashBytes(h.small)
	}
	if n := h.times.len(); n > 0 {
		sum = timedSum(sum, n, h.times.recount())
	}
	return sum
}

func (h *hashValue) form() form {
	switch {
	case h.large != nil:
		return hashTable
	case h.times != nil:
		return hashTimed
	}
	return hashPacked
}

func (h *hashValue) setForm(f form) bool {
	switch f {
	case formUnknown:
	case hashTimed:
		if h.large != nil {
			return false
		}
		h.timed()
	case hashTable:
		h.grow()
	default:
		return h.form() == f
	}
	return true
}

// timed returns the table of deadlines, and begins one.
func (h *hashValue) timed() *fieldTimes {
	if h.times == nil {
		h.times = new(fieldTimes)
	}
	return h.times
}

// grow changes the form to hashTable.
func (h *hashValue) grow() *members {
	if h.large != nil {
		return h.large
	}
	d := newMembers(kindHash)
	c := h.from(0)
	for range h.len() {
		c.next()
		var field, val [20]byte
		d.add(c.field.bytes(field[:0]), part{val: c.val.bytes(val[:0])})
	}
	h.small, h.large = nil, d
	return d
}

func (h *hashValue) own() collection { return &hashValue{h.small.clone(), h.large, h.times} }

func (h *hashValue) packed() *packed {
	if h.large != nil || h.times != nil {
		return nil
	}
	return &h.small
}

// len returns the number of fields.
func (h *hashValue) len() int {
	switch {
	case h.large != nil:
		return h.large.len()
	case len(h.small) == 0:
		return 0
	}
	return int(binary.LittleEndian.Uint16(h.small))
}

// find returns where field stands: its position, and its offset in the packed sequence, which in a large hash is the position;
// -1 if it is absent.
func (h *hashValue) find(field []byte) (at, pos int) {
	if h.large != nil {
		at = h.large.find(field)
		return at, at
	}
	if len(field) > HashMaxListpackValue || len(h.small) == 0 {
		return -1, -1
	}
	var buf [packedRoom]byte
	return h.small.find(hashHead, appendElem(buf[:0], field), hashGroup)
}

// has reports whether the hash has the field and it is not due at now (Unix ms).
func (h *hashValue) has(field []byte, now int64) bool {
	at, pos := h.find(field)
	return at >= 0 && (h.times == nil || !h.times.due(pos, now))
}

// due says that the field at a position is past its deadline at now (Unix ms): so it does not show any more.
func (h *hashValue) due(pos int, now int64) bool { return h.times != nil && h.times.due(pos, now) }

// gone says that all fields are due at now (Unix ms), so that the hash does not show any more. In O(log n) if fields have deadlines.
func (h *hashValue) gone(now int64) bool {
	return h.times != nil && h.times.len() == h.len() && now > h.times.last()
}

// live returns how many fields are not due at now (Unix ms), in time that grows with those that are.
func (h *hashValue) live(now int64) int {
	if h.times == nil {
		return h.len()
	}
	return h.len() - h.times.dueAt(now)
}

// get returns the value of field, unless it is due at now (Unix ms).
func (h *hashValue) get(field []byte, now int64) (val word, ok bool) {
	at, pos := h.find(field)
	switch {
	case at < 0 || h.times != nil && h.times.due(pos, now):
		return val, false
	case h.large != nil:
		return word{kind: wordBytes, b: h.large.at(at).val}, true
	}
	val, _ = h.small.word(h.small.next(at))
	return val, true
}

// put sets field, which keeps its deadline, and reports whether it is new.
func (h *hashValue) put(field, val []byte) bool {
	if h.large == nil && (len(field) > HashMaxListpackValue || len(val) > HashMaxListpackValue) {
		h.grow()
	}
	if h.large != nil {
		return h.putLarge(field, val)
	}
	var buf [2 * packedRoom]byte
	key := appendElem(buf[:0], field)
	pair := appendElem(key, val)
	n := h.len()
	if n > 0 {
		if at, _ := h.small.find(hashHead, key, hashGroup); at >= 0 {
			at += len(key)
			h.small = h.small.open(at, h.small.next(at), len(pair)-len(key))
			copy(h.small[at:], pair[len(key):])
			return false
		}
	}
	if n == HashMaxListpackEntries {
		h.grow()
		return h.putLarge(field, val)
	}
	h.small = h.small.start(hashHead, len(pair))
	end := len(h.small)
	h.small = h.small.open(end, end, len(pair))
	copy(h.small[end:], pair)
	binary.LittleEndian.PutUint16(h.small, uint16(n+1))
	return true
}

func (h *hashValue) putLarge(field, val []byte) bool {
	i := h.large.find(field)
	if i >= 0 {
		h.large.set(i, part{val: val})
		return false
	}
	h.large.add(field, part{val: val})
	return true
}

// removeAt deletes the field at an offset and position that find has returned. The last field takes its place.
func (h *hashValue) removeAt(at, pos int) {
	last := h.len() - 1
	if h.large != nil {
		h.large.removeAt(at)
	} else {
		h.small = h.small.removeSwap(at, hashGroup)
		binary.LittleEndian.PutUint16(h.small, uint16(last))
	}
	if h.times != nil {
		h.times.removed(pos, last)
		if h.large == nil && h.small.loose() {
			h.small = h.small.clone()
		}
	}
}

// hashCursor walks the fields of a hash that does not change meanwhile.
type hashCursor struct {
	h          *hashValue
	at         int // the next position in the dict, or offset in the packed sequence
	pos        int // the next position
	field, val word
}

// offset returns where the field at position i stands, as find does.
func (h *hashValue) offset(i int) int {
	if h.large == nil && len(h.small) > 0 {
		return h.small.skip(hashHead, i*hashGroup)
	}
	return i
}

// from returns a cursor whose next field is that of position i.
func (h *hashValue) from(i int) hashCursor { return hashCursor{h: h, at: h.offset(i), pos: i} }

// next moves to the next field and returns it. REQUIRES: there is one.
func (c *hashCursor) next() word {
	c.pos++
	if d := c.h.large; d != nil {
		e := d.at(c.at)
		c.field, c.val = word{kind: wordBytes, b: e.key}, word{kind: wordBytes, b: e.val}
		c.at++
		return c.field
	}
	c.field, c.at = c.h.small.word(c.at)
	c.val, c.at = c.h.small.word(c.at)
	return c.field
}

// passDue moves on while the field is due at now (Unix ms). REQUIRES: there are deadlines, and a field that is not due.
func (c *hashCursor) passDue(now int64) {
	for c.h.times.due(c.pos-1, now) {
		c.next()
	}
}

// reply answers the field and its value.
func (c *hashCursor) reply(tx *Tx, out Out) {
	c.field.reply(tx, out)
	c.val.reply(tx, out)
}

// places returns where the fields begin in the packed sequence, for many cursors at random positions; nil for a large
// hash.
func (h *hashValue) places() []uint32 {
	if h.large != nil {
		return nil
	}
	return h.small.places(hashHead, hashGroup, h.len())
}

// random is from that knows the places.
func (h *hashValue) random(i int, places []uint32) hashCursor {
	at := i
	if places != nil {
		at = int(places[i])
	}
	return hashCursor{h: h, at: at, pos: i}
}

// byTime calls f for every field and its deadline, in Unix ms: as in Redis those with deadlines come first, the earliest before
// the others and of equal ones the last first; then those without, whose deadline is 0.
func (h *hashValue) byTime(f func(c *hashCursor, at int64)) {
	timed := make([]fieldTime, 0, h.times.len())
	h.times.each(func(t fieldTime) bool {
		timed = append(timed, t)
		return true
	})
	slices.SortStableFunc(timed, func(a, b fieldTime) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(b.pos, a.pos)) })
	places := h.places()
	for _, t := range timed {
		c := h.random(t.pos, places)
		c.next()
		f(&c, t.at)
	}
	c := h.from(0)
	for i := range h.len() {
		if c.next(); h.times == nil || h.times.get(i) == 0 {
			f(&c, 0)
		}
	}
}

func (h *hashValue) appendTo(dst []byte) []byte {
	n := h.len()
	dst = binary.AppendUvarint(dst, uint64(n))
	if h.large == nil {
		for off := hashHead; off < len(h.small); {
			dst, off = h.small.encode(dst, off)
		}
		return h.times.appendTo(dst)
	}
	for i := range n {
		e := h.large.at(i)
		dst = appendBytes(appendBytes(dst, e.key), e.val)
	}
	return h.times.appendTo(dst)
}

func decodeHash(b []byte) (collection, error) {
	d := valueDecoder{b: b}
	h := &hashValue{}
	n := d.count()
	if n > HashMaxListpackEntries {
		return newMembers(kindHash).decode(d, n)
	}
	h.decodeSmall(&d, n, len(b))
	n -= h.len()
	for ; n > 0 && !d.bad; n-- {
		f := d.bytes()
		if v := d.bytes(); !d.bad && !h.put(f, v) {
			return nil, errDecode
		}
	}
	if h.decodeTimes(&d); !d.end() || h.len() == 0 {
		return nil, errDecode
	}
	return h, nil
}

// decodeSmall reads up to n fields from d, which has so many bytes, as long as they are short.
func (h *hashValue) decodeSmall(d *valueDecoder, n, bytes int) {
	var seen packedIndex
	h.small = h.small.start(hashHead, min(bytes, n*2*packedRoom))
	for i := range n {
		before := d.b
		f := d.bytes()
		v := d.bytes()
		if d.bad {
			return
		}
		if len(f) > HashMaxListpackValue || len(v) > HashMaxListpackValue {
			d.b = before
			return
		}
		at := len(h.small)
		h.small = appendElem(h.small, f)
		if !seen.add(h.small, at, len(h.small)) {
			d.bad = true
			return
		}
		h.small = appendElem(h.small, v)
		binary.LittleEndian.PutUint16(h.small, uint16(i+1))
	}
}

func init() { decoders[kindHash] = decodeHash }
