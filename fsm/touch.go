package fsm

import (
	slotdict "kvapp/fsm/dict"
	"kvapp/fsm/slab"
)

// Group is how many commands Exec's callers gather for ExecGroup.
const Group = 16

// Place works out where the command's first key lies, if it has one in the first argument, so that the applier need not.
// It is optional. Any goroutine; the command's.
func (s *Store) Place(c *Command) {
	c.placed = false
	if c.Spec.FirstKey != 1 || len(c.Args) < 2 || len(c.Args[1]) == 0 {
		return
	}
	key := c.Args[1]
	c.slot, c.hash, c.placed = Slot(key), hashKey(s.seed, key), true
}

// ExecGroup is Exec for up to Group commands of the entry begun, in order; outs[i] takes the replies of cmds[i].
//
// Before the first is executed it looks at the memory that the placed ones will need. Executed one after the other each
// command waits for three or four cache lines in turn; looked at together, their lines come at the same time. Applier
// only.
func (s *Store) ExecGroup(cmds []*Command, outs []Out) {
	var found hints
	if len(cmds) > 1 {
		s.tx.sum = s.touch(cmds, &found)
	} else {
		found[0] = -1
	}
	for i, c := range cmds {
		hint := -1
		if i < len(found) {
			hint = int(found[i])
		}
		s.exec(c, outs[i], hint)
	}
}

// ReadGroup is Read for the first of cmds and those behind it that can go with it: commands of one placed key each, up to
// Group. All of them see the state at one moment. It ends early when out holds limit bytes, and returns how many it has
// executed, at least one. Any goroutine.
func (s *Store) ReadGroup(cmds []Command, out Out, limit int) (n int) {
	var group [Group]*Command
	for n < min(len(cmds), Group) && cmds[n].groups() {
		group[n] = &cmds[n]
		n++
	}
	if n < 2 {
		s.Read(&cmds[0], out)
		return 1
	}
	tx, _ := s.readers.Get().(*Tx)
	tx.begin(s, 0, 0, 0)
	tx.locked = shardSet{}
	for _, c := range group[:n] {
		tx.locked.add(int(c.slot) / pageSlots)
	}
	tx.acquire()
	var found hints
	tx.sum = s.touch(group[:n], &found)
	now := s.clock.Load() // behind the locks: never older than the writes they show
	done := 0
	for done < n && (done == 0 || out.Len() < limit) {
		c := group[done]
		tx.begin(s, c.DB, now, 0)
		tx.ownRng = false
		tx.know(c, int(found[done]))
		tx.run(c, out)
		done++
	}
	tx.unlock()
	tx.reset()
	s.readers.Put(tx)
	return done
}

// groups says that the command reads one placed key, quickly.
func (c *Command) groups() bool {
	return c.placed && c.Spec.Flags&(FlagFast|FlagReadonly) == FlagFast|FlagReadonly && c.Spec.LastKey == 1 && c.Spec.Keys == nil
}

// hints are, for the commands of a group, the positions at which their keys were found, -1 = nowhere.
type hints [Group]int32

// touch reads, in rounds, the header of the dictionary of every placed key and the slot's sum, its word in the index, its
// reference, and the first and the last line of its record. It tells where it has found the keys: when the command comes one
// look is enough, unless those before it have changed the place. What it returns only keeps the compiler from dropping the reads.
// REQUIRES: the keys' shards are locked, or this is the applier.
func (s *Store) touch(cmds []*Command, found *hints) uint32 {
	var (
		dbs   [Group]*database
		dicts [Group]*slotdict.Dict
		whose [Group]uint8
		tags  [Group]uint32
		refs  [Group]slab.Ref
		n     int
		sum   int
	)
	for i, c := range cmds[:min(len(cmds), Group)] {
		found[i] = -1
		if db := s.dbs[c.DB].Load(); c.placed && db != nil {
			if page := db.pages[c.slot/pageSlots]; page != nil {
				d := &page.dicts[c.slot%pageSlots]
				dbs[n], dicts[n], whose[n], tags[n] = db, d, uint8(i), slotdict.Tag(c.hash)
				sum += d.Len() + int(page.sums[c.slot%pageSlots])
				n++
			}
		}
	}
	for i := range n {
		sum += dicts[i].Touch(tags[i])
	}
	m := 0
	for i := range n {
		if at, _ := dicts[i].Next(tags[i], 0); at >= 0 {
			found[whose[i]] = int32(at)
			dbs[m], refs[m] = dbs[i], dicts[i].At(at)
			m++
		}
	}
	for i := range m {
		sum += int(dbs[i].arena.From(refs[i])[0])
	}
	for i := range m {
		if r := dbs[i].record(refs[i]); len(r) > 0 {
			sum += int(r[len(r)-1])
		}
	}
	return uint32(sum)
}
