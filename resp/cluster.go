package resp

import (
	"net"
	"strconv"
	"strings"

	"kvapp/fsm"
	"kvapp/internal/config"
	"kvapp/node"
	"kvapp/raft"
)

// One Raft group is shown as a cluster of one master, the leader, that owns every slot, and its replicas. Everything
// here comes from node.View and the state machine, so that it answers in every state of the node.

// master is the member that clients should take for the leader: the present one, the newest known one during an
// election, and before the first election some voter, the same on every node. nil only without members.
func master(v *node.View) *raft.Member {
	var first *raft.Member
	for i := range v.Members {
		m := &v.Members[i]
		if m.ID == v.Leader || v.Leader == 0 && m.ID == v.Last {
			return m
		}
		if first == nil && !m.Learner {
			first = m
		}
	}
	return first
}

// replicas are the other voters, in the order of their ids.
func replicas(v *node.View, lead *raft.Member) (all []*raft.Member) {
	for i := range v.Members {
		if m := &v.Members[i]; m.ID != lead.ID && !m.Learner {
			all = append(all, m)
		}
	}
	return all
}

func member(v *node.View, id raft.NodeID) *raft.Member {
	for i := range v.Members {
		if v.Members[i].ID == id {
			return &v.Members[i]
		}
	}
	return nil
}

func memberName(v *node.View, id raft.NodeID) string {
	if m := member(v, id); m != nil {
		return m.Name
	}
	return ""
}

func leaderAddr(v *node.View, id raft.NodeID) string {
	if m := member(v, id); m != nil {
		return m.ClientAddr
	}
	return ""
}

// memberAddr splits a member's client address; both parts are empty when it is not known.
func memberAddr(v *node.View, id raft.NodeID) (host, port string) {
	return splitAddr(leaderAddr(v, id))
}

func splitAddr(addr string) (host, port string) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", "0"
	}
	return host, port
}

func portNumber(port string) int64 {
	n, err := strconv.ParseInt(port, 10, 32)
	if err != nil {
		return 0
	}
	return n
}

func clusterMyID(c *conn, _ [][]byte) {
	self := c.srv.node().View().Self
	c.out.BulkString(c.srv.nodeID(&self))
}

func clusterKeySlot(c *conn, args [][]byte) { c.out.Int(int64(fsm.Slot(args[2]))) }

func clusterCountKeys(c *conn, args [][]byte) {
	slot, ok := parseInt(args[2])
	switch {
	case !ok:
		c.out.Error(errNotInteger)
	case slot < 0 || slot >= fsm.Slots:
		c.out.Error(errSlot)
	default:
		c.out.Int(int64(c.srv.node().Store().CountKeysInSlot(int(slot))))
	}
}

func clusterGetKeys(c *conn, args [][]byte) {
	slot, ok := parseInt(args[2])
	n, ok2 := parseInt(args[3])
	if !ok || !ok2 {
		c.out.Error(errNotInteger)
		return
	}
	if slot < 0 || slot >= fsm.Slots || n < 0 {
		c.out.Error(errSlotCount)
		return
	}
	keys := c.srv.node().Store().KeysInSlot(int(slot), int(min(n, 1<<31)))
	c.out.Array(len(keys))
	for _, k := range keys {
		c.out.Bulk(k)
	}
}

func clusterInfo(c *conn, _ [][]byte) {
	v := c.srv.node().View()
	var sent, received uint64
	for _, p := range c.srv.peers() {
		sent, received = sent+p.Sent, received+p.Received
	}
	state := "fail"
	if v.Healthy {
		state = "ok"
	}
	var sb strings.Builder
	for _, kv := range [][2]string{
		{"cluster_state", state}, {"cluster_slots_assigned", "16384"}, {"cluster_slots_ok", "16384"},
		{"cluster_slots_pfail", "0"}, {"cluster_slots_fail", "0"}, {"cluster_known_nodes", strconv.Itoa(len(v.Members))},
		{"cluster_size", "1"}, {"cluster_current_epoch", strconv.FormatUint(v.Term, 10)}, {"cluster_my_epoch", strconv.FormatUint(v.Term, 10)},
		{"cluster_stats_messages_sent", strconv.FormatUint(sent, 10)},
		{"cluster_stats_messages_received", strconv.FormatUint(received, 10)}, {"total_cluster_links_buffer_limit_exceeded", "0"},
	} {
		sb.WriteString(kv[0] + ":" + kv[1] + "\r\n")
	}
	c.out.Verbatim("txt", sb.String())
}

// busPort is what CLUSTER NODES prints behind the @: the port of the member's peer address.
func busPort(m *raft.Member, port string) string {
	if _, p := splitAddr(m.PeerAddr); p != "0" {
		return p
	}
	return strconv.FormatInt(portNumber(port)+config.PeerPortOffset, 10)
}

// cut says that this node has no connection to another one.
func (s *Server) cut(id raft.NodeID) bool {
	for _, p := range s.peers() {
		if p.ID == id {
			return !p.Connected
		}
	}
	return false
}

// nodeLine is a member's line of CLUSTER NODES without its end.
func (s *Server) nodeLine(v *node.View, lead, m *raft.Member) string {
	host, port := splitAddr(m.ClientAddr)
	line := s.nodeID(m) + " " + host + ":" + port + "@" + busPort(m, port) + " "
	if m.ID == v.Self.ID {
		line += "myself,"
	}
	epoch, link := strconv.FormatUint(v.Term, 10), " connected"
	if s.cut(m.ID) {
		link = " disconnected"
	}
	if lead != nil && m.ID == lead.ID {
		return line + "master - 0 0 " + epoch + link + " 0-16383"
	}
	of := "-"
	if lead != nil {
		of = s.nodeID(lead)
	}
	return line + "slave " + of + " 0 0 " + epoch + link
}

func clusterNodes(c *conn, _ [][]byte) {
	v := c.srv.node().View()
	lead := master(v)
	var sb strings.Builder
	if !v.Member { // not yet, or not any more; tools look for the node they talk to
		sb.WriteString(c.srv.nodeLine(v, lead, &v.Self) + "\n")
	}
	for i := range v.Members {
		sb.WriteString(c.srv.nodeLine(v, lead, &v.Members[i]) + "\n")
	}
	c.out.Verbatim("txt", sb.String())
}

// memberByID finds the member that CLUSTER commands know by id, and answers the error if there is none.
func (c *conn) memberByID(v *node.View, id []byte) *raft.Member {
	m := c.srv.memberWithID(v, id)
	if m == nil {
		c.out.Error(unknownNode(id))
	}
	return m
}

func clusterReplicas(c *conn, args [][]byte) {
	v := c.srv.node().View()
	m := c.memberByID(v, args[2])
	if m == nil {
		return
	}
	lead := master(v)
	if lead == nil || m.ID != lead.ID {
		c.out.Error("ERR The specified node is not a master")
		return
	}
	others := make([]*raft.Member, 0, len(v.Members))
	for i := range v.Members {
		if o := &v.Members[i]; o.ID != lead.ID {
			others = append(others, o)
		}
	}
	c.out.Array(len(others))
	for _, o := range others {
		c.out.BulkString(c.srv.nodeLine(v, lead, o))
	}
}

// clusterFailures answers 0: nodes do not report each other, a leader that is not heard is replaced.
func clusterFailures(c *conn, args [][]byte) {
	if c.memberByID(c.srv.node().View(), args[2]) != nil {
		c.out.Int(0)
	}
}

func clusterSlots(c *conn, _ [][]byte) {
	v := c.srv.node().View()
	lead := master(v)
	if lead == nil {
		c.out.Array(0)
		return
	}
	others := replicas(v, lead)
	c.out.Array(1)
	c.out.Array(3 + len(others))
	c.out.Int(0)
	c.out.Int(fsm.Slots - 1)
	for _, m := range append([]*raft.Member{lead}, others...) {
		host, port := splitAddr(m.ClientAddr)
		c.out.Array(4)
		c.out.BulkString(host)
		c.out.Int(portNumber(port))
		c.out.BulkString(c.srv.nodeID(m))
		c.out.Map(0) // no host name
	}
}

// offsetOf is how far a member's log is as far as this node knows: a leader knows of all, a follower of itself and what
// the leader has committed.
func offsetOf(st *node.Status, v *node.View, id raft.NodeID) uint64 {
	switch {
	case id == v.Self.ID && v.Role == raft.Leader:
		return st.LastIndex
	case id == v.Self.ID:
		return st.Applied
	case id == v.Leader:
		return st.Commit
	}
	for i := range st.Peers {
		if st.Peers[i].ID == id {
			return st.Peers[i].Match
		}
	}
	return 0
}

func clusterShards(c *conn, _ [][]byte) {
	v := c.srv.node().View()
	lead := master(v)
	if lead == nil {
		c.out.Array(0)
		return
	}
	nodes := append([]*raft.Member{lead}, replicas(v, lead)...)
	st := c.srv.status()
	c.out.Array(1)
	c.out.Map(2)
	c.out.BulkString("slots")
	c.out.Array(2)
	c.out.Int(0)
	c.out.Int(fsm.Slots - 1)
	c.out.BulkString("nodes")
	c.out.Array(len(nodes))
	for i, m := range nodes {
		host, port := splitAddr(m.ClientAddr)
		role, health := "replica", "online"
		if i == 0 {
			role = "master"
		}
		switch {
		case m.ID == v.Self.ID && v.Loading:
			health = "loading"
		case m.ID != v.Leader && c.srv.cut(m.ID):
			health = "fail"
		}
		c.out.Map(7)
		c.pair("id", c.srv.nodeID(m))
		c.number("port", portNumber(port))
		c.pair("ip", host)
		c.pair("endpoint", host)
		c.pair("role", role)
		c.number("replication-offset", int64(offsetOf(&st, v, m.ID)))
		c.pair("health", health)
	}
}

func clusterHelp(c *conn, _ [][]byte) {
	c.help("CLUSTER",
		"COUNT-FAILURE-REPORTS <node-id>", "    Answers 0: the nodes of this cluster do not report each other.",
		"COUNTKEYSINSLOT <slot>", "    Counts the keys in <slot>.",
		"FAILOVER [FORCE]", "    Makes this node the leader.",
		"FORGET <node-id>", "    Removes a node from the cluster. OK also when it is gone already.",
		"GETKEYSINSLOT <slot> <count>", "    Names up to <count> keys in <slot>.",
		"INFO", "    Answers the state of the cluster.",
		"KEYSLOT <key>", "    Computes the slot of <key>.",
		"MEET <ip> <port> [<bus-port>]", "    Makes this node, alone and empty, join the cluster of another one.",
		"MYID", "    Answers the id of this node.",
		"NODES", "    Lists the nodes, one a line:",
		"    <id> <ip:port@bus-port> <flags> <master> <pings> <pongs> <epoch> <link> <slot> ...",
		"REPLICATE <node-id>", "    Answers OK: every node replicates whoever leads.",
		"REPLICAS <node-id>", "    Lists the replicas of a master, one line of NODES each.",
		"RESET [HARD|SOFT]", "    Makes this node, removed from its cluster, an empty cluster of its own. What it holds is set aside.",
		"SHARDS", "    Maps slots to nodes.",
		"SLOTS", "    Maps slots to nodes: start, end, then address, port and id of the master and of its replicas.")
}
