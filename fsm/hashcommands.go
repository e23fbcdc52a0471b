package fsm

import (
	"math"
	"math/big"
	"strconv"
)

const (
	errHashInteger = "ERR hash value is not an integer"
	errInfinity    = "ERR value is NaN or Infinity"
	errHashFloat   = "ERR hash value is not a float"
)

func readHash(tx *Tx, key []byte, out Out) (*hashValue, bool) {
	return readValue[*hashValue](tx, key, kindHash, out)
}

func writeHash(tx *Tx, key []byte, out Out) (*hashValue, bool) {
	return writeValue[*hashValue](tx, key, kindHash, out)
}

// storeHash is tx.store for a hash: it goes also when all fields that are left are due.
func storeHash(tx *Tx, key []byte, h *hashValue) {
	if h.gone(tx.now) {
		tx.tell(EventHash, tx.events.name, key)
		tx.tell(EventGeneric, "del", key)
		tx.events.to = nil // by now it counts as due
		tx.delete(key)
		return
	}
	tx.store(key, h)
}

// renew removes field if it is due: it is going to be set, and counts as new. REQUIRES: h has a table of deadlines.
func (tx *Tx) renew(h *hashValue, field []byte) {
	if at, pos := h.find(field); at >= 0 && h.due(pos, tx.now) {
		h.removeAt(at, pos)
		tx.s.subkeys.Add(1)
	}
}

// persist is renew that takes the deadline of a field that is not due.
func (tx *Tx) persist(h *hashValue, field []byte) {
	tx.renew(h, field)
	if at, pos := h.find(field); at >= 0 {
		h.times.put(pos, 0)
	}
}

func runHSet(name string, status bool) runFunc {
	arity := errArity(name)
	return func(tx *Tx, args [][]byte, out Out) {
		if len(args)%2 != 0 {
			out.Error(arity)
			return
		}
		h, ok := writeHash(tx, args[1], out)
		if !ok {
			return
		}
		if h == nil {
			h = &tx.fresh().hash
		}
		added := int64(0)
		for i := 2; i < len(args); i += 2 {
			if h.times != nil {
				tx.persist(h, args[i])
			}
			if h.put(args[i], args[i+1]) {
				added++
			}
		}
		if len(args)/2-1 > HashMaxListpackEntries {
			h.grow() // as Redis 7.2, however many fields were new
		}
		tx.store(args[1], h)
		if status {
			out.Simple("OK")
		} else {
			out.Int(added)
		}
	}
}

func runHSetNX(tx *Tx, args [][]byte, out Out) {
	h, ok := writeHash(tx, args[1], out)
	if !ok {
		return
	}
	if h == nil {
		h = &tx.fresh().hash
	}
	if h.has(args[2], tx.now) {
		out.Int(0)
		return
	}
	if h.times != nil {
		tx.renew(h, args[2])
	}
	h.put(args[2], args[3])
	tx.store(args[1], h)
	out.Int(1)
}

// replyField answers the value of a field of h, which may be nil.
func replyField(tx *Tx, h *hashValue, field []byte, out Out) {
	if h != nil {
		if v, ok := h.get(field, tx.now); ok {
			v.reply(tx, out)
			return
		}
	}
	out.Null()
}

func runHGet(tx *Tx, args [][]byte, out Out) {
	if h, ok := readHash(tx, args[1], out); ok {
		replyField(tx, h, args[2], out)
	}
}

func runHMGet(tx *Tx, args [][]byte, out Out) {
	h, ok := readHash(tx, args[1], out)
	if !ok {
		return
	}
	out.Array(len(args) - 2)
	for _, f := range args[2:] {
		replyField(tx, h, f, out)
	}
}

func runHGetAll(tx *Tx, args [][]byte, out Out) {
	h, ok := readHash(tx, args[1], out)
	if !ok {
		return
	}
	if h == nil {
		out.Map(0)
		return
	}
	n := h.live(tx.now)
	out.Map(n)
	c := h.from(0)
	for range n {
		if c.next(); h.times != nil {
			c.passDue(tx.now)
		}
		c.reply(tx, out)
	}
}

// runHList answers all fields, or all values.
func runHList(values bool) runFunc {
	return func(tx *Tx, args [][]byte, out Out) {
		h, ok := readHash(tx, args[1], out)
		if !ok {
			return
		}
		if h == nil {
			out.Array(0)
			return
		}
		n := h.live(tx.now)
		out.Array(n)
		c := h.from(0)
		for range n {
			if c.next(); h.times != nil {
				c.passDue(tx.now)
			}
			if values {
				c.val.reply(tx, out)
			} else {
				c.field.reply(tx, out)
			}
		}
	}
}

func runHDel(tx *Tx, args [][]byte, out Out) {
	h, ok := writeHash(tx, args[1], out)
	if !ok {
		return
	}
	removed := 0
	if h != nil {
		for _, f := range args[2:] {
			if at, pos := h.find(f); at >= 0 && !h.due(pos, tx.now) {
				h.removeAt(at, pos)
				removed++
			}
		}
	}
	if removed > 0 {
		storeHash(tx, args[1], h)
	}
	out.Int(int64(removed))
}

// runHLen counts fields that are due until they are deleted, as Redis does.
func runHLen(tx *Tx, args [][]byte, out Out) {
	h, ok := readHash(tx, args[1], out)
	switch {
	case !ok:
	case h == nil:
		out.Int(0)
	default:
		out.Int(int64(h.len()))
	}
}

func runHExists(tx *Tx, args [][]byte, out Out) {
	if h, ok := readHash(tx, args[1], out); ok {
		replyFlag(h != nil && h.has(args[2], tx.now), out)
	}
}

func runHStrLen(tx *Tx, args [][]byte, out Out) {
	h, ok := readHash(tx, args[1], out)
	if !ok {
		return
	}
	n := 0
	if h != nil {
		v, _ := h.get(args[2], tx.now)
		n = v.len()
	}
	out.Int(int64(n))
}

func runHIncrBy(tx *Tx, args [][]byte, out Out) {
	incr, ok := intArg(args[3], out)
	if !ok {
		return
	}
	h, ok := writeHash(tx, args[1], out)
	if !ok {
		return
	}
	if h == nil {
		h = &tx.fresh().hash
	}
	val := int64(0)
	if s, found := h.get(args[2], tx.now); found {
		if val, ok = s.integer(); !ok {
			out.Error(errHashInteger)
			return
		}
	}
	if incr < 0 && val < math.MinInt64-incr || incr > 0 && val > math.MaxInt64-incr {
		out.Error(errOverflow)
		return
	}
	val += incr
	if h.times != nil {
		tx.renew(h, args[2])
	}
	tx.buf = strconv.AppendInt(tx.buf[:0], val, 10)
	h.put(args[2], tx.buf)
	tx.store(args[1], h)
	out.Int(val)
}

func runHIncrByFloat(tx *Tx, args [][]byte, out Out) {
	incr, ok := parseLongDouble(args[3])
	if !ok {
		out.Error(errNotFloat)
		return
	}
	if incr.IsInf() {
		out.Error(errInfinity)
		return
	}
	h, ok := writeHash(tx, args[1], out)
	if !ok {
		return
	}
	if h == nil {
		h = &tx.fresh().hash
	}
	val := new(big.Float).SetPrec(64)
	if s, found := h.get(args[2], tx.now); found {
		if val, ok = parseLongDouble(s.appendTo(nil)); !ok {
			out.Error(errHashFloat)
			return
		}
	}
	text, ok := addLongDouble(val, incr)
	if !ok {
		out.Error(errNaNInfinity)
		return
	}
	if h.times != nil {
		tx.renew(h, args[2])
	}
	h.put(args[2], text)
	tx.store(args[1], h)
	out.Bulk(text)
}

func runHRandField(tx *Tx, args [][]byte, out Out) {
	count, ok := int64(0), true
	if len(args) > 2 {
		if count, ok = randomCount(args[2], out); !ok {
			return
		}
	}
	withValues, ok := pairsOption(args, "withvalues", count, out)
	if !ok {
		return
	}
	h, ok := readHash(tx, args[1], out)
	switch {
	case !ok:
		return
	case len(args) == 2 && h == nil:
		out.Null()
		return
	case len(args) == 2:
		c := h.from(tx.randomField(h))
		field := c.next()
		field.reply(tx, out)
		return
	case h == nil || count == 0:
		out.Array(0)
		return
	}
	nested, places, live := out.RESP3(), h.places(), h.livePlaces(tx.now)
	randomPicks(tx, h.live(tx.now), count, out,
		func(n int) { beginPairs(n, withValues, nested, out) },
		func(i int) {
			if live != nil {
				i = live[i]
			}
			c := h.random(i, places)
			c.next()
			if withValues && nested {
				out.Array(2)
			}
			c.field.reply(tx, out)
			if withValues {
				c.val.reply(tx, out)
			}
		})
}

// randomField returns the position of a field chosen among those that are not due; there is one.
func (tx *Tx) randomField(h *hashValue) int {
	for range randomTries {
		if i := tx.RandN(h.len()); !h.due(i, tx.now) {
			return i
		}
	}
	live := h.livePlaces(tx.now)
	if live == nil {
		return 0
	}
	return live[tx.RandN(len(live))]
}

// livePlaces returns the positions of the fields that are not due at now (Unix ms); nil if none is due.
func (h *hashValue) livePlaces(now int64) []int {
	n := h.live(now)
	if n == h.len() {
		return nil
	}
	all := make([]int, 0, n)
	for i := range h.len() {
		if !h.due(i, now) {
			all = append(all, i)
		}
	}
	return all
}

// beginPairs announces n elements, or n pairs: RESP3 nests each pair in an array of its own, RESP2 has one flat array.
func beginPairs(n int, pairs, nested bool, out Out) {
	if pairs && !nested {
		n *= 2
	}
	out.Array(n)
}
