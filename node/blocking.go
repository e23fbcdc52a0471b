package node

import (
	"kvapp/fsm"
	"kvapp/raft"
)

// A command that has to wait is executed as every other: it stands in an entry, and the applier executes it. But then its batch is
// parked with the applier, until an entry answers it, see package fsm: the write that feeds it, an end that was asked for,
// or the first entry of the next leader. The batch belongs to the applier all the time, whoever leads.
//
// An end that the connection asks for (Client.Unblock) is a command of the leader's own. Within a term nothing of a leader gets
// lost: it is proposed once. With the term the wait ends as well.
//
// A node that leads no more and is cut off from the others does not see what becomes of its waits. It answers them as it answers
// other commands of unknown outcome, after the same time. And a command that was answered so before it was applied may still be
// applied and have to wait, for nobody: an orphan, whose end the leader proposes at once.
type blocking struct {
	unblocks  []fsm.Command // ends of waits that are in no entry yet; empty unless this node leads
	any       bool          // some command proposed in this term may have to wait
	abandonAt int64         // interval time: when to give up the waits of the term that is over, 0 = there are none
}

// unblock takes the wish to end a wait.
func (d *Driver) unblock(id fsm.WaiterID, why fsm.Unblocking) {
	if d.role == raft.Leader {
		d.blocking.unblocks = append(d.blocking.unblocks, fsm.UnblockCommand(id, why))
	}
}

// proposed notes what stands in an entry.
func (w *blocking) proposed(p *proposal) {
	clear(w.unblocks)
	w.unblocks = w.unblocks[:0]
	for _, b := range p.batches {
		w.any = w.any || b.blocked != nil
	}
}

// elected notes that this node leads. Its first entry ends all waits, also those of an office before; but only once it is committed.
func (w *blocking) elected() { *w = blocking{any: w.any || w.abandonAt != 0} }

// deposed notes that this node leads no more, and when it gives up what waits.
func (w *blocking) deposed(at int64) {
	if w.any {
		*w = blocking{abandonAt: at}
	}
}

// abandon gives up what waits, when it is time.
func (d *Driver) abandon() {
	if at := d.blocking.abandonAt; at != 0 && d.now >= at {
		d.blocking.abandonAt = 0
		d.out.Apply = append(d.out.Apply, ApplyItem{Abandon: true})
	}
}
