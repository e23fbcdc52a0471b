package main

import (
	"log/slog"
	"net"
	"os"
	"runtime"

	"kvapp/raft"
)

// shareCores limits this process to its share of the machine when other members run on the same one, as in `kvapp dev`.
// A user's own GOMAXPROCS wins.
//
// Measured with three nodes and the client on two cores: a node that believes both to be its own spends a sixth more CPU
// time, on waking threads that find nothing to do; SET and GET by 50 clients are a tenth faster with one core each.
func shareCores(members []raft.Member, self raft.Member, log *slog.Logger) {
	if os.Getenv("GOMAXPROCS") != "" {
		return
	}
	all := runtime.GOMAXPROCS(0)
	if n := cores(members, self, all); n < all {
		runtime.GOMAXPROCS(n)
		log.Info("shares_cores", "uses", n, "of", all)
	}
}

// cores is the share of each member on self's machine, at least one.
func cores(members []raft.Member, self raft.Member, all int) int {
	here := 0
	for _, m := range members {
		if hostOf(m.PeerAddr) == hostOf(self.PeerAddr) {
			here++
		}
	}
	return max(1, all/max(1, here))
}

func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}
