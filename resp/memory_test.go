package resp

import (
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/fsm"
	"kvapp/internal/config"
)

// What CONFIG GET shows are the limits that the state machine applies.
func TestLimitsOfEncodings(t *testing.T) {
	for name, want := range map[string]int{
		"hash-max-listpack-entries": fsm.HashMaxListpackEntries, "hash-max-listpack-value": fsm.HashMaxListpackValue,
		"set-max-intset-entries": fsm.SetMaxIntsetEntries, "set-max-listpack-entries": fsm.SetMaxListpackEntries,
		"set-max-listpack-value": fsm.SetMaxListpackValue, "hll-sparse-max-bytes": fsm.HLLSparseMaxBytes, "zset-max-listpack-entries": fsm.ZSetMaxListpackEntries,
		"zset-max-listpack-value": fsm.ZSetMaxListpackValue, "list-max-listpack-size": fsm.ListMaxListpackSize,
		"stream-node-max-bytes": fsm.StreamNodeMaxBytes, "stream-node-max-entries": fsm.StreamNodeMaxEntries,
	} {
		require.Equal(t, strconv.Itoa(want), config.Lookup(name).Default(), name)
	}
}

func TestObject(t *testing.T) {
	_, servers := cluster(t, 2)
	c, follower := dial(t, addrOf(servers[0])), dial(t, addrOf(servers[1]))
	for _, step := range [][2]string{
		{"SET a 1", "+OK\r\n"},
		{"OBJECT ENCODING a", bulk("int")},
		{"OBJECT REFCOUNT a", ":2147483647\r\n"},
		{"OBJECT ENCODING", "-ERR wrong number of arguments for 'object|encoding' command\r\n"},
		{"OBJECT IDLETIME a", ":0\r\n"},
		{"OBJECT IDLETIME nokey", "$-1\r\n"},
		{"OBJECT FREQ nokey", "$-1\r\n"},
		{"OBJECT FOO a", "-ERR unknown subcommand 'FOO'. Try OBJECT HELP.\r\n"},
		{"OBJECT ENCODING nokey", "$-1\r\n"},
		{"COMMAND GETKEYS OBJECT ENCODING a", "*1\r\n" + bulk("a")},
	} {
		require.Equal(t, step[1], c.do(step[0]), step[0])
	}
	require.Contains(t, c.do("OBJECT HELP"), "+ENCODING <key>\r\n")
	require.Equal(t, "-MOVED 15495 "+addrOf(servers[0])+"\r\n", follower.do("OBJECT ENCODING a"))
	require.Contains(t, follower.do("OBJECT HELP"), "+ENCODING <key>\r\n")
	follower.do("READONLY")
	require.Equal(t, bulk("int"), follower.do("OBJECT ENCODING a"))
}

// Keys stand outside of the Go heap, and are memory all the same. These take more than anything else in a test's process.
func TestUsedMemoryHasTheKeys(t *testing.T) {
	_, _, c := one(t)
	value := strings.Repeat("x", 60_000)
	for i := range 1000 {
		require.Equal(t, "+OK\r\n", c.do("SET k"+strconv.Itoa(i)+" "+value))
	}
	runtime.GC()
	_, rest, ok := strings.Cut(c.do("INFO memory"), "used_memory:")
	require.True(t, ok)
	digits, _, _ := strings.Cut(rest, "\r\n")
	used, err := strconv.Atoi(digits)
	require.NoError(t, err)
	require.Greater(t, used, 60_000_000)
}

// INFO tells what is done against fragmentation, and CONFIG RESETSTAT lets it begin anew.
func TestMovesShow(t *testing.T) {
	f, _, c := one(t)
	value := strings.Repeat("x", 4000)
	var del strings.Builder
	del.WriteString("DEL")
	for i := range 2000 {
		key := " k" + strconv.Itoa(i)
		require.Equal(t, "+OK\r\n", c.do("SET"+key+" "+value))
		if i%4 != 0 {
			del.WriteString(key)
		}
	}
	require.Contains(t, c.do("INFO stats"), "active_defrag_hits:0\r\n")
	require.Equal(t, ":1500\r\n", c.do(del.String()))
	require.Equal(t, "+OK\r\n", c.do("MEMORY PURGE"))
	store := f.group.store // its applier has nothing to do
	require.Equal(t, fsm.RestMore, store.Tidy(0))
	require.Contains(t, c.do("INFO memory"), "active_defrag_running:25\r\n")
	for store.Tidy(100) != fsm.RestNone {
	}
	require.Contains(t, c.do("INFO memory"), "active_defrag_running:0\r\n")
	require.Regexp(t, "active_defrag_hits:[1-9][0-9]*\r\nactive_defrag_misses:0\r\nactive_defrag_key_hits:[1-9]", c.do("INFO stats"))
	require.Equal(t, "+OK\r\n", c.do("CONFIG RESETSTAT"))
	require.Contains(t, c.do("INFO stats"), "active_defrag_hits:0\r\n")
}

func TestMemory(t *testing.T) {
	_, _, c := one(t)
	for _, step := range [][2]string{
		{"MEMORY USAGE nokey", "$-1\r\n"},
		{"SET a 1", "+OK\r\n"},
		{"MEMORY USAGE a SAMPLES 0 SAMPLES 5", ":90\r\n"},
		{"PEXPIRE a 1000000", ":1\r\n"},
		{"MEMORY USAGE a", ":111\r\n"},
		{"MEMORY USAGE a SAMPLES -1", "-ERR syntax error\r\n"},
		{"MEMORY PURGE", "+OK\r\n"},
		{"MEMORY foo", "-ERR unknown subcommand 'foo'. Try MEMORY HELP.\r\n"},
	} {
		require.Equal(t, step[1], c.do(step[0]), step[0])
	}
	require.Contains(t, c.do("MEMORY HELP"), "+PURGE\r\n")
	require.Contains(t, c.do("MEMORY MALLOC-STATS"), "\n/memory/classes/total:bytes ")
	stats := c.do("MEMORY STATS")
	require.Contains(t, stats, bulk("keys.count")+":1\r\n")
	require.Contains(t, stats, bulk("db.0")+"*6\r\n"+bulk("overhead.hashtable.main")+":88\r\n")
	require.Contains(t, c.do("INFO memory"), "used_memory_dataset:2\r\n", "less what finds the key")
}

// Every issue is found beyond its limit and not at it.
func TestMemoryDoctor(t *testing.T) {
	const mb = 1 << 20
	well := memoryFacts{heap: heap{objects: 100 * mb, active: 105 * mb, resident: 110 * mb}, resident: 115 * mb, peak: 120 * mb,
		clients: 200 << 10, connections: 1}
	require.Equal(t, doctorWell, well.report())
	require.Equal(t, doctorEmpty, (&memoryFacts{heap: heap{objects: 5*mb - 1}}).report())
	for name, change := range map[string]func(f *memoryFacts){
		"Peak memory":                  func(f *memoryFacts) { f.peak = 151 * mb },
		"High total RSS":               func(f *memoryFacts) { f.resident = 141 * mb },
		"High allocator fragmentation": func(f *memoryFacts) { f.active = 111 * mb },
		"High allocator RSS overhead":  func(f *memoryFacts) { f.heap.resident = 117 * mb },
		"High process RSS overhead":    func(f *memoryFacts) { f.resident = 123 * mb },
		"Big client buffers":           func(f *memoryFacts) { f.clients = 401 << 10; f.connections = 2 },
	} {
		f := well
		change(&f)
		got := f.report()
		require.Contains(t, got, doctorHead+" * ", name)
		require.Contains(t, got, " * "+name+": ")
		require.Contains(t, got, "\n\n"+doctorTail)
		require.NotContains(t, got, "%!", name)
	}
}
