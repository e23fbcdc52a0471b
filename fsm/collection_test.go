package fsm

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// heldKey is a collection as an obviously right keyspace has it.
type heldKey struct {
	kind  kind
	list  []string
	pairs map[string]string // members of a set, fields of a hash, members and scores of a sorted set
	at    int64             // deadline
}

func (h *heldKey) len() int { return len(h.list) + len(h.pairs) }

func (h *heldKey) clone() *heldKey {
	return &heldKey{h.kind, slices.Clone(h.list), maps.Clone(h.pairs), h.at}
}

// held drives a machine and its model with commands on collections that grow and shrink across maxPacked.
type held struct {
	*machine
	t     *rapid.T
	keys  map[string]*heldKey
	views []snapshotAt
}

// key draws a key that is absent or of kind k.
func (h *held) key(k kind) (string, *heldKey) {
	name := fmt.Sprintf("{%d}%s%d", rapid.IntRange(0, 1).Draw(h.t, "slot"), kindNames[k], rapid.IntRange(0, 1).Draw(h.t, "number"))
	if v := h.keys[name]; v != nil && v.len() > 0 {
		return name, v
	}
	delete(h.keys, name)
	return name, &heldKey{kind: k, pairs: map[string]string{}}
}

// keep notes what became of a key.
func (h *held) keep(name string, v *heldKey) {
	if h.keys[name] = v; v.len() == 0 {
		delete(h.keys, name)
	}
}

// elems draws up to n elements; some are numbers, and some are so long that few of them fill a record.
func (h *held) elems(n int) []string {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
		i := rapid.IntRange(0, 60).Draw(t, "element")
		switch i % 4 {
		case 0:
			return strconv.Itoa(i * i * i * 1000)
		case 1:
			return strings.Repeat(strconv.Itoa(i), 30)
		}
		return "e" + strconv.Itoa(i)
	}), 1, n).Draw(h.t, "elements")
}

func (h *held) listStep() {
	name, v := h.key(kindList)
	switch op := rapid.IntRange(0, 6).Draw(h.t, "op"); {
	case op < 3 || len(v.list) == 0:
		es := h.elems(40)
		h.do(append([]string{"rpush", name}, es...)...)
		v.list = append(v.list, es...)
	case op == 3:
		n := rapid.IntRange(1, 30).Draw(h.t, "n")
		h.do("lpop", name, strconv.Itoa(n))
		v.list = v.list[min(n, len(v.list)):]
	case op == 4:
		i, e := rapid.IntRange(0, len(v.list)-1).Draw(h.t, "i"), h.elems(1)[0]
		h.do("lset", name, strconv.Itoa(i), e)
		v.list[i] = e
	case op == 5:
		i := rapid.IntRange(0, len(v.list)-1).Draw(h.t, "i")
		h.do("ltrim", name, strconv.Itoa(i), "-2")
		v.list = v.list[i:max(i, len(v.list)-1)]
	default:
		to, w := h.key(kindList)
		require.Equal(h.t, bulk(v.list[0]), h.do("lmove", name, to, "left", "right"))
		e := v.list[0]
		v.list = slices.Clone(v.list[1:])
		if to == name {
			w = v
		}
		w.list = append(w.list, e)
		h.keep(to, w)
	}
	h.keep(name, v)
}

func (h *held) setStep() {
	name, v := h.key(kindSet)
	switch op := rapid.IntRange(0, 5).Draw(h.t, "op"); {
	case op < 2:
		for _, e := range h.elems(40) {
			_, old := v.pairs[e]
			require.Equal(h.t, map[bool]string{true: ":0\r\n", false: ":1\r\n"}[old], h.do("sadd", name, e))
			v.pairs[e] = ""
		}
	case op == 2:
		es := h.elems(40)
		h.do(append([]string{"sadd", name}, es...)...)
		for _, e := range es {
			v.pairs[e] = ""
		}
	case op == 3:
		es := h.elems(30)
		h.do(append([]string{"srem", name}, es...)...)
		for _, e := range es {
			delete(v.pairs, e)
		}
	case op == 4:
		to, w := h.key(kindSet)
		e := h.elems(1)[0]
		_, had := v.pairs[e]
		h.do("smove", name, to, e)
		if had && to != name {
			delete(v.pairs, e)
			w.pairs[e] = ""
			h.keep(to, w)
		}
	default:
		other, w := h.key(kindSet)
		to := rapid.SampledFrom([]string{name, other, "{0}set0"}).Draw(h.t, "to")
		h.do("sunionstore", to, name, other)
		u := &heldKey{kind: kindSet, pairs: maps.Clone(v.pairs)}
		maps.Copy(u.pairs, w.pairs)
		h.keep(name, v)
		h.keep(other, w)
		h.keep(to, u)
		return
	}
	h.keep(name, v)
}

func (h *held) hashStep() {
	name, v := h.key(kindHash)
	if rapid.IntRange(0, 2).Draw(h.t, "op") == 0 {
		es := h.elems(30)
		h.do(append([]string{"hdel", name}, es...)...)
		for _, e := range es {
			delete(v.pairs, e)
		}
	} else {
		es := h.elems(20)
		args := []string{"hset", name}
		for i, e := range es {
			val := es[len(es)-1-i]
			args = append(args, e, val)
			v.pairs[e] = val
		}
		h.do(args...)
	}
	h.keep(name, v)
}

func (h *held) zsetStep() {
	name, v := h.key(kindZSet)
	switch op := rapid.IntRange(0, 5).Draw(h.t, "op"); {
	case op < 3:
		args := []string{"zadd", name}
		for _, e := range h.elems(20) {
			score := strconv.Itoa(rapid.IntRange(-3, 3000).Draw(h.t, "score"))
			args = append(args, score, e)
			v.pairs[e] = score
		}
		h.do(args...)
	case op == 3:
		es := h.elems(20)
		h.do(append([]string{"zrem", name}, es...)...)
		for _, e := range es {
			delete(v.pairs, e)
		}
	case op == 4 && len(v.pairs) > 0:
		f := strings.Split(h.do("zpopmin", name), "\r\n")
		require.Equal(h.t, v.pairs[f[2]], f[4])
		delete(v.pairs, f[2])
	default:
		to, w := h.key(kindZSet)
		h.do("zunionstore", to, "2", name, to, "aggregate", "max")
		for e, score := range v.pairs {
			if old, ok := w.pairs[e]; ok {
				a, _ := strconv.Atoi(score)
				b, _ := strconv.Atoi(old)
				score = strconv.Itoa(max(a, b))
			}
			w.pairs[e] = score
		}
		w.at = 0
		h.keep(to, w)
		if to == name {
			return
		}
	}
	h.keep(name, v)
}

// keyStep does something to a whole key.
func (h *held) keyStep() {
	k := kind(rapid.IntRange(int(kindList), int(kindZSet)).Draw(h.t, "kind"))
	name, v := h.key(k)
	to, _ := h.key(k)
	if v.len() == 0 {
		return
	}
	switch rapid.IntRange(0, 5).Draw(h.t, "op") {
	case 0:
		require.Equal(h.t, "+OK\r\n", h.do("rename", name, to))
		delete(h.keys, name)
		h.keep(to, v)
	case 1:
		if to != name {
			require.Equal(h.t, ":1\r\n", h.do("copy", name, to, "replace"))
			h.keep(to, v.clone())
		}
	case 2:
		require.Equal(h.t, ":1\r\n", h.do("pexpire", name, "100000"))
		v.at = h.now + 100000
	case 3:
		h.do("persist", name)
		v.at = 0
	case 4:
		h.do("pexpire", name, "1")
		h.now += 2
		delete(h.keys, name)
	default:
		require.Equal(h.t, ":1\r\n", h.do("move", name, "1"))
		h.db = 1
		require.Equal(h.t, "+"+kindNames[k]+"\r\n", h.do("type", name))
		require.Equal(h.t, ":1\r\n", h.do("move", name, "0"))
		h.db = 0
	}
}

// verify compares every key with the model.
func (h *held) verify() {
	names := slices.Sorted(maps.Keys(h.keys))
	require.Equal(h.t, fmt.Sprintf(":%d\r\n", len(names)), h.do(append([]string{"exists"}, append(names, "none")...)...))
	for _, name := range names {
		v := h.keys[name]
		at := v.at
		if at == 0 {
			at = -1
		}
		require.Equal(h.t, fmt.Sprintf(":%d\r\n", at), h.do("pexpiretime", name))
		switch v.kind {
		case kindList:
			var w wire
			w.Array(len(v.list))
			for _, e := range v.list {
				w.BulkString(e)
			}
			require.Equal(h.t, string(w.b), h.do("lrange", name, "0", "-1"))
		case kindSet:
			require.Equal(h.t, slices.Sorted(maps.Keys(v.pairs)), keysOf(h.do("smembers", name)))
		case kindHash:
			require.Equal(h.t, v.pairs, pairsOf(h.do("hgetall", name)))
		case kindZSet:
			require.Equal(h.t, v.pairs, pairsOf(h.do("zrange", name, "0", "-1", "withscores")))
		}
	}
}

// pairsOf returns the bulk strings of an array, in pairs.
func pairsOf(reply string) map[string]string {
	pairs := map[string]string{}
	f := strings.Split(reply, "\r\n")
	for i := 2; i+2 < len(f); i += 4 {
		pairs[f[i]] = f[i+2]
	}
	return pairs
}

// thaw verifies that the oldest view shows what it showed, and closes it.
func (h *held) thaw() {
	var b bytes.Buffer
	_, err := h.views[0].view.WriteTo(&b)
	require.NoError(h.t, err)
	require.True(h.t, bytes.Equal(h.views[0].want, b.Bytes()))
	h.views[0].view.Close()
	h.views = h.views[1:]
}

// TestCollectionsInRecords runs random histories of collections, from one element to objects and back, with views open, and
// compares them with a model, a replica that applied the same entries and one that was restored: both account the same memory.
func TestCollectionsInRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &held{machine: newMachine(t), t: t, keys: map[string]*heldKey{}}
		steps := []func(){h.listStep, h.setStep, h.hashStep, h.zsetStep, h.keyStep}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			steps[rapid.IntRange(0, len(steps)-1).Draw(t, "step")]()
			switch op := rapid.IntRange(0, 9).Draw(t, "view"); {
			case op == 0 && len(h.views) < 3:
				h.views = append(h.views, snapshotAt{view: h.s.Freeze(), want: payload(t, h.s)})
			case op == 1 && len(h.views) > 0:
				h.thaw()
			}
			require.NoError(t, h.s.Check())
		}
		h.verify()
		for len(h.views) > 0 {
			h.thaw()
		}
		want := payload(t, h.s)
		restored := NewStore()
		require.NoError(t, restored.Restore(bytes.NewReader(want)))
		for _, s := range []*Store{h.replay(), restored} {
			require.NoError(t, s.Check())
			require.True(t, bytes.Equal(want, payload(t, s)))
			require.Equal(t, h.s.MemoryUsed(), s.MemoryUsed())
			require.Equal(t, stateHash(h.s), stateHash(s))
		}
	})
}

// TestSmallCollectionsAreNoObjects: what a small collection takes is its record; it becomes an object and stands in the
// record again as it grows and shrinks.
func TestSmallCollectionsAreNoObjects(t *testing.T) {
	add := map[string]func(i int) []string{
		"rpush": letters, "sadd": letters, "hset": pairs, "zadd": scored,
	}
	remove := map[string][]string{
		"rpush": {"ltrim", "k", "0", "9"}, "sadd": {"spop", "k", "80"}, "hset": nil, "zadd": {"zremrangebyrank", "k", "10", "-1"},
	}
	for _, name := range slices.Sorted(maps.Keys(add)) {
		m := newMachine(t)
		m.do(series(10, add[name], name, "k")...)
		db := m.s.dbs[0].Load()
		require.Zero(t, db.objects.live(), name)
		m.do(series(90, add[name], name, "k")...)
		long := strings.Repeat("x", 60)
		for i := 0; db.objects.live() == 0; i++ {
			e := fmt.Sprint(long, i)
			m.do(map[string][]string{"rpush": {"rpush", "k", e}, "sadd": {"sadd", "k", e}, "hset": {"hset", "k", e, e}, "zadd": {"zadd", "k", "1", e}}[name]...)
			require.Less(t, i, 50)
		}
		require.Equal(t, "listpack", m.encoding("k"), "%s: still the small form", name)
		require.NoError(t, m.s.Check())
		if cmd := remove[name]; cmd != nil {
			m.do(cmd...)
		} else {
			m.do(append([]string{"hdel", "k"}, slices.Collect(maps.Keys(pairsOf(m.do("hgetall", "k"))))[1:]...)...)
		}
		require.Zero(t, db.objects.live(), name)
		require.NoError(t, m.s.Check())
		require.Equal(t, stateHash(m.s), stateHash(m.replay()))
	}
}
