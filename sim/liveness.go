package sim

import (
	"math/bits"

	"kvapp/fsm"
	"kvapp/raft"
)

// When the faults have ended, progress is a duty. A random quorum is healed, the rest stays cut off. The quorum must elect
// a leader, commit a probe, answer every client, bring every one of its members to the same state, and then be quiet: no
// new term, no snapshot. Where nodes keep a reserve of their disks, one of them has a full disk up to the probe, the leader
// if there is one in the quorum: then another must lead.

// step is how far a run has come.
type step uint8

const (
	faults step = iota
	electing
	probing
	draining
	quiet
	over
)

var stepNames = [...]string{"faults", "a leader", "a committed probe", "equal states", "quiet", "over"}

// phase is the state of the liveness mode.
type phase struct {
	step     step
	deadline int64
	core     uint8 // the quorum, one bit per node
	target   uint64
	terms    uint64 // sum of terms when it began to be quiet
	sent     uint64 // snapshots to nodes of the quorum since then
	full     *host  // its disk stays full until a probe is committed; nil if there is none
	roomAt   int64  // since when it has room again
}

// patient is how many election timeouts each step may take.
var patient = [...]int64{electing: 40, probing: 40, draining: 120, quiet: 50}

// serving says whether clients begin something new.
func (w *World) serving() bool { return w.phase.step == faults || w.phase.step == probing }

// nextPhase looks whether the step of the liveness mode is done.
func (w *World) nextPhase() {
	p := &w.phase
	switch p.step {
	case faults:
		w.loseMajority()
		w.heal()
		w.enterStep(electing)
	case electing:
		if l := w.coreLeader(); l != nil {
			p.target = uint64(len(w.ledger))
			w.enterStep(probing)
		}
	case probing:
		if n := uint64(len(w.ledger)); n > p.target && w.acked > p.target {
			w.giveRoom()
			w.enterStep(draining)
		}
	case draining:
		if w.drained() {
			p.terms, p.sent = w.sumOfTerms(), 0
			w.enterStep(quiet)
		}
	case quiet:
		if terms := w.sumOfTerms(); terms != p.terms || p.sent > 0 {
			w.fail("stays-quiet", "terms went from %d to %d in sum, %d snapshots were sent", p.terms, terms, p.sent)
			return
		}
		if w.now >= p.deadline {
			p.step = over
			return
		}
	}
	if w.now >= p.deadline {
		w.fail("makes-progress", "no %s within %d election timeouts by nodes %07b; %d commands wait",
			stepNames[p.step], patient[p.step], p.core, len(w.waiting))
		return
	}
	w.queue.put(event{at: w.now + w.o.Election/4, kind: evPhase})
}

func (w *World) enterStep(s step) {
	w.phase.step = s
	w.phase.deadline = w.now + patient[s]*w.o.Election
	if s == probing {
		// Every client may wait for an answer that was lost; then it thinks, and its next operations may be reads.
		w.phase.deadline += w.patienceOfClients() + patienceEvery + 20*w.o.Think
		if w.o.Odds[blocks] > 0 {
			w.phase.deadline += longestWait
		}
	}
	if w.tracing {
		w.trace(w.hosts[0], "phase", "waiting for: %s, nodes %07b", stepNames[s], w.phase.core)
	}
}

// heal draws a quorum, mends everything in it, and cuts the others off for good.
func (w *World) heal() {
	d := dice(w.random(nemesisTime, 0, 0))
	n := len(w.hosts)
	need := n/2 + 1 + d.n(n-n/2)
	if w.o.Odds[changeClass] > 0 {
		need = n // a majority of all is no quorum of whatever the membership is
	}
	core := uint8(0)
	sound := 0
	for _, h := range w.hosts {
		if !h.damaged() && !h.spoiled {
			sound++
		}
	}
	for bits.OnesCount8(core) < min(need, sound) {
		if i := d.n(n); !w.hosts[i].damaged() && !w.hosts[i].spoiled {
			core |= 1 << i
		}
	}
	for _, h := range w.hosts { // those who have a state are a quorum: these must get one
		if h.spoiled && !h.damaged() {
			core |= 1 << h.n
		}
	}
	w.phase.core = core
	if w.o.Policy == fsm.NoEviction || w.o.volatile() {
		w.limitMemory(0) // or nobody could write any more
	}
	for from := range n {
		for to := range n {
			l := &w.links[from][to]
			l.clogged = 0
			l.cuts = 0
			if core>>from&1 == 0 || core>>to&1 == 0 {
				l.cuts = 1 << 20
			}
		}
	}
	w.keepFull(&d)
	for _, h := range w.hosts {
		if core>>h.n&1 == 1 {
			w.healHost(h)
		}
	}
	for _, c := range w.clients {
		for core>>c.node&1 == 0 {
			c.node = d.n(n)
		}
	}
}

// keepFull leaves one node of the quorum, the leader if it is in there, a disk that is too full for the writes of clients. The
// others are a quorum without it, so there must be progress nevertheless.
func (w *World) keepFull(d *dice) {
	p := &w.phase
	if w.o.Odds[reserve] == 0 || w.o.Odds[changeClass] > 0 || bits.OnesCount8(p.core)-1 <= len(w.hosts)/2 {
		return
	}
	for p.full = w.coreLeader(); p.full == nil; {
		if h := w.hosts[d.n(len(w.hosts))]; p.core>>h.n&1 == 1 {
			p.full = h
		}
	}
	p.full.full = true
	p.full.fs.SetSpace(w.o.DiskReserve * 7 / 8)
}

// giveRoom ends that.
func (w *World) giveRoom() {
	if p := &w.phase; p.full != nil {
		p.full.fs.SetSpace(-1)
		p.full.full = false
		p.roomAt = w.now
	}
}

// healHost gives a node of the quorum what it needs: its disk works, it runs, and it may go on.
func (w *World) healHost(h *host) {
	if h != w.phase.full {
		h.fs.SetSpace(-1)
		h.full = false
	}
	if !h.up {
		w.start(h)
		return
	}
	if h.job != nil {
		w.queue.put(event{at: w.now + w.o.MinFsync, kind: evPersist, node: uint8(h.n), life: h.life, ref: uint32(h.jobs)})
	}
	if h.paused > w.now {
		h.paused, h.busy = w.now, w.now
		w.wake(h)
	}
}

func (w *World) coreLeader() *host {
	for _, h := range w.hosts {
		if w.phase.core>>h.n&1 == 1 && h.up && h.last.Role == raft.Leader {
			return h
		}
	}
	return nil
}

// drained says whether every node of the quorum is idle in the same state.
func (w *World) drained() bool {
	l := w.coreLeader()
	if l == nil || len(w.wishes) > 0 || len(w.waiting) > 0 || !w.settled(l) || w.phase.full != nil && w.now < w.phase.roomAt+second {
		return false
	}
	w.phase.core &= w.listed(l.core.Membership()) // nobody else owes anything
	for _, h := range w.hosts {
		if w.phase.core>>h.n&1 == 0 {
			continue
		}
		if !h.up || h.store.Applied() != uint64(len(w.ledger)) || len(h.asked) > 0 || len(h.applies) > 0 || h.write != nil {
			return false
		}
	}
	for _, h := range w.hosts {
		if w.phase.core>>h.n&1 == 1 {
			w.compareHashNow(h)
			w.compareKeys(h)
			w.compareLists(h)
		}
	}
	return true
}

// compareKeys compares what a node at rest holds with the model.
func (w *World) compareKeys(h *host) {
	for _, k := range w.keys {
		c := fsm.Command{Spec: w.specs[get], Args: [][]byte{[]byte(verbNames[get]), []byte(k.name)}}
		var out replies
		h.store.Read(&c, &out)
		now, got := k.now(), &out.values[0]
		if now == nil && got.kind != '_' || now != nil && !k.reads(now, got) {
			w.fail("keys-are-the-model's", "%v: %s is %s, and the log says %+v", h, k.name, got, now)
			return
		}
	}
}

// settled says whether a leader has nothing left to do by itself: no change is under way, no learner waits for its
// promotion, nobody has a better right to lead, and no key has to be evicted. What it does not settle, the deadline tells.
func (w *World) settled(l *host) bool {
	m := l.core.Membership()
	best, own := uint8(0), uint8(0)
	for i := range m.Members {
		p := &m.Members[i]
		if p.Promote {
			return false
		}
		if !p.Learner && w.phase.core>>w.index(p.ID)&1 == 1 {
			best = max(best, p.Priority)
		}
		if p.ID == l.id {
			own = p.Priority
		}
	}
	return own == best && !l.core.Changing() && w.fits(l)
}

func (w *World) sumOfTerms() uint64 {
	sum := uint64(0)
	for _, h := range w.hosts {
		if w.phase.core>>h.n&1 == 1 {
			sum += h.last.Term
		}
	}
	return sum
}
