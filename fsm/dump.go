package fsm

import (
	"math"
	"slices"
	"sync"

	"kvapp/fsm/rdb"
)

// DUMP answers what a redis-server of version 7.0 would for the same value: the same bytes for strings, sorted sets, sets of
// integers, and for lists and small hashes that were only added to; what a server of Redis orders by chance has the order of
// history here. A hash whose fields have deadlines is written as Redis 7.4 does, since older versions have none. The bytes follow
// from the state, so they are the same on every node.
//
// RESTORE decodes on every node that applies it, and takes only what it has checked to the end.

// dumpWriters have large tables; what they write does not depend on what they wrote before.
var dumpWriters = sync.Pool{New: func() any { return new(rdb.Writer) }}

const (
	// dumpKeep is the bytes of scratch that a writer keeps.
	dumpKeep = 1 << 20
	// dumpMargin is what Redis adds to an element's length when it asks whether a node has room for it.
	dumpMargin = 8
)

func runDump(tx *Tx, args [][]byte, out Out) {
	it := tx.find(args[1])
	if it.absent() {
		out.Null()
		return
	}
	w, _ := dumpWriters.Get().(*rdb.Writer)
	out.Bulk(it.dump(w, tx.light()))
	w.Trim(dumpKeep)
	dumpWriters.Put(w)
}

// serializedLen is the bytes of a value in the payload of DUMP, without what stands around it.
func (tx *Tx) serializedLen(it *item) int {
	w, _ := dumpWriters.Get().(*rdb.Writer)
	n := len(it.dump(w, tx.light())) - rdb.Frame
	w.Trim(dumpKeep)
	dumpWriters.Put(w)
	return n
}

// dump returns the payload of a value, valid until w is used again.
func (it *item) dump(w *rdb.Writer, l *light) []byte {
	switch v := it.collection(l).(type) {
	case *listValue:
		v.dump(w)
	case *setValue:
		v.dump(w)
	case *hashValue:
		v.dump(w)
	case *zsetValue:
		v.dump(w)
	case *streamValue:
		v.dump(w)
	default:
		w.Begin(rdb.TypeString)
		switch it.enc() {
		case encInt:
			w.Integer(it.integer())
		case encObject:
			if b, ok := it.object().(*blob); ok {
				w.String(b.b)
			}
		default:
			w.String(it.value())
		}
	}
	return w.Seal()
}

// dump cuts the list into nodes as Redis does for one that was filled from the left to the right.
func (l *listValue) dump(w *rdb.Writer) {
	nodes := 0
	l.eachNode(func(int, []byte) { nodes++ })
	w.Begin(rdb.TypeListListpacks)
	w.Length(nodes)
	l.eachNode(func(n int, b []byte) {
		w.Node()
		w.Listpack(n, b)
	})
}

// eachNode calls f with the number of elements of every node, and what its listpack has for them.
func (l *listValue) eachNode(f func(n int, b []byte)) {
	var (
		n      int
		b      []byte
		digits [20]byte
	)
	for it, left := l.iter(0, false), l.len(); left > 0; left-- {
		e := it.next()
		if n > 0 && rdb.ListpackFrame+len(b)+e.len()+dumpMargin > ListMaxListpackBytes {
			f(n, b)
			n, b = 0, b[:0]
		}
		n++
		b = appendListElem(b, e.bytes(digits[:0]))
	}
	f(n, b)
}

func (s *setValue) dump(w *rdb.Writer) {
	c := s.from(0)
	if s.form() == setInts {
		all := make([]int64, s.len())
		for i := range all {
			m := c.next()
			all[i], _ = m.integer()
		}
		slices.Sort(all)
		w.Begin(rdb.TypeSetIntset)
		w.Intset(s.width(), all)
		return
	}
	w.Begin(rdb.TypeSet)
	w.Length(s.len())
	var digits [20]byte
	for range s.len() {
		m := c.next()
		w.String(m.bytes(digits[:0]))
	}
}

func (h *hashValue) dump(w *rdb.Writer) {
	if h.form() == hashTimed || h.times.len() > 0 {
		h.dumpTimed(w)
		return
	}
	c, n := h.from(0), h.len()
	if h.form() == hashTable {
		w.Begin(rdb.TypeHash)
		w.Length(n)
		for range n {
			c.next()
			w.String(c.field.b)
			w.String(c.val.b)
		}
		return
	}
	w.Begin(rdb.TypeHashListpack)
	b := make([]byte, 0, 2*len(h.small))
	var digits [20]byte
	for range n {
		c.next()
		b = appendListElem(b, c.field.bytes(digits[:0]))
		b = appendListElem(b, c.val.bytes(digits[:0]))
	}
	w.Listpack(hashGroup*n, b)
}

// dumpTimed writes a hash with deadlines as Redis 7.4 does. Fields that are due are among the others, as they are there until
// they are deleted.
func (h *hashValue) dumpTimed(w *rdb.Writer) {
	first := h.times.first().at
	if h.form() == hashTable {
		w.Begin(rdb.TypeHashTimes)
		w.Millis(first)
		w.Length(h.len())
		c := h.from(0)
		for i := range h.len() {
			c.next()
			w.Deadline(h.times.get(i), first)
			w.String(c.field.b)
			w.String(c.val.b)
		}
		return
	}
	w.Begin(rdb.TypeHashListpackTimes)
	w.Millis(first)
	b := make([]byte, 0, 2*len(h.small))
	var digits [20]byte
	h.byTime(func(c *hashCursor, at int64) {
		b = appendListElem(b, c.field.bytes(digits[:0]))
		b = appendListElem(b, c.val.bytes(digits[:0]))
		b = appendListElem(b, appendInt(digits[:0], at))
	})
	w.Listpack((hashGroup+1)*h.len(), b)
}

func (z *zsetValue) dump(w *rdb.Writer) {
	n := z.len()
	if z.form() == zsetSkip { // the highest first, as Redis does
		w.Begin(rdb.TypeZSet)
		w.Length(n)
		z.walk(0, n, true, func(m word, score float64) {
			w.String(m.b)
			w.Score(score)
		})
		return
	}
	w.Begin(rdb.TypeZSetListpack)
	b := make([]byte, 0, 2*len(z.small))
	var digits [32]byte
	z.walk(0, n, false, func(m word, score float64) {
		b = appendListElem(b, m.bytes(digits[:0]))
		b = appendListElem(b, dumpScore(digits[:0], score))
	})
	w.Listpack(2*n, b)
}

// dumpScore appends a score in digits: of a whole number all, as long as they are safe in 64 bits.
func dumpScore(dst []byte, f float64) []byte {
	const safe = 1 << 62
	if f >= -safe && f <= safe && f == math.Trunc(f) {
		return appendInt(dst, int64(f))
	}
	return appendDouble(dst, f)
}

// restored reads the rest of a collection whose payload is opened. It returns an error for a payload that is malformed or
// repeats an element that must not.
func restored(r *rdb.Reader) (collection, error) {
	var c collection
	added := true
	switch r.Kind() {
	case rdb.Stream:
		return restoredStream(r)
	case rdb.List:
		l := &listValue{}
		for r.Next() {
			l.push(r.Key, false)
		}
		l.growing(0)
		c = l
	case rdb.Set:
		s := &setValue{}
		for added && r.Next() {
			added = s.insert(r.Key)
		}
		c = s
	case rdb.Hash:
		h := &hashValue{}
		if r.Timed() {
			h.timed()
		}
		for added && r.Next() {
			if added = h.put(r.Key, r.Val); added && r.At != 0 {
				h.times.put(h.len()-1, r.At)
			}
		}
		c = h
	default:
		d := newMembers(kindZSet)
		for added && r.Next() {
			if added = d.find(r.Key) < 0; added {
				d.add(r.Key, part{score: r.Score})
			}
		}
		if added && r.Err() == nil {
			c = newZSet(d)
		}
	}
	if !added {
		return nil, rdb.ErrFormat
	}
	return c, r.Err()
}

// restoreOptions are the options of RESTORE.
type restoreOptions struct {
	replace, absolute bool
	ttl               int64 // ms
	idle, freq        int64 // -1 = not given
}

func runRestore(tx *Tx, args [][]byte, out Out) {
	o, ok := parseRestore(args, out)
	if !ok {
		return
	}
	p, found := tx.findWrite(tx.DB, args[1])
	if found && !o.replace {
		out.Error(errBusyKey)
		return
	}
	if o.ttl, ok = intArg(args[2], out); !ok {
		return
	}
	if o.ttl < 0 {
		out.Error(errRestoreTTL)
		return
	}
	r, err := rdb.Open(args[3])
	if err == rdb.ErrFooter {
		out.Error(errDumpFooter)
		return
	}
	var c collection
	switch {
	case err != nil:
	case r.Kind() != rdb.String:
		c, err = restored(r)
	case !r.Next():
		err = r.Err()
	}
	if err != nil {
		out.Error(errDumpFormat)
		return
	}
	tx.restore(&p, args[1], c, r.Key, o)
	out.Simple("OK")
}

// parseRestore reads the options; it answers an error itself.
func parseRestore(args [][]byte, out Out) (o restoreOptions, ok bool) {
	o.idle, o.freq = -1, -1
	for i := 4; i < len(args); i++ {
		last := i+1 == len(args)
		switch {
		case matchWord(args[i], "replace"):
			o.replace = true
		case matchWord(args[i], "absttl"):
			o.absolute = true
		case matchWord(args[i], "idletime") && !last && o.freq < 0:
			i++
			if o.idle, ok = intArg(args[i], out); !ok {
				return o, false
			}
			if o.idle < 0 {
				out.Error(errRestoreIdle)
				return o, false
			}
		case matchWord(args[i], "freq") && !last && o.idle < 0:
			i++
			if o.freq, ok = intArg(args[i], out); !ok {
				return o, false
			}
			if o.freq < 0 || o.freq > mostCount {
				out.Error(errRestoreFreq)
				return o, false
			}
		default:
			out.Error(errSyntax)
			return o, false
		}
	}
	return o, true
}

// restore gives the key at p a value that was decoded: a collection, or without one a string. Whatever was there goes.
func (tx *Tx) restore(p *place, key []byte, c collection, text []byte, o restoreOptions) {
	at := o.ttl
	if at != 0 && !o.absolute {
		at, _ = expireTime(at, 1, tx.now)
	}
	late := o.ttl != 0 && at <= tx.now
	switch {
	case p.absent():
	case late:
		tx.remove(p)
	default:
		tx.clear(p)
	}
	if late {
		return
	}
	*p, _ = tx.findWrite(tx.DB, key)
	if c == nil {
		tx.writeString(p, key, text, at)
	} else {
		tx.save(p, key, c, at)
	}
	if use, ok := tx.s.usedAs(o.idle, o.freq); ok {
		p.setUse(use)
	}
}
