//go:build oracle

package fsm

import (
	"bufio"
	"fmt"
	"math/rand"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// eventListener is told the events of a redis-server.
type eventListener struct {
	t *testing.T
	o *oracle
	r *bufio.Reader
}

const eventMark = "between commands"

func listenTo(t *testing.T, o *oracle) *eventListener {
	require.Equal(t, "+OK\r\n", o.do(t, []string{"CONFIG", "SET", "notify-keyspace-events", "EAnm"})[0])
	conn, err := net.Dial("unix", o.conn.RemoteAddr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	l := &eventListener{t, o, bufio.NewReader(conn)}
	_, err = conn.Write(rawCommand("PSUBSCRIBE", "__keyevent@*:*", eventMark))
	require.NoError(t, err)
	for range 2 {
		_, err = readReply(l.r, false)
		require.NoError(t, err)
	}
	return l
}

// do executes commands and returns their replies, and the events of each.
func (l *eventListener) do(cmds [][]string) (replies []string, events [][]string) {
	var all [][]string
	for _, c := range cmds {
		all = append(all, c, []string{"PUBLISH", eventMark, ""})
	}
	for i, r := range l.o.do(l.t, all...) {
		if i%2 == 0 {
			replies = append(replies, r)
		}
	}
	for range cmds {
		var list []string
		for {
			r, err := readReply(l.r, false)
			require.NoError(l.t, err)
			m := bulkTexts(r)
			if m[2] == eventMark {
				break
			}
			db, event, _ := strings.Cut(strings.TrimPrefix(m[2], "__keyevent@"), "__:")
			list = append(list, fmt.Sprintf("%s %s %q", db, event, m[3]))
		}
		events = append(events, list)
	}
	return replies, events
}

// timeless leaves out what comes when somebody looks at a due key, whose deletion has no certain time. SORT of a set goes by chance.
func timeless(cmd []string, events []string) []string {
	list := slices.DeleteFunc(events, func(e string) bool {
		return strings.Contains(e, " expired ") || strings.EqualFold(cmd[0], "scan") && strings.Contains(e, " keymiss ")
	})
	if strings.HasPrefix(strings.ToLower(cmd[0]), "sort") {
		slices.Sort(list)
	}
	return list
}

// compare executes commands on both sides, compares the events of each, and hands out both replies.
func (l *eventListener) compare(m *machine, ours *eventLog, cmds [][]string, what string, each func(cmd []string, theirs, ours string)) {
	l.t.Helper()
	replies, want := l.do(cmds)
	for i, cmd := range cmds {
		reply := ""
		if strings.EqualFold(cmd[0], "select") {
			m.db, _ = strconv.Atoi(cmd[1])
		} else {
			reply = m.do(cmd...)
		}
		got := timeless(cmd, ours.take())
		require.True(l.t, slices.Equal(timeless(cmd, want[i]), got), "want %q got %q: %s: %.300q, answered %.200q, %.200q", want[i], got, what, cmd, replies[i], reply)
		each(cmd, replies[i], reply)
	}
}

// The events of random commands are those that redis-server tells, in its order.
func TestRandomEventsAsRedis(t *testing.T) {
	o := startOracle(t, "2")
	l := listenTo(t, o)
	for seed := *differFrom; seed < *differFrom+*differRounds; seed++ {
		d := newDiffer(t, o, "2", seed)
		l.do([][]string{{"FLUSHALL"}, {"SELECT", "0"}})
		d.g.brief = false
		ours := &eventLog{}
		d.m.s.SetNotifier(ours)
		for range differBatches {
			d.began = d.clock()
			d.m.now, d.g.now = d.began, d.began
			cmds := d.g.refill()
			for range d.length {
				cmds = append(cmds, d.g.commands()...)
				if rolls(cmds[len(cmds)-1]) {
					break
				}
			}
			l.compare(d.m, ours, cmds, fmt.Sprintf("seed %d", seed), func(cmd []string, theirs, mine string) {
				switch {
				case strings.EqualFold(cmd[0], "dump") && !isStream(theirs) && mine[0] == '$' && mine != "$-1\r\n":
					d.g.dumps = append(d.g.dumps, bulkBody(theirs), bulkBody(mine))
				case rolls(cmd) && mine[0] != '-':
					d.syncSet(cmd[1])
					l.do([][]string{{"PING"}}) // what that has told
					ours.take()
				}
			})
		}
		require.NoError(t, d.m.s.Check())
	}
}

// So are those of random commands on streams.
func TestRandomStreamEventsAsRedis(t *testing.T) {
	o := startOracle(t, "2")
	l := listenTo(t, o)
	for seed := range int64(8) {
		l.do([][]string{{"flushall"}, {"set", "str", "x"}})
		m, ours := newMachine(t), &eventLog{}
		m.do("set", "str", "x")
		m.s.SetNotifier(ours)
		m.now = (&liveRedis{t, o}).now()
		g := &streamGen{rnd: rand.New(rand.NewSource(seed)), top: 1}
		for range 600 {
			args := g.command()
			if strings.Contains(args[0], " ") {
				continue
			}
			cmds := append(consumers(args), args)
			if args[0] == "xsetid" {
				if m.do(args...) == "-"+errSetIDBehind+"\r\n" {
					continue // since 7.2
				}
				ours.take()
			}
			l.compare(m, ours, cmds, fmt.Sprintf("seed %d", seed), func([]string, string, string) {})
		}
	}
}

// Transactions, commands that wait, and what serves them.
func TestEventsOfWaitsAsRedis(t *testing.T) {
	o := startOracle(t, "2")
	l := listenTo(t, o)
	m, ours := newMachine(t), &eventLog{}
	m.s.SetNotifier(ours)
	none := func([]string, string, string) {}
	run := func(lines ...string) {
		t.Helper()
		var cmds [][]string
		for _, line := range lines {
			cmds = append(cmds, strings.Fields(line))
		}
		l.compare(m, ours, cmds, "", none)
	}
	run("rpush l a b c d e", "blpop l 0", "brpop none l 0", "blmove l k left right 0", "brpoplpush l l 0", "blmpop 0 2 none l left count 9", "brpoplpush k j 0",
		"zadd z 1 a 2 b 3 c 4 d", "bzpopmin z 0", "bzpopmax none z 0", "bzmpop 0 1 z max count 5", "del j")
	for _, waits := range []string{"blpop a b 0", "brpop a 0", "blmove a b left right 0", "brpoplpush a a 0", "blmpop 0 1 a right count 2", "bzpopmin a 0", "bzmpop 0 1 a max count 3"} {
		conn, err := net.Dial("unix", o.conn.RemoteAddr().String())
		require.NoError(t, err)
		_, err = conn.Write(rawCommand(strings.Fields(waits)...))
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			return strings.Contains(o.do(t, []string{"INFO", "clients"})[0], "blocked_clients:1\r\n")
		}, 10*time.Second, time.Millisecond)
		m.do(strings.Fields(waits)...)
		if waits[1] == 'z' {
			run("zadd a 1 x 2 y 3 z", "del a")
		} else {
			run("rpush a x y z", "del a b")
		}
		require.NoError(t, conn.Close())
	}
	for _, watched := range []uint64{Absent, 1} {
		o.do(t, []string{"MULTI"}, []string{"SET", "t", "1", "EX", "100"}, []string{"LPUSH", "l", "1"}, []string{"LPOP", "l"}, []string{"GET", "no"})
		_, want := l.do([][]string{{"EXEC"}})
		txn := &Transaction{Watches: []Watch{{Key: []byte("none"), Version: watched}}}
		for _, line := range []string{"SET t 1 EX 100", "LPUSH l 1", "LPOP l", "GET no"} {
			txn.Cmds = append(txn.Cmds, command(t, 0, strings.Fields(line)...))
		}
		c := txn.Command()
		m.index++
		m.s.Begin(m.index, m.now, 1)
		m.s.Exec(&c, &m.out)
		m.s.End()
		if watched == Absent {
			require.Equal(t, want[0], ours.take())
		}
	}
	require.Empty(t, ours.take(), "it was not executed")
}
