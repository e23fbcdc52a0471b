package tidy

import (
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// documents are the pages that name things of the source.
func documents(tr *tree) map[string]string {
	docs := make(map[string]string)
	for name, text := range tr.texts {
		if path.Ext(name) == ".md" && !strings.HasPrefix(name, "internal/") {
			docs[name] = string(text)
		}
	}
	return docs
}

var (
	methodName = regexp.MustCompile("`([a-z]+)\\.\\(\\*?(\\w+)\\)\\.(\\w+)`")
	eventWord  = regexp.MustCompile(`\b(?:Ev|Msg)[A-Z][A-Za-z]*\b`)
	fileName   = regexp.MustCompile("`([\\w./-]+/[\\w.-]+\\.(?:md|go))`")
	makeTarget = regexp.MustCompile("(?m)(?:`|^\\$ )make ([a-z-]+)")
	tableEvent = regexp.MustCompile("(?m)^\\| (`[a-z_]+`(?:, `[a-z_]+`)*) \\|")
	quotedWord = regexp.MustCompile("`([a-z_]+)`")
)

// What the pages name exists: methods, events, files, make's targets, the words of the log.
func TestDocumentsNameWhatExists(t *testing.T) {
	tr := repository(t)
	names, literals := make(map[string]bool), make(map[string]bool)
	for _, f := range tr.files {
		if f.test {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv != nil {
					names[path.Base(f.dir)+"."+receiver(n)+"."+n.Name.Name] = true
				}
			case *ast.Ident:
				names[n.Name] = true
			case *ast.BasicLit:
				if s, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
					literals[s] = true
				}
			}
			return true
		})
	}
	docs := documents(tr)
	require.Contains(t, docs, "README.md")
	entries := 0
	for name, text := range docs {
		for _, m := range methodName.FindAllStringSubmatch(text, -1) {
			entries++
			assert.True(t, names[m[1]+"."+m[2]+"."+m[3]], "%s: no method %s", name, m[0])
		}
		for _, m := range eventWord.FindAllString(text, -1) {
			assert.True(t, names[m], "%s: no event %s", name, m)
		}
		for _, m := range fileName.FindAllStringSubmatch(text, -1) {
			assert.Contains(t, tr.texts, m[1], "%s names a file", name)
		}
		for _, m := range makeTarget.FindAllStringSubmatch(text, -1) {
			assert.Regexp(t, `(?m)^`+m[1]+`:.* ## `, string(tr.texts["Makefile"]), "%s names make %s", name, m[1])
		}
		if name == "docs/operations.md" {
			rows := tableEvent.FindAllStringSubmatch(text, -1)
			require.Greater(t, len(rows), 10)
			for _, row := range rows {
				for _, w := range quotedWord.FindAllStringSubmatch(row[1], -1) {
					assert.True(t, literals[w[1]], "%s: nothing logs %s", name, w[1])
				}
			}
		}
	}
	require.GreaterOrEqual(t, entries, 6, "README's way through the source")
}

// receiver is the type's name of a method.
func receiver(fn *ast.FuncDecl) string {
	x := fn.Recv.List[0].Type
	if star, ok := x.(*ast.StarExpr); ok {
		x = star.X
	}
	if index, ok := x.(*ast.IndexExpr); ok {
		x = index.X
	}
	id, ok := x.(*ast.Ident)
	if !ok {
		return ""
	}
	return id.Name
}

// Every target explains itself in `make help`, and nothing but build products is missing from .PHONY.
func TestMakefile(t *testing.T) {
	text := string(repository(t).texts["Makefile"])
	targets := regexp.MustCompile(`(?m)^([a-z-]+):`).FindAllStringSubmatch(text, -1)
	require.Greater(t, len(targets), 10)
	phony := regexp.MustCompile(`(?m)^\.PHONY: (.*)$`).FindStringSubmatch(text)
	require.NotNil(t, phony)
	for _, m := range targets {
		assert.Regexp(t, `(?m)^`+m[1]+`:.* ## \S`, text, m[1])
		assert.Contains(t, strings.Fields(phony[1]), m[1])
	}
	assert.Contains(t, text, "\nrun: build ## a three-node cluster on 127.0.0.1:7001-7003, data under ./kvapp-dev; Ctrl-C stops it\n\t./bin/kvapp dev\n",
		"the pages' examples are tested with this command line")
}
