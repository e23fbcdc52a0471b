package fsm

import (
	"bytes"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "key")
		n := rapid.IntRange(0, maxRaw).Draw(t, "value")
		at := rapid.SampledFrom([]int64{0, 1, 1 << 62}).Draw(t, "deadline")
		version := rapid.OneOf(rapid.Uint64(), rapid.Uint64Range(0, 1<<50)).Draw(t, "version")
		enc := rapid.SampledFrom([]encoding{encRaw, encInt, encObject, packedEnc(kindList), packedEnc(kindZSet)}).Draw(t, "encoding")
		h := makeHead(enc, len(key), n, at)
		r := make(record, headSize(h))
		use := rapid.Uint32Range(0, useMask).Draw(t, "use")
		r.fill(h, version, use, at, key)
		require.Equal(t, h, r.head()&^(0xff<<56), "but for the version")
		require.Equal(t, enc, r.enc())
		require.True(t, bytes.Equal(key, r.key()))
		require.Equal(t, len(key), r.keyLen())
		require.Len(t, r.value(), n)
		require.Equal(t, at, r.deadline())
		require.Equal(t, min(version, maxVersion), r.version())
		require.Equal(t, use, r.use())
		r.setVersion(version / 2)
		require.Equal(t, use, r.use())
		r.setUse(use / 2)
		require.Equal(t, min(version/2, maxVersion), r.version())
		require.Equal(t, use/2, r.use())
		require.Equal(t, at == 1, r.expired(2))
		require.False(t, r.expired(1))
	})
	h := makeHead(encRaw, maxKey, headValueLen, 1)
	require.Equal(t, maxKey, headKeyLen(h))
	require.Equal(t, 24+maxKey+headValueLen, headSize(h))
	require.Greater(t, headValueLen, max(maxRaw, maxPacked))
}

// crowd fills a machine with keys of every kind in a few slots.
func crowd(m *machine, n int) {
	for i := range n {
		k := fmt.Sprintf("{%d}%d", i%5, i)
		switch i % 6 {
		case 0:
			m.do("set", k, strings.Repeat("v", i%200))
		case 1:
			m.do("set", k, strconv.Itoa(i))
		case 2:
			m.do("set", k, strings.Repeat("l", 10+i), "px", strconv.Itoa(1000+i))
		case 3:
			m.do("rpush", k, "a", k)
		case 4:
			m.do("append", k, "x")
		default:
			m.do("sadd", k, "a", "b", k)
		}
	}
}

// change does something to every one of crowd's keys.
func change(m *machine, n, round int) {
	for i := range n {
		k := fmt.Sprintf("{%d}%d", i%5, i)
		switch (i/6 + round) % 9 {
		case 0:
			m.do("set", k, strings.Repeat("w", i%200))
		case 1:
			m.do("del", k)
		case 2:
			m.do("pexpire", k, strconv.Itoa(5000+i))
		case 3:
			m.do("persist", k)
		case 4:
			m.do("rename", k, k+"'")
		case 5:
			m.do("move", k, "1")
		case 6:
			m.do("copy", k, k+"+")
		case 7:
			m.do("append", k, "y")
			m.do("rpush", k, "b")
			m.do("sadd", k, "c")
			m.do("incr", k)
		default:
			m.do("set", k, "7", "keepttl")
		}
	}
}

// A view shows what it showed, whatever happens to the keys; when the last one is closed, the entries that follow free what
// only the views had.
func TestRetiredRecords(t *testing.T) {
	const n = 600
	m := newMachine(t)
	crowd(m, n)
	var views []snapshotAt
	for round := range 5 {
		views = append(views, snapshotAt{view: m.s.Freeze(), want: payload(t, m.s)})
		change(m, n, round)
		require.NoError(t, m.s.Check())
		if round == 3 {
			m.do("flushdb")
			crowd(m, n)
		}
	}
	for _, i := range []int{2, 0, 4, 1, 3} {
		var b bytes.Buffer
		_, err := views[i].view.WriteTo(&b)
		require.NoError(t, err)
		require.True(t, bytes.Equal(views[i].want, b.Bytes()), "view %d", i)
		views[i].view.Close()
		change(m, n, i)
		require.NoError(t, m.s.Check())
	}
	for range 4 * n {
		m.do("get", "none")
	}
	for i := range m.s.dbs {
		if db := m.s.dbs[i].Load(); db != nil {
			require.Zero(t, db.retired.n)
			require.Equal(t, retirement{}, db.retired)
		}
	}
	require.NoError(t, m.s.Check())
	require.Equal(t, stateHash(m.s), stateHash(m.replay()))
}

// With an open view one entry frees nothing the view shows, and later ones few records for each command.
func TestDrainIsBounded(t *testing.T) {
	m := newMachine(t)
	const n = 500
	for i := range n {
		m.do("set", strconv.Itoa(i), "a")
	}
	v := m.s.Freeze()
	for i := range n {
		m.do("set", strconv.Itoa(i), "b")
		m.do("set", strconv.Itoa(i), "c")
	}
	db := m.s.dbs[0].Load()
	require.InDelta(t, n, db.retired.n, 1, "the second value is in no view: it was written in place, except by the first entry")
	v.Close()
	before := db.retired.n
	for before > 0 {
		m.do("set", "x", "1")
		require.LessOrEqual(t, before-db.retired.n, 2*drainPerCommand)
		require.Less(t, db.retired.n, before)
		before = db.retired.n
	}
}

// What views keep does not count: a node with an open view has the live bytes of one without.
func TestViewsDoNotCount(t *testing.T) {
	m := newMachine(t)
	crowd(m, 300)
	v := m.s.Freeze()
	defer v.Close()
	for round := range 3 {
		change(m, 300, round)
	}
	follower := m.replay()
	for i := range m.s.dbs {
		if want := m.s.dbs[i].Load(); want != nil {
			require.Equal(t, want.arena.Live(), follower.dbs[i].Load().arena.Live())
			require.Equal(t, i == 0, want.retired.n > 0)
			require.Zero(t, follower.dbs[i].Load().retired.n)
		}
	}
	require.Equal(t, m.s.MemoryUsed(), follower.MemoryUsed())
}

// Strings that are too long for a record, and keys of any length, work like the others.
func TestLongStringsAndKeys(t *testing.T) {
	m := newMachine(t)
	for _, n := range []int{maxRaw - 1, maxRaw, maxRaw + 1, 3 << 20} {
		long := strings.Repeat("x", n)
		require.Equal(t, "+OK\r\n", m.do("set", "k", long))
		require.Equal(t, bulk(long), m.do("get", "k"))
		require.Equal(t, "+OK\r\n", m.do("set", long, "v", "px", "100000"))
		v := m.s.Freeze()
		require.Equal(t, "+OK\r\n", m.do("rename", long, long+"y"))
		require.Equal(t, ":1\r\n", m.do("persist", long+"y"))
		require.Equal(t, bulk("v"), m.do("get", long+"y"))
		require.Equal(t, ":1\r\n", m.do("copy", "k", "k2", "replace"))
		require.Equal(t, fmt.Sprintf(":%d\r\n", n+1), m.do("append", "k2", "z"))
		require.Equal(t, fmt.Sprintf(":%d\r\n", n), m.do("strlen", "k"))
		v.Close()
		require.Equal(t, ":1\r\n", m.do("del", long+"y"))
		require.NoError(t, m.s.Check())
	}
	require.Equal(t, stateHash(m.s), stateHash(m.replay()))
	other := NewStore()
	require.NoError(t, other.Restore(bytes.NewReader(payload(t, m.s))))
	require.Equal(t, m.s.MemoryUsed(), other.MemoryUsed())
}

// A read that holds a view while everything is dropped still shows everything.
func TestViewOutlivesFlush(t *testing.T) {
	m := newMachine(t)
	crowd(m, 300)
	want := payload(t, m.s)
	v := m.s.Freeze()
	m.do("flushall")
	for range 3 {
		runtime.GC()
		crowd(m, 50)
	}
	var b bytes.Buffer
	_, err := v.WriteTo(&b)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, b.Bytes()))
	v.Close()
	require.NoError(t, m.s.Check())
}
