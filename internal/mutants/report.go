package main

import (
	"fmt"
	"slices"
	"strings"
)

// line is what one mutant's end looks like while they run.
func (v *verdict) line() string {
	if v.oracle == "" {
		return fmt.Sprintf("%-32s NOT CAUGHT", v.mutant.name)
	}
	return fmt.Sprintf("%-32s %-8s %6.1f s  %s", v.mutant.name, v.oracle, v.cpu.Seconds(), v.test)
}

// report is docs/mutants.md.
func report(t *table, verdicts []verdict, limit int) string {
	var b strings.Builder
	caught := 0
	for i := range verdicts {
		if verdicts[i].oracle != "" {
			caught++
		}
	}
	fmt.Fprintf(&b, "# Planted bugs, and who notices\n\n")
	fmt.Fprintf(&b, "`make mutants` writes this page: it plants one bug after the other into a copy of the tree and asks these tests in turn\n")
	fmt.Fprintf(&b, "until one fails, each for at most %d CPU seconds. %d of %d are caught. %s\n\n", limit, caught, len(verdicts), asked(verdicts))
	fmt.Fprintf(&b, "| oracle | tests |\n|---|---|\n")
	for _, o := range t.oracles {
		fmt.Fprintf(&b, "| %s | `%s` |\n", o.name, strings.Join(append([]string{o.pkg}, o.args...), " "))
	}
	fmt.Fprintf(&b, "\nRows are those of the list of bugs that other implementations had. Seconds are CPU time until the test's end.\n\n")
	fmt.Fprintf(&b, "| mutant | in | what goes wrong | rows | caught by | test | seconds |\n|---|---|---|---|---|---|---|\n")
	for i := range verdicts {
		v := &verdicts[i]
		by, test, seconds := "nobody", "", ""
		if v.oracle != "" {
			by, test, seconds = v.oracle, v.test, fmt.Sprintf("%.1f", v.cpu.Seconds())
		}
		m := v.mutant
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s | %s | %s |\n", m.name, m.file, m.says, strings.ReplaceAll(m.rows, " ", ", "), by, test, seconds)
	}
	return b.String()
}

// asked says in which trees the verdicts were found.
func asked(verdicts []verdict) string {
	var commits []string
	for i := range verdicts {
		if c := verdicts[i].commit; !slices.Contains(commits, c) {
			commits = append(commits, c)
		}
	}
	if len(commits) == 1 {
		return "All were asked on commit " + commits[0] + "."
	}
	return "They were asked on commits " + strings.Join(commits, ", ") + ",\nbetween which nothing changed that the answer depends on."
}
