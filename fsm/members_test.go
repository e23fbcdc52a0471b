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

	"kvapp/fsm/slab"
)

// Collections of the tests below have one element that keeps them from being packed, however few others they have.
var unpacked = strings.Repeat("u", 100)

// addMembers adds n elements from number at on to the key of a kind; values are of up to size bytes.
func addMembers(m *machine, k kind, key string, at, n, size int) {
	args := map[kind][]string{kindHash: {"hset", key, unpacked, unpacked}, kindSet: {"sadd", key, unpacked}, kindZSet: {"zadd", key, "1", unpacked}}[k]
	for i := at; i < at+n; i++ {
		name := fmt.Sprintf("%0*d", 1+i%20, i)
		switch k {
		case kindHash:
			args = append(args, name, strings.Repeat("v", i*7%(size+1)))
		case kindSet:
			args = append(args, name)
		default:
			args = append(args, strconv.Itoa(i*31%17), name)
		}
	}
	m.do(args...)
}

// removeMembers takes every step-th of the same elements away.
func removeMembers(m *machine, k kind, key string, at, n, step int) {
	args := []string{map[kind]string{kindHash: "hdel", kindSet: "srem", kindZSet: "zrem"}[k], key}
	for i := at; i < at+n; i += step {
		args = append(args, fmt.Sprintf("%0*d", 1+i%20, i))
	}
	m.do(args...)
}

var memberKinds = []kind{kindHash, kindSet, kindZSet}

// hold takes a view that verify writes.
func hold(t require.TestingT, s *Store) snapshotAt {
	return snapshotAt{view: s.Freeze(), want: payload(t, s)}
}

// verify compares what a view shows with what it showed when it was taken, and closes it.
func (v *snapshotAt) verify(t require.TestingT) {
	defer v.view.Close()
	var b bytes.Buffer
	if v.written != nil {
		b.Write(<-v.written)
	} else if _, err := v.view.WriteTo(&b); err != nil {
		require.NoError(t, err)
	}
	require.True(t, bytes.Equal(v.want, b.Bytes()))
}

// memberStep does something at random with a few keys.
func memberStep(t *rapid.T, m *machine) {
	k := rapid.SampledFrom(memberKinds).Draw(t, "kind")
	key := fmt.Sprintf("%s%d", kindNames[k], rapid.IntRange(0, 2).Draw(t, "key"))
	other := fmt.Sprintf("%s%d", kindNames[k], rapid.IntRange(0, 2).Draw(t, "other"))
	at, n := rapid.IntRange(0, 300).Draw(t, "at"), rapid.IntRange(1, 300).Draw(t, "n")
	m.db = rapid.IntRange(0, 1).Draw(t, "db")
	switch rapid.IntRange(0, 18).Draw(t, "op") {
	case 0:
		m.do("del", key)
	case 1:
		m.do("rename", key, other)
	case 2:
		m.do("copy", key, other, "replace")
	case 3:
		m.do("move", key, strconv.Itoa(1-m.db))
	case 4:
		m.do("swapdb", "0", "1")
	case 5:
		m.do("set", key, "v")
	case 6:
		m.do("pexpire", key, "5")
		m.now += int64(n % 2 * 10)
		m.sweep(100)
	case 7:
		m.do(map[kind]string{kindHash: "hlen", kindSet: "spop", kindZSet: "zpopmin"}[k], key, strconv.Itoa(n))
	case 8:
		m.do(map[kind][]string{kindHash: {"hincrby", key, "n", "7"}, kindSet: {"sunionstore", key, key, other},
			kindZSet: {"zunionstore", key, "2", key, other}}[k]...)
	case 9:
		if n < 30 {
			m.do("flushdb")
		}
		if n == 100 {
			m.do("flushall")
		}
	case 10, 11, 12:
		removeMembers(m, k, key, at, n, 1+n%3)
	default:
		addMembers(m, k, key, at, n, rapid.IntRange(0, 60).Draw(t, "size"))
	}
}

// Whatever happens to large collections, on a node that moves records and one that does not: views show what they showed,
// the state is the same, and nothing is left behind.
func TestMembersHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t)
		var views []snapshotAt
		closeAll := func() {
			for _, v := range views {
				v.verify(t)
			}
			views = nil
		}
		defer closeAll()
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			memberStep(t, m)
			switch rapid.IntRange(0, 12).Draw(t, "then") {
			case 0:
				if rapid.Bool().Draw(t, "now") {
					views = append(views, freeze(t, m.s)) // is read while others change what it shows
				} else {
					views = append(views, hold(t, m.s))
				}
			case 1:
				closeAll()
			case 2, 3:
				m.s.Tidy(rapid.IntRange(0, 1000).Draw(t, "tidy"))
			case 4:
				if len(views) == 0 && !m.s.memory.fixed() {
					live := m.s.memory.arena.Live()
					m.s.compactMembers(rapid.IntRange(1, 500).Draw(t, "moves"))
					require.Equal(t, live, m.s.memory.arena.Live())
				}
			case 5:
				require.NoError(t, m.s.Check())
			}
		}
		require.NoError(t, m.s.Check())
		closeAll()
		m.s.Purge()
		settled(t, m.s)
		require.NoError(t, m.s.Check())
		require.Zero(t, len(m.s.memory.dropped)+m.s.memory.retired.n)
		follower := m.replay()
		require.Equal(t, payload(t, m.s), payload(t, follower))
		require.Equal(t, stateHash(m.s), stateHash(follower))
		settled(t, follower)
		require.Equal(t, m.s.memory.arena.Live(), follower.memory.arena.Live())
		restored := NewStore()
		require.NoError(t, restored.Restore(bytes.NewReader(payload(t, m.s))))
		require.NoError(t, restored.Check())
		require.Equal(t, m.s.memory.arena.Live(), restored.memory.arena.Live())
		for i := range m.s.dbs {
			m.db = i
			m.do("flushdb")
		}
		settled(t, m.s)
		require.NoError(t, m.s.Check())
		require.Zero(t, m.s.memory.arena.Live())
		require.Zero(t, m.s.memory.tables.arena.Live())
	})
}

// The bytes of a deleted collection no longer count at once, but only so many records are freed with each command. A node that
// makes new ones frees more than it makes.
func TestMembersAreFreedInSteps(t *testing.T) {
	for _, k := range memberKinds {
		m := newMachine(t)
		const n = 50_000
		for at := 0; at < n; at += 500 {
			addMembers(m, k, "k", at, 500, 30)
		}
		m.do("set", "other", "v")
		before := m.s.memory.arena.Live()
		require.NotZero(t, before)
		m.do("del", "k")
		require.Zero(t, m.s.memory.arena.Live())
		require.NoError(t, m.s.Check())
		left := m.s.memory.dropped[0].left
		require.Greater(t, left, n-100, "what the command itself has freed is little")
		m.do("get", "other")
		require.InDelta(t, left, m.s.memory.dropped[0].left, 2*drainPerCommand)
		left = m.s.memory.dropped[0].left
		addMembers(m, k, "new", 0, 1000, 30)
		require.LessOrEqual(t, m.s.memory.dropped[0].left, left-1000)
		m.do("unlink", "new")
		if slab.OffHeap {
			_, mapped := m.s.Records()
			require.Greater(t, mapped, before/2)
		}
		settled(t, m.s)
		require.NoError(t, m.s.Check())
		if slab.OffHeap {
			_, mapped := m.s.Records()
			require.Less(t, mapped, uint64(4<<20))
		}
	}
}

// Large collections lose and gain elements while views show them, shrink until they are small, and are deleted: tables are
// where they should be, and nothing of them is left behind.
func TestTablesOfLargeMembers(t *testing.T) {
	for _, k := range memberKinds {
		m := newMachine(t)
		const n = 3 * 4096
		for at := 0; at < n; at += 1024 {
			addMembers(m, k, "k", at, 1024, 0)
		}
		var views []snapshotAt
		for round := range 4 {
			views = append(views, hold(t, m.s))
			removeMembers(m, k, "k", round*1000, 4000, 3)
			addMembers(m, k, "k", round*1000+500, 1500, 0)
			require.NoError(t, m.s.Check())
			if round%2 == 1 {
				views[0].verify(t)
				views = views[1:]
			}
		}
		m.do("copy", "k", "c")
		m.do("rename", "c", "d")
		removeMembers(m, k, "k", 0, n, 2)
		removeMembers(m, k, "k", 1, n, 2)
		removeMembers(m, k, "d", 100, n, 1)
		require.NoError(t, m.s.Check())
		m.do("del", "k")
		require.Equal(t, RestBlocked, tidied(m.s))
		for _, v := range views {
			v.verify(t)
		}
		settled(t, m.s)
		require.Zero(t, m.s.memory.tables.retired.n)
		require.NoError(t, m.s.Check())
		require.Equal(t, payload(t, m.s), payload(t, m.replay()))
		m.do("del", "d")
		settled(t, m.s)
		require.Zero(t, m.s.memory.tables.arena.Live())
	}
}

// tidied tidies up as long as there is something to do, and returns what is left.
func tidied(s *Store) (rest Rest) {
	for rest = RestMore; rest == RestMore; {
		rest = s.Tidy(100)
	}
	return rest
}

// More members are no more work for the collector of garbage: a collection has a few objects on the Go heap, however many
// members there are.
func TestMembersAreNoGarbage(t *testing.T) {
	objects := func() int64 {
		runtime.GC()
		var ms runtime.MemStats
		runtime.ReadMemStats(&ms)
		return int64(ms.HeapObjects)
	}
	m := newMachine(t)
	fill := func(from, to int) {
		for at := from; at < to; at += 1000 {
			hash, set, zset := []string{"hset", "h"}, []string{"sadd", "s"}, []string{"zadd", "z"}
			for i := at; i < at+1000; i++ {
				name := strconv.Itoa(i)
				hash, set, zset = append(hash, name, name), append(set, "s"+name), append(zset, name, name)
			}
			m.do(hash...)
			m.do(set...)
			m.do(zset...)
			m.log = nil
		}
	}
	fill(0, 10_000)
	before := objects()
	fill(10_000, 110_000)
	require.Less(t, objects()-before, int64(150), "100000 members of each kind have come")
	runtime.KeepAlive(m)
}

// While a view is open the first change of an element makes another record, and those that follow do not.
func TestViewsHoldOneRecordOfEach(t *testing.T) {
	for _, k := range memberKinds {
		m := newMachine(t)
		addMembers(m, k, "k", 0, 1000, 0)
		at := hold(t, m.s)
		for range 20 {
			removeMembers(m, k, "k", 0, 1000, 2)
			addMembers(m, k, "k", 0, 1000, 0)
		}
		require.LessOrEqual(t, m.s.memory.retired.n, 1001, "half of them, and those whose value has changed")
		require.NoError(t, m.s.Check())
		at.verify(t)
		settled(t, m.s)
		require.Zero(t, m.s.memory.retired.n)
		addMembers(m, k, "k", 0, 10, 0)
		m.do("copy", "k", "c")
		m.do("move", "k", "5")
		require.NoError(t, m.s.Check())
	}
}

// Most members of many collections are removed: the node gives memory back.
func TestMembersMoveTogether(t *testing.T) {
	for _, k := range memberKinds {
		m := newMachine(t)
		for i := range 40 {
			for at := 0; at < 3000; at += 500 {
				addMembers(m, k, fmt.Sprint("k", i), at, 500, 60)
			}
		}
		for i := range 40 {
			for step := range 5 {
				removeMembers(m, k, fmt.Sprint("k", i), step, 3000, 6)
			}
		}
		a := m.s.memory.arena
		settled(t, m.s)
		require.NotZero(t, m.s.Moves().Done)
		require.LessOrEqual(t, a.Slack(), max(a.Live()/restSlack, leastSlack))
		m.s.Purge()
		settled(t, m.s)
		require.LessOrEqual(t, a.Slack(), max(a.Live()/purgeSlack, leastPurged))
		require.NoError(t, m.s.Check())
		require.Equal(t, payload(t, m.s), payload(t, m.replay()))
	}
}

// While a view is open no member moves, also if the view was opened since it was looked for.
func TestViewsStopMovesOfMembers(t *testing.T) {
	m := newMachine(t)
	for _, k := range memberKinds {
		addMembers(m, k, kindNames[k], 0, 8000, 0)
		removeMembers(m, k, kindNames[k], 0, 8000, 2)
	}
	require.NotZero(t, m.s.memory.arena.Slack())
	at := hold(t, m.s)
	for stuck := false; !stuck; {
		var moved int
		moved, stuck = m.s.compactMembers(10)
		require.Zero(t, moved)
	}
	require.NotZero(t, m.s.Moves().Refused)
	at.verify(t)
	moved, _ := m.s.compactMembers(10)
	require.NotZero(t, moved)
	require.NoError(t, m.s.Check())
}

// A database that is flushed gives back its members alone, also those that a view shows for some time.
func TestFlushOneDatabase(t *testing.T) {
	m := newMachine(t)
	addMembers(m, kindHash, "h", 0, 1000, 30)
	stays := m.s.memory.arena.Live()
	m.db = 3
	addMembers(m, kindHash, "h", 0, 1000, 30)
	addMembers(m, kindHash, "g", 0, 500, 30)
	at := hold(t, m.s)
	m.do("move", "g", "0")
	grown := m.s.memory.arena.Live()
	removeMembers(m, kindHash, "h", 0, 1000, 3)
	m.do("flushdb")
	m.do("set", "a", "b")
	require.Equal(t, RestBlocked, m.s.Tidy(10_000))
	require.NoError(t, m.s.Check())
	at.verify(t)
	settled(t, m.s)
	require.NoError(t, m.s.Check())
	require.Equal(t, grown-stays, m.s.memory.arena.Live(), "the h that is left is as large as the one that is not")
}

// A snapshot's members are made where they stay: nothing of their size passes over the Go heap but their encoding.
func TestRestoreMakesMembersOnce(t *testing.T) {
	const n = 50_000
	for _, k := range memberKinds {
		m := newMachine(t)
		for at := 0; at < n; at += 1000 {
			addMembers(m, k, "k", at, 1000, 0)
			m.log = nil
		}
		want := payload(t, m.s)
		restored := NewStore()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		require.NoError(t, restored.Restore(bytes.NewReader(want)))
		runtime.ReadMemStats(&after)
		limit := 5 * len(want) // a buffer that grows to the encoding
		if k == kindZSet {
			limit += n * zitemBytes // what is sorted
		}
		if slab.OffHeap {
			require.Less(t, int(after.TotalAlloc-before.TotalAlloc), limit+1<<20)
		}
		require.NoError(t, restored.Check())
	}
}

// What a restore has loaded in vain is given back, members too, and those that were there stay.
func TestFailedRestoreGivesMembersBack(t *testing.T) {
	m := newMachine(t)
	for _, k := range memberKinds {
		addMembers(m, k, kindNames[k], 0, 2000, 30)
	}
	want, live := payload(t, m.s), m.s.memory.arena.Live()
	require.ErrorIs(t, m.s.Restore(bytes.NewReader(want[:len(want)-1])), errSnapshot)
	require.Len(t, m.s.dropped, 3, "the records of keys, those of members, and their tables")
	settled(t, m.s)
	require.Empty(t, m.s.dropped)
	require.Equal(t, live, m.s.memory.arena.Live())
	require.NoError(t, m.s.Check())
	require.NoError(t, m.s.Restore(bytes.NewReader(want)))
	settled(t, m.s)
	require.Equal(t, live, m.s.memory.arena.Live())
	require.NoError(t, m.s.Check())
	require.Equal(t, want, payload(t, m.s))
}
