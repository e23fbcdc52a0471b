package fsm

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// samples are values of every kind, small and beyond one chunk, page or leaf.
func samples() []object {
	var all []object
	for _, n := range []int{1, 2, 9, 300, 3000} {
		l, s, h, z := &listValue{}, &setValue{}, &hashValue{}, &zsetValue{}
		for i := range n {
			m := []byte(name(i))
			l.growing(len(m))
			l.push(m, i%3 == 0)
			s.insert(m)
			h.put(m, bytes.Repeat([]byte("v"), i%200))
			z.put(m, float64(i%7)-3)
		}
		all = append(all, l, s, h, z, sampleStream(n))
	}
	z := &zsetValue{}
	z.put([]byte("low"), math.Inf(-1))
	z.put([]byte(""), math.Inf(1))
	l := &listValue{}
	l.growing(70000)
	l.push(bytes.Repeat([]byte("x"), 70000), false)
	l.push(nil, false)
	return append(all, z, l)
}

// validate verifies the invariants of any collection.
func validate(o object) error {
	switch v := o.(type) {
	case *listValue:
		return v.check()
	case *setValue:
		return v.check()
	case *hashValue:
		return v.check()
	case *zsetValue:
		return v.check()
	case *streamValue:
		return v.check()
	}
	return nil
}

func TestValueCodec(t *testing.T) {
	for _, o := range samples() {
		b := o.appendTo(nil)
		got, err := decoders[o.kind()](b)
		require.NoError(t, err)
		require.NoError(t, validate(got))
		require.Equal(t, b, got.appendTo(nil))
		require.Equal(t, o.size(), got.size())
		for _, cut := range []int{0, 1, len(b) / 2, len(b) - 1} {
			_, err := decoders[o.kind()](b[:cut])
			require.Error(t, err)
		}
		_, err = decoders[o.kind()](append(b, 0))
		require.Error(t, err)
	}
}

// TestCloneIsIndependent changes one side of a clone and compares the other with its encoding before.
func TestCloneIsIndependent(t *testing.T) {
	change := func(o object) {
		switch v := o.(type) {
		case *listValue:
			v.set(0, []byte("changed"))
			v.insert(v.len()/2, []byte("inserted"))
			v.drop(true)
			v.push([]byte("pushed"), false)
			v.removeEqual([]byte(name(5)), 1, true)
		case *setValue:
			v.insert([]byte("new"))
			v.dropAt(0)
		case *hashValue:
			at := func(i int) []byte {
				c := v.from(i)
				field := c.next()
				return field.appendTo(nil)
			}
			v.put(at(v.len()/2), []byte("changed"))
			v.put([]byte("new"), []byte("value"))
			v.remove(at(0))
		case *zsetValue:
			c := v.from(v.len() / 2)
			m := c.next()
			v.put(m.appendTo(nil), 99)
			v.put([]byte("new"), -99)
			v.removeRank(0)
			v.removeRank(v.len() - 1)
		}
	}
	for _, o := range samples() {
		before := o.appendTo(nil)
		c := o.clone()
		require.Equal(t, before, c.appendTo(nil))
		change(o)
		require.Equal(t, before, c.appendTo(nil))
		require.NoError(t, validate(c))
		after := o.appendTo(nil)
		change(c)
		require.Equal(t, after, o.appendTo(nil))
		require.NoError(t, validate(o))
		require.NoError(t, validate(c))
	}
}

// TestZSetModel compares a sorted set with a map and its sorted items.
func TestZSetModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := &zsetValue{}
		model := map[string]float64{}
		for range rapid.IntRange(1, 400).Draw(t, "steps") {
			m := name(rapid.IntRange(0, 200).Draw(t, "member"))
			score := float64(rapid.IntRange(-5, 5).Draw(t, "score"))
			_, has := model[m]
			if rapid.IntRange(0, 3).Draw(t, "op") == 0 {
				require.Equal(t, has, z.remove([]byte(m)))
				delete(model, m)
			} else {
				require.Equal(t, !has, z.put([]byte(m), score))
				model[m] = score
			}
		}
		require.NoError(t, validate(z))
		require.Equal(t, len(model), z.len())
		var want []zpair
		for m, s := range model {
			want = append(want, zpair{s, m})
		}
		slices.SortFunc(want, func(a, b zpair) int {
			if itemLess(a, b) {
				return -1
			}
			return 1
		})
		for _, reverse := range []bool{false, true} {
			var items []zpair
			z.walk(0, len(want), reverse, func(m word, score float64) { items = append(items, zpair{score, m.text()}) })
			require.True(t, slices.Equal(want, items))
			slices.Reverse(want)
		}
	})
}

func fuzzDecoder(f *testing.F, k kind) {
	for _, o := range samples() {
		if o.kind() == k && o.size() < 1<<14 {
			f.Add(o.appendTo(nil))
		}
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Add([]byte{1, 0x81, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := decoders[k](b)
		if err != nil {
			return
		}
		require.NoError(t, validate(o))
		require.Equal(t, b, o.appendTo(nil), "what decodes is canonical")
	})
}

func FuzzDecodeList(f *testing.F) { fuzzDecoder(f, kindList) }
func FuzzDecodeSet(f *testing.F)  { fuzzDecoder(f, kindSet) }
func FuzzDecodeHash(f *testing.F) { fuzzDecoder(f, kindHash) }
func FuzzDecodeZSet(f *testing.F) { fuzzDecoder(f, kindZSet) }
