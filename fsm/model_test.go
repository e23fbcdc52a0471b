package fsm

import (
	"bytes"
	"hash/maphash"
	"math"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// modelKey is a key of the model: a string and its deadline.
type modelKey struct {
	val string
	at  int64
}

// model is an obviously right keyspace of strings: one map per database.
type model struct {
	dbs [Databases]map[string]modelKey
	now int64
}

func newModel() *model {
	var md model
	for i := range md.dbs {
		md.dbs[i] = map[string]modelKey{}
	}
	return &md
}

func (md *model) get(db int, k string) (modelKey, bool) {
	v, ok := md.dbs[db][k]
	return v, ok && (v.at == 0 || md.now <= v.at)
}

// live returns the keys of a database that are not due, sorted.
func (md *model) live(db int) []string {
	keys := []string{}
	for k := range md.dbs[db] {
		if _, ok := md.get(db, k); ok {
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	return keys
}

func bulk(s string) string { return "$" + strconv.Itoa(len(s)) + "\r\n" + s + "\r\n" }

// frozen is a view with what it must show.
type frozen struct {
	v     *View
	want  [Databases]map[string]modelKey
	bytes []byte
}

// TestModel runs random histories against the model, with views that are kept, checked late and restored from.
func TestModel(t *testing.T) { rapid.Check(t, testModel) }

func testModel(t *rapid.T) {
	m, md := newMachine(t), newModel()
	md.now = m.now
	var views []frozen
	key := rapid.SampledFrom([]string{"a", "b", "c", "{t}1", "{t}2", "{t}3", "{t}4", "{t}5", "{t}6", "{t}7", "{t}8", "{t}9", "{t}10", "{t}11", ""})
	val := rapid.SampledFrom([]string{"", "1", "-5", "x", "007", "hello world", "9223372036854775807"})
	db := rapid.IntRange(0, 2)
	actions := map[string]func(*rapid.T){
		"set": func(t *rapid.T) {
			m.db = db.Draw(t, "db")
			k, v := key.Draw(t, "key"), val.Draw(t, "val")
			require.Equal(t, "+OK\r\n", m.do("set", k, v))
			md.dbs[m.db][k] = modelKey{val: v}
		},
		"setpx": func(t *rapid.T) {
			m.db = db.Draw(t, "db")
			k, v, ms := key.Draw(t, "key"), val.Draw(t, "val"), rapid.Int64Range(1, 30).Draw(t, "ms")
			require.Equal(t, "+OK\r\n", m.do("set", k, v, "px", strconv.FormatInt(ms, 10)))
			md.dbs[m.db][k] = modelKey{val: v, at: m.now + ms}
		},
		"append": func(t *rapid.T) {
			m.db = db.Draw(t, "db")
			k, v := key.Draw(t, "key"), val.Draw(t, "val")
			old, ok := md.get(m.db, k)
			if !ok {
				old = modelKey{}
			}
			old.val += v
			require.Equal(t, ":"+strconv.Itoa(len(old.val))+"\r\n", m.do("append", k, v))
			md.dbs[m.db][k] = old
		},
		"incr": func(t *rapid.T) {
			m.db = db.Draw(t, "db")
			k := key.Draw(t, "key")
			old, ok := md.get(m.db, k)
			if !ok {
				old = modelKey{val: "0"}
			}
			n, err := strconv.ParseInt(old.val, 10, 64)
			reply := m.do("incr", k)
			switch {
			case err != nil || strconv.FormatInt(n, 10) != old.val:
				require.Equal(t, "-"+errNotInteger+"\r\n", reply)
			case n == math.MaxInt64:
				require.Equal(t, "-"+errOverflow+"\r\n", reply)
			default:
				old.val = strconv.FormatInt(n+1, 10)
				require.Equal(t, ":"+old.val+"\r\n", reply)
				md.dbs[m.db][k] = old
			}
		},
		"get": func(t *rapid.T) {
			m.db = db.Draw(t, "db")
			k := key.Draw(t, "key")
			want := "$-1\r\n"
			if v, ok := md.get(m.db, k); ok {
				want = bulk(v.val)
			}
			require.Equal(t, want, m.do("get", k))
		},
		"del": func(t *rapid.T) {
			m.db = db.Draw(t, "db")
			k := key.Draw(t, "key")
			_, ok := md.get(m.db, k)
			require.Equal(t, ":"+strconv.Itoa(map[bool]int{true: 1}[ok])+"\r\n", m.do("del", k))
			delete(md.dbs[m.db], k)
		},
		"rename": func(t *rapid.T) {
			m.db = db.Draw(t, "db")
			from, to := key.Draw(t, "from"), key.Draw(t, "to")
			v, ok := md.get(m.db, from)
			reply := m.do("rename", from, to)
			if !ok {
				require.Equal(t, "-"+errNoSuchKey+"\r\n", reply)
				return
			}
			delete(md.dbs[m.db], from)
			md.dbs[m.db][to] = v
		},
		"copy": func(t *rapid.T) {
			m.db = db.Draw(t, "db")
			from, to, target := key.Draw(t, "from"), key.Draw(t, "to"), db.Draw(t, "target")
			if from == to && m.db == target {
				return
			}
			v, ok := md.get(m.db, from)
			reply := m.do("copy", from, to, "replace", "db", strconv.Itoa(target))
			require.Equal(t, ":"+strconv.Itoa(map[bool]int{true: 1}[ok])+"\r\n", reply)
			if ok {
				md.dbs[target][to] = v
			}
		},
		"swap": func(t *rapid.T) {
			a, b := db.Draw(t, "a"), db.Draw(t, "b")
			m.do("swapdb", strconv.Itoa(a), strconv.Itoa(b))
			md.dbs[a], md.dbs[b] = md.dbs[b], md.dbs[a]
		},
		"flush": func(t *rapid.T) {
			m.db = db.Draw(t, "db")
			m.do("flushdb")
			md.dbs[m.db] = map[string]modelKey{}
		},
		"time": func(t *rapid.T) {
			m.now += rapid.Int64Range(1, 10).Draw(t, "ms")
			md.now = m.now
		},
		"sweep": func(t *rapid.T) { m.sweep(rapid.IntRange(1, 5).Draw(t, "n")) },
		"keys": func(t *rapid.T) {
			m.db = db.Draw(t, "db")
			require.Equal(t, md.live(m.db), keysOf(m.do("keys", "*")))
			require.Equal(t, md.live(m.db), keysOf(m.do("scan", "0", "count", "1000")[len("*2\r\n$1\r\n0\r\n"):]))
		},
		"freeze": func(t *rapid.T) {
			if len(views) == 3 {
				return
			}
			f := frozen{v: m.s.Freeze(), bytes: payload(t, m.s)}
			for i := range md.dbs {
				f.want[i] = map[string]modelKey{}
				for _, k := range md.live(i) {
					f.want[i][k] = md.dbs[i][k]
				}
			}
			views = append(views, f)
		},
		"thaw": func(t *rapid.T) {
			if len(views) == 0 {
				return
			}
			f := views[0]
			views = views[1:]
			checkFrozen(t, &f)
			f.v.Close()
		},
		"restore": func(t *rapid.T) { require.NoError(t, m.s.Restore(bytes.NewReader(payload(t, m.s)))) },
		"":        func(t *rapid.T) { require.NoError(t, m.s.Check()) },
	}
	t.Repeat(actions)
	for i := range views {
		checkFrozen(t, &views[i])
		views[i].v.Close()
	}
	replica := m.replay()
	require.Equal(t, stateHash(m.s), stateHash(replica))
	require.Equal(t, payload(t, m.s), payload(t, replica))
}

// keysOf returns the bulk strings of an array, sorted.
func keysOf(reply string) []string {
	keys := []string{}
	f := strings.Split(reply, "\r\n")
	for i := 2; i < len(f); i += 2 {
		keys = append(keys, f[i])
	}
	sort.Strings(keys)
	return keys
}

// checkFrozen restores a store from the view and compares it with what the view must show.
func checkFrozen(t *rapid.T, f *frozen) {
	var b bytes.Buffer
	_, err := f.v.WriteTo(&b)
	require.NoError(t, err)
	require.Equal(t, f.bytes, b.Bytes())
	s := newStore(maphash.MakeSeed())
	require.NoError(t, s.Restore(&b))
	require.NoError(t, s.Check())
	total, _ := f.v.Hash()
	require.Equal(t, total, stateHash(s))
	out := &wire{}
	for db := range f.want {
		for k, v := range f.want[db] {
			c := command(t, db, "get", k)
			s.Read(&c, out)
			require.Equal(t, bulk(v.val), out.take())
			c = command(t, db, "pexpiretime", k)
			s.Read(&c, out)
			want := v.at
			if want == 0 {
				want = -1
			}
			require.Equal(t, ":"+strconv.FormatInt(want, 10)+"\r\n", out.take())
		}
	}
}

// naiveGlob matches by translation into a regular expression; ok is false for patterns with classes Redis reads in a
// way of its own.
func naiveGlob(pattern string) (re *regexp.Regexp, ok bool) {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '*':
			b.WriteString(`.*`)
		case '?':
			b.WriteString(`.`)
		case '\\':
			if i+1 < len(pattern) {
				i++
			}
			b.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		case '[':
			end := strings.IndexByte(pattern[i:], ']')
			if end < 2 {
				return nil, false
			}
			class := pattern[i+1 : i+end]
			body := strings.TrimPrefix(class, "^")
			if body == "" || strings.ContainsAny(body, `-\^[`) {
				return nil, false
			}
			b.WriteString("[" + class + "]")
			i += end
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	re, err := regexp.Compile(b.String() + `\z`)
	return re, err == nil
}

func FuzzGlob(f *testing.F) {
	for _, p := range []string{"*", "a?c", "[abc]*", "[^ab]", `\*a`, "a*b*c", "[a-c]x", "[", "[^", `[\`, "**", "[a-"} {
		f.Add([]byte(p), "abc")
	}
	f.Fuzz(func(t *testing.T, pattern []byte, s string) {
		got := globMatch(pattern, s)
		require.Equal(t, got, globMatch(pattern, []byte(s)))
		if s == "" {
			require.Equal(t, len(pattern) == 0, got)
			return
		}
		for _, c := range append([]byte(s), pattern...) {
			if c >= 0x80 {
				return
			}
		}
		if re, ok := naiveGlob(string(pattern)); ok {
			require.Equal(t, re.MatchString(s), got, "%q %q", pattern, s)
		}
	})
}

func TestGlobIsNotExponential(t *testing.T) {
	pattern := []byte(strings.Repeat("a*", 1000) + "b")
	require.False(t, globMatch(pattern, strings.Repeat("a", 100000)))
}

func FuzzApplyEntry(f *testing.F) {
	add := func(db int, args ...string) {
		f.Add(AppendEntryCommand(AppendEntryHeader(nil, 1000, 7), db, rawCommand(args...)))
	}
	add(0, "set", "k", "v", "PX", "10")
	add(15, "mset", "a", "1", "b", "2")
	add(3, "flushall")
	add(0, sweepName, "10")
	add(0, "get", "k")
	add(0, execName, "0", "3", string(rawCommand("set", "k", "v")), "0", string(rawCommand("incr", "k")))
	add(0, execName, "1", "0", "0", "k", "0", string(rawCommand("rpush", "k", "v")), "0", string(rawCommand("flushall")))
	add(0, execName, "1", "0", "5", "k", "0", string(rawCommand("rpush", "k", "v")))
	f.Add(AppendEntryHeader(nil, -5, 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, b := NewStore(), NewStore()
		errA, errB := a.ApplyEntry(1, data), b.ApplyEntry(1, data)
		require.Equal(t, errA == nil, errB == nil)
		if errA == nil {
			require.Equal(t, stateHash(a), stateHash(b))
			require.NoError(t, a.Check())
		} else {
			require.ErrorIs(t, errA, errEntry)
		}
	})
}

func FuzzRestore(f *testing.F) {
	m := newMachine(f)
	m.do("set", "k", "v", "PX", "10")
	m.do("rpush", "l", "a", "b")
	m.do("sadd", "s", "a", "b")
	m.do("hset", "h", "a", "b", "c", "d")
	m.do("hpexpire", "h", "10", "FIELDS", "1", "a")
	m.do("zadd", "z", "1", "b")
	m.db = 3
	m.do("set", "n", "12")
	f.Add(payload(f, m.s))
	f.Add(payload(f, NewStore()))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := NewStore()
		if err := s.Restore(bytes.NewReader(data)); err != nil {
			require.Zero(t, s.Applied())
			return
		}
		require.NoError(t, s.Check())
		again := NewStore()
		require.NoError(t, again.Restore(bytes.NewReader(payload(t, s))))
		require.Equal(t, stateHash(s), stateHash(again))
	})
}

func TestDamagedEntries(t *testing.T) {
	head := AppendEntryHeader(nil, 1, 1)
	for _, tail := range []string{"\x00*1\r\n$3\r\nget\r\n", "\x00*2\r\n$3\r\nget\r\n$1\r\nk\r\n", "\x10*1\r\n$8\r\nflushall\r\n",
		"\x00*1\r\n$4\r\nnope\r\n", "\x00*2\r\n$3\r\nset\r\n$1\r\nk\r\n", "\x00*3\r\n$3\r\nset\r\n$1\r\nk\r\n$5\r\nabc\r\n",
		"\x00*0\r\n", "\x00*-1\r\n", "\x00*99999999\r\n", "\x00", "\x00*1", "\x00*1\r\n$-1\r\n", "\x00*1\r\n$8\r\nflushallXX"} {
		require.ErrorIs(t, NewStore().ApplyEntry(1, append(head[:len(head):len(head)], tail...)), errEntry, "%q", tail)
	}
	good := AppendEntryCommand(head, 0, rawCommand("set", "k", "v"))
	require.ErrorContains(t, NewStore().ApplyEntry(7, append(good, "\x00*1\r\n$4\r\nnope\r\n"...)), "entry 7: command 2 at byte 45: ")
	require.ErrorIs(t, NewStore().ApplyEntry(1, nil), errEntry)
	require.ErrorIs(t, NewStore().ApplyEntry(1, make([]byte, EntryHeaderSize)), errEntry)
	s := NewStore()
	require.NoError(t, s.ApplyEntry(9, head))
	require.EqualValues(t, 9, s.Applied())
	require.EqualValues(t, 1, s.Clock())
}
