//go:build oracle

package main

import (
	"bytes"
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// The whole run with redis-server: it has a figure wherever there is something to compare.
func TestRunBesideRedis(t *testing.T) {
	dir := t.TempDir()
	var out, progress bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-keys", strconv.Itoa(tinyKeys), "-dir", dir}, &out, &progress))
	requireTable(t, out.String(), regexp.MustCompile(""), true)
	require.Contains(t, out.String(), "redis-server: Redis server v=")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// A command that fails, a figure that is missing, a port that another server holds.
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
	_, err = r.perCall("nosuch")
	require.Error(t, err)
	// A call that took long is left out.
	require.NoError(t, r.resetStats())
	require.NoError(t, r.all([]string{"debug", "sleep", "0.02"}, []string{"ping"}))
	usec, calls, err := r.usec("debug")
	require.NoError(t, err)
	require.InDelta(t, 1, calls, 0)
	require.Greater(t, usec, 2e4)
	rest, err := r.perCall("debug")
	require.NoError(t, err)
	require.Less(t, rest, 1e4)
	r.server.Pids[0]++
	require.ErrorContains(t, r.waitLoaded(t.Context()), "another redis-server")
	r.server.Pids[0]--
}
