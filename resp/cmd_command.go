package resp

import (
	"path"
	"strings"

	"kvapp/fsm"
)

// flagNames are the words of COMMAND INFO, in Redis' order.
var flagNames = []struct {
	flag fsm.Flags
	name string
}{
	{fsm.FlagWrite, "write"}, {fsm.FlagReadonly, "readonly"}, {fsm.FlagDenyOOM, "denyoom"}, {fsm.FlagAdmin, "admin"},
	{fsm.FlagPubSub, "pubsub"}, {fsm.FlagNoScript, "noscript"}, {fsm.FlagBlocking, "blocking"}, {fsm.FlagLoading, "loading"},
	{fsm.FlagStale, "stale"}, {fsm.FlagSkipMonitor, "skip_monitor"}, {fsm.FlagSkipSlowlog, "skip_slowlog"},
	{fsm.FlagAsking, "asking"}, {fsm.FlagFast, "fast"}, {fsm.FlagNoAuth, "no_auth"}, {fsm.FlagMayReplicate, "may_replicate"},
	{fsm.FlagMovableKeys, "movablekeys"}, {fsm.FlagAllowBusy, "allow_busy"}, {fsm.FlagNoAsyncLoading, "no_async_loading"},
	{fsm.FlagNoMulti, "no_multi"},
}

// categoryOrder is the order in which COMMAND INFO names ACL categories.
var categoryOrder = []string{"keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog",
	"geo", "stream", "pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting"}

// groupCategories are the categories that follow from a data command's group.
var groupCategories = map[string]string{"string": "string", "list": "list", "set": "set",
	"sorted-set": "sortedset", "sorted_set": "sortedset", "hash": "hash", "stream": "stream", "bitmap": "bitmap",
	"hyperloglog": "hyperloglog", "geo": "geo", "pubsub": "pubsub", "transactions": "transaction", "scripting": "scripting"}

// flags returns the words of the command's flags.
func (x *command) flags() (words []string) {
	f := x.spec.Flags
	if x.spec.Keys != nil {
		f |= fsm.FlagMovableKeys
	}
	for _, n := range flagNames {
		if f&n.flag != 0 {
			words = append(words, n.name)
		}
	}
	return words
}

// categories returns the command's ACL categories without the @, in Redis' order.
func (x *command) categories() []string {
	has := make(map[string]bool)
	for _, c := range strings.Fields(x.spec.Categories) {
		has[c] = true
	}
	if !x.own && x.subs == nil {
		if c := groupCategories[x.spec.Group]; c != "" {
			has[c] = true
		}
	}
	has["write"] = has["write"] || x.is(fsm.FlagWrite)
	has["read"] = has["read"] || x.is(fsm.FlagReadonly) && !has["scripting"]
	if x.is(fsm.FlagAdmin) {
		has["admin"], has["dangerous"] = true, true
	}
	has["pubsub"] = has["pubsub"] || x.is(fsm.FlagPubSub)
	has["blocking"] = has["blocking"] || x.is(fsm.FlagBlocking)
	has["fast"], has["slow"] = x.is(fsm.FlagFast), !x.is(fsm.FlagFast)
	var words []string
	for _, c := range categoryOrder {
		if has[c] {
			words = append(words, c)
		}
	}
	return words
}

func commandAll(c *conn, _ [][]byte) {
	list := c.srv.table.list
	c.out.Array(len(list))
	for _, x := range list {
		c.showCommand(x)
	}
}

func commandCount(c *conn, _ [][]byte) { c.out.Int(int64(len(c.srv.table.list))) }

func commandInfo(c *conn, args [][]byte) {
	if len(args) == 2 {
		commandAll(c, args)
		return
	}
	c.out.Array(len(args) - 2)
	for _, name := range args[2:] {
		if x := c.srv.table.byPath(name); x != nil {
			c.showCommand(x)
		} else {
			c.out.Null()
		}
	}
}

// showCommand writes the ten fields of one command.
func (c *conn) showCommand(x *command) {
	s := x.spec
	c.out.Array(10)
	c.out.BulkString(x.name)
	c.out.Int(int64(s.Arity))
	c.statusSet("", x.flags())
	c.out.Int(int64(s.FirstKey))
	c.out.Int(int64(s.LastKey))
	c.out.Int(int64(s.KeyStep))
	c.statusSet("@", x.categories())
	c.out.Set(len(x.tips))
	for _, t := range x.tips {
		c.out.BulkString(t)
	}
	c.showKeySpecs(s)
	if len(x.list) == 0 {
		c.out.Set(0) // Redis has two types here
		return
	}
	c.out.Array(len(x.list))
	for _, sub := range x.list {
		c.showCommand(sub)
	}
}

func (c *conn) statusSet(prefix string, words []string) {
	c.out.Set(len(words))
	for _, w := range words {
		c.out.Simple(prefix + w)
	}
}

// showKeySpecs writes where the keys stand.
func (c *conn) showKeySpecs(s *fsm.Spec) {
	groups := s.KeyGroups()
	c.out.Set(len(groups))
	for i := range groups {
		g := &groups[i]
		c.out.Map(3)
		c.out.BulkString("flags")
		c.statusSet("", g.Flags)
		c.out.BulkString("begin_search")
		c.out.Map(2)
		if g.Find != nil {
			c.unknownPlace()
			c.out.BulkString("find_keys")
			c.out.Map(2)
			c.unknownPlace()
			continue
		}
		if g.Keyword != "" {
			c.pair("type", "keyword")
			c.out.BulkString("spec")
			c.out.Map(2)
			c.pair("keyword", g.Keyword)
			c.number("startfrom", int64(g.Begin))
		} else {
			c.pair("type", "index")
			c.out.BulkString("spec")
			c.out.Map(1)
			c.number("index", int64(g.Begin))
		}
		c.out.BulkString("find_keys")
		c.out.Map(2)
		if g.Counted {
			c.pair("type", "keynum")
			c.out.BulkString("spec")
			c.out.Map(3)
			c.number("keynumidx", 0)
			c.number("firstkey", 1)
			c.number("keystep", int64(g.Step))
			continue
		}
		c.pair("type", "range")
		c.out.BulkString("spec")
		c.out.Map(3)
		c.number("lastkey", int64(g.Last))
		c.number("keystep", int64(g.Step))
		limit := int64(0)
		if g.Half {
			limit = 2
		}
		c.number("limit", limit)
	}
}

// unknownPlace says that no rule for a part of the arguments finds a key.
func (c *conn) unknownPlace() {
	c.pair("type", "unknown")
	c.out.BulkString("spec")
	c.out.Map(0)
}

func commandGetKeys(c *conn, args [][]byte) { c.findKeys(args[2:], false) }

func commandGetKeysAndFlags(c *conn, args [][]byte) { c.findKeys(args[2:], true) }

// findKeys answers the keys of the command that args are, each with its flags if they are wanted.
func (c *conn) findKeys(args [][]byte, flags bool) {
	x, v := c.srv.table.find(args)
	if v == unknown || v == unknownWord {
		c.out.Error("ERR Invalid command specified")
		return
	}
	groups := x.spec.KeyGroups()
	if len(groups) == 0 {
		c.out.Error("ERR The command has no key arguments")
		return
	}
	if v == badArity {
		c.out.Error("ERR Invalid number of arguments specified for command")
		return
	}
	var at []int
	ends := make([]int, len(groups)) // of each group in at
	for i := range groups {
		var ok bool
		if at, ok = groups[i].Positions(args, at); !ok {
			c.out.Error("ERR Invalid arguments specified for command")
			return
		}
		ends[i] = len(at)
	}
	c.out.Array(len(at))
	group := 0
	for i, k := range at {
		for i >= ends[group] {
			group++
		}
		if flags {
			c.out.Array(2)
		}
		c.out.Bulk(args[k])
		if flags {
			c.statusSet("", keyFlags(x.spec, groups, group, args))
		}
	}
}

// keyFlags are the flags of the keys of one group in a whole command.
func keyFlags(s *fsm.Spec, groups []fsm.KeySpec, i int, args [][]byte) []string {
	if i == 0 && s.VaryFlags != nil {
		return s.VaryFlags(args)
	}
	return groups[i].Flags
}

func commandList(c *conn, args [][]byte) {
	keep := func(*command) bool { return true }
	switch {
	case len(args) == 2:
	case len(args) != 5 || !is(args[2], "filterby"):
		c.out.Error(errSyntax)
		return
	case is(args[3], "module"):
		keep = func(*command) bool { return false } // there are no modules
	case is(args[3], "aclcat"):
		want := strings.ToLower(string(args[4]))
		keep = func(x *command) bool {
			for _, cat := range x.categories() {
				if cat == want {
					return true
				}
			}
			return false
		}
	case is(args[3], "pattern"):
		want := strings.ToLower(string(args[4]))
		keep = func(x *command) bool { return nameMatches(want, x.name) }
	default:
		c.out.Error(errSyntax)
		return
	}
	var names []string
	var visit func(list []*command)
	visit = func(list []*command) {
		for _, x := range list {
			if keep(x) {
				names = append(names, x.name)
			}
			visit(x.list)
		}
	}
	visit(c.srv.table.list)
	c.out.Array(len(names))
	for _, n := range names {
		c.out.BulkString(n)
	}
}

// nameMatches is Redis' glob for names, which hold no slash; a malformed pattern matches nothing.
func nameMatches(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}

func commandHelp(c *conn, _ [][]byte) {
	c.help("COMMAND",
		"(no subcommand)", "    Describes every command.",
		"COUNT", "    Counts the commands.",
		"DOCS [<command-name> ...]", "    Answers the documentation of commands, of all if none is named.",
		"GETKEYS <full-command>", "    Finds the keys in a whole command.",
		"GETKEYSANDFLAGS <full-command>", "    Finds the keys in a whole command and tells what it does with them.",
		"INFO [<command-name> ...]", "    Describes commands, all if none is named.",
		"LIST [FILTERBY (MODULE <name>|ACLCAT <category>|PATTERN <pattern>)]", "    Lists the names of commands.")
}
