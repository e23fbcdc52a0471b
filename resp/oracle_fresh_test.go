//go:build oracle

package resp

import (
	"flag"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var differFor = flag.Duration("differ.for", 3*time.Second, "how long fresh seeds are tried")

// TestFreshSeeds compares waits, transactions and data commands of other seeds every time, through the whole server, for as
// long as it is told.
func TestFreshSeeds(t *testing.T) {
	theirs := oracle(t)
	_, s, first := one(t)
	require.NoError(t, first.nc.Close())
	began := time.Now()
	from, compared := began.UnixNano()/1000, 0
	seed := from
	defer func() { t.Logf("%d commands compared; seeds from %d, the last one is %d", compared, from, seed) }()
	for ; time.Since(began) < *differFor && !t.Failed(); seed++ {
		compared += sameBlocking(t, addrOf(s), theirs, seed)
		compared += sameTransactions(t, addrOf(s), theirs, seed)
		for _, proto := range []string{"2", "3"} {
			compared += sameCommands(t, addrOf(s), theirs, proto, seed, 300)
		}
	}
}
