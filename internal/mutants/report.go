package main

import (
	"fmt"
	"slices"
	"strings"
)

// line is what one mutant's end looks like while they run.
func (v *verdict) line() string {
	switch {
	case v.open:
		return fmt.Sprintf("%-32s not asked yet", v.mutant.name)
	case v.oracle == "":
		return fmt.Sprintf("%-32s NOT CAUGHT", v.mutant.name)
	}
	return fmt.Sprintf("%-32s %-8s %6.1f s  %s", v.mutant.name, v.oracle, v.cpu.Seconds(), v.test)
}

// report is docs/mutants.md.
func report(t *table, verdicts []verdict, limit int) string {
	var b strings.Builder
	caught, open := 0, 0
	for i := range verdicts {
		if verdicts[i].oracle != "" {
			caught++
		}
		if verdicts[i].open {
			open++
		}
	}
	fmt.Fprintf(&b, "# Planted bugs, and who notices\n\n")
	fmt.Fprintf(&b, "`make mutants` writes this page: it plants one bug after the other into a copy of the tree and asks these tests in\n")
	fmt.Fprintf(&b, "turn until one fails, each for at most %d CPU seconds. Where a bug is in memory that no simulated cluster fills, the\n", limit)
	fmt.Fprintf(&b, "tests of its package come first. %d of %d are caught", caught, len(verdicts))
	if open > 0 {
		fmt.Fprintf(&b, ", %d have not been asked about yet", open)
	}
	fmt.Fprintf(&b, ". %s\n\n", asked(verdicts))
	fmt.Fprintf(&b, "| oracle | tests |\n|---|---|\n")
	for _, o := range t.oracles {
		args := strings.ReplaceAll(strings.Join(append([]string{o.pkg}, o.args...), " "), "|", "\\|")
		fmt.Fprintf(&b, "| %s | `%s` |\n", o.name, args)
	}
	fmt.Fprintf(&b, "\nRows are those of the list of bugs that other implementations had. Seconds are CPU time until the test's end.\n\n")
	fmt.Fprintf(&b, "| mutant | in | what goes wrong | rows | caught by | test | seconds |\n|---|---|---|---|---|---|---|\n")
	for i := range verdicts {
		v := &verdicts[i]
		by, test, seconds := "nobody", "", ""
		switch {
		case v.open:
			by = "not asked yet"
		case v.oracle != "":
			by, test, seconds = v.oracle, v.test, fmt.Sprintf("%.1f", v.cpu.Seconds())
		}
		m := v.mutant
		rows := strings.ReplaceAll(m.rows, " ", ", ")
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s | %s | %s |\n", m.name, m.file, m.says, rows, by, test, seconds)
	}
	return b.String()
}

// asked says in which trees the verdicts were found.
func asked(verdicts []verdict) string {
	var commits []string
	for i := range verdicts {
		if c := verdicts[i].commit; c != "" && !slices.Contains(commits, c) {
			commits = append(commits, c)
		}
	}
	switch len(commits) {
	case 0:
		return ""
	case 1:
		return "All were asked on commit " + commits[0] + "."
	}
	text := "They were asked on commits " + strings.Join(commits, ", ") + ",\nbetween which nothing changed that the answer depends on"
	if strings.Contains(text, "-dirty") {
		text += "; dirty: with tests that were committed afterwards"
	}
	return text + "."
}
