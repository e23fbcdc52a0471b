package resp

import (
	"errors"
	"math"
	"net"
	"strconv"

	"kvapp/internal/config"
	"kvapp/node"
	"kvapp/raft"
)

// The commands of this file change who is a member and who leads. Every node takes them, passes them on to the leader
// and answers when the change is committed. They ask for a state, so that one that is there already is a success.

const (
	// requestMs is how long a change may take before its client is answered.
	requestMs   = 10_000
	maxNodeName = 64
	idLen       = 40 // hex digits of a node's id in CLUSTER commands
)

// requested does what can take a while, with what was answered before on its way, and answers OK or why not; name is the
// member that is concerned.
func (c *conn) requested(name string, f func() error) {
	c.flush()
	done := c.block()
	err := f()
	done()
	if err != nil {
		c.out.Error(oneLine(requestError(err, name)))
		return
	}
	c.out.Simple("OK")
}

func (c *conn) change(name string, kind raft.ChangeKind, m raft.Member) {
	changes := []raft.Change{{Kind: kind, Member: m}}
	c.requested(name, func() error { return c.srv.node().Change(changes, requestMs) })
}

func (c *conn) transfer(name string, to raft.NodeID) {
	c.requested(name, func() error { return c.srv.node().Transfer(to, requestMs) })
}

// members is the membership as the leader has it now, or the error that was answered instead: what a node believes
// may be old, and a change must not undo a newer one.
func (c *conn) members() *node.View {
	n, b := c.srv.node(), node.NewBatch(c.out)
	b.ReadOnly = true
	n.Read(b, 0) // of nothing: it returns when this node is as far as the leader was
	if b.Outcome == node.Done {
		return n.View()
	}
	c.out.Error(barrierError(b.Outcome))
	return nil
}

func memberNamed(v *node.View, name string) *raft.Member {
	for i := range v.Members {
		if v.Members[i].Name == name {
			return &v.Members[i]
		}
	}
	return nil
}

// memberArg finds the member that arg names, by name or by id. nil: there is none, which has not been answered; or not
// even that is known, which has.
func (c *conn) memberArg(arg []byte) (m *raft.Member, known bool) {
	v := c.members()
	if v == nil {
		return nil, false
	}
	if m = memberNamed(v, string(arg)); m == nil {
		m = c.srv.memberWithID(v, arg)
	}
	return m, true
}

func (s *Server) memberWithID(v *node.View, id []byte) *raft.Member {
	for i := range v.Members {
		if m := &v.Members[i]; s.nodeID(m) == string(id) {
			return m
		}
	}
	return nil
}

// hostPort checks an address and takes its port.
func hostPort(arg []byte) (host string, port int, ok bool) {
	host, text, err := net.SplitHostPort(string(arg))
	if err != nil || host == "" || !validName(arg) {
		return "", 0, false
	}
	n, isNumber := parseInt([]byte(text))
	return host, int(n), isNumber && n >= 1 && n <= math.MaxUint16
}

// addresses are the options of RAFT ADD and RAFT SETADDR.
type addresses struct {
	client, peer string
	learner      bool
	incarnation  uint64
}

// parseAddresses reads client-addr [PEER addr] and, where they may stand, [LEARNER] [INCARNATION hex]; "" or the error.
func parseAddresses(args [][]byte, joining bool) (a addresses, why string) {
	if _, _, ok := hostPort(args[0]); !ok {
		return a, errAddress
	}
	a.client = string(args[0])
	for i := 1; i < len(args); i++ {
		more := i+1 < len(args)
		switch {
		case is(args[i], "peer") && more:
			i++
			if _, _, ok := hostPort(args[i]); !ok {
				return a, errAddress
			}
			a.peer = string(args[i])
		case joining && is(args[i], "learner"):
			a.learner = true
		case joining && is(args[i], "incarnation") && more:
			i++
			n, err := strconv.ParseUint(string(args[i]), 16, 64)
			if err != nil || n == 0 {
				return a, errIncarnation
			}
			a.incarnation = n
		default:
			return a, errSyntax
		}
	}
	return a, ""
}

// peerOf is the address for other nodes that belongs to a client address: on the same host, at port, or at the usual
// distance if port is 0.
func peerOf(client string, port int) (string, bool) {
	host, n, _ := hostPort([]byte(client))
	if port == 0 {
		port = n + config.PeerPortOffset
	}
	return net.JoinHostPort(host, strconv.Itoa(port)), port <= math.MaxUint16
}

// taken is the other member that has one of the addresses, "" if nobody has.
func taken(v *node.View, name string, a *addresses) string {
	for i := range v.Members {
		if m := &v.Members[i]; m.Name != name && (m.ClientAddr == a.client || m.PeerAddr == a.peer) {
			return m.Name
		}
	}
	return ""
}

func raftAdd(c *conn, args [][]byte) {
	a, why := parseAddresses(args[3:], true)
	name := string(args[2])
	switch {
	case why != "":
		c.out.Error(why)
		return
	case name == "" || len(name) > maxNodeName || !plainName(args[2]):
		c.out.Error(errNodeName)
		return
	}
	if a.peer == "" {
		var ok bool
		if a.peer, ok = peerOf(a.client, 0); !ok {
			c.out.Error(errPeerPort)
			return
		}
	}
	v := c.members()
	if v == nil {
		return
	}
	if other := taken(v, name, &a); other != "" {
		c.out.Error(addressTaken(other))
		return
	}
	m := raft.Member{
		ID: raft.NodeIDFromName(name), Name: name, ClientAddr: a.client, PeerAddr: a.peer, Learner: a.learner, Incarnation: a.incarnation,
	}
	if old := memberNamed(v, name); m.Incarnation == 0 && old != nil {
		m.Incarnation = old.Incarnation
	} else if m.Incarnation == 0 {
		// Only the node itself knows which disk it has, and a member without that could be anybody.
		var err error
		if m.Incarnation, err = c.srv.incarnation(name, a.peer); err != nil {
			c.out.Error(oneLine("ERR " + name + " does not tell the incarnation of its disk: " + err.Error()))
			return
		}
	}
	c.change(name, raft.ChangeAdd, m)
}

// plainName says whether b can be a new node's name: what the command line takes too.
func plainName(b []byte) bool {
	for _, ch := range b {
		if ch == '=' || ch == ',' || ch == '@' {
			return false
		}
	}
	return validName(b)
}

func raftRemove(c *conn, args [][]byte) {
	m, known := c.memberArg(args[2])
	switch {
	case m != nil:
		c.change(m.Name, raft.ChangeRemove, raft.Member{ID: m.ID})
	case known:
		c.out.Simple("OK")
	}
}

// changeOf changes the member that args[2] names.
func (c *conn) changeOf(args [][]byte, kind raft.ChangeKind, edit func(m *raft.Member)) {
	m, known := c.memberArg(args[2])
	if m == nil {
		if known {
			c.out.Error(oneLine(requestError(raft.ErrNoMember, string(cString(args[2], quoteLimit)))))
		}
		return
	}
	want := *m
	if edit != nil {
		edit(&want)
	}
	c.change(m.Name, kind, want)
}

func raftPromote(c *conn, args [][]byte) { c.changeOf(args, raft.ChangePromote, nil) }
func raftDemote(c *conn, args [][]byte)  { c.changeOf(args, raft.ChangeDemote, nil) }

func raftPriority(c *conn, args [][]byte) {
	n, ok := parseInt(args[3])
	if !ok || n < 0 || n > raft.MaxPriority {
		c.out.Error(errPriority)
		return
	}
	c.changeOf(args, raft.ChangeSet, func(m *raft.Member) { m.Priority = uint8(n) })
}

func raftSetAddr(c *conn, args [][]byte) {
	a, why := parseAddresses(args[3:], false)
	if why != "" {
		c.out.Error(why)
		return
	}
	m, known := c.memberArg(args[2])
	if !known {
		return
	}
	if m == nil {
		c.out.Error(oneLine(requestError(raft.ErrNoMember, string(cString(args[2], quoteLimit)))))
		return
	}
	if a.peer == "" {
		_, port, _ := hostPort([]byte(m.PeerAddr))
		a.peer, _ = peerOf(a.client, port)
	}
	if other := taken(c.srv.node().View(), m.Name, &a); other != "" {
		c.out.Error(addressTaken(other))
		return
	}
	want := *m
	want.ClientAddr, want.PeerAddr = a.client, a.peer
	c.change(m.Name, raft.ChangeSet, want)
}

func raftTransfer(c *conn, args [][]byte) {
	switch {
	case len(args) == 2:
		c.transfer("", 0)
		return
	case len(args) > 3:
		c.out.Error(errSyntax)
		return
	}
	m, known := c.memberArg(args[2])
	switch {
	case m != nil:
		c.transfer(m.Name, m.ID)
	case known:
		c.out.Error(oneLine(requestError(raft.ErrNoMember, string(cString(args[2], quoteLimit)))))
	}
}

// clusterForget removes a node. redis-cli sends it to every node in turn, so whoever comes later has it forgotten already.
func clusterForget(c *conn, args [][]byte) {
	v := c.members()
	if v == nil {
		return
	}
	m := c.srv.memberWithID(v, args[2])
	switch {
	case m != nil && m.ID == v.Self.ID:
		c.out.Error(errForgetSelf)
	case m != nil:
		c.change(m.Name, raft.ChangeRemove, raft.Member{ID: m.ID})
	case isNodeID(args[2]):
		c.out.Simple("OK")
	default:
		c.out.Error(unknownNode(args[2]))
	}
}

// isNodeID says whether b has the form of a node's id.
func isNodeID(b []byte) bool {
	if len(b) != idLen {
		return false
	}
	for _, ch := range b {
		if (ch < '0' || ch > '9') && (ch < 'a' || ch > 'f') {
			return false
		}
	}
	return true
}

// clusterFailover makes this node the leader.
func clusterFailover(c *conn, args [][]byte) {
	v := c.srv.node().View()
	switch {
	case len(args) > 3:
		c.out.Error(errSyntax)
	case len(args) == 3 && is(args[2], "takeover"):
		c.out.Error(errTakeover)
	case len(args) == 3 && !is(args[2], "force"):
		c.out.Error(errSyntax)
	case v.Role == raft.Leader:
		c.out.Error(errFailoverMaster)
	default:
		c.transfer(v.Self.Name, v.Self.ID)
	}
}

// clusterReplicate has nothing to do: the nodes of a group replicate whoever leads.
func clusterReplicate(c *conn, args [][]byte) {
	v := c.srv.node().View()
	m := c.memberByID(v, args[2])
	switch {
	case m == nil:
	case m.ID == v.Self.ID:
		c.out.Error(errReplicateSelf)
	default:
		c.out.Simple("OK")
	}
}

// clusterMeet makes this node, which must be alone and empty, join the cluster of another one.
func clusterMeet(c *conn, args [][]byte) {
	port, ok := parseInt(args[3])
	switch {
	case len(args) > 5:
		c.out.Error(wrongUse(args))
		return
	case !ok:
		c.out.Error(oneLine("ERR Invalid TCP base port specified: " + string(cString(args[3], quoteLimit))))
		return
	}
	if len(args) == 5 { // where Redis would meet the other one; here the members say it themselves
		if _, ok := parseInt(args[4]); !ok {
			c.out.Error(oneLine("ERR Invalid TCP bus port specified: " + string(cString(args[4], quoteLimit))))
			return
		}
	}
	addr := net.JoinHostPort(string(args[2]), strconv.FormatInt(port, 10))
	if _, _, ok := hostPort([]byte(addr)); !ok {
		c.out.Error(oneLine("ERR Invalid node address specified: " + string(cString(args[2], quoteLimit)) + ":" + string(args[3])))
		return
	}
	c.relocate(func() error { return c.srv.meet(addr) })
}

// clusterReset makes a node that belongs to no cluster any more an empty one of its own.
func clusterReset(c *conn, args [][]byte) {
	switch {
	case len(args) > 3:
		c.out.Error(wrongUse(args))
	case len(args) == 3 && !is(args[2], "hard") && !is(args[2], "soft"):
		c.out.Error(errSyntax)
	default:
		c.relocate(c.srv.reset)
	}
}

// relocate lets this server move to another cluster and answers OK or why not.
func (c *conn) relocate(f func() error) {
	c.flush()
	done := c.block()
	err := f()
	done()
	switch {
	case errors.Is(err, ErrHoldsKeys):
		c.out.Error(errHoldsKeys)
	case err != nil:
		c.out.Error(oneLine("ERR " + err.Error()))
	default:
		c.out.Simple("OK")
	}
}

// requestError is what a client is told that asked for a change of the cluster; name is the member it is about.
func requestError(err error, name string) string {
	switch {
	case errors.Is(err, raft.ErrNotLeader):
		return errNoLeader
	case errors.Is(err, raft.ErrPending), errors.Is(err, raft.ErrBusy):
		return "TRYAGAIN " + err.Error()
	case errors.Is(err, raft.ErrNoMember), errors.Is(err, raft.ErrIncarnation), errors.Is(err, raft.ErrNotVoter):
		return "ERR " + name + ": " + err.Error()
	case errors.Is(err, node.ErrTimeout):
		return errUnfinished
	case errors.Is(err, node.ErrStarting):
		return errLoading
	case errors.Is(err, node.ErrStopped):
		return errStopped
	default:
		return "ERR " + err.Error()
	}
}
