package resp

import (
	"bytes"
	"os"
	"runtime/metrics"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// serverStats are the counters of INFO. Any goroutine.
type serverStats struct {
	connections atomic.Uint64
	commands    atomic.Uint64
	netIn       uint64 // of connections that have ended; under Server.mu
	netOut      uint64 // the same
	failures    atomic.Uint64
	denied      atomic.Uint64 // wrong names or passwords
	unknown     atomic.Uint64 // error words beyond maxErrorWords
	movedAt     atomic.Int64  // when a client was last sent to another node, in ms since 1970; 0 = never

	mu    sync.Mutex
	words map[string]uint64 // errors by their first word
	base  baseline

	rates     rates
	peakHeap  atomic.Uint64
	startHeap atomic.Uint64
}

// baseline is what counters that others own stood at when CONFIG RESETSTAT was called.
type baseline struct {
	hits, misses, expired, subkeys, evicted, netIn, netOut, rejected, moved, refused uint64
}

// maxErrorWords bounds errorstats: the words come from replies, and those may come from clients one day.
const maxErrorWords = 128

// failure counts an error reply; msg begins with its word.
func (st *serverStats) failure(msg []byte) {
	st.failures.Add(1)
	if i := bytes.IndexAny(msg, " \r\n"); i >= 0 {
		msg = msg[:i]
	}
	if string(msg) == "MOVED" {
		st.movedAt.Store(time.Now().UnixMilli())
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.words == nil {
		st.words = make(map[string]uint64)
	}
	if _, ok := st.words[string(msg)]; !ok && len(st.words) >= maxErrorWords {
		st.unknown.Add(1)
		return
	}
	st.words[string(msg)]++
}

// errorWords returns the error counts sorted by word.
func (st *serverStats) errorWords() (words []string, counts []uint64) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for w := range st.words {
		words = append(words, w)
	}
	sort.Strings(words)
	for _, w := range words {
		counts = append(counts, st.words[w])
	}
	return words, counts
}

// resetStats is CONFIG RESETSTAT.
func (s *Server) resetStats() {
	st := &s.stats
	in, out := s.traffic()
	store := s.node().Store()
	moves := store.Moves()
	st.mu.Lock()
	clear(st.words)
	st.base = baseline{hits: store.Hits(), misses: store.Misses(), expired: store.Expired(), subkeys: store.ExpiredFields(),
		evicted: store.Evicted(), netIn: in, netOut: out, rejected: s.guard.Rejected(), moved: moves.Done, refused: moves.Refused}
	st.mu.Unlock()
	st.connections.Store(0)
	st.commands.Store(0)
	st.failures.Store(0)
	st.denied.Store(0)
	st.unknown.Store(0)
	for _, x := range s.table.list {
		x.resetStats()
	}
}

func (x *command) resetStats() {
	x.stats.calls.Store(0)
	x.stats.nanos.Store(0)
	x.stats.rejected.Store(0)
	x.stats.failed.Store(0)
	for _, sub := range x.list {
		sub.resetStats()
	}
}

// traffic is the number of bytes received and sent since the start.
func (s *Server) traffic() (in, out uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in, out = s.stats.netIn, s.stats.netOut
	for _, c := range s.conns {
		in += c.net.BytesIn()
		out += c.net.BytesOut()
	}
	return in, out
}

func (st *serverStats) baseline() baseline {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.base
}

// sampleEvery and samples give the rates of INFO a window of 1.6 s.
const (
	sampleEvery = 100 * time.Millisecond
	samples     = 16
)

// rates are the per-second figures of INFO, averaged over the window.
type rates struct {
	mu   sync.Mutex
	ring [samples]sample
	n    int // samples taken
}

type sample struct {
	at                time.Time
	commands, in, out uint64
}

func (r *rates) add(s sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ring[r.n%samples] = s
	r.n++
}

// perSecond returns the rates over the window: commands, bytes in, bytes out.
func (r *rates) perSecond() (commands, in, out float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n < 2 {
		return 0, 0, 0
	}
	last := r.ring[(r.n-1)%samples]
	first := r.ring[max(0, r.n-samples)%samples]
	secs := last.at.Sub(first.at).Seconds()
	if secs <= 0 || last.commands < first.commands {
		return 0, 0, 0 // CONFIG RESETSTAT in between
	}
	return float64(last.commands-first.commands) / secs, diff(last.in, first.in) / secs, diff(last.out, first.out) / secs
}

// diff is a-b, 0 when a connection that ended between two looks was counted late.
func diff(a, b uint64) float64 {
	if a < b {
		return 0
	}
	return float64(a - b)
}

// sample feeds the rates until Close.
func (s *Server) sample() {
	defer s.serving.Done()
	s.stats.startHeap.Store(readHeap().objects)
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.closed:
			return
		case at := <-tick.C:
			in, out := s.traffic()
			s.stats.rates.add(sample{at: at, commands: s.stats.commands.Load(), in: in, out: out})
			if heap := s.readMemory().objects; heap > s.stats.peakHeap.Load() {
				s.stats.peakHeap.Store(heap)
			}
		}
	}
}

// heap is what the allocators hold, in bytes.
type heap struct {
	objects  uint64 // live and not yet collected
	active   uint64 // of the spans that hold them
	resident uint64 // with the spans that are free but not given back to the system
}

// readHeap looks at the Go heap.
func readHeap() heap {
	m := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"}}
	metrics.Read(m)
	var v [3]uint64
	for i := range m {
		if m[i].Value.Kind() == metrics.KindUint64 {
			v[i] = m[i].Value.Uint64()
		}
	}
	return heap{objects: v[0], active: v[0] + v[1], resident: v[0] + v[1] + v[2]}
}

// readMemory is readHeap with the records of the keyspace, which stand outside of the Go heap.
func (s *Server) readMemory() heap {
	h := readHeap()
	live, mapped := s.node().Store().Records()
	return heap{objects: h.objects + live, active: h.active + mapped, resident: h.resident + mapped}
}

// residentBytes is the memory the process occupies, 0 where the system does not tell.
func residentBytes() uint64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	f := bytes.Fields(b)
	if len(f) < 2 {
		return 0
	}
	pages, err := strconv.ParseUint(string(f[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}

// systemBytes is the memory of the machine, 0 where the system does not tell.
func systemBytes() uint64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	f := bytes.Fields(b)
	if len(f) < 2 || string(f[0]) != "MemTotal:" {
		return 0
	}
	kb, err := strconv.ParseUint(string(f[1]), 10, 64)
	if err != nil {
		return 0
	}
	return kb << 10
}
