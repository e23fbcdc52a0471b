package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = "../.."

// Every mutant can be planted: its old text is in the tree, once. Who changes such a line changes its mutants too.
func TestMutantsFitTheTree(t *testing.T) {
	text, err := os.ReadFile("mutants.txt")
	require.NoError(t, err)
	table, err := parse(string(text))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(table.mutants), 40)
	rows := regexp.MustCompile(`^[1-9][0-9]?( [1-9][0-9]?)*$`)
	packages := map[string]int{}
	var alone []string
	for i := range table.mutants {
		m := &table.mutants[i]
		source, err := os.ReadFile(filepath.Join(root, m.file))
		require.NoError(t, err)
		dir := t.TempDir()
		packages[filepath.Dir(m.file)]++
		require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(m.file)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, m.file), source, 0o644))
		before, err := m.plant(dir)
		require.NoError(t, err)
		require.Equal(t, string(source), string(before))
		require.Regexp(t, rows, m.rows, m.name)
		mutated, err := m.apply(source)
		require.NoError(t, err)
		if _, _, ok := alternative(source, mutated, 1); !ok {
			alone = append(alone, m.name)
		}
	}
	require.Less(t, len(alone), len(table.mutants)/5, "each takes as long as many that are woven: %q", alone)
	for _, dir := range []string{"raft", "wal", "node", "fsm"} {
		require.NotZero(t, packages[dir], "no mutant in %s", dir)
	}
}

// module is a tree of two packages with a test each.
func module(t *testing.T) string {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":          "module small\n\ngo 1.26\n",
		"add/add.go":      "package add\n\nfunc Add(a, b int) int {\n\treturn a + b\n}\n\nfunc Sub(a, b int) int {\n\treturn a - b\n}\n",
		"add/add_test.go": "package add\n\nimport \"testing\"\n\nfunc TestAdd(t *testing.T) {\n\tif Add(2, 3) != 5 {\n\t\tt.Fatal(\"no sum\")\n\t}\n}\n",
		"use/use.go":      "package use\n\nimport \"small/add\"\n\nfunc Twice(a int) int { return add.Add(a, a) }\n\nfunc Less(a int) int { return add.Sub(a, 1) }\n",
		"use/use_test.go": "package use\n\nimport \"testing\"\n\nfunc TestLess(t *testing.T) {\n\tfor n := 9; n != 0; n = Less(n) {\n\t}\n}\n",
		".git/big":        "not copied",
	} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	return dir
}

// forgetful keeps answers for one test.
func forgetful(t *testing.T) *kept {
	k, err := openKept("")
	require.NoError(t, err)
	return k
}

const smallTable = `oracle add ./add
oracle use ./use -test.run=^TestLess$

mutant sum
file add/add.go
rows 1
says sums are wrong
-	return a + b
+	return a + b + 1

mutant endless
file add/add.go
rows 2
says a loop never ends
-	return a - b
+	return a

mutant same
file add/add.go
rows 3
says nothing
-	return a + b
+	return b + a
`

func TestWhoNotices(t *testing.T) {
	table, err := parse(smallTable)
	require.NoError(t, err)
	dir := t.TempDir()
	verdicts, err := table.run(module(t), dir, 2, regexp.MustCompile(""), forgetful(t))
	require.NoError(t, err)
	require.Len(t, verdicts, 3)
	require.Equal(t, "add", verdicts[0].oracle)
	require.Equal(t, "TestAdd", verdicts[0].test)
	require.Positive(t, verdicts[0].cpu)
	require.Empty(t, verdicts[1].oracle, "a test that runs out of its time has noticed nothing")
	require.Empty(t, verdicts[2].oracle)
	require.NoDirExists(t, filepath.Join(dir, "tree", ".git"))
	text := report(table, verdicts, 2)
	require.Contains(t, text, "1 of 3 are caught")
	require.Contains(t, text, "| sum | `add/add.go` | sums are wrong | 1 | add | TestAdd |")
	require.Contains(t, text, "| same | `add/add.go` | nothing | 3 | nobody |  |  |")
}

// An interrupted run goes on where it ended, and asks again only what may have another answer.
func TestAnswersAreKept(t *testing.T) {
	table, err := parse(smallTable)
	require.NoError(t, err)
	dir, store := module(t), filepath.Join(t.TempDir(), "bin", "kept")
	run := func() ([]verdict, int) {
		k, err := openKept(store)
		require.NoError(t, err)
		verdicts, err := table.run(dir, t.TempDir(), 2, regexp.MustCompile("sum|same"), k)
		require.NoError(t, err)
		require.NoError(t, k.close())
		return verdicts, len(k.answers)
	}
	change := func(path, text string) {
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
		require.NoError(t, err)
		_, err = file.WriteString(text)
		require.NoError(t, err)
		require.NoError(t, file.Close())
	}
	k, err := openKept("")
	require.NoError(t, err)
	k.alone = true
	open, err := table.run(dir, t.TempDir(), 2, regexp.MustCompile("sum"), k)
	require.NoError(t, err)
	require.Empty(t, k.answers)
	require.Contains(t, report(table, open, 2), "0 of 1 are caught, 1 have not been asked about yet. ")
	first, n := run()
	require.Equal(t, 2+1+2, n, "two oracles without a mutant, one about sum, two about same")
	change(store, `{"key":"torn`)
	change(filepath.Join(dir, "README.md"), "concerns no test")
	again, n := run()
	require.Equal(t, first, again, "with their times")
	require.Equal(t, 5, n)
	change(filepath.Join(dir, "add", "add_test.go"), "\nfunc TestMore(t *testing.T) { t.Log(Sub(3, 2)) }\n")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "use", "testdata"), 0o755))
	change(filepath.Join(dir, "use", "testdata", "script.txt"), "read by a test")
	_, n = run()
	require.Equal(t, 5+3+2, n, "what add says is of an older test, what use says of another script")
	change(store, "nonsense\n")
	_, err = openKept(store)
	require.ErrorContains(t, err, "kept answers")
}

func TestPageNamesCommits(t *testing.T) {
	m := &mutant{name: "m"}
	text := report(&table{}, []verdict{{mutant: m, oracle: "o", commit: "a"}, {mutant: m, commit: "a"}}, 2)
	require.Contains(t, text, "1 of 2 are caught. All were asked on commit a.\n")
	text = report(&table{}, []verdict{{mutant: m, commit: "a"}, {mutant: m, commit: "b"}}, 2)
	require.Contains(t, text, "commits a, b,")
}

func TestMutantsThatCannotBe(t *testing.T) {
	for name, edit := range map[string][2]string{
		"is 0 times":      {"-	return a + b", "-	return a * b"},
		"is 2 times":      {"-	return a + b\n+	return a + b + 1", "-}\n+}\n+"},
		"undefined: none": {"+	return a + b + 1", "+	return a + none"},
		"no such file":    {"file add/add.go", "file add/none.go"},
	} {
		table, err := parse(strings.Replace(smallTable, edit[0], edit[1], 1))
		require.NoError(t, err)
		l, err := newLab(module(t), t.TempDir(), 2, forgetful(t), table.mutants)
		require.NoError(t, err)
		_, err = l.try(&table.mutants[0], table.oracles[:1])
		require.ErrorContains(t, err, name)
	}
}

func TestTheTreeItselfMustPass(t *testing.T) {
	table, err := parse(strings.Replace(smallTable, "oracle use ./use -test.run=^TestLess$\n", "", 1))
	require.NoError(t, err)
	dir := module(t)
	broken := "package add\n\nfunc Add(a, b int) int { return 0 }\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "add/add.go"), []byte(broken), 0o644))
	verdicts, err := table.run(dir, t.TempDir(), 2, regexp.MustCompile("same"), forgetful(t))
	require.ErrorContains(t, err, "does not pass without any mutant")
	require.Empty(t, verdicts)
}

func TestOrderOfOracles(t *testing.T) {
	oracles := []oracle{{name: "a"}, {name: "b"}, {name: "c"}, {name: "d"}}
	require.Equal(t, oracles, (&mutant{}).order(oracles))
	require.Equal(t, []oracle{{name: "b"}, {name: "d"}, {name: "a"}, {name: "c"}}, (&mutant{first: []string{"d", "b"}}).order(oracles))
}

func TestFirstFailed(t *testing.T) {
	text := "=== RUN\n--- FAIL: TestA (1s)\n    a_test.go:3: no\n    --- FAIL: TestA/x (1s)\n        --- FAIL: TestA/x/y (0s)\n--- FAIL: TestB (0s)\n"
	require.Equal(t, "TestA/x/y", firstFailed([]byte(text)))
	require.Equal(t, "a panic", firstFailed([]byte("panic: index out of range")))
}

func TestTablesThatAreNone(t *testing.T) {
	for _, text := range []string{
		"", "oracle x\n", "rows 1\n", "oracle a ./a\n\nmutant x\nnonsense\n", "oracle a ./a\n\nmutant x\nfile f\nsays s\n",
		"oracle a ./a\n\nmutant x\nfile f\nsays s\n-a\n+a\n", "oracle a ./a\n\nmutant x\nfile f\nsays s\nfirst b\n-a\n",
		"oracle a ./a\n\nmutant x\nfile f\nsays s\n-a\n\nmutant x\nfile f\nsays s\n-a\n",
	} {
		_, err := parse(text)
		require.Error(t, err, text)
	}
}
