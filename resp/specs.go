package resp

import "kvapp/fsm"

// The flags that many of these commands share.
const (
	anyState = fsm.FlagLoading | fsm.FlagStale
	early    = anyState | fsm.FlagNoScript | fsm.FlagFast | fsm.FlagNoAuth | fsm.FlagAllowBusy
	ownState = anyState | fsm.FlagNoScript
	admin    = ownState | fsm.FlagAdmin
	reshape  = fsm.FlagStale | fsm.FlagNoAsyncLoading | fsm.FlagAdmin // not before this node knows who is a member
)

var (
	tipsRandom  = []string{"nondeterministic_output"}
	tipsOrder   = []string{"nondeterministic_output_order"}
	tipsOnAll   = []string{"request_policy:all_shards", "response_policy:all_succeeded"}
	tipsOfNode  = []string{"nondeterministic_output", "request_policy:all_shards", "response_policy:special"}
	tipsOnNodes = []string{"request_policy:all_nodes", "response_policy:all_succeeded"}
)

// spec fills in what every command here has.
func spec(name string, arity int, flags fsm.Flags, cats, since, group, complexity, summary string, args ...fsm.Arg) fsm.Spec {
	return fsm.Spec{Name: name, Arity: arity, Flags: flags, Categories: cats, Since: since, Group: group,
		Complexity: complexity, Summary: summary, Args: args}
}

// system marks a command that is for developers of servers.
func system(s fsm.Spec) fsm.Spec {
	s.System = true
	return s
}

// obsolete marks a command that has a successor.
func obsolete(s fsm.Spec, since, instead string) fsm.Spec {
	s.Deprecated, s.ReplacedBy = since, instead
	return s
}

func text(name string) fsm.Arg    { return fsm.Arg{Name: name, Type: "string"} }
func integer(name string) fsm.Arg { return fsm.Arg{Name: name, Type: "integer"} }

// sinceVersion and deprecated say from when, and until when, an argument is to be used.
func sinceVersion(v string, a fsm.Arg) fsm.Arg { a.Since = v; return a }
func deprecated(v string, a fsm.Arg) fsm.Arg   { a.Deprecated = v; return a }

func optional(a fsm.Arg) fsm.Arg { a.Optional = true; return a }
func multiple(a fsm.Arg) fsm.Arg { a.Multiple = true; return a }
func token(word string) fsm.Arg {
	return fsm.Arg{Name: lowerWord(word), Type: "pure-token", Token: word}
}
func after(word string, a fsm.Arg) fsm.Arg {
	a.Token = word
	return a
}

func oneOf(name string, args ...fsm.Arg) fsm.Arg {
	return fsm.Arg{Name: name, Type: "oneof", Args: args}
}
func block(name string, args ...fsm.Arg) fsm.Arg {
	return fsm.Arg{Name: name, Type: "block", Args: args}
}

func lowerWord(s string) string {
	b := []byte(s)
	for i, ch := range b {
		if 'A' <= ch && ch <= 'Z' {
			b[i] = ch + 'a' - 'A'
		}
	}
	return string(b)
}

// onOff is the argument of the switches of CLIENT.
var onOff = oneOf("enabled", token("ON"), token("OFF"))

// connectionCommands concern one connection only.
var connectionCommands = []entry{
	{run: ping, tips: tipsOnAll, spec: spec("ping", -1, fsm.FlagFast, "connection", "1.0.0", "connection", "O(1)",
		"Answers PONG, or the message.", optional(text("message")))},
	{run: echo, spec: spec("echo", 2, anyState|fsm.FlagFast, "connection", "1.0.0", "connection", "O(1)",
		"Answers the message.", text("message"))},
	{run: quit, spec: spec("quit", -1, early, "connection", "1.0.0", "connection", "O(1)",
		"Ends the connection after the replies before it.")},
	{run: reset, spec: spec("reset", 1, early, "connection", "6.2.0", "connection", "O(1)",
		"Brings the connection back to the state it began in.")},
	{run: selectDB, spec: spec("select", 2, anyState|fsm.FlagFast, "connection", "1.0.0", "connection", "O(1)",
		"Chooses the database of this connection.", integer("index"))},
	{run: auth, spec: spec("auth", -2, early, "connection", "1.0.0", "connection", "O(1)",
		"Proves who the client is.", optional(sinceVersion("6.0.0", text("username"))), text("password"))},
	{run: hello, spec: spec("hello", -1, early, "connection", "6.0.0", "connection", "O(1)",
		"Greets the server and chooses the version of the protocol.",
		optional(block("arguments", integer("protover"),
			optional(after("AUTH", block("username_password", text("username"), text("password")))),
			optional(after("SETNAME", text("clientname"))))))},
	{spec: spec("client", -2, 0, "", "2.4.0", "connection", "Depends on subcommand.", "Commands about client connections."), subs: clientCommands},
}

var clientCommands = []entry{
	{run: clientCaching, spec: spec("caching", 3, ownState, "connection", "6.0.0", "connection", "O(1)", "Says whether the keys of the next command are tracked.",
		oneOf("mode", token("YES"), token("NO")))},
	{run: clientGetName, spec: spec("getname", 2, ownState, "connection", "2.6.9", "connection", "O(1)", "Answers the name of this connection.")},
	{run: clientGetRedir, spec: spec("getredir", 2, ownState, "connection", "6.0.0", "connection", "O(1)", "Answers where invalidation messages go.")},
	{run: clientHelp, spec: spec("help", 2, anyState, "connection", "5.0.0", "connection", "O(1)", "Lists the sub-commands.")},
	{run: clientID, spec: spec("id", 2, ownState, "connection", "5.0.0", "connection", "O(1)", "Answers the id of this connection.")},
	{run: clientInfo, tips: tipsRandom, spec: spec("info", 2, ownState, "connection", "6.2.0", "connection", "O(1)", "Describes this connection.")},
	{run: clientKill, spec: spec("kill", -3, admin, "connection", "2.4.0", "connection", "O(N) where N is the number of client connections",
		"Ends connections.", oneOf("filter", deprecated("2.8.12", text("ip:port")), multiple(oneOf("new-format",
			optional(after("ID", sinceVersion("2.8.12", integer("client-id")))),
			optional(after("TYPE", sinceVersion("2.8.12", oneOf("normal_master_slave_pubsub", token("NORMAL"), sinceVersion("3.2.0", token("MASTER")),
				token("SLAVE"), sinceVersion("5.0.0", token("REPLICA")), token("PUBSUB"))))),
			optional(after("USER", text("username"))), optional(after("ADDR", text("ip:port"))),
			optional(after("LADDR", sinceVersion("6.2.0", text("ip:port")))), optional(after("SKIPME", text("yes/no")))))))},
	{run: clientList, tips: tipsRandom, spec: spec("list", -2, admin, "connection", "2.4.0", "connection", "O(N) where N is the number of client connections",
		"Describes connections.", optional(after("TYPE", sinceVersion("5.0.0", oneOf("normal_master_replica_pubsub", token("NORMAL"), token("MASTER"),
			token("REPLICA"), token("PUBSUB"))))),
		optional(after("ID", sinceVersion("6.2.0", block("id", multiple(integer("client-id")))))))},
	{run: clientNoEvict, spec: spec("no-evict", 3, admin, "connection", "7.0.0", "connection", "O(1)", "Marks this connection as one not to be dropped for memory.", onOff)},
	{run: clientNoTouch, spec: spec("no-touch", 3, ownState, "connection", "7.2.0", "connection", "O(1)", "Says whether this connection's commands count as use of keys.", onOff)},
	{run: clientPause, spec: spec("pause", -3, admin, "connection", "2.9.50", "connection", "O(1)", "Holds the commands of all clients for a while.",
		integer("timeout"), optional(sinceVersion("6.2.0", oneOf("mode", token("WRITE"), token("ALL")))))},
	{run: clientReply, spec: spec("reply", 3, ownState, "connection", "3.2.0", "connection", "O(1)", "Says which commands of this connection are answered.",
		oneOf("on_off_skip", token("ON"), token("OFF"), token("SKIP")))},
	{run: clientSetInfo, spec: spec("setinfo", 4, ownState, "connection", "7.2.0", "connection", "O(1)", "Tells the name or version of the client's library.",
		oneOf("attr", after("LIB-NAME", text("libname")), after("LIB-VER", text("libver"))))},
	{run: clientSetName, spec: spec("setname", 3, ownState, "connection", "2.6.9", "connection", "O(1)", "Names this connection.", text("connection-name"))},
	{run: clientTracking, spec: spec("tracking", -3, ownState, "connection", "6.0.0", "connection", "O(1). Some options may introduce additional complexity.",
		"Has this connection told when keys that it has read change.", oneOf("status", token("ON"), token("OFF")), optional(after("REDIRECT", integer("client-id"))),
		fsm.Arg{Name: "prefix", Type: "string", Token: "PREFIX", Optional: true, Multiple: true, MultipleToken: true},
		optional(token("BCAST")), optional(token("OPTIN")), optional(token("OPTOUT")), optional(token("NOLOOP")))},
	{run: clientTrackingInfo, spec: spec("trackinginfo", 2, ownState, "connection", "6.2.0", "connection", "O(1)", "Answers how this connection is told of changed keys.")},
	{run: clientUnblock, spec: spec("unblock", -3, admin, "connection", "5.0.0", "connection", "O(1)", "Ends the wait of a command of another connection.",
		integer("client-id"), optional(oneOf("timeout_error", token("TIMEOUT"), token("ERROR"))))},
	{run: clientUnpause, spec: spec("unpause", 2, admin, "connection", "6.2.0", "connection", "O(N) where N is the number of paused clients", "Ends a pause.")},
}

// serverCommands concern this node.
var serverCommands = []entry{
	{run: commandAll, tips: tipsOrder, subs: commandCommands, spec: spec("command", -1, anyState, "connection", "2.8.13", "server",
		"O(N) where N is the total number of commands", "Describes every command.")},
	{subs: configCommands, spec: spec("config", -2, 0, "", "2.0.0", "server", "Depends on subcommand.", "Commands about the settings.")},
	{run: hllSelfTest, spec: system(spec("pfselftest", 1, fsm.FlagAdmin, "hyperloglog", "2.8.9", "hyperloglog", "N/A", "Tests the registers and estimates of HyperLogLogs."))},
	{run: debugAny, spec: system(spec("debug", -2, admin, "", "1.0.0", "server", "Depends on subcommand.", "Commands for tests of the server."))},
	{run: info, tips: []string{"nondeterministic_output", "request_policy:all_shards", "response_policy:special"},
		spec: spec("info", -1, anyState, "dangerous", "1.0.0", "server", "O(1)", "Answers facts and counters of this node.", optional(multiple(text("section"))))},
	{run: timeNow, tips: tipsRandom, spec: spec("time", 1, anyState|fsm.FlagFast, "", "2.6.0", "server", "O(1)", "Answers this node's clock.")},
	{run: role, spec: spec("role", 1, ownState|fsm.FlagFast, "admin dangerous", "2.8.12", "server", "O(1)", "Answers whether this node leads, and whom it knows.")},
	{run: wait, tips: []string{"request_policy:all_shards", "response_policy:agg_min"}, spec: spec("wait", 3, fsm.FlagNoScript, "connection", "3.0.0", "generic", "O(1)",
		"Waits until so many other nodes have this connection's writes on disk.", integer("numreplicas"), integer("timeout"))},
	{run: waitAOF, tips: []string{"request_policy:all_shards", "response_policy:agg_min"}, spec: spec("waitaof", 4, fsm.FlagNoScript, "connection", "7.2.0", "generic", "O(1)",
		"Waits until this node, and so many others, have this connection's writes on disk.", integer("numlocal"), integer("numreplicas"), integer("timeout"))},
	{subs: memoryCommands, spec: spec("memory", -2, 0, "", "4.0.0", "server", "Depends on subcommand.", "Commands about memory.")},
	{subs: objectCommands, spec: spec("object", -2, 0, "", "2.2.3", "generic", "Depends on subcommand.", "Commands about how values are held.")},
	{subs: raftCommands, spec: spec("raft", -2, 0, "", "7.2.0", "server", "Depends on subcommand.", "Commands about the consensus.")},
}

var memoryCommands = []entry{
	{run: memoryDoctor, tips: tipsOfNode, spec: spec("doctor", 2, 0, "", "4.0.0", "server", "O(1)", "Tells what is wrong with the memory of this node.")},
	{run: memoryHelp, spec: spec("help", 2, anyState, "", "4.0.0", "server", "O(1)", "Lists the sub-commands.")},
	{run: mallocStats, tips: tipsOfNode, spec: spec("malloc-stats", 2, 0, "", "4.0.0", "server", "O(1)", "Answers what the allocator tells about itself.")},
	{run: memoryPurge, tips: tipsOnAll, spec: spec("purge", 2, 0, "", "4.0.0", "server", "Depends on how much memory is allocated",
		"Gives free memory back to the system.")},
	{run: memoryStats, tips: tipsOfNode, spec: spec("stats", 2, 0, "", "4.0.0", "server", "O(1)", "Answers what the memory of this node is used for.")},
	{spec: *fsm.MemoryUsage},
}

var objectCommands = []entry{
	{spec: *fsm.ObjectEncoding, tips: tipsRandom},
	{spec: *fsm.ObjectFreq, tips: tipsRandom},
	{run: objectHelp, spec: spec("help", 2, anyState, "keyspace", "6.2.0", "generic", "O(1)", "Lists the sub-commands.")},
	{spec: *fsm.ObjectIdleTime, tips: tipsRandom},
	{spec: *fsm.ObjectRefCount, tips: tipsRandom},
}

var commandCommands = []entry{
	{run: commandCount, spec: spec("count", 2, anyState, "connection", "2.8.13", "server", "O(1)", "Counts the commands.")},
	{run: commandDocs, tips: tipsOrder, spec: spec("docs", -2, anyState, "connection", "7.0.0", "server", "O(N) where N is the number of commands to look up",
		"Answers the documentation of commands.", optional(multiple(text("command-name"))))},
	{run: commandGetKeys, spec: spec("getkeys", -4, anyState, "connection", "2.8.13", "server", "O(N) where N is the number of arguments to the command",
		"Finds the keys in a whole command.")},
	{run: commandGetKeysAndFlags, spec: spec("getkeysandflags", -4, anyState, "connection", "7.0.0", "server",
		"O(N) where N is the number of arguments to the command", "Finds the keys in a whole command and tells what it does with them.")},
	{run: commandHelp, spec: spec("help", 2, anyState, "connection", "5.0.0", "server", "O(1)", "Lists the sub-commands.")},
	{run: commandInfo, tips: tipsOrder, spec: spec("info", -2, anyState, "connection", "2.8.13", "server", "O(N) where N is the number of commands to look up",
		"Describes commands.", optional(multiple(text("command-name"))))},
	{run: commandList, tips: tipsOrder, spec: spec("list", -2, anyState, "connection", "7.0.0", "server", "O(N) where N is the total number of commands",
		"Lists the names of commands.", optional(after("FILTERBY", oneOf("filterby", after("MODULE", text("module-name")),
			after("ACLCAT", text("category")), after("PATTERN", fsm.Arg{Name: "pattern", Type: "pattern"})))))},
}

var configCommands = []entry{
	{run: configGet, spec: spec("get", -3, admin, "", "2.0.0", "server", "O(N) when N is the number of settings asked for",
		"Answers the settings that match.", multiple(block("parameter", text("parameter"))))},
	{run: configHelp, spec: spec("help", 2, anyState, "", "5.0.0", "server", "O(1)", "Lists the sub-commands.")},
	{run: configResetStat, spec: spec("resetstat", 2, admin, "", "2.0.0", "server", "O(1)", "Sets the counters of INFO to zero.")},
	{run: configSet, tips: tipsOnNodes, spec: spec("set", -4, admin, "", "2.0.0", "server", "O(N) when N is the number of settings",
		"Changes settings, all or none.", multiple(block("parameter_value", text("parameter"), text("value"))))},
}

// clusterCommands show one Raft group as a cluster of one master.
var clusterCommands = []entry{
	{subs: clusterSubs, spec: spec("cluster", -2, 0, "", "3.0.0", "cluster", "Depends on subcommand.", "Commands about the cluster.")},
	{run: readOnly, spec: spec("readonly", 1, anyState|fsm.FlagFast, "connection", "3.0.0", "cluster", "O(1)", "Lets a follower answer this connection's reads.")},
	{run: readWrite, spec: spec("readwrite", 1, anyState|fsm.FlagFast, "connection", "3.0.0", "cluster", "O(1)", "Sends this connection's reads to the leader again.")},
	{run: asking, spec: spec("asking", 1, fsm.FlagFast, "connection", "3.0.0", "cluster", "O(1)", "Announces a command that was redirected with ASK.")},
}

var clusterSubs = []entry{
	{run: clusterCountKeys, spec: spec("countkeysinslot", 3, anyState, "", "3.0.0", "cluster", "O(1)", "Counts the keys in a slot.", integer("slot"))},
	{run: clusterFailures, tips: tipsRandom, spec: spec("count-failure-reports", 3, admin&^fsm.FlagNoScript, "", "3.0.0", "cluster", "O(1)",
		"Answers how many nodes report that a node has failed.", text("node-id"))},
	{run: clusterFailover, spec: spec("failover", -2, reshape, "", "3.0.0", "cluster", "O(1)", "Makes this node the leader.",
		optional(oneOf("options", token("FORCE"), token("TAKEOVER"))))},
	{run: clusterForget, spec: spec("forget", 3, reshape, "", "3.0.0", "cluster", "O(1)", "Removes a node from the cluster.", text("node-id"))},
	{run: clusterGetKeys, tips: tipsRandom, spec: spec("getkeysinslot", 4, anyState, "", "3.0.0", "cluster", "O(N) where N is the number of requested keys",
		"Names keys in a slot.", integer("slot"), integer("count"))},
	{run: clusterHelp, spec: spec("help", 2, anyState, "", "5.0.0", "cluster", "O(1)", "Lists the sub-commands.")},
	{run: clusterInfo, tips: tipsRandom, spec: spec("info", 2, anyState, "", "3.0.0", "cluster", "O(1)", "Answers the state of the cluster.")},
	{run: clusterKeySlot, spec: spec("keyslot", 3, anyState, "", "3.0.0", "cluster", "O(N) where N is the number of bytes in the key", "Computes the slot of a key.", text("key"))},
	{run: clusterMeet, spec: spec("meet", -4, reshape, "", "3.0.0", "cluster", "O(1)", "Makes this empty node join the cluster of another one.",
		text("ip"), integer("port"), optional(sinceVersion("4.0.0", integer("cluster_bus_port"))))},
	{run: clusterMyID, spec: spec("myid", 2, anyState, "", "3.0.0", "cluster", "O(1)", "Answers the id of this node.")},
	{run: clusterNodes, tips: tipsRandom, spec: spec("nodes", 2, anyState, "", "3.0.0", "cluster", "O(N) where N is the number of nodes", "Lists the nodes, one a line.")},
	{run: clusterReplicate, spec: spec("replicate", 3, reshape, "", "3.0.0", "cluster", "O(1)", "Has nothing to do: every node replicates whoever leads.",
		text("node-id"))},
	{run: clusterReplicas, tips: tipsRandom, spec: spec("replicas", 3, anyState|fsm.FlagAdmin, "", "5.0.0", "cluster", "O(1)", "Lists the replicas of a node.", text("node-id"))},
	{run: clusterReplicas, tips: tipsRandom, spec: obsolete(spec("slaves", 3, anyState|fsm.FlagAdmin, "", "3.0.0", "cluster", "O(1)",
		"Lists the replicas of a node.", text("node-id")), "5.0.0", "CLUSTER REPLICAS")},
	{run: clusterReset, spec: spec("reset", -2, fsm.FlagStale|fsm.FlagNoScript|fsm.FlagAdmin, "", "3.0.0", "cluster",
		"O(N) where N is the number of known nodes. The command may execute a FLUSHALL as a side effect.", "Makes this node an empty cluster of its own.",
		optional(oneOf("hard_soft", token("HARD"), token("SOFT"))))},
	{run: clusterShards, tips: tipsRandom, spec: spec("shards", 2, anyState, "", "7.0.0", "cluster", "O(N) where N is the number of nodes", "Maps slots to nodes.")},
	{run: clusterSlots, tips: tipsRandom, spec: obsolete(spec("slots", 2, anyState, "", "3.0.0", "cluster", "O(N) where N is the number of nodes",
		"Maps slots to nodes."), "7.0.0", "CLUSTER SHARDS")},
}

// dataHelp are the HELP sub-commands of containers of data commands. They look at no data, so every node answers for itself.
var dataHelp = map[string]entry{
	"xgroup": {run: xgroupHelp, spec: spec("help", 2, anyState, "stream", "5.0.0", "stream", "O(1)", "Lists the sub-commands.")},
	"xinfo":  {run: xinfoHelp, spec: spec("help", 2, anyState, "stream", "5.0.0", "stream", "O(1)", "Lists the sub-commands.")},
}

func xgroupHelp(c *conn, _ [][]byte) {
	c.help("XGROUP",
		"CREATE <key> <groupname> <id|$> [MKSTREAM] [ENTRIESREAD <entries-read>]", "    Makes a group, to be given the entries behind an id.",
		"CREATECONSUMER <key> <groupname> <consumername>", "    Makes a consumer of a group.",
		"DELCONSUMER <key> <groupname> <consumername>", "    Removes a consumer from a group, with what is pending for it.",
		"DESTROY <key> <groupname>", "    Removes a group.",
		"SETID <key> <groupname> <id|$> [ENTRIESREAD <entries-read>]", "    Sets the id behind which a group is given entries.")
}

func xinfoHelp(c *conn, _ [][]byte) {
	c.help("XINFO",
		"CONSUMERS <key> <groupname>", "    Lists the consumers of a group.",
		"GROUPS <key>", "    Lists the groups of a stream.",
		"STREAM <key> [FULL [COUNT <count>]]", "    Tells of a stream and, with FULL, of its entries, groups and consumers.")
}

// dataTips are the hints for clients about data commands, by full name, that COMMAND INFO shows.
var dataTips = map[string][]string{
	"dbsize": {"request_policy:all_shards", "response_policy:agg_sum"},
	"del":    {"request_policy:multi_shard", "response_policy:agg_sum"}, "exists": {"request_policy:multi_shard", "response_policy:agg_sum"},
	"touch": {"request_policy:multi_shard", "response_policy:agg_sum"}, "unlink": {"request_policy:multi_shard", "response_policy:agg_sum"},
	"flushall": tipsOnAll, "flushdb": tipsOnAll,
	"msetnx": {"request_policy:multi_shard", "response_policy:agg_min"}, "mget": {"request_policy:multi_shard"}, "mset": {"request_policy:multi_shard", "response_policy:all_succeeded"},
	"keys":      {"request_policy:all_shards", "nondeterministic_output_order"},
	"randomkey": {"request_policy:all_shards", "nondeterministic_output"},
	"scan":      {"nondeterministic_output", "request_policy:special"},
	"hgetall":   tipsOrder, "hkeys": tipsOrder, "hvals": tipsOrder, "smembers": tipsOrder,
	"sdiff": tipsOrder, "sinter": tipsOrder, "sunion": tipsOrder,
	"hrandfield": tipsRandom, "hscan": tipsRandom, "sscan": tipsRandom, "zscan": tipsRandom, "spop": tipsRandom,
	"xadd": tipsRandom, "xtrim": tipsRandom, "xinfo|consumers": tipsRandom, "xclaim": tipsRandom, "xautoclaim": tipsRandom,
	"xpending":    tipsRandom,
	"srandmember": tipsRandom, "zrandmember": tipsRandom, "ttl": tipsRandom, "pttl": tipsRandom, "dump": tipsRandom,
}
