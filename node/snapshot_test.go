package node

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Entries may hold a megabyte each: a number of them kept behind a snapshot bounds nothing.
func TestLogOfFewLargeEntriesIsCut(t *testing.T) {
	const limit = 100_000
	bubble(t, 3, func(c *Config) { c.SnapshotBytes, c.SnapshotKeep = limit, 10_000 }, func(w *world) {
		lead := w.leader()
		for range 100 {
			o, _, _ := lead.do(false, command("set", "k", strings.Repeat("x", 10_000)))
			require.Equal(t, Done, o)
			require.Less(t, lead.log.Bytes(), int64(4*limit))
		}
		w.settled()
	})
}

// A node that is restarted often must not begin to count anew each time, or its log grows for ever.
func TestLogGrowthCountsAcrossRestarts(t *testing.T) {
	const limit = 100_000
	bubble(t, 1, func(c *Config) { c.SnapshotBytes = limit }, func(w *world) {
		for range 40 {
			lead := w.leader()
			for range 4 {
				o, _, _ := lead.do(false, command("set", "k", strings.Repeat("x", 10_000)))
				require.Equal(t, Done, o)
			}
			require.Less(t, lead.log.Bytes(), int64(4*limit))
			lead.stop()
			lead.start()
		}
	})
}
