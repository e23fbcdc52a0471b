package node

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/raft"
)

func reserve(n int64) func(*Config) {
	return func(c *Config) { c.DiskReserve = func() int64 { return n } }
}

// fillDisk writes until the leader takes no more, and returns how many writes that were.
func fillDisk(t *testing.T, lead *peer) int {
	for i := range 10_000 {
		switch o, _, _ := lead.do(false, command("set", fmt.Sprint("k", i), strings.Repeat("x", 1000))); o {
		case Done:
		case DiskFull:
			return i
		default:
			require.Fail(t, "neither done nor refused", o)
		}
	}
	require.Fail(t, "the disk is never full")
	return 0
}

// A leader whose disk gets full, as all of them do, refuses writes before the journal is hurt, serves reads, and takes writes
// again by itself when there is room.
func TestLeaderStopsWritesBeforeTheDiskIsFull(t *testing.T) {
	bubble(t, 3, reserve(50_000), func(w *world) {
		lead := w.leader()
		term := lead.get().View().Term
		w.resize(200_000)
		n := fillDisk(t, lead)
		require.Greater(t, n, 100)
		require.Less(t, lead.log.Bytes(), int64(150_000))
		w.until("it says so", func() bool { return lead.get().View().DiskFull })
		st, err := lead.get().Status()
		require.NoError(t, err)
		require.True(t, st.DiskFull)
		require.EqualValues(t, 50_000, st.DiskReserve)
		require.Less(t, st.DiskFree, int64(62_500))

		<-time.After(5 * time.Second) // the clock of the log gets old
		for _, c := range [][]string{{"get", "k1"}, {"exists", "k1"}} {
			o, _, _ := lead.do(false, command(c[0], c[1]))
			require.Equal(t, Done, o)
		}
		o, r, _ := lead.do(true, command("ttl", "k1")) // needs an entry
		require.Equal(t, Done, o)
		require.Equal(t, ":-1 ", r)
		o, _, _ = lead.do(false, command("set", "a", "1"))
		require.Equal(t, DiskFull, o)

		<-time.After(20 * time.Second)
		require.Equal(t, term, w.leader().get().View().Term, "leadership does not go round where nobody has room")
		w.resize(1_000_000)
		<-time.After(200 * time.Millisecond)
		require.False(t, lead.get().View().DiskFull)
		for i := range 100 {
			o, _, _ = lead.do(false, command("set", strconv.Itoa(i), strings.Repeat("x", 1000)))
			require.Equal(t, Done, o)
		}
		w.settled()
	})
}

// resize makes the disks of all nodes, or of some, as large as that.
func (w *world) resize(bytes int64, nodes ...*peer) {
	if nodes == nil {
		nodes = w.nodes
	}
	for _, p := range nodes {
		p.log.resize(bytes)
	}
}

// A leader whose disk gets full hands over to a voter that has room, once, and clients can write again. It does not go back
// to who has no room, whoever is preferred, and does when there is room.
func TestFullLeaderHandsOver(t *testing.T) {
	bubble(t, 3, reserve(50_000), func(w *world) {
		lead, others := w.leader(), w.followers()
		require.NoError(t, lead.get().Change([]raft.Change{{Kind: raft.ChangeSet, Member: raft.Member{ID: lead.id, Priority: 1}}}, 5000))
		poor, rich := others[0], others[1]
		w.resize(200_000, lead, poor)
		fillDisk(t, lead)
		w.until("who has room leads", func() bool { return rich.get().View().Role == raft.Leader })
		term := rich.get().View().Term
		for i := range 200 {
			w.until("a write", func() bool {
				o, _, _ := rich.do(false, command("set", strconv.Itoa(i), "small"))
				return o == Done
			})
		}
		<-time.After(20 * time.Second)
		require.Equal(t, raft.Leader, rich.get().View().Role)
		require.Equal(t, term, rich.get().View().Term, "there is no other election")
		require.True(t, lead.get().View().DiskFull)
		w.resize(1_000_000)
		w.until("the preferred voter leads", func() bool { return lead.get().View().Role == raft.Leader })
		w.settled()
	})
}

// Disks of about the same size get full at about the same time: leadership does not go round for the sake of a few bytes.
func TestDisksGetFullTogether(t *testing.T) {
	bubble(t, 3, reserve(50_000), func(w *world) {
		lead := w.leader()
		term := lead.get().View().Term
		for i, p := range w.nodes {
			p.log.resize(200_000 + int64(i)*3_000)
		}
		lead.log.resize(200_000)
		fillDisk(t, lead)
		<-time.After(20 * time.Second)
		require.Equal(t, term, lead.get().View().Term)
		require.Equal(t, raft.Leader, lead.get().View().Role)
	})
}

// The reserve may be changed while the node runs.
func TestReserveIsChanged(t *testing.T) {
	at := make(chan int64, 1)
	at <- 0
	bubble(t, 1, func(c *Config) {
		c.DiskReserve = func() int64 { n := <-at; at <- n; return n }
	}, func(w *world) {
		lead := w.leader()
		set := func() Outcome {
			o, _, _ := lead.do(false, command("set", "a", "1"))
			return o
		}
		require.Equal(t, Done, set())
		<-at
		at <- 1 << 60
		<-time.After(2 * time.Second)
		require.Equal(t, DiskFull, set())
		<-at
		at <- 0
		<-time.After(200 * time.Millisecond)
		require.Equal(t, Done, set())
	})
}

// One batch that is larger than what is left is refused by itself.
func TestBatchLargerThanTheRoom(t *testing.T) {
	bubble(t, 1, reserve(50_000), func(w *world) {
		lead := w.leader()
		lead.log.resize(200_000)
		<-time.After(2 * time.Second) // the disk has been looked at
		o, _, _ := lead.do(false, command("set", "small", "1"))
		require.Equal(t, Done, o)
		o, _, _ = lead.do(false, command("set", "big", strings.Repeat("x", 160_000)))
		require.Equal(t, DiskFull, o)
		o, _, _ = lead.do(false, command("set", "small", "2"))
		require.Equal(t, Done, o)
		require.False(t, lead.get().View().DiskFull)
	})
}

// A follower without room takes no more entries before its journal is hurt; the others go on, and it catches up when
// there is room.
func TestFollowerWithAFullDisk(t *testing.T) {
	bubble(t, 3, reserve(50_000), func(w *world) {
		lead := w.leader()
		poor := w.followers()[0]
		poor.log.resize(200_000)
		for i := range 500 {
			o, _, _ := lead.do(false, command("set", fmt.Sprint("k", i), strings.Repeat("x", 1000)))
			require.Equal(t, Done, o)
		}
		require.Less(t, poor.log.Bytes(), int64(175_000))
		require.Greater(t, poor.log.Bytes(), int64(100_000))
		require.True(t, poor.get().View().DiskFull)
		require.NotZero(t, poor.get().View().Leader)
		poor.log.resize(2_000_000)
		w.settled()
	})
}

// When the log fills the disk, a snapshot is taken while it fits, also if it is not due yet.
func TestSnapshotMakesRoom(t *testing.T) {
	bubble(t, 3, reserve(20_000), func(w *world) {
		lead := w.leader()
		for _, p := range w.nodes {
			p.log.resize(100_000)
		}
		for i := range 1000 {
			o, _, _ := lead.do(false, command("set", "k", strings.Repeat("x", 500)+strconv.Itoa(i)))
			require.Equal(t, Done, o, i)
		}
		st, err := lead.get().Status()
		require.NoError(t, err)
		require.NotZero(t, st.Snapshots)
		w.settled()
	})
}

// A snapshot that does not fit is not begun; one that does not fit after all ends without harm and is tried again.
func TestSnapshotThatDoesNotFit(t *testing.T) {
	bubble(t, 1, func(c *Config) { reserve(50_000)(c); c.SnapshotBytes = 60_000 }, func(w *world) {
		lead := w.leader()
		lead.log.resize(200_000)
		write := func(from, to int) {
			for i := from; i < to; i++ {
				o, _, _ := lead.do(false, command("set", fmt.Sprint("k", i), strings.Repeat("x", 1000)))
				require.Equal(t, Done, o)
			}
		}
		status := func() Status {
			st, err := lead.get().Status()
			require.NoError(t, err)
			return st
		}
		write(0, 40)
		lead.snaps.setFailure(fmt.Errorf("write: %w", syscall.ENOSPC))
		_, err := lead.get().Snapshot()
		require.ErrorIs(t, err, ErrDiskFull)
		require.True(t, status().SnapshotLate)
		lead.snaps.setFailure(nil)
		_, err = lead.get().Snapshot()
		require.ErrorIs(t, err, ErrDiskFull, "not again at once")
		write(40, 80) // with 80 kB in the log, one of 80 kB does not fit
		<-time.After(11 * time.Second)
		require.Zero(t, status().Snapshots)
		require.True(t, status().SnapshotLate)
		_, err = lead.get().Snapshot()
		require.ErrorIs(t, err, ErrDiskFull)
		lead.log.resize(1_000_000)
		<-time.After(2 * time.Second)
		write(80, 82)
		w.until("the snapshot is taken", func() bool { return status().Snapshots == 1 })
		require.False(t, status().SnapshotLate)
		_, err = lead.get().Snapshot()
		require.NoError(t, err)
	})
}

// What is kept of the log for slow followers goes first when the disk gets full, without a new snapshot.
func TestKeptLogGoesWhenTheDiskIsFull(t *testing.T) {
	bubble(t, 1, func(c *Config) { reserve(50_000)(c); c.SnapshotKeep = 10_000 }, func(w *world) {
		lead := w.leader()
		lead.log.resize(400_000)
		write := func(from, to int) (o Outcome) {
			for i := from; i < to && o == Done; i++ {
				o, _, _ = lead.do(false, command("set", fmt.Sprint("k", i), strings.Repeat("x", 1000)))
			}
			return o
		}
		require.Equal(t, Done, write(0, 100))
		_, err := lead.get().Snapshot()
		require.NoError(t, err)
		require.Greater(t, lead.log.Bytes(), int64(100_000), "it is kept")
		require.Equal(t, DiskFull, write(100, 400))
		w.until("there is room", func() bool { return !lead.get().View().DiskFull })
		require.Less(t, lead.log.Bytes(), int64(260_000))
		require.Equal(t, Done, write(400, 450))
		st, err := lead.get().Status()
		require.NoError(t, err)
		require.EqualValues(t, 1, st.Snapshots)
	})
}

// Looking at the disk is a system call: many small writes share one, and large ones get their own in time.
func TestLooksAtTheDisk(t *testing.T) {
	bubble(t, 1, reserve(50_000), func(w *world) {
		lead := w.leader()
		<-time.After(2 * time.Second)
		looks := func(n, size int) int {
			before := lead.log.looks()
			for range n {
				o, _, _ := lead.do(false, command("set", "k", strings.Repeat("x", size)))
				require.Equal(t, Done, o)
			}
			return lead.log.looks() - before
		}
		start := time.Now()
		few := looks(200, 1)
		require.LessOrEqual(t, few, 2+int(time.Since(start)/(10*time.Millisecond)))
		require.Less(t, few, 100)
		require.GreaterOrEqual(t, looks(20, 4000), 19)
	})
}
