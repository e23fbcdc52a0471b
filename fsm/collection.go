package fsm

// collection is a value with elements: a list, a set, a hash, a sorted set or a stream.
//
// Packed in up to maxPacked bytes a collection stands in its key's record, and there is no object. Commands need not know:
// lookup and lookupWrite give them a value that holds the bytes of the record, or a copy of them for changing, and store
// writes the value back in the way that fits it. So a change shows, and counts, when the command stores it and no earlier.
// Where a collection stands follows from its content and its form alone.
type collection interface {
	object
	// setForm takes over the form that a snapshot tells; it reports false for one that the value cannot have.
	setForm(f form) bool
	// len returns the number of elements.
	len() int
	// packed returns the sequence that holds the collection, nil if none does.
	packed() *packed
	// own returns the same collection as an object that nothing else refers to, once the receiver is dropped.
	own() collection
}

const (
	// maxPacked is the most bytes of a packed collection that stand in a record: a command on it copies them twice. Beyond
	// it what an object takes besides is less than a tenth.
	maxPacked = 2 << 10
	// lightRoom is the bytes of scratch that a light value begins with.
	lightRoom = 16 << 10
)

// packedEnc is the encoding of a packed collection.
func packedEnc(k kind) encoding { return encPacked + encoding(k-kindList) }

// light is a collection without an object, for the time of one command: one of the values below, made of a packed sequence
// that stands elsewhere. Its zero value is ready.
type light struct {
	list listValue
	set  setValue
	hash hashValue
	zset zsetValue
	buf  packed // scratch for changes
}

// hold makes the empty p the sequence of every value, of which one is going to be used.
func (l *light) hold(p packed) {
	l.list, l.set, l.hash, l.zset = listValue{small: p}, setValue{small: p}, hashValue{small: p}, zsetValue{small: p}
}

// show returns the collection of kind k that p holds.
func (l *light) show(k kind, p packed) collection {
	switch k {
	case kindList:
		l.list = listValue{small: p}
		return &l.list
	case kindSet:
		l.set = setValue{small: p}
		return &l.set
	case kindHash:
		l.hash = hashValue{small: p}
		return &l.hash
	default:
		l.zset = zsetValue{small: p}
		return &l.zset
	}
}

// scratch returns the empty buffer for changes.
func (l *light) scratch() packed {
	if l.buf == nil {
		l.buf = make(packed, 0, lightRoom)
	}
	return l.buf[:0]
}

// light returns one that no other value of the command is in.
func (tx *Tx) light() *light {
	if tx.lit == len(tx.lights) {
		return new(light)
	}
	tx.lit++
	return &tx.lights[tx.lit-1]
}

// fresh returns empty collections, one of which the command fills and stores.
func (tx *Tx) fresh() *light {
	l := tx.light()
	l.hold(l.scratch())
	return l
}

// collection returns the value of a key, by way of l if it is packed; nil for a string.
func (it *item) collection(l *light) collection {
	switch enc := it.enc(); {
	case enc >= encPacked:
		return l.show(it.kind(), packed(it.value()))
	case enc == encObject:
		c, _ := it.object().(collection)
		return c
	}
	return nil
}

// lookup returns the collection at key for reading, nil if the key is absent or due. ok is false, and the caller answers
// errWrongType, if the key holds another kind. The collection is valid until the key changes.
func (tx *Tx) lookup(key []byte, k kind) (c collection, ok bool) {
	it := tx.find(key)
	switch {
	case it.absent():
		return nil, true
	case it.kind() != k:
		return nil, false
	case it.enc() == encObject:
		return it.collection(nil), true
	}
	return it.collection(tx.light()), true
}

// lookupWrite is lookup for changing the collection: a due key is deleted first, and what a frozen view shares is copied. The
// caller reports the change with store.
func (tx *Tx) lookupWrite(key []byte, k kind) (c collection, ok bool) {
	p, found := tx.findWrite(tx.DB, key)
	switch {
	case !found:
		return nil, true
	case p.kind() != k:
		return nil, false
	case p.enc() == encObject:
		c, _ = tx.privateObject(&p).(collection)
		return c, true
	}
	l := tx.light()
	l.buf = append(l.scratch(), p.value()...)
	return l.show(k, l.buf), true
}

// readValue returns the collection at key, nil if there is none; if ok is false, the error is answered. T is the type of
// the values of kind k.
func readValue[T collection](tx *Tx, key []byte, k kind, out Out) (v T, ok bool) {
	c, ok := tx.lookup(key, k)
	return asValue[T](c, ok, out)
}

// writeValue is readValue for changing the collection.
func writeValue[T collection](tx *Tx, key []byte, k kind, out Out) (v T, ok bool) {
	c, ok := tx.lookupWrite(key, k)
	return asValue[T](c, ok, out)
}

// asValue takes what lookup or lookupWrite returned, and answers their error.
func asValue[T collection](c collection, ok bool, out Out) (v T, _ bool) {
	if !ok {
		out.Error(errWrongType)
	}
	v, _ = c.(T)
	return v, ok
}

// store makes c the value of key, which keeps its deadline: c is new, or is what lookupWrite returned for the key. Without
// elements the key is deleted, unless it is a stream.
func (tx *Tx) store(key []byte, c collection) {
	if c.len() == 0 && c.kind() != kindStream {
		tx.empty(key)
		return
	}
	p, _ := tx.findWrite(tx.DB, key)
	tx.save(&p, key, c, p.keptDeadline())
}

// replace is store for a new collection that takes the place of whatever is at key, and of its deadline.
func (tx *Tx) replace(key []byte, c collection) {
	if c.len() == 0 {
		tx.delete(key)
		return
	}
	p, _ := tx.findWrite(tx.DB, key)
	tx.save(&p, key, c, 0)
}

// save gives the key at p the collection c and a deadline in Unix ms, 0 = none. REQUIRES: c is the object at p, or in no
// record. It has elements, or is a stream.
func (tx *Tx) save(p *place, key []byte, c collection, at int64) {
	small := c.packed()
	switch {
	case small != nil && len(*small) <= maxPacked:
		tx.writePacked(p, key, packedEnc(c.kind()), *small, at)
	case !p.absent() && p.object() == object(c):
		if small != nil && small.loose() {
			*small = small.clone()
		}
		tx.changed(p)
	default:
		own := c.own()
		tx.writeObject(p, key, holding(own, tx.s.epoch), at)
	}
}

// loose says that p has more room to grow than is worth its memory.
func (p packed) loose() bool { return cap(p) > len(p)+len(p)/4+64 }

// writePacked is write for a packed collection, whose bytes are not those in the record at p.
func (tx *Tx) writePacked(p *place, key []byte, enc encoding, b packed, at int64) {
	copy(tx.write(p, key, layout{enc: enc, n: len(b), text: packedCost + int64(len(b)), at: at, sum: packedSum(enc, b)}), b)
}
