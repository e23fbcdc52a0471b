package wal

import (
	"fmt"
	"sort"
)

// index knows where each live entry is: at[i] is the logical position of the frame of entry first+i.
//
// Invariant: at is strictly ascending, because an entry is only ever replaced by one that is appended later, and then
// everything behind it is gone too.
type index struct {
	first uint64
	at    []uint64
}

// last is first-1 when there is no entry.
func (x *index) last() uint64 { return x.first + uint64(len(x.at)) - 1 }

// put records entry i at position p and forgets every entry above i.
// REQUIRES: first <= i <= last+1.
func (x *index) put(i, p uint64) {
	x.at = append(x.at[:i-x.first], p)
}

// reset forgets every entry; the next one is first.
func (x *index) reset(first uint64) {
	x.first, x.at = first, x.at[:0]
}

// dropBelow forgets the entries whose position is below p.
func (x *index) dropBelow(p uint64) {
	n := sort.Search(len(x.at), func(i int) bool { return x.at[i] >= p })
	x.first += uint64(n)
	x.at = x.at[:copy(x.at, x.at[n:])]
	if cap(x.at) > 4096 && len(x.at) < cap(x.at)/4 {
		x.at = append(make([]uint64, 0, 2*len(x.at)), x.at...)
	}
}

// checkNext says whether an entry i may be appended when the newest snapshot ends at snapshot.
func (x *index) checkNext(i, snapshot uint64) error {
	switch {
	case i > maxIndex:
		return fmt.Errorf("entry %d is out of range", i)
	case i <= snapshot:
		return fmt.Errorf("entry %d is part of the snapshot at %d", i, snapshot)
	case i < x.first:
		return fmt.Errorf("entry %d is below the first entry %d", i, x.first)
	case i > x.last()+1:
		return fmt.Errorf("entry %d leaves a gap behind entry %d", i, x.last())
	}
	return nil
}
