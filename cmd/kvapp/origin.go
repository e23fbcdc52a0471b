package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"kvapp/wal"
)

// originName is the file that says how the node of this directory came to be, where the settings do not: it joins a
// cluster, or was told to found one alone. It is durable before the log is there, so that a log without it is one that
// was founded by the settings.
const originName = "origin.conf"

// origin is what the file says, a line each:
//
//	aside <incarnation>        what lies here is still to be set aside
//	join <host:port>,...       the node joins through these members; or
//	alone                      the node founds a cluster of its own, whatever the settings say
type origin struct {
	aside uint64   // 0: nothing
	join  []string // none: founded here
	alone bool
}

// readOrigin reads the file; a zero origin if there is none.
func readOrigin(dir string) (o origin, err error) {
	b, err := os.ReadFile(filepath.Join(dir, originName))
	if errors.Is(err, os.ErrNotExist) {
		return o, nil
	}
	if err != nil {
		return o, fmt.Errorf("origin: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "aside":
			if o.aside, err = strconv.ParseUint(rest, 16, 64); err != nil {
				return o, fmt.Errorf("origin: %s: %w", filepath.Join(dir, originName), err)
			}
		case "join":
			if o.join, err = parseAddrs(rest); err != nil {
				return o, fmt.Errorf("origin: %s: %w", filepath.Join(dir, originName), err)
			}
		case "alone":
			o.alone = true
		default:
			return o, fmt.Errorf("origin: %s: line %q makes no sense", filepath.Join(dir, originName), line)
		}
	}
	return o, nil
}

// parseAddrs reads host:port,host:port.
func parseAddrs(list string) (addrs []string, err error) {
	for _, part := range strings.Split(list, ",") {
		m, err := parseMember("x=" + strings.TrimSpace(part) + "@1") // the same rules
		if err != nil {
			return nil, fmt.Errorf("%q is not host:port", strings.TrimSpace(part))
		}
		addrs = append(addrs, m.ClientAddr)
	}
	return addrs, nil
}

// write makes o durable in dir.
func (o origin) write(dir string) error {
	var text string
	if o.aside != 0 {
		text = fmt.Sprintf("aside %x\n", o.aside)
	}
	if len(o.join) > 0 {
		text += "join " + strings.Join(o.join, ",") + "\n"
	}
	if o.alone {
		text += "alone\n"
	}
	if err := wal.WriteFile(dir, originName, []byte(text)); err != nil {
		return fmt.Errorf("origin: %w", err)
	}
	return nil
}

// settle finishes what a change of the node's origin has begun: what was here is set aside. It is called before anything
// else looks into dir.
func settle(dir string) (o origin, err error) {
	if o, err = readOrigin(dir); err != nil || o.aside == 0 {
		return o, err
	}
	if err := wal.SetAside(dir, hexText(o.aside)); err != nil {
		return o, err
	}
	o.aside = 0
	return o, o.write(dir)
}

// hexText is how incarnations are written.
func hexText(incarnation uint64) string { return fmt.Sprintf("%016x", incarnation) }
