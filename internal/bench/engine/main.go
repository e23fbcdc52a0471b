package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-engine:", err)
		os.Exit(1)
	}
}

// options of a run.
type options struct {
	params
	redis bool
	only  *regexp.Regexp
	file  string
}

const (
	minKeys  = 1000
	fullKeys = 20_000_000
)

func parseOptions(args []string, usage io.Writer) (*options, error) {
	var o options
	var only string
	var full bool
	flags := flag.NewFlagSet("bench-engine", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.IntVar(&o.keys, "keys", 5_000_000, "keys of the large data sets; huge collections have a fifth as many members")
	flags.StringVar(&only, "only", "", "regular expression of the measurements to run, such as ^memory/ or apply/string; empty = all")
	flags.StringVar(&o.file, "o", "", "file that also gets the table")
	flags.BoolVar(&full, "full", false, "the change of sizes with 20M keys, whatever -keys says")
	flags.BoolVar(&o.redis, "redis", true, "measure redis-server, too")
	flags.StringVar(&o.dir, "dir", "bench-out", "where snapshots are written during the run")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if o.keys < minKeys || flags.NArg() > 0 {
		return nil, fmt.Errorf("there are at least %d keys, and no arguments", minKeys)
	}
	if o.change = o.keys; full {
		o.change = fullKeys
	}
	var err error
	o.only, err = regexp.Compile(only)
	return &o, err
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	if isChild(args) {
		return serveChild(args, out)
	}
	o, err := parseOptions(args, progress)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if o.redis {
		if _, err := exec.LookPath("redis-server"); err != nil {
			return fmt.Errorf("%w (Debian: apt-get install redis-server; or -redis=false)", err)
		}
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "run-")
	if err != nil {
		return err
	}
	o.dir = dir
	return errors.Join(report(ctx, o, out, progress), os.RemoveAll(dir))
}

// report runs the measurements and writes the table, row by row as they come.
func report(ctx context.Context, o *options, out, progress io.Writer) error {
	var list []bench
	for _, b := range benches(o.params) {
		if o.only.MatchString(b.name) {
			list = append(list, b)
		}
	}
	if len(list) == 0 {
		return fmt.Errorf("no measurement is called %s", o.only)
	}
	var text bytes.Buffer
	both := io.MultiWriter(out, &text)
	describe(both, o)
	fmt.Fprint(both, tableHead)
	short, rows := 0, 0
	for i := range list {
		start := time.Now()
		kvapp, redis, err := measure(ctx, &list[i], o)
		if err != nil {
			return fmt.Errorf("%s: %w", list[i].name, err)
		}
		for _, r := range list[i].rows {
			fmt.Fprint(both, r.line(kvapp, redis))
			rows++
			if r.verdict(kvapp, redis) == missed {
				short++
			}
		}
		fmt.Fprintf(progress, "%d/%d %s took %s\n", i+1, len(list), list[i].name, time.Since(start).Round(time.Millisecond))
	}
	fmt.Fprintf(progress, "%d of %d rows miss their target\n", short, rows)
	if o.file == "" {
		return nil
	}
	return os.WriteFile(o.file, text.Bytes(), 0o644)
}

// measure runs one measurement on both sides. Every row has its figure.
func measure(ctx context.Context, b *bench, o *options) (kvapp, redis figures, err error) {
	p := o.params
	p.dir = filepath.Join(o.dir, strings.ReplaceAll(b.name, "/", "-"))
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return nil, nil, err
	}
	kvapp = make(figures)
	for step := range b.steps {
		f, err := runChild(ctx, b, step, p)
		if err != nil {
			return nil, nil, err
		}
		for key, v := range f {
			kvapp[key] = v
		}
	}
	for _, r := range b.rows {
		if _, ok := kvapp[r.key]; !ok {
			return nil, nil, fmt.Errorf("no figure for %s", r.title)
		}
	}
	if b.redis != nil && o.redis {
		if redis, err = rival(ctx, b, p); err != nil {
			return nil, nil, err
		}
	}
	return kvapp, redis, os.RemoveAll(p.dir)
}

// rival measures a fresh redis-server.
func rival(ctx context.Context, b *bench, p params) (figures, error) {
	r, err := startRedis(ctx, p.dir)
	if err != nil {
		return nil, err
	}
	defer func() { r.stop() }() // a measurement may have started another one
	return b.redis(ctx, r, p)
}
