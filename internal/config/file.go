package config

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kvapp/internal/words"
)

// maxIncludes is how deep files may include each other; deeper is a circle.
const maxIncludes = 16

// Assign sets a value at start-up. source names where it was found and starts the error: a flag, an environment
// variable, a line of a file. An unknown name is answered with the nearest known one.
func (s *Settings) Assign(source, name, value string) error {
	err := s.Set(name, value)
	if errors.Is(err, ErrUnknown) {
		return Unknown(source, name)
	}
	var bad *Error
	if errors.As(err, &bad) {
		return fmt.Errorf("%s = %q: %w", source, value, bad.Err)
	}
	return err
}

// Unknown is the error for a name that is no setting.
func Unknown(source, name string) error {
	if near := Suggest(name); near != "" {
		return fmt.Errorf("%s: unknown setting, did you mean %q?", source, near)
	}
	return fmt.Errorf("%s: unknown setting", source)
}

// EnvPrefix begins the environment variables that are settings.
const EnvPrefix = "KVAPP_"

// LoadEnv assigns the variables of environ (NAME=value) that begin with EnvPrefix; dashes are underscores there.
func (s *Settings) LoadEnv(environ []string) error {
	for _, e := range environ {
		key, value, _ := strings.Cut(e, "=")
		name, ok := strings.CutPrefix(key, EnvPrefix)
		if !ok {
			continue
		}
		name = strings.ToLower(name)
		if Lookup(name) == nil { // a few of Redis' own names have underscores
			name = strings.ReplaceAll(name, "_", "-")
		}
		if err := s.Assign("environment variable "+key, name, value); err != nil {
			return err
		}
	}
	return nil
}

// LoadFile assigns the lines of a file in the syntax of redis.conf: a name and its values, separated by blanks; values
// may be quoted; # begins a comment line; include names further files, as a glob pattern too, and what comes later
// wins. Names of files are relative to the working directory, as in Redis.
func (s *Settings) LoadFile(name string) error { return s.loadFile(name, 0) }

func (s *Settings) loadFile(name string, depth int) error {
	if depth > maxIncludes {
		return fmt.Errorf("%s: more than %d files include each other", name, maxIncludes)
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	err = s.loadLines(f, name, depth)
	return errors.Join(err, f.Close())
}

func (s *Settings) loadLines(r io.Reader, name string, depth int) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		at := fmt.Sprintf("%s line %d", name, n)
		line := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if line == "" || line[0] == '#' {
			continue
		}
		list, ok := words.Split([]byte(line))
		if !ok {
			return fmt.Errorf("%s: unbalanced quotes", at)
		}
		if err := s.loadLine(at, list, depth); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (s *Settings) loadLine(at string, list [][]byte, depth int) error {
	key := strings.ToLower(string(list[0]))
	at += ": " + string(list[0])
	var values []string
	for _, v := range list[1:] {
		values = append(values, string(v))
	}
	if why, ok := unsupported[key]; ok {
		return fmt.Errorf("%s: %s", at, why)
	}
	if key == "include" {
		if len(values) != 1 {
			return fmt.Errorf("%s: wrong number of arguments", at)
		}
		return s.include(at, values[0], depth)
	}
	row := Lookup(key)
	switch {
	case row == nil:
		return s.Assign(at, key, "")
	case len(values) == 0 || len(values) > 1 && !row.multi:
		return fmt.Errorf("%s: wrong number of arguments", at)
	}
	return s.Assign(at, key, strings.Join(values, " "))
}

// include loads the files that a pattern names, in order of their names. A plain name must exist; a pattern may match
// nothing.
func (s *Settings) include(at, pattern string, depth int) error {
	files := []string{pattern}
	if strings.ContainsAny(pattern, "*?[") {
		var err error
		if files, err = filepath.Glob(pattern); err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		slices.Sort(files)
	}
	for _, f := range files {
		if err := s.loadFile(f, depth+1); err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
	}
	return nil
}
