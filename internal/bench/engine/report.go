package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// figures are what a measurement found, by the keys of its rows.
type figures map[string]float64

// goal is what a figure should be.
type goal struct {
	limit float64 // 0 = none
	more  bool    // more is better; otherwise less is
	rival bool    // and no worse than redis-server
}

func (g goal) sign() string {
	if g.more {
		return ">="
	}
	return "<="
}

func (g goal) String() string {
	var parts []string
	if g.limit != 0 {
		parts = append(parts, g.sign()+" "+format(g.limit))
	}
	if g.rival {
		parts = append(parts, g.sign()+" redis")
	}
	return strings.Join(parts, ", ")
}

// meets reports whether v is at least as good as limit.
func (g goal) meets(v, limit float64) bool {
	if g.more {
		return v >= limit
	}
	return v <= limit
}

// The verdicts.
const (
	reached = "ok"
	missed  = "missed"
	open    = "not compared" // redis-server's figure is missing, the rest is fine
	tooFew  = "too few keys" // the difference of two measurements is not positive: what was measured is less than what wavers
	none    = "no target"
)

// verdict of kvapp's figure; redis is 0 if there is none. What is printed alike is alike.
func (g goal) verdict(kvapp, redis float64) string {
	kvapp, redis = rounded(kvapp), rounded(redis)
	switch {
	case g.limit == 0 && !g.rival:
		return none
	case g.limit != 0 && !g.meets(kvapp, g.limit), g.rival && redis != 0 && !g.meets(kvapp, redis):
		return missed
	case g.rival && redis == 0:
		return open
	}
	return reached
}

// row is one line of the table.
type row struct {
	key   string // of its figures
	title string
	goal  goal
}

// verdict judges the row.
func (r row) verdict(kvapp, redis figures) string {
	theirs, ok := redis[r.key]
	if kvapp[r.key] <= 0 || ok && theirs <= 0 {
		return tooFew
	}
	return r.goal.verdict(kvapp[r.key], theirs)
}

// format prints three digits.
func format(v float64) string {
	if v >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// rounded is what format prints.
func rounded(v float64) float64 {
	if r, err := strconv.ParseFloat(format(v), 64); err == nil {
		return r
	}
	return v
}

// usedKey is where a measurement of redis-server puts used_memory beside the resident bytes.
func usedKey(key string) string { return key + ", used_memory" }

// line is the row in Markdown.
func (r row) line(kvapp, redis figures) string {
	theirs := "-"
	if v, ok := redis[r.key]; ok {
		theirs = format(v)
	}
	if v, ok := redis[usedKey(r.key)]; ok {
		theirs += " (used_memory " + format(v) + ")"
	}
	target := r.goal.String()
	if target == "" {
		target = "-"
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s |\n", r.title, target, format(kvapp[r.key]), theirs, r.verdict(kvapp, redis))
}

const tableHead = "| measurement | target | kvapp | redis-server | verdict |\n|---|---|---|---|---|\n"

// count prints a number of keys.
func count(n int) string {
	switch {
	case n%1_000_000 == 0:
		return strconv.Itoa(n/1_000_000) + "M"
	case n%1000 == 0:
		return strconv.Itoa(n/1000) + "k"
	}
	return strconv.Itoa(n)
}

// describe writes what the figures depend on.
func describe(out io.Writer, o *options) {
	cpu, kernel := "unknown CPU", "unknown kernel"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				cpu = strings.TrimSpace(value)
				break
			}
		}
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel = strings.TrimSpace(string(text))
	}
	redis := "not measured"
	if o.redis {
		if text, err := exec.Command("redis-server", "--version").Output(); err == nil {
			redis = strings.TrimSpace(string(text))
		}
	}
	load := "unknown"
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = strings.Join(strings.Fields(string(text))[:3], " ")
	}
	fmt.Fprintf(out, "- Machine: %s, %d cores, %s/%s, Linux %s; load average at the start %s\n",
		cpu, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, kernel, load)
	fmt.Fprintf(out, "- %s, GOGC %s, GOMAXPROCS %d; redis-server: %s\n", runtime.Version(), orDefault(os.Getenv("GOGC")), runtime.GOMAXPROCS(0), redis)
	fmt.Fprintf(out, "- %s, -keys %d\n\n", time.Now().UTC().Format("2006-01-02 15:04 MST"), o.keys)
}

func orDefault(s string) string {
	if s == "" {
		return "default"
	}
	return s
}
