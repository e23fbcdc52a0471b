//go:build oracle

package resp

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// transactionScenes are scenes for a server that is not in cluster mode: it has databases.
var transactionScenes = map[string][]string{
	"replies":                  {"a: MULTI", "a: SET a 1", "a: INCR a", "a: GET a", "a: DEL a b", "a: EXEC", "a: GET a"},
	"empty":                    {"a: MULTI", "a: EXEC", "a: EXEC", "a: DISCARD", "a: MULTI", "a: DISCARD", "a: EXEC"},
	"nested":                   {"a: MULTI", "a: MULTI", "a: SET a 1", "a: MULTI x", "a: EXEC", "a: MULTI", "a: MULTI", "a: PING", "a: EXEC"},
	"watch inside":             {"a: MULTI", "a: WATCH a", "a: SET a 1", "a: EXEC", "a: MULTI", "a: WATCH", "a: EXEC", "a: EXEC"},
	"unwatch inside":           {"a: SET k 1", "a: WATCH k", "b: SET k 2", "a: MULTI", "a: UNWATCH", "a: SET a 1", "a: EXEC", "a: GET a"},
	"unknown command":          {"a: MULTI", "a: SET a 1", "a: FOO x", "a: SET b 1", "a: EXEC", "a: EXISTS a b", "a: PING"},
	"unknown words":            {"a: MULTI", "a: CLIENT FOO", "a: EXEC", "a: MULTI", "a: OBJECT FOO", "a: EXEC", "a: EXEC"},
	"wrong arity":              {"a: MULTI", "a: GET", "a: SET a", "a: EXEC", "a: MULTI", "a: CLIENT ID x", "a: EXEC"},
	"arity of its own":         {"a: MULTI x", "a: EXEC x", "a: DISCARD x", "a: UNWATCH x", "a: WATCH", "a: MULTI", "a: SET a 1", "a: EXEC x", "a: EXEC", "a: GET a"},
	"arity of discard":         {"a: MULTI", "a: SET a 1", "a: DISCARD x", "a: EXEC", "a: EXEC"},
	"errors of commands":       {"a: SET s x", "a: MULTI", "a: INCR s", "a: LPUSH s 1", "a: SET t 1", "a: SET t 1 foo", "a: SELECT 99", "a: EXEC", "a: GET t"},
	"refused when it is to go": {"a: MULTI", "a: INCR", "a: DISCARD", "a: MULTI", "a: INCR n", "a: EXEC"},
	"own commands":             {"a: MULTI", "a: PING", "a: SET a 1", "a: ECHO x", "a: GET a", "a: PING y", "a: CLIENT GETNAME", "a: CONFIG GET maxmemory", "a: EXEC"},
	"only own commands":        {"a: MULTI", "a: PING", "a: ECHO x", "a: EXEC", "a: WATCH k", "b: SET k 1", "a: MULTI", "a: PING", "a: EXEC"},
	"client info":              {"a: CLIENT INFO", "a: MULTI", "b: CLIENT LIST", "a: PING", "a: SET a 1", "a: CLIENT SETNAME x", "b: CLIENT LIST", "a: EXEC", "b: CLIENT LIST"},
	"wait":                     {"a: SET a 1", "a: MULTI", "a: SET a 1", "a: WAIT 5 0", "a: WAIT x 0", "a: EXEC"},
	"select":                   {"a: SET k zero", "a: MULTI", "a: GET k", "a: SELECT 3", "a: GET k", "a: SET k three", "a: SELECT 99", "a: GET k", "a: SELECT 0", "a: GET k", "a: SELECT 3", "a: EXEC", "a: GET k", "a: SELECT 0", "a: GET k", "a: FLUSHALL"},
	"select and discard":       {"a: MULTI", "a: SELECT 3", "a: SET k 1", "a: DISCARD", "a: SET k 0", "a: GET k"},
	"select and a change":      {"a: SET k 1", "a: WATCH k", "b: SET k 2", "a: MULTI", "a: SELECT 3", "a: EXEC", "a: GET k"},
	"hello":                    {"a: HSET h f v", "a: MULTI", "a: HGETALL h", "a: HELLO 3", "a: HGETALL h", "a: HELLO 4", "a: HELLO 2 AUTH x y", "a: HGETALL h", "a: GET none", "a: EXEC", "a: HGETALL h", "a: GET none"},
	"hello back":               {"a: HELLO 3", "a: HSET h f v", "a: MULTI", "a: HGETALL h", "a: HELLO 2 SETNAME x", "a: HGETALL h", "a: GET none", "a: EXEC", "a: HGETALL h"},
	"null in RESP3":            {"a: HELLO 3", "a: WATCH k", "b: SET k 1", "a: MULTI", "a: GET k", "a: EXEC"},
	"auth":                     {"a: MULTI", "a: AUTH x", "a: AUTH default x", "a: SET a 1", "a: EXEC"},
	"reset":                    {"a: WATCH k", "a: MULTI", "a: SET k 1", "a: RESET", "a: EXEC", "a: GET k", "b: SET k 2", "a: MULTI", "a: SET k 3", "a: EXEC"},
	"quit":                     {"a: MULTI", "a> SET k 1", "a> QUIT", "a> EXEC", "a< 2", "a!", "b: GET k"},
	"disconnect":               {"a: PING", "b: MULTI", "b: SET k 1", "a: CLIENT KILL ID $b.id", "b!", "a: GET k"},
	"reply skip":               {"a- CLIENT REPLY SKIP", "a- MULTI", "a: SET k 1", "a- CLIENT REPLY SKIP", "a- EXEC", "a: GET k"},
	"reply off":                {"a: MULTI", "a: SET k 1", "a: EXEC", "a- CLIENT REPLY OFF", "a- MULTI", "a- SET k 2", "a- PING", "a- EXEC", "a: CLIENT REPLY ON", "a: GET k"},
	"reply off, failed":        {"a- CLIENT REPLY OFF", "a- MULTI", "a- FOO", "a- EXEC", "a: CLIENT REPLY ON", "a: EXEC"},
	"watch":                    {"a: SET k 1", "a: WATCH k", "a: MULTI", "a: SET k 2", "a: EXEC", "a: WATCH k", "b: SET k 3", "a: MULTI", "a: SET k 4", "a: EXEC", "a: GET k", "a: MULTI", "a: SET k 5", "a: EXEC"},
	"watch, late change":       {"a: WATCH k", "a: MULTI", "a: SET k 2", "b: SET k 3", "a: EXEC", "a: GET k"},
	"watch, the same value":    {"a: SET k 1", "a: WATCH k", "b: SET k 1", "a: MULTI", "a: PING", "a: EXEC"},
	"watch, no change":         {"a: SET k 1", "a: WATCH k", "b: SETNX k 2", "b: DEL other", "b: GET k", "b: HDEL h f", "b: PERSIST k", "b: APPEND j x", "a: MULTI", "a: PING", "a: EXEC"},
	"watch, own change":        {"a: WATCH k", "a: SET k 1", "a: MULTI", "a: PING", "a: EXEC"},
	"watch, twice":             {"a: SET k 1", "a: WATCH k", "b: SET k 2", "a: WATCH k", "a: MULTI", "a: PING", "a: EXEC"},
	"watch, several":           {"a: WATCH k j k", "b: SET j 2", "a: MULTI", "a: PING", "a: EXEC", "a: WATCH k j", "a: WATCH i", "b: SET x 2", "a: MULTI", "a: PING", "a: EXEC"},
	"watch, absent":            {"a: WATCH k", "b: SET k 2", "a: MULTI", "a: PING", "a: EXEC", "a: DEL k", "a: WATCH k", "b: DEL k", "a: MULTI", "a: PING", "a: EXEC"},
	"watch, comes and goes":    {"a: WATCH k", "b: SET k 2", "b: DEL k", "a: MULTI", "a: PING", "a: EXEC"},
	"watch, goes":              {"a: SET k 1", "a: WATCH k", "b: DEL k", "a: MULTI", "a: PING", "a: EXEC"},
	"watch, goes and comes":    {"a: SET k 1", "a: WATCH k", "b: DEL k", "b: SET k 1", "a: MULTI", "a: PING", "a: EXEC"},
	"watch, deadline":          {"a: SET k 1", "a: WATCH k", "b: EXPIRE k 1000", "a: MULTI", "a: PING", "a: EXEC", "a: WATCH k", "b: PERSIST k", "a: MULTI", "a: PING", "a: EXEC"},
	"watch, expired before":    {"a: SET k 1 PX 1", "a sleep 20", "a: WATCH k", "a: MULTI", "a: PING", "a: EXEC"},
	"watch, expired before 2":  {"a: SET k 1 PX 1", "a sleep 20", "a: WATCH k", "b: SET k 2", "a: MULTI", "a: PING", "a: EXEC"},
	"watch, expired after":     {"a: SET k 1 PX 1000", "a: WATCH k", "a sleep 1100", "a: MULTI", "a: SET k 2", "a: EXEC", "a: GET k"},
	"watch, other database":    {"a: SET k 1", "b: SELECT 1", "a: WATCH k", "b: SET k 2", "a: MULTI", "a: PING", "a: EXEC", "a: WATCH k", "a: SELECT 1", "a: SET k 3", "a: MULTI", "a: PING", "a: EXEC", "a: SELECT 0", "a: WATCH k", "a: SELECT 1", "c: SET k 5", "a: MULTI", "a: PING", "a: EXEC", "a: FLUSHALL"},
	"watch, collections":       {"a: HSET h f v", "a: RPUSH l 1 2", "a: WATCH h", "b: HSET h f v", "a: MULTI", "a: PING", "a: EXEC", "a: WATCH l", "b: LSET l 0 1", "a: MULTI", "a: PING", "a: EXEC", "a: WATCH l", "b: LPOP l", "a: MULTI", "a: PING", "a: EXEC", "a: WATCH l h", "b: LLEN l", "a: MULTI", "a: PING", "a: EXEC"},
	"watch, rename":            {"a: SET k 1", "a: WATCH k", "b: RENAME k j", "a: MULTI", "a: PING", "a: EXEC", "a: WATCH k", "b: RENAME j k", "a: MULTI", "a: PING", "a: EXEC", "a: WATCH k", "b: COPY k i", "a: MULTI", "a: PING", "a: EXEC", "a: WATCH i", "b: COPY k i REPLACE", "a: MULTI", "a: PING", "a: EXEC"},
	"watch, flushall":          {"a: SET k 1", "a: WATCH k", "b: FLUSHALL", "a: MULTI", "a: PING", "a: EXEC", "a: WATCH k", "b: FLUSHALL", "a: MULTI", "a: PING", "a: EXEC"},
	"watch, flushdb":           {"a: SET k 1", "a: WATCH k", "b: SELECT 1", "b: FLUSHDB", "a: MULTI", "a: PING", "a: EXEC", "a: WATCH k", "b: SELECT 0", "b: FLUSHDB", "a: MULTI", "a: PING", "a: EXEC"},
	"watch, flushall and back": {"a: SET k 1", "a: WATCH k", "b: FLUSHALL", "b: SET k 1", "a: MULTI", "a: PING", "a: EXEC"},
	"watch, swapdb":            {"a: SET k 1", "a: WATCH k", "b: SWAPDB 0 1", "a: MULTI", "a: PING", "a: EXEC", "a: WATCH k", "b: SWAPDB 0 1", "a: MULTI", "a: PING", "a: EXEC", "a: WATCH j", "b: SWAPDB 0 1", "a: MULTI", "a: PING", "a: EXEC", "a: WATCH k", "b: SWAPDB 2 3", "a: MULTI", "a: PING", "a: EXEC", "a: FLUSHALL"},
	"watch, swapdb and back":   {"a: SET k 1", "a: WATCH k", "b: SWAPDB 0 1", "b: SWAPDB 0 1", "a: MULTI", "a: PING", "a: EXEC", "a: FLUSHALL"},
	"unwatch":                  {"a: SET k 1", "a: WATCH k", "b: SET k 2", "a: UNWATCH", "a: MULTI", "a: PING", "a: EXEC"},
	"discard unwatches":        {"a: SET k 1", "a: WATCH k", "b: SET k 2", "a: MULTI", "a: DISCARD", "a: MULTI", "a: PING", "a: EXEC"},
	"exec unwatches":           {"a: SET k 1", "a: WATCH k", "a: MULTI", "a: FOO", "a: EXEC", "b: SET k 2", "a: MULTI", "a: PING", "a: EXEC"},
	"failed and changed":       {"a: SET k 1", "a: WATCH k", "b: SET k 2", "a: MULTI", "a: FOO", "a: EXEC"},
	"two transactions":         {"a: WATCH k", "b: WATCH k", "a: MULTI", "b: MULTI", "a: INCR k", "b: INCR k", "a: EXEC", "b: EXEC", "a: GET k"},
	"two transactions at once": {"a: MULTI", "b: MULTI", "a: INCR k", "b: INCR k", "a: EXEC", "b: EXEC", "a: GET k"},
	"pause at exec":            {"b: MULTI", "b: SET k 1", "a: CLIENT PAUSE 100000 WRITE", "b> EXEC", "a wait b", "a: GET k", "a: CLIENT UNPAUSE", "b< 1", "a: GET k"},
	"pause while queueing":     {"b: MULTI", "a: CLIENT PAUSE 100000 WRITE", "b: GET k", "b> SET k 1", "a wait b", "a: CLIENT UNPAUSE", "b< 1", "b: EXEC"},
	"pause and reads":          {"b: MULTI", "b: GET k", "b: TTL k", "a: CLIENT PAUSE 100000 WRITE", "b: EXEC", "a: CLIENT UNPAUSE"},
	"pause within":             {"a: MULTI", "a: CLIENT PAUSE 100000 WRITE", "a: GET k", "a: CLIENT UNPAUSE", "a: EXEC", "a: SET k 1"},
	"memory":                   {"a: SET k 1", "a: MULTI", "a: SET k 2", "b: CONFIG SET maxmemory 1", "a: EXEC", "a: MULTI", "a: GET k", "a: EXEC", "b: CONFIG SET maxmemory 0", "a: MULTI", "a: GET k", "b: CONFIG SET maxmemory 1", "a: EXEC", "a: MULTI", "a: SET k 2", "a: DISCARD", "b: CONFIG SET maxmemory 0", "a: GET k"},
	"memory, deletions":        {"a: SET k 1", "a: MULTI", "a: DEL k", "b: CONFIG SET maxmemory 1", "a: EXEC", "b: CONFIG SET maxmemory 0", "a: GET k"},
	"pipeline":                 {"a> SET k 1", "a> WATCH k", "a> MULTI", "a> INCR k", "a> GET k", "a> EXEC", "a> GET k", "a< 7"},
	"flushall inside":          {"a: SET k 1", "a: MULTI", "a: SET j 1", "a: DBSIZE", "a: KEYS j*", "a: FLUSHALL", "a: DBSIZE", "a: SET i 1", "a: KEYS *", "a: EXEC", "a: KEYS *"},
	"due inside":               {"a: MULTI", "a: SET k 1", "a: PEXPIRE k -1", "a: GET k", "a: SET k 2", "a: PEXPIREAT k 1", "a: EXISTS k", "a: EXEC"},
	"containers":               {"a: SET k 1", "a: MULTI", "a: OBJECT ENCODING k", "a: OBJECT HELP x", "a: MEMORY USAGE none", "a: OBJECT REFCOUNT none", "a: SCAN 0", "a: TYPE k", "a: EXEC"},
}

func TestTransactionsAsRedis(t *testing.T) {
	theirs := oracle(t)
	_, s, first := one(t)
	require.NoError(t, first.nc.Close())
	for name, steps := range transactionScenes {
		t.Run(name, func(t *testing.T) {
			want := perform(t, theirs, steps)
			require.Equal(t, want, perform(t, addrOf(s), steps))
		})
	}
}

// transactionWords are the commands of random scenes.
var transactionWords = strings.Split(`MULTI,MULTI,EXEC,EXEC,EXEC,DISCARD,WATCH k,WATCH j k,UNWATCH,SET k 1,SET j 1,INCR k,INCR j,DEL k,DEL j k,GET k,GET j,MGET j k,PING,`+
	`SELECT 1,SELECT 0,RENAME k j,COPY k j REPLACE,APPEND k 1,LPUSH l 1,LPOP l,FOO,GET,EXPIRE k 1000,PERSIST k,EXISTS k j,DBSIZE,FLUSHDB,SWAPDB 0 1`, ",")

func TestRandomTransactionsAsRedis(t *testing.T) {
	theirs := oracle(t)
	_, s, first := one(t)
	require.NoError(t, first.nc.Close())
	for seed := range int64(100) {
		sameTransactions(t, addrOf(s), theirs, seed)
	}
}

// sameTransactions compares one seed and returns how many commands it has.
func sameTransactions(t *testing.T, ours, theirs string, seed int64) int {
	rnd := rand.New(rand.NewSource(seed))
	steps := []string{"a: FLUSHALL", "b: PING", "c: PING"}
	for range 60 {
		steps = append(steps, fmt.Sprintf("%c: %s", 'a'+rnd.Intn(3), transactionWords[rnd.Intn(len(transactionWords))]))
	}
	want := perform(t, theirs, steps)
	require.Equal(t, want, perform(t, ours, steps), "seed %d", seed)
	return len(steps)
}
