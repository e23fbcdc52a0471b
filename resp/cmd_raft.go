package resp

import (
	"fmt"

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
	st, v := c.srv.status(), c.srv.node.View()
	leader := memberName(v, st.Leader)
	c.out.Map(19)
	c.pair("node", st.Name)
	c.pair("cluster", st.Cluster)
	c.pair("role", roleName(st.Role, v.Self.Learner))
	c.number("term", int64(st.Term))
	c.pair("leader", leader)
	c.pair("leader_addr", leaderAddr(v, st.Leader))
	c.number("commit", int64(st.Commit))
	c.number("applied", int64(st.Applied))
	c.number("durable", int64(st.Durable))
	c.number("first", int64(st.FirstIndex))
	c.number("last", int64(st.LastIndex))
	c.number("snapshot", int64(st.SnapshotIndex))
	c.number("pending", int64(st.Pending))
	c.number("uncommitted_bytes", st.Uncommitted)
	c.number("log_bytes", st.LogBytes)
	c.number("lease_ms", leaseMs(st.LeaseUntil, st.Now))
	c.out.BulkString("healthy")
	c.out.Bool(v.Healthy)
	c.out.BulkString("members")
	c.out.Array(len(v.Members))
	for i := range v.Members {
		m := &v.Members[i]
		c.out.Map(5)
		c.pair("name", m.Name)
		c.pair("id", c.srv.nodeID(m))
		c.pair("addr", m.ClientAddr)
		c.pair("peer_addr", m.PeerAddr)
		c.out.BulkString("learner")
		c.out.Bool(m.Learner)
	}
	c.out.BulkString("peers")
	c.out.Array(len(st.Peers))
	for i := range st.Peers {
		p := &st.Peers[i]
		c.out.Map(6)
		c.pair("name", memberName(v, p.ID))
		c.pair("state", p.State)
		c.number("match", int64(p.Match))
		c.number("next", int64(p.Next))
		c.number("lag", lag(st.LastIndex, p.Match))
		c.number("last_contact_ms", contactMs(st.Now, p.LastContact))
	}
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
	index, hash, err := c.srv.node.StateHash()
	if err != nil {
		c.out.Error(oneLine("ERR state hash: " + err.Error()))
		return
	}
	c.out.Map(2)
	c.number("index", int64(index))
	c.pair("hash", fmt.Sprintf("%016x", hash))
}

func raftSnapshot(c *conn, _ [][]byte) {
	index, err := c.srv.node.Snapshot()
	if err != nil {
		c.out.Error(oneLine("ERR snapshot: " + err.Error()))
		return
	}
	c.out.Int(int64(index))
}

func raftHelp(c *conn, _ [][]byte) {
	c.help("RAFT",
		"HASH", "    Answers a hash of the whole state and the log index it stands for.",
		"SNAPSHOT", "    Takes a snapshot now and answers its log index.",
		"STATUS", "    Answers role, term, log positions and peers of this node.")
}
