package fsm

import (
	"math"
	"strconv"
)

var stringCommands = []*Spec{
	{
		Name: "append", Arity: 3, Flags: FlagWrite | FlagDenyOOM | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RW", "insert"}, Since: "2.0.0", Group: "string", Run: runAppend,
		Summary:    "Adds bytes to the end of a string; a missing key becomes the bytes.",
		Complexity: "O(N) in the appended bytes, amortized",
		Args:       []Arg{argKey("key"), argString("value")},
	},
	{
		Name: "decr", Event: "incrby", Arity: 2, Flags: FlagWrite | FlagDenyOOM | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RW", "access", "update"}, Since: "1.0.0", Group: "string", Run: runDecr,
		Summary:    "Subtracts one from an integer; a missing key counts as 0.",
		Complexity: "O(1)",
		Args:       []Arg{argKey("key")},
	},
	{
		Name: "decrby", Event: "incrby", Arity: 3, Flags: FlagWrite | FlagDenyOOM | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RW", "access", "update"}, Since: "1.0.0", Group: "string", Run: runDecrBy,
		Summary:    "Subtracts a number from an integer; a missing key counts as 0.",
		Complexity: "O(1)",
		Args:       []Arg{argKey("key"), argInt("decrement")},
	},
	{
		Name: "get", Arity: 2, Flags: FlagReadonly | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RO", "access"}, Since: "1.0.0", Group: "string", Run: runGet,
		Summary:    "Returns a string.",
		Complexity: "O(1)",
		Args:       []Arg{argKey("key")},
	},
	{
		Name: "getdel", Arity: 2, Flags: FlagWrite | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RW", "access", "delete"}, Since: "6.2.0", Group: "string", Run: runGetDel,
		Summary:    "Returns a string and deletes its key.",
		Complexity: "O(1)",
		Args:       []Arg{argKey("key")},
	},
	{
		Name: "getex", Event: noEvent, Arity: -2, Flags: FlagWrite | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RW", "access", "update"}, Since: "6.2.0", Group: "string", Run: runGetEx,
		Summary:    "Returns a string and sets or removes the deadline of its key.",
		Complexity: "O(1)",
		Args: []Arg{argKey("key"), argOneOf("expiration",
			argInt("seconds").with("EX"), argInt("milliseconds").with("PX"),
			argTime("unix-time-seconds").with("EXAT"), argTime("unix-time-milliseconds").with("PXAT"),
			argToken("persist", "PERSIST")).optional()},
	},
	{
		Name: "getrange", Arity: 4, Flags: FlagReadonly, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RO", "access"}, Since: "2.4.0", Group: "string", Run: runGetRange,
		Summary:    "Returns a part of a string, given by its first and last position.",
		Complexity: "O(N) in the length of the part",
		Args:       []Arg{argKey("key"), argInt("start"), argInt("end")},
	},
	{
		Name: "getset", Event: "set", Arity: 3, Flags: FlagWrite | FlagDenyOOM | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RW", "access", "update"}, Since: "1.0.0", Group: "string", Run: runGetSet,
		Summary:    "Sets a string and returns the one before.",
		Complexity: "O(1)",
		Deprecated: "6.2.0", ReplacedBy: "SET with GET",
		Args: []Arg{argKey("key"), argString("value")},
	},
	{
		Name: "incr", Event: "incrby", Arity: 2, Flags: FlagWrite | FlagDenyOOM | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RW", "access", "update"}, Since: "1.0.0", Group: "string", Run: runIncr,
		Summary:    "Adds one to an integer; a missing key counts as 0.",
		Complexity: "O(1)",
		Args:       []Arg{argKey("key")},
	},
	{
		Name: "incrby", Arity: 3, Flags: FlagWrite | FlagDenyOOM | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RW", "access", "update"}, Since: "1.0.0", Group: "string", Run: runIncrBy,
		Summary:    "Adds a number to an integer; a missing key counts as 0.",
		Complexity: "O(1)",
		Args:       []Arg{argKey("key"), argInt("increment")},
	},
	{
		Name: "incrbyfloat", Arity: 3, Flags: FlagWrite | FlagDenyOOM | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RW", "access", "update"}, Since: "2.6.0", Group: "string", Run: runIncrByFloat,
		Summary:    "Adds a number to a floating point number; a missing key counts as 0.",
		Complexity: "O(1)",
		Args:       []Arg{argKey("key"), argDouble("increment")},
	},
	{
		Name: "lcs", Arity: -3, Flags: FlagReadonly, FirstKey: 1, LastKey: 2, KeyStep: 1,
		KeyFlags: []string{"RO", "access"}, Since: "7.0.0", Group: "string", Run: runLCS,
		Summary:    "Finds the longest common subsequence of two strings.",
		Complexity: "O(N*M) in the lengths of the two strings",
		Args: []Arg{argKey("key1"), argKey("key2"), argToken("len", "LEN").optional(), argToken("idx", "IDX").optional(),
			argInt("len").with("MINMATCHLEN").optional(), argToken("withmatchlen", "WITHMATCHLEN").optional()},
	},
	{
		Name: "mget", Arity: -2, Flags: FlagReadonly | FlagFast, FirstKey: 1, LastKey: -1, KeyStep: 1,
		KeyFlags: []string{"RO", "access"}, Since: "1.0.0", Group: "string", Run: runMGet,
		Summary:    "Returns several strings; null for a key that is missing or holds something else.",
		Complexity: "O(N) in the number of keys",
		Args:       []Arg{argKey("key").many()},
	},
	{
		Name: "mset", Event: "set", Arity: -3, Flags: FlagWrite | FlagDenyOOM, FirstKey: 1, LastKey: -1, KeyStep: 2,
		KeyFlags: []string{"OW", "update"}, Since: "1.0.1", Group: "string", Run: runMSet,
		Summary:    "Sets several strings at once.",
		Complexity: "O(N) in the number of keys",
		Args:       []Arg{argBlock("key_value", argKey("key"), argString("value")).many()},
	},
	{
		Name: "msetnx", Event: "set", Arity: -3, Flags: FlagWrite | FlagDenyOOM, FirstKey: 1, LastKey: -1, KeyStep: 2,
		KeyFlags: []string{"OW", "insert"}, Since: "1.0.1", Group: "string", Run: runMSetNX,
		Summary:    "Sets several strings at once, if none of the keys exists.",
		Complexity: "O(N) in the number of keys",
		Args:       []Arg{argBlock("key_value", argKey("key"), argString("value")).many()},
	},
	{
		Name: "psetex", Event: "set", Arity: 4, Flags: FlagWrite | FlagDenyOOM, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"OW", "update"}, Since: "2.6.0", Group: "string", Run: runPSetEx,
		Summary:    "Sets a string with its time to live in milliseconds.",
		Complexity: "O(1)",
		Args:       []Arg{argKey("key"), argInt("milliseconds"), argString("value")},
	},
	{
		Name: "set", Arity: -3, Flags: FlagWrite | FlagDenyOOM, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RW", "access", "update", "variable_flags"}, VaryFlags: setKeyFlags, Since: "1.0.0", Group: "string", Run: runSet,
		Summary:    "Sets a string, whatever the key held.",
		Complexity: "O(1)",
		Args: []Arg{argKey("key"), argString("value"),
			argOneOf("condition", argToken("nx", "NX"), argToken("xx", "XX")).since("2.6.12").optional(),
			argToken("get", "GET").since("6.2.0").optional(),
			argOneOf("expiration",
				argInt("seconds").with("EX").since("2.6.12"), argInt("milliseconds").with("PX").since("2.6.12"),
				argTime("unix-time-seconds").with("EXAT").since("6.2.0"),
				argTime("unix-time-milliseconds").with("PXAT").since("6.2.0"),
				argToken("keepttl", "KEEPTTL").since("6.0.0")).optional()},
	},
	{
		Name: "setex", Event: "set", Arity: 4, Flags: FlagWrite | FlagDenyOOM, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"OW", "update"}, Since: "2.0.0", Group: "string", Run: runSetEx,
		Summary:    "Sets a string with its time to live in seconds.",
		Complexity: "O(1)",
		Args:       []Arg{argKey("key"), argInt("seconds"), argString("value")},
	},
	{
		Name: "setnx", Event: "set", Arity: 3, Flags: FlagWrite | FlagDenyOOM | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"OW", "insert"}, Since: "1.0.0", Group: "string", Run: runSetNX,
		Summary:    "Sets a string, if the key does not exist.",
		Complexity: "O(1)",
		Args:       []Arg{argKey("key"), argString("value")},
	},
	{
		Name: "setrange", Arity: 4, Flags: FlagWrite | FlagDenyOOM, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RW", "update"}, Since: "2.2.0", Group: "string", Run: runSetRange,
		Summary:    "Overwrites a part of a string from a position on, filling a gap with zero bytes.",
		Complexity: "O(N) in the length of the value, plus the gap",
		Args:       []Arg{argKey("key"), argInt("offset"), argString("value")},
	},
	{
		Name: "strlen", Arity: 2, Flags: FlagReadonly | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RO"}, Since: "2.2.0", Group: "string", Run: runStrlen,
		Summary:    "Returns the length of a string in bytes.",
		Complexity: "O(1)",
		Args:       []Arg{argKey("key")},
	},
	{
		Name: "substr", Arity: 4, Flags: FlagReadonly, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RO", "access"}, Since: "1.0.0", Group: "string", Run: runGetRange,
		Summary:    "Returns a part of a string; the older name of GETRANGE.",
		Complexity: "O(N) in the length of the part",
		Deprecated: "2.0.0", ReplacedBy: "GETRANGE",
		Args: []Arg{argKey("key"), argInt("start"), argInt("end")},
	},
}

func runGet(tx *Tx, args [][]byte, out Out) {
	it := tx.find(args[1])
	tx.replyString(&it, out)
}

func runMGet(tx *Tx, args [][]byte, out Out) {
	out.Array(len(args) - 1)
	for _, key := range args[1:] {
		it := tx.find(key)
		if !it.absent() && it.kind() != kindString {
			it = item{}
		}
		tx.replyString(&it, out)
	}
}

func runStrlen(tx *Tx, args [][]byte, out Out) {
	it := tx.find(args[1])
	switch {
	case it.absent():
		out.Int(0)
	case it.kind() != kindString:
		out.Error(errWrongType)
	default:
		out.Int(int64(it.stringLen()))
	}
}

func runGetRange(tx *Tx, args [][]byte, out Out) {
	start, end, ok := rangeArgs(args, out)
	if !ok {
		return
	}
	it := tx.find(args[1])
	if it.absent() {
		out.BulkString("")
		return
	}
	if it.kind() != kindString {
		out.Error(errWrongType)
		return
	}
	from, to := clampRange(start, end, int64(it.stringLen()))
	if from >= to {
		out.BulkString("")
		return
	}
	out.Bulk(tx.stringBytes(&it)[from:to])
}

// clampRange turns the inclusive positions of GETRANGE, which may count from the end, into a half-open range of a
// string of length n.
func clampRange(start, end, n int64) (from, to int64) {
	if start < 0 && end < 0 && start > end {
		return 0, 0
	}
	if start < 0 {
		start = max(0, start+n)
	}
	if end < 0 {
		end = max(0, end+n)
	}
	end = min(end, n-1)
	if start > end {
		return 0, 0
	}
	return start, end + 1
}

func runGetDel(tx *Tx, args [][]byte, out Out) {
	p, ok := tx.findWrite(tx.DB, args[1])
	if !ok {
		tx.missed(args[1])
		out.Null()
		return
	}
	if tx.replyString(&p.item, out) {
		tx.remove(&p)
	}
}

func runGetSet(tx *Tx, args [][]byte, out Out) {
	p, ok := tx.findWrite(tx.DB, args[1])
	if !ok {
		tx.missed(args[1])
		out.Null()
	} else if !tx.replyString(&p.item, out) {
		return
	}
	tx.writeString(&p, args[1], args[2], 0)
}

func runSet(tx *Tx, args [][]byte, out Out) {
	if len(args) == 3 {
		tx.setString(args[1], args[2], 0)
		out.Simple("OK")
		return
	}
	opts, ok := parseSetOptions(args[3:], true, out)
	if !ok {
		return
	}
	at, ok := opts.deadline(tx.now, "set", out)
	if !ok {
		return
	}
	p, found := tx.findWrite(tx.DB, args[1])
	if opts.get {
		if !found {
			tx.missed(args[1])
			out.Null()
		} else if !tx.replyString(&p.item, out) {
			return
		}
	}
	if opts.nx && found || opts.xx && !found {
		if !opts.get {
			out.Null()
		}
		return
	}
	tx.setUntil(args[1], args[2], at, opts.keepTTL)
	if !opts.get {
		out.Simple("OK")
	}
}

func runSetNX(tx *Tx, args [][]byte, out Out) {
	p, found := tx.findWrite(tx.DB, args[1])
	if found {
		out.Int(0)
		return
	}
	tx.writeString(&p, args[1], args[2], 0)
	out.Int(1)
}

func runSetEx(tx *Tx, args [][]byte, out Out) {
	setFor(tx, args, setOptions{expire: args[2], unit: 1000, relative: true}, "setex", out)
}

func runPSetEx(tx *Tx, args [][]byte, out Out) {
	setFor(tx, args, setOptions{expire: args[2], unit: 1, relative: true}, "psetex", out)
}

func setFor(tx *Tx, args [][]byte, opts setOptions, name string, out Out) {
	at, ok := opts.deadline(tx.now, name, out)
	if !ok {
		return
	}
	tx.setUntil(args[1], args[3], at, false)
	out.Simple("OK")
}

func runGetEx(tx *Tx, args [][]byte, out Out) {
	opts, ok := parseSetOptions(args[2:], false, out)
	if !ok {
		return
	}
	p, found := tx.findWrite(tx.DB, args[1])
	if !found {
		tx.missed(args[1])
		out.Null()
		return
	}
	if p.kind() != kindString {
		out.Error(errWrongType)
		return
	}
	at, ok := opts.deadline(tx.now, "getex", out)
	if !ok {
		return
	}
	tx.replyString(&p.item, out)
	switch {
	case opts.expire != nil && at <= tx.now:
		tx.remove(&p)
	case opts.expire != nil, opts.persist && p.deadline() != 0:
		tx.setDeadline(&p, at)
		tx.modified(&p)
		if at == 0 {
			tx.tell(EventGeneric, "persist", args[1])
		} else {
			tx.tell(EventGeneric, "expire", args[1])
		}
	}
}

func runMSet(tx *Tx, args [][]byte, out Out) {
	if len(args)%2 == 0 {
		out.Error(errArity("mset"))
		return
	}
	for i := 1; i < len(args); i += 2 {
		tx.setString(args[i], args[i+1], 0)
	}
	out.Simple("OK")
}

func runMSetNX(tx *Tx, args [][]byte, out Out) {
	if len(args)%2 == 0 {
		out.Error(errArity("msetnx"))
		return
	}
	for i := 1; i < len(args); i += 2 {
		if _, found := tx.findWrite(tx.DB, args[i]); found {
			out.Int(0)
			return
		}
	}
	for i := 1; i < len(args); i += 2 {
		tx.setString(args[i], args[i+1], 0)
	}
	out.Int(1)
}

func runAppend(tx *Tx, args [][]byte, out Out) {
	p, found := tx.findWrite(tx.DB, args[1])
	if !found {
		tx.writeString(&p, args[1], args[2], 0)
		out.Int(int64(len(args[2])))
		return
	}
	if p.kind() != kindString {
		out.Error(errWrongType)
		return
	}
	n := p.stringLen() + len(args[2])
	if n > maxString {
		out.Error(errTooLong)
		return
	}
	b := tx.blobAt(&p)
	b.put(len(b.b), args[2])
	tx.touched(args[1])
	out.Int(int64(n))
}

func runSetRange(tx *Tx, args [][]byte, out Out) {
	offset, ok := intArg(args[2], out)
	if !ok {
		return
	}
	if offset < 0 {
		out.Error(errOffset)
		return
	}
	val := args[3]
	p, found := tx.findWrite(tx.DB, args[1])
	length := 0
	if found {
		if p.kind() != kindString {
			out.Error(errWrongType)
			return
		}
		length = p.stringLen()
	}
	if len(val) == 0 {
		out.Int(int64(length))
		return
	}
	if offset > maxString-int64(len(val)) {
		out.Error(errTooLong)
		return
	}
	if !found {
		name := tx.called("")
		tx.writeBlob(&p, args[1], nil, 0)
		tx.called(name)
	}
	b := tx.blobAt(&p)
	b.put(int(offset), val)
	tx.touched(args[1])
	out.Int(int64(len(b.b)))
}

func runIncr(tx *Tx, args [][]byte, out Out) { incrBy(tx, args[1], 1, out) }
func runDecr(tx *Tx, args [][]byte, out Out) { incrBy(tx, args[1], -1, out) }

func runIncrBy(tx *Tx, args [][]byte, out Out) {
	if by, ok := intArg(args[2], out); ok {
		incrBy(tx, args[1], by, out)
	}
}

func runDecrBy(tx *Tx, args [][]byte, out Out) {
	by, ok := intArg(args[2], out)
	if !ok {
		return
	}
	if by == math.MinInt64 {
		out.Error(errDecrement)
		return
	}
	incrBy(tx, args[1], -by, out)
}

func incrBy(tx *Tx, key []byte, by int64, out Out) {
	p, found := tx.findWrite(tx.DB, key)
	n := int64(0)
	if found {
		if p.kind() != kindString {
			out.Error(errWrongType)
			return
		}
		var ok bool
		if n, ok = tx.intValue(&p.item); !ok {
			out.Error(errNotInteger)
			return
		}
	}
	if by < 0 && n < math.MinInt64-by || by > 0 && n > math.MaxInt64-by {
		out.Error(errOverflow)
		return
	}
	tx.writeInt(&p, key, n+by, p.keptDeadline())
	out.Int(n + by)
}

func runIncrByFloat(tx *Tx, args [][]byte, out Out) {
	p, found := tx.findWrite(tx.DB, args[1])
	old := []byte("0")
	if found {
		if p.kind() != kindString {
			out.Error(errWrongType)
			return
		}
		if p.stringLen() > maxFloatText {
			out.Error(errNotFloat)
			return
		}
		old = tx.stringBytes(&p.item)
	}
	a, ok := parseLongDouble(old)
	if !ok {
		out.Error(errNotFloat)
		return
	}
	b, ok := parseLongDouble(args[2])
	if !ok {
		out.Error(errNotFloat)
		return
	}
	sum, ok := addLongDouble(a, b)
	if !ok {
		out.Error(errNaNInfinity)
		return
	}
	tx.writeText(&p, args[1], sum, p.keptDeadline())
	out.Bulk(sum)
}

// appendInt is strconv.AppendInt in base 10.
func appendInt(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }
