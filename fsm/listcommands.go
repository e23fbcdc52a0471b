package fsm

import "math"

// runFunc executes one command; see Spec.Run.
type runFunc = func(tx *Tx, args [][]byte, out Out)

const (
	errNumKeys    = "ERR numkeys should be greater than 0"
	errCountZero  = "ERR count should be greater than 0"
	errRankZero   = "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list"
	errLongRange  = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"
	errCountMinus = "ERR COUNT can't be negative"
	errMaxLen     = "ERR MAXLEN can't be negative"
)

func readList(tx *Tx, key []byte, out Out) (*listValue, bool) {
	return readValue[*listValue](tx, key, kindList, out)
}

func writeList(tx *Tx, key []byte, out Out) (*listValue, bool) {
	return writeValue[*listValue](tx, key, kindList, out)
}

// rangeArg reads an integer of at least low; otherwise it answers msg.
func rangeArg(b []byte, low int64, msg string, out Out) (int64, bool) {
	n, ok := parseInt(b)
	if !ok || n < low {
		out.Error(msg)
		return 0, false
	}
	return n, true
}

// rankRange turns a range of positions, negative ones counted from the end, into [from, to) within n elements.
func rankRange(start, stop int64, n int) (from, to int) {
	size := int64(n)
	if start < 0 {
		start = max(start+size, 0)
	}
	if stop < 0 {
		stop += size
	}
	if start > stop || start >= size {
		return 0, 0
	}
	return int(start), int(min(stop, size-1)) + 1
}

func runPush(front, existing bool) runFunc {
	return func(tx *Tx, args [][]byte, out Out) {
		l, ok := writeList(tx, args[1], out)
		if !ok {
			return
		}
		if l == nil {
			if existing {
				out.Int(0)
				return
			}
			l = &tx.fresh().list
		}
		bytes := 0
		for _, e := range args[2:] {
			bytes += len(e)
		}
		l.growing(bytes)
		for _, e := range args[2:] {
			l.push(e, front)
		}
		out.Int(int64(l.len()))
		tx.store(args[1], l)
	}
}

func runPop(name string, front bool) runFunc {
	arity := errArity(name)
	return func(tx *Tx, args [][]byte, out Out) {
		if len(args) > 3 {
			out.Error(arity)
			return
		}
		count, ok := int64(1), true
		if len(args) == 3 {
			if count, ok = rangeArg(args[2], 0, errPositive, out); !ok {
				return
			}
		}
		l, ok := writeList(tx, args[1], out)
		switch {
		case !ok:
		case l == nil && len(args) == 3:
			out.NullArray()
		case l == nil:
			out.Null()
		case len(args) == 2:
			l.popReply(tx, front, out)
			l.shrunk()
			tx.store(args[1], l)
		case count == 0:
			out.Array(0)
		default:
			popList(tx, args[1], l, front, count, out)
		}
	}
}

// popReply answers the first or last element and removes it.
func (l *listValue) popReply(tx *Tx, front bool, out Out) {
	e := l.end(front)
	e.reply(tx, out)
	l.drop(front)
}

// popList answers the array of up to count elements taken from l.
func popList(tx *Tx, key []byte, l *listValue, front bool, count int64, out Out) {
	n := int(min(count, int64(l.len())))
	out.Array(n)
	for range n {
		l.popReply(tx, front, out)
	}
	l.shrunk()
	tx.called(popEvent(front))
	tx.store(key, l)
}

func runLLen(tx *Tx, args [][]byte, out Out) {
	l, ok := readList(tx, args[1], out)
	switch {
	case !ok:
	case l == nil:
		out.Int(0)
	default:
		out.Int(int64(l.len()))
	}
}

func runLRange(tx *Tx, args [][]byte, out Out) {
	start, stop, ok := rangeArgs(args, out)
	if !ok {
		return
	}
	l, ok := readList(tx, args[1], out)
	if !ok {
		return
	}
	if l == nil {
		out.Array(0)
		return
	}
	from, to := rankRange(start, stop, l.len())
	out.Array(to - from)
	if from == to {
		return
	}
	it := l.iter(from, false)
	for range to - from {
		e := it.next()
		e.reply(tx, out)
	}
}

// listIndex reads an index argument and returns it as a position; -1 if l has no such element.
func listIndex(l *listValue, arg []byte, out Out) (int, bool) {
	i, ok := intArg(arg, out)
	if i < 0 {
		i += int64(l.len())
	}
	if i < 0 || i >= int64(l.len()) {
		return -1, ok
	}
	return int(i), ok
}

func runLIndex(tx *Tx, args [][]byte, out Out) {
	l, ok := readList(tx, args[1], out)
	if !ok {
		return
	}
	if l == nil {
		out.Null()
		return
	}
	i, ok := listIndex(l, args[2], out)
	switch {
	case !ok:
	case i < 0:
		out.Null()
	default:
		e := l.at(i)
		e.reply(tx, out)
	}
}

func runLSet(tx *Tx, args [][]byte, out Out) {
	l, ok := writeList(tx, args[1], out)
	if !ok {
		return
	}
	if l == nil {
		out.Error(errNoSuchKey)
		return
	}
	i, ok := listIndex(l, args[2], out)
	switch {
	case !ok:
	case i < 0:
		out.Error(errIndexRange)
	default:
		l.growing(len(args[3]))
		l.set(i, args[3])
		l.shrunk()
		tx.store(args[1], l)
		out.Simple("OK")
	}
}

func runLInsert(tx *Tx, args [][]byte, out Out) {
	after := matchWord(args[2], "after")
	if !after && !matchWord(args[2], "before") {
		out.Error(errSyntax)
		return
	}
	l, ok := writeList(tx, args[1], out)
	if !ok {
		return
	}
	if l == nil {
		out.Int(0)
		return
	}
	it := l.iter(0, false)
	for i := range l.len() {
		if x := it.next(); !x.equal(args[3]) {
			continue
		}
		if after {
			i++
		}
		l.growing(len(args[4]))
		l.insert(i, args[4])
		tx.store(args[1], l)
		out.Int(int64(l.len()))
		return
	}
	out.Int(-1)
}

func runLRem(tx *Tx, args [][]byte, out Out) {
	count, ok := intArg(args[2], out)
	if !ok {
		return
	}
	l, ok := writeList(tx, args[1], out)
	if !ok {
		return
	}
	if l == nil {
		out.Int(0)
		return
	}
	limit, fromTail := count, false
	switch {
	case count == 0 || count == math.MinInt64:
		limit, fromTail = math.MaxInt64, count != 0
	case count < 0:
		limit, fromTail = -count, true
	}
	removed := l.removeEqual(args[3], int(limit), fromTail)
	if removed > 0 {
		l.shrunk()
		tx.store(args[1], l)
	}
	out.Int(int64(removed))
}

func runLTrim(tx *Tx, args [][]byte, out Out) {
	start, stop, ok := rangeArgs(args, out)
	if !ok {
		return
	}
	l, ok := writeList(tx, args[1], out)
	if !ok {
		return
	}
	if l != nil {
		switch from, to := rankRange(start, stop, l.len()); {
		case from == to:
			tx.empty(args[1])
		case to-from == l.len():
			tx.tell(EventList, "ltrim", args[1])
		default:
			l.trim(from, l.len()-to)
			l.shrunk()
			tx.store(args[1], l)
		}
	}
	out.Simple("OK")
}

// lposOptions are the options of LPOS.
type lposOptions struct {
	rank, count, maxLen int64 // count -1 = not given
}

func parseLPos(args [][]byte, out Out) (o lposOptions, ok bool) {
	o = lposOptions{rank: 1, count: -1}
	for i := 3; i < len(args); i += 2 {
		if i+1 == len(args) {
			out.Error(errSyntax)
			return o, false
		}
		switch opt := args[i]; {
		case matchWord(opt, "rank"):
			if o.rank, ok = intArg(args[i+1], out); !ok {
				return o, false
			}
			if o.rank == math.MinInt64 {
				out.Error(errLongRange) // as Redis 7.2; 7.0 overflows
				return o, false
			}
			if o.rank == 0 {
				out.Error(errRankZero)
				return o, false
			}
		case matchWord(opt, "count"):
			if o.count, ok = rangeArg(args[i+1], 0, errCountMinus, out); !ok {
				return o, false
			}
		case matchWord(opt, "maxlen"):
			if o.maxLen, ok = rangeArg(args[i+1], 0, errMaxLen, out); !ok {
				return o, false
			}
		default:
			out.Error(errSyntax)
			return o, false
		}
	}
	return o, true
}

func runLPos(tx *Tx, args [][]byte, out Out) {
	o, ok := parseLPos(args, out)
	if !ok {
		return
	}
	l, ok := readList(tx, args[1], out)
	if !ok {
		return
	}
	var found []int
	if l != nil {
		found = l.positions(args[2], o)
	}
	if o.count < 0 {
		if len(found) == 0 {
			out.Null()
		} else {
			out.Int(int64(found[0]))
		}
		return
	}
	out.Array(len(found))
	for _, i := range found {
		out.Int(int64(i))
	}
}

// positions returns where e stands, as the options of LPOS demand.
func (l *listValue) positions(e []byte, o lposOptions) []int {
	var found []int
	limit := o.count
	switch {
	case limit < 0:
		limit = 1
	case limit == 0:
		limit = math.MaxInt64
	}
	rank, backward, start := o.rank, false, 0
	if rank < 0 {
		rank, backward, start = -rank, true, l.len()-1
	}
	steps := l.len()
	if o.maxLen > 0 {
		steps = int(min(int64(steps), o.maxLen))
	}
	it := l.iter(start, backward)
	for i := range steps {
		if x := it.next(); !x.equal(e) {
			continue
		}
		if rank--; rank > 0 {
			continue
		}
		if backward {
			i = l.len() - 1 - i
		}
		if found = append(found, i); int64(len(found)) == limit {
			break
		}
	}
	return found
}

// sideArg reads LEFT or RIGHT.
func sideArg(b []byte, out Out) (front, ok bool) {
	front = matchWord(b, "left")
	if ok = front || matchWord(b, "right"); !ok {
		out.Error(errSyntax)
	}
	return front, ok
}

func runLMove(tx *Tx, args [][]byte, out Out) {
	from, ok := sideArg(args[3], out)
	if !ok {
		return
	}
	if to, ok := sideArg(args[4], out); ok {
		moveElement(tx, args[1], args[2], from, to, out)
	}
}

func runRPopLPush(tx *Tx, args [][]byte, out Out) {
	moveElement(tx, args[1], args[2], false, true, out)
}

// popEvent is what keyspace notifications call taking elements from one end of a list.
func popEvent(front bool) string {
	if front {
		return "lpop"
	}
	return "rpop"
}

// pushEvent is popEvent of adding.
func pushEvent(front bool) string {
	if front {
		return "lpush"
	}
	return "rpush"
}

// moveElement takes an element from one end of the list at src, adds it to one end of the list at dst and answers it.
func moveElement(tx *Tx, src, dst []byte, from, to bool, out Out) {
	s, ok := writeList(tx, src, out)
	if !ok {
		return
	}
	if s == nil {
		out.Null()
		return
	}
	d, fresh := s, false
	if string(src) != string(dst) {
		if d, ok = writeList(tx, dst, out); !ok {
			return
		}
		if d == nil {
			d, fresh = &tx.fresh().list, true
		}
	}
	e := s.end(from)
	tx.buf = e.appendTo(tx.buf[:0])
	s.drop(from)
	d.growing(len(tx.buf))
	d.push(tx.buf, to)
	s.shrunk()
	out.Bulk(tx.buf)
	told := tx.events.to
	tx.events.to = nil // Redis tells of the destination first
	if s != d {
		tx.store(src, s)
	}
	tx.store(dst, d)
	tx.events.to = told
	if fresh {
		tx.tell(EventNew, "new", dst)
	}
	tx.tell(EventList, pushEvent(to), dst)
	tx.tell(EventList, popEvent(from), src)
	if s.len() == 0 {
		tx.tell(EventGeneric, "del", src)
	}
}

// mpopArgs reads "numkeys key [key ...] SIDE [COUNT count]" as LMPOP and ZMPOP have it; first and second are the words
// for the side.
func mpopArgs(args [][]byte, first, second string, out Out) (keys [][]byte, isFirst bool, count int64, ok bool) {
	n, ok := rangeArg(args[1], 1, errNumKeys, out)
	if !ok {
		return nil, false, 0, false
	}
	if n >= int64(len(args)-2) {
		out.Error(errSyntax)
		return nil, false, 0, false
	}
	keys, args = args[2:2+n], args[2+n:]
	isFirst = matchWord(args[0], first)
	if !isFirst && !matchWord(args[0], second) {
		out.Error(errSyntax)
		return nil, false, 0, false
	}
	switch {
	case len(args) == 1:
		return keys, isFirst, 1, true
	case len(args) < 3 || !matchWord(args[1], "count"):
		out.Error(errSyntax)
		return nil, false, 0, false
	}
	if count, ok = rangeArg(args[2], 1, errCountZero, out); !ok {
		return nil, false, 0, false
	}
	if len(args) > 3 {
		out.Error(errSyntax)
		return nil, false, 0, false
	}
	return keys, isFirst, count, true
}

func runLMPop(tx *Tx, args [][]byte, out Out) {
	keys, front, count, ok := mpopArgs(args, "left", "right", out)
	if ok && !popFirstList(tx, keys, front, count, out) {
		out.NullArray()
	}
}

// popFirstList pops from the first of the keys that is a list. It returns false, and has answered nothing, if there is none.
func popFirstList(tx *Tx, keys [][]byte, front bool, count int64, out Out) (answered bool) {
	for _, key := range keys {
		l, ok := writeList(tx, key, out)
		if !ok {
			return true
		}
		if l != nil {
			out.Array(2)
			out.Bulk(key)
			popList(tx, key, l, front, count, out)
			return true
		}
	}
	return false
}
