//go:build oracle

package resp

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// splitLine splits a line at spaces; a word in quotes is a Go string.
func splitLine(t *testing.T, line string) (all []string) {
	t.Helper()
	for line = strings.TrimLeft(line, " "); line != ""; line = strings.TrimLeft(line, " ") {
		if line[0] != '"' {
			word, rest, _ := strings.Cut(line, " ")
			all, line = append(all, word), rest
			continue
		}
		quoted, err := strconv.QuotedPrefix(line)
		require.NoError(t, err, line)
		word, err := strconv.Unquote(quoted)
		require.NoError(t, err, line)
		all, line = append(all, word), line[len(quoted):]
	}
	return all
}

// ask sends one command of words and returns its reply.
func (c *client) ask(words ...string) string {
	c.t.Helper()
	b := []byte("*" + strconv.Itoa(len(words)) + "\r\n")
	for _, w := range words {
		b = append(b, bulk(w)...)
	}
	_, err := c.nc.Write(b)
	require.NoError(c.t, err)
	return c.reply()
}

// sameReplies asks two servers the same lines in RESP2 and RESP3, on one connection each; every reply must be equal to
// the byte.
func sameReplies(t *testing.T, ours, theirs string, lines []string) {
	for _, proto := range []string{"2", "3"} {
		a, b := dial(t, ours), dial(t, theirs)
		a.do("HELLO " + proto)
		b.do("HELLO " + proto)
		for _, line := range lines {
			w := splitLine(t, line)
			if want, got := b.ask(w...), a.ask(w...); want != got {
				t.Errorf("RESP%s %s\nwant %.300q\n got %.300q", proto, line, want, got)
			}
		}
	}
}

// plainReplies are compared with a redis-server that is no cluster.
var plainReplies = strings.Split(`PING
ping ""
PING "a b"
PING a b c
ECHO ""
ECHO "x\ny"
"" a b
" " a
"foo\r\nbar" "a\r\nb"
FOO 'a' "b'c"
client
CLIENT HELPX
CLIENT ID x y
CLIENT INFO a
CLIENT GETNAME a
CLIENT SETNAME
CLIENT SETNAME a b
CLIENT SETNAME "a b"
CLIENT SETNAME ""
CLIENT GETNAME
CLIENT SETNAME "a\n"
CLIENT SETNAME "\xc3\xa9"
CLIENT LIST TYPE
CLIENT LIST TYPE normal a
CLIENT LIST TYPE master
CLIENT LIST TYPE SLAVE
CLIENT LIST TYPE "foo bar"
CLIENT LIST ID 0
CLIENT LIST ID -1
CLIENT LIST ID 999999
CLIENT LIST ID 999999 a
CLIENT LIST ID 99999999999999999999
CLIENT LIST ID 1 TYPE normal
CLIENT LIST a b c
CLIENT LIST "x y"
CLIENT KILL
CLIENT KILL ID
CLIENT KILL ID -1
CLIENT KILL ID 99999999999999
CLIENT KILL ID 999999999 TYPE foo
CLIENT KILL ID 999999999 FOO bar
CLIENT KILL TYPE master
CLIENT KILL TYPE slave
CLIENT KILL TYPE replica
CLIENT KILL TYPE pubsub
CLIENT KILL USER default ID 9999999
CLIENT KILL USER nosuch
CLIENT KILL SKIPME yes ID 99999999
CLIENT KILL SKIPME maybe ID 99999999
CLIENT KILL ADDR 1.2.3.4:5 LADDR 1:1
CLIENT KILL LADDR x
CLIENT KILL skipme YES addr 1:1
CLIENT REPLY
CLIENT REPLY on
CLIENT REPLY ON ON
CLIENT NO-EVICT
CLIENT NO-EVICT ON x
CLIENT PAUSE 0 WRITE
CLIENT PAUSE 0 all x
CLIENT PAUSE 1 write x
CLIENT PAUSE 99999999999999999999
CLIENT UNPAUSE
CLIENT PAUSE 1.5
CLIENT PAUSE ""
CLIENT PAUSE -5 ALL
CLIENT UNPAUSE a
CLIENT GETREDIR
CLIENT GETREDIR a
CLIENT TRACKINGINFO
CLIENT trackinginfo a
CLIENT HELP a
CONFIG HELP a
CONFIG GET [a-b]*size
CONFIG GET MAXmemory
CONFIG GET hash-max-ziplist-entries
CONFIG GET "maxm[e"
CONFIG GET "max[^a]emory"
CONFIG GET "max\\memory"
CONFIG GET "max?emory"
CONFIG GET timeout TIMEOUT
CONFIG SET
CONFIG SET timeout
CONFIG SET timeout 0 maxclients
CONFIG SET timeout 0 timeout 1
CONFIG SET timeout 5 nosuch 1
CONFIG GET timeout
CONFIG SET timeout 5 maxclients abc
CONFIG GET timeout
CONFIG SET "no such" 1
CONFIG SET port
CONFIG SET daemonize yes
CONFIG SET hz 20
CONFIG GET hz
CONFIG SET hz 10
CONFIG SET slowlog-max-len -1
CONFIG SET proto-max-bulk-len 512mb
CONFIG SET maxmemory 1kk
CONFIG SET maxmemory-policy foo
CONFIG SET maxmemory-policy ALLKEYS-lru
CONFIG GET maxmemory-policy
CONFIG SET maxmemory-policy noeviction
CONFIG SET lua-time-limit 10 busy-reply-threshold 20
CONFIG SET appendfsync foo
CONFIG SET client-output-buffer-limit foo
CONFIG SET client-output-buffer-limit "foo 1 2 3"
CONFIG SET client-output-buffer-limit "normal a 2 3"
CONFIG SET client-output-buffer-limit "normal 1 2"
CONFIG SET client-output-buffer-limit "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"
CONFIG GET client-output-buffer-limit
CONFIG SET notify-keyspace-events KEA
CONFIG SET notify-keyspace-events ""
CONFIG SET notify-keyspace-events KEA
CONFIG GET notify-keyspace-events
CONFIG SET notify-keyspace-events nKEA
CONFIG GET notify-keyspace-events
CONFIG SET notify-keyspace-events mnxE
CONFIG GET notify-keyspace-events
CONFIG SET notify-keyspace-events "g$lshzxetdK"
CONFIG GET notify-keyspace-events
CONFIG SET notify-keyspace-events q
CONFIG SET notify-keyspace-events ""
CONFIG SET save "900 1"
CONFIG GET save
CONFIG SET save "0 1"
CONFIG SET save "1 -1"
CONFIG SET save " 60   5  70 6"
CONFIG GET save
CONFIG SET save foo
CONFIG SET save ""
CONFIG SET active-expire-effort 11
CONFIG SET maxmemory-samples 0
CONFIG SET slowlog-log-slower-than -2
CONFIG SET loglevel foo
CONFIG SET save ""
CONFIG RESETSTAT a
COMMAND COUNT a
COMMAND LIST a b
COMMAND LIST FILTERBY
COMMAND LIST FILTERBY MODULE
COMMAND LIST FILTERBY ACLCAT
COMMAND LIST FILTERBY ACLCAT nosuch
COMMAND LIST FILTERBY MODULE x y
COMMAND LIST filterby pattern "GET"
COMMAND LIST filterby pattern "[ab]ppend"
COMMAND LIST filterby pattern "client|getname"
COMMAND DOCS nosuch
COMMAND DOCS nosuch|a get|a
COMMAND INFO get|a |a get| | "" client|
COMMAND HELP a
SELECT ""
SELECT 1 2
SELECT 16
SELECT 99999999999999999999
SELECT 01
SELECT +1
SELECT " 1"
select 2
SELECT 0
AUTH
AUTH ""
AUTH default ""
AUTH "" ""
AUTH a b c d
HELLO ""
HELLO 1
HELLO 2 3
HELLO 3 AUTH default
HELLO 3 AUTH a b SETNAME
HELLO 3 SETNAME "a b"
HELLO 3 AUTH a b
HELLO 3 AUTH a b SETNAME "x y"
HELLO 3 foo bar
HELLO 99999999999999999999
HELLO -1
TIME 1
WAIT 1
WAIT 1 2 3
WAIT -1 1
WAIT 0 0
WAIT 99999999999999999999 1
WAIT 1 99999999999999999999
WAIT 1 1.5
RESET 1
ROLE 1
INFO ""
INFO nosuch nosuch2
READONLY x
CLUSTER FOO
HELLO 3 SETNAME abc FOO
CLIENT GETNAME
HELLO 3 SETNAME abcd AUTH a b
CLIENT GETNAME`, "\n")

// clusterReplies are compared with a redis-server in cluster mode.
var clusterReplies = strings.Split(`CLUSTER
CLUSTER HELP x
CLUSTER KEYSLOT
CLUSTER KEYSLOT a b
CLUSTER KEYSLOT "{a}b"
CLUSTER KEYSLOT ""
CLUSTER KEYSLOT "{}a"
CLUSTER COUNTKEYSINSLOT
CLUSTER COUNTKEYSINSLOT a
CLUSTER COUNTKEYSINSLOT -1
CLUSTER COUNTKEYSINSLOT 16384
CLUSTER COUNTKEYSINSLOT 99999999999999999999
CLUSTER COUNTKEYSINSLOT 5
CLUSTER GETKEYSINSLOT 1
CLUSTER GETKEYSINSLOT a 1
CLUSTER GETKEYSINSLOT 1 a
CLUSTER GETKEYSINSLOT -1 1
CLUSTER GETKEYSINSLOT 16384 1
CLUSTER GETKEYSINSLOT 1 -1
CLUSTER GETKEYSINSLOT 1 0
CLUSTER GETKEYSINSLOT 1 99999999999
set foo 1
CLUSTER GETKEYSINSLOT 12182 10
CLUSTER COUNTKEYSINSLOT 12182
CLUSTER GETKEYSINSLOT 12182 0
CLUSTER MYID a
CLUSTER NODES a
CLUSTER INFO a
CLUSTER SLOTS a
CLUSTER SHARDS a
CLUSTER REPLICAS
CLUSTER REPLICAS nosuch
CLUSTER REPLICAS "no\nsuch"
CLUSTER SLAVES nosuch
CLUSTER COUNT-FAILURE-REPORTS nosuch
CLUSTER COUNT-FAILURE-REPORTS
READONLY
READWRITE
READWRITE x
ASKING
ASKING x
READONLY
GET foo
DBSIZE
WAIT 0 0
WAIT 1 10`, "\n")

func TestPlainReplies(t *testing.T) {
	_, s, _ := one(t)
	sameReplies(t, addrOf(s), oracle(t), plainReplies)
}

func TestClusterReplies(t *testing.T) {
	_, s, _ := one(t)
	sameReplies(t, addrOf(s), clusterOracle(t), clusterReplies)
}

// strangersTalk are conversations, each on a connection that has given no password yet.
var strangersTalk = strings.Split(`PING
QUIT
FOO a
GET
GET a
CLIENT
CLIENT FOO
CLIENT ID
CLIENT ID a
COMMAND
COMMAND FOO
HELLO
HELLO 3
HELLO 4
HELLO 2 FOO
HELLO 2 SETNAME x|AUTH sec|CLIENT GETNAME
HELLO 3 AUTH default sec FOO|PING
HELLO 2 AUTH default bad FOO|PING
AUTH
AUTH a b c
AUTH bad
AUTH default bad
AUTH nouser sec
AUTH sec|AUTH bad|PING
AUTH sec|RESET|PING
AUTH sec|HELLO 2 AUTH x y|PING
RESET
RESET a
RESET|PING
INFO
CLUSTER SLOTS
CLUSTER KEYSLOT
CONFIG GET x
CONFIG
READONLY
READONLY a
ASKING
SELECT a
ECHO
ECHO a
AUTH default sec|CLIENT GETNAME
AUTH "" sec
AUTH DEFAULT sec
HELLO 3 AUTH|PING
HELLO 3 SETNAME
WAIT a b
ROLE
TIME
AUTH sec|CLIENT REPLY SKIP|PING|ECHO a
AUTH sec|CLIENT SETNAME x|RESET|AUTH sec|CLIENT GETNAME`, "\n")

// silent are the commands of strangersTalk that get no reply.
const silent = "CLIENT REPLY SKIP"

func TestStrangersReplies(t *testing.T) {
	_, s, c := one(t)
	addr := clusterOracle(t)
	for _, admin := range []*client{c, dial(t, addr)} {
		require.Equal(t, "+OK\r\n", admin.do("CONFIG SET requirepass sec"))
	}
	for _, talk := range strangersTalk {
		a, b := dial(t, addrOf(s)), dial(t, addr)
		skip := false
		for _, line := range strings.Split(talk, "|") {
			w := splitLine(t, line)
			switch {
			case line == silent:
				a.send(line)
				b.send(line)
				skip = true
			case skip:
				a.send(line)
				b.send(line)
				skip = false
			default:
				require.Equal(t, b.ask(w...), a.ask(w...), "%s in %s", line, talk)
			}
		}
	}
}
