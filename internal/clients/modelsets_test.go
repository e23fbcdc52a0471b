//go:build clients

package clients

import (
	"maps"
	"slices"
	"strings"
)

func (m *model) onSet() step {
	if m.r.IntN(3) > 0 {
		return m.sadd()
	}
	k, members := m.key("e"), m.members(4)
	e, n := m.sets[k], 0
	for _, s := range members {
		n += truth(e[s])
		delete(e, s)
	}
	return step{op: "srem", args: anys(k, members), want: n}
}

func (m *model) sadd() step {
	k, members := m.key("e"), m.members(4)
	if m.sets[k] == nil {
		m.sets[k] = map[string]bool{}
	}
	e, n := m.sets[k], 0
	for _, s := range members {
		n += truth(!e[s])
		e[s] = true
	}
	return step{op: "sadd", args: anys(k, members), want: n}
}

func (m *model) onSetRead() step {
	k, s := m.key("e"), m.member()
	e := m.sets[k]
	all := slices.AppendSeq([]string{}, maps.Keys(e))
	slices.Sort(all)
	switch m.r.IntN(5) {
	case 0:
		return step{op: "sismember", args: anys(k, s), want: e[s]}
	case 1:
		return step{op: "smembers", args: anys(k), want: all}
	case 2:
		return step{op: "scard", args: anys(k), want: len(e)}
	case 3:
		return step{op: "sscan", args: anys(k), want: all}
	default:
		// Keys of one slot: what cluster clients allow in one command.
		return step{op: "sinter", args: anys(k, k), want: all}
	}
}

func (m *model) onZset() step {
	k := m.key("z")
	z, n := m.zsets[k], 0
	if z == nil {
		z = map[string]float64{}
		m.zsets[k] = z
	}
	switch m.r.IntN(5) {
	case 0, 1:
		return m.zadd()
	case 2:
		s, by := m.member(), float64(m.r.IntN(400))/8
		z[s] += by
		return step{op: "zincrby", args: anys(k, by, s), want: z[s]}
	case 3:
		members := m.members(2)
		for _, s := range members {
			if _, had := z[s]; had {
				n++
				delete(z, s)
			}
		}
		return step{op: "zrem", args: anys(k, members), want: n}
	default:
		order := ranked(z)
		if len(order) == 0 {
			return step{op: "zpopmin", args: anys(k), want: nil}
		}
		want := []any{order[0], z[order[0]]}
		delete(z, order[0])
		return step{op: "zpopmin", args: anys(k), want: want}
	}
}

func (m *model) zadd() step {
	k, n := m.key("z"), 0
	if m.zsets[k] == nil {
		m.zsets[k] = map[string]float64{}
	}
	z, args := m.zsets[k], anys(k)
	for _, s := range m.members(4) {
		if _, had := z[s]; !had {
			n++
		}
		z[s] = float64(m.r.IntN(4000)-1000) / 4
		args = append(args, s, z[s])
	}
	return step{op: "zadd", args: args, want: n}
}

// ranked lists the members by score, then name.
func ranked(z map[string]float64) []string {
	all := slices.AppendSeq([]string{}, maps.Keys(z))
	slices.SortFunc(all, func(a, b string) int {
		switch {
		case z[a] < z[b]:
			return -1
		case z[a] > z[b]:
			return 1
		}
		return strings.Compare(a, b)
	})
	return all
}

func (m *model) onZsetRead() step {
	k, s := m.key("z"), m.member()
	z := m.zsets[k]
	order := ranked(z)
	score, had := z[s]
	switch m.r.IntN(7) {
	case 0:
		if !had {
			return step{op: "zscore", args: anys(k, s), want: nil}
		}
		return step{op: "zscore", args: anys(k, s), want: score}
	case 1:
		return step{op: "zrange", args: anys(k, 0, -1), want: order}
	case 2:
		want := []any{}
		for _, s := range order {
			want = append(want, []any{s, z[s]})
		}
		return step{op: "zrangews", args: anys(k, 0, -1), want: want}
	case 3:
		return step{op: "zcard", args: anys(k), want: len(z)}
	case 4:
		if !had {
			return step{op: "zrank", args: anys(k, s), want: nil}
		}
		return step{op: "zrank", args: anys(k, s), want: slices.Index(order, s)}
	case 5:
		n := 0
		for _, x := range z {
			n += truth(x >= 0 && x <= 100)
		}
		return step{op: "zcount", args: anys(k, 0, 100), want: n}
	default:
		c := map[string]float64{}
		maps.Copy(c, z)
		return step{op: "zscan", args: anys(k), want: c}
	}
}
