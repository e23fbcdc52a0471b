package wal

import (
	"io"
	"os"
	"testing"
)

// hookFS is the operating system's file system with a hook in front of every operation that tests make fail: its error
// is returned instead of doing it.
type hookFS struct {
	osFS
	hook func(op, path string) error
}

// plainFS hides that an FS is the operating system's: then the segments are written through it.
type plainFS struct{ FS }

// onBoth runs a test with segments written by tidwall/wal, and written through the FS.
func onBoth(t *testing.T, test func(t *testing.T, with func(FS) FS)) {
	t.Run("tidwall", func(t *testing.T) { test(t, func(fs FS) FS { return fs }) })
	t.Run("files", func(t *testing.T) { test(t, func(fs FS) FS { return plainFS{fs} }) })
}

func (h hookFS) before(op, path string) error {
	if err := h.hook(op, path); err != nil {
		return &os.PathError{Op: op, Path: path, Err: err}
	}
	return nil
}

func (h hookFS) file(op, path string, open func(string) (File, error)) (File, error) {
	if err := h.before(op, path); err != nil {
		return nil, err
	}
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	return hookFile{f, h}, nil
}

func (h hookFS) Create(path string) (File, error) { return h.file("create", path, h.osFS.Create) }

func (h hookFS) Open(path string) (File, error) { return h.file("open", path, h.osFS.Open) }

func (h hookFS) OpenWrite(path string) (File, error) {
	return h.file("openwrite", path, h.osFS.OpenWrite)
}

func (h hookFS) ReadFile(path string) ([]byte, error) {
	if err := h.before("read", path); err != nil {
		return nil, err
	}
	return h.osFS.ReadFile(path)
}

func (h hookFS) Mkdir(path string) error {
	if err := h.before("mkdir", path); err != nil {
		return err
	}
	return h.osFS.Mkdir(path)
}

func (h hookFS) Rename(from, to string) error {
	if err := h.before("rename", from); err != nil {
		return err
	}
	return h.osFS.Rename(from, to)
}

func (h hookFS) Remove(path string) error {
	if err := h.before("remove", path); err != nil {
		return err
	}
	return h.osFS.Remove(path)
}

func (h hookFS) SyncDir(path string) error {
	if err := h.before("syncdir", path); err != nil {
		return err
	}
	return h.osFS.SyncDir(path)
}

func (h hookFS) Lock(path string) (io.Closer, error) {
	if err := h.before("lock", path); err != nil {
		return nil, err
	}
	return h.osFS.Lock(path)
}

type hookFile struct {
	File
	h hookFS
}

func (f hookFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.h.before("read", f.Name()); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f hookFile) Write(p []byte) (int, error) {
	if err := f.h.before("write", f.Name()); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f hookFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.h.before("write", f.Name()); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f hookFile) Truncate(size int64) error {
	if err := f.h.before("truncate", f.Name()); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f hookFile) Sync() error {
	if err := f.h.before("sync", f.Name()); err != nil {
		return err
	}
	return f.File.Sync()
}
