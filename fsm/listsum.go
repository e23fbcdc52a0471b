package fsm

// The content of a list is a polynomial: the sum of hash(element i) * listBase^i modulo 2^64. Additions and removals at both
// ends change it in O(1), a replaced element in O(log n). After other changes it is put together again from the polynomials
// of the chunks, and only chunks that were written to since are looked into: a step per chunk, as these commands take
// anyhow to find their place.
//
// While the form is listPacked, and unless it is far beyond its limit (see listValue), the content is the hash of the packed
// sequence, whichever way the list is held: then there is nothing to keep in memory.

const listBase = 0xa0761d6478bd642f

// listInverse * listBase = 1.
var listInverse = func() uint64 {
	x := uint64(listBase) // right in the lowest three bits; each step doubles them
	for range 5 {
		x *= 2 - listBase*x
	}
	return x
}()

// listPower is listBase^n.
func listPower(n int) uint64 {
	power := uint64(1)
	for base := uint64(listBase); n > 0; n >>= 1 {
		if n&1 != 0 {
			power *= base
		}
		base *= base
	}
	return power
}

// listSum is a polynomial.
type listSum struct {
	sum   uint64
	next  uint64 // listBase^n, less one: the zero value is an empty list's
	known bool   // else both have to be computed
}

// added and removed follow a change at one end.
func (s *listSum) added(e []byte, front bool) {
	if s.known {
		s.push(hashBytes(e), front)
	}
}

func (s *listSum) removed(e []byte, front bool) {
	if s.known {
		s.pop(hashBytes(e), front)
	}
}

// push adds the hash of an element at one end.
func (s *listSum) push(h uint64, front bool) {
	if front {
		s.sum = h + s.sum*listBase
	} else {
		s.sum += h * (s.next + 1)
	}
	s.next = (s.next+1)*listBase - 1
}

// pop removes the hash of the element at one end.
func (s *listSum) pop(h uint64, front bool) {
	s.next = (s.next+1)*listInverse - 1
	if front {
		s.sum = (s.sum - h) * listInverse
	} else {
		s.sum -= h * (s.next + 1)
	}
}

// join adds a polynomial behind.
func (s *listSum) join(o *listSum) {
	s.sum += o.sum * (s.next + 1)
	s.next = (s.next+1)*(o.next+1) - 1
}

// settle computes what is not known. Applier, or whoever owns the list.
func (l *listChunks) settle() {
	if l.poly.known {
		return
	}
	l.poly = listSum{known: true}
	for _, c := range l.chunks() {
		if !c.poly.known {
			c.poly = c.recount()
		}
		l.poly.join(&c.poly)
	}
}

// recount computes the polynomial of a chunk.
func (c *listChunk) recount() (s listSum) {
	s.known = true
	for off := c.head; off < c.tail; {
		var e []byte
		e, off = c.next(off)
		s.push(hashBytes(e), false)
	}
	return s
}

// listContent is the content of a list of n elements.
func listContent(n int, s *listSum) uint64 { return fold(s.sum^mixC, uint64(n)*golden^mixA) }

func (l *listValue) sum() uint64 {
	if b := l.hashed(); b != nil {
		return hashBytes(b)
	}
	l.large.settle()
	return listContent(l.large.n, &l.large.poly)
}

func (l *listValue) recount() uint64 {
	if b := l.hashed(); b != nil {
		return hashBytes(b)
	}
	var all listSum
	for _, c := range l.large.chunks() {
		s := c.recount()
		all.join(&s)
	}
	return listContent(l.large.n, &all)
}

// hashed returns the packed sequence if its hash is the content, else nil.
func (l *listValue) hashed() packed {
	switch d := l.large; {
	case d == nil:
		return l.small
	case d.quick || listHead+d.pack > listSmallMax:
		return nil
	default:
		return d.packed()
	}
}
