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
	root   string // of the copy
	bin    string // for test binaries
	limit  int    // CPU seconds of one oracle
	commit string // of the tree that was copied
	kept   *kept
	clean  map[string]clean // by the oracle's name
}

// clean is what an oracle is without any mutant.
type clean struct {
	binary [sha256.Size]byte
	print  [sha256.Size]byte // of all that its answers depend on
	uses   map[string]bool   // directories of the tree, from the root, whose packages are in it
}

// verdict says who noticed a mutant.
type verdict struct {
	mutant *mutant
	oracle string // "" if nobody did
	test   string // the first that failed
	cpu    time.Duration
	commit string // of the tree in which that was found out
}

// skipped directories hold nothing that a test needs.
var skipped = []string{".git", "bin", "kvapp-dev", "bench-out", "node_modules"}

// newLab copies the tree under root into dir.
func newLab(root, dir string, limit int, k *kept) (*lab, error) {
	l := &lab{root: filepath.Join(dir, "tree"), bin: filepath.Join(dir, "bin"), limit: limit, kept: k, clean: map[string]clean{}}
	l.commit = commit(root)
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
	path := filepath.Join(l.bin, strings.ReplaceAll(filepath.ToSlash(filepath.Clean(o.pkg)), "/", "-")+".test")
	// What only debuggers read takes a third of the time.
	cmd := exec.Command("go", "test", "-c", "-trimpath", "-ldflags=-s -w", "-o", path, o.pkg)
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

// uses returns the directories whose packages are in the tests of o.
func (l *lab) uses(o *oracle) (map[string]bool, error) {
	cmd := exec.Command("go", "list", "-deps", "-test", "-f", "{{with .Module}}{{.Path}}{{end}} {{.ImportPath}}", o.pkg)
	cmd.Dir = l.root
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list what %s uses: %w", o.pkg, err)
	}
	dirs := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line) // a package that is built for the tests has a third word
		if len(f) < 2 {
			continue
		}
		if dir, ok := strings.CutPrefix(f[1], f[0]+"/"); ok {
			dirs[filepath.FromSlash(dir)] = true
		}
	}
	return dirs, nil
}

// print is of all that the answers of o depend on but the mutant: its line and limit, its tests and all that is in them,
// and the files that they read.
func (l *lab) print(o *oracle, binary [sha256.Size]byte) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %d %x", o.pkg, o.args, l.limit, binary)
	data := filepath.Join(l.root, o.pkg, "testdata")
	err = filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%q %x", strings.TrimPrefix(path, data), sha256.Sum256(text))
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return sum, fmt.Errorf("what %s reads: %w", o.pkg, err)
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// commit names what is checked out under root; "-dirty" behind it says that files were changed since.
func commit(root string) string {
	cmd := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return "without a name"
	}
	return strings.TrimSpace(string(out))
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
		c := clean{binary: sum}
		if c.uses, err = l.uses(o); err != nil {
			return err
		}
		if c.print, err = l.print(o, sum); err != nil {
			return err
		}
		l.clean[o.name] = c
		if _, ok := l.kept.answers[key(nil, c.print)]; ok {
			continue
		}
		test, cpu, output, err := l.ask(o, binary)
		if err != nil {
			return err
		}
		if test != "" || !bytes.HasSuffix(bytes.TrimSpace(output), []byte("PASS")) {
			return fmt.Errorf("%s does not pass without any mutant: %s after %v\n%s", o.name, test, cpu, output)
		}
		if err := l.kept.put(answer{Key: key(nil, c.print), Oracle: o.name, CPU: cpu, Commit: l.commit}); err != nil {
			return err
		}
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
		c := l.clean[o.name]
		if c.uses != nil && !c.uses[filepath.Dir(m.file)] {
			continue // the mutant is not in there
		}
		a, ok := l.kept.answers[key(m, c.print)]
		if !ok {
			if a, err = l.answer(m, o); err != nil {
				return v, fmt.Errorf("mutant %s: %w", m.name, err)
			}
		}
		v.commit = a.Commit
		if a.Test != "" {
			v.oracle, v.test, v.cpu = o.name, a.Test, a.CPU
			return v, nil
		}
	}
	return v, nil
}

// answer is what o says about the tree, in which m is planted; it is kept.
func (l *lab) answer(m *mutant, o *oracle) (answer, error) {
	c := l.clean[o.name]
	a := answer{Key: key(m, c.print), Mutant: m.name, Oracle: o.name, Commit: l.commit}
	binary, sum, err := l.build(o)
	if err != nil {
		return a, err
	}
	if sum != c.binary { // else the linker left out what m changes
		if a.Test, a.CPU, _, err = l.ask(o, binary); err != nil {
			return a, err
		}
	}
	return a, l.kept.put(a)
}
