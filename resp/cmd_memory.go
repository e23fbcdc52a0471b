package resp

import (
	"fmt"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"

	"kvapp/fsm"
)

func objectHelp(c *conn, _ [][]byte) {
	c.help("OBJECT",
		"ENCODING <key>", "    Answers the name of the encoding that Redis would give the value.",
		"FREQ <key>", "    Answers how often the key is used, as a logarithmic counter; with an LFU policy of maxmemory-policy.",
		"IDLETIME <key>", "    Answers the seconds since the key was used last; without an LFU policy.",
		"REFCOUNT <key>", "    Answers how many references there are to the value.")
}

func memoryHelp(c *conn, _ [][]byte) {
	c.help("MEMORY",
		"DOCTOR", "    Tells what is wrong with the memory of this node.",
		"MALLOC-STATS", "    Answers what the allocator tells about itself.",
		"PURGE", "    Gives free memory back to the system.",
		"STATS", "    Answers what the memory of this node is used for.",
		"USAGE <key> [SAMPLES <count>]", "    Answers the bytes of a key and its value. Nothing is sampled, it is accounted.")
}

// memoryFacts are the figures that INFO memory, MEMORY STATS and MEMORY DOCTOR share, in bytes.
type memoryFacts struct {
	heap
	resident    uint64 // of the process
	peak        uint64 // of heap.objects
	startup     uint64 // heap.objects before the first command
	dataset     uint64 // keys and values, without what finds them
	counted     uint64 // what maxmemory is compared with
	clients     uint64 // buffers of all clients
	connections int
	databases   []databaseFacts
}

// databaseFacts are the figures of one database that is not empty.
type databaseFacts struct {
	db            int
	keys          int64
	main, expires int64 // bytes
}

// memory looks at the memory now.
func (s *Server) memory() memoryFacts {
	f := memoryFacts{heap: s.readMemory(), resident: residentBytes(), startup: s.stats.startHeap.Load()}
	f.peak = max(f.objects, s.stats.peakHeap.Load())
	store := s.node().Store()
	data := store.MemoryUsed()
	f.counted = uint64(max(0, store.Counted()))
	for db := range fsm.Databases {
		if keys, _ := store.Keys(db); keys > 0 {
			main, expires := store.Overhead(db)
			f.databases = append(f.databases, databaseFacts{db, keys, main, expires})
			data -= main
		}
	}
	f.dataset = min(f.objects, uint64(max(0, data)))
	for _, c := range s.clients() {
		f.clients += uint64(c.net.QueryBuffer()) + uint64(c.net.OutputBuffer()) + uint64(c.state.multiMem.Load())
		f.connections++
	}
	return f
}

// used is what the process uses beyond what it used when it was empty.
func (f *memoryFacts) used() uint64 { return uint64(diff(f.objects, f.startup)) }

func memoryStats(c *conn, _ [][]byte) {
	f := c.srv.memory()
	keys := int64(0)
	for i := range f.databases {
		keys += f.databases[i].keys
	}
	c.out.Map(27 + len(f.databases))
	c.number("peak.allocated", int64(f.peak))
	c.number("total.allocated", int64(f.objects))
	c.number("startup.allocated", int64(f.startup))
	c.number("replication.backlog", 0) // the log is on disk
	c.number("clients.slaves", 0)      // the other nodes are no clients
	c.number("clients.normal", int64(f.clients))
	c.number("cluster.links", 0)
	c.number("aof.buffer", 0)
	c.number("lua.caches", 0)
	c.number("functions.caches", 0)
	for i := range f.databases {
		d := &f.databases[i]
		c.out.BulkString("db." + strconv.Itoa(d.db))
		c.out.Map(3)
		c.number("overhead.hashtable.main", d.main)
		c.number("overhead.hashtable.expires", d.expires)
		c.number("overhead.hashtable.slot-to-keys", 0) // keys stand by slot
	}
	c.number("overhead.total", int64(f.objects-f.dataset))
	c.number("keys.count", keys)
	c.number("keys.bytes-per-key", int64(f.used())/max(1, keys))
	c.number("dataset.bytes", int64(f.dataset))
	c.double("dataset.percentage", 100*quotient(f.dataset, max(f.used(), f.dataset)))
	c.double("peak.percentage", 100*quotient(f.objects, f.peak))
	c.number("allocator.allocated", int64(f.objects))
	c.number("allocator.active", int64(f.active))
	c.number("allocator.resident", int64(f.heap.resident))
	c.excess("allocator-fragmentation", f.active, f.objects)
	c.excess("allocator-rss", f.heap.resident, f.active)
	c.excess("rss-overhead", f.resident, f.heap.resident)
	c.double("fragmentation", quotient(f.resident, f.objects))
	c.number("fragmentation.bytes", int64(f.resident)-int64(f.objects))
}

func (c *conn) double(key string, v float64) {
	c.out.BulkString(key)
	c.out.Double(v)
}

// excess answers how far a figure is above another, as a quotient and in bytes.
func (c *conn) excess(key string, part, whole uint64) {
	c.double(key+".ratio", quotient(part, whole))
	c.number(key+".bytes", int64(part)-int64(whole))
}

func memoryDoctor(c *conn, _ [][]byte) {
	f := c.srv.memory()
	c.out.Verbatim("txt", f.report())
}

// The words around a report are Redis' own: monitoring looks for them.
const (
	doctorEmpty = "Hi Sam, this instance is empty or is using very little memory, my issues detector can't be used in these conditions. " +
		"Please, leave for your mission on Earth and fill it with some data. " +
		"The new Sam and I will be back to our programming as soon as I finished rebooting.\n"
	doctorWell = "Hi Sam, I can't find any memory issue in your instance. I can only account for what occurs on this base.\n"
	doctorHead = "Sam, I detected a few issues in this Redis instance memory implants:\n\n"
	doctorTail = "I'm here to keep you safe, Sam. I want to help you.\n"
)

// report says what is wrong, at the same limits as Redis.
func (f *memoryFacts) report() string {
	if f.objects < 5<<20 {
		return doctorEmpty
	}
	var issues strings.Builder
	issue := func(found bool, name, text string, args ...any) {
		if found {
			fmt.Fprintf(&issues, " * %s: "+text+"\n\n", append([]any{name}, args...)...)
		}
	}
	above := func(part, whole uint64, ratio float64) bool {
		return quotient(part, whole) > ratio && diff(part, whole) > 10<<20
	}
	issue(quotient(f.peak, f.objects) > 1.5, "Peak memory", "this process once used %s, now it uses %s. The system may not have got all of the difference back; "+
		"MEMORY PURGE hands out what is free.", human(f.peak), human(f.objects))
	issue(above(f.resident, f.objects, 1.4), "High total RSS", "the process occupies %.2f times the memory that it uses. What follows tells which part is to blame.",
		quotient(f.resident, f.objects))
	issue(above(f.active, f.objects, 1.1), "High allocator fragmentation", "the pages in use are %.2f times what stands in them, for objects of other sizes were freed. "+
		"Records are moved together by themselves, further with MEMORY PURGE; a restart packs the rest anew.", quotient(f.active, f.objects))
	issue(above(f.heap.resident, f.active, 1.1), "High allocator RSS overhead", "the allocator keeps %.2f times the pages in use, to have some at hand. "+
		"MEMORY PURGE hands out the others.", quotient(f.heap.resident, f.active))
	issue(above(f.resident, f.heap.resident, 1.1), "High process RSS overhead", "the process occupies %.2f times what its allocator holds: stacks, tables of the runtime, "+
		"files in memory.", quotient(f.resident, f.heap.resident))
	issue(f.connections > 0 && f.clients/uint64(f.connections) > 200<<10, "Big client buffers", "a client's buffers take %s on average. "+
		"Clients that do not read their replies, or send large commands, show in CLIENT LIST.", human(f.clients/uint64(max(1, f.connections))))
	if issues.Len() == 0 {
		return doctorWell
	}
	return doctorHead + issues.String() + doctorTail
}

// memoryPurge collects what is dead and gives the free memory back. It takes a collection's time, on this connection; the
// records of the keyspace are moved together in the background.
func memoryPurge(c *conn, _ [][]byte) {
	c.srv.node().Purge()
	debug.FreeOSMemory()
	c.out.Simple("OK")
}

// mallocStats prints what the runtime measures of memory and collections, one figure a line.
func mallocStats(c *conn, _ [][]byte) {
	var list []metrics.Sample
	for _, d := range metrics.All() {
		if strings.HasPrefix(d.Name, "/memory/") || strings.HasPrefix(d.Name, "/gc/") {
			list = append(list, metrics.Sample{Name: d.Name})
		}
	}
	metrics.Read(list)
	var b strings.Builder
	for i := range list {
		switch v := list[i].Value; v.Kind() {
		case metrics.KindUint64:
			fmt.Fprintf(&b, "%s %d\n", list[i].Name, v.Uint64())
		case metrics.KindFloat64:
			fmt.Fprintf(&b, "%s %g\n", list[i].Name, v.Float64())
		}
	}
	c.out.Verbatim("txt", b.String())
}
