package wal

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/raft"
)

func openSnaps(t testing.TB, dir string) *Snapshots {
	s, err := OpenSnapshots(dir)
	require.NoError(t, err)
	return s
}

func TestSnapshotRoundTrip(t *testing.T) {
	dir := t.TempDir()
	s := openSnaps(t, dir)
	for i, size := range []int{0, 1, snapBlock - 1, snapBlock, snapBlock + 1, 3*snapBlock + 77} {
		sn := writeSnapshot(t, dir, uint64(i+1), 2, size)
		r, err := s.Open(sn)
		require.Equal(t, payload(size), readAll(t, r, err))
		raw, err := s.OpenRaw(sn)
		require.Equal(t, sn.Size, int64(len(readAll(t, raw, err))))
		require.Equal(t, sn, writeSnapshot(t, dir, uint64(i+1), 2, size), "same content, same name")
	}
	list, err := s.List()
	require.NoError(t, err)
	require.Len(t, list, 6)
	for i, sn := range list {
		require.Equal(t, uint64(i+1), sn.Meta.Index)
		require.Equal(t, testMembership(), sn.Meta.Membership)
		r, err := s.Open(sn)
		readAll(t, r, err)
	}
	require.NoError(t, s.PruneBelow(3))
	left, err := s.List()
	require.NoError(t, err)
	require.Equal(t, list[2:], left)
	w, err := s.Receive(Snapshot{Meta: raft.SnapshotMeta{Index: 99, Term: 2}, Name: snapName(99, 2, 1), Size: 1, Sum: 1})
	require.NoError(t, err)
	require.NoError(t, w.Keep())
	require.NoError(t, s.DropAbove(4))
	left, err = s.List()
	require.NoError(t, err)
	require.Equal(t, list[2:4], left)
	names, err := s.names(snapPart)
	require.NoError(t, err)
	require.Empty(t, names)
}

// A snapshot of the same index with other bytes does not replace the one a marker refers to.
func TestSnapshotNamesFollowContent(t *testing.T) {
	dir := t.TempDir()
	a, b := writeSnapshot(t, dir, 5, 1, 100), writeSnapshot(t, dir, 5, 1, 101)
	require.NotEqual(t, a.Name, b.Name)
	s := openSnaps(t, dir)
	r, err := s.Open(a)
	require.Equal(t, payload(100), readAll(t, r, err))
}

// Damage is found before a byte of the damaged block is handed out, wherever it is.
func TestSnapshotDamage(t *testing.T) {
	dir := t.TempDir()
	s := openSnaps(t, dir)
	const size = snapBlock + 300
	sn := writeSnapshot(t, dir, 9, 3, size)
	path := filepath.Join(dir, snapshotsName, sn.Name)
	data := readFile(t, path)
	want := payload(size)
	check := func(bad []byte) {
		writeFile(t, path, bad)
		r, err := s.Open(sn)
		if err == nil {
			var got []byte
			got, err = io.ReadAll(r)
			require.True(t, bytes.HasPrefix(want, got), "only verified bytes")
			require.NoError(t, r.Close())
		}
		var ce *CorruptError
		require.ErrorAs(t, err, &ce)
		require.Equal(t, path, ce.File)
	}
	for at := 0; at < len(data); at++ {
		if at > 300 && at < snapBlock && at%1009 != 0 {
			continue
		}
		check(flip(data, at))
	}
	for cut := 0; cut < len(data); cut += 997 {
		check(data[:cut])
	}
	check(append(bytes.Clone(data), 0))
	// Blocks in the wrong order have good bytes in the wrong place.
	two := writeSnapshot(t, dir, 10, 3, 2*snapBlock)
	path = filepath.Join(dir, snapshotsName, two.Name)
	data, want, sn = readFile(t, path), payload(2*snapBlock), two
	head := len(data) - 2*(snapBlock+snapBlockHead) - snapTrailer
	swapped := append([]byte(nil), data[:head]...)
	swapped = append(swapped, data[head+snapBlock+snapBlockHead:len(data)-snapTrailer]...)
	swapped = append(swapped, data[head:head+snapBlock+snapBlockHead]...)
	check(append(swapped, data[len(data)-snapTrailer:]...))
	// Whole and consistent, but not the one the log means.
	writeFile(t, path, data)
	sn.Sum ^= 1
	_, err := s.Open(sn)
	require.NoError(t, err, "the sum is known at the end")
	check(data)
}

func TestSnapshotReceive(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	sn := writeSnapshot(t, from, 12, 4, 200_000)
	raw := readFile(t, filepath.Join(from, snapshotsName, sn.Name))
	s := openSnaps(t, to)
	send := func(b []byte, sn Snapshot) (Snapshot, error) {
		w, err := s.Receive(sn)
		if err != nil {
			return Snapshot{}, err
		}
		for chunk := range bytesChunks(b, 10_000) {
			if _, err := w.Write(chunk); err != nil {
				return Snapshot{}, errors.Join(err, w.Abort())
			}
		}
		return w.Commit()
	}
	for name, c := range map[string]func() ([]byte, Snapshot){
		"flip":   func() ([]byte, Snapshot) { return flip(raw, 70_000), sn },
		"short":  func() ([]byte, Snapshot) { return raw[:len(raw)-1], sn },
		"long":   func() ([]byte, Snapshot) { return append(bytes.Clone(raw), 0), sn },
		"name":   func() ([]byte, Snapshot) { x := sn; x.Name = "../../evil.snap"; return raw, x },
		"term":   func() ([]byte, Snapshot) { x := sn; x.Meta.Term++; return raw, x },
		"header": func() ([]byte, Snapshot) { x := sn; x.Meta.Term++; x.Name = snapName(12, 5, sn.Sum); return raw, x },
		"members": func() ([]byte, Snapshot) {
			x := sn
			x.Meta.Membership = raft.Membership{Members: []raft.Member{{ID: 1}}}
			return raw, x
		},
	} {
		b, x := c()
		_, err := send(b, x)
		require.Error(t, err, name)
		names, err := os.ReadDir(filepath.Join(to, snapshotsName))
		require.NoError(t, err)
		require.Empty(t, names, name)
	}
	got, err := send(raw, sn)
	require.NoError(t, err)
	require.Equal(t, sn, got)
	r, err := s.Open(got)
	require.Equal(t, payload(200_000), readAll(t, r, err))
	_, err = s.Open(Snapshot{Name: "../peers"})
	require.ErrorContains(t, err, "not the name")
	_, err = s.OpenRaw(Snapshot{Name: "../peers"})
	require.ErrorContains(t, err, "not the name")
}

func bytesChunks(b []byte, n int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(b) > 0 {
			m := min(n, len(b))
			if !yield(b[:m]) {
				return
			}
			b = b[m:]
		}
	}
}

// Every file operation of a snapshot fails once: no snapshot appears, the error is the disk's, nothing is left behind
// by the next start.
func TestSnapshotWriteFails(t *testing.T) {
	errDisk := errors.New("disk")
	for failAt := 0; ; failAt++ {
		dir := t.TempDir()
		openSnaps(t, dir)
		ops := 0
		fs := hookFS{hook: func(op, path string) error {
			if ops++; ops > failAt {
				return errDisk
			}
			return nil
		}}
		s := openSnaps(t, dir)
		s.fs = fs
		w, err := s.Create(raft.SnapshotMeta{Index: 1, Term: 1})
		if err == nil {
			_, err = w.Write(payload(snapFlush + 100_000))
			if err == nil {
				_, err = w.Commit()
			}
			if err == nil {
				require.Greater(t, failAt, 10)
				return
			}
			_, werr := w.Write([]byte("x"))
			require.Error(t, werr)
			_ = w.Abort()
		}
		require.ErrorIs(t, err, errDisk)
		list, err := openSnaps(t, dir).List()
		require.NoError(t, err)
		names, err := os.ReadDir(filepath.Join(dir, snapshotsName))
		require.NoError(t, err)
		require.Len(t, names, len(list), "temporary files are removed")
	}
}

func TestSnapshotAbort(t *testing.T) {
	dir := t.TempDir()
	s := openSnaps(t, dir)
	w, err := s.Create(raft.SnapshotMeta{Index: 1, Term: 1})
	require.NoError(t, err)
	other, err := s.Create(raft.SnapshotMeta{Index: 1, Term: 1})
	require.NoError(t, err)
	require.NoError(t, s.PruneBelow(2), "files being written stay")
	require.NoError(t, w.Abort())
	require.NoError(t, w.Abort())
	_, err = w.Commit()
	require.ErrorContains(t, err, "ended")
	_, err = other.Commit()
	require.NoError(t, err)
	require.NoError(t, other.Abort())
	list, err := s.List()
	require.NoError(t, err)
	require.Len(t, list, 1)
	writeFile(t, filepath.Join(dir, snapshotsName, "x.snap"), nil)
	_, err = s.List()
	require.ErrorContains(t, err, "unknown file")
}

// FuzzSnapshot: a damaged or invented file gives an error or verified bytes, never a crash.
func FuzzSnapshot(f *testing.F) {
	dir := f.TempDir()
	for _, size := range []int{0, 10, snapBlock + 1} {
		sn := writeSnapshot(f, dir, 1, 1, size)
		b := readFile(f, filepath.Join(dir, snapshotsName, sn.Name))
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Add([]byte(strings.Repeat("KVAPSNAP", 20)))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, _, err := newSnapReader("fuzz", bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		got, err := io.ReadAll(r)
		require.LessOrEqual(t, len(got), len(b))
		if err == nil {
			require.Equal(t, int64(len(got)), r.total)
		}
	})
}
