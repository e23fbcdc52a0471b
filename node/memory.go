package node

import (
	"kvapp/fsm"
	"kvapp/raft"
)

// Memory says how much the keys may take and what is done about more. It is never changed.
type Memory struct {
	Limit   int64 // bytes, by fsm.Store.Counted; 0 = none
	Policy  fsm.Policy
	Samples int
	Use     fsm.Use
}

const (
	// evictLimit is how many keys one entry evicts at most; choosing them takes the applier some milliseconds.
	evictLimit = 2048
	// marginShare is the part of the limit by which more may be evicted than is needed now.
	marginShare = 16

	// What a write command may add to the state beyond its own bytes: for its key, and for every argument.
	growKey = 96
	growArg = 32
)

// memory is what the Driver of a leader knows of the memory that keys take. The limit is kept before anything is in the log:
// what an entry holds is applied whatever it takes. So the leader counts what the state takes and what the writes under way
// may add, at most; before that passes the limit, it has the applier choose keys by the policy, and its next entry evicts
// them in front of the writes that come with it. Writes that may make the state larger wait for that, for there is no
// other way to keep the limit; when nothing can be evicted they are refused. As in Redis a write may pass the limit, if
// nothing else is under way: the next one finds the limit passed. One choice follows the other when what the one before
// chose is evicted, so nothing is chosen twice.
type memory struct {
	asked   bool         // the applier is choosing
	victims []fsm.Victim // chosen, and in no entry
	chosen  int64        // bytes of them
	index   uint64       // of the newest entry that evicts
	freed   int64        // what it evicts, in bytes
	nothing bool         // the last choice found nothing
	at      uint64       // what was applied when it was asked for
	held    int          // waiting batches that wait for memory
}

// memory returns the settings.
func (d *Driver) memory() *Memory {
	if d.cfg.Memory == nil {
		return &noLimit
	}
	return d.cfg.Memory()
}

var noLimit Memory

// noteUse tells the store what second it is.
func (d *Driver) noteUse() { d.store.NoteUse(d.now/1e9, d.memory().Use) }

// growth is how much the writes that are proposed and not applied may add to the state.
func (d *Driver) growth() (n int64) {
	for _, p := range d.pending {
		n += p.grow
	}
	for i := range d.sizes {
		n += d.sizes[i].grow
	}
	return n
}

// evicting is how much less the state takes when what was chosen is evicted.
func (d *Driver) evicting() int64 {
	if d.applied < d.mem.index {
		return d.mem.chosen + d.mem.freed
	}
	return d.mem.chosen
}

// mayEvict says that the policy evicts keys, and that there may be some.
func (d *Driver) mayEvict(m *Memory) bool {
	return m.Policy != fsm.NoEviction && !(d.mem.nothing && d.applied == d.mem.at)
}

// fitMemory marks the waiting batches that must wait for memory, answers those for which there will be none, and returns how
// many of them may go.
func (d *Driver) fitMemory() (ready int) {
	m := d.memory()
	if m.Limit <= 0 {
		for _, b := range d.waiting {
			b.held = false
		}
		d.mem.held = 0
		return len(d.waiting)
	}
	fit := fitting{limit: m.Limit, used: d.store.Counted() - d.evicting(), freed: d.evicting(), added: d.growth(), evicts: d.mayEvict(m)}
	keep := d.waiting[:0]
	d.mem.held = 0
	for _, b := range d.waiting {
		switch b.held = false; fit.judge(b.grow) {
		case goes:
			fit.added += b.grow
		case waits:
			b.held = true
			d.mem.held++
			fit.short += b.grow
		default:
			b.finish(OutOfMemory)
			continue
		}
		keep = append(keep, b)
	}
	clear(d.waiting[len(keep):])
	d.waiting = keep
	d.choose(m, fit.need())
	return len(keep) - d.mem.held
}

// fitting is the state of fitMemory. All are bytes.
type fitting struct {
	limit  int64
	used   int64 // when all that was chosen is evicted
	freed  int64 // what that frees
	added  int64 // what may be added, by what is under way and by what goes now
	short  int64 // what may be added by what waits for memory
	evicts bool  // more can be evicted
}

type fitness uint8

const (
	goes fitness = iota
	waits
	refused
)

// judge says what to do with a batch that may add so many bytes, 0 if it holds nothing that Redis would refuse.
func (f *fitting) judge(grow int64) fitness {
	switch {
	case grow == 0, f.used+f.added+grow <= f.limit:
		return goes
	case f.evicts && f.added+grow <= f.freed/2: // the state shrinks all the same: a limit that was lowered stops nobody
		return goes
	case f.used > f.limit && !f.evicts:
		return refused
	case f.used <= f.limit && f.added == 0 && (!f.evicts || grow > f.limit/2): // there is no better time for it
		return goes
	default:
		return waits
	}
}

// need is how much has to be evicted, with something in reserve for what comes meanwhile.
func (f *fitting) need() int64 {
	coming := f.added + f.short
	return f.used + coming + min(2*coming, f.limit/marginShare) - f.limit
}

// choose has the applier choose keys that take so many bytes, if the policy allows it and nothing that was chosen before is
// still there.
func (d *Driver) choose(m *Memory, need int64) {
	if need <= 0 || !d.mayChoose(m) {
		return
	}
	d.mem.asked, d.mem.at = true, d.applied
	d.out.Apply = append(d.out.Apply, ApplyItem{Choose: &fsm.Choice{
		Policy: m.Policy, Need: need, Limit: evictLimit, Samples: m.Samples, Seed: d.seed(),
	}})
}

// mayChoose says whether the leader may have keys chosen now.
func (d *Driver) mayChoose(m *Memory) bool {
	return d.mayEvict(m) && !d.mem.asked && len(d.mem.victims) == 0 && d.applied >= d.mem.index && !d.disk.full
}

// victims takes what the applier has chosen.
func (d *Driver) victims(list []fsm.Victim) {
	d.mem.asked = false
	if d.role != raft.Leader {
		return
	}
	d.mem.victims, d.mem.nothing = list, len(list) == 0
	for i := range list {
		d.mem.chosen += list[i].Bytes
	}
}

// evicted notes that the entry at index evicts what was chosen.
func (m *memory) evicted(index uint64) {
	m.index, m.freed = index, m.chosen
	m.victims, m.chosen = nil, 0
}

// deposed forgets what a leader was about to evict. The applier may still be choosing.
func (m *memory) deposed() { *m = memory{asked: m.asked, at: m.at} }

// nextChoice returns when the leader is to have keys chosen although no client waits, in interval time; false if that takes
// more than time.
func (d *Driver) nextChoice() (at int64, ok bool) {
	m := d.memory()
	if m.Limit <= 0 || !d.mayPropose() || !d.mayChoose(m) || d.applyFull() || d.store.Counted() <= m.Limit {
		return 0, false
	}
	at = d.now
	if d.busy.still(d.now, d.core.Commit()) {
		at = max(at, d.busy.againAt)
	}
	return at, true
}
