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

// fsys is every change this package makes to files itself (segments are written by tidwall/wal). Tests set hook: it
// runs before each operation and its error is returned instead of doing it.
type fsys struct {
	hook func(op, path string) error
}

func (f *fsys) before(op, path string) error {
	if f == nil || f.hook == nil {
		return nil
	}
	if err := f.hook(op, path); err != nil {
		return &os.PathError{Op: op, Path: path, Err: err}
	}
	return nil
}

func (f *fsys) create(path string) (*os.File, error) {
	if err := f.before("create", path); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_TRUNC, filePerm)
}

func (f *fsys) open(path string) (*os.File, error) {
	if err := f.before("open", path); err != nil {
		return nil, err
	}
	return os.Open(path)
}

func (f *fsys) readFile(path string) ([]byte, error) {
	if err := f.before("read", path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

func (f *fsys) readAt(file *os.File, p []byte, off int64) error {
	if err := f.before("read", file.Name()); err != nil {
		return err
	}
	_, err := file.ReadAt(p, off)
	return err
}

// write writes all of p or returns an error; after an error any part of p may be in the file.
func (f *fsys) write(file *os.File, p []byte) error {
	if err := f.before("write", file.Name()); err != nil {
		return err
	}
	_, err := file.Write(p)
	return err
}

func (f *fsys) writeAt(file *os.File, p []byte, off int64) error {
	if err := f.before("write", file.Name()); err != nil {
		return err
	}
	_, err := file.WriteAt(p, off)
	return err
}

func (f *fsys) sync(file *os.File) error {
	if err := f.before("sync", file.Name()); err != nil {
		return err
	}
	return file.Sync()
}

func (f *fsys) truncate(path string, size int64) error {
	if err := f.before("truncate", path); err != nil {
		return err
	}
	return os.Truncate(path, size)
}

func (f *fsys) rename(from, to string) error {
	if err := f.before("rename", from); err != nil {
		return err
	}
	return os.Rename(from, to)
}

func (f *fsys) remove(path string) error {
	if err := f.before("remove", path); err != nil {
		return err
	}
	return os.Remove(path)
}

func (f *fsys) removeAll(path string) error {
	if err := f.before("remove", path); err != nil {
		return err
	}
	return os.RemoveAll(path)
}

// syncFile makes the file at path durable, through a descriptor of its own.
func (f *fsys) syncFile(path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.sync(file), file.Close())
}

// syncDir makes the names in a directory durable.
func (f *fsys) syncDir(path string) error {
	if err := f.before("syncdir", path); err != nil {
		return err
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// mkdirAll creates path and its missing parents, each made durable in the directory that holds it.
func (f *fsys) mkdirAll(path string) error {
	path = filepath.Clean(path)
	switch st, err := os.Stat(path); {
	case err == nil && st.IsDir():
		return nil
	case err == nil:
		return &os.PathError{Op: "mkdir", Path: path, Err: unix.ENOTDIR}
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	parent := filepath.Dir(path)
	if err := f.mkdirAll(parent); err != nil {
		return err
	}
	if err := f.before("mkdir", path); err != nil {
		return err
	}
	if err := os.Mkdir(path, dirPerm); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return f.syncDir(parent)
}

// writeAtomic replaces the file at path, through the file temp in the same directory; after it returns nil the new
// content survives a power loss, before that either the old or the new content does.
func (f *fsys) writeAtomic(path, temp string, data []byte) error {
	file, err := f.create(temp)
	if err != nil {
		return err
	}
	err = f.write(file, data)
	if err == nil {
		err = f.sync(file)
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := f.rename(temp, path); err != nil {
		return err
	}
	return f.syncDir(filepath.Dir(path))
}

// syncParent makes the name of dir durable in the directory that holds it, in case the process that made dir died before
// it did. A parent that this user cannot open was not made by such a process.
func (f *fsys) syncParent(dir string) error {
	if err := f.syncDir(filepath.Dir(filepath.Clean(dir))); err != nil && !errors.Is(err, os.ErrPermission) {
		return err
	}
	return nil
}

// lockDir takes the exclusive lock of dir; the lock ends with the returned file.
func lockDir(f *fsys, dir string) (*os.File, error) {
	path := filepath.Join(dir, lockName)
	if err := f.before("lock", path); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, filePerm)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		file.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s", ErrLocked, path)
		}
		return nil, &os.PathError{Op: "flock", Path: path, Err: err}
	}
	return file, nil
}

// closeQuietly is for a file whose operation has already failed with an error that says more.
func closeQuietly(c io.Closer) { _ = c.Close() }
