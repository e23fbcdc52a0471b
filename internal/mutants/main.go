package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
)

// options are the flags.
type options struct {
	only, ask         string
	list, page, store string
	limit             int
	known             bool
}

func main() {
	var o options
	flag.StringVar(&o.only, "only", "", "regular expression: mutants to try; the page is not written")
	flag.StringVar(&o.ask, "ask", "", "regular expression: oracles to ask; the page is not written")
	flag.IntVar(&o.limit, "limit", 60, "CPU seconds for one oracle")
	flag.StringVar(&o.list, "table", "internal/mutants/mutants.txt", "the mutants")
	flag.StringVar(&o.page, "page", "docs/mutants.md", "where the result is written")
	flag.StringVar(&o.store, "kept", "bin/mutants.json", "where answers are kept for the next run; empty for nowhere")
	flag.BoolVar(&o.known, "known", false, "ask nothing: write the page from kept answers alone")
	flag.Parse()
	if err := o.run(); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func (opt *options) run() (err error) {
	mutants, err := regexp.Compile(opt.only)
	if err != nil {
		return err
	}
	oracles, err := regexp.Compile(opt.ask)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(opt.list)
	if err != nil {
		return err
	}
	t, err := parse(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", opt.list, err)
	}
	t.oracles = slices.DeleteFunc(t.oracles, func(o oracle) bool { return !oracles.MatchString(o.name) })
	k, err := openKept(opt.store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.close()) }()
	k.alone = opt.known
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	verdicts, err := t.run(".", dir, opt.limit, mutants, k)
	if err != nil {
		return err
	}
	if opt.only == "" && opt.ask == "" {
		if err := os.WriteFile(opt.page, []byte(report(t, verdicts, opt.limit)), 0o644); err != nil {
			return err
		}
	}
	for i := range verdicts {
		if verdicts[i].oracle == "" {
			return errors.New("some were not caught")
		}
	}
	return nil
}

// run tries the mutants that match in a copy of root, which it makes in dir.
func (t *table) run(root, dir string, limit int, only *regexp.Regexp, k *kept) ([]verdict, error) {
	l, err := newLab(root, dir, limit, k, t.mutants)
	if err != nil {
		return nil, err
	}
	var verdicts []verdict
	for i := range t.mutants {
		m := &t.mutants[i]
		if !only.MatchString(m.name) {
			continue
		}
		v, err := l.try(m, t.oracles)
		if err != nil {
			return nil, err
		}
		fmt.Println(v.line())
		verdicts = append(verdicts, v)
	}
	return verdicts, nil
}
