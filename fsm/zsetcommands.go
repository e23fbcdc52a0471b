package fsm

import (
	"math"
)

const (
	errZAddXXNX = "ERR XX and NX options at the same time are not compatible"
	errZAddGTLT = "ERR GT, LT, and/or NX options at the same time are not compatible"
	errZAddIncr = "ERR INCR option supports a single increment-element pair"
	errScoreNaN = "ERR resulting score is not a number (NaN)"
)

func readZSet(tx *Tx, key []byte, out Out) (*zsetValue, bool) {
	return readValue[*zsetValue](tx, key, kindZSet, out)
}

func writeZSet(tx *Tx, key []byte, out Out) (*zsetValue, bool) {
	return writeValue[*zsetValue](tx, key, kindZSet, out)
}

// zaddOptions are the options of ZADD; pairs is where the first score stands.
type zaddOptions struct {
	nx, xx, gt, lt, ch, incr bool
	pairs                    int
}

// plain takes an option that GEOADD has as well.
func (o *zaddOptions) plain(a []byte) bool {
	switch {
	case matchWord(a, "nx"):
		o.nx = true
	case matchWord(a, "xx"):
		o.xx = true
	case matchWord(a, "ch"):
		o.ch = true
	default:
		return false
	}
	return true
}

func parseZAdd(args [][]byte, out Out) (o zaddOptions, ok bool) {
	i := 2
options:
	for ; i < len(args); i++ {
		switch a := args[i]; {
		case o.plain(a):
		case matchWord(a, "incr"):
			o.incr = true
		case matchWord(a, "gt"):
			o.gt = true
		case matchWord(a, "lt"):
			o.lt = true
		default:
			break options
		}
	}
	o.pairs = i
	switch n := len(args) - i; {
	case n == 0 || n%2 != 0:
		out.Error(errSyntax)
	case o.nx && o.xx:
		out.Error(errZAddXXNX)
	case o.gt && o.nx || o.lt && o.nx || o.gt && o.lt:
		out.Error(errZAddGTLT)
	case o.incr && n > 2:
		out.Error(errZAddIncr)
	default:
		return o, true
	}
	return o, false
}

func runZAdd(tx *Tx, args [][]byte, out Out) {
	o, ok := parseZAdd(args, out)
	if !ok {
		return
	}
	zaddPairs(tx, args[1], args[o.pairs:], o, out)
}

// runZIncrBy is ZADD with INCR; as in Redis, an increment that is an option's word is taken for one, and then a pair is
// missing.
func runZIncrBy(tx *Tx, args [][]byte, out Out) {
	if o, ok := parseZAdd(args, out); ok {
		o.incr = true
		zaddPairs(tx, args[1], args[o.pairs:], o, out)
	}
}

// zaddPairs executes ZADD for pairs of score and member.
func zaddPairs(tx *Tx, key []byte, pairs [][]byte, o zaddOptions, out Out) {
	var buf [16]float64
	scores := buf[:0]
	for i := 0; i < len(pairs); i += 2 {
		s, ok := floatArg(pairs[i], out)
		if !ok {
			return
		}
		scores = append(scores, s)
	}
	zaddScores(tx, key, scores, pairs[1:], 2, o, out)
}

// zaddScores executes ZADD for scores and their members, of which every step-th argument is one.
func zaddScores(tx *Tx, key []byte, scores []float64, members [][]byte, step int, o zaddOptions, out Out) {
	z, ok := writeZSet(tx, key, out)
	if !ok {
		return
	}
	if z == nil {
		z = &tx.fresh().zset
	}
	var added, updated int64
	for i, s := range scores {
		res, score := z.apply(members[step*i], s, o)
		switch res {
		case zaddNaN: // one increment only, so nothing has changed
			out.Error(errScoreNaN)
			return
		case zaddAdded:
			added++
		case zaddUpdated:
			updated++
		}
		if o.incr {
			if res == zaddSkipped {
				out.Null()
			} else {
				out.Double(score)
			}
		}
	}
	if added+updated > 0 {
		if len(scores) > ZSetMaxListpackEntries {
			z.grow() // as Redis 7.2, however many members were new
		}
		if o.incr {
			tx.called("zincr")
		}
		tx.store(key, z)
	}
	if o.ch {
		added += updated
	}
	if !o.incr {
		out.Int(added)
	}
}

// zaddResult is what became of one pair of ZADD.
type zaddResult uint8

const (
	zaddSkipped zaddResult = iota // the options forbid it
	zaddSame
	zaddAdded
	zaddUpdated
	zaddNaN
)

// apply executes one pair of ZADD and returns the resulting score.
func (z *zsetValue) apply(member []byte, score float64, o zaddOptions) (zaddResult, float64) {
	i := z.find(member)
	if i < 0 {
		if o.xx {
			return zaddSkipped, 0
		}
		z.putNew(word{kind: wordBytes, b: member}, score)
		return zaddAdded, score
	}
	if o.nx {
		return zaddSkipped, 0
	}
	old := z.scoreAt(i)
	if o.incr {
		if score += old; math.IsNaN(score) {
			return zaddNaN, 0
		}
	}
	if o.lt && score >= old || o.gt && score <= old {
		return zaddSkipped, 0
	}
	if score == old {
		return zaddSame, score
	}
	z.move(i, score)
	return zaddUpdated, score
}

func runZRem(tx *Tx, args [][]byte, out Out) {
	z, ok := writeZSet(tx, args[1], out)
	if !ok {
		return
	}
	removed := 0
	if z != nil {
		for _, m := range args[2:] {
			if z.remove(m) {
				removed++
			}
		}
	}
	if removed > 0 {
		tx.store(args[1], z)
	}
	out.Int(int64(removed))
}

func runZCard(tx *Tx, args [][]byte, out Out) {
	z, ok := readZSet(tx, args[1], out)
	switch {
	case !ok:
	case z == nil:
		out.Int(0)
	default:
		out.Int(int64(z.len()))
	}
}

// replyScore answers the score of a member of z, which may be nil.
func replyScore(z *zsetValue, member []byte, out Out) {
	if z != nil {
		if s, ok := z.score(member); ok {
			out.Double(s)
			return
		}
	}
	out.Null()
}

func runZScore(tx *Tx, args [][]byte, out Out) {
	if z, ok := readZSet(tx, args[1], out); ok {
		replyScore(z, args[2], out)
	}
}

func runZMScore(tx *Tx, args [][]byte, out Out) {
	z, ok := readZSet(tx, args[1], out)
	if !ok {
		return
	}
	out.Array(len(args) - 2)
	for _, m := range args[2:] {
		replyScore(z, m, out)
	}
}

func runZRank(reverse bool) runFunc {
	name := "zrank"
	if reverse {
		name = "zrevrank"
	}
	arity := errArity(name)
	return func(tx *Tx, args [][]byte, out Out) {
		withScore := len(args) > 3
		switch {
		case len(args) > 4:
			out.Error(arity)
			return
		case withScore && !matchWord(args[3], "withscore"):
			out.Error(errSyntax)
			return
		}
		z, ok := readZSet(tx, args[1], out)
		if !ok {
			return
		}
		r := -1
		if z != nil {
			r = z.rank(args[2])
		}
		switch {
		case r < 0 && withScore:
			out.NullArray()
			return
		case r < 0:
			out.Null()
			return
		case reverse:
			r = z.len() - 1 - r
		}
		if withScore {
			out.Array(2)
		}
		out.Int(int64(r))
		if withScore {
			replyScore(z, args[2], out)
		}
	}
}

func runZPop(lowest bool) runFunc {
	return func(tx *Tx, args [][]byte, out Out) {
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
		z, ok := writeZSet(tx, args[1], out)
		switch {
		case !ok:
		case z == nil || count == 0:
			out.Array(0)
		default:
			popZSet(tx, args[1], z, lowest, count, len(args) == 3 && out.RESP3(), out)
		}
	}
}

// popZSet answers the array of up to count members taken from z, with their scores, each pair in an array of its own
// if nested.
func popZSet(tx *Tx, key []byte, z *zsetValue, lowest bool, count int64, nested bool, out Out) {
	n := int(min(count, int64(z.len())))
	beginPairs(n, true, nested, out)
	for range n {
		r := 0
		if !lowest {
			r = z.len() - 1
		}
		z.walk(r, r+1, false, func(m word, score float64) { replyItem(tx, m, score, true, nested, out) })
		z.removeRank(r)
	}
	tx.called(zpopEvent(lowest))
	tx.store(key, z)
}

// zpopEvent is what keyspace notifications call taking members.
func zpopEvent(lowest bool) string {
	if lowest {
		return "zpopmin"
	}
	return "zpopmax"
}

func runZMPop(tx *Tx, args [][]byte, out Out) {
	keys, lowest, count, ok := mpopArgs(args, "min", "max", out)
	if ok && !popFirstZSet(tx, keys, lowest, count, out) {
		out.NullArray()
	}
}

// popFirstZSet pops from the first of the keys that is a sorted set. It returns false, and has answered nothing, if there is none.
func popFirstZSet(tx *Tx, keys [][]byte, lowest bool, count int64, out Out) (answered bool) {
	for _, key := range keys {
		z, ok := writeZSet(tx, key, out)
		if !ok {
			return true
		}
		if z != nil {
			out.Array(2)
			out.Bulk(key)
			popZSet(tx, key, z, lowest, count, true, out)
			return true
		}
	}
	return false
}

func runZRandMember(tx *Tx, args [][]byte, out Out) {
	count, ok := int64(0), true
	if len(args) > 2 {
		if count, ok = randomCount(args[2], out); !ok {
			return
		}
	}
	withScores, ok := pairsOption(args, "withscores", count, out)
	if !ok {
		return
	}
	z, ok := readZSet(tx, args[1], out)
	switch {
	case !ok:
		return
	case len(args) == 2 && z == nil:
		out.Null()
		return
	case len(args) == 2:
		c := z.from(tx.RandN(z.len()))
		m := c.next()
		m.reply(tx, out)
		return
	case z == nil || count == 0:
		out.Array(0)
		return
	}
	nested, c := out.RESP3(), z.from(0)
	randomPicks(tx, z.len(), count, out,
		func(n int) { beginPairs(n, withScores, nested, out) },
		func(i int) {
			c.i = i
			m := c.next()
			replyItem(tx, m, c.score, withScores, nested, out)
		})
}

// replyItem answers a member, with its score if pairs.
func replyItem(tx *Tx, m word, score float64, pairs, nested bool, out Out) {
	if pairs && nested {
		out.Array(2)
	}
	m.reply(tx, out)
	if pairs {
		out.Double(score)
	}
}
