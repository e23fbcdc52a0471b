package fsm

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// The state hash is a function of the state alone, so it can be computed from a snapshot as well, and it is kept up to date
// by every write: a slotPage has the sum of each of its slots, modulo 2^64, over the slot's keys of
//
//	entrySum(key, kind, form and content of the value, deadline) + placeSum(position, key)
//
// Positions are in it because the dense order of a slot is state: SCAN shows it. What a value adds is known for every value
// without looking at all of it: a string in its record is at most maxRaw bytes long, a packed collection a few kilobytes;
// longer strings are summed up by blocks, dicts by elements with their positions, long lists as a polynomial (listsum.go),
// and every command that changes a part replaces the part's share. holder.sum is what was counted last.
//
// Nodes compare these numbers and snapshots hold them. So nothing in this file may ever change its result.

const (
	mixA = 0x51ed270b9f652295
	mixB = 0xbf58476d1ce4e5b9
	mixC = 0x94d049bb133111eb
	mixD = 0xd6e8feb86659fd93
)

// fold multiplies, and folds the 128 bits of the product. Both factors are mixed in again, so that a zero hides nothing.
func fold(x, y uint64) uint64 {
	hi, lo := bits.Mul64(x, y)
	return hi ^ lo ^ bits.RotateLeft64(x, 29) ^ bits.RotateLeft64(y, 13)
}

// hashBytes is a 64-bit hash with a fixed definition.
func hashBytes(b []byte) uint64 {
	h := uint64(len(b))*golden ^ mixA
	if len(b) > 64 {
		h, b = hashLong(h, b)
	}
	for ; len(b) > 16; b = b[16:] {
		h = fold(binary.LittleEndian.Uint64(b)^h, binary.LittleEndian.Uint64(b[8:])^mixB)
	}
	var x, y uint64
	switch n := len(b); {
	case n >= 8:
		x, y = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[n-8:])
	case n >= 4:
		x, y = uint64(binary.LittleEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b[n-4:]))
	case n > 0:
		x = uint64(b[0]) | uint64(b[n/2])<<8 | uint64(b[n-1])<<16
	}
	return fold(fold(x^h, y^mixB), mixC)
}

// hashLong takes all but the last 1 to 64 bytes of b, in four strands that do not wait for each other.
func hashLong(h uint64, b []byte) (uint64, []byte) {
	h1, h2, h3 := h^mixB, h^mixC, h^mixD
	for ; len(b) > 64; b = b[64:] {
		h = fold(binary.LittleEndian.Uint64(b)^h, binary.LittleEndian.Uint64(b[8:])^mixA)
		h1 = fold(binary.LittleEndian.Uint64(b[16:])^h1, binary.LittleEndian.Uint64(b[24:])^mixB)
		h2 = fold(binary.LittleEndian.Uint64(b[32:])^h2, binary.LittleEndian.Uint64(b[40:])^mixC)
		h3 = fold(binary.LittleEndian.Uint64(b[48:])^h3, binary.LittleEndian.Uint64(b[56:])^mixD)
	}
	return fold(h^bits.RotateLeft64(h2, 21), h1^bits.RotateLeft64(h3, 43)), b
}

// entrySum is what a key adds to its slot, by the hash of the key, the sum of its value, and its deadline.
func entrySum(key, value uint64, at int64) uint64 { return fold(key^mixA, value+uint64(at)*golden) }

// placeSum is what a key or an element adds by its position.
func placeSum(pos int, key uint64) uint64 { return fold(key^uint64(pos)*golden, mixD) }

// valueSum is the sum of a value by its code and content.
func valueSum(code, content uint64) uint64 { return fold(content^code, mixB) }

// objectSum is valueSum of an object.
func objectSum(o object) uint64 { return valueSum(objectCode(o), o.sum()) }

// databaseFactor makes equal keys of different databases different. A factor, because SWAPDB takes no time.
func databaseFactor(db int) uint64 { return splitMix(uint64(db)) | 1 }

// textBlock is the length in bytes of the parts by which strings are summed up.
const textBlock = 512

// textSum is the content of a string.
func textSum(b []byte) uint64 {
	if len(b) <= textBlock {
		return hashBytes(b)
	}
	return blocksSum(b, 0, len(b))
}

// blocksSum is the part in textSum of the blocks of which some byte is in [from, to). Every string has a first block.
func blocksSum(b []byte, from, to int) (sum uint64) {
	for at := from / textBlock * textBlock; at < to || at == 0; at += textBlock {
		if at > 0 && at >= len(b) {
			break
		}
		h := hashBytes(b[at:min(at+textBlock, len(b))])
		if at > 0 {
			h = fold(h, uint64(at)|1)
		}
		sum += h
	}
	return sum
}

// textCode is the code of a string of n bytes in a record.
func textCode(n int) uint64 { return uint64(kindString) | uint64(textForm(n))<<formShift }

// recordSum is the sum of a string in a record.
func recordSum(b []byte) uint64 { return valueSum(textCode(len(b)), textSum(b)) }

// intSum is the sum of an integer in a record.
func intSum(n int64) uint64 {
	return valueSum(uint64(kindString)|uint64(stringInt)<<formShift, splitMix(uint64(n)))
}

// packedSum is the sum of a packed collection in a record.
func packedSum(enc encoding, b packed) uint64 {
	k, f := kindList+kind(enc-encPacked), listPacked // the first form of all kinds
	if k == kindSet {
		f = smallSetForm(b)
	}
	return valueSum(uint64(k)|uint64(f)<<formShift, hashBytes(b))
}

// sum is the sum of the value, of an object as it was when it was counted last.
func (it *item) sum() uint64 {
	switch it.enc() {
	case encObject:
		return it.objs.at(it.handle()).sum
	case encInt:
		return intSum(it.integer())
	case encRaw:
		return recordSum(it.value())
	default:
		return packedSum(it.enc(), packed(it.value()))
	}
}

// recount is sum computed from the content.
func (it *item) recount() uint64 {
	if o := it.object(); o != nil {
		return valueSum(objectCode(o), o.recount())
	}
	return it.sum()
}

// recountAt computes what a key adds to its slot at a position.
func (it *item) recountAt(pos int) uint64 {
	k := hashBytes(it.key())
	return entrySum(k, it.recount(), it.deadline()) + placeSum(pos, k)
}

// compareSums compares the sum that the writes have counted for a slot with one that was computed from its keys.
func compareSums(db, slot int, counted, content uint64) error {
	if counted == content {
		return nil
	}
	return &InvariantError{"the state hash", fmt.Sprintf("db %d slot %d: the writes add up to %016x, the keys to %016x", db, slot, counted, content)}
}

// pairSum is what key and value of an element add.
func pairSum(key, part uint64) uint64 {
	if part == 0 {
		return 0
	}
	return fold(key+mixC, part)
}

// dictSum is the content of a collection of so many members, and their sum.
func dictSum(n int, sum uint64) uint64 { return fold(sum^mixD, uint64(n)*golden^mixA) }

// timeSum is what the deadline of a field adds to the sum of its hash's deadlines.
func timeSum(pos int, at int64) uint64 { return fold(splitMix(uint64(at))^mixC, uint64(pos)) }

// timedSum is the content of a hash of which n fields, more than none, have deadlines of so much sum; fields is the content without.
func timedSum(fields uint64, n int, sum uint64) uint64 {
	return fold(fields^mixA, sum^uint64(n)*golden)
}
