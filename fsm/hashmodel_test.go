package fsm

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// timedField is a field of the model's hashes.
type timedField struct {
	name string
	val  int64
	at   int64 // 0 = none
}

// timedModel is an obviously right keyspace of hashes with deadlines: fields in the order of history.
type timedModel struct {
	now    int64
	hashes map[string][]timedField
}

func (f *timedField) due(now int64) bool { return f.at != 0 && now > f.at }

// get returns the hash at a key, nil if none of its fields shows.
func (md *timedModel) get(key string) []timedField {
	h := md.hashes[key]
	if slices.ContainsFunc(h, func(f timedField) bool { return !f.due(md.now) }) {
		return h
	}
	return nil
}

// write is get for a write: what is wholly due goes.
func (md *timedModel) write(key string) []timedField {
	h := md.get(key)
	if h == nil {
		delete(md.hashes, key)
	}
	return h
}

// store is what a write leaves.
func (md *timedModel) store(key string, h []timedField) {
	md.hashes[key] = h
	md.write(key)
}

func indexOf(h []timedField, name string) int {
	return slices.IndexFunc(h, func(f timedField) bool { return f.name == name })
}

// live is indexOf for a field that is not due.
func (md *timedModel) live(h []timedField, name string) int {
	if i := indexOf(h, name); i >= 0 && !h[i].due(md.now) {
		return i
	}
	return -1
}

// set gives a field a value; keep says whether it keeps its deadline.
func (md *timedModel) set(h []timedField, name string, val int64, keep bool) (_ []timedField, added bool) {
	if i := md.live(h, name); i >= 0 {
		if h[i].val = val; !keep {
			h[i].at = 0
		}
		return h, false
	}
	if i := indexOf(h, name); i >= 0 {
		h = swapRemove(h, i)
	}
	return append(h, timedField{name: name, val: val}), true
}

// sweep deletes up to limit keys and fields as the store does.
func (md *timedModel) sweep(limit int) (n int) {
	for n < limit {
		first, key := int64(0), ""
		for k, h := range md.hashes {
			for _, f := range h {
				if f.due(md.now) && (first == 0 || f.at < first || f.at == first && k < key) {
					first, key = f.at, k
				}
			}
		}
		if first == 0 {
			break
		}
		h := md.write(key)
		if h == nil {
			n++
			continue
		}
		for ; n < limit; n++ {
			next := -1
			for i := range h {
				if h[i].due(md.now) && (next < 0 || cmp.Less(h[i].at, h[next].at)) {
					next = i
				}
			}
			if next < 0 {
				break
			}
			h = swapRemove(h, next)
		}
		md.hashes[key] = h
	}
	return n
}

// TestHashExpireModel runs random histories of hashes with deadlines against the model: with views that are checked late, restarts
// from snapshots, and a follower that replays the log.
func TestHashExpireModel(t *testing.T) { rapid.Check(t, testHashExpireModel) }

func testHashExpireModel(t *rapid.T) {
	m := newMachine(t)
	md := &timedModel{now: m.now, hashes: map[string][]timedField{}}
	keys := rapid.SampledFrom([]string{"a", "b", "{c}1", "{c}2"})
	space := rapid.SampledFrom([]int{3, 8, 150}).Draw(t, "space")
	large := rapid.Bool().Draw(t, "large")
	field := func() string {
		name := fmt.Sprint("f", rapid.IntRange(0, space).Draw(t, "field"))
		if large {
			name += far
		}
		return name
	}
	type kept struct {
		v    *View
		want []byte
	}
	var views []kept
	check := func(k string) {
		h := md.get(k)
		var want []string
		for _, f := range h {
			if !f.due(md.now) {
				want = append(want, bulkReply(f.name), bulkReply(strconv.FormatInt(f.val, 10)))
			}
		}
		require.Equal(t, fmt.Sprintf("*%d\r\n", len(want))+strings.Join(want, ""), m.do("hgetall", k))
		require.Equal(t, fmt.Sprintf(":%d\r\n", len(h)), m.do("hlen", k))
	}
	reply := func(all []int64) string {
		b := fmt.Sprintf("*%d\r\n", len(all))
		for _, n := range all {
			b += fmt.Sprintf(":%d\r\n", n)
		}
		return b
	}
	some := func() (names []string) {
		for range rapid.IntRange(1, 1+space/3).Draw(t, "names") {
			names = append(names, field())
		}
		return names
	}
	t.Repeat(map[string]func(*rapid.T){
		"hset": func(t *rapid.T) {
			k, h, added := keys.Draw(t, "key"), []timedField(nil), 0
			h = md.write(k)
			args := []string{"hset", k}
			for i, name := range some() {
				var isNew bool
				if h, isNew = md.set(h, name, int64(i), false); isNew {
					added++
				}
				args = append(args, name, fmt.Sprint(i))
			}
			require.Equal(t, fmt.Sprintf(":%d\r\n", added), m.do(args...))
			md.store(k, h)
		},
		"hincrby": func(t *rapid.T) {
			k, name := keys.Draw(t, "key"), field()
			h, val := md.write(k), int64(5)
			if i := md.live(h, name); i >= 0 {
				val += h[i].val
			}
			h, _ = md.set(h, name, val, true)
			require.Equal(t, fmt.Sprintf(":%d\r\n", val), m.do("hincrby", k, name, "5"))
			md.store(k, h)
		},
		"hdel": func(t *rapid.T) {
			k, names, n := keys.Draw(t, "key"), some(), 0
			h := md.write(k)
			for _, name := range names {
				if i := md.live(h, name); i >= 0 {
					h = swapRemove(h, i)
					n++
				}
			}
			require.Equal(t, fmt.Sprintf(":%d\r\n", n), m.do(append([]string{"hdel", k}, names...)...))
			md.store(k, h)
		},
		"hpexpire": func(t *rapid.T) {
			k, names := keys.Draw(t, "key"), some()
			cond := rapid.SampledFrom([]string{"", "NX", "XX", "GT", "LT"}).Draw(t, "cond")
			ms := rapid.Int64Range(0, 30).Draw(t, "ms")
			h, at := md.write(k), md.now+ms
			var want []int64
			for _, name := range names {
				i := md.live(h, name)
				switch {
				case i < 0:
					want = append(want, -2)
				case cond == "NX" && h[i].at != 0, cond == "XX" && h[i].at == 0, cond == "GT" && (h[i].at == 0 || at <= h[i].at),
					cond == "LT" && h[i].at != 0 && at >= h[i].at:
					want = append(want, 0)
				case ms == 0:
					h = swapRemove(h, i)
					want = append(want, 2)
				default:
					h[i].at = at
					want = append(want, 1)
				}
			}
			args := []string{"hpexpire", k, fmt.Sprint(ms)}
			if cond != "" {
				args = append(args, cond)
			}
			args = append(append(args, "FIELDS", fmt.Sprint(len(names))), names...)
			require.Equal(t, reply(want), m.do(args...))
			md.store(k, h)
		},
		"hpersist": func(t *rapid.T) {
			k, name := keys.Draw(t, "key"), field()
			h, want := md.write(k), int64(-2)
			if i := md.live(h, name); i >= 0 {
				if want = -1; h[i].at != 0 {
					want, h[i].at = 1, 0
				}
			}
			require.Equal(t, reply([]int64{want}), m.do("hpersist", k, "FIELDS", "1", name))
		},
		"hpexpiretime": func(t *rapid.T) {
			k, names := keys.Draw(t, "key"), some()
			h := md.get(k)
			var want []int64
			for _, name := range names {
				switch i := md.live(h, name); {
				case i < 0:
					want = append(want, -2)
				case h[i].at == 0:
					want = append(want, -1)
				default:
					want = append(want, h[i].at)
				}
			}
			require.Equal(t, reply(want), m.do(append([]string{"hpexpiretime", k, "FIELDS", fmt.Sprint(len(names))}, names...)...))
		},
		"copy": func(t *rapid.T) {
			from, to := keys.Draw(t, "from"), keys.Draw(t, "to")
			if from == to {
				return
			}
			want := ":0\r\n"
			if h := md.get(from); h != nil { // a read: what is due stays
				want = ":1\r\n"
				md.hashes[to] = slices.Clone(h)
			}
			require.Equal(t, want, m.do("copy", from, to, "replace"))
		},
		"rename": func(t *rapid.T) {
			from, to := keys.Draw(t, "from"), keys.Draw(t, "to")
			if from == to {
				return
			}
			want := "-ERR no such key\r\n"
			if h := md.write(from); h != nil {
				want = "+OK\r\n"
				delete(md.hashes, from)
				md.hashes[to] = h
			}
			require.Equal(t, want, m.do("rename", from, to))
		},
		"expire": func(t *rapid.T) { // of the key: the record moves, nothing else
			k := keys.Draw(t, "key")
			md.write(k)
			m.do("pexpire", k, "1000000000")
		},
		"del": func(t *rapid.T) {
			k := keys.Draw(t, "key")
			m.do("del", k)
			delete(md.hashes, k)
		},
		"sweep": func(t *rapid.T) {
			limit := rapid.SampledFrom([]int{1, 5, 1000}).Draw(t, "limit")
			require.Equal(t, fmt.Sprintf(":%d\r\n", md.sweep(limit)), m.sweep(limit))
		},
		"tick": func(t *rapid.T) {
			m.now += rapid.Int64Range(1, 20).Draw(t, "tick")
			md.now = m.now
		},
		"view": func(t *rapid.T) {
			if len(views) < 2 {
				views = append(views, kept{m.s.Freeze(), payload(t, m.s)})
			}
		},
		"look at a view": func(t *rapid.T) {
			if len(views) > 0 {
				var b bytes.Buffer
				_, err := views[0].v.WriteTo(&b)
				require.NoError(t, err)
				require.Equal(t, views[0].want, b.Bytes())
				views[0].v.Close()
				views = views[1:]
			}
		},
		"restart": func(t *rapid.T) {
			s, b := NewStore(), payload(t, m.s)
			require.NoError(t, s.Restore(bytes.NewReader(b)))
			require.Equal(t, stateHash(m.s), stateHash(s))
			require.Equal(t, m.s.MemoryUsed(), s.MemoryUsed())
			require.Equal(t, m.s.NextDeadline(), s.NextDeadline())
			require.Equal(t, b, payload(t, s))
			for _, x := range views {
				x.v.Close()
			}
			m.s, views = s, nil
		},
		"": func(t *rapid.T) {
			check(keys.Draw(t, "key"))
			require.NoError(t, m.s.Check())
		},
	})
	for _, k := range []string{"a", "b", "{c}1", "{c}2"} {
		check(k)
	}
	for _, x := range views {
		x.v.Close()
	}
	follower := m.replay()
	require.NoError(t, follower.Check())
	require.Equal(t, stateHash(m.s), stateHash(follower))
	require.Equal(t, payload(t, m.s), payload(t, follower))
}
