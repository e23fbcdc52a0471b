package resp

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/internal/config"
	"kvapp/node"
	"kvapp/raft"
)

func TestClusterPicture(t *testing.T) {
	fakes, servers := cluster(t, 3)
	var ids, ports []string
	for _, s := range servers {
		id := dial(t, addrOf(s)).do("CLUSTER MYID")
		require.Len(t, id, len(bulk(strings.Repeat("x", 40))))
		ids = append(ids, id[5:45])
		_, port, err := net.SplitHostPort(addrOf(s))
		require.NoError(t, err)
		ports = append(ports, port)
	}
	entry := func(i int) string {
		return "*4\r\n" + bulk("127.0.0.1") + ":" + ports[i] + "\r\n" + bulk(ids[i]) + "*0\r\n"
	}
	want := "*1\r\n*5\r\n:0\r\n:16383\r\n" + entry(0) + entry(1) + entry(2)
	for i, s := range servers {
		c := dial(t, addrOf(s))
		require.Equal(t, want, c.do("CLUSTER SLOTS"), "every node shows the same picture")
		nodes := c.do("CLUSTER NODES")
		for j := range servers {
			line := fmt.Sprintf("%s 127.0.0.1:%s@17000 ", ids[j], ports[j])
			if i == j {
				line += "myself,"
			}
			if j == 0 {
				line += "master - 0 0 3 connected 0-16383\n"
			} else {
				line += "slave " + ids[0] + " 0 0 3 connected\n"
			}
			require.Contains(t, nodes, line)
		}
		shards := c.do("CLUSTER SHARDS")
		require.Less(t, strings.Index(shards, ids[0]), strings.Index(shards, ids[1]))
		require.Contains(t, c.do("CLUSTER INFO"), "cluster_state:ok\r\ncluster_slots_assigned:16384\r\n")
	}
	require.NotEqual(t, ids[0], ids[1])

	// During an election the newest known leader stays in the picture, and the state only fails when the node says so.
	c := dial(t, addrOf(servers[1]))
	fakes[1].change(func(v *node.View) { v.Leader, v.Term = 0, 4 })
	require.Equal(t, want, c.do("CLUSTER SLOTS"))
	require.Contains(t, c.do("CLUSTER INFO"), "cluster_state:ok\r\n")
	require.Contains(t, c.do("INFO replication"), "role:slave\r\nmaster_host:127.0.0.1\r\nmaster_port:"+ports[0]+"\r\nmaster_link_status:down\r\n")
	require.Contains(t, c.do("ROLE"), bulk("connect"))
	fakes[1].change(func(v *node.View) { v.Healthy = false })
	require.Contains(t, c.do("CLUSTER INFO"), "cluster_state:fail\r\n")

	// A new leader comes first. A learner holds no place in SLOTS, but is a node.
	fakes[1].change(func(v *node.View) { v.Leader, v.Last = 3, 3 })
	require.Equal(t, "*1\r\n*5\r\n:0\r\n:16383\r\n"+entry(2)+entry(0)+entry(1), c.do("CLUSTER SLOTS"))
	all := members(addrOf(servers[0]), addrOf(servers[1]), addrOf(servers[2]))
	all[1].Learner = true
	fakes[1].change(func(v *node.View) { v.Members, v.Self = all, all[1] })
	require.Equal(t, "*1\r\n*4\r\n:0\r\n:16383\r\n"+entry(2)+entry(0), c.do("CLUSTER SLOTS"))
	require.Contains(t, c.do("CLUSTER NODES"), ids[1])
	require.Contains(t, c.do("INFO raft"), "raft_role:learner\r\n")

	// Before any leader was ever known every node names the same voter.
	fakes[1].change(func(v *node.View) { v.Leader, v.Last = 0, 0 })
	require.Contains(t, c.do("CLUSTER SLOTS"), ids[0])
}

func TestSlotKeys(t *testing.T) {
	_, _, c := one(t)
	for i := range 5 {
		c.do("SET {foo}" + strconv.Itoa(i) + " x")
	}
	require.Equal(t, ":5\r\n", c.do("CLUSTER COUNTKEYSINSLOT 12182"))
	require.True(t, strings.HasPrefix(c.do("CLUSTER GETKEYSINSLOT 12182 3"), "*3\r\n"))
	require.Equal(t, "*0\r\n", c.do("CLUSTER GETKEYSINSLOT 1 3"))
}

// Everything keeps answering when the node has stopped and tells nothing more than its picture.
func TestStoppedNode(t *testing.T) {
	f, _, c := one(t)
	f.stopped.Store(true)
	for _, line := range []string{"INFO everything", "RAFT STATUS", "ROLE", "CLUSTER NODES", "CLUSTER INFO"} {
		require.NotEqual(t, byte('-'), c.do(line)[0], line)
	}
}

func TestInfoSections(t *testing.T) {
	f, _, c := one(t)
	c.do("SET a 1")
	headers := func(reply string) (found []string) {
		for _, l := range strings.Split(reply, "\r\n") {
			if h, ok := strings.CutPrefix(l, "# "); ok {
				found = append(found, h)
			}
		}
		return found
	}
	usual := []string{"Server", "Clients", "Memory", "Persistence", "Stats", "Replication", "CPU", "Modules", "Errorstats", "Cluster", "Raft", "Keyspace"}
	require.Equal(t, usual, headers(c.do("INFO")))
	require.Equal(t, usual, headers(c.do("INFO default")))
	every := append(append([]string{}, usual[:8]...), "Commandstats", "Errorstats", "Latencystats", "Cluster", "Raft", "Keyspace")
	require.Equal(t, every, headers(c.do("INFO all")))
	require.Equal(t, every, headers(c.do("INFO EVERYTHING")))
	require.Equal(t, []string{"Server", "Keyspace"}, headers(c.do("INFO keyspace Server nosuch")))
	require.Equal(t, bulk(""), c.do("INFO nosuch"))
	got := c.do("INFO everything")
	for _, field := range []string{"redis_version:7.2.6", "redis_mode:cluster", "server_name:kvapp", "kvapp_version:0.0.1", "cluster_enabled:1", "role:master",
		"db0:keys=1,expires=0,avg_ttl=0", "connected_clients:1", "raft_role:leader", "raft_term:3", "raft_quorum_ok:1", "maxmemory_policy:noeviction",
		"cmdstat_info:calls=6,", "aof_enabled:1", "loading:0"} {
		require.Contains(t, got, "\r\n"+field)
	}
	for _, line := range strings.Split(strings.TrimSpace(got), "\r\n")[1:] {
		require.True(t, line == "" || line[0] == '#' || strings.Contains(line, ":"), "%q", line)
	}
	f.change(func(v *node.View) {
		v.Members = append(v.Members, raft.Member{ID: 9, Name: "n9", ClientAddr: "10.0.0.9:7"})
	})
	require.Contains(t, c.do("INFO replication"), "connected_slaves:1\r\nslave0:ip=10.0.0.9,port=7,state=online,offset=1,lag=0\r\n")
	require.Contains(t, c.do("INFO raft"), "raft_peer0:id=n9,addr=10.0.0.9:7,state=replicate,match=1,next=2,lag_entries=1,last_contact_ms=0,inflight_msgs=0,inflight_bytes=0\r\n")

	// A follower that does not answer is no connected replica, but still a peer.
	f.silence.Store(2e9)
	require.Contains(t, c.do("INFO replication"), "connected_slaves:1\r\nslave0:ip=10.0.0.9,port=7,state=online,offset=1,lag=2\r\n")
	require.Contains(t, c.do("ROLE"), bulk("10.0.0.9"))
	f.silence.Store(60e9)
	require.Contains(t, c.do("INFO replication"), "connected_slaves:0\r\nmaster_failover_state:")
	require.NotContains(t, c.do("ROLE"), bulk("10.0.0.9"))
	require.Contains(t, c.do("INFO raft"), ",last_contact_ms=60000,")
	f.change(func(v *node.View) { v.Role, v.Leader = raft.Follower, 0 })
	require.Contains(t, c.do("INFO replication"), "master_last_io_seconds_ago:-1\r\n")
	require.Contains(t, c.do("INFO replication"), "master_link_down_since_seconds:60\r\n")
}

// What went over the links to the other nodes.
func TestPeerTraffic(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f := newFake(newGroup(), 0, members(ln.Addr().String(), "10.0.0.2:7", "10.0.0.3:7"))
	traffic := []PeerTraffic{{ID: 2, Connected: true, Sent: 3, Received: 4, BytesSent: 50, BytesReceived: 60, Snapshots: 1},
		{ID: 3, Sent: 1, BytesSent: 5}}
	s, err := NewServer(Options{Listener: ln, Node: f, Settings: config.New(), Cluster: "test", Peers: func() []PeerTraffic { return traffic }})
	require.NoError(t, err)
	serveUntilEnd(t, s)
	c := dial(t, ln.Addr().String())
	got := c.do("INFO")
	for _, field := range []string{"cluster_connections:1", "total_net_repl_input_bytes:60", "total_net_repl_output_bytes:55", "sync_full:1"} {
		require.Contains(t, got, "\r\n"+field+"\r\n")
	}
	require.Contains(t, c.do("CLUSTER INFO"), "cluster_stats_messages_sent:4\r\ncluster_stats_messages_received:4\r\n")
	require.Regexp(t, `10.0.0.2:7@17000 slave [0-9a-f]{40} 0 0 3 connected\n`, c.do("CLUSTER NODES"))
	require.Regexp(t, `10.0.0.3:7@17000 slave [0-9a-f]{40} 0 0 3 disconnected\n`, c.do("CLUSTER NODES"))
	require.Regexp(t, `127.0.0.1:\d+@17000 myself,master - 0 0 3 connected 0-16383\n`, c.do("CLUSTER NODES"))
	last := strconv.FormatUint(f.group.store.Applied(), 10)
	shards := c.do("CLUSTER SHARDS")
	for _, node := range []string{
		bulk("master") + bulk("replication-offset") + ":" + last + "\r\n" + bulk("health") + bulk("online"),
		bulk("10.0.0.2") + bulk("role") + bulk("replica") + bulk("replication-offset") + ":1\r\n" + bulk("health") + bulk("online"),
		bulk("10.0.0.3") + bulk("role") + bulk("replica") + bulk("replication-offset") + ":1\r\n" + bulk("health") + bulk("fail"),
	} {
		require.Contains(t, shards, node)
	}
}

func TestRaftCommands(t *testing.T) {
	_, _, c := one(t)
	c.do("HELLO 3")
	got := c.do("RAFT STATUS")
	require.True(t, strings.HasPrefix(got, "%34\r\n"), got)
	for _, part := range []string{
		bulk("role") + bulk("leader"), bulk("term") + ":3\r\n", bulk("healthy") + "#t\r\n", bulk("state_missing") + "#f\r\n",
		bulk("peers") + "*0\r\n",
	} {
		require.Contains(t, got, part)
	}
	require.Regexp(t, `^%2\r\n\$5\r\nindex\r\n:\d+\r\n\$4\r\nhash\r\n\$16\r\n0000000000000abc\r\n$`, c.do("RAFT HASH"))
	require.Equal(t, byte(':'), c.do("RAFT SNAPSHOT")[0])
	for _, name := range []string{"RAFT", "CLUSTER", "CLIENT", "COMMAND", "CONFIG"} {
		require.Contains(t, c.do(name+" HELP"), name+" <subcommand>")
	}
}

func TestCommandTables(t *testing.T) {
	_, s, c := one(t)
	count := c.do("COMMAND COUNT")
	require.Equal(t, fmt.Sprintf(":%d\r\n", len(s.table.list)), count)
	require.True(t, strings.HasPrefix(c.do("COMMAND"), "*"+count[1:]))
	require.True(t, strings.HasPrefix(c.do("COMMAND DOCS"), fmt.Sprintf("*%d\r\n", 2*len(s.table.list))))
	require.Equal(t, "*0\r\n", c.do("COMMAND DOCS nosuch"))
	require.Contains(t, c.do("COMMAND DOCS config|get"), bulk("summary"))
	require.Contains(t, c.do("COMMAND LIST FILTERBY ACLCAT Connection"), bulk("client|kill"))
	require.Contains(t, c.do("COMMAND LIST FILTERBY PATTERN clu*|my??"), bulk("cluster|myid"))
	for _, x := range s.table.list {
		require.NotEmpty(t, x.spec.Summary, x.name)
		require.NotEmpty(t, x.spec.Group, x.name)
		require.NotEmpty(t, x.spec.Since, x.name)
		require.True(t, x.spec.Run != nil || x.run != nil || x.subs != nil, "%s does nothing", x.name)
		for _, sub := range x.list {
			require.True(t, sub.spec.Run != nil || sub.run != nil, "%s does nothing", sub.name)
		}
	}
}

func FuzzReplyLen(f *testing.F) {
	for _, s := range []string{"+OK\r\n", "*2\r\n:1\r\n$1\r\na\r\n", "%1\r\n+a\r\n~0\r\n", "$-1\r\n", "*99999999999999\r\n", "=5\r\ntxt:a\r\n", "_\r\n", "$"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 {
			return
		}
		n := replyLen(b)
		require.True(t, 0 < n && n <= len(b), "%d of %q", n, b)
	})
}

func FuzzParseInt(f *testing.F) {
	for _, s := range []string{"0", "-1", "01", "+1", "-0", "9223372036854775807", "9223372036854775808", "", "-", " 1"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, ok := parseInt(b); ok {
			require.Equal(t, string(b), strconv.FormatInt(n, 10), "only the canonical form is a number")
		}
	})
}
