package wal

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// paddedLog is an open log of small batches whose only segment has zeros at its end: its directory, its segment, and the
// bytes of records in it.
func paddedLog(t testing.TB) (dir string, l *Log, seg string, size int64) {
	dir = newDir(t)
	l, _ = mustOpen(t, dir, Options{})
	for i := uint64(1); l.pad.end <= l.Bytes(); i++ {
		require.Less(t, i, uint64(1000))
		require.NoError(t, l.Append(batch(1, i-1, ents(i, i, 1, 100))))
	}
	return dir, l, lastSegment(t, dir), l.Bytes()
}

func fileSize(t testing.TB, path string) int64 {
	st, err := os.Stat(path)
	require.NoError(t, err)
	return st.Size()
}

// What the zeros are for: the length of a file changes seldom. And a log that is closed has none.
func TestSegmentsArePadded(t *testing.T) { onBoth(t, testSegmentsArePadded) }

func testSegmentsArePadded(t *testing.T, with func(FS) FS) {
	dir := newDir(t)
	opt := Options{SegmentSize: 1 << 18, FS: with(osFS{})}
	l, _ := mustOpen(t, dir, opt)
	changes, last, batches := 0, int64(0), uint64(0)
	for l.Segments() < 3 {
		batches++
		require.NoError(t, l.Append(batch(1, batches-1, ents(batches, batches, 1, 200))))
		tail := l.segments[len(l.segments)-1]
		path := segmentPath(l.dir, tail.first)
		size := fileSize(t, path)
		if size != last {
			changes++
			require.True(t, allZero(readFile(t, path)[tail.size:]))
		}
		last = size
		require.LessOrEqual(t, size, tail.size+max(0, tail.size/4))
		if batches%64 == 0 {
			require.True(t, allZero(readFile(t, path)[tail.size:]))
		}
	}
	require.Less(t, changes, int(batches)/10, "%d batches", batches)
	for _, seg := range l.segments[:2] {
		require.Equal(t, seg.size, fileSize(t, segmentPath(l.dir, seg.first)), "a full segment has no zeros")
	}
	for i := range uint64(300) {
		require.NoError(t, l.Append(batch(1, batches, ents(batches+i+1, batches+i+1, 1, 200))))
	}
	tail := l.segments[2]
	require.Greater(t, fileSize(t, lastSegment(t, dir)), tail.size)
	require.NoError(t, l.Close())
	require.Equal(t, tail.size, fileSize(t, lastSegment(t, dir)))
}

// Batches that would use the zeros up at once are written once.
func TestLargeBatchesAreNotPadded(t *testing.T) {
	dir := newDir(t)
	l, _ := mustOpen(t, dir, Options{})
	for i := range uint64(20) {
		require.NoError(t, l.Append(batch(1, i, ents(i+1, i+1, 1, 100<<10))))
		require.Equal(t, l.Bytes(), fileSize(t, lastSegment(t, dir)))
	}
}

// A process that is killed leaves the zeros behind: that is no damage and no repair, for the last segment and for one that
// had just become full. Nothing but the records is read.
func TestPaddingOfKilledProcess(t *testing.T) { onBoth(t, testPaddingOfKilledProcess) }

func testPaddingOfKilledProcess(t *testing.T, with func(FS) FS) {
	dir, l, seg, size := paddedLog(t)
	last := l.Last()
	require.Greater(t, fileSize(t, seg), size)
	killed := copyDir(t, dir)
	rep, err := Verify(killed)
	require.NoError(t, err)
	require.Empty(t, rep.Pending)
	require.Equal(t, size, rep.Bytes)
	again, rec := mustOpen(t, killed, Options{FS: with(osFS{})})
	require.Empty(t, rec.Notes)
	require.Equal(t, ents(1, last, 1, 100), rec.Entries)
	require.Equal(t, size, fileSize(t, lastSegment(t, killed)))
	require.NoError(t, again.Append(batch(1, last, ents(last+1, last+1, 1, 100))))
	require.NoError(t, again.Close())

	// Killed in front of trim.
	require.NoError(t, l.Append(batch(1, last, ents(last+1, last+1, 1, defaultSegmentSize))))
	require.NoError(t, l.Append(batch(1, last, ents(last+2, last+2, 1, 100))))
	require.NoError(t, l.Close())
	whole := fileSize(t, seg)
	writeFile(t, seg, append(readFile(t, seg), make([]byte, 5000)...))
	again, rec = mustOpen(t, dir, Options{FS: with(osFS{})})
	require.Empty(t, rec.Notes)
	require.Equal(t, last+2, again.Last())
	require.Equal(t, whole, fileSize(t, seg))
}

// Zeros do not hide what is damaged: neither in front of them, nor a record that is missing between two segments.
func TestPaddingHidesNoDamage(t *testing.T) {
	dir, _, seg, size := paddedLog(t)
	killed := copyDir(t, dir)
	seg = filepath.Join(killed, logName, filepath.Base(seg))
	data := readFile(t, seg)
	writeFile(t, seg, flip(data, int(size)/2))
	_, _, err := Open(killed, testID, Options{})
	var ce *CorruptError
	require.ErrorAs(t, err, &ce)

	// A page of zeros in the middle of the records.
	hole := bytes.Clone(data)
	clear(hole[size/2 : size/2+4096])
	writeFile(t, seg, hole)
	_, _, err = Open(killed, testID, Options{})
	require.ErrorAs(t, err, &ce)

	s := newSample(t)
	sealed := segmentPath(filepath.Join(s.dir, logName), 1)
	bytesOf := readFile(t, sealed)
	off := 0
	for next := 0; next < len(bytesOf); {
		off = next
		_, n, reason := frame(bytesOf[off:])
		require.Empty(t, reason)
		next += n
	}
	clear(bytesOf[off:])
	writeFile(t, sealed, bytesOf)
	_, _, err = Open(s.dir, testID, Options{})
	require.ErrorAs(t, err, &ce)
	require.ErrorContains(t, err, "is missing")
}

// A batch over zeros that reaches the disk in part: pages of it may be zeros still, whichever they are.
func TestTornBatchOverPadding(t *testing.T) {
	dir, l, seg, size := paddedLog(t)
	last := l.Last()
	require.NoError(t, l.Append(batch(2, last, ents(last+1, last+6, 2, 120))))
	killed := copyDir(t, dir)
	seg = filepath.Join(killed, logName, filepath.Base(seg))
	data := readFile(t, seg)
	end := l.Bytes()
	require.Less(t, end, int64(len(data)), "the batch lies in the padding")
	const page = 64 // smaller than a real one: more cases
	pages := int((end - size + page - 1) / page)
	for lost := range pages {
		for n := 1; lost+n <= pages; n++ {
			torn := bytes.Clone(data)
			clear(torn[size+int64(lost*page) : min(size+int64((lost+n)*page), end)])
			writeFile(t, seg, torn)
			again, rec, err := Open(killed, testID, Options{})
			require.NoError(t, err)
			require.Equal(t, ents(1, last, 1, 100), rec.Entries[:last])
			require.Less(t, len(rec.Entries), int(last)+6)
			require.Equal(t, ents(last+1, last+6, 2, 120)[:len(rec.Entries)-int(last)], rec.Entries[last:])
			require.NoError(t, again.Close())
		}
	}
}

// full is a file system without room for zeros.
type full struct {
	FS
	err error
}

type fullFile struct {
	File
	err error
}

func (f full) OpenWrite(path string) (File, error) {
	file, err := f.FS.OpenWrite(path)
	return fullFile{file, f.err}, err
}

func (f fullFile) WriteAt(b []byte, off int64) (int, error) {
	if !allZero(b) {
		return f.File.WriteAt(b, off)
	}
	n, err := f.File.WriteAt(b[:len(b)/2], off)
	if err == nil {
		err = &os.PathError{Op: "write", Path: f.Name(), Err: f.err}
	}
	return n, err
}

// A disk that is full for zeros may have room for records; any other error is final.
func TestPaddingWithoutRoom(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ENOSPC, unix.EDQUOT} {
		dir := newDir(t)
		l, _ := mustOpen(t, dir, Options{SegmentSize: 100 << 10, FS: full{osFS{}, errno}})
		for i := range uint64(1500) {
			require.NoError(t, l.Append(batch(1, i, ents(i+1, i+1, 1, 100))))
		}
		require.Greater(t, l.Segments(), 1)
		require.NoError(t, l.Close())
		_, rec := mustOpen(t, dir, Options{})
		require.Equal(t, ents(1, 1500, 1, 100), rec.Entries)
	}
	dir := newDir(t)
	l, _ := mustOpen(t, dir, Options{FS: full{osFS{}, unix.EIO}})
	var err error
	for i := uint64(0); err == nil; i++ {
		require.Less(t, i, uint64(1000))
		err = l.Append(batch(1, i, ents(i+1, i+1, 1, 100)))
	}
	poisoned(t, l, unix.EIO)
}
