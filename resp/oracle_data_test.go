//go:build oracle

package resp

import (
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/fsm"
)

// dataWords are the values of random data commands: each is a number, a bound of a range and a member at once, as far as
// that goes.
var dataWords = strings.Fields("0 1 2 3 -1 -2 5 10 1.5 0.1 -inf +inf (1 (3 [a (b - + a b c d e x * [a-c] ?")

// dataLine draws a data command from the documentation of its arguments.
func dataLine(rnd *rand.Rand, s *fsm.Spec) string {
	words := []string{s.Name}
	var add func(a *fsm.Arg)
	add = func(a *fsm.Arg) {
		if a.Optional && rnd.Intn(2) == 0 {
			return
		}
		if a.Token != "" {
			words = append(words, a.Token)
		}
		switch {
		case a.Type == "oneof":
			add(&a.Args[rnd.Intn(len(a.Args))])
		case a.Type == "block":
			for i := range a.Args {
				add(&a.Args[i])
			}
		case a.Type == "key":
			// One key per group, so that types mostly fit, and keys of other groups now and then.
			groups := []string{s.Group, s.Group, s.Group, "string", "list", "sorted-set"}
			words = append(words, groups[rnd.Intn(len(groups))]+string(rune('0'+rnd.Intn(2))))
		case a.Name == "numkeys":
			words = append(words, "1")
		case a.Name == "cursor":
			words = append(words, []string{"0", "0", "x"}[rnd.Intn(3)]) // others are the server's own
		case strings.Contains(a.Name, "seconds"):
			words = append(words, []string{"100000", "4102444800000", "0", "x", "1.5"}[rnd.Intn(5)]) // none passes meanwhile
		case a.Type != "pure-token":
			words = append(words, dataWords[rnd.Intn(len(dataWords))])
		}
	}
	for i := range s.Args {
		a := s.Args[i]
		add(&a)
		for a.Multiple && a.Type != "key" && a.Token == "" && rnd.Intn(2) == 0 {
			add(&a)
		}
	}
	if rnd.Intn(20) == 0 {
		words = append(words, dataWords[rnd.Intn(len(dataWords))])
	}
	if rnd.Intn(20) == 0 {
		words = words[:1+rnd.Intn(len(words))]
	}
	return strings.Join(words, " ")
}

// sameData compares two replies by what the command promises: every byte, or less.
func sameData(name, want, got string) bool {
	switch {
	case want == got:
		return true
	case want[0] == '-' || got[0] == '-':
		return false
	case strings.Contains(name, "rand"), strings.HasSuffix(name, "ttl"), strings.HasSuffix(name, "expiretime"):
		return want[0] == got[0]
	case slices.Contains(strings.Fields("smembers sinter sunion sdiff hgetall hkeys hvals keys scan sscan hscan zscan"), name):
		a, b := strings.Split(want, "\r\n"), strings.Split(got, "\r\n")
		slices.Sort(a)
		slices.Sort(b)
		return slices.Equal(a, b)
	case name == "dump": // a table's elements stand in no order; fsm's own comparison restores what was dumped
		return len(want) == len(got) && want[:strings.Index(want, "\n")+2] == got[:strings.Index(got, "\n")+2]
	}
	return false
}

// TestDataSameAsRedis sends random data commands through the whole server, in RESP2 and RESP3. The keyspace itself has
// a sharper comparison of its own; here it is about parsing, arity and encoding.
func TestDataSameAsRedis(t *testing.T) {
	addr := oracle(t)
	_, s, _ := one(t)
	for _, proto := range []string{"2", "3"} {
		sameCommands(t, addrOf(s), addr, proto, 1, 3000)
	}
}

// sameCommands compares n commands of one seed and returns how many had a reply to compare.
func sameCommands(t *testing.T, oursAt, theirsAt, proto string, seed int64, n int) (compared int) {
	rnd := rand.New(rand.NewSource(seed))
	ours, theirs := dial(t, oursAt), dial(t, theirsAt)
	defer func() { _, _ = ours.nc.Close(), theirs.nc.Close() }()
	for _, line := range []string{"HELLO " + proto, "FLUSHALL"} {
		ours.do(line)
		theirs.do(line)
	}
	failures, line := 0, ""
	defer func() {
		if t.Failed() {
			t.Logf("seed %d RESP%s ended with %s", seed, proto, line)
		}
	}()
	for range n {
		spec, ok := fsm.Specs()[rnd.Intn(len(fsm.Specs()))], false
		if line, ok = drawLine(rnd, spec); !ok {
			continue
		}
		for _, c := range []*client{ours, theirs} { // for a command, not for all of them
			require.NoError(t, c.nc.SetDeadline(time.Now().Add(20*time.Second)))
		}
		want, got := theirs.do(line), ours.do(line)
		if compared++; sameData(spec.Name, want, got) {
			continue
		}
		t.Errorf("seed %d RESP%s %s\nwant %q\n got %q", seed, proto, line, want, got)
		if failures++; failures == 5 {
			break
		}
	}
	return compared
}

// drawLine draws a command, false if replies to it say nothing.
func drawLine(rnd *rand.Rand, spec *fsm.Spec) (line string, ok bool) {
	// Redis 7.0 does not have it; the sets would differ behind it; due keys count or not; ids follow the clock; who waits gets no reply.
	if contains(ownCommands, spec.Name) || spec.Name == "spop" || spec.Name == "dbsize" || spec.Group == "stream" || spec.Flags&fsm.FlagBlocking != 0 {
		return "", false
	}
	if strings.Contains(spec.Name, "flush") && rnd.Intn(10) > 0 {
		return "", false
	}
	line = dataLine(rnd, spec)
	if since72 := spec.Name == "zrank" || spec.Name == "zrevrank"; since72 && len(strings.Fields(line)) > 3 {
		return "", false // an option that Redis 7.0 does not know
	}
	if strings.Contains(line, "BYLEX") || strings.Contains(line, "lex") { // undefined unless all scores are equal
		return "", false
	}
	if strings.HasSuffix(spec.Name, "scan") {
		line += " COUNT 1000" // steps are as long as each server likes
	}
	return line, true
}
