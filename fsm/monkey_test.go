package fsm

import (
	"bytes"
	"hash/maphash"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// monkeyWords are the arguments of random commands: few keys, numbers, ranges, and every option word of the table.
var monkeyWords = func() []string {
	words := []string{"k1", "k2", "k3", "{t}1", "{t}2", "a", "b", "c", "", "0", "1", "2", "3", "-1", "5", "10", "1.5", "inf", "-inf",
		"(1", "[a", "-", "+", "x", "*", "9223372036854775807", "-9223372036854775808", "\xff", "a*"}
	seen := map[string]bool{}
	var collect func(args []Arg)
	collect = func(args []Arg) {
		for _, a := range args {
			if a.Token != "" && !seen[a.Token] {
				seen[a.Token] = true
				words = append(words, a.Token)
			}
			collect(a.Args)
		}
	}
	eachCommand(func(_ []string, s *Spec) { collect(s.Args) })
	return words
}()

var monkeyNames = func() (names [][]string) {
	eachCommand(func(words []string, _ *Spec) { names = append(names, words) })
	return names
}()

// monkeyArg draws an argument for its documentation, mostly of the right kind.
func monkeyArg(t *rapid.T, a *Arg, args []string) []string {
	if a.Optional && rapid.IntRange(0, 2).Draw(t, "skip") > 0 {
		return args
	}
	for n := rapid.IntRange(1, 3).Draw(t, "times"); n > 0; n-- {
		if a.Token != "" {
			args = append(args, a.Token)
		}
		switch a.Type {
		case "key":
			args = append(args, rapid.SampledFrom([]string{"k1", "k2", "k3", "k4", "{t}1", "{t}2", "{t}3"}).Draw(t, "key"))
		case "pure-token":
		case "oneof":
			args = monkeyArg(t, &a.Args[rapid.IntRange(0, len(a.Args)-1).Draw(t, "one")], args)
		case "block":
			for i := range a.Args {
				args = monkeyArg(t, &a.Args[i], args)
			}
		default:
			args = append(args, rapid.SampledFrom(monkeyWords).Draw(t, "word"))
		}
		if !a.Multiple {
			break
		}
	}
	return args
}

func monkeyCommand(t *rapid.T) []string {
	words := rapid.SampledFrom(monkeyNames).Draw(t, "name")
	s := Find(asBytes(words))
	if s.Flags&FlagAllKeys != 0 && s.Flags&FlagWrite != 0 && rapid.IntRange(0, 9).Draw(t, "spare") > 0 {
		words = []string{"set"}
		s = Find(asBytes(words))
	}
	args := slices.Clone(words)
	for i := range s.Args {
		args = monkeyArg(t, &s.Args[i], args)
	}
	for len(args) < max(s.Arity, -s.Arity) || s.Arity < 0 && rapid.IntRange(0, 15).Draw(t, "more") == 0 {
		args = append(args, rapid.SampledFrom(monkeyWords).Draw(t, "word"))
	}
	if s.Arity > 0 {
		args = args[:s.Arity]
	}
	return args
}

// snapshotAt is a view frozen at some entry, which another goroutine writes while the leader goes on, and what it shows.
type snapshotAt struct {
	view    *View
	want    []byte
	written chan []byte // the payload; closed without one if writing failed
}

// freeze takes a view and has it written at the same time as what follows.
func freeze(t require.TestingT, s *Store) snapshotAt {
	at := snapshotAt{view: s.Freeze(), want: payload(t, s), written: make(chan []byte, 1)}
	go func() {
		defer close(at.written)
		var b bytes.Buffer
		_, err := at.view.WriteTo(&b)
		at.view.Close() // before the payload is there: who has that may count on it
		if err == nil {
			at.written <- b.Bytes()
		}
	}()
	return at
}

// replicas are a leader, a follower with another hash seed that replays the leader's entries, and a third node that now
// and then begins anew with a snapshot.
type replicas struct {
	leader, follower, joined *Store
	snapshots                []snapshotAt
	index                    uint64
	now                      int64
	out                      wire
}

// entry draws an entry with several commands, executes it on the leader, command by command and with reads in between,
// and applies its bytes on the others.
func (r *replicas) entry(t *rapid.T) {
	r.index++
	r.now += rapid.Int64Range(0, 4).Draw(t, "ms")
	seed := rapid.Uint64().Draw(t, "seed")
	entry := AppendEntryHeader(nil, r.now, seed)
	r.leader.Begin(r.index, r.now, seed)
	for range rapid.IntRange(0, 6).Draw(t, "commands") {
		c := command(t, rapid.IntRange(0, 1).Draw(t, "db"), monkeyCommand(t)...)
		c.Blocked = new(Blocked)
		r.leader.Exec(&c, &r.out)
		if got := r.out.take(); !c.Blocked.Waits {
			require.NotEmpty(t, got, c.Args)
		}
		if c.Spec.Flags&FlagWrite != 0 {
			entry = AppendEntryCommand(entry, c.DB, c.Raw)
		}
	}
	if due := r.leader.NextDeadline(); due != 0 && due <= r.now && rapid.Bool().Draw(t, "sweep") {
		_, c := SweepCommand(nil, rapid.IntRange(1, 3).Draw(t, "limit"))
		r.leader.Exec(&c, &r.out)
		r.out.take()
		entry = AppendEntryCommand(entry, 0, c.Raw)
	}
	r.leader.End()
	for _, s := range []*Store{r.follower, r.joined} {
		if s != nil {
			require.NoError(t, s.ApplyEntry(r.index, entry))
		}
	}
}

// slotHashes are the hashes of all slots.
func slotHashes(s *Store) []uint64 {
	v := s.Freeze()
	defer v.Close()
	_, slots := v.Hash()
	return slots[:]
}

// check compares the nodes.
func (r *replicas) check(t *rapid.T) {
	want := slotHashes(r.leader)
	require.NoError(t, r.leader.Check())
	for _, s := range []*Store{r.follower, r.joined} {
		if s == nil {
			continue
		}
		require.NoError(t, s.Check())
		require.Equal(t, want, slotHashes(s))
		require.Equal(t, r.leader.MemoryUsed(), s.MemoryUsed())
		require.Equal(t, r.leader.NextDeadline(), s.NextDeadline())
		require.Equal(t, r.leader.Clock(), s.Clock())
	}
	require.Equal(t, r.leader.Expired(), r.follower.Expired())
}

// TestReplicas runs random commands of every kind, with deadlines that pass and sweeps, on the three nodes. They must
// be equal whenever they are looked at, and every view frozen on the way must show what it showed in the beginning.
func TestReplicas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &replicas{leader: newStore(maphash.MakeSeed()), follower: newStore(maphash.MakeSeed()), now: 1_700_000_000_000}
		for range rapid.IntRange(1, 40).Draw(t, "entries") {
			r.entry(t)
			switch rapid.IntRange(0, 15).Draw(t, "then") {
			case 1:
				r.snapshots = append(r.snapshots, freeze(t, r.leader))
			case 2:
				if r.joined == nil || rapid.Bool().Draw(t, "anew") {
					r.joined = newStore(maphash.MakeSeed())
				}
				require.NoError(t, r.joined.Restore(bytes.NewReader(payload(t, r.leader))))
			case 3, 4:
				r.check(t)
			}
		}
		r.check(t)
		require.Equal(t, payload(t, r.leader), payload(t, r.follower))
		if r.joined != nil {
			require.Equal(t, payload(t, r.leader), payload(t, r.joined))
		}
		for _, at := range r.snapshots {
			require.Equal(t, at.want, <-at.written)
		}
	})
}

// TestReadsChangeNothing: no read command changes the state, however odd its arguments.
func TestReadsChangeNothing(t *testing.T) {
	m := newMachine(t)
	for i := range 20 {
		n := strconv.Itoa(i)
		m.do("rpush", "k1", n)
		m.do("sadd", "k2", n)
		m.do("zadd", "k3", n, n)
		m.do("hset", "k4", n, n)
		m.do("append", "{t}1", n)
	}
	m.do("set", "{t}2", "x", "px", "1")
	m.do("set", "{t}3", "12")
	m.now += 10
	m.do("set", "other", "x")
	want := payload(t, m.s)
	rapid.Check(t, func(t *rapid.T) {
		out := &wire{}
		for range 50 {
			args := monkeyCommand(t)
			if Find(asBytes(args)).Flags&FlagReadonly != 0 {
				c := command(t, 0, args...)
				m.s.Read(&c, out)
				require.NotEmpty(t, out.take(), args)
			}
		}
		require.Equal(t, want, payload(t, m.s))
	})
}
