package fsm

import "math"

// A place on earth is a score: latitude and longitude as fractions of 26 bits each within their ranges, interleaved, the bits of
// the longitude higher. Cells of 2*step bits, the highest, hold the places of one range of scores.
const (
	geoMaxLon   = 180
	geoMaxLat   = 85.05112878 // of Web Mercator
	geoSteps    = 26
	earthRadius = 6372797.560856 // m
	halfEquator = 20037726.37    // m, as Redis takes it
	radian      = math.Pi / 180
)

// geoPoint is a place in degrees.
type geoPoint struct{ lon, lat float64 }

func (p geoPoint) valid() bool {
	return p.lon >= -geoMaxLon && p.lon <= geoMaxLon && p.lat >= -geoMaxLat && p.lat <= geoMaxLat
}

// geoCell is a cell of the grid with 1<<step columns and rows. On the upper edges of the world column or row may be beyond the
// grid, as in Redis.
type geoCell struct {
	lon, lat uint32
	step     int
}

// cellOf returns the cell of a valid place, with latitudes up to maxLat.
func cellOf(p geoPoint, maxLat float64, step int) geoCell {
	size := float64(uint64(1) << step)
	lat := float64((p.lat + maxLat) / (2 * maxLat))
	lon := float64((p.lon + geoMaxLon) / (2 * geoMaxLon))
	return geoCell{lon: uint32(float64(lon * size)), lat: uint32(float64(lat * size)), step: step}
}

// spread puts a zero behind every bit.
func spread(x uint32) uint64 {
	v := uint64(x)
	v = (v | v<<16) & 0x0000ffff0000ffff
	v = (v | v<<8) & 0x00ff00ff00ff00ff
	v = (v | v<<4) & 0x0f0f0f0f0f0f0f0f
	v = (v | v<<2) & 0x3333333333333333
	return (v | v<<1) & 0x5555555555555555
}

// gather is the reverse of spread.
func gather(v uint64) uint32 {
	v &= 0x5555555555555555
	v = (v | v>>1) & 0x3333333333333333
	v = (v | v>>2) & 0x0f0f0f0f0f0f0f0f
	v = (v | v>>4) & 0x00ff00ff00ff00ff
	v = (v | v>>8) & 0x0000ffff0000ffff
	return uint32(v | v>>16)
}

func (c geoCell) bits() uint64 { return spread(c.lat) | spread(c.lon)<<1 }

// scores returns the range [from, to) of scores of the places in c.
func (c geoCell) scores() (from, to float64) {
	shift := 2 * (geoSteps - c.step)
	return float64(c.bits() << shift), float64((c.bits() + 1) << shift)
}

// geoArea are the edges of a cell in degrees.
type geoArea struct{ minLon, maxLon, minLat, maxLat float64 }

func (c geoCell) area() geoArea {
	size := float64(uint64(1) << c.step)
	edge := func(i uint32, limit float64) float64 { return -limit + float64(float64(float64(i)/size)*(2*limit)) }
	return geoArea{edge(c.lon, geoMaxLon), edge(c.lon+1, geoMaxLon), edge(c.lat, geoMaxLat), edge(c.lat+1, geoMaxLat)}
}

// move returns the neighbour so many columns and rows away; the world is round.
func (c geoCell) move(columns, rows int) geoCell {
	mask := uint32(1)<<c.step - 1
	if columns != 0 {
		c.lon = (c.lon + uint32(columns)) & mask
	}
	if rows != 0 {
		c.lat = (c.lat + uint32(rows)) & mask
	}
	return c
}

// geoScore is the score of a valid place.
func geoScore(p geoPoint) float64 { return float64(cellOf(p, geoMaxLat, geoSteps).bits()) }

// placeOf is the place of a score, in the middle of the smallest cell. A score need not come from GEOADD.
func placeOf(score float64) geoPoint {
	bits := scoreBits(score)
	a := geoCell{lon: gather(bits >> 1), lat: gather(bits), step: geoSteps}.area()
	lon, lat := float64((a.minLon+a.maxLon)/2), float64((a.minLat+a.maxLat)/2)
	return geoPoint{max(-geoMaxLon, min(geoMaxLon, lon)), max(-geoMaxLat, min(geoMaxLat, lat))}
}

// scoreBits converts a score to an integer as Redis does on the usual processors; for one outside of the range of integers Go
// does not say what comes out.
func scoreBits(score float64) uint64 {
	switch {
	case score >= 1<<64:
		return 0
	case score >= 0:
		return uint64(score)
	case score > -1<<63:
		return uint64(int64(score))
	}
	return 1 << 63
}

// scoreInt is scoreBits for a signed integer.
func scoreInt(score float64) int64 {
	if score >= -1<<63 && score < 1<<63 {
		return int64(score)
	}
	return math.MinInt64
}

// distance returns the metres from p to q on a sphere, by the haversine formula.
func (p geoPoint) distance(q geoPoint) float64 {
	lat1, lat2 := float64(p.lat*radian), float64(q.lat*radian)
	u := sinOf(float64((lat2 - lat1) / 2))
	v := sinOf(float64((float64(q.lon*radian) - float64(p.lon*radian)) / 2))
	across := float64(float64(float64(cosOf(lat1)*cosOf(lat2))*v) * v)
	return float64((2 * earthRadius) * asinOf(math.Sqrt(float64(u*u)+across)))
}

const geoLetters = "0123456789bcdefghjkmnpqrstuvwxyz"

// geohashText is the standard geohash of a place: 11 letters, of which the last is always 0, because there are 52 bits.
func geohashText(p geoPoint) (text [11]byte) {
	bits := cellOf(p, 90, geoSteps).bits()
	for i := range text {
		text[i] = geoLetters[0]
		if i < 10 {
			text[i] = geoLetters[bits>>(47-5*i)&31]
		}
	}
	return text
}
