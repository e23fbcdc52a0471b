package fsm

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// A HyperLogLog is a string with Redis' layout, byte for byte, so that GET and SET move one between servers:
//
//	"HYLL"  encoding(1)  unused(3)  count(8)  registers
//
// Each of 16384 registers holds the longest run of zeros, plus one, of the hashes that fall to it. The count is the last
// estimate, little endian; its highest bit says that the registers have changed since. Registers are dense, 6 bits each,
// lowest bit first; or sparse, a sequence of runs:
//
//	00llllll           up to 64 registers of 0
//	01llllll llllllll  up to 16384 registers of 0
//	1vvvvvll           up to 4 registers of a value from 1 to 32
//
// all lengths and values less one. A sparse one becomes dense, and stays that, when a register exceeds 32 or when it would
// be longer than hllSparseMax bytes. How runs are split and joined is part of the layout: the same commands leave the same
// bytes as Redis does.
const (
	hllHead      = 16
	hllEncodeAt  = 4
	hllCountAt   = 8
	hllStale     = 1 << 7 // in the last byte of the count
	hllDense     = 0
	hllSparse    = 1
	hllIndexBits = 14
	hllRegisters = 1 << hllIndexBits
	hllHashBits  = 64 - hllIndexBits
	hllBits      = 6
	hllMax       = 1<<hllBits - 1
	hllDenseSize = hllHead + hllRegisters*hllBits/8

	// HLLSparseMaxBytes is the longest sparse HyperLogLog in bytes, as the setting hll-sparse-max-bytes has it by default in
	// Redis.
	HLLSparseMaxBytes = 3000

	hllZeroRun  = 64
	hllValueRun = 4
	hllValueMax = 32
)

// hll is the string of a HyperLogLog. Only what isHLL accepts may be used; sparse registers can still be anything.
type hll []byte

// newHLL makes dst an empty HyperLogLog.
func newHLL(dst hll) hll {
	dst = append(dst[:0], "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
	return appendZeros(dst, hllRegisters)
}

func isHLL(b []byte) bool {
	if len(b) < hllHead || string(b[:hllEncodeAt]) != "HYLL" {
		return false
	}
	return b[hllEncodeAt] == hllSparse || b[hllEncodeAt] == hllDense && len(b) == hllDenseSize
}

func (h hll) dense() bool { return h[hllEncodeAt] == hllDense }

// stale says that the count is not that of the registers.
func (h hll) stale() bool { return h[hllHead-1]&hllStale != 0 }

func (h hll) spoil()        { h[hllHead-1] |= hllStale }
func (h hll) count() uint64 { return binary.LittleEndian.Uint64(h[hllCountAt:]) }

// hllRun is a run of equal registers.
type hllRun struct {
	value uint8
	n     int // registers
	size  int // bytes that tell of it
}

// run reads the run at an offset. A second byte that is missing counts as 0.
func (h hll) run(at int) hllRun {
	switch c := h[at]; {
	case c&0x80 != 0:
		return hllRun{value: c>>2&31 + 1, n: int(c&3) + 1, size: 1}
	case c&0x40 == 0:
		return hllRun{n: int(c) + 1, size: 1}
	case at+1 == len(h):
		return hllRun{n: int(c&0x3f)<<8 + 1, size: 2}
	default:
		return hllRun{n: int(c&0x3f)<<8 + int(h[at+1]) + 1, size: 2}
	}
}

// appendZeros appends a run of 0 to 16384 registers of 0.
func appendZeros(b []byte, n int) []byte {
	switch {
	case n == 0:
		return b
	case n > hllZeroRun:
		return append(b, 0x40|byte((n-1)>>8), byte(n-1))
	}
	return append(b, byte(n-1))
}

// appendValues appends a run of 0 to 4 registers of value.
func appendValues(b []byte, value uint8, n int) []byte {
	if n == 0 {
		return b
	}
	return append(b, valueRun(value, n))
}

func valueRun(value uint8, n int) byte { return 0x80 | (value-1)<<2 | byte(n-1) }

// at reads a register of a dense one.
func (h hll) at(i int) uint8 {
	byteAt, shift := hllHead+i*hllBits/8, i*hllBits%8
	v := uint(h[byteAt])
	if shift > 8-hllBits {
		v |= uint(h[byteAt+1]) << 8
	}
	return uint8(v >> shift & hllMax)
}

// pair returns the two bytes, the second of which may be missing, that register i of a dense one stands in, with value in
// its place, and where they begin.
func (h hll) pair(i int, value uint8) (b [2]byte, n, at int) {
	at, n = hllHead+i*hllBits/8, 1
	shift := i * hllBits % 8
	word := uint(h[at])
	if shift > 8-hllBits {
		n = 2
		word |= uint(h[at+1]) << 8
	}
	word = word&^(hllMax<<shift) | uint(value)<<shift
	return [2]byte{byte(word), byte(word >> 8)}, n, at
}

// put writes a register of a dense one.
func (h hll) put(i int, value uint8) {
	b, n, at := h.pair(i, value)
	copy(h[at:], b[:n])
}

// toDense appends the dense form of a sparse one to dst; false if its runs are not those of 16384 registers.
func (h hll) toDense(dst []byte) (hll, bool) {
	start := len(dst)
	dst = append(dst, h[:hllHead]...)
	d := hll(append(dst, make([]byte, hllDenseSize-hllHead)...)[start:])
	d[hllEncodeAt] = hllDense
	i := 0
	for at := hllHead; at < len(h); {
		r := h.run(at)
		if r.value > 0 {
			if i+r.n > hllRegisters {
				return nil, false
			}
			for k := range r.n {
				d.put(i+k, r.value)
			}
		}
		i += r.n
		at += r.size
	}
	return d, i == hllRegisters
}

// merge raises registers, one byte each, to those of h; false if h is damaged.
func (h hll) merge(registers []uint8) bool {
	if h.dense() {
		for i := range registers {
			registers[i] = max(registers[i], h.at(i))
		}
		return true
	}
	i := 0
	for at := hllHead; at < len(h); {
		r := h.run(at)
		if r.value > 0 {
			if i+r.n > len(registers) {
				return false
			}
			for k := range r.n {
				registers[i+k] = max(registers[i+k], r.value)
			}
		}
		i += r.n
		at += r.size
	}
	return i == len(registers)
}

// hllResult is what became of a change.
type hllResult uint8

const (
	hllSame hllResult = iota
	hllChanged
	hllDamaged
	hllFull // sparse, and cannot hold the new value
)

// raise sets register i of a sparse one, which must be the caller's own, to value unless it is as high.
func (h hll) raise(i int, value uint8) (hll, hllResult) {
	if value > hllValueMax {
		return h, hllFull
	}
	at, before, first := hllHead, hllHead, 0
	var r hllRun
	for {
		if at >= len(h) {
			return h, hllDamaged
		}
		if r = h.run(at); i < first+r.n {
			break
		}
		before = at
		at += r.size
		first += r.n
	}
	switch {
	case at+r.size > len(h):
		return h, hllDamaged
	case r.value >= value:
		return h, hllSame
	case r.n == 1 && r.size == 1:
		h[at] = valueRun(value, 1)
		return h.join(before), hllChanged
	}
	var buf [5]byte
	left, right := i-first, first+r.n-1-i
	var seq []byte
	if r.value == 0 {
		seq = appendZeros(appendValues(appendZeros(buf[:0], left), value, 1), right)
	} else {
		seq = appendValues(appendValues(appendValues(buf[:0], r.value, left), value, 1), r.value, right)
	}
	old := len(h)
	longer := len(seq) - r.size
	if longer > 0 && old+longer > HLLSparseMaxBytes {
		return h, hllFull
	}
	if longer > 0 {
		h = append(h, buf[:longer]...)
	}
	copy(h[at+len(seq):], h[at+r.size:old])
	h = h[:old+longer]
	copy(h[at:], seq)
	return h.join(before), hllChanged
}

// join joins runs of equal values among the five from at on, and marks the count as stale.
func (h hll) join(at int) hll {
	for n := 5; n > 0 && at < len(h); n-- {
		r := h.run(at)
		if r.value == 0 {
			at += r.size
			continue
		}
		if at+1 < len(h) {
			if next := h.run(at + 1); next.value == r.value && next.n+r.n <= hllValueRun {
				h[at+1] = valueRun(r.value, r.n+next.n)
				h = append(h[:at], h[at+1:]...)
				continue
			}
		}
		at++
	}
	h.spoil()
	return h
}

// hllPlace returns the register of an element and the value that it asks for.
func hllPlace(element []byte) (i int, value uint8) {
	hash := murmur64(element, hllSeed)
	rest := hash>>hllIndexBits | 1<<hllHashBits
	return int(hash & (hllRegisters - 1)), uint8(bits.TrailingZeros64(rest)) + 1
}

const hllSeed = 0xadc83b19

// murmur64 is MurmurHash64A.
func murmur64(b []byte, seed uint64) uint64 {
	const m, r = 0xc6a4a7935bd1e995, 47
	h := seed ^ uint64(len(b))*m
	for ; len(b) >= 8; b = b[8:] {
		k := binary.LittleEndian.Uint64(b) * m
		k ^= k >> r
		h = (h ^ k*m) * m
	}
	if len(b) > 0 {
		var tail uint64
		for i, c := range b {
			tail |= uint64(c) << (8 * i)
		}
		h = (h ^ tail) * m
	}
	h ^= h >> r
	h *= m
	return h ^ h>>r
}

// hllHistogram counts registers by their values.
type hllHistogram [64]int

// histogram returns the histogram; false if h is damaged.
func (h hll) histogram() (hist hllHistogram, ok bool) {
	if h.dense() {
		for i := range hllRegisters {
			hist[h.at(i)]++
		}
		return hist, true
	}
	i := 0
	for at := hllHead; at < len(h); {
		r := h.run(at)
		hist[r.value] += r.n
		i += r.n
		at += r.size
	}
	return hist, i == hllRegisters
}

// estimate is the number of different elements, by Otmar Ertl's improved estimator (2017). The order of operations is that of
// Redis, and the conversions keep a compiler from fusing them: the result is the same everywhere.
func (hist *hllHistogram) estimate() uint64 {
	const m, alpha = hllRegisters, 0.721347520444481703680
	z := m * hllTau(float64(m-hist[hllHashBits+1])/m)
	for i := hllHashBits; i >= 1; i-- {
		z = float64(float64(z+float64(hist[i])) * 0.5)
	}
	z = float64(z + float64(m*hllSigma(float64(hist[0])/m)))
	return uint64(math.Round(float64(alpha*m*m) / z))
}

func hllSigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for {
		x = float64(x * x)
		was := z
		z = float64(z + float64(x*y))
		y += y
		if z == was {
			return z
		}
	}
}

func hllTau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for {
		x = math.Sqrt(x)
		was := z
		y *= 0.5
		square := float64((1 - x) * (1 - x))
		z = float64(z - float64(square*y))
		if z == was {
			return z / 3
		}
	}
}
