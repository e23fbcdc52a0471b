package fsm

import (
	"encoding/binary"
	"math/bits"
)

// Bits are counted from the highest of the first byte on. Commands that change some turn the string into a blob, which is
// changed in place whatever its length.

const (
	errBitOffset = "ERR bit offset is not an integer or out of range"
	errBit       = "ERR bit is not an integer or out of range"
	errBitWanted = "ERR The bit argument must be 1 or 0."
	errBitOpNot  = "ERR BITOP NOT must be called with a single source key."
)

// parseBitOffset reads the position of a bit below 2^32; "#n" counts in units of width bits if width is not 0.
func parseBitOffset(b []byte, width int64) (offset int64, ok bool) {
	unit := int64(1)
	if width > 0 && len(b) > 0 && b[0] == '#' {
		unit, b = width, b[1:]
	}
	offset, ok = parseInt(b)
	offset *= unit // what overflows is refused or, as in Redis, some other position
	return offset, ok && offset >= 0 && offset>>3 < maxString
}

// bitAt is a bit of b, which has zeros behind its end.
func bitAt(b []byte, offset int64) int64 {
	if offset>>3 >= int64(len(b)) {
		return 0
	}
	return int64(b[offset>>3]>>(7-offset&7)) & 1
}

// bitmapAt makes the string at p, or a new one, a blob that has the bit at offset. It reports whether the content has
// changed; the caller reports that, and what it changes itself, with changed.
func (tx *Tx) bitmapAt(p *place, key []byte, offset int64) (b *blob, grown bool) {
	if p.absent() {
		name := tx.called("")
		b = tx.writeBlob(p, key, nil, 0)
		tx.called(name)
	} else {
		b = tx.blobAt(p)
	}
	if n := int(offset>>3) + 1; n > len(b.b) {
		b.put(n-1, []byte{0})
		grown = true
	}
	return b, grown
}

func runSetBit(tx *Tx, args [][]byte, out Out) {
	offset, ok := parseBitOffset(args[2], 0)
	if !ok {
		out.Error(errBitOffset)
		return
	}
	on, ok := parseInt(args[3])
	if !ok || on&^1 != 0 {
		out.Error(errBit)
		return
	}
	p, found := tx.findWrite(tx.DB, args[1])
	if found && p.kind() != kindString {
		out.Error(errWrongType)
		return
	}
	b, changed := tx.bitmapAt(&p, args[1], offset)
	old := bitAt(b.b, offset)
	if old != on {
		at := int(offset >> 3)
		b.put(at, []byte{b.b[at] ^ 0x80>>(offset&7)})
		changed = true
	}
	if changed {
		tx.changed(&p)
	}
	out.Int(old)
}

// readString returns the string at key for reading, nil if there is none; if ok is false, the error is answered.
func (tx *Tx) readString(key []byte, out Out) (b []byte, found, ok bool) {
	it := tx.find(key)
	switch {
	case it.absent():
		return nil, false, true
	case it.kind() != kindString:
		out.Error(errWrongType)
		return nil, true, false
	}
	return tx.stringBytes(&it), true, true
}

func runGetBit(tx *Tx, args [][]byte, out Out) {
	offset, ok := parseBitOffset(args[2], 0)
	if !ok {
		out.Error(errBitOffset)
		return
	}
	if b, _, ok := tx.readString(args[1], out); ok {
		out.Int(bitAt(b, offset))
	}
}

// parseUnit reads BYTE or BIT; otherwise it answers the error.
func parseUnit(b []byte, out Out) (isBit, ok bool) {
	switch {
	case matchWord(b, "bit"):
		return true, true
	case !matchWord(b, "byte"):
		out.Error(errSyntax)
		return false, false
	}
	return false, true
}

// bitRange turns inclusive positions, which may count from the end, into the half-open range of bits of a string of n
// bytes.
func bitRange(start, end int64, isBit bool, n int) (from, to int64) {
	if isBit {
		return clampRange(start, end, int64(n)<<3)
	}
	from, to = clampRange(start, end, int64(n))
	return from << 3, to << 3
}

func runBitCount(tx *Tx, args [][]byte, out Out) {
	b, found, ok := tx.readString(args[1], out)
	switch {
	case !ok:
		return
	case !found: // whatever the other arguments are, as in Redis 7.0
		out.Int(0)
		return
	case len(args) == 2:
		out.Int(popCount(b))
		return
	case len(args) == 3 || len(args) > 5:
		out.Error(errSyntax)
		return
	}
	start, end, ok := rangeArgs(args, out)
	if !ok {
		return
	}
	if start < 0 && end < 0 && start > end { // whatever the unit is, as in Redis 7.0
		out.Int(0)
		return
	}
	isBit := false
	if len(args) == 5 {
		if isBit, ok = parseUnit(args[4], out); !ok {
			return
		}
	}
	from, to := bitRange(start, end, isBit, len(b))
	if from >= to {
		out.Int(0)
		return
	}
	n := popCount(b[from>>3 : (to+7)>>3])
	n -= popCount([]byte{b[from>>3] &^ (0xff >> (from & 7))})
	if to&7 != 0 {
		n -= popCount([]byte{b[to>>3] & (0xff >> (to & 7))})
	}
	out.Int(n)
}

// popCount returns how many bits of b are set.
func popCount(b []byte) int64 {
	n := 0
	for ; len(b) >= 32; b = b[32:] {
		n += bits.OnesCount64(binary.LittleEndian.Uint64(b)) + bits.OnesCount64(binary.LittleEndian.Uint64(b[8:])) +
			bits.OnesCount64(binary.LittleEndian.Uint64(b[16:])) + bits.OnesCount64(binary.LittleEndian.Uint64(b[24:]))
	}
	for _, c := range b {
		n += bits.OnesCount8(c)
	}
	return int64(n)
}

func runBitPos(tx *Tx, args [][]byte, out Out) {
	bit, ok := intArg(args[2], out)
	if !ok {
		return
	}
	if bit&^1 != 0 {
		out.Error(errBitWanted)
		return
	}
	b, found, ok := tx.readString(args[1], out)
	switch {
	case !ok:
		return
	case !found:
		out.Int(-bit)
		return
	case len(args) > 6:
		out.Error(errSyntax)
		return
	}
	from, to, ok := bitPosRange(args, len(b), out)
	if !ok {
		return
	}
	pos := int64(-1)
	if from < to {
		// Without an end the string counts as followed by zeros.
		if pos = findBit(b, byte(bit), from, to); pos < 0 && bit == 0 && len(args) < 5 {
			pos = to
		}
	}
	out.Int(pos)
}

// bitPosRange reads the range of BITPOS in a string of n bytes; otherwise it answers the error.
func bitPosRange(args [][]byte, n int, out Out) (from, to int64, ok bool) {
	start, end, isBit := int64(0), int64(-1), false
	if len(args) > 3 {
		if start, ok = intArg(args[3], out); !ok {
			return 0, 0, false
		}
	}
	if len(args) > 5 {
		if isBit, ok = parseUnit(args[5], out); !ok {
			return 0, 0, false
		}
	}
	if len(args) > 4 {
		if end, ok = intArg(args[4], out); !ok {
			return 0, 0, false
		}
	}
	if last := int64(n); start < 0 && end < 0 { // unlike BITCOUNT both ends may be before the string
		if isBit {
			last <<= 3
		}
		start, end = max(0, start+last), max(0, end+last)
	}
	from, to = bitRange(start, end, isBit, n)
	return from, to, true
}

// findBit returns the first position in [from, to) at which b has the bit, -1 if there is none.
func findBit(b []byte, bit byte, from, to int64) int64 {
	flip := bit - 1 // all ones when looking for a 0
	at := from >> 3
	if c := (b[at] ^ flip) & (0xff >> (from & 7)); c == 0 {
		at++
		other := uint64(int64(int8(flip)))
		for ; at+8 <= to>>3 && binary.LittleEndian.Uint64(b[at:]) == other; at += 8 {
		}
		for ; at < (to+7)>>3 && b[at] == flip; at++ {
		}
		if at == (to+7)>>3 {
			return -1
		}
		from = at << 3
	}
	pos := at<<3 + int64(bits.LeadingZeros8((b[at]^flip)&(0xff>>(from&7))))
	if pos >= to {
		return -1
	}
	return pos
}

func runBitOp(tx *Tx, args [][]byte, out Out) {
	var op func(dst, src []byte)
	not := matchWord(args[1], "not")
	switch {
	case matchWord(args[1], "and"):
		op = andBits
	case matchWord(args[1], "or"):
		op = orBits
	case matchWord(args[1], "xor"):
		op = xorBits
	case !not:
		out.Error(errSyntax)
		return
	case len(args) != 4:
		out.Error(errBitOpNot)
		return
	}
	sources, longest := make([][]byte, len(args)-3), 0
	for i, key := range args[3:] {
		b, _, ok := tx.readString(key, out)
		if !ok {
			return
		}
		if len(b) <= maxIntText {
			b = append([]byte(nil), b...) // a number is valid until the next look-up
		}
		sources[i] = b
		longest = max(longest, len(b))
	}
	if longest == 0 {
		tx.delete(args[2])
		out.Int(0)
		return
	}
	res := make([]byte, longest)
	copy(res, sources[0])
	if not {
		invertBits(res)
	}
	for _, src := range sources[1:] {
		op(res, src)
	}
	p, _ := tx.findWrite(tx.DB, args[2])
	tx.writeRaw(&p, args[2], res, 0)
	out.Int(int64(longest))
}

// maxIntText is the length in bytes of the longest integer's text.
const maxIntText = 20

// writeRaw is writeString for one that becomes the keyspace's, in the form raw.
func (tx *Tx) writeRaw(p *place, key, val []byte, at int64) {
	if shortString < len(val) && len(val) <= maxRaw {
		tx.writeText(p, key, val, at)
		return
	}
	tx.writeObject(p, key, holding(&blob{b: val, text: textSum(val)}, tx.s.epoch), at)
}

// The operations of BITOP on dst and the shorter or equally long src, which has zeros behind its end.

func andBits(dst, src []byte) {
	n := len(src)
	clear(dst[n:])
	i := 0
	for ; i+8 <= n; i += 8 {
		binary.LittleEndian.PutUint64(dst[i:], binary.LittleEndian.Uint64(dst[i:])&binary.LittleEndian.Uint64(src[i:]))
	}
	for ; i < n; i++ {
		dst[i] &= src[i]
	}
}

func orBits(dst, src []byte) {
	i := 0
	for ; i+8 <= len(src); i += 8 {
		binary.LittleEndian.PutUint64(dst[i:], binary.LittleEndian.Uint64(dst[i:])|binary.LittleEndian.Uint64(src[i:]))
	}
	for ; i < len(src); i++ {
		dst[i] |= src[i]
	}
}

func xorBits(dst, src []byte) {
	i := 0
	for ; i+8 <= len(src); i += 8 {
		binary.LittleEndian.PutUint64(dst[i:], binary.LittleEndian.Uint64(dst[i:])^binary.LittleEndian.Uint64(src[i:]))
	}
	for ; i < len(src); i++ {
		dst[i] ^= src[i]
	}
}

func invertBits(b []byte) {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], ^binary.LittleEndian.Uint64(b[i:]))
	}
	for ; i < len(b); i++ {
		b[i] = ^b[i]
	}
}
