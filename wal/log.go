package wal

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"

	"kvapp/raft"
)

const defaultSegmentSize = 4 << 20

// Options tune Open; the zero value is the default.
type Options struct {
	SegmentSize int          // bytes at which a segment is closed and the next one begun; default 4 MB
	Logger      *slog.Logger // told about repairs; nil: nobody is
	FS          FS           // nil: the operating system's

	wrap func(backend) backend // tests only
}

// Recovered is what a log held when it was opened.
type Recovered struct {
	Identity Identity
	Hard     raft.HardState   // Commit lies between Snapshot.Meta.Index and the last entry
	Snapshot Snapshot         // zero: there is none
	First    uint64           // first index that Read can return; at most Snapshot.Meta.Index+1
	Terms    []raft.TermStart // of the entries from First to Snapshot.Meta.Index
	Entries  []raft.Entry     // everything behind Snapshot.Meta.Index, without a gap
	Notes    []string         // repairs that were made, one line each
}

// Membership is the membership that the log names last, of which nobody may know that it is committed.
func (r *Recovered) Membership() (raft.Membership, error) {
	for i := len(r.Entries) - 1; i >= 0; i-- {
		if e := &r.Entries[i]; e.Kind == raft.EntryMembership {
			m, err := raft.DecodeMembership(e.Data)
			if err != nil {
				err = fmt.Errorf("entry %d: %w", e.Index, err)
			}
			return m, err
		}
	}
	return r.Snapshot.Meta.Membership, nil
}

// Log is an open journal; see the package documentation for which goroutine may call what.
type Log struct {
	dir      string // of the journal
	fs       FS
	lock     io.Closer
	segSize  int64
	identity Identity

	// Of the appender only.
	w      backend
	next   uint64 // seq of the next record
	hard   raft.HardState
	packer packer
	tail   tailPath
	pad    padding

	// files is held shared while segment files are read and exclusively while they are replaced.
	// Order: files before mu.
	files  sync.RWMutex
	closed bool // under files

	mu       sync.Mutex
	idx      index // of durable entries only
	segments []segment
	snapshot Snapshot

	failure   atomic.Pointer[error] // sticky; ErrClosed after Close
	first     atomic.Uint64
	last      atomic.Uint64
	bytes     atomic.Int64
	nsegments atomic.Int64
}

// Open locks dir, verifies every record of its log, repairs what a crash leaves and returns the log with its content.
// The identity in the log must match every field of want that is not zero. A log that cannot be trusted is refused
// with an error that names file, byte and record. The file of Recovered.Snapshot is not looked at: whoever needs its content
// finds out whether it is whole, and what can be done if it is not.
func Open(dir string, want Identity, opt Options) (*Log, Recovered, error) {
	if opt.SegmentSize <= 0 {
		opt.SegmentSize = defaultSegmentSize
	}
	opt.FS = orOS(opt.FS)
	if ok, err := ExistsOn(opt.FS, dir); err != nil {
		return nil, Recovered{}, err
	} else if !ok {
		return nil, Recovered{}, fmt.Errorf("%w: %s", ErrNoLog, dir)
	}
	lock, err := lockDir(opt.FS, dir)
	if err != nil {
		return nil, Recovered{}, fmt.Errorf("wal: open: %w", err)
	}
	l, rec, err := openLocked(dir, &want, &opt)
	if err != nil {
		closeQuietly(lock)
		return nil, Recovered{}, err
	}
	l.lock = lock
	if opt.Logger != nil {
		for _, note := range rec.Notes {
			opt.Logger.Warn("log_repaired", "dir", dir, "note", note)
		}
	}
	return l, rec, nil
}

func openLocked(dir string, want *Identity, opt *Options) (*Log, Recovered, error) {
	logDir := filepath.Join(dir, logName)
	s, p, err := load(opt.FS, dir)
	if err != nil {
		return nil, Recovered{}, err
	}
	if err := checkIdentity(dir, &p.identity, want); err != nil {
		return nil, Recovered{}, err
	}
	rec := p.recovered()
	notes, err := repair(opt.FS, logDir, &s)
	if err == nil {
		err = opt.FS.SyncDir(dir) // Create may have died between its rename and this
	}
	if err != nil {
		return nil, Recovered{}, fmt.Errorf("wal: repair: %w", err)
	}
	rec.Notes = append(rec.Notes, notes...)
	w, err := openBackend(opt.FS, logDir, opt.SegmentSize, s.next)
	if err != nil {
		return nil, Recovered{}, fmt.Errorf("wal: open %s: %w", logDir, err)
	}
	l := &Log{
		dir: logDir, fs: opt.FS, segSize: int64(opt.SegmentSize), identity: p.identity,
		w: w, pad: padding{fs: opt.FS}, next: s.next, hard: p.hard, idx: p.idx, segments: s.segments, snapshot: p.snapshot,
	}
	if opt.wrap != nil {
		l.w = opt.wrap(l.w)
	}
	l.publishCounts()
	return l, rec, nil
}

// load reads and verifies the journal. It changes nothing.
func load(fs FS, dir string) (scan, *replay, error) {
	p := newReplay()
	s, err := scanLog(fs, filepath.Join(dir, logName), p.apply)
	if err != nil {
		var ce *CorruptError
		var fe *FormatError
		if !errors.As(err, &ce) && !errors.As(err, &fe) {
			err = fmt.Errorf("wal: verify: %w", err)
		}
		return s, p, err
	}
	if err := p.finish(); err != nil {
		if s.torn != nil {
			err = fmt.Errorf("%w (and %w)", err, s.torn)
		}
		return s, p, fmt.Errorf("%w, in %s", err, dir)
	}
	return s, p, nil
}

func checkIdentity(dir string, have, want *Identity) error {
	switch {
	case want.Cluster != "" && want.Cluster != have.Cluster:
		return &IdentityError{dir, "cluster", have.Cluster, want.Cluster}
	case want.Name != "" && want.Name != have.Name:
		return &IdentityError{dir, "name", have.Name, want.Name}
	case want.Node != 0 && want.Node != have.Node:
		return &IdentityError{dir, "node", formatID(uint64(have.Node)), formatID(uint64(want.Node))}
	case want.Incarnation != 0 && want.Incarnation != have.Incarnation:
		return &IdentityError{dir, "incarnation", formatID(have.Incarnation), formatID(want.Incarnation)}
	}
	return nil
}

func formatID(v uint64) string { return strconv.FormatUint(v, 16) }

// First is the lowest index Read can return; Last()+1 when there is no entry.
func (l *Log) First() uint64 { return l.first.Load() }

// Last is the highest durable index: the newest snapshot's when there is no entry behind it.
func (l *Log) Last() uint64 { return l.last.Load() }

// Bytes is the size of all segment files, without zeros at the end of the last.
func (l *Log) Bytes() int64 { return l.bytes.Load() }

// Segments is the number of segment files.
func (l *Log) Segments() int { return int(l.nsegments.Load()) }

// Free is the number of bytes that can still be written where the journal lies, by anybody. Any goroutine.
func (l *Log) Free() (int64, error) {
	free, err := l.fs.Free(l.dir)
	if err != nil {
		return 0, fmt.Errorf("wal: free space: %w", err)
	}
	return free, nil
}

// publishCounts makes the counters follow idx and segments. REQUIRES: mu is held or l is not shared yet.
func (l *Log) publishCounts() {
	l.first.Store(l.idx.first)
	l.last.Store(l.idx.last())
	l.bytes.Store(int64(l.segments[len(l.segments)-1].end() - l.segments[0].start))
	l.nsegments.Store(int64(len(l.segments)))
}

// err is the sticky failure, nil while the log works.
func (l *Log) err() error {
	if p := l.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// fail makes err the answer of every later call and returns what that answer is: the first failure wins.
func (l *Log) fail(op string, err error) error {
	err = fmt.Errorf("wal: %s: %w", op, err)
	l.failure.CompareAndSwap(nil, &err)
	return l.err()
}

// Close releases the log and its lock. Everything that Append returned nil for is durable already. On a log that has
// failed it returns the failure.
func (l *Log) Close() error {
	l.files.Lock()
	defer l.files.Unlock()
	if l.closed {
		return ErrClosed
	}
	l.closed = true
	failed := l.err()
	closed := error(ErrClosed)
	l.failure.CompareAndSwap(nil, &closed)
	err := l.w.Close()
	if failed != nil {
		err = errors.Join(failed, l.pad.forget()) // whatever the backend says now adds nothing
	} else {
		last := &l.segments[len(l.segments)-1]
		err = errors.Join(err, l.pad.trim(l.tail.of(l.dir, last.first), last.size))
	}
	return errors.Join(err, l.lock.Close())
}
