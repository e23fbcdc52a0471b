package disk

import (
	"slices"
)

const sector = 512 // bytes that the device writes as one, unless the power fails just then

// Bytes says what a power failure leaves of what was written to a file and not synced.
type Bytes uint8

const (
	BytesLost    Bytes = iota // nothing
	BytesKept                 // all of it
	BytesPrefix               // of each file the first of its changes, the last one of them in part
	BytesSectors              // of each file any of the sectors, whatever their order was
	BytesTorn                 // the same, and the last of those sectors has new bytes in one part and old ones in the other
	BytesZeros                // all of it, but for a piece of each file that reads as zeros
	bytesCount
)

// Names says what a power failure leaves of names that were made, changed or removed in a directory not synced.
type Names uint8

const (
	NamesLost   Names = iota // nothing
	NamesKept                // all of it
	NamesPrefix              // in each directory the first changes, as a file system with a journal does it
	namesCount
)

// Loss says what a power failure does. What it leaves open, the disk's own random numbers decide. The zero value loses
// everything that was not synced.
type Loss struct {
	Bytes Bytes
	Names Names
}

// Losses are all there are.
func Losses() []Loss {
	var all []Loss
	for b := range bytesCount {
		for n := range namesCount {
			all = append(all, Loss{b, n})
		}
	}
	return all
}

// Kill is the death of the process: open files and locks end, and what was written is there for the next one.
func (d *Disk) Kill() {
	d.epoch++
	d.crashed, d.crashIn = false, 0
	d.fails = [opCount]error{}
}

// Crash is a power failure: as Kill, and what was not synced is lost as l says.
func (d *Disk) Crash(l Loss) {
	d.Kill()
	d.used = 0
	d.crash(d.root, l)
}

// crash loses what was not synced in n and below.
func (d *Disk) crash(n *inode, l Loss) {
	if !n.dir {
		d.loseBytes(n, l.Bytes)
		n.data = append(n.data[:0], n.durable...)
		n.dirty, n.linked = n.dirty[:0], true
		d.used += int64(len(n.data))
		return
	}
	d.loseNames(n, l.Names)
	n.names = append(n.names[:0], n.kept...)
	n.moves = n.moves[:0]
	for _, e := range n.kept {
		d.crash(e.node, l)
	}
}

func (d *Disk) loseNames(n *inode, how Names) {
	keep := 0
	switch how {
	case NamesKept:
		keep = len(n.moves)
	case NamesPrefix:
		keep = d.rand.IntN(len(n.moves) + 1)
	}
	for _, m := range n.moves[:keep] {
		n.kept = m.apply(n.kept)
	}
}

func (d *Disk) loseBytes(n *inode, how Bytes) {
	if len(n.dirty) == 0 {
		return
	}
	switch how {
	case BytesKept:
		n.sync()
	case BytesPrefix:
		d.keepPrefix(n)
	case BytesSectors, BytesTorn:
		d.keepSectors(n, how == BytesTorn)
	case BytesZeros:
		d.keepZeros(n)
	}
}

// keepPrefix keeps the first changes and a part of the next one.
func (d *Disk) keepPrefix(n *inode) {
	keep := d.rand.IntN(len(n.dirty) + 1)
	for _, c := range n.dirty[:keep] {
		n.keep(c)
	}
	if keep < len(n.dirty) {
		if c := n.dirty[keep]; c.from >= 0 {
			c.to = c.from + d.rand.Int64N(c.to-c.from+1)
			n.keep(c)
		}
	}
}

// keepSectors keeps the parts of the changes that lie in some sectors, and each truncation or not. Sectors that were
// not kept and lie in front of one that was read as zeros if the file did not reach so far.
func (d *Disk) keepSectors(n *inode, torn bool) {
	last := change{-1, -1}
	for _, c := range n.dirty {
		if c.from < 0 {
			if d.rand.IntN(2) == 0 {
				n.keep(c)
			}
			continue
		}
		for at := c.from; at < c.to; {
			end := min(c.to, at-at%sector+sector)
			if d.rand.IntN(2) == 0 {
				if torn && last.from >= 0 {
					n.keep(last)
				}
				if last = (change{at, end}); !torn {
					n.keep(last)
				}
			}
			at = end
		}
	}
	if torn && last.from >= 0 {
		d.keepTorn(n, last)
	}
}

// keepTorn keeps the front or the back of a change.
func (d *Disk) keepTorn(n *inode, c change) {
	cut := c.from + d.rand.Int64N(c.to-c.from+1)
	if d.rand.IntN(2) == 0 {
		n.keep(change{c.from, cut})
		return
	}
	n.keep(change{cut, c.to})
}

// keepZeros keeps all changes, and then a piece of them was allocated but never written.
func (d *Disk) keepZeros(n *inode) {
	old := int64(len(n.durable))
	n.sync()
	size := int64(len(n.durable))
	if size <= old {
		return
	}
	from := old + d.rand.Int64N(size-old)
	to := from + 1 + d.rand.Int64N(size-from)
	clear(n.durable[from:to])
}

// CrashAfter lets the machine fail at the n-th next changing operation, counted from 1: that one does not happen (a
// write may happen in part), and from then on every operation fails with ErrCrashed until Crash or Kill. Zero calls it
// off.
func (d *Disk) CrashAfter(n int) { d.crashIn = max(n, 0) }

// Crashed says whether CrashAfter has come to pass and neither Crash nor Kill has followed.
func (d *Disk) Crashed() bool { return d.crashed }

// Ops is the number of changing operations that were begun.
func (d *Disk) Ops() uint64 { return d.ops }

// FailNext makes the next operation of a kind fail with err, once. A write may then have happened in part, a sync has
// made nothing durable and never will: see the package documentation. A nil error calls it off, and so do Kill and Crash.
func (d *Disk) FailNext(op Op, err error) { d.fails[op] = err }

// Wipe is the loss of the disk: nothing is on it any more, and open files and locks have ended.
func (d *Disk) Wipe() {
	d.Kill()
	d.root = &inode{dir: true}
	d.used = 0
}

// Clone returns a disk of the same content, durable and not, with the same random numbers to come. No file of it is
// open, nothing is locked, and no failure is planned.
func (d *Disk) Clone() *Disk {
	c := New(0)
	c.pcg = d.pcg
	c.epoch, c.ops, c.used, c.capacity = d.epoch, d.ops, d.used, d.capacity
	c.root = d.root.clone(make(map[*inode]*inode))
	c.Kill()
	return c
}

// clone copies n and what is below. done holds the copies that were made: a file may have another name durably.
func (n *inode) clone(done map[*inode]*inode) *inode {
	if c := done[n]; c != nil {
		return c
	}
	c := &inode{
		dir: n.dir, linked: n.linked, data: slices.Clone(n.data), durable: slices.Clone(n.durable), dirty: slices.Clone(n.dirty),
		names: slices.Clone(n.names), kept: slices.Clone(n.kept), moves: slices.Clone(n.moves),
	}
	done[n] = c
	for _, list := range [][]entry{c.names, c.kept} {
		for i := range list {
			list[i].node = list[i].node.clone(done)
		}
	}
	for i := range c.moves {
		c.moves[i].node = c.moves[i].node.clone(done)
	}
	return c
}
