package wal

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/raft"
)

func TestRegistry(t *testing.T) {
	dir := t.TempDir()
	for range 3 { // the second and third time from the file
		r, err := OpenRegistry(dir)
		require.NoError(t, err)
		require.NoError(t, r.Admit("n2", 5))
		require.NoError(t, r.Admit("n3", 0))
		err = r.Admit("n2", 6)
		var we *WipedError
		require.ErrorAs(t, err, &we)
		require.Equal(t, WipedError{Name: "n2", Known: 5, Seen: 6}, *we)
		require.ErrorContains(t, err, "n2")
	}
	r, err := OpenRegistry(dir)
	require.NoError(t, err)
	require.Error(t, r.Admit("", 1))
	require.Error(t, r.Admit(string(make([]byte, 300)), 1))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() { _ = r.Admit(fmt.Sprint("m", i%4), uint64(i%4)) })
	}
	wg.Wait()
	r, err = OpenRegistry(dir)
	require.NoError(t, err)
	require.Len(t, r.known, 6)
}

func named(name string, incarnation uint64) []raft.Member {
	return []raft.Member{{Name: name, Incarnation: incarnation}}
}

// A name whose disk was lost comes back with another one when the membership says so, and only then; the old disk never
// does, whatever becomes of the name.
func TestRegistryFollowsTheMembership(t *testing.T) {
	dir := t.TempDir()
	r, err := OpenRegistry(dir)
	require.NoError(t, err)
	require.NoError(t, r.Admit("n2", 5), "a founding member")
	r.Follow(named("n2", 0))
	var we *WipedError
	require.ErrorAs(t, r.Admit("n2", 6), &we, "wiped, and not added again")
	r.Follow(nil)
	require.ErrorAs(t, r.Admit("n2", 6), &we, "removed, and not added again")
	require.NoError(t, r.Admit("n2", 5), "it still has to be told of its removal")

	r.Follow(named("n2", 6))
	require.ErrorAs(t, r.Admit("n2", 5), &we)
	require.Equal(t, WipedError{Name: "n2", Known: 6, Seen: 5}, *we)
	r.Follow(named("n2", 0)) // the addition was rolled back before the new disk came
	require.NoError(t, r.Admit("n2", 5))
	r.Follow(named("n2", 6))
	require.NoError(t, r.Admit("n2", 6))
	require.ErrorAs(t, r.Admit("n2", 5), &we)
	for range 2 { // the second time from the file
		r.Follow(nil)
		require.ErrorAs(t, r.Admit("n2", 5), &we, "removed again")
		require.NoError(t, r.Admit("n2", 6))
		r, err = OpenRegistry(dir)
		require.NoError(t, err)
	}

	// The first one seen of a name is no reason against the one that is added.
	require.NoError(t, r.Admit("n4", 1))
	r.Follow(named("n4", 2))
	require.ErrorAs(t, r.Admit("n4", 1), &we)
	require.NoError(t, r.Admit("n4", 2))
}

// The list is full: members that are known already can still change their disk.
func TestRegistryIsFull(t *testing.T) {
	r, err := OpenRegistry(t.TempDir())
	require.NoError(t, err)
	for i := range maxPeers {
		r.known[fmt.Sprint("n", i)] = 1
	}
	require.ErrorContains(t, r.Admit("x", 1), "are known already")
	r.Follow(named("n7", 2))
	require.NoError(t, r.Admit("n7", 2))
}

func TestRegistryDamage(t *testing.T) {
	dir := t.TempDir()
	r, err := OpenRegistry(dir)
	require.NoError(t, err)
	require.NoError(t, r.Admit("n2", 5))
	path := filepath.Join(dir, peersName)
	data := readFile(t, path)
	for i := range data {
		for _, bad := range [][]byte{flip(data, i), data[:i]} {
			writeFile(t, path, bad)
			_, err := OpenRegistry(dir)
			var ce *CorruptError
			require.ErrorAs(t, err, &ce)
			require.Equal(t, path, ce.File)
		}
	}
}

// A crash before any operation of Admit leaves the old or the new list; a failed one is final.
func TestRegistryCrashes(t *testing.T) {
	errDisk := errors.New("disk")
	for failAt := 0; ; failAt++ {
		dir := t.TempDir()
		r, err := OpenRegistry(dir)
		require.NoError(t, err)
		require.NoError(t, r.Admit("n2", 5))
		ops := 0
		r.fs = hookFS{hook: func(string, string) error {
			if ops++; ops > failAt {
				return errDisk
			}
			return nil
		}}
		err = r.Admit("n3", 6)
		if err == nil {
			require.Equal(t, 5, failAt)
			return
		}
		require.ErrorIs(t, err, errDisk)
		require.ErrorIs(t, r.Admit("n2", 5), errDisk)
		r, err = OpenRegistry(dir)
		require.NoError(t, err)
		require.Equal(t, uint64(5), r.known["n2"])
		require.NoError(t, r.Admit("n3", 6))
	}
}

func FuzzPeers(f *testing.F) {
	f.Add(encodePeers(map[string]uint64{}), false)
	f.Add(encodePeers(map[string]uint64{"n1": 1, "n2": 1 << 63}), true)
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		if seal && len(b) >= 4 {
			b = appendSum(b[: len(b)-4 : len(b)-4])
		}
		known, err := decodePeers("fuzz", b)
		if err != nil {
			return
		}
		again, err := decodePeers("fuzz", encodePeers(known))
		require.NoError(t, err)
		require.Equal(t, known, again)
	})
}
