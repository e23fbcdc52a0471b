package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Building takes longer than asking. So most mutants, those that change the body of one function, are woven into one tree: a copy of
// the function stands beside it for each, and the function begins by calling the copy whose number is in the environment.

// chosen is the variable with the number; without it there is no mutant.
const chosen = "PLANTED_MUTANT"

const chooser = `// Package planted says which mutant is chosen.
package planted

import (
	"os"
	"strconv"
)

// Number of the mutant, 0 = none.
var Number, _ = strconv.Atoi(os.Getenv("` + chosen + `"))
`

var moduleLine = regexp.MustCompile(`(?m)^module (\S+)$`)

// weave changes the tree under root. It returns the numbers of the mutants that are in there, by name; the others cannot be woven.
func weave(root string, mutants []mutant) (map[string]int, error) {
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, fmt.Errorf("weave: %w", err)
	}
	m := moduleLine.FindSubmatch(mod)
	if m == nil {
		return nil, fmt.Errorf("weave: no module in go.mod")
	}
	if err := os.Mkdir(filepath.Join(root, "planted"), 0o755); err != nil {
		return nil, fmt.Errorf("weave: %w", err)
	}
	if err := os.WriteFile(filepath.Join(root, "planted", "planted.go"), []byte(chooser), 0o644); err != nil {
		return nil, fmt.Errorf("weave: %w", err)
	}
	line := fmt.Sprintf("\nimport planted_mutant \"%s/planted\"\n", m[1])
	numbers := map[string]int{}
	var files []string
	for i := range mutants {
		if f := mutants[i].file; !slices.Contains(files, f) {
			files = append(files, f)
		}
	}
	for _, file := range files {
		if err := weaveFile(root, file, line, mutants, numbers); err != nil {
			return nil, fmt.Errorf("weave: %w", err)
		}
	}
	return numbers, nil
}

// insertion is text that goes into a file.
type insertion struct {
	at   int
	text string
}

// weaveFile weaves the mutants of one file, and numbers them.
func weaveFile(root, file, line string, mutants []mutant, numbers map[string]int) error {
	path := filepath.Join(root, file)
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil // whoever plants its mutants says so
	}
	if err != nil {
		return err
	}
	var inserts []insertion
	var copies bytes.Buffer
	for i := range mutants {
		m := &mutants[i]
		if m.file != file {
			continue
		}
		mutated, err := m.apply(text)
		if err != nil {
			continue // likewise
		}
		in, copied, ok := alternative(text, mutated, i+1)
		if !ok {
			continue
		}
		inserts = append(inserts, in)
		copies.WriteString(copied)
		numbers[m.name] = i + 1
	}
	if len(inserts) == 0 {
		return nil
	}
	f, err := parser.ParseFile(token.NewFileSet(), file, text, parser.PackageClauseOnly)
	if err != nil {
		return err
	}
	inserts = append(inserts, insertion{int(f.Name.End()) - 1, line})
	slices.SortStableFunc(inserts, func(a, b insertion) int { return b.at - a.at })
	for _, in := range inserts {
		text = slices.Insert(text, in.at, []byte(in.text)...)
	}
	return os.WriteFile(path, append(text, copies.Bytes()...), 0o644)
}

// alternative returns what goes into a file whose text a mutant changes, and the changed function under another name. It reports
// false if it is not the body of one function that is changed, or one that cannot be called with what it was called with.
func alternative(text, mutated []byte, number int) (in insertion, copied string, ok bool) {
	decls, others := parsed(text), parsed(mutated)
	if decls == nil || len(decls) != len(others) {
		return in, "", false
	}
	var was, is *ast.FuncDecl
	for i := range decls {
		if bytes.Equal(source(text, decls[i].Pos(), decls[i].End()), source(mutated, others[i].Pos(), others[i].End())) {
			continue
		}
		a, isFunc := decls[i].(*ast.FuncDecl)
		b, stays := others[i].(*ast.FuncDecl)
		if was != nil || !isFunc || !stays || a.Body == nil || b.Body == nil ||
			!bytes.Equal(source(text, a.Pos(), a.Body.Lbrace), source(mutated, b.Pos(), b.Body.Lbrace)) {
			return in, "", false
		}
		was, is = a, b
	}
	if was == nil {
		return in, "", false
	}
	call, ok := callOf(was, number)
	if !ok {
		return in, "", false
	}
	end := "return " + call
	if was.Type.Results == nil {
		end = call + "\n\t\treturn"
	}
	in = insertion{int(was.Body.Lbrace), fmt.Sprintf("\n\tif planted_mutant.Number == %d {\n\t\t%s\n\t}\n", number, end)}
	head, rest := source(mutated, is.Pos(), is.Name.Pos()), source(mutated, is.Name.End(), is.End())
	copied = fmt.Sprintf("\n%s%s%s\n", head, copyName(was, number), rest)
	return in, copied, true
}

func parsed(text []byte) []ast.Decl {
	f, err := parser.ParseFile(token.NewFileSet(), "", text, parser.SkipObjectResolution)
	if err != nil {
		return nil
	}
	return f.Decls
}

// source is the text between two positions of a file that is alone in its set: there the first byte has position 1.
func source(text []byte, from, to token.Pos) []byte { return text[from-1 : to-1] }

func copyName(f *ast.FuncDecl, number int) string {
	return fmt.Sprintf("%sMutant%d", f.Name.Name, number)
}

// callOf is a call of the copy of f with the arguments of f.
func callOf(f *ast.FuncDecl, number int) (call string, ok bool) {
	call = copyName(f, number)
	switch {
	case f.Type.TypeParams != nil, f.Recv == nil && (f.Name.Name == "init" || f.Name.Name == "main"):
		return "", false
	case f.Recv != nil:
		names := f.Recv.List[0].Names
		if len(names) == 0 || names[0].Name == "_" {
			return "", false
		}
		call = names[0].Name + "." + call
	}
	var args []string
	for _, field := range f.Type.Params.List {
		if len(field.Names) == 0 {
			return "", false
		}
		for _, name := range field.Names {
			arg := name.Name
			if arg == "_" {
				return "", false
			}
			if _, many := field.Type.(*ast.Ellipsis); many {
				arg += "..."
			}
			args = append(args, arg)
		}
	}
	return call + "(" + strings.Join(args, ", ") + ")", true
}
