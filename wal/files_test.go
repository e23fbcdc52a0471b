package wal

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// contents are the files of a journal by name.
func contents(t require.TestingT, dir string) map[string]string {
	all := make(map[string]string)
	names, err := os.ReadDir(filepath.Join(dir, logName))
	require.NoError(t, err)
	for _, de := range names {
		b, err := os.ReadFile(filepath.Join(dir, logName, de.Name()))
		require.NoError(t, err)
		all[de.Name()] = string(b)
	}
	return all
}

// twins are two logs that are told the same, one written by tidwall/wal and one through an FS. They change roles with
// every start, so each also opens what the other wrote.
type twins struct {
	machine
	dir2 string
	opt2 Options
	l2   *Log
}

func (x *twins) open(t require.TestingT) {
	var rec, rec2 Recovered
	var err error
	x.l, rec, err = Open(x.dir, testID, x.opt)
	require.NoError(t, err)
	x.l2, rec2, err = Open(x.dir2, testID, x.opt2)
	require.NoError(t, err)
	require.NoError(t, x.m.matches(&rec))
	require.Equal(t, rec, rec2)
	_, native := x.l.w.(*disk)
	_, through := x.l2.w.(*files)
	require.Equal(t, native, through)
	require.Equal(t, isNative(orOS(x.opt.FS)), native)
}

func (x *twins) reopen(t *rapid.T) {
	require.NoError(t, x.l.Close())
	require.NoError(t, x.l2.Close())
	x.opt, x.opt2 = x.opt2, x.opt
	x.open(t)
}

func (x *twins) append(t *rapid.T) {
	b := x.batch(t)
	require.NoError(t, x.l.Append(b))
	require.NoError(t, x.l2.Append(b))
	x.m.apply(b, b.records())
}

func (x *twins) check(t *rapid.T) {
	require.Equal(t, contents(t, x.dir), contents(t, x.dir2))
	require.Equal(t, x.l.Segments(), x.l2.Segments())
	require.Equal(t, x.l.Bytes(), x.l2.Bytes())
	x.machine.check(t)
}

func TestBackendsWriteTheSame(t *testing.T) {
	root, run := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		x := &twins{machine: machine{m: model{first: 1}}}
		x.dir, x.dir2 = filepath.Join(root, fmt.Sprint(run, "a")), filepath.Join(root, fmt.Sprint(run, "b"))
		x.opt.SegmentSize = rapid.SampledFrom([]int{150, 700, 5000}).Draw(t, "segment")
		x.opt2 = x.opt
		x.opt2.FS = plainFS{osFS{}}
		require.NoError(t, Create(x.dir, testID))
		require.NoError(t, CreateOn(x.opt2.FS, x.dir2, testID))
		x.open(t)
		defer func() {
			_, _ = x.l.Close(), x.l2.Close()
			_, _ = os.RemoveAll(x.dir), os.RemoveAll(x.dir2)
		}()
		t.Repeat(map[string]func(*rapid.T){
			"":        x.check,
			"append":  x.append,
			"append2": x.append,
			"compact": func(t *rapid.T) { x.compactBoth(t, x.l2) },
			"reopen":  x.reopen,
		})
	})
}

// TruncateFront inside of a segment, at its first record and behind the last record: Compact needs the second only, but
// the files of one backend are those of the other in any case.
func TestBackendsTruncateTheSame(t *testing.T) {
	for at := uint64(1); at <= 32; at++ {
		var all [2]map[string]string
		for i, fs := range []FS{osFS{}, plainFS{osFS{}}} {
			dir := newDir(t)
			l, _ := mustOpen(t, dir, Options{SegmentSize: 400, FS: fs})
			require.NoError(t, l.Append(&Batch{Hard: hard(1, 0), HasHard: true, Entries: ents(1, 29, 1, 50)}))
			require.Equal(t, uint64(32), l.next)
			require.NoError(t, l.w.TruncateFront(at))
			l.w.Add(32, []byte("a record behind the cut"))
			require.NoError(t, l.w.Flush())
			require.NoError(t, l.w.Sync(segmentPath(l.dir, max(at, l.segments[len(l.segments)-1].first))))
			require.Error(t, l.w.TruncateFront(34))
			if at > 1 {
				require.Error(t, l.w.TruncateFront(at-1))
			}
			all[i] = contents(t, dir)
		}
		require.Equal(t, all[0], all[1], "record %d", at)
	}
}

// Records larger than a segment and than what is handed over at once.
func TestBackendsWriteTheSameLargeRecords(t *testing.T) {
	var all [2]map[string]string
	for i, fs := range []FS{osFS{}, plainFS{osFS{}}} {
		dir := newDir(t)
		l, _ := mustOpen(t, dir, Options{SegmentSize: 1 << 20, FS: fs})
		next := uint64(1)
		for _, size := range []int{10, 3 << 20, 10, 700_000, 700_000, 100, 1 << 20, 0} {
			require.NoError(t, l.Append(batch(1, 0, ents(next, next+2, 1, size))))
			next += 3
		}
		all[i] = contents(t, dir)
		require.NoError(t, l.Close())
	}
	require.Greater(t, len(all[0]), 5)
	require.Equal(t, all[0], all[1])
}

// What the last segment holds must be what the scan has seen.
func TestFilesOpenWhatWasVerified(t *testing.T) {
	dir := newDir(t)
	logDir := filepath.Join(dir, logName)
	for _, fs := range []FS{osFS{}, plainFS{osFS{}}} {
		_, err := openBackend(fs, logDir, defaultSegmentSize, 5)
		require.ErrorContains(t, err, "record 1 is found last")
		seg := lastSegment(t, dir)
		data := readFile(t, seg)
		writeFile(t, seg, data[:len(data)-1])
		_, err = openBackend(fs, logDir, defaultSegmentSize, 2)
		require.Error(t, err)
		writeFile(t, seg, data)
	}
}
