package wal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	tidwall "github.com/tidwall/wal"
)

// Exists says whether dir holds a log, that is whether Create has completed there.
func Exists(dir string) (bool, error) {
	st, err := os.Stat(filepath.Join(dir, logName))
	switch {
	case err == nil && st.IsDir():
		return true, nil
	case err == nil:
		return false, fmt.Errorf("wal: %s is not a directory", filepath.Join(dir, logName))
	case errors.Is(err, os.ErrNotExist):
		return false, nil
	}
	return false, fmt.Errorf("wal: %w", err)
}

// Create formats dir for one node: it makes dir and its missing parents and writes a journal whose first batch is id.
// When it returns nil all of that is durable; when it fails or the process dies in it, dir holds no log and Create may
// be called again. A directory that holds a log, or any file that is not kvapp's own, is refused with ErrNotEmpty.
func Create(dir string, id Identity) error { return createLog(&fsys{}, dir, id) }

func createLog(fs *fsys, dir string, id Identity) error {
	if err := id.valid(); err != nil {
		return err
	}
	if err := fs.mkdirAll(dir); err != nil {
		return fmt.Errorf("wal: create: %w", err)
	}
	lock, err := lockDir(fs, dir)
	if err != nil {
		return fmt.Errorf("wal: create: %w", err)
	}
	defer closeQuietly(lock)
	if err := checkEmpty(dir); err != nil {
		return err
	}
	if err := fs.syncParent(dir); err != nil {
		return fmt.Errorf("wal: create: %w", err)
	}
	if err := format(fs, dir, &id); err != nil {
		return fmt.Errorf("wal: create %s: %w", dir, err)
	}
	return nil
}

// checkEmpty accepts what may lie in a node's directory before it has a log: the lock, an interrupted Create, no
// snapshots, and the files of the process itself: its settings, log and pid.
func checkEmpty(dir string) error {
	names, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("wal: create: %w", err)
	}
	for _, de := range names {
		switch name := de.Name(); {
		case name == lockName, name == newLogName, name == "lost+found":
		case !de.IsDir() && slices.Contains([]string{".conf", ".log", ".pid"}, filepath.Ext(name)):
		case name == snapshotsName:
			if sub, err := os.ReadDir(filepath.Join(dir, name)); err != nil || len(sub) != 0 {
				return fmt.Errorf("%w: %s holds snapshots", ErrNotEmpty, dir)
			}
		default:
			return fmt.Errorf("%w: %s holds %s", ErrNotEmpty, dir, name)
		}
	}
	return nil
}

// format writes the journal under a name that nobody opens and renames it when it is durable, so that a log with half
// an identity never exists.
func format(fs *fsys, dir string, id *Identity) error {
	temp := filepath.Join(dir, newLogName)
	if err := fs.removeAll(temp); err != nil {
		return err
	}
	if err := fs.mkdirAll(temp); err != nil {
		return err
	}
	if err := fs.before("write", temp); err != nil {
		return err
	}
	w, err := tidwall.Open(temp, &tidwall.Options{AllowEmpty: true})
	if err != nil {
		return err
	}
	rec := appendIdentity(beginRecord(nil, 1, 0, recIdentity), id)
	sealRecord(rec)
	if err := w.Write(1, rec); err != nil {
		closeQuietly(w)
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := fs.syncDir(temp); err != nil {
		return err
	}
	if err := fs.rename(temp, filepath.Join(dir, logName)); err != nil {
		return err
	}
	return fs.syncDir(dir)
}
