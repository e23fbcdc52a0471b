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
		if it := tx.look(key); !it.absent() {
			n++
		}
	}
	out.Int(n)
}

// runTouch is a use of the keys even where others are none.
func runTouch(tx *Tx, args [][]byte, out Out) {
	tx.quiet = false
	n := int64(0)
	for _, key := range args[1:] {
		if it := tx.find(key); !it.absent() {
			n++
		}
	}
	out.Int(n)
}

func runType(tx *Tx, args [][]byte, out Out) {
	k := kindNone
	if it := tx.look(args[1]); !it.absent() {
		k = it.kind()
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
	c := tx.content(&from.item)
	tx.take(&from)
	tx.put(tx.DB, args[2], c)
	tx.tell(EventGeneric, "rename_from", args[1])
	tx.tell(EventGeneric, "rename_to", args[2])
	return true
}

// content is what a key holds besides its name.
type content struct {
	enc    encoding
	text   []byte // with encRaw, and of a packed collection
	number int64  // with encInt
	holder        // with encObject
	at     int64  // the deadline in Unix ms, 0 = none
	use    uint32 // see record.use
}

// content returns a copy of what a key holds, except for an object. It is valid until the next call.
func (tx *Tx) content(it *item) content {
	c := content{enc: it.enc(), at: it.deadline(), use: it.use()}
	switch c.enc {
	case encObject:
		c.holder = *it.objs.at(it.handle())
	case encInt:
		c.number = it.integer()
	default:
		c.text = append(tx.held[:0], it.value()...)
		tx.held = c.text
	}
	return c
}

// put stores what a key held, whose object is in no other record, under key of database n, whatever that one held.
func (tx *Tx) put(n int, key []byte, c content) {
	p, exists := tx.findWrite(n, key)
	if exists {
		tx.clear(&p)
	}
	switch c.enc {
	case encObject:
		tx.writeObject(&p, key, c.holder, c.at)
	case encInt:
		tx.writeInt(&p, key, c.number, c.at)
	case encRaw:
		tx.writeText(&p, key, c.text, c.at)
	default:
		tx.writePacked(&p, key, c.enc, c.text, c.at)
	}
	p.setUse(c.use)
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
	c := tx.content(&from.item)
	tx.take(&from)
	tx.put(db, args[1], c)
	tx.tell(EventGeneric, "move_from", args[1])
	tx.DB = db
	tx.tell(EventGeneric, "move_to", args[1])
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
	if from.absent() {
		out.Int(0)
		return
	}
	c := tx.content(&from)
	c.use = tx.s.newUse()
	if _, exists := tx.findWrite(db, args[2]); exists && !replace {
		out.Int(0)
		return
	}
	if c.enc == encObject {
		c.obj, c.epoch = tx.s.copied(c.obj), tx.s.epoch
	}
	tx.put(db, args[2], c)
	tx.DB = db
	tx.tell(EventGeneric, "copy_to", args[2])
	out.Int(1)
}
