//go:build clients

package clients

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// step is one operation and what must come back.
type step struct {
	op   string
	args []any
	want any
	// check replaces the comparison with want where the reply is not exactly known.
	check func(got any, err error) error
}

// model makes up operations and knows their replies. The keys of each type are its own, so that types never clash
// unless a step wants it.
type model struct {
	r      *rand.Rand
	prefix string
	count  int // values made so far
	// readPipes keeps writes out of pipelines. With reads on replicas ioredis sends a whole pipeline to a replica, and
	// redis-py its reads there beside the writes, in no order: with Redis it is the same.
	readPipes bool

	strings map[string]string
	ttl     map[string]int // s, of strings that have one
	hashes  map[string]map[string]string
	lists   map[string][]string
	sets    map[string]map[string]bool
	zsets   map[string]map[string]float64
}

func newModel(prefix string, seed uint64) *model {
	return &model{
		r: rand.New(rand.NewPCG(seed, 1)), prefix: prefix,
		strings: map[string]string{}, ttl: map[string]int{}, hashes: map[string]map[string]string{},
		lists: map[string][]string{}, sets: map[string]map[string]bool{}, zsets: map[string]map[string]float64{},
	}
}

// kinds are the families of steps; each is as likely as the others.
var kinds = []func(*model) step{
	(*model).onString, (*model).onStringRead, (*model).onSeveral, (*model).onExpiry, (*model).onHash, (*model).onHashRead,
	(*model).onList, (*model).onListRead, (*model).onSet, (*model).onSetRead, (*model).onZset, (*model).onZsetRead, (*model).onPipeline,
}

func (m *model) next() step { return kinds[m.r.IntN(len(kinds))](m) }

func (m *model) key(kind string) string { return m.prefix + kind + strconv.Itoa(m.r.IntN(6)) }

func (m *model) value() string {
	m.count++
	return "v" + strconv.Itoa(m.count) + strings.Repeat("x", m.r.IntN(40))
}

// member is a name from a small set: fields and members meet again.
func (m *model) member() string { return "m" + strconv.Itoa(m.r.IntN(12)) }

func (m *model) members(n int) []string {
	all := map[string]bool{}
	for range n {
		all[m.member()] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// anys puts lists and values together into arguments.
func anys(parts ...any) (all []any) {
	for _, p := range parts {
		switch p := p.(type) {
		case []string:
			for _, s := range p {
				all = append(all, s)
			}
		case []any:
			all = append(all, p...)
		default:
			all = append(all, p)
		}
	}
	return all
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (m *model) put(k, v string) {
	m.strings[k] = v
	delete(m.ttl, k)
}

func (m *model) drop(k string) bool {
	_, had := m.strings[k]
	delete(m.strings, k)
	delete(m.ttl, k)
	return had
}

func (m *model) onString() step {
	k, v := m.key("s"), m.value()
	old, had := m.strings[k]
	switch m.r.IntN(6) {
	case 0:
		return m.set()
	case 1:
		if !had {
			m.put(k, v)
		}
		return step{op: "setnx", args: anys(k, v), want: !had}
	case 2:
		m.strings[k] = old + v
		return step{op: "append", args: anys(k, v), want: len(old + v)}
	case 3:
		m.strings[k] = splice(old, 3, v)
		return step{op: "setrange", args: anys(k, 3, v), want: len(m.strings[k])}
	case 4:
		m.drop(k)
		return step{op: "getdel", args: anys(k), want: orNull(old, had)}
	default:
		return m.incrby()
	}
}

func (m *model) set() step {
	k, v := m.key("s"), m.value()
	m.put(k, v)
	return step{op: "set", args: anys(k, v), want: "OK"}
}

func (m *model) get() step {
	k := m.key("s")
	v, had := m.strings[k]
	return step{op: "get", args: anys(k), want: orNull(v, had)}
}

func (m *model) incrby() step {
	n, by := m.prefix+"n"+strconv.Itoa(m.r.IntN(3)), m.r.IntN(100)-40
	now, _ := strconv.Atoi(m.strings[n])
	m.strings[n] = strconv.Itoa(now + by)
	return step{op: "incrby", args: anys(n, by), want: now + by}
}

// splice overwrites s from at on, filling a gap with zero bytes.
func splice(s string, at int, v string) string {
	if len(s) < at {
		s += strings.Repeat("\x00", at-len(s))
	}
	if end := at + len(v); end < len(s) {
		return s[:at] + v + s[end:]
	}
	return s[:at] + v
}

func orNull(s string, ok bool) any {
	if ok {
		return s
	}
	return nil
}

func (m *model) onStringRead() step {
	k := m.key("s")
	v, had := m.strings[k]
	switch m.r.IntN(5) {
	case 0:
		return step{op: "strlen", args: anys(k), want: len(v)}
	case 1:
		return step{op: "getrange", args: anys(k, 1, 4), want: v[min(1, len(v)):min(5, len(v))]}
	case 2:
		want := "none"
		if had {
			want = "string"
		}
		return step{op: "type", args: anys(k), want: want}
	case 3:
		if had {
			return m.wrongType(k)
		}
		fallthrough
	default:
		return m.get()
	}
}

// wrongType is a command that the server refuses.
func (m *model) wrongType(k string) step {
	return step{op: "lpush", args: anys(k, "x"), check: func(got any, err error) error {
		if err == nil || !strings.Contains(err.Error(), "WRONGTYPE Operation against a key holding the wrong kind of value") {
			return fmt.Errorf("reply %v, error %v instead of WRONGTYPE", got, err)
		}
		return nil
	}}
}

// onSeveral is about keys of different slots in one command.
func (m *model) onSeveral() step {
	var keys []string
	for i := range 6 {
		if m.r.IntN(2) == 0 {
			keys = append(keys, m.prefix+"s"+strconv.Itoa(i))
		}
	}
	keys = append(keys, m.prefix+"other")
	n := 0
	switch m.r.IntN(5) {
	case 0:
		for _, k := range keys {
			n += truth(m.drop(k))
		}
		return step{op: "del", args: anys(keys), want: n}
	case 1:
		for _, k := range keys {
			if _, had := m.strings[k]; had {
				n++
			}
		}
		return step{op: "exists", args: anys(keys), want: n}
	case 2, 3:
		var args []any
		for _, k := range keys {
			m.put(k, m.value())
			args = append(args, k, m.strings[k])
		}
		return step{op: "mset", args: args, want: "OK"}
	default:
		var want []any
		for _, k := range keys {
			v, had := m.strings[k]
			want = append(want, orNull(v, had))
		}
		return step{op: "mget", args: anys(keys), want: want}
	}
}

// onExpiry never sets a deadline that passes during the test.
func (m *model) onExpiry() step {
	k := m.key("s")
	_, had := m.strings[k]
	_, limited := m.ttl[k]
	switch m.r.IntN(4) {
	case 0:
		m.put(k, m.value())
		m.ttl[k] = 1000 + m.r.IntN(1000)
		return step{op: "setex", args: anys(k, m.strings[k], m.ttl[k]), want: "OK"}
	case 1:
		s := 1000 + m.r.IntN(1000)
		if had {
			m.ttl[k] = s
		}
		return step{op: "expire", args: anys(k, s), want: had}
	case 2:
		delete(m.ttl, k)
		return step{op: "persist", args: anys(k), want: limited}
	default:
		if !had || !limited {
			return step{op: "ttl", args: anys(k), want: -2 + truth(had)}
		}
		most := m.ttl[k]
		return step{op: "ttl", args: anys(k), check: func(got any, err error) error {
			if s, ok := got.(float64); err != nil || !ok || int(s) > most || int(s) < most-300 {
				return fmt.Errorf("reply %v, error %v instead of about %d", got, err, most)
			}
			return nil
		}}
	}
}

func (m *model) onHash() step {
	k := m.key("h")
	h := m.hashes[k]
	fields := m.members(4)
	n := 0
	switch m.r.IntN(4) {
	case 0, 1:
		return m.hset()
	case 2:
		for _, f := range fields {
			if _, had := h[f]; had {
				n++
				delete(h, f)
			}
		}
		return step{op: "hdel", args: anys(k, fields), want: n}
	default:
		if h == nil {
			h = map[string]string{}
			m.hashes[k] = h
		}
		now, _ := strconv.Atoi(h["count"])
		h["count"] = strconv.Itoa(now + 7)
		return step{op: "hincrby", args: anys(k, "count", 7), want: now + 7}
	}
}

func (m *model) hset() step {
	k, n := m.key("h"), 0
	if m.hashes[k] == nil {
		m.hashes[k] = map[string]string{}
	}
	h, args := m.hashes[k], anys(k)
	for _, f := range m.members(4) {
		if _, had := h[f]; !had {
			n++
		}
		h[f] = m.value()
		args = append(args, f, h[f])
	}
	return step{op: "hset", args: args, want: n}
}

func (m *model) onHashRead() step {
	k, f := m.key("h"), m.member()
	h := m.hashes[k]
	v, had := h[f]
	switch m.r.IntN(6) {
	case 0:
		return step{op: "hget", args: anys(k, f), want: orNull(v, had)}
	case 1:
		return step{op: "hgetall", args: anys(k), want: strMap(h)}
	case 2:
		return step{op: "hlen", args: anys(k), want: len(h)}
	case 3:
		return step{op: "hexists", args: anys(k, f), want: had}
	case 4:
		return step{op: "hscan", args: anys(k), want: strMap(h)}
	default:
		var want []any
		fields := m.members(4)
		for _, f := range fields {
			v, had := h[f]
			want = append(want, orNull(v, had))
		}
		return step{op: "hmget", args: anys(k, fields), want: want}
	}
}

// strMap is a copy, never nil.
func strMap(h map[string]string) map[string]string {
	c := map[string]string{}
	maps.Copy(c, h)
	return c
}

func (m *model) onList() step {
	k := m.key("l")
	l := m.lists[k]
	values := []string{m.value(), m.value()}
	switch m.r.IntN(6) {
	case 0:
		return m.rpush()
	case 1:
		m.lists[k] = slices.Concat([]string{values[1], values[0]}, l)
		return step{op: "lpush", args: anys(k, values), want: len(l) + 2}
	case 2, 3:
		op, at := "lpop", 0
		if m.r.IntN(2) == 0 {
			op, at = "rpop", len(l)-1
		}
		if len(l) == 0 {
			return step{op: op, args: anys(k), want: nil}
		}
		v := l[at]
		m.lists[k] = slices.Concat(l[:at], l[at+1:])
		return step{op: op, args: anys(k), want: v}
	case 4:
		n := min(3, len(l))
		m.lists[k] = l[n:]
		if n == 0 {
			return step{op: "lpopn", args: anys(k, 3), want: nil}
		}
		return step{op: "lpopn", args: anys(k, 3), want: slices.Clone(l[:n])}
	default:
		m.lists[k] = l[max(0, len(l)-10):]
		return step{op: "ltrim", args: anys(k, -10, -1), want: "OK"}
	}
}

func (m *model) rpush() step {
	k, values := m.key("l"), []string{m.value(), m.value()}
	m.lists[k] = slices.Concat(m.lists[k], values)
	return step{op: "rpush", args: anys(k, values), want: len(m.lists[k])}
}

func (m *model) onListRead() step {
	k := m.key("l")
	l := m.lists[k]
	switch m.r.IntN(3) {
	case 0:
		return step{op: "llen", args: anys(k), want: len(l)}
	case 1:
		if len(l) > 0 {
			v := l[m.r.IntN(len(l))] // values are unique
			m.lists[k] = slices.DeleteFunc(slices.Clone(l), func(s string) bool { return s == v })
			return step{op: "lrem", args: anys(k, 1, v), want: 1}
		}
		fallthrough
	default:
		return step{op: "lrange", args: anys(k, 0, -1), want: append([]string{}, l...)}
	}
}

// piped are the steps that a pipeline is made of.
var piped = []func(*model) step{
	(*model).set, (*model).get, (*model).incrby, (*model).rpush, (*model).hset, (*model).sadd, (*model).zadd,
}

// onPipeline sends several steps in one go.
func (m *model) onPipeline() step {
	of := piped
	if m.readPipes {
		of = []func(*model) step{(*model).get}
	}
	var args, want []any
	for range 8 {
		s := of[m.r.IntN(len(of))](m)
		args = append(args, anys(s.op, s.args))
		want = append(want, s.want)
	}
	return step{op: "pipeline", args: args, want: want}
}

// final reads back everything.
func (m *model) final() (all []step) {
	names := []string{}
	note := func(k string) { names = append(names, k) }
	for k, v := range m.strings {
		note(k)
		all = append(all, step{op: "get", args: anys(k), want: v})
	}
	for k, h := range m.hashes {
		if len(h) > 0 {
			note(k)
		}
		all = append(all, step{op: "hgetall", args: anys(k), want: h})
	}
	for k, l := range m.lists {
		if len(l) > 0 {
			note(k)
		}
		all = append(all, step{op: "lrange", args: anys(k, 0, -1), want: append([]string{}, l...)})
	}
	for k, e := range m.sets {
		if len(e) > 0 {
			note(k)
		}
		all = append(all, step{op: "smembers", args: anys(k), want: append([]string{}, slices.Sorted(maps.Keys(e))...)})
	}
	for k, z := range m.zsets {
		if len(z) > 0 {
			note(k)
		}
		all = append(all, step{op: "zrange", args: anys(k, 0, -1), want: ranked(z)})
	}
	slices.Sort(names)
	return append(all, step{op: "scan", args: anys(m.prefix + "*"), want: names})
}
