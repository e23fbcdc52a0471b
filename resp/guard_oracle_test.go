//go:build oracle

package resp

import "testing"

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
