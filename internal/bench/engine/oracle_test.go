//go:build oracle

package main

import (
	"bytes"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// The whole run with redis-server: it has a figure wherever there is something to compare.
func TestRunBesideRedis(t *testing.T) {
	dir := t.TempDir()
	var out, progress bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-keys", strconv.Itoa(tinyKeys), "-dir", dir}, &out, &progress))
	requireTable(t, out.String(), true)
	require.Contains(t, out.String(), "redis-server: Redis server v=")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// What the servers say of each other's names: a port that another server holds, a command that fails.
func TestRedisErrors(t *testing.T) {
	r, err := startRedis(t.Context(), t.TempDir())
	require.NoError(t, err)
	defer r.stop()
	_, err = r.do("nosuch")
	require.ErrorContains(t, err, "unknown command")
	require.NoError(t, r.fill(fillStrings(1000)))
	size, err := r.do("dbsize")
	require.NoError(t, err)
	require.Equal(t, "1000", size)
	require.ErrorContains(t, r.run(oneKey("incr", 1000), 0, 1), "not an integer")
	_, err = r.info("server", "nosuch")
	require.ErrorContains(t, err, "has no nosuch")
	_, err = r.usec("nosuch")
	require.Error(t, err)
	r.server.Pids[0]++
	require.ErrorContains(t, r.waitLoaded(t.Context()), "another redis-server")
	r.server.Pids[0]--
}
