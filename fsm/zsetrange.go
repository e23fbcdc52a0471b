package fsm

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
)

const (
	errScoreRange = "ERR min or max is not a float"
	errLexRange   = "ERR min or max not valid string range item"
	errRangeLimit = "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"
	errRangeLex   = "ERR syntax error, WITHSCORES not supported in combination with BYLEX"
)

// rangeBy says what the ends of a range of a sorted set mean.
type rangeBy uint8

const (
	byAny rangeBy = iota // ZRANGE: an option tells
	byRank
	byScore
	byLex
)

// zrange is a parsed range: ranks, or two cuts through the order.
type zrange struct {
	by          rangeBy
	start, stop int64
	min, max    zend
}

// zend is one end of a range by score or member: a cut, or one of the ends of the world.
type zend struct {
	cut  zbound
	none bool // before everything
	all  bool // behind everything
}

func (e *zend) rank(z *zsetValue) int {
	switch {
	case e.none:
		return 0
	case e.all:
		return z.len()
	}
	return z.below(&e.cut)
}

// ranks returns the range as ranks [from, to) of z.
func (r *zrange) ranks(z *zsetValue) (from, to int) {
	if r.by == byRank {
		return rankRange(r.start, r.stop, z.len())
	}
	from, to = r.min.rank(z), r.max.rank(z)
	return from, max(from, to)
}

// parseZRange reads the two ends of a range; otherwise it answers the error.
func parseZRange(by rangeBy, low, high []byte, out Out) (r zrange, ok bool) {
	r.by = by
	switch by {
	case byScore:
		min, minExclusive, ok1 := parseScoreEnd(low)
		max, maxExclusive, ok2 := parseScoreEnd(high)
		if !ok1 || !ok2 {
			out.Error(errScoreRange)
			return r, false
		}
		r.min.cut = zbound{score: min, all: minExclusive}
		r.max.cut = zbound{score: max, all: !maxExclusive}
	case byLex:
		var ok1, ok2 bool
		r.min, ok1 = parseLexEnd(low, false)
		r.max, ok2 = parseLexEnd(high, true)
		if !ok1 || !ok2 {
			out.Error(errLexRange)
			return r, false
		}
	default:
		if r.start, ok = intArg(low, out); !ok {
			return r, false
		}
		if r.stop, ok = intArg(high, out); !ok {
			return r, false
		}
	}
	return r, true
}

// parseScoreEnd reads a score, or "(" and a score. Redis uses strtod here, which is laxer than for other numbers:
// nothing is 0, leading white space is skipped, a zero byte ends the number, and what is too large is infinite.
func parseScoreEnd(b []byte) (score float64, exclusive, ok bool) {
	b, _, _ = bytes.Cut(b, []byte{0})
	if len(b) > 0 && b[0] == '(' {
		b, exclusive = b[1:], true
	}
	if len(b) == 0 {
		return 0, exclusive, true
	}
	for len(b) > 0 && (b[0] == ' ' || '\t' <= b[0] && b[0] <= '\r') {
		b = b[1:]
	}
	t, ok := scanNumber(b)
	if !ok {
		return 0, exclusive, false
	}
	text := string(b)
	if t.hex && !strings.ContainsAny(text, "pP") {
		text += "p0" // Go demands an exponent, C does not
	}
	score, err := strconv.ParseFloat(text, 64)
	return score, exclusive, err == nil || errors.Is(err, strconv.ErrRange)
}

// parseLexEnd reads "-", "+", "(member" or "[member"; high tells which end of the range it is.
func parseLexEnd(b []byte, high bool) (e zend, ok bool) {
	if len(b) == 0 {
		return e, false
	}
	switch b[0] {
	case '-':
		e.none = true
		return e, len(b) == 1
	case '+':
		e.all = true
		return e, len(b) == 1
	case '(', '[':
		// The lower end cuts behind an excluded member, the upper end behind an included one.
		e.cut = zbound{lex: true, member: b[1:], after: (b[0] == '[') == high}
		return e, true
	}
	return e, false
}

// rangeOptions are the options of the ZRANGE family.
type rangeOptions struct {
	by            rangeBy
	reverse       bool
	withScores    bool
	offset, limit int64 // limit < 0: no limit
}

// rangeCommand is a member of the ZRANGE family. Of its own options Redis takes each of REV, BYSCORE and BYLEX once, the
// others any number of times. at is where the source key stands; by and reverse are fixed by the
// command unless by is byAny, with which options set them.
type rangeCommand struct {
	at      int
	by      rangeBy
	reverse bool
	store   bool
}

func (c rangeCommand) options(args [][]byte, out Out) (o rangeOptions, ok bool) {
	o = rangeOptions{by: c.by, reverse: c.reverse, limit: -1}
	for i := c.at + 3; i < len(args); i++ {
		switch a := args[i]; {
		case !c.store && matchWord(a, "withscores"):
			o.withScores = true
		case len(args)-i > 2 && matchWord(a, "limit"):
			if o.offset, ok = intArg(args[i+1], out); !ok {
				return o, false
			}
			if o.limit, ok = intArg(args[i+2], out); !ok {
				return o, false
			}
			i += 2
		case c.by == byAny && !o.reverse && matchWord(a, "rev"):
			o.reverse = true
		case o.by == byAny && matchWord(a, "bylex"):
			o.by = byLex
		case o.by == byAny && matchWord(a, "byscore"):
			o.by = byScore
		default:
			out.Error(errSyntax)
			return o, false
		}
	}
	if o.by == byAny {
		o.by = byRank
	}
	switch {
	case o.limit != -1 && o.by == byRank:
		out.Error(errRangeLimit)
		return o, false
	case o.withScores && o.by == byLex:
		out.Error(errRangeLex)
		return o, false
	}
	return o, true
}

// window applies the options to a range of n ranks and returns the ranks to answer, in ascending order.
func (o *rangeOptions) window(from, to int) (int, int) {
	if o.by == byRank || from == to {
		return from, to
	}
	if o.offset < 0 || o.offset >= int64(to-from) {
		return from, from
	}
	n := int64(to-from) - o.offset
	if o.limit >= 0 {
		n = min(n, o.limit)
	}
	if o.reverse {
		to -= int(o.offset)
		return to - int(n), to
	}
	from += int(o.offset)
	return from, from + int(n)
}

func (c rangeCommand) run(tx *Tx, args [][]byte, out Out) {
	o, ok := c.options(args, out)
	if !ok {
		return
	}
	low, high := args[c.at+1], args[c.at+2]
	if o.reverse && o.by != byRank {
		low, high = high, low
	}
	r, ok := parseZRange(o.by, low, high, out)
	if !ok {
		return
	}
	z, ok := readZSet(tx, args[c.at], out)
	if !ok {
		return
	}
	from, to := 0, 0
	if z != nil {
		from, to = r.ranks(z)
		if o.reverse && o.by == byRank {
			from, to = z.len()-to, z.len()-from
		}
		from, to = o.window(from, to)
	}
	if c.store {
		storeRange(tx, args[1], z, from, to, o.reverse, out)
		return
	}
	nested := out.RESP3()
	beginPairs(to-from, o.withScores, nested, out)
	z.walk(from, to, o.reverse, func(m word, score float64) { replyItem(tx, m, score, o.withScores, nested, out) })
}

func storeRange(tx *Tx, key []byte, z *zsetValue, from, to int, reverse bool, out Out) {
	r := &zsetValue{}
	z.walk(from, to, reverse, r.putNew)
	tx.replace(key, r)
	out.Int(int64(r.len()))
}

func runZCount(by rangeBy) runFunc {
	return func(tx *Tx, args [][]byte, out Out) {
		r, ok := parseZRange(by, args[2], args[3], out)
		if !ok {
			return
		}
		z, ok := readZSet(tx, args[1], out)
		if !ok {
			return
		}
		from, to := 0, 0
		if z != nil {
			from, to = r.ranks(z)
		}
		out.Int(int64(to - from))
	}
}

func runZRemRange(by rangeBy) runFunc {
	return func(tx *Tx, args [][]byte, out Out) {
		r, ok := parseZRange(by, args[2], args[3], out)
		if !ok {
			return
		}
		z, ok := writeZSet(tx, args[1], out)
		if !ok {
			return
		}
		from, to := 0, 0
		if z != nil {
			from, to = r.ranks(z)
		}
		switch {
		case from == to:
		case to-from == z.len():
			tx.empty(args[1])
		default:
			for range to - from {
				z.removeRank(from)
			}
			tx.store(args[1], z)
		}
		out.Int(int64(to - from))
	}
}
