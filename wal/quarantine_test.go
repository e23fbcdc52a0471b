package wal

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIntact(t *testing.T) {
	dir := t.TempDir()
	s := openSnaps(t, dir)
	var all []Snapshot
	for i := range 6 {
		all = append(all, writeSnapshot(t, dir, uint64(10*i+10), 2, snapBlock+i))
	}
	path := func(i int) string { return filepath.Join(dir, snapshotsName, all[i].Name) }
	data := readFile(t, path(1))
	writeFile(t, path(1), flip(data, len(data)/2))
	writeFile(t, path(2), data[:len(data)-1])
	writeFile(t, path(3), nil)
	writeFile(t, path(4), data) // whole, and another one
	writeFile(t, filepath.Join(dir, snapshotsName, "x.snap"), data)
	got, err := s.Intact()
	require.NoError(t, err)
	require.Equal(t, []Snapshot{all[5], all[0]}, got)
	require.True(t, s.Has(all[0]))
	for i := 1; i < 5; i++ {
		require.False(t, s.Has(all[i]), i)
	}
	_, err = s.List()
	require.Error(t, err, "it names what is damaged")
}

// A damaged file keeps its bytes under a name that nothing takes for a snapshot, as often as it happens.
func TestQuarantine(t *testing.T) {
	dir := t.TempDir()
	s := openSnaps(t, dir)
	sn := writeSnapshot(t, dir, 7, 1, 100)
	path := filepath.Join(dir, snapshotsName, sn.Name)
	for n, want := range []string{".damaged", ".damaged-2", ".damaged-3"} {
		bad := flip(readFile(t, path), 60+n)
		writeFile(t, path, bad)
		to, err := s.Quarantine(sn)
		require.NoError(t, err)
		require.Equal(t, path+want, to)
		require.Equal(t, bad, readFile(t, to))
		to, err = s.Quarantine(sn)
		require.NoError(t, err)
		require.Empty(t, to, "there is none")
		require.Equal(t, sn, writeSnapshot(t, dir, 7, 1, 100))
	}
	list, err := s.List()
	require.NoError(t, err)
	require.Equal(t, []Snapshot{sn}, list)
	require.NoError(t, s.PruneBelow(8))
	names, err := os.ReadDir(filepath.Join(openSnaps(t, dir).dir))
	require.NoError(t, err)
	require.Len(t, names, 3, "they stay")
	_, err = s.Quarantine(Snapshot{Name: "../peers"})
	require.ErrorContains(t, err, "not the name")
}

func TestQuarantineFails(t *testing.T) {
	errDisk := errors.New("disk")
	dir := t.TempDir()
	sn := writeSnapshot(t, dir, 7, 1, 100)
	for _, fail := range []string{"rename", "syncdir"} {
		s := openSnaps(t, dir)
		s.fs = hookFS{hook: func(op, _ string) error {
			if op == fail {
				return errDisk
			}
			return nil
		}}
		_, err := s.Quarantine(sn)
		require.ErrorIs(t, err, errDisk, fail)
	}
}
