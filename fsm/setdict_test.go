package fsm

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// check verifies the invariants of a dict.
func (d *dict[V]) check() error {
	bytes, n := 0, 0
	for ci, c := range d.chunks {
		if len(c.e) == 0 || len(c.e) > dictChunkLen || ci < len(d.chunks)-1 && len(c.e) < dictChunkLen {
			return fmt.Errorf("chunk %d of %d holds %d", ci, len(d.chunks), len(c.e))
		}
		n += len(c.e)
	}
	if n != d.n {
		return fmt.Errorf("n is %d, chunks hold %d", d.n, n)
	}
	for i := range d.n {
		bytes += len(d.at(i).key)
		if got := d.findString(d.at(i).key); got != i {
			return fmt.Errorf("key %d found at %d", i, got)
		}
		if got := d.find([]byte(d.at(i).key)); got != i {
			return fmt.Errorf("key bytes %d found at %d", i, got)
		}
	}
	if bytes != d.bytes {
		return fmt.Errorf("bytes is %d, not %d", d.bytes, bytes)
	}
	linked := 0
	for i := 0; i < len(d.dir); {
		p, used := d.dir[i], 0
		for _, s := range p.slots {
			if s != 0 {
				used++
				if got := int(s >> 32 >> (32 - d.depth)); d.dir[got] != p {
					return fmt.Errorf("slot in page %d belongs to %d", i, got)
				}
			}
		}
		if used != p.n || p.depth > d.depth {
			return fmt.Errorf("page %d: %d used, n %d, depth %d of %d", i, used, p.n, p.depth, d.depth)
		}
		linked += used
		for w := 1 << (d.depth - p.depth); w > 0; w-- {
			if d.dir[i] != p {
				return fmt.Errorf("directory broken at %d", i)
			}
			i++
		}
	}
	if d.dir != nil && linked != d.n {
		return fmt.Errorf("%d linked, n %d", linked, d.n)
	}
	return nil
}

// TestDictModel compares a dict and its clones with slices, through growth, splits, removal and merges.
func TestDictModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d dict[int]
		var model []string
		type copied struct {
			d     dict[int]
			model []string
		}
		var clones []copied
		space := rapid.SampledFrom([]int{5, 30, 3000}).Draw(t, "space")
		for range rapid.IntRange(1, 30).Draw(t, "rounds") {
			op := rapid.IntRange(0, 3).Draw(t, "op")
			from := rapid.IntRange(0, space).Draw(t, "from")
			for k := from; k < min(space, from+rapid.IntRange(1, space).Draw(t, "n")); k++ {
				key := name(k)
				i := d.findString(key)
				switch {
				case op <= 1 && i < 0:
					d.add(key, k)
					model = append(model, key)
				case op <= 1:
					d.set(i, k)
				case op == 2 && i >= 0:
					d.removeAt(i)
					model[i] = model[len(model)-1]
					model = model[:len(model)-1]
				}
			}
			if op == 3 && len(clones) < 3 {
				clones = append(clones, copied{d.clone(), append([]string(nil), model...)})
			}
		}
		for _, c := range append(clones, copied{d, model}) {
			require.NoError(t, c.d.check())
			require.Equal(t, len(c.model), c.d.len())
			for i, key := range c.model {
				require.Equal(t, key, c.d.at(i).key)
			}
			require.Equal(t, -1, c.d.find([]byte("absent")))
		}
	})
}

// TestDictLarge splits pages many times and merges them again, on both sides of a clone.
func TestDictLarge(t *testing.T) {
	const n = 40000
	var d dict[int]
	for i := range n {
		d.add(name(i), i)
	}
	require.NoError(t, d.check())
	c := d.clone()
	for i := range n - 10 {
		d.removeAt(d.findString(name(i)))
	}
	require.NoError(t, d.check())
	require.NoError(t, c.check())
	require.Equal(t, 10, d.len())
	require.Equal(t, n, c.len())
	pages := 0
	for i := 0; i < len(d.dir); i += 1 << (d.depth - d.dir[i].depth) {
		pages++
	}
	require.Less(t, pages, 4, "empty pages are merged")
}
