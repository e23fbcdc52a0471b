package node

import (
	"errors"
	"syscall"

	"kvapp/raft"
)

// ErrDiskFull says that a snapshot was not taken because the disk has no room for it.
var ErrDiskFull = errors.New("the disk has no room for a snapshot")

// Pauses in ns between two looks at the disk while nothing is written: a disk that is full must be found to have room
// again soon, and one that others fill should be noticed before the journal does.
const (
	lookEvery     = 1e9
	lookEveryFull = 1e8
	// lookWriting is the longest pause while the journal is written: a look is a system call, and writes are frequent.
	lookWriting = 1e7
	// retrySnapshot is the pause after a snapshot that found the disk full although it should have fitted.
	retrySnapshot = 10e9
)

// notLooked is EvAppended.Free of a job that did not look.
const notLooked = -1

// disk is what the Driver knows of the room on its disk. The journal must never find the disk full, for that ends the
// node: so a leader takes no more writes when less than the reserve is free, and a follower no more entries when less
// than half of it is. What is left then is for the small things: votes, the marks of a snapshot, the segment that is
// written anew when the log is cut. A leader that takes no writes hands over to a voter that has room, if there is one.
type disk struct {
	free     int64 // when somebody looked last, less what was handed out since
	unseen   int64 // bytes handed out since
	lookedAt int64 // interval clock: when that was
	reserve  int64
	full     bool   // less than the reserve was free, and it has not grown since to a quarter more
	lookAt   int64  // interval clock: when to have a look although nothing is written
	late     bool   // a snapshot is due or asked for, and does not fit
	trimmed  uint64 // index of the snapshot in front of which nothing is kept
	unfit    bool   // the core was told that another should lead
	growth   int64  // of the journal since the last snapshot, when it began to be cut for want of room
	retryAt  int64  // interval clock: no snapshot before, because the last one found the disk full
}

// room is how many bytes of writes the leader may take.
func (d *disk) room() int64 { return d.free - d.reserve }

// last is how many bytes may be written when nothing else but the journal counts.
func (d *disk) last() int64 { return d.free - d.reserve/2 }

// take notes bytes that will be written.
func (d *disk) take(bytes int64) {
	d.free -= bytes
	d.unseen += bytes
}

// due says whether the job that is handed out at interval time now must have a look, because what is known is old or the room
// may be used up: others may write as much as this node does.
func (d *disk) due(now int64) bool {
	return now >= d.lookAt || now-d.lookedAt >= lookWriting || d.full || d.unseen >= d.reserve/16
}

// measured takes what is free and not asked for yet.
func (d *Driver) measured(free int64) {
	s := &d.disk
	s.free, s.unseen, s.lookedAt, s.reserve = free, 0, d.now, 0
	if d.cfg.DiskReserve != nil {
		s.reserve = d.cfg.DiskReserve()
	}
	for i := range d.next.Record.Entries {
		s.take(int64(len(d.next.Record.Entries[i].Data)))
	}
	full := s.room() < 0
	if s.full {
		full = s.room() < s.reserve/4
	}
	d.setFull(full)
	s.lookAt = d.now + lookEvery
	if s.full {
		s.lookAt = d.now + lookEveryFull
	}
}

func (d *Driver) setFull(full bool) {
	if full != d.disk.full {
		d.disk.full = full
		d.out.View = d.view()
	}
}

// unfit says whether another should lead, if one can: a leader that takes no writes, or who would soon be in that place. The
// difference keeps leadership from going round where all disks get full together.
func (d *Driver) unfit() bool {
	s := &d.disk
	return s.full || d.role != raft.Leader && s.room() < s.reserve/4
}

// tellFitness tells the core when that changes.
func (d *Driver) tellFitness() error {
	unfit := d.unfit()
	if unfit == d.disk.unfit {
		return nil
	}
	d.disk.unfit = unfit
	return d.step(raft.Event{Kind: raft.EvUnfit, Failed: unfit})
}

// refuseUnfit answers the waiting batches for which there is no room. Reads that need the clock of the log ride in an
// entry of few bytes: they go on.
func (d *Driver) refuseUnfit() {
	room := d.disk.room()
	if d.disk.full {
		room = 0
	}
	keep := d.waiting[:0]
	for _, b := range d.waiting {
		if b.raw == 0 && d.disk.last() > 0 || b.raw > 0 && int64(b.raw) <= room {
			room -= int64(b.raw)
			keep = append(keep, b)
			continue
		}
		if !d.disk.full && int64(b.raw) <= d.disk.reserve/4 { // else it is the batch that is large
			d.setFull(true)
		}
		b.finish(DiskFull)
	}
	clear(d.waiting[len(keep):])
	d.waiting = keep
}

// admits says whether a message may be taken: entries that would take the last of the disk are dropped, and the leader
// sends them again.
func (d *Driver) admits(m *raft.Message) bool {
	size := int64(0)
	for i := range m.Entries {
		size += int64(len(m.Entries[i].Data))
	}
	if size > 0 && size > d.disk.last() {
		return false
	}
	d.disk.take(size)
	return true
}

// keeps counts the entries that stay in memory because there is no state to apply them to. It reports whether these are all
// that may.
func (d *Driver) keeps(m *raft.Message) bool {
	if d.stateless && m.Type == raft.MsgAppend {
		for i := range m.Entries {
			d.backlog += int64(len(m.Entries[i].Data))
		}
	}
	return d.applyFull()
}

// snapshotFits says whether there is room for a snapshot as large as the state.
func (d *Driver) snapshotFits() bool {
	return d.now >= d.disk.retryAt && d.disk.room() > d.snapshotSize()
}

// snapshotSize is how large the next snapshot will be, about: what the keys and values take in memory is more.
func (d *Driver) snapshotSize() int64 { return max(d.snap.Size, d.store.MemoryUsed()) }

// pressed says that a snapshot should be taken now, while it fits, because it will free more than it takes.
func (d *Driver) pressed() bool {
	growth := d.log.Bytes() - d.snapBytes
	if growth < d.snap.Size {
		return false
	}
	need := d.snapshotSize()
	return growth > need && d.disk.room() < 2*need
}

// diskFull says whether a file could not be written for want of room.
func diskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
