package wal

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// A snapshot that is being received lies under the name that it will have, with this suffix: so the next stream of the
// same content, of whichever leader and after whatever crash, finds what has arrived. There is at most one such file,
// that of the newest stream.
const snapPart = ".part"

// errReceiving says that another snapshot is being received.
var errReceiving = errors.New("wal: another snapshot is being received")

// partial is what the process knows of the partly received file: nothing has to be read to go on with it.
type partial struct {
	busy bool   // a writer has it
	name string // of the snapshot; empty: nothing is known, ask the disk
	size int64
	sum  uint32 // of the first size bytes
}

// Has says whether the file of sn is here and whole. It reads all of it.
func (s *Snapshots) Has(sn Snapshot) bool {
	path, err := s.path(&sn)
	return err == nil && verifySnapshot(s.fs, path, sn) == nil
}

// Receive begins or continues a file whose bytes come from the OpenRaw of another node's sn, from the writer's Size on.
// Commit succeeds only if they are exactly what sn says, Keep ends the writer for now. One such writer at a time.
func (s *Snapshots) Receive(sn Snapshot) (*SnapshotWriter, error) {
	if sn.Name != snapName(sn.Meta.Index, sn.Meta.Term, sn.Sum) || sn.Size <= 0 {
		return nil, fmt.Errorf("wal: received snapshot %q of %d bytes does not have the name of index %d, term %d, checksum %08x",
			sn.Name, sn.Size, sn.Meta.Index, sn.Meta.Term, sn.Sum)
	}
	s.mu.Lock()
	if s.part.busy {
		s.mu.Unlock()
		return nil, errReceiving
	}
	known := s.part
	s.part = partial{busy: true}
	s.mu.Unlock()
	w, err := s.receive(sn, known)
	if err != nil {
		s.release(partial{})
		return nil, fmt.Errorf("wal: snapshot: %w", err)
	}
	return w, nil
}

func (s *Snapshots) receive(sn Snapshot, known partial) (*SnapshotWriter, error) {
	if err := s.dropParts(func(name string) bool { return name != sn.Name }); err != nil {
		return nil, err
	}
	path := filepath.Join(s.dir, sn.Name+snapPart)
	if known.name != sn.Name {
		known = verifyPart(s.fs, path, &sn)
	}
	if known.size > sn.Size {
		known = partial{}
	}
	f, err := s.openPart(path, known.size)
	if err != nil {
		return nil, err
	}
	return &SnapshotWriter{s: s, path: path, file: f, want: sn, raw: true, size: known.size, sum: known.sum}, nil
}

// openPart opens a partly received file to go on behind its first size bytes.
func (s *Snapshots) openPart(path string, size int64) (File, error) {
	if size == 0 {
		return s.fs.Create(path)
	}
	f, err := s.fs.OpenWrite(path)
	if err != nil {
		return nil, err
	}
	if err = f.Truncate(size); err == nil {
		_, err = f.Seek(size, io.SeekStart)
	}
	if err != nil {
		closeQuietly(f)
		return nil, err
	}
	return f, nil
}

// release ends the writer of the partly received file; p is what is left of it.
func (s *Snapshots) release(p partial) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.part = p
}

// Size is the number of bytes of the file so far.
func (w *SnapshotWriter) Size() int64 { return w.size }

// Keep ends the writer of Receive and leaves what it has for the next one. After an error of the disk there is nothing
// to trust: then it is Abort.
func (w *SnapshotWriter) Keep() error {
	if w.err != nil || w.file == nil {
		return w.Abort()
	}
	err := w.file.Close()
	w.file = nil
	if err != nil {
		w.s.release(partial{})
		return fmt.Errorf("wal: snapshot: %w", err)
	}
	w.s.release(partial{name: w.want.Name, size: w.size, sum: w.sum})
	return nil
}

// verifyPart finds out how much of a partly received file can be trusted: every block has its checksum, and what a crash
// left behind the last good one is none. What cannot be read counts as not there.
func verifyPart(fs FS, path string, sn *Snapshot) partial {
	r, meta, err := openSnapReader(fs, path)
	if err != nil {
		return partial{}
	}
	defer closeQuietly(r)
	head := appendSnapHeader(nil, &sn.Meta)
	if !bytes.Equal(head, appendSnapHeader(nil, &meta)) {
		return partial{}
	}
	p := partial{name: sn.Name, size: int64(len(head)), sum: crc32.Checksum(head, castagnoli)}
	for r.next() == nil {
		p.sum = crc32.Update(crc32.Update(p.sum, castagnoli, r.head[:]), castagnoli, r.rest)
		p.size = r.off
	}
	return p
}

// dropParts removes the partly received files of the snapshots that which names.
func (s *Snapshots) dropParts(which func(name string) bool) error {
	parts, err := s.names(snapPart)
	if err != nil {
		return err
	}
	for _, part := range parts {
		if !which(strings.TrimSuffix(part, snapPart)) {
			continue
		}
		if err := s.fs.Remove(filepath.Join(s.dir, part)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// dropOldParts removes the partly received files that are of no use beside a snapshot at index, unless one is being
// written.
func (s *Snapshots) dropOldParts(index uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.part.busy {
		return nil
	}
	err := s.dropParts(func(name string) bool {
		at, _, _, ok := parseSnapName(name)
		if !ok || at <= index {
			if name == s.part.name {
				s.part = partial{}
			}
			return true
		}
		return false
	})
	if err != nil {
		return fmt.Errorf("wal: snapshots: %w", err)
	}
	return nil
}

// newestIndex is the index of the newest whole snapshot, 0 if there is none.
func (s *Snapshots) newestIndex() (uint64, error) {
	names, err := s.names(snapSuffix)
	newest := uint64(0)
	for _, name := range names {
		if at, _, _, ok := parseSnapName(name); ok {
			newest = max(newest, at)
		}
	}
	return newest, err
}
