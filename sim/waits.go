package sim

import (
	"slices"

	"kvapp/fsm"
	"kvapp/node"
	"kvapp/raft"
)

// What a client that waits does, and its connection: as package resp does it. The connection knows when the command waits, and by
// which name. From then on it asks for the end when the time is over, on the clock of its node, or when the client has gone. Now
// and then somebody else has it end, by CLIENT UNBLOCK.

const unblockName = "_unblock"

// forced is what is answered to who waited when a leader began.
const forced = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"

// hanging is the wait of an attempt, on the node where its connection is.
type hanging struct {
	id   fsm.WaiterID // zero: not known to wait
	at   int64        // since when that is known
	gone bool         // the client has hung up
	over bool         // it is answered
}

// unblocking is somebody's wish that a wait ends.
type unblocking struct {
	attempt *attempt
	why     fsm.Unblocking
	batch   *node.Batch // of CLIENT UNBLOCK, once it is on its way
	out     replies
}

// longestWait is the patience of clients that would wait without end.
const longestWait = 2 * second

// startLists gives the world its lists.
func (w *World) startLists() {
	if w.o.Odds[blocks] == 0 {
		return
	}
	for n := range maxLists {
		w.lists = append(w.lists, &list{name: "q" + string(rune('0'+n))})
	}
}

// patienceOf is how long a client waits for the answer of the attempt. Of one that may have to wait that is enough, most of the
// time; else it hangs up.
func (w *World) patienceOf(a *attempt) int64 {
	op := a.cmds[0].op
	if op == nil || !op.waits() {
		return w.patienceOfClients()
	}
	d := dice(w.random(waitTime, uint8(a.c.n), a.c.requests))
	if op.ms == 0 || d.oneIn(4) {
		return d.between(ms, longestWait)
	}
	return op.ms*ms + w.patienceOfClients()
}

// prepareWait makes an attempt ready that may have to wait.
func (w *World) prepareWait(a *attempt) {
	if op := a.cmds[0].op; op != nil && op.waits() {
		a.batch.MayWait()
		a.hanging = &hanging{}
	}
}

// noteWait looks whether the command of an attempt that is not answered waits.
func (w *World) noteWait(h *host, a *attempt) {
	x := a.hanging
	if x == nil || x.at != 0 {
		return
	}
	select {
	case <-a.batch.Waits():
	default:
		return
	}
	id, forMs := a.batch.Waiter()
	x.id, x.at = id, w.now
	if x.gone {
		w.putUnblock(h, w.now+us, unblocking{attempt: a, why: fsm.UnblockGone})
		return
	}
	if forMs > 0 {
		w.putUnblock(h, w.now+forMs*ms, unblocking{attempt: a, why: fsm.UnblockTimeout})
	}
	if d := dice(w.random(unblockTime, uint8(a.c.n), a.c.requests)); d.oneIn(6) {
		w.putUnblock(h, w.now+d.between(ms, second), unblocking{attempt: a, why: fsm.UnblockError})
	}
}

// noteAnswer notes that an attempt is answered.
func (w *World) noteAnswer(a *attempt) {
	if x := a.hanging; x != nil {
		x.over = true
		if x.at != 0 && a.batch.Outcome == node.Uncertain {
			w.reach(waitGivenUp)
		}
	}
}

func (w *World) putUnblock(h *host, at int64, u unblocking) {
	w.queue.put(event{at: at, kind: evUnblock, node: uint8(h.n), life: h.life, ref: w.unblocks.add(&u)})
}

// unblock is the time at which somebody wants a wait to end.
func (w *World) unblock(e *event) {
	u := w.unblocks.take(e.ref)
	h := w.hosts[e.node]
	switch {
	case w.now < h.paused:
		w.putUnblock(h, h.paused, *u)
	case u.attempt.hanging.over:
	case u.why == fsm.UnblockError:
		w.wanted(u.attempt, u.why)
		u.batch = node.NewBatch(&u.out)
		u.batch.Cmds = []fsm.Command{fsm.UnblockCommand(u.attempt.hanging.id, u.why)}
		h.nudges = append(h.nudges, u)
		w.post(h, node.Event{Kind: node.EvWrite, Batch: u.batch})
	default:
		w.endWait(h, u.attempt, u.why)
	}
}

// endWait is what a connection does whose wait is to end.
func (w *World) endWait(h *host, a *attempt, why fsm.Unblocking) {
	w.wanted(a, why)
	w.post(h, node.Event{Kind: node.EvUnblock, Waiter: a.hanging.id, Why: why})
}

func (w *World) wanted(a *attempt, why fsm.Unblocking) {
	w.tokens[a.cmds[0].token].wanted[why] = true
}

// hangUp is the end of a client's patience.
func (w *World) hangUp(a *attempt) {
	x, h := a.hanging, w.hosts[a.node]
	if x == nil || x.over || x.gone {
		return
	}
	x.gone = true
	if x.at != 0 && slices.Contains(h.asked, a) {
		w.endWait(h, a, fsm.UnblockGone)
	}
}

// collectNudges looks at what CLIENT UNBLOCK was answered: 1 if it was this that ended the wait.
func (w *World) collectNudges(h *host) {
	h.nudges = slices.DeleteFunc(h.nudges, func(u *unblocking) bool {
		if !u.batch.Answered() {
			return false
		}
		if u.batch.Outcome != node.Done {
			return true
		}
		t := &w.tokens[u.attempt.cmds[0].token]
		want := reply{kind: ':'}
		if t.ended == u.batch.Index && len(t.told) == 1 && t.told[0].kind == '-' {
			want.num = 1
		}
		if len(u.out.values) != 1 || u.out.values[0] != want {
			w.fail("unblock-tells", "%v: CLIENT UNBLOCK is answered %v at entry %d, want %v", h, u.out.values, u.batch.Index, &want)
		}
		return true
	})
}

// checkWait compares the answer to a command on lists with what the model says, and at which entry it is given.
func (w *World) checkWait(a *attempt) {
	t := &w.tokens[a.cmds[0].token]
	if t.fate != executed || t.ended != a.batch.Index || !slices.Equal(t.told, a.out.values) {
		w.fail("done-is-done", "%s: %v at entry %d, but the log says %v at entry %d", describe{a}, a.out.values, a.batch.Index, t.told, t.ended)
		return
	}
	w.acked = max(w.acked, t.ended)
}

// waitsEnd checks that nobody waits at a node that leads no more, once the time is over for which the node waits for news.
func (w *World) waitsEnd(h *host) {
	if !h.up || h.last.Role == raft.Leader {
		return
	}
	limit := 2*w.o.CommitTimeout + 2*w.o.Election + second
	for _, a := range h.asked {
		if x := a.hanging; x != nil && x.at != 0 && w.now-max(x.at, h.ledUntil, h.paused, h.busy) > limit {
			w.fail("wait-ends-with-its-leader", "%v: %s, which waits since %dus; the node leads no more since %dus", h, describe{a}, x.at/us, h.ledUntil/us)
		}
	}
}
