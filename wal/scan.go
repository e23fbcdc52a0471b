package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// segment is one file of the journal. start is the number of bytes in all segments before it since the log was
// opened or earlier: the logical position of its first byte. Positions only grow, also across compactions.
type segment struct {
	first uint64 // seq of its first record, which is also its name
	start uint64
	size  int64
}

func (s *segment) end() uint64 { return s.start + uint64(s.size) }

func segmentPath(logDir string, first uint64) string {
	return filepath.Join(logDir, fmt.Sprintf("%020d", first))
}

const (
	startSuffix = ".START"
	tempSuffix  = ".TEMP"
	tornSuffix  = ".torn"
)

// listing is what a journal directory holds.
type listing struct {
	segments []uint64 // first seqs, ascending
	start    uint64   // first seq of an unfinished TruncateFront, 0 if none
	temps    []string // leftovers that nothing refers to, full paths
	torn     []uint64 // segments with a .torn file
}

// listLog classifies every name in the journal directory; a name it does not know is refused, because it may be a
// segment that somebody renamed.
func listLog(fs FS, logDir string) (listing, error) {
	var l listing
	names, err := fs.ReadDir(logDir)
	if err != nil {
		return l, err
	}
	for _, de := range names {
		name := de.Name
		path := filepath.Join(logDir, name)
		if de.Dir || len(name) < 20 {
			return l, fmt.Errorf("wal: unknown file %s in the log directory", path)
		}
		first, err := strconv.ParseUint(name[:20], 10, 64)
		if err != nil || first == 0 {
			return l, fmt.Errorf("wal: unknown file %s in the log directory", path)
		}
		switch suffix := name[20:]; {
		case suffix == "":
			l.segments = append(l.segments, first)
		case suffix == startSuffix && l.start == 0:
			l.start = first
		case strings.HasSuffix(suffix, tempSuffix):
			l.temps = append(l.temps, path)
		case suffix == tornSuffix:
			l.torn = append(l.torn, first)
		default:
			return l, fmt.Errorf("wal: unknown file %s in the log directory", path)
		}
	}
	sort.Slice(l.segments, func(i, j int) bool { return l.segments[i] < l.segments[j] })
	return l, nil
}

// scan is the result of reading a whole journal.
type scan struct {
	listing  listing
	segments []segment // in order; the last one without its torn tail
	padded   []int     // those of them behind whose records the file has zeros
	next     uint64    // seq that the next record gets
	records  uint64
	torn     *CorruptError // first record of a torn last batch, nil if none
	tornSize int64         // bytes from there to the end of the file, or to the zeros at its end
}

// scanLog reads and checks every record in order and hands it to visit. It changes nothing. A torn last batch is
// reported in the result; any other damage, and an error of visit, ends the scan with an error that names the place.
func scanLog(fs FS, logDir string, visit func(at uint64, r *record) error) (scan, error) {
	var s scan
	var err error
	if s.listing, err = listLog(fs, logDir); err != nil {
		return s, err
	}
	firsts := s.listing.segments
	if n := s.listing.start; n != 0 {
		// An unfinished TruncateFront: N.START replaces every segment up to N.
		keep := sort.Search(len(firsts), func(i int) bool { return firsts[i] > n })
		firsts = append([]uint64{n}, firsts[keep:]...)
	}
	if len(firsts) == 0 {
		return s, fmt.Errorf("wal: %s holds no segment", logDir)
	}
	s.next = firsts[0]
	pos := int64(-1)
	for i, first := range firsts {
		path := segmentPath(logDir, first)
		last := i == len(firsts)-1
		if i == 0 && s.listing.start != 0 {
			path += startSuffix
			last = false // it was complete and durable before it got this name
		}
		if first != s.next {
			return s, &CorruptError{path, 0, s.next, fmt.Sprintf("the segment begins with record %d, but record %d is missing", first, s.next)}
		}
		data, err := fs.ReadFile(path)
		if err != nil {
			return s, err
		}
		if err := s.readSegment(path, data, last, &pos, visit); err != nil {
			return s, err
		}
	}
	return s, nil
}

// readSegment checks the records of one segment. *pos is the batch position of the record before, -1 if unknown.
func (s *scan) readSegment(path string, data []byte, last bool, pos *int64, visit func(uint64, *record) error) error {
	seg := segment{first: s.next}
	if n := len(s.segments); n > 0 {
		seg.start = s.segments[n-1].end()
	}
	var r record
	for off := 0; off < len(data); {
		if data[off] == 0 && allZero(data[off:]) {
			s.padded = append(s.padded, len(s.segments))
			break
		}
		damage := func(reason string) *CorruptError { return &CorruptError{path, int64(off), s.next, reason} }
		rec, n, reason := frame(data[off:])
		if reason == "" {
			if err := decodeRecord(rec, &r); errors.Is(err, errTorn) {
				reason = err.Error()
			} else if u := unknownFormat(""); errors.As(err, &u) {
				return &FormatError{path, int64(off), s.next, err.Error()}
			} else if err != nil {
				return damage(err.Error())
			} else if r.seq != s.next {
				return damage(fmt.Sprintf("holds record %d", r.seq))
			} else if r.pos != 0 && *pos >= 0 && int64(r.pos) != *pos+1 {
				return damage(fmt.Sprintf("has position %d in its batch, the record before has %d", r.pos, *pos))
			}
		}
		if reason != "" {
			if !last {
				return damage(reason)
			}
			if at, seq := laterBatch(data[off:], s.next); at >= 0 {
				return damage(fmt.Sprintf("%s, and record %d of a later batch is intact at byte %d", reason, seq, off+at))
			}
			s.torn, s.tornSize = damage(reason), int64(len(bytes.TrimRight(data[off:], "\x00")))
			break
		}
		if err := visit(seg.end(), &r); err != nil {
			return damage(err.Error())
		}
		*pos = int64(r.pos)
		off += n
		seg.size = int64(off)
		s.next++
		s.records++
	}
	s.segments = append(s.segments, seg)
	return nil
}

// frame takes one record off the front of b: its bytes and the number of bytes it takes with its length, or the
// reason why there is none.
func frame(b []byte) (rec []byte, n int, reason string) {
	size, w := binary.Uvarint(b)
	switch {
	case w <= 0:
		return nil, 0, "the length is cut off"
	case size < minRecord || size > maxRecord || uvarintLen(int(size)) != w:
		return nil, 0, fmt.Sprintf("impossible length %d", size)
	case size > uint64(len(b)-w):
		return nil, 0, fmt.Sprintf("the record has %d bytes, the file holds %d of them", size, len(b)-w)
	}
	return b[w : w+int(size)], w + int(size), ""
}

// laterBatch looks behind a bad record with number bad for an intact record of a batch that began after it. Such a
// batch is only written once the bad record's own batch is durable, so the damage is not a torn write. It returns
// where the record's frame begins and its seq, or -1.
func laterBatch(b []byte, bad uint64) (int, uint64) {
	for off := range b {
		rest := b[off:]
		size, w := binary.Uvarint(rest)
		if w <= 0 || size < minRecord || size > uint64(len(rest)-w) {
			continue
		}
		rec := rest[w : w+int(size)]
		// Before paying for the checksum: could a record this far behind have this number?
		seq := binary.LittleEndian.Uint64(rec[4:])
		if seq <= bad || seq-bad > uint64(off)+1 {
			continue
		}
		if seq, pos, ok := checkRecord(rec); ok && seq-uint64(pos) > bad {
			return off, seq
		}
	}
	return -1, 0
}
