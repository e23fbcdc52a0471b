package raft

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"kvapp/internal/race"
)

// world is a cluster with faults. The checks of cluster run after every step.
type world struct {
	*cluster
	pick    func(label string, n int) int // chance: 0 <= pick < n
	mood    mood
	cut     map[[2]NodeID]bool
	old     []Message // delivered before, may come again
	nextVal int
	nextID  uint64
	asked   map[uint64]uint64 // read id -> highest index acknowledged or served when it was asked
	acked   uint64            // highest index known to be committed by anybody
}

// mood is how hard a world is; each draws its own, because bugs that need a quiet leader are not found in a storm.
type mood struct {
	ticks    [6]int64 // ms
	messages int      // delivered at once, at most
	loss     int      // one message in so many; 0: none
	reorder  int      // one message in so many
	crash    int      // one in so many chances
	cuts     int      // one in so many chances
	disks    int      // of 10 pieces of work
	writes   int      // proposed at once, at most
	sick     NodeID   // its disk takes eight times as long; 0: none
}

func drawMood(pick func(label string, n int) int) mood {
	return mood{
		ticks:    [...][6]int64{{1, 5, 10, 10, 30, 120}, {5, 10, 10, 10, 20, 20}, {2, 5, 10, 10, 10, 40}}[pick("ticks", 3)],
		messages: [...]int{8, 16, 30}[pick("messages", 3)], loss: [...]int{20, 0, 5}[pick("loss", 3)],
		reorder: [...]int{4, 20, 2}[pick("reorder", 3)], crash: [...]int{1, 3, 8}[pick("crashes", 3)], cuts: 1 + 2*pick("cuts", 3),
		disks: [...]int{9, 1, 4}[pick("disks", 3)], writes: 1 + pick("writes", 4),
		sick: NodeID(pick("sick", 6)),
	}
}

func newWorld(t require.TestingT, pick func(label string, n int) int) *world {
	n := [...]int{3, 3, 3, 1, 2, 4, 5}[pick("nodes", 7)]
	w := &world{cluster: newCluster(t, n), pick: pick, mood: drawMood(pick), cut: map[[2]NodeID]bool{}, asked: map[uint64]uint64{}}
	w.held = pick("slow disks", 3) > 0
	for range pick("slow state machines", 3) {
		w.anyHost().lazy = true
	}
	w.config = func(id NodeID, now int64) Config {
		cfg := testConfig(id, now)
		cfg.Seed += w.nextID * 131
		return cfg
	}
	return w
}

func (w *world) anyHost() *host { return w.hosts[w.pick("host", len(w.hosts))] }

// observe looks for finished reads and the highest committed index.
func (w *world) observe() {
	w.acked = uint64(len(w.ledger)) // it has no gap
	for _, h := range w.hosts {
		for id, r := range h.reads {
			if r.Err == nil {
				require.GreaterOrEqual(w.cluster.t, r.Index, w.asked[id], "node %d: read %d misses what was committed before it was asked", h.id, id)
			}
			delete(h.reads, id)
			delete(w.asked, id)
		}
		// A lease may serve only what is newest.
		if h.core != nil && w.now < h.core.LeaseUntil() {
			for _, o := range w.hosts {
				if o.core != nil && o.core.Role() == Leader {
					require.LessOrEqual(w.cluster.t, o.core.Term(), h.core.Term(), "%d has a lease while %d leads", h.id, o.id)
				}
			}
			require.GreaterOrEqual(w.cluster.t, h.core.Commit(), w.acked, "a lease holder misses a commit")
			// It serves reads from what it has applied: nobody else may have shown more before.
			for _, o := range w.hosts {
				if o.core != nil {
					require.LessOrEqual(w.cluster.t, o.applied, h.applied, "%d shows what the lease holder %d does not", o.id, h.id)
				}
			}
		}
	}
}

func (w *world) deliverAny() {
	if len(w.net) == 0 {
		return
	}
	i := 0
	if w.pick("reorder", w.mood.reorder) == 0 {
		i = w.pick("which", len(w.net))
	}
	m := w.net[i]
	w.net = append(w.net[:i:i], w.net[i+1:]...)
	switch {
	case w.cut[[2]NodeID{m.From, m.To}]:
		return
	case w.mood.loss > 0 && w.pick("lose", w.mood.loss) == 0:
		return
	}
	w.old = append(w.old, m)
	w.deliver(m)
}

func (w *world) replay() {
	if len(w.old) > 0 {
		m := w.old[w.pick("old message", len(w.old))]
		if !w.cut[[2]NodeID{m.From, m.To}] {
			if h := w.host(m.To); h.core != nil && m.Term < h.core.Term() {
				w.seen["a message of an old term replayed"]++
			}
			w.deliver(m)
		}
	}
}

// partition cuts links at random, or all of one node, most often of a leader: it goes on writing what nobody gets.
func (w *world) partition() {
	kind, lone := w.pick("kind of partition", 3), w.anyHost().id
	for _, h := range w.hosts {
		if kind == 2 && h.core != nil && h.core.Role() == Leader {
			lone = h.id
		}
	}
	for _, a := range w.hosts {
		for _, b := range w.hosts {
			if kind == 0 {
				w.cut[[2]NodeID{a.id, b.id}] = w.pick("cut", 4) == 0
			} else {
				w.cut[[2]NodeID{a.id, b.id}] = a.id == lone || b.id == lone
			}
		}
	}
}

func (w *world) heal() { clear(w.cut) }

func (w *world) startAny() {
	for _, h := range w.hosts {
		if h.core == nil {
			w.nextID++
			w.start(h)
			return
		}
	}
}

func (w *world) ask() {
	h := w.anyHost()
	if h.core == nil {
		return
	}
	w.nextID++
	w.asked[w.nextID] = w.acked
	w.step(h, Event{Kind: EvReadIndex, ID: w.nextID})
}

func (w *world) write() {
	for _, h := range w.hosts {
		if h.core != nil && h.core.Role() == Leader {
			w.nextVal++
			w.step(h, Event{Kind: EvPropose, EntryKind: EntryCommand, ID: 1, Data: fmt.Append(nil, "value", w.nextVal)})
		}
	}
}

func (w *world) work() {
	h := w.anyHost()
	if busy := w.host(1 + NodeID(w.pick("disk of", len(w.hosts)))); len(busy.writes) > 0 {
		h = busy
	}
	if h.core == nil {
		return
	}
	if h.handed > h.applied && w.pick("apply", 4) == 0 {
		w.apply(h, h.applied+1+uint64(w.pick("entries", int(h.handed-h.applied))))
		return
	}
	if len(h.writes) > 0 && w.pick("disk", 10) < w.mood.disks && (h.id != w.mood.sick || w.pick("sick disk", 8) == 0) {
		w.persist(h, 1+w.pick("fsync", len(h.writes)))
		return
	}
	switch w.pick("work", 5) {
	case 0:
		w.snapshot(h, uint64(w.pick("keep", 5)))
	case 1:
		w.step(h, Event{Kind: EvUnreachable, To: w.anyHost().id})
	case 2:
		if len(h.streams) > 0 {
			s := h.streams[0]
			h.streams = h.streams[1:]
			w.stream(h, s, w.pick("stream fails", 2) == 1)
		}
	default:
		if len(h.fetches) > 0 && w.pick("fetch fails", 5) == 0 {
			h.fetches[0] = Event{Kind: EvFetched, To: h.fetches[0].To, Index: h.fetches[0].Index, Failed: true}
		}
		w.background(h)
	}
}

// reconfigure asks anybody for changes, most often few: members come, go, are demoted, promoted and preferred.
func (w *world) reconfigure() {
	h := w.anyHost()
	if h.core == nil {
		return
	}
	var changes []Change
	for range 1 + w.pick("changes", 3) {
		c := Change{Kind: ChangePromote, Member: Member{ID: w.anyHost().id}}
		switch w.pick("change", 8) {
		case 0, 1:
			c.Kind = ChangeDemote
		case 2:
			c.Kind = ChangeRemove
		case 3:
			if len(w.hosts) < 7 {
				c.Kind, c.Member = ChangeAdd, Member{ID: NodeID(len(w.hosts) + 1)}
				w.addHost(c.Member.ID, Membership{})
			}
		case 4:
			c.Kind, c.Member.Priority = ChangeSet, uint8(w.pick("priority", 3))
		}
		changes = append(changes, c)
	}
	w.nextID++
	w.step(h, Event{Kind: EvChange, ID: w.nextID, Changes: changes})
}

func (w *world) handOver() {
	h := w.anyHost()
	if h.core != nil && w.pick("unfit", 3) == 0 {
		w.step(h, Event{Kind: EvUnfit, Failed: w.pick("fit", 2) == 0})
		return
	}
	w.nextID++
	w.step(h, Event{Kind: EvTransfer, ID: w.nextID, To: NodeID(w.pick("heir", len(w.hosts)+1))})
}

func (w *world) act() {
	switch k := w.pick("action", 100); {
	case k < 45:
		for range 1 + w.pick("messages", w.mood.messages) {
			w.deliverAny()
		}
	case k < 60:
		w.tick(w.mood.ticks[w.pick("ms", 6)] * ms)
	case k < 68:
		for range 1 + w.pick("writes", w.mood.writes) {
			w.write()
		}
	case k < 81:
		w.work()
	case k < 85:
		w.ask()
	case k < 87:
		w.replay()
	case k < 89:
		if w.pick("cut", w.mood.cuts) == 0 {
			w.partition()
		}
	case k < 92:
		w.heal()
	case k < 93:
		if w.pick("which", 3) == 0 {
			w.handOver()
		} else {
			w.reconfigure()
		}
	case k < 97:
		w.startAny()
	default:
		h := w.anyHost()
		if busy := w.host(1 + NodeID(w.pick("crash of", len(w.hosts)))); len(busy.writes) > 0 {
			h = busy
		}
		if h.core != nil && w.pick("crash", w.mood.crash) == 0 {
			w.crashTorn(h, w.pick("writes that made it", len(h.writes)+1), w.pick("writes in the torn batch", 4), w.pick("records that made it", 4))
			if w.pick("snapshot rots", 4) == 0 && h.disk.snap.Index > 0 && (w.lost() == 0 || w.pick("one more", 8) == 0) {
				w.seen["a snapshot rotted"]++
				h.disk.lost = true
			}
		}
	}
	w.observe()
}

func (w *world) describe() string {
	s := fmt.Sprintf("\nnow %d", w.now)
	for _, h := range w.hosts {
		if h.core != nil {
			st := h.core.Status()
			s += fmt.Sprintf("\n%+v writes %d seq %d/%d promises %d", st, len(h.writes), h.core.dur.done, h.core.dur.seq, len(h.core.dur.promises))
		}
	}
	return s
}

// lost counts the nodes whose snapshot cannot be read.
func (w *world) lost() (n int) {
	for _, h := range w.hosts {
		if h.disk.lost {
			n++
		}
	}
	return n
}

// mendAll gives back, as an operator would, the states of all nodes that have lost theirs, if fewer than a majority of some
// membership have one.
func (w *world) mendAll() {
	enough := true
	for _, h := range w.hosts {
		if h.core == nil {
			w.nextID++
			w.start(h)
		}
		for i := range h.core.members {
			have, voters := 0, h.core.members[i].m.voters()
			for _, id := range voters {
				if o := w.host(id); o.core != nil && !o.core.stateless || o.core == nil && !o.disk.lost {
					have++
				}
			}
			enough = enough && (have > len(voters)/2 || len(voters) == 0)
		}
	}
	for _, h := range w.hosts {
		if h.disk.lost && !enough {
			w.seen["a lost state brought back"]++
			w.crash(h, len(h.writes))
			h.disk.lost = false
			w.start(h)
		} else if h.disk.lost {
			w.seen["a lost state left to the leader"]++
		}
	}
}

// recoverAll ends all faults and demands progress: a leader, a commit of a new proposal, equal logs, equal states, and
// answers to reads.
func (w *world) recoverAll() {
	w.heal()
	w.held = false
	w.mendAll()
	for _, h := range w.hosts {
		if h.core == nil {
			w.nextID++
			w.start(h)
		}
		h.lazy = false
		w.step(h, Event{Kind: EvUnfit})
		w.persist(h, len(h.writes))
		w.apply(h, h.handed)
	}
	var leader *host
	for range 2000 {
		w.tick(10 * ms)
		w.settle(nil)
		leader = nil
		for _, h := range w.hosts {
			if h.core.Role() == Leader && h.applied >= h.core.noop && (leader == nil || h.core.Term() > leader.core.Term()) {
				leader = h
			}
		}
		if leader != nil {
			break
		}
	}
	require.NotNil(w.cluster.t, leader, "no leader after all faults ended: %s", w.describe())
	for i := 0; leader.core.Status().Transfer != 0 || leader.core.changing(); i++ { // a transfer may succeed yet
		require.Less(w.cluster.t, i, 2000, "a change or a transfer does not end: %s", w.describe())
		w.tick(10 * ms)
		w.settle(nil)
		for _, h := range w.hosts {
			if h.core.Role() == Leader && h.core.Term() > leader.core.Term() {
				leader = h
			}
		}
	}
	res := w.propose(leader, "last")
	require.NoError(w.cluster.t, res.Err)
	for range 300 { // long enough for learners to be promoted and for a preferred voter to get leadership
		w.settle(nil)
		w.tick(10 * ms)
	}
	for _, h := range w.hosts {
		if h.core.Role() == Leader && h.core.Term() > leader.core.Term() {
			leader = h
		}
	}
	w.observe()
	term := leader.core.Term()
	members := leader.core.Membership()
	require.False(w.cluster.t, leader.core.changing(), "a change does not end")
	for _, h := range w.hosts {
		at, member := members.find(h.id)
		if !member {
			require.NotEqual(w.cluster.t, Leader, h.core.Role())
			continue
		}
		require.False(w.cluster.t, members.Members[at].Promote, "node %d is not promoted", h.id)
		require.Equal(w.cluster.t, term, h.core.Term(), "the term still moves")
		require.False(w.cluster.t, h.core.Stateless(), "node %d gets no state", h.id)
		require.GreaterOrEqual(w.cluster.t, h.applied, res.Index, "node %d does not catch up", h.id)
		require.Equal(w.cluster.t, leader.core.LastIndex(), h.core.LastIndex())
		w.nextID++
		w.step(h, Event{Kind: EvReadIndex, ID: w.nextID})
		w.settle(nil)
		require.NoError(w.cluster.t, h.reads[w.nextID].Err)
		require.GreaterOrEqual(w.cluster.t, h.reads[w.nextID].Index, res.Index)
	}
}

// TestRandomClusters: whatever is lost, repeated, delayed, cut off or crashed, nothing committed is lost and no read is
// stale; and when it ends, everything goes on.
func TestRandomClusters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, func(label string, n int) int { return rapid.IntRange(0, n-1).Draw(t, label) })
		for range rapid.IntRange(10, 300).Draw(t, "steps") {
			w.act()
		}
		w.recoverAll()
	})
}

// TestSeededClusters is the same, longer and from plain seeds, which reaches deeper: the choices are not biased to
// small numbers. Every one of corners must have been reached.
func TestSeededClusters(t *testing.T) {
	seen := situations{}
	for seed := range uint64(race.Share(*seeds)) {
		t.Run(fmt.Sprint(*firstSeed+seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(*firstSeed+seed, 1))
			w := newWorld(t, func(_ string, n int) int { return rng.IntN(n) })
			for range 4000 {
				w.act()
			}
			w.recoverAll()
			for name, n := range w.seen {
				seen[name] += n
			}
		})
	}
	t.Logf("situations: %v", seen)
	if race.Share(*seeds) < 150 {
		return // too few to get everywhere
	}
	for _, name := range corners {
		require.NotZero(t, seen[name], "never reached: %s", name)
	}
}

var (
	seeds     = flag.Int("seeds", 150, "number of seeds for TestSeededClusters")
	firstSeed = flag.Uint64("seed", 1, "first seed for TestSeededClusters")
)
