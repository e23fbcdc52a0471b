package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"kvapp/internal/config"
)

// step is one command of a console block and what it prints: "..." stands for any text, on a line of its own for any
// lines.
type step struct{ command, want string }

var consoleBlock = regexp.MustCompile("(?ms)^```console\n(.*?)^```$")

// page reads the steps of a page below the root. A command goes on after a backslash, with "> " before the next line.
func page(t *testing.T, name string) (text string, steps []step) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../..", name))
	require.NoError(t, err)
	for _, block := range consoleBlock.FindAllStringSubmatch(string(b), -1) {
		more := false
		for line := range strings.Lines(block[1]) {
			last := len(steps) - 1
			command, isCommand := strings.CutPrefix(line, "$ ")
			switch {
			case isCommand:
				steps = append(steps, step{command: command})
			case more:
				rest, ok := strings.CutPrefix(line, "> ")
				require.True(t, ok, "%s: %q", name, line)
				steps[last].command += rest
			default:
				require.GreaterOrEqual(t, last, 0, "%s: output before the first command", name)
				steps[last].want += line
			}
			more = strings.HasSuffix(line, "\\\n")
		}
	}
	require.NotEmpty(t, steps, name)
	return string(b), steps
}

// pages are those whose commands are run.
var pages = []string{"README.md", "docs/operations.md"}

// Every block of commands is one that the tests run, and every option that a page names exists.
func TestPagesNameOptionsThatExist(t *testing.T) {
	known := map[string]bool{"help": true, "cluster": true, "cluster-slave": true, "raw": true} // the last three are redis-cli's
	for _, name := range config.Names() {
		known[name] = true
	}
	dev, _, err := rootCommand().Find([]string{"dev"})
	require.NoError(t, err)
	recoverCommand().Flags().VisitAll(func(f *pflag.Flag) { known[f.Name] = true })
	for _, name := range pages {
		text, _ := page(t, name)
		require.NotRegexp(t, "(?m)^```(sh|bash|shell)?\n\\S*(\\$|make|kvapp|redis-cli)", text, "commands stand in console blocks")
		for _, m := range regexp.MustCompile("(?:`| )--([a-z][a-z-]*)").FindAllStringSubmatch(text, -1) {
			require.True(t, known[m[1]] || dev.PersistentFlags().Lookup(m[1]) != nil, "%s: --%s", name, m[1])
		}
	}
}

func TestPageSteps(t *testing.T) {
	_, steps := page(t, "README.md")
	require.Equal(t, "make run\n", steps[0].command)
	require.True(t, strings.HasSuffix(steps[0].want, "\nready\n"))
	last := steps[len(steps)-1]
	require.Regexp(t, `^kvapp server --node n1 .* \\\n  --cluster n1=`, last.command)
	require.Empty(t, last.want)
}
