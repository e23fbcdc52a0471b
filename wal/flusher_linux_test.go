package wal

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestFlusher(t *testing.T) {
	f, err := newFlusher()
	require.NoError(t, err)
	defer func() { require.NoError(t, f.close()) }()

	dir := t.TempDir()
	for _, name := range []string{"1", "2", "1"} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, make([]byte, 1<<20), 0o600))
		for range 3 {
			require.NoError(t, f.sync(path))
		}
	}
	require.ErrorIs(t, f.sync(filepath.Join(dir, "3")), os.ErrNotExist)
	// What the kernel says of a file that cannot be flushed comes back, and the flusher goes on.
	require.ErrorIs(t, f.sync("/dev/null"), unix.EINVAL)
	require.NoError(t, f.sync(filepath.Join(dir, "2")))
	require.Zero(t, testing.AllocsPerRun(10, func() { require.NoError(t, f.sync(f.path)) }))
}

// Where asynchronous I/O is not to be had, fsync does the same.
func TestLogWithoutFlusher(t *testing.T) {
	dir := newDir(t)
	opt := Options{wrap: func(b backend) backend {
		d := b.(*disk)
		require.NoError(t, d.flush.close())
		d.flush = nil
		return d
	}}
	l, _ := mustOpen(t, dir, opt)
	require.NoError(t, l.Append(batch(1, 0, ents(1, 3, 1, 100))))
	require.NoError(t, l.Close())
	l, rec := mustOpen(t, dir, opt)
	require.Len(t, rec.Entries, 3)
	require.NoError(t, l.Close())
}

// tidwall/wal replaces a truncated segment by a new file of the same name: a flush of the old one would make nothing
// durable.
func TestFlusherFollowsTruncation(t *testing.T) {
	var d *disk
	l, _ := mustOpen(t, newDir(t), Options{SegmentSize: 500, wrap: func(b backend) backend {
		d = b.(*disk)
		return d
	}})
	inode := func(stat func(*unix.Stat_t) error) uint64 {
		var st unix.Stat_t
		require.NoError(t, stat(&st))
		return st.Ino
	}
	require.NoError(t, l.Append(batch(1, 0, ents(1, 8, 1, 100))))
	before := d.flush.path
	require.Greater(t, len(l.segments), 1)
	old := inode(func(st *unix.Stat_t) error { return unix.Stat(before, st) })
	require.NoError(t, d.TruncateFront(l.segments[len(l.segments)-1].first))
	require.NoError(t, l.Append(batch(1, 0, ents(9, 1, 1, 10))))
	require.Equal(t, before, d.flush.path)
	now := inode(func(st *unix.Stat_t) error { return unix.Stat(before, st) })
	require.NotEqual(t, old, now, "the case is what it says")
	require.Equal(t, now, inode(func(st *unix.Stat_t) error { return unix.Fstat(d.flush.fd, st) }))
	require.NoError(t, l.Close())
}

// The eventfd is never read, so the poller may wake for a request that is done already: that is not the end of the next one.
// Nor is it an error of the disk when one of the signals that the runtime sends to its threads comes then.
func TestFlusherWaitsForItsOwnRequest(t *testing.T) {
	f, err := newFlusher()
	require.NoError(t, err)
	defer func() { require.NoError(t, f.close()) }()
	path := filepath.Join(t.TempDir(), "1")
	require.NoError(t, os.WriteFile(path, make([]byte, 1000), 0o600))
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() { // wakes the poller all the time
		one := []byte{1, 0, 0, 0, 0, 0, 0, 0}
		for {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			if _, err := f.done.Write(one); err != nil {
				stopped <- err
				return
			}
			if err := unix.Kill(unix.Getpid(), unix.SIGURG); err != nil {
				stopped <- err
				return
			}
		}
	}()
	for range 200 {
		require.NoError(t, os.WriteFile(path, make([]byte, 1000), 0o600))
		require.NoError(t, f.sync(path))
		require.False(t, f.broken)
	}
	close(stop)
	require.NoError(t, <-stopped)
}
