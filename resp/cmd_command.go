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
var groupCategories = map[string]string{"generic": "keyspace", "string": "string", "list": "list", "set": "set",
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
	c.showKeySpec(s)
	c.out.Set(len(x.list))
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

// showKeySpec writes where the keys stand: a range of positions, or, for movable keys, that only GETKEYS can tell.
func (c *conn) showKeySpec(s *fsm.Spec) {
	if s.FirstKey == 0 && s.Keys == nil {
		c.out.Set(0)
		return
	}
	c.out.Set(1)
	c.out.Map(3)
	c.out.BulkString("flags")
	c.statusSet("", s.KeyFlags)
	c.out.BulkString("begin_search")
	if s.Keys != nil {
		c.unknownSpec()
		c.out.BulkString("find_keys")
		c.unknownSpec()
		return
	}
	c.out.Map(2)
	c.pair("type", "index")
	c.out.BulkString("spec")
	c.out.Map(1)
	c.number("index", int64(s.FirstKey))
	last := s.LastKey
	if last > 0 {
		last -= s.FirstKey // relative to the first key
	}
	c.out.BulkString("find_keys")
	c.out.Map(2)
	c.pair("type", "range")
	c.out.BulkString("spec")
	c.out.Map(3)
	c.number("lastkey", int64(last))
	c.number("keystep", int64(s.KeyStep))
	c.number("limit", 0)
}

func (c *conn) unknownSpec() {
	c.out.Map(2)
	c.pair("type", "unknown")
	c.out.BulkString("spec")
	c.out.Map(0)
}

func commandDocs(c *conn, args [][]byte) {
	list := c.srv.table.list
	if len(args) > 2 {
		list = nil
		for _, name := range args[2:] {
			if x := c.srv.table.byPath(name); x != nil {
				list = append(list, x)
			}
		}
	}
	c.out.Map(len(list))
	for _, x := range list {
		c.showDocs(x)
	}
}

func (c *conn) showDocs(x *command) {
	s := x.spec
	n := 3
	for _, has := range []bool{s.Complexity != "", len(s.Args) > 0, len(x.list) > 0} {
		if has {
			n++
		}
	}
	c.out.BulkString(x.name)
	c.out.Map(n)
	c.pair("summary", s.Summary)
	c.pair("since", s.Since)
	c.pair("group", s.Group)
	if s.Complexity != "" {
		c.pair("complexity", s.Complexity)
	}
	if len(s.Args) > 0 {
		c.out.BulkString("arguments")
		c.showArgs(s.Args)
	}
	if len(x.list) > 0 {
		c.out.BulkString("subcommands")
		c.out.Map(len(x.list))
		for _, sub := range x.list {
			c.showDocs(sub)
		}
	}
}

func (c *conn) showArgs(args []fsm.Arg) {
	c.out.Array(len(args))
	for i := range args {
		a := &args[i]
		n := 2
		for _, has := range []bool{a.Type == "key", a.Token != "", a.Since != "", a.Optional || a.Multiple, len(a.Args) > 0} {
			if has {
				n++
			}
		}
		c.out.Map(n)
		c.pair("name", a.Name)
		c.pair("type", a.Type)
		if a.Type == "key" {
			c.number("key_spec_index", 0)
		}
		if a.Token != "" {
			c.pair("token", a.Token)
		}
		if a.Since != "" {
			c.pair("since", a.Since)
		}
		var flags []string
		if a.Optional {
			flags = append(flags, "optional")
		}
		if a.Multiple {
			flags = append(flags, "multiple")
		}
		if len(flags) > 0 {
			c.out.BulkString("flags")
			c.statusSet("", flags)
		}
		if len(a.Args) > 0 {
			c.out.BulkString("arguments")
			c.showArgs(a.Args)
		}
	}
}

func commandGetKeys(c *conn, args [][]byte) {
	args = args[2:]
	x, v := c.srv.table.find(args)
	switch {
	case v == unknown || v == unknownWord:
		c.out.Error("ERR Invalid command specified")
		return
	case x.spec.FirstKey == 0 && x.spec.Keys == nil:
		c.out.Error("ERR The command has no key arguments")
		return
	case v == badArity:
		c.out.Error("ERR Invalid number of arguments specified for command")
		return
	}
	keys := x.spec.KeyPositions(args, nil)
	if len(keys) == 0 {
		c.out.Error("ERR Invalid arguments specified for command")
		return
	}
	c.out.Array(len(keys))
	for _, k := range keys {
		c.out.Bulk(args[k])
	}
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
		"INFO [<command-name> ...]", "    Describes commands, all if none is named.",
		"LIST [FILTERBY (MODULE <name>|ACLCAT <category>|PATTERN <pattern>)]", "    Lists the names of commands.")
}
