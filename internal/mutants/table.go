package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// oracle is a package of tests that may notice a mutant.
type oracle struct {
	name string
	pkg  string   // as for go test, from the root
	args []string // of the test binary
}

// mutant is one planted bug.
type mutant struct {
	name, file  string
	rows        string   // of the list of bugs that other implementations had
	says        string   // what goes wrong
	first       []string // oracles that are asked before the others; they know more of what it breaks
	before, now []byte   // text of file
}

// table is what mutants.txt holds.
type table struct {
	oracles []oracle
	mutants []mutant
}

// parse reads lines of these forms; blocks end with an empty line, # begins a comment:
//
//	oracle NAME PACKAGE [ARGUMENTS OF THE TEST BINARY]
//
//	mutant NAME
//	file PATH
//	rows 2 8
//	says what goes wrong
//	first ORACLE ...
//	-a line that goes
//	+a line that comes
//	 a line that stays
func parse(text string) (*table, error) {
	t := &table{}
	var m *mutant
	for i, line := range strings.Split(text, "\n") {
		wrong := func(what string) error { return fmt.Errorf("line %d: %s: %q", i+1, what, line) }
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "":
			m = nil
		case line[0] == '#':
		case m != nil && strings.ContainsRune("-+ ", rune(line[0])):
			if line[0] != '+' {
				m.before = append(append(m.before, line[1:]...), '\n')
			}
			if line[0] != '-' {
				m.now = append(append(m.now, line[1:]...), '\n')
			}
		case word == "oracle":
			f := strings.Fields(rest)
			if len(f) < 2 {
				return nil, wrong("an oracle has a name and a package")
			}
			t.oracles = append(t.oracles, oracle{name: f[0], pkg: f[1], args: f[2:]})
		case word == "mutant":
			t.mutants = append(t.mutants, mutant{name: rest})
			m = &t.mutants[len(t.mutants)-1]
		case m == nil:
			return nil, wrong("no mutant to belong to")
		case word == "file":
			m.file = rest
		case word == "rows":
			m.rows = rest
		case word == "says":
			m.says = rest
		case word == "first":
			m.first = strings.Fields(rest)
		default:
			return nil, wrong("unknown line")
		}
	}
	return t, t.valid()
}

func (t *table) valid() error {
	if len(t.oracles) == 0 || len(t.mutants) == 0 {
		return errors.New("no oracles or no mutants")
	}
	var names, oracles []string
	for i := range t.oracles {
		oracles = append(oracles, t.oracles[i].name)
	}
	for _, m := range t.mutants {
		switch {
		case m.name == "" || slices.Contains(names, m.name):
			return fmt.Errorf("mutant %q: the name is not its own", m.name)
		case m.file == "" || m.says == "" || len(m.before) == 0 || bytes.Equal(m.before, m.now):
			return fmt.Errorf("mutant %s: file, says or change is missing", m.name)
		case slices.ContainsFunc(m.first, func(name string) bool { return !slices.Contains(oracles, name) }):
			return fmt.Errorf("mutant %s: no such oracle: %q", m.name, m.first)
		}
		names = append(names, m.name)
	}
	return nil
}

// order returns the oracles as they are asked about m.
func (m *mutant) order(oracles []oracle) []oracle {
	own := func(o oracle) bool { return slices.Contains(m.first, o.name) }
	rest := slices.DeleteFunc(slices.Clone(oracles), own)
	return append(slices.DeleteFunc(slices.Clone(oracles), func(o oracle) bool { return !own(o) }), rest...)
}

// apply returns the text with the mutant in it. The old text must be there exactly once, as whole lines.
func (m *mutant) apply(text []byte) ([]byte, error) {
	whole := append([]byte{'\n'}, text...)
	old := append([]byte{'\n'}, m.before...)
	if n := bytes.Count(whole, old); n != 1 {
		return nil, fmt.Errorf("mutant %s: its old text is %d times in %s, not once", m.name, n, m.file)
	}
	return bytes.Replace(whole, old, append([]byte{'\n'}, m.now...), 1)[1:], nil
}

// plant changes the file under root and returns what it held.
func (m *mutant) plant(root string) ([]byte, error) {
	path := filepath.Join(root, m.file)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("mutant %s: %w", m.name, err)
	}
	mutated, err := m.apply(text)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, mutated, 0o644); err != nil {
		return nil, fmt.Errorf("mutant %s: %w", m.name, err)
	}
	return text, nil
}
