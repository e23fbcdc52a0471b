package resp

import "kvapp/fsm"

// raftCommands concern the consensus: who is a member, who leads, how far it is.
var raftCommands = []entry{
	{run: raftAdd, spec: spec("add", -4, reshape, "", "7.2.0", "server", "O(1)", "Makes a node a member.", nodeName, address, optional(after("PEER", text("peer-address"))),
		optional(token("LEARNER")), optional(after("INCARNATION", text("hex"))))},
	{run: raftDemote, spec: spec("demote", 3, reshape, "", "7.2.0", "server", "O(1)", "Makes a voter a learner.", nodeName)},
	{run: raftHash, tips: tipsRandom, spec: spec("hash", 2, admin, "", "7.2.0", "server", "O(N) where N is the number of keys",
		"Answers a hash of the whole state and the log index it stands for.")},
	{run: raftHelp, spec: spec("help", 2, anyState, "", "7.2.0", "server", "O(1)", "Lists the sub-commands.")},
	{run: raftPriority, spec: spec("priority", 4, reshape, "", "7.2.0", "server", "O(1)", "Lets the node with the highest priority lead.", nodeName, integer("priority"))},
	{run: raftPromote, spec: spec("promote", 3, reshape, "", "7.2.0", "server", "O(1)", "Makes a learner a voter as soon as it has caught up.", nodeName)},
	{run: raftReadMode, spec: spec("readmode", -2, anyState|fsm.FlagFast, "connection", "7.2.0", "server", "O(1)", "Says how this connection reads.",
		optional(oneOf("mode", token("DEFAULT"), token("LEASE"), token("QUORUM"), after("STALE", integer("milliseconds")))))},
	{run: raftRemove, spec: spec("remove", 3, reshape, "", "7.2.0", "server", "O(1)", "Removes a member.", nodeName)},
	{run: raftSetAddr, spec: spec("setaddr", -4, reshape, "", "7.2.0", "server", "O(1)", "Tells where a member is to be reached from now on.",
		nodeName, address, optional(after("PEER", text("peer-address"))))},
	{run: raftSnapshot, spec: spec("snapshot", 2, admin, "", "7.2.0", "server", "O(N) where N is the number of keys", "Takes a snapshot now and answers its log index.")},
	{run: raftStatus, tips: tipsRandom, spec: spec("status", 2, admin, "", "7.2.0", "server", "O(N) where N is the number of nodes",
		"Answers role, term, log positions, members and peers of this node.")},
	{run: raftTransfer, spec: spec("transfer", -2, reshape, "", "7.2.0", "server", "O(1)", "Hands leadership to a voter.", optional(nodeName))},
}

var nodeName, address = text("node"), text("address")
