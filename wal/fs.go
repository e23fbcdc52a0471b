package wal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	dirPerm  = 0o750
	filePerm = 0o640

	lockName      = "LOCK"
	logName       = "log"
	newLogName    = "log.new" // a journal being formatted; renamed to log when it is durable
	snapshotsName = "snapshots"
	peersName     = "peers"
	peersTempName = "peers.tmp"
)

// FS is the file system that this package works on, as far as it needs one. nil stands for the operating system's
// everywhere. What is written is durable after Sync of the file, and a name after SyncDir of its directory; before that
// a power loss may keep any part of it. A file that is not there is os.ErrNotExist.
//
// An FS is used from the goroutines that use the Log, the Snapshots and the Registry on it.
type FS interface {
	// Create opens the file for reading and writing, and makes it or empties it first.
	Create(path string) (File, error)
	// Open opens a file for reading.
	Open(path string) (File, error)
	// OpenWrite opens a file that is there for reading and writing.
	OpenWrite(path string) (File, error)
	ReadFile(path string) ([]byte, error)
	// ReadDir lists a directory, sorted by name.
	ReadDir(path string) ([]DirEntry, error)
	Stat(path string) (FileInfo, error)
	// Mkdir makes one directory. One that is there is os.ErrExist.
	Mkdir(path string) error
	// Rename gives a file or directory another name, in the same directory. It replaces a file that bears it.
	Rename(from, to string) error
	// Remove removes a file or an empty directory.
	Remove(path string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(path string) error
	// Lock takes the exclusive lock of the file at path, which it makes if it is missing. The lock ends with Close or
	// with the process; if somebody else has it, the error is ErrLocked.
	Lock(path string) (io.Closer, error)
	// Free is the number of bytes that can still be written where path lies.
	Free(path string) (int64, error)
}

// File is an open file of an FS; *os.File is one.
type File interface {
	io.ReadWriteSeeker
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Name is the path that the file was opened with.
	Name() string
	Truncate(size int64) error
	// Sync makes the file's content durable. After an error nobody knows which part of it is.
	Sync() error
}

// DirEntry is a name in a directory.
type DirEntry struct {
	Name string
	Dir  bool
}

// FileInfo is what Stat tells.
type FileInfo struct {
	Size int64
	Dir  bool
}

// osFS is the operating system's.
type osFS struct{}

// orOS replaces nil.
func orOS(fs FS) FS {
	if fs == nil {
		return osFS{}
	}
	return fs
}

// native marks files that tidwall/wal can write, which knows no other file system.
func (osFS) native() {}

func isNative(fs FS) bool {
	_, ok := fs.(interface{ native() })
	return ok
}

func (osFS) Create(path string) (File, error) {
	return opened(os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_TRUNC, filePerm))
}

func (osFS) Open(path string) (File, error) { return opened(os.Open(path)) }

func (osFS) OpenWrite(path string) (File, error) { return opened(os.OpenFile(path, os.O_RDWR, 0)) }

// opened keeps a nil *os.File from becoming a File that is not nil.
func opened(f *os.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (osFS) ReadFile(path string) ([]byte, error) { return os.ReadFile(path) }

func (osFS) ReadDir(path string) ([]DirEntry, error) {
	names, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	list := make([]DirEntry, len(names))
	for i, de := range names {
		list[i] = DirEntry{Name: de.Name(), Dir: de.IsDir()}
	}
	return list, nil
}

func (osFS) Stat(path string) (FileInfo, error) {
	st, err := os.Stat(path)
	if err != nil {
		return FileInfo{}, err
	}
	return FileInfo{Size: st.Size(), Dir: st.IsDir()}, nil
}

func (osFS) Mkdir(path string) error { return os.Mkdir(path, dirPerm) }

func (osFS) Rename(from, to string) error { return os.Rename(from, to) }

func (osFS) Remove(path string) error { return os.Remove(path) }

func (osFS) SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (osFS) Lock(path string) (io.Closer, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, filePerm)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		closeQuietly(file)
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s", ErrLocked, path)
		}
		return nil, &os.PathError{Op: "flock", Path: path, Err: err}
	}
	return file, nil
}

func (osFS) Free(path string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// mkdirAll creates path and its missing parents, each made durable in the directory that holds it. That is done for the
// first one that is there, too: the process that made it may have died before it did. Those above it are durable,
// because they were made so before it was made.
func mkdirAll(fs FS, path string) error {
	path = filepath.Clean(path)
	switch st, err := fs.Stat(path); {
	case err == nil && st.Dir:
		return syncParent(fs, path)
	case err == nil:
		return &os.PathError{Op: "mkdir", Path: path, Err: unix.ENOTDIR}
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	parent := filepath.Dir(path)
	if err := mkdirAll(fs, parent); err != nil {
		return err
	}
	if err := fs.Mkdir(path); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return fs.SyncDir(parent)
}

// removeAll removes path and, if it is a directory, what it holds.
func removeAll(fs FS, path string) error {
	st, err := fs.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if st.Dir {
		names, err := fs.ReadDir(path)
		if err != nil {
			return err
		}
		for _, de := range names {
			if err := removeAll(fs, filepath.Join(path, de.Name)); err != nil {
				return err
			}
		}
	}
	return fs.Remove(path)
}

// writeSynced makes a file with this content, durable but for its name.
func writeSynced(fs FS, path string, data []byte) error {
	file, err := fs.Create(path)
	if err != nil {
		return err
	}
	if _, err = file.Write(data); err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// writeAtomic replaces the file at path, through the file temp in the same directory; after it returns nil the new
// content survives a power loss, before that either the old or the new content does.
func writeAtomic(fs FS, path, temp string, data []byte) error {
	if err := writeSynced(fs, temp, data); err != nil {
		return err
	}
	if err := fs.Rename(temp, path); err != nil {
		return err
	}
	return fs.SyncDir(filepath.Dir(path))
}

// WriteFile replaces the file name in dir, which is made if it is missing, with its parents: after it returns nil the new
// content survives a power loss, before that either the old or the new content does. The file new-name is used on the way.
// For the small files that a process keeps beside its log.
func WriteFile(dir, name string, data []byte) error {
	fs := orOS(nil)
	err := mkdirAll(fs, dir)
	if err == nil {
		err = writeAtomic(fs, filepath.Join(dir, name), filepath.Join(dir, "new-"+name), data)
	}
	if err != nil {
		return fmt.Errorf("wal: write %s: %w", filepath.Join(dir, name), err)
	}
	return nil
}

// syncParent makes the name of dir durable in the directory that holds it. A parent that this user cannot open was not
// made by a process of ours.
func syncParent(fs FS, dir string) error {
	if err := fs.SyncDir(filepath.Dir(filepath.Clean(dir))); err != nil && !errors.Is(err, os.ErrPermission) {
		return err
	}
	return nil
}

// lockDir takes the exclusive lock of dir.
func lockDir(fs FS, dir string) (io.Closer, error) { return fs.Lock(filepath.Join(dir, lockName)) }

// closeQuietly is for a file whose operation has already failed with an error that says more.
func closeQuietly(c io.Closer) { _ = c.Close() }
