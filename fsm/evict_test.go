package fsm

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"math/rand"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// evict executes what EvictCommands makes of the victims and returns how many of them it deleted.
func (m *machine) evict(victims []Victim) (n uint64) {
	before := m.s.Evicted()
	m.index++
	m.s.Begin(m.index, m.now, 1)
	entry := AppendEntryHeader(nil, m.now, 1)
	for _, c := range EvictCommands(victims) {
		m.s.Exec(&c, &m.out)
		require.Regexp(m.t, `^:\d+\r\n$`, m.out.take())
		entry = AppendEntryCommand(entry, c.DB, c.Raw)
	}
	m.s.End()
	m.log = append(m.log, entry)
	return m.s.Evicted() - before
}

func names(victims []Victim) (keys []string) {
	for i := range victims {
		keys = append(keys, string(victims[i].Key))
	}
	return keys
}

func TestPolicyNames(t *testing.T) {
	require.Equal(t, NoEviction, ParsePolicy("no such"))
	for p := NoEviction; p <= VolatileTTL; p++ {
		require.Equal(t, p, ParsePolicy(p.String()))
		require.Equal(t, strings.HasPrefix(p.String(), "volatile-"), p.volatile())
		require.Equal(t, strings.HasSuffix(p.String(), "-lfu"), p.LFU())
		require.Equal(t, strings.HasSuffix(p.String(), "-random"), p.random())
	}
}

// Whatever is chosen may be evicted by the policy and takes what is said; what is needed is chosen, or all that there is;
// choosing changes nothing, and evicting leaves what the keys left take.
func TestChoose(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t)
		keys := rapid.IntRange(0, 60).Draw(t, "keys")
		for i := range keys {
			m.db = i % 3
			m.do("set", strconv.Itoa(i), strings.Repeat("v", rapid.IntRange(0, 300).Draw(t, "n")))
			if rapid.Bool().Draw(t, "volatile") {
				m.do("pexpire", strconv.Itoa(i), strconv.Itoa(1000+i))
			}
		}
		p := Policy(rapid.IntRange(int(NoEviction), int(VolatileTTL)).Draw(t, "policy"))
		m.s.NoteUse(rapid.Int64Range(0, 1000).Draw(t, "second"), Use{LFU: p.LFU(), LogFactor: 10, Decay: 1})
		all := m.s.Counted()
		c := &Choice{Policy: p, Need: rapid.Int64Range(-1, 2*all).Draw(t, "need"), Limit: rapid.IntRange(0, 100).Draw(t, "limit"),
			Samples: rapid.IntRange(0, 20).Draw(t, "samples"), Seed: rapid.Uint64().Draw(t, "seed")}
		want := payload(t, m.s)
		victims := m.s.Choose(c)
		require.Equal(t, want, payload(t, m.s))
		require.Equal(t, victims, m.s.Choose(c), "chance comes from the seed")
		require.LessOrEqual(t, len(victims), c.Limit)
		sum, last, eligible := int64(0), int64(0), 0
		for i := range m.s.dbs {
			eligible += m.s.eligible(i, p)
		}
		for i := range victims {
			v := &victims[i]
			m.db = v.DB
			ttl := m.do("pttl", string(v.Key))
			require.NotEqual(t, ":-2\r\n", ttl)
			require.True(t, !p.volatile() || ttl != ":-1\r\n", "volatile policies leave keys without a deadline alone")
			require.Equal(t, fmt.Sprintf(":%d\r\n", v.Bytes), m.do("memory", "usage", string(v.Key)))
			last = v.Bytes
			sum += v.Bytes
		}
		require.Less(t, sum-last, max(1, c.Need), "no more than is needed")
		require.Equal(t, len(victims) > 0, p != NoEviction && eligible > 0 && c.Need > 0 && c.Limit > 0, "each choice gets on")
		require.EqualValues(t, len(victims), m.evict(victims))
		require.Equal(t, all-sum, m.s.Counted())
		require.NoError(t, m.s.Check())
		require.Equal(t, payload(t, m.s), payload(t, m.replay()))
	})
}

// A key that was changed after it was chosen stays, also when it has lost its deadline, and so does one that is new.
func TestChangedKeysAreNotEvicted(t *testing.T) {
	for _, change := range []string{"set k w", "append k x", "pexpire k 5000", "persist k", "getex k persist"} {
		m := newMachine(t)
		m.do("set", "k", "v", "px", "1000")
		victims := m.s.Choose(&Choice{Policy: VolatileLRU, Need: 1, Limit: 1, Samples: 5})
		require.Equal(t, []string{"k"}, names(victims))
		m.line(change)
		require.Zero(t, m.evict(victims), change)
		require.Equal(t, ":1", m.line("exists k"))
		m.do("del", "k")
		require.Zero(t, m.evict(victims))
		m.do("set", "k", "v")
		require.Zero(t, m.evict(victims))
		require.Equal(t, payload(t, m.s), payload(t, m.replay()))
	}
	m := newMachine(t)
	m.do("set", "k", "v", "px", "1")
	victims := m.s.Choose(&Choice{Policy: AllKeysRandom, Need: 1, Limit: 1})
	m.now += 10
	require.Zero(t, m.evict(victims))
	require.EqualValues(t, 1, m.s.Expired(), "it was due: that counts as expired")
	m.do("rpush", "l", "a")
	victims = m.s.Choose(&Choice{Policy: AllKeysRandom, Need: 1, Limit: 1})
	require.EqualValues(t, 1, m.evict(victims))
	require.Zero(t, m.s.Counted())
}

// volatile-ttl takes the nearest deadlines, over all databases.
func TestNearestDeadlinesGoFirst(t *testing.T) {
	m := newMachine(t)
	rnd := rand.New(rand.NewSource(1))
	var want []string
	at := rnd.Perm(500)
	for i, n := range at {
		m.db = i % 4
		m.do("set", fmt.Sprintf("%03d", n), "v", "pxat", strconv.FormatInt(m.now+1000+int64(n), 10))
		m.do("set", fmt.Sprintf("stays%d", i), "v")
		want = append(want, fmt.Sprintf("%03d", i))
	}
	var got []string
	for len(got) < len(want) {
		victims := m.s.Choose(&Choice{Policy: VolatileTTL, Need: 3000, Limit: 37, Samples: 5})
		require.NotEmpty(t, victims)
		got = append(got, names(victims)...)
		require.EqualValues(t, len(victims), m.evict(victims))
	}
	require.Equal(t, want, got)
	require.Empty(t, m.s.Choose(&Choice{Policy: VolatileTTL, Need: 1, Limit: 1}))
}

// used fills a store with keys that were used at known times, or so many times.
func used(t *testing.T, n int, u Use, use func(i int) (second int64, times int)) *machine {
	m := newMachine(t)
	m.s.readSeed = 1
	type event struct {
		second int64
		key    string
		times  int
	}
	var events []event
	for i := range n {
		key := fmt.Sprintf("key:%06d", i)
		m.do("set", key, "v")
		second, times := use(i)
		events = append(events, event{second, key, times})
	}
	slices.SortStableFunc(events, func(a, b event) int { return int(a.second - b.second) })
	for _, e := range events {
		m.s.NoteUse(e.second, u)
		for range e.times {
			m.do("get", e.key)
		}
	}
	return m
}

// drawn evicts half of the keys in steps and returns which of them are left.
func (m *machine) drawn(p Policy, n int) (left map[int]bool) {
	for evicted, seed := 0, uint64(1); evicted < n/2; seed++ {
		victims := m.s.Choose(&Choice{Policy: p, Need: 5000, Limit: n/2 - evicted, Samples: 5, Seed: seed * golden})
		require.NotEmpty(m.t, victims)
		require.EqualValues(m.t, len(victims), m.evict(victims))
		evicted += len(victims)
	}
	left = map[int]bool{}
	for i := range n {
		if m.do("exists", fmt.Sprintf("key:%06d", i)) == ":1\r\n" {
			left[i] = true
		}
	}
	return left
}

// With LRU the keys that were used in the newer half of the time stay, nearly all of them; so do with LFU those that were
// used often. By chance it would be half of them.
func TestHotKeysStay(t *testing.T) {
	const n = 2000
	rnd := rand.New(rand.NewSource(2))
	order := rnd.Perm(n)
	lru := used(t, n, Use{}, func(i int) (int64, int) { return int64(order[i]), 1 })
	hot := func(left map[int]bool) (kept float64) {
		for i := range left {
			if order[i] >= n/2 {
				kept += 2.0 / n
			}
		}
		return kept
	}
	require.Greater(t, hot(lru.drawn(AllKeysLRU, n)), 0.9)

	// Half of the keys are used 50 times, the others once.
	lfuUse := Use{LFU: true, LogFactor: 1, Decay: 1}
	lfu := used(t, n, lfuUse, func(i int) (int64, int) {
		if order[i] >= n/2 {
			return int64(i % 50), 50
		}
		return int64(i % 50), 1
	})
	require.Greater(t, hot(lfu.drawn(AllKeysLFU, n)), 0.9)

	random := used(t, n, Use{}, func(i int) (int64, int) { return int64(order[i]), 1 })
	require.InDelta(t, 0.5, hot(random.drawn(AllKeysRandom, n)), 0.05)
}

// Keys of one large slot and keys of all slots, keys of large and of small databases, are drawn alike.
func TestEveryKeyIsDrawnAlike(t *testing.T) {
	m := newMachine(t)
	for i := range 3000 {
		m.db = 0
		m.do("set", fmt.Sprintf("{one}%04d", i), "v")
		m.do("set", fmt.Sprintf("many%04d", i), "v")
		if i < 600 {
			m.db = 7
			m.do("set", fmt.Sprintf("few%04d", i), "v")
		}
	}
	got := map[string]int{}
	total := 0
	for seed := range uint64(400) {
		for _, v := range m.s.Choose(&Choice{Policy: AllKeysRandom, Need: 5000, Limit: 100, Seed: splitMix(seed)}) {
			got[strings.Trim(string(v.Key), "0123456789")]++
			total++
		}
	}
	require.InDelta(t, 3000.0/6600, float64(got["{one}"])/float64(total), 0.03)
	require.InDelta(t, 3000.0/6600, float64(got["many"])/float64(total), 0.03)
	require.InDelta(t, 600.0/6600, float64(got["few"])/float64(total), 0.02)
}

// Replicas that serve different reads at different times, by different policies, stay equal whoever chooses.
func TestReplicasEvictAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := []*Store{newStore(maphash.MakeSeed()), newStore(maphash.MakeSeed()), newStore(maphash.MakeSeed())}
		now, index := int64(1_700_000_000_000), uint64(0)
		apply := func(cmds ...Command) {
			index++
			now += rapid.Int64Range(0, 3).Draw(t, "ms")
			entry := AppendEntryHeader(nil, now, index)
			for i := range cmds {
				entry = AppendEntryCommand(entry, cmds[i].DB, cmds[i].Raw)
			}
			for _, s := range nodes {
				require.NoError(t, s.ApplyEntry(index, entry))
			}
		}
		var late []Victim // chosen by a leader before
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			apply(command(t, rapid.IntRange(0, 1).Draw(t, "db"), monkeyWrite(t)...))
			for _, s := range nodes {
				if rapid.Bool().Draw(t, "reads") {
					s.NoteUse(rapid.Int64Range(0, 1<<25).Draw(t, "second"), Use{LFU: rapid.Bool().Draw(t, "lfu"), LogFactor: 1, Decay: 1})
					c := command(t, 0, "mget", "k1", "k2", "k3", "{t}1")
					s.Read(&c, discard{})
				}
			}
			leader := nodes[rapid.IntRange(0, 2).Draw(t, "leader")]
			victims := leader.Choose(&Choice{Policy: Policy(rapid.IntRange(1, int(VolatileTTL)).Draw(t, "policy")),
				Need: rapid.Int64Range(0, 300).Draw(t, "need"), Limit: 3, Samples: 2, Seed: index})
			switch rapid.IntRange(0, 3).Draw(t, "then") {
			case 0:
				apply(EvictCommands(victims)...)
			case 1:
				apply(EvictCommands(late)...)
			case 2:
				late = victims
			}
			if rapid.IntRange(0, 9).Draw(t, "anew") == 0 {
				nodes[2] = newStore(maphash.MakeSeed())
				require.NoError(t, nodes[2].Restore(bytes.NewReader(payload(t, nodes[0]))))
			}
		}
		want := payload(t, nodes[0])
		for _, s := range nodes {
			require.NoError(t, s.Check())
			require.Equal(t, want, payload(t, s))
			require.Equal(t, nodes[0].Counted(), s.Counted())
		}
		require.Equal(t, nodes[0].Evicted(), nodes[1].Evicted())
	})
}

// monkeyWrite draws a write command.
func monkeyWrite(t *rapid.T) []string {
	for {
		if args := monkeyCommand(t); Find(asBytes(args)).Flags&FlagWrite != 0 {
			return args
		}
	}
}

// Evicting tells the observer, and a view does not notice it.
func TestEvictionIsObserved(t *testing.T) {
	m := newMachine(t)
	m.do("set", "k", "v")
	m.do("rpush", "l", "a")
	var seen []string
	m.s.SetObserver(observerFunc(func(key []byte) { seen = append(seen, string(key)) }))
	view := freeze(t, m.s)
	victims := m.s.Choose(&Choice{Policy: AllKeysLRU, Need: 1 << 20, Limit: 10, Samples: 5})
	require.EqualValues(t, 2, m.evict(victims))
	slices.Sort(seen)
	require.Equal(t, []string{"k", "l"}, seen)
	require.Equal(t, view.want, <-view.written)
	require.Zero(t, m.s.MemoryUsed())
}

type observerFunc func(key []byte)

func (f observerFunc) KeyChanged(_ int, key []byte, _ bool, _ Out) { f(key) }
func (f observerFunc) AllChanged(func(int, []byte) bool, Out)      {}

func BenchmarkChoose(b *testing.B) {
	s, _ := filled(b, "get")
	for _, p := range []Policy{AllKeysLRU, AllKeysRandom} {
		b.Run(p.String(), func(b *testing.B) {
			n := 0
			for i := 0; n < b.N; i++ {
				n += len(s.Choose(&Choice{Policy: p, Need: 1 << 30, Limit: 512, Samples: 5, Seed: uint64(i) * golden}))
			}
		})
	}
}
