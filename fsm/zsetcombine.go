package fsm

import (
	"math"
	"slices"
)

const errWeight = "ERR weight value is not a float"

// zsource is one input of ZUNION, ZINTER or ZDIFF: a sorted set, or a set whose members all have score 1, or nothing.
type zsource struct {
	z      *zsetValue
	s      *setValue
	weight float64
}

func (s *zsource) len() int {
	switch {
	case s.z != nil:
		return s.z.n
	case s.s != nil:
		return s.s.len()
	}
	return 0
}

func (s *zsource) at(i int) zitem {
	if s.z != nil {
		e := s.z.at(i)
		return zitem{e.val, e.key}
	}
	m := s.s.at(i)
	return zitem{1, m.text()}
}

func (s *zsource) score(member string) (float64, bool) {
	if s.z != nil {
		if i := s.z.findString(member); i >= 0 {
			return s.z.at(i).val, true
		}
		return 0, false
	}
	return 1, s.s != nil && s.s.hasWord(word{s: member})
}

// weighed returns weight * score, where infinity * 0 is 0.
func (s *zsource) weighed(score float64) float64 {
	if score = float64(s.weight * score); math.IsNaN(score) {
		return 0
	}
	return score
}

// aggregate is the function that combines the scores of one member.
type aggregate func(a, b float64) float64

func aggregateSum(a, b float64) float64 {
	if a += b; math.IsNaN(a) {
		return 0 // infinity - infinity
	}
	return a
}

func aggregateMin(a, b float64) float64 {
	if b < a {
		return b
	}
	return a
}

func aggregateMax(a, b float64) float64 {
	if b > a {
		return b
	}
	return a
}

// zoperation is the kind of combination.
type zoperation uint8

const (
	zunion zoperation = iota
	zinter
	zdiff
)

// combineCommand is a member of the ZUNION family; at is where the number of keys stands.
type combineCommand struct {
	name  string
	op    zoperation
	at    int
	store bool
	card  bool
}

type combineOptions struct {
	sum        aggregate
	withScores bool
	limit      int64
}

// sources reads the keys.
func (c combineCommand) sources(tx *Tx, args [][]byte, out Out) ([]zsource, bool) {
	n, ok := intArg(args[c.at], out)
	if !ok {
		return nil, false
	}
	if n < 1 {
		out.Error("ERR at least 1 input key is needed for '" + c.name + "' command")
		return nil, false
	}
	if n > int64(len(args)-c.at-1) {
		out.Error(errSyntax)
		return nil, false
	}
	src := make([]zsource, n)
	for i := range src {
		src[i].weight = 1
		key := args[c.at+1+i]
		o, ok := tx.lookup(key, kindZSet)
		if !ok {
			if o, ok = tx.lookup(key, kindSet); !ok {
				out.Error(errWrongType)
				return nil, false
			}
		}
		switch v := o.(type) {
		case *zsetValue:
			src[i].z = v
		case *setValue:
			src[i].s = v
		}
	}
	return src, true
}

// options reads what follows the keys.
func (c combineCommand) options(args [][]byte, src []zsource, out Out) (o combineOptions, ok bool) {
	o = combineOptions{sum: aggregateSum}
	for i := c.at + 1 + len(src); i < len(args); i++ {
		left := len(args) - i
		switch a := args[i]; {
		case c.op != zdiff && !c.card && left > len(src) && matchWord(a, "weights"):
			for k := range src {
				i++
				if src[k].weight, ok = parseFloat(args[i]); !ok {
					out.Error(errWeight)
					return o, false
				}
			}
		case c.op != zdiff && !c.card && left >= 2 && matchWord(a, "aggregate"):
			i++
			switch a := args[i]; {
			case matchWord(a, "sum"):
				o.sum = aggregateSum
			case matchWord(a, "min"):
				o.sum = aggregateMin
			case matchWord(a, "max"):
				o.sum = aggregateMax
			default:
				out.Error(errSyntax)
				return o, false
			}
		case !c.store && !c.card && matchWord(a, "withscores"):
			o.withScores = true
		case c.card && left >= 2 && matchWord(a, "limit"):
			i++
			if o.limit, ok = rangeArg(args[i], 0, errLimitMinus, out); !ok {
				return o, false
			}
		default:
			out.Error(errSyntax)
			return o, false
		}
	}
	return o, true
}

func (c combineCommand) run(tx *Tx, args [][]byte, out Out) {
	src, ok := c.sources(tx, args, out)
	if !ok {
		return
	}
	o, ok := c.options(args, src, out)
	if !ok {
		return
	}
	if c.op != zdiff {
		// As in Redis: the order decides the rounding of sums.
		slices.SortStableFunc(src, func(a, b zsource) int { return a.len() - b.len() })
	}
	if c.card {
		n := int64(0)
		interSources(src, o.sum, func(zitem) bool {
			n++
			return n != o.limit
		})
		out.Int(n)
		return
	}
	r := combine(c.op, src, o.sum)
	if c.store {
		for i := range r.n {
			r.set(i, positiveZero(r.at(i).val))
			r.grown(len(r.at(i).key))
		}
		r.buildTree()
		tx.replace(args[1], r, r.n)
		out.Int(int64(r.n))
		return
	}
	r.buildTree()
	nested := out.RESP3()
	beginPairs(r.n, o.withScores, nested, out)
	replyRange(r, 0, r.n, false, func(it zitem) { replyItem(it, o.withScores, nested, out) })
}

// combine returns the result as a new sorted set whose tree is not built yet.
func combine(op zoperation, src []zsource, sum aggregate) *zsetValue {
	r := &zsetValue{}
	switch op {
	case zunion:
		unionSources(src, sum, r)
	case zinter:
		interSources(src, sum, func(it zitem) bool {
			r.add(it.member, it.score)
			return true
		})
	case zdiff:
		diffSources(src, r)
	}
	return r
}

func unionSources(src []zsource, sum aggregate, r *zsetValue) {
	for k := range src {
		s := &src[k]
		for i := range s.len() {
			it := s.at(i)
			score := s.weighed(it.score)
			if p := r.findString(it.member); p >= 0 {
				r.set(p, sum(r.at(p).val, score))
			} else {
				r.add(it.member, score)
			}
		}
	}
}

func interSources(src []zsource, sum aggregate, each func(it zitem) bool) {
	first := &src[0]
next:
	for i := range first.len() {
		it := first.at(i)
		member := it.member
		score := first.weighed(it.score)
		for k := range src[1:] {
			s := &src[1+k]
			v, ok := s.score(member)
			if !ok {
				continue next
			}
			// As in Redis: NaN of a later input is not 0 here but what the aggregate makes of it.
			score = sum(score, float64(s.weight*v))
		}
		if !each(zitem{score, member}) {
			return
		}
	}
}

func diffSources(src []zsource, r *zsetValue) {
next:
	for i := range src[0].len() {
		it := src[0].at(i)
		for k := range src[1:] {
			if _, ok := src[1+k].score(it.member); ok {
				continue next
			}
		}
		r.add(it.member, it.score)
	}
}
