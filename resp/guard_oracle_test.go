//go:build oracle

package resp

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the scripts demand is what redis-server does.
func TestScriptsAgainstRedis(t *testing.T) {
	open, shut := oracle(t), liveRedis(t, "--requirepass", "secret")
	for i, s := range scripts() {
		addr := open
		if s.pass {
			addr = shut
		}
		for how, pieces := range s.cuts(uint64(i)) {
			s.check(t, addr, how, pieces)
		}
	}
}

// Random rows of good and bad pieces get the same bytes from both, up to the end of the input.
func TestRandomInputAgainstRedis(t *testing.T) {
	// Too long lines are a matter of timing with Redis; replies that wait when the input ends are lost there, and a client
	// without a password that gets many at once is cut.
	for pass, most := range map[string]int{"": 12000, "secret": 3500} {
		var parts []string
		good := 0
		for i, p := range fragments() {
			if len(p) > most {
				continue
			}
			if parts = append(parts, p); i < badFragments {
				good = len(parts)
			}
		}
		ours := addrOf(guarded(t, pass))
		theirs := liveRedis(t)
		if pass != "" {
			theirs = liveRedis(t, "--requirepass", pass)
		}
		for seed := range uint64(1500) {
			rng := rand.New(rand.NewPCG(seed, 3))
			var in []byte
			for range 1 + rng.IntN(10) {
				part := parts[rng.IntN(len(parts))]
				if rng.IntN(4) > 0 {
					part = parts[good+rng.IntN(len(parts)-good)]
				}
				in = append(in, part...)
			}
			// At once, so that a good command and the bad one behind it are not told apart by time.
			s := script{in: string(in), ends: true}
			want, _ := play(t, theirs, &s, [][]byte{in}, true)
			got, _ := play(t, ours, &s, cutAt(rng, in, len(in)/2+1), true)
			require.True(t, want == got, "seed %d, password %q, input %.1000q\nwant %.1000q\n got %.1000q", seed, pass, in, want, got)
		}
	}
}

// An argument may be as long as proto-max-bulk-len says, and one that is longer ends the connection before it is read.
func TestBulkLimitAsRedis(t *testing.T) {
	const limit = 1 << 20
	_, s, first := one(t)
	theirs := oracle(t)
	for _, c := range []*client{first, dial(t, theirs)} {
		require.Equal(t, "+OK\r\n", c.do(fmt.Sprintf("CONFIG SET proto-max-bulk-len %d", limit)))
	}
	var replies []string
	for _, addr := range []string{theirs, addrOf(s)} {
		c := dial(t, addr)
		var all string
		for _, n := range []int{limit - 1, limit} {
			all += c.ask("SET", "k", strings.Repeat("x", n)) + c.do("STRLEN k")
		}
		all += c.ask("SETRANGE", "k", fmt.Sprint(limit-1), "y") + c.ask("GETRANGE", "k", "-2", "-1")
		_, err := fmt.Fprintf(c.nc, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n", limit+1)
		require.NoError(t, err)
		all += c.reply()
		c.closed()
		replies = append(replies, all)
	}
	require.Equal(t, replies[0], replies[1])
	require.Contains(t, replies[0], "invalid bulk length")
}
