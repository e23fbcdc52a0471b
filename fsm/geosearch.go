package fsm

import (
	"cmp"
	"math"
	"slices"
)

// geoShape is where a search looks: a circle, or a box whose sides follow the parallels and meridians of its centre.
type geoShape struct {
	center        geoPoint
	box           bool
	radius        float64 // in units
	width, height float64 // in units
	unit          float64 // m
}

// geoHit is what a search has found.
type geoHit struct {
	member word
	score  float64
	place  geoPoint
	dist   float64 // m
	order  int     // of the search
}

// reach returns half of the width and height of the shape in metres.
func (s *geoShape) reach() (width, height float64) {
	if s.box {
		return float64(s.unit * (s.width / 2)), float64(s.unit * (s.height / 2))
	}
	r := float64(s.unit * s.radius)
	return r, r
}

// bounds is the area that holds the shape.
func (s *geoShape) bounds() geoArea {
	width, height := s.reach()
	lat := float64(float64(height/earthRadius) / radian)
	widest := s.center.lat + lat // the parallel on which the width takes most degrees
	if s.center.lat < 0 {
		widest = s.center.lat - lat
	}
	lon := float64(float64(float64(width/earthRadius)/cosOf(float64(widest*radian))) / radian)
	return geoArea{s.center.lon - lon, s.center.lon + lon, s.center.lat - lat, s.center.lat + lat}
}

// steps estimates for which size of cells nine of them hold the shape.
func (s *geoShape) steps() int {
	r := float64(s.radius * s.unit)
	if s.box {
		w, h := s.width/2, s.height/2
		r = float64(math.Sqrt(float64(w*w)+float64(h*h)) * s.unit)
	}
	if r == 0 {
		return geoSteps
	}
	step := -1
	for ; r < halfEquator; r *= 2 {
		step++
	}
	if lat := math.Abs(s.center.lat); lat > 80 {
		step -= 2
	} else if lat > 66 {
		step--
	}
	return max(1, min(geoSteps, step))
}

// cells appends the cells in which the members of the shape are, in the order in which Redis searches them.
func (s *geoShape) cells(dst []geoCell) []geoCell {
	step := s.steps()
	c := cellOf(s.center, geoMaxLat, step)
	north, south, east, west := true, true, true, true
	if step > 1 {
		b := s.bounds()
		if c.move(0, 1).area().maxLat < b.maxLat || c.move(0, -1).area().minLat > b.minLat ||
			c.move(1, 0).area().maxLon < b.maxLon || c.move(-1, 0).area().minLon > b.minLon {
			step--
			c = cellOf(s.center, geoMaxLat, step)
		}
		if step > 1 {
			a := c.area()
			south, north = !(a.minLat < b.minLat), !(a.maxLat > b.maxLat)
			west, east = !(a.minLon < b.minLon), !(a.maxLon > b.maxLon)
		}
	}
	for _, n := range [...]struct {
		columns, rows int
		wanted        bool
	}{
		{0, 0, true}, {0, 1, north}, {0, -1, south}, {1, 0, east}, {-1, 0, west},
		{1, 1, north && east}, {-1, 1, north && west}, {1, -1, south && east}, {-1, -1, south && west},
	} {
		next := c.move(n.columns, n.rows)
		// In a world of two columns or rows both neighbours are one.
		if n.wanted && (len(dst) < 2 || dst[len(dst)-1].bits() != next.bits()) {
			dst = append(dst, next)
		}
	}
	return dst
}

// has says whether a place is in the shape, and how far it is from the centre in metres.
func (s *geoShape) has(p geoPoint) (dist float64, ok bool) {
	if !s.box {
		dist = s.center.distance(p)
		return dist, !(dist > float64(s.radius*s.unit))
	}
	if p.distance(geoPoint{s.center.lon, p.lat}) > float64(s.width*s.unit)/2 ||
		p.distance(geoPoint{p.lon, s.center.lat}) > float64(s.height*s.unit)/2 {
		return 0, false
	}
	return s.center.distance(p), true
}

// geoBatch is how many members a search looks at before it asks whether it has enough.
const geoBatch = 32

// search returns the members of z in the shape, the first limit of them if limit is not 0.
func (s *geoShape) search(z *zsetValue, limit int64) (hits []geoHit) {
	var buf [9]geoCell
	for _, c := range s.cells(buf[:0]) {
		low, high := c.scores()
		from, to := z.below(&zbound{score: low}), z.below(&zbound{score: high})
		for from < to {
			end := to
			if limit > 0 {
				end = min(to, from+geoBatch)
			}
			z.walk(from, end, false, func(m word, score float64) {
				if limit > 0 && int64(len(hits)) == limit {
					return
				}
				p := placeOf(score)
				if dist, ok := s.has(p); ok {
					hits = append(hits, geoHit{member: m, score: score, place: p, dist: dist, order: len(hits)})
				}
			})
			if limit > 0 && int64(len(hits)) == limit {
				return hits
			}
			from = end
		}
	}
	return hits
}

// sortHits sorts by distance; those at the same stay in the order of the search.
func sortHits(hits []geoHit, descending bool) {
	slices.SortFunc(hits, func(a, b geoHit) int {
		by := cmp.Compare(a.dist, b.dist)
		if descending {
			by = -by
		}
		if by == 0 {
			by = cmp.Compare(a.order, b.order)
		}
		return by
	})
}
