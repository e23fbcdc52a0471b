package fsm

// expireArgs documents the condition of the EXPIRE family.
func expireArgs(when Arg) []Arg {
	return []Arg{argKey("key"), when, argOneOf("condition", argToken("nx", "NX"), argToken("xx", "XX"),
		argToken("gt", "GT"), argToken("lt", "LT")).since("7.0.0").optional()}
}

// flushArgs documents the mode of FLUSHALL and FLUSHDB.
var flushArgs = []Arg{argOneOf("async", argToken("async", "ASYNC").since("4.0.0"),
	argToken("sync", "SYNC").since("6.2.0")).optional()}

// sortArgs documents the arguments of SORT and SORT_RO.
func sortArgs() []Arg {
	by, get := argPattern("pattern").with("BY").optional(), argPattern("pattern").with("GET").optional().many().eachWith()
	by.Group, get.Group = 1, 1
	return []Arg{argKey("key"), by, argBlock("offset_count", argInt("offset"), argInt("count")).with("LIMIT").optional(), get,
		argOneOf("order", argToken("asc", "ASC"), argToken("desc", "DESC")).optional(), argToken("sorting", "ALPHA").optional()}
}

var genericCommands = []*Spec{
	{
		Name: "copy", Event: noEvent, Arity: -3, Flags: FlagWrite | FlagDenyOOM, FirstKey: 1, LastKey: 2, KeyStep: 1,
		KeySpecs: []KeySpec{oneKey(1, "RO", "access"), oneKey(2, "OW", "update")}, Categories: "keyspace", Since: "6.2.0", Group: "generic", Run: runCopy,
		Summary:    "Copies a value and its deadline to another key.",
		Complexity: "O(N) in the number of elements of a collection, O(1) for a string",
		Args: []Arg{argKey("source"), argKeyOf("destination", 1), argInt("destination-db").with("DB").optional(),
			argToken("replace", "REPLACE").optional()},
	},
	{
		Name: "dbsize", Arity: 1, Flags: FlagReadonly | FlagFast | FlagAllKeys,
		Categories: "keyspace", Since: "1.0.0", Group: "server", Run: runDBSize,
		Summary:    "Returns the number of keys in the selected database.",
		Complexity: "O(1)",
	},
	{
		Name: "del", Arity: -2, Flags: FlagWrite, FirstKey: 1, LastKey: -1, KeyStep: 1,
		KeyFlags: []string{"RM", "delete"}, Categories: "keyspace", Since: "1.0.0", Group: "generic", Run: runDel,
		Summary:    "Deletes keys and returns how many existed.",
		Complexity: "O(N) in the number of keys",
		Args:       []Arg{argKey("key").many()},
	},
	{
		Name: "dump", Arity: 2, Flags: FlagReadonly, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RO", "access"}, Categories: "keyspace", Since: "2.6.0", Group: "generic", Run: runDump,
		Summary:    "Returns a value in the format of Redis' dump files, for RESTORE.",
		Complexity: "O(N) in the size of the value",
		Args:       []Arg{argKey("key")},
	},
	{
		Name: "exists", Arity: -2, Flags: FlagReadonly | FlagFast, FirstKey: 1, LastKey: -1, KeyStep: 1,
		KeyFlags: []string{"RO"}, Categories: "keyspace", Since: "1.0.0", Group: "generic", Run: runExists,
		Summary:    "Returns how many of the keys exist; a key named twice counts twice.",
		Complexity: "O(N) in the number of keys",
		Args:       []Arg{argKey("key").many()},
	},
	{
		Name: "expire", Event: noEvent, Arity: -3, Flags: FlagWrite | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RW", "update"}, Categories: "keyspace", Since: "1.0.0", Group: "generic", Run: runExpire,
		Summary:    "Sets the time to live of a key in seconds.",
		Complexity: "O(log N) in the number of deadlines",
		Args:       expireArgs(argInt("seconds")),
	},
	{
		Name: "expireat", Event: noEvent, Arity: -3, Flags: FlagWrite | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RW", "update"}, Categories: "keyspace", Since: "1.2.0", Group: "generic", Run: runExpireAt,
		Summary:    "Sets the deadline of a key as a Unix time in seconds.",
		Complexity: "O(log N) in the number of deadlines",
		Args:       expireArgs(argTime("unix-time-seconds")),
	},
	{
		Name: "expiretime", Arity: 2, Flags: FlagReadonly | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RO", "access"}, Categories: "keyspace", Since: "7.0.0", Group: "generic",
		Run:        runExpireTime,
		Summary:    "Returns the deadline of a key as a Unix time in seconds.",
		Complexity: "O(1)",
		Args:       []Arg{argKey("key")},
	},
	{
		Name: "flushall", Arity: -1, Flags: FlagWrite | FlagAllKeys,
		Categories: "keyspace dangerous", Since: "1.0.0", Group: "server", Run: runFlushAll,
		Summary:    "Deletes every key of every database.",
		Complexity: "O(1), the memory is reclaimed in the background",
		Args:       flushArgs,
	},
	{
		Name: "flushdb", Arity: -1, Flags: FlagWrite | FlagAllKeys,
		Categories: "keyspace dangerous", Since: "1.0.0", Group: "server", Run: runFlushDB,
		Summary:    "Deletes every key of the selected database.",
		Complexity: "O(1), the memory is reclaimed in the background",
		Args:       flushArgs,
	},
	{
		Name: "keys", Arity: 2, Flags: FlagReadonly | FlagAllKeys,
		Categories: "keyspace dangerous", Since: "1.0.0", Group: "generic", Run: runKeys,
		Summary:    "Returns all keys whose names match a pattern.",
		Complexity: "O(N) in the number of keys of the database",
		Args:       []Arg{argPattern("pattern")},
	},
	{
		Name: "move", Event: noEvent, Arity: 3, Flags: FlagWrite | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RW", "access", "update"}, Categories: "keyspace", Since: "1.0.0", Group: "generic",
		Run:        runMove,
		Summary:    "Moves a key to another database.",
		Complexity: "O(1)",
		Args:       []Arg{argKey("key"), argInt("db")},
	},
	{
		Name: "persist", Event: noEvent, Arity: 2, Flags: FlagWrite | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RW", "update"}, Categories: "keyspace", Since: "2.2.0", Group: "generic", Run: runPersist,
		Summary:    "Removes the deadline of a key.",
		Complexity: "O(log N) in the number of deadlines",
		Args:       []Arg{argKey("key")},
	},
	{
		Name: "pexpire", Event: noEvent, Arity: -3, Flags: FlagWrite | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RW", "update"}, Categories: "keyspace", Since: "2.6.0", Group: "generic", Run: runPExpire,
		Summary:    "Sets the time to live of a key in milliseconds.",
		Complexity: "O(log N) in the number of deadlines",
		Args:       expireArgs(argInt("milliseconds")),
	},
	{
		Name: "pexpireat", Event: noEvent, Arity: -3, Flags: FlagWrite | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RW", "update"}, Categories: "keyspace", Since: "2.6.0", Group: "generic", Run: runPExpireAt,
		Summary:    "Sets the deadline of a key as a Unix time in milliseconds.",
		Complexity: "O(log N) in the number of deadlines",
		Args:       expireArgs(argTime("unix-time-milliseconds")),
	},
	{
		Name: "pexpiretime", Arity: 2, Flags: FlagReadonly | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RO", "access"}, Categories: "keyspace", Since: "7.0.0", Group: "generic",
		Run:        runPExpireTime,
		Summary:    "Returns the deadline of a key as a Unix time in milliseconds.",
		Complexity: "O(1)",
		Args:       []Arg{argKey("key")},
	},
	{
		Name: "pttl", Arity: 2, Flags: FlagReadonly | FlagFast | FlagClock, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RO", "access"}, Categories: "keyspace", Since: "2.6.0", Group: "generic", Run: runPTTL,
		Summary:    "Returns the remaining time to live of a key in milliseconds.",
		Complexity: "O(1)",
		Args:       []Arg{argKey("key")},
	},
	{
		Name: "randomkey", Arity: 1, Flags: FlagReadonly | FlagAllKeys,
		Categories: "keyspace", Since: "1.0.0", Group: "generic", Run: runRandomKey,
		Summary:    "Returns a random key of the selected database.",
		Complexity: "O(1)",
	},
	{
		Name: "rename", Event: noEvent, Arity: 3, Flags: FlagWrite, FirstKey: 1, LastKey: 2, KeyStep: 1,
		KeySpecs: []KeySpec{oneKey(1, "RW", "access", "delete"), oneKey(2, "OW", "update")}, Categories: "keyspace", Since: "1.0.0", Group: "generic",
		Run:        runRename,
		Summary:    "Gives a value another key, whatever that key held.",
		Complexity: "O(1)",
		Args:       []Arg{argKey("key"), argKeyOf("newkey", 1)},
	},
	{
		Name: "renamenx", Event: noEvent, Arity: 3, Flags: FlagWrite | FlagFast, FirstKey: 1, LastKey: 2, KeyStep: 1,
		KeySpecs: []KeySpec{oneKey(1, "RW", "access", "delete"), oneKey(2, "OW", "insert")}, Categories: "keyspace", Since: "1.0.0", Group: "generic",
		Run:        runRenameNX,
		Summary:    "Gives a value another key, if that key does not exist.",
		Complexity: "O(1)",
		Args:       []Arg{argKey("key"), argKeyOf("newkey", 1)},
	},
	{
		Name: "restore", Arity: -4, Flags: FlagWrite | FlagDenyOOM, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"OW", "update"}, Categories: "keyspace dangerous", Since: "2.6.0", Group: "generic", Run: runRestore,
		Summary:    "Gives a key the value that DUMP has returned, here or on a server of Redis up to 7.2.",
		Complexity: "O(N) in the size of the value, O(N*log(N)) for sorted sets",
		Args: []Arg{argKey("key"), argInt("ttl"), argString("serialized-value"),
			argToken("replace", "REPLACE").since("3.0.0").optional(), argToken("absttl", "ABSTTL").since("5.0.0").optional(),
			argInt("seconds").with("IDLETIME").since("5.0.0").optional(), argInt("frequency").with("FREQ").since("5.0.0").optional()},
	},
	{
		Name: "scan", Arity: -2, Flags: FlagReadonly | FlagAllKeys,
		Categories: "keyspace", Since: "2.8.0", Group: "generic", Run: runScan,
		Summary:    "Returns the keys of the selected database step by step.",
		Complexity: "O(1) per call, O(N) in the number of keys for a whole iteration",
		Args: []Arg{argInt("cursor"), argPattern("pattern").with("MATCH").optional(),
			argInt("count").with("COUNT").optional(), argString("type").with("TYPE").since("6.0.0").optional()},
	},
	{
		Name: "sort", Event: "sortstore", Arity: -2, Flags: FlagWrite | FlagDenyOOM | FlagMovableKeys, FirstKey: 1, LastKey: 1, KeyStep: 1,
		Keys: sortKeys, Wide: sortWide,
		KeySpecs:   []KeySpec{oneKey(1, "RO", "access"), madeKeys("RO", "access"), {Flags: []string{"OW", "update"}, Find: sortStore}},
		Categories: "set sortedset list dangerous", Since: "1.0.0", Group: "generic", Run: runSort,
		Summary:    "Returns or stores the elements of a list, a set or a sorted set in order.",
		Complexity: "O(N*log(N)) in the number of elements, O(N) when they are not sorted",
		Args:       append(sortArgs(), argKeyOf("destination", 2).with("STORE").optional()),
	},
	{
		Name: "sort_ro", Arity: -2, Flags: FlagReadonly | FlagMovableKeys, FirstKey: 1, LastKey: 1, KeyStep: 1,
		Keys: firstKey, Wide: sortWide,
		KeySpecs:   []KeySpec{oneKey(1, "RO", "access"), madeKeys("RO", "access")},
		Categories: "set sortedset list dangerous", Since: "7.0.0", Group: "generic", Run: runSortRO,
		Summary:    "Returns the elements of a list, a set or a sorted set in order.",
		Complexity: "O(N*log(N)) in the number of elements, O(N) when they are not sorted",
		Args:       sortArgs(),
	},
	{
		Name: "swapdb", Arity: 3, Flags: FlagWrite | FlagFast | FlagAllKeys,
		Categories: "keyspace dangerous", Since: "4.0.0", Group: "server", Run: runSwapDB,
		Summary:    "Exchanges the contents of two databases.",
		Complexity: "O(1)",
		Args:       []Arg{argInt("index1"), argInt("index2")},
	},
	{
		Name: "touch", Arity: -2, Flags: FlagReadonly | FlagFast, FirstKey: 1, LastKey: -1, KeyStep: 1,
		KeyFlags: []string{"RO"}, Categories: "keyspace", Since: "3.2.1", Group: "generic", Run: runTouch,
		Summary:    "Counts as a use of the keys, and returns how many of them exist.",
		Complexity: "O(N) in the number of keys",
		Args:       []Arg{argKey("key").many()},
	},
	{
		Name: "ttl", Arity: 2, Flags: FlagReadonly | FlagFast | FlagClock, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RO", "access"}, Categories: "keyspace", Since: "1.0.0", Group: "generic", Run: runTTL,
		Summary:    "Returns the remaining time to live of a key in seconds.",
		Complexity: "O(1)",
		Args:       []Arg{argKey("key")},
	},
	{
		Name: "type", Arity: 2, Flags: FlagReadonly | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RO"}, Categories: "keyspace", Since: "1.0.0", Group: "generic", Run: runType,
		Summary:    "Returns the type of a value, none without the key.",
		Complexity: "O(1)",
		Args:       []Arg{argKey("key")},
	},
	{
		Name: "unlink", Arity: -2, Flags: FlagWrite | FlagFast, FirstKey: 1, LastKey: -1, KeyStep: 1,
		KeyFlags: []string{"RM", "delete"}, Categories: "keyspace", Since: "4.0.0", Group: "generic", Run: runDel,
		Summary:    "Deletes keys and returns how many existed; the memory is reclaimed in the background.",
		Complexity: "O(N) in the number of keys",
		Args:       []Arg{argKey("key").many()},
	},
}
