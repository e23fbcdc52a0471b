package wal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"kvapp/raft"
)

// model is what a log is, said simply: entries by index behind a snapshot.
type model struct {
	hard    raft.HardState
	snap    Snapshot
	first   uint64 // of entries; the real log may keep more below the snapshot
	entries []raft.Entry
}

func (m *model) last() uint64 { return m.first + uint64(len(m.entries)) - 1 }

// apply does the first n records of b.
func (m *model) apply(b *Batch, n int) {
	m.entries = append([]raft.Entry(nil), m.entries...)
	if b.HasHard && n > 0 {
		m.hard = b.Hard
		n--
	}
	if b.Install != nil && n > 0 {
		m.snap, m.first, m.entries = *b.Install, b.Install.Meta.Index+1, nil
		n--
	}
	for _, e := range b.Entries[:min(n, len(b.Entries))] {
		m.entries = append(m.entries[:e.Index-m.first], e)
	}
}

func (b *Batch) records() int {
	n := len(b.Entries)
	if b.HasHard {
		n++
	}
	if b.Install != nil {
		n++
	}
	return n
}

// behind is what Recovered.Entries must be.
func (m *model) behind() []raft.Entry { return m.entries[m.snap.Meta.Index+1-m.first:] }

func (m *model) matches(rec *Recovered) error {
	want := m.hard
	want.Commit = max(min(want.Commit, m.last()), m.snap.Meta.Index)
	switch {
	case rec.Hard != want:
		return fmt.Errorf("hard state %v, want %v", rec.Hard, want)
	case rec.Snapshot.Meta.Index != m.snap.Meta.Index || rec.Snapshot.Name != m.snap.Name:
		return fmt.Errorf("snapshot %v, want %v", rec.Snapshot, m.snap)
	case rec.First > m.first:
		return fmt.Errorf("first %d, want at most %d", rec.First, m.first)
	case !sameEntries(rec.Entries, m.behind()):
		return errors.New("other entries")
	}
	return nil
}

// machine runs the real log beside the model.
type machine struct {
	dir string
	opt Options
	l   *Log
	m   model
}

func (x *machine) batch(t *rapid.T) *Batch {
	b := &Batch{Hard: x.m.hard, HasHard: rapid.Bool().Draw(t, "hard")}
	if b.HasHard {
		b.Hard.Term += rapid.Uint64Range(0, 2).Draw(t, "term")
		b.Hard.Commit = rapid.Uint64Range(0, x.m.last()+5).Draw(t, "commit")
	}
	lo, hi := x.m.snap.Meta.Index+1, x.m.last()+1
	if rapid.IntRange(0, 9).Draw(t, "install") == 0 {
		at := rapid.Uint64Range(1, x.m.last()+20).Draw(t, "at")
		b.Install = &Snapshot{Meta: raft.SnapshotMeta{Index: at, Term: b.Hard.Term, Membership: testMembership()}}
		lo, hi = at+1, at+1
	}
	n := rapid.Uint64Range(0, 8).Draw(t, "entries")
	if n > 0 {
		from := hi
		if rapid.IntRange(0, 3).Draw(t, "overwrite") == 0 {
			from = rapid.Uint64Range(lo, hi).Draw(t, "from")
		}
		b.Entries = ents(from, from+n-1, b.Hard.Term, rapid.IntRange(0, 300).Draw(t, "size"))
	}
	return b
}

func (x *machine) append(t *rapid.T) {
	b := x.batch(t)
	require.NoError(t, x.l.Append(b))
	x.m.apply(b, b.records())
}

func (x *machine) compact(t *rapid.T) { x.compactBoth(t, x.l) }

// compactBoth does the same with a twin of the log.
func (x *machine) compactBoth(t *rapid.T, twin *Log) {
	s := Snapshot{Meta: raft.SnapshotMeta{Index: rapid.Uint64Range(x.m.snap.Meta.Index, x.m.last()).Draw(t, "index"), Membership: testMembership()}}
	keep := rapid.Uint64Range(0, s.Meta.Index+1).Draw(t, "keep")
	before := x.l.First()
	first, err := x.l.Compact(s, keep)
	require.NoError(t, err)
	require.LessOrEqual(t, before, first)
	require.LessOrEqual(t, first, max(keep, before))
	if twin != x.l {
		same, err := twin.Compact(s, keep)
		require.NoError(t, err)
		require.Equal(t, first, same)
	}
	x.m.snap = s
	x.m.entries = append([]raft.Entry(nil), x.m.entries[max(keep, x.m.first)-x.m.first:]...)
	x.m.first = max(keep, x.m.first)
}

func (x *machine) reopen(t *rapid.T) {
	require.NoError(t, x.l.Close())
	l, rec, err := Open(x.dir, testID, x.opt)
	require.NoError(t, err)
	x.l = l
	require.NoError(t, x.m.matches(&rec))
}

// crash loses any part of the last batch: what is left must be the batches before and some first records of it.
func (x *machine) crash(t *rapid.T) {
	seg, size := segmentPath(filepath.Join(x.dir, logName), x.l.segments[len(x.l.segments)-1].first), x.l.segments[len(x.l.segments)-1].size
	b := x.batch(t)
	require.NoError(t, x.l.Append(b))
	require.NoError(t, x.l.Close())
	// Segments behind the cut were not created yet.
	list, err := listLog(osFS{}, filepath.Join(x.dir, logName))
	require.NoError(t, err)
	var files []string
	for _, first := range list.segments {
		if path := segmentPath(filepath.Join(x.dir, logName), first); path >= seg {
			files = append(files, path)
		}
	}
	keep := rapid.IntRange(0, len(files)-1).Draw(t, "files")
	for _, path := range files[keep+1:] {
		require.NoError(t, os.Remove(path))
	}
	st, err := os.Stat(files[keep])
	require.NoError(t, err)
	low := int64(0)
	if keep == 0 {
		low = size
	}
	require.NoError(t, os.Truncate(files[keep], rapid.Int64Range(low, st.Size()).Draw(t, "cut")))
	l, rec, err := Open(x.dir, testID, x.opt)
	require.NoError(t, err)
	x.l = l
	for n := b.records(); n >= 0; n-- {
		m := x.m
		m.apply(b, n)
		// Recovered.Hard is clamped; l.hard is what the log really holds, and tells two prefixes apart.
		if err = m.matches(&rec); err == nil && l.hard == m.hard {
			x.m = m
			return
		}
	}
	require.Fail(t, "no prefix of the batch matches", "%v, %v", rec, err)
}

func (x *machine) check(t *rapid.T) {
	require.Equal(t, x.m.last(), x.l.Last())
	require.LessOrEqual(t, x.l.First(), x.m.first)
	require.Equal(t, len(mustGlobSegments(t, x.dir)), x.l.Segments())
	if len(x.m.entries) == 0 {
		return
	}
	lo := rapid.Uint64Range(x.m.first, x.m.last()).Draw(t, "lo")
	hi := rapid.Uint64Range(lo+1, x.m.last()+3).Draw(t, "hi")
	limit := rapid.IntRange(0, 3000).Draw(t, "limit")
	got, err := x.l.Read(lo, hi, limit)
	require.NoError(t, err)
	require.NotEmpty(t, got)
	require.True(t, sameEntries(got, x.m.entries[lo-x.m.first:][:len(got)]))
	sum := 0
	for _, e := range got {
		sum += len(e.Data)
	}
	require.True(t, sum <= limit || len(got) == 1)
	if next := lo + uint64(len(got)); next < hi && next <= x.m.last() {
		require.Greater(t, sum+len(x.m.entries[next-x.m.first].Data), limit-x.slack(lo, next), "stopped too early")
	}
}

// slack is how far Read may stop early: records that were replaced lie between the entries.
func (x *machine) slack(lo, hi uint64) int {
	x.l.mu.Lock()
	defer x.l.mu.Unlock()
	return int(x.l.idx.at[hi-x.l.idx.first] - x.l.idx.at[lo-x.l.idx.first])
}

func mustGlobSegments(t require.TestingT, dir string) []uint64 {
	l, err := listLog(osFS{}, filepath.Join(dir, logName))
	require.NoError(t, err)
	return l.segments
}

func TestModel(t *testing.T) {
	root, run := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		x := &machine{dir: filepath.Join(root, fmt.Sprint(run)), m: model{first: 1}}
		x.opt.SegmentSize = rapid.SampledFrom([]int{150, 700, 5000}).Draw(t, "segment")
		require.NoError(t, Create(x.dir, testID))
		var err error
		x.l, _, err = Open(x.dir, testID, x.opt)
		require.NoError(t, err)
		defer func() {
			_ = x.l.Close()
			_ = os.RemoveAll(x.dir)
		}()
		t.Repeat(map[string]func(*rapid.T){
			"":        x.check,
			"append":  x.append,
			"append2": x.append,
			"compact": x.compact,
			"reopen":  x.reopen,
			"crash":   x.crash,
		})
		_, err = Verify(x.dir)
		require.NoError(t, err)
	})
}
