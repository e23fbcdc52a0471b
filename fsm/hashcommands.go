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
		isNew := h == nil
		if isNew {
			h = &hashValue{}
		}
		added := int64(0)
		for i := 2; i < len(args); i += 2 {
			if h.put(args[i], string(args[i+1])) {
				added++
			}
		}
		if len(args)/2-1 > HashMaxListpackEntries {
			h.large = true // as Redis 7.2, however many fields were new
		}
		tx.store(args[1], h, isNew, h.n)
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
	isNew := h == nil
	if isNew {
		h = &hashValue{}
	}
	if h.find(args[2]) >= 0 {
		out.Int(0)
		return
	}
	h.put(args[2], string(args[3]))
	tx.store(args[1], h, isNew, h.n)
	out.Int(1)
}

// replyField answers the value of a field of h, which may be nil.
func replyField(h *hashValue, field []byte, out Out) {
	if h != nil {
		if v, ok := h.get(field); ok {
			out.BulkString(v)
			return
		}
	}
	out.Null()
}

func runHGet(tx *Tx, args [][]byte, out Out) {
	if h, ok := readHash(tx, args[1], out); ok {
		replyField(h, args[2], out)
	}
}

func runHMGet(tx *Tx, args [][]byte, out Out) {
	h, ok := readHash(tx, args[1], out)
	if !ok {
		return
	}
	out.Array(len(args) - 2)
	for _, f := range args[2:] {
		replyField(h, f, out)
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
	out.Map(h.n)
	for i := range h.n {
		e := h.at(i)
		out.BulkString(e.key)
		out.BulkString(e.val)
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
		out.Array(h.n)
		for i := range h.n {
			if e := h.at(i); values {
				out.BulkString(e.val)
			} else {
				out.BulkString(e.key)
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
			if h.remove(f) {
				removed++
			}
		}
	}
	if removed > 0 {
		tx.store(args[1], h, false, h.n)
	}
	out.Int(int64(removed))
}

func runHLen(tx *Tx, args [][]byte, out Out) {
	h, ok := readHash(tx, args[1], out)
	switch {
	case !ok:
	case h == nil:
		out.Int(0)
	default:
		out.Int(int64(h.n))
	}
}

func runHExists(tx *Tx, args [][]byte, out Out) {
	if h, ok := readHash(tx, args[1], out); ok {
		replyFlag(h != nil && h.find(args[2]) >= 0, out)
	}
}

func runHStrLen(tx *Tx, args [][]byte, out Out) {
	h, ok := readHash(tx, args[1], out)
	if !ok {
		return
	}
	n := 0
	if h != nil {
		v, _ := h.get(args[2])
		n = len(v)
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
	isNew := h == nil
	if isNew {
		h = &hashValue{}
	}
	val := int64(0)
	if s, found := h.get(args[2]); found {
		if val, ok = parseInt([]byte(s)); !ok {
			out.Error(errHashInteger)
			return
		}
	}
	if incr < 0 && val < math.MinInt64-incr || incr > 0 && val > math.MaxInt64-incr {
		out.Error(errOverflow)
		return
	}
	val += incr
	h.put(args[2], strconv.FormatInt(val, 10))
	tx.store(args[1], h, isNew, h.n)
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
	isNew := h == nil
	if isNew {
		h = &hashValue{}
	}
	val := new(big.Float).SetPrec(64)
	if s, found := h.get(args[2]); found {
		if val, ok = parseLongDouble([]byte(s)); !ok {
			out.Error(errHashFloat)
			return
		}
	}
	text, ok := addLongDouble(val, incr)
	if !ok {
		out.Error(errNaNInfinity)
		return
	}
	h.put(args[2], string(text))
	tx.store(args[1], h, isNew, h.n)
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
		out.BulkString(h.at(tx.RandN(h.n)).key)
		return
	case h == nil || count == 0:
		out.Array(0)
		return
	}
	nested := out.RESP3()
	randomPicks(tx, h.n, count, out,
		func(n int) { beginPairs(n, withValues, nested, out) },
		func(i int) {
			e := h.at(i)
			if withValues && nested {
				out.Array(2)
			}
			out.BulkString(e.key)
			if withValues {
				out.BulkString(e.val)
			}
		})
}

// beginPairs announces n elements, or n pairs: RESP3 nests each pair in an array of its own, RESP2 has one flat array.
func beginPairs(n int, pairs, nested bool, out Out) {
	if pairs && !nested {
		n *= 2
	}
	out.Array(n)
}
