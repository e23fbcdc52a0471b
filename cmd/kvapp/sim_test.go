package main

import (
	"bytes"
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
	err := cmd.Execute()
	return out.String(), err
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

	for _, bad := range [][]string{
		{"--seeds", "5..1"}, {"--seeds", "x"}, {"--nodes", "8"}, {"--small", "--large"}, {"--seed", "1", "--seeds", "1..2"}, {"more"},
	} {
		_, err := runSim(t, bad...)
		require.Error(t, err, bad)
	}
}
