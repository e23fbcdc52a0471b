package node

import (
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/raft"
)

// fill writes some keys and waits until everybody has them.
func (w *world) fill(from, to int) {
	w.t.Helper()
	for i := from; i < to; i++ {
		var o Outcome
		w.until("a write is taken", func() bool { // a leader may change under it
			o, _, _ = w.leader().do(false, command("set", "k"+strconv.Itoa(i%100), strings.Repeat("x", 100)+strconv.Itoa(i)))
			return o == Done
		})
	}
}

// snapshotOf waits until the newest snapshot of a node is at index or above, with its journal behind it.
func (w *world) snapshotOf(p *peer, index uint64) SnapshotFile {
	w.t.Helper()
	w.until("a snapshot", func() bool {
		p.log.mu.Lock()
		defer p.log.mu.Unlock()
		return p.log.snap.Meta.Index >= index && p.log.snap.Meta.Index > 0
	})
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	return p.log.snap
}

func small(c *Config) { c.SnapshotBytes, c.SnapshotKeep = 20_000, 10 }

// A node whose snapshot is damaged gets its state from the leader. Meanwhile it serves nothing, does not campaign, and
// counts for commits.
func TestDamagedSnapshotComesFromTheLeader(t *testing.T) {
	for _, reason := range []string{"", "checksum"} {
		bubble(t, 3, small, func(w *world) {
			lead := w.leader()
			w.fill(0, 500)
			w.settled()
			victim := w.followers()[0]
			other := w.followers()[1]
			f := w.snapshotOf(victim, 1)
			victim.stop()
			if reason == "" {
				require.NoError(t, victim.snaps.PruneBelow(1<<62))
			} else {
				victim.snaps.damage(f, reason)
			}
			lead.streamTime, lead.streamErrs = 5*time.Second, []error{syscall.EPIPE}
			victim.start()
			require.True(t, victim.get().View().Stateless)
			require.True(t, victim.get().View().Loading)
			require.Equal(t, []string{f.Name}, victim.snaps.aside)
			w.until("the first stream has begun", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return lead.streams > 0 })
			other.stop()
			w.fill(500, 520) // only with its help
			for _, readOnly := range []bool{false, true} {
				o, _, _ := victim.do(readOnly, command("get", "k1"))
				require.Equal(t, Loading, o)
			}
			o, _, _ := victim.do(false, command("set", "k1", "v"))
			require.Equal(t, Loading, o)
			_, err := victim.get().Snapshot()
			require.ErrorIs(t, err, ErrStarting)
			_, _, err = victim.get().StateHash()
			require.ErrorIs(t, err, ErrStarting)
			st, err := victim.get().Status()
			require.NoError(t, err)
			require.True(t, st.Stateless)
			require.Equal(t, raft.Follower, st.Role)
			require.ErrorIs(t, lead.get().Transfer(victim.id, 1000), raft.ErrStateless)
			other.start()
			w.until("it has a state", func() bool { return !victim.get().View().Loading })
			require.Equal(t, lead, w.leader())
			w.fill(520, 900)
			w.settled()
			w.snapshotOf(victim, f.Meta.Index+1) // its journal knows, and it takes snapshots again
			victim.stop()
			victim.start()
			require.False(t, victim.get().View().Stateless, "its disk is whole again")
			w.settled()
		})
	}
}

// Without a leader a node without a state waits; it is nobody's leader itself.
func TestDamagedSnapshotWithoutALeader(t *testing.T) {
	bubble(t, 3, small, func(w *world) {
		w.fill(0, 500)
		w.settled()
		for _, p := range w.nodes {
			w.snapshotOf(p, 1)
		}
		for _, p := range w.nodes {
			p.stop()
			p.snaps.damage(p.log.snap, "checksum")
		}
		for _, p := range w.nodes {
			p.start()
		}
		<-time.After(time.Minute)
		for _, p := range w.nodes {
			require.True(t, p.get().View().Stateless, "nobody invents a state")
			require.Equal(t, raft.Follower, p.get().View().Role)
		}
	})
}

// A leader whose own snapshot is older than what the node needs takes one.
func TestLeaderTakesTheSnapshotThatIsNeeded(t *testing.T) {
	bubble(t, 3, nil, func(w *world) {
		w.fill(0, 50)
		w.settled()
		lead, victim := w.leader(), w.followers()[0]
		index, err := victim.get().Snapshot()
		require.NoError(t, err)
		f := w.snapshotOf(victim, index)
		victim.log.mu.Lock()
		victim.log.entries = victim.log.entries[1:] // else the log would do
		victim.log.mu.Unlock()
		victim.stop()
		victim.snaps.damage(f, "checksum")
		victim.start()
		w.until("it has a state", func() bool { return !victim.get().View().Loading })
		require.GreaterOrEqual(t, w.snapshotOf(lead, index).Meta.Index, index)
		w.settled()
	})
}

// The log leads on from an older snapshot, from one that the journal does not name yet, or from nothing; then no leader is
// needed, and a new snapshot is taken at once.
func TestDamagedSnapshotIsRebuilt(t *testing.T) {
	for name, c := range map[string]struct {
		older, newer bool
	}{"log": {}, "older": {older: true}, "newer": {newer: true}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(c *Config) { c.SnapshotKeep = 1000 }, func(w *world) {
				p := w.nodes[0]
				take := func() SnapshotFile {
					index, err := p.get().Snapshot()
					require.NoError(t, err)
					return w.snapshotOf(p, index)
				}
				w.fill(0, 40)
				var first SnapshotFile
				var body []byte
				if c.older {
					first = take()
					body, _ = p.snaps.get(first.Name)
				}
				w.fill(40, 80)
				f := take()
				if c.older {
					p.snaps.put(first, body)
					require.Greater(t, p.log.recovered().First, uint64(1))
				}
				w.fill(80, 90)
				if c.newer {
					last := take()
					p.log.mu.Lock()
					p.log.snap = f
					p.log.mu.Unlock()
					require.Greater(t, last.Meta.Index, f.Meta.Index)
				}
				_, want, err := p.get().StateHash()
				require.NoError(t, err)
				p.stop()
				p.snaps.damage(f, "checksum")
				p.start()
				require.False(t, p.get().View().Stateless)
				require.Equal(t, []string{f.Name}, p.snaps.aside)
				w.leader()
				w.until("a new snapshot", func() bool {
					p.log.mu.Lock()
					defer p.log.mu.Unlock()
					_, ok := p.snaps.get(p.log.snap.Name)
					return ok
				})
				_, got, err := p.get().StateHash()
				require.NoError(t, err)
				require.Equal(t, want, got)
				w.fill(90, 100)
				p.stop()
				p.start()
				require.Len(t, p.snaps.aside, 1)
				w.leader()
			})
		})
	}
}

// A node that is alone and cannot rebuild its state ends with the reason, and leaves everything as it is.
func TestDamagedSnapshotAlone(t *testing.T) {
	bubble(t, 1, small, func(w *world) {
		w.fill(0, 500)
		p := w.nodes[0]
		f := w.snapshotOf(p, 1)
		p.stop()
		p.snaps.damage(f, "checksum of block 7")
		_, err := New(p.cfg, Deps{
			Log: p.log, Snapshots: p.snaps, Transport: p, Clock: w.clock, Seed: func() uint64 { return 1 },
			Recovered: p.log.recovered(), Snapshot: p.log.snap,
		})
		require.ErrorContains(t, err, "checksum of block 7")
		require.ErrorContains(t, err, f.Name)
		require.Empty(t, p.snaps.aside)
	})
}

// What says nothing about the content of the file ends the node.
func TestWhatIsDamage(t *testing.T) {
	require.True(t, damaged(syscall.EIO))
	require.True(t, damaged(syscall.ENOENT))
	for _, err := range []error{syscall.EACCES, syscall.EMFILE, syscall.ENOMEM} {
		require.False(t, damaged(err), err)
	}
}

// A file leads on only if the log has its last entry, in its term, and all behind.
func TestLeadsOn(t *testing.T) {
	rec := &raft.Recovered{
		First: 5, Snapshot: raft.SnapshotMeta{Index: 10, Term: 3}, Terms: []raft.TermStart{{Index: 5, Term: 2}, {Index: 8, Term: 3}},
		Entries: []raft.Entry{{Index: 11, Term: 3}, {Index: 12, Term: 4}},
	}
	for _, c := range []struct {
		index, term uint64
		want        bool
	}{
		{0, 0, false}, {3, 1, false}, {4, 2, true}, {4, 3, false}, {5, 2, true}, {7, 2, true}, {7, 3, false}, {8, 3, true}, {9, 2, false},
		{10, 3, true}, {10, 2, false}, {11, 3, true}, {12, 4, true}, {12, 3, false}, {13, 4, false},
	} {
		require.Equal(t, c.want, leadsOn(rec, &raft.SnapshotMeta{Index: c.index, Term: c.term}), c)
	}
	rec.First, rec.Terms[0].Index = 1, 1
	require.True(t, leadsOn(rec, &raft.SnapshotMeta{}), "the log alone")
	rec.First, rec.Terms = 11, nil
	require.True(t, leadsOn(rec, &rec.Snapshot), "another file of the same")
	require.False(t, leadsOn(rec, &raft.SnapshotMeta{Index: 9, Term: 3}))
}
