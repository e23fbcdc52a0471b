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
		scanValue(tx, s.len(), cursor, args[3:], 1, nil, out, func(i int) walker {
			c := s.from(i)
			return &c
		})
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
		var hidden func(i int) bool
		if h.live(tx.now) < h.len() {
			hidden = func(i int) bool { return h.due(i, tx.now) }
		}
		scanValue(tx, h.len(), cursor, args[3:], 2, hidden, out, func(i int) walker {
			c := h.from(i)
			return &c
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
		scanValue(tx, z.len(), cursor, args[3:], 2, nil, out, func(i int) walker {
			c := z.from(i)
			return &c
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

// walker visits the elements of a collection from some position on.
type walker interface {
	// next moves to the next element and returns what MATCH looks at. REQUIRES: there is one.
	next() word
	// reply answers the element.
	reply(tx *Tx, out Out)
}

// scanValue answers one step of a scan of n elements; width is how many values reply writes for one, hidden tells which elements
// do not show (nil = all do), and from returns a walker whose next element is that of position i.
func scanValue(tx *Tx, n int, cursor uint64, options [][]byte, width int, hidden func(i int) bool, out Out, from func(i int) walker) {
	o := scanOptions{}
	if n > 0 { // as Redis: options of a missing key are not looked at
		var ok bool
		if o, ok = parseScanOptions(options, false, out); !ok {
			return
		}
	}
	at := n
	if cursor != 0 && cursor < uint64(n) {
		at = int(cursor)
	}
	to := 0
	if n > scanWhole && o.count < int64(at) {
		to = at - int(o.count)
	}
	out.Array(2)
	tx.buf = strconv.AppendInt(tx.buf[:0], int64(to), 10)
	out.Bulk(tx.buf)
	if o.pattern == nil && hidden == nil {
		out.Array((at - to) * width)
		w := from(to)
		for range at - to {
			w.next()
			w.reply(tx, out)
		}
		return
	}
	var found []int
	w := from(to)
	for i := to; i < at; i++ {
		key := w.next()
		if (o.pattern == nil || key.matches(o.pattern)) && (hidden == nil || !hidden(i)) {
			found = append(found, i)
		}
	}
	out.Array(len(found) * width)
	w = from(to)
	for i := to; len(found) > 0; i++ {
		if w.next(); i == found[0] {
			w.reply(tx, out)
			found = found[1:]
		}
	}
}
