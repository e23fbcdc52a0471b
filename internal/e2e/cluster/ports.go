package cluster

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// Ports come in blocks below the range from which the system takes the local ports of outgoing connections (32768 up
// by default): a node that is down must find its port free when it comes back, and a client that dials it meanwhile
// must not happen to connect to itself. The first port of a block stays bound while the block is in use, which keeps
// other test processes away.
const (
	blockSize   = 20
	blockFirst  = 23000
	blockCount  = 450 // up to 32000
	devFirst    = 10100
	devCount    = 130 // up to 12700; so are the ports + 10000 and + 20000 below 32768
	blockTrials = 200
)

// Ports reserves n free ports on 127.0.0.1 until the test ends. REQUIRES: n < 20. It fails the test.
func Ports(t testing.TB, n int) []int {
	t.Helper()
	base := reserve(t, blockFirst, blockCount, n, 0)
	ports := make([]int, n)
	for i := range ports {
		ports[i] = base + 1 + i
	}
	return ports
}

// DevPort reserves ports for `kvapp dev --port` with n nodes: the ports from the one returned on are free, and so are
// those 10000 and 20000 above. REQUIRES: n < 20. It fails the test.
func DevPort(t testing.TB, n int) int {
	t.Helper()
	return reserve(t, devFirst, devCount, n, 10000, 20000) + 1
}

// reserve looks for a block whose first n ports after the lock are free, also when moved by each of offsets.
func reserve(t testing.TB, first, count, n int, offsets ...int) int {
	t.Helper()
	if n >= blockSize {
		t.Fatalf("%d ports: at most %d", n, blockSize-1)
	}
	for range blockTrials {
		base := first + rand.IntN(count)*blockSize
		lock, err := net.Listen("tcp", local(base))
		if err != nil {
			continue
		}
		if !allFree(base+1, n, append([]int{0}, offsets...)) {
			_ = lock.Close() // only a listener that nobody dialled
			continue
		}
		t.Cleanup(func() { _ = lock.Close() })
		return base
	}
	t.Fatalf("no %d free ports between %d and %d", n, first, first+count*blockSize)
	return 0
}

func allFree(first, n int, offsets []int) bool {
	for _, off := range offsets {
		for p := first + off; p < first+off+n; p++ {
			l, err := net.Listen("tcp", local(p))
			if err != nil {
				return false
			}
			_ = l.Close() // only a listener that nobody dialled
		}
	}
	return true
}

func local(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }
