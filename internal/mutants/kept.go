package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// answer is what one oracle said about one mutant.
type answer struct {
	Key    string        `json:"key"`
	Mutant string        `json:"mutant"` // "" for the tree without any; only for who reads the file
	Oracle string        `json:"oracle"` // likewise
	Test   string        `json:"test"`   // the first that failed; "" if none did
	CPU    time.Duration `json:"cpu"`
	Commit string        `json:"commit"` // of the tree that was copied, as git describes it
}

// kept holds the answers of earlier runs, so that an interrupted run goes on where it ended. An answer depends on the
// mutant's text, on the oracle's line and limit, and on the sources of the oracle's tests and of all they use; it is found
// again while these are what they were, whatever else has changed in the tree.
type kept struct {
	answers map[string]answer
	alone   bool     // nothing else is asked
	file    *os.File // answers, one JSON object a line; nil: they are forgotten with the process
}

// openKept reads path, "" for none. What a run wrote of a line when it was ended is cut off.
func openKept(path string) (*kept, error) {
	k := &kept{answers: map[string]answer{}}
	if path == "" {
		return k, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("kept answers: %w", err)
	}
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("kept answers: %w", err)
	}
	whole := text[:bytes.LastIndexByte(text, '\n')+1]
	for line := range bytes.Lines(whole) {
		var a answer
		if err := json.Unmarshal(line, &a); err != nil {
			return nil, fmt.Errorf("kept answers: %s: %w", path, err)
		}
		k.answers[a.Key] = a
	}
	if k.file, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644); err != nil {
		return nil, fmt.Errorf("kept answers: %w", err)
	}
	if err := k.file.Truncate(int64(len(whole))); err != nil {
		return nil, fmt.Errorf("kept answers: %w", err)
	}
	return k, nil
}

// put keeps a.
func (k *kept) put(a answer) error {
	k.answers[a.Key] = a
	if k.file == nil {
		return nil
	}
	line, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("kept answers: %w", err)
	}
	if _, err := k.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("kept answers: %w", err)
	}
	return nil
}

func (k *kept) close() error {
	if k.file == nil {
		return nil
	}
	return k.file.Close()
}

// key is what the answer of an oracle about m depends on; m is nil for the tree without any mutant.
func key(m *mutant, print [sha256.Size]byte) string {
	h := sha256.New()
	h.Write(print[:])
	if m != nil {
		fmt.Fprintf(h, "%q %q %q", m.file, m.before, m.now)
	}
	return hex.EncodeToString(h.Sum(nil))
}
