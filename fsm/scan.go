package fsm

import "strconv"

// A SCAN cursor is slot<<scanShift | unvisited: the slot the scan is in and how many positions of its dense array it
// has not visited, counted down. Removal moves only the last entry, to a smaller position, so a key that was there
// all the time is visited: while unvisited it stays below the mark, and one visited may at worst come again. The
// order is part of the replicated state, which makes a cursor valid on every node, after failover and after restore.
// A slot holds less than 2^32 keys, so cursors stay below 2^53: many clients keep them in a double.
const scanShift = 32

// scanOptions are the options of SCAN.
type scanOptions struct {
	pattern  []byte // nil = all
	count    int64
	kindName []byte // nil = all
}

func runScan(tx *Tx, args [][]byte, out Out) {
	cursor, ok := parseCursor(args[1])
	if !ok {
		out.Error(errCursor)
		return
	}
	opts, ok := parseScanOptions(args[2:], true, out)
	if !ok {
		return
	}
	found, next := tx.scan(cursor, opts)
	out.Array(2)
	tx.buf = strconv.AppendUint(tx.buf[:0], next, 10)
	out.Bulk(tx.buf)
	out.Array(len(found))
	for _, key := range found {
		out.Bulk(key)
	}
}

// scan visits opts.count keys from the cursor on and returns those that match, and the next cursor.
func (tx *Tx) scan(cursor uint64, opts scanOptions) (found [][]byte, next uint64) {
	db := tx.s.dbs[tx.DB].Load()
	if db == nil {
		return nil, 0
	}
	slot, unvisited := cursor>>scanShift, int(cursor&(1<<scanShift-1))
	if cursor == 0 {
		slot, unvisited = db.firstFrom(0)
	}
	for left := opts.count; slot < Slots; {
		for unvisited = min(unvisited, db.keysIn(int(slot))); unvisited > 0 && left > 0; left-- {
			unvisited--
			if it := db.itemAt(int(slot), unvisited); opts.selects(&it, tx.now) {
				found = append(found, it.key())
			}
		}
		if unvisited == 0 {
			slot, unvisited = db.firstFrom(slot + 1)
		}
		if left == 0 && slot < Slots {
			return found, slot<<scanShift | uint64(unvisited)
		}
	}
	return found, 0
}

// firstFrom returns the first slot from slot on that is not empty, and its number of keys; Slots if there is none.
func (db *database) firstFrom(slot uint64) (next uint64, n int) {
	if slot >= Slots {
		return Slots, 0
	}
	at, _ := db.counts.locate(db.counts.before(int(slot)))
	if at >= Slots {
		return Slots, 0
	}
	return uint64(at), db.keysIn(at)
}

func (o *scanOptions) selects(it *item, now int64) bool {
	if it.expired(now) || o.pattern != nil && !globMatch(o.pattern, it.key()) {
		return false
	}
	return o.kindName == nil || matchWord(o.kindName, kindNames[it.kind()])
}

// parseCursor reads an unsigned cursor as C's strtoul does, without leading space.
func parseCursor(b []byte) (uint64, bool) {
	if len(b) == 0 {
		return 0, true
	}
	negative := b[0] == '-'
	if negative || b[0] == '+' {
		b = b[1:]
	}
	if len(b) == 0 || b[0] < '0' || b[0] > '9' { // ParseUint would take no sign anyway, and no second one
		return 0, false
	}
	n, err := strconv.ParseUint(string(b), 10, 64)
	if negative {
		n = -n
	}
	return n, err == nil
}

// parseScanOptions reads the options of the SCAN family; TYPE is one of SCAN alone. It answers an error itself.
func parseScanOptions(args [][]byte, withType bool, out Out) (o scanOptions, ok bool) {
	o.count = 10
	for i := 0; i < len(args); i += 2 {
		word := args[i]
		if i+1 == len(args) {
			out.Error(errSyntax)
			return o, false
		}
		switch val := args[i+1]; {
		case matchWord(word, "count"):
			if o.count, ok = intArg(val, out); !ok {
				return o, false
			}
			if o.count < 1 {
				out.Error(errSyntax)
				return o, false
			}
		case matchWord(word, "match"):
			if o.pattern = val; matchesAll(val) {
				o.pattern = nil
			}
		case withType && matchWord(word, "type"):
			o.kindName = val
		default:
			out.Error(errSyntax)
			return o, false
		}
	}
	return o, true
}

// runKeys freezes the keyspace and walks the frozen view, so that a long walk holds no lock.
func runKeys(tx *Tx, args [][]byte, out Out) {
	v := tx.s.freeze()
	now, db := tx.now, tx.DB
	tx.unlock()
	defer v.Close()
	opts := scanOptions{pattern: args[1]}
	if matchesAll(args[1]) {
		opts.pattern = nil
	}
	var found [][]byte // in the arena, until the view is closed
	v.eachSlot(db, func(_ int, keys *frozenSlot) {
		for i := range keys.Len() {
			if it := keys.item(i); opts.selects(&it, now) {
				found = append(found, it.key())
			}
		}
	})
	out.Array(len(found))
	for _, key := range found {
		out.Bulk(key)
	}
}

// randomTries bounds how many due keys RANDOMKEY draws before it takes the first key that is not due.
const randomTries = 100

func runRandomKey(tx *Tx, _ [][]byte, out Out) {
	db := tx.s.dbs[tx.DB].Load()
	if db == nil {
		out.Null()
		return
	}
	n := db.counts.before(Slots)
	for range min(n, randomTries) {
		slot, pos := db.counts.locate(tx.RandN(n))
		if it := db.itemAt(slot, pos); !it.expired(tx.now) {
			out.Bulk(it.key())
			return
		}
	}
	for slot, _ := db.firstFrom(0); slot < Slots; slot, _ = db.firstFrom(slot + 1) {
		for i := range db.keysIn(int(slot)) {
			if it := db.itemAt(int(slot), i); !it.expired(tx.now) {
				out.Bulk(it.key())
				return
			}
		}
	}
	out.Null()
}

func runDBSize(tx *Tx, _ [][]byte, out Out) {
	n, _ := tx.s.Keys(tx.DB)
	out.Int(n)
}

func runFlushAll(tx *Tx, args [][]byte, out Out) {
	if flushMode(args, out) {
		tx.flush(0, Databases)
		out.Simple("OK")
	}
}

func runFlushDB(tx *Tx, args [][]byte, out Out) {
	if flushMode(args, out) {
		tx.flush(tx.DB, tx.DB+1)
		out.Simple("OK")
	}
}

// flushMode checks the option of FLUSHALL and FLUSHDB, which changes nothing: the old database is dropped whole, and its
// memory given back step by step; see Store.closeDropped.
func flushMode(args [][]byte, out Out) bool {
	if len(args) == 1 || len(args) == 2 && (matchWord(args[1], "async") || matchWord(args[1], "sync")) {
		return true
	}
	out.Error(errSyntax)
	return false
}

// flush empties the databases from one number to below another.
func (tx *Tx) flush(from, to int) {
	tx.s.noteAll(func(db int, key []byte) bool { return from <= db && db < to && tx.has(db, key) }, tx.by)
	var all [Databases]*database
	for db := from; db < to; db++ {
		all[db] = tx.s.dbs[db].Swap(nil)
	}
	tx.s.drop(nil, all[:]...)
	tx.s.dueMoved = true
}

func runSwapDB(tx *Tx, args [][]byte, out Out) {
	a, ok := smallInt(args[1])
	if !ok {
		out.Error(errFirstDB)
		return
	}
	b, ok := smallInt(args[2])
	if !ok {
		out.Error(errSecondDB)
		return
	}
	if a < 0 || a >= Databases || b < 0 || b >= Databases {
		out.Error(errDBIndex)
		return
	}
	tx.s.noteAll(func(db int, key []byte) bool {
		return a != b && (db == int(a) || db == int(b)) && (tx.has(int(a), key) || tx.has(int(b), key))
	}, tx.by)
	x, y := tx.s.dbs[a].Load(), tx.s.dbs[b].Load()
	tx.s.dbs[a].Store(y)
	tx.s.dbs[b].Store(x)
	out.Simple("OK")
}
