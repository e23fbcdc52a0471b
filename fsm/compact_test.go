package fsm

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"kvapp/fsm/slab"
)

// herd writes many keys of few sizes, some of them with deadlines or objects, and deletes all but one of every keep.
func herd(m *machine, from, n, keep, size int) {
	for i := from; i < from+n; i++ {
		k := herdKey(i)
		switch i % 7 {
		case 0:
			m.do("set", k, strings.Repeat("d", size), "px", strconv.Itoa(1_000_000+i%100))
		case 1:
			m.do("append", k, strings.Repeat("o", size))
		default:
			m.do("set", k, strings.Repeat("v", size))
		}
	}
	for i := from; i < from+n; i++ {
		if i*7919%keep != 0 {
			m.do("del", herdKey(i))
		}
	}
}

func herdKey(i int) string { return fmt.Sprintf("{%d}key:%08d", i%50, i) }

// requireDense requires that the slack of database 0 is below a share of what lives.
func requireDense(t require.TestingT, s *Store, share, least uint64) {
	a := s.dbs[0].Load().arena
	require.LessOrEqual(t, a.Slack(), max(a.Live()/share, least))
	require.LessOrEqual(t, a.Mapped(), a.Live()+a.Live()/share+a.Live()/20+5<<20, "free pages that are kept, spans begun")
}

// A record that no key has, which only an error could leave behind, is found by Check, and what is around it is moved.
func TestOrphan(t *testing.T) {
	m := newMachine(t)
	herd(m, 0, 10_000, 1, 100)
	db := m.s.dbs[0].Load()
	head := makeHead(encRaw, 6, 110, 0)
	ref := db.arena.Alloc(headSize(head))
	record(db.arena.Bytes(ref, headSize(head))).fill(head, 1, 0, 0, []byte("orphan"))
	herd(m, 10_000, 40_000, 1, 100)
	for i := range 50_000 {
		if i*7919%20 != 0 {
			m.do("del", herdKey(i))
		}
	}
	settled(t, m.s)
	require.ErrorContains(t, m.s.Check(), "bytes in the arena")
	m.s.Purge()
	settled(t, m.s)
	require.Equal(t, RestNone, m.s.Tidy(0))
	requireDense(t, m.s, purgeSlack, leastPurged)
	db.arena.Free(ref, headSize(head))
	require.NoError(t, m.s.Check())
}

// settled calls Tidy until nothing is left and returns how often.
func settled(t require.TestingT, s *Store) (calls int) {
	for rest := RestMore; rest == RestMore; calls++ {
		rest = s.Tidy(100)
		require.Less(t, calls, 1_000_000)
	}
	return calls
}

// A node that replays the log without ever being idle has the same state as one that tidies up whenever it can, with views
// open at any time; and the views show what they showed.
func TestMovesDoNotShow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t)
		var views []snapshotAt
		for round := range rapid.IntRange(1, 3).Draw(t, "rounds") {
			size := rapid.IntRange(20, 200).Draw(t, "size")
			herd(m, round*2000, 2000, rapid.IntRange(2, 9).Draw(t, "keep"), size)
			for step := range rapid.IntRange(1, 6).Draw(t, "steps") {
				switch rapid.IntRange(0, 3).Draw(t, "then") {
				case 0:
					views = append(views, snapshotAt{view: m.s.Freeze(), want: payload(t, m.s)})
				case 1:
					for _, v := range views {
						var b bytes.Buffer
						_, err := v.view.WriteTo(&b)
						require.NoError(t, err)
						require.True(t, bytes.Equal(v.want, b.Bytes()))
						v.view.Close()
					}
					views = nil
				default:
				}
				change(m, 60, step)
				for i := range m.s.dbs {
					if db := m.s.dbs[i].Load(); db != nil && !m.s.fixed(db) {
						live := db.arena.Live()
						m.s.compact(db, rapid.IntRange(1, 500).Draw(t, "moves"))
						require.Equal(t, live, db.arena.Live())
					}
				}
				m.s.Tidy(rapid.IntRange(0, 300).Draw(t, "tidy"))
				m.do("set", herdKey(round*2000+step), "another")
			}
			require.NoError(t, m.s.Check())
		}
		for _, v := range views {
			v.view.Close()
		}
		m.s.Purge()
		settled(t, m.s)
		require.NoError(t, m.s.Check())
		follower := m.replay()
		require.Equal(t, payload(t, m.s), payload(t, follower))
		require.Equal(t, m.s.dbs[0].Load().arena.Live(), follower.dbs[0].Load().arena.Live())
		require.Equal(t, m.s.NextDeadline(), follower.NextDeadline())
		m.now += 2_000_000
		m.sweep(1 << 20)
		require.NoError(t, m.s.Check())
	})
}

// Half of many keys are deleted, others of other sizes come: a node at rest takes little more memory than lives, and moves
// less than one record for each that was deleted.
func TestChangeOfSizes(t *testing.T) {
	const n = 60_000
	m := newMachine(t)
	herd(m, 0, n, 2, 64)
	herd(m, n, n/4, 1, 150)
	before := m.s.Moves().Done
	settled(t, m.s)
	requireDense(t, m.s, restSlack, leastSlack)
	require.Less(t, int(m.s.Moves().Done), n/2)
	require.NoError(t, m.s.Check())
	require.Equal(t, RestNone, m.s.Tidy(100), "it does not run for ever")
	require.False(t, m.s.Moves().Running)

	herd(m, 2*n, n, 4, 40)
	require.NotZero(t, m.s.Moves().Done-before, "entries alone move records, too")
	requireDense(t, m.s, busySlack, leastSlack)
	moves := m.s.Moves().Done
	m.s.Purge()
	settled(t, m.s)
	requireDense(t, m.s, purgeSlack, leastPurged)
	require.NotZero(t, m.s.Moves().Done-moves)
	require.NoError(t, m.s.Check())
	require.Equal(t, payload(t, m.s), payload(t, m.replay()))
}

// While a view is open nothing moves; when it is closed the rest is done.
func TestViewsStopMoves(t *testing.T) {
	m := newMachine(t)
	v := m.s.Freeze()
	herd(m, 0, 40_000, 4, 64)
	require.Zero(t, m.s.Moves().Done)
	require.Equal(t, RestBlocked, m.s.Tidy(1000))
	v.Close()
	require.Equal(t, RestMore, m.s.Tidy(1000))
	settled(t, m.s)
	require.NotZero(t, m.s.Moves().Done)
	requireDense(t, m.s, enoughSlack, leastSlack)

	v = m.s.Freeze()
	db := m.s.dbs[0].Load()
	for stuck := false; !stuck; {
		var moved int
		moved, stuck = m.s.compact(db, 10)
		require.Zero(t, moved, "also if the view was opened since it was looked for")
	}
	require.EqualValues(t, min(db.arena.Slack(), 1), m.s.Moves().Refused)
	v.Close()
	require.NoError(t, m.s.Check())
}

// One step of Tidy is bounded, whatever is left.
func TestTidyIsBounded(t *testing.T) {
	m := newMachine(t)
	v := m.s.Freeze()
	herd(m, 0, 30_000, 3, 64)
	v.Close()
	for last := m.s.Moves().Done; ; last = m.s.Moves().Done {
		retired := m.s.dbs[0].Load().retired.n
		rest := m.s.Tidy(16)
		require.LessOrEqual(t, int(m.s.Moves().Done-last)+retired-m.s.dbs[0].Load().retired.n, 16)
		if rest != RestMore {
			break
		}
	}
}

// Readers see every key while records move under them.
func TestReadsDuringMoves(t *testing.T) {
	m := newMachine(t)
	const n, keep = 20_000, 4
	herd(m, 0, n, keep, 64)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wrong := make(chan string, 2)
	for r := range 2 {
		wg.Go(func() {
			var out wire
			for i := r; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				at := i % n
				c := command(t, 0, "strlen", herdKey(at))
				m.s.Read(&c, &out)
				want := ":0\r\n"
				if at*7919%keep == 0 {
					want = ":64\r\n"
				}
				if got := out.take(); got != want {
					wrong <- fmt.Sprintf("%s: %q", herdKey(at), got)
					return
				}
			}
		})
	}
	db := m.s.dbs[0].Load()
	moved := 0
	for stuck := false; !stuck; {
		var n int
		n, stuck = m.s.compact(db, 16)
		moved += n
	}
	close(stop)
	wg.Wait()
	require.Empty(t, wrong)
	require.NotZero(t, moved)
	require.NoError(t, m.s.Check())
}

// What FLUSHALL drops is given back when the last view that shows it is closed, step by step and without the garbage
// collector: by entries, or on an idle node by Tidy.
func TestFlushGivesMemoryBack(t *testing.T) {
	for _, idle := range []bool{true, false} {
		m := newMachine(t)
		herd(m, 0, 10_000, 1, 100)
		m.db = 3
		herd(m, 0, 100, 1, 100)
		want := payload(t, m.s)
		v := m.s.Freeze()
		m.do("flushall")
		require.Len(t, m.s.dropped, 2)
		later := m.s.Freeze()
		m.do("set", "a", "b")
		require.Equal(t, RestBlocked, m.s.Tidy(1000))
		var b bytes.Buffer
		_, err := v.WriteTo(&b)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, b.Bytes()))
		v.Close()
		if slab.OffHeap {
			_, mapped := m.s.Records()
			require.Greater(t, mapped, uint64(1<<20))
		}
		for steps := 0; len(m.s.dropped) > 0; steps++ {
			require.Less(t, steps, 100)
			if idle {
				m.s.Tidy(stepsPerClose)
			} else {
				m.do("get", "a")
			}
		}
		if slab.OffHeap {
			_, mapped := m.s.Records()
			require.LessOrEqual(t, mapped, uint64(1<<16))
		}
		later.Close()
		require.Equal(t, RestNone, m.s.Tidy(1000))
		require.NoError(t, m.s.Check())
		require.Equal(t, bulk("b"), m.do("get", "a"))

		other := NewStore()
		require.NoError(t, other.Restore(bytes.NewReader(want)))
		require.NoError(t, other.Restore(bytes.NewReader(payload(t, m.s))))
		require.Len(t, other.dropped, 2, "a snapshot takes the place of what was there")
	}
}
