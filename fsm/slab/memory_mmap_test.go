//go:build linux && !race && !heapslab

package slab

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Regions have no huge pages, on every kind of system.
func TestNoHugePages(t *testing.T) {
	if _, err := os.Stat("/sys/kernel/mm/transparent_hugepage"); err != nil {
		return // a system that has none
	}
	b, mapped := mapMemory(regionSize)
	require.True(t, mapped)
	defer unmapMemory(b)
	var at, from, to uint64
	_, err := fmt.Sscanf(fmt.Sprintf("%p", b), "0x%x", &at)
	require.NoError(t, err)
	text, err := os.ReadFile("/proc/self/smaps")
	require.NoError(t, err)
	inside := false
	for line := range strings.Lines(string(text)) {
		if n, _ := fmt.Sscanf(line, "%x-%x ", &from, &to); n == 2 {
			inside = from <= at && at < to
		}
		if flags, ok := strings.CutPrefix(line, "VmFlags:"); ok && inside {
			require.Contains(t, strings.Fields(flags), "nh")
			return
		}
	}
	require.Fail(t, "the mapping is not in smaps")
}
