package fsm

import "math/bits"

func (l *listValue) form() form {
	if l.large != nil && l.large.quick {
		return listQuick
	}
	return listPacked
}

// setForm: close to the limit a list may be in either form.
func (l *listValue) setForm(f form) bool {
	switch f {
	case listQuick:
		l.chunks().quick = true
	case listPacked:
		l.pack(ListMaxListpackBytes)
	}
	return true
}

// growing notes that elements of so many bytes are about to be added. As in Redis they count as they came.
func (l *listValue) growing(bytes int) {
	if listpackFrame+l.packLen()+bytes > ListMaxListpackBytes {
		l.chunks().quick = true
	}
}

// shrunk notes that elements are gone: well below the limit the form becomes listPacked again. Redis waits until what is
// left stands in one node of its own structure; that structure is not known here.
func (l *listValue) shrunk() {
	if listpackFrame+l.packLen() <= ListMaxListpackBytes/2 {
		l.pack(ListMaxListpackBytes)
	}
}

// packedLen is the size in bytes of one element in Redis' listpack; list-max-listpack-size counts them.
func packedLen(e []byte) int {
	n := 0
	if v, ok := parseInt(e); ok {
		n = packedIntLen(v)
	} else {
		switch n = len(e); {
		case n < 64:
			n++
		case n < 4096:
			n += 2
		default:
			n += 5
		}
	}
	// Behind the element stands its length, seven bits in a byte.
	return n + min(5, max(1, (bits.Len64(uint64(n))+6)/7))
}

// packedIntLen is the size in bytes of an integer in a listpack, without the length behind it.
func packedIntLen(v int64) int {
	switch {
	case v >= 0 && v < 1<<7:
		return 1
	case v >= -1<<12 && v < 1<<12:
		return 2
	case v >= -1<<15 && v < 1<<15:
		return 3
	case v >= -1<<23 && v < 1<<23:
		return 4
	case v >= -1<<31 && v < 1<<31:
		return 5
	}
	return 9
}

// listpackFrame is the size in bytes of an empty listpack.
const listpackFrame = 7
