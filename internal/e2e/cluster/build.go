package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9/logging"

	"kvapp/internal/race"
)

// built is the program under test, shared by all tests of this process.
var built struct {
	once sync.Once
	dir  string
	err  error
}

// Main is what TestMain of a package that uses clusters calls: it runs the tests and removes the program.
func Main(m *testing.M) {
	logging.Disable() // go-redis prints every refused connection, and refused ones are what killing a node is about
	m.Run()
	if built.dir != "" {
		if err := os.RemoveAll(built.dir); err != nil {
			fmt.Fprintln(os.Stderr, "cluster:", err)
		}
	}
}

// Bin builds the program, once per test process and with the race detector if the test has it, and returns its path.
// It fails the test.
func Bin(t testing.TB) string {
	t.Helper()
	built.once.Do(func() { built.dir, built.err = build() })
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, "kvapp")
}

func build() (string, error) {
	dir, err := os.MkdirTemp("", "kvapp-bin-")
	if err != nil {
		return "", err
	}
	args := []string{"build", "-o", filepath.Join(dir, "kvapp")}
	if race.Enabled {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "kvapp/cmd/kvapp")...).CombinedOutput()
	if err != nil {
		return dir, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, nil
}
