//go:build oracle

package resp

import (
	"bufio"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// set is a RESP3 set.
type set []any

// value parses one reply as it came.
func value(t *testing.T, raw string) any {
	t.Helper()
	rd := bufio.NewReader(strings.NewReader(raw))
	v := parseValue(t, rd)
	require.Zero(t, rd.Buffered())
	return v
}

func parseValue(t *testing.T, rd *bufio.Reader) any {
	line, err := rd.ReadString('\n')
	require.NoError(t, err)
	text := strings.TrimSuffix(line[1:], "\r\n")
	n, _ := strconv.Atoi(text)
	list := func(n int) (all []any) {
		for range n {
			all = append(all, parseValue(t, rd))
		}
		return all
	}
	switch line[0] {
	case '$', '=':
		if n < 0 {
			return nil
		}
		body := make([]byte, n+2)
		for i := range body {
			body[i], err = rd.ReadByte()
			require.NoError(t, err)
		}
		return string(body[:n])
	case '*':
		if n < 0 {
			return nil
		}
		return list(n)
	case '~':
		return set(list(n))
	case '%':
		m := make(map[string]any)
		for range n {
			key := parseValue(t, rd).(string)
			m[key] = parseValue(t, rd)
		}
		return m
	case ':':
		return int64(n)
	case '_':
		return nil
	default:
		return line[:1] + text
	}
}

// ownCommands are those that Redis 7.0 does not have: of 7.2, of 7.4, and of this server.
var ownCommands = []string{"client|no-touch", "client|setinfo", "waitaof", "hexpire", "hexpireat", "hexpiretime", "hpersist", "hpexpire", "hpexpireat",
	"hpexpiretime", "hpttl", "httl", "raft", "raft|add", "raft|demote", "raft|hash", "raft|help", "raft|priority", "raft|promote", "raft|readmode",
	"raft|remove", "raft|setaddr", "raft|snapshot", "raft|status", "raft|transfer"}

// Why COMMAND INFO and COMMAND DOCS differ from Redis 7.0 on purpose.
const (
	everyState = "clients ask it in every state of a node, so it has the flag loading"
	since72    = "ZRANK and ZREVRANK take WITHSCORE since Redis 7.2"
)

// differences are all of them, by command and part. Prose is not compared: notes of key specs, histories, summaries,
// complexities and replacements are our own, or none.
var differences = map[string]string{
	"cluster|countkeysinslot: flags": everyState, "cluster|count-failure-reports: flags": everyState, "cluster|getkeysinslot: flags": everyState,
	"cluster|info: flags": everyState, "cluster|keyslot: flags": everyState, "cluster|myid: flags": everyState, "cluster|nodes: flags": everyState,
	"cluster|replicas: flags": everyState, "cluster|shards: flags": everyState, "cluster|slaves: flags": everyState, "cluster|slots: flags": everyState,
	"zrank: arity": since72, "zrank: arguments": since72, "zrevrank: arity": since72, "zrevrank: arguments": since72,
}

// parts compares the parts of what two servers tell of commands, and which of them differ on purpose.
type parts struct {
	t    *testing.T
	kind []string // the parts that are compared, of all that differences name
	seen map[string]bool
}

func (p *parts) same(name, part string, want, got any) {
	if assert.ObjectsAreEqual(want, got) {
		return
	}
	key := name + ": " + part
	if why := differences[key]; why != "" {
		p.seen[key] = true
		if why == everyState {
			require.Equal(p.t, loaded(want.(set)), got, key)
		}
		p.t.Logf("%s: Redis %v, here %v: %s", key, want, got, why)
		return
	}
	require.Equal(p.t, want, got, key)
}

// done says that no difference is listed that is none.
func (p *parts) done() {
	for key := range differences {
		_, part, _ := strings.Cut(key, ": ")
		require.True(p.t, p.seen[key] || !contains(p.kind, part), "%s is as in Redis", key)
	}
}

func contains(list []string, word string) bool {
	for _, w := range list {
		if w == word {
			return true
		}
	}
	return false
}

// compare asks both servers and calls check for every command that both have.
func compare(t *testing.T, ask string, check func(name string, want, got any)) {
	theirs, ours := dial(t, clusterOracle(t)), (*client)(nil)
	_, s, _ := one(t)
	ours = dial(t, addrOf(s))
	ours.do("HELLO 3")
	theirs.do("HELLO 3")
	var checked int
	for _, name := range value(t, ours.do("COMMAND LIST")).([]any) {
		if contains(ownCommands, name.(string)) {
			require.Equal(t, []any{nil}, value(t, theirs.do("COMMAND INFO "+name.(string))), "%s: Redis has it", name)
			continue
		}
		checked++
		check(name.(string), value(t, theirs.do(ask+" "+name.(string))), value(t, ours.do(ask+" "+name.(string))))
	}
	require.Greater(t, checked, 150)
}

func TestCommandInfoAsRedis(t *testing.T) {
	fields := []string{"name", "arity", "flags", "first key", "last key", "step", "categories", "tips", "key specs", "sub-commands"}
	p := parts{t, fields, map[string]bool{}}
	compare(t, "COMMAND INFO", func(name string, want, got any) {
		require.Len(t, got, 1, name)
		require.NotNil(t, want.([]any)[0], "%s: Redis does not have it", name)
		w, g := want.([]any)[0].([]any), got.([]any)[0].([]any)
		require.Len(t, g, len(w))
		for i, field := range fields {
			switch field {
			case "key specs":
				for _, spec := range w[i].(set) {
					delete(spec.(map[string]any), "notes")
				}
			case "sub-commands": // which they are: TestMissingSubcommands
				require.IsType(t, w[i], g[i], name)
				continue
			}
			p.same(name, field, w[i], g[i])
		}
	})
	p.done()
}

func TestCommandDocsAsRedis(t *testing.T) {
	prose := []string{"summary", "complexity", "history", "replaced_by", "subcommands"}
	p := parts{t, []string{"arguments"}, map[string]bool{}}
	compare(t, "COMMAND DOCS", func(name string, want, got any) {
		w, g := want.(map[string]any)[name].(map[string]any), got.(map[string]any)[name].(map[string]any)
		for _, key := range []string{"summary", "complexity", "replaced_by", "subcommands"} {
			require.Equal(t, w[key] == nil, g[key] == nil, "%s: %s", name, key)
		}
		p.same(name, "arguments", w["arguments"], g["arguments"])
		for _, key := range append(prose, "arguments") {
			delete(w, key)
			delete(g, key)
		}
		require.Equal(t, w, g, name)
	})
	p.done()
}

// Every data command of Redis is here.
func TestMissingCommands(t *testing.T) {
	missing := map[string]string{"migrate": "one cluster does not move keys to another one"}
	groups := strings.Fields("string hash list set sorted-set stream bitmap hyperloglog geo generic transactions")
	_, s, _ := one(t)
	theirs := dial(t, oracle(t))
	theirs.do("HELLO 3")
	for name, docs := range value(t, theirs.do("COMMAND DOCS")).(map[string]any) {
		if group := docs.(map[string]any)["group"].(string); contains(groups, group) {
			require.Equal(t, s.table.byName[name] == nil, missing[name] != "", "%s of group %s", name, group)
		}
	}
}

// Sub-commands that Redis has and this server has not: they answer Redis' error for an unknown one.
func TestMissingSubcommands(t *testing.T) {
	missing := []string{
		"config|rewrite", // the configuration file is the operator's
		// One Raft group owns every slot, and its members are not changed with commands of Redis Cluster's gossip.
		"cluster|addslots", "cluster|addslotsrange", "cluster|bumpepoch", "cluster|delslots", "cluster|delslotsrange",
		"cluster|flushslots", "cluster|links", "cluster|saveconfig",
		"cluster|set-config-epoch", "cluster|setslot",
	}
	_, s, _ := one(t)
	ours, theirs := dial(t, addrOf(s)), dial(t, clusterOracle(t))
	ours.do("HELLO 3")
	theirs.do("HELLO 3")
	names := func(c *client) map[string]bool {
		all := make(map[string]bool)
		for _, n := range value(t, c.do("COMMAND LIST")).([]any) {
			all[n.(string)] = true
		}
		return all
	}
	have, want := names(ours), names(theirs)
	var lacking []string
	for n := range want {
		container, word, sub := strings.Cut(n, "|")
		if sub && have[container] && !have[n] {
			lacking = append(lacking, n)
			require.Equal(t, "-ERR unknown subcommand '"+word+"'. Try "+strings.ToUpper(container)+" HELP.\r\n", ours.do(container+" "+word))
		}
	}
	sort.Strings(lacking)
	sort.Strings(missing)
	require.Equal(t, missing, lacking)
	for n := range have {
		require.True(t, want[n] || contains(ownCommands, n), n)
	}
}

// loaded are the flags w with loading where Redis puts it.
func loaded(w set) (flags set) {
	for _, f := range w {
		if f == "+stale" {
			flags = append(flags, "+loading")
		}
		flags = append(flags, f)
	}
	return flags
}
