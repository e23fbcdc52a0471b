package tidy

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func itoa(n int) string { return strconv.Itoa(n) }

// within reports whether an import path belongs to one of the modules.
func within(p string, modules []string) bool {
	return slices.ContainsFunc(modules, func(m string) bool { return p == m || strings.HasPrefix(p, m+"/") })
}

// ruleOf finds the row of a package.
func ruleOf(dir string) (rule, bool) {
	for ; dir != "."; dir = path.Dir(dir) {
		if r, ok := rules[dir]; ok {
			return r, true
		}
	}
	return rule{}, false
}

func TestImports(t *testing.T) {
	for _, f := range repository(t).files {
		r, ok := ruleOf(f.dir)
		if !ok {
			t.Errorf("%s: package %s has no row in the table of rules", f.name, f.dir)
			continue
		}
		for _, im := range f.ast.Imports {
			p, err := strconv.Unquote(im.Path.Value)
			require.NoError(t, err)
			if !f.mayImport(r, p) {
				t.Errorf("%s: %s may not import %s", f.name, f.dir, p)
			}
		}
	}
}

func (f *source) mayImport(r rule, p string) bool {
	first, _, _ := strings.Cut(p, "/")
	switch {
	case first == "kvapp":
		p = strings.TrimPrefix(p, "kvapp/")
		return slices.Contains(r.kvapp, p) || f.test && (p == f.dir || p == testPackage || slices.Contains(r.tests, p))
	case strings.Contains(first, "."):
		return within(p, r.modules) || f.test && (within(p, r.tests) || within(p, testModules))
	default:
		return f.test || !slices.Contains(r.banned, p)
	}
}

// The rules themselves: a row that cannot fail is none.
func TestImportRules(t *testing.T) {
	code, test := &source{dir: "raft"}, &source{dir: "raft", test: true}
	sub, ok := ruleOf("raft/part")
	assert.True(t, ok)
	assert.Equal(t, rules["raft"], sub)
	_, ok = ruleOf("elsewhere/raft")
	assert.False(t, ok)
	assert.False(t, code.mayImport(rules["raft"], "time"))
	assert.False(t, code.mayImport(rules["raft"], "kvapp/fsm"))
	assert.False(t, code.mayImport(rules["raft"], "github.com/tidwall/btree"))
	assert.False(t, code.mayImport(rules["raft"], "github.com/stretchr/testify/require"))
	assert.True(t, code.mayImport(rules["raft"], "slices"))
	assert.True(t, test.mayImport(rules["raft"], "github.com/stretchr/testify/require"))
	assert.False(t, test.mayImport(rules["raft"], "kvapp/fsm"))
	assert.True(t, test.mayImport(rules["raft"], "kvapp/internal/race"))
	assert.False(t, code.mayImport(rules["raft"], "kvapp/internal/race"))
	assert.False(t, (&source{dir: "node"}).mayImport(rules["node"], "kvapp/wal"))
	assert.False(t, (&source{dir: "resp"}).mayImport(rules["resp"], "github.com/redis/go-redis/v9"))
}

// requirements reads go.mod: the direct ones with their versions.
func requirements(t *testing.T, mod string) map[string]string {
	t.Helper()
	direct := make(map[string]string)
	block := false
	for line := range strings.Lines(mod) {
		line = strings.TrimSpace(line)
		switch {
		case line == "require (":
			block = true
			continue
		case line == ")":
			block = false
		}
		one, single := strings.CutPrefix(line, "require ")
		if !block && !single {
			continue
		}
		f := strings.Fields(one)
		require.GreaterOrEqual(t, len(f), 2, line)
		if !strings.Contains(line, "// indirect") {
			direct[f[0]] = f[1]
		}
	}
	return direct
}

func TestModules(t *testing.T) {
	tr := repository(t)
	mod := string(tr.texts["go.mod"])
	direct := requirements(t, mod)
	assert.ElementsMatch(t, slices.Collect(maps.Keys(modules)), slices.Collect(maps.Keys(direct)),
		"every direct dependency of go.mod stands in the table of modules, and no other")
	assert.NotContains(t, mod, "replace ")
	imported := make(map[string]bool)
	for _, f := range tr.files {
		for _, im := range f.ast.Imports {
			p, err := strconv.Unquote(im.Path.Value)
			require.NoError(t, err)
			imported[p] = true
		}
	}
	for m, version := range direct {
		found := slices.ContainsFunc(slices.Collect(maps.Keys(imported)), func(p string) bool { return within(p, []string{m}) })
		assert.True(t, found, "no file imports %s", m)
		assert.NotRegexp(t, `-0\.\d{14}-|-\d{14}-`, version, "%s: pin a release", m)
	}
}
