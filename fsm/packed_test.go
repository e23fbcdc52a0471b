package fsm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// check verifies that p consists of whole elements from off on, each in its one encoding, and returns how many.
func (p packed) check(off int) (n int, err error) {
	for off < len(p) {
		size := int(packedSizes[p[off]])
		switch c := p[off]; {
		case c > packedFloat, c >= packedMid && c < packedLong && off+2 > len(p), c == packedLong && off+5 > len(p):
			return n, fmt.Errorf("no element at %d", off)
		}
		end := p.next(off)
		if end > len(p) || size != 0 && end != off+size {
			return n, fmt.Errorf("the element at %d is cut", off)
		}
		var again []byte
		if p[off] == packedFloat {
			again = appendScore(nil, p.score(off))
		} else {
			w, _ := p.word(off)
			again = w.elem(nil)
		}
		if !bytes.Equal(again, p[off:end]) {
			return n, fmt.Errorf("the element at %d should be % x, is % x", off, again, p[off:end])
		}
		off = end
		n++
	}
	return n, nil
}

// packedWords are at the borders of the encodings.
var packedWords = func() []string {
	all := []string{"", "a", "-", "00", "-0", "007", "+1", " 1", "1 ", "9223372036854775808", "-9223372036854775809", "12345678901234567890123"}
	for _, n := range []int{62, 63, 64, 65, 127, 128, 4094, 4095, 4096, 70000} {
		all = append(all, strings.Repeat("x", n))
	}
	for _, shift := range []int{0, 7, 12, 15, 23, 31, 63} {
		for _, v := range []int64{1<<shift - 1, 1 << shift, -1<<shift - 1, -1 << shift, -1<<shift + 1} {
			all = append(all, fmt.Sprint(v))
		}
	}
	return all
}()

func TestPackedElements(t *testing.T) {
	var p packed
	for _, s := range packedWords {
		e := appendElem(nil, s)
		require.Equal(t, e, appendElem(nil, []byte(s)))
		back := 1
		for n := len(e); n > 127; n >>= 7 {
			back++
		}
		require.Equal(t, packedLen([]byte(s)), len(e)+back, "%.40q takes what Redis' listpack takes", s)
		p = append(p, e...)
	}
	_, err := p.check(0)
	require.NoError(t, err)
	off := 0
	for i, s := range packedWords {
		w, end := p.word(off)
		require.Equal(t, s, w.text())
		require.Equal(t, s, string(w.appendTo(nil)))
		require.Equal(t, len(s), w.len())
		n, number := parseInt([]byte(s))
		got, ok := w.integer()
		require.Equal(t, number, ok)
		require.Equal(t, n, got)
		large := word{b: []byte(s)}
		require.Equal(t, w.elem(nil), large.elem(nil))
		_, pos := p.find(0, p[off:end], 1)
		require.Equal(t, slices.Index(packedWords, s), pos, "%d", i)
		off = end
	}
	require.Equal(t, len(p), off)
	for _, f := range []float64{0, math.Copysign(0, -1), 1, -1, 0.5, 1 << 53, 1<<53 + 2, -1 << 53, 1e300, math.Inf(1), math.Inf(-1), 5e-324} {
		e := packed(appendScore(nil, f))
		require.Equal(t, math.Float64bits(f), math.Float64bits(e.score(0)), "%g", f)
		require.Equal(t, len(e), e.next(0))
	}
}

// FuzzPacked: bytes that pass for a sequence are walked without a mistake, and stay one whatever is changed.
func FuzzPacked(f *testing.F) {
	for _, s := range packedWords {
		f.Add(appendElem(appendElem(appendElem(nil, s), "1000"), "abc"), uint16(1), []byte("new"))
	}
	f.Fuzz(func(t *testing.T, b []byte, at uint16, e []byte) {
		p := packed(bytes.Clone(b))
		n, err := p.check(0)
		if err != nil || n == 0 {
			return
		}
		off := p.skip(0, int(at)%n)
		elem := appendElem(nil, e)
		q := p.clone().open(off, p.next(off), len(elem))
		copy(q[off:], elem)
		got, err := q.check(0)
		require.NoError(t, err)
		require.Equal(t, n, got)
		found, pos := q.find(0, elem, 1)
		require.True(t, found >= 0 && found <= off && pos <= int(at)%n)
		if len(b) <= packedRoom {
			q = q.removeSwap(off, 1)
			got, err = q.check(0)
			require.NoError(t, err)
			require.Equal(t, n-1, got)
		}
		require.Equal(t, b, []byte(p), "the other side of the clone")
	})
}

// check verifies the invariants of a hash.
func (h *hashValue) check() error {
	if d := h.large; d != nil {
		if h.small != nil {
			return fmt.Errorf("a large hash has a packed sequence")
		}
		return d.check()
	}
	if len(h.small) == 0 {
		return nil
	}
	n, err := h.small.check(hashHead)
	if err == nil && (n != hashGroup*h.len() || h.len() > HashMaxListpackEntries) {
		err = fmt.Errorf("%d elements in a hash of %d", n, h.len())
	}
	return err
}

// remove deletes field and reports whether it was there.
func (h *hashValue) remove(field []byte) bool {
	at, pos := h.find(field)
	if at >= 0 {
		h.removeAt(at, pos)
	}
	return at >= 0
}

// historyOf draws what a collection goes through: names that collide often, and now and then a long one or a number.
func historyOf(t *rapid.T) (keys func() []byte, steps int) {
	space := rapid.SampledFrom([]int{4, 40, 200, 700}).Draw(t, "space")
	long := rapid.IntRange(0, 2).Draw(t, "long") == 0
	return func() []byte {
		i := rapid.IntRange(0, space).Draw(t, "key")
		switch {
		case i%5 == 0:
			return []byte(fmt.Sprint(i * i * i * 99))
		case i%97 == 1 && long:
			return bytes.Repeat([]byte(fmt.Sprint(i, ";")), 30)
		}
		return []byte(name(i))
	}, rapid.IntRange(1, 6*space).Draw(t, "steps")
}

type pair struct{ key, val string }

// swapRemove is what order of history means.
func swapRemove[T any](all []T, i int) []T {
	all[i] = all[len(all)-1]
	return all[:len(all)-1]
}

// TestHashModel compares a hash and its clones with a slice, across the change of form.
func TestHashModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h, large := &hashValue{}, false
		var model []pair
		var clones []func()
		key, steps := historyOf(t)
		few := rapid.IntRange(0, 3).Draw(t, "removals")
		for range steps {
			k, v := key(), key()
			if rapid.Bool().Draw(t, "short") {
				v = v[:len(v)/2]
			}
			i := slices.IndexFunc(model, func(p pair) bool { return p.key == string(k) })
			got, ok := h.get(k, 0)
			require.Equal(t, i >= 0, ok)
			if ok {
				require.Equal(t, model[i].val, got.text())
			}
			if rapid.IntRange(0, 9).Draw(t, "op") < few {
				require.Equal(t, i >= 0, h.remove(k))
				if i >= 0 {
					model = swapRemove(model, i)
				}
				continue
			}
			require.Equal(t, i < 0, h.put(k, v))
			if i < 0 {
				model = append(model, pair{string(k), string(v)})
			} else {
				model[i].val = string(v)
			}
			large = large || len(model) > HashMaxListpackEntries || len(k) > HashMaxListpackValue || len(v) > HashMaxListpackValue
			if len(clones) < 3 && rapid.IntRange(0, 50).Draw(t, "clone") == 0 {
				c, before := h.clone(), slices.Clone(model)
				clones = append(clones, func() { require.Equal(t, encodePairs(before), c.appendTo(nil)) })
			}
		}
		require.NoError(t, h.check())
		require.Equal(t, large, h.form() == hashTable)
		require.Equal(t, encodePairs(model), h.appendTo(nil))
		for _, i := range []int{0, len(model) / 2, len(model) - 1} {
			if i >= 0 && i < len(model) {
				c, r := h.from(i), h.random(i, h.places())
				require.Equal(t, c.next(), r.next())
				require.Equal(t, model[i], pair{c.field.text(), c.val.text()})
			}
		}
		for _, verify := range clones {
			verify()
		}
		if len(model) > 0 {
			r, err := decodeHash(h.appendTo(nil))
			require.NoError(t, err)
			require.True(t, r.setForm(h.form()))
			require.Equal(t, h.size(), r.size())
			require.NoError(t, validate(r))
		}
	})
}

// encodePairs is the encoding of a hash.
func encodePairs(all []pair) []byte {
	b := binary.AppendUvarint(nil, uint64(len(all)))
	for _, p := range all {
		b = appendBytes(appendBytes(b, p.key), p.val)
	}
	return b
}

// check verifies the invariants of a set.
func (s *setValue) check() error {
	if s.large != nil {
		if s.small != nil {
			return fmt.Errorf("a large set has a packed sequence")
		}
		return s.large.check()
	}
	if len(s.small) == 0 {
		return nil
	}
	if s.small[0] <= setWidth {
		n, err := s.small.check(setHead)
		if err == nil && (n != s.len() || n > SetMaxListpackEntries) {
			err = fmt.Errorf("%d elements in a set of %d", n, s.len())
		}
		return err
	}
	need := 2
	for i := range s.len() {
		m := s.at(i)
		need = max(need, intWidth(m.n))
	}
	if need != s.width() && s.len() > 0 || (len(s.small)-setHead)%s.width() != 0 || s.len() > SetMaxIntsetEntries {
		return fmt.Errorf("%d integers of %d bytes need %d", s.len(), s.width(), need)
	}
	return nil
}

// setModel is a set as the values of earlier versions held it: members in the order of history, and the form.
type setModel struct {
	all []string
	f   form
}

func (m *setModel) add(member string) {
	m.all = append(m.all, member)
	_, number := parseInt([]byte(member))
	short := len(member) <= SetMaxListpackValue && len(m.all) <= SetMaxListpackEntries
	switch {
	case m.f == setInts && number && len(m.all) <= SetMaxIntsetEntries:
	case m.f == setTable, m.f == setInts && number, !short:
		m.f = setTable
	default:
		m.f = setPacked
	}
}

// TestSetModel compares a set and its clones with a slice, across all changes of form.
func TestSetModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, model := &setValue{}, setModel{f: setInts}
		var clones []func()
		key, steps := historyOf(t)
		few := rapid.IntRange(0, 3).Draw(t, "removals")
		numbers := rapid.IntRange(0, 1000).Draw(t, "numbers")
		scale := rapid.SampledFrom([]int64{1, 99, 99999, 1 << 50}).Draw(t, "scale")
		for step := range steps {
			k := key()
			if step < numbers {
				k = fmt.Append(nil, int64(rapid.IntRange(-600, 600).Draw(t, "number"))*scale)
			}
			i := slices.Index(model.all, string(k))
			require.Equal(t, i >= 0, s.has(k))
			require.Equal(t, i >= 0, s.hasWord(word{b: k}))
			if rapid.IntRange(0, 9).Draw(t, "op") < few {
				require.Equal(t, i >= 0, s.remove(k))
				if i >= 0 {
					model.all = swapRemove(model.all, i)
				}
				continue
			}
			require.Equal(t, i < 0, s.insert(k))
			if i < 0 {
				model.add(string(k))
			}
			if len(clones) < 3 && rapid.IntRange(0, 50).Draw(t, "clone") == 0 {
				c, before := s.clone(), slices.Clone(model.all)
				clones = append(clones, func() { require.Equal(t, encodeAll(before), c.appendTo(nil)) })
			}
		}
		require.NoError(t, s.check())
		require.Equal(t, model.f, s.form())
		require.Equal(t, encodeAll(model.all), s.appendTo(nil))
		places := s.places()
		for i, want := range model.all {
			m, r := s.at(i), s.random(i, places)
			require.Equal(t, []string{want, want}, []string{m.text(), r.text()})
		}
		for _, verify := range clones {
			verify()
		}
		if len(model.all) > 0 {
			r, err := decodeSet(s.appendTo(nil))
			require.NoError(t, err)
			require.True(t, r.setForm(s.form()))
			require.Equal(t, s.size(), r.size())
			require.NoError(t, validate(r))
			i := len(model.all) / 2
			s.dropAt(i)
			require.Equal(t, encodeAll(swapRemove(model.all, i)), s.appendTo(nil))
		}
	})
}

// encodeAll is the encoding of a set or a list.
func encodeAll(all []string) []byte {
	b := binary.AppendUvarint(nil, uint64(len(all)))
	for _, s := range all {
		b = appendBytes(b, s)
	}
	return b
}

// check verifies the invariants of a sorted set.
func (z *zsetValue) check() error {
	if z.large != nil {
		if z.small != nil {
			return fmt.Errorf("a large sorted set has a packed sequence")
		}
		return z.large.check()
	}
	if len(z.small) == 0 {
		return nil
	}
	n, err := z.small.check(zsetHead)
	switch {
	case err != nil:
		return err
	case n != zsetGroup*z.len() || z.len() > ZSetMaxListpackEntries:
		return fmt.Errorf("%d elements in a sorted set of %d", n, z.len())
	}
	seen := make([]bool, z.len())
	at, last := zsetHead, zpair{score: math.Inf(-1)}
	for range z.len() {
		m, next := z.small.word(at)
		it := zpair{z.small.score(next), m.text()}
		at = z.small.skip(next, 2)
		pos := z.small[at-1]
		if int(pos) >= len(seen) || seen[pos] {
			return fmt.Errorf("%d members, position %d", len(seen), pos)
		}
		if at > z.small.skip(zsetHead, zsetGroup) && !itemLess(last, it) {
			return fmt.Errorf("%v before %v", last, it)
		}
		seen[pos], last = true, it
	}
	return nil
}

// scores are of every size that a packed score has, and equal ones are frequent.
var scores = []float64{0, 1, 1, 1, 2, -3, 127, 128, 0.5, -0.5, 1e6, 1 << 53, 1 << 60, math.Inf(1), math.Inf(-1), math.Copysign(0, -1)}

// TestZSetHistory compares a sorted set and its clones with a slice in the order of history, across the change of form.
func TestZSetHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z, large := &zsetValue{}, false
		var model []zpair
		var clones []func()
		key, steps := historyOf(t)
		few := rapid.IntRange(0, 4).Draw(t, "removals")
		for range steps {
			k, score := key(), rapid.SampledFrom(scores).Draw(t, "score")
			i := slices.IndexFunc(model, func(it zpair) bool { return it.member == string(k) })
			switch op := rapid.IntRange(0, 9).Draw(t, "op"); {
			case op < few && i >= 0 && op%2 == 0:
				z.removeRank(z.rank(k))
				model = swapRemove(model, i)
			case op < few:
				require.Equal(t, i >= 0, z.remove(k))
				if i >= 0 {
					model = swapRemove(model, i)
				}
			default:
				require.Equal(t, i < 0, z.put(k, score))
				if i < 0 {
					model = append(model, zpair{positiveZero(score), string(k)})
				} else {
					model[i].score = positiveZero(score)
				}
				large = large || len(model) > ZSetMaxListpackEntries || len(k) > ZSetMaxListpackValue
			}
			if len(clones) < 3 && rapid.IntRange(0, 50).Draw(t, "clone") == 0 {
				c, before := z.clone(), slices.Clone(model)
				clones = append(clones, func() { require.Equal(t, encodeItems(before), c.appendTo(nil)) })
			}
		}
		require.NoError(t, z.check())
		require.Equal(t, large, z.form() == zsetSkip)
		require.Equal(t, encodeItems(model), z.appendTo(nil))
		for _, verify := range clones {
			verify()
		}
		verifyRanks(t, z, model)
		if len(model) > 0 {
			r, err := decodeZSet(z.appendTo(nil))
			require.NoError(t, err)
			require.True(t, r.setForm(z.form()))
			require.Equal(t, z.size(), r.size())
			require.NoError(t, validate(r))
		}
	})
}

// verifyRanks compares ranks and ranges of a sorted set with those of its items.
func verifyRanks(t *rapid.T, z *zsetValue, items []zpair) {
	sorted := slices.Clone(items)
	slices.SortFunc(sorted, func(a, b zpair) int {
		if itemLess(a, b) {
			return -1
		}
		return 1
	})
	for r, it := range sorted {
		require.Equal(t, r, z.rank([]byte(it.member)))
		require.Equal(t, r, z.below(&zbound{score: it.score, member: []byte(it.member)}))
		require.Equal(t, r+1, z.below(&zbound{score: it.score, member: []byte(it.member), after: true}))
		score, ok := z.score([]byte(it.member))
		require.True(t, ok)
		require.Equal(t, it.score, score)
	}
	from := len(items) / 3
	for _, reverse := range []bool{false, true} {
		var got []zpair
		z.walk(from, len(items), reverse, func(m word, score float64) { got = append(got, zpair{score, m.text()}) })
		if reverse {
			slices.Reverse(got)
		}
		require.True(t, slices.Equal(sorted[from:], got))
	}
}

// encodeItems is the encoding of a sorted set.
func encodeItems(all []zpair) []byte {
	b := binary.AppendUvarint(nil, uint64(len(all)))
	for _, it := range all {
		b = binary.LittleEndian.AppendUint64(appendBytes(b, it.member), math.Float64bits(it.score))
	}
	return b
}
