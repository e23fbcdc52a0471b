package fsm

// deadlineCost is what a key's place in the order of expiry takes in bytes: a deadline in a node of the tree that is three
// quarters full.
const deadlineCost = 21

// Overhead estimates the bytes that database db takes for finding its keys: those of all keys, a part of MemoryUsed, and
// those of the order of expiry, which MemoryUsed leaves out. Any goroutine.
func (s *Store) Overhead(db int) (keys, expires int64) {
	keys, expires = s.Keys(db)
	expires += s.FieldExpires(db)
	return keys * entryCost, expires * deadlineCost
}

// MemoryUsage is the sub-command USAGE of MEMORY.
var MemoryUsage = &Spec{
	Name: "usage", Arity: -3, Flags: FlagReadonly, FirstKey: 2, LastKey: 2, KeyStep: 1,
	KeyFlags: []string{"RO"}, Since: "4.0.0", Group: "server", Run: runMemoryUsage,
	Summary: "Returns the bytes that a key and its value take.", Complexity: "O(1)",
	Args: []Arg{argKey("key"), argInt("count").with("SAMPLES").optional()},
}

// runMemoryUsage answers the key's part of MemoryUsed. Sizes are accounted as values change, so that nothing needs to be
// sampled.
func runMemoryUsage(tx *Tx, args [][]byte, out Out) {
	for i := 3; i < len(args); i += 2 {
		if i+1 == len(args) || !matchWord(args[i], "samples") {
			out.Error(errSyntax)
			return
		}
		n, ok := intArg(args[i+1], out)
		if !ok {
			return
		}
		if n < 0 {
			out.Error(errSyntax)
			return
		}
	}
	it := tx.peek(args[2])
	if it.absent() {
		out.Null()
		return
	}
	n := it.cost()
	if it.deadline() != 0 {
		n += deadlineCost
	}
	if it.times().len() > 0 {
		n += deadlineCost
	}
	out.Int(n)
}

// peek is find that counts neither as a hit nor as a miss.
func (tx *Tx) peek(key []byte) item {
	db := tx.s.dbs[tx.DB].Load()
	if db == nil {
		return item{}
	}
	slot, hash := tx.address(key)
	_, _, rec := db.find(slot, hash, key, tx.hint)
	if it := (item{rec, db.objects.dir.Load()}); rec != nil && !it.expired(tx.now) {
		return it
	}
	return item{}
}
