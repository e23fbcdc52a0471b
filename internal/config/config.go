package config

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Kind says how a value is parsed.
type Kind uint8

// The kinds of settings.
const (
	String  Kind = iota
	Bool         // yes or no
	Int          // decimal, within the row's limits
	Memory       // bytes, with Redis' units: k, kb, m, mb, g, gb
	Enum         // one word of the row's list
	Buffers      // client-output-buffer-limit: class hard soft seconds, repeated
	Events       // notify-keyspace-events: letters of classes
	Saves        // save: seconds and changes, repeated
)

// Setting is one row of the table.
type Setting struct {
	name     string
	kind     Kind
	def      string
	allowed  string // Enum: the words
	min, max int64  // Int, Memory: the range; max 0 = no upper limit
	fixed    bool   // may not change while the server runs
	kept     bool   // the same, but setting it to the value it has is no error: Redis can change it
	multi    bool   // several words: several arguments on a line of the file; Enum: each is one of allowed
	constant bool   // what the server does anyway: another value at start-up is accepted and not kept
	refused  string // why no other value than the default is accepted: ignoring it would weaken or change too much
	doc      string // one line for --help; empty for settings that only exist because Redis has them
}

// Name of the setting, as in CONFIG GET.
func (s *Setting) Name() string { return s.name }

// Default value.
func (s *Setting) Default() string { return s.def }

// Doc is one line for --help, empty for a setting that is accepted and kept but has no effect here.
func (s *Setting) Doc() string { return s.doc }

// ErrUnknown, ErrFixed and ErrInvalid are what a change can fail with; they come wrapped in an *Error.
var (
	ErrUnknown = errors.New("unknown option")
	ErrFixed   = errors.New("can't set immutable config")
	ErrTwice   = errors.New("duplicate parameter")
)

// Error names the setting that a change failed on.
type Error struct {
	Name string
	Err  error
}

func (e *Error) Error() string { return e.Name + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Settings are the values in effect.
type Settings struct {
	mu       sync.RWMutex
	values   map[string]string // by canonical name; every table row has one
	ignored  map[string]bool   // settings without effect here that were set to something else at start-up
	watchers []func(name string)
}

// New returns the defaults.
func New() *Settings {
	s := &Settings{values: make(map[string]string, len(table)), ignored: make(map[string]bool)}
	for i := range table {
		s.values[table[i].name] = table[i].def
	}
	return s
}

// Lookup finds a setting by its name or an alias, nil if there is none. Names are case-insensitive.
func Lookup(name string) *Setting {
	name = strings.ToLower(name)
	if to, ok := aliases[name]; ok {
		name = to
	}
	i, ok := slices.BinarySearchFunc(table, name, func(s Setting, n string) int { return strings.Compare(s.name, n) })
	if !ok {
		return nil
	}
	return &table[i]
}

// Get returns the value of a setting, "" for an unknown one.
func (s *Settings) Get(name string) string {
	row := Lookup(name)
	if row == nil {
		return ""
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.values[row.name]
}

// Known says whether there is such a setting, or an alias for one.
func (s *Settings) Known(name string) bool { return Lookup(name) != nil }

// Int returns a number; bytes for Memory settings.
func (s *Settings) Int(name string) int64 {
	n, err := strconv.ParseInt(s.Get(name), 10, 64)
	if err != nil {
		return 0 // only settings of another kind
	}
	return n
}

// Bool reports whether a setting is "yes".
func (s *Settings) Bool(name string) bool { return s.Get(name) == "yes" }

// Words returns the values of a setting that holds several.
func (s *Settings) Words(name string) []string { return strings.Fields(s.Get(name)) }

// Set changes a setting at start-up: fixed ones too.
func (s *Settings) Set(name, value string) error {
	row := Lookup(name)
	if row == nil {
		return &Error{name, ErrUnknown}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v, err := row.next(s.values[row.name], value)
	if err != nil {
		return &Error{name, err}
	}
	delete(s.ignored, row.name)
	if row.doc == "" && v != row.def {
		s.ignored[row.name] = true
	}
	if !row.constant {
		s.values[row.name] = v
	}
	return nil
}

// next returns the value to keep when value is set over old.
func (s *Setting) next(old, value string) (string, error) {
	v, err := s.parse(value)
	switch {
	case err != nil:
		return "", err
	case s.refused != "" && v != s.def:
		return "", errors.New(s.refused)
	case s.kind == Buffers:
		return mergeBuffers(old, v), nil
	}
	return v, nil
}

// Ignored returns the settings that were given at start-up and have no effect on this server, in order of their names.
func (s *Settings) Ignored() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.ignored))
}

// SetMany changes settings while the server runs: all or none. The *Error of the first one that fails is returned. A
// name may stand once; of a name and its alias the last one counts.
func (s *Settings) SetMany(pairs [][2]string) error {
	next := make(map[string]string, len(pairs))
	named := make(map[string]bool, len(pairs))
	for _, p := range pairs {
		row := Lookup(p[0])
		if row == nil {
			return &Error{p[0], ErrUnknown}
		}
		name := strings.ToLower(p[0])
		if named[name] {
			return &Error{p[0], ErrTwice}
		}
		named[name] = true
		if row.fixed {
			return &Error{p[0], ErrFixed}
		}
		v, err := row.next(s.Get(row.name), p[1])
		if err != nil {
			return &Error{p[0], err}
		}
		if row.kept && v != s.Get(row.name) {
			return &Error{p[0], ErrFixed}
		}
		next[row.name] = v
	}
	s.mu.Lock()
	for name, v := range next {
		s.values[name] = v
	}
	watchers := slices.Clone(s.watchers)
	s.mu.Unlock()
	for name := range next {
		for _, w := range watchers {
			w(name)
		}
	}
	return nil
}

// OnChange registers f; it is called after each change by SetMany, on the goroutine that made it.
func (s *Settings) OnChange(f func(name string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers = append(s.watchers, f)
}

// Match returns name and value of every setting, aliases included, whose name matches the glob pattern, in order of
// the name. Names hold no slash, so path.Match reads patterns as Redis does; a malformed one matches nothing.
func (s *Settings) Match(pattern string) [][2]string {
	var out [][2]string
	pattern = strings.ToLower(pattern)
	for _, n := range Names() {
		if ok, err := path.Match(pattern, n); err == nil && ok {
			out = append(out, [2]string{n, s.Get(n)})
		}
	}
	return out
}

// Names returns every name, aliases included, sorted.
func Names() []string {
	names := make([]string, 0, len(table)+len(aliases))
	for i := range table {
		names = append(names, table[i].name)
	}
	for a := range aliases {
		names = append(names, a)
	}
	slices.Sort(names)
	return names
}

// Suggest returns the known name nearest to an unknown one, "" if none is near.
func Suggest(unknown string) string {
	best, dist := "", 4
	for _, n := range Names() {
		if d := distance(strings.ToLower(unknown), n); d < dist {
			best, dist = n, d
		}
	}
	return best
}

// distance is the number of edits between two names.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diag
			if a[i-1] != b[j-1] {
				cost++
			}
			diag = row[j]
			row[j] = min(row[j]+1, row[j-1]+1, cost)
		}
	}
	return row[len(b)]
}

// parse checks a value and returns it in the form in which it is kept. The texts are those of CONFIG SET.
func (s *Setting) parse(v string) (string, error) {
	switch s.kind {
	case Bool:
		switch strings.ToLower(v) {
		case "yes", "no":
			return strings.ToLower(v), nil
		}
		return "", errors.New("argument must be 'yes' or 'no'")
	case Int:
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return "", errors.New("argument couldn't be parsed into an integer")
		}
		return s.limit(n)
	case Memory:
		n, err := ParseMemory(v)
		if err != nil {
			return "", err
		}
		return s.limit(n)
	case Enum:
		return s.parseWords(v)
	case Buffers:
		return parseBuffers(v)
	case Events:
		return parseEvents(v)
	case Saves:
		return parseSaves(v)
	}
	return v, nil
}

// parseWords reads one word of the list, or several where the setting holds several.
func (s *Setting) parseWords(v string) (string, error) {
	allowed, given := strings.Fields(s.allowed), []string{strings.ToLower(v)}
	if s.multi {
		given = strings.Fields(given[0])
	}
	for _, w := range given {
		if !slices.Contains(allowed, w) {
			given = nil
			break
		}
	}
	if len(given) == 0 {
		return "", fmt.Errorf("argument(s) must be one of the following: %s", strings.Join(allowed, ", "))
	}
	return strings.Join(given, " "), nil
}

func (s *Setting) limit(n int64) (string, error) {
	if n < s.min || s.max != 0 && n > s.max {
		high := s.max
		if high == 0 {
			high = 1<<63 - 1
		}
		return "", fmt.Errorf("argument must be between %d and %d inclusive", s.min, high)
	}
	return strconv.FormatInt(n, 10), nil
}

// ParseMemory reads bytes with Redis' units: k = 1000, kb = 1024, and so on.
func ParseMemory(v string) (int64, error) {
	s := strings.ToLower(v)
	unit := int64(1)
	for _, u := range []struct {
		suffix string
		bytes  int64
	}{{"kb", 1 << 10}, {"mb", 1 << 20}, {"gb", 1 << 30}, {"k", 1e3}, {"m", 1e6}, {"g", 1e9}, {"b", 1}} {
		if cut, ok := strings.CutSuffix(s, u.suffix); ok {
			s, unit = cut, u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > (1<<63-1)/unit {
		return 0, errors.New("argument must be a memory value")
	}
	return n * unit, nil
}

// Buffer is the output limit of one class of clients; 0 = no limit.
type Buffer struct {
	Hard, Soft  int64 // bytes
	SoftSeconds int64
}

var bufferClasses = []string{"normal", "slave", "pubsub"}

// Buffers returns client-output-buffer-limit of a class: normal, slave or pubsub.
func (s *Settings) Buffers(class string) Buffer {
	f := strings.Fields(s.Get("client-output-buffer-limit"))
	for ; len(f) >= 4; f = f[4:] {
		if f[0] == class {
			var n [3]int64
			for i := range n {
				n[i], _ = strconv.ParseInt(f[i+1], 10, 64) // checked when it was set
			}
			return Buffer{n[0], n[1], n[2]}
		}
	}
	return Buffer{}
}

func parseBuffers(v string) (string, error) {
	f := strings.Fields(v)
	if len(f) == 0 || len(f)%4 != 0 {
		return "", errors.New("Wrong number of arguments in buffer limit configuration.")
	}
	var out []string
	for ; len(f) >= 4; f = f[4:] {
		class := strings.ToLower(f[0])
		if class == "replica" {
			class = "slave"
		}
		if !slices.Contains(bufferClasses, class) {
			return "", errors.New("Invalid client class specified in buffer limit configuration.")
		}
		hard, err1 := ParseMemory(f[1])
		soft, err2 := ParseMemory(f[2])
		secs, err3 := strconv.ParseInt(f[3], 10, 64)
		if err1 != nil || err2 != nil || err3 != nil || secs < 0 {
			return "", errors.New("Error in hard, soft or soft_seconds setting in buffer limit configuration.")
		}
		out = append(out, fmt.Sprintf("%s %d %d %d", class, hard, soft, secs))
	}
	return strings.Join(out, " "), nil
}

// mergeBuffers replaces the classes of change in old.
func mergeBuffers(old, change string) string {
	get := func(text, class string) string {
		f := strings.Fields(text)
		for ; len(f) >= 4; f = f[4:] {
			if f[0] == class {
				return strings.Join(f[:4], " ")
			}
		}
		return ""
	}
	var out []string
	for _, c := range bufferClasses {
		row := get(change, c)
		if row == "" {
			row = get(old, c)
		}
		if row != "" {
			out = append(out, row)
		}
	}
	return strings.Join(out, " ")
}
