package sim

import (
	"slices"

	"kvapp/node"
	"kvapp/raft"
)

// MaxNodes is the most nodes that a world can have.
const MaxNodes = 7

// link is the way from one node to another. What goes the other way has a link of its own.
type link struct {
	sent    uint64 // messages so far
	lastAt  int64  // when the newest one arrives, for links that keep the order
	cuts    int    // partitions that cut it
	clogged int64  // until then everything is held back
}

// packet is a message under way.
type packet struct {
	msg   raft.Message
	epoch uint32
}

// remembered bounds the old messages that may come again.
const remembered = 64

// send gives the messages of a turn to the network.
func (w *World) send(h *host, msgs []raft.Message) {
	for i := range msgs {
		m := &msgs[i]
		to := w.index(m.To)
		if to < 0 {
			continue
		}
		w.wire(h, m)
		w.sendOne(h.n, to, m)
	}
}

func (w *World) sendOne(from, to int, m *raft.Message) {
	l := &w.links[from][to]
	l.sent++
	who := uint8(from*MaxNodes + to)
	r := w.random(messageDelay, who, l.sent)
	if l.cuts > 0 {
		w.lost(from, to, m, "cut", r)
		return
	}
	if _, ok := w.luck(lossClass, who, l.sent); ok {
		w.lost(from, to, m, "loss", r)
		return
	}
	at := w.now + w.o.MinDelay + exponential(r, w.o.MeanDelay)
	if more, ok := w.luck(slowClass, who, l.sent); ok {
		at += span(more, w.o.MeanDelay, 3*w.o.Election)
		w.reach(messageSlow)
	}
	w.transmit(l, to, m, at)
	if more, ok := w.luck(duplicateClass, who, l.sent); ok {
		w.reach(messageTwice)
		w.transmit(l, to, m, at+span(more, 1, w.o.Election))
	}
	if w.o.Odds[replayClass] > 0 {
		w.replay(m, who, l.sent, r)
	}
}

// transmit lets a message arrive at the given time, or later where the link is clogged or keeps the order.
func (w *World) transmit(l *link, to int, m *raft.Message, at int64) {
	at = max(at, l.clogged)
	if w.o.Ordered {
		at = max(at, l.lastAt)
		l.lastAt = at
	}
	p := packet{msg: *m, epoch: w.epoch}
	if w.o.CopyEntries && len(m.Entries) > 0 {
		p.msg.Entries = slices.Clone(m.Entries)
		for i := range p.msg.Entries {
			p.msg.Entries[i].Data = slices.Clone(m.Entries[i].Data)
		}
	}
	w.queue.put(event{at: at, kind: evDeliver, node: uint8(to), ref: w.packets.add(p)})
}

// lost loses a message. The sender's transport notices that about every fourth time.
func (w *World) lost(from, to int, m *raft.Message, why string, r uint64) {
	if w.tracing {
		w.trace(w.hosts[from], "lost", "%s %s", why, describe{m})
	}
	if r>>48&3 == 0 {
		w.queue.put(event{
			at: w.now + exponential(r, w.o.Heartbeat), kind: evUnreachable, node: uint8(from), life: w.hosts[from].life, ref: uint32(to),
		})
	}
}

// replay remembers every fourth message, and now and then sends one of those again, whatever has happened since.
func (w *World) replay(m *raft.Message, who uint8, number, r uint64) {
	if r>>50&3 == 0 {
		if len(w.old) < remembered {
			w.old = append(w.old, *m)
		} else {
			w.old[r>>52%remembered] = *m
		}
	}
	more, ok := w.luck(replayClass, who, number)
	if !ok || len(w.old) == 0 {
		return
	}
	m = &w.old[more%uint64(len(w.old))]
	to := w.index(m.To)
	if to < 0 {
		return
	}
	w.reach(messageReplayed)
	p := packet{msg: *m, epoch: w.epoch}
	w.queue.put(event{at: w.now + span(more>>8, 1, w.o.Election), kind: evDeliver, node: uint8(to), ref: w.packets.add(p)})
}

// deliver hands a message to its node.
func (w *World) deliver(e *event) {
	h := w.hosts[e.node]
	p := w.packets.take(e.ref)
	w.noteMessage(&p.msg)
	if w.tracing {
		m := p.msg // a copy only here: what is printed escapes
		w.trace(h, "deliver", "%s", describe{&m})
	}
	if !h.up || p.epoch != w.epoch {
		return
	}
	n, term := len(h.messages), h.last.Term
	h.messages = append(h.messages, p.msg)
	w.post(h, node.Event{Kind: node.EvMessages, Msgs: h.messages[n : n+1 : n+1]})
	if p.msg.Type == raft.MsgVote && p.msg.Term > term && h.last.Term == term && w.now >= h.busy {
		w.reach(voteRefused)
	}
}

// cut counts a partition of the link up or down.
func (w *World) cut(from, to, by int) {
	if from != to {
		w.links[from][to].cuts += by
	}
}
