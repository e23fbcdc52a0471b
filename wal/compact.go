package wal

import (
	"errors"
	"fmt"
	"sort"
)

// Compact records that the log may begin behind s, whose file is durable, and frees segments that hold nothing at or
// above index keepFrom, at most s.Meta.Index+1 (followers that are a little behind read the entries kept). Only whole
// segments are freed, so it returns the first index that is really kept. Errors are as with Append. Appender only.
func (l *Log) Compact(s Snapshot, keepFrom uint64) (first uint64, err error) {
	if err := l.err(); err != nil {
		return 0, err
	}
	if err := l.checkCompact(&s, keepFrom); err != nil {
		return 0, fmt.Errorf("wal: compact refused: %w", err)
	}
	l.begin()
	marker := l.packer.tail.end()
	if err := l.mark(&s); err != nil {
		return 0, l.fail("compact", err)
	}
	l.mu.Lock()
	l.snapshot = s
	l.publishSegments()
	l.mu.Unlock()
	if err := l.cutFront(keepFrom, marker); err != nil {
		return 0, l.fail("compact", err)
	}
	return l.First(), nil
}

func (l *Log) checkCompact(s *Snapshot, keepFrom uint64) error {
	i := s.Meta.Index
	switch {
	case i < l.snapshot.Meta.Index:
		return fmt.Errorf("snapshot at %d is older than the one at %d", i, l.snapshot.Meta.Index)
	case i > l.idx.last():
		return fmt.Errorf("snapshot at %d, but the last entry is %d", i, l.idx.last())
	case keepFrom > i+1:
		return fmt.Errorf("keeping from %d would lose entries behind the snapshot at %d", keepFrom, i)
	}
	return s.valid()
}

// mark makes durable what a log must begin with, so that everything in front of it can go.
func (l *Log) mark(s *Snapshot) error {
	if err := l.put(appendIdentity(l.record(recIdentity), &l.identity)); err != nil {
		return err
	}
	if err := l.put(appendHardState(l.record(recHardState), l.hard)); err != nil {
		return err
	}
	if err := l.put(appendSnapshot(l.record(recKept), s)); err != nil {
		return err
	}
	return l.commit()
}

// cutFront frees the segments that end before entry keepFrom and before the marker at logical position marker.
func (l *Log) cutFront(keepFrom, marker uint64) error {
	if keepFrom = max(keepFrom, l.idx.first); keepFrom <= l.idx.last() {
		marker = min(marker, l.idx.at[keepFrom-l.idx.first])
	}
	n := sort.Search(len(l.segments), func(i int) bool { return l.segments[i].end() > marker })
	if n == 0 {
		return nil // no whole segment would be freed, and rewriting one for nothing stalls the writer
	}
	l.files.Lock()
	defer l.files.Unlock()
	err := l.w.TruncateFront(l.segments[n].first)
	if n == len(l.segments)-1 {
		err = errors.Join(err, l.pad.forget()) // another file bears the name, without zeros
	}
	if err != nil {
		return err
	}
	if err := l.fs.SyncDir(l.dir); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.idx.dropBelow(l.segments[n].start)
	l.segments = append(l.segments[:0], l.segments[n:]...)
	l.publishCounts()
	return nil
}
