package explore

import (
	"flag"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/internal/race"
	"kvapp/raft"
)

var deep = flag.Bool("deep", false, "search the large worlds too; takes some minutes")

// figure8 is where figure 3.7 (c) of the thesis stands: node 1 led term 1, node 3 leads term 2, and neither has
// committed anything.
var figure8 = []Start{{Term: 2, Log: []uint64{1, 1}}, {Term: 2, Vote: 3}, {Term: 2, Vote: 3, Log: []uint64{2}}}

func remove(id raft.NodeID) [][]raft.Change {
	return [][]raft.Change{{{Kind: raft.ChangeRemove, Member: raft.Member{ID: id}}}}
}

var demotion = [][]raft.Change{{{Kind: raft.ChangeDemote, Member: raft.Member{ID: 3}}}}

// small worlds take seconds together.
var small = []World{
	{Name: "one node", Nodes: 1, Terms: 3, Campaigns: 3, Proposals: 2, Crashes: 2, Link: 1, SlowDisks: true},
	{Name: "two nodes", Nodes: 2, Terms: 2, Campaigns: 2, Proposals: 1, Crashes: 2, Link: 1, SlowDisks: true},
	{Name: "elections of five", Nodes: 5, Terms: 1, Campaigns: 2, Link: 1, Duplicates: 1},
	{Name: "elections with two crashes", Nodes: 3, Terms: 2, Campaigns: 2, Crashes: 2, Link: 1},
	{Name: "elections with old messages", Nodes: 3, Terms: 2, Campaigns: 3, Link: 1, Stale: true},
	{Name: "figure 8", Nodes: 3, Terms: 4, Campaigns: 2, Link: 1, Start: figure8},
	{Name: "copies", Nodes: 3, Terms: 2, Campaigns: 2, Proposals: 1, Link: 1, Duplicates: 1},
	{Name: "reads", Nodes: 3, Terms: 2, Campaigns: 2, Reads: 1, Link: 1, Duplicates: 1},
	{Name: "hand over", Nodes: 3, Terms: 2, Campaigns: 1, Proposals: 1, Transfers: 1, Link: 1},
	{Name: "removal of two", Nodes: 2, Terms: 3, Campaigns: 2, Crashes: 1, Link: 1, Changes: remove(2)},
	{Name: "learner", Nodes: 3, Learners: 1, Terms: 2, Campaigns: 2, Proposals: 1, Crashes: 1, Link: 1},
}

// large worlds hold everything with 3 nodes, 2 terms, 3 entries and up to 2 crashes, and what goes beyond in one thing.
var large = []World{
	{Name: "old messages and a crash", Nodes: 3, Terms: 2, Campaigns: 3, Crashes: 1, Link: 1, Stale: true},
	{Name: "a write and a crash", Nodes: 3, Terms: 2, Campaigns: 2, Proposals: 1, Crashes: 1, Link: 1},
	{Name: "three entries, a crash", Nodes: 3, Terms: 2, Campaigns: 2, Proposals: 2, Crashes: 1, Link: 1},
	{Name: "two crashes", Nodes: 3, Terms: 2, Campaigns: 2, Proposals: 1, Crashes: 2, Link: 1},
	{Name: "slow disks", Nodes: 3, Terms: 2, Campaigns: 2, Proposals: 1, Link: 1, SlowDisks: true},
	{Name: "slow disks, a crash", Nodes: 3, Terms: 2, Campaigns: 2, Crashes: 1, Link: 1, SlowDisks: true},
	{Name: "two messages on a link", Nodes: 3, Terms: 2, Campaigns: 2, Proposals: 1, Link: 2},
	{Name: "heartbeats", Nodes: 3, Terms: 2, Campaigns: 2, Proposals: 1, Heartbeats: 1, Link: 1},
	{Name: "two reads", Nodes: 3, Terms: 2, Campaigns: 2, Reads: 2, Link: 1},
	{Name: "demotion", Nodes: 3, Terms: 3, Campaigns: 2, Link: 1, Changes: demotion},
	{Name: "removal", Nodes: 3, Terms: 3, Campaigns: 2, Link: 1, Changes: remove(3)},
	{Name: "demotion, then removal", Nodes: 3, Terms: 3, Campaigns: 2, Link: 1, Changes: slices.Concat(demotion, remove(3))},
	{Name: "removal with a crash", Nodes: 3, Terms: 3, Campaigns: 2, Link: 1, Crashes: 1, Changes: remove(3)},
	{Name: "figure 8 with a crash", Nodes: 3, Terms: 4, Campaigns: 2, Proposals: 1, Crashes: 1, Link: 1, Start: figure8},
	{Name: "three terms", Nodes: 3, Terms: 3, Campaigns: 3, Proposals: 1, Link: 1},
	{Name: "four terms", Nodes: 3, Terms: 4, Campaigns: 4, Link: 1},
}

func TestWorlds(t *testing.T) {
	worlds := small[:race.Share(len(small))]
	if *deep {
		worlds = slices.Concat(small, large)
	}
	for _, w := range worlds {
		t.Run(w.Name, func(t *testing.T) {
			start := time.Now()
			res, err := Search(w)
			require.NoError(t, err)
			require.NoError(t, res.Broken, strings.Join(res.Trace, "\n"))
			require.True(t, res.Complete)
			t.Logf("%d states, %d transitions, depth %d, %d committed, %v", res.States, res.Transitions, res.Depth, res.Committed, time.Since(start))
			require.GreaterOrEqual(t, res.Term, w.Terms)
			require.GreaterOrEqual(t, res.Committed, w.Proposals+1, "the whole way to a commit was there")
		})
	}
}

// The same world gives the same result.
func TestSearchIsDeterministic(t *testing.T) {
	w := World{Nodes: 3, Terms: 2, Campaigns: 2, Crashes: 1, Link: 1}
	first, err := Search(w)
	require.NoError(t, err)
	second, err := Search(w)
	require.NoError(t, err)
	require.Equal(t, first, second)
	w.MaxStates = first.States / 2
	cut, err := Search(w)
	require.NoError(t, err)
	require.False(t, cut.Complete)
	require.Equal(t, w.MaxStates, cut.States)
}

func TestWorldsThatAreNone(t *testing.T) {
	for _, w := range []World{
		{}, {Nodes: 6, Terms: 1, Link: 1}, {Nodes: 3, Terms: 8, Link: 1}, {Nodes: 3, Terms: 1}, {Nodes: 1, Terms: 1, Link: 1, Learners: 1},
		{Nodes: 3, Terms: 1, Link: 1, Start: figure8[:2]},
		{Nodes: 1, Terms: 1, Link: 1, Start: []Start{{Log: []uint64{2}}}},
	} {
		_, err := Search(w)
		require.Error(t, err, "%+v", w)
	}
}

// A state that only names nodes otherwise is the same one.
func TestKeysForgetNames(t *testing.T) {
	w := World{Nodes: 3, Terms: 2, Campaigns: 2, Crashes: 1, Link: 1}
	walk := func(names [3]int) key {
		s, err := w.first()
		require.NoError(t, err)
		pick := func(want string) {
			want = strings.NewReplacer("A", string(rune('1'+names[0])), "B", string(rune('1'+names[1])), "C", string(rune('1'+names[2]))).Replace(want)
			list := w.choices(nil, s)
			i := slices.IndexFunc(list, func(c choice) bool { return strings.HasPrefix(c.String(), want) })
			require.GreaterOrEqual(t, i, 0, want)
			ok, err := w.next(s, &list[i])
			require.True(t, ok)
			require.NoError(t, err)
		}
		for _, c := range []string{"nA campaigns", "nA finishes", "deliver A->C Vote", "nC finishes", "deliver C->A VoteResp", "nA finishes", "nB campaigns"} {
			pick(c)
		}
		var k keys
		return k.of(&w, s)
	}
	first := walk([3]int{0, 1, 2})
	for _, names := range [][3]int{{0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		require.Equal(t, first, walk(names))
	}
	s, err := w.first()
	require.NoError(t, err)
	var k keys
	require.NotEqual(t, first, k.of(&w, s))
}

// way goes deep into a world: a state and the choices that lead there.
func way(tb testing.TB, w *World, depth int) (*state, []choice) {
	s, err := w.first()
	require.NoError(tb, err)
	var path []choice
	for len(path) < depth {
		list := w.choices(nil, s)
		require.NotEmpty(tb, list)
		ok, err := w.next(s, &list[0])
		require.True(tb, ok)
		require.NoError(tb, err)
		w.prune(s)
		path = append(path, list[0])
	}
	return s, path
}

// BenchmarkClone is one choice from a state that is there; BenchmarkReplay finds the same state again from the beginning.
func BenchmarkClone(b *testing.B) {
	w := World{Nodes: 3, Terms: 2, Campaigns: 2, Proposals: 1, Link: 1}
	s, _ := way(b, &w, 14)
	list := w.choices(nil, s)
	for b.Loop() {
		_, err := w.next(s.clone(), &list[0])
		require.NoError(b, err)
	}
}

func BenchmarkReplay(b *testing.B) {
	w := World{Nodes: 3, Terms: 2, Campaigns: 2, Proposals: 1, Link: 1}
	_, path := way(b, &w, 15)
	for b.Loop() {
		_, broken, err := w.replay(path)
		require.NoError(b, err)
		require.NoError(b, broken)
	}
}
