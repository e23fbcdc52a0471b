package fsm

import (
	"encoding/binary"
	"math"
)

const (
	errFieldType     = "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."
	errFieldOverflow = "ERR Invalid OVERFLOW type specified"
	errFieldReadonly = "ERR BITFIELD_RO only supports the GET subcommand"
)

// field is an integer of 1 to 64 bits within a string, the highest bit first.
type field struct {
	signed bool
	bits   int
	offset int64 // of its first bit
}

// fieldVerb says what an operation of BITFIELD does.
type fieldVerb uint8

const (
	fieldGet fieldVerb = iota
	fieldSet
	fieldIncr
)

// overflow says what becomes of a number that does not fit its field.
type overflow uint8

const (
	overflowWrap overflow = iota
	overflowSat           // the nearest number that fits
	overflowFail          // nothing is changed
)

// fieldOp is one operation of BITFIELD.
type fieldOp struct {
	field
	verb     fieldVerb
	overflow overflow
	value    int64 // new value or increment
}

func writesBits(ops []fieldOp) bool {
	for i := range ops {
		if ops[i].verb != fieldGet {
			return true
		}
	}
	return false
}

// parseBitfield appends the operations to ops, or returns the error.
func parseBitfield(args [][]byte, ops []fieldOp) (_ []fieldOp, err string) {
	op := fieldOp{}
	for len(args) > 0 {
		n := 3 // arguments of the operation
		switch word := args[0]; {
		case len(args) >= 3 && matchWord(word, "get"):
			op.verb = fieldGet
		case len(args) >= 4 && matchWord(word, "set"):
			op.verb, n = fieldSet, 4
		case len(args) >= 4 && matchWord(word, "incrby"):
			op.verb, n = fieldIncr, 4
		case len(args) >= 2 && matchWord(word, "overflow"):
			if op.overflow, err = parseOverflow(args[1]); err != "" {
				return nil, err
			}
			args = args[2:]
			continue
		default:
			return nil, errSyntax
		}
		if err = op.parse(args[1:n]); err != "" {
			return nil, err
		}
		ops, args = append(ops, op), args[n:]
	}
	return ops, ""
}

func parseOverflow(b []byte) (o overflow, err string) {
	switch {
	case matchWord(b, "wrap"):
		return overflowWrap, ""
	case matchWord(b, "sat"):
		return overflowSat, ""
	case matchWord(b, "fail"):
		return overflowFail, ""
	}
	return 0, errFieldOverflow
}

// parse reads type, offset and, for what changes something, a number.
func (op *fieldOp) parse(args [][]byte) (err string) {
	kind := args[0]
	if len(kind) == 0 || kind[0] != 'i' && kind[0] != 'u' {
		return errFieldType
	}
	width, ok := parseInt(kind[1:])
	op.signed = kind[0] == 'i'
	if !ok || width < 1 || width > 64 || width == 64 && !op.signed {
		return errFieldType
	}
	op.bits = int(width)
	if op.offset, ok = parseBitOffset(args[1], width); !ok {
		return errBitOffset
	}
	if op.verb != fieldGet {
		if op.value, ok = parseInt(args[2]); !ok {
			return errNotInteger
		}
	}
	return ""
}

// get reads the field; behind the end of b all bits are 0.
func (f *field) get(b []byte) int64 {
	var window [9]byte // the field begins in the first byte
	at, shift := f.offset>>3, uint(f.offset&7)
	if at < int64(len(b)) {
		copy(window[:], b[at:])
	}
	v := binary.BigEndian.Uint64(window[:])<<shift | uint64(window[8])>>(8-shift)
	if f.signed {
		return int64(v) >> (64 - f.bits)
	}
	return int64(v >> (64 - f.bits))
}

// set writes the lowest bits of v into the field, which b has.
func (f *field) set(b *blob, v int64) {
	var window [9]byte
	at, shift := int(f.offset>>3), uint(f.offset&7)
	n := (int(shift) + f.bits + 7) / 8 // bytes that the field touches
	copy(window[:], b.b[at:at+n])
	mask, value := uint64(math.MaxUint64)<<(64-f.bits), uint64(v)<<(64-f.bits)
	word := binary.BigEndian.Uint64(window[:])
	binary.BigEndian.PutUint64(window[:], word&^(mask>>shift)|value>>shift)
	mask, value = mask<<(64-shift)>>56, value<<(64-shift)>>56 // what stands in the ninth byte
	window[8] = window[8]&^byte(mask) | byte(value)
	b.put(at, window[:n])
}

// add returns v+by as the field can hold it, and whether that is not the sum. The arithmetic is that of Redis for every v,
// also one that does not fit.
func (f *field) add(v, by int64, o overflow) (sum int64, over bool) {
	if f.signed {
		return f.addSigned(v, by, o)
	}
	highest := uint64(1)<<f.bits - 1
	switch u := uint64(v); {
	case u > highest || by > 0 && by > int64(highest-u):
		if o == overflowSat {
			return int64(highest), true
		}
	case by < 0 && by < int64(-u):
		if o == overflowSat {
			return 0, true
		}
	default:
		return v + by, false
	}
	return int64(uint64(v+by) & highest), true
}

func (f *field) addSigned(v, by int64, o overflow) (sum int64, over bool) {
	highest := int64(math.MaxInt64) >> (64 - f.bits)
	lowest := -highest - 1
	up, down := highest-v, lowest-v // they may overflow, and are only used where they do not, or by fields of 64 bits
	switch narrow := f.bits != 64; {
	case v > highest || narrow && by > up || v >= 0 && by > 0 && by > up:
		sum = highest
	case v < lowest || narrow && by < down || v < 0 && by < 0 && by < down:
		sum = lowest
	default:
		return v + by, false
	}
	if o == overflowSat {
		return sum, true
	}
	shift := 64 - f.bits
	return (v + by) << shift >> shift, true
}

func runBitfield(tx *Tx, args [][]byte, out Out) {
	var buf [8]fieldOp
	ops, err := parseBitfield(args[2:], buf[:0])
	switch {
	case err != "":
		out.Error(err)
	case !writesBits(ops):
		readFields(tx, args[1], ops, out)
	default:
		writeFields(tx, args[1], ops, out)
	}
}

func runBitfieldRO(tx *Tx, args [][]byte, out Out) {
	var buf [8]fieldOp
	ops, err := parseBitfield(args[2:], buf[:0])
	switch {
	case err != "":
		out.Error(err)
	case writesBits(ops):
		out.Error(errFieldReadonly)
	default:
		readFields(tx, args[1], ops, out)
	}
}

func readFields(tx *Tx, key []byte, ops []fieldOp, out Out) {
	b, _, ok := tx.readString(key, out)
	if !ok {
		return
	}
	out.Array(len(ops))
	for i := range ops {
		out.Int(ops[i].get(b))
	}
}

// writeFields executes operations of which some is no GET. The string grows to the last bit that one of these could write,
// even if it does not.
func writeFields(tx *Tx, key []byte, ops []fieldOp, out Out) {
	last := int64(0)
	for i := range ops {
		if op := &ops[i]; op.verb != fieldGet {
			last = max(last, op.offset+int64(op.bits)-1)
		}
	}
	p, found := tx.findWrite(tx.DB, key)
	if found && p.kind() != kindString {
		out.Error(errWrongType)
		return
	}
	b, changed := tx.bitmapAt(&p, key, last)
	name := tx.called("") // a string that only grew is no event in Redis
	out.Array(len(ops))
	for i := range ops {
		op := &ops[i]
		old := op.get(b.b)
		if op.verb == fieldGet {
			out.Int(old)
			continue
		}
		next, over, reply := int64(0), false, old
		if op.verb == fieldSet {
			next, over = op.add(op.value, 0, op.overflow)
		} else {
			next, over = op.add(old, op.value, op.overflow)
			reply = next
		}
		if over && op.overflow == overflowFail {
			out.Null()
			continue
		}
		out.Int(reply)
		op.set(b, next)
		changed = true
		tx.called(name)
	}
	if changed {
		tx.changed(&p)
	}
}
