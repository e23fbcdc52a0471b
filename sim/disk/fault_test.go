package disk

import (
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/raft"
	"kvapp/wal"
)

// What one process saw, the next one must still see: the log and the registry, each opened alone after a crash in the
// middle, make the names durable that they rely on.
func TestWhatWasSeenStays(t *testing.T) {
	for k := 1; ; k++ {
		d := New(1)
		d.CrashAfter(k)
		err := wal.CreateOn(d, dir, testID)
		if err == nil {
			require.Greater(t, k, 10)
			break
		}
		require.ErrorIs(t, err, ErrCrashed)
		d.Kill()
		if ok, err := wal.ExistsOn(d, dir); err != nil || !ok {
			require.NoError(t, err)
			continue
		}
		_, _, err = wal.Open(dir, testID, wal.Options{FS: d})
		require.NoError(t, err)
		d.Crash(Loss{})
		_, _, err = wal.Open(dir, testID, wal.Options{FS: d})
		require.NoError(t, err, "operation %d", k)
	}
	var we *wal.WipedError
	for k := 1; ; k++ {
		d := New(1)
		require.NoError(t, wal.CreateOn(d, dir, testID))
		r, err := wal.OpenRegistryOn(d, dir)
		require.NoError(t, err)
		d.CrashAfter(k)
		if err := r.Admit("n2", 2); err == nil {
			require.Equal(t, 6, k)
			return
		}
		d.Kill()
		_, err = wal.OpenRegistryOn(d, dir)
		require.NoError(t, err)
		before := d.Clone()
		beforeReg, err := wal.OpenRegistryOn(before, dir)
		require.NoError(t, err)
		known := errors.As(beforeReg.Admit("n2", 3), &we)
		d.Crash(Loss{})
		r, err = wal.OpenRegistryOn(d, dir)
		require.NoError(t, err)
		require.Equal(t, known, errors.As(r.Admit("n2", 3), &we), "operation %d", k)
	}
}

// filled is a closed log of several segments, with what it holds; the second state is without the last batch.
func filled(t *testing.T, seed uint64) (n *node, before state) {
	n = newNode(seed)
	n.size = 600
	require.NoError(t, n.run(0))
	for range 12 {
		before, n.maybe = n.acked, nil
		b := n.batch()
		b.HasHard, b.Hard.Term = true, b.Hard.Term+1
		require.NoError(t, n.append(b))
	}
	require.Greater(t, n.l.Segments(), 2)
	require.NoError(t, n.l.Close())
	return n, before
}

// A bit that rots in the journal is found when the node starts, and named; in the last batch it may look like a torn
// write and cost that batch.
func TestRotInTheJournal(t *testing.T) {
	refused, cut := 0, 0
	for seed := range uint64(300) {
		n, before := filled(t, seed)
		path, off, ok := n.d.Rot(dir + "/log/")
		require.True(t, ok)
		rec, err := n.open()
		var ce *wal.CorruptError
		if errors.As(err, &ce) {
			require.Equal(t, path, ce.File)
			require.LessOrEqual(t, ce.Offset, off)
			refused++
			continue
		}
		require.NoError(t, err, "seed %d, %s at %d", seed, path, off)
		require.NotEmpty(t, rec.Notes)
		n.acked = before
		require.NoError(t, n.adopt(&rec), "seed %d, %s at %d", seed, path, off)
		cut++
	}
	require.Greater(t, refused, 200)
	require.Greater(t, cut, 5)
}

// Rot in a snapshot is found before a byte of it is used; rot in the list of peers when it is read.
func TestRotBesideTheJournal(t *testing.T) {
	var ce *wal.CorruptError
	for seed := range uint64(100) {
		d := New(seed)
		require.NoError(t, wal.CreateOn(d, dir, testID))
		s, err := wal.OpenSnapshotsOn(d, dir)
		require.NoError(t, err)
		w, err := s.Create(raft.SnapshotMeta{Index: 5, Term: 2})
		require.NoError(t, err)
		_, err = io.WriteString(w, strings.Repeat("state", 30))
		require.NoError(t, err)
		sn, err := w.Commit()
		require.NoError(t, err)
		r, err := wal.OpenRegistryOn(d, dir)
		require.NoError(t, err)
		require.NoError(t, r.Admit("n2", 2))
		path, _, ok := d.Rot(dir + "/snapshots/")
		require.True(t, ok)
		f, err := s.Open(sn)
		if err == nil {
			_, err = io.Copy(io.Discard, f)
		}
		require.ErrorAs(t, err, &ce)
		require.Equal(t, path, ce.File)
		path, _, ok = d.Rot(dir + "/peers")
		require.True(t, ok)
		_, err = wal.OpenRegistryOn(d, dir)
		require.ErrorAs(t, err, &ce)
		require.Equal(t, path, ce.File)
		_, _, ok = d.Rot("/elsewhere")
		require.False(t, ok)
	}
}

// An error of the disk ends the log; nothing acknowledged is lost by it, and what the next process finds in the page
// cache it makes durable, although a failed fsync has marked it clean.
func TestFailures(t *testing.T) {
	for _, op := range []Op{OpWrite, OpSync, OpCreate, OpSyncDir, OpRename, OpRemove} {
		failed := 0
		for seed := range uint64(60) {
			n := newNode(seed)
			require.NoError(t, n.run(3))
			n.d.FailNext(op, syscall.EIO)
			err := error(nil)
			for i := 0; i < 10 && err == nil; i++ {
				n.maybe, n.admits, n.sent = nil, nil, nil
				err = n.step()
			}
			if err == nil {
				continue // no such operation in these steps
			}
			failed++
			require.ErrorIs(t, err, syscall.EIO)
			n.d.Kill()
			rec, err := n.open()
			require.NoError(t, err, "seed %d, %s", seed, op)
			require.NoError(t, n.adopt(&rec), "seed %d, %s", seed, op)
			require.NoError(t, n.checkBeside())
			n.d.Crash(Loss{})
			require.NoError(t, n.recovers(), "seed %d, %s", seed, op)
		}
		require.Greater(t, failed, 10, "%s", op)
	}
}

// The disk fills up at every byte of an append; when there is room again, the next process goes on.
func TestFullDisk(t *testing.T) {
	for room := int64(0); ; room += 3 {
		n := newNode(7)
		require.NoError(t, n.run(4))
		n.d.SetSpace(room)
		free, err := n.l.Free()
		require.NoError(t, err)
		require.Equal(t, room, free)
		b := n.batch()
		b.Entries = n.entries(n.acked.last()+1, 3, b.Hard.Term)
		err = n.append(b)
		if err == nil {
			require.Greater(t, room, int64(200))
			return
		}
		require.ErrorIs(t, err, syscall.ENOSPC)
		require.Equal(t, n.acked.last(), n.l.Last())
		n.d.Kill()
		n.d.SetSpace(-1)
		require.NoError(t, n.recovers(), "room %d", room)
	}
}
