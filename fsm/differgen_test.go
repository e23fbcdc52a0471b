//go:build oracle

package fsm

import (
	"fmt"
	"math/rand"
	"slices"
	"strconv"
	"strings"
)

// differDBs is how many databases the random commands use.
const differDBs = 3

// differGen makes random commands from the documentation of their arguments.
type differGen struct {
	seed  int64
	rnd   *rand.Rand
	now   int64
	short bool // a short time to live was given
	big   bool // there are large collections
	brief bool // short ones are allowed in this round
	db    int
	all   []string
	names []string
	many  int      // keys that numkeys announced
	dumps []string // payloads of both sides

	streams *streamGen // nil = no streams in this round
}

// differKeys are the keys by the type they mostly hold; sorted sets q hold equal scores only, or BYLEX is undefined.
var differKeys = map[string][]string{
	"string": {"k1", "k2", "k3", "{k1}a"}, "list": {"l1", "l2", "{l1}a"}, "set": {"s1", "s2", "s3"},
	"hash": {"h1", "h2"}, "sorted-set": {"z1", "z2", "z3"}, "lex": {"q1", "q2"}, "bitmap": {"b1", "b2", "b3", "k1"},
	"hyperloglog": {"p1", "p2", "p3"}, "geo": {"g1", "g2", "z1"}, "stream": {"x1", "x2", "x3"},
}

func newDifferGen(seed int64) *differGen {
	g := &differGen{seed: seed, rnd: rand.New(rand.NewSource(seed))}
	for _, kind := range []string{"string", "list", "set", "hash", "sorted-set", "lex", "bitmap", "hyperloglog", "geo", "stream"} {
		g.all = append(g.all, differKeys[kind]...)
	}
	g.all = append(slices.Compact(slices.Sorted(slices.Values(g.all))), "", "none")
	g.brief = g.chance(3)
	if g.chance(2) {
		g.streams = &streamGen{rnd: g.rnd, top: 1, others: []string{"k1", "l2", "h1"}}
	}
	// A round has a focus: some of the commands, and those that make data.
	focus := g.rnd.Intn(3)
	for _, s := range Specs() {
		// The oracle has no deadlines of fields. Commands on streams come from a generator of their own; who waits gets no reply, see
		// TestRandomBlockingAsRedis.
		if s.newer() || s.Group == "stream" || s.Flags&FlagBlocking != 0 {
			continue
		}
		if focus == 0 || g.rnd.Intn(3) == 0 {
			g.names = append(g.names, s.Name)
		}
	}
	g.names = append(g.names, "set", "append", "rpush", "lpush", "sadd", "hset", "zadd", "zadd", "incrbyfloat", "pexpire")
	return g
}

func (g *differGen) pick(s ...string) string { return s[g.rnd.Intn(len(s))] }
func (g *differGen) chance(n int) bool       { return g.rnd.Intn(n) == 0 }

var differTexts = []string{"a", "b", "c", "d", "e1", "m1", "f1", "m7", "e2", "hello world", "x\r\ny", "\x00", "ab\x00cd", "\xff\xfe\x80", "héllo", "日本",
	"ohmytext", "mynewtext", strings.Repeat("x", 63), strings.Repeat("x", 64), strings.Repeat("y", 65), strings.Repeat("z", 300), strings.Repeat("w", 9000)}

func (g *differGen) val() string {
	switch g.rnd.Intn(4) {
	case 0:
		return g.pick(oracleValues...)
	case 1:
		return strconv.Itoa(g.rnd.Intn(30) - 10)
	case 2:
		b := make([]byte, g.rnd.Intn(12))
		for i := range b {
			b[i] = "abcABC0-[\\*?"[g.rnd.Intn(12)]
		}
		return string(b)
	}
	return g.pick(differTexts...)
}

func (g *differGen) integer() string {
	switch g.rnd.Intn(12) {
	case 0:
		return g.pick(oracleValues...)
	case 1:
		return g.pick("9223372036854775807", "-9223372036854775807", "4294967296", "2147483647", "-2147483648", "1000", "-1000")
	}
	return strconv.Itoa(g.rnd.Intn(14) - 5)
}

func (g *differGen) score() string {
	if g.chance(3) {
		return g.pick("inf", "-inf", "+inf", "1e3", "2.5", "0.1", "3.0000000000000004", "1e-7", "1e17", "123456789012345678", "0x10", "nan", "x", "", "1e400", "+5",
			"1.7976931348623157e308", "-1.7976931348623157e308", "5e-324", " 1", "Infinity")
	}
	return strconv.Itoa(g.rnd.Intn(20) - 6)
}

func (g *differGen) scoreEnd() string {
	if g.chance(3) {
		return g.pick("-inf", "+inf", "inf", "(inf", "(-inf", "(", "", "(2.5", "x", "(x", "nan", " 1", "1 ", "1e400", "(1e400", "0x2")
	}
	return g.pick("", "(") + strconv.Itoa(g.rnd.Intn(24)-8)
}

func (g *differGen) lexEnd() string {
	return g.pick("-", "+", "[", "(", "[a", "(a", "[b", "(c", "[m1", "(m2", "[m44", "[e", "x", "", "-x", "+x", "[\xff", "(hello world")
}

// timeArg is a time to live or a deadline: short ones pass within the round, some are past, none passes in between.
func (g *differGen) timeArg(name string) string {
	if g.chance(8) {
		return g.pick("0", "-1", "-100", "x", "", "1.5", "9223372036854775807", "-9223372036854775808", "9223372036854775", "9223372036854775806", "-9223372036854775", "01")
	}
	long := g.rnd.Int63n(1e8) + 1e6 // ms
	short := shortTTL - g.rnd.Int63n(2)*5
	if g.brief && g.chance(3) {
		switch name {
		case "milliseconds":
			g.short = true
			return strconv.FormatInt(short, 10)
		case "unix-time-milliseconds":
			g.short = true
			return strconv.FormatInt(g.now+short, 10)
		}
	}
	switch name {
	case "seconds":
		return strconv.FormatInt(long/1000, 10)
	case "milliseconds":
		return strconv.FormatInt(long, 10)
	case "unix-time-seconds":
		return g.pick("1", "1000000000", strconv.FormatInt(g.now/1000-2, 10), "4102444800", "4102444801", strconv.FormatInt((g.now+long)/1000, 10))
	}
	return g.pick("1", strconv.FormatInt(g.now-1000, 10), "4102444800000", "4102444801000", strconv.FormatInt(g.now+long, 10))
}

func (g *differGen) pattern() string {
	return g.pick("*", "k*", "?1", "[a-l]1", "[^k]*", "*1", "", "\\k1", "[", "k[1-", "*a*", "h?", "{k1}*", "e[1-3]*", "m*1", "***1", "[l-h]1", "[]]", "[\\]]", "a\\")
}

func (g *differGen) key(s *Spec) string {
	if s.Group == "hyperloglog" {
		return g.pick("p1", "p2", "p3", "p1", "p2", "k1", "s1")
	}
	if g.chance(40) {
		return g.pick("", "none")
	}
	kind := s.Group
	if _, ok := differKeys[kind]; !ok || g.chance(10) {
		return g.pick(g.all...)
	}
	if kind == "sorted-set" {
		switch {
		case strings.Contains(s.Name, "lex"):
			kind = "lex"
		case strings.Contains(s.Name, "union") || strings.Contains(s.Name, "inter") || strings.Contains(s.Name, "diff"):
			kind = g.pick("set", "sorted-set", "sorted-set", "sorted-set")
		}
	}
	return g.pick(differKeys[kind]...)
}

// value draws an argument that is no key and no option.
func (g *differGen) value(s *Spec, a *Arg) string {
	switch a.Name {
	case "seconds", "milliseconds", "unix-time-seconds", "unix-time-milliseconds":
		return g.timeArg(a.Name)
	case "ttl":
		return g.pick("0", "0", "0", g.timeArg("milliseconds"), "4102444800000")
	case "serialized-value":
		return g.pick(append(g.dumps, g.val(), "\x00\xc0\n\n\x00n\x9fWE\x0e\xaec\xbb")...)
	case "min", "max", "start", "stop":
		switch {
		case strings.Contains(s.Name, "byscore") || s.Name == "zcount":
			return g.scoreEnd()
		case strings.Contains(s.Name, "lex"):
			return g.lexEnd()
		case s.Name == "zrange" || s.Name == "zrangestore":
			return g.pick(g.integer(), g.integer(), g.scoreEnd(), g.lexEnd())
		}
		return g.integer()
	case "cursor":
		return g.pick("0", "0", "0", "0", "0", "x", "", "-1", "1 ", " 1", "18446744073709551615", "18446744073709551616", "7")
	case "pattern":
		if strings.HasPrefix(s.Name, "sort") {
			return g.pick("k*", "h*->f1", "#", "nosort", "*", "h*->", "b*", "{k1}*")
		}
		return g.pattern()
	case "type":
		return g.pick("string", "list", "SET", "zset", "hash", "stream", "x", "")
	case "db", "destination-db", "index1", "index2":
		return g.pick("0", "1", "2", "0", "1", "2", "16", "-1", "x", "99999999999", "")
	case "score":
		return g.score()
	case "weight":
		if g.big { // a sorted set that Redis does not pack prints -0
			return g.pick("1", "2", "0.1", "x", "1e300")
		}
		return g.pick("1", "2", "0", "-1.5", "inf", "x", "0.1", "-inf", "nan", "1e300")
	case "subcommand":
		return g.pick("getreg", "decode", "Encoding", "todense", "x", "")
	case "longitude":
		return g.pick("13.361389", "15.087269", "0", "-122.4194", "179.9", "-180", "180.1", "x", "1e2")
	case "latitude":
		return g.pick("38.115556", "37.502669", "0", "-33.9", "85.05112878", "86", "", "3.7e1")
	case "radius", "width", "height":
		return g.pick("0", "1", "200", "5000", "20000", "-1", "x", "1e9", "inf")
	case "encoding":
		return g.pick("i", "u", "i", "u", "I", "") + g.pick("1", "2", "5", "8", "16", "31", "32", "33", "63", "64", "65", "0", "", "x", strconv.Itoa(g.rnd.Intn(63)+1))
	case "operation":
		return g.pick("AND", "or", "XOR", "not", "NOT", "nand")
	case "bit":
		return g.pick("0", "1", "0", "1", "2", "x")
	case "offset", "value":
		if s.Group == "bitmap" {
			return g.bitArg(s, a)
		}
	case "increment", "decrement":
		if s.Name == "zincrby" {
			return g.score()
		}
		return g.pick(g.integer(), g.integer(), g.val())
	}
	if a.Type == "integer" {
		return g.integer()
	}
	if s.Group != "string" && !g.chance(4) {
		return g.member()
	}
	return g.val()
}

// bitArg is the position of a bit or what becomes of it.
func (g *differGen) bitArg(s *Spec, a *Arg) string {
	switch {
	case a.Name == "value" && s.Name == "setbit":
		return g.pick("0", "1", "0", "1", "1", "2", "x")
	case a.Name == "value":
		return g.pick(g.integer(), strconv.FormatInt(int64(g.rnd.Uint64()), 10), strconv.FormatInt(int64(g.rnd.Uint64()>>1>>g.rnd.Intn(63)), 10))
	case g.chance(12):
		return g.pick("-1", "x", "", "#", "#x", "4294967296", "#-1", "9223372036854775807", "#9223372036854775807", "01")
	}
	return g.pick("", "", "#") + strconv.Itoa(g.rnd.Intn(g.rnd.Intn(9000)+1))
}

// member is one of few, so that commands find what others put there.
func (g *differGen) member() string {
	return g.pick("a", "b", "c", "d", "1", "2", "3", "e1", "e7", "m1", "m2", "m44", "f1", "f2", "")
}

// refill makes most keys hold what they are named for, so that the commands that follow have something to work on.
func (g *differGen) refill() (cmds [][]string) {
	for _, k := range g.all {
		verb := map[byte]string{'k': "SET", 'l': "RPUSH", 's': "SADD", 'h': "HSET", 'z': "ZADD", 'q': "ZADD", 'b': "SET"}[(k + "-")[0]]
		if verb == "" || g.chance(4) {
			continue
		}
		cmd := []string{verb, k}
		if verb == "SET" {
			cmds = append(cmds, append(cmd, g.val()))
			continue
		}
		if g.chance(3) {
			cmds = append(cmds, []string{"DEL", k})
		}
		for range g.rnd.Intn(8) + 1 {
			switch k[0] {
			case 'h':
				cmd = append(cmd, g.member(), g.val())
			case 'z':
				cmd = append(cmd, strconv.Itoa(g.rnd.Intn(9)-3), g.member())
			case 'q':
				cmd = append(cmd, "0", g.member())
			default:
				cmd = append(cmd, g.member())
			}
		}
		cmds = append(cmds, cmd)
	}
	return cmds
}

func (g *differGen) arg(s *Spec, a *Arg, args []string) []string {
	if a.Optional && !g.chance(3) {
		return args
	}
	times := 1
	switch {
	case a.Type == "key" && g.many > 0:
		times = g.many
	case a.Name == "weight":
		times = max(1, g.many)
	case a.Multiple:
		times = 1 + g.rnd.Intn(4)
	}
	for i := range times {
		if a.Token != "" && (i == 0 || a.Name != "weight") {
			args = append(args, g.word(a.Token))
		}
		switch a.Type {
		case "key":
			args = append(args, g.key(s))
		case "pure-token":
		case "oneof":
			args = g.arg(s, &a.Args[g.rnd.Intn(len(a.Args))], args)
		case "block":
			for i := range a.Args {
				args = g.arg(s, &a.Args[i], args)
			}
		default:
			if a.Name == "numkeys" {
				g.many = 1 + g.rnd.Intn(3)
				args = append(args, strconv.Itoa(g.many))
				continue
			}
			args = append(args, g.value(s, a))
		}
	}
	return args
}

// word writes an option in some case.
func (g *differGen) word(w string) string {
	if g.chance(3) {
		return strings.ToLower(w)
	}
	return w
}

// commands makes a command, and before it what makes it comparable.
func (g *differGen) commands() [][]string {
	if g.streams == nil || !g.chance(4) {
		return [][]string{g.command()}
	}
	cmd := g.streams.command()
	switch {
	case cmd[0] == "xsetid": // deleted ids count since 7.2
		cmd = []string{"xlen", cmd[1]}
	case cmd[0] == "object encoding":
		cmd = []string{"object", "encoding", cmd[1]}
	}
	return append(consumers(cmd), cmd)
}

func (g *differGen) command() []string {
	if g.chance(60) {
		g.db = g.rnd.Intn(differDBs)
		return []string{"SELECT", strconv.Itoa(g.db)}
	}
	s := Lookup([]byte(g.pick(g.names...)))
	if s.Flags&FlagAllKeys != 0 && s.Flags&FlagWrite != 0 && !g.chance(10) {
		s = Lookup([]byte(g.pick("mset", "lpush", "sadd", "hset", "zadd")))
	}
	g.many = 0
	args := []string{g.word(strings.ToUpper(s.Name))}
	for i := range s.Args {
		args = g.arg(s, &s.Args[i], args)
	}
	if g.chance(25) && len(args) > 1 { // an option's word where a value belongs
		args[1+g.rnd.Intn(len(args)-1)] = g.word(g.pick("NX", "XX", "GT", "CH", "INCR", "WITHSCORES", "LIMIT", "COUNT", "LEFT", "MIN", "WEIGHTS", "AGGREGATE", "EX", "KEEPTTL", "BYLEX", "BEFORE", "IDX"))
	}
	if g.chance(4) {
		args = g.shuffleTail(s, args)
	}
	if g.chance(15) {
		args = g.damage(args)
	}
	return g.tame(s, args)
}

// shuffleTail repeats or moves options.
func (g *differGen) shuffleTail(s *Spec, args []string) []string {
	var words []string
	var collect func(list []Arg)
	collect = func(list []Arg) {
		for _, a := range list {
			if a.Token != "" {
				words = append(words, a.Token)
			}
			collect(a.Args)
		}
	}
	collect(s.Args)
	if len(words) == 0 {
		return args
	}
	for range 1 + g.rnd.Intn(3) {
		args = append(args, g.word(g.pick(words...)))
		if g.chance(2) {
			args = append(args, g.pick("1", "2", "0", "-1", "10", "100000"))
		}
	}
	return args
}

func (g *differGen) damage(args []string) []string {
	switch g.rnd.Intn(4) {
	case 0:
		return args[:1+g.rnd.Intn(len(args))]
	case 1:
		return append(args, g.pick("x", "COUNT", "WITHSCORES", "LIMIT", "1", "GET", "NX", "", "MATCH", "IDX", "REPLACE"))
	case 2:
		if len(args) > 1 {
			args[1+g.rnd.Intn(len(args)-1)] = g.pick("x", "", "1.5", "0", "-1", "9223372036854775807", "9223372036854775808")
		}
	default:
		if len(args) > 2 {
			i, j := 1+g.rnd.Intn(len(args)-1), 1+g.rnd.Intn(len(args)-1)
			args[i], args[j] = args[j], args[i]
		}
	}
	return args
}

// tame keeps a command away from what is not comparable.
func (g *differGen) tame(s *Spec, args []string) []string {
	lex := strings.Contains(s.Name, "lex")
	if s.Group == "geo" {
		g.tameGeo(s, args)
	}
	if grownSince70(s.Name) {
		args = args[:min(3, len(args))]
	}
	for i := range args {
		if i == 0 {
			continue
		}
		lex = lex || strings.HasPrefix(s.Name, "zrange") && strings.EqualFold(args[i], "bylex")
		if w := strings.ToLower(args[i-1]); (w == "px" || w == "ex") && len(args[i]) < 4 && args[i] > "0" {
			args[i] = "300000" // must not pass before it is looked at
		}
		if args[i] == "-9223372036854775808" && (s.Name == "lpos" || strings.Contains(s.Name, "rand")) {
			args[i] = "-1" // Redis 7.0 overflows
		}
	}
	isLexKey := func(k string) bool { return k == "q1" || k == "q2" }
	if strings.HasPrefix(s.Name, "sort") {
		g.tameSort(args)
	}
	if n := 0; s.Name == "restore" && len(args) > 2 {
		if n, _ = strconv.Atoi(args[2]); n > 0 && n < shortTTL-10 {
			args[2] = "0" // must not pass before it is looked at
		}
	}
	raw := make([][]byte, len(args))
	for i, a := range args {
		raw[i] = []byte(a)
	}
	positions := s.KeyPositions(raw, nil)
	for n, i := range positions {
		switch {
		case lex && s.Name == "zrangestore" && n == 0:
		case lex && !isLexKey(args[i]):
			args[i] = g.pick("q1", "q2")
		case !lex && s.Flags&FlagWrite != 0 && isLexKey(args[i]):
			switch s.Name {
			case "zadd":
				return []string{"ZADD", args[i], "0", g.val(), "0", g.val()}
			case "zincrby", "zunionstore", "zinterstore", "zdiffstore", "zrangestore", "rename", "renamenx", "copy",
				"restore", "geoadd", "geosearchstore", "georadius", "georadiusbymember":
				args[i] = "z1"
			}
		}
	}
	if strings.Contains(s.Name, "rand") && len(args) > 2 {
		if n, err := strconv.ParseInt(args[2], 10, 64); err == nil && n < -1000 {
			args[2] = "-7" // bounded here, without end there
		}
	}
	return args
}

// tameSort keeps SORT away from sets that are not sorted, which Redis orders by chance, and from sorted sets, which it unpacks. What
// has no order among equal weights is not sorted by keys as texts.
func (g *differGen) tameSort(args []string) {
	if len(args) > 1 && !strings.HasPrefix(args[1], "l") {
		args[1] = g.pick("l1", "l2", "s1")
	}
	has := func(word string) bool {
		return slices.ContainsFunc(args, func(a string) bool { return strings.EqualFold(a, word) })
	}
	by, texts := has("by"), has("alpha")
	if by && args[1] == "s1" {
		args[1] = "l1"
	}
	for i, a := range args {
		switch {
		case i > 1 && by && strings.EqualFold(a, "alpha"):
			args[i] = "ASC"
		case i > 1 && strings.EqualFold(a, "store") && (by || !texts): // sorting by numbers fails there now and then: see same
			args[i] = "LIMIT"
		}
	}
}

// tameGeo keeps a search away from distances that are stored, whose last bits may differ, and from the first few of members
// at one place, of which Redis takes any.
func (g *differGen) tameGeo(s *Spec, args []string) {
	every := slices.ContainsFunc(args, func(a string) bool { return strings.EqualFold(a, "any") })
	for i, a := range args {
		switch {
		case i > 0 && strings.EqualFold(a, "storedist") && s.Name == "geosearchstore":
			args[i] = "ASC"
		case i > 0 && strings.EqualFold(a, "storedist"):
			args[i] = "STORE"
		case i > 0 && strings.EqualFold(args[i-1], "count") && !every && a > "0" && a < ":":
			args[i] = "1000"
		}
	}
}

// inspection reads the whole keyspace.
func (g *differGen) inspection() (cmds [][]string) {
	for db := range differDBs {
		cmds = append(cmds, []string{"SELECT", strconv.Itoa(db)}, []string{"KEYS", "*"})
		for _, k := range g.all {
			cmds = append(cmds, []string{"TYPE", k}, []string{"PEXPIRETIME", k}, []string{"GET", k}, []string{"LRANGE", k, "0", "-1"},
				[]string{"SMEMBERS", k}, []string{"HGETALL", k}, []string{"OBJECT", "ENCODING", k}, []string{"OBJECT", "REFCOUNT", k}, []string{"ZRANGE", k, "0", "-1", "WITHSCORES"},
				[]string{"xinfo", "stream", k, "full", "count", "0"})
		}
	}
	if !g.chance(3) {
		g.db = 0
	}
	return append(cmds, []string{"SELECT", strconv.Itoa(g.db)})
}

// dumpAll reads the payloads of all keys.
func (g *differGen) dumpAll() (cmds [][]string) {
	for db := range differDBs {
		cmds = append(cmds, []string{"SELECT", strconv.Itoa(db)})
		for _, k := range g.all {
			cmds = append(cmds, []string{"DUMP", k})
		}
	}
	return append(cmds, []string{"SELECT", strconv.Itoa(g.db)})
}

// large gives some rounds collections that are beyond the packed encodings of Redis.
func (g *differGen) large() (cmds [][]string) {
	if g.big = g.chance(3); !g.big {
		return nil
	}
	for _, k := range []string{"l1", "s1", "h1", "z1", "q1"} {
		verb := map[byte]string{'l': "rpush", 's': "sadd", 'h': "hset", 'z': "zadd", 'q': "zadd"}[k[0]]
		cmd := []string{verb, k}
		for i := range g.rnd.Intn(700) + 1 {
			switch k[0] {
			case 'h':
				cmd = append(cmd, fmt.Sprint("f", i), g.val())
			case 'z':
				cmd = append(cmd, strconv.Itoa(g.rnd.Intn(50)), fmt.Sprint("m", i))
			case 'q':
				cmd = append(cmd, "0", fmt.Sprint("m", i))
			default:
				cmd = append(cmd, fmt.Sprint("e", i%300))
			}
		}
		if len(cmd) > 3 {
			cmds = append(cmds, cmd)
		}
	}
	return cmds
}
