package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
)

func main() {
	only := flag.String("only", "", "regular expression: mutants to try; the page is not written")
	ask := flag.String("ask", "", "regular expression: oracles to ask; the page is not written")
	limit := flag.Int("limit", 60, "CPU seconds for one oracle")
	list := flag.String("table", "internal/mutants/mutants.txt", "the mutants")
	page := flag.String("page", "docs/mutants.md", "where the result is written")
	flag.Parse()
	if err := run(*only, *ask, *list, *page, *limit); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(only, ask, list, page string, limit int) (err error) {
	mutants, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	oracles, err := regexp.Compile(ask)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(list)
	if err != nil {
		return err
	}
	t, err := parse(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", list, err)
	}
	t.oracles = slices.DeleteFunc(t.oracles, func(o oracle) bool { return !oracles.MatchString(o.name) })
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	verdicts, err := t.run(".", dir, limit, mutants)
	if err != nil {
		return err
	}
	if only == "" && ask == "" {
		if err := os.WriteFile(page, []byte(report(t, verdicts, limit)), 0o644); err != nil {
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
func (t *table) run(root, dir string, limit int, only *regexp.Regexp) ([]verdict, error) {
	l, err := newLab(root, dir, limit)
	if err != nil {
		return nil, err
	}
	if err := l.check(t.oracles); err != nil {
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
