//go:build oracle

package resp

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// blockingScenes are for a server that is not in cluster mode: it has databases.
var blockingScenes = map[string][]string{
	"at once":               {"a: RPUSH k x y z", "a: BLPOP k 0", "a: BRPOP j k 0", "a: BLMOVE k j LEFT RIGHT 0", "a: LRANGE j 0 -1", "a: BRPOPLPUSH j k 0", "a: BLMPOP 0 2 j k LEFT COUNT 5", "a: EXISTS k j"},
	"at once, sorted sets":  {"a: ZADD k 1 x 2 y 3 z 4 w", "a: BZPOPMIN k 0", "a: BZPOPMAX j k 0", "a: BZMPOP 0 2 j k MIN COUNT 5", "a: EXISTS k"},
	"at once, RESP3":        {"a: HELLO 3", "a: RPUSH l x y", "a: ZADD k 1 x 2.5 y 3 z", "a: BZPOPMIN k 0", "a: BZMPOP 0 1 k MAX", "a: BLPOP l 0", "a: BLMPOP 0 1 l LEFT"},
	"served":                {"b> BLPOP k 0", "a wait b", "a: RPUSH k x", "b< 1", "a: LLEN k", "b> BRPOP j k 0", "a wait b", "a: LPUSH k x y z", "b< 1", "a: LRANGE k 0 -1"},
	"served, sorted sets":   {"b> BZPOPMIN k 0", "a wait b", "a: ZADD k 1 x 2 y", "b< 1", "b> BZMPOP 0 2 j i MAX COUNT 2", "a wait b", "a: ZADD i 1 x 2 y 3 z", "b< 1", "a: ZRANGE i 0 -1"},
	"served, RESP3":         {"b: HELLO 3", "b> BZPOPMIN k 0", "a wait b", "a: ZADD k 1.5 x", "b< 1", "b> BLPOP k 0", "a wait b", "a: RPUSH k x", "b< 1"},
	"moved":                 {"b> BLMOVE k j LEFT RIGHT 0", "a wait b", "a: RPUSH k x y", "b< 1", "a: LRANGE j 0 -1", "a: LRANGE k 0 -1", "b> BRPOPLPUSH i j 0", "a wait b", "a: RPUSH i z", "b< 1", "a: LRANGE j 0 -1"},
	"two of one key":        {"b> BLPOP k 0", "a wait b", "c> BLPOP k 0", "a wait 2", "a: RPUSH k x", "b< 1", "a: RPUSH k y", "c< 1"},
	"two at once":           {"b> BLPOP k 0", "a wait b", "c> BRPOP k 0", "a wait 2", "a: RPUSH k x y z", "b< 1", "c< 1", "a: LRANGE k 0 -1"},
	"a chain":               {"b> BLMOVE k j LEFT LEFT 0", "a wait b", "c> BLPOP j 0", "a wait 2", "a: RPUSH k x", "b< 1", "c< 1", "a: EXISTS k j"},
	"a circle":              {"b> BLMOVE k j LEFT LEFT 0", "a wait b", "c> BLMOVE j k LEFT LEFT 0", "a wait 2", "a: RPUSH k x", "b< 1", "c< 1", "a: LRANGE k 0 -1"},
	"itself":                {"b> BLMOVE k k LEFT RIGHT 0", "a wait b", "c> BRPOPLPUSH k k 0", "a wait 2", "a: RPUSH k x y", "b< 1", "c< 1", "a: LRANGE k 0 -1"},
	"wrong destination":     {"a: SET s 1", "b> BLMOVE k s LEFT LEFT 0", "a wait b", "c> BLPOP k 0", "a wait 2", "a: RPUSH k x", "b< 1", "c< 1", "a: EXISTS k"},
	"wrong type":            {"a: SET s 1", "a: BLPOP s 0", "a: BLPOP k s 0", "a: BZPOPMIN s 0", "a: BLMOVE s k LEFT LEFT 0", "a: BLMPOP 0 2 k s LEFT", "a: RPUSH k x", "a: BLPOP k s 0", "a: RPUSH k x", "a: BLMOVE k s LEFT LEFT 0", "a: LLEN k", "a: BZMPOP 0 1 k MIN"},
	"another type":          {"b> BLPOP k 0", "a wait b", "a: SET k 1", "a: DEL k", "a: ZADD k 1 m", "a: DEL k", "a: RPUSH k x", "b< 1"},
	"other waiters":         {"b> BZPOPMIN k 0", "a wait b", "c> BLPOP k 0", "a wait 2", "a: RPUSH k x", "c< 1", "a: ZADD k 1 x", "b< 1"},
	"ready in this order":   {"b> BLPOP k j 0", "a wait b", "a: MULTI", "a: RPUSH j x", "a: RPUSH k y", "a: EXEC", "b< 1", "a: LLEN k", "a: LLEN j"},
	"pushed and gone":       {"b> BLPOP k 0", "a wait b", "a: MULTI", "a: RPUSH k x", "a: LPOP k", "a: EXEC", "a: RPUSH k y", "b< 1"},
	"pushed, gone, pushed":  {"b> BLPOP k 0", "a wait b", "a: MULTI", "a: RPUSH k x", "a: DEL k", "a: RPUSH k y z", "a: EXEC", "b< 1", "a: LRANGE k 0 -1"},
	"inside":                {"a: MULTI", "a: BLPOP k 0", "a: BLMOVE k j LEFT LEFT 0", "a: BRPOPLPUSH k j 0", "a: BLMPOP 0 1 k LEFT", "a: BZPOPMIN k 0", "a: BZMPOP 0 1 k MIN", "a: RPUSH k x", "a: BLPOP k 0", "a: BLPOP k x", "a: EXEC"},
	"inside, RESP3":         {"a: HELLO 3", "a: MULTI", "a: BLPOP k 0", "a: BLMOVE k j LEFT LEFT 0", "a: BZPOPMIN k 0", "a: EXEC"},
	"rename":                {"b> BLPOP k 0", "a wait b", "a: RPUSH j x", "a: RENAME j k", "b< 1"},
	"rename, sorted set":    {"b> BZPOPMIN k 0", "a wait b", "a: SET k 1", "a: ZADD j 1 x", "a: RENAME j k", "b< 1"},
	"copy":                  {"b> BLPOP k 0", "a wait b", "a: RPUSH j x", "a: COPY j k", "b< 1", "a: EXISTS j k"},
	"move":                  {"b: SELECT 3", "b> BLPOP k 0", "a wait b", "a: RPUSH k x", "a: MOVE k 3", "b< 1"},
	"swapdb":                {"b: SELECT 3", "b> BLPOP k 0", "a wait b", "a: RPUSH k x", "a: SWAPDB 0 3", "b< 1", "a: EXISTS k"},
	"other database":        {"b: SELECT 3", "b> BLPOP k 0", "a wait b", "a: RPUSH k x", "a: SELECT 3", "a: RPUSH k y", "b< 1", "a: SELECT 0", "a: LRANGE k 0 -1", "a: FLUSHALL"},
	"lmove":                 {"b> BLPOP k 0", "a wait b", "a: RPUSH j x", "a: LMOVE j k LEFT LEFT", "b< 1", "b> BLPOP k 0", "a wait b", "a: RPUSH j x", "a: RPOPLPUSH j k", "b< 1"},
	"store":                 {"b> BZPOPMAX k 0", "a wait b", "a: ZADD j 1 x 2 y", "a: ZUNIONSTORE k 1 j", "b< 1", "b> BZPOPMIN i 0", "a wait b", "a: ZRANGESTORE i j 0 -1", "b< 1"},
	"linsert and lset":      {"a: RPUSH j x", "b> BLPOP k 0", "a wait b", "a: LINSERT j BEFORE x y", "a: LPUSHX k x", "a: LSET j 0 z", "a: RPUSH k z", "b< 1"},
	"timeout":               {"a: BLPOP k 0.01", "a: BRPOP k j 0.01", "a: BLMOVE k j LEFT LEFT 0.01", "a: BRPOPLPUSH k j 0.01", "a: BLMPOP 0.01 1 k LEFT", "a: BZPOPMIN k 0.01", "a: BZPOPMAX k j 0.01", "a: BZMPOP 0.01 1 k MIN"},
	"timeout, RESP3":        {"a: HELLO 3", "a: BLPOP k 0.01", "a: BLMOVE k j LEFT LEFT 0.01", "a: BLMPOP 0.01 1 k LEFT", "a: BZPOPMIN k 0.01", "a: BZMPOP 0.01 1 k MIN"},
	"after a timeout":       {"a: BLPOP k 0.01", "a: RPUSH k x", "a: BLPOP k 0.01", "b> BLPOP k 0.05", "b< 1", "a: RPUSH k y", "a: LRANGE k 0 -1"},
	"errors":                {"a: BLPOP k -1", "a: BLPOP k x", "a: BLPOP k 1e300", "a: BLPOP k inf", "a: BLPOP k nan", "a: BLPOP k", "a: BLPOP", "a: BZPOPMIN k", "a: BLMOVE k j LEFT LEFT", "a: BLMOVE k j X LEFT x", "a: BLMOVE k j LEFT X x", "a: BLMOVE k j LEFT RIGHT x", "a: BRPOPLPUSH k j x", "a: BRPOPLPUSH k j -1"},
	"errors of counts":      {"a: BLMPOP x 1 k LEFT", "a: BLMPOP x 0 k LEFT", "a: BLMPOP -1 1 k LEFT", "a: BLMPOP 0.01 0 k LEFT", "a: BLMPOP 0.01 2 k LEFT", "a: BLMPOP 0.01 1 k X", "a: BLMPOP 0.01 1 k LEFT COUNT", "a: BLMPOP 0.01 1 k LEFT COUNT 0", "a: BLMPOP 0.01 1 k LEFT COUNT 1 x", "a: BLMPOP 0.01 1 k LEFT COUNT 1 COUNT 1", "a: BZMPOP x 1 k MIN", "a: BZMPOP 0.01 1 k LEFT", "a: BZMPOP 0.01 x k MIN", "a: BLMPOP 0 1 k", "a: BZMPOP 0 1"},
	"unblock":               {"b> BLPOP k 0", "a wait b", "a: CLIENT LIST ID $b.id", "a: CLIENT UNBLOCK $b.id", "b< 1", "a: CLIENT LIST ID $b.id", "b> BZPOPMIN k 0", "a wait b", "a: CLIENT UNBLOCK $b.id TIMEOUT", "b< 1", "b> BLMOVE k j LEFT LEFT 0", "a wait b", "a: CLIENT UNBLOCK $b.id ERROR", "b< 1", "a: RPUSH k x", "a: LLEN k"},
	"unblock nobody":        {"b: PING", "a: CLIENT UNBLOCK $b.id", "a: CLIENT UNBLOCK $a.id", "a: CLIENT UNBLOCK 999999", "a: CLIENT UNBLOCK -1", "a: CLIENT UNBLOCK x", "a: CLIENT UNBLOCK", "a: CLIENT UNBLOCK $b.id FOO", "a: CLIENT UNBLOCK x FOO", "a: CLIENT UNBLOCK $b.id TIMEOUT x", "a: CLIENT UNBLOCK 99999999999999999999"},
	"unblock inside":        {"b> BLPOP k 0", "a wait b", "a: MULTI", "a: CLIENT UNBLOCK $b.id ERROR", "a: CLIENT UNBLOCK $b.id", "a: EXEC", "b< 1"},
	"killed":                {"b> BLPOP k 0", "a wait b", "c> BLPOP k 0", "a wait 2", "a: CLIENT KILL ID $b.id", "b!", "a wait c", "a: RPUSH k x", "c< 1", "a: EXISTS k"},
	"pipeline":              {"b> RPUSH j 1", "b> BLPOP k 0", "b> RPUSH j 2", "b> PING", "a wait b", "b< 1", "a: LLEN j", "a: RPUSH k x", "b< 3", "a: LLEN j"},
	"pipeline of waits":     {"b> BLPOP k 0", "b> BLPOP k 0", "b> BLPOP k 0", "a wait b", "a: RPUSH k x y", "b< 2", "a wait b", "a: RPUSH k z", "b< 1"},
	"reply skip":            {"b- CLIENT REPLY SKIP", "b- BLPOP k 0", "a wait b", "a: RPUSH k x", "b: PING", "a: LLEN k"},
	"reply off":             {"b- CLIENT REPLY OFF", "b- BLPOP k 0", "a wait b", "a: RPUSH k x", "b- PING", "b: CLIENT REPLY ON", "a: LLEN k"},
	"expired":               {"b> BLPOP k 0", "a wait b", "a: MULTI", "a: RPUSH j x", "a: PEXPIREAT j 1", "a: COPY j k", "a: EXEC", "a: RPUSH k y", "b< 1"},
	"flushed":               {"b> BLPOP k 0", "a wait b", "a: MULTI", "a: RPUSH k x", "a: FLUSHALL", "a: EXEC", "a: RPUSH k y", "b< 1"},
	"watched":               {"c: WATCH k", "b> BLPOP k 0", "a wait b", "c: MULTI", "c: PING", "a: RPUSH k x", "b< 1", "c: EXEC"},
	"own push in a circle":  {"b> BLMOVE k k LEFT RIGHT 0", "a wait b", "a: RPUSH k x", "b< 1", "a: BLMOVE k k LEFT RIGHT 0", "a: LRANGE k 0 -1"},
	"commandstats of waits": {"a: CONFIG RESETSTAT", "b> BLPOP k 0", "a wait b", "a: RPUSH k x", "b< 1", "a: PING"},
	"streams":               {"a: XADD s 1 f v", "b> XREAD BLOCK 0 STREAMS t s 0 $", "a wait b", "c> XREAD BLOCK 0 COUNT 1 STREAMS s 1", "a wait 2", "a: XADD s 2 f v", "b< 1", "c< 1", "a: XREAD BLOCK 0 STREAMS s 0"},
	"streams, RESP3":        {"b: HELLO 3", "b> XREAD BLOCK 0 STREAMS s $", "a wait b", "a: XADD s 2 f v", "b< 1", "b: XREAD BLOCK 10 STREAMS s $"},
	"groups":                {"a: XGROUP CREATE s g $ MKSTREAM", "b> XREADGROUP GROUP g x BLOCK 0 STREAMS s >", "a wait b", "c> XREADGROUP GROUP g y BLOCK 0 STREAMS s >", "a wait 2", "a: XADD s 1 f v", "b< 1", "a: XADD s 2 f v", "c< 1", "a: XPENDING s g"},
	"streams, timeout":      {"a: XREAD BLOCK 10 STREAMS s 0", "a: XREAD BLOCK x STREAMS s 0", "a: XREAD BLOCK -1 STREAMS s 0", "a: MULTI", "a: XREAD BLOCK 0 STREAMS s $", "a: EXEC", "b> XREAD BLOCK 0 STREAMS s 0", "a wait b", "a: CLIENT UNBLOCK $b.id", "b< 1"},
	"streams, other types":  {"b> XREAD BLOCK 0 STREAMS s 0", "a wait b", "a: RPUSH s x", "a: DEL s", "a: XADD s 1 f v", "b< 1"},
	"memory":                {"a: SET s 1", "b> BLMOVE k j LEFT LEFT 0", "a wait b", "a: CONFIG SET maxmemory 1", "c: BLMOVE k j LEFT LEFT 0", "a: CONFIG SET maxmemory 0", "a: RPUSH k x", "b< 1"},
}

func TestBlockingAsRedis(t *testing.T) {
	theirs := oracle(t)
	_, s, first := one(t)
	require.NoError(t, first.nc.Close())
	for name, steps := range blockingScenes {
		t.Run(name, func(t *testing.T) {
			want := perform(t, theirs, steps)
			require.Equal(t, want, perform(t, addrOf(s), steps))
		})
	}
}

// blockingWords are the commands of random scenes; those that may wait come first.
var blockingWords = strings.Split(`BLPOP k j 0,BRPOP k 0,BLMOVE k j LEFT RIGHT 0,BLMOVE j k LEFT LEFT 0,BRPOPLPUSH j i 0,BLMPOP 0 2 k j LEFT COUNT 2,BZPOPMIN k i 0,BZMPOP 0 2 i k MAX COUNT 2,`+
	`BLMOVE k k LEFT RIGHT 0,BLMOVE k s LEFT RIGHT 0,`+
	`RPUSH k x,RPUSH k x y z,LPUSH j x y,RPUSH i x,ZADD k 1 x 2 y,ZADD i 1 x 2 y 3 z,DEL k,DEL k j i,RENAME k j,RENAME j k,RENAME i k,COPY j k,COPY k j,LMOVE k j LEFT LEFT,`+
	`RPOPLPUSH j k,LPOP k,ZPOPMIN i,SET s 1,SET j 1,LLEN k,FLUSHDB,MULTI+RPUSH j x+RPUSH k y+ZADD i 1 x+EXEC,MULTI+RPUSH k y+LPOP k+RPUSH j z+EXEC,MULTI+BLPOP k 0+RPUSH k x y+EXEC`, ",")

// Two clients that may wait, and one that never does, behind every step of which those that waited are looked at.
func TestRandomBlockingAsRedis(t *testing.T) {
	theirs := oracle(t)
	_, s, first := one(t)
	require.NoError(t, first.nc.Close())
	for seed := range int64(60) {
		sameBlocking(t, addrOf(s), theirs, seed)
	}
}

// sameBlocking compares one seed and returns how many commands it has.
func sameBlocking(t *testing.T, ours, theirs string, seed int64) int {
	want, steps := randomBlocking(t, theirs, rand.New(rand.NewSource(seed)))
	got, _ := randomBlocking(t, ours, rand.New(rand.NewSource(seed)))
	require.Equal(t, want, got, "seed %d: %s", seed, strings.Join(steps, "; "))
	return len(steps)
}

func randomBlocking(t *testing.T, addr string, rnd *rand.Rand) (notes, steps []string) {
	all := map[string]*client{}
	ids := map[string]string{}
	for _, name := range []string{"a", "b", "c"} {
		all[name] = dial(t, addr)
		ids[name] = strings.TrimSpace(all[name].do("CLIENT ID")[1:])
	}
	a := all["a"]
	a.do("FLUSHALL")
	waiting := []string{}
	for range 40 {
		name := string(rune('a' + rnd.Intn(3)))
		at := rnd.Intn(len(blockingWords))
		if slices.Contains(waiting, name) {
			name = "a"
		}
		if name == "a" {
			at = 10 + at%(len(blockingWords)-10)
		}
		steps = append(steps, name+": "+blockingWords[at])
		cmds := strings.Split(blockingWords[at], "+")
		if all[name].send(cmds...); name == "a" {
			for range cmds {
				notes = append(notes, a.reply())
			}
		} else {
			waiting = append(waiting, name)
			if rnd.Intn(8) == 0 && at < 10 {
				// the reply of CLIENT UNBLOCK tells whether it waited
				blocked(t, a, all[name], ids[name])
				notes = append(notes, a.do("CLIENT UNBLOCK "+ids[name]+" ERROR"))
			}
		}
		if last := len(waiting) - 1; last > 0 && waiting[last] == name {
			slices.Reverse(waiting) // when who asked has its reply, so have those that it served
		}
		still := []string{}
		for _, name := range waiting {
			n := 1
			if at >= 10 && name != "a" && steps[len(steps)-1][:1] == name {
				n = len(cmds)
			}
			if blocked(t, a, all[name], ids[name]) {
				still = append(still, name)
				continue
			}
			for range n {
				notes = append(notes, name+" "+all[name].reply())
			}
		}
		waiting = still
		notes = append(notes, fmt.Sprint(waiting))
	}
	for _, c := range all {
		_ = c.nc.Close()
	}
	return notes, steps
}

// blocked says, once it is certain, whether a connection waits or has its replies.
func blocked(t *testing.T, a, c *client, id string) (waits bool) {
	require.Eventually(t, func() bool {
		if c.pending() {
			waits = false
			return true
		}
		waits = strings.Contains(a.do("CLIENT LIST ID "+id), " flags=b ")
		return waits && !c.pending()
	}, 10e9, 1e6)
	return waits
}
