package fsm

import "encoding/binary"

// hashValue is a hash. The order of its fields is part of its value: a new one comes last, and the last one takes the
// place of one that is removed.
//
// While its form is hashPacked the hash is one packed sequence and searched from the front, as in Redis: it has no more
// than HashMaxListpackEntries short fields.
type hashValue struct {
	small packed   // the number of fields in hashHead bytes, then field, value, field, ...; empty = no fields
	large *members // not nil = the form is hashTable
}

const (
	hashHead  = 2
	hashGroup = 2 // elements of one field
)

func (h *hashValue) kind() kind { return kindHash }

func (h *hashValue) size() int {
	if d := h.large; d != nil {
		return 200 + d.bytes + d.vals + d.len()*hashEntryCost
	}
	return packedCost + len(h.small)
}

func (h *hashValue) clone() object {
	if h.large != nil {
		return h.copyTo(new(memory))
	}
	return &hashValue{small: h.small.clone()}
}

func (h *hashValue) members() *members { return h.large }

func (h *hashValue) copyTo(mem *memory) object { return &hashValue{large: h.large.clone(mem)} }

func (h *hashValue) fork(epoch uint64) object { return &hashValue{large: h.large.fork(epoch)} }

func (h *hashValue) sum() uint64 {
	if d := h.large; d != nil {
		return dictSum(d.len(), d.sum)
	}
	return hashBytes(h.small)
}

func (h *hashValue) recount() uint64 {
	if d := h.large; d != nil {
		return dictSum(d.len(), d.recount())
	}
	return hashBytes(h.small)
}

func (h *hashValue) form() form {
	if h.large != nil {
		return hashTable
	}
	return hashPacked
}

func (h *hashValue) setForm(f form) bool {
	f, ok := largerForm(h.form(), f)
	if f == hashTable {
		h.grow()
	}
	return ok
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

func (h *hashValue) own() collection { return &hashValue{h.small.clone(), h.large} }

func (h *hashValue) packed() *packed {
	if h.large != nil {
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

// find returns where field stands: its position in the dict, or its offset in the packed sequence; -1 if it is absent.
func (h *hashValue) find(field []byte) int {
	if h.large != nil {
		return h.large.find(field)
	}
	if len(field) > HashMaxListpackValue || len(h.small) == 0 {
		return -1
	}
	var buf [packedRoom]byte
	at, _ := h.small.find(hashHead, appendElem(buf[:0], field), hashGroup)
	return at
}

func (h *hashValue) has(field []byte) bool { return h.find(field) >= 0 }

// get returns the value of field.
func (h *hashValue) get(field []byte) (val word, ok bool) {
	i := h.find(field)
	switch {
	case i < 0:
		return val, false
	case h.large != nil:
		return word{kind: wordBytes, b: h.large.at(i).val}, true
	}
	val, _ = h.small.word(h.small.next(i))
	return val, true
}

// put sets field and reports whether it is new.
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

// remove deletes field and reports whether it was there.
func (h *hashValue) remove(field []byte) bool {
	i := h.find(field)
	switch {
	case i < 0:
		return false
	case h.large != nil:
		h.large.removeAt(i)
	default:
		h.small = h.small.removeSwap(i, hashGroup)
		binary.LittleEndian.PutUint16(h.small, uint16(h.len()-1))
	}
	return true
}

// hashCursor walks the fields of a hash that does not change meanwhile.
type hashCursor struct {
	h          *hashValue
	at         int // the next position in the dict, or offset in the packed sequence
	field, val word
}

// from returns a cursor whose next field is that of position i.
func (h *hashValue) from(i int) hashCursor {
	if h.large == nil && len(h.small) > 0 {
		i = h.small.skip(hashHead, i*hashGroup)
	}
	return hashCursor{h: h, at: i}
}

// next moves to the next field and returns it. REQUIRES: there is one.
func (c *hashCursor) next() word {
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
	if places != nil {
		i = int(places[i])
	}
	return hashCursor{h: h, at: i}
}

func (h *hashValue) appendTo(dst []byte) []byte {
	n := h.len()
	dst = binary.AppendUvarint(dst, uint64(n))
	if h.large == nil {
		for off := hashHead; off < len(h.small); {
			dst, off = h.small.encode(dst, off)
		}
		return dst
	}
	for i := range n {
		e := h.large.at(i)
		dst = appendBytes(appendBytes(dst, e.key), e.val)
	}
	return dst
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
	if !d.end() || h.len() == 0 {
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
