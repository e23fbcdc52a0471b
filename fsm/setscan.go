package fsm

import (
	"math"
	"strconv"
)

// scanWhole is the size up to which a collection is answered in one step, whatever COUNT says.
const scanWhole = 128

// runSScan, runHScan and runZScan share their cursor: the number of positions of the dense array that are not visited
// yet, counted down. Removal moves only the last entry, and to a smaller position, so what is in the collection all
// the time is visited at least once; the cursor needs no memory on the server and is good on every node.
func runSScan(tx *Tx, args [][]byte, out Out) {
	cursor, ok := scanCursor(args[2], out)
	if !ok {
		return
	}
	if s, ok := readSet(tx, args[1], out); ok {
		if s == nil {
			s = &setValue{}
		}
		scanDict(tx, &s.dict, cursor, args[3:], 1, out, func(e *dictEntry[struct{}]) { out.BulkString(e.key) })
	}
}

func runHScan(tx *Tx, args [][]byte, out Out) {
	cursor, ok := scanCursor(args[2], out)
	if !ok {
		return
	}
	if h, ok := readHash(tx, args[1], out); ok {
		if h == nil {
			h = &hashValue{}
		}
		scanDict(tx, &h.dict, cursor, args[3:], 2, out, func(e *dictEntry[string]) {
			out.BulkString(e.key)
			out.BulkString(e.val)
		})
	}
}

func runZScan(tx *Tx, args [][]byte, out Out) {
	cursor, ok := scanCursor(args[2], out)
	if !ok {
		return
	}
	if z, ok := readZSet(tx, args[1], out); ok {
		if z == nil {
			z = &zsetValue{}
		}
		var buf []byte
		scanDict(tx, &z.dict, cursor, args[3:], 2, out, func(e *dictEntry[float64]) {
			out.BulkString(e.key)
			// A bulk string in RESP3, too: Redis answers no double here.
			buf = appendScanScore(buf[:0], e.val, z.n)
			out.Bulk(buf)
		})
	}
}

// appendScanScore prints a score as ZSCAN does. Redis keeps a small sorted set packed, with whole numbers as integers, and
// ZSCAN alone shows it: 1e+17 is 100000000000000000 there.
func appendScanScore(dst []byte, score float64, n int) []byte {
	if n <= scanWhole && math.Abs(score) <= math.MaxInt64/2 && score == math.Trunc(score) {
		return strconv.AppendInt(dst, int64(score), 10)
	}
	return appendDouble(dst, score)
}

func scanCursor(arg []byte, out Out) (uint64, bool) {
	cursor, ok := parseCursor(arg)
	if !ok {
		out.Error(errCursor)
	}
	return cursor, ok
}

// scanDict answers one step of a scan; width is how many values reply writes for an entry.
func scanDict[V any](tx *Tx, d *dict[V], cursor uint64, options [][]byte, width int, out Out, reply func(e *dictEntry[V])) {
	o := scanOptions{}
	if d.n > 0 { // as Redis: options of a missing key are not looked at
		var ok bool
		if o, ok = parseScanOptions(options, false, out); !ok {
			return
		}
	}
	at := d.n
	if cursor != 0 && cursor < uint64(d.n) {
		at = int(cursor)
	}
	to := 0
	if d.n > scanWhole && o.count < int64(at) {
		to = at - int(o.count)
	}
	out.Array(2)
	tx.buf = strconv.AppendInt(tx.buf[:0], int64(to), 10)
	out.Bulk(tx.buf)
	if o.pattern == nil {
		out.Array((at - to) * width)
		for i := to; i < at; i++ {
			reply(d.at(i))
		}
		return
	}
	var found []int
	for i := to; i < at; i++ {
		if globMatch(o.pattern, d.at(i).key) {
			found = append(found, i)
		}
	}
	out.Array(len(found) * width)
	for _, i := range found {
		reply(d.at(i))
	}
}
