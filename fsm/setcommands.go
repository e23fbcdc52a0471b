package fsm

import (
	"math"
	"slices"
)

const (
	errKeysArgs   = "ERR Number of keys can't be greater than number of args"
	errLimitMinus = "ERR LIMIT can't be negative"
)

func readSet(tx *Tx, key []byte, out Out) (*setValue, bool) {
	return readValue[*setValue](tx, key, kindSet, out)
}

func writeSet(tx *Tx, key []byte, out Out) (*setValue, bool) {
	return writeValue[*setValue](tx, key, kindSet, out)
}

func runSAdd(tx *Tx, args [][]byte, out Out) {
	s, ok := writeSet(tx, args[1], out)
	if !ok {
		return
	}
	isNew := s == nil
	if isNew {
		s = &setValue{}
	}
	added, crowded := 0, s.crowded(args[2:])
	for _, m := range args[2:] {
		if s.insert(m) {
			added++
		}
	}
	if added > 0 {
		if crowded {
			s.large = setTable
		}
		tx.store(args[1], s, isNew, s.n)
	}
	out.Int(int64(added))
}

func runSRem(tx *Tx, args [][]byte, out Out) {
	s, ok := writeSet(tx, args[1], out)
	if !ok {
		return
	}
	removed := 0
	if s != nil {
		for _, m := range args[2:] {
			if s.remove(m) {
				removed++
			}
		}
	}
	if removed > 0 {
		tx.store(args[1], s, false, s.n)
	}
	out.Int(int64(removed))
}

func runSPop(tx *Tx, args [][]byte, out Out) {
	if len(args) > 3 {
		out.Error(errSyntax)
		return
	}
	count, ok := int64(1), true
	if len(args) == 3 {
		if count, ok = rangeArg(args[2], 0, errPositive, out); !ok {
			return
		}
	}
	s, ok := writeSet(tx, args[1], out)
	if !ok {
		return
	}
	if len(args) == 2 {
		if s == nil {
			out.Null()
			return
		}
		out.BulkString(s.popAt(tx.RandN(s.n)))
		tx.store(args[1], s, false, s.n)
		return
	}
	if s == nil || count == 0 {
		out.Set(0)
		return
	}
	n := int(min(count, int64(s.n)))
	out.Set(n)
	for range n {
		out.BulkString(s.popAt(tx.RandN(s.n)))
	}
	if s.n*spopRebuild <= n && s.form() == setTable {
		// Redis moves the few that stay to a new set.
		s.large = max(setPacked, s.fresh())
	}
	tx.store(args[1], s, false, s.n)
}

// spopRebuild is how many times more members than stay SPOP must take to build the set anew.
const spopRebuild = 5

func runSCard(tx *Tx, args [][]byte, out Out) {
	s, ok := readSet(tx, args[1], out)
	switch {
	case !ok:
	case s == nil:
		out.Int(0)
	default:
		out.Int(int64(s.n))
	}
}

func replySet(s *setValue, out Out) {
	if s == nil {
		out.Set(0)
		return
	}
	out.Set(s.n)
	for i := range s.n {
		out.BulkString(s.at(i).key)
	}
}

func runSMembers(tx *Tx, args [][]byte, out Out) {
	if s, ok := readSet(tx, args[1], out); ok {
		replySet(s, out)
	}
}

func replyFlag(b bool, out Out) {
	if b {
		out.Int(1)
	} else {
		out.Int(0)
	}
}

func runSIsMember(tx *Tx, args [][]byte, out Out) {
	if s, ok := readSet(tx, args[1], out); ok {
		replyFlag(s != nil && s.has(args[2]), out)
	}
}

func runSMIsMember(tx *Tx, args [][]byte, out Out) {
	s, ok := readSet(tx, args[1], out)
	if !ok {
		return
	}
	out.Array(len(args) - 2)
	for _, m := range args[2:] {
		replyFlag(s != nil && s.has(m), out)
	}
}

func runSMove(tx *Tx, args [][]byte, out Out) {
	src, ok := writeSet(tx, args[1], out)
	if !ok {
		return
	}
	if src == nil {
		out.Int(0)
		return
	}
	dst, ok := writeSet(tx, args[2], out)
	if !ok {
		return
	}
	if src == dst {
		replyFlag(src.has(args[3]), out)
		return
	}
	if !src.remove(args[3]) {
		out.Int(0)
		return
	}
	tx.store(args[1], src, false, src.n)
	isNew := dst == nil
	if isNew {
		dst = &setValue{}
	}
	if dst.insert(args[3]) {
		tx.store(args[2], dst, isNew, dst.n)
	}
	out.Int(1)
}

// maxRandom bounds how often a random command repeats itself, as maxString bounds the bytes of its reply: a few bytes
// of a request must not ask for a reply without end. Redis knows no such bounds.
const maxRandom = 1 << 24

// randomPicks answers with random positions below n: -count independent ones if count is negative, else count
// different ones, or all. begin announces how many, pick answers one.
func randomPicks(tx *Tx, n int, count int64, out Out, begin func(n int), pick func(i int)) {
	switch {
	case count < 0:
		start := out.Len()
		begin(int(-count))
		for range -count {
			pick(tx.RandN(n))
			if out.Len()-start > maxString {
				out.Truncate(start)
				out.Error(errOutOfRange)
				return
			}
		}
	case count >= int64(n):
		begin(n)
		for i := range n {
			pick(i)
		}
	default:
		// The first picks of a shuffle; swapped holds the positions that do not hold themselves any more.
		begin(int(count))
		swapped := make(map[int]int, count)
		get := func(i int) int {
			if v, ok := swapped[i]; ok {
				return v
			}
			return i
		}
		for i := range int(count) {
			j := i + tx.RandN(n-i)
			pick(get(j))
			swapped[j] = get(i)
		}
	}
}

// randomCount reads the count of SRANDMEMBER, HRANDFIELD and ZRANDMEMBER.
func randomCount(arg []byte, out Out) (int64, bool) {
	count, ok := intArg(arg, out)
	switch {
	case !ok:
		return 0, false
	case count == math.MinInt64:
		out.Error(errLongRange)
		return 0, false
	case count < -maxRandom:
		out.Error(errOutOfRange)
		return 0, false
	}
	return count, true
}

// pairsOption reads the word behind the count of HRANDFIELD and ZRANDMEMBER, which doubles what is answered.
func pairsOption(args [][]byte, word string, count int64, out Out) (pairs, ok bool) {
	switch {
	case len(args) < 4:
		return false, true
	case len(args) > 4 || !matchWord(args[3], word):
		out.Error(errSyntax)
	case count > math.MaxInt64/2:
		out.Error(errOutOfRange)
	default:
		return true, true
	}
	return false, false
}

func runSRandMember(tx *Tx, args [][]byte, out Out) {
	if len(args) > 3 {
		out.Error(errSyntax)
		return
	}
	count, ok := int64(0), true
	if len(args) == 3 {
		if count, ok = randomCount(args[2], out); !ok {
			return
		}
	}
	s, ok := readSet(tx, args[1], out)
	switch {
	case !ok:
	case s == nil && len(args) == 2:
		out.Null()
	case len(args) == 2:
		out.BulkString(s.at(tx.RandN(s.n)).key)
	case s == nil || count == 0:
		out.Array(0)
	default:
		randomPicks(tx, s.n, count, out, out.Array, func(i int) { out.BulkString(s.at(i).key) })
	}
}

// readSets returns the sets at keys, nil for those that are absent. All are checked before anything happens.
func readSets(tx *Tx, keys [][]byte, out Out) ([]*setValue, bool) {
	sets := make([]*setValue, len(keys))
	for i, k := range keys {
		s, ok := readSet(tx, k, out)
		if !ok {
			return nil, false
		}
		sets[i] = s
	}
	return sets, true
}

// intersect calls each for the members of all sets until each returns false.
func intersect(sets []*setValue, each func(m string) bool) {
	if slices.Contains(sets, nil) {
		return
	}
	slices.SortStableFunc(sets, func(a, b *setValue) int { return a.n - b.n })
	first := sets[0]
next:
	for i := range first.n {
		m := first.at(i).key
		for _, s := range sets[1:] {
			if s != first && s.findString(m) < 0 {
				continue next
			}
		}
		if !each(m) {
			return
		}
	}
}

// A setOperation combines sets, some of them nil, into a new one. Members are shared: strings are immutable.
type setOperation func(sets []*setValue) *setValue

func setInter(sets []*setValue) *setValue {
	r, numbers := &setValue{}, true
	intersect(sets, func(m string) bool {
		r.add(m, struct{}{})
		numbers = numbers && isInteger(m)
		return true
	})
	if r.n > 0 && (!numbers || r.n > SetMaxIntsetEntries) {
		r.large = sets[0].large // of the smallest
	}
	return r
}

func setUnion(sets []*setValue) *setValue {
	r := &setValue{}
	for _, s := range sets {
		if s == nil {
			continue
		}
		for i := range s.n {
			r.insertString(s.at(i).key)
		}
	}
	return r
}

func setDiff(sets []*setValue) *setValue {
	r := &setValue{}
	if sets[0] == nil {
		return r
	}
next:
	for i := range sets[0].n {
		m := sets[0].at(i).key
		for _, s := range sets[1:] {
			if s != nil && s.findString(m) >= 0 {
				continue next
			}
		}
		r.add(m, struct{}{})
	}
	if r.large = r.fresh(); diffCopies(sets) {
		r.large = sets[0].fresh()
	}
	return r
}

// diffCopies reports whether Redis takes the difference by copying the first set, which is there, and removing what the
// others have: the form is then that of the copy.
func diffCopies(sets []*setValue) bool {
	count, sum := 0, 0
	for _, s := range sets {
		if s != nil {
			count++
			sum += s.n
		}
	}
	return sets[0].n*count/2 > sum
}

func runSetOperation(op setOperation) runFunc {
	return func(tx *Tx, args [][]byte, out Out) {
		if sets, ok := readSets(tx, args[1:], out); ok {
			replySet(op(sets), out)
		}
	}
}

func runSetStore(op setOperation) runFunc {
	return func(tx *Tx, args [][]byte, out Out) {
		sets, ok := readSets(tx, args[2:], out)
		if !ok {
			return
		}
		r := op(sets)
		tx.replace(args[1], r, r.n)
		out.Int(int64(r.n))
	}
}

// replace stores o, which has n elements, instead of whatever is at key; an empty one deletes the key.
func (tx *Tx) replace(key []byte, o object, n int) {
	if n == 0 {
		tx.delete(key)
	} else {
		tx.set(key, o)
	}
}

// limitOption reads "[LIMIT limit]"; limit is MaxInt64 if there is none.
func limitOption(args [][]byte, out Out) (limit int64, ok bool) {
	limit = math.MaxInt64
	for i := 0; i < len(args); i += 2 {
		if i+1 == len(args) || !matchWord(args[i], "limit") {
			out.Error(errSyntax)
			return 0, false
		}
		if limit, ok = rangeArg(args[i+1], 0, errLimitMinus, out); !ok {
			return 0, false
		}
		if limit == 0 {
			limit = math.MaxInt64
		}
	}
	return limit, true
}

func runSInterCard(tx *Tx, args [][]byte, out Out) {
	n, ok := rangeArg(args[1], 1, errNumKeys, out)
	if !ok {
		return
	}
	if n > int64(len(args)-2) {
		out.Error(errKeysArgs)
		return
	}
	limit, ok := limitOption(args[2+n:], out)
	if !ok {
		return
	}
	sets, ok := readSets(tx, args[2:2+n], out)
	if !ok {
		return
	}
	count := int64(0)
	intersect(sets, func(string) bool {
		count++
		return count < limit
	})
	out.Int(count)
}
