package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/raft"
)

// sample is a closed log of several segments. Its last batch is hard state and entries 41 to 44, all of them in the
// last segment behind other batches.
type sample struct {
	dir    string
	seg    string // path of the last segment
	frames []int  // offsets in it where records begin, and its length
	batch  int    // frames[batch] begins the last batch
	before []raft.Entry
	all    []raft.Entry
}

func newSample(t testing.TB) sample {
	dir := newDir(t)
	l, _ := mustOpen(t, dir, Options{SegmentSize: 2000})
	for i := uint64(1); i <= 40; i++ {
		require.NoError(t, l.Append(batch(2, i-1, ents(i, i, 2, 40))))
	}
	require.NoError(t, l.Append(batch(3, 40, ents(41, 44, 3, 30))))
	require.Greater(t, l.Segments(), 2)
	require.NoError(t, l.Close())
	s := sample{dir: dir, seg: lastSegment(t, dir), before: ents(1, 40, 2, 40)}
	s.all = append(append([]raft.Entry(nil), s.before...), ents(41, 44, 3, 30)...)
	data := readFile(t, s.seg)
	for off := 0; off < len(data); {
		s.frames = append(s.frames, off)
		_, n, reason := frame(data[off:])
		require.Empty(t, reason)
		off += n
	}
	s.batch = len(s.frames) - 5
	s.frames = append(s.frames, len(data))
	require.Greater(t, s.batch, 2)
	return s
}

// opens checks that the damaged directory opens with exactly n of the last batch's records and works.
func (s *sample) opens(t testing.TB, n int, noted bool) {
	l, rec, err := Open(s.dir, testID, Options{SegmentSize: 2000})
	require.NoError(t, err)
	require.Equal(t, s.all[:40+max(0, n-1)], rec.Entries)
	term := uint64(2)
	if n > 0 {
		term = 3
	}
	require.Equal(t, term, rec.Hard.Term)
	require.LessOrEqual(t, rec.Hard.Commit, l.Last())
	require.Equal(t, noted, len(rec.Notes) > 0, "%v", rec.Notes)
	next := ents(l.Last()+1, l.Last()+1, 9, 5)
	require.NoError(t, l.Append(batch(9, 0, next)))
	require.NoError(t, l.Close())
	l, rec, err = Open(s.dir, testID, Options{SegmentSize: 2000})
	require.NoError(t, err)
	require.Empty(t, rec.Notes)
	require.Equal(t, next[0], rec.Entries[len(rec.Entries)-1])
	require.NoError(t, l.Close())
}

// refuses checks that the directory is refused with file, byte and record, and that nothing was changed by trying.
func (s *sample) refuses(t testing.TB, file string, at int64) {
	_, _, err := Open(s.dir, testID, Options{})
	var ce *CorruptError
	var fe *FormatError
	if errors.As(err, &fe) {
		ce = (*CorruptError)(fe)
	} else {
		require.ErrorAs(t, err, &ce)
	}
	require.Equal(t, file, ce.File)
	require.Equal(t, at, ce.Offset)
	require.NotZero(t, ce.Record)
	require.ErrorContains(t, err, fmt.Sprintf("%s at byte %d, record %d", file, at, ce.Record))
	_, verr := Verify(s.dir)
	require.EqualError(t, verr, err.Error())
}

// restore puts the directory back; variants change files in place.
func (s *sample) restore(t testing.TB, clean string) { copyTo(t, clean, s.dir) }

// Case 1, acceptance: the log cut at any byte of its last batch opens.
func TestCutAtEveryByteOfLastBatch(t *testing.T) {
	s := newSample(t)
	clean := copyDir(t, s.dir)
	data := readFile(t, s.seg)
	for cut := s.frames[s.batch]; cut <= len(data); cut++ {
		s.restore(t, clean)
		writeFile(t, s.seg, data[:cut])
		n, whole := 0, false
		for i, f := range s.frames[s.batch:] {
			if f <= cut {
				n, whole = i, f == cut
			}
		}
		s.opens(t, n, !whole)
	}
}

// Case 2: a flip in the last batch is cut like a torn write; it never becomes wrong data.
func TestFlipInLastBatch(t *testing.T) {
	s := newSample(t)
	clean := copyDir(t, s.dir)
	data := readFile(t, s.seg)
	for i := s.batch; i < len(s.frames)-1; i++ {
		for at := s.frames[i]; at < s.frames[i+1]; at += 3 {
			s.restore(t, clean)
			writeFile(t, s.seg, flip(data, at))
			s.opens(t, i-s.batch, true)
			torn := bytes.TrimRight(flip(data, at)[s.frames[i]:], "\x00")
			require.Equal(t, torn, readFile(t, s.seg+tornSuffix), "the cut bytes are kept")
		}
	}
}

// Case 2, acceptance: a flipped byte earlier refuses, naming file, byte and record: in an earlier batch of the last
// segment and in a sealed segment.
func TestFlipEarlierRefuses(t *testing.T) {
	s := newSample(t)
	data := readFile(t, s.seg)
	for i := 0; i < s.batch; i++ {
		for at := s.frames[i]; at < s.frames[i+1]; at++ {
			writeFile(t, s.seg, flip(data, at))
			s.refuses(t, s.seg, int64(s.frames[i]))
		}
	}
	writeFile(t, s.seg, data)
	sealed := segmentPath(filepath.Join(s.dir, logName), 1)
	data = readFile(t, sealed)
	for off := 0; off < len(data); {
		_, n, _ := frame(data[off:])
		for at := off; at < off+n; at += 7 {
			writeFile(t, sealed, flip(data, at))
			s.refuses(t, sealed, int64(off))
		}
		off += n
	}
	require.Equal(t, 0, len(mustGlob(t, s.dir, "*"+tornSuffix)), "refusing changes nothing")
}

func mustGlob(t testing.TB, dir, pattern string) []string {
	names, err := filepath.Glob(filepath.Join(dir, logName, pattern))
	require.NoError(t, err)
	return names
}

// Case 3: what file systems leave of an unsynced tail.
func TestTailGarbage(t *testing.T) {
	s := newSample(t)
	clean := copyDir(t, s.dir)
	data := readFile(t, s.seg)
	for _, n := range []int{1, 2, 50, 4096, 100 << 10} {
		s.restore(t, clean)
		writeFile(t, s.seg, append(bytes.Clone(data), make([]byte, n)...))
		s.opens(t, 5, false) // as if they were padding
	}
	for v := 1; v < 256; v += 5 {
		s.restore(t, clean)
		writeFile(t, s.seg, append(bytes.Clone(data), bytes.Repeat([]byte{byte(v)}, 50)...))
		s.opens(t, 5, true)
	}
	// A hole: a later page of the batch reached the disk, an earlier one did not.
	for i := s.batch; i < len(s.frames)-2; i++ {
		s.restore(t, clean)
		hole := bytes.Clone(data)
		clear(hole[s.frames[i]:s.frames[i+1]])
		writeFile(t, s.seg, hole)
		s.opens(t, i-s.batch, true)
	}
	// The same hole in front of a later batch is damage.
	s.restore(t, clean)
	hole := bytes.Clone(data)
	clear(hole[s.frames[s.batch-2]:s.frames[s.batch]])
	writeFile(t, s.seg, hole)
	s.refuses(t, s.seg, int64(s.frames[s.batch-2]))
}

// Case 4: a damaged length that swallows the records behind it.
func TestLengthSwallowsRecords(t *testing.T) {
	s := newSample(t)
	clean := copyDir(t, s.dir)
	data := readFile(t, s.seg)
	for _, i := range []int{0, s.batch - 1, s.batch, s.batch + 2} {
		rec, n, _ := frame(data[s.frames[i]:])
		for _, longer := range []int{2, s.frames[i+2] - s.frames[i] - n, len(data) - s.frames[i] - n} {
			s.restore(t, clean)
			bad := append([]byte(nil), data[:s.frames[i]]...)
			bad = binary.AppendUvarint(bad, uint64(len(rec)+longer))
			bad = append(bad, data[s.frames[i]+uvarintLen(len(rec)):]...)
			writeFile(t, s.seg, bad)
			if i < s.batch {
				s.refuses(t, s.seg, int64(s.frames[i]))
			} else {
				s.opens(t, i-s.batch, true)
			}
		}
	}
}

// Cases 5 and 6: whole segments missing, empty, cut, duplicated, swapped.
func TestSegmentDamage(t *testing.T) {
	s := newSample(t)
	clean := copyDir(t, s.dir)
	logDir := filepath.Join(s.dir, logName)
	list, err := listLog(osFS{}, logDir)
	require.NoError(t, err)
	seg := func(i int) string { return segmentPath(logDir, list.segments[i]) }
	last := len(list.segments) - 1
	mid := readFile(t, seg(1))
	_, n, _ := frame(mid)

	damage := func(file string, at int64, f func()) {
		s.restore(t, clean)
		f()
		s.refuses(t, file, at)
	}
	damage(seg(2), 0, func() { require.NoError(t, os.Remove(seg(1))) })
	damage(seg(2), 0, func() { writeFile(t, seg(1), nil) })
	damage(seg(2), 0, func() { writeFile(t, seg(1), mid[:n]) })
	damage(seg(1), int64(n), func() { writeFile(t, seg(1), mid[:n+5]) })
	damage(seg(1), int64(len(mid)), func() { writeFile(t, seg(1), append(bytes.Clone(mid), mid[:n]...)) })
	damage(seg(1), 0, func() { writeFile(t, seg(1), readFile(t, seg(0))) })
	damage(seg(last), 0, func() { writeFile(t, seg(last), mid) })
	damage(seg(1), 0, func() {
		other := readFile(t, seg(last))
		writeFile(t, seg(last), mid)
		writeFile(t, seg(1), other)
	})
	s.restore(t, clean)
	require.NoError(t, os.Remove(seg(0)))
	_, _, err = Open(s.dir, testID, Options{})
	require.ErrorContains(t, err, "beginning")
	for _, name := range []string{"00000000000000000009.END", "x", "00000000000000000001.bak", "00000000000000000000"} {
		s.restore(t, clean)
		writeFile(t, filepath.Join(logDir, name), nil)
		_, _, err = Open(s.dir, testID, Options{})
		require.ErrorContains(t, err, "unknown file")
	}

	// A lost entry of the newest segment cannot be told from one that was never written; what is left is a prefix.
	s.restore(t, clean)
	require.NoError(t, os.Remove(seg(last)))
	_, rec := mustOpen(t, s.dir, Options{})
	require.Equal(t, s.before[:len(rec.Entries)], rec.Entries)
	require.LessOrEqual(t, rec.Hard.Commit, uint64(len(rec.Entries)))
}

// Cases 7 and 8: a batch across segments, cut everywhere in both, and an empty segment behind a full one.
func TestTornBatchAcrossSegments(t *testing.T) {
	dir := newDir(t)
	opt := Options{SegmentSize: 300}
	l, _ := mustOpen(t, dir, opt)
	require.NoError(t, l.Append(batch(1, 0, ents(1, 2, 1, 10))))
	require.NoError(t, l.Append(batch(2, 1, ents(3, 10, 2, 60))))
	require.NoError(t, l.Close())
	clean := copyDir(t, dir)
	all := append(ents(1, 2, 1, 10), ents(3, 10, 2, 60)...)
	list, err := listLog(osFS{}, filepath.Join(dir, logName))
	require.NoError(t, err)
	require.Greater(t, len(list.segments), 2)
	// tidwall/wal writes a segment, syncs it, creates the next: the disk holds a prefix of the segments and of the last.
	for n := len(list.segments); n > 1; n-- {
		size := len(readFile(t, segmentPath(filepath.Join(clean, logName), list.segments[n-1])))
		for cut := 0; cut <= size; cut += 5 {
			copyTo(t, clean, dir)
			for _, first := range list.segments[n:] {
				require.NoError(t, os.Remove(segmentPath(filepath.Join(dir, logName), first)))
			}
			seg := segmentPath(filepath.Join(dir, logName), list.segments[n-1])
			writeFile(t, seg, readFile(t, seg)[:cut])
			l, rec, err := Open(dir, testID, opt)
			require.NoError(t, err)
			require.GreaterOrEqual(t, len(rec.Entries), 2, "what was acknowledged is there")
			require.Equal(t, all[:len(rec.Entries)], rec.Entries)
			next := l.Last() + 1
			require.NoError(t, l.Append(batch(3, 0, ents(next, next+4, 3, 60))))
			require.NoError(t, l.Close())
			_, err = Verify(dir)
			require.NoError(t, err)
		}
	}
}

// Case 20: intact records of another format refuse, also at the very end where damage would be cut. Where that is what is
// wrong, nobody is told of damage.
func TestUnknownFormatRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		record func(seq uint64) []byte
		want   string
	}{
		"type": {func(seq uint64) []byte { return append(beginRecord(nil, seq, 0, 77), make([]byte, 20)...) }, "unknown record type 77"},
		"version": {func(seq uint64) []byte {
			return changed(appendIdentity(beginRecord(nil, seq, 0, recIdentity), &testID), headerLen, 2)
		}, "format version 2"},
		"group": {func(seq uint64) []byte {
			return changed(appendHardState(beginRecord(nil, seq, 0, recHardState), hard(9, 9)), 17, 1)
		}, "group 1"},
		"longer": {func(seq uint64) []byte {
			return append(appendHardState(beginRecord(nil, seq, 0, recHardState), hard(9, 9)), 0)
		}, "malformed"},
		"number": {func(seq uint64) []byte { return appendHardState(beginRecord(nil, seq+1, 0, recHardState), hard(9, 9)) }, "holds record"},
		"batch":  {func(seq uint64) []byte { return appendHardState(beginRecord(nil, seq, 9, recHardState), hard(9, 9)) }, "position 9"},
		"term":   {func(seq uint64) []byte { return appendHardState(beginRecord(nil, seq, 0, recHardState), hard(1, 0)) }, "term goes back"},
		"gap": {func(seq uint64) []byte {
			e := ents(46, 46, 3, 1)
			return appendEntry(beginRecord(nil, seq, 0, recEntry), &e[0])
		}, "gap"},
	} {
		s := newSample(t)
		_, p, err := load(osFS{}, s.dir)
		require.NoError(t, err)
		require.True(t, p.started)
		sc, err := scanLog(osFS{}, filepath.Join(s.dir, logName), func(uint64, *record) error { return nil })
		require.NoError(t, err)
		rec := c.record(sc.next)
		sealRecord(rec)
		data := readFile(t, s.seg)
		writeFile(t, s.seg, append(append(bytes.Clone(data), binary.AppendUvarint(nil, uint64(len(rec)))...), rec...))
		s.refuses(t, s.seg, int64(len(data)))
		_, _, err = Open(s.dir, testID, Options{})
		require.ErrorContains(t, err, c.want, name)
		var fe *FormatError
		require.Equal(t, slices.Contains([]string{"type", "version", "group"}, name), errors.As(err, &fe), name)
		require.Equal(t, fe == nil, strings.Contains(err.Error(), "damaged"), name)
	}
}

// A directory of another version is not taken for a damaged one, whichever of its files is read first.
func TestOtherVersionIsNoDamage(t *testing.T) {
	dir := newDir(t)
	sn := writeSnapshot(t, dir, 3, 2, 100)
	r, err := OpenRegistry(dir)
	require.NoError(t, err)
	require.NoError(t, r.Admit("n2", 5))
	snap, peers := filepath.Join(dir, snapshotsName, sn.Name), filepath.Join(dir, peersName)
	for path, c := range map[string]struct {
		at   int            // of the version's lowest byte
		seal func(b []byte) // makes the checksum over it right, in place
		read func() error
	}{
		lastSegment(t, dir): {1 + headerLen, func(b []byte) { sealRecord(b[1:]) }, func() error { return second(Verify(dir)) }},
		peers:               {len(peersMagic), func(b []byte) { appendSum(b[:len(b)-4]) }, func() error { return second(OpenRegistry(dir)) }},
		snap: {8, func(b []byte) {
			end := snapFixed + binary.LittleEndian.Uint32(b[snapFixed-4:])
			appendSum(b[:end])
		}, func() error { return verifySnapshot(osFS{}, snap, sn) }},
	} {
		require.NoError(t, c.read(), path)
		b := readFile(t, path)
		b[c.at]++
		c.seal(b)
		writeFile(t, path, b)
		err := c.read()
		var fe *FormatError
		require.ErrorAs(t, err, &fe)
		require.Equal(t, path, fe.File)
		require.ErrorContains(t, err, "another version of kvapp")
		require.ErrorContains(t, err, "format version 2")
		require.NotContains(t, err.Error(), "damaged")
	}
}

func second[T any](_ T, err error) error { return err }

func changed(b []byte, at int, v byte) []byte {
	b[at] = v
	return b
}

// Case 9: the repair itself crashes before each of its operations; the next start comes to the same result.
func TestRepairCrashes(t *testing.T) { onBoth(t, testRepairCrashes) }

func testRepairCrashes(t *testing.T, with func(FS) FS) {
	errCrash := errors.New("crash")
	s := newSample(t)
	data := readFile(t, s.seg)
	writeFile(t, s.seg, data[:len(data)-3])
	writeFile(t, filepath.Join(s.dir, logName, "00000000000000000007.START.TEMP"), []byte("x"))
	clean := copyDir(t, s.dir)
	for crashAt := 0; ; crashAt++ {
		s.restore(t, clean)
		ops := 0
		fs := with(hookFS{hook: func(op, path string) error {
			if ops++; ops > crashAt {
				return errCrash
			}
			return nil
		}})
		l, _, err := Open(s.dir, testID, Options{SegmentSize: 2000, FS: fs})
		if err == nil {
			ops = -10 // what Close does is no repair
			require.NoError(t, l.Close())
			require.Greater(t, crashAt, 8)
			break
		}
		require.ErrorIs(t, err, errCrash)
		_, err = Verify(s.dir)
		require.NoError(t, err)
		l, rec, err := Open(s.dir, testID, Options{SegmentSize: 2000})
		require.NoError(t, err)
		require.Equal(t, s.all[:43], rec.Entries)
		require.NoError(t, l.Close())
	}
}
