package fsm

import "math"

// Sine, cosine and arc sine by additions, multiplications, divisions and square roots alone, which IEEE 754 defines to the last
// bit. The conversions keep a compiler from fusing operations, as some would; those that are to be fused say so. So distances,
// which GEOSEARCHSTORE puts into the state, are the same on every processor. They are those of C's library but for, at times,
// the last bit.

const (
	halfPiLow = 6.123233995736766e-17 // what math.Pi/2 as a float64 lacks
	trigTerms = 8
	asinTerms = 26
)

// sinTerms and cosTerms are the coefficients of the Taylor series behind the first terms, asinSeries those of the arc sine.
var (
	sinTerms, cosTerms = trigSeries(1), trigSeries(2)
	asinSeries         = newAsinSeries()
)

// trigSeries returns the alternating reciprocals of (first+2)!, (first+4)!, ...
func trigSeries(first int) (c [trigTerms]float64) {
	factorial, sign := 1.0, -1.0
	if first == 2 {
		factorial, sign = 2, 1
	}
	for i := range c {
		n := float64(first + 2*i + 1)
		factorial = float64(float64(factorial*n) * (n + 1))
		c[i] = sign / factorial
		sign = -sign
	}
	return c
}

func newAsinSeries() (c [asinTerms]float64) {
	last := 1.0
	for i := range c {
		n := float64(2*i + 1)
		last = float64(float64(last*n)*n) / float64((n+1)*(n+2))
		c[i] = float64(last)
	}
	return c
}

func polynomial(c []float64, x float64) (sum float64) {
	for i := len(c) - 1; i >= 0; i-- {
		sum = float64(float64(sum*x) + c[i])
	}
	return sum
}

// quarter returns x, of at most a few turns, less the nearest multiple of a right angle, as a sum, and that multiple modulo 4.
func quarter(x float64) (r, low float64, q int) {
	n := math.Floor(float64(x*(2/math.Pi)) + 0.5)
	whole := float64(n * (math.Pi / 2))
	rest := math.FMA(n, math.Pi/2, -whole) + float64(n*halfPiLow)
	far := x - whole
	r = far - rest
	return r, (far - r) - rest, int(math.Mod(n, 4)+4) % 4
}

// sinOf returns the sine of x in radians.
func sinOf(x float64) float64 {
	r, low, q := quarter(x)
	return turn(r, low, q)
}

// cosOf returns the cosine of x in radians.
func cosOf(x float64) float64 {
	r, low, q := quarter(x)
	return turn(r, low, (q+1)%4)
}

// turn returns the sine of r+low, of at most an eighth of a turn, plus q right angles.
func turn(r, low float64, q int) float64 {
	z := float64(r * r)
	var y float64
	if q%2 == 0 {
		cube := float64(float64(r*z) * polynomial(sinTerms[:], z))
		y = r + (cube + float64(low*(1-float64(z/2))))
	} else {
		half := z / 2
		w := 1 - half
		tail := float64(float64(z*z)*polynomial(cosTerms[:], z)) - float64(r*low)
		y = w + ((1 - w) - half + tail)
	}
	if q >= 2 {
		return -y
	}
	return y
}

// asinOf returns the arc sine of t from 0 to 1; beyond that it is not a number.
func asinOf(t float64) float64 {
	if t <= 0.5 {
		z := float64(t * t)
		return t + float64(float64(t*z)*polynomial(asinSeries[:], z))
	}
	w := float64((1 - t) / 2)
	s := math.Sqrt(w)
	if s == 0 {
		return math.Pi / 2
	}
	low := math.FMA(-s, s, w) / float64(2*s)
	tail := low + float64(float64(s*w)*polynomial(asinSeries[:], w))
	return math.Pi/2 - (float64(2*s) - (halfPiLow - float64(2*tail)))
}
