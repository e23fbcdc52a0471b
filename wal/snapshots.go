package wal

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"kvapp/raft"
)

// Snapshot names one durable snapshot file. The zero value means that there is none.
type Snapshot struct {
	Meta raft.SnapshotMeta
	Name string // file name inside dir/snapshots; it follows from index, term and Sum
	Size int64  // bytes of the file
	Sum  uint32 // CRC32C of the whole file
}

const (
	snapSuffix = ".snap"
	snapTemp   = ".tmp"
	// snapFlush is how many bytes are written between two waits for the disk, so that the fsync of the journal never
	// queues behind a whole snapshot.
	snapFlush = 8 << 20
)

// snapName names a file after its content: writing the snapshot of one index again never replaces a file that a marker
// in the journal or a transfer refers to with different bytes.
func snapName(index, term uint64, sum uint32) string {
	return fmt.Sprintf("%020d-%020d-%08x%s", index, term, sum, snapSuffix)
}

// parseSnapName is the reverse; ok only for names snapName makes.
func parseSnapName(name string) (index, term uint64, sum uint32, ok bool) {
	if len(name) != 20+1+20+1+8+len(snapSuffix) {
		return 0, 0, 0, false
	}
	index, err1 := strconv.ParseUint(name[:20], 10, 64)
	term, err2 := strconv.ParseUint(name[21:41], 10, 64)
	s, err3 := strconv.ParseUint(name[42:50], 16, 32)
	if errors.Join(err1, err2, err3) != nil || snapName(index, term, uint32(s)) != name {
		return 0, 0, 0, false
	}
	return index, term, uint32(s), true
}

// Snapshots is the directory of snapshot files. Its methods may be called from any goroutine.
type Snapshots struct {
	dir  string
	fs   FS
	temp atomic.Uint64 // number of the last temporary file

	mu   sync.Mutex
	part partial // the file that is being received, or was last
}

// OpenSnapshots opens dir/snapshots, creates it if it is missing, and removes what unfinished writers left, except a
// partly received file that is newer than every snapshot.
func OpenSnapshots(dir string) (*Snapshots, error) { return OpenSnapshotsOn(nil, dir) }

// OpenSnapshotsOn is OpenSnapshots on another file system.
func OpenSnapshotsOn(fs FS, dir string) (*Snapshots, error) {
	fs = orOS(fs)
	s := &Snapshots{dir: filepath.Join(dir, snapshotsName), fs: fs}
	if err := mkdirAll(fs, s.dir); err != nil {
		return nil, fmt.Errorf("wal: snapshots: %w", err)
	}
	names, err := s.names(snapTemp)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := fs.Remove(filepath.Join(s.dir, name)); err != nil {
			return nil, fmt.Errorf("wal: snapshots: %w", err)
		}
	}
	newest, err := s.newestIndex()
	if err != nil {
		return nil, err
	}
	return s, s.dropOldParts(newest)
}

// names lists the files with a suffix, in order.
func (s *Snapshots) names(suffix string) ([]string, error) {
	entries, err := s.fs.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("wal: snapshots: %w", err)
	}
	var names []string
	for _, de := range entries {
		if strings.HasSuffix(de.Name, suffix) {
			names = append(names, de.Name)
		}
	}
	sort.Strings(names)
	return names, nil
}

func (s *Snapshots) path(sn *Snapshot) (string, error) {
	if _, _, _, ok := parseSnapName(sn.Name); !ok {
		return "", fmt.Errorf("wal: %q is not the name of a snapshot file", sn.Name)
	}
	return filepath.Join(s.dir, sn.Name), nil
}

// Open returns the payload of sn. Every block is verified before any of it is handed out, and io.EOF comes only after
// the whole file was found to be what sn says; damage is a *CorruptError.
func (s *Snapshots) Open(sn Snapshot) (io.ReadCloser, error) {
	path, err := s.path(&sn)
	if err != nil {
		return nil, err
	}
	return openSnapshot(s.fs, path, sn)
}

// OpenRaw returns the bytes of sn's file as they are, for Receive on another node. The result also is an io.Seeker and
// an io.ReaderAt.
func (s *Snapshots) OpenRaw(sn Snapshot) (io.ReadCloser, error) {
	path, err := s.path(&sn)
	if err != nil {
		return nil, err
	}
	if err := checkSnapshotFile(s.fs, path, &sn); err != nil {
		return nil, err
	}
	f, err := s.fs.Open(path)
	if err != nil {
		return nil, fmt.Errorf("wal: snapshot: %w", err)
	}
	return f, nil
}

// List returns the snapshots in the directory, the oldest first. Only names and headers are read; Open verifies.
func (s *Snapshots) List() ([]Snapshot, error) {
	names, err := s.names(snapSuffix)
	if err != nil {
		return nil, err
	}
	var list []Snapshot
	for _, name := range names {
		path := filepath.Join(s.dir, name)
		index, term, sum, ok := parseSnapName(name)
		if !ok {
			return nil, fmt.Errorf("wal: unknown file %s among the snapshots", path)
		}
		r, meta, err := openSnapReader(s.fs, path)
		if err != nil {
			return nil, err
		}
		closeQuietly(r)
		if meta.Index != index || meta.Term != term {
			return nil, &CorruptError{path, 16, 0, fmt.Sprintf("the file is of index %d, term %d", meta.Index, meta.Term)}
		}
		st, err := s.fs.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("wal: snapshots: %w", err)
		}
		list = append(list, Snapshot{Meta: meta, Name: name, Size: st.Size, Sum: sum})
	}
	return list, nil
}

// PruneBelow removes the files of snapshots below index. Newer ones stay, also those that the journal does not name yet: a
// received file waits there until it is installed. A partly received one at index or below goes too. Any goroutine.
func (s *Snapshots) PruneBelow(index uint64) error {
	names, err := s.names(snapSuffix)
	if err != nil {
		return err
	}
	for _, name := range names {
		if at, _, _, ok := parseSnapName(name); ok && at >= index {
			continue
		}
		if err := s.fs.Remove(filepath.Join(s.dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("wal: snapshots: %w", err)
		}
	}
	return s.dropOldParts(index)
}

// DropAbove removes the files of snapshots above index, which the journal does not name: for a log that goes another way from
// now on than whoever sent them. Any goroutine.
func (s *Snapshots) DropAbove(index uint64) error {
	names, err := s.names(snapSuffix)
	if err != nil {
		return err
	}
	for _, name := range names {
		if at, _, _, ok := parseSnapName(name); ok && at > index {
			if err := s.fs.Remove(filepath.Join(s.dir, name)); err != nil {
				return fmt.Errorf("wal: snapshots: %w", err)
			}
		}
	}
	if err := s.fs.SyncDir(s.dir); err != nil {
		return fmt.Errorf("wal: snapshots: %w", err)
	}
	return s.dropOldParts(math.MaxUint64)
}

// Create begins a snapshot file. The payload goes through Write; Commit makes it durable and gives it its name.
func (s *Snapshots) Create(meta raft.SnapshotMeta) (*SnapshotWriter, error) {
	w, err := s.writer()
	if err != nil {
		return nil, err
	}
	w.want.Meta = meta
	w.buf = make([]byte, snapBlockHead, 1<<10)
	if err := w.out(appendSnapHeader(nil, &meta)); err != nil {
		return nil, errors.Join(err, w.Abort())
	}
	return w, nil
}

func (s *Snapshots) writer() (*SnapshotWriter, error) {
	path := filepath.Join(s.dir, strconv.FormatUint(s.temp.Add(1), 10)+snapTemp)
	f, err := s.fs.Create(path)
	if err != nil {
		return nil, fmt.Errorf("wal: snapshot: %w", err)
	}
	return &SnapshotWriter{s: s, path: path, file: f}, nil
}

// SnapshotWriter writes one snapshot file under a temporary name. It belongs to one goroutine and ends with Commit,
// Keep or Abort. After an error only Abort is left to call.
type SnapshotWriter struct {
	s       *Snapshots
	path    string
	file    File     // nil after Commit or Abort
	want    Snapshot // Create: only Meta
	raw     bool     // Receive: the caller's bytes are the file
	err     error
	buf     []byte // Create: head and bytes of the block being filled
	blocks  uint64
	payload uint64
	size    int64
	sum     uint32
	flushed int64
}

// Write implements io.Writer.
func (w *SnapshotWriter) Write(p []byte) (int, error) {
	if err := w.usable(); err != nil {
		return 0, err
	}
	if w.raw {
		if w.size+int64(len(p)) > w.want.Size {
			w.err = fmt.Errorf("wal: received snapshot %s is longer than %d bytes", w.want.Name, w.want.Size)
			return 0, w.err
		}
		if err := w.out(p); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	for done := 0; done < len(p); {
		n := min(snapBlockHead+snapBlock-len(w.buf), len(p)-done)
		w.buf = append(w.buf, p[done:done+n]...)
		done += n
		if len(w.buf) == snapBlockHead+snapBlock {
			if err := w.endBlock(); err != nil {
				return 0, err
			}
		}
	}
	return len(p), nil
}

func (w *SnapshotWriter) usable() error {
	if w.err == nil && w.file == nil {
		w.err = errors.New("wal: snapshot writer has ended")
	}
	return w.err
}

func (w *SnapshotWriter) endBlock() error {
	n := len(w.buf) - snapBlockHead
	putBlockHead(w.buf, n, w.blocks, w.buf[snapBlockHead:])
	w.blocks++
	w.payload += uint64(n)
	err := w.out(w.buf)
	w.buf = w.buf[:snapBlockHead]
	return err
}

// out writes bytes of the file.
func (w *SnapshotWriter) out(p []byte) error {
	_, err := w.file.Write(p)
	w.size += int64(len(p))
	w.sum = crc32.Update(w.sum, castagnoli, p)
	if err == nil && w.size-w.flushed >= snapFlush {
		err = w.file.Sync()
		w.flushed = w.size
	}
	if err != nil {
		w.err = fmt.Errorf("wal: snapshot: %w", err)
	}
	return w.err
}

// Commit completes the file and makes it durable. With an error there is no snapshot to refer to: what is left of the
// file, if anything, goes with the next Prune or OpenSnapshots.
func (w *SnapshotWriter) Commit() (Snapshot, error) {
	if err := w.usable(); err != nil {
		return Snapshot{}, errors.Join(err, w.Abort())
	}
	sn, err := w.commit()
	if err != nil {
		return Snapshot{}, errors.Join(err, w.Abort())
	}
	return sn, nil
}

func (w *SnapshotWriter) commit() (Snapshot, error) {
	sn := w.want
	if !w.raw {
		if err := w.trailer(); err != nil {
			return sn, err
		}
		sn.Size, sn.Sum = w.size, w.sum
		sn.Name = snapName(sn.Meta.Index, sn.Meta.Term, sn.Sum)
	} else if w.size != sn.Size || w.sum != sn.Sum {
		return sn, fmt.Errorf("wal: received snapshot %s has %d bytes with checksum %08x, expected %d with %08x",
			sn.Name, w.size, w.sum, sn.Size, sn.Sum)
	}
	if err := w.file.Sync(); err != nil {
		return sn, fmt.Errorf("wal: snapshot: %w", err)
	}
	if w.raw {
		if err := verifySnapshot(w.s.fs, w.path, sn); err != nil {
			return sn, err
		}
	}
	if err := w.s.fs.Rename(w.path, filepath.Join(w.s.dir, sn.Name)); err != nil {
		return sn, fmt.Errorf("wal: snapshot: %w", err)
	}
	w.path = ""
	if err := w.s.fs.SyncDir(w.s.dir); err != nil {
		return sn, fmt.Errorf("wal: snapshot: %w", err)
	}
	err := w.file.Close()
	w.file = nil
	w.ended()
	return sn, err
}

func (w *SnapshotWriter) trailer() error {
	if len(w.buf) > snapBlockHead {
		if err := w.endBlock(); err != nil {
			return err
		}
	}
	t := make([]byte, snapTrailer)
	for i := range 8 {
		t[snapBlockHead+i] = byte(w.payload >> (8 * i))
	}
	putBlockHead(t, 0, w.blocks, t[snapBlockHead:])
	return w.out(t)
}

// ended lets the next Receive begin.
func (w *SnapshotWriter) ended() {
	if w.raw {
		w.s.release(partial{})
	}
}

// Abort drops the file. It may be called after Commit, and then does nothing.
func (w *SnapshotWriter) Abort() error {
	if w.file == nil {
		return nil
	}
	err := w.file.Close()
	w.file = nil
	if w.path != "" {
		err = errors.Join(err, w.s.fs.Remove(w.path))
	}
	w.ended()
	if err != nil {
		return fmt.Errorf("wal: snapshot: %w", err)
	}
	return nil
}
