package fsm

import (
	"encoding/binary"
	"slices"
)

// A set of integers: an array of them in the order of history, each 2, 4 or 8 bytes wide, little endian. The width is the
// least that suffices for all members at present: the size of the set is a function of its content, not of its past.

// width returns the bytes of an integer. REQUIRES: the set is small and of integers.
func (s *setValue) width() int { return int(s.small[0] - setWidth) }

// intWidth is the width that v needs.
func intWidth(v int64) int {
	switch {
	case v == int64(int16(v)):
		return 2
	case v == int64(int32(v)):
		return 4
	}
	return 8
}

// int returns the integer at an offset.
func (s *setValue) int(at int) int64 { return readInt(s.small[at:], s.width()) }

func readInt(b []byte, width int) int64 {
	switch width {
	case 2:
		return int64(int16(binary.LittleEndian.Uint16(b)))
	case 4:
		return int64(int32(binary.LittleEndian.Uint32(b)))
	}
	return int64(binary.LittleEndian.Uint64(b))
}

func writeInt(b []byte, width int, v int64) {
	switch width {
	case 2:
		binary.LittleEndian.PutUint16(b, uint16(v))
	case 4:
		binary.LittleEndian.PutUint32(b, uint32(v))
	default:
		binary.LittleEndian.PutUint64(b, uint64(v))
	}
}

// findInt returns the offset of v, or -1.
func (s *setValue) findInt(v int64) int {
	b := s.small[setHead:]
	w := s.width()
	if intWidth(v) > w {
		return -1
	}
	switch w {
	case 2:
		for i := 0; i+2 <= len(b); i += 2 {
			if binary.LittleEndian.Uint16(b[i:]) == uint16(v) {
				return setHead + i
			}
		}
	case 4:
		for i := 0; i+4 <= len(b); i += 4 {
			if binary.LittleEndian.Uint32(b[i:]) == uint32(v) {
				return setHead + i
			}
		}
	default:
		for i := 0; i+8 <= len(b); i += 8 {
			if binary.LittleEndian.Uint64(b[i:]) == uint64(v) {
				return setHead + i
			}
		}
	}
	return -1
}

// addInt adds an integer that is not there.
func (s *setValue) addInt(v int64) {
	w := intWidth(v)
	if s.len() == 0 {
		s.small = s.small[:0].start(setHead, w)
		s.small[0] = setWidth + byte(w)
	} else {
		s.widen(max(w, s.width()))
	}
	w = s.width()
	end := len(s.small)
	s.small = s.small.open(end, end, w)
	writeInt(s.small[end:], w, v)
}

// removeInt removes the integer at an offset; the last one takes its place.
func (s *setValue) removeInt(at int) {
	w := s.width()
	wide := intWidth(s.int(at)) == w
	last := len(s.small) - w
	copy(s.small[at:at+w], s.small[last:])
	s.small = s.small.open(last, last+w, 0)
	if !wide || w == 2 || s.len() == 0 {
		return
	}
	need := 2
	for i := setHead; i < len(s.small); i += w {
		if need = max(need, intWidth(s.int(i))); need == w {
			return
		}
	}
	s.widen(need)
}

// widen makes every integer so many bytes wide; they may become narrower, too.
func (s *setValue) widen(w int) {
	old := s.width()
	if w == old {
		return
	}
	n := s.len()
	p := newPacked(setHead + (n+1)*w)
	p[0] = setWidth + byte(w)
	for i := range n {
		writeInt(p[setHead+i*w:], w, s.int(setHead+i*old))
	}
	s.small = p[:setHead+n*w]
}

// decodeInts reads n members from d into the new set. It reports false, and has read nothing, if they are not n different
// integers.
func (s *setValue) decodeInts(d *valueDecoder, n int) bool {
	rest, all, w := *d, make([]int64, n), 2
	for i := range all {
		v, ok := parseInt(rest.bytes())
		if !ok {
			return false
		}
		all[i], w = v, max(w, intWidth(v))
	}
	p := newPacked(setHead + n*w)
	p[0] = setWidth + byte(w)
	for i, v := range all {
		writeInt(p[setHead+i*w:], w, v)
	}
	slices.Sort(all)
	if len(slices.Compact(all)) != n {
		return false
	}
	s.small, *d = p, rest
	return true
}
