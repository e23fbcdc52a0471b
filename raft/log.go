package raft

// termRun is a stretch of the log with one term. It ends where the next one begins.
type termRun struct {
	term  uint64
	first uint64
}

// chunk is a stretch of entries in memory. Its array is only ever written behind len(ents), so slices of it may be
// handed to other goroutines. A chunk is dropped whole.
type chunk struct {
	first uint64
	ents  []Entry
	bytes int64
}

const (
	chunkEntries  = 128
	entryOverhead = 64 // bytes charged for an entry beyond its data
)

// memLog knows the term of every entry that can still matter, and holds the newest entries.
//
// Invariants: runs is never empty, with ascending first and term; runs[0].first is the lowest index whose term is known,
// it is at most the commit index. chunks hold (last-n, last] without a gap, for some n >= 0.
type memLog struct {
	runs       []termRun
	chunks     []chunk
	last       uint64
	bytes      int64 // of all chunks
	chunkBytes int64 // a chunk this large is full
}

func entrySize(e *Entry) int64 { return int64(len(e.Data)) + entryOverhead }

// reset empties the log; it goes on behind (index, term).
func (l *memLog) reset(index, term uint64) {
	clear(l.chunks)
	l.chunks = l.chunks[:0]
	l.runs = append(l.runs[:0], termRun{term: term, first: index})
	l.last, l.bytes = index, 0
}

// before adds what is known of the terms below (index, term), where the log was reset to. It reports false if the starts
// do not ascend to there.
func (l *memLog) before(starts []TermStart, first, index, term uint64) bool {
	if len(starts) == 0 {
		return true
	}
	runs := make([]termRun, 0, len(starts)+1)
	for i, s := range starts {
		follows := s.Index == first
		if i > 0 {
			follows = s.Index > runs[i-1].first && s.Term > runs[i-1].term
		}
		if !follows || s.Index > index || s.Term > term {
			return false
		}
		runs = append(runs, termRun{term: s.Term, first: s.Index})
	}
	if runs[len(runs)-1].term < term {
		runs = append(runs, termRun{term: term, first: index})
	}
	l.runs = runs
	return true
}

// memFirst is the lowest index in memory; last+1 if none is.
func (l *memLog) memFirst() uint64 {
	if len(l.chunks) == 0 {
		return l.last + 1
	}
	return l.chunks[0].first
}

func (l *memLog) lastTerm() uint64 { return l.runs[len(l.runs)-1].term }

// term returns the term at index; false if the index is not in the log or too old to be known.
func (l *memLog) term(index uint64) (uint64, bool) {
	if index > l.last {
		return 0, false
	}
	for i := len(l.runs) - 1; i >= 0; i-- {
		if l.runs[i].first <= index {
			return l.runs[i].term, true
		}
	}
	return 0, false
}

func (l *memLog) matches(index, term uint64) bool {
	t, ok := l.term(index)
	return ok && t == term
}

// seek returns the highest index <= index whose term is <= term, or runs[0].first if there is none that is known.
func (l *memLog) seek(index, term uint64) uint64 {
	end := min(index, l.last)
	for i := len(l.runs) - 1; i >= 0; i-- {
		r := l.runs[i]
		if r.first > end {
			continue
		}
		if r.term <= term {
			return end
		}
		if i > 0 {
			end = r.first - 1
		}
	}
	return min(end, l.runs[0].first)
}

// array returns room for the entries of one chunk: every entry counts entryOverhead bytes at least.
func (l *memLog) array() []Entry {
	return make([]Entry, 0, min(chunkEntries, (l.chunkBytes+entryOverhead-1)/entryOverhead))
}

// append adds e. REQUIRES: e.Index == last+1, e.Term >= lastTerm().
func (l *memLog) append(e Entry) {
	if e.Term != l.lastTerm() {
		l.runs = append(l.runs, termRun{term: e.Term, first: e.Index})
	}
	n := len(l.chunks)
	if n == 0 || len(l.chunks[n-1].ents) == chunkEntries || l.chunks[n-1].bytes >= l.chunkBytes {
		l.chunks = append(l.chunks, chunk{first: e.Index, ents: l.array()})
		n++
	}
	c := &l.chunks[n-1]
	c.ents = append(c.ents, e)
	c.bytes += entrySize(&e)
	l.bytes += entrySize(&e)
	l.last = e.Index
}

// truncate drops every entry at or above index. REQUIRES: index > runs[0].first.
func (l *memLog) truncate(index uint64) {
	for n := len(l.chunks); n > 0 && l.chunks[n-1].first >= index; n-- {
		l.bytes -= l.chunks[n-1].bytes
		l.chunks[n-1] = chunk{}
		l.chunks = l.chunks[:n-1]
	}
	if n := len(l.chunks); n > 0 {
		// The array may be in a message: what comes next goes to a new one.
		c := &l.chunks[n-1]
		if keep := int(index - c.first); keep < len(c.ents) {
			l.bytes -= c.bytes
			c.ents = append(l.array(), c.ents[:keep]...)
			c.bytes = 0
			for i := range c.ents {
				c.bytes += entrySize(&c.ents[i])
			}
			l.bytes += c.bytes
		}
	}
	for l.runs[len(l.runs)-1].first >= index {
		l.runs = l.runs[:len(l.runs)-1]
	}
	l.last = min(l.last, index-1)
}

// find returns the position of the chunk that holds index. REQUIRES: memFirst() <= index <= last.
func (l *memLog) find(index uint64) int {
	lo, hi := 0, len(l.chunks)-1
	if hi >= 0 && l.chunks[hi].first <= index { // nearly always the newest
		return hi
	}
	for lo < hi {
		mid := (lo + hi + 1) / 2
		if l.chunks[mid].first <= index {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	return lo
}

// slice returns entries from lo on, at least one and then up to maxBytes of data, as far as one chunk reaches.
// REQUIRES: memFirst() <= lo <= last.
func (l *memLog) slice(lo uint64, maxBytes int) (ents []Entry, size int) {
	c := &l.chunks[l.find(lo)]
	from := int(lo - c.first)
	to := from
	for to < len(c.ents) {
		n := len(c.ents[to].Data)
		if to > from && size+n > maxBytes {
			break
		}
		size += n
		to++
	}
	return c.ents[from:to:to], size
}

// at returns the entry at index. REQUIRES: memFirst() <= index <= last.
func (l *memLog) at(index uint64) *Entry {
	c := &l.chunks[l.find(index)]
	return &c.ents[index-c.first]
}

// appendTo appends the entries [lo, hi] to dst. REQUIRES: memFirst() <= lo, hi <= last.
func (l *memLog) appendTo(dst []Entry, lo, hi uint64) []Entry {
	for lo <= hi {
		c := &l.chunks[l.find(lo)]
		from, to := lo-c.first, min(hi-c.first+1, uint64(len(c.ents)))
		dst = append(dst, c.ents[from:to]...)
		lo = c.first + to
	}
	return dst
}

// shrink drops whole chunks that end at or below safe while more than maxBytes are held or they end below floor.
func (l *memLog) shrink(safe, floor uint64, maxBytes int64) {
	n := 0
	for n < len(l.chunks) {
		c := &l.chunks[n]
		end := c.first + uint64(len(c.ents)) - 1
		if end > safe || (l.bytes <= maxBytes && end >= floor) {
			break
		}
		l.bytes -= c.bytes
		n++
	}
	if n > 0 {
		rest := copy(l.chunks, l.chunks[n:])
		clear(l.chunks[rest:])
		l.chunks = l.chunks[:rest]
	}
}

// forget drops the terms below index. REQUIRES: index <= last.
func (l *memLog) forget(index uint64) {
	if index <= l.runs[0].first {
		return
	}
	i := len(l.runs) - 1
	for l.runs[i].first > index {
		i--
	}
	l.runs = l.runs[:copy(l.runs, l.runs[i:])]
	l.runs[0].first = index
}
