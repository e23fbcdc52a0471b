package fsm

// argTrim is how XADD and XTRIM say what to remove.
func argTrim() Arg {
	return argBlock("trim", argOneOf("strategy", argToken("maxlen", "MAXLEN"), argToken("minid", "MINID").since("6.2.0")),
		argOneOf("operator", argToken("equal", "="), argToken("approximately", "~")).optional(),
		argString("threshold"), argInt("count").with("LIMIT").optional().since("6.2.0"))
}

// argGroupID is the id behind which a group is given entries.
func argGroupID() Arg { return argOneOf("id", argString("id"), argToken("new_id", "$")) }

// argStreams are the streams to read, and where to begin.
func argStreams() Arg {
	return argBlock("streams", argKey("key").many(), argString("id").many()).with("STREAMS")
}

// xreadLogged is XREAD as it stands in the log, when it has to wait.
var xreadLogged = &Spec{
	Name: "xread", Arity: -4, Flags: FlagWrite | FlagBlocking | FlagMovableKeys, Keys: readKeys, Since: "5.0.0", Group: "stream",
	Run: runXRead, Blocks: readWaits, Summary: "XREAD that may wait.", Complexity: "O(log N) for each stream, and O(M) for M entries",
}

var streamCommands = []*Spec{
	{
		Name: "xack", Event: noEvent, Arity: -4, Flags: FlagWrite | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RW", "update"}, Since: "5.0.0", Group: "stream", Run: runXAck,
		Summary:    "Notes that entries which a group was given are dealt with.",
		Complexity: "O(log N) for each entry, in what is pending",
		Args:       []Arg{argKey("key"), argString("group"), argString("id").many()},
	},
	{
		Name: "xadd", Arity: -5, Flags: FlagWrite | FlagDenyOOM | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RW", "update"}, Since: "5.0.0", Group: "stream", Run: runXAdd,
		Summary:    "Adds an entry to a stream, which a missing key becomes, and trims the stream.",
		Complexity: "O(log N) in the blocks of the stream, and O(M) for M entries that are trimmed",
		Args: []Arg{
			argKey("key"), argToken("nomkstream", "NOMKSTREAM").optional().since("6.2.0"), argTrim().optional(),
			argOneOf("id_or_auto", argToken("auto_id", "*"), argString("id")),
			argBlock("field_value", argString("field"), argString("value")).many(),
		},
	},
	{
		Name: "xautoclaim", Event: noEvent, Arity: -6, Flags: FlagWrite | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RW", "delete"}, Since: "6.2.0", Group: "stream", Run: runXAutoClaim,
		Summary:    "Gives entries that are pending for long to a consumer, from an id on.",
		Complexity: "O(log N) for each entry that is looked at, in what is pending",
		Args: []Arg{
			argKey("key"), argString("group"), argString("consumer"), argString("min-idle-time"), argString("start"),
			argInt("count").with("COUNT").optional(), argToken("justid", "JUSTID").optional(),
		},
	},
	{
		Name: "xclaim", Event: noEvent, Arity: -6, Flags: FlagWrite | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RW", "update"}, Since: "5.0.0", Group: "stream", Run: runXClaim,
		Summary:    "Gives pending entries to a consumer, whoever had them.",
		Complexity: "O(log N) for each entry, in what is pending",
		Args: []Arg{
			argKey("key"), argString("group"), argString("consumer"), argString("min-idle-time"), argString("id").many(),
			argInt("ms").with("IDLE").optional(), argTime("unix-time-milliseconds").with("TIME").optional(),
			argInt("count").with("RETRYCOUNT").optional(), argToken("force", "FORCE").optional(),
			argToken("justid", "JUSTID").optional(), argString("id").with("LASTID").optional(),
		},
	},
	{
		Name: "xdel", Arity: -3, Flags: FlagWrite | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RW", "delete"}, Since: "5.0.0", Group: "stream", Run: runXDel,
		Summary:    "Removes entries from a stream.",
		Complexity: "O(log N) for each entry, in the blocks of the stream",
		Args:       []Arg{argKey("key"), argString("id").many()},
	},
	{
		Name: "xgroup", Arity: -2, Since: "5.0.0", Group: "stream",
		Summary: "Commands that make, change and remove groups and consumers.", Complexity: "Depends on subcommand.",
		Subs: []*Spec{
			{
				Name: "create", Event: "xgroup-create", Arity: -5, Flags: FlagWrite | FlagDenyOOM, FirstKey: 2, LastKey: 2, KeyStep: 1,
				KeyFlags: []string{"RW", "insert"}, Since: "5.0.0", Group: "stream", Run: runXGroupCreate,
				Summary:    "Makes a group, to be given the entries behind an id.",
				Complexity: "O(N) in the groups of the stream",
				Args: []Arg{argKey("key"), argString("groupname"), argGroupID(), argToken("mkstream", "MKSTREAM").optional(),
					argInt("entries_read").with("ENTRIESREAD").optional()},
			},
			{
				Name: "createconsumer", Event: "xgroup-createconsumer", Arity: 5, Flags: FlagWrite | FlagDenyOOM, FirstKey: 2, LastKey: 2, KeyStep: 1,
				KeyFlags: []string{"RW", "insert"}, Since: "6.2.0", Group: "stream", Run: runXGroupCreateConsumer,
				Summary:    "Makes a consumer of a group.",
				Complexity: "O(N) in the consumers of the group",
				Args:       []Arg{argKey("key"), argString("groupname"), argString("consumername")},
			},
			{
				Name: "delconsumer", Event: "xgroup-delconsumer", Arity: 5, Flags: FlagWrite, FirstKey: 2, LastKey: 2, KeyStep: 1,
				KeyFlags: []string{"RW", "delete"}, Since: "5.0.0", Group: "stream", Run: runXGroupDelConsumer,
				Summary:    "Removes a consumer from a group, with what is pending for it.",
				Complexity: "O(N) in what is pending for it",
				Args:       []Arg{argKey("key"), argString("groupname"), argString("consumername")},
			},
			{
				Name: "destroy", Event: "xgroup-destroy", Arity: 4, Flags: FlagWrite, FirstKey: 2, LastKey: 2, KeyStep: 1,
				KeyFlags: []string{"RW", "delete"}, Since: "5.0.0", Group: "stream", Run: runXGroupDestroy,
				Summary:    "Removes a group.",
				Complexity: "O(N) in the consumers of the group",
				Args:       []Arg{argKey("key"), argString("groupname")},
			},
			{
				Name: "setid", Event: "xgroup-setid", Arity: -5, Flags: FlagWrite, FirstKey: 2, LastKey: 2, KeyStep: 1,
				KeyFlags: []string{"RW", "update"}, Since: "5.0.0", Group: "stream", Run: runXGroupSetID,
				Summary:    "Sets the id behind which a group is given entries.",
				Complexity: "O(1)",
				Args: []Arg{argKey("key"), argString("groupname"), argGroupID(),
					argInt("entries_read").with("ENTRIESREAD").optional()},
			},
		},
	},
	{
		Name: "xinfo", Arity: -2, Since: "5.0.0", Group: "stream",
		Summary: "Commands that tell of streams, groups and consumers.", Complexity: "Depends on subcommand.",
		Subs: []*Spec{
			{
				Name: "consumers", Arity: 4, Flags: FlagReadonly | FlagClock, FirstKey: 2, LastKey: 2, KeyStep: 1,
				KeyFlags: []string{"RO", "access"}, Since: "5.0.0", Group: "stream", Run: runXInfoConsumers,
				Summary:    "Lists the consumers of a group.",
				Complexity: "O(N) in the consumers",
				Args:       []Arg{argKey("key"), argString("groupname")},
			},
			{
				Name: "groups", Arity: 3, Flags: FlagReadonly, FirstKey: 2, LastKey: 2, KeyStep: 1,
				KeyFlags: []string{"RO", "access"}, Since: "5.0.0", Group: "stream", Run: runXInfoGroups,
				Summary:    "Lists the groups of a stream.",
				Complexity: "O(N) in the groups",
				Args:       []Arg{argKey("key")},
			},
			{
				Name: "stream", Arity: -3, Flags: FlagReadonly, FirstKey: 2, LastKey: 2, KeyStep: 1,
				KeyFlags: []string{"RO", "access"}, Since: "5.0.0", Group: "stream", Run: runXInfoStream,
				Summary:    "Tells of a stream and, with FULL, of its entries, groups and consumers.",
				Complexity: "O(N) in the blocks of the stream, and in what is shown",
				Args:       []Arg{argKey("key"), argBlock("full", argInt("count").with("COUNT").optional()).with("FULL").optional()},
			},
		},
	},
	{
		Name: "xlen", Arity: 2, Flags: FlagReadonly | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RO"}, Since: "5.0.0", Group: "stream", Run: runXLen,
		Summary:    "Returns the number of entries of a stream.",
		Complexity: "O(1)",
		Args:       []Arg{argKey("key")},
	},
	{
		Name: "xpending", Arity: -3, Flags: FlagReadonly | FlagClock, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RO", "access"}, Since: "5.0.0", Group: "stream", Run: runXPending,
		Summary:    "Tells what a group was given and has not acknowledged.",
		Complexity: "O(N) in the consumers, or in the entries looked at",
		Args: []Arg{
			argKey("key"), argString("group"),
			argBlock("filters", argInt("min-idle-time").with("IDLE").optional().since("6.2.0"), argString("start"), argString("end"),
				argInt("count"), argString("consumer").optional()).optional(),
		},
	},
	{
		Name: "xrange", Arity: -4, Flags: FlagReadonly, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RO", "access"}, Since: "5.0.0", Group: "stream", Run: runXRange(false),
		Summary:    "Returns the entries of a stream within a range of ids.",
		Complexity: "O(log N) to find the first, and O(M) for M entries",
		Args:       []Arg{argKey("key"), argString("start"), argString("end"), argInt("count").with("COUNT").optional()},
	},
	{
		Name: "xread", Arity: -4, Flags: FlagReadonly | FlagBlocking | FlagMovableKeys,
		KeySpecs: []KeySpec{keysBehind("STREAMS", 1, "RO", "access")}, Keys: readKeys, Since: "5.0.0", Group: "stream",
		Run: runXRead, Logged: xreadLogged, Blocks: readWaits,
		Summary:    "Returns entries of streams behind an id for each, or waits for some.",
		Complexity: "O(log N) for each stream, and O(M) for M entries",
		Args: []Arg{
			argInt("count").with("COUNT").optional(), argInt("milliseconds").with("BLOCK").optional(), argStreams(),
		},
	},
	{
		Name: "xreadgroup", Event: noEvent, Arity: -7, Flags: FlagWrite | FlagBlocking | FlagMovableKeys,
		KeySpecs: []KeySpec{keysBehind("STREAMS", 4, "RO", "access")}, Keys: readKeys, Since: "5.0.0", Group: "stream",
		Run: runXReadGroup, Blocks: readWaits,
		Summary:    "Gives entries of streams that a group was not given yet to a consumer, or what is pending for it; or waits for some.",
		Complexity: "O(log N) for each entry, in what is pending",
		Args: []Arg{
			argBlock("group_consumer", argString("group"), argString("consumer")).with("GROUP"),
			argInt("count").with("COUNT").optional(), argInt("milliseconds").with("BLOCK").optional(),
			argToken("noack", "NOACK").optional(), argStreams(),
		},
	},
	{
		Name: "xrevrange", Arity: -4, Flags: FlagReadonly, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RO", "access"}, Since: "5.0.0", Group: "stream", Run: runXRange(true),
		Summary:    "Returns the entries of a stream within a range of ids, the highest first.",
		Complexity: "O(log N) to find the first, and O(M) for M entries",
		Args:       []Arg{argKey("key"), argString("end"), argString("start"), argInt("count").with("COUNT").optional()},
	},
	{
		Name: "xsetid", Arity: -3, Flags: FlagWrite | FlagDenyOOM | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RW", "update"}, Since: "5.0.0", Group: "stream", Run: runXSetID,
		Summary:    "Sets the highest id and the counters that a stream remembers.",
		Complexity: "O(log N) in the blocks of the stream",
		Args: []Arg{
			argKey("key"), argString("last-id"), argInt("entries_added").with("ENTRIESADDED").optional().since("7.0.0"),
			argString("max_deleted_entry_id").with("MAXDELETEDID").optional().since("7.0.0"),
		},
	},
	{
		Name: "xtrim", Arity: -4, Flags: FlagWrite, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RW", "delete"}, Since: "5.0.0", Group: "stream", Run: runXTrim,
		Summary:    "Removes entries from the front of a stream: all but so many, or those below an id.",
		Complexity: "O(N) in the entries removed, in steps of whole blocks",
		Args:       []Arg{argKey("key"), argTrim()},
	},
}
