package fsm

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// encoding is what OBJECT ENCODING answers for key.
func (m *machine) encoding(key string) string {
	_, word, _ := strings.Cut(m.do("object", "encoding", key), "\r\n")
	return strings.TrimSuffix(word, "\r\n")
}

// series returns a command with the words that f makes of 0 to n-1.
func series(n int, f func(i int) []string, cmd ...string) []string {
	for i := range n {
		cmd = append(cmd, f(i)...)
	}
	return cmd
}

func digits(i int) []string   { return []string{fmt.Sprint(i)} }
func letters(i int) []string  { return []string{fmt.Sprint("m", i)} }
func pairs(i int) []string    { return []string{fmt.Sprint(i), "v"} }
func scored(i int) []string   { return []string{"1", fmt.Sprint("m", i)} }
func repeated(int) []string   { return []string{"same"} }
func oneScore(int) []string   { return []string{"1", "same"} }
func oneField(int) []string   { return []string{"same", "v"} }
func sized(n int) string      { return strings.Repeat("x", n) }
func words(s string) []string { return strings.Fields(s) }

// formCase is a history of one key, k, and the encoding it ends with.
type formCase struct {
	want string
	cmds [][]string
}

// formCases holds what Redis 7.0 answers, too, but for the names of packed lists and sets.
var formCases = []formCase{
	{"int", [][]string{words("set k 12345")}},
	{"int", [][]string{words("set k -9223372036854775808")}},
	{"embstr", [][]string{words("set k 9223372036854775808")}},
	{"embstr", [][]string{words("set k 01")}},
	{"embstr", [][]string{{"set", "k", ""}}},
	{"embstr", [][]string{{"set", "k", sized(44)}}},
	{"raw", [][]string{{"set", "k", sized(45)}}},
	{"int", [][]string{words("append k 12")}},
	{"raw", [][]string{words("append k 12"), words("append k 3")}},
	{"raw", [][]string{words("set k a"), {"append", "k", ""}}},
	{"raw", [][]string{words("setrange k 0 7")}},
	{"raw", [][]string{words("set k 7"), words("setrange k 0 8")}},
	{"int", [][]string{words("set k 7"), words("setrange k 0 8"), words("incr k")}},
	{"int", [][]string{words("incrbyfloat k 1.5"), words("incrbyfloat k 0.5"), words("incr k")}},
	{"embstr", [][]string{words("set k 1"), words("incrbyfloat k 1")}},
	{"embstr", [][]string{words("incrbyfloat k 1")}},
	{"raw", [][]string{words("set a 7"), words("setrange a 0 8"), words("copy a k")}},
	{"embstr", [][]string{words("incrbyfloat a 3"), words("rename a k")}},
	{"int", [][]string{words("setrange k 0 8"), words("getset k 9")}},
	{"int", [][]string{words("setrange k 0 8"), words("getex k ex 100"), words("set k 1 keepttl")}},

	{"listpack", [][]string{series(512, pairs, "hset", "k")}},
	{"hashtable", [][]string{series(512, pairs, "hset", "k"), words("hset k new v")}},
	{"listpack", [][]string{{"hset", "k", "f", sized(64)}}},
	{"hashtable", [][]string{{"hset", "k", "f", sized(65)}}},
	{"hashtable", [][]string{{"hsetnx", "k", sized(65), "v"}}},
	{"hashtable", [][]string{{"hset", "k", "f", sized(65), "g", "v"}, words("hdel k f")}},
	{"hashtable", [][]string{{"hset", "a", "f", sized(65), "g", "v"}, words("hdel a f"), words("copy a k")}},
	{"hashtable", [][]string{{"hset", "a", "f", sized(65), "g", "v"}, words("hdel a f"), words("rename a k")}},
	{"listpack", [][]string{{"hset", "k", "f", sized(65)}, words("del k"), words("hincrby k f 1")}},

	{"intset", [][]string{series(512, digits, "sadd", "k")}},
	{"hashtable", [][]string{series(512, digits, "sadd", "k"), words("sadd k 512")}},
	{"hashtable", [][]string{series(512, digits, "sadd", "k"), words("sadd k a")}},
	{"hashtable", [][]string{series(128, digits, "sadd", "k"), words("sadd k a")}},
	{"hashtable", [][]string{series(200, letters, "sadd", "k"), words("spop k 5")}},
	{"hashtable", [][]string{words("sadd k 1 2"), {"sadd", "k", sized(65)}}},
	{"hashtable", [][]string{series(513, digits, "sadd", "a"), words("copy a k"), words("srem k 1 2 3")}},
	{"intset", [][]string{words("sadd a 1 2"), words("sadd b 1 3"), words("sunionstore k a b")}},
	{"intset", [][]string{words("sadd a 1 2 a"), words("sadd b 1 2 b"), words("sinterstore k a b")}},
	{"hashtable", [][]string{series(600, digits, "sadd", "a"), series(600, letters, "sadd", "b"), words("sadd b 1"), words("sunionstore k a b")}},
	{"hashtable", [][]string{series(600, letters, "sadd", "a"), words("sadd b m1"), words("sdiffstore k a b")}},
	{"intset", [][]string{series(700, digits, "sadd", "a"), series(690, digits, "sadd", "b"), words("sdiffstore k a b")}},
	{"intset", [][]string{words("sadd a 1"), words("smove a k 1")}},

	{"listpack", [][]string{series(128, scored, "zadd", "k")}},
	{"skiplist", [][]string{series(128, scored, "zadd", "k"), words("zadd k 1 new")}},
	{"listpack", [][]string{{"zadd", "k", "1", sized(64)}}},
	{"skiplist", [][]string{{"zadd", "k", "1", sized(65)}}},
	{"skiplist", [][]string{{"zadd", "k", "1", "a", "2", sized(65)}, {"zrem", "k", sized(65)}}},
	{"skiplist", [][]string{{"zadd", "a", "1", "a", "2", sized(65)}, words("zremrangebyrank a 1 1"), words("copy a k")}},
	{"listpack", [][]string{{"zadd", "a", "1", "a", "2", sized(65)}, words("zrangestore k a 0 0")}},
	{"listpack", [][]string{{"zadd", "a", "1", "a", "2", sized(65)}, words("zadd b 1 a"), words("zinterstore k 2 a b")}},
	{"skiplist", [][]string{{"zadd", "a", "1", "a", "2", sized(65)}, words("zunionstore k 1 a")}},
	{"skiplist", [][]string{series(100, scored, "zadd", "a"), series(100, letters, "sadd", "b"), words("sadd b " + strings.Join(series(29, digits), " ")),
		words("zunionstore k 2 a b")}},
	{"listpack", [][]string{{"zincrby", "k", "5", sized(64)}}},

	{"listpack", [][]string{words("rpush k a b")}},
	{"quicklist", [][]string{{"rpush", "k", sized(8186)}}},
	{"quicklist", [][]string{series(2000, letters, "rpush", "k")}},
	{"quicklist", [][]string{series(2000, letters, "rpush", "a"), words("copy a k")}},
}

// formCases72 differ from Redis 7.0: the number of arguments decides, or what is left is held anew in another way.
var formCases72 = []formCase{
	{"listpack", [][]string{words("sadd k a")}},
	{"listpack", [][]string{words("sadd k 1 a"), words("srem k a")}},
	{"hashtable", [][]string{series(129, letters, "sadd", "k")}},
	{"hashtable", [][]string{series(129, repeated, "sadd", "k")}},
	{"listpack", [][]string{words("sadd k 1"), series(129, repeated, "sadd", "k")}},
	{"hashtable", [][]string{words("sadd k a"), append(series(129, repeated, "sadd", "k"), "b")}},
	{"hashtable", [][]string{series(513, func(i int) []string { return digits(i % 5) }, "sadd", "k")}},
	{"listpack", [][]string{series(600, digits, "sadd", "k"), words("spop k 590")}},
	{"listpack", [][]string{words("sadd a 1 x"), words("sadd b 1 x y"), words("sinterstore k a b")}},
	{"hashtable", [][]string{series(200, letters, "sadd", "a"), words("srem a " + strings.Join(series(198, letters), " ")), words("sadd b m198 m199 c"),
		words("sinterstore k a b")}},
	{"skiplist", [][]string{series(129, oneScore, "zadd", "k")}},
	{"skiplist", [][]string{words("zadd k 1 a"), append(series(129, oneScore, "zadd", "k"), "2", "a")}},
	{"hashtable", [][]string{series(513, oneField, "hset", "k")}},
	{"listpack", [][]string{{"rpush", "k", sized(8185)}}},
	{"quicklist", [][]string{{"rpush", "k", sized(8185)}, words("rpush k a")}},
	{"quicklist", [][]string{{"rpush", "k", sized(8185)}, words("rpush k a"), words("rpop k")}},
	{"listpack", [][]string{{"rpush", "k", sized(8185)}, words("rpush k a"), words("lpop k")}},
	{"listpack", [][]string{series(2000, letters, "rpush", "k"), words("ltrim k 0 500")}},
	{"listpack", [][]string{series(2000, letters, "rpush", "k"), words("rpush k a a a"), words("ltrim k 500 -1"), words("lpop k 1000")}},
	{"listpack", [][]string{words("rpush k a"), {"lset", "k", "0", sized(9000)}, words("lset k 0 b")}},
	{"quicklist", [][]string{words("rpush k a"), {"linsert", "k", "before", "a", sized(9000)}}},
	{"quicklist", [][]string{{"rpush", "a", sized(9000)}, words("lmove a k left left")}},
	{"listpack", [][]string{{"rpush", "k", sized(9000), "a"}, {"lrem", "k", "0", sized(9000)}}},
}

func (c *formCase) String() string {
	var b strings.Builder
	for _, cmd := range c.cmds {
		line := strings.Join(cmd, " ")
		fmt.Fprintf(&b, "%.60s; ", line)
	}
	return b.String()
}

func TestEncodings(t *testing.T) {
	for _, list := range [][]formCase{formCases, formCases72} {
		for i := range list {
			c := &list[i]
			m := newMachine(t)
			for _, cmd := range c.cmds {
				require.NotEqual(t, byte('-'), m.do(cmd...)[0], c)
			}
			require.Equal(t, c.want, m.encoding("k"), c)

			// The form is state: a follower has it, and a node that was restored from a snapshot.
			require.Equal(t, stateHash(m.s), stateHash(m.replay()), c)
			s := NewStore()
			require.NoError(t, s.Restore(bytes.NewReader(payload(t, m.s))), c)
			require.NoError(t, s.Check())
			require.Equal(t, stateHash(m.s), stateHash(s), c)
			m.s = s
			require.Equal(t, c.want, m.encoding("k"), c)
		}
	}
}

func TestRefCount(t *testing.T) {
	script(t, newMachine(t), [][2]string{
		{"object refcount k", "$-1"},
		{"object encoding k", "$-1"},
		{"set k 0", "+OK"},
		{"object refcount k", ":2147483647"},
		{"set k 9999", "+OK"},
		{"object refcount k", ":2147483647"},
		{"incr k", ":10000"},
		{"object refcount k", ":1"},
		{"decr k", ":9999"},
		{"object refcount k", ":2147483647"},
		{"set k -1", "+OK"},
		{"object refcount k", ":1"},
		{"rpush l 1", ":1"},
		{"object refcount l", ":1"},
	}...)
}

// A payload of version 1 has no forms: values have those of values built anew. What no version writes is refused.
func TestSnapshotForms(t *testing.T) {
	key := func(code uint64, key string, val []byte) []byte {
		b := appendUint(nil, 1, uint64(Slot([]byte(key))), 1, code, 0, 1, uint64(len(key)))
		b = append(b, key...)
		b = appendUint(b, uint64(len(val)))
		return append(append(b, val...), 0, 1)
	}
	head := func(magic string) []byte { return append([]byte(magic), make([]byte, 16)...) }
	big := &setValue{}
	for i := range 200 {
		big.insert([]byte(letters(i)[0]))
	}
	for _, c := range []struct {
		first bool
		code  uint64
		val   []byte
		want  string // "" = refused
	}{
		{true, 1, []byte("12"), "int"}, {true, 1, []byte("ab"), "embstr"}, {true, 1, []byte(sized(45)), "raw"}, {true, 3, big.appendTo(nil), "hashtable"},
		{true, 1 | 1<<4, []byte("12"), ""}, {false, 1, []byte("12"), ""}, {true, 6, nil, ""}, {true, 0, nil, ""},
		{false, 1 | 1<<4, []byte("12"), "int"}, {false, 1 | 2<<4, []byte("12"), "embstr"}, {false, 1 | 3<<4, []byte("12"), "raw"},
		{false, 1 | 3<<4, []byte(sized(45)), "raw"}, {false, 1 | 2<<4, []byte(sized(45)), ""}, {false, 1 | 1<<4, []byte("a"), ""},
		{false, 3 | 3<<4, big.appendTo(nil), "hashtable"}, {false, 3 | 2<<4, big.appendTo(nil), ""}, {false, 2 | 3<<4, big.appendTo(nil), ""},
		{false, 1 | 4<<4, []byte("12"), ""}, {false, 1<<60 | 1 | 1<<4, []byte("12"), ""},
	} {
		magic := snapshotMagic + "\x02"
		if c.first {
			magic = snapshotMagic + "\x01"
		}
		m := newMachine(t)
		err := m.s.Restore(bytes.NewReader(append(head(magic), key(c.code, "k", c.val)...)))
		if c.want == "" {
			require.Error(t, err, "%+v", c)
			continue
		}
		require.NoError(t, err, "%+v", c)
		require.Equal(t, c.want, m.encoding("k"), "%+v", c)
	}
	require.ErrorContains(t, NewStore().Restore(bytes.NewReader(head("kvfsm\x00\x00\x06"))), "unknown version")
}

// A list knows its packed size whatever was done to it.
func TestListPackedSize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t)
		elem := rapid.SampledFrom([]string{"1", "-5000", "123456789", "99999999999", "a", sized(63), sized(64), sized(130), sized(4095), sized(4096), "070"})
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			i := fmt.Sprint(rapid.IntRange(-5, 5).Draw(t, "i"))
			switch rapid.IntRange(0, 8).Draw(t, "op") {
			case 0:
				m.do("lpop", "k")
			case 1:
				m.do("lset", "k", i, elem.Draw(t, "e"))
			case 2:
				m.do("linsert", "k", "after", elem.Draw(t, "pivot"), elem.Draw(t, "e"))
			case 3:
				m.do("lrem", "k", i, elem.Draw(t, "e"))
			case 4:
				m.do("ltrim", "k", i, "-2")
			case 5:
				m.do("lmove", "k", "k", "left", "right")
			default:
				m.do("rpush", "k", elem.Draw(t, "e"), elem.Draw(t, "f"))
			}
			p, ok := m.s.tx.findWrite(0, []byte("k"))
			if !ok {
				continue
			}
			l := p.collection(new(light)).(*listValue)
			sum := 0
			for it, n := l.iter(0, false), l.len(); n > 0; n-- {
				e := it.next()
				sum += packedLen(e.appendTo(nil))
			}
			require.Equal(t, sum, l.packLen())
			require.False(t, l.form() == listQuick && listpackFrame+sum <= ListMaxListpackBytes/2 && l.len() == 1)
		}
	})
}

// What MEMORY USAGE tells of the only key is what the keyspace accounts for it; keys that are due take nothing.
func TestMemoryUsage(t *testing.T) {
	for _, cmds := range [][][]string{
		{words("set k 12345")}, {{"set", "k", sized(1000)}}, {words("append k ab"), words("append k c")}, {series(200, letters, "rpush", "k")},
		{series(200, letters, "sadd", "k")}, {series(200, pairs, "hset", "k")}, {series(200, scored, "zadd", "k")},
	} {
		m := newMachine(t)
		for _, cmd := range cmds {
			m.do(cmd...)
		}
		used := m.s.MemoryUsed()
		require.Equal(t, fmt.Sprintf(":%d\r\n", used), m.do("memory", "usage", "k"), cmds)
		keys, expires := m.s.Overhead(0)
		require.Less(t, keys, used)
		require.Zero(t, expires)
		m.do("expire", "k", "1")
		require.Equal(t, fmt.Sprintf(":%d\r\n", used+deadlineCost), m.do("memory", "usage", "k"), cmds)
		hits, misses := m.s.Hits(), m.s.Misses()
		m.now += 1001
		require.Equal(t, "$-1\r\n", m.do("memory", "usage", "k"))
		require.Equal(t, []uint64{hits, misses}, []uint64{m.s.Hits(), m.s.Misses()})
	}
}
