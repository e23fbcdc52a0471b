package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"syscall"

	"kvapp/wal"
)

// ErrCrashed is the error of every operation after the one that CrashAfter stopped, until Crash or Kill.
var ErrCrashed = errors.New("disk: the machine has crashed")

// Op is a kind of operation.
type Op uint8

// All but OpRead change the disk.
const (
	OpRead Op = iota
	OpWrite
	OpSync
	OpTruncate
	OpCreate
	OpMkdir
	OpRename
	OpRemove
	OpSyncDir
	opCount
)

var opNames = [opCount]string{"read", "write", "sync", "truncate", "create", "mkdir", "rename", "remove", "syncdir"}

func (o Op) String() string { return opNames[o] }

// Disk is the file system of one node; it implements wal.FS. Its root exists, as "/" and as ".".
type Disk struct {
	pcg  rand.PCG
	rand *rand.Rand // of pcg
	root *inode
	// epoch counts the processes that used the disk. Open files and locks of an earlier one have ended.
	epoch uint64

	ops      uint64
	crashIn  int // the crash comes in front of the crashIn-th next change; 0: none is set
	crashed  bool
	fails    [opCount]error
	used     int64 // bytes of all files that have a name
	capacity int64 // most that used can become
}

var _ wal.FS = (*Disk)(nil)

// New makes an empty disk with unlimited space.
func New(seed uint64) *Disk {
	d := &Disk{root: &inode{dir: true}, epoch: 1, capacity: math.MaxInt64}
	d.pcg.Seed(seed, seed^0x6b766170706469)
	d.rand = rand.New(&d.pcg)
	return d
}

func pathError(op Op, path string, err error) error {
	return &fs.PathError{Op: op.String(), Path: path, Err: err}
}

// change counts a changing operation and says whether it may happen. started is false when the machine had crashed
// before.
func (d *Disk) change(op Op, path string) (started bool, err error) {
	if d.crashed {
		return false, pathError(op, path, ErrCrashed)
	}
	d.ops++
	if d.crashIn > 0 {
		if d.crashIn--; d.crashIn == 0 {
			d.crashed = true
			return true, pathError(op, path, ErrCrashed)
		}
	}
	return true, d.failing(op, path)
}

// failing takes the error that FailNext left.
func (d *Disk) failing(op Op, path string) error {
	err := d.fails[op]
	if err == nil {
		return nil
	}
	d.fails[op] = nil
	return pathError(op, path, err)
}

// look says whether something may be read.
func (d *Disk) look(path string) error {
	if d.crashed {
		return pathError(OpRead, path, ErrCrashed)
	}
	return d.failing(OpRead, path)
}

// clean makes a path relative to the root; the root itself is "".
func clean(p string) string {
	p = strings.Trim(path.Clean(p), "/")
	if p == "." {
		return ""
	}
	return p
}

// find returns what bears a path.
func (d *Disk) find(op Op, name string) (*inode, error) {
	n := d.root
	for rest := clean(name); rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		if !n.dir {
			return nil, pathError(op, name, syscall.ENOTDIR)
		}
		if n = n.lookup(part); n == nil {
			return nil, pathError(op, name, fs.ErrNotExist)
		}
	}
	return n, nil
}

// findFile is find for what must be a file.
func (d *Disk) findFile(op Op, name string) (*inode, error) {
	n, err := d.find(op, name)
	if err == nil && n.dir {
		err = pathError(op, name, syscall.EISDIR)
	}
	return n, err
}

// parent returns the directory that holds a path, and the last part of the path.
func (d *Disk) parent(op Op, name string) (*inode, string, error) {
	p := clean(name)
	if p == "" {
		return nil, "", pathError(op, name, fs.ErrInvalid)
	}
	dir, base := path.Split(p)
	n, err := d.find(op, dir)
	if err == nil && !n.dir {
		err = pathError(op, name, syscall.ENOTDIR)
	}
	return n, base, err
}

// Create implements wal.FS.
func (d *Disk) Create(name string) (wal.File, error) {
	if _, err := d.change(OpCreate, name); err != nil {
		return nil, err
	}
	n, err := d.create(name, true)
	if err != nil {
		return nil, err
	}
	return d.open(n, name, true), nil
}

// create finds or makes a file, and empties it when it should.
func (d *Disk) create(name string, empty bool) (*inode, error) {
	dir, base, err := d.parent(OpCreate, name)
	if err != nil {
		return nil, err
	}
	n := dir.lookup(base)
	switch {
	case n == nil:
		n = &inode{linked: true}
		dir.do(move{to: base, node: n})
	case n.dir:
		return nil, pathError(OpCreate, name, syscall.EISDIR)
	case empty && len(n.data) > 0:
		d.resize(n, 0)
	}
	return n, nil
}

// resize truncates a file, or makes it longer with zeros.
func (d *Disk) resize(n *inode, size int64) {
	if n.linked {
		d.used += size - int64(len(n.data))
	}
	n.truncate(size)
}

func (d *Disk) open(n *inode, name string, writable bool) *file {
	return &file{d: d, n: n, name: name, epoch: d.epoch, writable: writable}
}

// Open implements wal.FS.
func (d *Disk) Open(name string) (wal.File, error) { return d.reopen(name, false) }

// OpenWrite implements wal.FS.
func (d *Disk) OpenWrite(name string) (wal.File, error) { return d.reopen(name, true) }

func (d *Disk) reopen(name string, writable bool) (wal.File, error) {
	if d.crashed {
		return nil, pathError(OpRead, name, ErrCrashed)
	}
	n, err := d.findFile(OpRead, name)
	if err != nil {
		return nil, err
	}
	return d.open(n, name, writable), nil
}

// ReadFile implements wal.FS.
func (d *Disk) ReadFile(name string) ([]byte, error) {
	if err := d.look(name); err != nil {
		return nil, err
	}
	n, err := d.findFile(OpRead, name)
	if err != nil {
		return nil, err
	}
	return append(make([]byte, 0, len(n.data)), n.data...), nil
}

// ReadDir implements wal.FS.
func (d *Disk) ReadDir(name string) ([]wal.DirEntry, error) {
	if d.crashed {
		return nil, pathError(OpRead, name, ErrCrashed)
	}
	n, err := d.find(OpRead, name)
	if err != nil {
		return nil, err
	}
	if !n.dir {
		return nil, pathError(OpRead, name, syscall.ENOTDIR)
	}
	list := make([]wal.DirEntry, len(n.names))
	for i, e := range n.names {
		list[i] = wal.DirEntry{Name: e.name, Dir: e.node.dir}
	}
	return list, nil
}

// Stat implements wal.FS.
func (d *Disk) Stat(name string) (wal.FileInfo, error) {
	if d.crashed {
		return wal.FileInfo{}, pathError(OpRead, name, ErrCrashed)
	}
	n, err := d.find(OpRead, name)
	if err != nil {
		return wal.FileInfo{}, err
	}
	return wal.FileInfo{Size: int64(len(n.data)), Dir: n.dir}, nil
}

// Mkdir implements wal.FS.
func (d *Disk) Mkdir(name string) error {
	if _, err := d.change(OpMkdir, name); err != nil {
		return err
	}
	dir, base, err := d.parent(OpMkdir, name)
	if err != nil {
		return err
	}
	if dir.lookup(base) != nil {
		return pathError(OpMkdir, name, fs.ErrExist)
	}
	dir.do(move{to: base, node: &inode{dir: true, linked: true}})
	return nil
}

// Rename implements wal.FS. To another directory it fails with EXDEV.
func (d *Disk) Rename(from, to string) error {
	if _, err := d.change(OpRename, from); err != nil {
		return err
	}
	dir, base, err := d.parent(OpRename, from)
	if err != nil {
		return err
	}
	other, target, err := d.parent(OpRename, to)
	if err != nil {
		return err
	}
	n, old := dir.lookup(base), other.lookup(target)
	switch {
	case n == nil:
		return pathError(OpRename, from, fs.ErrNotExist)
	case other != dir:
		return pathError(OpRename, from, syscall.EXDEV)
	case n == old:
		return nil
	case old != nil && old.dir:
		return pathError(OpRename, to, fs.ErrExist)
	case old != nil && n.dir:
		return pathError(OpRename, to, syscall.ENOTDIR)
	case old != nil:
		d.unlink(old)
	}
	dir.do(move{from: base, to: target, node: n})
	return nil
}

// unlink is for a file that loses its name.
func (d *Disk) unlink(n *inode) {
	n.linked = false
	d.used -= int64(len(n.data))
}

// Remove implements wal.FS.
func (d *Disk) Remove(name string) error {
	if _, err := d.change(OpRemove, name); err != nil {
		return err
	}
	dir, base, err := d.parent(OpRemove, name)
	if err != nil {
		return err
	}
	n := dir.lookup(base)
	switch {
	case n == nil:
		return pathError(OpRemove, name, fs.ErrNotExist)
	case len(n.names) > 0:
		return pathError(OpRemove, name, syscall.ENOTEMPTY)
	}
	d.unlink(n)
	dir.do(move{from: base, node: n})
	return nil
}

// SyncDir implements wal.FS.
func (d *Disk) SyncDir(name string) error {
	if _, err := d.change(OpSyncDir, name); err != nil {
		return err
	}
	n, err := d.find(OpSyncDir, name)
	if err != nil {
		return err
	}
	if !n.dir {
		return pathError(OpSyncDir, name, syscall.ENOTDIR)
	}
	n.syncNames()
	return nil
}

// Lock implements wal.FS.
func (d *Disk) Lock(name string) (io.Closer, error) {
	n, err := d.find(OpCreate, name)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err = d.change(OpCreate, name); err == nil {
			n, err = d.create(name, false)
		}
	}
	switch {
	case d.crashed:
		return nil, pathError(OpCreate, name, ErrCrashed)
	case err != nil:
		return nil, err
	case n.locked == d.epoch:
		return nil, fmt.Errorf("%w: %s", wal.ErrLocked, name)
	}
	n.locked = d.epoch
	return &lock{d: d, n: n, epoch: d.epoch}, nil
}

type lock struct {
	d     *Disk
	n     *inode
	epoch uint64
}

// Close ends the lock.
func (l *lock) Close() error {
	if l.epoch != l.d.epoch || l.n.locked != l.epoch {
		return fs.ErrClosed
	}
	l.n.locked = 0
	return nil
}

// Free implements wal.FS.
func (d *Disk) Free(name string) (int64, error) {
	if d.crashed {
		return 0, pathError(OpRead, name, ErrCrashed)
	}
	if _, err := d.find(OpRead, name); err != nil {
		return 0, err
	}
	return max(d.capacity-d.used, 0), nil
}

// SetSpace says how many bytes can still be written: what goes beyond fails with ENOSPC, after a part of it. What is
// removed or truncated from now on is room again. A negative number ends the limit.
func (d *Disk) SetSpace(bytes int64) {
	if bytes < 0 || bytes > math.MaxInt64-d.used {
		d.capacity = math.MaxInt64
		return
	}
	d.capacity = d.used + bytes
}

// inode is a file or a directory.
type inode struct {
	dir    bool
	linked bool   // has a name
	locked uint64 // epoch of the lock's owner

	// Of a file: data is what programs see, durable what is left after a power failure, and dirty what was done to data
	// since the last sync, in order.
	data, durable []byte
	dirty         []change

	// Of a directory, likewise. Lists are sorted by name.
	names, kept []entry
	moves       []move
}

// change is a write of the bytes [from, to), or a truncation to to bytes when from is negative.
type change struct{ from, to int64 }

type entry struct {
	name string
	node *inode
}

// move gives node the name to instead of from; either may be missing. What bore the name to has lost it.
type move struct {
	from, to string
	node     *inode
}

func search(list []entry, name string) (int, bool) {
	return slices.BinarySearchFunc(list, name, func(e entry, name string) int { return strings.Compare(e.name, name) })
}

func (n *inode) lookup(name string) *inode {
	if i, ok := search(n.names, name); ok {
		return n.names[i].node
	}
	return nil
}

// do changes the names of a directory.
func (n *inode) do(m move) {
	n.names = m.apply(n.names)
	n.moves = append(n.moves, m)
}

func (m *move) apply(list []entry) []entry {
	if m.from != "" {
		if i, ok := search(list, m.from); ok && list[i].node == m.node {
			list = slices.Delete(list, i, i+1)
		}
	}
	if m.to != "" {
		i, ok := search(list, m.to)
		if !ok {
			list = slices.Insert(list, i, entry{name: m.to})
		}
		list[i].node = m.node
	}
	return list
}

// syncNames makes the names durable.
func (n *inode) syncNames() {
	n.kept = append(n.kept[:0], n.names...)
	n.moves = n.moves[:0]
}
