package wal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Exists says whether dir holds a log, that is whether Create has completed there.
func Exists(dir string) (bool, error) { return ExistsOn(nil, dir) }

// ExistsOn is Exists on another file system.
func ExistsOn(fs FS, dir string) (bool, error) {
	st, err := orOS(fs).Stat(filepath.Join(dir, logName))
	switch {
	case err == nil && st.Dir:
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
func Create(dir string, id Identity) error { return CreateOn(nil, dir, id) }

// CreateOn is Create on another file system.
func CreateOn(fs FS, dir string, id Identity) error {
	fs = orOS(fs)
	if err := id.valid(); err != nil {
		return err
	}
	if err := mkdirAll(fs, dir); err != nil {
		return fmt.Errorf("wal: create: %w", err)
	}
	lock, err := lockDir(fs, dir)
	if err != nil {
		return fmt.Errorf("wal: create: %w", err)
	}
	defer closeQuietly(lock)
	if err := checkEmpty(fs, dir); err != nil {
		return err
	}
	if err := format(fs, dir, &id); err != nil {
		return fmt.Errorf("wal: create %s: %w", dir, err)
	}
	return nil
}

// checkEmpty accepts what may lie in a node's directory before it has a log: the lock, an interrupted Create, no
// snapshots, and the files of the process itself: its settings, log and pid.
func checkEmpty(fs FS, dir string) error {
	names, err := fs.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("wal: create: %w", err)
	}
	for _, de := range names {
		switch name := de.Name; {
		case name == lockName, name == newLogName, name == "lost+found", strings.Contains(name, asideMark):
		case !de.Dir && slices.Contains([]string{".conf", ".log", ".pid"}, filepath.Ext(name)):
		case name == snapshotsName:
			if sub, err := fs.ReadDir(filepath.Join(dir, name)); err != nil || len(sub) != 0 {
				return fmt.Errorf("%w: %s holds snapshots", ErrNotEmpty, dir)
			}
		default:
			return fmt.Errorf("%w: %s holds %s", ErrNotEmpty, dir, name)
		}
	}
	return nil
}

// asideMark stands in the names of what SetAside keeps.
const asideMark = ".old-"

// SetAside makes room in dir for another node: the log, the snapshots and the list of peers get the names log.old-mark
// and so on, and stay as they are. What is not there is passed over, so that it can be called again after a crash; until
// it has returned nil dir is no node's. No Log may have dir open.
func SetAside(dir, mark string) error {
	fs := orOS(nil)
	lock, err := lockDir(fs, dir)
	if err != nil {
		return fmt.Errorf("wal: set aside: %w", err)
	}
	defer closeQuietly(lock)
	for _, name := range []string{logName, snapshotsName, peersName} {
		from := filepath.Join(dir, name)
		err := fs.Rename(from, from+asideMark+mark)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("wal: set aside: %w", err)
		}
	}
	if err := fs.SyncDir(dir); err != nil {
		return fmt.Errorf("wal: set aside: %w", err)
	}
	return nil
}

// format writes the journal under a name that nobody opens and renames it when it is durable, so that a log with half
// an identity never exists.
func format(fs FS, dir string, id *Identity) error {
	temp := filepath.Join(dir, newLogName)
	if err := removeAll(fs, temp); err != nil {
		return err
	}
	if err := mkdirAll(fs, temp); err != nil {
		return err
	}
	w, err := openBackend(fs, temp, defaultSegmentSize, 1)
	if err != nil {
		return err
	}
	rec := appendIdentity(beginRecord(nil, 1, 0, recIdentity), id)
	sealRecord(rec)
	w.Add(1, rec)
	if err = w.Flush(); err == nil {
		err = w.Sync(segmentPath(temp, 1))
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	if err := fs.SyncDir(temp); err != nil {
		return err
	}
	if err := fs.Rename(temp, filepath.Join(dir, logName)); err != nil {
		return err
	}
	return fs.SyncDir(dir)
}
