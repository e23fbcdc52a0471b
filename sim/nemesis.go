package sim

import (
	"errors"
	"math/bits"
	"strings"

	"kvapp/node"
	"kvapp/raft"
	"kvapp/sim/disk"
)

// strike is a fault under way, to be mended.
type strike struct {
	class    class
	from, to uint8 // sets of nodes, one bit each: what the first say to the second is cut
}

// nemesis draws the faults that come over nodes and links. Those of messages, turns and writes are drawn where they are.
func (w *World) nemesis() {
	w.rounds++
	for c := partitionClass; c <= handClass; c++ {
		if r, ok := w.luck(c, 0, w.rounds); ok {
			w.strike(c, dice(r))
		}
	}
	if r, ok := w.luck(memory, 0, w.rounds); ok {
		w.changeLimit(dice(r))
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
	case wallClass:
		w.reach(clockJumped)
		h.clock.wall += d.between(1, 20_000) * (1 - 2*int64(d.n(2)))
	case driftClass:
		if w.o.Drift > 0 {
			h.clock.turn(int64(d.n(int(2*w.o.Drift+1))) - w.o.Drift)
		}
	case takeClass:
		if h.up {
			w.post(h, node.Event{Kind: node.EvTakeSnapshot, Taken: make(chan uint64, 1)})
		}
	case changeClass:
		w.drawChange(&d)
	case handClass:
		w.drawTransfer(&d)
	default:
		w.strikeMachine(c, h, &d, lasts)
	}
}

// strikeMachine is a fault of a process or a disk.
func (w *World) strikeMachine(c class, h *host, d *dice, lasts int64) {
	if h.gone {
		return
	}
	if w.tracing {
		w.trace(h, classNames[c], "for %dms", lasts/ms)
	}
	switch c {
	case fullClass:
		w.reach(diskFull)
		h.full = true
		h.fs.SetSpace(w.littleSpace(d))
		w.queue.put(event{at: w.now + lasts, kind: evMend, ref: w.strikes.add(strike{class: c, from: 1 << h.n})})
		return
	case rotClass:
		w.rot(h)
		return
	case killClass, wipeClass:
		if !h.up {
			return
		}
		w.reach(processKilled)
		w.kill(h, d)
		if c == wipeClass {
			w.wipe(h)
		}
	case powerClass:
		if !h.up {
			return
		}
		w.reach(powerFailed)
		w.powerLoss(h, d)
	}
	if more, ok := w.luck(spoilClass, uint8(h.n), uint64(h.life)); ok && (c == killClass || c == powerClass) {
		w.spoil(h, dice(more))
	}
	w.queue.put(event{at: w.now + lasts, kind: evStart, node: uint8(h.n)})
}

// littleSpace is what is left of a disk that others have filled: next to nothing, or where a reserve is kept, less than that or
// a little more, but most often enough for what a node does that takes no entries.
func (w *World) littleSpace(d *dice) int64 {
	if r := w.o.DiskReserve; w.o.Odds[reserve] > 0 && !d.oneIn(8) {
		return r/2 + int64(d.n(int(r)))
	}
	return d.between(1, 2000)
}

// spare says whether one more disk may be damaged: a majority never is, or nothing could be demanded of the others.
func (w *World) spare(h *host) bool {
	damaged := 0
	for _, o := range w.hosts {
		if o.damaged() || o.spoiled {
			damaged++
		}
	}
	return !h.damaged() && damaged < (len(w.hosts)-1)/2
}

// damaged says that a disk has lost something: its node may refuse to start at any time, and does when it finds out.
func (h *host) damaged() bool { return h.rotten || h.wiped || h.gone }

// rot flips a durable bit, but not in the last batch of the journal: there it cannot be told from a torn write, as wal
// documents.
func (w *World) rot(h *host) {
	if !w.spare(h) || h.job != nil {
		return
	}
	trial := h.fs.Clone()
	path, at, ok := trial.Rot(dir)
	if !ok || (strings.HasPrefix(path, dir+"/log/") && (path > h.tail || path == h.tail && at >= h.tailAt)) {
		return
	}
	h.fs.Rot(dir)
	h.rotten = true
	if w.tracing {
		w.trace(h, "rot", "%s at byte %d", path, at)
	}
}

// spoil damages a snapshot file of a node that is down: a part of it is other bytes, or missing, or it is gone.
func (w *World) spoil(h *host, d dice) {
	if h.spoiled || !w.spare(h) {
		return
	}
	var names []string
	entries, err := h.fs.ReadDir(dir + "/snapshots")
	for _, e := range entries {
		if strings.HasSuffix(e.Name, ".snap") {
			names = append(names, e.Name)
		}
	}
	if err != nil || len(names) == 0 {
		return
	}
	path := dir + "/snapshots/" + names[d.n(len(names))]
	how := d.n(3)
	if how == 0 {
		err = errors.Join(h.fs.Remove(path), h.fs.SyncDir(dir+"/snapshots"))
	} else {
		err = spoilFile(h.fs, path, &d, how == 1)
	}
	if err != nil {
		w.fail("spoiling", "%v: %v", h, err)
		return
	}
	w.reach(snapshotSpoiled)
	h.spoiled = true
	if w.tracing {
		w.trace(h, "spoil", "%s: %s", path, [...]string{"removed", "cut", "a byte changed"}[how])
	}
}

func spoilFile(fs *disk.Disk, path string, d *dice, cut bool) error {
	st, err := fs.Stat(path)
	if err != nil {
		return err
	}
	f, err := fs.OpenWrite(path)
	if err != nil {
		return err
	}
	at := int64(d.n(int(st.Size)))
	var b [1]byte
	if cut {
		err = f.Truncate(at)
	} else if _, err = f.ReadAt(b[:], at); err == nil {
		b[0] ^= 1 << d.n(8)
		_, err = f.WriteAt(b[:], at)
	}
	return errors.Join(err, f.Sync(), f.Close())
}

// wipe loses the disk of a node that does not run.
func (w *World) wipe(h *host) {
	if !w.spare(h) {
		return
	}
	h.wiped = true
	h.fs.Wipe()
	h.incarnation = mix(h.incarnation) | 1
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
	if s.class == fullClass {
		h := w.hosts[bits.TrailingZeros8(s.from)]
		h.full = false
		h.fs.SetSpace(-1)
		return
	}
	if w.phase.step == faults {
		w.split(s, -1)
	}
}

func nodeUnreachable(id raft.NodeID) node.Event {
	return node.Event{Kind: node.EvUnreachable, Peer: id}
}
