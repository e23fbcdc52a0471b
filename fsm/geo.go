package fsm

var geoCommands = []*Spec{
	{
		Name: "geoadd", Event: "zadd", Arity: -5, Flags: FlagWrite | FlagDenyOOM, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RW", "update"}, Since: "3.2.0", Group: "geo", Run: runGeoAdd,
		Summary:    "Adds members at places on earth, or moves them.",
		Complexity: "O(log(N)) per member, N = size of the sorted set",
		Args: []Arg{argKey("key"),
			argOneOf("condition", argToken("nx", "NX"), argToken("xx", "XX")).optional().since("6.2.0"),
			argToken("change", "CH").optional().since("6.2.0"),
			argBlock("longitude_latitude_member", argDouble("longitude"), argDouble("latitude"), argString("member")).many()},
	},
	{
		Name: "geodist", Arity: -4, Flags: FlagReadonly, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RO", "access"}, Since: "3.2.0", Group: "geo", Run: runGeoDist,
		Summary:    "Returns how far two members are from each other.",
		Complexity: "O(1)",
		Args:       []Arg{argKey("key"), argString("member1"), argString("member2"), argUnit().optional()},
	},
	{
		Name: "geohash", Arity: -2, Flags: FlagReadonly, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RO", "access"}, Since: "3.2.0", Group: "geo", Run: runGeoHash,
		Summary:    "Returns the standard geohashes of members.",
		Complexity: "O(N) in the members given",
		Args:       []Arg{argKey("key"), argString("member").many()},
	},
	{
		Name: "geopos", Arity: -2, Flags: FlagReadonly, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RO", "access"}, Since: "3.2.0", Group: "geo", Run: runGeoPos,
		Summary:    "Returns longitude and latitude of members.",
		Complexity: "O(N) in the members given",
		Args:       []Arg{argKey("key"), argString("member").many()},
	},
	{
		Name: "georadius", Event: "georadiusstore", Arity: -6, Flags: FlagWrite | FlagDenyOOM | FlagMovableKeys, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeySpecs: geoStoreKeys(6), Keys: geoKeys(6), Since: "3.2.0", Group: "geo", Run: geoQuery{from: fromPlace, stores: true}.run,
		Summary:    "Finds the members within a distance of a place, or stores them.",
		Complexity: geoComplexity,
		Deprecated: "6.2.0", ReplacedBy: "GEOSEARCH and GEOSEARCHSTORE with BYRADIUS",
		Args: append(geoRadiusArgs("6.2.0", argDouble("longitude"), argDouble("latitude")),
			argKeyOf("key", 1).with("STORE").optional(), argKeyOf("key", 2).with("STOREDIST").optional()),
	},
	{
		Name: "georadius_ro", Arity: -6, Flags: FlagReadonly, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RO", "access"}, Since: "3.2.10", Group: "geo", Run: geoQuery{from: fromPlace}.run,
		Summary:    "Finds the members within a distance of a place.",
		Complexity: geoComplexity,
		Deprecated: "6.2.0", ReplacedBy: "GEOSEARCH with BYRADIUS",
		Args: geoRadiusArgs("6.2.0", argDouble("longitude"), argDouble("latitude")),
	},
	{
		Name: "georadiusbymember", Event: "georadiusstore", Arity: -5, Flags: FlagWrite | FlagDenyOOM | FlagMovableKeys, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeySpecs: geoStoreKeys(5), Keys: geoKeys(5), Since: "3.2.0", Group: "geo", Run: geoQuery{from: fromMember, stores: true}.run,
		Summary:    "Finds the members within a distance of a member, or stores them.",
		Complexity: geoComplexity,
		Deprecated: "6.2.0", ReplacedBy: "GEOSEARCH and GEOSEARCHSTORE with BYRADIUS and FROMMEMBER",
		Args: append(geoRadiusArgs("", argString("member")),
			argKeyOf("key", 1).with("STORE").optional(), argKeyOf("key", 2).with("STOREDIST").optional()),
	},
	{
		Name: "georadiusbymember_ro", Arity: -5, Flags: FlagReadonly, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RO", "access"}, Since: "3.2.10", Group: "geo", Run: geoQuery{from: fromMember}.run,
		Summary:    "Finds the members within a distance of a member.",
		Complexity: geoComplexity,
		Deprecated: "6.2.0", ReplacedBy: "GEOSEARCH with BYRADIUS and FROMMEMBER",
		Args: geoRadiusArgs("", argString("member")),
	},
	{
		Name: "geosearch", Arity: -7, Flags: FlagReadonly, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RO", "access"}, Since: "6.2.0", Group: "geo", Run: geoQuery{name: "geosearch"}.run,
		Summary:    "Finds the members within a circle or a box.",
		Complexity: geoComplexity,
		Args: append(append([]Arg{argKey("key")}, geoSearchArgs()...),
			argToken("withcoord", "WITHCOORD").optional(), argToken("withdist", "WITHDIST").optional(), argToken("withhash", "WITHHASH").optional()),
	},
	{
		Name: "geosearchstore", Arity: -8, Flags: FlagWrite | FlagDenyOOM, FirstKey: 1, LastKey: 2, KeyStep: 1,
		KeySpecs: []KeySpec{oneKey(1, "OW", "update"), oneKey(2, "RO", "access")}, Since: "6.2.0", Group: "geo",
		Run:        geoQuery{name: "geosearchstore", stores: true}.run,
		Summary:    "Stores the members within a circle or a box.",
		Complexity: geoComplexity,
		Args: append(append([]Arg{argKey("destination"), argKeyOf("source", 1)}, geoSearchArgs()...),
			argToken("storedist", "STOREDIST").optional()),
	},
}

const geoComplexity = "O(N+M*log(M)) for N members in the cells around the area and M within it"

func argUnit() Arg {
	return argOneOf("unit", argToken("m", "M"), argToken("km", "KM"), argToken("ft", "FT"), argToken("mi", "MI"))
}

func argGeoOrder() Arg {
	return argOneOf("order", argToken("asc", "ASC"), argToken("desc", "DESC")).optional()
}

// argGeoCount is COUNT, with ANY since a version.
func argGeoCount(since string) Arg {
	return argBlock("count", argInt("count").with("COUNT"), argToken("any", "ANY").optional().since(since)).optional()
}

// geoRadiusArgs are the arguments of the GEORADIUS family but for where to store.
func geoRadiusArgs(anySince string, from ...Arg) []Arg {
	return append(append([]Arg{argKey("key")}, from...), argDouble("radius"), argUnit(),
		argToken("withcoord", "WITHCOORD").optional(), argToken("withdist", "WITHDIST").optional(), argToken("withhash", "WITHHASH").optional(),
		argGeoCount(anySince), argGeoOrder())
}

// geoSearchArgs are the arguments that GEOSEARCH and GEOSEARCHSTORE share.
func geoSearchArgs() []Arg {
	return []Arg{
		argOneOf("from", argString("member").with("FROMMEMBER"),
			argBlock("longitude_latitude", argDouble("longitude"), argDouble("latitude")).with("FROMLONLAT")),
		argOneOf("by", argBlock("circle", argDouble("radius").with("BYRADIUS"), argUnit()),
			argBlock("box", argDouble("width").with("BYBOX"), argDouble("height"), argUnit())),
		argGeoOrder(), argGeoCount(""),
	}
}

// geoStoreKeys are the groups of keys of the GEORADIUS family, whose options begin at a position.
func geoStoreKeys(options int) []KeySpec {
	return []KeySpec{oneKey(1, "RO", "access"), keyBehind("STORE", options, "OW", "update"), keyBehind("STOREDIST", options, "OW", "update")}
}

// geoKeys finds the keys of the GEORADIUS family: also some that are none, if the options are wrong.
func geoKeys(options int) func(args [][]byte, dst []int) []int {
	return func(args [][]byte, dst []int) []int {
		if len(args) > 1 {
			dst = append(dst, 1)
		}
		for i := options; i < len(args)-1; i++ {
			if matchWord(args[i], "store") || matchWord(args[i], "storedist") {
				dst = append(dst, i+1)
			}
		}
		return dst
	}
}
