package tidy

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// scenarios is the number of rows that docs/scenarios.md must have.
const scenarios = 74

// Every situation is met somewhere, and what docs/scenarios.md names exists.
func TestScenarioMap(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "scenarios.md"))
	require.NoError(t, err)
	corners := readAll(t, "raft", "sometimes_test.go")
	counters := readAll(t, "sim", "cover.go")
	tests := map[string]string{}
	quoted := regexp.MustCompile("`([^`]+)`")
	row := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 5 || strings.Trim(cells[1], " -#") == "" {
			continue
		}
		row++
		require.Equal(t, row, number(t, cells[1]))
		found := quoted.FindAllStringSubmatch(cells[3], -1)
		require.NotEmpty(t, found, "row %d is empty", row)
		for _, m := range found {
			ref := m[1]
			name, isCorner := strings.CutPrefix(ref, "corner: ")
			counter, isCounter := strings.CutPrefix(ref, "sim: ")
			pkg, test, _ := strings.Cut(ref, ".")
			switch {
			case isCorner:
				require.Contains(t, corners, `"`+name+`"`, "row %d", row)
			case isCounter:
				require.Contains(t, counters, `"`+counter+`"`, "row %d", row)
			case test == "txt":
				require.FileExists(t, filepath.Join(root, "raft", "testdata", ref), "row %d", row)
			default:
				if tests[pkg] == "" {
					tests[pkg] = readAll(t, packageDir(pkg), "*_test.go")
				}
				require.Contains(t, tests[pkg], "func "+test+"(", "row %d: %s", row, ref)
			}
		}
	}
	require.Equal(t, scenarios, row)
}

func number(t *testing.T, s string) (n int) {
	t.Helper()
	for _, c := range strings.TrimSpace(s) {
		require.True(t, c >= '0' && c <= '9', s)
		n = 10*n + int(c-'0')
	}
	return n
}

func packageDir(name string) string {
	if name == "e2e" {
		return filepath.Join("internal", name)
	}
	return name
}

// readAll is the text of the files of one folder that match pattern.
func readAll(t *testing.T, dir, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, dir, pattern))
	require.NoError(t, err)
	require.NotEmpty(t, files, "%s/%s", dir, pattern)
	var b strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		require.NoError(t, err)
		b.Write(text)
	}
	return b.String()
}
