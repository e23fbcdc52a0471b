package fsm

import "sync/atomic"

// handle is the number by which a record names its object in the table of the database. Handles are used again, and
// nothing that replicas must agree on follows from them.
type handle uint32

// holder is an object with what the keyspace knows of it.
type holder struct {
	obj  object
	size int64  // the bytes accounted for it in database.mem
	sum  uint64 // what is accounted for it in the sum of its slot
	// kept are the object's members as of the last change, which are in the store's memory; nil = none, or those of another
	// object by now.
	kept  *members
	epoch uint64 // the store's epoch when the object was last known to be in no frozen view, which is true of its record too
}

// release takes the members of an object out of the state.
func (s *Store) release(hold *holder) {
	if hold.kept != nil {
		s.memory.drop(hold.kept, s.epoch)
		hold.kept = nil
	}
}

// holding is the holder of an object that nobody else has.
func holding(o object, epoch uint64) holder {
	return holder{obj: o, size: int64(o.size()), sum: objectSum(o), epoch: epoch}
}

const objectChunkLen = 128

type objectChunk [objectChunkLen]holder

// objectDir is the directory of the table; one that was handed out never changes where it is filled.
type objectDir []*objectChunk

func (d *objectDir) at(h handle) *holder { return &(*d)[h/objectChunkLen][h%objectChunkLen] }

// objects is the table of a database's objects. The applier changes it; a reader may look at a handle in a record that it
// may look at.
type objects struct {
	dir  atomic.Pointer[objectDir] // nil = empty
	n    int                       // handles given out at least once
	free []handle
}

func (o *objects) at(h handle) *holder { return o.dir.Load().at(h) }

// put gives an object a handle.
func (o *objects) put(hold holder) handle {
	var h handle
	if last := len(o.free) - 1; last >= 0 {
		h, o.free = o.free[last], o.free[:last]
	} else {
		h = handle(o.n)
		o.n++
		if h%objectChunkLen == 0 {
			var dir objectDir
			if old := o.dir.Load(); old != nil {
				dir = *old
			}
			dir = append(dir, new(objectChunk))
			o.dir.Store(&dir)
		}
	}
	*o.at(h) = hold
	return h
}

// drop makes a handle free that no record and no view has any more.
func (o *objects) drop(h handle) {
	*o.at(h) = holder{}
	o.free = append(o.free, h)
}

// live is the number of handles in use.
func (o *objects) live() int { return o.n - len(o.free) }
