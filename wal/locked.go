package wal

import "errors"

// Locked says whether a process has the log in dir open.
func Locked(dir string) bool {
	lock, err := lockDir(orOS(nil), dir)
	if err == nil {
		closeQuietly(lock)
	}
	return errors.Is(err, ErrLocked)
}
