package fsm

import (
	"encoding/binary"
	"errors"
	"math"
)

// setValue is a set. The order of its dict is part of its value.
type setValue struct {
	dict[struct{}]
	large form // setPacked or setTable; less = setInts
}

// Estimated bytes of one member beyond its content, for size.
const (
	setEntryCost  = 40
	hashEntryCost = 64
	zsetEntryCost = 80
)

func (s *setValue) kind() kind { return kindSet }
func (s *setValue) size() int  { return 160 + s.bytes + s.n*setEntryCost }

func (s *setValue) clone() object { return &setValue{s.dict.clone(), s.large} }

func (s *setValue) form() form { return max(setInts, s.large) }

func (s *setValue) setForm(f form) (ok bool) {
	s.large, ok = largerForm(s.form(), f)
	return ok
}

// grown notes what an added member of n bytes does to the form; number says that it is an integer, and is looked at
// while all are. The member is in the set already.
func (s *setValue) grown(n int, number bool) {
	switch {
	case s.large == setTable:
	case s.large == setPacked:
		if s.n > SetMaxListpackEntries || n > SetMaxListpackValue {
			s.large = setTable
		}
	case number:
		if s.n > SetMaxIntsetEntries {
			s.large = setTable
		}
	case s.n <= SetMaxListpackEntries && n <= SetMaxListpackValue:
		s.large = setPacked
	default:
		s.large = setTable
	}
}

// crowded says, before a command adds members, that so many as it has make the set a table, however many of them are
// new.
func (s *setValue) crowded(members [][]byte) bool {
	limit := SetMaxListpackEntries
	if s.n > 0 && s.form() == setInts {
		limit = SetMaxIntsetEntries
	}
	if _, number := parseInt(members[0]); s.n == 0 && number {
		limit = SetMaxIntsetEntries
	}
	return len(members) > limit
}

// fresh is the form of a set with the same members that is built anew.
func (s *setValue) fresh() form {
	numbers, longest := true, 0
	for i := range s.n {
		m := s.at(i).key
		numbers = numbers && isInteger(m)
		longest = max(longest, len(m))
	}
	switch {
	case numbers && s.n <= SetMaxIntsetEntries:
		return setInts
	case s.n <= SetMaxListpackEntries && longest <= SetMaxListpackValue:
		return setPacked
	}
	return setTable
}

// isInteger reports whether s is an integer in canonical form.
func isInteger(s string) bool {
	var buf [20]byte
	if len(s) > len(buf) {
		return false
	}
	_, ok := parseInt(buf[:copy(buf[:], s)])
	return ok
}

// insert adds member and reports whether it was new.
func (s *setValue) insert(member []byte) bool {
	if s.find(member) >= 0 {
		return false
	}
	s.add(string(member), struct{}{})
	number := false
	if s.large == 0 {
		_, number = parseInt(member)
	}
	s.grown(len(member), number)
	return true
}

// insertString is insert for a member that is a string already; it is shared, not copied.
func (s *setValue) insertString(member string) bool {
	if s.findString(member) >= 0 {
		return false
	}
	s.add(member, struct{}{})
	s.grown(len(member), s.large == 0 && isInteger(member))
	return true
}

func (s *setValue) has(member []byte) bool { return s.find(member) >= 0 }

// remove deletes member and reports whether it was there.
func (s *setValue) remove(member []byte) bool {
	i := s.find(member)
	if i >= 0 {
		s.removeAt(i)
	}
	return i >= 0
}

// popAt removes and returns the member at position i.
func (s *setValue) popAt(i int) string {
	m := s.at(i).key
	s.removeAt(i)
	return m
}

func (s *setValue) appendTo(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(s.n))
	for i := range s.n {
		dst = appendBytes(dst, s.at(i).key)
	}
	return dst
}

func decodeSet(b []byte) (object, error) {
	d := valueDecoder{b: b}
	s := &setValue{}
	for n := d.count(); n > 0 && !d.bad; n-- {
		if m := d.bytes(); !d.bad && !s.insert(m) {
			return nil, errDecode
		}
	}
	if !d.end() || s.n == 0 {
		return nil, errDecode
	}
	return s, nil
}

var errDecode = errors.New("malformed value")

func appendBytes(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// valueDecoder reads what the appendTo methods of the collections write. After a mistake bad is true and every method
// returns zero.
type valueDecoder struct {
	b   []byte
	bad bool
}

// uvarint accepts the shortest encoding only: one value, one encoding.
func (d *valueDecoder) uvarint() uint64 {
	v, k := binary.Uvarint(d.b)
	if d.bad || k <= 0 || k > 1 && v>>(7*(k-1)) == 0 {
		d.bad = true
		return 0
	}
	d.b = d.b[k:]
	return v
}

// count reads the number of elements that follow; it cannot be more than there are bytes.
func (d *valueDecoder) count() int {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.bad = true
		return 0
	}
	return int(n)
}

// bytes reads one length-prefixed string; the result points into the input.
func (d *valueDecoder) bytes() []byte {
	n := d.count()
	if d.bad {
		return nil
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}

// float reads a number that is not NaN.
func (d *valueDecoder) float() float64 {
	if d.bad || len(d.b) < 8 {
		d.bad = true
		return 0
	}
	f := math.Float64frombits(binary.LittleEndian.Uint64(d.b))
	d.b = d.b[8:]
	d.bad = math.IsNaN(f)
	return f
}

// end reports whether everything was read without a mistake.
func (d *valueDecoder) end() bool { return !d.bad && len(d.b) == 0 }

func init() { decoders[kindSet] = decodeSet }
