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

func itemLess(a, b zitem) bool {
	return a.score < b.score || a.score == b.score && a.member < b.member
}

// check verifies the invariants of the tree and returns its items in order.
func (t *ztree) check() ([]zitem, error) {
	if t.root == nil {
		return nil, nil
	}
	items, _, err := t.root.check(true)
	if err == nil && !sort.SliceIsSorted(items, func(i, j int) bool { return itemLess(items[i], items[j]) }) {
		err = fmt.Errorf("not in order")
	}
	return items, err
}

func (n *znode) check(root bool) (items []zitem, depth int, err error) {
	if n.kids == nil {
		if len(n.items) == 0 || len(n.items) > zleafMax {
			return nil, 0, fmt.Errorf("leaf of %d", len(n.items))
		}
		return n.items, 1, nil
	}
	if len(n.kids) < 2 || len(n.kids) > zinnerMax || len(n.kids) != len(n.counts) || len(n.kids) != len(n.items)+1 {
		return nil, 0, fmt.Errorf("inner node of %d kids, %d counts, %d items", len(n.kids), len(n.counts), len(n.items))
	}
	for i, k := range n.kids {
		sub, d, err := k.check(false)
		if err != nil {
			return nil, 0, err
		}
		if len(sub) != n.counts[i] {
			return nil, 0, fmt.Errorf("count %d, not %d", n.counts[i], len(sub))
		}
		if depth != 0 && d != depth {
			return nil, 0, fmt.Errorf("depth %d and %d", d, depth)
		}
		depth = d
		if i > 0 && itemLess(sub[0], n.items[i-1]) || i < len(n.items) && !itemLess(sub[len(sub)-1], n.items[i]) {
			return nil, 0, fmt.Errorf("separator of kid %d", i)
		}
		items = append(items, sub...)
	}
	return items, depth + 1, nil
}

// TestZTreeModel compares a tree and its clones with a sorted slice.
func TestZTreeModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tree ztree
		var model []zitem
		type copied struct {
			tree  ztree
			model []zitem
		}
		var clones []copied
		for range rapid.IntRange(1, 12).Draw(t, "rounds") {
			seed := uint64(rapid.IntRange(0, 1<<30).Draw(t, "seed"))
			grow := rapid.IntRange(0, 2).Draw(t, "grow") > 0
			ascending := rapid.Bool().Draw(t, "ascending")
			for i := range rapid.IntRange(0, 1500).Draw(t, "n") {
				seed = splitMix(seed)
				if !grow {
					if len(model) > 0 {
						r := int(seed % uint64(len(model)))
						require.Equal(t, model[r], tree.removeAt(r))
						model = slices.Delete(model, r, r+1)
					}
					continue
				}
				it := zitem{float64(seed % 50), name(int(seed >> 40))}
				if ascending {
					it.score = float64(1000 + i)
				}
				at := sort.Search(len(model), func(k int) bool { return !itemLess(model[k], it) })
				if at < len(model) && model[at] == it {
					continue
				}
				require.Equal(t, at, tree.rank(&zbound{score: it.score, member: it.member}))
				tree.insert(it)
				model = slices.Insert(model, at, it)
			}
			if rapid.IntRange(0, 3).Draw(t, "clone") == 0 {
				clones = append(clones, copied{tree.clone(), slices.Clone(model)})
			}
		}
		for _, c := range append(clones, copied{tree, model}) {
			items, err := c.tree.check()
			require.NoError(t, err)
			require.Equal(t, len(c.model), c.tree.len())
			require.True(t, slices.Equal(c.model, items))
			for r := 0; r < len(items); r += 1 + len(items)/20 {
				require.Equal(t, items[r], c.tree.from(r)[0])
				up := c.tree.upTo(r)
				require.Equal(t, items[r], up[len(up)-1])
			}
		}
	})
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
