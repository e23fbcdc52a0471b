package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// writePid writes this process' id to the file name, making its directory. "" means no file.
func writePid(name string) error {
	if name == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("pidfile: %w", err)
	}
	if err := os.WriteFile(name, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		return fmt.Errorf("pidfile: %w", err)
	}
	return nil
}

// removePid removes the file unless another process has put its own id there. After a kill -9 the file stays, as
// Redis' does.
func removePid(name string) error {
	if name == "" {
		return nil
	}
	if pid, err := readPid(name); err != nil || pid != os.Getpid() {
		return nil
	}
	return os.Remove(name)
}

// readPid returns the process id that stands in the file name.
func readPid(name string) (int, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}
