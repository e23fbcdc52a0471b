package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func runSim(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := simCommand()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// Whoever interrupts a long run sees what it has found so far.
func TestSimIsInterrupted(t *testing.T) {
	var out bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	cmd := simCommand()
	cmd.SetArgs([]string{"--for", "1h", "--small", "--jobs", "2"})
	cmd.SetOut(&out)
	require.ErrorContains(t, cmd.ExecuteContext(ctx), "interrupted after ")
	require.Contains(t, out.String(), " worlds, 0 failed")
}

func TestSimCommand(t *testing.T) {
	out, err := runSim(t, "--seed", "7", "--small")
	require.NoError(t, err)
	require.Contains(t, out, "seed 7: small, 3 nodes")
	hash := regexp.MustCompile(`hash [0-9a-f]{16}`).FindString(out)
	require.NotEmpty(t, hash)
	traced, err := runSim(t, "--seed", "7", "--small", "--trace")
	require.NoError(t, err)
	require.Contains(t, traced, hash, "watching changes nothing")
	require.Greater(t, strings.Count(traced, "\n"), 100)

	out, err = runSim(t, "--seeds", "1..4", "--small", "--nodes", "5")
	require.NoError(t, err)
	require.Contains(t, out, "4 worlds, 0 failed")
	_, err = runSim(t, "--seeds", "1..2", "--small", "--corners")
	require.ErrorContains(t, err, "never met: ")

	out, err = runSim(t, "--for", "1ms", "--small", "--jobs", "1")
	require.NoError(t, err)
	require.Contains(t, out, "1 worlds, 0 failed")

	for _, bad := range [][]string{
		{"--for", "-1s"}, {"--for", "1s", "--seed", "1"}, {"--case", "/nowhere"}, {"--case", "x", "--small"}, {"--shrink", "--trace"},
		{"--seeds", "5..1"}, {"--seeds", "x"}, {"--nodes", "8"}, {"--small", "--large"}, {"--seed", "1", "--seeds", "1..2"}, {"more"},
	} {
		_, err := runSim(t, bad...)
		require.Error(t, err, bad)
	}
}

// A case runs from a file, and one that holds is not shrunk.
func TestSimCase(t *testing.T) {
	out, err := runSim(t, "--seed", "7", "--small", "--shrink")
	require.NoError(t, err)
	require.Equal(t, "small 7\nholds: there is nothing to shrink\n", out)
	path := filepath.Join(t.TempDir(), "case")
	require.NoError(t, os.WriteFile(path, []byte("small 7\nuntil 2s\nsmall 8 # and one more\nonly\n"), 0o600))
	out, err = runSim(t, "--case", path)
	require.NoError(t, err)
	require.Contains(t, out, "seed 7: small")
	require.Contains(t, out, "seed 8: small")
	require.NoError(t, os.WriteFile(path, []byte("small 7\nuntil then\n"), 0o600))
	_, err = runSim(t, "--case", path)
	require.ErrorContains(t, err, `line 2, "until then"`)
}

func TestLastLines(t *testing.T) {
	l := lines{most: 2}
	for _, s := range []string{"a\nb", "\n", "c\nd\ne", "f\n"} {
		n, err := l.Write([]byte(s))
		require.NoError(t, err)
		require.Equal(t, len(s), n)
	}
	require.Equal(t, []string{"d", "ef"}, l.kept)
}
