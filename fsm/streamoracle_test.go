//go:build oracle

package fsm

import (
	"bufio"
	"fmt"
	"math/rand"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// streamGen makes random commands on streams whose replies do not depend on a clock.
type streamGen struct {
	rnd *rand.Rand
	top int // ids go up to about here
}

func (g *streamGen) pick(s ...string) string { return s[g.rnd.Intn(len(s))] }
func (g *streamGen) chance(n int) bool       { return g.rnd.Intn(n) == 0 }

func (g *streamGen) key() string {
	if g.chance(30) {
		return g.pick("str", "none")
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

func (g *streamGen) command() []string {
	k := g.key()
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

// TestOracleStreams compares random commands with redis-server, in RESP2 and RESP3: replies, errors, where blocks begin and end, and
// digests.
func TestOracleStreams(t *testing.T) {
	for _, proto := range []string{"2", "3"} {
		o := startOracle(t, proto)
		for seed := range int64(6) {
			o.do(t, []string{"flushall"}, []string{"set", "str", "x"})
			m, w := newMachine(t), wire{resp3: proto == "3"}
			m.do("set", "str", "x")
			g := &streamGen{rnd: rand.New(rand.NewSource(seed)), top: 1}
			var history []string
			for i := range 600 {
				args := g.command()
				if args[0] == "object encoding" {
					args = []string{"object", "encoding", args[1]}
				}
				history = append(history, fmt.Sprintf("%.120q", args))
				raw := m.doOut(&w, args...)
				if strings.Contains(raw, errSetIDBehind) {
					continue // since 7.2
				}
				want := o.do(t, args)[0]
				got, err := readReply(bufio.NewReader(strings.NewReader(raw)), false)
				require.NoError(t, err, "%q", args)
				if want != got && !sameReply(args[0], want, got) {
					require.Equal(t, want, got, "seed %d step %d: %s", seed, i, strings.Join(history[max(0, len(history)-12):], "\n"))
				}
			}
			require.NoError(t, m.s.Check())
			require.Equal(t, stateHash(m.s), stateHash(m.replay()))
		}
	}
}
