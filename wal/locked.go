package wal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Locked says whether a process has the log in dir open.
func Locked(dir string) bool {
	lock, err := lockDir(orOS(nil), dir)
	if err == nil {
		closeQuietly(lock)
	}
	return errors.Is(err, ErrLocked)
}

// Owner is the user id of whoever has formatted dir. What another user writes there, the node cannot open.
func Owner(dir string) (uid int, err error) {
	path := filepath.Join(dir, logName)
	var st unix.Stat_t
	err = unix.Stat(path, &st)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return 0, fmt.Errorf("%w: %s", ErrNoLog, dir)
	case err != nil:
		return 0, fmt.Errorf("wal: owner: %w", &os.PathError{Op: "stat", Path: path, Err: err})
	}
	return int(st.Uid), nil
}
