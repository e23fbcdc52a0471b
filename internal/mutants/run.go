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
	woven  *weft
	clean  map[string]clean           // by the oracle's name
	deps   map[string]map[string]bool // directories of the tree, from the root, whose packages are in an oracle's, by that
}

// clean is what an oracle is without any mutant.
type clean struct {
	binary [sha256.Size]byte
	print  [sha256.Size]byte // of all that its answers depend on
}

// verdict says who noticed a mutant.
type verdict struct {
	mutant *mutant
	oracle string // "" if nobody did
	test   string // the first that failed
	cpu    time.Duration
	commit string // of the tree in which that was found out
	open   bool   // it was not: kept answers alone do not tell
}

// skipped directories hold nothing that a test needs.
var skipped = []string{".git", "bin", "kvapp-dev", "bench-out", "node_modules", "rapid"}

// weft is the tree that all mutants are in that can be woven.
type weft struct {
	lab     *lab // of that tree: it builds, and it asks
	numbers map[string]int
	// built are the binaries of oracles, "" for those whose tests fail there without any mutant.
	built map[string]string
	// sound are the tests that pass there without any mutant, after the name of the oracle.
	sound map[string]bool
}

// newLab copies the tree under root into dir, twice: the mutants are woven into the second.
func newLab(root, dir string, limit int, k *kept, mutants []mutant) (*lab, error) {
	l, err := copied(root, dir, limit, k)
	if err != nil {
		return nil, err
	}
	second := filepath.Join(dir, "woven")
	if err := os.Mkdir(second, 0o755); err != nil {
		return nil, fmt.Errorf("copy the tree: %w", err)
	}
	w := &weft{built: map[string]string{}, sound: map[string]bool{}}
	if w.lab, err = copied(root, second, limit, k); err != nil {
		return nil, err
	}
	if w.numbers, err = weave(w.lab.root, mutants); err != nil {
		return nil, err
	}
	l.woven = w
	return l, nil
}

// copied copies the tree under root into dir.
func copied(root, dir string, limit int, k *kept) (*lab, error) {
	l := &lab{
		root: filepath.Join(dir, "tree"), bin: filepath.Join(dir, "bin"), limit: limit, commit: commit(root), kept: k,
		clean: map[string]clean{}, deps: map[string]map[string]bool{},
	}
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
	cmd.Env = append(os.Environ(), "GOGC=400") // of the compiler: it takes a quarter less time
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
	if dirs, ok := l.deps[o.pkg]; ok {
		return dirs, nil
	}
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
	l.deps[o.pkg] = dirs
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

// nameless stands for the test that was running when the process ended.
const nameless = "a panic"

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
		return nameless
	}
	return name
}

// ask runs the tests of o, with the mutant of a number if it is woven in. It returns the first that failed, "" if none did in time.
func (l *lab) ask(o *oracle, binary string, number int, more ...string) (test string, cpu time.Duration, output []byte, err error) {
	args := []string{"-c", `ulimit -t "$0" && exec "$@"`, strconv.Itoa(l.limit), binary}
	args = append(append(args, o.args...), more...)
	// Waiting takes no CPU: a test that hangs is ended by this.
	args = append(args, "-test.timeout="+(time.Duration(l.limit)*10*time.Second).String())
	cmd := exec.Command("sh", args...)
	cmd.Dir = filepath.Join(l.root, o.pkg)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", chosen, number))
	output, err = cmd.CombinedOutput()
	// What pgregory.net/rapid found out with one mutant would be tried with the next.
	if err := os.RemoveAll(filepath.Join(cmd.Dir, "testdata", "rapid")); err != nil {
		return "", 0, output, fmt.Errorf("run %s: %w", o.pkg, err)
	}
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

// check asks an oracle about the tree as it is, once: it must not fail, or take too long. REQUIRES: no mutant is planted.
func (l *lab) check(o *oracle) (clean, error) {
	c, ok := l.clean[o.name]
	if ok {
		return c, nil
	}
	binary, sum, err := l.build(o)
	if err != nil {
		return c, err
	}
	c.binary = sum
	if c.print, err = l.print(o, sum); err != nil {
		return c, err
	}
	if _, ok := l.kept.answers[key(nil, c.print)]; !ok && !l.kept.alone {
		test, cpu, output, err := l.ask(o, binary, 0)
		if err != nil {
			return c, err
		}
		if test != "" || !bytes.HasSuffix(bytes.TrimSpace(output), []byte("PASS")) {
			return c, fmt.Errorf("%s does not pass without any mutant: %s after %v\n%s", o.name, test, cpu, output)
		}
		if err := l.kept.put(answer{Key: key(nil, c.print), Oracle: o.name, CPU: cpu, Commit: l.commit}); err != nil {
			return c, err
		}
	}
	l.clean[o.name] = c
	return c, nil
}

// try asks the oracles about m in their order until one notices.
func (l *lab) try(m *mutant, oracles []oracle) (v verdict, err error) {
	v = verdict{mutant: m}
	for _, one := range m.order(oracles) {
		o := &one
		uses, err := l.uses(o)
		if err != nil {
			return v, err
		}
		if !uses[filepath.Dir(m.file)] {
			continue // the mutant is not in there
		}
		c, err := l.check(o)
		if err != nil {
			return v, err
		}
		a, ok := l.kept.answers[key(m, c.print)]
		if !ok && l.kept.alone {
			v.open = true
			return v, nil
		}
		if !ok {
			if a, err = l.answer(m, o, c); err != nil {
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

// answer is what o, whose tests hold m, says about it. It is kept.
func (l *lab) answer(m *mutant, o *oracle, c clean) (a answer, err error) {
	a = answer{Key: key(m, c.print), Mutant: m.name, Oracle: o.name, Commit: l.commit}
	known := false
	if number := l.woven.numbers[m.name]; number != 0 {
		if a.Test, a.CPU, known, err = l.woven.ask(o, number); err != nil {
			return a, err
		}
	}
	if !known {
		if a.Test, a.CPU, err = l.planted(m, o, c); err != nil {
			return a, err
		}
	}
	return a, l.kept.put(a)
}

// ask asks o about a mutant that is woven in. It reports false if the answer cannot be trusted: there are tests that look at what
// the compiler does with a function.
func (w *weft) ask(o *oracle, number int) (test string, cpu time.Duration, known bool, err error) {
	binary, ok := w.built[o.pkg]
	if !ok {
		if binary, _, err = w.lab.build(o); err != nil {
			binary = "" // a mutant does not compile: whoever plants it alone says which
		}
		w.built[o.pkg] = binary
	}
	if binary == "" {
		return "", 0, false, nil
	}
	test, cpu, _, err = w.lab.ask(o, binary, number)
	if err != nil || test == "" {
		return "", cpu, err == nil, err
	}
	if test == nameless {
		return "", 0, false, nil
	}
	top, _, _ := strings.Cut(test, "/")
	if !w.sound[o.name+" "+top] {
		without, _, _, err := w.lab.ask(o, binary, 0, "-test.run=^"+top+"$")
		if err != nil {
			return "", 0, false, err
		}
		if without != "" {
			w.built[o.pkg] = ""
			return "", 0, false, nil
		}
		w.sound[o.name+" "+top] = true
	}
	return test, cpu, true, nil
}

// planted plants m, asks o, and takes m away again.
func (l *lab) planted(m *mutant, o *oracle, c clean) (test string, cpu time.Duration, err error) {
	text, err := m.plant(l.root)
	if err != nil {
		return "", 0, err
	}
	defer func() { err = errors.Join(err, os.WriteFile(filepath.Join(l.root, m.file), text, 0o644)) }()
	binary, sum, err := l.build(o)
	if err != nil || sum == c.binary { // in the second case the linker left out what m changes
		return "", 0, err
	}
	test, cpu, _, err = l.ask(o, binary, 0)
	return test, cpu, err
}
