package fsm

// blob is a string that commands change in place (APPEND, SETRANGE): its buffer grows by amortized doubling. Every
// other string up to maxRaw bytes stands in its record.
type blob struct {
	b    []byte
	text uint64 // textSum(b)
}

func newBlob(b []byte) *blob { return &blob{b: append([]byte(nil), b...), text: textSum(b)} }

func (b *blob) kind() kind                 { return kindString }
func (b *blob) clone() object              { return &blob{append([]byte(nil), b.b...), b.text} }
func (b *blob) appendTo(dst []byte) []byte { return append(dst, b.b...) }

// form: what was changed in place is raw whatever its length.
func (b *blob) form() form { return stringRaw }

// size counts no more than the same string inside its record would: which of the two it is depends on history.
func (b *blob) size() int { return len(b.b) }

func (b *blob) sum() uint64     { return b.text }
func (b *blob) recount() uint64 { return textSum(b.b) }

// put writes val to offset at. If that is behind the end, zeros stand in between.
func (b *blob) put(at int, val []byte) {
	from, end := min(at, len(b.b)), at+len(val)
	b.text -= blocksSum(b.b, from, end)
	switch n := end - len(b.b); {
	case at == len(b.b):
		b.b = append(b.b, val...)
	case n > 0:
		b.b = append(b.b, make([]byte, n)...)
		fallthrough
	default:
		copy(b.b[at:], val)
	}
	b.text += blocksSum(b.b, from, end)
}

// stringLen is the length in bytes of a string.
func (it *item) stringLen() int {
	if b, ok := it.object().(*blob); ok {
		return len(b.b)
	}
	return int(it.textLen())
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

// appendString appends a string.
func (it *item) appendString(dst []byte) []byte {
	switch it.enc() {
	case encObject:
		return it.object().appendTo(dst)
	case encInt:
		return appendInt(dst, it.integer())
	default:
		return append(dst, it.value()...)
	}
}

// stringBytes returns a string, to be read before the next call and before the key changes.
func (tx *Tx) stringBytes(it *item) []byte {
	switch it.enc() {
	case encObject:
		if b, ok := it.object().(*blob); ok {
			return b.b
		}
		return nil
	case encInt:
		tx.buf = appendInt(tx.buf[:0], it.integer())
		return tx.buf
	default:
		return it.value()
	}
}

// replyString answers a string, null if it is absent. It answers errWrongType and returns false if the key holds
// something else.
func (tx *Tx) replyString(it *item, out Out) bool {
	switch {
	case it.absent():
		out.Null()
	case it.kind() != kindString:
		out.Error(errWrongType)
		return false
	default:
		out.Bulk(tx.stringBytes(it))
	}
	return true
}

// intValue reads a string as an integer.
func (tx *Tx) intValue(it *item) (int64, bool) {
	if it.enc() == encInt {
		return it.integer(), true
	}
	if it.stringLen() > 20 {
		return 0, false
	}
	return parseInt(tx.stringBytes(it))
}

// setString stores a string under key, whatever the key held; at is its deadline in Unix ms, 0 = none.
func (tx *Tx) setString(key, val []byte, at int64) {
	p, _ := tx.findWrite(tx.DB, key)
	tx.writeString(&p, key, val, at)
}

// writeString is write for a string, which must not stand in the record at p; an integer in canonical form is kept as a
// number.
func (tx *Tx) writeString(p *place, key, val []byte, at int64) {
	if n, ok := parseInt(val); ok {
		tx.writeInt(p, key, n, at)
		return
	}
	tx.writeText(p, key, val, at)
}

// writeText is writeString that leaves a number text, as INCRBYFLOAT does.
func (tx *Tx) writeText(p *place, key, val []byte, at int64) {
	if len(val) > maxRaw {
		tx.writeBlob(p, key, val, at)
		return
	}
	copy(tx.write(p, key, layout{enc: encRaw, n: len(val), text: int64(len(val)), at: at, sum: recordSum(val)}), val)
}

// writeBlob is writeText for a string that is to be changed in place, or is too long for a record.
func (tx *Tx) writeBlob(p *place, key, val []byte, at int64) *blob {
	b := newBlob(val)
	tx.writeObject(p, key, holding(b, tx.s.epoch), at)
	return b
}

// writeInt is write for an integer.
func (tx *Tx) writeInt(p *place, key []byte, n, at int64) {
	putInt(tx.write(p, key, layout{enc: encInt, n: intBytes, text: int64(intLen(n)), at: at, sum: intSum(n)}), n)
}

// keptDeadline is the deadline that the key at p has, 0 if there is none.
func (p *place) keptDeadline() int64 {
	if p.absent() {
		return 0
	}
	return p.deadline()
}

// setUntil stores a string with a deadline in Unix ms (0 = none, or the old one with keepTTL). A deadline in the past
// leaves no key.
func (tx *Tx) setUntil(key, val []byte, at int64, keepTTL bool) {
	p, found := tx.findWrite(tx.DB, key)
	if at != 0 && at < tx.now {
		tx.setDue(&p, found, key)
		return
	}
	if at == 0 && keepTTL {
		at = p.keptDeadline()
	}
	tx.writeString(&p, key, val, at)
	if at != 0 && !keepTTL {
		tx.tell(EventGeneric, "expire", key)
	}
}

// setDue is setUntil with a deadline that has passed. As in Redis, the key is set, and then it has expired.
func (tx *Tx) setDue(p *place, found bool, key []byte) {
	if !found {
		tx.tell(EventNew, "new", key)
	}
	tx.tell(EventString, "set", key)
	tx.tell(EventGeneric, "expire", key)
	tx.tell(EventExpired, "expired", key)
	if found {
		tx.clear(p)
	}
}

// blobAt turns the string at p into one that may be changed in place. The caller reports the change with touched.
func (tx *Tx) blobAt(p *place) *blob {
	if p.enc() == encObject {
		if b, ok := tx.privateObject(p).(*blob); ok {
			return b
		}
	}
	tx.held = append(tx.held[:0], p.key()...) // write may move the record
	defer tx.called(tx.called(""))            // the change comes only now
	return tx.writeBlob(p, tx.held, tx.stringBytes(&p.item), p.deadline())
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
