package fsm

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/tidwall/btree"
)

// fieldTimes are the deadlines of a hash's fields. A field is named by its position in the order of the hash, so that no name
// is held twice; a removal that moves the last field moves its deadline along. See the package's doc.
//
// Which of the two ways of holding them is in use shows nowhere. As members, not safe for concurrent use, except that any
// number of goroutines may read while none writes.
type fieldTimes struct {
	few []fieldTime // in the order of deadline and position; with trees, none
	all *timeTrees  // nil = they are in few

	sum uint64 // over the deadlines, see sum.go

	// linked is the deadline by which the hash stands in database.fields; 0 = it does not. Of the applier alone: views share
	// the rest.
	linked int64
}

// fieldTime is the deadline of a field in Unix ms, above 0.
type fieldTime struct {
	at  int64
	pos int
}

// timeTrees hold more deadlines than are worth a walk. A view shares their nodes: what changes is copied.
type timeTrees struct {
	at    *btree.Map[int, int64] // by position
	order *btree.BTreeG[fieldTime]
}

const (
	// fewTimes is the most deadlines that stand in a slice.
	fewTimes = 64
	// fewTimeCost and timeCost are what size counts for a deadline: in a slice, and in two trees that are three quarters full.
	fewTimeCost = 16
	timeCost    = 46
	// hashTimedCost is what size counts for a small hash with deadlines beside them: it is an object.
	hashTimedCost = 160
	// maxFieldTime is the last deadline in Unix ms that a field may have; commands set none above maxFieldExpire, as in Redis.
	maxFieldTime   = 1<<48 - 1
	maxFieldExpire = maxFieldTime >> 2
)

func (a fieldTime) compare(b fieldTime) int {
	if c := cmp.Compare(a.at, b.at); c != 0 {
		return c
	}
	return cmp.Compare(a.pos, b.pos)
}

// len returns how many fields have a deadline.
func (t *fieldTimes) len() int {
	switch {
	case t == nil:
		return 0
	case t.all != nil:
		return t.all.order.Len()
	}
	return len(t.few)
}

func (t *fieldTimes) size() int {
	n := t.len()
	if n <= fewTimes {
		return n * fewTimeCost
	}
	return n * timeCost
}

// get returns the deadline of the field at a position, 0 = none.
func (t *fieldTimes) get(pos int) int64 {
	if t.all != nil {
		at, _ := t.all.at.Get(pos)
		return at
	}
	for i := range t.few {
		if t.few[i].pos == pos {
			return t.few[i].at
		}
	}
	return 0
}

// due says that the field at a position is past its deadline at now. As a key, it is still there in the millisecond of it.
func (t *fieldTimes) due(pos int, now int64) bool {
	at := t.get(pos)
	return at != 0 && now > at
}

// first returns the earliest deadline, zero if there is none.
func (t *fieldTimes) first() fieldTime {
	switch {
	case t.all != nil:
		f, _ := t.all.order.Min()
		return f
	case len(t.few) == 0:
		return fieldTime{}
	}
	return t.few[0]
}

// last returns the latest deadline, 0 = there is none.
func (t *fieldTimes) last() int64 {
	switch {
	case t.all != nil:
		f, _ := t.all.order.Max()
		return f.at
	case len(t.few) == 0:
		return 0
	}
	return t.few[len(t.few)-1].at
}

// put gives the field at a position a deadline, 0 = none.
func (t *fieldTimes) put(pos int, at int64) {
	old := t.get(pos)
	if old == at {
		return
	}
	if old != 0 {
		t.sum -= timeSum(pos, old)
		t.delete(fieldTime{old, pos})
	}
	if at != 0 {
		t.sum += timeSum(pos, at)
		t.insert(fieldTime{at, pos})
	}
}

func (t *fieldTimes) delete(f fieldTime) {
	if t.all != nil {
		t.all.at.Delete(f.pos)
		t.all.order.Delete(f)
		return
	}
	if i, found := slices.BinarySearchFunc(t.few, f, fieldTime.compare); found {
		t.few = slices.Delete(t.few, i, i+1)
	}
}

func (t *fieldTimes) insert(f fieldTime) {
	if t.all == nil && len(t.few) == fewTimes {
		t.all = &timeTrees{
			at: new(btree.Map[int, int64]),
			order: btree.NewBTreeGOptions(func(a, b fieldTime) bool { return a.compare(b) < 0 },
				btree.Options{NoLocks: true}),
		}
		for _, have := range t.few {
			t.insert(have)
		}
		t.few = nil
	}
	if t.all != nil {
		t.all.at.Set(f.pos, f.at)
		t.all.order.Set(f)
		return
	}
	i, _ := slices.BinarySearchFunc(t.few, f, fieldTime.compare)
	t.few = slices.Insert(t.few, i, f)
}

// removed says that the field at a position was removed and the last one, at position last, has taken its place.
func (t *fieldTimes) removed(pos, last int) {
	moved := t.get(last)
	t.put(last, 0)
	if pos != last {
		t.put(pos, moved)
	}
}

// each calls f for every deadline in the order of deadline and position, until f returns false.
func (t *fieldTimes) each(f func(f fieldTime) bool) {
	switch {
	case t == nil:
	case t.all != nil:
		t.all.order.Scan(f)
	default:
		for _, x := range t.few {
			if !f(x) {
				return
			}
		}
	}
}

// dueAt returns how many fields are past their deadlines at now, in time that grows with that number.
func (t *fieldTimes) dueAt(now int64) (n int) {
	t.each(func(f fieldTime) bool {
		if now <= f.at {
			return false
		}
		n++
		return true
	})
	return n
}

// fork returns a copy that stands in no order of expiry; both sides share what neither writes to. nil stays nil.
func (t *fieldTimes) fork() *fieldTimes {
	if t == nil {
		return nil
	}
	c := &fieldTimes{few: slices.Clone(t.few), sum: t.sum}
	if t.all != nil {
		c.all = &timeTrees{at: t.all.at.Copy(), order: t.all.order.Copy()}
	}
	return c
}

// recount is sum computed from the deadlines.
func (t *fieldTimes) recount() (sum uint64) {
	t.each(func(f fieldTime) bool {
		sum += timeSum(f.pos, f.at)
		return true
	})
	return sum
}

// appendTo appends the encoding, which follows that of the fields: nothing, if there are no deadlines; else their number, and each
// with its position, in order.
func (t *fieldTimes) appendTo(dst []byte) []byte {
	if t.len() == 0 {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(t.len()))
	t.each(func(f fieldTime) bool {
		dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(f.at)), uint64(f.pos))
		return true
	})
	return dst
}

// decodeTimes reads deadlines behind the fields of h, which are all there.
func (h *hashValue) decodeTimes(d *valueDecoder) {
	if d.bad || len(d.b) == 0 {
		return
	}
	n := d.count()
	if n == 0 || n > h.len() {
		d.bad = true
		return
	}
	last, times := fieldTime{}, h.timed()
	for ; n > 0 && !d.bad; n-- {
		at, pos := d.uvarint(), d.uvarint()
		if d.bad || at == 0 || at > maxFieldTime || pos >= uint64(h.len()) {
			d.bad = true
			return
		}
		f := fieldTime{int64(at), int(pos)}
		if last.compare(f) >= 0 || times.get(f.pos) != 0 {
			d.bad = true
			return
		}
		times.put(f.pos, f.at)
		last = f
	}
}
