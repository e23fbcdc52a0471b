package fsm

import (
	"bytes"
	"hash/maphash"
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
	for _, s := range Specs() {
		collect(s.Args)
	}
	return words
}()

var monkeyNames = func() (names []string) {
	for _, s := range Specs() {
		names = append(names, s.Name)
	}
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
	s := Lookup([]byte(rapid.SampledFrom(monkeyNames).Draw(t, "name")))
	if s.Flags&FlagAllKeys != 0 && s.Flags&FlagWrite != 0 && rapid.IntRange(0, 9).Draw(t, "spare") > 0 {
		s = Lookup([]byte("set"))
	}
	args := []string{s.Name}
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

// TestReplicas runs random commands of every kind on a leader, with reads between the writes, many in an entry. A
// follower with another hash seed replays the entries, a third node joins by a snapshot in the middle, and a view
// frozen there must not move: at the end all snapshots are equal, byte for byte.
func TestReplicas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		leader, follower := newStore(maphash.MakeSeed()), newStore(maphash.MakeSeed())
		var joined *Store
		var view *View
		var shown []byte
		now := int64(1_700_000_000_000)
		out := &recorder{}
		entries := rapid.Uint64Range(1, 40).Draw(t, "entries")
		for index := uint64(1); index <= entries; index++ {
			now += rapid.Int64Range(0, 4).Draw(t, "ms")
			seed := rapid.Uint64().Draw(t, "seed")
			entry := AppendEntryHeader(nil, now, seed)
			leader.Begin(index, now, seed)
			for range rapid.IntRange(0, 6).Draw(t, "commands") {
				c := command(t, rapid.IntRange(0, 1).Draw(t, "db"), monkeyCommand(t)...)
				leader.Exec(&c, out)
				require.NotEmpty(t, out.take(), c.Args)
				if c.Spec.Flags&FlagWrite != 0 {
					entry = AppendEntryCommand(entry, c.DB, c.Raw)
				}
			}
			if index%8 == 0 {
				_, c := SweepCommand(nil, 3)
				leader.Exec(&c, out)
				entry = AppendEntryCommand(entry, 0, c.Raw)
			}
			leader.End()
			require.NoError(t, follower.ApplyEntry(index, entry))
			if joined != nil {
				require.NoError(t, joined.ApplyEntry(index, entry))
			} else if rapid.IntRange(0, 9).Draw(t, "join") == 0 {
				shown = payload(t, leader)
				joined = newStore(maphash.MakeSeed())
				require.NoError(t, joined.Restore(bytes.NewReader(shown)))
				view = leader.Freeze()
			}
		}
		want := payload(t, leader)
		require.NoError(t, leader.Check())
		require.NoError(t, follower.Check())
		require.Equal(t, want, payload(t, follower))
		require.Equal(t, stateHash(leader), stateHash(follower))
		if joined == nil {
			return
		}
		require.NoError(t, joined.Check())
		require.Equal(t, want, payload(t, joined))
		require.Equal(t, leader.MemoryUsed(), joined.MemoryUsed())
		var b bytes.Buffer
		_, err := view.WriteTo(&b)
		require.NoError(t, err)
		require.Equal(t, shown, b.Bytes())
		view.Close()
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
		out := &recorder{}
		for range 50 {
			args := monkeyCommand(t)
			if Lookup([]byte(args[0])).Flags&FlagReadonly != 0 {
				c := command(t, 0, args...)
				m.s.Read(&c, out)
				require.NotEmpty(t, out.take(), args)
			}
		}
		require.Equal(t, want, payload(t, m.s))
	})
}
