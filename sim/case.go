package sim

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Preset says how the options of a world are drawn from its seed.
type Preset uint8

const (
	Any   Preset = iota // see Draw
	Small               // see DrawSmall
	Large               // see DrawLarge
)

var presetNames = [...]string{"seed", "small", "large"}

// Case names a world: what its seed draws, less what shrinking has left out. Its text form, see String, is what the
// command line and testdata/seeds.txt keep.
type Case struct {
	Preset  Preset
	Seed    uint64
	Nodes   int     // 0 = as drawn
	Clients int     // 0 = as drawn
	Keys    int     // 0 = as drawn
	Until   int64   // end of the phase with faults in ns; 0 = as drawn
	Without []class // classes of faults that are left out
	Alone   bool    // no spare nodes
	// Only, with Limited, is everything that may happen by chance while there are faults.
	Limited bool
	Only    []choice
}

// Options returns the options of the world.
func (c *Case) Options() Options {
	var o Options
	switch c.Preset {
	case Small:
		o = DrawSmall(c.Seed)
	case Large:
		o = DrawLarge(c.Seed)
	default:
		o = Draw(c.Seed)
	}
	if c.Nodes > 0 {
		o.Nodes, o.Spares = c.Nodes, min(o.Spares, MaxNodes-c.Nodes)
	}
	if c.Clients > 0 {
		o.Clients = c.Clients
	}
	if c.Keys > 0 {
		o.Keys = c.Keys
	}
	if c.Until > 0 {
		o.Duration = c.Until
	}
	if c.Alone {
		o.Spares = 0
	}
	for _, f := range c.Without {
		o.Odds[f] = 0
	}
	return o
}

// Run runs the world of the case.
func (c *Case) Run(cfg Config) Result {
	w := newWorld(c.Options(), cfg)
	if c.Limited {
		w.only = make(map[choice]struct{}, len(c.Only))
		for _, at := range c.Only {
			w.only[at] = struct{}{}
		}
	}
	return w.run()
}

// String is the case as ParseCase reads it: one line, then one for each thing that is not as drawn.
func (c *Case) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d\n", presetNames[c.Preset], c.Seed)
	for _, n := range []struct {
		name  string
		value int
	}{{"nodes", c.Nodes}, {"clients", c.Clients}, {"keys", c.Keys}} {
		if n.value > 0 {
			fmt.Fprintf(&b, "%s %d\n", n.name, n.value)
		}
	}
	if c.Alone {
		b.WriteString("alone\n")
	}
	if c.Until > 0 {
		fmt.Fprintf(&b, "until %s\n", time.Duration(c.Until))
	}
	if len(c.Without) > 0 {
		b.WriteString("without")
		for _, f := range c.Without {
			b.WriteString(" " + classNames[f])
		}
		b.WriteByte('\n')
	}
	if c.Limited {
		b.WriteString("only\n")
		for _, at := range c.Only {
			fmt.Fprintf(&b, "  %s\n", at)
		}
	}
	return b.String()
}

// ParseCases reads cases; what follows a # in a line is not looked at. A case begins with the name of a preset.
func ParseCases(r io.Reader) ([]Case, error) {
	var cases []Case
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if p := slices.Index(presetNames[:], words[0]); p >= 0 {
			cases = append(cases, Case{Preset: Preset(p)})
		}
		if len(cases) == 0 {
			return nil, fmt.Errorf("line %d: a case begins with one of %v", n, presetNames)
		}
		if err := cases[len(cases)-1].parse(words); err != nil {
			return nil, fmt.Errorf("line %d, %q: %w", n, strings.TrimSpace(line), err)
		}
	}
	return cases, lines.Err()
}

var errCase = errors.New("not a part of a case")

// parse reads one line of a case.
func (c *Case) parse(words []string) (err error) {
	if c.Limited {
		at, err := parseChoice(words)
		c.Only = append(c.Only, at)
		return err
	}
	switch {
	case len(words) == 1 && words[0] == "alone":
		c.Alone = true
		return nil
	case len(words) == 1 && words[0] == "only":
		c.Limited = true
		return nil
	case words[0] == "without":
		for _, name := range words[1:] {
			f := slices.Index(classNames[:], name)
			if f < 0 || class(f) == clients {
				return fmt.Errorf("%w: no class of faults is called %s", errCase, name)
			}
			c.Without = append(c.Without, class(f))
		}
		return nil
	case len(words) != 2:
		return errCase
	}
	switch words[0] {
	case "nodes":
		c.Nodes, err = parseCount(words[1], MaxNodes)
	case "clients":
		c.Clients, err = parseCount(words[1], maxClients)
	case "keys":
		c.Keys, err = parseCount(words[1], maxClients)
	case "until":
		var d time.Duration
		if d, err = time.ParseDuration(words[1]); err == nil && (d <= 0 || d > time.Hour) {
			err = errCase
		}
		c.Until = int64(d)
	case presetNames[c.Preset]:
		c.Seed, err = strconv.ParseUint(words[1], 10, 64)
	default:
		err = errCase
	}
	return err
}

// maxClients bounds clients and keys: chance numbers them in seven bits.
const maxClients = 127

func parseCount(s string, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err == nil && (n < 1 || n > most) {
		err = fmt.Errorf("%w: want 1 to %d", errCase, most)
	}
	return n, err
}
