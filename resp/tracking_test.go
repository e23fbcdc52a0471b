package resp

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kvapp/fsm"
	"kvapp/internal/config"
	"kvapp/node"
)

// told is the message that keys changed.
func told(keys ...string) string {
	s := fmt.Sprintf(">2\r\n%s*%d\r\n", bulk("invalidate"), len(keys))
	for _, k := range keys {
		s += bulk(k)
	}
	return s
}

const toldAll = ">2\r\n$10\r\ninvalidate\r\n_\r\n"

// quiet checks that nothing waits for c: the next thing it hears is the reply to its own command.
func quiet(t *testing.T, s *Server, c *client) {
	t.Helper()
	settle(t, s)
	require.Equal(t, "+PONG\r\n", c.do("PING"))
}

// settle waits until the notifier has told everything: a message to a client of its own has come.
func settle(t *testing.T, s *Server) {
	t.Helper()
	w := dial(t, addrOf(s))
	w.do("HELLO 3")
	w.do("CLIENT TRACKING ON")
	w.do("GET settle")
	o := dial(t, addrOf(s))
	o.do("INCR settle")
	require.Equal(t, told("settle"), w.reply())
	w.do("RESET")
}

// tracking opens a connection in RESP3 that tracks keys.
func tracking(t *testing.T, s *Server, options string) *client {
	t.Helper()
	c := dial(t, addrOf(s))
	c.do("HELLO 3")
	require.Equal(t, "+OK\r\n", c.do("CLIENT TRACKING ON "+options))
	return c
}

func TestTrackingTellsOnce(t *testing.T) {
	_, s, w := one(t)
	c := tracking(t, s, "")
	w.do("SET b 1")
	require.Equal(t, "_\r\n", c.do("GET a"))
	require.Equal(t, "*2\r\n_\r\n$1\r\n1\r\n", c.do("MGET a b"))
	w.do("SET a 1")
	require.Equal(t, told("a"), c.reply())
	w.do("SET a 2") // not read since
	w.do("DEL b")
	require.Equal(t, told("b"), c.reply())
	quiet(t, s, c)
	for _, change := range []string{"EXPIRE a 100", "PERSIST a", "RENAME a b"} {
		c.do("EXISTS a")
		w.do(change)
		require.Equal(t, told("a"), c.reply(), change)
	}
	c.do("GET b")
	w.do("FLUSHALL")
	require.Equal(t, toldAll, c.reply())
	w.do("SET b 3") // told already
	quiet(t, s, c)
	c.do("GET b")
	require.Equal(t, "+OK\r\n", c.do("CLIENT TRACKING OFF"))
	w.do("SET b 4")
	quiet(t, s, c)
}

// The message for a client's own write follows the reply, unless it asked not to hear of those.
func TestTrackingOwnWrites(t *testing.T) {
	_, s, w := one(t)
	c := tracking(t, s, "")
	c.send("GET a", "SET a 1", "GET b")
	require.Equal(t, "_\r\n", c.reply())
	require.Equal(t, "+OK\r\n", c.reply())
	require.Equal(t, "_\r\n", c.reply())
	require.Equal(t, told("a"), c.reply())

	c = tracking(t, s, "NOLOOP")
	c.do("GET a")
	c.do("SET a 2")
	quiet(t, s, c)
	c.do("GET a")
	w.do("SET a 3")
	require.Equal(t, told("a"), c.reply())
}

func TestTrackingOptInOut(t *testing.T) {
	_, s, w := one(t)
	in, out := tracking(t, s, "OPTIN"), tracking(t, s, "OPTOUT")
	for _, c := range []*client{in, out} {
		c.do("GET a")
	}
	require.Equal(t, "+OK\r\n", in.do("CLIENT CACHING YES"))
	require.Equal(t, "+OK\r\n", out.do("CLIENT CACHING NO"))
	for _, c := range []*client{in, out} {
		c.do("GET b")
		c.do("GET c") // CACHING is for one command
	}
	w.do("MSET a 1 b 1 c 1")
	require.Equal(t, told("b"), in.reply())
	got := out.reply() + out.reply()
	require.True(t, got == told("a")+told("c") || got == told("c")+told("a"), got)
	quiet(t, s, in)
	quiet(t, s, out)
	in.send("CLIENT CACHING YES", "CLIENT ID", "GET d") // CLIENT commands do not use it up
	in.reply()
	in.reply()
	in.reply()
	w.do("SET d 1")
	require.Equal(t, told("d"), in.reply())
}

func TestTrackingBroadcast(t *testing.T) {
	_, s, w := one(t)
	some, all := tracking(t, s, "BCAST PREFIX user: PREFIX job:"), tracking(t, s, "BCAST NOLOOP")
	require.Equal(t, ":1\r\n", w.do("SADD user:1 a"))
	require.Equal(t, told("user:1"), some.reply())
	require.Equal(t, told("user:1"), all.reply())
	w.do("SET other 1")
	require.Equal(t, told("other"), all.reply())
	all.do("SET job:1 x") // and not other before it
	require.Equal(t, told("job:1"), some.reply())
	w.do("SET end 1")
	require.Equal(t, told("end"), all.reply()) // and not job:1 before it
	w.do("SWAPDB 0 1")
	require.Equal(t, toldAll, some.reply())
	require.Equal(t, toldAll, all.reply())
}

func TestTrackingRedirect(t *testing.T) {
	_, s, w := one(t)
	to := dial(t, addrOf(s))
	to.do("HELLO 3")
	id := strings.Trim(to.do("CLIENT ID"), ":\r\n")
	c := tracking(t, s, "REDIRECT "+id)
	require.Equal(t, ":"+id+"\r\n", c.do("CLIENT GETREDIR"))
	c.do("GET a")
	w.do("SET a 1")
	require.Equal(t, told("a"), to.reply())
	quiet(t, s, c)
	require.NoError(t, to.nc.Close())
	require.Eventually(t, func() bool { return !strings.Contains(w.do("CLIENT LIST"), "id="+id+" ") }, 10*time.Second, time.Millisecond)
	c.do("GET a")
	w.do("SET a 2")
	require.Equal(t, ">2\r\n"+bulk("tracking-redir-broken")+":"+id+"\r\n", c.reply())
	require.Contains(t, c.do("CLIENT TRACKINGINFO"), "broken_redirect")
	require.Contains(t, c.do("CLIENT INFO"), " flags=tR ")
}

func TestTrackingShown(t *testing.T) {
	_, s, w := one(t)
	c := tracking(t, s, "")
	c.do("MGET a b")
	d := tracking(t, s, "BCAST PREFIX x")
	d.do("GET a") // broadcasting needs no table
	for _, part := range []string{"tracking_clients:2\r\n", "tracking_total_keys:2\r\n", "tracking_total_items:2\r\n", "tracking_total_prefixes:1\r\n"} {
		require.Contains(t, w.do("INFO everything"), part)
	}
	require.Contains(t, c.do("CLIENT INFO"), " flags=t ")
	require.Contains(t, c.do("CLIENT INFO"), " redir=0 ")
	require.Contains(t, d.do("CLIENT INFO"), " flags=tB ")
	c.do("RESET")
	require.NoError(t, d.nc.Close())
	require.Eventually(t, func() bool {
		info := w.do("INFO everything")
		return strings.Contains(info, "tracking_clients:0\r\n") && strings.Contains(info, "tracking_total_keys:0\r\n") &&
			strings.Contains(info, "tracking_total_prefixes:0\r\n")
	}, 10*time.Second, time.Millisecond)
	require.Equal(t, ":-1\r\n", c.do("CLIENT GETREDIR"))
}

// The table forgets keys beyond its limit, and says so.
func TestTrackingTableLimit(t *testing.T) {
	_, s, w := one(t)
	require.Equal(t, "+OK\r\n", w.do("CONFIG SET tracking-table-max-keys 10"))
	c := tracking(t, s, "")
	lost := map[string]bool{}
	for i := range 30 {
		c.send("GET k" + strconv.Itoa(i))
		for {
			r := c.reply()
			if r == "_\r\n" {
				break
			}
			lost[r] = true
		}
	}
	for len(lost) < 20 {
		lost[c.reply()] = true
	}
	require.Contains(t, w.do("INFO stats"), "tracking_total_keys:10\r\n")
}

// Whatever the interleaving: when the dust has settled, a client that drops a key when it is told, and keeps what it
// read last otherwise, holds no old value.
func TestTrackingLeavesNothingStale(t *testing.T) {
	_, s, _ := one(t)
	const keys, rounds = 4, 300
	c := tracking(t, s, "")
	cached := map[string]string{}
	done := make(chan error, 1)
	go func() {
		w, err := net.Dial("tcp", addrOf(s))
		if err != nil {
			done <- err
			return
		}
		defer w.Close() //nolint:errcheck // everything was read
		buf := make([]byte, 64)
		for i := range keys * rounds {
			if _, err = w.Write(pack("SET k" + strconv.Itoa(i%keys) + " " + strconv.Itoa(i))); err != nil {
				break
			}
			if _, err = w.Read(buf); err != nil {
				break
			}
		}
		done <- err
	}()
	heard := 0
	hear := func(reply string) bool {
		if !strings.HasPrefix(reply, ">") {
			return false
		}
		heard++
		for k := range cached {
			if strings.Contains(reply, bulk(k)) {
				delete(cached, k)
			}
		}
		return true
	}
	running := true
	for i := 0; running; i++ {
		select {
		case err := <-done:
			require.NoError(t, err)
			running = false
		default:
		}
		k := "k" + strconv.Itoa(i%keys)
		c.send("GET " + k)
		r := c.reply()
		for hear(r) {
			r = c.reply()
		}
		cached[k] = r
	}
	for i := range keys { // the last of these reads may still be told of the last writes, the test must not depend on it
		k := "k" + strconv.Itoa(i)
		settle(t, s)
		c.send("GET " + k)
		r := c.reply()
		for hear(r) {
			r = c.reply()
		}
		cached[k] = r
	}
	settle(t, s)
	c.send("PING")
	for r := c.reply(); r != "+PONG\r\n"; r = c.reply() {
		require.True(t, hear(r), r)
	}
	o := dial(t, addrOf(s))
	o.do("HELLO 3")
	for k, v := range cached {
		require.Equal(t, o.do("GET "+k), v, k)
	}
	require.Positive(t, heard)
	require.Len(t, cached, keys)
}

// changesFirst is a node on which a key changes between the moment a client is noted as its reader and the read.
type changesFirst struct {
	*fake
	before func()
}

func (n *changesFirst) Read(b *node.Batch, from int) int {
	n.before()
	return n.fake.Read(b, from)
}

// The message about a change before the read would be lost on the client if it came before the reply: the client is
// noted no more, and would keep what it is about to read for ever.
func TestTrackingMessageFollowsReply(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	n := &changesFirst{fake: newFake(newGroup(), 0, members(ln.Addr().String()))}
	s := start(t, n, ln, config.New())
	held := make(chan bool, 1)
	n.before = func() {
		set := node.NewBatch(&replies{Encoder: &Encoder{}})
		args := [][]byte{[]byte("SET"), []byte("a"), []byte("new")}
		set.Cmds = []fsm.Command{{Spec: fsm.Lookup([]byte("set")), Args: args, Raw: pack("SET a new")}}
		n.Write(set)
		c := s.clients()[0]
		held <- assert.Eventually(t, func() bool {
			c.cache.mu.Lock()
			defer c.cache.mu.Unlock()
			return len(c.cache.held) > 0
		}, 10*time.Second, time.Millisecond)
	}
	c := tracking(t, s, "")
	require.Equal(t, bulk("new"), c.do("GET a"))
	require.True(t, <-held)
	require.Equal(t, told("a"), c.reply())
}

// More changes than the notifier can take become one message: everything.
func TestTrackingQueueIsBounded(t *testing.T) {
	_, s, _ := one(t)
	tr := newTracker(s) // its notifier does not run
	for i := range queueLimit + 10 {
		k := []byte("k" + strconv.Itoa(i))
		tr.remember(7, k)
		tr.KeyChanged(0, k, false, nil)
	}
	require.Len(t, tr.queue, 10)
	require.True(t, tr.queue[0].all)
	_, keys, items, _ := tr.facts()
	require.Zero(t, keys+items)
}

var _ fsm.Observer = (*tracker)(nil)
