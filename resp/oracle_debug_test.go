//go:build oracle

package resp

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// debugReplies are compared byte for byte.
var debugReplies = strings.Split(`DEBUG
DEBUG nosuch
DEBUG OBJECT
DEBUG OBJECT nokey
DEBUG OBJECT a b c
DEBUG DIGEST a
DEBUG DIGEST
DEBUG DIGEST-VALUE
DEBUG DIGEST-VALUE nokey a
SET a 1
HSET h f v g 1
DEBUG DIGEST
DEBUG DIGEST-VALUE nokey a h
DEBUG SLEEP
DEBUG SLEEP 0
DEBUG SLEEP abc
DEBUG SET-ACTIVE-EXPIRE
DEBUG SET-ACTIVE-EXPIRE x
DEBUG SET-ACTIVE-EXPIRE 1
DEBUG QUICKLIST-PACKED-THRESHOLD
DEBUG QUICKLIST-PACKED-THRESHOLD 0
DEBUG QUICKLIST-PACKED-THRESHOLD 1b
DEBUG QUICKLIST-PACKED-THRESHOLD abc
DEBUG QUICKLIST-PACKED-THRESHOLD 4gb
DEBUG QUICKLIST-PACKED-THRESHOLD -1
DEBUG LISTPACK
DEBUG LISTPACK nokey
DEBUG LISTPACK a
DEBUG LISTPACK h
DEBUG RELOAD foo
DEBUG RELOAD
DEBUG RELOAD noflush merge
DEBUG DIGEST
DEBUG ERROR "ERR foo\r\nbar"
DEBUG ERROR
DEBUG LOG a
DEBUG LOG a b
COMMAND GETKEYS DEBUG OBJECT a
COMMAND INFO debug
COMMAND DOCS nosuch
CONFIG GET enable-debug-command
CONFIG SET enable-debug-command yes
CONFIG SET enable-debug-command no`, "\n")

func TestDebugAsRedis(t *testing.T) {
	_, s, _ := one(t)
	allow(t, s, "local")
	sameReplies(t, addrOf(s), liveRedis(t, "--enable-debug-command", "local"), debugReplies)
	_, off, c := one(t)
	require.Equal(t, "no", off.settings.Get("enable-debug-command"))
	theirs := dial(t, oracle(t))
	for _, line := range []string{"DEBUG", "DEBUG DIGEST", "DEBUG HELP", "DEBUG nosuch"} {
		require.Equal(t, theirs.do(line), c.do(line), line)
	}
}
