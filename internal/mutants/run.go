package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// lab is a copy of the tree in which mutants live.
type lab struct {
	root  string // of the copy
	bin   string // for test binaries
	limit int    // CPU seconds of one oracle
	clean map[string][sha256.Size]byte
}

// verdict says who noticed a mutant.
type verdict struct {
	mutant *mutant
	oracle string // "" if nobody did
	test   string // the first that failed
	cpu    time.Duration
}

// skipped directories hold nothing that a test needs.
var skipped = []string{".git", "bin", "kvapp-dev", "bench-out", "node_modules"}

// newLab copies the tree under root into dir.
func newLab(root, dir string, limit int) (*lab, error) {
	l := &lab{root: filepath.Join(dir, "tree"), bin: filepath.Join(dir, "bin"), limit: limit, clean: map[string][sha256.Size]byte{}}
	if err := os.Mkdir(l.bin, 0o755); err != nil {
		return nil, fmt.Errorf("copy the tree: %w", err)
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && slices.Contains(skipped, d.Name()) {
			return filepath.SkipDir
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		to := filepath.Join(l.root, name)
		if d.IsDir() {
			return os.Mkdir(to, 0o755)
		}
		text, err := os.ReadFile(path)
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		return os.WriteFile(to, text, 0o644)
	})
	if err != nil {
		return nil, fmt.Errorf("copy the tree: %w", err)
	}
	return l, nil
}

// build makes the test binary of o and returns its path and what it holds. Equal sources give equal bytes.
func (l *lab) build(o *oracle) (string, [sha256.Size]byte, error) {
	var sum [sha256.Size]byte
	path := filepath.Join(l.bin, o.name+".test")
	cmd := exec.Command("go", "test", "-c", "-trimpath", "-o", path, o.pkg)
	cmd.Dir = l.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", sum, fmt.Errorf("build %s: %w\n%s", o.pkg, err, out)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", sum, fmt.Errorf("build %s: %w", o.pkg, err)
	}
	return path, sha256.Sum256(text), nil
}

var failed = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// firstFailed is the name of the test that failed first; of tests within tests, the innermost.
func firstFailed(output []byte) string {
	name := ""
	for _, m := range failed.FindAllSubmatch(output, -1) {
		if next := string(m[1]); name == "" || strings.HasPrefix(next, name+"/") {
			name = next
		}
	}
	if name == "" {
		return "a panic"
	}
	return name
}

// ask runs the tests of o. It returns the first that failed, "" if none did in time.
func (l *lab) ask(o *oracle, binary string) (test string, cpu time.Duration, output []byte, err error) {
	args := []string{"-c", `ulimit -t "$0" && exec "$@"`, strconv.Itoa(l.limit), binary}
	args = append(args, o.args...)
	// Waiting takes no CPU: a test that hangs is ended by this.
	args = append(args, "-test.timeout="+(time.Duration(l.limit)*10*time.Second).String())
	cmd := exec.Command("sh", args...)
	cmd.Dir = filepath.Join(l.root, o.pkg)
	output, err = cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		return "", 0, output, fmt.Errorf("run %s: %w", o.pkg, err)
	}
	cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	// At its limit the process is killed; then, as at the end of its timeout, no test has failed.
	late := cmd.ProcessState.ExitCode() < 0 || bytes.Contains(output, []byte("panic: test timed out"))
	var exit *exec.ExitError
	switch {
	case err == nil || late:
		return "", cpu, output, nil
	case !errors.As(err, &exit):
		return "", cpu, output, fmt.Errorf("run %s: %w", o.pkg, err)
	}
	return firstFailed(output), cpu, output, nil
}

// check asks every oracle about the tree as it is: none may fail, or take too long.
func (l *lab) check(oracles []oracle) error {
	for i := range oracles {
		o := &oracles[i]
		binary, sum, err := l.build(o)
		if err != nil {
			return err
		}
		test, cpu, output, err := l.ask(o, binary)
		if err != nil {
			return err
		}
		if test != "" || !bytes.HasSuffix(bytes.TrimSpace(output), []byte("PASS")) {
			return fmt.Errorf("%s does not pass without any mutant: %s after %v\n%s", o.name, test, cpu, output)
		}
		l.clean[o.name] = sum
	}
	return nil
}

// try plants m, asks the oracles in their order until one notices, and takes m away again.
func (l *lab) try(m *mutant, oracles []oracle) (v verdict, err error) {
	text, err := m.plant(l.root)
	if err != nil {
		return v, err
	}
	defer func() { err = errors.Join(err, os.WriteFile(filepath.Join(l.root, m.file), text, 0o644)) }()
	v = verdict{mutant: m}
	for i := range oracles {
		o := &oracles[i]
		binary, sum, err := l.build(o)
		if err != nil {
			return v, fmt.Errorf("mutant %s: %w", m.name, err)
		}
		if sum == l.clean[o.name] {
			continue // the mutant is not in there
		}
		test, cpu, _, err := l.ask(o, binary)
		if err != nil {
			return v, fmt.Errorf("mutant %s: %w", m.name, err)
		}
		if test != "" {
			v.oracle, v.test, v.cpu = o.name, test, cpu
			return v, nil
		}
	}
	return v, nil
}
