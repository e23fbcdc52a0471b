package fsm

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// execOf makes a transaction of lines such as "set k 1"; a line "select 3" changes the database of what follows.
func execOf(t require.TestingT, watches []Watch, lines ...string) Command {
	txn, db := &Transaction{Watches: watches}, 0
	for _, l := range lines {
		words := strings.Fields(l)
		if words[0] == "select" {
			_, err := fmt.Sscan(words[1], &db)
			require.NoError(t, err)
			continue
		}
		txn.Cmds = append(txn.Cmds, command(t, db, words...))
	}
	return txn.Command()
}

// apply executes commands of one entry and returns their replies.
func (m *machine) apply(cmds ...Command) string {
	m.index++
	seed := m.index * 7919
	entry := AppendEntryHeader(nil, m.now, seed)
	m.s.Begin(m.index, m.now, seed)
	for i := range cmds {
		if c := &cmds[i]; c.Spec.Flags&FlagWrite != 0 {
			entry = AppendEntryCommand(entry, c.DB, c.Raw)
		}
		m.s.Exec(&cmds[i], &m.out)
	}
	m.s.End()
	m.log = append(m.log, entry)
	return strings.TrimSuffix(strings.ReplaceAll(m.out.take(), "\r\n", " "), " ")
}

// watch asks for the versions of keys as WATCH does.
func (m *machine) watch(db int, keys ...string) (list []Watch) {
	c := Command{Spec: Versions, DB: db, Args: [][]byte{[]byte("watch")}}
	for _, k := range keys {
		c.Args = append(c.Args, []byte(k))
	}
	m.s.Read(&c, &m.out)
	lines := strings.Split(m.out.take(), "\r\n")
	for i, k := range keys {
		w := Watch{DB: db, Key: []byte(k)}
		_, err := fmt.Sscanf(lines[2*i], ":%d", &w.Version)
		require.NoError(m.t, err)
		list = append(list, w)
	}
	return list
}

func TestTransaction(t *testing.T) {
	m := newMachine(t)
	require.Equal(t, "*4 +OK :2 $1 2 -ERR value is not an integer or out of range",
		m.apply(execOf(t, nil, "set a 1", "incr a", "get a", "incrby a x")))
	require.Equal(t, "*2 +OK $-1", m.apply(execOf(t, nil, "select 3", "set a 3", "select 4", "get a")))
	require.Equal(t, "*0", m.apply(execOf(t, nil)))
	// Reads alone are in no entry.
	c := execOf(t, m.watch(0, "a"), "get a", "select 3", "get a", "keys *")
	require.Zero(t, c.Spec.Flags&FlagWrite)
	m.s.Read(&c, &m.out)
	require.Equal(t, "*3\r\n$1\r\n2\r\n$1\r\n3\r\n*1\r\n$1\r\na\r\n", m.out.take())
	m.apply(execOf(t, nil, "set a 5"))
	m.s.Read(&c, &m.out)
	require.Equal(t, "*-1\r\n", m.out.take())
	require.Equal(t, stateHash(m.s), stateHash(m.replay()))
}

// A transaction holds all locks: also KEYS and LCS, which give up theirs early, are in the middle of one.
func TestTransactionKeepsLocks(t *testing.T) {
	m := newMachine(t)
	m.do("mset", "a", "1", "b", "2")
	for _, lines := range [][]string{{"keys *", "set a 2"}, {"lcs a b", "set a 3"}, {"flushall", "keys *", "set a 4", "keys *"}} {
		held := false
		c := execOf(t, nil, lines...)
		c.Txn.Before = func(int) {
			sh := &m.s.shards[int(Slot([]byte("a")))/pageSlots]
			held = !sh.mu.TryRLock()
			if !held {
				sh.mu.RUnlock()
			}
			require.True(t, held)
		}
		m.apply(c)
		require.True(t, held)
	}
	for i := range m.s.shards {
		require.True(t, m.s.shards[i].mu.TryLock(), i)
		m.s.shards[i].mu.Unlock()
	}
}

// TestWatch: what changes a key changes its version, on every node and across snapshots.
func TestWatch(t *testing.T) {
	for _, c := range []struct {
		before, between string
		changed         bool
	}{
		{"set k 1", "set k 1", true},
		{"set k 1", "get k", false},
		{"set k 1", "del k", true},
		{"set k 1", "setnx k 2", false},
		{"set k 1", "pexpire k 100000", true},
		{"set k 1", "persist k", false},
		{"set k 1 px 1000", "persist k", true},
		{"set k 1", "rename k j", true},
		{"set k 1", "copy k j", false},
		{"set k 1", "flushall", true},
		{"set k 1", "swapdb 0 1", true},
		{"set k 1", "swapdb 1 2", false},
		{"set k 1 px 10", "get k", true}, // due meanwhile
		{"get k", "set k 1", true},
		{"get k", "del k", false},
		{"rpush k a b", "lset k 0 a", true},
		{"rpush k a b", "lrange k 0 -1", false},
		{"hset k f v", "hset k f w", true},
		{"hset k f v", "hdel k g", false},
		{"set k " + strings.Repeat("x", 100000), "setrange k 0 x", true},
		{"sadd k a", "srem k a", true},
		{"zadd k 1 a", "zincrby k 1 a", true},
	} {
		m := newMachine(t)
		m.do(strings.Fields(c.before)...)
		w := m.watch(0, "k")
		m.now += 20
		m.do(strings.Fields(c.between)...)
		restored := NewStore()
		require.NoError(t, restored.Restore(strings.NewReader(string(payload(t, m.s)))))
		for _, s := range []*Store{m.s, m.replay(), restored} {
			cmd := execOf(t, w, "set done 1")
			var out wire
			s.Begin(m.index+1, m.now, 1)
			s.Exec(&cmd, &out)
			s.End()
			want := "*1\r\n+OK\r\n"
			if c.changed {
				want = "*-1\r\n"
			}
			require.Equal(t, want, out.take(), "%.40s; %s", c.before, c.between)
		}
	}
	m := newMachine(t)
	m.do("set", "k", "1")
	w := m.watch(0, "k", "absent")
	m.do("del", "k")
	m.do("set", "k", "1")
	require.Equal(t, "*-1", m.apply(execOf(t, w, "set done 1")), "deleted and created again")
	m.db = 3
	m.do("set", "k", "1")
	w = m.watch(3, "k")
	m.db = 0
	m.do("set", "k", "2")
	require.Equal(t, "*1 +OK", m.apply(execOf(t, w, "set done 1")), "the k of another database")
	m.db = 3
	m.do("set", "k", "2")
	require.Equal(t, "*-1", m.apply(execOf(t, w, "set done 2")))
	require.Equal(t, stateHash(m.s), stateHash(m.replay()))
}

// A version of an entry in execution is above Applied: see Versions.
func TestVersionInExecution(t *testing.T) {
	m := newMachine(t)
	m.s.Begin(7, m.now, 1)
	c := command(t, 0, "set", "k", "1")
	m.s.Exec(&c, &m.out)
	m.out.take()
	w := m.watch(0, "k")
	require.EqualValues(t, 7, w[0].Version)
	require.Less(t, m.s.Applied(), w[0].Version)
	m.s.End()
	require.Equal(t, m.s.Applied(), w[0].Version)
}

// Random transactions: each leaves and answers what its commands do one by one, if no watched key has another version, else
// nothing; followers get to the same state.
func TestTransactionsAgainstTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, twin := newMachine(t), newMachine(t)
		watched := m.watch(0, "k0", "k1")
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			m.now += rapid.Int64Range(0, 3).Draw(t, "ms")
			twin.now = m.now
			m.do("del", "none") // the clock goes on in front of what is looked at
			twin.do("del", "none")
			if rapid.IntRange(0, 3).Draw(t, "watch") == 0 {
				watched = m.watch(0, "k0", "k1")
			}
			txn := &Transaction{}
			if rapid.Bool().Draw(t, "guarded") {
				txn.Watches = watched
			}
			for range rapid.IntRange(0, 5).Draw(t, "commands") {
				txn.Cmds = append(txn.Cmds, command(t, rapid.IntRange(0, 1).Draw(t, "db"), transactionCommand(t)...))
			}
			before := m.watch(0, "k0", "k1")
			got := m.apply(txn.Command())
			if got == "*-1" {
				require.NotEqual(t, txn.Watches, m.watch(0, "k0", "k1")) // now, because a key may have been due
				continue
			}
			if txn.Watches != nil {
				require.Equal(t, txn.Watches, before)
			}
			want := fmt.Sprintf("*%d", len(txn.Cmds))
			for i := range txn.Cmds {
				c := &txn.Cmds[i]
				twin.db = c.DB
				want += strings.TrimSuffix(" "+strings.ReplaceAll(twin.doCommand(c), "\r\n", " "), " ")
			}
			require.Equal(t, want, got)
			require.Equal(t, stateHash(twin.s), stateHash(m.s))
		}
		require.NoError(t, m.s.Check())
		require.Equal(t, payload(t, m.s), payload(t, m.replay()))
	})
}

// doCommand is do for a command that is parsed.
func (m *machine) doCommand(c *Command) string {
	words := make([]string, len(c.Args))
	for i, a := range c.Args {
		words[i] = string(a)
	}
	return m.do(words...)
}

// transactionCommand draws a command whose replies do not depend on dice.
func transactionCommand(t *rapid.T) []string {
	key := rapid.SampledFrom([]string{"k0", "k1", "k2"})
	lines := []string{"set K V", "get K", "incr K", "append K V", "del K", "exists K K", "rename K K", "copy K K replace", "lpush K V V", "lpop K",
		"lrange K 0 -1", "sadd K V", "scard K", "hset K V V", "hgetall K", "expire K 1", "pexpire K 2", "persist K", "getdel K", "mset K V K V",
		"dbsize", "flushdb", "swapdb 0 1", "type K", "strlen K", "setrange K 3 V", "keys *"}
	words := strings.Fields(rapid.SampledFrom(lines).Draw(t, "line"))
	for i, w := range words {
		switch w {
		case "K":
			words[i] = key.Draw(t, "key")
		case "V":
			words[i] = rapid.SampledFrom([]string{"1", "x", "22"}).Draw(t, "value")
		}
	}
	return words
}

func TestTransactionEntries(t *testing.T) {
	raw := func(words ...string) []byte {
		return AppendEntryCommand(AppendEntryHeader(nil, 1, 1), 0, rawCommand(words...))
	}
	set := string(rawCommand("set", "k", "1"))
	good := [][]string{
		{execName, "0"}, {execName, "0", "0", set}, {execName, "1", "0", "0", "k", "3", set}, {execName, "1", "15", "7", "", "0", set, "1", set},
	}
	for _, words := range good {
		require.NoError(t, NewStore().ApplyEntry(1, raw(words...)), "%q", words)
	}
	for _, words := range [][]string{
		{execName}, {execName, "x"}, {execName, "-1"}, {execName, "1"}, {execName, "1", "0", "0"}, {execName, "1", "16", "0", "k"},
		{execName, "1", "0", "-1", "k"}, {execName, "1", "0", "x", "k"}, {execName, "9223372036854775807", "0", "0", "k"},
		{execName, "0", "0"}, {execName, "0", "16", set}, {execName, "0", "0", set + "x"}, {execName, "0", "0", set[1:]},
		{execName, "0", "0", string(rawCommand("get", "k"))}, {execName, "0", "0", string(rawCommand("set", "k"))},
		{execName, "0", "0", string(rawCommand(sweepName, "1"))}, {execName, "0", "0", string(rawCommand(execName, "0"))},
	} {
		s := NewStore()
		require.ErrorIs(t, s.ApplyEntry(1, raw(words...)), errEntry, "%q", words)
	}
}
