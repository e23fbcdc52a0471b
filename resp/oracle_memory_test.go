//go:build oracle

package resp

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// memoryReplies are compared byte for byte.
var memoryReplies = strings.Split(`OBJECT
OBJECT foo
OBJECT HELP a
OBJECT ENCODING
OBJECT ENCODING a b
OBJECT encoding nokey
OBJECT REFCOUNT nokey
COMMAND GETKEYS OBJECT ENCODING a
COMMAND GETKEYS OBJECT HELP
COMMAND GETKEYSANDFLAGS OBJECT REFCOUNT a
SET a 1
OBJECT ENCODING a
OBJECT REFCOUNT a
OBJECT FREQ
OBJECT FREQ a
OBJECT FREQ nokey
OBJECT IDLETIME
OBJECT IDLETIME a b
OBJECT IDLETIME nokey
CONFIG SET maxmemory-policy allkeys-lfu
OBJECT IDLETIME a
OBJECT IDLETIME nokey
OBJECT FREQ nokey
DEL new newer copy
SET new v
OBJECT FREQ new
CONFIG SET lfu-log-factor 0
GET new
OBJECT FREQ new
CLIENT NO-EVICT on
TOUCH new
OBJECT FREQ new
EXISTS new
TYPE new
TTL new
OBJECT FREQ new
SET new w
OBJECT FREQ new
RENAME new newer
OBJECT FREQ newer
COPY newer copy
OBJECT FREQ copy
OBJECT FREQ newer
CONFIG SET lfu-log-factor 2147483648
CONFIG SET lfu-decay-time -1
CONFIG SET lfu-log-factor 10
CONFIG SET maxmemory-policy volatile-lru
CONFIG SET maxmemory 1
CONFIG GET maxmemory
SET a 2
GET a
INCR a
MSET a 1 b 2
APPEND a 1
GETDEL nokey
PERSIST a
DEL nokey
SETEX a 10 1
GETSET a 1
SADD s 1
SREM s 1
COPY a b
RENAME a a
PERSIST a
HSET h a 1
HDEL h a
LPUSH l 1
LPOP l
SETRANGE a 0 x
GETEX a
CONFIG SET maxmemory 1gb
CONFIG GET maxmemory
CONFIG SET maxmemory 100mb
CONFIG GET maxmemory
CONFIG SET maxmemory 1k
CONFIG GET maxmemory
CONFIG SET maxmemory -1
CONFIG SET maxmemory 50%
CONFIG SET maxmemory 0
CONFIG SET maxmemory-policy noeviction
SET a 1
MEMORY
MEMORY foo
MEMORY USAGE
MEMORY USAGE nokey
MEMORY USAGE nokey SAMPLES 0
MEMORY USAGE a SAMPLES
MEMORY USAGE a SAMPLES x
MEMORY USAGE a SAMPLES -1
MEMORY USAGE a SAMPLES 9999999999999999999
MEMORY USAGE a foo
MEMORY USAGE nokey SAMPLES 1 SAMPLES 2
MEMORY PURGE
MEMORY PURGE a
MEMORY STATS a
MEMORY DOCTOR a
MEMORY MALLOC-STATS a
COMMAND GETKEYS MEMORY USAGE a
COMMAND GETKEYS MEMORY STATS
COMMAND GETKEYSANDFLAGS MEMORY USAGE a SAMPLES 5`, "\n")

func TestMemoryAsRedis(t *testing.T) {
	addr := oracle(t)
	_, s, _ := one(t)
	sameReplies(t, addrOf(s), addr, memoryReplies)
	theirs, ours := dial(t, addr), dial(t, addrOf(s))
	for _, c := range []*client{theirs, ours} {
		c.do("HELLO 3")
		c.do("SELECT 3")
		c.do("SET a 1")
	}
	want, got := value(t, theirs.do("MEMORY STATS")).(map[string]any), value(t, ours.do("MEMORY STATS")).(map[string]any)
	for name, v := range want {
		require.Contains(t, got, name)
		require.IsType(t, v, got[name], name)
		if db, ok := v.(map[string]any); ok {
			for name := range db {
				require.Contains(t, got["db.3"], name)
			}
		}
	}
	require.Len(t, got, len(want))
	require.Equal(t, doctorEmpty, strings.TrimPrefix(value(t, theirs.do("MEMORY DOCTOR")).(string), "txt:"))
}
