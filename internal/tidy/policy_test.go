package tidy

// This file is the statement of policy; the other files check it.

// rule is what one package may import beyond the standard library.
type rule struct {
	kvapp   []string // packages of this module
	modules []string // other modules
	tests   []string // packages and modules that only its tests may import
	banned  []string // packages of the standard library
}

// testModules and testPackage may be imported by every test.
var testModules = []string{"github.com/stretchr/testify", "pgregory.net/rapid", "go.uber.org/goleak"}

const testPackage = "internal/race"

// rules has a row for every package; one without a row of its own has that of its nearest parent. Whatever stands in no
// row may not be imported.
var rules = map[string]rule{
	// raft is pure: no I/O, no clock, no goroutine, no randomness of its own.
	"raft": {banned: []string{
		"sync", "sync/atomic", "time", "math/rand", "math/rand/v2", "crypto/rand", "os", "io", "net", "context", "log", "log/slog", "unsafe",
	}},
	// fsm is deterministic: replicas apply the same bytes to the same state.
	"fsm": {
		kvapp:   []string{"fsm/dict", "fsm/rdb", "fsm/slab"},
		modules: []string{"github.com/tidwall/btree"},
		tests:   []string{"golang.org/x/sys"}, // benchmarks count CPU time
		banned:  []string{"time", "math/rand", "math/rand/v2", "crypto/rand", "os", "net", "context", "log", "log/slog", "unsafe"},
	},
	// dict is part of the state; slab only holds its bytes, and maps memory.
	"fsm/dict": {
		kvapp:  []string{"fsm/slab"},
		banned: []string{"time", "math/rand", "math/rand/v2", "crypto/rand", "os", "net", "sync", "context", "log", "log/slog", "unsafe"},
	},
	// rdb is a format: bytes in, bytes out.
	"fsm/rdb": {banned: []string{"time", "math/rand", "math/rand/v2", "crypto/rand", "os", "io", "net", "sync", "context", "log", "log/slog", "unsafe"}},
	// Atomic words in bytes off the heap need unsafe: slab has it, behind a check of the bounds, and nobody else.
	"fsm/slab":  {banned: []string{"time", "math/rand", "math/rand/v2", "crypto/rand", "os", "net", "context", "log", "log/slog"}},
	"wal":       {kvapp: []string{"raft"}, modules: []string{"github.com/tidwall/wal", "golang.org/x/sys"}},
	"transport": {kvapp: []string{"internal/nonblock", "raft"}},
	// explore searches all that cores can do; what is around them it models itself.
	"sim/explore": {kvapp: []string{"raft"}, banned: []string{"time", "math/rand", "math/rand/v2", "crypto/rand", "os", "sync"}},
	// node declares what it needs of wal, transport, clock and disk as interfaces; it knows none of them.
	"node": {kvapp: []string{"fsm", "raft"}},
	// resp talks to the node through node.Client only, whose words (role, membership) are raft's.
	"resp": {
		kvapp:   []string{"fsm", "node", "raft", "internal/config", "internal/nonblock", "internal/words"},
		modules: []string{"github.com/tidwall/redcon"},
		tests:   []string{"github.com/redis/go-redis", "github.com/redis/rueidis"},
	},
	// sim/disk is a disk whose every choice comes from its seed.
	"sim/disk": {
		kvapp:  []string{"wal"},
		tests:  []string{"raft"},
		banned: []string{"time", "math/rand", "crypto/rand", "os", "net", "sync", "sync/atomic", "context", "log", "log/slog", "unsafe"},
	},
	// sim runs the node in one goroutine, on its own network, disk and clock.
	"sim": {
		kvapp:   []string{"fsm", "internal/journal", "internal/recovery", "node", "raft", "sim/disk", "wal"},
		modules: []string{"github.com/anishathalye/porcupine"},
	},
	"internal/journal":  {kvapp: []string{"node", "raft", "wal"}},
	"internal/recovery": {kvapp: []string{"raft", "wal"}},
	"internal/words":    {},
	"internal/race":     {},
	"internal/nonblock": {modules: []string{"golang.org/x/sys"}},
	"internal/config":   {kvapp: []string{"internal/words"}, tests: []string{"internal/e2e/cluster"}},
	"internal/status": {
		kvapp:   []string{"node", "raft"},
		modules: []string{"github.com/prometheus/client_golang"},
		tests:   []string{"fsm"},
	},
	"internal/bench":         {kvapp: []string{"internal/bench/process"}, tests: []string{"internal/e2e/cluster"}},
	"internal/bench/process": {},
	// It drives the state machine as node and resp do, and stores its snapshots as they are stored.
	"internal/bench/engine": {
		kvapp: []string{"fsm", "internal/bench/process", "raft", "resp", "wal"}, modules: []string{"golang.org/x/sys"},
	},
	"internal/mutants":      {},
	"internal/mutants/hunt": {tests: []string{"sim"}},
	// A module of its own.
	"internal/bench/rawnode": {kvapp: []string{"raft"}, modules: []string{"go.etcd.io/raft"}},
	"internal/tidy":          {},
	// cmd/kvapp is the only package that knows all the others.
	"cmd/kvapp": {
		kvapp:   []string{"fsm", "internal/config", "internal/journal", "internal/nonblock", "internal/recovery", "internal/status", "node", "raft", "resp", "sim", "transport", "wal"},
		modules: []string{"github.com/spf13/cobra", "github.com/spf13/pflag", "github.com/tidwall/redcon", "golang.org/x/sys"},
		tests:   []string{"internal/e2e/cluster", "github.com/redis/go-redis"},
	},
	// End to end: these start the program and know it by its ports and files.
	"internal/e2e/cluster": {kvapp: []string{"internal/race"}, modules: []string{"github.com/redis/go-redis"}},
	"internal/e2e":         endToEnd,
	"internal/clients":     endToEnd,
}

var endToEnd = rule{
	kvapp:   []string{"internal/e2e", "internal/e2e/cluster"},
	modules: []string{"github.com/redis/go-redis", "github.com/redis/rueidis", "github.com/anishathalye/porcupine"},
	tests:   []string{"wal", "raft", "fsm"},
}

// modules are the direct dependencies of go.mod, each with its reason to be there.
var modules = map[string]string{
	"github.com/tidwall/redcon":           "the client port's RESP server, behind the guard of resp; reads what other nodes answer",
	"github.com/tidwall/wal":              "the segment files under wal",
	"github.com/tidwall/btree":            "ordered sets and deadlines in fsm",
	"github.com/spf13/cobra":              "commands and flags",
	"github.com/spf13/pflag":              "the flag set that cobra hands out; its typed errors name the unknown flag",
	"github.com/prometheus/client_golang": "metrics in Prometheus' text format",
	"golang.org/x/sys":                    "CLOCK_BOOTTIME, CPU clocks, file locks, fdatasync, writev",
	"github.com/stretchr/testify":         "tests: assertions",
	"pgregory.net/rapid":                  "tests: properties and state machines with shrinking",
	"go.uber.org/goleak":                  "tests: no goroutine is left behind",
	"github.com/anishathalye/porcupine":   "linearizability of recorded histories, in tests and of simulated clients",
	"github.com/redis/go-redis/v9":        "tests: a cluster-aware client, as users have it",
	"github.com/redis/rueidis":            "tests: a pipelining RESP3 client, as users have it",
}

// deterministic packages have no goroutine, no clock and no range over a map whose order can reach state or reply.
var deterministic = []string{"raft", "fsm", "fsm/dict", "fsm/rdb"}

// mapRanges are the functions of the deterministic packages that may range over a map, and why the order is harmless.
var mapRanges = map[string]string{}

// mains may end the process, and only in main.go.
var mains = []string{"cmd/kvapp", "internal/bench", "internal/bench/engine", "internal/bench/rawnode", "internal/mutants"}

// Sizes. A table is one function at worst; what is longer has two jobs.
const (
	maxLine     = 140 // characters without the text of string literals
	maxFunction = 70  // lines, tests excepted
	maxFile     = 600 // lines
)

// longFunctions may pass maxFunction, and why.
var longFunctions = map[string]string{}
