package fsm

import "math/big"

const (
	errTimeout    = "ERR timeout is not a float or out of range"
	errTimeoutNeg = "ERR timeout is negative"
)

// timeoutArg reads a timeout in seconds and returns it in ms, rounded up, 0 = none; otherwise it answers the error. What does not
// fit 64 bits is negative for Redis as well.
func timeoutArg(b []byte, out Out) (ms int64, ok bool) {
	f, ok := parseLongDouble(b)
	if !ok {
		out.Error(errTimeout)
		return 0, false
	}
	ms, acc := f.Mul(f, big.NewFloat(1000)).Int64()
	switch {
	case acc == big.Below && ms < 1<<63-1:
		ms++
	case acc == big.Below:
		ms = -1
	}
	if ms < 0 {
		out.Error(errTimeoutNeg)
		return 0, false
	}
	return ms, true
}

// span lists the positions from one to below another.
func span(from, to int) []int {
	all := make([]int, to-from)
	for i := range all {
		all[i] = from + i
	}
	return all
}

func runBlockingPop(front bool) runFunc {
	return func(tx *Tx, args [][]byte, out Out) {
		last := len(args) - 1
		ms, ok := timeoutArg(args[last], out)
		if !ok {
			return
		}
		for _, key := range tx.offered(args[1:last]) {
			l, ok := writeList(tx, key, out)
			if !ok {
				return
			}
			if l != nil {
				out.Array(2)
				out.Bulk(key)
				l.popReply(tx, front, out)
				l.shrunk()
				tx.store(key, l)
				return
			}
		}
		if !tx.await(wish{kind: kindList, keys: span(1, last), ms: ms}, args, out) {
			out.NullArray()
		}
	}
}

func runBLMove(tx *Tx, args [][]byte, out Out) {
	from, ok := sideArg(args[3], out)
	if !ok {
		return
	}
	if to, ok := sideArg(args[4], out); ok {
		moveOrWait(tx, args, from, to, out)
	}
}

func runBRPopLPush(tx *Tx, args [][]byte, out Out) { moveOrWait(tx, args, false, true, out) }

// moveOrWait moves an element from the list at args[1] to that at args[2], when there is one.
func moveOrWait(tx *Tx, args [][]byte, from, to bool, out Out) {
	ms, ok := timeoutArg(args[len(args)-1], out)
	if !ok {
		return
	}
	if it := tx.peek(args[1]); !it.absent() {
		moveElement(tx, args[1], args[2], from, to, out)
		return
	}
	if !tx.await(wish{kind: kindList, keys: []int{1}, dst: 2, ms: ms}, args, out) {
		out.Null()
	}
}

func runBLMPop(tx *Tx, args [][]byte, out Out) {
	keys, front, count, ok := mpopArgs(args[1:], "left", "right", out)
	if !ok {
		return
	}
	ms, ok := timeoutArg(args[1], out)
	if !ok {
		return
	}
	if popFirstList(tx, tx.offered(keys), front, count, out) {
		return
	}
	if !tx.await(wish{kind: kindList, keys: span(3, 3+len(keys)), ms: ms}, args, out) {
		out.NullArray()
	}
}

func runBZPop(lowest bool) runFunc {
	return func(tx *Tx, args [][]byte, out Out) {
		last := len(args) - 1
		ms, ok := timeoutArg(args[last], out)
		if !ok {
			return
		}
		for _, key := range tx.offered(args[1:last]) {
			z, ok := writeZSet(tx, key, out)
			if !ok {
				return
			}
			if z != nil {
				r := 0
				if !lowest {
					r = z.len() - 1
				}
				out.Array(3)
				out.Bulk(key)
				z.walk(r, r+1, false, func(m word, score float64) { replyItem(tx, m, score, true, false, out) })
				z.removeRank(r)
				tx.store(key, z)
				return
			}
		}
		if !tx.await(wish{kind: kindZSet, keys: span(1, last), ms: ms}, args, out) {
			out.NullArray()
		}
	}
}

func runBZMPop(tx *Tx, args [][]byte, out Out) {
	keys, lowest, count, ok := mpopArgs(args[1:], "min", "max", out)
	if !ok {
		return
	}
	ms, ok := timeoutArg(args[1], out)
	if !ok {
		return
	}
	if popFirstZSet(tx, tx.offered(keys), lowest, count, out) {
		return
	}
	if !tx.await(wish{kind: kindZSet, keys: span(3, 3+len(keys)), ms: ms}, args, out) {
		out.NullArray()
	}
}

var (
	argTimeout = argDouble("timeout")
	argSide    = argOneOf("where", argToken("left", "LEFT"), argToken("right", "RIGHT"))
)

const (
	flagsWait     = FlagWrite | FlagNoScript | FlagBlocking
	flagsWaitMany = FlagWrite | FlagBlocking | FlagMovableKeys
)

var blockingListCommands = []*Spec{
	{
		Name: "blmove", Arity: 6, Flags: flagsWait | FlagDenyOOM, FirstKey: 1, LastKey: 2, KeyStep: 1,
		KeySpecs: []KeySpec{oneKey(1, "RW", "access", "delete"), oneKey(2, "RW", "insert")}, Since: "6.2.0", Group: "list", Run: runBLMove,
		Summary:    "Moves an element from one end of a list to one end of the same or another list, and waits for it if there is none.",
		Complexity: "O(1)",
		Args: []Arg{
			argKey("source"), argKeyOf("destination", 1),
			argOneOf("wherefrom", argToken("left", "LEFT"), argToken("right", "RIGHT")),
			argOneOf("whereto", argToken("left", "LEFT"), argToken("right", "RIGHT")), argTimeout,
		},
	},
	{
		Name: "blmpop", Arity: -5, Flags: flagsWaitMany,
		KeySpecs: []KeySpec{countedKeys(2, "RW", "access", "delete")}, Since: "7.0.0", Group: "list", Run: runBLMPop,
		Keys:       numberedKeys(2),
		Summary:    "Takes elements from one end of the first list that is not empty, and waits for one if all are.",
		Complexity: "O(N+M) for N keys and M elements",
		Args:       []Arg{argTimeout, argInt("numkeys"), argKey("key").many(), argSide, argInt("count").with("COUNT").optional()},
	},
	{
		Name: "blpop", Event: "lpop", Arity: -3, Flags: flagsWait, FirstKey: 1, LastKey: -2, KeyStep: 1,
		KeyFlags: []string{"RW", "access", "delete"}, Since: "2.0.0", Group: "list", Run: runBlockingPop(true),
		Summary:    "Takes the first element of the first list that is not empty, and waits for one if all are.",
		Complexity: "O(N) for N keys",
		Args:       []Arg{argKey("key").many(), argTimeout},
	},
	{
		Name: "brpop", Event: "rpop", Arity: -3, Flags: flagsWait, FirstKey: 1, LastKey: -2, KeyStep: 1,
		KeyFlags: []string{"RW", "access", "delete"}, Since: "2.0.0", Group: "list", Run: runBlockingPop(false),
		Summary:    "Takes the last element of the first list that is not empty, and waits for one if all are.",
		Complexity: "O(N) for N keys",
		Args:       []Arg{argKey("key").many(), argTimeout},
	},
	{
		Name: "brpoplpush", Arity: 4, Flags: flagsWait | FlagDenyOOM, FirstKey: 1, LastKey: 2, KeyStep: 1,
		KeySpecs: []KeySpec{oneKey(1, "RW", "access", "delete"), oneKey(2, "RW", "insert")}, Since: "2.2.0", Group: "list", Run: runBRPopLPush,
		Summary:    "Moves the last element of a list to the head of the same or another list, and waits for it if there is none.",
		Complexity: "O(1)",
		Deprecated: "6.2.0", ReplacedBy: "BLMOVE with RIGHT and LEFT",
		Args: []Arg{argKey("source"), argKeyOf("destination", 1), argTimeout},
	},
}

var blockingZSetCommands = []*Spec{
	{
		Name: "bzmpop", Arity: -5, Flags: flagsWaitMany,
		KeySpecs: []KeySpec{countedKeys(2, "RW", "access", "delete")}, Since: "7.0.0", Group: "sorted-set", Run: runBZMPop,
		Keys:       numberedKeys(2),
		Summary:    "Takes the members with the lowest or highest scores from the first sorted set that is not empty, and waits for one if all are.",
		Complexity: "O(K + M*log(N)) for K keys and M members taken",
		Args: []Arg{
			argTimeout, argInt("numkeys"), argKey("key").many(),
			argOneOf("where", argToken("min", "MIN"), argToken("max", "MAX")),
			argInt("count").with("COUNT").optional(),
		},
	},
	{
		Name: "bzpopmax", Event: "zpopmax", Arity: -3, Flags: flagsWait | FlagFast, FirstKey: 1, LastKey: -2, KeyStep: 1,
		KeyFlags: []string{"RW", "access", "delete"}, Since: "5.0.0", Group: "sorted-set", Run: runBZPop(false),
		Summary:    "Takes the member with the highest score of the first sorted set that is not empty, and waits for one if all are.",
		Complexity: "O(log(N))",
		Args:       []Arg{argKey("key").many(), argTimeout},
	},
	{
		Name: "bzpopmin", Event: "zpopmin", Arity: -3, Flags: flagsWait | FlagFast, FirstKey: 1, LastKey: -2, KeyStep: 1,
		KeyFlags: []string{"RW", "access", "delete"}, Since: "5.0.0", Group: "sorted-set", Run: runBZPop(true),
		Summary:    "Takes the member with the lowest score of the first sorted set that is not empty, and waits for one if all are.",
		Complexity: "O(log(N))",
		Args:       []Arg{argKey("key").many(), argTimeout},
	},
}
