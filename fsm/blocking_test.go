package fsm

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// sleeper is a client whose command may wait.
type sleeper struct {
	Blocked
	out wire
}

// sleepers drives a machine with clients whose commands may wait.
type sleepers struct {
	*machine
	names   []string // in the order in which they came
	clients map[string]*sleeper
}

func newSleepers(t require.TestingT) *sleepers {
	return &sleepers{machine: newMachine(t), clients: map[string]*sleeper{}}
}

// exec executes a command of a client in an entry of its own, and returns its reply, or "waits".
func (m *sleepers) exec(name string, c Command) string {
	cl := &sleeper{}
	m.names, m.clients[name] = append(m.names, name), cl
	if c.Spec.Flags&FlagBlocking != 0 {
		c.Blocked = &cl.Blocked
	}
	m.index++
	entry := AppendEntryHeader(nil, m.now, m.index)
	m.s.Begin(m.index, m.now, m.index)
	if c.Spec.Flags&FlagWrite != 0 {
		entry = AppendEntryCommand(entry, c.DB, c.Raw)
	}
	m.log = append(m.log, entry)
	m.s.Exec(&c, &cl.out)
	m.s.End()
	require.NoError(m.t, m.s.checkWaiters())
	if cl.Waits {
		require.Empty(m.t, cl.out.b)
		return "waits"
	}
	return spaced(cl.out.take())
}

func spaced(reply string) string {
	return strings.TrimSuffix(strings.ReplaceAll(reply, "\r\n", " "), " ")
}

// tell executes lines of the form "client: command", or "command" of nobody, whose reply is not looked at; "@3 " in front changes
// the database.
func (m *sleepers) tell(lines ...string) {
	for _, l := range lines {
		if l[0] == '@' {
			m.db, l = int(l[1]-'0'), l[3:]
		}
		name, cmd, ok := strings.Cut(l, ": ")
		if !ok {
			cmd = l
		}
		m.exec(name, command(m.t, m.db, strings.Fields(cmd)...))
	}
}

// answers lists who was answered since the last time, in order, with what.
func (m *sleepers) answers() (all []string) {
	for _, b := range m.s.TakeAnswered() {
		for name, cl := range m.clients {
			if &cl.Blocked == b {
				require.False(m.t, b.Waits)
				all = append(all, name+" "+spaced(cl.out.take()))
			}
		}
	}
	return all
}

// Who waits is served by the write that feeds it, in the order of Redis.
func TestServing(t *testing.T) {
	for name, c := range map[string]struct{ do, want []string }{
		"one":              {[]string{"a: blpop k 0", "rpush k x"}, []string{"a *2 $1 k $1 x"}},
		"the oldest first": {[]string{"a: brpop k 0", "b: blpop k 0", "c: blpop k 0", "rpush k x y"}, []string{"a *2 $1 k $1 y", "b *2 $1 k $1 x"}},
		"of several keys":  {[]string{"a: blpop k j k 0", "rpush j x"}, []string{"a *2 $1 j $1 x"}},
		"a chain": {[]string{"a: blmove k j left left 0", "b: brpoplpush j i 0", "c: blpop i 0", "rpush k x"},
			[]string{"a $1 x", "b $1 x", "c *2 $1 i $1 x"}},
		"a circle":            {[]string{"a: blmove k j left left 0", "b: blmove j k left left 0", "rpush k x"}, []string{"a $1 x", "b $1 x"}},
		"itself":              {[]string{"a: blmove k k left right 0", "b: blmove k k left right 0", "rpush k x y"}, []string{"a $1 x", "b $1 y"}},
		"wrong destination":   {[]string{"set s 1", "a: blmove k s left left 0", "b: blpop k 0", "rpush k x"}, []string{"a -" + errWrongType, "b *2 $1 k $1 x"}},
		"wrong type":          {[]string{"a: blpop k 0", "b: bzpopmin k 0", "set k 1", "del k", "sadd k 1", "del k", "zadd k 1 m"}, []string{"b *3 $1 k $1 m $1 1"}},
		"rename":              {[]string{"rpush j x", "a: blpop k 0", "rename j k"}, []string{"a *2 $1 k $1 x"}},
		"rename over another": {[]string{"a: blpop k 0", "set k 1", "rpush j x", "rename j k"}, []string{"a *2 $1 k $1 x"}},
		"copy":                {[]string{"rpush j x", "@3 a: blpop k 0", "@0 copy j k db 3"}, []string{"a *2 $1 k $1 x"}},
		"move":                {[]string{"a: blpop k 0", "@3 b: blpop k 0", "rpush k y", "rpush k x", "move k 0"}, []string{"b *2 $1 k $1 y", "a *2 $1 k $1 x"}},
		"store":               {[]string{"a: bzpopmax k 0", "zadd j 1 m 2 n", "zunionstore k 1 j"}, []string{"a *3 $1 k $1 n $1 2"}},
		"geo":                 {[]string{"a: bzmpop 0 1 k min count 2", "geoadd k 1 1 m"}, []string{"a *2 $1 k *1 *2 $1 m $16 3377822707026402"}},
		"counts":              {[]string{"a: blmpop 0 2 j k right count 2", "rpush k x y z"}, []string{"a *2 $1 k *2 $1 z $1 y"}},
		"swapdb":              {[]string{"a: blpop k 0", "copy k k db 2", "rpush j x", "copy j k db 2", "swapdb 0 2"}, []string{"a *2 $1 k $1 x"}},
		"lmove":               {[]string{"a: blpop k 0", "rpush j x", "lmove j k left left"}, []string{"a *2 $1 k $1 x"}},
		"a flush":             {[]string{"a: blpop k 0", "set k 1", "flushall", "rpush k x"}, []string{"a *2 $1 k $1 x"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newSleepers(t)
			m.tell(c.do...)
			require.Equal(t, c.want, m.answers())
			require.Equal(t, stateHash(m.s), stateHash(m.replay()))
		})
	}
}

// After EXEC the keys are looked at in the order in which it wrote them; in it nothing waits, and nothing is served.
func TestServingBehindExec(t *testing.T) {
	m := newSleepers(t)
	require.Equal(t, "waits", m.exec("a", command(t, 0, "blpop", "k", "j", "0")))
	require.Equal(t, "waits", m.exec("b", command(t, 0, "blpop", "k", "0")))
	require.Equal(t, "*6 :1 :1 $1 x :2 *-1 $-1", m.exec("", execOf(t, nil, "rpush j y", "rpush k x", "lpop k", "rpush j z", "blpop i 0", "blmove i h left left 0")))
	require.Equal(t, []string{"a *2 $1 j $1 y"}, m.answers())
	require.Equal(t, "*2 :1 :2", m.exec("", execOf(t, nil, "rpush k x", "rpush k z")))
	require.Equal(t, []string{"b *2 $1 k $1 x"}, m.answers())
	require.Equal(t, stateHash(m.s), stateHash(m.replay()))
}

// A wait ends by the log: its time, CLIENT UNBLOCK, a client that is gone, a leader's first entry.
func TestUnblock(t *testing.T) {
	m := newSleepers(t)
	for i, name := range []string{"a", "b", "c", "d", "e"} {
		require.Equal(t, "waits", m.exec(name, command(t, 0, "blmove", "k", "j", "left", "left", fmt.Sprint(i))))
	}
	require.EqualValues(t, 3000, m.clients["d"].Timeout)
	before := stateHash(m.s)
	require.Equal(t, ":1", m.exec("", UnblockCommand(m.clients["a"].ID, UnblockTimeout)))
	require.NotEqual(t, before, stateHash(m.s))
	require.Equal(t, ":1", m.exec("", UnblockCommand(m.clients["b"].ID, UnblockError)))
	require.Equal(t, ":1", m.exec("", UnblockCommand(m.clients["c"].ID, UnblockGone)))
	require.Equal(t, ":0", m.exec("", UnblockCommand(m.clients["c"].ID, UnblockGone)))
	require.Equal(t, []string{"a *-1", "b -" + Unblocked, "c "}, m.answers())
	require.Equal(t, stateHash(m.s), stateHash(m.replay()))
	m.index++
	m.s.NewTerm(m.index)
	require.Equal(t, m.index, m.s.Applied())
	require.Equal(t, []string{"d -" + errUnblockedRole, "e -" + errUnblockedRole}, m.answers())
	require.Equal(t, ":1", m.exec("", command(t, 0, "rpush", "k", "x")))
	require.Empty(t, m.answers())
	require.Equal(t, "$1 x", m.exec("f", command(t, 0, "blmove", "k", "j", "left", "left", "0")))
}

// Waiters are in snapshots and views, and a node that was restored serves them as all others do. Clients of the node itself are
// told that nobody knows.
func TestWaitersInSnapshots(t *testing.T) {
	m := newSleepers(t)
	m.tell("a: blpop k j 0", "b: bzmpop 0 2 i h max count 3", "c: blmove j k left right 0")
	v := m.s.Freeze()
	defer v.Close()
	snap, hash := payload(t, m.s), stateHash(m.s)
	m.tell("rpush k x", "zadd h 1 m")
	total, _ := v.Hash()
	require.Equal(t, hash, total)
	verified, err := v.Verify()
	require.NoError(t, err)
	require.Equal(t, hash, verified)
	s := NewStore()
	require.NoError(t, s.Restore(bytes.NewReader(snap)))
	require.NoError(t, s.Check())
	require.Equal(t, hash, stateHash(s))
	require.Equal(t, snap, payload(t, s))
	for i := 3; i < len(m.log); i++ {
		require.NoError(t, s.ApplyEntry(uint64(i+1), m.log[i]))
		require.NoError(t, s.checkWaiters())
	}
	require.Equal(t, stateHash(m.s), stateHash(s))
	require.NotEqual(t, hash, stateHash(s))
	require.Len(t, m.answers(), 2)
	require.NoError(t, m.s.Restore(bytes.NewReader(snap)))
	require.Equal(t, []string{"c "}, m.answers())
	require.True(t, m.clients["c"].Lost)
	require.NoError(t, m.s.Check())
	require.Equal(t, hash, stateHash(m.s))
	for i := max(0, len(snap)-150); i < len(snap); i++ {
		bad := bytes.Clone(snap)
		bad[i] ^= 1
		if s := NewStore(); s.Restore(bytes.NewReader(bad)) == nil {
			require.NoError(t, s.checkWaiters(), "byte %d", i)
		}
	}
}

// Whoever waits without a client, because the proposer gave up, is found; a client that is abandoned is told so.
func TestOrphansAndAbandoned(t *testing.T) {
	m := newSleepers(t)
	require.Empty(t, m.s.Orphans(m.index))
	m.index++
	entry := AppendEntryHeader(nil, m.now, 1)
	for _, words := range []string{"blpop k 0", "set a 1", "blpop j 0"} {
		entry = AppendEntryCommand(entry, 0, rawCommand(strings.Fields(words)...))
	}
	require.NoError(t, m.s.ApplyEntry(m.index, entry))
	require.Equal(t, []WaiterID{{1, 1}, {1, 3}}, m.s.Orphans(1))
	require.Empty(t, m.s.Orphans(2))
	m.tell("a: blpop k 0")
	require.Empty(t, m.s.Orphans(2))
	hash := stateHash(m.s)
	m.s.Abandon()
	require.Equal(t, []string{"a "}, m.answers())
	require.True(t, m.clients["a"].Lost)
	require.Equal(t, hash, stateHash(m.s))
	m.tell("rpush k x y z")
	require.Empty(t, m.answers())
	require.Equal(t, ":1", m.exec("", command(t, 0, "llen", "k")))
}

func TestTimeouts(t *testing.T) {
	m := newSleepers(t)
	for text, ms := range map[string]int64{"0": 0, "1": 1000, "0.0001": 1, "1.0001": 1001, "1.001": 1001, "-0.0001": 0, "-0": 0, "0x0.8": 500, "1e-9": 1,
		"9223372036854775": 9223372036854775000} {
		require.Equal(t, "waits", m.exec("a", command(t, 0, "blpop", "k", text)), text)
		require.Equal(t, ms, m.clients["a"].Timeout, text)
	}
	for _, text := range []string{"-1", "1e300", "inf", "-inf", "9223372036854775.9", "-0.1"} {
		require.Equal(t, "-"+errTimeoutNeg, m.exec("a", command(t, 0, "blpop", "k", text)), text)
	}
	for _, text := range []string{"x", "", "nan", "1 "} {
		require.Equal(t, "-"+errTimeout, m.exec("a", command(t, 0, "blpop", "k", text)), text)
	}
}

// Random clients: nobody waits for what is there, and nodes that replay the log, or begin with a snapshot of some moment, end up
// with the same state. Check runs behind every entry.
func TestRandomWaiters(t *testing.T) {
	words := strings.Split("blpop k j 0,blpop j 0,brpop k 0,blmove k j left right 0,blmove j k right left 0,blmove k k left left 0,brpoplpush j i 0,"+
		"blmpop 0 3 k j i left count 2,bzpopmin k j 0,bzmpop 0 2 i k max count 2,rpush k a,rpush k a b c,lpush j a,rpush i a b,zadd k 1 a 2 b,zadd i 1 a,"+
		"del k,del k j i,rename k j,rename i k,copy k j replace,set k 1,set j 1,lpop k,flushdb,swapdb 0 1,rpush {x}far a,blmove k {x}far left left 0,lmove k j left left,"+
		"rpoplpush {x}far k,expire k -1,pexpire k 1,move k 1", ",")
	rapid.Check(t, func(t *rapid.T) {
		m := newSleepers(t)
		snap, at := []byte(nil), 0
		for i := range rapid.IntRange(1, 60).Draw(t, "commands") {
			m.now += int64(rapid.IntRange(0, 2).Draw(t, "ms"))
			m.db = rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(t, "db")
			pick := rapid.SampledFrom(words)
			switch rapid.IntRange(0, 9).Draw(t, "kind") {
			case 0:
				m.exec("x", execOf(t, nil, pick.Draw(t, "first"), pick.Draw(t, "second"), pick.Draw(t, "third")))
			case 1:
				if w := m.s.waits.last; w != nil {
					why := rapid.SampledFrom([]Unblocking{UnblockTimeout, UnblockError, UnblockGone}).Draw(t, "why")
					require.Equal(t, ":1", m.exec("x", UnblockCommand(w.id, why)))
				}
			case 2:
				if snap == nil {
					snap, at = payload(t, m.s), len(m.log)
				}
			default:
				m.exec(fmt.Sprint(i), command(t, m.db, strings.Fields(pick.Draw(t, "command"))...))
			}
		}
		waiting := 0
		for _, cl := range m.clients {
			if cl.Waits {
				waiting++
			}
		}
		require.LessOrEqual(t, waiting, m.s.waits.n)
		require.NoError(t, m.s.Check())
		require.Equal(t, stateHash(m.s), stateHash(m.replay()))
		if snap != nil {
			s := NewStore()
			require.NoError(t, s.Restore(bytes.NewReader(snap)))
			for i := at; i < len(m.log); i++ {
				require.NoError(t, s.ApplyEntry(uint64(i+1), m.log[i]))
			}
			require.NoError(t, s.Check())
			require.Equal(t, payload(t, m.s), payload(t, s))
		}
		m.index++
		m.s.NewTerm(m.index)
		require.NoError(t, m.s.Check())
		require.Zero(t, m.s.waits.n)
		require.Empty(t, m.s.waits.keys)
		require.Empty(t, m.s.waits.feeds)
	})
}

// While nobody waits a write costs nothing more; while somebody does, writes of other keys do not allocate.
func TestWaitersCostNothing(t *testing.T) {
	m := newSleepers(t)
	m.tell("rpush l x", "set k 1")
	push := command(t, 0, "lset", "l", "0", "y")
	m.s.Place(&push)
	run := func() {
		m.index++
		m.s.Begin(m.index, m.now, 1)
		m.s.Exec(&push, Discard)
		m.s.End()
	}
	require.Zero(t, testing.AllocsPerRun(100, run))
	m.tell("a: blmove other l left left 0")
	require.Zero(t, testing.AllocsPerRun(100, run))
}
