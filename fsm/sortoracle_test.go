//go:build oracle

package fsm

import (
	"math/rand"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOracleSort compares random SORT commands with redis-server: replies with their order, and what is stored.
func TestOracleSort(t *testing.T) {
	for _, proto := range []string{"2", "3"} {
		o, rnd := startOracle(t, proto), rand.New(rand.NewSource(3))
		for round := range 40 {
			b := newBench()
			b.out.resp3 = proto == "3"
			o.do(t, []string{"FLUSHALL"})
			g := &sortGen{rnd: rnd, numbers: rnd.Intn(3) > 0}
			cmds := g.data()
			for range 120 {
				cmds = append(cmds, g.command(), []string{"LRANGE", "d", "0", "-1"})
			}
			for i, want := range o.do(t, cmds...) {
				require.Equal(t, want, b.do(cmds[i]...), "round %d: %q", round, cmds[i])
			}
			require.NoError(t, b.s.Check())
		}
	}
}

type sortGen struct {
	rnd     *rand.Rand
	numbers bool
}

func (g *sortGen) pick(s ...string) string { return s[g.rnd.Intn(len(s))] }

func (g *sortGen) element() string {
	if g.numbers {
		return g.pick(strconv.Itoa(g.rnd.Intn(60)-20), strconv.Itoa(g.rnd.Intn(60)), "1.5", "-2e3", "0x1f", "inf", "-inf", "7", "007", " 8", "")
	}
	return g.pick("a", "b", "B", "ab", "a b", "é", "10", "9", "-3", "x*y", "~")
}

// data are a list, a set, a sorted set, and keys that patterns find; their weights differ, or Redis does not say what comes first.
func (g *sortGen) data() (cmds [][]string) {
	list, set, zset := []string{"RPUSH", "l"}, []string{"SADD", "s"}, []string{"ZADD", "z"}
	for i := range 1 + g.rnd.Intn(30) {
		list, set, zset = append(list, g.element()), append(set, g.element()), append(zset, strconv.Itoa(g.rnd.Intn(9)), g.element())
		e := g.element()
		cmds = append(cmds, []string{"SET", "w_" + e, strconv.Itoa(i) + g.pick("", ".5", "e2")},
			[]string{"HSET", "h_" + g.element(), "f", strconv.Itoa(i), "t", "text" + strconv.Itoa(i)})
	}
	return append(cmds, list, set, zset)
}

func (g *sortGen) command() []string {
	cmd := []string{g.pick("SORT", "SORT", "sort_ro"), g.pick("l", "l", "s", "z", "none", "w_1")}
	constant, alpha := false, !g.numbers
	if by := g.pick("", "", "w_*", "h_*->f", "h_*", "nosort", "#"); by != "" {
		cmd = append(cmd, "BY", by)
		constant = by == "nosort" || by == "#"
	}
	if alpha = alpha && !constant && len(cmd) == 2; alpha {
		cmd = append(cmd, "ALPHA")
	}
	stores := cmd[0] != "sort_ro" && g.rnd.Intn(3) == 0
	if constant && cmd[1] == "s" && !stores {
		cmd[1] = "l" // its order is chance
	}
	for range g.rnd.Intn(3) {
		cmd = append(cmd, g.pick("ASC", "desc", "DESC"))
	}
	if g.rnd.Intn(2) == 0 {
		cmd = append(cmd, "LIMIT", strconv.Itoa(g.rnd.Intn(30)-3), strconv.Itoa(g.rnd.Intn(20)-2))
	}
	for range g.rnd.Intn(3) {
		cmd = append(cmd, "GET", g.pick("#", "w_*", "h_*->t", "h_*", "*", "x", "w_*->f", "h_*->"))
	}
	if stores {
		cmd = append(cmd, "STORE", "d")
	}
	return cmd
}
