//go:build oracle

package fsm

import (
	"fmt"
	"math/rand"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/fsm/rdb"
)

// streamOf makes commands that fill and thin out the stream k.
func streamOf(rnd *rand.Rand, n int) (cmds [][]string) {
	pick := func(s ...string) string { return s[rnd.Intn(len(s))] }
	var ids []string
	ms := 0
	for range n {
		ms += rnd.Intn(3)
		id := fmt.Sprintf("%d-%d", ms, len(ids)+1)
		ids = append(ids, id)
		cmd := []string{"XADD", "k", id, "f", pick("v", "12", "-70000", "", sized(rnd.Intn(90)))}
		if rnd.Intn(4) == 0 {
			cmd = append(cmd, pick("g", "7", "another field"), strconv.Itoa(rnd.Intn(1000)))
		}
		cmds = append(cmds, cmd)
		if rnd.Intn(6) == 0 {
			cmds = append(cmds, []string{"XDEL", "k", ids[rnd.Intn(len(ids))]})
		}
	}
	switch rnd.Intn(5) {
	case 0:
		cmds = append(cmds, []string{"XTRIM", "k", "MAXLEN", pick("~", "="), strconv.Itoa(rnd.Intn(n + 1))})
	case 1:
		cmds = append(cmds, []string{"XSETID", "k", "99999999-1", "ENTRIESADDED", "100000", "MAXDELETEDID", "5-0"})
	case 2:
		cmds = append(cmds, append([]string{"XDEL", "k"}, ids...))
	}
	return cmds
}

// TestOracleDumpStream exchanges streams with redis-server: the payloads have the same bytes, and what is restored here from
// redis-server, groups with what is pending included, has those of its payload again.
func TestOracleDumpStream(t *testing.T) {
	d := newDumpTwin(t)
	rnd := rand.New(rand.NewSource(9))
	var payloads []string
	for round := range 60 {
		d.o.do("del", "k")
		d.m.do("del", "k")
		for _, cmd := range streamOf(rnd, 1+rnd.Intn([]int{3, 30, 400}[round%3])) {
			d.both(cmd...)
		}
		d.exchange("k", true)
		for g := range rnd.Intn(4) {
			group := fmt.Sprint("group", g)
			d.o.do("xgroup", "create", "k", group, []string{"0", "$", "3-0"}[rnd.Intn(3)])
			for c := range rnd.Intn(4) {
				d.o.do("xreadgroup", "group", group, fmt.Sprint("c", c), "count", strconv.Itoa(1+rnd.Intn(20)), "streams", "k", ">")
			}
			d.o.do("xack", "k", group, "1-1", "2-2", "2-3")
			d.o.do("xgroup", "createconsumer", "k", group, "idle")
		}
		payload := bulkBody(d.o.do("dump", "k"))
		require.Equal(t, "+OK\r\n", d.m.do("restore", "k", "0", payload, "replace"), "%q", payload)
		require.Equal(t, payload, bulkBody(d.m.do("dump", "k")))
		require.Equal(t, "+OK\r\n", d.o.do("restore", "k", "0", bulkBody(d.m.do("dump", "k")), "replace"))
		require.Equal(t, d.o.do("debug", "digest-value", "k"), d.m.do("debug", "digest-value", "k"))
		require.NoError(t, d.m.s.Check())
		if len(payload) < 2000 {
			payloads = append(payloads, payload)
		}
	}
	require.Equal(t, stateHash(d.m.s), stateHash(d.m.replay()))
	for range 3000 { // what is taken here is taken there; the reverse is not so, see streamLoader
		body := []byte(payloads[rnd.Intn(len(payloads))])
		body = damaged(rnd, body[:len(body)-10])
		payload := seal(body)
		if known := body[0] < byte(rdb.TypeSetListpack); !known || d.m.do("restore", "k", "0", payload, "replace") != "+OK\r\n" {
			continue
		}
		require.Equal(t, "+OK\r\n", d.o.do("restore", "k", "0", payload, "replace"), "%q", payload)
		if d.m.do("type", "k") == "+stream\r\n" {
			require.Equal(t, d.o.do("xlen", "k"), d.m.do("xlen", "k"), "%q", payload)
		}
	}
	require.NoError(t, d.m.s.Check())
	require.Equal(t, stateHash(d.m.s), stateHash(d.m.replay()))
}
