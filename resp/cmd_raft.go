package resp

import (
	"fmt"
	"strconv"

	"kvapp/node"
	"kvapp/raft"
)

// roleNames are what RAFT STATUS and INFO call the roles.
var roleNames = [...]string{raft.Follower: "follower", raft.PreCandidate: "pre-candidate", raft.Candidate: "candidate", raft.Leader: "leader"}

func roleName(v raft.Role, learner bool) string {
	switch {
	case v == raft.Follower && learner:
		return "learner"
	case int(v) < len(roleNames):
		return roleNames[v]
	default:
		return "unknown"
	}
}

func raftStatus(c *conn, _ [][]byte) {
	st, v := c.srv.status(), c.srv.node().View()
	voters, learners := census(v)
	c.out.Map(34)
	c.pair("node", st.Name)
	c.pair("cluster", st.Cluster)
	c.pair("role", roleName(st.Role, v.Self.Learner))
	c.number("term", int64(st.Term))
	c.pair("leader", memberName(v, st.Leader))
	c.pair("leader_addr", leaderAddr(v, st.Leader))
	c.number("commit", int64(st.Commit))
	c.number("applied", int64(st.Applied))
	c.number("durable", int64(st.Durable))
	c.number("first", int64(st.FirstIndex))
	c.number("last", int64(st.LastIndex))
	c.number("snapshot", int64(st.SnapshotIndex))
	c.pair("hash", fmt.Sprintf("%016x", st.StateHash))
	c.number("hash_index", int64(st.HashIndex))
	c.number("hash_compared", int64(st.HashCompared))
	c.number("pending", int64(st.Pending))
	c.number("uncommitted_bytes", st.Uncommitted)
	c.number("log_bytes", st.LogBytes)
	c.number("disk_free_bytes", st.DiskFree)
	c.number("disk_reserve_bytes", st.DiskReserve)
	c.flag("disk_full", st.DiskFull)
	c.flag("snapshot_late", st.SnapshotLate)
	c.flag("state_missing", st.Stateless)
	c.number("lease_ms", leaseMs(st.LeaseUntil, st.Now))
	c.flag("healthy", v.Healthy)
	c.flag("member", v.Member)
	c.number("voters", voters)
	c.number("learners", learners)
	c.flag("changing", st.Changing)
	c.pair("transfer", memberName(v, st.Transfer))
	c.raftFlow(&st)
	c.out.BulkString("refused")
	c.out.Map(4)
	c.number("other_cluster", int64(st.Refusals.OtherCluster))
	c.number("old_incarnation", int64(st.Refusals.OldIncarnation))
	c.number("otherwise", int64(st.Refusals.Otherwise))
	c.number("messages", int64(st.Refusals.Messages))
	c.out.BulkString("members")
	c.out.Array(len(v.Members))
	for i := range v.Members {
		c.raftMember(&v.Members[i])
	}
	c.out.BulkString("peers")
	c.out.Array(len(st.Peers))
	for i := range st.Peers {
		c.raftPeer(&st, v, &st.Peers[i])
	}
}

// raftFlow is how full the queues are.
func (c *conn) raftFlow(st *node.Status) {
	f := &st.Flow
	c.out.BulkString("flow")
	c.out.Map(14)
	c.pair("back_pressure", string(f.Pressure))
	c.number("uncommitted_bytes", st.Uncommitted)
	c.number("uncommitted_limit", f.UncommittedMax)
	c.number("waiting_batches", int64(f.Waiting))
	c.number("waiting_bytes", f.WaitingBytes)
	c.number("inbox_events", int64(f.InboxEvents))
	c.number("inbox_bytes", f.InboxBytes)
	c.number("inbox_limit", f.InboxMax)
	c.number("inbox_waits", int64(f.InboxWaits))
	c.number("apply_bytes", f.ApplyBytes)
	c.number("apply_limit", f.ApplyMax)
	c.number("inflight_msgs_limit", int64(f.InflightMsgs))
	c.number("inflight_bytes_limit", int64(f.InflightBytes))
	c.number("applied_behind", lag(st.Commit, st.Applied))
}

// raftMember is a member's part of RAFT STATUS, the same on every node.
func (c *conn) raftMember(m *raft.Member) {
	c.out.Map(9)
	c.pair("name", m.Name)
	c.pair("id", c.srv.nodeID(m))
	c.pair("addr", m.ClientAddr)
	c.pair("peer_addr", m.PeerAddr)
	c.flag("learner", m.Learner)
	c.flag("promote", m.Promote)
	c.flag("leaving", m.Leaving)
	c.number("priority", int64(m.Priority))
	c.pair("incarnation", incarnation(m.Incarnation))
}

// incarnation prints the incarnation of a member's disk; nothing for a founding member, whose incarnation each node found
// out for itself.
func incarnation(n uint64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%016x", n)
}

// raftPeer is what the leader knows of another node.
func (c *conn) raftPeer(st *node.Status, v *node.View, p *raft.PeerStatus) {
	name := memberName(v, p.ID)
	if name == "" {
		name = fmt.Sprintf("%016x", uint64(p.ID)) // removed, and being told of that
	}
	c.out.Map(11)
	c.pair("name", name)
	c.pair("state", p.State)
	c.number("match", int64(p.Match))
	c.number("next", int64(p.Next))
	c.number("lag", lag(st.LastIndex, p.Match))
	c.number("last_contact_ms", contactMs(st.Now, p.LastContact))
	c.number("inflight_msgs", int64(p.InflightMsgs))
	c.number("inflight_bytes", int64(p.InflightBytes))
	c.flag("caught_up", p.CaughtUp)
	c.flag("removed", p.Departed)
	c.flag("state_missing", p.Stateless)
}

// census counts the members by their part.
func census(v *node.View) (voters, learners int64) {
	for i := range v.Members {
		if v.Members[i].Learner {
			learners++
		} else {
			voters++
		}
	}
	return voters, learners
}

// leaseMs is how long a leader may still read without asking, 0 without a lease.
func leaseMs(until, now int64) int64 { return max(0, until-now) / 1e6 }

// lag is how many entries a peer is behind.
func lag(last, match uint64) int64 {
	if match >= last {
		return 0
	}
	return int64(last - match)
}

// contactMs is the age of a peer's newest answer, -1 if there was none.
func contactMs(now, at int64) int64 {
	if at == 0 {
		return -1
	}
	return max(0, now-at) / 1e6
}

func raftHash(c *conn, _ [][]byte) {
	index, hash, err := c.srv.node().StateHash()
	if err != nil {
		c.out.Error(oneLine("ERR state hash: " + err.Error()))
		return
	}
	c.out.Map(2)
	c.number("index", int64(index))
	c.pair("hash", fmt.Sprintf("%016x", hash))
}

func raftSnapshot(c *conn, _ [][]byte) {
	index, err := c.srv.node().Snapshot()
	if err != nil {
		c.out.Error(oneLine("ERR snapshot: " + err.Error()))
		return
	}
	c.out.Int(int64(index))
}

// readModes are the words of RAFT READMODE. With a lease is how a leader reads by default, so it is the default's word, too.
var readModes = [...]string{node.ReadDefault: "default", node.ReadQuorum: "quorum", node.ReadStale: "stale"}

// maxStaleMs is the longest bound of reads that may be stale: a day.
const maxStaleMs = 24 * 60 * 60 * 1000

// raftReadMode says, or tells, what the reads of this connection need.
func raftReadMode(c *conn, args [][]byte) {
	if len(args) == 2 {
		mode := readModes[c.readMode]
		if c.readMode == node.ReadStale {
			mode += " " + strconv.FormatInt(c.maxStale/1e6, 10)
		}
		c.out.BulkString(mode)
		return
	}
	mode, bound := node.ReadDefault, int64(0)
	switch {
	case len(args) == 3 && is(args[2], "default"):
	case len(args) == 3 && is(args[2], "lease"):
		if c.srv.settings.Get("read-mode") == "quorum" {
			c.out.Error(errNoLease)
			return
		}
	case len(args) == 3 && is(args[2], "quorum"):
		mode = node.ReadQuorum
	case len(args) == 4 && is(args[2], "stale"):
		ms, ok := parseInt(args[3])
		if !ok || ms < 1 || ms > maxStaleMs {
			c.out.Error(errStaleBound)
			return
		}
		mode, bound = node.ReadStale, ms*1e6
	default:
		c.out.Error(errSyntax)
		return
	}
	c.readMode, c.maxStale = mode, bound
	c.out.Simple("OK")
}

func raftHelp(c *conn, _ [][]byte) {
	c.help("RAFT",
		"ADD <name> <address> [PEER <address>] [LEARNER] [INCARNATION <hex>]",
		"    Makes a node a member, first as a learner; unless LEARNER is given it is promoted when it has caught up.",
		"DEMOTE <name>", "    Makes a voter a learner.",
		"HASH", "    Answers a hash of the whole state and the log index it stands for.",
		"PRIORITY <name> <0..15>", "    Lets the node with the highest priority lead as soon as it has caught up.",
		"PROMOTE <name>", "    Makes a learner a voter as soon as it has caught up.",
		"READMODE [DEFAULT|LEASE|QUORUM|STALE <ms>]",
		"    Says how this connection reads: by the leader's lease, by asking a quorum, or from any node, up to so old.",
		"REMOVE <name>|<node-id>", "    Removes a member. OK also when it is none.",
		"SETADDR <name> <address> [PEER <address>]", "    Tells where a member is to be reached from now on.",
		"SNAPSHOT", "    Takes a snapshot now and answers its log index.",
		"STATUS", "    Answers role, term, log positions, members and peers of this node.",
		"TRANSFER [<name>]", "    Hands leadership to a voter, without a name to the best one.")
}
