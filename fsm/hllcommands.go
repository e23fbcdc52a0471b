package fsm

import (
	"encoding/binary"
	"fmt"
)

const (
	errNotHLL     = "WRONGTYPE Key is not a valid HyperLogLog string value."
	errHLLDamaged = "INVALIDOBJ Corrupted HLL object detected"
	errHLLNoKey   = "ERR The specified key does not exist"
	errHLLDense   = "ERR HLL encoding is not sparse"
)

var hllCommands = []*Spec{
	{
		Name: "pfadd", Event: noEvent, Arity: -2, Flags: FlagWrite | FlagDenyOOM | FlagFast, FirstKey: 1, LastKey: 1, KeyStep: 1,
		KeyFlags: []string{"RW", "insert"}, Since: "2.8.9", Group: "hyperloglog", Run: runPFAdd,
		Summary:    "Adds elements to a HyperLogLog, and tells whether its estimate may have changed.",
		Complexity: "O(1) per element",
		Args:       []Arg{argKey("key"), argString("element").optional().many()},
	},
	{
		Name: "pfcount", Event: noEvent, Arity: -2, Flags: FlagReadonly, FirstKey: 1, LastKey: -1, KeyStep: 1,
		KeyFlags: []string{"RW", "access"}, Since: "2.8.9", Group: "hyperloglog", Run: runPFCount, Logged: pfcountLogged, Changes: pfcountChanges,
		Summary:    "Estimates how many different elements were added to the HyperLogLogs, all together.",
		Complexity: "O(1) for one key that has not changed, else O(N) for N keys with a large constant",
		Args:       []Arg{argKey("key").many()},
	},
	{
		Name: "pfdebug", Event: noEvent, Arity: 3, Flags: FlagWrite | FlagDenyOOM | FlagAdmin, FirstKey: 2, LastKey: 2, KeyStep: 1,
		KeyFlags: []string{"RW", "access"}, Since: "2.8.9", Categories: "dangerous", Group: "hyperloglog", System: true, Run: runPFDebug,
		Summary:    "Shows how a HyperLogLog is encoded, or makes it dense.",
		Complexity: "N/A",
		Args:       []Arg{argString("subcommand"), argKey("key")},
	},
	{
		Name: "pfmerge", Event: noEvent, Arity: -2, Flags: FlagWrite | FlagDenyOOM, FirstKey: 1, LastKey: -1, KeyStep: 1,
		KeySpecs: []KeySpec{oneKey(1, "RW", "access", "insert"), keysFrom(2, "RO", "access")}, Since: "2.8.9", Group: "hyperloglog", Run: runPFMerge,
		Summary:    "Merges HyperLogLogs into the first one.",
		Complexity: "O(N) for N keys with a large constant",
		Args:       []Arg{argKey("destkey"), argKeyOf("sourcekey", 1).many()},
	},
}

// pfcountLogged is what PFCOUNT is in the log, where it notes the count.
var pfcountLogged = &Spec{
	Name: "pfcount", Event: noEvent, Arity: -2, Flags: FlagWrite, FirstKey: 1, LastKey: -1, KeyStep: 1, Since: "2.8.9", Group: "hyperloglog", Run: runPFCount,
}

// hllOf is the HyperLogLog at it, nil if it is absent; if ok is false, the error is answered.
func (tx *Tx) hllOf(it *item, out Out) (h hll, ok bool) {
	switch {
	case it.absent():
		return nil, true
	case it.kind() != kindString:
		out.Error(errWrongType)
		return nil, false
	}
	if h = tx.stringBytes(it); !isHLL(h) {
		out.Error(errNotHLL)
		return nil, false
	}
	return h, true
}

// writeHLL stores a sparse or dense HyperLogLog that does not stand in the keyspace; the key keeps its deadline.
func (tx *Tx) writeHLL(p *place, key []byte, h hll) {
	if len(h) <= shortString {
		h = append(hll(nil), h...)
	}
	tx.writeRaw(p, key, h, p.keptDeadline())
}

// patchHLL changes some bytes of the HyperLogLog at p where they stand.
func (tx *Tx) patchHLL(p *place, at int, b []byte) {
	tx.blobAt(p).put(at, b)
	tx.changed(p)
}

// copyHLL returns a copy for changing. It is scratch: the next value that a command keeps between two keys takes its place.
func (tx *Tx) copyHLL(h hll) hll {
	if len(h) > maxRaw { // no real one
		return append(hll(nil), h...)
	}
	tx.held = append(tx.held[:0], h...)
	return tx.held
}

func runPFAdd(tx *Tx, args [][]byte, out Out) {
	p, _ := tx.findWrite(tx.DB, args[1])
	h, ok := tx.hllOf(&p.item, out)
	if !ok {
		return
	}
	changed := h == nil
	if h == nil {
		h = newHLL(tx.held)
		tx.held = h
	} else if !h.dense() {
		h = tx.copyHLL(h)
	}
	res, elements := hllSame, args[2:]
	if !h.dense() {
		var raised bool
		if h, elements, raised, res = h.addAll(elements); raised {
			changed = true
		}
		if res == hllFull {
			var dense hll
			if dense, ok = h.toDense(nil); ok {
				h = dense
			} else {
				res, elements = hllDamaged, nil
			}
		}
		if changed {
			h.spoil()
		}
		if changed || res == hllFull || p.form() == stringShort { // Redis makes it raw in any case
			tx.writeHLL(&p, args[1], h)
		}
	}
	if res != hllDamaged && h.dense() {
		changed = tx.addDense(&p, elements) || changed
	}
	switch {
	case res == hllDamaged:
		out.Error(errHLLDamaged)
	case changed:
		tx.tell(EventString, "pfadd", args[1])
		out.Int(1)
	default:
		out.Int(0)
	}
}

// addAll adds elements to a sparse one. It returns those that are left when it ends early.
func (h hll) addAll(elements [][]byte) (_ hll, rest [][]byte, raised bool, res hllResult) {
	for n, e := range elements {
		i, value := hllPlace(e)
		if h, res = h.raise(i, value); res == hllDamaged || res == hllFull {
			return h, elements[n:], raised, res
		}
		raised = raised || res == hllChanged
	}
	return h, nil, raised, hllSame
}

// addDense adds elements to the dense HyperLogLog at p, and reports whether some register has changed.
func (tx *Tx) addDense(p *place, elements [][]byte) (changed bool) {
	var b *blob
	h := hll(tx.stringBytes(&p.item))
	for _, e := range elements {
		i, value := hllPlace(e)
		if h.at(i) >= value {
			continue
		}
		if b == nil {
			b = tx.blobAt(p)
		}
		pair, n, at := hll(b.b).pair(i, value)
		b.put(at, pair[:n])
		h = b.b
	}
	if b == nil {
		return false
	}
	b.put(hllHead-1, []byte{b.b[hllHead-1] | hllStale})
	tx.changed(p)
	return true
}

// pfcountChanges says that PFCOUNT would note the count of its key.
func pfcountChanges(tx *Tx, args [][]byte) bool {
	if len(args) != 2 {
		return false
	}
	it := tx.peek(args[1])
	if it.absent() || it.kind() != kindString {
		return false
	}
	h := hll(tx.stringBytes(&it))
	return isHLL(h) && h.stale()
}

// runPFCount estimates. Redis notes the count of a single key in the key, although the command is a read. Here it goes to the
// log as a write if there is something to note (Store.Promote), so the bytes are those of Redis and the same on all nodes. A
// read that did not go there, as on a follower in READONLY mode, leaves the key as it is.
func runPFCount(tx *Tx, args [][]byte, out Out) {
	if len(args) > 2 {
		countUnion(tx, args[1:], out)
		return
	}
	it := tx.find(args[1])
	h, ok := tx.hllOf(&it, out)
	switch {
	case !ok:
		return
	case h == nil:
		out.Int(0)
		return
	case !h.stale():
		out.Int(int64(h.count()))
		return
	}
	hist, ok := h.histogram()
	if !ok {
		out.Error(errHLLDamaged)
		return
	}
	n := hist.estimate()
	if tx.writes {
		var count [8]byte
		binary.LittleEndian.PutUint64(count[:], n)
		p, _ := tx.findWrite(tx.DB, args[1])
		if p.enc() == encObject {
			tx.patchHLL(&p, hllCountAt, count[:])
		} else {
			h = tx.copyHLL(h)
			copy(h[hllCountAt:], count[:])
			tx.writeHLL(&p, args[1], h)
		}
	}
	out.Int(int64(n))
}

// mergeAll raises registers, all 0, to those of the HyperLogLogs at keys; if ok is false, the error is answered.
func (tx *Tx) mergeAll(keys [][]byte, registers []uint8, out Out) (dense, ok bool) {
	for _, key := range keys {
		it := tx.find(key)
		h, ok := tx.hllOf(&it, out)
		switch {
		case !ok:
			return false, false
		case h == nil:
		case !h.merge(registers):
			out.Error(errHLLDamaged)
			return false, false
		default:
			dense = dense || h.dense()
		}
	}
	return dense, true
}

// countUnion answers the estimate of several HyperLogLogs together; no key notes it.
func countUnion(tx *Tx, keys [][]byte, out Out) {
	var registers [hllRegisters]uint8
	if _, ok := tx.mergeAll(keys, registers[:], out); !ok {
		return
	}
	var hist hllHistogram
	for _, v := range registers {
		hist[v]++
	}
	out.Int(int64(hist.estimate()))
}

func runPFMerge(tx *Tx, args [][]byte, out Out) {
	var registers [hllRegisters]uint8
	dense, ok := tx.mergeAll(args[1:], registers[:], out)
	if !ok {
		return
	}
	p, found := tx.findWrite(tx.DB, args[1])
	var h hll
	if found {
		h = tx.copyHLL(tx.stringBytes(&p.item))
	} else {
		h = newHLL(tx.held)
		tx.held = h
	}
	if dense && !h.dense() {
		h, _ = h.toDense(nil) // it is not damaged: it was merged
	}
	for i, v := range registers {
		if v == 0 {
			continue
		}
		if !h.dense() {
			var res hllResult
			if h, res = h.raise(i, v); res != hllFull {
				continue
			}
			h, _ = h.toDense(nil)
		}
		if h.at(i) < v {
			h.put(i, v)
		}
	}
	h.spoil()
	tx.writeHLL(&p, args[1], h)
	tx.tell(EventString, "pfadd", args[1])
	out.Simple("OK")
}

func runPFDebug(tx *Tx, args [][]byte, out Out) {
	p, found := tx.findWrite(tx.DB, args[2])
	if !found {
		out.Error(errHLLNoKey)
		return
	}
	h, ok := tx.hllOf(&p.item, out)
	if !ok {
		return
	}
	if p.form() == stringShort { // Redis makes it raw in any case
		h = tx.copyHLL(h)
		tx.writeHLL(&p, args[2], h)
	}
	switch word := args[1]; {
	case matchWord(word, "getreg"):
		if h, _ = tx.makeDense(&p, args[2], h, out); h == nil {
			return
		}
		out.Array(hllRegisters)
		for i := range hllRegisters {
			out.Int(int64(h.at(i)))
		}
	case matchWord(word, "decode"):
		if h.dense() {
			out.Error(errHLLDense)
			return
		}
		out.Bulk(h.describe())
	case matchWord(word, "encoding"):
		if h.dense() {
			out.Simple("dense")
		} else {
			out.Simple("sparse")
		}
	case matchWord(word, "todense"):
		if _, n := tx.makeDense(&p, args[2], h, out); n >= 0 {
			out.Int(n)
		}
	default:
		out.Error(errPFDebug(word))
	}
}

// makeDense makes the HyperLogLog at p dense. It returns it, and 1 if it was not; or answers the error and returns -1.
func (tx *Tx) makeDense(p *place, key []byte, h hll, out Out) (hll, int64) {
	if h.dense() {
		return h, 0
	}
	d, ok := h.toDense(nil)
	if !ok {
		out.Error(errHLLDamaged)
		return nil, -1
	}
	tx.writeHLL(p, key, d)
	return d, 1
}

// describe prints the runs of a sparse one: z and Z of zeros, v of a value.
func (h hll) describe() (text []byte) {
	for at := hllHead; at < len(h); {
		r := h.run(at)
		switch {
		case r.value > 0:
			text = fmt.Appendf(text, "v:%d,%d ", r.value, r.n)
		case r.size == 1:
			text = fmt.Appendf(text, "z:%d ", r.n)
		default:
			text = fmt.Appendf(text, "Z:%d ", r.n)
		}
		at += r.size
	}
	return text[:max(0, len(text)-1)]
}

// HLLSelfTest tests registers and estimates, in a fraction of a second, and returns what is wrong, nil if nothing is. It
// touches no data. Any goroutine.
func HLLSelfTest() error {
	dense, _ := newHLL(nil).toDense(nil)
	var want [hllRegisters]uint8
	for seed := range uint64(20) {
		for i := range want {
			want[i] = uint8(splitMix(seed<<32+uint64(i)) & hllMax)
			dense.put(i, want[i])
		}
		for i := range want {
			if got := dense.at(i); got != want[i] {
				return fmt.Errorf("register %d is %d and not %d", i, got, want[i])
			}
		}
	}
	sparse := newHLL(nil)
	dense, _ = newHLL(nil).toDense(nil)
	var element [8]byte
	for n, next := uint64(1), uint64(1); n <= 200_000; n++ {
		binary.LittleEndian.PutUint64(element[:], splitMix(n))
		i, value := hllPlace(element[:])
		if dense.at(i) < value {
			dense.put(i, value)
		}
		if sparse != nil {
			res := hllSame
			if sparse, res = sparse.raise(i, value); res == hllFull {
				sparse = nil
			}
		}
		if n == next {
			next *= 10
			if err := checkEstimate(n, dense, sparse); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkEstimate compares the estimates of two HyperLogLogs of the same n elements, of which sparse may be missing, with n:
// the standard error is 0.8 %.
func checkEstimate(n uint64, dense, sparse hll) error {
	hist, _ := dense.histogram()
	got := hist.estimate()
	if off := max(n, got) - min(n, got); off > max(1, n*5/100) {
		return fmt.Errorf("%d elements are estimated as %d", n, got)
	}
	if sparse != nil {
		other, ok := sparse.histogram()
		if !ok || other != hist {
			return fmt.Errorf("sparse and dense registers of %d elements differ", n)
		}
	}
	return nil
}
