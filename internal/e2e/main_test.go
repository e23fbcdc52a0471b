package e2e

import (
	"os"
	"testing"

	"kvapp/internal/e2e/cluster"
)

func TestMain(m *testing.M) { cluster.Main(m) }

// rounds is how often a test repeats what it does: n times, in a soak 20 times as often.
func rounds(n int) int {
	if os.Getenv("SOAK") != "" {
		return 20 * n
	}
	return n
}
