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

// check verifies the invariants of a list.
func (l *listValue) check() error {
	if l.large != nil {
		if l.small != nil {
			return fmt.Errorf("a list in chunks has a packed sequence")
		}
		_, err := l.large.check()
		return err
	}
	n := 0
	for off := listHead; off < len(l.small); n++ {
		end := l.small.next(off)
		if _, err := l.small[:end].check(off); err != nil {
			return err
		}
		if l.small.after(off) > len(l.small) || l.small.before(l.small.after(off)) != off {
			return fmt.Errorf("the way back to %d is lost", off)
		}
		off = l.small.after(off)
	}
	if n != l.len() || len(l.small) > listSmallMax {
		return fmt.Errorf("%d elements in a list of %d; %d bytes", n, l.len(), len(l.small))
	}
	return nil
}

// smallList drives a list and a slice of strings side by side, as commands do.
type smallList struct {
	l     *listValue
	model []string
}

func (m *smallList) step(t *rapid.T, e string) {
	n := len(m.model)
	op := rapid.IntRange(0, 11).Draw(t, "op")
	if n == 0 {
		op %= 4
	}
	switch op {
	case 0, 1, 2, 3:
		times := rapid.IntRange(1, 40).Draw(t, "pushes")
		m.l.growing(times * len(e))
		for range times {
			m.l.push([]byte(e), op%2 == 0)
			if op%2 == 0 {
				m.model = slices.Insert(m.model, 0, e)
			} else {
				m.model = append(m.model, e)
			}
		}
	case 4, 5:
		for range min(n, rapid.IntRange(1, 60).Draw(t, "pops")) {
			i := 0
			if op == 5 {
				i = len(m.model) - 1
			}
			w := m.l.end(op == 4)
			require.Equal(t, m.model[i], w.text())
			m.l.drop(op == 4)
			m.model = slices.Delete(m.model, i, i+1)
		}
		m.l.shrunk()
	case 6, 7:
		i := rapid.IntRange(0, n-1).Draw(t, "set")
		m.l.growing(len(e))
		m.l.set(i, []byte(e))
		m.l.shrunk()
		m.model[i] = e
	case 8, 9:
		i := rapid.IntRange(0, n).Draw(t, "insert")
		m.l.growing(len(e))
		m.l.insert(i, []byte(e))
		m.model = slices.Insert(m.model, i, e)
	case 10:
		m.remove(t, e)
	case 11:
		first := rapid.IntRange(0, n-1).Draw(t, "first")
		last := rapid.IntRange(0, n-1-first).Draw(t, "last")
		m.l.trim(first, last)
		m.l.shrunk()
		m.model = slices.Clone(m.model[first : n-last])
	}
}

func (m *smallList) remove(t *rapid.T, e string) {
	limit := rapid.IntRange(1, 40).Draw(t, "limit")
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
	m.l.shrunk()
}

func (m *smallList) verify(t *rapid.T) {
	require.NoError(t, m.l.check())
	require.Equal(t, encodeAll(m.model), m.l.appendTo(nil))
	n, pack := len(m.model), 0
	for i, e := range m.model {
		pack += packedLen([]byte(e))
		if i%(1+n/13) != 0 {
			continue
		}
		w := m.l.at(i)
		require.True(t, w.equal([]byte(e)))
		forward, backward := m.l.iter(i, false), m.l.iter(i, true)
		for k := range 5 {
			if i+k < n {
				w = forward.next()
				require.Equal(t, m.model[i+k], w.text())
			}
			if i-k >= 0 {
				w = backward.next()
				require.Equal(t, m.model[i-k], w.text())
			}
		}
	}
	require.Equal(t, pack, m.l.packLen())
	if n == 0 {
		return
	}
	r, err := decodeList(m.l.appendTo(nil))
	require.NoError(t, err)
	require.True(t, r.setForm(m.l.form()))
	require.Equal(t, m.l.form(), r.form())
	require.Equal(t, m.l.size(), r.size(), "not a matter of how it is held")
	require.NoError(t, validate(r))
}

// TestListSmallModel: a list and its clones, from packed to chunks and back.
func TestListSmallModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lists := []*smallList{{l: &listValue{}}}
		elems := []string{"", "0", "-1", "200", "70000", "99999999999", "a", "ab", strings.Repeat("x", 64), strings.Repeat("y", 300)}
		for _, n := range []int{126, 127, 4095, 4096, 9000} {
			elems = append(elems, strings.Repeat("z", n))
		}
		most := rapid.SampledFrom([]int{8, 10, len(elems)}).Draw(t, "elements")
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			m := lists[rapid.IntRange(0, len(lists)-1).Draw(t, "which")]
			m.step(t, rapid.SampledFrom(elems[:most]).Draw(t, "element"))
			if len(lists) < 3 && rapid.IntRange(0, 9).Draw(t, "clone") == 0 {
				c, _ := m.l.clone().(*listValue)
				lists = append(lists, &smallList{l: c, model: slices.Clone(m.model)})
			}
		}
		for _, m := range lists {
			m.verify(t)
		}
	})
}

// TestListOfNothing: elements of no bytes do not bring a list to its limit, however many one command adds, and yet it is
// not held in one piece.
func TestListOfNothing(t *testing.T) {
	m := newMachine(t)
	m.do(slices.Concat([]string{"lpush", "k"}, make([]string, 20000))...)
	require.Equal(t, "listpack", m.encoding("k"))
	p, _ := m.s.tx.findWrite(0, []byte("k"))
	l, _ := p.object().(*listValue)
	require.NotNil(t, l.large)
	require.NoError(t, l.check())
	r := NewStore()
	require.NoError(t, r.Restore(bytes.NewReader(payload(t, m.s))))
	require.Equal(t, stateHash(m.s), stateHash(r))
	require.Equal(t, m.s.MemoryUsed(), r.MemoryUsed())
	m.do("ltrim", "k", "0", "99")
	require.Nil(t, l.large)
	require.NoError(t, m.s.Check())
}
