package fsm

import "strings"

// blob is a string that commands change in place (APPEND, SETRANGE): its buffer grows by amortized doubling. Every
// other string stands in its entry.
type blob struct{ b []byte }

func init() {
	decoders[kindString] = func(b []byte) (object, error) { return &blob{b: append([]byte(nil), b...)}, nil }
}

func (b *blob) kind() kind                 { return kindString }
func (b *blob) clone() object              { return &blob{b: append([]byte(nil), b.b...)} }
func (b *blob) appendTo(dst []byte) []byte { return append(dst, b.b...) }

// form: what was changed in place is raw whatever its length.
func (b *blob) form() form          { return stringRaw }
func (b *blob) setForm(f form) bool { return f == stringRaw }

// size counts no more than the same string inside its entry would: which of the two it is depends on history.
func (b *blob) size() int { return len(b.b) }

// grow makes the string at least n bytes long; new bytes are zero.
func (b *blob) grow(n int) {
	if n > len(b.b) {
		b.b = append(b.b, make([]byte, n-len(b.b))...)
	}
}

// stringLen is the length in bytes of an entry that holds a string.
func (e *entry) stringLen() int {
	switch b := e.obj.(type) {
	case *blob:
		return len(b.b)
	default:
		if e.isInt() {
			return intLen(e.num)
		}
		return len(e.value())
	}
}

// intLen is the length of n in decimal.
func intLen(n int64) int {
	length, u := 1, uint64(n)
	if n < 0 {
		length, u = 2, -u
	}
	for ; u >= 10; u /= 10 {
		length++
	}
	return length
}

// appendString appends the string that e holds.
func (e *entry) appendString(dst []byte) []byte {
	switch b := e.obj.(type) {
	case *blob:
		return append(dst, b.b...)
	default:
		if e.isInt() {
			return appendInt(dst, e.num)
		}
		return append(dst, e.value()...)
	}
}

// stringBytes returns the string that e holds, to be read before the next call and before e changes.
func (tx *Tx) stringBytes(e *entry) []byte {
	if b, ok := e.obj.(*blob); ok {
		return b.b
	}
	tx.buf = e.appendString(tx.buf[:0])
	return tx.buf
}

// replyString answers the string that e holds, null if e is nil. It answers errWrongType and returns false if e holds
// something else.
func (tx *Tx) replyString(e *entry, out Out) bool {
	switch {
	case e == nil:
		out.Null()
	case e.obj != nil:
		b, ok := e.obj.(*blob)
		if !ok {
			out.Error(errWrongType)
			return false
		}
		out.Bulk(b.b)
	case e.isInt():
		tx.buf = appendInt(tx.buf[:0], e.num)
		out.Bulk(tx.buf)
	default:
		out.BulkString(e.value())
	}
	return true
}

// intValue reads the string that e holds as an integer.
func (tx *Tx) intValue(e *entry) (int64, bool) {
	if e.obj == nil && e.isInt() {
		return e.num, true
	}
	if e.stringLen() > 20 {
		return 0, false
	}
	return parseInt(tx.stringBytes(e))
}

// fill gives e a string value; an integer in canonical form is kept as a number. key is e's key, and e.data may still
// be empty.
func (e *entry) fill(key, val []byte) {
	if n, ok := parseInt(val); ok {
		e.fillInt(key, n)
		return
	}
	e.data = joinData(key, val)
	e.obj, e.num, e.meta = nil, 0, uint32(len(key))<<2
}

func (e *entry) fillInt(key []byte, n int64) {
	if len(e.data) != len(key) {
		e.data = string(key)
	}
	e.obj, e.num, e.meta = nil, n, uint32(len(key))<<2|metaInt
}

// setString stores a string under key, whatever the key held. Its deadline is gone unless keepTTL.
func (tx *Tx) setString(key, val []byte, keepTTL bool) place {
	p, found := tx.findWrite(tx.DB, key)
	if !found {
		var e entry
		e.fill(key, val)
		tx.add(tx.DB, &p, e)
		return p
	}
	e := p.entry()
	before := e.cost()
	e.fill(key, val)
	tx.changed(&p, before, keepTTL)
	return p
}

// setInt stores n under key, which stands at p if found; a deadline stays.
func (tx *Tx) setInt(p *place, found bool, key []byte, n int64) {
	if !found {
		var e entry
		e.fillInt(key, n)
		tx.add(tx.DB, p, e)
		return
	}
	e := p.entry()
	before := e.cost()
	e.fillInt(key, n)
	tx.changed(p, before, true)
}

// setUntil stores a string with a deadline in Unix ms (0 = none, or the old one with keepTTL). A deadline in the past
// leaves no key.
func (tx *Tx) setUntil(key, val []byte, at int64, keepTTL bool) {
	if at != 0 && at < tx.now {
		tx.delete(key)
		return
	}
	p := tx.setString(key, val, keepTTL)
	if at != 0 {
		tx.setDeadline(&p, at)
	}
}

// blobAt turns the string at p into one that may be changed in place. The caller reports the change with touched.
func (tx *Tx) blobAt(p *place) *blob {
	e := p.entry()
	if b, ok := tx.ownObject(e).(*blob); ok {
		return b
	}
	b := &blob{b: e.appendString(nil)}
	before := e.cost()
	if len(e.data) > e.keyLen() {
		e.data = strings.Clone(e.key())
	}
	e.obj, e.num, e.meta = b, int64(b.size()), uint32(e.keyLen())<<2
	p.db.mem.Add(e.cost() - before)
	return b
}

// setOptions are the options of SET and GETEX.
type setOptions struct {
	nx, xx, get, keepTTL, persist bool

	expire   []byte // the number, nil = none
	unit     int64  // of expire in ms
	relative bool   // expire counts from now
}

// parseSetOptions reads the options of SET (set) or GETEX; it answers a syntax error itself.
func parseSetOptions(args [][]byte, set bool, out Out) (o setOptions, ok bool) {
	expireWord := "" // the option that gave expire; the same one may come again
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case set && !o.xx && matchWord(a, "nx"):
			o.nx = true
		case set && !o.nx && matchWord(a, "xx"):
			o.xx = true
		case set && matchWord(a, "get"):
			o.get = true
		case set && o.expire == nil && matchWord(a, "keepttl"):
			o.keepTTL = true
		case !set && o.expire == nil && matchWord(a, "persist"):
			o.persist = true
		default:
			word := expireOption(a)
			if word == "" || o.keepTTL || o.persist || i+1 == len(args) || expireWord != "" && expireWord != word {
				out.Error(errSyntax)
				return o, false
			}
			i++
			expireWord, o.expire = word, args[i]
			o.relative = len(word) == 2
			if o.unit = 1000; word[0] == 'p' {
				o.unit = 1
			}
		}
	}
	return o, true
}

// expireOption returns the option's canonical word, or "".
func expireOption(a []byte) string {
	for _, word := range [...]string{"ex", "px", "exat", "pxat"} {
		if matchWord(a, word) {
			return word
		}
	}
	return ""
}

// deadline computes the deadline in Unix ms, 0 if there is none; it answers an invalid one itself.
func (o *setOptions) deadline(now int64, name string, out Out) (at int64, ok bool) {
	if o.expire == nil {
		return 0, true
	}
	n, ok := intArg(o.expire, out)
	if !ok {
		return 0, false
	}
	at, ok = expireTime(n, o.unit, 0)
	if ok && o.relative {
		at, ok = expireTime(at, 1, now)
	}
	if !ok || n <= 0 || at <= 0 {
		out.Error(errExpire(name))
		return 0, false
	}
	return at, true
}
