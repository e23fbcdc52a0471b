package wal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// sender is a node with a snapshot: its description and the bytes of its file.
func sender(t testing.TB, index, term uint64, size int) (Snapshot, []byte) {
	dir := t.TempDir()
	sn := writeSnapshot(t, dir, index, term, size)
	return sn, readFile(t, filepath.Join(dir, snapshotsName, sn.Name))
}

// receivePart begins or continues sn and keeps the first n bytes of raw; it returns where it began.
func receivePart(t require.TestingT, s *Snapshots, sn Snapshot, raw []byte, n int) int {
	w, err := s.Receive(sn)
	require.NoError(t, err)
	at := int(w.Size())
	if n > at {
		_, err = w.Write(raw[at:n])
		require.NoError(t, err)
	}
	require.NoError(t, w.Keep())
	return at
}

// receiveRest completes sn; it returns where it began.
func receiveRest(t require.TestingT, s *Snapshots, sn Snapshot, raw []byte) int {
	w, err := s.Receive(sn)
	require.NoError(t, err)
	at := int(w.Size())
	_, err = w.Write(raw[at:])
	require.NoError(t, err)
	got, err := w.Commit()
	require.NoError(t, err)
	require.Equal(t, sn, got)
	require.True(t, s.Has(sn))
	return at
}

func fileNames(t require.TestingT, dir string) (names []string) {
	list, err := os.ReadDir(filepath.Join(dir, snapshotsName))
	require.NoError(t, err)
	for _, de := range list {
		names = append(names, de.Name())
	}
	return names
}

// A stream that is cut is continued where it was, to the byte; after a restart from the last whole block.
func TestPartContinues(t *testing.T) {
	sn, raw := sender(t, 12, 4, 5*snapBlock+1000)
	dir := t.TempDir()
	s := openSnaps(t, dir)
	require.False(t, s.Has(sn))
	require.Equal(t, 0, receivePart(t, s, sn, raw, 100_001))
	require.Equal(t, 100_001, receivePart(t, s, sn, raw, 200_003))
	head := len(raw) - 5*(snapBlock+snapBlockHead) - 1000 - snapBlockHead - snapTrailer
	s = openSnaps(t, dir)
	require.Equal(t, head+3*(snapBlock+snapBlockHead), receivePart(t, s, sn, raw, len(raw)))
	require.Equal(t, len(raw), receiveRest(t, s, sn, raw))
	require.Equal(t, []string{sn.Name}, fileNames(t, dir))
	r, err := s.Open(sn)
	require.Equal(t, payload(5*snapBlock+1000), readAll(t, r, err))
}

// Whatever a crash leaves of the partly received file, what counts as received is received, and the rest completes it.
func TestPartAfterACrash(t *testing.T) {
	sn, raw := sender(t, 12, 4, 3*snapBlock+1000)
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		require.NoError(rt, err)
		s := openSnaps(t, dir)
		n := rapid.IntRange(0, len(raw)).Draw(rt, "received")
		receivePart(rt, s, sn, raw, n)
		path := filepath.Join(dir, snapshotsName, sn.Name+snapPart)
		disk := readFile(t, path)
		require.Len(rt, disk, n)
		bad := rapid.IntRange(0, n).Draw(rt, "good")
		switch rapid.IntRange(0, 3).Draw(rt, "crash") {
		case 0:
			disk = disk[:bad]
		case 1:
			clear(disk[bad:])
		case 2:
			disk = append(disk, rapid.SliceOfN(rapid.Byte(), 1, 1000).Draw(rt, "more")...)
			bad = n
		case 3:
			if bad == n {
				return
			}
			disk[bad] ^= 1
		}
		writeFile(t, path, disk)
		s = openSnaps(t, dir)
		at := receiveRest(rt, s, sn, raw)
		require.LessOrEqual(rt, at, bad+snapBlock, "zeros may be what was there")
		require.GreaterOrEqual(rt, at, bad-2*(snapBlock+snapBlockHead))
		require.Equal(rt, raw, readFile(t, filepath.Join(dir, snapshotsName, sn.Name)))
	})
}

// There is one partly received file, and none beside a snapshot that is as new.
func TestPartsAreBounded(t *testing.T) {
	old, oldRaw := sender(t, 12, 4, 200_000)
	sn, raw := sender(t, 20, 4, 200_000)
	dir := t.TempDir()
	s := openSnaps(t, dir)
	receivePart(t, s, old, oldRaw, 150_000)
	receivePart(t, s, sn, raw, 150_000)
	require.Equal(t, []string{sn.Name + snapPart}, fileNames(t, dir))
	require.Zero(t, receivePart(t, s, old, oldRaw, 150_000), "gone")
	receivePart(t, s, sn, raw, 150_000)

	require.NoError(t, s.PruneBelow(19))
	require.NotEmpty(t, fileNames(t, dir))
	w, err := s.Receive(sn)
	require.NoError(t, err)
	_, err = s.Receive(sn)
	require.ErrorIs(t, err, errReceiving)
	require.NoError(t, s.PruneBelow(20), "it is being written")
	require.NoError(t, w.Keep())
	require.NoError(t, w.Keep())
	require.NotEmpty(t, fileNames(t, dir))
	require.NoError(t, s.PruneBelow(20))
	require.Empty(t, fileNames(t, dir))
	require.Zero(t, receivePart(t, s, sn, raw, 150_000))

	own := writeSnapshot(t, dir, 20, 4, 100) // OpenSnapshots is how it begins
	require.Equal(t, []string{own.Name, sn.Name + snapPart}, fileNames(t, dir))
	writeFile(t, filepath.Join(dir, snapshotsName, "x"+snapPart), nil)
	openSnaps(t, dir)
	require.Equal(t, []string{own.Name}, fileNames(t, dir))
}

// Another file under the same name, which only a collision of checksums makes, fails once and begins anew.
func TestPartOfAnotherFile(t *testing.T) {
	sn, raw := sender(t, 12, 4, 200_000)
	s := openSnaps(t, t.TempDir())
	receivePart(t, s, sn, flip(raw, 70_000), 150_000)
	w, err := s.Receive(sn)
	require.NoError(t, err)
	_, err = w.Write(raw[w.Size():])
	require.NoError(t, err)
	_, err = w.Commit()
	require.ErrorContains(t, err, "checksum")
	require.Zero(t, receiveRest(t, s, sn, raw))

	short := sn
	short.Meta.Index, short.Size = 13, 1000
	short.Name = snapName(13, 4, sn.Sum)
	receivePart(t, s, Snapshot{Meta: short.Meta, Name: short.Name, Size: sn.Size, Sum: sn.Sum}, raw, 2000)
	require.Zero(t, receivePart(t, s, short, raw, 0), "more than there is")
}

// Every file operation fails once: the error is the disk's, and a fresh start completes the file all the same.
func TestPartWriteFails(t *testing.T) {
	errDisk := errors.New("disk")
	sn, raw := sender(t, 12, 4, 200_000)
	for failAt := 0; ; failAt++ {
		dir := t.TempDir()
		ops := 0
		fs := hookFS{hook: func(op, path string) error {
			if ops++; ops > failAt {
				return errDisk
			}
			return nil
		}}
		s := openSnaps(t, dir)
		s.fs = fs
		attempt := func() error {
			for _, upTo := range []int{150_000, len(raw)} {
				w, err := s.Receive(sn)
				if err != nil {
					return err
				}
				if _, err = w.Write(raw[w.Size():upTo]); err != nil {
					return errors.Join(err, w.Keep())
				}
				if upTo == len(raw) {
					_, err = w.Commit()
					return err
				}
				if err := w.Keep(); err != nil {
					return err
				}
			}
			return nil
		}
		if err := attempt(); err == nil {
			require.Greater(t, failAt, 8)
			return
		} else {
			require.ErrorIs(t, err, errDisk)
		}
		s = openSnaps(t, dir)
		if !s.Has(sn) {
			receiveRest(t, s, sn, raw)
		}
		require.True(t, bytes.Equal(raw, readFile(t, filepath.Join(dir, snapshotsName, sn.Name))))
	}
}
