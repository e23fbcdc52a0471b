package node

import (
	"kvapp/fsm"
	"kvapp/raft"
)

// proposal is one entry that this node proposed, with the client batches inside it in the order of their commands.
type proposal struct {
	index, term uint64
	nowMs       int64
	seed        uint64
	since       int64 // interval clock
	batches     []*Batch
	sweep       fsm.Command // Spec is nil when the entry does not sweep
}

func (p *proposal) finish(o Outcome) {
	for _, b := range p.batches {
		b.finish(o)
	}
	p.batches = p.batches[:0]
}

// entryBytes is what a command takes in an entry at most.
func entryBytes(c *fsm.Command) int { return len(c.Raw) + 4 }

// measure sums up the bytes of the batch's writes.
func (b *Batch) measure() {
	b.raw = 0
	for i := range b.Cmds {
		if b.Cmds[i].Spec.Flags&fsm.FlagWrite != 0 {
			b.raw += entryBytes(&b.Cmds[i])
		}
	}
}

// encode builds the entry's data. It is the one place where a command's bytes are copied: the journal, the network
// and the followers share the result.
func (p *proposal) encode(size int) []byte {
	data := make([]byte, 0, size+fsm.EntryHeaderSize)
	data = fsm.AppendEntryHeader(data, p.nowMs, p.seed)
	if p.sweep.Spec != nil {
		data = fsm.AppendEntryCommand(data, 0, p.sweep.Raw)
	}
	for _, b := range p.batches {
		for i := range b.Cmds {
			if c := &b.Cmds[i]; c.Spec.Flags&fsm.FlagWrite != 0 {
				data = fsm.AppendEntryCommand(data, c.DB, c.Raw)
			}
		}
	}
	return data
}

// run executes the proposal's commands and leaves the replies in the batches. Applier goroutine.
func (p *proposal) run(s *fsm.Store, e *raft.Entry, discard fsm.Out, clock Clock) {
	s.Begin(e.Index, p.nowMs, p.seed)
	if p.sweep.Spec != nil {
		s.Exec(&p.sweep, discard)
	}
	start := clock.Now()
	var group [fsm.Group]*fsm.Command
	var outs [fsm.Group]fsm.Out
	n, cmds := 0, 0
	for _, b := range p.batches {
		for i := range b.Cmds {
			group[n], outs[n] = &b.Cmds[i], b.Out
			if n++; n == fsm.Group {
				s.ExecGroup(group[:n], outs[:n])
				n = 0
			}
		}
		b.Index = e.Index
		cmds += len(b.Cmds)
	}
	s.ExecGroup(group[:n], outs[:n])
	// The clock costs as much as a command: the time of an entry is shared evenly.
	if took := clock.Now() - start; cmds > 0 {
		for _, b := range p.batches {
			b.ExecNs = took * int64(len(b.Cmds)) / int64(cmds)
		}
	}
	s.End()
}
