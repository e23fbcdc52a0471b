package slab

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// evacuate moves objects in up to n steps and refuses one of them.
func (m *model) evacuate(n, refuse int) (moved int) {
	m.release() // a rule of Evacuate
	index := make(map[Ref]int, len(m.objects))
	for i := range m.objects {
		index[m.objects[i].ref] = i
	}
	live, calls := m.a.Live(), 0
	moved, m.stuck = m.a.Evacuate(n, func(from, to Ref) Move {
		i, ok := index[from]
		_, taken := index[to]
		if !ok && m.lost[from] {
			return Unknown
		}
		require.True(m.t, ok && !taken, "an object that was freed, or never handed out")
		if calls++; calls == refuse {
			return Refused
		}
		o := &m.objects[i]
		copy(m.a.Bytes(to, o.n), m.a.Bytes(from, o.n))
		delete(index, from)
		index[to], o.ref = i, to
		return Moved
	})
	require.Equal(m.t, live, m.a.Live())
	require.LessOrEqual(m.t, moved, n)
	return moved
}

// checkSpans counts anew what the Arena knows of its spans.
func (m *model) checkSpans() {
	var want [classes]spans
	listed := map[uint32]bool{}
	for c := range m.a.spans {
		for at, first := range m.a.spans[c].room {
			require.Equal(m.t, first != 0, m.a.spans[c].levels>>at&1 != 0)
			for prev, number := uint32(0), first; number != 0; prev, number = number, m.a.page(number).next {
				p := m.a.page(number)
				if c != int(p.class) || prev != p.prev || at != level(c, p.used) || listed[number] {
					require.Fail(m.t, "wrong list", "class %d, level %d: %+v", c, at, *p)
				}
				listed[number] = true
			}
		}
	}
	for r, reg := range m.a.regions {
		if reg == nil {
			continue
		}
		for i := range reg.pages {
			p, number := &reg.pages[i], uint32(r*regionPages+i)
			if p.class == 0 || p.back != 0 {
				continue
			}
			c := int(p.class)
			if p.fresh == aside {
				require.False(m.t, listed[number])
				continue
			}
			if hasRoom := int(p.used) < spanObjects(c) && number != m.a.leaving.number; hasRoom != listed[number] {
				require.Fail(m.t, "a span with room is listed", "class %d: %+v", c, *p)
			}
			want[c].count++
			want[c].objects += uint32(p.used)
		}
	}
	for c := range want {
		if want[c].count != m.a.spans[c].count || want[c].objects != m.a.spans[c].objects {
			require.Fail(m.t, "wrong counts", "class %d: %+v", c, m.a.spans[c])
		}
	}
}

func TestLevels(t *testing.T) {
	for c := 1; c < classes; c++ {
		last := 0
		for used := range spanObjects(c) {
			at := level(c, uint16(used))
			require.True(t, last <= at && at < levels, "%d of %d", used, spanObjects(c))
			require.InDelta(t, float64(used*levels)/float64(spanObjects(c)), float64(at), 1)
			last = at
		}
		require.Equal(t, levels, level(c, uint16(spanObjects(c))))
	}
}

// scatter fills an arena with objects of the sizes in turn and frees all but one of every keep.
func scatter(m *model, total, keep int, sizes ...int) {
	for i := 0; total > 0; i++ {
		n := sizes[i%len(sizes)]
		m.alloc(n, uint64(i)*0x9e3779b97f4a7c15)
		total -= Size(n)
	}
	kept := m.objects[:0]
	for i := range m.objects {
		if o := m.objects[i]; i*7919%keep != 0 {
			m.a.Free(o.ref, o.n)
			m.live -= uint64(Size(o.n))
		} else {
			kept = append(kept, o)
		}
	}
	m.objects = kept
}

// What many freed objects leave behind is given back, at a price of less than a move for each of them.
func TestEvacuate(t *testing.T) {
	for _, keep := range []int{2, 3, 5, 50} {
		m := newModel(t)
		scatter(m, 32<<20, keep, 24, 96, 100, 240, 600, 5000, 30000)
		freed := (keep - 1) * len(m.objects)
		require.Greater(t, float64(m.a.Mapped())/float64(m.a.Live()), 1.2)
		moves := 0
		for m.a.Slack() > 0 {
			n := m.evacuate(len(m.objects)/10+spanObjects(1), 0)
			require.NotZero(t, n)
			moves += n
		}
		require.Zero(t, m.evacuate(100, 0))
		require.LessOrEqual(t, moves, min(freed, len(m.objects)*5/4))
		require.LessOrEqual(t, m.a.Mapped(), m.a.Live()+uint64(8*9*pageSize+mayKeep(m.a)*pageSize))
		m.checkSpans()
		m.end()
	}
}

// A refusal costs nothing, and the object is offered again.
func TestEvacuateRefused(t *testing.T) {
	m := newModel(t)
	scatter(m, 4<<20, 3, 96, 200)
	taken := m.a.taken
	for !m.stuck {
		require.Zero(t, m.evacuate(10, 1))
	}
	for range 10 {
		require.Zero(t, m.evacuate(10, 1))
		require.True(t, m.stuck)
	}
	require.Equal(t, m.a.taken, taken)
	require.NotZero(t, m.a.leaving.number)
	m.checkAll()
	m.free(len(m.objects)/2, false) // others come and go meanwhile
	m.alloc(96, 5)
	for m.stuck = false; !m.stuck; {
		m.evacuate(1000, 0)
	}
	require.Less(t, m.a.taken, taken/2)
	m.end()
}

// Objects of the span that is being emptied may be freed by others.
func TestLeavingSpanLosesObjects(t *testing.T) {
	m := newModel(t)
	scatter(m, 1<<20, 2, 96)
	for m.evacuate(1, 0) == 0 { // finds out what there is
	}
	number := m.a.leaving.number
	require.NotZero(t, number)
	for i := len(m.objects) - 1; i >= 0; i-- {
		if r := m.objects[i].ref; r >= Ref(number)*pageGranules && r < Ref(number+1)*pageGranules {
			m.free(i, i%2 == 0)
		}
	}
	m.release()
	require.Zero(t, m.a.leaving.number)
	m.checkSpans()
	m.end()
}

// A span may lose objects, or all of them, while nobody knows yet which it has.
func TestLeavingSpanLosesObjectsEarly(t *testing.T) {
	for _, all := range []bool{true, false} {
		m := newModel(t)
		scatter(m, 1<<20, 20, 24)
		require.Zero(t, m.evacuate(1, 0))
		require.Zero(t, m.evacuate(1, 0))
		number := m.a.leaving.number
		require.NotEqual(t, uint16(noObject), m.a.leaving.free)
		for i := len(m.objects) - 1; i >= 0; i-- {
			if r := m.objects[i].ref; uint32(r/pageGranules) == number && (all || i%2 == 0) {
				m.free(i, false)
			}
		}
		require.Equal(t, all, m.a.leaving.number == 0)
		m.checkSpans()
		for m.stuck = false; !m.stuck; {
			m.evacuate(100, 0)
		}
		require.Zero(t, m.a.Slack())
		m.checkSpans()
		m.end()
	}
}

// A span with an object that nobody knows is set aside, and the others are emptied all the same.
func TestUnknownObjects(t *testing.T) {
	m := newModel(t)
	scatter(m, 8<<20, 10, 24, 96, 600, 5000)
	var lost []object
	m.lost = map[Ref]bool{}
	for i := range 5 {
		n := i * len(m.objects) / 6
		lost = append(lost, m.objects[n])
		m.lost[m.objects[n].ref] = true
		m.objects = append(m.objects[:n], m.objects[n+1:]...)
	}
	for m.stuck = false; !m.stuck; {
		m.evacuate(100, 0)
	}
	require.Zero(t, m.a.Slack())
	slack := len(lost)*8*pageSize + 4*9*pageSize + mayKeep(m.a)*pageSize
	require.LessOrEqual(t, m.a.Mapped(), m.a.Live()+uint64(slack))
	m.checkAll()
	for range 2000 { // the places beside an unknown object are not used
		m.alloc(24, 1)
		m.alloc(96, 1)
	}
	m.checkAll()
	for _, o := range lost {
		m.check(&o)
	}
	m.objects = append(m.objects, lost...)
	m.end()
}

// BenchmarkFollow finds out which objects a span has that was filled and emptied in no order, out of the caches; it reports the
// longest step.
func BenchmarkFollow(b *testing.B) {
	a := New()
	defer a.Close()
	const n = 24
	refs := make([]Ref, 64<<20/n)
	for i := range refs {
		refs[i] = a.Alloc(n)
	}
	seed := uint64(1)
	for i := range refs {
		seed = seed*6364136223846793005 + 1442695040888963407
		j := i + int(seed>>33)%(len(refs)-i)
		refs[i], refs[j] = refs[j], refs[i]
		if i < len(refs)*49/50 {
			a.Free(refs[i], n)
		}
	}
	var all, steps []float64
	for b.Loop() {
		if !a.leave() {
			break
		}
		sum := 0.0
		for a.leaving.free != noObject {
			start := time.Now()
			a.follow()
			took := float64(time.Since(start).Nanoseconds()) / 1e3
			steps, sum = append(steps, took), sum+took
		}
		all = append(all, sum)
		a.setAside()
	}
	slices.Sort(all)
	slices.Sort(steps)
	b.ReportMetric(all[len(all)/2], "us/span")
	b.ReportMetric(steps[len(steps)/2], "us/step")
	b.ReportMetric(steps[len(steps)*99/100], "us/99th-step")
}

func BenchmarkEvacuate96(b *testing.B) {
	a := New()
	defer a.Close()
	refs := make([]Ref, 1<<22)
	for b.Loop() {
		b.StopTimer()
		for i := range refs {
			refs[i] = a.Alloc(96)
			a.Bytes(refs[i], 96)[0] = 1
		}
		for i, r := range refs {
			if uint64(i)*0x9e3779b97f4a7c15>>63 == 0 {
				a.Free(r, 96)
				refs[i] = 0
			}
		}
		b.StartTimer()
		moves, _ := a.Evacuate(2*len(refs), func(from, to Ref) Move {
			copy(a.Bytes(to, 96), a.Bytes(from, 96))
			return Moved
		})
		b.StopTimer()
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(moves), "ns/move")
		a.Close()
		*a = *New()
		b.StartTimer()
	}
}

// An arena is closed step by step, whatever was in it.
func TestCloseStep(t *testing.T) {
	m := newModel(t)
	scatter(m, 12<<20, 3, 96, 700, 40000)
	m.alloc(regionSize/2+1, 1)
	m.alloc(2*regionSize+5, 1)
	for range 3 {
		m.free(len(m.objects)/2, false)
	}
	m.free(len(m.objects)-1, false) // its memory is being given back
	maps, before, steps := m.a.maps, m.a.Mapped(), 0
	for last := before; m.a.CloseStep(); last = m.a.Mapped() {
		require.LessOrEqual(t, last-m.a.Mapped(), uint64(maxDiscard*pageSize))
		steps++
	}
	if OffHeap {
		require.GreaterOrEqual(t, steps, 12<<20/3/pageSize/maxDiscard)
	}
	require.LessOrEqual(t, steps, int(before/pageSize)+3)
	require.Empty(t, maps.list)
	require.True(t, maps.ended.Load())
	require.Zero(t, m.a.Mapped())
	require.Zero(t, m.a.Live())
	require.False(t, m.a.CloseStep())
}
