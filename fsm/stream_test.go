package fsm

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// heldEntry is an entry as an obviously right stream has it.
type heldEntry struct {
	id  streamID
	val string
}

// heldStreams drives a machine and its model.
type heldStreams struct {
	*machine
	t     *rapid.T
	keys  map[string][]heldEntry // a key that is there may be empty
	next  uint64
	views []snapshotAt
}

func (h *heldStreams) key(label string) string {
	return rapid.SampledFrom([]string{"{t}a", "{t}b", "c"}).Draw(h.t, label)
}

func (h *heldStreams) n(label string, most int) int { return rapid.IntRange(0, most).Draw(h.t, label) }

// any draws an id that is likely to be one of the stream's.
func (h *heldStreams) any(all []heldEntry) streamID {
	if len(all) > 0 && h.n("known", 4) > 0 {
		return all[h.n("which", len(all)-1)].id
	}
	return streamID{uint64(h.n("ms", int(h.next)+1)), uint64(h.n("seq", 2))}
}

func (a streamID) String() string { return string(a.appendTo(nil)) }

// step executes one command on both sides.
func (h *heldStreams) step() {
	key := h.key("key")
	all, exists := h.keys[key]
	switch op := h.n("op", 11); {
	case op < 5 || !exists:
		for range 1 + h.n("times", 70) {
			h.next += uint64(h.n("later", 1))
			val := strings.Repeat("v", h.n("val", 200))
			reply := h.do("xadd", key, fmt.Sprintf("%d-*", h.next), "f", val, rapid.SampledFrom([]string{"g", "h"}).Draw(h.t, "field"), "1")
			ms, seq, ok := strings.Cut(strings.Split(reply, "\r\n")[1], "-")
			require.True(h.t, ok, reply)
			id := streamID{}
			id.ms, _ = strconv.ParseUint(ms, 10, 64)
			id.seq, _ = strconv.ParseUint(seq, 10, 64)
			all = append(all, heldEntry{id, val})
		}
		h.keys[key] = all
	case op == 5:
		id := h.any(all)
		at := slices.IndexFunc(all, func(e heldEntry) bool { return e.id == id })
		want := ":0\r\n"
		if at >= 0 {
			want = ":1\r\n"
			h.keys[key] = slices.Delete(slices.Clone(all), at, at+1)
		}
		require.Equal(h.t, want, h.do("xdel", key, id.String()))
	case op == 6:
		id := h.any(all)
		from := slices.IndexFunc(all, func(e heldEntry) bool { return !e.id.less(id) })
		if from < 0 {
			from = len(all)
		}
		require.Equal(h.t, fmt.Sprintf(":%d\r\n", from), h.do("xtrim", key, "minid", id.String()))
		h.keys[key] = all[from:]
	case op == 7:
		most := h.n("most", 150)
		from := max(0, len(all)-most)
		require.Equal(h.t, fmt.Sprintf(":%d\r\n", from), h.do("xtrim", key, "maxlen", "=", strconv.Itoa(most)))
		h.keys[key] = all[from:]
	case op == 8:
		most := h.n("most", 150)
		var n int
		_, err := fmt.Sscanf(h.do("xtrim", key, "maxlen", "~", strconv.Itoa(most), "limit", "0"), ":%d", &n)
		require.NoError(h.t, err)
		require.True(h.t, n == 0 || len(all)-n >= most)
		h.keys[key] = all[n:]
	case op == 9:
		if to := h.key("to"); to != key {
			require.Equal(h.t, ":1\r\n", h.do("copy", key, to, "replace"))
			h.keys[to] = slices.Clone(all)
		}
	case op == 10:
		if to := h.key("to"); to != key {
			require.Equal(h.t, "+OK\r\n", h.do("rename", key, to))
			h.keys[to] = all
			delete(h.keys, key)
		}
	default:
		h.look(key, all)
	}
}

// look compares a range in both directions.
func (h *heldStreams) look(key string, all []heldEntry) {
	first, last, count := h.any(all), h.any(all), h.n("count", 20)
	var want []string
	for _, e := range all {
		if !e.id.less(first) && !last.less(e.id) {
			want = append(want, e.id.String())
		}
	}
	ids := func(reply string) (ids []string) {
		for _, line := range strings.Split(reply, "\r\n") {
			if strings.Contains(line, "-") {
				ids = append(ids, line)
			}
		}
		return ids
	}
	require.Equal(h.t, want, ids(h.do("xrange", key, first.String(), last.String())))
	require.Equal(h.t, want[:min(count+1, len(want))], ids(h.do("xrange", key, first.String(), last.String(), "count", strconv.Itoa(count+1))))
	slices.Reverse(want)
	require.Equal(h.t, want, ids(h.do("xrevrange", key, last.String(), first.String())))
}

// verify compares all entries.
func (h *heldStreams) verify() {
	for key, all := range h.keys {
		require.Equal(h.t, fmt.Sprintf(":%d\r\n", len(all)), h.do("xlen", key))
		reply := h.do("xrange", key, "-", "+")
		for _, e := range all {
			_, rest, ok := strings.Cut(reply, fmt.Sprintf("$%d\r\n%s\r\n*4\r\n", len(e.id.String()), e.id))
			require.True(h.t, ok, "%s in %q", e.id, reply)
			require.True(h.t, strings.HasPrefix(rest, bulk("f")+bulk(e.val)))
			reply = rest
		}
	}
}

func (h *heldStreams) thaw() {
	var b bytes.Buffer
	_, err := h.views[0].view.WriteTo(&b)
	require.NoError(h.t, err)
	require.True(h.t, bytes.Equal(h.views[0].want, b.Bytes()))
	h.views[0].view.Close()
	h.views = h.views[1:]
}

// TestStreamModel runs random histories with views open and compares them with a model, a replica and one that was restored.
func TestStreamModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &heldStreams{machine: newMachine(t), t: t, keys: map[string][]heldEntry{}, next: 1}
		for range h.n("steps", 20) {
			h.step()
			switch op := h.n("view", 9); {
			case op == 0 && len(h.views) < 3:
				h.views = append(h.views, snapshotAt{view: h.s.Freeze(), want: payload(t, h.s)})
			case op == 1 && len(h.views) > 0:
				h.thaw()
			}
			require.NoError(t, h.s.Check())
		}
		h.verify()
		for len(h.views) > 0 {
			h.thaw()
		}
		sameEverywhere(t, h.machine)
	})
}

// sameEverywhere checks that a replica and a store that was restored are in the state of the machine.
func sameEverywhere(t require.TestingT, m *machine) {
	want := payload(t, m.s)
	restored := NewStore()
	require.NoError(t, restored.Restore(bytes.NewReader(want)))
	for _, s := range []*Store{m.replay(), restored} {
		require.NoError(t, s.Check())
		require.True(t, bytes.Equal(want, payload(t, s)))
		require.Equal(t, m.s.MemoryUsed(), s.MemoryUsed())
		require.Equal(t, stateHash(m.s), stateHash(s))
	}
}

func TestStreamIDs(t *testing.T) {
	m := newMachine(t)
	script(t, m, [][2]string{
		{"xadd s 0-0 a 1", "-ERR The ID specified in XADD must be greater than 0-0"},
		{"xadd s 0-* a 1", "$3 0-1"},
		{"xadd s 18446744073709551615-18446744073709551614 a 1", "$41 18446744073709551615-18446744073709551614"},
		{"xadd s 1700000000000-* a 1", "-ERR The ID specified in XADD is equal or smaller than the target stream top item"},
		{"xadd s * a 1", "$41 18446744073709551615-18446744073709551615"},
		{"xadd s * a 1", "-ERR The stream has exhausted the last possible ID, unable to add more items"},
		{"xrange s (18446744073709551615-18446744073709551615 +", "-ERR invalid start ID for the interval"},
		{"xrange s - (0-0", "-ERR invalid end ID for the interval"},
		{"xadd t * a 1", "$15 1700000000000-0"},
		{"xadd t * a 1", "$15 1700000000000-1"},
		{"xadd u 5-18446744073709551615 a 1", "$22 5-18446744073709551615"},
		{"xadd u 5-* a 1", "-ERR Elements are too large to be stored"},
		{"xadd u 6 a", "-ERR wrong number of arguments for 'xadd' command"},
		{"xadd u 18446744073709551616 a 1", "-ERR Invalid stream ID specified as stream command argument"},
	}...)
	m.now -= 1000 // the clock of a leader may be behind that of the one before
	script(t, m, [2]string{"xadd t * a 1", "$15 1700000000000-2"})
	m.now += 1001
	script(t, m, [2]string{"xadd t * a 1", "$15 1700000000001-0"})
	require.Equal(t, stateHash(m.s), stateHash(m.replay()))
}

// An id that goes back behind deleted entries, which Redis since 7.2 allows by a lower MAXDELETEDID, leaves the order whole.
func TestStreamSetIDBackwards(t *testing.T) {
	m := newMachine(t)
	for i := range 30 {
		m.do("xadd", "s", fmt.Sprintf("%d-0", 100+i), "a", strings.Repeat("x", 100))
	}
	m.do("xtrim", "s", "maxlen", "1")
	script(t, m, [][2]string{
		{"xdel s 129", ":1"},
		{"xsetid s 50", "-ERR The ID specified in XSETID is smaller than current max_deleted_entry_id"},
		{"xsetid s 129 maxdeletedid 1", "+OK"},
		{"xsetid s 50", "+OK"},
		{"xadd s 51 b 1", "$4 51-0"},
		{"xrange s 51 51", "*1 *2 $4 51-0 *2 $1 b $1 1"},
	}...)
	require.NoError(t, m.s.Check())
	sameEverywhere(t, m)
}

// sampleStream is a stream with n entries, some of them deleted, and groups.
func sampleStream(n int) *streamValue {
	s := newStream()
	for i := range n {
		pairs := asBytes([]string{"field", name(i), "other", strconv.Itoa(i * i)})
		s.add(streamID{uint64(5 + i/2), uint64(i)}, pairs[:2+i%5/3*2])
		if i%4 == 3 {
			s.remove(streamID{uint64(5 + i/2), uint64(i)})
		}
	}
	s.addGroup([]byte("empty"), s.last, unknownRead)
	s.addGroup([]byte("busy"), s.edge(false), 1)
	g := s.change([]byte("busy"))
	s.addConsumer(g, []byte("idle"), 7)
	who := s.addConsumer(g, []byte("active"), 8)
	s.walk(streamID{}, s.last, false, func(e *streamEntry) bool {
		s.pend(g, streamPending{id: e.id, at: 9, times: 1, consumer: who})
		return true
	})
	return s
}

// check compares what a stream has counted with its content.
func (s *streamValue) check() (err error) {
	n, bytes := 0, 0
	s.blocks.Scan(func(b *streamBlock) bool {
		c := b.recount()
		n += b.n
		bytes += b.size()
		if c.n != b.n || c.deleted != b.deleted || c.last != b.last || c.sum != b.sum {
			err = fmt.Errorf("block %s: %+v, should be %+v", b.id, b, c)
		}
		return err == nil
	})
	for _, g := range s.groups {
		bytes += streamGroupCost + len(g.name) + g.pel.Len()*streamPendingCost
		pending := 0
		for _, n := range g.order {
			bytes += streamMemberCost + len(g.consumers[n].name)
			pending += g.consumers[n].pel.Len()
		}
		g.pel.Scan(func(p streamPending) bool {
			if _, ok := g.consumers[p.consumer].pel.Get(p.id); !ok {
				err = fmt.Errorf("%s is not pending for %s", p.id, g.consumers[p.consumer].name)
			}
			return err == nil
		})
		if pending != g.pel.Len() {
			err = fmt.Errorf("%d pending, the consumers have %d", g.pel.Len(), pending)
		}
	}
	if n != s.n || bytes != s.bytes || s.sum() != s.recount() {
		err = fmt.Errorf("%d entries of %d bytes, counted %d, %d", s.n, s.bytes, n, bytes)
	}
	return err
}

// Trimming and deleting keep the first write to a large stream under a view cheap: blocks are copied one by one.
func TestStreamForksByBlocks(t *testing.T) {
	m := newMachine(t)
	for i := range 20_000 {
		m.do("xadd", "s", fmt.Sprintf("%d-1", i+1), "field", "value")
	}
	v := m.s.Freeze()
	defer v.Close()
	tx := Tx{s: m.s}
	s, ok := tx.lookup([]byte("s"), kindStream)
	require.True(t, ok)
	old := s.(*streamValue)
	require.Equal(t, 200, old.blocks.Len())
	m.do("xadd", "s", "20001-1", "field", "value")
	m.do("xdel", "s", "10000-1")
	s, _ = tx.lookup([]byte("s"), kindStream)
	own := 0
	s.(*streamValue).blocks.Scan(func(b *streamBlock) bool {
		if b.side == s.(*streamValue).side {
			own++
		}
		return true
	})
	require.Equal(t, 2, own, "blocks that were copied or made")
	require.Equal(t, 20_000, old.n)
	_, err := v.Verify()
	require.NoError(t, err)
}

func FuzzDecodeStream(f *testing.F) {
	m := newMachine(f)
	m.do("xadd", "s", "1-1", "a", "1", "b", "2")
	m.do("xadd", "s", "1-2", "a", "1", "c", "2")
	m.do("xdel", "s", "1-2")
	tx := Tx{s: m.s}
	s, _ := tx.lookup([]byte("s"), kindStream)
	f.Add(s.appendTo(nil))
	fuzzDecoder(f, kindStream)
}
