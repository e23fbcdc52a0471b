//go:build oracle

package resp

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/fsm"
)

// An option is what COMMAND DOCS tells of a command's arguments that a client may give or not: every word, every choice,
// every optional value, and that something may stand there more than once.

// eachOption calls f for every option in a list of arguments, with its path.
func eachOption(path string, args []fsm.Arg, f func(path string)) {
	for i := range args {
		a := &args[i]
		at := optionPath(path, a)
		if a.Optional || a.Token != "" || a.Type == "pure-token" {
			f(at)
		}
		if a.Multiple {
			f(at + "...")
		}
		if a.Type == "oneof" {
			for i := range a.Args {
				f(optionPath(at, &a.Args[i]))
			}
		}
		eachOption(at, a.Args, f)
	}
}

func optionPath(path string, a *fsm.Arg) string {
	word := a.Name
	if a.Token != "" {
		word = strings.ToUpper(a.Token)
	}
	return path + " " + word
}

// usage reads a command by the documentation of its arguments, in the order in which that names them.
type usage struct {
	words map[string]bool // of all options: no value
	many  int             // keys that numkeys announced; 0 = any number
	path  []string        // of what is read so far
}

// optionsOf are the options that args use, false if they are not in order. args begin behind the command's name.
func optionsOf(name string, spec *fsm.Spec, args []string) ([]string, bool) {
	u := &usage{words: map[string]bool{}}
	var collect func(list []fsm.Arg)
	collect = func(list []fsm.Arg) {
		for i := range list {
			if list[i].Token != "" {
				u.words[strings.ToLower(list[i].Token)] = true
			}
			collect(list[i].Args)
		}
	}
	collect(spec.Args)
	ok := u.list(name, spec.Args, args, func(rest []string) bool { return len(rest) == 0 })
	return u.path, ok
}

// list reads args by a list of arguments and goes on with then; false, with nothing noted, if either fails.
func (u *usage) list(path string, list []fsm.Arg, args []string, then func(rest []string) bool) bool {
	if len(list) == 0 {
		return then(args)
	}
	a := &list[0]
	next := func(rest []string) bool { return u.list(path, list[1:], rest, then) }
	return u.one(optionPath(path, a), a, 0, args, next) || a.Optional && next(args)
}

// one reads an argument for the n-th time.
func (u *usage) one(at string, a *fsm.Arg, n int, args []string, then func(rest []string) bool) bool {
	many, noted := u.many, len(u.path)
	if n == 0 {
		u.path = append(u.path, at)
	} else {
		u.path = append(u.path, at+"...")
	}
	ok := u.value(at, a, n, args, func(rest []string) bool {
		if len(rest) == len(args) && a.Type != "pure-token" {
			return false // an option without anything
		}
		if a.Multiple && (a.Type != "key" || u.many != n+1) && u.one(at, a, n+1, rest, then) {
			return true
		}
		return (a.Type != "key" || !a.Multiple || u.many == 0 || u.many == n+1) && then(rest)
	})
	if !ok {
		u.many, u.path = many, u.path[:noted]
	}
	return ok
}

func (u *usage) value(at string, a *fsm.Arg, n int, args []string, then func(rest []string) bool) bool {
	if a.Token != "" && (n == 0 || a.MultipleToken) {
		if len(args) == 0 || !strings.EqualFold(args[0], a.Token) {
			return false
		}
		args = args[1:]
		if a.Token == "STREAMS" {
			u.many = len(args) / 2
		}
	}
	switch a.Type {
	case "pure-token":
		return then(args)
	case "oneof":
		for i := range a.Args {
			if u.one(optionPath(at, &a.Args[i]), &a.Args[i], 0, args, then) {
				return true
			}
		}
		return false
	case "block":
		return u.list(at, a.Args, args, then)
	}
	if len(args) == 0 || u.words[strings.ToLower(args[0])] {
		return false
	}
	if a.Name == "numkeys" {
		u.many, _ = strconv.Atoi(args[0])
	}
	return then(args[1:])
}

// optionScenes reads the scenes of a file in testdata: an empty line begins the next one, a step without a connection's
// name belongs to a.
func optionScenes(t *testing.T, file string) (scenes [][]string) {
	text, err := os.ReadFile(filepath.Join("testdata", file))
	require.NoError(t, err)
	for _, block := range strings.Split(strings.TrimSpace(string(text)), "\n\n") {
		var steps []string
		for _, line := range strings.Split(block, "\n") {
			if !stepMark.MatchString(line) {
				line = "a: " + line
			}
			if !strings.HasPrefix(line, "a: #") {
				steps = append(steps, line)
			}
		}
		if steps != nil {
			scenes = append(scenes, steps)
		}
	}
	return scenes
}

var stepMark = regexp.MustCompile(`^[abc][:>< !-]`)

// asked is a command of a scene and its reply.
type asked struct{ line, reply string }

// askedIn pairs the commands of a scene with the notes of it. What was sent and not awaited has the reply "".
func askedIn(steps, notes []string) (all []asked) {
	sent := map[string][]string{}
	for _, step := range steps {
		name, kind, line := step[:1], step[1], strings.TrimSpace(step[2:])
		count := 0
		switch kind {
		case ':':
			sent[name], count = append(sent[name], line), 1
		case '>':
			sent[name] = append(sent[name], line)
		case '-':
			all = append(all, asked{line, ""})
		case '<':
			count, _ = strconv.Atoi(line)
		}
		for range count {
			_, reply, _ := strings.Cut(notes[0], " -> ")
			all = append(all, asked{sent[name][0], reply})
			sent[name], notes = sent[name][1:], notes[1:]
		}
	}
	return all
}

// looseReplies are the commands whose replies cannot be equal, and why. Their kind is compared.
var looseReplies = map[string]string{
	"time": "clock", "object|idletime": "clock", "object|freq": "chance", "client|id": "id", "role": "other fields: TestRoleAsRedis",
	"info": "TestInfoAsRedis", "memory|usage": "TestMemoryUsageAsRedis", "memory|stats": "other fields", "memory|doctor": "prose", "memory|malloc-stats": "allocator",
	"command": "TestCommandInfoAsRedis", "command|info": "TestCommandInfoAsRedis", "command|docs": "TestCommandDocsAsRedis", "command|list": "TestMissingCommands", "command|count": "TestMissingCommands",
	"cluster|nodes": "ids", "cluster|slots": "ids", "cluster|shards": "ids", "cluster|info": "epochs", "cluster|myid": "id",
	"srandmember": "chance", "hrandfield": "chance", "zrandmember": "chance", "randomkey": "chance",
	"xinfo|consumers": "TestOracleStreams", "xinfo|stream": "TestOracleStreams",
}

// sameOption compares the replies to a command of a case.
func sameOption(name, want, got string) bool {
	switch {
	case want == got:
		return true
	case want == "" || got == "" || want[0] == '-' || got[0] == '-':
		return false
	case looseReplies[name] != "", strings.HasSuffix(name, "|help"):
		return want[0] == got[0]
	case strings.HasSuffix(name, "ttl"), strings.HasSuffix(name, "expiretime"):
		a, errA := strconv.ParseInt(strings.Trim(want, ":\r\n"), 10, 64)
		b, errB := strconv.ParseInt(strings.Trim(got, ":\r\n"), 10, 64)
		return errA == nil && errB == nil && a > 0 && b > 0 && a-b < 5000 && b-a < 5000
	case name == "config|get", name == "spop": // a case takes a whole set
		return sameData("scan", want, got)
	}
	return sameData(name, want, got)
}

// looseIDs are ids that a stream gives by its clock.
var looseIDs = regexp.MustCompile(`\$15\r\n\d{13}-0\r\n`)

// optionCorpus compares scenes in RESP2 and RESP3 and returns the options that they use without an error.
func optionCorpus(t *testing.T, s *Server, theirs string, scenes [][]string) map[string]bool {
	used := map[string]bool{}
	for _, proto := range []string{"2", "3"} {
		for _, scene := range scenes {
			steps := scene
			if proto == "3" {
				for _, name := range []string{"a", "b", "c"} {
					if slices.ContainsFunc(scene, func(step string) bool { return step[:1] == name }) {
						steps = slices.Insert(slices.Clone(steps), 0, name+": HELLO 3")
					}
				}
			}
			want, got := askedIn(steps, perform(t, theirs, steps)), askedIn(steps, perform(t, addrOf(s), steps))
			for i, w := range want {
				words := splitLine(t, w.line)
				args := make([][]byte, len(words))
				for i := range words {
					args[i] = []byte(words[i])
				}
				x, _ := s.table.find(args)
				require.NotNil(t, x, w.line)
				if a, b := looseIDs.ReplaceAllString(w.reply, "$$T"), looseIDs.ReplaceAllString(got[i].reply, "$$T"); !sameOption(x.name, a, b) {
					t.Errorf("RESP%s %s\nwant %.300q\n got %.300q\nin %q", proto, w.line, w.reply, got[i].reply, steps)
				}
				if strings.HasPrefix(w.reply, "-") {
					continue
				}
				used[x.name] = true
				if path, ok := optionsOf(x.name, x.spec, words[strings.Count(x.name, "|")+1:]); ok {
					for _, p := range path {
						used[p] = true
					}
				}
			}
		}
	}
	return used
}

// notCompared are commands and options that have no case here, and why.
var notCompared = map[string]string{
	"debug":             "needs a server that allows it: TestDebugAsRedis",
	"cluster|failover":  "a transfer of leadership, of which Redis has none",
	"cluster|forget":    "members are changed through the log",
	"cluster|meet":      "members are changed through the log",
	"cluster|replicate": "members are changed through the log",
	"cluster|reset":     "members are changed through the log",
	"cluster|replicas":  "names a node by its id: TestClusterReplies has the errors", "cluster|slaves": "as CLUSTER REPLICAS",
	"cluster|count-failure-reports": "as CLUSTER REPLICAS",
	"zrank WITHSCORE":               "since Redis 7.2: TestRankWithScore", "zrevrank WITHSCORE": "since Redis 7.2: TestRankWithScore",
}

func TestOptionsOf(t *testing.T) {
	table := newTable()
	for line, want := range map[string]string{
		"get k":                                "key",
		"set k v":                              "key,value",
		"set k v nx get ex 10":                 "key,value,condition,condition NX,GET,expiration,expiration EX",
		"set k v get nx":                       "", // not in order
		"set k v nx xx":                        "",
		"mset k v j w":                         "key_value,key_value key,key_value value,key_value...,key_value key,key_value value",
		"zunion 2 a b weights 1 2 withscores":  "numkeys,key,key...,WEIGHTS,WEIGHTS...,WITHSCORES",
		"zunion 1 a b":                         "",
		"zunion 3 a b":                         "",
		"sort l get a get b store d":           "key,GET,GET...,STORE",
		"xread streams a b 0 1":                "STREAMS,STREAMS key,STREAMS key...,STREAMS id,STREAMS id...",
		"xclaim k g c 0 1-1 1-2 idle 5 justid": "key,group,consumer,min-idle-time,id,id...,IDLE,JUSTID",
		"lmove a b left right":                 "source,destination,wherefrom,wherefrom LEFT,whereto,whereto RIGHT",
		"bitfield k get u8 0 overflow sat":     "",
		"auth x":                               "password",
		"auth x y":                             "username,password",
		"pfadd k":                              "key",
		"geoadd k ch 1 2 m":                    "key,CH,longitude_latitude_member,longitude_latitude_member longitude,longitude_latitude_member latitude,longitude_latitude_member member",
		"blpop a b 0":                          "key,key...,timeout",
	} {
		words := strings.Fields(line)
		path, ok := optionsOf(words[0], table.get([]byte(words[0])).spec, words[1:])
		require.Equal(t, want != "", ok, line)
		require.Equal(t, want, strings.ReplaceAll(strings.Join(path, ","), words[0]+" ", ""), line)
	}
	var all []string
	eachOption("set", table.get([]byte("set")).spec.Args, func(path string) { all = append(all, path) })
	require.Subset(t, all, []string{"set condition NX", "set condition XX", "set GET", "set expiration EX", "set expiration KEEPTTL", "set expiration"})
}

// TestEveryOption compares a case of every option of every command that Redis has, too, and says which ones have none.
func TestEveryOption(t *testing.T) {
	_, s, first := one(t)
	require.NoError(t, first.nc.Close())
	used := optionCorpus(t, s, oracle(t), optionScenes(t, "options.txt"))
	for name := range optionCorpus(t, s, clusterOracle(t), optionScenes(t, "options-cluster.txt")) {
		used[name] = true
	}
	var lacking []string
	need := func(option string) {
		command, _, _ := strings.Cut(option, " ")
		if !used[option] && notCompared[option] == "" && notCompared[command] == "" {
			lacking = append(lacking, option)
		}
	}
	var visit func(list []*command)
	visit = func(list []*command) {
		for _, x := range list {
			if contains(ownCommands, x.name) {
				continue
			}
			if x.run != nil || x.data() {
				need(x.name)
			}
			eachOption(x.name, x.spec.Args, need)
			visit(x.list)
		}
	}
	visit(s.table.list)
	require.Empty(t, lacking, "options without a case")
	for option := range notCompared {
		require.False(t, used[option], "%s has a case", option)
	}
}

// TestLimitsAsRedis compares what happens at the ends of what numbers, lengths, ids and times may be.
func TestLimitsAsRedis(t *testing.T) {
	_, s, first := one(t)
	require.NoError(t, first.nc.Close())
	optionCorpus(t, s, oracle(t), optionScenes(t, "limits.txt"))
}

// TestFoundDifferences compares what the random comparisons have found.
func TestFoundDifferences(t *testing.T) {
	_, s, first := one(t)
	require.NoError(t, first.nc.Close())
	optionCorpus(t, s, oracle(t), optionScenes(t, "found.txt"))
}
