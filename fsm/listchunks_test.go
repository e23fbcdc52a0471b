package fsm

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// check verifies the invariants of a list and returns its elements.
func (l *listChunks) check() ([]string, error) {
	var all []string
	sum := 0
	for i, c := range l.chunks() {
		if c.n == 0 || c.head > c.tail || c.tail > len(c.buf) || len(c.buf) > listChunkHuge && c.n != 1 {
			return nil, fmt.Errorf("chunk %d: n %d, %d:%d of %d", i, c.n, c.head, c.tail, len(c.buf))
		}
		off := c.head
		for range c.n {
			e, next := c.next(off)
			if c.prev(next) != off {
				return nil, fmt.Errorf("chunk %d: back from %d is not %d", i, next, off)
			}
			all = append(all, string(e))
			sum += len(e)
			off = next
		}
		if off != c.tail {
			return nil, fmt.Errorf("chunk %d ends at %d, not %d", i, off, c.tail)
		}
	}
	if len(all) != l.n || sum != l.bytes {
		return nil, fmt.Errorf("n %d, bytes %d, not %d, %d", l.n, l.bytes, len(all), sum)
	}
	return all, nil
}

var elementLengths = []int{0, 1, 3, 20, 126, 127, 128, 129, 1000, 4000, 4090, 4096, 5000, 17000}

func drawElement(t *rapid.T) string {
	n := elementLengths[min(rapid.IntRange(0, 60).Draw(t, "length"), 60)%len(elementLengths)]
	if rapid.IntRange(0, 5).Draw(t, "short") > 0 {
		n = min(n, 20)
	}
	return strings.Repeat(string(rune('a'+rapid.IntRange(0, 3).Draw(t, "letter"))), n)
}

// listModel drives a list and a slice of strings side by side.
type listModel struct {
	l     *listChunks
	model []string
}

func (m *listModel) step(t *rapid.T) {
	n := len(m.model)
	op := rapid.IntRange(0, 9).Draw(t, "op")
	if n == 0 {
		op %= 2
	}
	e := drawElement(t)
	switch op {
	case 0, 1:
		for range rapid.IntRange(1, 300).Draw(t, "pushes") {
			m.l.push([]byte(e), op == 0)
			if op == 0 {
				m.model = slices.Insert(m.model, 0, e)
			} else {
				m.model = append(m.model, e)
			}
		}
	case 2, 3:
		for range min(n, rapid.IntRange(1, 300).Draw(t, "pops")) {
			i := 0
			if op == 3 {
				i = len(m.model) - 1
			}
			require.Equal(t, m.model[i], string(m.l.pop(op == 2)))
			m.model = slices.Delete(m.model, i, i+1)
		}
	case 4, 5:
		i := rapid.IntRange(0, n-1).Draw(t, "set")
		m.l.set(i, []byte(e))
		m.model[i] = e
	case 6, 7:
		i := rapid.IntRange(0, n).Draw(t, "insert")
		m.l.insert(i, []byte(e))
		m.model = slices.Insert(m.model, i, e)
	case 8:
		m.remove(t, e)
	case 9:
		first := rapid.IntRange(0, n-1).Draw(t, "first")
		last := rapid.IntRange(0, n-1-first).Draw(t, "last")
		m.l.trim(first, last)
		m.model = slices.Clone(m.model[first : n-last])
	}
}

func (m *listModel) remove(t *rapid.T, e string) {
	limit := rapid.IntRange(1, 400).Draw(t, "limit")
	fromTail := rapid.Bool().Draw(t, "tail")
	if fromTail {
		slices.Reverse(m.model)
	}
	removed := 0
	m.model = slices.DeleteFunc(m.model, func(x string) bool {
		if x == e && removed < limit {
			removed++
			return true
		}
		return false
	})
	if fromTail {
		slices.Reverse(m.model)
	}
	require.Equal(t, removed, m.l.removeEqual([]byte(e), limit, fromTail))
}

func (m *listModel) verify(t *rapid.T) {
	all, err := m.l.check()
	require.NoError(t, err)
	require.True(t, slices.Equal(m.model, all))
	for i := 0; i < len(all); i += 1 + len(all)/13 {
		require.Equal(t, all[i], string(m.l.at(i)))
		it := m.l.iter(i, false)
		for k := i; k < min(i+5, len(all)); k++ {
			require.Equal(t, all[k], string(it.next()))
		}
		it = m.l.iter(i, true)
		for k := i; k >= max(0, i-5); k-- {
			require.Equal(t, all[k], string(it.next()))
		}
	}
}

func TestListModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &listModel{l: &listChunks{}}
		ms := []*listModel{m}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			m := ms[rapid.IntRange(0, len(ms)-1).Draw(t, "which")]
			m.step(t)
			if len(ms) < 3 && rapid.IntRange(0, 9).Draw(t, "clone") == 0 {
				ms = append(ms, &listModel{l: m.l.clone(), model: slices.Clone(m.model)})
			}
		}
		for _, m := range ms {
			m.verify(t)
		}
	})
}

// TestListQueueStaysSmall lets far more elements pass through a list than it ever holds, in every direction.
func TestListQueueStaysSmall(t *testing.T) {
	for _, front := range []bool{false, true} {
		for _, held := range []int{1, 1000} {
			l := &listChunks{}
			e := bytes.Repeat([]byte("x"), 100)
			for range held {
				l.push(e, front)
			}
			for range 200000 {
				l.push(e, front)
				l.pop(!front)
			}
			_, err := l.check()
			require.NoError(t, err)
			require.LessOrEqual(t, cap(l.dir), 4*len(l.chunks())+16)
		}
	}
}

func TestListQueueAllocatesNothing(t *testing.T) {
	l := &listChunks{}
	e := bytes.Repeat([]byte("x"), 16)
	for range 100000 {
		l.pushFront(e)
	}
	for range 200000 { // until all chunks are of the size that this list has
		l.pushFront(e)
		l.pop(false)
	}
	require.Zero(t, int(testing.AllocsPerRun(10, func() {
		for range 1000 {
			l.pushFront(e)
			l.pop(false)
		}
	})))
	require.Equal(t, 100000, l.n)
}

// The chunks of a list of many bytes are larger, also where they split and join; and are small again when it is.
func TestListChunksGrow(t *testing.T) {
	l := &listChunks{}
	var want []string
	for i := range 20_000 {
		want = append(want, fmt.Sprintf("%01000d", i))
		l.push([]byte(want[i]), false)
	}
	require.Less(t, len(l.chunks()), listMedium/listChunkLen+listHuge/listChunkMedium+5<<20/listChunkHuge)
	for i := 100; i < len(want); i += 1999 {
		l.insert(i, []byte("inserted"))
		want = slices.Insert(want, i, "inserted")
		l.set(i/2, []byte("set"))
		want[i/2] = "set"
	}
	require.Equal(t, 10, l.removeEqual([]byte("inserted"), 20, true))
	want = slices.DeleteFunc(want, func(e string) bool { return e == "inserted" })
	all, err := l.check()
	require.NoError(t, err)
	require.True(t, slices.Equal(want, all))
	for i := 0; i < len(want); i += 777 {
		require.Equal(t, want[i], string(l.at(i)))
	}
	l.trim(10_000, len(want)-10_200)
	for range 190 {
		l.pop(true)
	}
	all, err = l.check()
	require.NoError(t, err)
	require.Equal(t, want[10_190:10_200], all)
	require.Equal(t, listChunkLen, l.chunkLen())
	require.Nil(t, l.spare, "a small list keeps no large chunk")
}
