package wal

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"kvapp/raft"
)

// faulty stands between the log and tidwall/wal: it fails one call, after doing part of it.
type faulty struct {
	*disk
	dir   string // of the journal
	op    string // "write", "sync", "truncate"
	err   error
	after int // calls of op that still work
	part  int // bytes a failing write leaves in the file
	syncs int
}

func (f *faulty) fails(op string) bool {
	if f.op != op {
		return false
	}
	f.after--
	return f.after == -1 // once: the disk works again afterwards, and nobody must use it
}

func (f *faulty) Flush() error {
	if !f.fails("write") {
		return f.disk.Flush()
	}
	l, err := listLog(osFS{}, f.dir)
	if err != nil {
		return err
	}
	path := segmentPath(f.dir, l.segments[len(l.segments)-1])
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := f.disk.Flush(); err != nil {
		return err
	}
	if err := os.Truncate(path, st.Size()+int64(f.part)); err != nil {
		return err
	}
	return f.err
}

func (f *faulty) Sync(tail string) error {
	f.syncs++
	if f.fails("sync") {
		return f.err
	}
	return f.disk.Sync(tail)
}

func (f *faulty) TruncateFront(i uint64) error {
	if f.fails("truncate") {
		return f.err
	}
	return f.Log.TruncateFront(i)
}

// openFaulty opens dir with one failure to come.
func openFaulty(t testing.TB, dir string, f *faulty, opt Options) *Log {
	f.dir = filepath.Join(dir, logName)
	opt.wrap = func(b backend) backend {
		f.disk = b.(*disk)
		return f
	}
	l, _ := mustOpen(t, dir, opt)
	return l
}

// poisoned checks that every call fails with err for ever.
func poisoned(t testing.TB, l *Log, err error) {
	require.ErrorIs(t, l.Append(batch(9, 0, nil)), err)
	require.ErrorIs(t, l.Append(&Batch{}), err)
	_, cerr := l.Compact(Snapshot{}, 1)
	require.ErrorIs(t, cerr, err)
	_, rerr := l.Read(1, 2, 1)
	require.ErrorIs(t, rerr, err)
	require.ErrorIs(t, l.Close(), err)
}

// Case 10: a full disk: short writes of every length, then space returns. The log stays dead until it is opened again,
// and then holds everything acknowledged.
func TestWriteFails(t *testing.T) {
	for _, errno := range []error{unix.ENOSPC, unix.EFBIG} {
		for _, part := range []int{0, 1, 30, 100, 150} {
			dir := newDir(t)
			l := openFaulty(t, dir, &faulty{op: "write", err: errno, after: 2, part: part}, Options{})
			require.NoError(t, l.Append(batch(1, 0, ents(1, 3, 1, 50))))
			require.NoError(t, l.Append(batch(1, 0, ents(4, 6, 1, 50))))
			require.ErrorIs(t, l.Append(batch(1, 0, ents(7, 9, 1, 50))), errno)
			require.Equal(t, uint64(6), l.Last(), "not durable, not visible")
			poisoned(t, l, errno)
			l, rec := mustOpen(t, dir, Options{})
			require.GreaterOrEqual(t, len(rec.Entries), 6)
			require.Equal(t, ents(1, l.Last(), 1, 50), rec.Entries)
			require.NoError(t, l.Append(batch(1, 0, ents(7, 9, 1, 50))))
		}
	}
}

// Case 10: the next segment cannot be created, by the real file system: something is in the way.
func TestCycleFails(t *testing.T) {
	dir := newDir(t)
	l, _ := mustOpen(t, dir, Options{SegmentSize: 400})
	next := segmentPath(filepath.Join(dir, logName), 7)
	require.NoError(t, os.Mkdir(next, dirPerm))
	require.NoError(t, l.Append(batch(1, 0, ents(1, 3, 1, 50))))
	err := l.Append(batch(1, 0, ents(4, 9, 1, 50)))
	require.Error(t, err)
	poisoned(t, l, err)
	require.NoError(t, os.Remove(next))
	_, rec := mustOpen(t, dir, Options{SegmentSize: 400})
	require.GreaterOrEqual(t, len(rec.Entries), 3)
}

// Case 11: one failing fsync is final, although the next one would succeed.
func TestSyncFails(t *testing.T) {
	dir := newDir(t)
	f := &faulty{op: "sync", err: unix.EIO, after: 1}
	l := openFaulty(t, dir, f, Options{})
	require.NoError(t, l.Append(batch(1, 0, ents(1, 3, 1, 50))))
	require.ErrorIs(t, l.Append(batch(2, 0, ents(4, 6, 2, 50))), unix.EIO)
	require.Equal(t, uint64(3), l.Last())
	poisoned(t, l, unix.EIO)
	require.Equal(t, 2, f.syncs, "never synced again")
}

// Case 12: the directory cannot be synced after a new segment, a compaction and a repair.
func TestDirSyncFails(t *testing.T) { onBoth(t, testDirSyncFails) }

func testDirSyncFails(t *testing.T, with func(FS) FS) {
	var fail string
	fs := with(hookFS{hook: func(op, path string) error {
		if op == fail && strings.HasSuffix(path, logName) {
			return unix.EIO
		}
		return nil
	}})
	opt := Options{SegmentSize: 400, FS: fs}
	dir := newDir(t)
	l, _ := mustOpen(t, dir, opt)
	require.NoError(t, l.Append(batch(1, 3, ents(1, 20, 1, 50))))
	fail = "syncdir"
	require.NoError(t, l.Append(batch(1, 3, nil)), "no new segment, no directory sync")
	require.ErrorIs(t, l.Append(batch(1, 3, ents(21, 30, 1, 50))), unix.EIO)
	require.Equal(t, uint64(20), l.Last())
	poisoned(t, l, unix.EIO)
	_, _, err := Open(dir, testID, opt)
	require.ErrorIs(t, err, unix.EIO)
	fail = ""
	l, _ = mustOpen(t, dir, opt)
	require.NoError(t, l.Append(batch(1, 30, nil)))
	sn := writeSnapshot(t, dir, 20, 1, 10)
	fail = "syncdir"
	_, err = l.Compact(sn, 15)
	require.ErrorIs(t, err, unix.EIO)
	poisoned(t, l, unix.EIO)
}

// A segment that cannot be read any more, or is damaged under a running node, is final too.
func TestReadFails(t *testing.T) { onBoth(t, testReadFails) }

func testReadFails(t *testing.T, with func(FS) FS) {
	dir := newDir(t)
	var fail bool
	fs := with(hookFS{hook: func(op, _ string) error {
		if fail && op == "read" {
			return unix.EIO
		}
		return nil
	}})
	l, _ := mustOpen(t, dir, Options{FS: fs})
	require.NoError(t, l.Append(batch(1, 0, ents(1, 9, 1, 50))))
	fail = true
	_, err := l.Read(3, 5, 100)
	require.ErrorIs(t, err, unix.EIO)
	fail = false
	poisoned(t, l, unix.EIO)

	l, _ = mustOpen(t, dir, Options{})
	data := readFile(t, lastSegment(t, dir))
	for i := range data {
		if string(data[i:i+3]) == "4/1" {
			writeFile(t, lastSegment(t, dir), flip(data, i+10))
			break
		}
	}
	got, err := l.Read(3, 4, 100)
	require.NoError(t, err)
	require.Equal(t, ents(3, 3, 1, 50), got)
	_, err = l.Read(4, 5, 100)
	var ce *CorruptError
	require.ErrorAs(t, err, &ce)
	poisoned(t, l, ce)
}

// Cases 9 and 10 of compaction: every state TruncateFront can leave, as the sequence of its system calls.
func TestTruncateFrontCrashes(t *testing.T) {
	dir := newDir(t)
	opt := Options{SegmentSize: 400}
	l, _ := mustOpen(t, dir, opt)
	require.NoError(t, l.Append(batch(1, 30, ents(1, 30, 1, 50))))
	sn := writeSnapshot(t, dir, 20, 1, 10)
	require.NoError(t, l.Close())
	f := &faulty{op: "truncate", err: unix.ENOSPC}
	l = openFaulty(t, dir, f, opt)
	_, err := l.Compact(sn, 15)
	require.ErrorIs(t, err, unix.ENOSPC)
	poisoned(t, l, unix.ENOSPC)

	logDir := filepath.Join(dir, logName)
	list, err := listLog(osFS{}, logDir)
	require.NoError(t, err)
	const n = 2 // segments[n] becomes the first
	start := segmentPath(logDir, list.segments[n]) + startSuffix
	data := readFile(t, segmentPath(logDir, list.segments[n]))
	check := func(first int) {
		at := copyDir(t, dir)
		_, err := Verify(at)
		require.NoError(t, err)
		l, rec := mustOpen(t, at, opt)
		require.Equal(t, sn, rec.Snapshot)
		require.Equal(t, ents(21, 30, 1, 50), rec.Entries)
		require.LessOrEqual(t, rec.First, uint64(15))
		require.Equal(t, len(list.segments)-first, l.Segments())
		got, err := l.Read(rec.First, 31, 1<<20)
		require.NoError(t, err)
		require.Equal(t, ents(rec.First, 30, 1, 50), got)
		require.NoError(t, l.Append(batch(1, 30, ents(31, 33, 1, 50))))
		require.NoError(t, l.Close())
		l, rec = mustOpen(t, at, opt)
		require.Empty(t, rec.Notes)
		require.NoError(t, l.Close())
	}
	check(0)
	for _, part := range []int{0, 10, len(data)} { // START.TEMP is being written
		writeFile(t, start+tempSuffix, data[:part])
		check(0)
	}
	require.NoError(t, os.Rename(start+tempSuffix, start))
	check(n)
	// A damaged START is refused while it still matters.
	writeFile(t, start, flip(data, 30))
	_, _, err = Open(dir, testID, opt)
	var ce *CorruptError
	require.ErrorAs(t, err, &ce)
	require.Equal(t, start, ce.File)
	writeFile(t, start, data)
	for i := range n + 1 {
		require.NoError(t, os.Remove(segmentPath(logDir, list.segments[i])))
		check(n)
	}
	// Finishing it crashes before each operation.
	clean := copyDir(t, dir)
	errCrash := errors.New("crash")
	for crashAt := 0; crashAt < 20; crashAt++ {
		copyTo(t, clean, dir)
		ops := 0
		crash := opt
		crash.FS = hookFS{hook: func(string, string) error {
			if ops++; ops > crashAt {
				return errCrash
			}
			return nil
		}}
		if l, _, err := Open(dir, testID, crash); err == nil {
			require.NoError(t, l.Close())
		}
		check(n)
	}
}

// Case 15: a crash between the snapshot's rename, the marker and the cut; and a snapshot file missing or damaged.
func TestCompactionCrashes(t *testing.T) {
	dir := newDir(t)
	opt := Options{SegmentSize: 400}
	l, _ := mustOpen(t, dir, opt)
	require.NoError(t, l.Append(batch(1, 30, ents(1, 30, 1, 50))))
	sn := writeSnapshot(t, dir, 20, 1, 1000)
	_, rec := mustOpen(t, copyDir(t, dir), opt)
	require.Zero(t, rec.Snapshot, "renamed, not marked")
	require.Len(t, rec.Entries, 30)

	size := len(readFile(t, lastSegment(t, dir)))
	first, err := l.Compact(sn, 20)
	require.NoError(t, err)
	require.NoError(t, l.Close())
	clean := copyDir(t, dir)
	seg := lastSegment(t, dir)
	data := readFile(t, seg)
	require.Greater(t, len(data), size, "the marker lies in the last segment")
	_, rec = mustOpen(t, copyDir(t, dir), opt)
	require.Equal(t, first, rec.First)
	require.Equal(t, ents(21, 30, 1, 50), rec.Entries)

	// The marker's batch is the only one with an identity: torn after the cut is impossible and refused, not cut.
	writeFile(t, seg, data[:len(data)-1])
	_, _, err = Open(dir, testID, opt)
	require.ErrorContains(t, err, "missing")
	require.ErrorContains(t, err, seg)
	require.Equal(t, data[:len(data)-1], readFile(t, seg), "refusing changes nothing")

	copyTo(t, clean, dir)
	path := filepath.Join(dir, snapshotsName, sn.Name)
	file := readFile(t, path)
	// Open leaves the snapshot to whoever reads it.
	snaps := openSnaps(t, dir)
	opens := func() {
		l, rec := mustOpen(t, dir, opt)
		require.Equal(t, sn, rec.Snapshot)
		require.NoError(t, l.Close())
	}
	writeFile(t, path, file[:len(file)-1])
	opens()
	_, err = snaps.Open(sn)
	require.ErrorContains(t, err, path)
	writeFile(t, path, flip(file, 500))
	_, err = Verify(dir)
	var ce *CorruptError
	require.ErrorAs(t, err, &ce)
	require.Equal(t, path, ce.File)
	require.NoError(t, os.Remove(path))
	opens()
	_, err = Verify(dir)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, sn.Name)
}

// Case 13: a suffix is replaced and the crash comes before the write is whole; case 16: a vote alone is torn.
func TestOverwriteAndVoteCrash(t *testing.T) {
	dir := newDir(t)
	l, _ := mustOpen(t, dir, Options{})
	require.NoError(t, l.Append(batch(1, 2, ents(1, 10, 1, 20))))
	size := len(readFile(t, lastSegment(t, dir)))
	require.NoError(t, l.Append(batch(2, 2, ents(5, 7, 2, 20))))
	size2 := len(readFile(t, lastSegment(t, dir)))
	require.NoError(t, l.Append(&Batch{Hard: hard(3, 2), HasHard: true}))
	require.NoError(t, l.Close())
	clean := copyDir(t, dir)
	data := readFile(t, lastSegment(t, dir))
	for cut := size; cut <= len(data); cut++ {
		copyTo(t, clean, dir)
		writeFile(t, lastSegment(t, dir), data[:cut])
		l, rec, err := Open(dir, testID, Options{})
		require.NoError(t, err)
		n := len(rec.Entries)
		if rec.Entries[n-1].Term == 1 {
			require.Equal(t, ents(1, 10, 1, 20), rec.Entries)
		} else {
			require.Equal(t, append(ents(1, 4, 1, 20), ents(5, uint64(n), 2, 20)...), rec.Entries)
		}
		switch {
		case cut == len(data):
			require.Equal(t, hard(3, 2), rec.Hard)
		case cut >= size2:
			require.Equal(t, hard(2, 2), rec.Hard)
			require.Len(t, rec.Entries, 7)
		}
		require.GreaterOrEqual(t, rec.Hard.Term, rec.Entries[n-1].Term)
		require.NoError(t, l.Close())
	}
}

// Case 14: install markers with a gap, below the last entry, twice; case 17: a commit index above what a repair left.
func TestInstall(t *testing.T) {
	dir := newDir(t)
	l, _ := mustOpen(t, dir, Options{SegmentSize: 1000})
	require.NoError(t, l.Append(batch(1, 10, ents(1, 10, 1, 20))))
	install := func(index uint64) {
		sn := writeSnapshot(t, dir, index, 1, 100)
		require.NoError(t, l.Append(&Batch{Hard: hard(2, index), HasHard: true, Install: &sn, Entries: ents(index+1, index+2, 2, 20)}))
		check := func() {
			require.Equal(t, []uint64{index + 1, index + 2}, []uint64{l.First(), l.Last()})
			_, err := l.Read(index, index+1, 1)
			require.ErrorIs(t, err, ErrCompacted)
			got, err := l.Read(index+1, index+3, 1000)
			require.NoError(t, err)
			require.Equal(t, ents(index+1, index+2, 2, 20), got)
		}
		check()
		require.NoError(t, l.Close())
		var rec Recovered
		l, rec = mustOpen(t, dir, Options{SegmentSize: 1000})
		require.Equal(t, sn, rec.Snapshot)
		require.Equal(t, ents(index+1, index+2, 2, 20), rec.Entries)
		check()
	}
	install(500)
	install(500)
	install(200)
	sn := writeSnapshot(t, dir, 202, 2, 10)
	first, err := l.Compact(sn, 203)
	require.NoError(t, err)
	require.LessOrEqual(t, first, uint64(203))
	require.NoError(t, l.Append(&Batch{Hard: hard(4, 230), HasHard: true, Entries: ents(203, 210, 4, 20)}))
	require.NoError(t, l.Close())
	seg := lastSegment(t, dir)
	writeFile(t, seg, readFile(t, seg)[:len(readFile(t, seg))-30])
	l, rec := mustOpen(t, dir, Options{SegmentSize: 1000})
	require.Equal(t, hard(4, 209), rec.Hard)
	require.Len(t, rec.Notes, 2)
	require.Equal(t, uint64(209), l.Last())
}

// Cases 18 and 19: two owners, wrong owners.
func TestOwnership(t *testing.T) {
	dir := newDir(t)
	l, _ := mustOpen(t, dir, Options{})
	_, _, err := Open(dir, testID, Options{})
	require.ErrorIs(t, err, ErrLocked)
	require.ErrorIs(t, Create(dir, testID), ErrLocked)
	require.NoError(t, l.Close())
	for field, want := range map[string]Identity{
		"cluster": {Cluster: "beef"}, "node": {Node: 8}, "name": {Name: "n2"}, "incarnation": {Incarnation: 1},
	} {
		_, _, err = Open(dir, want, Options{})
		var ie *IdentityError
		require.ErrorAs(t, err, &ie)
		require.Equal(t, field, ie.Field)
	}
	l, _, err = Open(dir, Identity{}, Options{})
	require.NoError(t, err)
	require.NoError(t, l.Close())
	require.Error(t, Create(filepath.Join(t.TempDir(), "x"), Identity{Node: 1}))
	require.Error(t, Create(filepath.Join(t.TempDir(), "x"), Identity{Cluster: "c"}))
}

// Case 21: cold reads beside appends and compactions; the race detector watches.
func TestConcurrentReads(t *testing.T) {
	dir := newDir(t)
	l, _ := mustOpen(t, dir, Options{SegmentSize: 4000})
	require.NoError(t, l.Append(batch(1, 0, ents(1, 10, 1, 100))))
	sn := writeSnapshot(t, dir, 1, 1, 10)
	sn.Name = "" // reused for every index below
	var wg sync.WaitGroup
	done := make(chan struct{})
	errs := make(chan error, 4)
	for r := range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				lo := l.First() + uint64(r)
				got, err := l.Read(lo, lo+50, 2000)
				if errors.Is(err, ErrCompacted) || errors.Is(err, ErrUnavailable) {
					continue
				}
				if err == nil && (len(got) == 0 || !sameEntries(got, ents(lo, lo+uint64(len(got))-1, 1, 100))) {
					err = errors.New("wrong entries")
				}
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	for i := uint64(11); i < 600; i += 10 {
		require.NoError(t, l.Append(batch(1, i, ents(i, i+9, 1, 100))))
		if i%50 == 1 {
			sn.Meta.Index = i
			_, err := l.Compact(sn, i-40)
			require.NoError(t, err)
		}
	}
	close(done)
	wg.Wait()
	close(errs)
	require.NoError(t, <-errs)
}

func sameEntries(a, b []raft.Entry) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Index != b[i].Index || a[i].Term != b[i].Term || string(a[i].Data) != string(b[i].Data) {
			return false
		}
	}
	return true
}

// Case 22: records larger than a segment, than a chunk, and next to small ones.
func TestLargeRecords(t *testing.T) {
	dir := newDir(t)
	opt := Options{SegmentSize: 64 << 10}
	l, _ := mustOpen(t, dir, opt)
	var want []raft.Entry
	add := func(n, size int) {
		es := ents(uint64(len(want))+1, uint64(len(want)+n), 1, size)
		require.NoError(t, l.Append(batch(1, 0, es)))
		want = append(want, es...)
	}
	add(1, 10)
	add(1, 3<<20)
	add(2, 10)
	add(3, 900<<10)
	add(300, 5000)
	add(1, 0)
	got, err := l.Read(1, 1000, 1<<30)
	require.NoError(t, err)
	require.True(t, sameEntries(want, got))
	got, err = l.Read(2, 1000, 1)
	require.NoError(t, err)
	require.True(t, sameEntries(want[1:2], got))
	require.NoError(t, l.Close())
	_, rec := mustOpen(t, dir, Options{SegmentSize: 1000})
	require.True(t, sameEntries(want, rec.Entries))
}

// Case 23: a directory that cannot be written, as an ordinary user sees it.
func TestReadOnlyDirectory(t *testing.T) {
	dir := newDir(t)
	parent := filepath.Dir(dir)
	require.NoError(t, os.Chmod(parent, 0o555))
	for _, path := range []string{dir, filepath.Join(dir, logName), lastSegment(t, dir), filepath.Join(dir, lockName)} {
		require.NoError(t, os.Chmod(path, 0o555))
	}
	t.Cleanup(func() { // so that the test's directory can be removed
		for _, path := range []string{parent, dir, filepath.Join(dir, logName)} {
			_ = os.Chmod(path, 0o755)
		}
	})
	asUser(t, func() {
		_, _, err := Open(dir, testID, Options{})
		require.ErrorIs(t, err, os.ErrPermission)
		_, err = OpenSnapshots(dir)
		require.ErrorIs(t, err, os.ErrPermission)
		require.ErrorIs(t, Create(filepath.Join(parent, "other"), testID), os.ErrPermission)
		r, err := OpenRegistry(dir)
		require.NoError(t, err)
		require.ErrorIs(t, r.Admit("n2", 1), os.ErrPermission)
	})
}

// Case 9: Create crashes before each of its operations, and is called again.
func TestCreateCrashes(t *testing.T) { onBoth(t, testCreateCrashes) }

func testCreateCrashes(t *testing.T, with func(FS) FS) {
	errCrash := errors.New("crash")
	for crashAt := 0; ; crashAt++ {
		dir := filepath.Join(t.TempDir(), "a", "b")
		ops := 0
		fs := with(hookFS{hook: func(string, string) error {
			if ops++; ops > crashAt {
				return errCrash
			}
			return nil
		}})
		err := CreateOn(fs, dir, testID)
		if err == nil {
			require.Greater(t, crashAt, 8)
			return
		}
		require.ErrorIs(t, err, errCrash)
		ok, err := Exists(dir)
		require.NoError(t, err)
		if !ok {
			require.NoError(t, Create(dir, testID))
		}
		l, rec, err := Open(dir, testID, Options{})
		require.NoError(t, err)
		require.Equal(t, testID, rec.Identity)
		require.NoError(t, l.Close())
	}
}

var _ io.Writer = (*SnapshotWriter)(nil)
