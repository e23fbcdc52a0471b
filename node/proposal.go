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
	own         []fsm.Command // of the leader, in front of the batches: a sweep, evictions, ends of waits
	orphans     bool          // a batch whose command may have to wait was answered before it was applied
	grow        int64         // bytes that the batches may add to the state, by what Redis refuses when memory is short
}

func (p *proposal) finish(o Outcome) {
	for _, b := range p.batches {
		p.orphans = p.orphans || b.blocked != nil
		b.finish(o)
	}
	p.batches = p.batches[:0]
}

// entryBytes is what a command takes in an entry at most.
func entryBytes(c *fsm.Command) int { return len(c.Raw) + 4 }

// measure sums up the bytes of the batch's writes, and what they may add to the state.
func (b *Batch) measure() {
	b.raw, b.grow = 0, 0
	for i := range b.Cmds {
		if b.Cmds[i].Spec.Flags&fsm.FlagWrite != 0 {
			b.raw += entryBytes(&b.Cmds[i])
			b.grow += growthOf(&b.Cmds[i])
		}
	}
}

// gather puts the first waiting batches that need not wait for memory into the proposal, as many as an entry takes, and
// returns their size in bytes. They still stand in waiting.
func (d *Driver) gather(p *proposal) (size int) {
	for _, b := range d.waiting {
		if b.held {
			continue
		}
		if len(p.batches) > 0 && size+b.raw > d.cfg.MaxEntryBytes {
			break
		}
		size += b.raw
		p.grow += b.grow
		p.batches = append(p.batches, b)
	}
	return size
}

// underWay is the number of client batches that are proposed and not answered.
func (d *Driver) underWay() int {
	n := 0
	for _, p := range d.pending {
		n += len(p.batches)
	}
	for _, e := range d.sizes {
		n += e.batches
	}
	return n
}

// dropGathered takes the first n batches that need not wait for memory out of waiting.
func (d *Driver) dropGathered(n int) {
	keep := d.waiting[:0]
	for _, b := range d.waiting {
		if !b.held && n > 0 {
			n--
			continue
		}
		keep = append(keep, b)
	}
	clear(d.waiting[len(keep):])
	d.waiting = keep
}

// addOwn adds the leader's own commands, which go first, and returns their size in bytes.
func (d *Driver) addOwn(p *proposal, sweep bool) (size int) {
	if sweep {
		_, c := fsm.SweepCommand(nil, d.cfg.SweepLimit)
		p.own = append(p.own, c)
	}
	if len(d.mem.victims) > 0 {
		p.own = append(p.own, fsm.EvictCommands(d.mem.victims)...)
	}
	p.own = append(p.own, d.blocking.unblocks...)
	for i := range p.own {
		size += entryBytes(&p.own[i])
	}
	return size
}

// growthOf is what a command may add to the state at most, 0 if Redis executes it also when memory is short. Few commands add
// more: those that copy other keys, or fill up a gap with zeros.
func growthOf(c *fsm.Command) (n int64) {
	if c.Txn != nil {
		for i := range c.Txn.Cmds {
			n += growthOf(&c.Txn.Cmds[i])
		}
		return n
	}
	if c.Spec.Flags&fsm.FlagDenyOOM == 0 {
		return 0
	}
	return int64(len(c.Raw) + growKey + growArg*len(c.Args))
}

// encode builds the entry's data. It is the one place where a command's bytes are copied: the journal, the network
// and the followers share the result.
func (p *proposal) encode(size int) []byte {
	data := make([]byte, 0, size+fsm.EntryHeaderSize)
	data = fsm.AppendEntryHeader(data, p.nowMs, p.seed)
	for i := range p.own {
		data = fsm.AppendEntryCommand(data, p.own[i].DB, p.own[i].Raw)
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
	for i := range p.own {
		s.Exec(&p.own[i], discard)
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
