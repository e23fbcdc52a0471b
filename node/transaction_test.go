package node

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/fsm"
)

// transaction makes a command of a transaction.
func transaction(watches []fsm.Watch, cmds ...fsm.Command) fsm.Command {
	return (&fsm.Transaction{Watches: watches, Cmds: cmds}).Command()
}

// watchKeys asks a node for versions, as WATCH does.
func watchKeys(t *testing.T, p *peer, keys ...string) (list []fsm.Watch) {
	c := fsm.Command{Spec: fsm.Versions, Args: [][]byte{[]byte("watch")}}
	for _, k := range keys {
		c.Args = append(c.Args, []byte(k))
	}
	o, got, _ := p.do(false, c)
	require.Equal(t, Done, o)
	words := strings.Fields(got)
	for i, k := range keys {
		w := fsm.Watch{Key: []byte(k)}
		_, err := fmt.Sscanf(words[2*i], ":%d", &w.Version)
		require.NoError(t, err)
		list = append(list, w)
	}
	return list
}

// What was watched with one leader is compared by the next, after a restart of everybody, too.
func TestWatchOutlivesTheLeader(t *testing.T) {
	bubble(t, 3, func(c *Config) { c.SnapshotBytes, c.SnapshotKeep = 5_000, 1 }, func(w *world) {
		lead := w.leader()
		o, _, _ := lead.do(false, command("mset", "a", "1", "b", "1"))
		require.Equal(t, Done, o)
		kept, changed := watchKeys(t, lead, "a", "absent"), watchKeys(t, lead, "b")
		for range 10 { // some snapshots
			o, _, _ = lead.do(false, command("set", "b", strings.Repeat("x", 1000)))
			require.Equal(t, Done, o)
		}
		w.isolate(lead.id, true)
		next := w.leader(lead)
		o, got, _ := next.do(false, transaction(kept, command("get", "a"), command("incr", "n")))
		require.Equal(t, Done, o)
		require.Equal(t, "*2 1 :1 ", got)
		o, got, _ = next.do(false, transaction(changed, command("incr", "n")))
		require.Equal(t, Done, o)
		require.Equal(t, "nil ", got)
		w.isolate(lead.id, false)
		w.settled()
		for _, p := range w.nodes {
			p.stop()
		}
		for _, p := range w.nodes {
			p.start()
		}
		lead = w.leader()
		o, got, _ = lead.do(false, transaction(kept, command("incr", "n")))
		require.Equal(t, Done, o)
		require.Equal(t, "*1 :2 ", got)
		o, got, _ = lead.do(false, transaction(changed, command("incr", "n")))
		require.Equal(t, Done, o)
		require.Equal(t, "nil ", got)
		w.settled()
	})
}

// A transaction in which one command takes memory is refused whole when there is none.
func TestTransactionWithoutMemory(t *testing.T) {
	_, change := limited(Memory{Limit: 20_000})
	bubble(t, 3, change, func(w *world) {
		lead := w.leader()
		fillMemory(t, lead, 1000)
		o, _, _ := lead.do(false, transaction(nil, command("del", "key:1"), command("set", "key:2", "x")))
		require.Equal(t, OutOfMemory, o)
		o, got, _ := lead.do(false, transaction(nil, command("exists", "key:1"), command("del", "key:1")))
		require.Equal(t, Done, o)
		require.Equal(t, "*2 :1 :1 ", got)
		w.settled()
	})
}

// Clients move amounts between two counters with compared versions: nothing is lost, and nobody sees a half.
func TestTransactionsAreAtomic(t *testing.T) {
	bubble(t, 3, nil, func(w *world) {
		lead := w.leader()
		o, _, _ := lead.do(false, command("mset", "a", "0", "b", "0"))
		require.Equal(t, Done, o)
		var wg sync.WaitGroup
		for id := range 4 {
			wg.Go(func() {
				for range 25 {
					o, got, _ := lead.do(false, transaction(nil, command("get", "a"), command("get", "b")))
					require.Equal(t, Done, o)
					var a, b int
					_, err := fmt.Sscanf(got, "*2 %d %d", &a, &b)
					require.NoError(t, err)
					require.Zero(t, a+b)
					o, _, _ = lead.do(false, transaction(nil, command("incrby", "a", fmt.Sprint(id+1)), command("get", "b"), command("decrby", "b", fmt.Sprint(id+1))))
					require.Equal(t, Done, o)
				}
			})
		}
		wg.Wait()
		w.settled()
	})
}
