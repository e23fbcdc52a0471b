package rdb

// LZF is a sequence of runs and references. The first byte of a run is below 32: so many bytes follow, and one more. A
// reference is 2 or 3 bytes: the highest three bits of the first are how many bytes are repeated, less 2 (7 = less 9, and the next
// byte is added); its other bits and the last byte how far back they stand, less 1.
//
// Every decoder accepts every way of cutting a text into runs and references. Writer cuts as Redis does, to answer the same
// bytes: at each place it looks for the place where the same three bytes stood last, by a table of 65536 places.
const (
	lzfRun      = 1 << 5  // the most bytes of a run
	lzfFar      = 1 << 13 // the farthest place that a reference reaches
	lzfLong     = 1<<8 + 1<<3
	lzfLongCode = 7
	lzfHashBits = 16
	lzfUnrolled = 16
	// lzfMost is how many bytes one byte can become at most: a reference of 3 bytes stands for lzfLong of them.
	lzfMost = lzfLong / 3
)

// compressor is the table of places. The zero value is ready; one that was used before gives the same bytes.
type compressor struct {
	table [1 << lzfHashBits]uint32 // base + place by the hash of what stands there; no higher than base = none
	base  uint32
	out   []byte
	run   int // bytes of the run that is being written; its first byte stands before it
}

// lzfHash is the hash of three bytes.
func lzfHash(a, b, c byte) uint32 {
	h := uint32(a)<<16 | uint32(b)<<8 | uint32(c)
	return (h>>(24-lzfHashBits) - h*5) & (1<<lzfHashBits - 1)
}

// compress returns LZF of at most limit bytes that in becomes by; false if it is longer. It is valid until the next call.
func (c *compressor) compress(in []byte, limit int) ([]byte, bool) {
	if uint64(c.base)+uint64(len(in)) >= 1<<32 {
		clear(c.table[:])
		c.base = 0
	}
	base := c.base
	c.base += uint32(len(in))
	if cap(c.out) < limit+1 {
		c.out = make([]byte, 0, limit+1)
	}
	c.out, c.run = c.out[:1], 0
	at := 0
	for at < len(in)-2 {
		slot := &c.table[lzfHash(in[at], in[at+1], in[at+2])]
		ref := int(*slot) - int(base)
		*slot = base + uint32(at)
		if ref <= 0 || at-ref > lzfFar || in[ref] != in[at] || in[ref+1] != in[at+1] || in[ref+2] != in[at+2] {
			if len(c.out) >= limit {
				return nil, false
			}
			c.literal(in[at])
			at++
			continue
		}
		n := repeated(in, ref, at)
		if !c.refer(n, at-ref-1, limit) {
			return nil, false
		}
		if at += n; at >= len(in)-2 {
			break
		}
		for i := at - 2; i < at; i++ {
			c.table[lzfHash(in[i], in[i+1], in[i+2])] = base + uint32(i)
		}
	}
	if len(c.out)+3 > limit {
		return nil, false
	}
	for ; at < len(in); at++ {
		c.literal(in[at])
	}
	c.endRun()
	return c.out, true
}

// literal adds a byte to the run.
func (c *compressor) literal(b byte) {
	c.out = append(c.out, b)
	if c.run++; c.run == lzfRun {
		c.endRun()
		c.out = append(c.out, 0)
	}
}

// endRun writes the first byte of the run; of an empty one it takes it back.
func (c *compressor) endRun() {
	if c.run == 0 {
		c.out = c.out[:len(c.out)-1]
		return
	}
	c.out[len(c.out)-c.run-1] = byte(c.run - 1)
	c.run = 0
}

// refer ends the run, and writes a reference to n bytes that stand so far back, less 1. It reports false when that comes close to
// limit.
func (c *compressor) refer(n, back, limit int) bool {
	empty := 0
	if c.run == 0 {
		empty = 1
	}
	if len(c.out)-empty+4 >= limit {
		return false
	}
	c.endRun()
	if n -= 2; n < lzfLongCode {
		c.out = append(c.out, byte(back>>8+n<<5))
	} else {
		c.out = append(c.out, byte(back>>8+lzfLongCode<<5), byte(n-lzfLongCode))
	}
	c.out = append(c.out, byte(back), 0)
	return true
}

// repeated is how many bytes from at on are those from ref on, of which three are known to be. Where many are left it compares
// some more than a reference may have near the end, as Redis does; they still fit.
func repeated(in []byte, ref, at int) int {
	n := 2
	most := min(len(in)-at-n, lzfLong)
	if most > lzfUnrolled {
		for range lzfUnrolled {
			if n++; in[ref+n] != in[at+n] {
				return n
			}
		}
	}
	for n++; n < most && in[ref+n] == in[at+n]; n++ {
	}
	return n
}

// expand appends the size bytes that LZF stands for; false if it stands for something else.
func expand(dst, in []byte, size int) ([]byte, bool) {
	from, end := len(dst), len(dst)+size
	for at := 0; at < len(in); {
		code := int(in[at])
		at++
		if code < lzfRun {
			n := code + 1
			if n > len(in)-at || n > end-len(dst) {
				return dst, false
			}
			dst = append(dst, in[at:at+n]...)
			at += n
			continue
		}
		n := code >> 5
		if n == lzfLongCode && at < len(in) {
			n += int(in[at])
			at++
		}
		if at >= len(in) {
			return dst, false
		}
		ref := len(dst) - (code&0x1f<<8 + int(in[at])) - 1
		at++
		if n += 2; ref < from || n > end-len(dst) {
			return dst, false
		}
		for n > 0 { // what it repeats may be what it writes: the more there is, the more goes at once
			part := min(n, len(dst)-ref)
			dst = append(dst, dst[ref:ref+part]...)
			n -= part
		}
	}
	return dst, len(dst) == end
}
