package dict

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"kvapp/fsm/slab"
)

// model is a dictionary of numbers beside a plain list. The reference of a number is the number; its tag follows from it.
type model struct {
	t      require.TestingT
	d      Table
	space  *space // nil = the tables are on the Go heap
	want   []slab.Ref
	pos    map[slab.Ref]int // in want
	same   uint32           // bits of a tag that are used: few make many numbers share one
	epoch  uint64
	frozen []frozen
}

// frozen is a copy of the header, and what it shows for ever.
type frozen struct {
	d     Table
	want  []slab.Ref
	epoch uint64
}

// space is a Space that knows what is in use, and spoils what is free.
type space struct {
	t       require.TestingT
	arena   *slab.Arena
	sizes   map[slab.Ref]int
	retired []retired
}

type retired struct {
	ref   slab.Ref
	n     int
	epoch uint64
}

func (s *space) Alloc(n int) (slab.Ref, []byte) {
	require.Equal(s.t, n, slab.Size(n))
	ref := s.arena.Alloc(n)
	s.sizes[ref] = n
	b := s.arena.Bytes(ref, n)
	s.spoil(b)
	return ref, b
}

func (s *space) Free(r slab.Ref, n int) {
	require.Equal(s.t, s.sizes[r], n)
	delete(s.sizes, r)
	s.spoil(s.arena.Bytes(r, n))
	s.arena.Free(r, n)
}

func (s *space) spoil(b []byte) {
	words := slab.As[uint64](b)
	for i := range words {
		words[i] = ^uint64(0)
	}
}

func (s *space) Retire(r slab.Ref, n int, epoch uint64) {
	require.Equal(s.t, s.sizes[r], n)
	s.retired = append(s.retired, retired{r, n, epoch})
}

// release frees what no copy can show any more; those of older epochs are gone.
func (s *space) release(oldest uint64) {
	for len(s.retired) > 0 && s.retired[0].epoch < oldest {
		s.Free(s.retired[0].ref, s.retired[0].n)
		s.retired = s.retired[1:]
	}
}

// bytes is what is in use and not retired.
func (s *space) bytes() (n uint64) {
	for _, size := range s.sizes {
		n += uint64(size)
	}
	for _, r := range s.retired {
		n -= uint64(r.n)
	}
	return n
}

func newModel(t require.TestingT, same uint32) *model {
	return &model{t: t, pos: map[slab.Ref]int{}, same: same}
}

// enter moves the tables out of the Go heap, if they are there and nobody looks.
func (m *model) enter() {
	if m.space == nil && len(m.frozen) == 0 {
		m.space = &space{t: m.t, arena: slab.New(), sizes: map[slab.Ref]int{}}
		m.d.Enter(m.space)
	}
}

// release frees what the copies that are left do not show.
func (m *model) release() {
	oldest := m.epoch + 1
	if len(m.frozen) > 0 {
		oldest = m.frozen[0].epoch
	} else {
		m.d.Alone()
	}
	if m.space != nil {
		m.space.release(oldest)
	}
}

// end frees everything, of which nothing may be left.
func (m *model) end() {
	for len(m.frozen) > 0 {
		m.close()
	}
	steps := 0
	for m.d.FreeStep() {
		steps++
	}
	if m.space == nil {
		require.Zero(m.t, steps)
		return
	}
	require.Empty(m.t, m.space.sizes)
	require.Zero(m.t, m.space.arena.Live())
	require.Zero(m.t, m.d.Bytes())
}

func (m *model) tag(r slab.Ref) uint32 {
	x := uint64(r) * 0x9e3779b97f4a7c15
	return Tag(uint32(x>>32)) & m.same
}

func (m *model) find(r slab.Ref) int {
	for pos, at := m.d.Next(m.tag(r), 0); pos >= 0; pos, at = m.d.Next(m.tag(r), at) {
		if m.d.At(pos) == r {
			return pos
		}
	}
	return -1
}

func (m *model) put(r slab.Ref) {
	if _, present := m.pos[r]; present {
		return
	}
	m.pos[r] = len(m.want)
	require.Equal(m.t, len(m.want), m.d.Put(m.tag(r), r))
	m.want = append(m.want, r)
}

func (m *model) del(pos int) {
	m.d.Del(pos)
	last := m.want[len(m.want)-1]
	delete(m.pos, m.want[pos])
	if m.want = m.want[:len(m.want)-1]; pos < len(m.want) {
		m.want[pos], m.pos[last] = last, pos
	}
}

// own is what the owner does before it changes something.
func (m *model) own() { m.d.Own(m.epoch, len(m.frozen) > 0) }

func (m *model) check() {
	require.Equal(m.t, len(m.want), m.d.Len())
	v := m.d.View()
	require.Equal(m.t, len(m.want), v.Len())
	if m.space != nil {
		require.Equal(m.t, m.space.bytes(), m.d.Bytes())
	}
	step := 1 + len(m.want)/300
	for i := 0; i < len(m.want); i += step {
		r := m.want[i]
		if m.d.At(i) != r || v.At(i) != r || m.find(r) != i {
			require.Fail(m.t, "wrong place", "number %d is not at %d", r, i)
		}
		got, same := m.d.Has(i, m.tag(r))
		_, other := m.d.Has(i, m.tag(r)^1)
		if got != r || !same || other {
			require.Fail(m.t, "another key", "number %d is not known at %d", r, i)
		}
	}
	for _, pos := range []int{-1, len(m.want), len(m.want) + 1, 1 << 30} {
		_, has := m.d.Has(pos, 0)
		require.False(m.t, has)
	}
	for r := range slab.Ref(20) {
		want := -1
		if pos, present := m.pos[r]; present {
			want = pos
		}
		require.Equal(m.t, want, m.find(r))
	}
}

// close ends the oldest view, which must show what it always showed.
func (m *model) close() {
	if len(m.frozen) == 0 {
		return
	}
	f := m.frozen[0]
	m.frozen = m.frozen[1:]
	defer m.release()
	v := f.d.View()
	require.Equal(m.t, len(f.want), v.Len())
	for i, r := range f.want {
		if v.At(i) != r {
			require.Fail(m.t, "a view changed", "%d instead of %d at %d of %d", v.At(i), r, i, v.Len())
		}
	}
}

// run does one step of the model that the numbers choose.
func (m *model) run(what, a, times int) {
	switch {
	case what < 5:
		m.own()
		for i := range times {
			m.put(slab.Ref(a + i))
		}
	case what < 8:
		m.own()
		for i := 0; i < times && len(m.want) > 0; i++ {
			m.del((a + i*7919) % len(m.want))
		}
	case what == 8:
		m.own()
		for i := 0; i < times && len(m.want) > 0; i++ {
			pos := (a + i*104729) % len(m.want)
			m.d.Set(pos, m.want[pos])
		}
	case what == 9:
		m.epoch++
		m.frozen = append(m.frozen, frozen{m.d, append([]slab.Ref(nil), m.want...), m.epoch})
	case what == 10:
		m.close()
	case what == 12:
		m.enter()
	default:
		m.check()
	}
}

func TestDictIsAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t, rapid.SampledFrom([]uint32{1<<TagBits - 1, 1<<TagBits - 1, 0xfff, 0xfff000, 0x80003f}).Draw(t, "tags"))
		most := rapid.SampledFrom([]int{4, 30, 1000, 6000}).Draw(t, "most")
		if m.same < 1<<12 {
			most = min(most, 1000)
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			m.run(rapid.IntRange(0, 12).Draw(t, "what"), rapid.IntRange(0, 20_000).Draw(t, "a"), rapid.IntRange(1, most).Draw(t, "times"))
		}
		m.check()
		for len(m.frozen) > 0 {
			m.close()
		}
		m.own()
		for len(m.want) > 0 {
			m.del(len(m.want) / 2)
		}
		require.Zero(t, m.d.Len())
		m.check()
		for i := range rapid.IntRange(0, most).Draw(t, "left") {
			m.put(slab.Ref(i))
		}
		m.end()
	})
}

func FuzzDict(f *testing.F) {
	f.Add([]byte{0, 0, 0, 200, 9, 0, 0, 0, 5, 1, 1, 100})
	f.Add([]byte{0, 0, 0, 255, 0, 8, 0, 255, 9, 0, 0, 0, 6, 1, 1, 255, 10, 0, 0, 0})
	f.Fuzz(func(t *testing.T, steps []byte) {
		m := newModel(t, 1<<TagBits-1)
		for i := 0; i+3 < len(steps) && i < 400; i += 4 {
			times := int(steps[i+3])
			m.run(int(steps[i]%13), int(steps[i+1])<<8|int(steps[i+2]), times*times/8+1)
		}
		m.check()
		m.end()
	})
}

func TestHeaderIsACacheLine(t *testing.T) {
	require.EqualValues(t, 64, reflect.TypeOf(Dict{}).Size())
}

// A scan that counts down from the end sees every key that is there all the time, whatever comes and goes meanwhile.
func TestScanFromTheEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t, 1<<TagBits-1)
		n := rapid.SampledFrom([]int{5, 40, 5000}).Draw(t, "n")
		for i := range n {
			m.put(slab.Ref(i))
		}
		stays := func(r slab.Ref) bool { return r%3 == 0 }
		seen := map[slab.Ref]bool{}
		for left := m.d.Len(); left > 0; {
			for range min(left, 1+n/10) {
				left--
				seen[m.d.At(left)] = true
			}
			for range rapid.IntRange(0, 1+n/5).Draw(t, "changes") {
				pos := rapid.IntRange(0, max(0, len(m.want)-1)).Draw(t, "pos")
				switch {
				case len(m.want) > 0 && !stays(m.want[pos]):
					m.del(pos)
				default:
					m.put(slab.Ref(3*len(m.want)+1) + slab.Ref(n))
				}
			}
			left = min(left, m.d.Len())
		}
		for i := range n {
			require.True(t, seen[slab.Ref(i)] || !stays(slab.Ref(i)), i)
		}
	})
}

// After a freeze the first change of a large dictionary copies the directory and one chunk, the next one a chunk.
func TestFreezeCopiesChunks(t *testing.T) {
	for _, outside := range []bool{false, true} {
		m := newModel(t, 1<<TagBits-1)
		if outside {
			m.enter()
		}
		testFreezeCopiesChunks(t, m)
		m.end()
	}
}

func testFreezeCopiesChunks(t *testing.T, m *model) {
	const n = 100_000
	for i := range n {
		m.put(slab.Ref(i))
	}
	for range 3 {
		m.run(9, 0, 0)
		before := m.d.large
		m.own()
		require.NotSame(t, before, m.d.large)
		for _, pos := range []int{0, 1, n / 2, n - 1} {
			m.d.Set(pos, m.want[pos])
		}
		copied := 0
		for i := range before.chunks {
			if before.chunks[i].words != m.d.large.chunks[i].words {
				copied++
			}
		}
		require.Equal(t, 3, copied)
		m.close()
	}
	m.epoch++
	m.own()
	before := m.d.large.chunks[5].words
	m.d.Set(5*chunkLen, m.want[5*chunkLen])
	require.Same(t, before, m.d.large.chunks[5].words, "nobody looks: nothing is copied")
}

// slots are many small dictionaries with n keys in all, as the slots of a keyspace.
func slots(n int) []Dict {
	d := make([]Dict, 16384)
	for i := range n {
		h := uint64(i+1) * 0x9e3779b97f4a7c15
		d[h>>50].Put(Tag(uint32(h>>16)), slab.Ref(i))
	}
	return d
}

func benchmarkNext(b *testing.B, n int) {
	d := slots(n)
	b.ResetTimer()
	for i := range b.N {
		at := (i * 7919) % n
		h := uint64(at+1) * 0x9e3779b97f4a7c15
		if pos, _ := d[h>>50].Next(Tag(uint32(h>>16)), 0); d[h>>50].At(pos) != slab.Ref(at) {
			b.Fatal("lost")
		}
	}
}

func BenchmarkDict(b *testing.B) {
	for _, n := range []int{1_000_000, 5_000_000} {
		b.Run(fmt.Sprintf("next/%d", n), func(b *testing.B) { benchmarkNext(b, n) })
	}
	b.Run("large", func(b *testing.B) {
		var d Dict
		const n = 1_000_000
		for i := range n {
			d.Put(Tag(uint32(uint64(i+1)*0x9e3779b97f4a7c15>>16)), slab.Ref(i))
		}
		b.ResetTimer()
		for i := range b.N {
			at := (i * 7919) % n
			pos, _ := d.Next(Tag(uint32(uint64(at+1)*0x9e3779b97f4a7c15>>16)), 0)
			if d.At(pos) != slab.Ref(at) {
				b.Fatal("lost")
			}
		}
	})
	b.Run("put-del", func(b *testing.B) {
		d := slots(1_000_000)
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			s := &d[uint64(i+1)*0x9e3779b97f4a7c15>>50]
			s.Put(Tag(uint32(uint64(i+1)*0x9e3779b97f4a7c15>>16)), slab.Ref(i))
			s.Del(i % s.Len())
		}
	})
}
