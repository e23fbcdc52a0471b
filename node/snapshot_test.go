package node

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/raft"
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

// A snapshot that did not arrive is sent again although there are newer ones, because the follower has a part of it; one
// that the follower refused is not. Its file stays as long as it can be of use, and no longer.
func TestSnapshotThatBrokeOffIsSentAgain(t *testing.T) {
	cut := errors.New("cut")
	for name, c := range map[string]struct {
		errs []error
		same bool
	}{
		"cut":     {[]error{cut, cut, cut}, true},
		"refused": {[]error{cut, fmt.Errorf("%w: no", ErrRefused)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 3, func(c *Config) { c.SnapshotBytes, c.SnapshotKeep, c.HoldBytes = 20_000, 1000, 10_000_000 }, func(w *world) {
				slow := w.followers()[0]
				slow.stop()
				lead := w.leader(slow)
				write := func(i int) {
					o, _, _ := lead.do(false, command("set", "k"+strconv.Itoa(i%100), strings.Repeat("x", 50)+strconv.Itoa(i)))
					require.Equal(t, Done, o)
				}
				for i := range 2000 {
					write(i)
				}
				lead.streamTime, lead.streamErrs = time.Second, c.errs // several snapshots' time
				slow.start()
				for i := 0; slow.get().Store().Applied()+100 < lead.get().Store().Applied(); i++ {
					write(i)
				}
				w.settled()
				require.Len(t, lead.sent, len(c.errs)+1)
				first, last := lead.sent[0], lead.sent[len(c.errs)]
				require.Equal(t, c.same, first == last, lead.sent)
				for i := range 1000 {
					write(i)
				}
				w.settled()
				require.LessOrEqual(t, lead.snaps.count(), 2)
				require.Less(t, lead.log.Bytes(), int64(200_000), "nothing is kept longer than needed")
			})
		})
	}
}

// The log goes on without a follower that has gone away; then the snapshot that it has a part of leads nowhere.
func TestSnapshotThatLeadsNowhereIsForgotten(t *testing.T) {
	d := &Driver{snap: SnapshotFile{Meta: raft.SnapshotMeta{Index: 10}}}
	require.EqualValues(t, 10, d.streams(2, 0).Meta.Index)
	require.EqualValues(t, 10, d.streams(3, 0).Meta.Index)
	d.snap.Meta.Index = 20
	require.EqualValues(t, 10, d.streams(2, 0).Meta.Index)
	d.streamed[3] = stream{file: d.streamed[3].file, arrived: true}
	require.EqualValues(t, 20, d.streams(3, 0).Meta.Index)
	require.EqualValues(t, 10, d.prune(30, 11))
	require.EqualValues(t, 20, d.prune(30, 12), "the log behind 10 is gone")
	require.EqualValues(t, 20, d.streams(2, 0).Meta.Index)
	d.snap.Meta.Index = 25
	require.EqualValues(t, 20, d.streams(2, 20).Meta.Index)
	require.EqualValues(t, 25, d.streams(2, 21).Meta.Index, "the older one is of no use to it")
	require.EqualValues(t, 30, d.prune(30, 31))
	require.Empty(t, d.streamed)
}
