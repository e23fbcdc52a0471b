package wal

import (
	"errors"
	"fmt"
	"io"
)

// repair brings the journal directory into the state that the scan describes, so that tidwall/wal opens it: it
// finishes a TruncateFront, cuts off a torn last batch and removes leftovers. A crash anywhere in it leaves a state
// that scans to the same result. It returns a note per thing done.
func repair(fs FS, logDir string, s *scan) (notes []string, err error) {
	if n := s.listing.start; n != 0 {
		for _, first := range s.listing.segments {
			if first >= n {
				break // the rename replaces a segment of the same name
			}
			if err := fs.Remove(segmentPath(logDir, first)); err != nil {
				return nil, err
			}
		}
		path := segmentPath(logDir, n)
		if err := fs.Rename(path+startSuffix, path); err != nil {
			return nil, err
		}
		notes = append(notes, fmt.Sprintf("finished an interrupted compaction: the log begins with segment %s", path))
	}
	for _, i := range s.padded { // what every process that was killed leaves: no note
		if err := cut(fs, segmentPath(logDir, s.segments[i].first), s.segments[i].size); err != nil {
			return nil, err
		}
	}
	if s.torn != nil {
		if err := cutTorn(fs, s); err != nil {
			return nil, err
		}
		notes = append(notes, fmt.Sprintf("cut a torn write of %d bytes off %s at byte %d, record %d (%s); the bytes are kept in %s",
			s.tornSize, s.torn.File, s.torn.Offset, s.torn.Record, s.torn.Reason, s.torn.File+tornSuffix))
	}
	for _, path := range s.listing.temps {
		if err := fs.Remove(path); err != nil {
			return nil, err
		}
		notes = append(notes, "removed the leftover "+path)
	}
	for _, first := range s.listing.torn {
		if first < s.segments[0].first {
			if err := fs.Remove(segmentPath(logDir, first) + tornSuffix); err != nil {
				return nil, err
			}
		}
	}
	if err := rewrite(fs, segmentPath(logDir, s.segments[len(s.segments)-1].first)); err != nil {
		return nil, err
	}
	return notes, fs.SyncDir(logDir)
}

// rewrite writes the bytes of the last segment over themselves and syncs it, also when nothing was repaired. The
// process before may have died without syncing them, or because syncing them failed: then they are in the page cache,
// marked clean, and not on the disk. What this start has read and will act on must be there after a power loss.
func rewrite(fs FS, path string) error {
	st, err := fs.Stat(path)
	if err != nil {
		return err
	}
	file, err := fs.OpenWrite(path)
	if err != nil {
		return err
	}
	buf := make([]byte, min(st.Size+1, 1<<20))
	for off := int64(0); err == nil; {
		var n int
		if n, err = file.ReadAt(buf, off); n > 0 && (err == nil || err == io.EOF) {
			if _, werr := file.WriteAt(buf[:n], off); werr != nil {
				err = werr
			}
		}
		off += int64(n)
	}
	if err == io.EOF {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// cutTorn saves the torn bytes and truncates the segment in front of them.
func cutTorn(fs FS, s *scan) error {
	data, err := fs.ReadFile(s.torn.File)
	if err != nil {
		return err
	}
	if err := writeSynced(fs, s.torn.File+tornSuffix, data[s.torn.Offset:][:s.tornSize]); err != nil {
		return err
	}
	return cut(fs, s.torn.File, s.torn.Offset)
}

// cut makes the file size bytes long, durably.
func cut(fs FS, path string, size int64) error {
	file, err := fs.OpenWrite(path)
	if err != nil {
		return err
	}
	if err = file.Truncate(size); err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// checkSnapshotFile says whether the file of a snapshot is there, as large as it has to be. Its content is verified when it is
// read.
func checkSnapshotFile(fs FS, path string, sn *Snapshot) error {
	st, err := fs.Stat(path)
	if err != nil {
		return fmt.Errorf("wal: the log begins behind snapshot %s, which cannot be read: %w", sn.Name, err)
	}
	if st.Size != sn.Size {
		return &CorruptError{path, min(st.Size, sn.Size), 0, fmt.Sprintf("the snapshot has %d bytes, the log says %d", st.Size, sn.Size)}
	}
	return nil
}
