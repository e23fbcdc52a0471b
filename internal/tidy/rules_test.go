package tidy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every rule sees what it is there for: a check that finds nothing may be blind.
func TestRulesSee(t *testing.T) {
	code := &source{name: "raft/raft.go", dir: "raft"}
	test := &source{name: "raft/raft_test.go", dir: "raft", test: true}
	for _, c := range []struct {
		rule func(*source, ast.Node) string
		f    *source
		body string
		bad  bool
	}{
		{impure, code, "go f()", true},
		{impure, code, "wg.Go(f)", true},
		{impure, code, "select {}", true},
		{impure, code, "_ = time.Now()", true},
		{impure, code, "<-time.After(1)", true},
		{impure, code, "_ = rand.Int()", true},
		{impure, code, "r.rand.Int()", false},
		{impure, code, "f(func() { x.Now() })", false},
		{ends, code, `panic("x")`, true},
		{ends, code, `func() { panic("x") }()`, true},
		{ends, code, `log.Fatalf("x")`, true},
		{ends, code, "os.Exit(1)", true},
		{ends, code, "recover()", false},
		{ends, &source{name: "cmd/kvapp/main.go", dir: "cmd/kvapp"}, "os.Exit(1)", false},
		{ends, &source{name: "cmd/kvapp/main.go", dir: "cmd/kvapp"}, "panic(1)", true},
		{ends, &source{name: "cmd/kvapp/dev.go", dir: "cmd/kvapp"}, "os.Exit(1)", true},
		{logged, code, `s.log.Info("fsync_slow", "took_ms", 3)`, false},
		{logged, code, `s.log.Info("the fsync is slow")`, true},
		{logged, code, `cfg.Logger.Warn("fsync_slow", "how long", 3)`, true},
		{logged, code, `log.Error(text)`, true},
		{logged, code, `c.out.Error(text)`, false},
		{waits, test, "time.Sleep(1)", true},
		{waits, test, "t.Skip()", true},
		{waits, test, `t.Skipf("x")`, true},
		{waits, test, "<-time.After(1)", false},
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\nfunc x() {\n"+c.body+"\n}\n", parser.SkipObjectResolution)
		require.NoError(t, err, c.body)
		c.f.ast = f
		found := false
		ast.Inspect(f, func(n ast.Node) bool {
			found = found || n != nil && c.rule(c.f, n) != ""
			return true
		})
		require.Equal(t, c.bad, found, "%s in %s", c.body, c.f.name)
	}
}
