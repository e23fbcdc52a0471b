package sim

import (
	"strconv"

	"kvapp/fsm"
	"kvapp/node"
	"kvapp/raft"
)

// verb is what a client's command does.
type verb uint8

const (
	get verb = iota
	set
	setnx
	incrby
	appendTo
	verbs
	other   = verbs     // a sundry command, of which the model knows nothing
	evicted = verbs + 1 // of a history: no client's command, but one by which the leader evicted the key
)

var verbNames = [verbs]string{"get", "set", "setnx", "incrby", "append"}

// command is one command of a client. Every write carries a token that no other command ever has, as its value, as the
// tail it appends, or as the amount it counts up by: so whatever shows its effect shows which command it was.
type command struct {
	verb  verb
	key   int // position in World.keys
	token uint32
	line  fsm.Command  // of a sundry command
	op    *listOp      // of a command on lists, which is the only one of its operation, or part of a transaction
	txn   *transaction // of watch and exec, the only ones of their operation
}

// client is one connection that waits for each answer before it asks again.
type client struct {
	n        int
	node     int    // where it believes the leader
	turn     int    // the node that it asked last without a hint; those who were removed may send it in a circle
	ops      uint64 // operations so far
	tries    int    // of the operation under way
	requests uint64
	cmds     []command    // of the operation under way
	readOnly bool         // the operation may be served by a follower
	attempt  *attempt     // under way; nil while it thinks
	watching *transaction // whose versions it knows: what it does next
}

// attempt is one request for an operation, to one node.
type attempt struct {
	c        *client
	epoch    uint32
	node     int
	cmds     []command
	batch    *node.Batch
	out      replies
	read     bool
	began    int64
	deadline int64 // when the client gives up
	floor    uint64
	lease    int64 // the lease under which the reads were served, to be looked at once more
	ending   ending
	asked    int64    // a read: when the Driver was asked,
	term     uint64   // in which term
	hanging  *hanging // of a command that may have to wait
}

// ending says what became of an attempt.
type ending uint8

const (
	answered ending = iota // the batch's Outcome tells
	refused                // the connection was not accepted: certainly nothing happened
	reset                  // the node died: nobody knows
)

// think begins the next operation of a client.
func (w *World) think(c *client) {
	c.ops++
	r, ok := w.luck(clients, uint8(c.n), c.ops)
	if !ok || !w.serving() {
		w.pause(c)
		return
	}
	c.cmds, c.tries = c.cmds[:0:0], 0
	if r, ok := w.luck(blocks, uint8(c.n), c.ops); ok {
		d := dice(r)
		op := w.drawListOp(&d)
		c.cmds = append(c.cmds, command{verb: op.verb, op: op})
		w.try(c)
		return
	}
	if t := c.watching; t != nil {
		c.watching = nil
		w.sendTransaction(c, t)
		return
	}
	if r, ok := w.luck(multi, uint8(c.n), c.ops); ok {
		w.beginTransaction(c, dice(r))
		return
	}
	d := dice(r)
	c.readOnly = d.oneIn(3)
	n := 1
	if d.oneIn(5) {
		n = 2 + d.n(2)
	}
	for range n {
		c.cmds = append(c.cmds, w.drawCommand(&d))
	}
	if d.oneIn(6) {
		c.node = d.n(len(w.hosts))
	}
	if r, ok := w.luck(sundry, uint8(c.n), c.ops); ok {
		more := dice(r)
		for range 1 + more.n(3) {
			c.cmds = append(c.cmds, command{verb: other, line: sundryCommand(&more)})
		}
	}
	w.try(c)
}

func (w *World) drawCommand(d *dice) command {
	switch kind, k := d.n(3), d.n(w.o.Keys); kind {
	case 0:
		return command{verb: []verb{get, get, set, set, setnx}[d.n(5)], key: w.key('r', k)}
	case 1:
		return command{verb: []verb{get, incrby}[d.n(2)], key: w.key('c', k)}
	default:
		return command{verb: []verb{get, appendTo}[d.n(2)], key: w.key('l', k)}
	}
}

// try sends the operation to the node that the client believes in. Its writes get new tokens: a command is not sent twice.
func (w *World) try(c *client) {
	c.tries++
	c.requests++
	a := &attempt{c: c, epoch: w.epoch, node: c.node, cmds: c.cmds, read: true, began: w.now, floor: w.acked}
	a.batch = node.NewBatch(&a.out)
	a.batch.ReadOnly = c.readOnly
	for i := range a.cmds {
		cmd := &a.cmds[i]
		switch {
		case cmd.verb == get:
		case cmd.op != nil:
			a.read = false
			a.batch.Cmds = append(a.batch.Cmds, w.listCommand(a, cmd))
			continue
		case cmd.verb == watch:
			a.batch.Cmds = append(a.batch.Cmds, w.watchCommand(cmd.txn))
			continue
		case cmd.verb == exec:
			a.read = !cmd.txn.writes()
			a.batch.Cmds = append(a.batch.Cmds, w.execCommand(a, cmd.txn))
			continue
		case cmd.verb == other:
			a.read = a.read && cmd.line.Spec.Flags&fsm.FlagWrite == 0
			a.batch.Cmds = append(a.batch.Cmds, cmd.line)
			continue
		default:
			a.read = false
			cmd.token = w.newToken(cmd.key)
		}
		a.batch.Cmds = append(a.batch.Cmds, w.encode(cmd))
	}
	w.prepareWait(a)
	a.deadline = w.now + w.patienceOf(a)
	c.attempt = a
	if w.tracing {
		w.trace(w.hosts[c.node], "request", "%s", describe{a})
	}
	w.queue.put(event{at: w.now + w.requestDelay(c), kind: evArrive, ref: w.attempts.add(a)})
}

// patienceOfClients is how long a client waits for an answer: longer than any node lets it.
func (w *World) patienceOfClients() int64 { return w.o.ParkTimeout + w.o.CommitTimeout + second }

// requestDelay is the time that a request or an answer takes.
func (w *World) requestDelay(c *client) int64 {
	return 20*us + exponential(w.random(requestTime, uint8(c.n), c.requests), w.o.MeanDelay/2)
}

// encode builds the command as the server parses it.
func (w *World) encode(c *command) fsm.Command {
	out := fsm.Command{Spec: w.specs[c.verb]}
	out.Args = append(out.Args, []byte(verbNames[c.verb]), []byte(w.keys[c.key].name))
	if c.verb != get {
		out.Args = append(out.Args, c.value())
	}
	if c.verb == set && c.token%4 == 0 && w.o.Odds[sundry] > 0 {
		out.Args = append(out.Args, []byte("px"), []byte("1000000000000")) // never due, but in the order of those that are
	}
	out.Raw = rawCommand(out.Args)
	return out
}

// rawCommand builds the command as it comes from a socket.
func rawCommand(args [][]byte) []byte {
	raw := make([]byte, 0, 64)
	raw = append(strconv.AppendInt(append(raw, '*'), int64(len(args)), 10), '\r', '\n')
	for _, arg := range args {
		raw = append(strconv.AppendInt(append(raw, '$'), int64(len(arg)), 10), '\r', '\n')
		raw = append(append(raw, arg...), '\r', '\n')
	}
	return raw
}

// value is the token as it stands in the command.
func (c *command) value() []byte {
	v := strconv.AppendUint(nil, uint64(c.token), 10)
	if c.verb == appendTo {
		v = append(v, ',')
	}
	return v
}

// arrive hands a request to its node.
func (w *World) arrive(e *event) {
	a := w.attempts.items[e.ref]
	h := w.hosts[a.node]
	if h.up && w.now < h.paused {
		w.queue.put(event{at: h.paused, kind: evArrive, ref: e.ref})
		return
	}
	w.attempts.take(e.ref)
	if !h.up {
		a.ending = refused
		w.answer(a)
		return
	}
	if !a.read {
		h.asked = append(h.asked, a)
		w.post(h, node.Event{Kind: node.EvWrite, Batch: a.batch})
		return
	}
	if h.lease == 0 {
		w.ask(h, a)
		return
	}
	// As node.Node.Read: read first, then look whether the lease still holds. Time may pass in between.
	a.lease = h.lease
	a.batch.Serve(h.store, 0)
	if w.random(requestTime, uint8(a.c.n), ^a.c.requests)&15 == 0 {
		w.queue.put(event{at: w.now + w.requestDelay(a.c), kind: evServe, node: uint8(h.n), life: h.life, ref: w.attempts.add(a)})
		h.serving = append(h.serving, a)
		return
	}
	w.leaseServed(h, a)
}

// ask hands reads to the Driver, which finds out when they may be served.
func (w *World) ask(h *host, a *attempt) {
	a.lease = 0
	if t, ok := h.core.TermAt(h.last.Commit); h.last.Role == raft.Leader && (!ok || t != h.last.Term) {
		w.reach(readWaitsForNoop)
	}
	a.asked, a.term = w.now, h.last.Term
	h.asked = append(h.asked, a)
	w.post(h, node.Event{Kind: node.EvRead, Batch: a.batch})
}

// leaseServed looks at the lease after the reads.
func (w *World) leaseServed(h *host, a *attempt) {
	if a.lease > h.clock.Now() {
		a.batch.Outcome = node.Done
		w.reach(leaseRead)
		w.answer(a)
		return
	}
	w.reach(leaseExpired)
	a.out.Truncate(0)
	w.ask(h, a)
}

// serve goes on with reads that waited: for the Driver's word, or between the read and the look at the lease.
func (w *World) serve(e *event) {
	a := w.attempts.items[e.ref]
	h := w.hosts[e.node]
	if w.now < h.paused {
		w.queue.put(event{at: h.paused, kind: evServe, node: e.node, life: e.life, ref: e.ref})
		return
	}
	w.attempts.take(e.ref)
	h.unserve(a)
	if a.lease != 0 {
		w.leaseServed(h, a)
		return
	}
	a.batch.Serve(h.store, 0)
	w.answer(a)
}

// unserve forgets that the connection of an attempt is at work.
func (h *host) unserve(a *attempt) {
	for i, s := range h.serving {
		if s == a {
			h.serving = append(h.serving[:i], h.serving[i+1:]...)
			return
		}
	}
}

// collect takes the answers that the Driver and the applier have left in batches.
func (w *World) collect(h *host) {
	w.collectNudges(h)
	if len(h.asked) == 0 {
		return
	}
	keep := h.asked[:0]
	for _, a := range h.asked {
		switch {
		case !a.batch.Answered():
			w.noteWait(h, a)
			keep = append(keep, a)
		case a.read && a.batch.Outcome == node.Done:
			w.reach(quorumRead)
			w.readConfirmed(h, a)
			h.serving = append(h.serving, a)
			w.queue.put(event{at: w.now + us, kind: evServe, node: uint8(h.n), life: h.life, ref: w.attempts.add(a)})
		default:
			w.noteAnswer(a)
			w.answer(a)
		}
	}
	clear(h.asked[len(keep):])
	h.asked = keep
}

// answer sends the answer to the client.
func (w *World) answer(a *attempt) {
	if _, ok := w.luck(lossClass, ofReply|uint8(a.c.n), a.c.requests); ok && a.ending == answered {
		return // the client gives up some time
	}
	w.queue.put(event{at: w.now + w.requestDelay(a.c), kind: evReply, ref: w.attempts.add(a)})
}

// reply brings an answer to its client, which may not wait for it any more.
func (w *World) reply(a *attempt) {
	if w.tracing {
		w.trace(w.hosts[a.node], "reply", "%s", describe{a})
	}
	if a.epoch != w.epoch {
		return // what was answered before the loss is judged already
	}
	c := a.c
	late := c.attempt != a
	o := a.batch.Outcome
	switch {
	case a.ending == reset, a.ending == answered && o == node.Uncertain:
		w.reach(outcomeUncertain)
		if late {
			return
		}
		if a.read {
			w.again(c)
			return
		}
		w.inDoubt(a)
		w.pause(c)
	case a.ending == answered && o == node.Done:
		if late {
			return // nobody has seen the answer
		}
		w.checkDone(a)
		w.pause(c)
	default:
		w.refuse(a)
		if late {
			return
		}
		if o == node.NotLeader && a.ending == answered {
			c.node = w.nodeAt(a.batch.Leader, c.node)
		} else {
			w.elsewhere(c)
		}
		w.again(c)
	}
}

// maxTries is after how many refusals a client begins something else.
const maxTries = 4

// again tries the operation once more, or gives it up.
func (w *World) again(c *client) {
	if c.tries >= maxTries || !w.serving() {
		w.pause(c)
		return
	}
	w.try(c)
}

// pause lets a client think.
func (w *World) pause(c *client) {
	c.attempt = nil
	wait := 100*us + exponential(w.random(clientPause, uint8(c.n), c.ops), w.o.Think)
	w.queue.put(event{at: w.now + wait, kind: evThink, ref: uint32(c.n)})
}

// nodeAt finds the node with a client address.
func (w *World) nodeAt(addr string, or int) int {
	for i := range w.members {
		if w.members[i].ClientAddr == addr {
			return i
		}
	}
	return or
}

// elsewhere lets a client ask the next node, each in turn.
func (w *World) elsewhere(c *client) {
	c.turn = (c.turn + 1) % len(w.hosts)
	c.node = c.turn
}

// patienceEvery is how often clients look at their clocks.
const patienceEvery = 250 * ms

// patience lets clients give up what takes too long.
func (w *World) patience() {
	for _, c := range w.clients {
		if a := c.attempt; a != nil && w.now >= a.deadline {
			w.reach(clientGaveUp)
			w.hangUp(a)
			w.inDoubt(a)
			w.elsewhere(c)
			w.pause(c)
		}
	}
	for _, h := range w.hosts {
		w.waitsEnd(h)
	}
	w.grant()
	w.queue.put(event{at: w.now + patienceEvery, kind: evPatience})
}
