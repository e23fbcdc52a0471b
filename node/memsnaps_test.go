package node

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"kvapp/raft"
)

// memSnaps holds snapshot files by name.
type memSnaps struct {
	mu    sync.Mutex
	files map[string][]byte
	metas map[string]raft.SnapshotMeta
	bad   map[string]string // reason of what is damaged
	aside []string
	fail  error // of every write
}

// damage makes what the file of f holds worth nothing.
func (s *memSnaps) damage(f SnapshotFile, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bad[f.Name] = reason
}

// Intact implements Snapshots.
func (s *memSnaps) Intact() ([]SnapshotFile, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []SnapshotFile
	for name, b := range s.files {
		if s.bad[name] == "" {
			list = append(list, SnapshotFile{Meta: s.metas[name], Name: name, Size: int64(len(b))})
		}
	}
	slices.SortFunc(list, func(a, b SnapshotFile) int { return cmp.Compare(b.Meta.Index, a.Meta.Index) })
	return list, nil
}

// Quarantine implements Snapshots.
func (s *memSnaps) Quarantine(f SnapshotFile) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.aside = append(s.aside, f.Name)
	delete(s.files, f.Name)
	delete(s.bad, f.Name)
	return "aside", s.fail
}

func newMemSnaps() *memSnaps {
	return &memSnaps{files: map[string][]byte{}, metas: map[string]raft.SnapshotMeta{}, bad: map[string]string{}}
}

type memWriter struct {
	bytes.Buffer
	s    *memSnaps
	meta raft.SnapshotMeta
}

func (s *memSnaps) Create(meta raft.SnapshotMeta) (SnapshotWriter, error) {
	return &memWriter{s: s, meta: meta}, nil
}

func (w *memWriter) Commit() (SnapshotFile, error) {
	if err := w.s.failure(); err != nil {
		return SnapshotFile{}, err
	}
	f := SnapshotFile{Meta: w.meta, Name: fmt.Sprintf("%d-%d", w.meta.Index, w.meta.Term), Size: int64(w.Len())}
	w.s.put(f, w.Bytes())
	return f, nil
}

func (w *memWriter) Abort() {}

func (s *memSnaps) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fail
}

func (s *memSnaps) setFailure(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

func (s *memSnaps) put(f SnapshotFile, b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[f.Name], s.metas[f.Name] = b, f.Meta
}

func (s *memSnaps) get(name string) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.files[name]
	return b, ok
}

func (s *memSnaps) Open(f SnapshotFile) (io.ReadCloser, error) {
	b, ok := s.get(f.Name)
	if !ok {
		return nil, fmt.Errorf("no snapshot %s: %w", f.Name, syscall.ENOENT)
	}
	if reason := s.bad[f.Name]; reason != "" {
		return nil, errors.New(reason)
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (s *memSnaps) PruneBelow(index uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.files {
		at, _, _ := strings.Cut(name, "-")
		if n, err := strconv.ParseUint(at, 10, 64); err != nil || n < index {
			delete(s.files, name)
		}
	}
	return nil
}

func (s *memSnaps) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.files)
}
