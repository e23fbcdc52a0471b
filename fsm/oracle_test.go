//go:build oracle

package fsm

import (
	"fmt"
	"io"
	"math"
	"math/rand"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// liveRedis is a redis-server that speaks RESP2.
type liveRedis struct {
	t *testing.T
	o *oracle
}

func startRedis(t *testing.T) *liveRedis { return &liveRedis{t, startOracle(t, "2")} }

// do sends one command and returns the bytes of the reply.
func (o *liveRedis) do(args ...string) string { return o.o.do(o.t, args)[0] }

// now is the server's clock in ms.
func (o *liveRedis) now() int64 {
	f := strings.Split(o.do("TIME"), "\r\n")
	sec, err := strconv.ParseInt(f[2], 10, 64)
	require.NoError(o.t, err)
	usec, err := strconv.ParseInt(f[4], 10, 64)
	require.NoError(o.t, err)
	return sec*1000 + usec/1000
}

// values are texts at the edges of what numbers and strings may be.
var oracleValues = []string{"", "0", "1", "-1", "2", "10", "+1", "01", "-0", " 1", "1 ", "0x10", "0x1p3", "0X.8", "3.0e3", "1e5",
	"1e400", "1e-400", "1e5000", "1e-5000", "1e99999999999", "-1.5", ".5", "5.", ".", "e", "1e", "1e+", "inf", "-inf", "+Infinity", "infinit", "nan",
	"-nan", "1_0", "0b1", "0.1", "3.14159265358979323846", "123456789012345678901234567890", "9223372036854775807",
	"9223372036854775808", "-9223372036854775808", "-9223372036854775809", "9007199254740993", "4294967296",
	"2147483648", "-2147483648", "hello", "Hello World", "foo\x00bar", "\xff\xfe", "abcabba", "cbabac", "1\x00",
	"0.00000000000000001", "17179869184.5", "536870912", "100", "0x", "0x1p", "1p3", "0e99999999999", "00", "--1"}

type oracleGen struct {
	rnd  *rand.Rand
	keys []string
}

func (g *oracleGen) pick(s ...string) string { return s[g.rnd.Intn(len(s))] }
func (g *oracleGen) key() string             { return g.pick(g.keys...) }
func (g *oracleGen) val() string             { return g.pick(oracleValues...) }

// num is mostly a small number and sometimes anything.
func (g *oracleGen) num() string {
	if g.rnd.Intn(4) == 0 {
		return g.val()
	}
	return strconv.Itoa(g.rnd.Intn(40) - 20)
}

// far is a time to live that does not pass during the test, or an edge.
func (g *oracleGen) far() string {
	return g.pick("100", "1000", "5000", "0", "-1", "9223372036854775807", "9223372036854775", "-9223372036854775808", "x", "1.5")
}

func (g *oracleGen) some(n int, words ...string) []string {
	var s []string
	for range g.rnd.Intn(n + 1) {
		s = append(s, g.pick(words...))
	}
	return s
}

func (g *oracleGen) command() []string {
	k, v := g.key(), g.val()
	switch g.rnd.Intn(45) {
	case 0, 1, 2:
		return []string{"set", k, v}
	case 3, 4:
		return append([]string{"set", k, v}, g.some(3, "nx", "XX", "get", "keepttl", "EX", "1000", "persist")...)
	case 5:
		return []string{"set", k, v, g.pick("ex", "px"), g.pick("100000", "0", "x", "9223372036854775807"), g.pick("get", "nx", "xx", "keepttl")}
	case 6:
		return []string{"append", k, v}
	case 7:
		return []string{"incr", k}
	case 8:
		return []string{"decr", k}
	case 9:
		return []string{"incrby", k, g.num()}
	case 10:
		return []string{"decrby", k, g.num()}
	case 11, 12, 13:
		return []string{"incrbyfloat", k, v}
	case 14:
		return []string{"get", k}
	case 15:
		return []string{g.pick("getrange", "substr"), k, g.num(), g.num()}
	case 16:
		return []string{"setrange", k, g.num(), v}
	case 17:
		return []string{"strlen", k}
	case 18:
		return []string{"getset", k, v}
	case 19:
		return []string{"getdel", k}
	case 20:
		return append([]string{"getex", k}, g.some(2, "persist", "ex", "100", "EXAT", "1", "pxat", "x")...)
	case 21:
		return []string{"mget", k, g.key(), g.key()}
	case 22:
		return append([]string{"mset", k, v}, g.some(3, "a", "b", "c")...)
	case 23:
		return []string{"msetnx", k, v, g.key(), g.val()}
	case 24:
		return []string{"setnx", k, v}
	case 25:
		return []string{g.pick("setex", "psetex"), k, g.pick("100000", "0", "-5", "x", "9223372036854775807"), v}
	case 26:
		return append([]string{"lcs", k, g.key()}, g.some(4, "len", "idx", "withmatchlen", "minmatchlen", "2", "x")...)
	case 27:
		return []string{g.pick("del", "unlink", "exists", "touch"), k, g.key()}
	case 28:
		verb, ttl := g.pick("expire", "pexpire"), g.far()
		if verb == "pexpire" && len(ttl) < 5 || g.rnd.Intn(2) == 0 {
			ttl += "000" // a machine may be slow
		}
		return append([]string{verb, k, ttl}, g.some(2, "nx", "xx", "gt", "LT", "foo", "a\r\nb\x00c\n")...)
	case 29:
		return append([]string{g.pick("expireat", "pexpireat"), k, g.pick("1", "-1", "99999999999", "99999999999999", g.far())}, g.some(1, "nx", "gt", "lt")...)
	case 30:
		return []string{g.pick("ttl", "pttl", "expiretime", "pexpiretime"), k}
	case 31:
		return []string{"persist", k}
	case 32:
		return []string{g.pick("rename", "renamenx"), k, g.key()}
	case 33:
		return append([]string{"copy", k, g.key()}, g.some(3, "replace", "db", "1", "0", "16", "x", "99999999999")...)
	case 34:
		return []string{"move", k, g.pick("0", "1", "2", "16", "-1", "x", "99999999999")}
	case 35:
		return []string{"type", k}
	case 36:
		return []string{"keys", g.pick("*", "k?", "[a-z]*", "k[^1]", "*2*", "k\\1", "[", "k[1-", "")}
	case 37:
		return append([]string{"scan", g.pick("0", "0", "x", "-0", "", "1x"), "count", g.pick("100000", "0", "x")}, g.some(2, "match", "k*", "type", "string", "list")...)
	case 38:
		return []string{"rpush", k, v}
	case 39:
		return []string{"dbsize"}
	case 40:
		if g.rnd.Intn(8) == 0 {
			return append([]string{g.pick("flushdb", "flushall")}, g.some(2, "async", "SYNC", "x")...)
		}
		return []string{"randomkey"}
	case 41:
		return []string{"swapdb", g.pick("0", "1", "16", "x"), g.pick("0", "1", "-1", "y")}
	case 42:
		return []string{"lpop", k}
	case 43:
		return []string{"sadd", k, v}
	default:
		return []string{g.pick("get", "ttl", "append", "set", "mget", "lcs", "copy", "scan", "keys"), k}
	}
}

// sameReply compares two replies; sets of keys may differ in order, deadlines by the time between two servers.
func sameReply(cmd, want, got string) bool {
	switch cmd {
	case "keys", "scan":
		a, b := strings.Split(want, "\r\n"), strings.Split(got, "\r\n")
		sort.Strings(a)
		sort.Strings(b)
		return strings.Join(a, "\n") == strings.Join(b, "\n")
	case "ttl", "pttl", "expiretime", "pexpiretime":
		a, errA := strconv.ParseInt(strings.Trim(want, ":\r\n"), 10, 64)
		b, errB := strconv.ParseInt(strings.Trim(got, ":\r\n"), 10, 64)
		return want == got || errA == nil && errB == nil && a > 0 && b > 0 && a-b < 3000 && b-a < 3000
	case "randomkey":
		return want[0] == got[0] && (want == "$-1\r\n") == (got == "$-1\r\n")
	}
	return want == got
}

func TestOracleRandomCommands(t *testing.T) {
	o := startRedis(t)
	for seed := range int64(40) {
		o.do("flushall")
		o.do("select", "0")
		m := newMachine(t)
		g := &oracleGen{rnd: rand.New(rand.NewSource(seed)), keys: []string{"k1", "k2", "k3", "a", "{x}1", ""}}
		var history []string
		for i := range 1500 {
			if i%20 == 0 {
				m.now = o.now()
			}
			args := g.command()
			history = append(history, fmt.Sprintf("%q", args))
			want, got := o.do(args...), m.do(args...)
			if !sameReply(args[0], want, got) {
				from := max(0, len(history)-12)
				require.Equal(t, want, got, "seed %d step %d: %s", seed, i, strings.Join(history[from:], "\n"))
			}
		}
		require.NoError(t, m.s.Check())
	}
}

func TestOracleTexts(t *testing.T) {
	o := startRedis(t)
	m := newMachine(t)
	for _, a := range oracleValues {
		for _, b := range oracleValues {
			for _, cmd := range [][]string{{"set", "k", a}, {"incrbyfloat", "k", b}, {"set", "k", a}, {"incrby", "k", b}, {"zadd", "z", a, b}} {
				require.Equal(t, o.do(cmd...), m.do(cmd...), "%q", cmd)
			}
		}
		require.Equal(t, o.do("zcard", "z"), m.do("zcard", "z"), "%q", a)
		if a != "-0" { // a small zset of Redis loses the sign
			require.Equal(t, o.do("zscore", "z", "1"), m.do("zscore", "z", "1"), "%q", a)
		}
		o.do("del", "z")
		m.do("del", "z")
	}
}

// randomNumber is the text of a number: digits, a point, an exponent, hexadecimal now and then, damaged sometimes.
func randomNumber(rnd *rand.Rand) string {
	digits := func(n int, set string) string {
		b := make([]byte, rnd.Intn(n+1))
		for i := range b {
			b[i] = set[rnd.Intn(len(set))]
		}
		return string(b)
	}
	sign := []string{"", "", "", "-", "+"}[rnd.Intn(5)]
	if rnd.Intn(12) == 0 {
		return sign + "0x" + digits(18, "0123456789abcdefABCDEF.") + []string{"", "p" + digits(2, "0123456789"), "p-" + digits(3, "0123456789")}[rnd.Intn(3)]
	}
	s := sign + digits(22, "0123456789")
	if rnd.Intn(2) == 0 {
		s += "." + digits(25, "0123456789")
	}
	switch rnd.Intn(8) {
	case 0:
		s += "e" + []string{"", "-", "+"}[rnd.Intn(3)] + digits(3, "0123456789")
	case 1:
		s += "e-" + digits(1, "0123456789")
	case 2:
		s += digits(2, " x\x00en_")
	}
	return s
}

// TestOracleFloats compares arithmetic and the printing of numbers.
func TestOracleFloats(t *testing.T) {
	for _, proto := range []string{"2", "3"} {
		o, m := startOracle(t, proto), newMachine(t)
		w := wire{resp3: proto == "3"}
		rnd := rand.New(rand.NewSource(3))
		for range 400 {
			var cmds [][]string
			for range 10 {
				a, b := randomNumber(rnd), randomNumber(rnd)
				if rnd.Intn(3) == 0 {
					f := math.Float64frombits(rnd.Uint64())
					a = strconv.FormatFloat(f, []byte("efg")[rnd.Intn(3)], rnd.Intn(22)-1, 64)
				}
				cmds = append(cmds, []string{"set", "k", a}, []string{"incrbyfloat", "k", b}, []string{"hset", "h", "f", b}, []string{"hincrbyfloat", "h", "f", a},
					[]string{"zadd", "z", a, "m"}, []string{"zscore", "z", "m"}, []string{"zincrby", "z", b, "m"}, []string{"zadd", "y", b, "m"},
					[]string{"zunion", "2", "z", "y", "weights", b, a, "withscores"}, []string{"zcount", "z", a, b}, []string{"zrangebyscore", "z", "(" + a, b},
					[]string{"incrbyfloat", "sum", b}, []string{"get", "sum"}, []string{"incrby", "n", a})
				if rnd.Intn(10) == 0 {
					cmds = append(cmds, []string{"del", "sum", "n", "z", "y"})
				}
			}
			for i, want := range o.do(t, cmds...) {
				got := m.doOut(&w, cmds[i]...)
				// The sign of a zero depends on how Redis holds a sorted set.
				require.Equal(t, strings.ReplaceAll(want, "\n-0\r", "\n0\r"), strings.ReplaceAll(got, "\n-0\r", "\n0\r"), "%q", cmds[i])
			}
		}
	}
}

func TestOracleGlob(t *testing.T) {
	o := startRedis(t)
	rnd := rand.New(rand.NewSource(1))
	const letters = `ab*?[]^-\c`
	text := func(max int, set string) string {
		b := make([]byte, rnd.Intn(max))
		for i := range b {
			b[i] = set[rnd.Intn(len(set))]
		}
		return string(b)
	}
	m := newMachine(t)
	for range 60 {
		k := text(8, "abc-]^")
		m.do("set", k, "")
		o.do("set", k, "")
	}
	for range 20000 {
		p := text(9, letters)
		want, got := o.do("keys", p), m.do("keys", p)
		require.True(t, sameReply("keys", want, got), "pattern %q: %q, %q", p, want, got)
	}
}

// value reads one reply as nested slices of strings.
func (o *liveRedis) value() any {
	line, err := o.o.r.ReadString('\n')
	require.NoError(o.t, err)
	n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
	switch line[0] {
	case '*':
		list := []any{}
		for range n {
			list = append(list, o.value())
		}
		return list
	case '$':
		buf := make([]byte, n+2)
		_, err := io.ReadFull(o.o.r, buf)
		require.NoError(o.t, err)
		return string(buf[:n])
	}
	return strings.TrimSpace(line[1:])
}

func (o *liveRedis) ask(args ...string) any {
	_, err := o.o.conn.Write(rawCommand(args...))
	require.NoError(o.t, err)
	return o.value()
}

// fields turns an array of pairs into a map.
func fields(v any) map[string]any {
	m := map[string]any{}
	list := v.([]any)
	for i := 0; i+1 < len(list); i += 2 {
		m[list[i].(string)] = list[i+1]
	}
	return m
}

// describeDocs prints arguments of COMMAND DOCS in one line, as describeArgs those of a Spec.
func describeDocs(list any) string {
	var b strings.Builder
	if list == nil {
		return ""
	}
	for _, a := range list.([]any) {
		f := fields(a)
		fmt.Fprintf(&b, "%v:%v", f["name"], f["type"])
		if tok, ok := f["token"]; ok {
			fmt.Fprintf(&b, "=%v", tok)
		}
		if since, ok := f["since"]; ok {
			fmt.Fprintf(&b, "@%v", since)
		}
		flags := fmt.Sprint(f["flags"])
		if strings.Contains(flags, "optional") {
			b.WriteString("?")
		}
		if strings.Contains(flags, "multiple") {
			b.WriteString("+")
		}
		if inner := describeDocs(f["arguments"]); inner != "" {
			b.WriteString("(" + inner + ")")
		}
		b.WriteString(" ")
	}
	return strings.TrimSpace(b.String())
}

func describeArgs(args []Arg) string {
	var b strings.Builder
	for _, a := range args {
		fmt.Fprintf(&b, "%v:%v", a.Name, a.Type)
		if a.Token != "" {
			fmt.Fprintf(&b, "=%v", a.Token)
		}
		if a.Since != "" {
			fmt.Fprintf(&b, "@%v", a.Since)
		}
		if a.Optional {
			b.WriteString("?")
		}
		if a.Multiple {
			b.WriteString("+")
		}
		if inner := describeArgs(a.Args); inner != "" {
			b.WriteString("(" + inner + ")")
		}
		b.WriteString(" ")
	}
	return strings.TrimSpace(b.String())
}

// newer says that the oracle does not know the command.
func (s *Spec) newer() bool { return s.Since == "7.4.0" }

// TestOracleDocs compares arguments, group and key flags with COMMAND DOCS and COMMAND INFO.
func TestOracleDocs(t *testing.T) {
	o := startRedis(t)
	eachCommand(func(words []string, s *Spec) {
		if s.newer() {
			return
		}
		docs := fields(o.ask("command", "docs", words[0]).([]any)[1])
		if len(words) > 1 {
			docs = fields(fields(docs["subcommands"])[words[0]+"|"+words[1]])
		}
		require.Equal(t, docs["since"], s.Since, s.Name)
		require.Equal(t, strings.ReplaceAll(docs["group"].(string), "-", "_"), strings.ReplaceAll(s.Group, "-", "_"), s.Name)
		if want, got := describeDocs(docs["arguments"]), describeArgs(s.Args); grownSince70(s.Name) {
			require.Equal(t, want+" withscore:pure-token=WITHSCORE@7.2.0?", got)
		} else {
			require.Equal(t, want, got, s.Name)
		}
		info := o.ask("command", "info", strings.Join(words, "|")).([]any)[0].([]any)
		keySpecs, groups := info[8].([]any), s.KeyGroups()
		require.Len(t, groups, len(keySpecs), s.Name)
		for i := range groups {
			var want []string
			for _, f := range fields(keySpecs[i])["flags"].([]any) {
				want = append(want, f.(string))
			}
			require.Equal(t, want, groups[i].Flags, s.Name)
		}
		categories := fmt.Sprint(info[6])
		for _, word := range []string{"keyspace", "dangerous"} {
			require.Equal(t, strings.Contains(categories, "@"+word), strings.Contains(s.Categories, word), "%s %s", s.Name, word)
		}
	})
}

// TestOracleTable compares what the table says about the commands with COMMAND INFO.
func TestOracleTable(t *testing.T) {
	o := startRedis(t)
	eachCommand(func(words []string, s *Spec) {
		if s.newer() {
			return
		}
		f := strings.Split(o.do("command", "info", strings.Join(words, "|")), "\r\n")
		if arity := fmt.Sprintf(":%d", s.Arity); grownSince70(s.Name) {
			require.Equal(t, ":-3", arity, s.Name)
		} else {
			require.Equal(t, arity, f[4], s.Name)
		}
		n, err := strconv.Atoi(f[5][1:])
		require.NoError(t, err)
		flags := f[6 : 6+n]
		for word, flag := range map[string]Flags{"+write": FlagWrite, "+readonly": FlagReadonly, "+denyoom": FlagDenyOOM,
			"+fast": FlagFast, "+movablekeys": FlagMovableKeys, "+blocking": FlagBlocking, "+noscript": FlagNoScript} {
			found := false
			for _, have := range flags {
				found = found || have == word
			}
			require.Equal(t, found, s.Flags&flag != 0, "%s %s", s.Name, word)
		}
		require.Equal(t, []string{fmt.Sprintf(":%d", s.FirstKey), fmt.Sprintf(":%d", s.LastKey), fmt.Sprintf(":%d", s.KeyStep)},
			f[6+n:9+n], s.Name)
	})
}
