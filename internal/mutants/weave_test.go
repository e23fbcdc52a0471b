package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const formsSource = `package forms

type T struct{ n int }

func (t *T) Add(more ...int) (sum int) {
	for _, m := range more {
		sum += m
	}
	return sum + t.n
}

func (t *T) Set(n int) {
	t.n = n
}

func Two(a, b int) (int, bool) {
	return a + b, a > b
}

func (*T) Nameless() int {
	return 1
}

func Second(_, b int) int {
	return b
}

func Of[E any](e, f E) E {
	return e
}

var Three = 3
`

const formsTest = `package forms

import "testing"

func check(t *testing.T, ok bool) {
	if !ok {
		t.Fatal("wrong")
	}
}

func TestAdd(t *testing.T)      { check(t, (&T{n: 1}).Add(2, 3) == 6) }
func TestTwo(t *testing.T)      { n, more := Two(2, 1); check(t, n == 3 && more) }
func TestNameless(t *testing.T) { check(t, (&T{}).Nameless() == 1) }
func TestSecond(t *testing.T)   { check(t, Second(1, 2) == 2) }
func TestOf(t *testing.T)       { check(t, Of(1, 2) == 1) }
func TestThree(t *testing.T)    { check(t, Three == 3) }
func TestSet(t *testing.T) {
	x := T{n: 1}
	x.Set(2)
	check(t, x.n == 2)
}
`

// Functions of every form are woven, or planted alone, and what is woven is noticed by the same tests.
func TestWeaving(t *testing.T) {
	dir := module(t)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "forms"), 0o755))
	for name, text := range map[string]string{"forms.go": formsSource, "forms_test.go": formsTest} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "forms", name), []byte(text), 0o644))
	}
	text := "oracle forms ./forms\n"
	tests := map[string]string{}
	for i, change := range []string{
		"TestAdd|		sum += m|		sum -= m", "TestAdd|	return sum + t.n|	return sum", "TestSet|	t.n = n|	t.n = n + 1",
		"TestTwo|	return a + b, a > b|	return a + b, a < b", "TestNameless|	return 1|	return 2", "TestSecond|	return b|	return b + 1",
		"TestOf|	return e|	return f", "TestThree|var Three = 3|var Three = 4",
	} {
		f := strings.Split(change, "|")
		name := f[0] + strings.Repeat("x", i)
		tests[name] = f[0]
		text += "\nmutant " + name + "\nfile forms/forms.go\nrows 1\nsays wrong\n-" + f[1] + "\n+" + f[2] + "\n"
	}
	table, err := parse(text)
	require.NoError(t, err)
	l, err := newLab(dir, t.TempDir(), 10, forgetful(t), table.mutants)
	require.NoError(t, err)
	require.Len(t, l.woven.numbers, 4)
	for i := range table.mutants[:5] {
		m := &table.mutants[i]
		v, err := l.try(m, table.oracles)
		require.NoError(t, err)
		require.Equal(t, tests[m.name], v.test, m.name)
	}
	require.Equal(t, map[string]bool{"forms TestAdd": true, "forms TestSet": true, "forms TestTwo": true}, l.woven.sound)
	require.NotEmpty(t, l.woven.built["./forms"])
}
