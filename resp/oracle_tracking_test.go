//go:build oracle

package resp

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// trackingTalk is one connection's side of client-side caching. SELF stands for its own id.
const trackingTalk = `
CLIENT TRACKING
CLIENT TRACKING foo
CLIENT TRACKING ON foo
CLIENT TRACKING ON REDIRECT
CLIENT TRACKING ON REDIRECT x
CLIENT TRACKING ON REDIRECT 99999999
CLIENT TRACKING ON REDIRECT -1
CLIENT TRACKING ON REDIRECT SELF REDIRECT SELF
CLIENT TRACKING ON PREFIX
CLIENT TRACKING ON PREFIX a
CLIENT TRACKING ON BCAST OPTIN
CLIENT TRACKING ON OPTIN OPTOUT
CLIENT TRACKING ON BCAST PREFIX ab PREFIX a
CLIENT TRACKING OFF foo
CLIENT TRACKING OFF
CLIENT CACHING
CLIENT CACHING YES
CLIENT GETREDIR
CLIENT TRACKINGINFO
CLIENT TRACKING ON OPTIN
CLIENT CACHING NO
CLIENT CACHING foo
CLIENT CACHING YES
CLIENT TRACKINGINFO
PING
CLIENT TRACKINGINFO
CLIENT TRACKING ON OPTOUT
CLIENT TRACKING ON BCAST
CLIENT TRACKING ON NOLOOP
CLIENT TRACKINGINFO
CLIENT TRACKING OFF
CLIENT TRACKING ON OPTOUT
CLIENT CACHING YES
CLIENT CACHING NO
CLIENT TRACKINGINFO
CLIENT TRACKING OFF
CLIENT TRACKING ON BCAST PREFIX a PREFIX b
CLIENT TRACKING ON BCAST PREFIX ab
CLIENT TRACKING ON BCAST PREFIX c NOLOOP
CLIENT TRACKING ON BCAST
CLIENT TRACKING ON
CLIENT TRACKINGINFO
CLIENT GETREDIR
CLIENT TRACKING OFF
CLIENT TRACKING ON BCAST
CLIENT TRACKING ON BCAST
CLIENT TRACKING ON BCAST PREFIX z
CLIENT TRACKING OFF
CLIENT TRACKING ON BCAST PREFIX z PREFIX y
CLIENT TRACKING ON BCAST PREFIX x
CLIENT TRACKING ON BCAST
CLIENT TRACKINGINFO
RESET
CLIENT TRACKINGINFO`

func TestTrackingRepliesAsRedis(t *testing.T) {
	addr := oracle(t)
	_, s, _ := one(t)
	for _, proto := range []string{"2", "3"} {
		ours, theirs := dial(t, addrOf(s)), dial(t, addr)
		ours.do("HELLO " + proto)
		theirs.do("HELLO " + proto)
		for _, line := range strings.Split(strings.TrimSpace(trackingTalk), "\n") {
			ask := func(c *client) string {
				id := strings.Trim(c.do("CLIENT ID"), ":\r\n")
				return c.do(strings.ReplaceAll(line, "SELF", id))
			}
			require.Equal(t, ask(theirs), ask(ours), "RESP%s %s", proto, line)
		}
	}
}

// TestTrackingMessagesAsRedis drives a tracking client and a writer against both servers.
func TestTrackingMessagesAsRedis(t *testing.T) {
	_, s, _ := one(t)
	script := []string{
		"c CLIENT TRACKING ON", "c GET a", "c MGET a b", "w SET a 1", "c <", "w SET a 2", "w DEL a b", "c GET a", "w INCR a", "c <",
		"c GET a", "c SET a 3", "c <", "c HGETALL h", "w HSET h f v", "c <", "c HGET h f", "w EXPIRE h 100", "c <", "c TTL h", "w PERSIST h", "c <",
		"c TYPE h", "w RENAME h i", "c <", "c EXISTS i", "w FLUSHALL", "c <", "c CLIENT TRACKING OFF", "w SET a 1", "c PING",
		"c CLIENT TRACKING ON BCAST PREFIX x", "w SET x1 1", "c <", "w SET y 1", "w DEL x1", "c <", "c SET x2 1", "c <", "w FLUSHDB", "c <", "c PING",
		"c CLIENT TRACKING ON BCAST NOLOOP", "c SET x3 1", "c PING", "w SET x3 2", "c <", "c <", "c CLIENT TRACKING OFF", "c PING",
	}
	play := func(addr string) (said []string) {
		c, w := dial(t, addr), dial(t, addr)
		c.do("HELLO 3")
		for _, line := range script {
			who, what, _ := strings.Cut(line, " ")
			on := map[string]*client{"c": c, "w": w}[who]
			if what == "<" {
				said = append(said, line+" "+on.reply())
			} else {
				said = append(said, line+" "+on.do(what))
			}
		}
		return said
	}
	require.Equal(t, play(oracle(t)), play(addrOf(s)))
}
