package fsm

func runDel(tx *Tx, args [][]byte, out Out) {
	n := int64(0)
	for _, key := range args[1:] {
		if tx.delete(key) {
			n++
		}
	}
	out.Int(n)
}

func runExists(tx *Tx, args [][]byte, out Out) {
	n := int64(0)
	for _, key := range args[1:] {
		if tx.find(key) != nil {
			n++
		}
	}
	out.Int(n)
}

func runType(tx *Tx, args [][]byte, out Out) {
	k := kindNone
	if e := tx.find(args[1]); e != nil {
		k = e.kind()
	}
	out.Simple(kindNames[k])
}

func runRename(tx *Tx, args [][]byte, out Out) {
	if renameKey(tx, args, false, out) {
		out.Simple("OK")
	}
}

func runRenameNX(tx *Tx, args [][]byte, out Out) {
	if renameKey(tx, args, true, out) {
		out.Int(1)
	}
}

// renameKey moves a value to another key of the same database. It returns false when it has answered already.
func renameKey(tx *Tx, args [][]byte, nx bool, out Out) bool {
	from, found := tx.findWrite(tx.DB, args[1])
	if !found {
		out.Error(errNoSuchKey)
		return false
	}
	if string(args[1]) == string(args[2]) {
		if nx {
			out.Int(0)
			return false
		}
		return true
	}
	if _, exists := tx.findWrite(tx.DB, args[2]); exists && nx {
		out.Int(0)
		return false
	}
	// The target may have been due, and its deletion may have moved the source.
	from, _ = tx.findWrite(tx.DB, args[1])
	e := *from.entry()
	tx.remove(&from)
	tx.putEntry(tx.DB, args[2], e)
	return true
}

// putEntry stores the value and deadline of e, which is in no dictionary any more, under key of database n, whatever
// the key held.
func (tx *Tx) putEntry(n int, key []byte, e entry) {
	if p, exists := tx.findWrite(n, key); exists {
		tx.remove(&p)
	}
	at := e.expireAt
	e.expireAt = 0
	flags := e.meta & (metaInt | metaShared)
	if e.obj == nil && !e.isInt() {
		e.data = joinData(key, []byte(e.value()))
	} else {
		e.data = string(key)
	}
	e.meta = uint32(len(key))<<2 | flags
	var p place
	p.slot, p.hash = tx.address(key)
	p.db = tx.s.dbs[n].Load()
	tx.add(n, &p, e)
	if at != 0 {
		tx.setDeadline(&p, at)
	}
}

// dbArg reads the number of a database; it answers an error itself.
func dbArg(b []byte, out Out) (int, bool) {
	n, ok := smallIntArg(b, out)
	if ok && (n < 0 || n >= Databases) {
		out.Error(errDBIndex)
		return 0, false
	}
	return int(n), ok
}

func runMove(tx *Tx, args [][]byte, out Out) {
	db, ok := dbArg(args[2], out)
	if !ok {
		return
	}
	if db == tx.DB {
		out.Error(errSameObject)
		return
	}
	from, found := tx.findWrite(tx.DB, args[1])
	if !found {
		out.Int(0)
		return
	}
	if _, exists := tx.findWrite(db, args[1]); exists {
		out.Int(0)
		return
	}
	e := *from.entry()
	tx.remove(&from)
	tx.putEntry(db, args[1], e)
	out.Int(1)
}

func runCopy(tx *Tx, args [][]byte, out Out) {
	db, replace := tx.DB, false
	for i := 3; i < len(args); i++ {
		switch {
		case matchWord(args[i], "replace"):
			replace = true
		case matchWord(args[i], "db") && i+1 < len(args):
			i++
			n, ok := dbArg(args[i], out)
			if !ok {
				return
			}
			db = n
		default:
			out.Error(errSyntax)
			return
		}
	}
	if db == tx.DB && string(args[1]) == string(args[2]) {
		out.Error(errSameObject)
		return
	}
	from := tx.find(args[1])
	if from == nil {
		out.Int(0)
		return
	}
	e := *from
	if _, exists := tx.findWrite(db, args[2]); exists && !replace {
		out.Int(0)
		return
	}
	if e.obj != nil {
		e.obj = e.obj.clone()
		e.meta &^= metaShared
	}
	tx.putEntry(db, args[2], e)
	out.Int(1)
}
