package fsm

import (
	"math"
	"strconv"
)

const (
	errGeoUnit     = "ERR unsupported unit provided. please use M, KM, FT, MI"
	errGeoRadius   = "ERR need numeric radius"
	errGeoNegative = "ERR radius cannot be negative"
	errGeoWidth    = "ERR need numeric width"
	errGeoHeight   = "ERR need numeric height"
	errGeoBox      = "ERR height or width cannot be negative"
	errGeoMember   = "ERR could not decode requested zset member"
	errGeoCount    = "ERR COUNT must be > 0"
	errGeoAny      = "ERR the ANY argument requires COUNT argument"
)

func errGeoPlace(p geoPoint) string {
	return "ERR invalid longitude,latitude pair " + printDegrees(p.lon) + "," + printDegrees(p.lat)
}

// printDegrees prints as the %f of C does.
func printDegrees(x float64) string {
	switch {
	case math.IsInf(x, 1):
		return "inf"
	case math.IsInf(x, -1):
		return "-inf"
	default:
		return strconv.FormatFloat(x, 'f', 6, 64)
	}
}

func errGeoFrom(name string) string {
	return "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for " + name
}

func errGeoBy(name string) string {
	return "ERR exactly one of BYRADIUS and BYBOX can be specified for " + name
}

func errGeoStore(name string) string {
	return "ERR " + name + " is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
}

// placeArg reads longitude and latitude; otherwise it answers the error.
func placeArg(args [][]byte, out Out) (p geoPoint, ok bool) {
	if p.lon, ok = floatArg(args[0], out); !ok {
		return p, false
	}
	if p.lat, ok = floatArg(args[1], out); !ok {
		return p, false
	}
	if !p.valid() {
		out.Error(errGeoPlace(p))
		return p, false
	}
	return p, true
}

// unitArg reads a unit in metres; otherwise it answers the error.
func unitArg(b []byte, out Out) (unit float64, ok bool) {
	switch {
	case matchWord(b, "m"):
		return 1, true
	case matchWord(b, "km"):
		return 1000, true
	case matchWord(b, "ft"):
		return 0.3048, true
	case matchWord(b, "mi"):
		return 1609.34, true
	}
	out.Error(errGeoUnit)
	return 0, false
}

// radiusArg reads a radius and its unit; otherwise it answers the error.
func (s *geoShape) radiusArg(args [][]byte, out Out) (ok bool) {
	if s.radius, ok = parseFloat(args[0]); !ok {
		out.Error(errGeoRadius)
		return false
	}
	if s.radius < 0 {
		out.Error(errGeoNegative)
		return false
	}
	s.unit, ok = unitArg(args[1], out)
	return ok
}

// boxArg reads width, height and their unit; otherwise it answers the error.
func (s *geoShape) boxArg(args [][]byte, out Out) (ok bool) {
	s.box = true
	if s.width, ok = parseFloat(args[0]); !ok {
		out.Error(errGeoWidth)
		return false
	}
	if s.height, ok = parseFloat(args[1]); !ok {
		out.Error(errGeoHeight)
		return false
	}
	if s.width < 0 || s.height < 0 {
		out.Error(errGeoBox)
		return false
	}
	s.unit, ok = unitArg(args[2], out)
	return ok
}

func runGeoAdd(tx *Tx, args [][]byte, out Out) {
	var o zaddOptions
	i := 2
	for i < len(args) && o.plain(args[i]) {
		i++
	}
	triples := args[i:]
	if len(triples)%3 != 0 || len(triples) == 0 || o.nx && o.xx {
		out.Error(errSyntax)
		return
	}
	var buf [16]float64
	scores := buf[:0]
	for i := 0; i < len(triples); i += 3 {
		p, ok := placeArg(triples[i:], out)
		if !ok {
			return
		}
		scores = append(scores, geoScore(p))
	}
	zaddScores(tx, args[1], scores, triples[2:], 3, o, out)
}

// memberPlace is the place of a member of z, which may be nil.
func memberPlace(z *zsetValue, member []byte) (p geoPoint, ok bool) {
	if z == nil {
		return p, false
	}
	score, ok := z.score(member)
	if !ok {
		return p, false
	}
	return placeOf(score), true
}

func runGeoDist(tx *Tx, args [][]byte, out Out) {
	unit, ok := 1.0, true
	switch {
	case len(args) > 5:
		out.Error(errSyntax)
		return
	case len(args) == 5:
		if unit, ok = unitArg(args[4], out); !ok {
			return
		}
	}
	z, ok := readZSet(tx, args[1], out)
	if !ok {
		return
	}
	p, ok1 := memberPlace(z, args[2])
	q, ok2 := memberPlace(z, args[3])
	if !ok1 || !ok2 {
		out.Null()
		return
	}
	replyDistance(p.distance(q)/unit, out)
}

// replyDistance answers a distance with four digits behind the point.
func replyDistance(dist float64, out Out) {
	var buf [64]byte
	out.Bulk(strconv.AppendFloat(buf[:0], dist, 'f', 4, 64))
}

// replyPlace answers longitude and latitude with up to 17 digits behind the point.
func replyPlace(p geoPoint, out Out) {
	var buf [32]byte
	out.Array(2)
	out.DoubleText(appendDegrees(buf[:0], p.lon))
	out.DoubleText(appendDegrees(buf[:0], p.lat))
}

func appendDegrees(dst []byte, f float64) []byte {
	dst = strconv.AppendFloat(dst, f, 'f', 17, 64)
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	if dst[len(dst)-1] == '.' {
		dst = dst[:len(dst)-1]
	}
	if string(dst) == "-0" {
		return dst[1:]
	}
	return dst
}

func runGeoHash(tx *Tx, args [][]byte, out Out) {
	eachPlace(tx, args, out, out.Null, func(p geoPoint) {
		text := geohashText(p)
		out.Bulk(text[:])
	})
}

func runGeoPos(tx *Tx, args [][]byte, out Out) {
	eachPlace(tx, args, out, out.NullArray, func(p geoPoint) { replyPlace(p, out) })
}

// eachPlace answers an array with the place of each of the members args[2:], or with none.
func eachPlace(tx *Tx, args [][]byte, out Out, none func(), place func(p geoPoint)) {
	z, ok := readZSet(tx, args[1], out)
	if !ok {
		return
	}
	out.Array(len(args) - 2)
	for _, m := range args[2:] {
		if p, ok := memberPlace(z, m); ok {
			place(p)
		} else {
			none()
		}
	}
}

// geoFrom says where a command of the GEORADIUS family has its centre from.
type geoFrom uint8

const (
	fromOption geoFrom = iota // GEOSEARCH: an option tells
	fromPlace
	fromMember
)

// geoQuery is a command that searches. name is that of the GEOSEARCH family, empty for the GEORADIUS family.
type geoQuery struct {
	name   string
	from   geoFrom
	stores bool // it can
}

// geoOptions are what a search is asked for.
type geoOptions struct {
	shape                         geoShape
	centered, byMember, shaped    bool
	withDist, withHash, withCoord bool
	any, ascending, descending    bool
	count                         int64 // 0 = all
	storeAt                       int   // position of the key to store at, 0 = none
	storeDist                     bool
	source                        *zsetValue // nil = there is none
}

func (c geoQuery) run(tx *Tx, args [][]byte, out Out) {
	var o geoOptions
	sourceAt := 1
	if c.name != "" && c.stores {
		sourceAt, o.storeAt = 2, 1
	}
	var ok bool
	if o.source, ok = readZSet(tx, args[sourceAt], out); !ok {
		return
	}
	at, ok := c.head(args, sourceAt+1, &o, out)
	if !ok || !c.options(args, at, &o, out) || !c.check(args, &o, out) {
		return
	}
	if o.source == nil {
		if o.storeAt > 0 {
			tx.delete(args[o.storeAt])
			out.Int(0)
		} else {
			out.Array(0)
		}
		return
	}
	limit := int64(0)
	if o.any {
		limit = o.count
	}
	hits := o.shape.search(o.source, limit)
	if o.ascending || o.descending || o.count > 0 && !o.any {
		sortHits(hits, o.descending)
	}
	if o.count > 0 && o.count < int64(len(hits)) {
		hits = hits[:o.count]
	}
	if o.storeAt > 0 {
		o.store(tx, args[o.storeAt], hits, out)
		return
	}
	o.reply(tx, hits, out)
}

// head reads what the GEORADIUS family has in front of the options, which begin at next; otherwise it answers the error.
func (c geoQuery) head(args [][]byte, at int, o *geoOptions, out Out) (next int, ok bool) {
	switch c.from {
	case fromOption:
		return at, true
	case fromPlace:
		if o.shape.center, ok = placeArg(args[at:], out); !ok {
			return 0, false
		}
		at += 2
	case fromMember:
		if o.source == nil { // what follows is not looked at
			return at + 3, true
		}
		if o.shape.center, ok = memberPlace(o.source, args[at]); !ok {
			out.Error(errGeoMember)
			return 0, false
		}
		at++
	}
	return at + 2, o.shape.radiusArg(args[at:], out)
}

// options reads the options from a position on; otherwise it answers the error.
func (c geoQuery) options(args [][]byte, at int, o *geoOptions, out Out) bool {
	for at < len(args) {
		n, ok := c.flag(args[at], o), true
		if n == 0 {
			if n, ok = c.valued(args, at, o, out); !ok {
				return false
			}
		}
		if n == 0 && c.name != "" {
			if n, ok = c.area(args, at, o, out); !ok {
				return false
			}
		}
		if n == 0 {
			out.Error(errSyntax)
			return false
		}
		at += n
	}
	return true
}

// flag reads an option that is a word alone, and returns 1 if it is one.
func (c geoQuery) flag(word []byte, o *geoOptions) int {
	switch {
	case matchWord(word, "withdist"):
		o.withDist = true
	case matchWord(word, "withhash"):
		o.withHash = true
	case matchWord(word, "withcoord"):
		o.withCoord = true
	case matchWord(word, "any"):
		o.any = true
	case matchWord(word, "asc"):
		o.ascending, o.descending = true, false
	case matchWord(word, "desc"):
		o.ascending, o.descending = false, true
	case c.name != "" && c.stores && matchWord(word, "storedist"):
		o.storeDist = true
	default:
		return 0
	}
	return 1
}

// valued reads COUNT, STORE or STOREDIST with its value, and returns how many arguments it took; ok is false if it answered
// an error.
func (c geoQuery) valued(args [][]byte, at int, o *geoOptions, out Out) (n int, ok bool) {
	if at+1 == len(args) {
		return 0, true
	}
	switch word := args[at]; {
	case matchWord(word, "count"):
		if o.count, ok = intArg(args[at+1], out); !ok {
			return 0, false
		}
		if o.count <= 0 {
			out.Error(errGeoCount)
			return 0, false
		}
	case c.name == "" && c.stores && (matchWord(word, "store") || matchWord(word, "storedist")):
		o.storeAt, o.storeDist = at+1, len(word) > len("store")
	default:
		return 0, true
	}
	return 2, true
}

// area is valued for where GEOSEARCH looks.
func (c geoQuery) area(args [][]byte, at int, o *geoOptions, out Out) (n int, ok bool) {
	left := len(args) - at - 1 // arguments behind the word
	switch word, values := args[at], args[at+1:]; {
	case matchWord(word, "frommember") && left >= 1 && (!o.centered || o.byMember):
		if o.source != nil {
			if o.shape.center, ok = memberPlace(o.source, values[0]); !ok {
				out.Error(errGeoMember)
				return 0, false
			}
		}
		o.centered, o.byMember = true, true
		return 2, true
	case matchWord(word, "fromlonlat") && left >= 2 && !o.byMember:
		o.centered = true
		o.shape.center, ok = placeArg(values, out)
		return 3, ok
	case matchWord(word, "byradius") && left >= 2 && !o.shape.box:
		o.shaped = true
		return 3, o.shape.radiusArg(values, out)
	case matchWord(word, "bybox") && left >= 3 && (!o.shaped || o.shape.box):
		o.shaped = true
		return 4, o.shape.boxArg(values, out)
	}
	return 0, true
}

// check answers the error of options that do not go together.
func (c geoQuery) check(args [][]byte, o *geoOptions, out Out) bool {
	switch {
	case o.storeAt > 0 && (o.withDist || o.withHash || o.withCoord):
		if c.name != "" {
			out.Error(errGeoStore("GEOSEARCHSTORE"))
		} else {
			out.Error(errGeoStore("STORE option in GEORADIUS"))
		}
	case c.name != "" && !o.centered:
		out.Error(errGeoFrom(oneLine(args[0])))
	case c.name != "" && !o.shaped:
		out.Error(errGeoBy(oneLine(args[0])))
	case o.any && o.count == 0:
		out.Error(errGeoAny)
	default:
		return true
	}
	return false
}

func (o *geoOptions) store(tx *Tx, key []byte, hits []geoHit, out Out) {
	r := &zsetValue{}
	for i := range hits {
		h := &hits[i]
		score := h.score
		if o.storeDist {
			score = h.dist / o.shape.unit
		}
		r.putNew(h.member, score)
	}
	tx.replace(key, r)
	out.Int(int64(len(hits)))
}

func (o *geoOptions) reply(tx *Tx, hits []geoHit, out Out) {
	parts := 1
	for _, with := range [...]bool{o.withDist, o.withHash, o.withCoord} {
		if with {
			parts++
		}
	}
	out.Array(len(hits))
	for i := range hits {
		h := &hits[i]
		if parts > 1 {
			out.Array(parts)
		}
		h.member.reply(tx, out)
		if o.withDist {
			replyDistance(h.dist/o.shape.unit, out)
		}
		if o.withHash {
			out.Int(scoreInt(h.score))
		}
		if o.withCoord {
			replyPlace(h.place, out)
		}
	}
}
