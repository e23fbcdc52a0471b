package slab

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// model is an Arena beside what it must hold: every object is filled with bytes of its own.
type model struct {
	t       require.TestingT
	a       *Arena
	objects []object
	live    uint64
	retired []object
	stuck   bool // the last evacuation
	lost    map[Ref]bool
}

type object struct {
	ref  Ref
	n    int
	fill uint64
}

func newModel(t require.TestingT) *model { return &model{t: t, a: New()} }

// write fills an object, the first and last bytes of large ones.
func (o *object) write(b []byte) {
	if len(b) > 4096 {
		o.write(b[:512])
		o.write(b[len(b)-512:])
		return
	}
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, o.fill)
		b = b[8:]
	}
	for i := range b {
		b[i] = byte(o.fill)
	}
}

func (m *model) alloc(n int, fill uint64) {
	o := object{ref: m.a.Alloc(n), n: n, fill: fill | 1}
	require.NotZero(m.t, o.ref)
	require.Less(m.t, o.ref, Ref(1)<<40)
	b := m.a.Bytes(o.ref, n)
	require.Len(m.t, b, n)
	require.Equal(m.t, n, cap(b))
	o.write(b)
	m.objects = append(m.objects, o)
	m.live += uint64(Size(n))
}

// check looks at the first and last bytes.
func (m *model) check(o *object) {
	want := make([]byte, min(o.n, 512))
	o.write(want)
	b := m.a.Bytes(o.ref, o.n)
	if !bytes.Equal(want, b[:len(want)]) || o.n > 4096 && !bytes.Equal(want, b[o.n-512:]) || !bytes.Equal(want, m.a.From(o.ref)[:len(want)]) {
		require.Fail(m.t, "content changed", "object of %d bytes", o.n)
	}
}

// free ends object i, at once or in two steps.
func (m *model) free(i int, late bool) {
	o := m.objects[i]
	m.check(&o)
	m.objects[i] = m.objects[len(m.objects)-1]
	m.objects = m.objects[:len(m.objects)-1]
	m.live -= uint64(Size(o.n))
	if late {
		m.a.Retire(o.n)
		m.retired = append(m.retired, o)
		return
	}
	m.a.Free(o.ref, o.n)
}

func (m *model) release() {
	for _, o := range m.retired {
		m.check(&o)
		m.a.Release(o.ref, o.n)
	}
	m.retired = nil
}

func (m *model) checkAll() {
	for i := range m.objects {
		m.check(&m.objects[i])
	}
	require.Equal(m.t, m.live, m.a.Live())
}

// mayKeep is the most free pages that may keep their memory, whenever they became free.
func mayKeep(a *Arena) int { return keepDirty + len(a.regions)*regionPages/keepShare }

// end frees everything: nothing may be left.
func (m *model) end() {
	m.checkAll()
	m.release()
	for len(m.objects) > 0 {
		m.free(0, false)
	}
	for m.a.Tidy() {
	}
	require.Zero(m.t, m.a.Live())
	require.Zero(m.t, m.a.taken)
	require.LessOrEqual(m.t, m.a.dirty, mayKeep(m.a))
	require.Zero(m.t, m.a.leaving.number)
	for c := range m.a.spans {
		require.Equal(m.t, spans{}, m.a.spans[c], "class %d", c)
	}
	free := 0
	for r, reg := range m.a.regions {
		if reg != nil {
			longest := 0
			for i := range regionPages {
				if reg.free.has(i) {
					free++
					longest++
				}
			}
			require.GreaterOrEqual(m.t, int(m.a.longest[r]), longest)
		}
	}
	m.a.Close()
	require.Empty(m.t, m.a.maps.list)
}

// sizes draws the sizes of objects, mostly small ones.
func sizes() *rapid.Generator[int] {
	return rapid.OneOf(rapid.IntRange(0, 200), rapid.IntRange(0, 4000), rapid.IntRange(0, 2*maxSmall),
		rapid.SampledFrom([]int{8, 96, 256, 257, 4096, 4097, maxSmall, maxSmall + 1, pageSize, 9 * pageSize, regionSize/2 + 1}))
}

func TestArenaIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		size := sizes()
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			n, times := size.Draw(t, "n"), rapid.IntRange(1, 40).Draw(t, "times")
			switch what := rapid.IntRange(0, 10).Draw(t, "what"); {
			case what < 5:
				for i := range min(times, 1+4<<20/(n+1)) {
					m.alloc(n, uint64(n*times+i)*0x9e3779b97f4a7c15)
				}
			case what < 8:
				for i := range min(times, len(m.objects)) {
					m.free((i*7919+n)%len(m.objects), what == 7)
				}
			case what == 8:
				m.release()
			case what == 9:
				m.evacuate(times*times, rapid.IntRange(0, 2*times*times).Draw(t, "refuse"))
			default:
				m.checkAll()
			}
			m.checkSpans()
		}
		m.end()
	})
}

func FuzzArena(f *testing.F) {
	f.Add([]byte{10, 0, 20, 0, 0x80, 3, 0x81, 0})
	f.Add([]byte{0x7f, 0xff, 0x40, 0, 0x80, 0, 0xff, 1, 0x10, 0})
	f.Fuzz(func(t *testing.T, steps []byte) {
		m := newModel(t)
		for i := 0; i+1 < len(steps) && i < 4000; i += 2 {
			n := int(steps[i]&0x7f)<<8 | int(steps[i+1])
			switch {
			case steps[i] < 0x70:
				m.alloc(n, uint64(i)*0x9e3779b97f4a7c15)
			case steps[i] < 0x80:
				m.alloc(int(steps[i+1])*5000, uint64(i)*0x9e3779b97f4a7c15)
			case len(m.objects) > 0 && steps[i] < 0xf0:
				m.free(n%len(m.objects), steps[i]&1 != 0)
			case steps[i] < 0xf8:
				m.release()
			default:
				m.evacuate(n&0xff, 0xc0)
			}
		}
		m.checkSpans()
		m.end()
	})
}

func TestClasses(t *testing.T) {
	for c := 1; c < classes; c++ {
		require.Greater(t, classSizes[c], classSizes[c-1])
		require.Zero(t, classSizes[c]%granule)
		require.Less(t, spanObjects(c), noObject)
		waste := spanPages(c)*pageSize - spanObjects(c)*int(classSizes[c])
		require.LessOrEqual(t, waste*16, spanPages(c)*pageSize, "class of %d bytes", classSizes[c])
	}
	require.EqualValues(t, maxSmall, classSizes[classes-1])
	for n := range maxSmall + 1 {
		c := classOf(n)
		require.True(t, int(classSizes[c]) >= n && (c == 1 || int(classSizes[c-1]) < n), n)
		require.LessOrEqual(t, Size(n), n+max(granule, n/perDouble), n)
	}
	require.Equal(t, maxSmall+bigUnit, Size(maxSmall+1))
}

// A page that has become empty serves another class; what was given back is taken again.
func TestPagesAreUsedAgain(t *testing.T) {
	a := New()
	defer a.Close()
	most := 0
	for _, n := range []int{96, 5000, 40, 30000, 100000, 96} {
		var refs []Ref
		for total := 0; total < 3*regionSize/4; total += Size(n) {
			refs = append(refs, a.Alloc(n))
			clear(a.Bytes(refs[len(refs)-1], n))
		}
		if most == 0 {
			most = len(a.regions)
		}
		require.LessOrEqual(t, len(a.regions), most+1, n)
		for _, r := range refs {
			a.Free(r, n)
		}
		for a.Tidy() {
		}
		require.Zero(t, a.Live())
		require.LessOrEqual(t, a.Mapped(), uint64(mayKeep(a)*pageSize))
	}
}

// One call gives little back at a time, however large the object was.
func TestLargeObjectsGoInSteps(t *testing.T) {
	for _, n := range []int{regionSize / 2, 2*regionSize + 1} {
		a := New()
		small := a.Alloc(8)
		r := a.Alloc(n)
		b := a.Bytes(r, n)
		b[0], b[n-1] = 1, 2
		before := a.Mapped()
		a.Free(r, n)
		require.EqualValues(t, 8, a.Live())
		steps := 1
		for a.Tidy() {
			steps++
			require.LessOrEqual(t, before-a.Mapped(), uint64(steps+1)*maxDiscard*pageSize)
		}
		require.GreaterOrEqual(t, steps+1, n/pageSize/maxDiscard)
		require.NotEqual(t, small, a.Alloc(n), "the place is free again")
		require.LessOrEqual(t, len(a.regions), 1+(n+regionSize-1)/regionSize)
		a.Close()
	}
}

// An Arena that is dropped gives its mappings back.
func TestDroppedArena(t *testing.T) {
	a := New()
	a.Alloc(8)
	maps := a.maps
	require.False(t, maps.ended.Load())
	a = nil
	require.Eventually(t, func() bool {
		runtime.GC()
		return maps.ended.Load()
	}, time.Minute, time.Millisecond)
}

func benchmarkAlloc(b *testing.B, n int) {
	a := New()
	defer a.Close()
	refs := make([]Ref, 1<<20)
	for i := range b.N {
		r := &refs[uint64(i)*0x9e3779b97f4a7c15>>44]
		if *r != 0 {
			a.Free(*r, n)
		}
		*r = a.Alloc(n)
		a.Bytes(*r, n)[0] = 1
	}
	b.ReportMetric(float64(a.Mapped())/float64(a.Live()), "mapped/live")
}

func BenchmarkAlloc96(b *testing.B)  { benchmarkAlloc(b, 96) }
func BenchmarkAlloc600(b *testing.B) { benchmarkAlloc(b, 600) }

func BenchmarkBytes(b *testing.B) {
	a := New()
	defer a.Close()
	refs := make([]Ref, 1<<10)
	for i := range refs {
		refs[i] = a.Alloc(96)
	}
	sum := 0
	b.ResetTimer()
	for i := range b.N {
		sum += len(a.Bytes(refs[i%len(refs)], 96))
	}
	require.NotZero(b, sum)
}
