package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/internal/config"
	"kvapp/wal"
)

func TestOrigin(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	o, err := readOrigin(dir)
	require.NoError(t, err)
	require.Equal(t, origin{}, o)
	for _, want := range []origin{
		{join: []string{"127.0.0.1:7001"}},
		{join: []string{"127.0.0.1:7001", "db.example:6379"}, aside: 0xab},
		{alone: true, aside: 1<<64 - 1},
		{alone: true},
		{},
	} {
		require.NoError(t, want.write(dir))
		got, err := readOrigin(dir)
		require.NoError(t, err)
		require.Equal(t, want, got)
		names, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, names, 1)
	}
	for _, bad := range []string{"aside x\n", "aside\n", "join x\n", "join\n", "together\n"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, originName), []byte(bad), 0o600))
		_, err := readOrigin(dir)
		require.ErrorContains(t, err, "origin: ", bad)
	}
	require.NoError(t, os.Remove(filepath.Join(dir, originName)))
	require.NoError(t, os.Mkdir(filepath.Join(dir, originName), 0o700))
	_, err = readOrigin(dir)
	require.ErrorContains(t, err, "origin: ")
	require.ErrorContains(t, origin{}.write(dir), "origin: ")
}

// What a crash has left half set aside is finished at the next start, and a node can be made there.
func TestSettleGoesOn(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, wal.Create(dir, wal.Identity{Cluster: "c", Name: "n1", Node: 1, Incarnation: 7}))
	r, err := wal.OpenRegistry(dir)
	require.NoError(t, err)
	require.NoError(t, r.Admit("n2", 5))
	want := origin{join: []string{"127.0.0.1:7001"}, aside: 7}
	require.NoError(t, want.write(dir))
	require.NoError(t, os.Rename(filepath.Join(dir, "log"), filepath.Join(dir, "log.old-0000000000000007"))) // so far it got
	for range 2 {
		o, err := settle(dir)
		require.NoError(t, err)
		require.Equal(t, origin{join: want.join}, o)
		require.NoFileExists(t, filepath.Join(dir, "peers"))
		require.FileExists(t, filepath.Join(dir, "peers.old-0000000000000007"))
	}
	require.NoError(t, wal.Create(dir, wal.Identity{Cluster: "c", Name: "n1", Node: 1, Incarnation: 8}))
}

// Whom a node joins through: the ones noted come first; who founds a cluster alone joins nobody, whatever the settings say.
func TestJoinAddrs(t *testing.T) {
	set := config.New()
	s := &server{set: set}
	noted := origin{join: []string{"a:1", "b:2"}}
	got, err := s.joinAddrs(noted)
	require.NoError(t, err)
	require.Equal(t, noted.join, got)
	require.NoError(t, set.Set("join", "b:2, c:3"))
	got, err = s.joinAddrs(noted)
	require.NoError(t, err)
	require.Equal(t, []string{"a:1", "b:2", "c:3"}, got)
	got, err = s.joinAddrs(origin{})
	require.NoError(t, err)
	require.Equal(t, []string{"b:2", "c:3"}, got)
	got, err = s.joinAddrs(origin{alone: true})
	require.NoError(t, err)
	require.Empty(t, got)
	require.NoError(t, set.Set("join", "b"))
	_, err = s.joinAddrs(origin{})
	require.ErrorContains(t, err, `--join: "b" is not host:port`)
}
