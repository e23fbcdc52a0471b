package fsm

import (
	"fmt"
	"math"
)

// waiters writes who waits, the oldest first.
func (sw *snapshotWriter) waiters(all []*waiter) {
	sw.buf = appendUint(sw.buf, uint64(len(all)))
	for _, w := range all {
		gone := uint64(0)
		if w.wish.gone {
			gone = 1
		}
		sw.buf = appendUint(sw.buf, w.id.Index, w.id.Position, uint64(w.db), uint64(w.wish.kind), uint64(w.wish.dst), gone)
		sw.buf = appendUint(sw.buf, uint64(len(w.wish.keys)))
		for _, i := range w.wish.keys {
			sw.buf = appendUint(sw.buf, uint64(i))
		}
		sw.buf = appendUint(sw.buf, uint64(len(w.args)))
		for _, a := range w.args {
			sw.buf = append(appendUint(sw.buf, uint64(len(a))), a...)
		}
		if len(sw.buf) >= flushAt {
			sw.flush()
		}
	}
}

// waiters reads them.
func (sr *snapshotReader) waiters() error {
	if sr.version < 4 {
		return nil
	}
	n, err := sr.uint(math.MaxInt32)
	if err != nil {
		return err
	}
	for i := range n {
		sr.where = fmt.Sprintf("waiter %d of %d", i+1, n)
		w, err := sr.waiter()
		if err != nil {
			return err
		}
		if last := sr.loading.waits.last; last != nil &&
			(w.id.Index < last.id.Index || w.id.Index == last.id.Index && w.id.Position <= last.id.Position) {
			return fmt.Errorf("%w: waiters out of order", errSnapshot)
		}
		w.count()
		sr.loading.waits.add(w)
	}
	return nil
}

// maxWords is the most arguments of a command: what a client can send.
const maxWords = 1 << 20

func (sr *snapshotReader) waiter() (*waiter, error) {
	var head [7]uint64
	limits := [7]uint64{sr.applied, 1<<63 - 1, Databases - 1, kindCount - 1, maxWords, 1, maxWords}
	for i := range head {
		n, err := sr.uint(limits[i])
		if err != nil {
			return nil, err
		}
		head[i] = n
	}
	w := &waiter{id: WaiterID{head[0], head[1]}, db: int(head[2]), out: Discard}
	w.wish = wish{kind: kind(head[3]), dst: int(head[4]), gone: head[5] == 1}
	last := w.wish.dst
	for range head[6] {
		at, err := sr.uint(maxWords)
		if err != nil {
			return nil, err
		}
		w.wish.keys = append(w.wish.keys, int(at))
		last = max(last, int(at))
	}
	n, err := sr.uint(maxWords)
	if err != nil {
		return nil, err
	}
	for range n {
		a, err := sr.bytes(maxString)
		if err != nil {
			return nil, err
		}
		w.args = append(w.args, append([]byte(nil), a...))
	}
	if len(w.args) <= last || len(w.wish.keys) == 0 {
		return nil, fmt.Errorf("%w: a waiter with %d keys and %d arguments", errSnapshot, len(w.wish.keys), len(w.args))
	}
	if w.spec = lookupAny(w.args[0]); w.spec != nil && w.spec.Logged != nil {
		w.spec = w.spec.Logged
	}
	if w.spec == nil || w.spec.Flags&(FlagBlocking|FlagWrite) != FlagBlocking|FlagWrite || !w.spec.CheckArity(len(w.args)) {
		return nil, fmt.Errorf("%w: %.64q with %d arguments does not wait", errSnapshot, w.args[0], len(w.args))
	}
	return w, nil
}
