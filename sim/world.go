package sim

import (
	"fmt"
	"io"

	"kvapp/fsm"
	"kvapp/node"
	"kvapp/raft"
)

// World is one simulated cluster with its clients. It belongs to one goroutine and shares nothing with other worlds.
type World struct {
	o        Options
	now      int64 // true time in ns since the beginning
	queue    queue
	hosts    []*host
	members  []raft.Member
	links    [MaxNodes][MaxNodes]link
	old      []raft.Message // some that have been sent, to be sent again
	streamed uint64         // snapshot streams so far

	packets  slab[packet]
	fetches  slab[raft.Fetch]
	streams  slab[*stream]
	attempts slab[*attempt]
	strikes  slab[strike]

	// Chance.
	faultsEnd int64
	rounds    uint64              // of the nemesis
	only      map[choice]struct{} // nil = everything may happen that the seed says
	chosen    *[]choice           // not nil: everything that happened while there were faults

	// Clients and the model.
	clients []*client
	specs   [verbs]*fsm.Spec
	keys    []*key
	keyAt   map[string]int
	current map[int]int // by number and type: the key in use
	tokens  []token
	acked   uint64 // highest index that a client has seen the effect of

	// Lists and who waits for them, see lists.go.
	lists    []*list
	waiting  []waiting // the oldest first
	fed      []*list   // written by the command or the transaction in execution, the first first
	unblocks slab[*unblocking]

	position  uint64         // of the command in execution, in its entry
	inMulti   bool           // it is part of a transaction
	relisting bool           // see relist
	broken    map[place]bool // of transactions, that a watched key had changed

	// What is known of the whole cluster.
	ledger  []committed
	book    []bookEntry
	leaders []int8                  // by term: position of its leader, -1 = none seen
	votes   [MaxNodes][]int8        // by term: for whom each node has voted
	hashes  map[uint64]uint64       // by index: hash of the state
	acks    [MaxNodes][MaxNodes]ack // by node and leader
	configs []config
	// The newest committed membership and its term, and what nodes were asked for.
	membership     raft.Membership
	membershipTerm uint64
	wishes         []wish

	cluster string // what the nodes' disks are named after; another one once a majority of them is lost
	epoch   uint32 // of clients and messages: 1 once that has happened

	phase   phase
	reached [corners]uint64
	failure *Failure

	events  uint64
	hash    uint64
	tracing bool
	out     io.Writer
	suspect func(w *World) string
	plant   func(host int, index uint64) bool
	caught  func(host int, why *node.DivergedError)

	// Memory, see memory.go.
	limit   *node.Memory
	ceiling int64   // the highest limit that ever was
	counted []int64 // by index: what the keys take behind the entry, -1 = not known
}

// Failure is an invariant that did not hold.
type Failure struct {
	Invariant string
	Detail    string
	At        int64 // ns of true time
	Event     uint64
}

func (f *Failure) Error() string {
	return fmt.Sprintf("%s does not hold at %d.%09ds, event %d: %s", f.Invariant, f.At/second, f.At%second, f.Event, f.Detail)
}

// Result is what a run has to say.
type Result struct {
	Options Options
	Failure *Failure // nil: everything held
	Hash    uint64   // of every event: equal for equal seeds
	Events  uint64
	Time    int64 // simulated, in ns
	Entries uint64
	Reached map[string]uint64 // rare situations, by name
}

// Config says how to run a world.
type Config struct {
	Trace io.Writer // one line per event; nil = none

	chosen *[]choice
	// suspect is one more invariant, looked at after each event: it names what is wrong, or returns "".
	suspect func(w *World) string
	// plant says whether a node is to have another state than the log says from an entry on, and caught is told how it ends.
	plant  func(host int, index uint64) bool
	caught func(host int, why *node.DivergedError)
}

// eventsPerMs bounds the events of a run per simulated ms of its phase with faults: one that does not come to its end is a
// failure.
const eventsPerMs = 500

// Run runs the world of o to its end, or to the first invariant that does not hold.
func Run(o Options, c Config) Result { return newWorld(o, c).run() }

func (w *World) run() Result {
	limit := uint64(w.o.Duration/ms+1) * eventsPerMs
	for w.failure == nil && w.phase.step != over {
		if w.events == limit {
			w.fail("run-ends", "%d events, phase %d", w.events, w.phase.step)
			break
		}
		e := w.queue.take()
		w.now = e.at
		w.events++
		w.note(uint64(e.at))
		w.note(uint64(e.kind)<<8 | uint64(e.node) | uint64(e.ref)<<16)
		w.handle(&e)
		if w.suspect != nil {
			if what := w.suspect(w); what != "" {
				w.fail("suspicion", "%s", what)
			}
		}
	}
	if w.failure == nil {
		w.judge()
	}
	return w.result()
}

func newWorld(o Options, c Config) *World {
	w := &World{
		o: o, cluster: "51", hash: offset64, out: c.Trace, tracing: c.Trace != nil,
		chosen: c.chosen, suspect: c.suspect, plant: c.plant, caught: c.caught,
		keyAt: map[string]int{}, broken: map[place]bool{}, current: map[int]int{}, hashes: map[uint64]uint64{}, faultsEnd: o.Duration,
	}
	w.limitMemory(o.MaxMemory)
	w.startLists()
	w.newToken(-1) // token 0 is nobody's
	for v := range verbs {
		w.specs[v] = fsm.Lookup([]byte(verbNames[v]))
	}
	for i := range o.Nodes + o.Spares {
		w.members = append(w.members, raft.Member{
			ID: raft.NodeID(i + 1), Name: fmt.Sprintf("n%d", i+1), PeerAddr: fmt.Sprintf("p%d", i+1), ClientAddr: fmt.Sprintf("c%d", i+1),
		})
	}
	d := dice(mix(o.Seed ^ golden))
	for i := range w.members {
		h := &host{n: i, id: w.members[i].ID}
		h.clock = clock{w: w, zero: int64(d.n(1000)) * second, wall: int64(d.n(2000)) - 1000}
		if o.Drift > 0 {
			h.clock.ppm = int64(d.n(int(2*o.Drift+1))) - o.Drift
		}
		w.hosts = append(w.hosts, h)
		w.found(h)
		w.queue.put(event{at: d.between(1, o.Election), kind: evStart, node: uint8(i)})
	}
	if err := w.acquaint(); err != nil {
		w.fail("founding", "%v", err)
	}
	for i := range o.Clients {
		c := &client{n: i, node: d.n(len(w.hosts))}
		w.clients = append(w.clients, c)
		w.queue.put(event{at: d.between(1, second), kind: evThink, ref: uint32(i)})
	}
	w.queue.put(event{at: patienceEvery, kind: evPatience})
	w.queue.put(event{at: o.Quiet, kind: evNemesis})
	w.queue.put(event{at: w.faultsEnd, kind: evPhase})
	return w
}

// handle is the table of events.
func (w *World) handle(e *event) {
	h := w.hosts[e.node]
	if bound[e.kind] && (!h.up || h.life != e.life) {
		w.forget(e)
		return
	}
	switch e.kind {
	case evDeliver:
		w.deliver(e)
	case evTimer:
		w.timer(h, e.at)
	case evTurn:
		h.turnPut = false
		w.wake(h)
	case evPersist:
		w.persist(h, e.ref)
	case evApply:
		w.applyOn(h)
	case evFetch:
		w.fetchDone(h, e.ref)
	case evWrite:
		w.writeDone(h)
	case evStream:
		w.streamOn(e)
	case evArrive:
		w.arrive(e)
	case evServe:
		w.serve(e)
	case evReply:
		w.reply(w.attempts.take(e.ref))
	case evThink:
		w.think(w.clients[e.ref])
	case evPatience:
		w.patience()
	case evNemesis:
		w.nemesis()
	case evStart:
		w.start(h)
	case evUnreachable:
		w.post(h, nodeUnreachable(w.members[e.ref].ID))
	case evMend:
		w.mend(w.strikes.take(e.ref))
	case evUnblock:
		w.unblock(e)
	case evPhase:
		w.nextPhase()
	}
}

// bound events belong to one life of their node.
var bound = [kinds]bool{
	evTimer: true, evTurn: true, evPersist: true, evApply: true, evFetch: true, evWrite: true, evServe: true, evUnreachable: true,
	evUnblock: true,
}

// forget gives back what an event of a dead process refers to.
func (w *World) forget(e *event) {
	switch e.kind {
	case evFetch:
		w.fetches.take(e.ref)
	case evServe:
		w.attempts.take(e.ref)
	case evUnblock:
		w.unblocks.take(e.ref)
	}
}

// index is the position of a node, -1 if there is none with this id.
func (w *World) index(id raft.NodeID) int {
	if id == 0 || int(id) > len(w.hosts) {
		return -1
	}
	return int(id) - 1
}

// fail ends the run: an invariant does not hold. The first one counts.
func (w *World) fail(invariant, format string, args ...any) {
	if w.failure == nil {
		w.failure = &Failure{Invariant: invariant, Detail: fmt.Sprintf(format, args...), At: w.now, Event: w.events}
		if w.tracing {
			fmt.Fprintln(w.out, w.failure)
		}
	}
}

func (w *World) result() Result {
	r := Result{
		Options: w.o, Failure: w.failure, Hash: w.hash, Events: w.events, Time: w.now, Entries: uint64(len(w.ledger)),
		Reached: map[string]uint64{},
	}
	for c := range corners {
		r.Reached[cornerNames[c]] = w.reached[c]
	}
	return r
}
