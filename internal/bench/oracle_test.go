//go:build oracle

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// One small run with the real tools, but not so small that redis-benchmark measures no time: both servers start, every
// figure is there, and nothing is left behind. Whether the floors hold is no matter of so small a run.
func TestRun(t *testing.T) {
	bin, dir := filepath.Join(t.TempDir(), "kvapp"), t.TempDir()
	build := exec.Command("go", "build", "-o", bin, "kvapp/cmd/kvapp")
	build.Stderr = os.Stderr
	require.NoError(t, build.Run())
	var out bytes.Buffer
	err := run(t.Context(), []string{"-kvapp", bin, "-dir", dir, "-rounds", "2", "-scale", "0.1", "-only", "set/50/16,get/1/1"}, &out)
	if err != nil {
		require.ErrorContains(t, err, "below their floor")
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 7, out.String())
	for _, l := range lines[1:] {
		require.Regexp(t, `^(SET c=50 P=16|GET c=1 P=1) +(redis|kvapp|ratio) +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+`, l)
	}
	require.Contains(t, lines[3], "floor 0.41")
	require.Contains(t, lines[6], "no floor, median of 2")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}
