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
		return s.z.len()
	case s.s != nil:
		return s.s.len()
	}
	return 0
}

// walk calls each for the members, in the order of history, until it returns false.
func (s *zsource) walk(each func(m word, score float64) bool) {
	switch n := s.len(); {
	case s.z != nil:
		c := s.z.from(0)
		for range n {
			if m := c.next(); !each(m, c.score) {
				return
			}
		}
	case s.s != nil:
		c := s.s.from(0)
		for range n {
			if !each(c.next(), 1) {
				return
			}
		}
	}
}

func (s *zsource) score(m word) (float64, bool) {
	if s.z != nil {
		if i := s.z.findWord(&m); i >= 0 {
			return s.z.scoreAt(i), true
		}
		return 0, false
	}
	return 1, s.s != nil && s.s.hasWord(m)
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
		interSources(src, o.sum, func(word, float64) bool {
			n++
			return n != o.limit
		})
		out.Int(n)
		return
	}
	d := combine(c.op, src, o.sum)
	if c.store {
		for i := range d.len() {
			d.set(i, part{score: positiveZero(d.at(i).score)})
		}
		n := d.len()
		tx.replace(args[1], newZSet(d))
		out.Int(int64(n))
		return
	}
	n, nested := d.len(), out.RESP3()
	beginPairs(n, o.withScores, nested, out)
	newZSet(d).walk(0, n, false, func(m word, score float64) { replyItem(tx, m, score, o.withScores, nested, out) })
}

// combine returns the members of the result; their tree is not built yet.
func combine(op zoperation, src []zsource, sum aggregate) *members {
	r := newMembers(kindZSet)
	switch op {
	case zunion:
		unionSources(src, sum, r)
	case zinter:
		interSources(src, sum, func(m word, score float64) bool {
			r.addWord(&m, score)
			return true
		})
	case zdiff:
		diffSources(src, r)
	}
	return r
}

func unionSources(src []zsource, sum aggregate, r *members) {
	for k := range src {
		s := &src[k]
		s.walk(func(m word, score float64) bool {
			score = s.weighed(score)
			if p := r.findWord(&m); p >= 0 {
				r.set(p, part{score: sum(r.at(p).score, score)})
			} else {
				r.addWord(&m, score)
			}
			return true
		})
	}
}

func interSources(src []zsource, sum aggregate, each func(m word, score float64) bool) {
	first := &src[0]
	first.walk(func(m word, score float64) bool {
		score = first.weighed(score)
		for k := range src[1:] {
			s := &src[1+k]
			v, ok := s.score(m)
			if !ok {
				return true
			}
			// As in Redis: NaN of a later input is not 0 here but what the aggregate makes of it.
			score = sum(score, float64(s.weight*v))
		}
		return each(m, score)
	})
}

func diffSources(src []zsource, r *members) {
	src[0].walk(func(m word, score float64) bool {
		for k := range src[1:] {
			if _, ok := src[1+k].score(m); ok {
				return true
			}
		}
		r.addWord(&m, score)
		return true
	})
}

// addWord adds an element of another collection, with its score.
func (m *members) addWord(w *word, score float64) {
	var digits [20]byte
	m.add(w.bytes(digits[:0]), part{score: score})
}
