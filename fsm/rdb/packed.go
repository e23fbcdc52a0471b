package rdb

import (
	"encoding/binary"
	"math"
)

// packing is the encoding of a small collection in one string.
type packing uint8

const (
	listpack packing = 1 + iota
	ziplist
	zipmap
	intset
)

// sequence reads the elements of a packed string from the front. Whatever the string holds, it stays within it; that the end is
// where the head says is known when the end is reached.
type sequence struct {
	packing packing
	b       []byte
	at      int
	n       int // elements so far
	count   int // that there are, as the head says
	sure    bool
	width   int   // intset: bytes of an integer
	least   int64 // intset: the last one
	prev    int   // ziplist: bytes of the last element
	last    int   // ziplist: where it begins; 0 = there is none
	val     bool  // zipmap: a value comes next
}

const (
	ziplistHead  = 10
	ziplistBig   = 254 // as the first byte of a length: four bytes follow
	zipmapHead   = 1
	zipmapBig    = 254
	intsetHead   = 8
	elementMin4  = 0xf1 // ziplist: 4 bits that are a number, less 1
	elementMax4  = 0xfd
	elementInt8  = 0xfe
	elementInt16 = 0xc0
	elementInt32 = 0xd0
	elementInt64 = 0xe0
	elementInt24 = 0xf0
)

func openSequence(p packing, b []byte) (sequence, error) {
	s := sequence{packing: p, b: b}
	ok := false
	switch p {
	case listpack:
		ok = s.openListpack()
	case ziplist:
		ok = s.openZiplist()
	case zipmap:
		ok = s.openZipmap()
	case intset:
		ok = s.openIntset()
	}
	if !ok {
		return s, ErrFormat
	}
	return s, nil
}

// next returns an element, in scratch if it is no string there; ok is false behind the last one.
func (s *sequence) next(scratch *[]byte) (e []byte, ok bool, err error) {
	good := false
	switch s.packing {
	case listpack:
		e, ok, good = s.nextListpack(scratch)
	case ziplist:
		e, ok, good = s.nextZiplist(scratch)
	case zipmap:
		e, ok, good = s.nextZipmap()
	case intset:
		e, ok, good = s.nextIntset(scratch)
	}
	if !good {
		return nil, false, ErrFormat
	}
	s.n++
	return e, ok, nil
}

// counted says whether there are as many elements as the head says.
func (s *sequence) counted() bool { return !s.sure || s.n == s.count }

func (s *sequence) openListpack() bool {
	size := len(s.b)
	if size < ListpackFrame || int(binary.LittleEndian.Uint32(s.b)) != size || s.b[size-1] != packedEnd {
		return false
	}
	s.count = int(binary.LittleEndian.Uint16(s.b[4:]))
	s.at, s.sure = listpackHead, s.count != listpackUnknown
	return true
}

// nextListpack reads an element: its first byte tells how, and behind it stands its length, seven bits in a byte, backwards.
func (s *sequence) nextListpack(scratch *[]byte) (e []byte, ok, good bool) {
	end := len(s.b) - 1
	b := s.b[s.at:end]
	if len(b) == 0 {
		return nil, false, s.counted()
	}
	if b[0] == packedEnd {
		return nil, false, false
	}
	e, n := listpackElement(b, scratch)
	back := BackLen(n)
	if n == 0 || len(b) < n+back || !isBack(b[n:n+back], n) {
		return nil, false, false
	}
	s.at += n + back
	return e, true, true
}

// listpackElement returns the element at the front of b, and its length; 0 if it is none.
func listpackElement(b []byte, scratch *[]byte) (e []byte, n int) {
	first := b[0]
	switch {
	case first < 0x80:
		return number(scratch, int64(first)), 1
	case first < 0xc0:
		return cut(b, 1, int(first&0x3f))
	case first < 0xe0 && len(b) >= 2:
		return number(scratch, int64(int16(uint16(first)<<11|uint16(b[1])<<3)>>3)), 2
	case first >= 0xe0 && first < 0xf0 && len(b) >= 2:
		return cut(b, 2, int(first&0x0f)<<8|int(b[1]))
	case first == 0xf0 && len(b) >= 5:
		return cut(b, 5, int(binary.LittleEndian.Uint32(b[1:])))
	case first == 0xf1 && len(b) >= 3:
		return number(scratch, int64(int16(binary.LittleEndian.Uint16(b[1:])))), 3
	case first == 0xf2 && len(b) >= 4:
		return number(scratch, int24(b[1:])), 4
	case first == 0xf3 && len(b) >= 5:
		return number(scratch, int64(int32(binary.LittleEndian.Uint32(b[1:])))), 5
	case first == 0xf4 && len(b) >= 9:
		return number(scratch, int64(binary.LittleEndian.Uint64(b[1:]))), 9
	}
	return nil, 0
}

// cut returns the n bytes of b behind a head, and where they end; 0 if there are fewer.
func cut(b []byte, head, n int) ([]byte, int) {
	if n > len(b)-head {
		return nil, 0
	}
	return b[head : head+n : head+n], head + n
}

func int24(b []byte) int64 {
	return int64(int32(uint32(b[0])<<8|uint32(b[1])<<16|uint32(b[2])<<24) >> 8)
}

// BackLen is the bytes of the length that stands behind an element of n bytes in a listpack. Redis takes a byte more than it needs
// when n is all ones, except in the first: such as 3 for 16383.
func BackLen(n int) int {
	switch {
	case n < 1<<7:
		return 1
	case n < 1<<14-1:
		return 2
	case n < 1<<21-1:
		return 3
	case n < 1<<28-1:
		return 4
	}
	return 5
}

// isBack says whether b is the length n: the lowest seven bits last, all but the first byte marked.
func isBack(b []byte, n int) bool {
	for i := len(b) - 1; i >= 0; i-- {
		mark := byte(0x80)
		if i == 0 {
			mark = 0
		}
		if b[i] != byte(n)&0x7f|mark {
			return false
		}
		n >>= 7
	}
	return n == 0
}

func (s *sequence) openZiplist() bool {
	size := len(s.b)
	if size < ziplistHead+1 || int(binary.LittleEndian.Uint32(s.b)) != size || s.b[size-1] != packedEnd {
		return false
	}
	if tail := binary.LittleEndian.Uint32(s.b[4:]); uint64(tail) > uint64(size-1) {
		return false
	}
	s.count = int(binary.LittleEndian.Uint16(s.b[8:]))
	s.at, s.sure = ziplistHead, s.count != math.MaxUint16
	return true
}

// nextZiplist reads an element: the length of the one before it, then its first byte tells how it is encoded.
func (s *sequence) nextZiplist(scratch *[]byte) (e []byte, ok, good bool) {
	b := s.b[s.at : len(s.b)-1]
	if len(b) == 0 {
		tail := int(binary.LittleEndian.Uint32(s.b[4:]))
		return nil, false, s.counted() && (s.last == 0 || s.last == tail)
	}
	prev, head := int(b[0]), 1
	if b[0] == packedEnd || b[0] == ziplistBig && len(b) < 5 {
		return nil, false, false
	}
	if b[0] == ziplistBig {
		prev, head = int(binary.LittleEndian.Uint32(b[1:])), 5
	}
	if prev != s.prev || len(b) == head {
		return nil, false, false
	}
	e, n := ziplistElement(b[head:], scratch)
	if n == 0 {
		return nil, false, false
	}
	s.last, s.prev = s.at, head+n
	s.at += head + n
	return e, true, true
}

// ziplistElement returns the element at the front of b, and its length; 0 if it is none.
func ziplistElement(b []byte, scratch *[]byte) (e []byte, n int) {
	first := b[0]
	switch {
	case first < 0x40:
		return cut(b, 1, int(first))
	case first < 0x80 && len(b) >= 2:
		return cut(b, 2, int(first&0x3f)<<8|int(b[1]))
	case first == 0x80 && len(b) >= 5:
		return cut(b, 5, int(binary.BigEndian.Uint32(b[1:])))
	case first == elementInt8 && len(b) >= 2:
		return number(scratch, int64(int8(b[1]))), 2
	case first == elementInt16 && len(b) >= 3:
		return number(scratch, int64(int16(binary.LittleEndian.Uint16(b[1:])))), 3
	case first == elementInt24 && len(b) >= 4:
		return number(scratch, int24(b[1:])), 4
	case first == elementInt32 && len(b) >= 5:
		return number(scratch, int64(int32(binary.LittleEndian.Uint32(b[1:])))), 5
	case first == elementInt64 && len(b) >= 9:
		return number(scratch, int64(binary.LittleEndian.Uint64(b[1:]))), 9
	case first >= elementMin4 && first <= elementMax4:
		return number(scratch, int64(first-elementMin4)), 1
	}
	return nil, 0
}

func (s *sequence) openZipmap() bool {
	size := len(s.b)
	if size < zipmapHead+1 || s.b[size-1] != packedEnd {
		return false
	}
	s.count = 2 * int(s.b[0])
	s.at, s.sure = zipmapHead, s.b[0] < zipmapBig
	return true
}

// nextZipmap reads a field or a value: its length, before a value how many unused bytes follow it, its bytes.
func (s *sequence) nextZipmap() (e []byte, ok, good bool) {
	b := s.b[s.at : len(s.b)-1]
	if len(b) == 0 {
		return nil, false, s.counted() && !s.val
	}
	n, head, free := int(b[0]), 1, 0
	if b[0] == packedEnd || b[0] == zipmapBig && len(b) < 5 {
		return nil, false, false
	}
	if b[0] == zipmapBig {
		n, head = int(binary.LittleEndian.Uint32(b[1:])), 5
	}
	if s.val {
		if len(b) == head {
			return nil, false, false
		}
		free = int(b[head])
		head++
	}
	e, end := cut(b, head, n)
	if end == 0 || free > len(b)-end {
		return nil, false, false
	}
	s.at += end + free
	s.val = !s.val
	return e, true, true
}

func (s *sequence) openIntset() bool {
	if len(s.b) < intsetHead {
		return false
	}
	width, n := binary.LittleEndian.Uint32(s.b), binary.LittleEndian.Uint32(s.b[4:])
	if width != 2 && width != 4 && width != 8 || n == 0 || uint64(n)*uint64(width) != uint64(len(s.b)-intsetHead) {
		return false
	}
	s.width, s.at = int(width), intsetHead
	return true
}

// nextIntset reads an integer, which is above the one before it.
func (s *sequence) nextIntset(scratch *[]byte) (e []byte, ok, good bool) {
	if s.at == len(s.b) {
		return nil, false, true
	}
	b, n := s.b[s.at:], int64(0)
	switch s.width {
	case 2:
		n = int64(int16(binary.LittleEndian.Uint16(b)))
	case 4:
		n = int64(int32(binary.LittleEndian.Uint32(b)))
	default:
		n = int64(binary.LittleEndian.Uint64(b))
	}
	if s.n > 0 && n <= s.least {
		return nil, false, false
	}
	s.at += s.width
	s.least = n
	return number(scratch, n), true, true
}
