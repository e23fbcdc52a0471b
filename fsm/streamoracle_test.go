//go:build oracle

package fsm

import (
	"bufio"
	"fmt"
	"math/rand"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// streamGen makes random commands on streams whose replies do not depend on a clock.
type streamGen struct {
	rnd    *rand.Rand
	top    int      // ids go up to about here
	others []string // keys that hold something else, most of the time
}

func (g *streamGen) pick(s ...string) string { return s[g.rnd.Intn(len(s))] }
func (g *streamGen) chance(n int) bool       { return g.rnd.Intn(n) == 0 }

func (g *streamGen) key() string {
	switch {
	case g.chance(30):
		return g.pick("str", "none")
	case g.others != nil && g.chance(12):
		return g.pick(g.others...)
	}
	return g.pick("x1", "x2", "x3")
}

var streamOddIDs = []string{"0", "0-0", "-", "+", "*", "1-*", "18446744073709551615", "18446744073709551615-18446744073709551615", "18446744073709551616",
	"18446744073709551615-18446744073709551614", "x", "", "1-", "-1", "1-1-1", " 1", "+1", "01-02", "1--1", "$", ">", "1\x00x", "1-2\x00", "(1",
	"9223372036854775808-1", "1-x", strings.Repeat("1", 130)}

func (g *streamGen) id() string {
	switch {
	case g.chance(25):
		return g.pick(streamOddIDs...)
	case g.chance(3):
		return strconv.Itoa(g.rnd.Intn(g.top + 3))
	}
	return fmt.Sprintf("%d-%d", g.rnd.Intn(g.top+3), g.rnd.Intn(4))
}

func (g *streamGen) edge() string {
	switch {
	case g.chance(4):
		return g.pick("-", "+")
	case g.chance(6):
		return "(" + g.id()
	}
	return g.id()
}

func (g *streamGen) count() string { return g.pick("0", "1", "2", "3", "10", "100", "-1", "x", "1000") }

func (g *streamGen) pairs(args []string) []string {
	fields := g.pick("a", "a", "a", "b", "field", "")
	for range 1 + g.rnd.Intn(3) {
		args = append(args, fields, g.pick("1", "-5", "300", "70000", "x", "", "hello world", "12345678901",
			strings.Repeat("y", g.rnd.Intn(90)), strings.Repeat("z", g.rnd.Intn(5000))))
	}
	if g.chance(30) {
		args = args[:len(args)-1]
	}
	return args
}

func (g *streamGen) trim(args []string) []string {
	by := g.pick("maxlen", "MINID")
	args = append(args, by)
	if g.chance(2) {
		args = append(args, g.pick("~", "~", "=", "x"))
	}
	if by == "MINID" {
		args = append(args, g.id())
	} else {
		args = append(args, strconv.Itoa(g.rnd.Intn(300)-5))
	}
	if g.chance(3) {
		args = append(args, "limit", strconv.Itoa(g.rnd.Intn(300)-5))
	}
	return args
}

func (g *streamGen) group() string    { return g.pick("g", "h", "g", "h", "none\r\nx") }
func (g *streamGen) consumer() string { return g.pick("alice", "bob", "carol", "") }

// idle is far from what passes during the test.
func (g *streamGen) idle() string { return g.pick("0", "0", "3600000", "-1", "x") }

func (g *streamGen) ids(args []string, n int) []string {
	for range 1 + g.rnd.Intn(n) {
		args = append(args, g.id())
	}
	return args
}

// readCommand makes a command that reads streams.
func (g *streamGen) readCommand() []string {
	args := []string{"xread"}
	grouped := g.chance(2)
	if grouped {
		args = []string{"xreadgroup", "group", g.group(), g.consumer()}
	}
	if g.chance(3) {
		args = append(args, "count", g.count())
	}
	if g.chance(20) {
		args = append(args, g.pick("noack", "x", "group", "count"))
	}
	if grouped && g.chance(6) {
		args = append(args, "NOACK")
	}
	n := 1 + g.rnd.Intn(3)
	args = append(args, "streams")
	for range n {
		args = append(args, g.key())
	}
	for range n {
		if grouped && g.chance(2) {
			args = append(args, ">")
		} else {
			args = append(args, g.id())
		}
	}
	if g.chance(30) {
		args = args[:len(args)-1]
	}
	return args
}

// groupCommand makes a command on groups.
func (g *streamGen) groupCommand(k string) []string {
	switch g.rnd.Intn(14) {
	case 0, 1:
		args := []string{"xgroup", "create", k, g.group(), g.pick(g.id(), "0", "$", "-")}
		if g.chance(4) {
			args = append(args, g.pick("mkstream", "entriesread", "x"))
		}
		if g.chance(3) {
			args = append(args, "entriesread", g.count())
		}
		return args
	case 2:
		args := []string{"xgroup", "setid", k, g.group(), g.pick(g.id(), "0", "$", "-", "+")}
		if g.chance(3) {
			args = append(args, g.pick("entriesread", "mkstream"), g.count())
		}
		return args
	case 3:
		if g.chance(4) {
			return []string{"xgroup", g.pick("destroy", "delconsumer"), k, g.group()}
		}
		return []string{"xgroup", g.pick("createconsumer", "createconsumer", "delconsumer"), k, g.group(), g.consumer()}
	case 4:
		return g.ids([]string{"xack", k, g.group()}, 5)
	case 5:
		return []string{"xpending", k, g.group()}
	case 6:
		args := []string{"xpending", k, g.group()}
		if g.chance(3) {
			args = append(args, "idle", g.idle())
		}
		args = append(args, g.edge(), g.edge(), g.count())
		if g.chance(3) {
			args = append(args, g.consumer())
		}
		if g.chance(15) {
			args = args[:3+g.rnd.Intn(len(args)-3)]
		}
		return args
	case 7:
		return []string{"xinfo", "groups", k}
	case 8:
		return []string{"xinfo", "consumers", k, g.group()}
	case 9:
		args := []string{"xautoclaim", k, g.group(), g.consumer(), g.idle(), g.edge()}
		if g.chance(2) {
			args = append(args, "count", g.pick("1", "2", "5", "0", "-1", "x"))
		}
		if g.chance(3) {
			args = append(args, g.pick("justid", "JUSTID", "x"))
		}
		return args
	default:
		args := g.ids([]string{"xclaim", k, g.group(), g.consumer(), g.idle()}, 6)
		if !g.chance(3) {
			args = append(args, "force")
		}
		if g.chance(3) {
			args = append(args, g.pick("justid", "idle", "time", "retrycount", "lastid"))
		}
		if g.chance(3) {
			args = append(args, g.pick("idle", "time", "retrycount"), g.pick("0", "7200000", "5", "-1", "x", "99999999999999"))
		}
		if g.chance(5) {
			args = append(args, "LASTID", g.id())
		}
		return args
	}
}

func (g *streamGen) command() []string {
	k := g.key()
	switch g.rnd.Intn(5) {
	case 0:
		return g.readCommand()
	case 1, 2:
		return g.groupCommand(k)
	}
	switch g.rnd.Intn(22) {
	case 0, 1, 2, 3, 4, 5, 6:
		args := []string{"xadd", k}
		if g.chance(15) {
			args = append(args, "nomkstream")
		}
		if g.chance(8) {
			args = g.trim(args)
		}
		id := fmt.Sprintf("%d-%d", g.top, g.rnd.Intn(3))
		switch {
		case g.chance(4):
			g.top++
		case g.chance(4):
			id = fmt.Sprintf("%d-*", g.top)
		case g.chance(25):
			id = g.pick(g.id(), "x")
		}
		if id == "*" {
			id = "1-1"
		}
		return g.pairs(append(args, id))
	case 7:
		args := []string{"xdel", k}
		for range 1 + g.rnd.Intn(6) {
			args = append(args, g.id())
		}
		return args
	case 8:
		return g.trim([]string{"xtrim", k})
	case 9, 10, 11:
		args := []string{g.pick("xrange", "xrevrange"), k, g.edge(), g.edge()}
		if g.chance(2) {
			args = append(args, g.pick("count", "count", "COUNT", "x"), g.count())
		}
		return args
	case 12:
		args := []string{"xsetid", k, g.id()}
		if g.chance(3) {
			args = append(args, g.pick("entriesadded", "maxdeletedid"), g.pick(g.id(), g.count()))
		}
		return args
	case 13:
		return []string{"xinfo", "stream", k}
	case 14:
		args := []string{"xinfo", "stream", k, g.pick("full", "FULL", "x")}
		if g.chance(2) {
			args = append(args, g.pick("count", "count", "x"), g.count())
		}
		return args
	case 15:
		return []string{"xlen", k}
	case 16:
		return []string{g.pick("copy", "rename", "del"), k, g.key()}
	case 17:
		return []string{g.pick("type", "object encoding", "xlen"), k}
	case 18:
		return []string{"debug", "digest-value", k}
	case 19:
		return []string{"scan", "0", "type", "stream"}
	default:
		return []string{"xadd", k, fmt.Sprintf("%d-%d", g.top, g.rnd.Intn(3)), "a", "1"}
	}
}

// What in replies depends on a clock, or came with Redis 7.2.
var (
	streamTimes    = regexp.MustCompile(`:1[0-9]{12}\r`)
	streamActive   = regexp.MustCompile(`(?:\*10|%5)\r\n(\$4\r\nname\r\n\$\d+\r\n[^\r]*\r\n\$9\r\nseen-time\r\n:[^\r]*\r\n)\$11\r\nactive-time\r\n:[^\r]*\r\n`)
	streamInactive = regexp.MustCompile(`(?:\*8|%4)\r\n(\$4\r\nname\r\n\$\d+\r\n[^\r]*\r\n\$7\r\npending\r\n:\d+\r\n\$4\r\nidle\r\n:)\d+\r\n\$8\r\ninactive\r\n:-?\d+\r\n`)
	streamIdle     = regexp.MustCompile(`(\$4\r\nidle\r\n:)\d+\r\n`)
	pendingIdle    = regexp.MustCompile(`(\*4\r\n\$\d+\r\n[^\r]*\r\n\$\d+\r\n[^\r]*\r\n:)\d+`)
)

func timelessReply(cmd []string, reply string, resp3 bool) string {
	reply = streamTimes.ReplaceAllString(reply, ":T\r")
	pair := map[bool]string{false: "*", true: "%"}[resp3]
	reply = streamActive.ReplaceAllString(reply, pair+map[bool]string{false: "8", true: "4"}[resp3]+"\r\n$1")
	reply = streamInactive.ReplaceAllString(reply, pair+map[bool]string{false: "6", true: "3"}[resp3]+"\r\n${1}0\r\n")
	reply = streamIdle.ReplaceAllString(reply, "${1}0\r\n")
	if cmd[0] == "xpending" && len(cmd) > 3 {
		reply = pendingIdle.ReplaceAllString(reply, "${1}0")
	}
	return reply
}

// consumers are the commands that make the consumer that a command names, which that does in Redis 7.0 only if it finds something
// for it.
func consumers(cmd []string) (create [][]string) {
	switch {
	case cmd[0] == "xclaim" || cmd[0] == "xautoclaim":
		create = append(create, []string{"xgroup", "createconsumer", cmd[1], cmd[2], cmd[3]})
	case cmd[0] == "xreadgroup":
		for _, i := range readKeys(asBytes(cmd), nil) {
			create = append(create, []string{"xgroup", "createconsumer", cmd[i], cmd[2], cmd[3]})
		}
	}
	return create
}

// TestOracleStreams compares random commands with redis-server, in RESP2 and RESP3: replies, errors, where blocks begin and end, and
// digests.
func TestOracleStreams(t *testing.T) {
	for _, proto := range []string{"2", "3"} {
		o := startOracle(t, proto)
		for seed := range int64(6) {
			o.do(t, []string{"flushall"}, []string{"set", "str", "x"})
			m, w := newMachine(t), wire{resp3: proto == "3"}
			m.do("set", "str", "x")
			m.now = (&liveRedis{t, o}).now()
			g := &streamGen{rnd: rand.New(rand.NewSource(seed)), top: 1}
			var history []string
			for i := range 600 {
				args := g.command()
				if args[0] == "object encoding" {
					args = []string{"object", "encoding", args[1]}
				}
				for _, create := range consumers(args) {
					require.Equal(t, o.do(t, create)[0], m.doOut(&w, create...))
				}
				history = append(history, fmt.Sprintf("%.120q", args))
				raw := m.doOut(&w, args...)
				if strings.HasPrefix(raw, "-ERR wrong number") && args[0] == "xgroup" { // the name of the container is missing here
					continue
				}
				if strings.Contains(raw, errSetIDBehind) {
					continue // since 7.2
				}
				want := o.do(t, args)[0]
				got, err := readReply(bufio.NewReader(strings.NewReader(raw)), false)
				require.NoError(t, err, "%q", args)
				want, got = timelessReply(args, want, w.resp3), timelessReply(args, got, w.resp3)
				if want != got && !sameReply(args[0], want, got) {
					require.Equal(t, want, got, "seed %d step %d: %s", seed, i, strings.Join(history[max(0, len(history)-12):], "\n"))
				}
			}
			require.NoError(t, m.s.Check())
			require.Equal(t, stateHash(m.s), stateHash(m.replay()))
		}
	}
}
