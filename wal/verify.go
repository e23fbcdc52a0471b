package wal

import (
	"fmt"
	"path/filepath"

	"kvapp/raft"
)

// Report is what Verify found in a directory it can vouch for.
type Report struct {
	Identity Identity
	Hard     raft.HardState
	Snapshot Snapshot
	First    uint64 // entry indexes in the log; Last = First-1 when there are none
	Last     uint64
	Segments int
	Records  uint64
	Bytes    int64 // of the journal, without a torn tail
	// Pending lists, one line each, what Open would repair: none of it is damage to anything acknowledged.
	Pending []string
}

// Verify reads the journal, every record of it, and the snapshot it begins with, segment by segment and block by
// block. It changes nothing and takes no lock; beside a running node it may report a torn write that is just being
// made. An error names the damage for which Open would refuse the directory, or the snapshot's own.
func Verify(dir string) (Report, error) { return VerifyOn(nil, dir) }

// VerifyOn is Verify on another file system.
func VerifyOn(fs FS, dir string) (Report, error) {
	fs = orOS(fs)
	if ok, err := ExistsOn(fs, dir); err != nil {
		return Report{}, err
	} else if !ok {
		return Report{}, fmt.Errorf("%w: %s", ErrNoLog, dir)
	}
	s, p, err := load(fs, dir)
	if err != nil {
		return Report{}, err
	}
	rec := p.recovered()
	last := s.segments[len(s.segments)-1]
	rep := Report{
		Identity: p.identity, Hard: p.hard, Snapshot: p.snapshot,
		First: p.idx.first, Last: p.idx.last(),
		Segments: len(s.segments), Records: s.records, Bytes: int64(last.end()),
		Pending: rec.Notes,
	}
	if s.listing.start != 0 {
		rep.Pending = append(rep.Pending, fmt.Sprintf("an interrupted compaction at record %d", s.listing.start))
	}
	if s.torn != nil {
		rep.Pending = append(rep.Pending, fmt.Sprintf("a torn write of %d bytes: %v", s.tornSize, s.torn))
	}
	for _, path := range s.listing.temps {
		rep.Pending = append(rep.Pending, "a leftover "+path)
	}
	if p.snapshot.Name != "" {
		err = verifySnapshot(fs, filepath.Join(dir, snapshotsName, p.snapshot.Name), p.snapshot)
	}
	return rep, err
}
