package tidy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// root is the top of the repository, seen from this package.
const root = "../.."

// source is one Go file.
type source struct {
	name string // from the root, with slashes
	dir  string // the package: the name's directory
	test bool
	text []byte
	ast  *ast.File
}

// tree is the repository, parsed once.
type tree struct {
	fset  *token.FileSet
	files []*source
	texts map[string][]byte // every text file, Go or not
}

var readTree = sync.OnceValues(func() (*tree, error) {
	t := &tree{fset: token.NewFileSet(), texts: make(map[string][]byte)}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := filepath.ToSlash(strings.TrimPrefix(p, root+string(filepath.Separator)))
		if d.IsDir() {
			if slices.Contains([]string{".git", "bin", "kvapp-dev", "bench-out", "node_modules", "testdata"}, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if !isText(name) {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		t.texts[name] = text
		if path.Ext(name) != ".go" {
			return nil
		}
		f, err := parser.ParseFile(t.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		t.files = append(t.files, &source{
			name: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), text: text, ast: f,
		})
		return nil
	})
	return t, err
})

// isText reports whether a file is written by hand; build products lie beside the sources of whoever works here.
func isText(name string) bool {
	switch path.Ext(name) {
	case ".go", ".md", ".mod", ".txt", ".conf", ".js", ".mjs", ".json", ".py", ".sh", ".yml", ".yaml":
		return true
	}
	return name == "Makefile" || name == ".gitignore" || name == ".ci/run"
}

func repository(t *testing.T) *tree {
	t.Helper()
	tr, err := readTree()
	require.NoError(t, err)
	require.Greater(t, len(tr.files), 100, "the walk found the repository")
	return tr
}

// pos is where a node stands, for a message.
func (tr *tree) pos(n ast.Node) string {
	p := tr.fset.Position(n.Pos())
	return p.Filename + ":" + itoa(p.Line)
}

// call reports whether n calls pkg.name for one of the names; every name when there are none.
func call(n ast.Node, pkg string, names ...string) bool {
	c, ok := n.(*ast.CallExpr)
	if !ok {
		return false
	}
	sel, ok := c.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	id, ok := sel.X.(*ast.Ident)
	return ok && id.Name == pkg && (len(names) == 0 || slices.Contains(names, sel.Sel.Name))
}
