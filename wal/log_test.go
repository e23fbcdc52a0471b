package wal

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	tidwall "github.com/tidwall/wal"

	"kvapp/raft"
)

func TestCreateOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b", "c")
	ok, err := Exists(dir)
	require.NoError(t, err)
	require.False(t, ok)
	_, _, err = Open(dir, testID, Options{})
	require.ErrorIs(t, err, ErrNoLog)

	require.NoError(t, Create(dir, testID))
	ok, err = Exists(dir)
	require.NoError(t, err)
	require.True(t, ok)
	require.ErrorIs(t, Create(dir, testID), ErrNotEmpty)

	l, rec := mustOpen(t, dir, Options{})
	require.Equal(t, Recovered{Identity: testID, First: 1, Entries: []raft.Entry(nil)}, rec)
	require.Equal(t, []uint64{1, 0}, []uint64{l.First(), l.Last()})
	require.NoError(t, l.Close())
	require.ErrorIs(t, l.Close(), ErrClosed)
	require.ErrorIs(t, l.Append(batch(1, 0, nil)), ErrClosed)
	_, err = l.Read(1, 2, 1)
	require.ErrorIs(t, err, ErrClosed)
}

func TestCreateRefusesForeignFiles(t *testing.T) {
	for name, refused := range map[string]bool{"kvapp.pid": false, "n1.log": false, "kvapp.conf": false, "LOCK": false, "log": true, "notes.txt": true, "peers": true} {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, name), nil)
		if err := Create(dir, testID); refused {
			require.ErrorIs(t, err, ErrNotEmpty, name)
		} else {
			require.NoError(t, err, name)
		}
	}
	dir := newDir(t)
	writeSnapshot(t, dir, 1, 1, 1)
	require.NoError(t, os.RemoveAll(filepath.Join(dir, logName)))
	require.ErrorIs(t, Create(dir, testID), ErrNotEmpty)
}

func TestAppendReopenRead(t *testing.T) {
	for _, size := range []int{200, 1000, 64 << 10} {
		dir := newDir(t)
		l, _ := mustOpen(t, dir, Options{SegmentSize: size})
		var want []raft.Entry
		for i := uint64(1); i <= 60; i += 3 {
			es := ents(i, i+2, 5, 100)
			want = append(want, es...)
			require.NoError(t, l.Append(batch(5, i, es)))
		}
		check := func() {
			require.Equal(t, []uint64{1, 60}, []uint64{l.First(), l.Last()})
			got, err := l.Read(1, 61, 1<<30)
			require.NoError(t, err)
			require.Equal(t, want, got)
			got, err = l.Read(10, 61, 250)
			require.NoError(t, err)
			require.Equal(t, want[9:11], got)
			got, err = l.Read(60, 100, 0)
			require.NoError(t, err)
			require.Equal(t, want[59:], got)
			_, err = l.Read(61, 62, 1)
			require.ErrorIs(t, err, ErrUnavailable)
		}
		check()
		before, segments := l.Bytes(), l.Segments()
		require.NoError(t, l.Close())
		var rec Recovered
		l, rec = mustOpen(t, dir, Options{SegmentSize: size})
		require.Equal(t, want, rec.Entries)
		require.Equal(t, hard(5, 58), rec.Hard)
		require.Empty(t, rec.Notes)
		require.Equal(t, []any{before, segments}, []any{l.Bytes(), l.Segments()})
		check()
		rep, err := Verify(dir)
		require.NoError(t, err)
		require.Equal(t, []any{segments, before, uint64(60)}, []any{rep.Segments, rep.Bytes, rep.Last})
	}
}

// Case 13 without the crash: a suffix is replaced, once within and once across segments.
func TestOverwrite(t *testing.T) {
	dir := newDir(t)
	l, _ := mustOpen(t, dir, Options{SegmentSize: 500})
	require.NoError(t, l.Append(batch(1, 2, ents(1, 20, 1, 50))))
	require.NoError(t, l.Append(batch(2, 2, ents(5, 9, 2, 50))))
	require.NoError(t, l.Append(batch(3, 2, ents(9, 10, 3, 50))))
	want := append(append(ents(1, 4, 1, 50), ents(5, 8, 2, 50)...), ents(9, 10, 3, 50)...)
	got, err := l.Read(1, 99, 1<<20)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.NoError(t, l.Close())
	_, rec := mustOpen(t, dir, Options{SegmentSize: 500})
	require.Equal(t, want, rec.Entries)
}

func TestAppendRefusesNonsense(t *testing.T) {
	dir := newDir(t)
	l, _ := mustOpen(t, dir, Options{})
	require.NoError(t, l.Append(batch(3, 0, ents(1, 5, 3, 10))))
	gap := ents(6, 8, 3, 1)
	gap[2].Index = 9
	for name, b := range map[string]*Batch{
		"gap":         {Entries: ents(7, 7, 3, 1)},
		"inner gap":   {Entries: gap},
		"future term": {Entries: ents(6, 6, 4, 1)},
		"term back":   batch(2, 0, nil),
		"index zero":  {Entries: ents(0, 0, 3, 1)},
		"not behind":  {Install: &Snapshot{Meta: raft.SnapshotMeta{Index: 9}}, Entries: ents(9, 9, 3, 1)},
	} {
		require.ErrorContains(t, l.Append(b), "refused", name)
	}
	require.NoError(t, l.Append(&Batch{}))
	require.NoError(t, l.Append(&Batch{Entries: ents(6, 6, 3, 1)}), "a refused batch does not poison")
	sn := writeSnapshot(t, dir, 4, 3, 10)
	_, err := l.Compact(sn, 6)
	require.ErrorContains(t, err, "refused")
	_, err = l.Compact(sn, 5)
	require.NoError(t, err)
	require.ErrorContains(t, l.Append(&Batch{Entries: ents(4, 4, 3, 1)}), "part of the snapshot")
	sn.Meta.Index = 3
	_, err = l.Compact(sn, 1)
	require.ErrorContains(t, err, "older")
	sn.Meta.Index = 7
	_, err = l.Compact(sn, 1)
	require.ErrorContains(t, err, "last entry")
}

func TestCompact(t *testing.T) {
	dir := newDir(t)
	l, _ := mustOpen(t, dir, Options{SegmentSize: 1000})
	require.NoError(t, l.Append(batch(1, 50, ents(1, 100, 1, 60))))
	n := l.Segments()
	sn := writeSnapshot(t, dir, 50, 1, 1000)
	first, err := l.Compact(sn, 40)
	require.NoError(t, err)
	require.LessOrEqual(t, first, uint64(40))
	require.Greater(t, first, uint64(30), "whole segments only, but all of them")
	require.Less(t, l.Segments(), n)
	require.Equal(t, first, l.First())
	_, err = l.Read(first-1, 100, 10)
	require.ErrorIs(t, err, ErrCompacted)
	got, err := l.Read(first, 101, 1<<20)
	require.NoError(t, err)
	require.Equal(t, ents(first, 100, 1, 60), got)

	bytes := l.Bytes()
	again, err := l.Compact(sn, 40)
	require.NoError(t, err)
	require.Equal(t, first, again)
	require.Greater(t, l.Bytes(), bytes, "only the marker was written")
	require.NoError(t, l.Close())

	l, rec := mustOpen(t, dir, Options{SegmentSize: 1000})
	require.Equal(t, Recovered{Identity: testID, Hard: hard(1, 50), Snapshot: sn, First: first,
		Terms: []raft.TermStart{{Index: first, Term: 1}}, Entries: ents(51, 100, 1, 60)}, rec)
	sn2 := writeSnapshot(t, dir, 100, 1, 10)
	first, err = l.Compact(sn2, 101)
	require.NoError(t, err)
	require.NoError(t, l.Append(batch(2, 0, ents(101, 101, 2, 10))))
	require.NoError(t, l.Close())
	_, rec = mustOpen(t, dir, Options{SegmentSize: 1000})
	require.Equal(t, first, rec.First)
	require.Equal(t, hard(2, 100), rec.Hard, "never below the snapshot")
	require.Equal(t, ents(101, 101, 2, 10), rec.Entries)
}

// The terms of the entries that a snapshot covers are known after a restart, also where a suffix was replaced.
func TestTermsBelowTheSnapshot(t *testing.T) {
	dir := newDir(t)
	l, _ := mustOpen(t, dir, Options{})
	require.NoError(t, l.Append(batch(1, 0, ents(1, 10, 1, 20))))
	require.NoError(t, l.Append(batch(3, 0, ents(6, 8, 3, 20))))
	require.NoError(t, l.Append(batch(4, 0, ents(9, 12, 4, 20))))
	sn := writeSnapshot(t, dir, 10, 4, 100)
	_, err := l.Compact(sn, 1)
	require.NoError(t, err)
	require.NoError(t, l.Close())
	_, rec := mustOpen(t, dir, Options{})
	require.Equal(t, []raft.TermStart{{Index: 1, Term: 1}, {Index: 6, Term: 3}, {Index: 9, Term: 4}}, rec.Terms)
	require.Equal(t, ents(11, 12, 4, 20), rec.Entries)
}

// Case 24: appending allocates nothing of its own.
func TestAppendAllocs(t *testing.T) {
	l, _ := mustOpen(t, newDir(t), Options{wrap: func(backend) backend { return &discard{} }})
	b := batch(1, 0, ents(1, 16, 1, 128))
	run := func() {
		if err := l.Append(b); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		run()
	}
	require.Zero(t, testing.AllocsPerRun(100, run))
}

// discard is a disk that takes everything, to see what the log itself costs.
type discard struct{ batch tidwall.Batch }

func (d *discard) Add(seq uint64, rec []byte) { d.batch.Write(seq, rec) }
func (d *discard) Flush() error               { d.batch.Clear(); return nil }
func (*discard) Sync(string) error            { return nil }
func (*discard) TruncateFront(uint64) error   { return nil }
func (*discard) ClearCache() error            { return nil }
func (*discard) Close() error                 { return nil }

func TestFree(t *testing.T) {
	dir := newDir(t)
	l, _ := mustOpen(t, dir, Options{})
	free, err := l.Free()
	require.NoError(t, err)
	require.Positive(t, free)
	require.Less(t, free, int64(1)<<60)
	require.NoError(t, os.RemoveAll(dir))
	_, err = l.Free()
	require.ErrorIs(t, err, os.ErrNotExist)
}

// What is set aside stays as it is, and makes room for another node, also when it was only begun.
func TestSetAside(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, SetAside(dir, "0"), "there is nothing")
	for _, done := range [][]string{nil, {logName}, {logName, snapshotsName}} {
		dir := t.TempDir()
		require.NoError(t, Create(dir, Identity{Cluster: "c", Name: "n1", Node: 1, Incarnation: 7}))
		_, err := OpenSnapshots(dir)
		require.NoError(t, err)
		r, err := OpenRegistry(dir)
		require.NoError(t, err)
		require.NoError(t, r.Admit("n2", 5))
		for _, name := range done {
			require.NoError(t, os.Rename(filepath.Join(dir, name), filepath.Join(dir, name+".old-x")))
		}
		require.NoError(t, SetAside(dir, "x"))
		ok, err := Exists(dir)
		require.NoError(t, err)
		require.False(t, ok)
		require.NoError(t, Create(dir, Identity{Cluster: "d", Name: "n1", Node: 1, Incarnation: 8}))
		r, err = OpenRegistry(dir)
		require.NoError(t, err)
		require.NoError(t, r.Admit("n2", 6), "another cluster has other nodes")

		l, _, err := Open(dir, Identity{Cluster: "d"}, Options{})
		require.NoError(t, err)
		require.ErrorIs(t, SetAside(dir, "y"), ErrLocked)
		require.NoError(t, l.Close())
		require.Error(t, SetAside(dir, "x"), "the name is taken")

		for _, name := range []string{logName, snapshotsName, peersName} { // back again
			require.NoError(t, os.RemoveAll(filepath.Join(dir, name)))
			require.NoError(t, os.Rename(filepath.Join(dir, name+".old-x"), filepath.Join(dir, name)))
		}
		l, rec, err := Open(dir, Identity{}, Options{})
		require.NoError(t, err)
		require.Equal(t, uint64(7), rec.Identity.Incarnation)
		require.NoError(t, l.Close())
	}
}
