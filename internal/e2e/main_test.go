package e2e

import (
	"testing"

	"kvapp/internal/e2e/cluster"
)

func TestMain(m *testing.M) { cluster.Main(m) }
