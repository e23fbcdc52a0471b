package sim

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/internal/race"
)

// Worlds that found a bug once must hold for ever.
func TestKeptSeeds(t *testing.T) {
	f, err := os.Open("testdata/seeds.txt")
	require.NoError(t, err)
	defer f.Close()
	cases, err := ParseCases(f)
	require.NoError(t, err)
	require.NotEmpty(t, cases)
	for i := range race.Share(len(cases)) {
		r := cases[i].Run(Config{})
		require.Nil(t, r.Failure, "%s%v", cases[i].String(), r.Failure)
	}
}

// suspicious is a failure that needs three things to come together.
func suspicious(w *World) string {
	if w.reached[powerFailed] > 0 && w.reached[messageTwice] > 0 && w.reached[elected] > 1 {
		return "a power failure, a message that came twice and a second leader"
	}
	return ""
}

// What is left fails in the same way, again and again, also when it is read from its text, and nothing in it can be left
// out.
func TestShrink(t *testing.T) {
	cfg := Config{suspect: suspicious}
	found, wanted := 0, race.Share(3)
	for seed := uint64(1); seed < 200 && found < wanted; seed++ {
		c := Case{Preset: Small, Seed: seed}
		if r := c.Run(cfg); r.Failure == nil {
			continue
		}
		found++
		s := Shrink(c, 2000, cfg)
		require.NotNil(t, s.Failure)
		require.Equal(t, "suspicion", s.Failure.Invariant)
		require.Less(t, s.Runs, 2000)
		require.LessOrEqual(t, len(s.Case.Only), 40, s.Case.String())
		read, err := ParseCases(strings.NewReader(s.Case.String()))
		require.NoError(t, err)
		require.Equal(t, []Case{s.Case}, read)
		require.Equal(t, s.Failure, read[0].Run(cfg).Failure)
		for i := range s.Case.Only {
			less := s.Case
			less.Only = append(append([]choice(nil), less.Only[:i]...), less.Only[i+1:]...)
			require.Nil(t, less.Run(cfg).Failure, "%s is not needed", s.Case.Only[i])
		}
	}
	require.Equal(t, wanted, found)
	sound := Shrink(Case{Preset: Small, Seed: 1}, 10, Config{})
	require.Nil(t, sound.Failure)
	require.Equal(t, 1, sound.Runs)
}

// Every choice that a world makes has a text, and the text says which it is.
func TestChoiceText(t *testing.T) {
	seen := map[class]bool{}
	for seed := uint64(1); seed <= 12; seed++ {
		var chosen []choice
		c := Case{Preset: Small, Seed: seed}
		c.Run(Config{chosen: &chosen})
		for _, at := range chosen {
			read, err := parseChoice(strings.Fields(at.String()))
			require.NoError(t, err, at.String())
			require.Equal(t, at, read, at.String())
			seen[at.class()] = true
		}
	}
	require.Greater(t, len(seen), int(classes)/2)
}

// A world that may do everything that it did is the same world.
func TestEverythingIsTheSame(t *testing.T) {
	var chosen []choice
	c := Case{Preset: Small, Seed: 3}
	all := c.Run(Config{chosen: &chosen})
	c.Limited, c.Only = true, chosen
	require.Equal(t, all.Hash, c.Run(Config{}).Hash)
	c.Only = nil
	require.NotEqual(t, all.Hash, c.Run(Config{}).Hash)
}

func TestParseCases(t *testing.T) {
	text := "large 9\nnodes 5\nclients 2\nkeys 1\nalone\nuntil 1.5s\nwithout loss kill\nonly\n  loss n1>n5 17\n  loss c2 3\n  stream v4 2\n" +
		"  power - 8\n\nseed 3 # and another\n"
	cases, err := ParseCases(strings.NewReader(text))
	require.NoError(t, err)
	require.Len(t, cases, 2)
	require.Equal(t, strings.ReplaceAll(text, "\n\nseed 3 # and another\n", "\n"), cases[0].String())
	require.Equal(t, Case{Seed: 3}, cases[1])
	o := cases[0].Options()
	require.Equal(t, []any{5, 0, 2, 1, 1500 * ms, int64(0), int64(0)},
		[]any{o.Nodes, o.Spares, o.Clients, o.Keys, o.Duration, o.Odds[lossClass], o.Odds[killClass]})
	for _, bad := range []string{
		"nodes 3", "small", "small x", "small 1 2", "small 1\nnodes 8", "small 1\nnodes 0", "small 1\nuntil 5", "small 1\nuntil -1s",
		"small 1\nwithout luck", "small 1\nwithout clients", "small 1\nlarge", "small 1\nonly\nloss", "small 1\nonly\nloss n9>n1 1",
		"small 1\nonly\nkill n1 1", "small 1\nonly\nloss - 1", "small 1\nonly\nstall c1 1", "small 1\nonly\nluck - 1", "small 1\nonly\nkill - x",
		"small 1\nonly\nstream n1 1", "small 1\nmore 1",
	} {
		_, err := ParseCases(strings.NewReader(bad))
		require.Error(t, err, bad)
	}
}
