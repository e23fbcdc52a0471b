package resp

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/internal/config"
	"kvapp/node"
	"kvapp/raft"
)

// admins is a follower of three nodes that can be asked for the disk of n4, and a client of it.
func admins(t *testing.T) (*fake, *Server, *client) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	all := members("10.0.0.1:7001", ln.Addr().String(), "10.0.0.3:7003")
	for i := range all {
		all[i].ID, all[i].PeerAddr = raft.NodeIDFromName(all[i].Name), fmt.Sprintf("10.0.0.%d:17000", i+1)
		all[i].Incarnation = uint64(i)
	}
	f := newFake(newGroup(), 1, all)
	s, err := NewServer(Options{Listener: ln, Node: f, Settings: config.New(), Cluster: "test",
		Incarnation: func(name, addr string) (uint64, error) {
			if name == "n4" && addr == "10.0.0.4:17004" {
				return 0xabc, nil
			}
			return 0, errors.New("nobody\r\nthere")
		}})
	require.NoError(t, err)
	serveUntilEnd(t, s)
	return f, s, dial(t, ln.Addr().String())
}

// asked returns what the node was asked for since the last call.
func (f *fake) asked() []any {
	f.mu.Lock()
	defer f.mu.Unlock()
	got := f.requests
	f.requests = nil
	return got
}

// refuse makes every request end with err.
func (f *fake) refuse(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refusal = err
}

func wish(kind raft.ChangeKind, m raft.Member) []any {
	return []any{[]raft.Change{{Kind: kind, Member: m}}}
}

// Every command that changes the cluster is understood by a follower and becomes the right request.
func TestMemberCommands(t *testing.T) {
	f, s, c := admins(t)
	all := f.View().Members
	n4 := raft.Member{ID: raft.NodeIDFromName("n4"), Name: "n4", ClientAddr: "10.0.0.4:7004", PeerAddr: "10.0.0.4:17004", Incarnation: 0xabc}
	learner, elsewhere, known, again, moved, far, first := n4, n4, n4, all[2], all[2], all[2], all[0]
	learner.Learner, learner.Incarnation = true, 0xfedcba9876543210
	elsewhere.PeerAddr, elsewhere.Incarnation = "peers.example:99", 1
	known.ID, known.Name, known.Incarnation = raft.NodeIDFromName("n-5.x"), "n-5.x", 7
	again.ClientAddr, again.PeerAddr = "[::1]:7003", "[::1]:17003"
	moved.ClientAddr, moved.PeerAddr = "h:1", "h:17000"
	far.ClientAddr, far.PeerAddr = "h:1", "g:2"
	first.Priority = 15
	id := s.nodeID(&all[2])
	for line, want := range map[string][]any{
		"RAFT ADD n4 10.0.0.4:7004":                                      wish(raft.ChangeAdd, n4),
		"raft add n4 10.0.0.4:7004 learner incarnation FEDCBA9876543210": wish(raft.ChangeAdd, learner),
		"RAFT ADD n4 10.0.0.4:7004 INCARNATION 1 PEER peers.example:99":  wish(raft.ChangeAdd, elsewhere),
		"RAFT ADD n-5.x 10.0.0.4:7004 INCARNATION 0007":                  wish(raft.ChangeAdd, known),
		"RAFT ADD n3 [::1]:7003":                                         wish(raft.ChangeAdd, again),
		"RAFT REMOVE n3":                                                 wish(raft.ChangeRemove, raft.Member{ID: all[2].ID}),
		"RAFT REMOVE " + id:                                              wish(raft.ChangeRemove, raft.Member{ID: all[2].ID}),
		"RAFT REMOVE n2":                                                 wish(raft.ChangeRemove, raft.Member{ID: all[1].ID}),
		"RAFT REMOVE n9":                                                 nil,
		"RAFT PROMOTE n3":                                                wish(raft.ChangePromote, all[2]),
		"RAFT DEMOTE " + id:                                              wish(raft.ChangeDemote, all[2]),
		"RAFT PRIORITY n1 15":                                            wish(raft.ChangeSet, first),
		"RAFT SETADDR n3 h:1":                                            wish(raft.ChangeSet, moved),
		"RAFT SETADDR n3 h:1 PEER g:2":                                   wish(raft.ChangeSet, far),
		"RAFT TRANSFER":                                                  {raft.NodeID(0)},
		"RAFT TRANSFER n3":                                               {all[2].ID},
		"RAFT TRANSFER " + id:                                            {all[2].ID},
		"CLUSTER FORGET " + id:                                           wish(raft.ChangeRemove, raft.Member{ID: all[2].ID}),
		"CLUSTER FORGET " + strings.Repeat("0", 40):                      nil,
		"CLUSTER FAILOVER":                                               {all[1].ID},
		"CLUSTER FAILOVER force":                                         {all[1].ID},
		"CLUSTER REPLICATE " + id:                                        nil,
	} {
		require.Equal(t, "+OK\r\n", c.do(line), line)
		require.Equal(t, want, f.asked(), line)
	}
}

// What makes no sense is refused before anybody is asked.
func TestMemberCommandsRefuse(t *testing.T) {
	f, s, c := admins(t)
	all := f.View().Members
	for line, want := range map[string]string{
		"RAFT ADD n4":                                   "ERR wrong number of arguments for 'raft|add' command",
		"RAFT ADD n4 7004":                              errAddress,
		"RAFT ADD n4 :7004":                             errAddress,
		"RAFT ADD n4 h:0":                               errAddress,
		"RAFT ADD n4 h:07004":                           errAddress,
		"RAFT ADD n4 h:70000":                           errAddress,
		"RAFT ADD n4 h:1 PEER x":                        errAddress,
		"RAFT ADD n4 h:1 PEER":                          errSyntax,
		"RAFT ADD n4 h:1 VOTER":                         errSyntax,
		"RAFT ADD n4 h:1 INCARNATION 0":                 errIncarnation,
		"RAFT ADD n4 h:1 INCARNATION x":                 errIncarnation,
		"RAFT ADD n4 h:1 INCARNATION 12345678901234567": errIncarnation,
		"RAFT ADD n=4 h:1":                              errNodeName,
		"RAFT ADD " + strings.Repeat("n", 65) + " h:1":  errNodeName,
		"RAFT ADD n4 h:60000":                           errPeerPort,
		"RAFT ADD n4 10.0.0.3:7003":                     "ERR n3 has one of these addresses: remove it first",
		"RAFT ADD n4 10.0.0.4:7004 PEER 10.0.0.1:17000": "ERR n1 has one of these addresses: remove it first",
		"RAFT ADD n5 10.0.0.5:7005":                     "ERR n5 does not tell the incarnation of its disk: nobody  there",
		"RAFT PROMOTE n9":                               "ERR n9: no such member",
		"RAFT DEMOTE n9":                                "ERR n9: no such member",
		"RAFT TRANSFER n9":                              "ERR n9: no such member",
		"RAFT TRANSFER n1 n2":                           errSyntax,
		"RAFT PRIORITY n9 1":                            "ERR n9: no such member",
		"RAFT PRIORITY n1 16":                           errPriority,
		"RAFT PRIORITY n1 -1":                           errPriority,
		"RAFT PRIORITY n1 x":                            errPriority,
		"RAFT SETADDR n9 h:1":                           "ERR n9: no such member",
		"RAFT SETADDR n3 h":                             errAddress,
		"RAFT SETADDR n3 h:1 LEARNER":                   errSyntax,
		"RAFT SETADDR n3 10.0.0.1:7001":                 "ERR n1 has one of these addresses: remove it first",
		"CLUSTER FORGET " + s.nodeID(&all[1]):           errForgetSelf,
		"CLUSTER FORGET abc":                            "ERR Unknown node abc",
		"CLUSTER FORGET " + strings.Repeat("X", 40):     "ERR Unknown node " + strings.Repeat("X", 40),
		"CLUSTER FAILOVER TAKEOVER":                     errTakeover,
		"CLUSTER FAILOVER now":                          errSyntax,
		"CLUSTER FAILOVER FORCE now":                    errSyntax,
		"CLUSTER REPLICATE abc":                         "ERR Unknown node abc",
		"CLUSTER REPLICATE " + s.nodeID(&all[1]):        errReplicateSelf,
	} {
		require.Equal(t, "-"+want+"\r\n", c.do(line), line)
	}
	require.Empty(t, f.asked())
	f.change(func(v *node.View) { v.Role = raft.Leader })
	require.Equal(t, "-"+errFailoverMaster+"\r\n", c.do("CLUSTER FAILOVER"))
}

// A command that has to know the members does not guess when this node cannot tell.
func TestMemberCommandsWithoutLeader(t *testing.T) {
	f, s, c := admins(t)
	for outcome, want := range map[node.Outcome]string{node.NoLeader: errNoLeader, node.Stopped: errStopped, node.Loading: errLoading} {
		f.outcome.Store(int32(outcome))
		for _, line := range []string{"RAFT ADD n4 10.0.0.4:7004", "RAFT REMOVE n9", "RAFT PRIORITY n1 1", "RAFT SETADDR n1 h:1",
			"RAFT PROMOTE n9", "RAFT TRANSFER n9", "CLUSTER FORGET " + s.nodeID(&f.View().Members[2])} {
			require.Equal(t, "-"+want+"\r\n", c.do(line), line)
		}
	}
	require.Empty(t, f.asked())
}

// Every way in which the node refuses has its own words.
func TestMemberCommandErrors(t *testing.T) {
	f, _, c := admins(t)
	for err, want := range map[error]string{
		raft.ErrNotLeader:                       errNoLeader,
		raft.ErrPending:                         "TRYAGAIN another change is under way",
		raft.ErrBusy:                            "TRYAGAIN too many uncommitted bytes, or leadership is being handed over",
		raft.ErrNoMember:                        "ERR n3: no such member",
		raft.ErrIncarnation:                     "ERR n3: a member of that name exists with other data: remove it first",
		raft.ErrLastVoter:                       "ERR the cluster would be left without a voter",
		raft.ErrNotVoter:                        "ERR n3: not a voter",
		raft.ErrNoTarget:                        "ERR no other voter is in touch",
		fmt.Errorf("x: %w", raft.ErrMembership): "ERR x: malformed membership",
		node.ErrTimeout:                         errUnfinished,
		node.ErrStarting:                        errLoading,
		node.ErrStopped:                         errStopped,
	} {
		f.refuse(err)
		for _, line := range []string{"RAFT DEMOTE n3", "RAFT TRANSFER n3"} {
			require.Equal(t, "-"+want+"\r\n", c.do(line))
		}
	}
}

// RAFT STATUS tells of a change that is under way.
func TestStatusOfMembers(t *testing.T) {
	f, s, c := admins(t)
	all := append([]raft.Member{}, f.View().Members...)
	all[2].Learner, all[2].Promote, all[2].Priority = true, true, 3
	f.change(func(v *node.View) { v.Members, v.Role = all, raft.Leader })
	c.do("HELLO 3")
	got := c.do("RAFT STATUS")
	for _, part := range []string{
		bulk("member") + "#t\r\n", bulk("voters") + ":2\r\n", bulk("learners") + ":1\r\n", bulk("changing") + "#f\r\n", bulk("transfer") + bulk(""),
		bulk("name") + bulk("n3") + bulk("id") + bulk(s.nodeID(&all[2])) + bulk("addr") + bulk("10.0.0.3:7003") + bulk("peer_addr") + bulk("10.0.0.3:17000") +
			bulk("learner") + "#t\r\n" + bulk("promote") + "#t\r\n" + bulk("leaving") + "#f\r\n" + bulk("priority") + ":3\r\n" +
			bulk("incarnation") + bulk("0000000000000002"),
		bulk("caught_up") + "#f\r\n" + bulk("removed") + "#f\r\n",
	} {
		require.Contains(t, got, part)
	}
	require.Contains(t, got, bulk("priority")+":0\r\n"+bulk("incarnation")+bulk(""), "of a founding member")
}

// A node that was removed, or is not added yet, still lists itself: tools look for the node they talk to.
func TestStrangerListsItself(t *testing.T) {
	f, s, c := admins(t)
	self := f.View().Self
	f.change(func(v *node.View) { v.Member, v.Members = false, []raft.Member{v.Members[0], v.Members[2]} })
	require.Contains(t, c.do("CLUSTER NODES"), s.nodeID(&self)+" "+self.ClientAddr+"@17000 myself,slave ")
	require.NotContains(t, c.do("CLUSTER SLOTS"), s.nodeID(&self))
	f.change(func(v *node.View) { v.Members, v.Leader, v.Last = nil, 0, 0 })
	require.Contains(t, c.do("CLUSTER NODES"), " myself,slave - 0 0 3 connected\n")
	require.Equal(t, "*0\r\n", c.do("CLUSTER SLOTS"))
}

// CLUSTER MEET and RESET leave it to the program to move the node, and tell why it did not.
func TestMeetAndReset(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f := newFake(newGroup(), 0, members(ln.Addr().String()))
	s, err := NewServer(Options{Listener: ln, Node: f, Settings: config.New(), Cluster: "test",
		Meet:  func(addr string) error { return f.request(addr) },
		Reset: func() error { return f.request("reset") }})
	require.NoError(t, err)
	serveUntilEnd(t, s)
	c := dial(t, ln.Addr().String())
	for _, line := range []string{"CLUSTER MEET 10.0.0.1 7001", "CLUSTER MEET ::1 7001 17001", "CLUSTER RESET", "CLUSTER RESET hard", "CLUSTER RESET SOFT"} {
		require.Equal(t, "+OK\r\n", c.do(line), line)
	}
	require.Equal(t, []any{"10.0.0.1:7001", "[::1]:7001", "reset", "reset", "reset"}, f.asked())
	for line, want := range map[string]string{
		"CLUSTER MEET 10.0.0.1 x":     "ERR Invalid TCP base port specified: x",
		"CLUSTER MEET 10.0.0.1 1 x":   "ERR Invalid TCP bus port specified: x",
		"CLUSTER MEET 10.0.0.1 0":     "ERR Invalid node address specified: 10.0.0.1:0",
		"CLUSTER MEET 10.0.0.1 70000": "ERR Invalid node address specified: 10.0.0.1:70000",
		"CLUSTER MEET h 1 2 3":        "ERR unknown subcommand or wrong number of arguments for 'MEET'. Try CLUSTER HELP.",
		"CLUSTER RESET now":           "ERR syntax error",
		"CLUSTER RESET HARD SOFT":     "ERR unknown subcommand or wrong number of arguments for 'RESET'. Try CLUSTER HELP.",
	} {
		require.Equal(t, "-"+want+"\r\n", c.do(line), line)
	}
	require.Empty(t, f.asked())
	for err, want := range map[error]string{ErrHoldsKeys: errHoldsKeys, errors.New("no\r\nway"): "ERR no  way"} {
		f.refuse(err)
		require.Equal(t, "-"+want+"\r\n", c.do("CLUSTER MEET h 1"))
		require.Equal(t, "-"+want+"\r\n", c.do("CLUSTER RESET"))
	}
	_, _, c = admins(t)
	require.Equal(t, "-ERR "+errRooted.Error()+"\r\n", c.do("CLUSTER RESET"), "nobody can")
}

// Another node of another cluster takes over behind the same connections: what they send from then on goes to it, and
// what they cache is worth nothing any more.
func TestAttach(t *testing.T) {
	old, s, c := one(t)
	c.do("SET a old")
	cached := dial(t, addrOf(s))
	cached.do("HELLO 3")
	require.Equal(t, "+OK\r\n", cached.do("CLIENT TRACKING ON"))
	require.Equal(t, bulk("old"), cached.do("GET a"))
	id := c.do("CLUSTER MYID")

	next := newFake(newGroup(), 0, members(addrOf(s)))
	old.outcome.Store(int32(node.Stopped))
	s.Attach(next, "another")
	require.Equal(t, ">2\r\n"+bulk("invalidate")+"_\r\n", cached.reply())
	require.NotEqual(t, id, c.do("CLUSTER MYID"), "ids are of a cluster")
	c.send("GET a", "SET a new", "GET a")
	require.Equal(t, "$-1\r\n", c.reply())
	require.Equal(t, "+OK\r\n", c.reply())
	require.Equal(t, bulk("new"), c.reply())
	require.Equal(t, bulk("new"), cached.do("GET a"))
	c.do("SET a newer")
	require.Equal(t, ">2\r\n"+bulk("invalidate")+"*1\r\n"+bulk("a"), cached.reply())
	require.Equal(t, "+OK\r\n", cached.do("CLIENT TRACKING OFF"))
	require.EqualValues(t, 1, old.writes.Load())
}

// A pipeline that was begun with one node is not finished by another: commands that follow a write may rely on it.
func TestAttachWithinAPipeline(t *testing.T) {
	old, s, c := one(t)
	next := newFake(newGroup(), 0, members(addrOf(s)))
	takeOver := func() {
		old.outcome.Store(int32(node.Stopped))
		s.Attach(next, "another")
	}
	old.onWrite.Store(&takeOver)
	c.send("SET a 1", "GET a", "PING", "SET b 2")
	for _, want := range []string{"-" + errStopped + "\r\n", "-" + errStopped + "\r\n", "+PONG\r\n", "+OK\r\n"} {
		require.Equal(t, want, c.reply())
	}
	require.Zero(t, old.group.store.CountKeysInSlot(15495))
}
