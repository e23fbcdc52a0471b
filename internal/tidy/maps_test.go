package tidy

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// mapOrder lists the functions of the files that range over a map, directly or through package maps.
func mapOrder(tr *tree, files []*ast.File, imp types.Importer, pkg string) (map[string]ast.Node, error) {
	info := &types.Info{Types: make(map[ast.Expr]types.TypeAndValue)}
	if _, err := (&types.Config{Importer: imp}).Check("kvapp/"+pkg, tr.fset, files, info); err != nil {
		return nil, err
	}
	found := make(map[string]ast.Node)
	for _, f := range files {
		for _, d := range f.Decls {
			name := pkg
			if fn, ok := d.(*ast.FuncDecl); ok {
				name += "." + fn.Name.Name
			}
			ast.Inspect(d, func(n ast.Node) bool {
				if r, ok := n.(*ast.RangeStmt); ok {
					if _, isMap := info.TypeOf(r.X).Underlying().(*types.Map); isMap {
						found[name] = n
					}
				}
				if n != nil && call(n, "maps", "Keys", "Values", "All") {
					found[name] = n
				}
				return true
			})
		}
	}
	return found, nil
}

func TestMapOrderStaysInside(t *testing.T) {
	tr := repository(t)
	imp := importer.ForCompiler(tr.fset, "source", nil)
	used := make(map[string]bool)
	for _, pkg := range deterministic {
		var files []*ast.File
		for _, f := range tr.files {
			if f.dir == pkg && !f.test {
				files = append(files, f.ast)
			}
		}
		found, err := mapOrder(tr, files, imp, pkg)
		require.NoError(t, err)
		for name, n := range found {
			used[name] = true
			_, excused := mapRanges[name]
			assert.True(t, excused, "%s: %s ranges over a map", tr.pos(n), name)
		}
	}
	for name := range mapRanges {
		assert.True(t, used[name], "%s ranges over no map: take it off the list", name)
	}
}

// The detector sees what it is there for.
func TestMapOrderIsSeen(t *testing.T) {
	tr := &tree{fset: token.NewFileSet()}
	f, err := parser.ParseFile(tr.fset, "order.go", `package order
import ("maps"; "slices")
func list(s []int) { for range s {} }
func lookup(m map[int]int) int { return m[1] }
func direct(m map[int]int) (n int) { for k := range m { n = k }; return }
func sorted(m map[int]int) []int { return slices.Sorted(maps.Keys(m)) }
`, parser.SkipObjectResolution)
	require.NoError(t, err)
	found, err := mapOrder(tr, []*ast.File{f}, importer.ForCompiler(tr.fset, "source", nil), "order")
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.Contains(t, found, "order.direct")
	require.Contains(t, found, "order.sorted")
}
