package fsm

var bitmapCommands = []*Spec{
	{
		Name: "bitcount", Arity: -2, Flags: FlagReadonly, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RO", "access"}, Since: "2.6.0", Group: "bitmap", Run: runBitCount,
		Summary:    "Counts the bits that are set in a string or in a part of it.",
		Complexity: "O(N) in the length of the part",
		Args: []Arg{argKey("key"), argBlock("index", argInt("start"), argInt("end"),
			argIndexUnit()).optional()},
	},
	{
		Name: "bitfield", Event: "setbit", Arity: -2, Flags: FlagWrite | FlagDenyOOM, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RW", "access", "update", "variable_flags"}, VaryFlags: bitfieldKeyFlags, Since: "3.2.0", Group: "bitmap", Run: runBitfield,
		Summary:    "Reads and changes integers of any width at any bit of a string.",
		Complexity: "O(1) per operation, plus the gap that the string grows by",
		Args: []Arg{argKey("key"), argOneOf("operation",
			argBlock("encoding_offset", argString("encoding"), argInt("offset")).with("GET"),
			argBlock("write",
				argOneOf("wrap_sat_fail", argToken("wrap", "WRAP"), argToken("sat", "SAT"), argToken("fail", "FAIL")).with("OVERFLOW").optional(),
				argOneOf("write_operation",
					argBlock("encoding_offset_value", argString("encoding"), argInt("offset"), argInt("value")).with("SET"),
					argBlock("encoding_offset_increment", argString("encoding"), argInt("offset"), argInt("increment")).with("INCRBY"))),
		).optional().many()},
	},
	{
		Name: "bitfield_ro", Arity: -2, Flags: FlagReadonly | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RO", "access"}, Since: "6.0.0", Group: "bitmap", Run: runBitfieldRO,
		Summary:    "Reads integers of any width at any bit of a string.",
		Complexity: "O(1) per operation",
		Args: []Arg{argKey("key"),
			argBlock("encoding_offset", argString("encoding"), argInt("offset")).with("GET").optional().many().eachWith()},
	},
	{
		Name: "bitop", Event: "set", Arity: -4, Flags: FlagWrite | FlagDenyOOM, FirstKey: 2, LastKey: -1, KeyStep: 1,
		KeySpecs: []KeySpec{oneKey(2, "OW", "update"), keysFrom(3, "RO", "access")}, Since: "2.6.0", Group: "bitmap", Run: runBitOp,
		Summary:    "Stores the bitwise AND, OR, XOR or NOT of strings; shorter ones count as followed by zeros.",
		Complexity: "O(N) in the bytes of all strings",
		Args:       []Arg{argString("operation"), argKey("destkey"), argKeyOf("key", 1).many()},
	},
	{
		Name: "bitpos", Arity: -3, Flags: FlagReadonly, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RO", "access"}, Since: "2.8.7", Group: "bitmap", Run: runBitPos,
		Summary:    "Finds the first bit of a string, or of a part of it, that is set or clear.",
		Complexity: "O(N) in the length of the part",
		Args: []Arg{argKey("key"), argInt("bit"), argBlock("index", argInt("start"),
			argBlock("end_index", argInt("end"), argIndexUnit()).optional()).optional()},
	},
	{
		Name: "getbit", Arity: 3, Flags: FlagReadonly | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RO", "access"}, Since: "2.2.0", Group: "bitmap", Run: runGetBit,
		Summary:    "Returns one bit of a string; behind its end all are 0.",
		Complexity: "O(1)",
		Args:       []Arg{argKey("key"), argInt("offset")},
	},
	{
		Name: "setbit", Arity: 4, Flags: FlagWrite | FlagDenyOOM, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RW", "access", "update"}, Since: "2.2.0", Group: "bitmap", Run: runSetBit,
		Summary:    "Sets or clears one bit of a string, which grows with zeros if needed, and returns what it was.",
		Complexity: "O(1), plus the gap that the string grows by",
		Args:       []Arg{argKey("key"), argInt("offset"), argInt("value")},
	},
}

// argIndexUnit says whether a range counts bytes or bits.
func argIndexUnit() Arg {
	return argOneOf("index_unit", argToken("byte", "BYTE"), argToken("bit", "BIT")).optional().since("7.0.0")
}

// bitfieldKeyFlags are the flags of BITFIELD's key: only operations other than GET change it.
func bitfieldKeyFlags(args [][]byte) []string {
	ops, err := parseBitfield(args[min(2, len(args)):], nil)
	if err == "" && !writesBits(ops) {
		return []string{"RO", "access"}
	}
	return []string{"RW", "access", "update"}
}
