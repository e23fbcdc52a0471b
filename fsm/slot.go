package fsm

import (
	"bytes"
	"encoding/binary"
)

// crcTables are for CRC16/XMODEM (polynomial 0x1021), the hash of Redis Cluster: the checksum of a byte, by number of the
// table with so many zeros behind it.
var crcTables = func() (t [8][256]uint16) {
	for i := range 256 {
		crc := uint16(i) << 8
		for k := range t {
			for range 8 {
				if crc&0x8000 != 0 {
					crc = crc<<1 ^ 0x1021
				} else {
					crc <<= 1
				}
			}
			t[k][i] = crc
		}
	}
	return t
}()

// Slot returns the hash slot of a key: CRC16 of the key, or of what stands between its first { and the next } if that
// is not empty, modulo Slots.
func Slot(key []byte) uint16 {
	const ones, braces = 0x0101010101010101, '{' * 0x0101010101010101
	crc, b := uint16(0), key
	for ; len(b) >= 8; b = b[8:] {
		w := binary.LittleEndian.Uint64(b)
		if x := w ^ braces; (x-ones)&^x&(ones<<7) != 0 {
			return tagSlot(key)
		}
		crc = crcWord(crc, w)
	}
	for _, c := range b {
		if c == '{' {
			return tagSlot(key)
		}
		crc = crc<<8 ^ crcTables[0][byte(crc>>8)^c]
	}
	return crc % Slots
}

// crcWord adds eight bytes to a checksum. Nearly all that it does is done at the same time.
func crcWord(crc uint16, w uint64) uint16 {
	t := &crcTables
	return t[7][byte(w)^byte(crc>>8)] ^ t[6][byte(w>>8)^byte(crc)] ^ t[5][byte(w>>16)] ^ t[4][byte(w>>24)] ^
		t[3][byte(w>>32)] ^ t[2][byte(w>>40)] ^ t[1][byte(w>>48)] ^ t[0][byte(w>>56)]
}

// tagSlot is Slot for a key that has a {.
func tagSlot(key []byte) uint16 {
	open := bytes.IndexByte(key, '{')
	if n := bytes.IndexByte(key[open+1:], '}'); n > 0 {
		key = key[open+1 : open+1+n]
	}
	crc := uint16(0)
	for ; len(key) >= 8; key = key[8:] {
		crc = crcWord(crc, binary.LittleEndian.Uint64(key))
	}
	for _, c := range key {
		crc = crc<<8 ^ crcTables[0][byte(crc>>8)^c]
	}
	return crc % Slots
}
