package tidy

import (
	"bytes"
	"go/ast"
	"go/scanner"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// report calls wrong for every node of a kind of file that breaks a rule.
func report(t *testing.T, which func(*source) bool, wrong func(*source, ast.Node) string) {
	t.Helper()
	tr := repository(t)
	for _, f := range tr.files {
		if !which(f) {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if n == nil {
				return false
			}
			if why := wrong(f, n); why != "" {
				t.Errorf("%s: %s", tr.pos(n), why)
			}
			return true
		})
	}
}

func isDeterministic(f *source) bool { return !f.test && slices.Contains(deterministic, f.dir) }

// impure says what a deterministic package must not hold. Imports keep most of it out; these need no import or one
// that has other uses.
func impure(_ *source, n ast.Node) string {
	if _, ok := n.(*ast.SelectStmt); ok {
		return "select: its choice is random"
	}
	switch {
	case starts(nil, n) != "":
		return starts(nil, n)
	case call(n, "time", "Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep"):
		return "reads a clock"
	case call(n, "rand"):
		return "draws its own randomness"
	}
	return ""
}

// starts says what starts a goroutine.
func starts(_ *source, n ast.Node) string {
	switch n := n.(type) {
	case *ast.GoStmt:
		return "go statement"
	case *ast.CallExpr:
		if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Go" {
			return "starts a goroutine"
		}
	}
	return ""
}

func TestDeterministicPackages(t *testing.T) { report(t, isDeterministic, impure) }

// ends says what ends the process or the goroutine.
func ends(f *source, n ast.Node) string {
	if c, ok := n.(*ast.CallExpr); ok {
		if id, ok := c.Fun.(*ast.Ident); ok && id.Name == "panic" {
			return "panic: return an error"
		}
	}
	if call(n, "log", "Fatal", "Fatalf", "Fatalln", "Panic", "Panicf", "Panicln") {
		return "ends the process"
	}
	if call(n, "os", "Exit") && !(slices.Contains(mains, f.dir) && path.Base(f.name) == "main.go") {
		return "os.Exit: only main may"
	}
	return ""
}

func TestNothingEndsTheProcess(t *testing.T) {
	report(t, func(f *source) bool { return !f.test }, ends)
}

// waits says what makes a test slow, flaky or silent. In a file that uses testing/synctest a sleep is virtual time.
func waits(f *source, n ast.Node) string {
	virtual := slices.ContainsFunc(f.ast.Imports, func(im *ast.ImportSpec) bool { return im.Path.Value == `"testing/synctest"` })
	if call(n, "time", "Sleep") && !virtual {
		return "time.Sleep: poll with a deadline"
	}
	if c, ok := n.(*ast.CallExpr); ok {
		if sel, ok := c.Fun.(*ast.SelectorExpr); ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) {
			return "a skipped test is a silent one"
		}
	}
	return ""
}

func TestTestsDoNotSleepOrSkip(t *testing.T) {
	report(t, func(f *source) bool { return f.test }, waits)
}

// All goroutines of the driver are in one file, so that a simulator can run the rest.
func TestNodeStartsGoroutinesInOneFile(t *testing.T) {
	report(t, func(f *source) bool { return !f.test && f.dir == "node" && f.name != "node/run.go" }, starts)
}

var eventName = regexp.MustCompile(`^"[a-z][a-z0-9_]*"$`)

// logged says what is wrong with a log line: the event and the names of its fields are single words, so that they can
// be searched for and stay the same.
func logged(_ *source, n ast.Node) string {
	c, ok := n.(*ast.CallExpr)
	if !ok || len(c.Args) == 0 {
		return ""
	}
	sel, ok := c.Fun.(*ast.SelectorExpr)
	if !ok || !slices.Contains([]string{"Debug", "Info", "Warn", "Error"}, sel.Sel.Name) {
		return ""
	}
	to := ""
	switch x := sel.X.(type) {
	case *ast.Ident:
		to = x.Name
	case *ast.SelectorExpr:
		to = x.Sel.Name
	}
	if to != "log" && to != "Logger" && to != "logger" {
		return ""
	}
	for i, arg := range c.Args {
		if lit, ok := arg.(*ast.BasicLit); i == 0 || i%2 == 1 {
			if !ok || !eventName.MatchString(lit.Value) {
				return "an event and the names of its fields are words_like_this"
			}
		}
	}
	return ""
}

func TestLogLinesHaveNames(t *testing.T) {
	report(t, func(f *source) bool { return !f.test }, logged)
}

func TestPackagesExplainThemselves(t *testing.T) {
	seen := make(map[string]bool)
	tr := repository(t)
	for _, f := range tr.files {
		if path.Base(f.name) == "doc.go" && assert.NotNil(t, f.ast.Doc, f.name) {
			seen[f.dir] = true
			first := "Package " + f.ast.Name.Name + " "
			if f.ast.Name.Name == "main" {
				first = "Command " + path.Base(f.dir) + " "
			}
			assert.True(t, strings.HasPrefix(f.ast.Doc.Text(), first), "%s starts with %q", f.name, first)
		}
	}
	for _, f := range tr.files {
		assert.True(t, seen[f.dir], "%s has no doc.go with a package comment", f.dir)
	}
}

func TestFunctionsAreShort(t *testing.T) {
	tr := repository(t)
	used := make(map[string]bool)
	for _, f := range tr.files {
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || f.test {
				continue
			}
			lines := tr.fset.Position(fn.End()).Line - tr.fset.Position(fn.Pos()).Line + 1
			name := f.dir + "." + fn.Name.Name
			if _, excused := longFunctions[name]; excused && lines > maxFunction {
				used[name] = true
				continue
			}
			if lines > maxFunction {
				t.Errorf("%s: %s has %d lines, at most %d", tr.pos(fn), name, lines, maxFunction)
			}
		}
	}
	for name := range longFunctions {
		assert.True(t, used[name], "%s is short: take it off the list", name)
	}
}

func TestFilesAreShort(t *testing.T) {
	for _, f := range repository(t).files {
		if n := bytes.Count(f.text, []byte("\n")); n > maxFile {
			t.Errorf("%s has %d lines, at most %d", f.name, n, maxFile)
		}
	}
}

// A long message is not a long line of code: the text of string literals does not count.
func TestLinesAreShort(t *testing.T) {
	for _, f := range repository(t).files {
		text := literalText(f.text)
		for i, line := range bytes.Split(f.text, []byte("\n")) {
			if n := len(line) - text[i+1]; n > maxLine {
				t.Errorf("%s:%d: %d characters of code, at most %d", f.name, i+1, n, maxLine)
			}
		}
	}
}

// literalText counts the bytes of string literals by line.
func literalText(src []byte) map[int]int {
	fset := token.NewFileSet()
	file := fset.AddFile("", -1, len(src))
	var s scanner.Scanner
	s.Init(file, src, nil, 0)
	inLine := make(map[int]int)
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			return inLine
		}
		if tok != token.STRING {
			continue
		}
		at := file.Line(pos)
		for i, part := range strings.Split(strings.Trim(lit, "`\""), "\n") {
			inLine[at+i] += len(part)
		}
	}
}

// The pattern is put together from parts, so that it does not find itself.
var banned = regexp.MustCompile(`\b(` + "TO" + `DO|` + "FIX" + `ME|` + "XX" + `X|` + "HA" + `CK)\b|` +
	`(^|[\s"'(=` + "`" + `])/(work|root|home|Users|tmp/wt)/`)

func TestNoBannedWords(t *testing.T) {
	for name, text := range repository(t).texts {
		for i, line := range strings.Split(string(text), "\n") {
			if banned.MatchString(line) {
				t.Errorf("%s:%d: %s", name, i+1, strings.TrimSpace(line))
			}
		}
	}
	for _, bad := range []string{"// TO" + "DO later", `"/ro` + `ot/x"`, "cd /wo" + "rk/main"} {
		assert.True(t, banned.MatchString(bad), bad)
	}
	for _, good := range []string{"NXX" + "X", "https://example.com/work/", "a/home/b"} {
		assert.False(t, banned.MatchString(good), good)
	}
}
