package sim

import "math/bits"

// golden spreads counters over 64 bits.
const golden = 0x9e3779b97f4a7c15

// mix is the end of splitmix64: every bit of x reaches every bit of the result.
func mix(x uint64) uint64 {
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb
	return x ^ (x >> 31)
}

// dice is a sequence of random numbers. Only the drawing of options uses one: whatever happens while a world runs takes
// its randomness by address (see choice), so that leaving one fault out does not change all the others.
type dice uint64

func (d *dice) next() uint64 {
	*d += golden
	return mix(uint64(*d))
}

// n returns a number from 0 to n-1.
func (d *dice) n(n int) int { return int(d.next() % uint64(n)) }

// oneIn is true once in n times.
func (d *dice) oneIn(n int) bool { return d.n(n) == 0 }

// between returns a number from lo to hi, every power of two between them equally often.
func (d *dice) between(lo, hi int64) int64 { return span(d.next(), lo, hi) }

// pick returns one of the numbers.
func (d *dice) pick(numbers ...int64) int64 { return numbers[d.n(len(numbers))] }

// span turns random bits into a number from lo to hi, every power of two between them equally often.
func span(r uint64, lo, hi int64) int64 {
	if hi <= lo {
		return lo
	}
	low := max(lo, 1)
	k := int64(r % uint64(bits.Len64(uint64(hi/low))))
	low = low << k
	high := min(2*low, hi)
	v := low + int64((r>>8)%uint64(high-low+1))
	if lo == 0 && v == 1 && r>>63 == 0 {
		return 0
	}
	return v
}

// exponential turns random bits into a number with about the given mean: half of what is left lies behind every step of
// one half-life, as in an exponential distribution, and nothing here depends on how a machine rounds.
func exponential(r uint64, mean int64) int64 {
	steps := int64(bits.TrailingZeros64(r | 1<<16)) // half of the numbers have none, a quarter one, ...
	part := int64(r >> 32 & 0xffff)
	return mean * (steps<<16 + part) / (3 << 15) // the mean of steps+part is 3/2
}
