package fsm

import "fmt"

// Transaction is what MULTI, EXEC and WATCH make: commands that are executed together, if the keys that were watched are as
// they were. Readers see all of it or nothing. An error of one command does not undo the others, as in Redis.
//
// Which keys have changed is decided by versions, when the transaction is executed. They are part of the state, the same on
// every node and in snapshots: so a watch outlives the leader it was made with.
//
// In the log a transaction is one command, in the place of EXEC:
//
//	_exec n {database version key}*n {database command}*
//
// with each command in RESP. It holds the writes only. Reads among them are executed at their place by the node that
// proposed, as reads between other commands of an entry are.
type Transaction struct {
	Watches []Watch
	Cmds    []Command // data commands; in an entry, writes
	// Before, if there is one, is called before command i of Cmds is executed, by whoever executes it, while locks are held: it
	// must return at once. It may change what takes the replies. Not in the log.
	Before func(i int)
}

// Watch is the condition that a key still has a version: WATCH asks for it, EXEC demands it.
type Watch struct {
	DB      int
	Key     []byte
	Version uint64 // the index of the entry that modified the key last; Absent
}

// Absent is the version of a key that there is not. No entry has this index.
const Absent = 0

const execName = "_exec"

var (
	execSpec = &Spec{
		Name: execName, Arity: -2, Flags: FlagWrite | FlagInternal, Group: "transactions", Run: runTransaction,
		Summary: "Executes commands together if watched keys have their versions.", Complexity: "Depends on commands in the transaction",
	}
	// execReadSpec is for transactions that only read; they are in no log.
	execReadSpec = &Spec{
		Name: execName, Arity: -2, Flags: FlagReadonly | FlagInternal, Group: "transactions", Run: runTransaction,
		Summary: execSpec.Summary, Complexity: execSpec.Complexity,
	}
)

// Versions is the read behind WATCH: it answers the version and the deadline of every key, two integers for each. The deadline is
// in Unix ms, 0 = none. A version above Store.Applied is that of an entry in execution, which may change the key once more.
var Versions = &Spec{
	Name: "watch", Arity: -2, Flags: FlagReadonly | FlagFast | FlagInternal, FirstKey: 1, LastKey: -1, KeyStep: 1, Group: "transactions",
	Run: runVersions, Summary: "Answers the versions of keys.", Complexity: "O(1) for every key.",
}

// Command makes a command of the transaction, with the bytes that stand in the log for it. It is a read if all its commands
// are. The caller leaves t alone until the command is executed.
func (t *Transaction) Command() Command {
	writes, size := 0, 0
	for i := range t.Cmds {
		if t.Cmds[i].Spec.Flags&FlagWrite != 0 {
			writes++
			size += len(t.Cmds[i].Raw) + 32
		}
	}
	if writes == 0 {
		return Command{Spec: execReadSpec, Txn: t}
	}
	for i := range t.Watches {
		size += len(t.Watches[i].Key) + 64
	}
	raw := appendBulk(appendHead(make([]byte, 0, size+64), '*', 2+3*len(t.Watches)+2*writes), execName)
	raw = appendBulkInt(raw, int64(len(t.Watches)))
	for i := range t.Watches {
		w := &t.Watches[i]
		raw = appendBulkInt(appendBulkInt(raw, int64(w.DB)), int64(w.Version))
		raw = appendBulk(raw, w.Key)
	}
	for i := range t.Cmds {
		if c := &t.Cmds[i]; c.Spec.Flags&FlagWrite != 0 {
			raw = appendBulk(appendBulkInt(raw, int64(c.DB)), c.Raw)
		}
	}
	return Command{Spec: execSpec, Txn: t, Raw: raw}
}

// First is the first command that names keys, else the first of all; for transactions without commands the read of the watched
// keys. It is what the transaction is called in errors.
func (t *Transaction) First() Command {
	for i := range t.Cmds {
		if c := &t.Cmds[i]; len(c.Spec.KeyPositions(c.Args, nil)) > 0 {
			return *c
		}
	}
	c := Command{Spec: Versions, Args: [][]byte{[]byte(Versions.Name)}}
	if len(t.Watches) > 0 {
		c.Args = append(c.Args, t.Watches[0].Key)
	}
	return c
}

// appendHead appends a line of a mark and a number.
func appendHead(dst []byte, mark byte, n int) []byte {
	return append(appendInt(append(dst, mark), int64(n)), "\r\n"...)
}

func appendBulk[T string | []byte](dst []byte, b T) []byte {
	return append(append(appendHead(dst, '$', len(b)), b...), "\r\n"...)
}

func appendBulkInt(dst []byte, n int64) []byte {
	var buf [20]byte
	return appendBulk(dst, appendInt(buf[:0], n))
}

// parseTransaction reads the arguments of a transaction in an entry. What it returns refers to them.
func parseTransaction(args [][]byte) (*Transaction, error) {
	n, ok := parseInt(args[1])
	rest := args[2:]
	if !ok || n < 0 || n > int64(len(rest)/3) || (int64(len(rest))-3*n)%2 != 0 {
		return nil, fmt.Errorf("%w: transaction of %d arguments with %.20q watches", errEntry, len(args), args[1])
	}
	t := &Transaction{Watches: make([]Watch, n)}
	for i := range t.Watches {
		db, known := parseDB(rest[0])
		version, ok := parseInt(rest[1])
		if !known || !ok || version < 0 {
			return nil, fmt.Errorf("%w: watch %d", errEntry, i+1)
		}
		t.Watches[i] = Watch{DB: db, Key: rest[2], Version: uint64(version)}
		rest = rest[3:]
	}
	t.Cmds = make([]Command, len(rest)/2)
	for i := range t.Cmds {
		db, known := parseDB(rest[0])
		if !known {
			return nil, fmt.Errorf("%w: database of command %d of a transaction", errEntry, i+1)
		}
		c, err := parseWrite(rest[1])
		if err != nil {
			return nil, fmt.Errorf("command %d of a transaction: %w", i+1, err)
		}
		c.DB = db
		t.Cmds[i] = c
		rest = rest[2:]
	}
	return t, nil
}

// parseWrite reads a write command, which is all of raw.
func parseWrite(raw []byte) (c Command, err error) {
	args, size, err := parseRESP(raw, nil)
	if err != nil {
		return c, err
	}
	spec, err := writeSpec(args)
	switch {
	case err != nil:
		return c, err
	case size != len(raw) || spec.Flags&FlagInternal != 0 || !spec.CheckArity(len(args)):
		return c, fmt.Errorf("%w: %s with %d arguments in %d of %d bytes", errEntry, spec.Name, len(args), size, len(raw))
	}
	return Command{Spec: spec, Args: args, Raw: raw}, nil
}

// parseDB reads the number of a database.
func parseDB(b []byte) (db int, ok bool) {
	n, ok := parseInt(b)
	return int(n), ok && n >= 0 && n < Databases
}

// lockTransaction notes the shards of all keys of the transaction in locked.
func (tx *Tx) lockTransaction(t *Transaction) {
	for i := range t.Watches {
		tx.locked.add(int(Slot(t.Watches[i].Key)) / pageSlots)
	}
	for i := range t.Cmds {
		c := &t.Cmds[i]
		if c.Spec.Flags&FlagAllKeys != 0 || c.Spec.Wide != nil && c.Spec.Wide(c.Args) {
			tx.locked = allShards
			return
		}
		tx.keys = c.Spec.KeyPositions(c.Args, tx.keys[:0])
		for _, k := range tx.keys {
			tx.locked.add(int(Slot(c.Args[k])) / pageSlots)
		}
	}
}

// runTransaction answers an array with the reply of each command, or a null array if a watched key has changed.
func runTransaction(tx *Tx, _ [][]byte, out Out) {
	s, t, now := tx.s, tx.txn, tx.now
	if !tx.unchanged(t.Watches) {
		out.NullArray()
		return
	}
	// The locks are kept to the end, also when a command gives up its own early.
	locked, writes := tx.locked, tx.writes
	tx.locked = shardSet{}
	out.Array(len(t.Cmds))
	for i := range t.Cmds {
		c := &t.Cmds[i]
		if t.Before != nil {
			t.Before(i)
		}
		if tx == &s.tx {
			s.enter(c, out)
		} else {
			tx.begin(s, c.DB, now, 0)
			tx.ownRng = false
		}
		tx.know(c, -1)
		tx.run(c, out)
	}
	tx.locked, tx.writes, tx.txn = locked, writes, nil
}

// unchanged says that all watched keys have their versions.
func (tx *Tx) unchanged(watches []Watch) bool {
	for i := range watches {
		w, version := &watches[i], uint64(Absent)
		tx.DB = w.DB
		if it := tx.peek(w.Key); !it.absent() {
			version = it.version()
		}
		if version != w.Version {
			return false
		}
	}
	return true
}

func runVersions(tx *Tx, args [][]byte, out Out) {
	for _, key := range args[1:] {
		it := tx.peek(key)
		if it.absent() {
			out.Int(Absent)
			out.Int(0)
			continue
		}
		out.Int(int64(it.version()))
		out.Int(it.deadline())
	}
}
