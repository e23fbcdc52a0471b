package wal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// snapDamaged is what the name of a snapshot file ends with that was found to be damaged. Nothing here looks at such a file
// again: it waits for somebody who wants to know what became of it.
const snapDamaged = ".damaged"

// Quarantine gives the file of sn a name by which nothing takes it for a snapshot any more, and returns its new path; ""
// if there is no such file. A crash leaves it under one of the two names.
func (s *Snapshots) Quarantine(sn Snapshot) (string, error) {
	path, err := s.path(&sn)
	if err != nil {
		return "", err
	}
	to := path + snapDamaged
	for n := 2; ; n++ {
		_, err := s.fs.Stat(to)
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		if err != nil {
			return "", fmt.Errorf("wal: snapshots: %w", err)
		}
		to = path + snapDamaged + "-" + strconv.Itoa(n)
	}
	err = s.fs.Rename(path, to)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err == nil {
		err = s.fs.SyncDir(s.dir)
	}
	if err != nil {
		return "", fmt.Errorf("wal: snapshots: %w", err)
	}
	return to, nil
}

// Intact returns the snapshots whose files are whole, the newest first. It reads all of every file.
func (s *Snapshots) Intact() ([]Snapshot, error) {
	names, err := s.names(snapSuffix)
	if err != nil {
		return nil, err
	}
	var list []Snapshot
	for _, name := range slices.Backward(names) {
		if sn, ok := s.inspect(name); ok {
			list = append(list, sn)
		}
	}
	return list, nil
}

// inspect reads a file that bears the name of a snapshot. What cannot be read is not whole.
func (s *Snapshots) inspect(name string) (sn Snapshot, ok bool) {
	path := filepath.Join(s.dir, name)
	index, term, sum, ok := parseSnapName(name)
	if !ok {
		return sn, false
	}
	st, err := s.fs.Stat(path)
	if err != nil {
		return sn, false
	}
	r, meta, err := openSnapReader(s.fs, path)
	if err != nil {
		return sn, false
	}
	closeQuietly(r)
	sn = Snapshot{Meta: meta, Name: name, Size: st.Size, Sum: sum}
	return sn, meta.Index == index && meta.Term == term && verifySnapshot(s.fs, path, sn) == nil
}
