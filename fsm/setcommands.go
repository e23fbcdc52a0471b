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
	if s == nil {
		s = &tx.fresh().set
	}
	added, crowded := 0, s.crowded(args[2:])
	for _, m := range args[2:] {
		if s.insert(m) {
			added++
		}
	}
	if added > 0 {
		if crowded {
			s.grow(setTable)
		}
		tx.store(args[1], s)
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
		tx.store(args[1], s)
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
		s.popReply(tx, out)
		tx.store(args[1], s)
		return
	}
	if s == nil || count == 0 {
		out.Set(0)
		return
	}
	n := int(min(count, int64(s.len())))
	out.Set(n)
	for range n {
		s.popReply(tx, out)
	}
	if s.len()*spopRebuild <= n {
		s.rebuild()
	}
	tx.store(args[1], s)
}

// popReply answers a random member and removes it.
func (s *setValue) popReply(tx *Tx, out Out) {
	i := tx.RandN(s.len())
	m := s.at(i)
	m.reply(tx, out)
	s.dropAt(i)
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
		out.Int(int64(s.len()))
	}
}

func replySet(tx *Tx, s *setValue, out Out) {
	if s == nil {
		out.Set(0)
		return
	}
	n := s.len()
	out.Set(n)
	c := s.from(0)
	for range n {
		c.next()
		c.reply(tx, out)
	}
}

func runSMembers(tx *Tx, args [][]byte, out Out) {
	if s, ok := readSet(tx, args[1], out); ok {
		replySet(tx, s, out)
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
	if string(args[1]) == string(args[2]) {
		replyFlag(src.has(args[3]), out)
		return
	}
	dst, ok := writeSet(tx, args[2], out)
	if !ok {
		return
	}
	if !src.remove(args[3]) {
		out.Int(0)
		return
	}
	tx.called("srem")
	tx.store(args[1], src)
	tx.called("sadd")
	if dst == nil {
		dst = &tx.fresh().set
	}
	if dst.insert(args[3]) {
		tx.store(args[2], dst)
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
		m := s.at(tx.RandN(s.len()))
		m.reply(tx, out)
	case s == nil || count == 0:
		out.Array(0)
	default:
		places := s.places()
		randomPicks(tx, s.len(), count, out, out.Array, func(i int) {
			m := s.random(i, places)
			m.reply(tx, out)
		})
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
func intersect(sets []*setValue, each func(m word) bool) {
	if slices.Contains(sets, nil) {
		return
	}
	slices.SortStableFunc(sets, func(a, b *setValue) int { return a.len() - b.len() })
	first := sets[0]
	c := first.from(0)
next:
	for range first.len() {
		m := c.next()
		for _, s := range sets[1:] {
			if s != first && !s.hasWord(m) {
				continue next
			}
		}
		if !each(m) {
			return
		}
	}
}

// A setOperation combines sets, some of them nil, into a new one.
type setOperation func(sets []*setValue) *setValue

func setInter(sets []*setValue) *setValue {
	r := &setValue{}
	intersect(sets, func(m word) bool {
		r.add(m)
		return true
	})
	if r.len() > 0 && r.form() != setInts {
		r.grow(sets[0].form()) // of the smallest
	}
	return r
}

func setUnion(sets []*setValue) *setValue {
	r := &setValue{}
	for _, s := range sets {
		if s == nil {
			continue
		}
		c := s.from(0)
		for range s.len() {
			r.insertWord(c.next())
		}
	}
	return r
}

func setDiff(sets []*setValue) *setValue {
	r := &setValue{}
	if sets[0] == nil {
		return r
	}
	c := sets[0].from(0)
next:
	for range sets[0].len() {
		m := c.next()
		for _, s := range sets[1:] {
			if s != nil && s.hasWord(m) {
				continue next
			}
		}
		r.add(m)
	}
	if diffCopies(sets) {
		r.grow(sets[0].fresh())
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
			sum += s.len()
		}
	}
	return sets[0].len()*count/2 > sum
}

func runSetOperation(op setOperation) runFunc {
	return func(tx *Tx, args [][]byte, out Out) {
		if sets, ok := readSets(tx, args[1:], out); ok {
			replySet(tx, op(sets), out)
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
		tx.replace(args[1], r)
		out.Int(int64(r.len()))
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
	intersect(sets, func(word) bool {
		count++
		return count < limit
	})
	out.Int(count)
}
