package fsm

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// zpair is a member of a sorted set in the models of the tests.
type zpair struct {
	score  float64
	member string
}

func itemLess(a, b zpair) bool {
	return a.score < b.score || a.score == b.score && a.member < b.member
}

// pair is what an item stands for.
func (t *ztree) pair(it *zitem) zpair { return zpair{it.score, string(t.key(it))} }

// TestZTreeModel compares a tree with a sorted slice.
func TestZTreeModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMembers(kindZSet)
		m.buildTree()
		var model []zpair
		for range rapid.IntRange(1, 12).Draw(t, "rounds") {
			if rapid.IntRange(0, 3).Draw(t, "anew") == 0 {
				m.buildTree()
			}
			seed := uint64(rapid.IntRange(0, 1<<30).Draw(t, "seed"))
			grow := rapid.IntRange(0, 2).Draw(t, "grow") > 0
			ascending := rapid.Bool().Draw(t, "ascending")
			for i := range rapid.IntRange(0, 1500).Draw(t, "n") {
				seed = splitMix(seed)
				if !grow {
					if len(model) > 0 {
						r := int(seed % uint64(len(model)))
						it := m.tree.removeAt(r)
						require.Equal(t, model[r], m.tree.pair(&it))
						m.removeAt(m.find([]byte(model[r].member)))
						model = slices.Delete(model, r, r+1)
					}
					continue
				}
				it := zpair{float64(seed % 50), name(int(seed >> 40))}
				if ascending {
					it.score = float64(1000 + i)
				}
				if m.find([]byte(it.member)) >= 0 {
					continue
				}
				at := sort.Search(len(model), func(k int) bool { return !itemLess(model[k], it) })
				require.Equal(t, at, m.tree.rank(&zbound{score: it.score, member: []byte(it.member)}))
				m.tree.insert(zitem{it.score, m.add([]byte(it.member), part{score: it.score})})
				model = slices.Insert(model, at, it)
			}
		}
		require.NoError(t, m.check())
		require.Equal(t, len(model), m.tree.len())
		for r := 0; r < len(model); r += 1 + len(model)/20 {
			up := m.tree.upTo(r)
			require.Equal(t, []zpair{model[r], model[r]}, []zpair{m.tree.pair(&m.tree.from(r)[0]), m.tree.pair(&up[len(up)-1])})
		}
		at := 0
		m.tree.root.each(func(it *zitem) {
			require.Equal(t, model[at], m.tree.pair(it))
			at++
		})
	})
}

// A tree that is made at once has the shape of one that has grown, with full leaves.
func TestZTreeAtOnce(t *testing.T) {
	m := newMembers(kindZSet)
	const inner = zinnerMax * zleafMax
	for _, n := range []int{0, 1, zleafMax, zleafMax + 1, 3*zleafMax - 1, inner, inner + 1, 2*inner + 300} {
		for i := m.len(); i < n; i++ {
			m.add([]byte(name(i)), part{score: float64(i * 7919 % 1000)})
		}
		m.buildTree()
		require.NoError(t, m.check())
		leaves := 0
		m.tree.root.leaves(func(*znode) { leaves++ })
		require.Equal(t, max(1, (n+zleafMax-1)/zleafMax), leaves)
	}
}

// A range by member of a sorted set whose scores differ is a client's mistake, but what ZREMRANGEBYLEX removes then is the same on
// a node that has seen all of its history and on one that was restored from a snapshot.
func TestLexRangeDependsOnTheStateAlone(t *testing.T) {
	m := newMachine(t)
	for i := range 3000 {
		m.do("zadd", "z", fmt.Sprint(i*7919%101), fmt.Sprint("m", i*31%1500))
		if i%2 == 0 {
			m.do("zrem", "z", fmt.Sprint("m", i*17%1500))
		}
	}
	for i := range 10 {
		low, high := fmt.Sprint("[m", 100*i), fmt.Sprint("(m", 100*i+90)
		m.do("zadd", "z", "50", low[1:])
		s := NewStore()
		require.NoError(t, s.Restore(bytes.NewReader(payload(t, m.s))))
		m.do("zremrangebylex", "z", low, high)
		require.NoError(t, s.ApplyEntry(m.index, m.log[m.index-1]))
		require.Equal(t, stateHash(m.s), stateHash(s))
		require.Equal(t, payload(t, m.s), payload(t, s))
	}
}
