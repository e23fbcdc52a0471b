package main

import (
	"bytes"
	"strconv"
)

// words gathers the arguments of one command. Its buffers are used again and again: one that fills millions of keys makes
// no garbage that would be counted as the store's.
type words struct {
	buf  []byte
	ends []int
}

// script is a sequence of n commands: say writes the one with number i, the same every time. A script for measuring may
// be asked for numbers beyond n.
type script struct {
	n   int
	say func(i int, w *words)
}

func (w *words) reset() { w.buf, w.ends = w.buf[:0], w.ends[:0] }

func (w *words) end() { w.ends = append(w.ends, len(w.buf)) }

func (w *words) text(s string) {
	w.buf = append(w.buf, s...)
	w.end()
}

func (w *words) number(n int) {
	w.buf = strconv.AppendInt(w.buf, int64(n), 10)
	w.end()
}

// nameSize is the size of keys, fields and members in bytes.
const nameSize = 16

// name adds an argument of nameSize bytes: the prefix, a colon, and the number with zeros in front.
func (w *words) name(prefix string, n int) {
	from := len(w.buf)
	w.buf = append(append(w.buf, prefix...), ':')
	for len(w.buf) < from+nameSize {
		w.buf = append(w.buf, '0')
	}
	for i := from + nameSize - 1; n > 0; i-- {
		w.buf[i] = byte('0' + n%10)
		n /= 10
	}
	w.end()
}

// value adds an argument of size bytes, at most maxValue, that no compressor makes smaller.
func (w *words) value(n, size int) {
	at := int(mix(uint64(n)) % noiseSize)
	w.buf = append(w.buf, noise[at:at+size]...)
	w.end()
}

// args appends the arguments to dst. They are valid until reset.
func (w *words) args(dst [][]byte) [][]byte {
	from := 0
	for _, to := range w.ends {
		dst = append(dst, w.buf[from:to:to])
		from = to
	}
	return dst
}

// resp appends the command as clients send it.
func (w *words) resp(dst []byte) []byte {
	dst = append(strconv.AppendInt(append(dst, '*'), int64(len(w.ends)), 10), "\r\n"...)
	from := 0
	for _, to := range w.ends {
		dst = append(strconv.AppendInt(append(dst, '$'), int64(to-from), 10), "\r\n"...)
		dst = append(append(dst, w.buf[from:to]...), "\r\n"...)
		from = to
	}
	return dst
}

// payload is the bytes of all arguments but the command's name.
func (w *words) payload() int {
	if len(w.ends) == 0 {
		return 0
	}
	return len(w.buf) - w.ends[0]
}

// mix spreads a number over 64 bits (SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// random is a number below n that follows from i.
func random(i, n int) int { return int(mix(uint64(i)) % uint64(n)) }

const (
	noiseSize = 1 << 16
	maxValue  = 512
)

// noise is what values are cut from.
var noise = func() []byte {
	var b bytes.Buffer
	for i := uint64(0); b.Len() < noiseSize+maxValue; i++ {
		for x := mix(i); x > 0; x >>= 8 {
			b.WriteByte(byte(x))
		}
	}
	return b.Bytes()
}()
