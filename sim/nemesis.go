package sim

import (
	"math/bits"

	"kvapp/node"
	"kvapp/raft"
)

// strike is a fault under way, to be mended.
type strike struct {
	class    class
	from, to uint8 // sets of nodes, one bit each: what the first say to the second is cut
}

// nemesis draws the faults that come over nodes and links. Those of messages, turns and writes are drawn where they are.
func (w *World) nemesis() {
	w.rounds++
	for c := partitionClass; c <= pauseClass; c++ {
		if r, ok := w.luck(c, 0, w.rounds); ok {
			w.strike(c, dice(r))
		}
	}
	if w.now < w.faultsEnd {
		w.queue.put(event{at: w.now + w.o.NemesisEvery, kind: evNemesis})
	}
}

func (w *World) strike(c class, d dice) {
	lasts := d.between(w.o.Election/8, w.o.FaultLasts)
	h := w.hosts[d.n(len(w.hosts))]
	switch c {
	case partitionClass:
		s := w.drawPartition(&d, h)
		w.reach(linkCut)
		w.split(s, 1)
		w.queue.put(event{at: w.now + lasts, kind: evMend, ref: w.strikes.add(s)})
		if w.tracing {
			w.trace(h, "partition", "from %07b to %07b for %dms", s.from, s.to, lasts/ms)
		}
	case clogClass:
		to := d.n(len(w.hosts))
		w.reach(linkClogged)
		w.links[h.n][to].clogged = w.now + lasts
		if w.tracing {
			w.trace(h, "clog", "to n%d for %dms", to+1, lasts/ms)
		}
	case pauseClass:
		w.reach(nodePaused)
		h.paused = w.now + lasts
		h.busy = max(h.busy, h.paused)
		if w.tracing {
			w.trace(h, "pause", "for %dms", lasts/ms)
		}
	}
}

// drawPartition draws which messages are lost: of one node, between two groups, or between two nodes; both ways or one.
func (w *World) drawPartition(d *dice, h *host) strike {
	all := uint8(1)<<len(w.hosts) - 1
	one := uint8(1) << h.n
	s := strike{class: partitionClass, from: one, to: all &^ one}
	switch d.n(3) {
	case 0:
		s.from = uint8(d.next()) & all
		s.to = all &^ s.from
	case 1:
		s.to = 1 << d.n(len(w.hosts))
	}
	switch d.n(4) {
	case 0:
		return s
	case 1:
		return strike{class: partitionClass, from: s.to, to: s.from}
	}
	s.class = clogClass // both ways
	return s
}

// split counts a partition of every link that it cuts up or down.
func (w *World) split(s strike, by int) {
	for from := s.from; from != 0; from &= from - 1 {
		for to := s.to; to != 0; to &= to - 1 {
			a, b := bits.TrailingZeros8(from), bits.TrailingZeros8(to)
			w.cut(a, b, by)
			if s.class == clogClass {
				w.cut(b, a, by)
			}
		}
	}
}

// mend ends a fault, unless heal has ended all of them.
func (w *World) mend(s strike) {
	if w.phase.step == faults {
		w.split(s, -1)
	}
}

func nodeUnreachable(id raft.NodeID) node.Event {
	return node.Event{Kind: node.EvUnreachable, Peer: id}
}
