package resp

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"kvapp/fsm"
	"kvapp/internal/config"
	"kvapp/node"
	"kvapp/raft"
)

func one(t testing.TB) (*fake, *Server, *client) {
	t.Helper()
	fakes, servers := cluster(t, 1)
	return fakes[0], servers[0], dial(t, addrOf(servers[0]))
}

func TestReplyTexts(t *testing.T) {
	_, _, c := one(t)
	for _, row := range [][2]string{
		{"PING", "+PONG\r\n"},
		{"PING hi", bulk("hi")},
		{"PING a b", "-ERR wrong number of arguments for 'ping' command\r\n"},
		{"ECHO x", bulk("x")},
		{"GET", "-ERR wrong number of arguments for 'get' command\r\n"},
		{"FOO a b", "-ERR unknown command 'FOO', with args beginning with: 'a' 'b' \r\n"},
		{"FOO", "-ERR unknown command 'FOO', with args beginning with: \r\n"},
		{"client foo", "-ERR unknown subcommand 'foo'. Try CLIENT HELP.\r\n"},
		{"CLIENT", "-ERR wrong number of arguments for 'client' command\r\n"},
		{"CLIENT ID x", "-ERR wrong number of arguments for 'client|id' command\r\n"},
		{"SELECT a", "-ERR value is not an integer or out of range\r\n"},
		{"SELECT 16", "-ERR DB index is out of range\r\n"},
		{"SELECT 15", "+OK\r\n"},
		{"SET a 1", "+OK\r\n"},
		{"SELECT 0", "+OK\r\n"},
		{"GET a", "$-1\r\n"},
		{"AUTH x", "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?\r\n"},
		{"AUTH default x", "+OK\r\n"},
		{"AUTH other x", "-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
		{"AUTH a b c", "-ERR syntax error\r\n"},
		{"HELLO 4", "-NOPROTO unsupported protocol version\r\n"},
		{"HELLO x", "-ERR Protocol version is not an integer or out of range\r\n"},
		{"HELLO 3 FOO", "-ERR Syntax error in HELLO option 'FOO'\r\n"},
		{"HELLO 3 SETNAME", "-ERR Syntax error in HELLO option 'SETNAME'\r\n"},
		{"CLIENT GETNAME", "$-1\r\n"},
		{"CLIENT SETNAME foo", "+OK\r\n"},
		{"CLIENT GETNAME", bulk("foo")},
		{"CLIENT SETINFO lib-name go", "+OK\r\n"},
		{"CLIENT SETINFO x go", "-ERR Unrecognized option 'x'\r\n"},
		{"CLIENT PAUSE x", "-ERR timeout is not an integer or out of range\r\n"},
		{"CLIENT PAUSE -1", "-ERR timeout is negative\r\n"},
		{"CLIENT PAUSE 1 x", "-ERR CLIENT PAUSE mode must be WRITE or ALL\r\n"},
		{"CLIENT KILL 1.2.3.4:5", "-ERR No such client\r\n"},
		{"CLIENT KILL ID x", "-ERR client-id should be greater than 0\r\n"},
		{"CLIENT KILL TYPE x", "-ERR Unknown client type 'x'\r\n"},
		{"CLIENT KILL USER x", "-ERR No such user 'x'\r\n"},
		{"CLIENT KILL ID 99 SKIPME x", "-ERR syntax error\r\n"},
		{"CLIENT KILL a b c", "-ERR syntax error\r\n"},
		{"CLIENT KILL ADDR 1:1", ":0\r\n"},
		{"CLIENT LIST TYPE x", "-ERR Unknown client type 'x'\r\n"},
		{"CLIENT LIST ID x", "-ERR Invalid client ID\r\n"},
		{"CLIENT LIST ID 0 -1", bulk("")},
		{"CLIENT PAUSE 1 all x", "-ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP.\r\n"},
		{"CONFIG SET timeout 0 maxclients", "-ERR syntax error\r\n"},
		{"CONFIG GET MaxClients", "*2\r\n" + bulk("MaxClients") + bulk("10000")},
		{"CONFIG GET maxclients max[c]lients MAXCLIENTS", "*2\r\n" + bulk("maxclients") + bulk("10000")},
		{"CONFIG GET max\\clients", "*0\r\n"},
		{"CONFIG SET lua-time-limit 10 busy-reply-threshold 20", "+OK\r\n"},
		{"CONFIG GET lua-time-limit", "*2\r\n" + bulk("lua-time-limit") + bulk("20")},
		{"CONFIG SET hash-max-ziplist-entries 512", "+OK\r\n"},
		{"CLIENT LIST x", "-ERR syntax error\r\n"},
		{"CLIENT LIST TYPE pubsub", bulk("")},
		{"CLIENT REPLY x", "-ERR syntax error\r\n"},
		{"CLIENT NO-EVICT on", "+OK\r\n"},
		{"CLIENT NO-TOUCH off", "+OK\r\n"},
		{"CLUSTER KEYSLOT foo", ":12182\r\n"},
		{"CLUSTER COUNTKEYSINSLOT 99999", "-ERR Invalid slot\r\n"},
		{"CLUSTER COUNTKEYSINSLOT x", "-ERR value is not an integer or out of range\r\n"},
		{"CLUSTER GETKEYSINSLOT 1 -1", "-ERR Invalid slot or number of keys\r\n"},
		{"CLUSTER FOO", "-ERR unknown subcommand 'FOO'. Try CLUSTER HELP.\r\n"},
		{"READONLY", "+OK\r\n"}, {"READWRITE", "+OK\r\n"}, {"ASKING", "+OK\r\n"},
		{"CONFIG SET a", "-ERR wrong number of arguments for 'config|set' command\r\n"},
		{"CONFIG SET a b", "-ERR Unknown option or number of arguments for CONFIG SET - 'a'\r\n"},
		{"CONFIG SET maxclients x", "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - argument couldn't be parsed into an integer\r\n"},
		{"CONFIG SET maxclients 77", "+OK\r\n"},
		{"CONFIG GET maxclients", "*2\r\n" + bulk("maxclients") + bulk("77")},
		{"CONFIG GET nosuch", "*0\r\n"},
		{"CONFIG RESETSTAT", "+OK\r\n"},
		{"COMMAND GETKEYS foo x", "-ERR Invalid command specified\r\n"},
		{"COMMAND GETKEYS ping a", "-ERR The command has no key arguments\r\n"},
		{"COMMAND GETKEYS get", "-ERR wrong number of arguments for 'command|getkeys' command\r\n"},
		{"COMMAND GETKEYS get a b", "-ERR Invalid number of arguments specified for command\r\n"},
		{"COMMAND GETKEYS zunionstore d 3 a b", "-ERR Invalid arguments specified for command\r\n"},
		{"COMMAND GETKEYSANDFLAGS set a b", "*1\r\n*2\r\n" + bulk("a") + "*2\r\n+OW\r\n+update\r\n"},
		{"COMMAND GETKEYSANDFLAGS set a b get", "*1\r\n*2\r\n" + bulk("a") + "*3\r\n+RW\r\n+access\r\n+update\r\n"},
		{"COMMAND GETKEYSANDFLAGS zdiffstore d 1 a", "*2\r\n*2\r\n" + bulk("d") + "*2\r\n+OW\r\n+update\r\n*2\r\n" + bulk("a") + "*2\r\n+RO\r\n+access\r\n"},
		{"COMMAND GETKEYS mset a 1 b 2", "*2\r\n" + bulk("a") + bulk("b")},
		{"COMMAND LIST FILTERBY MODULE x", "*0\r\n"},
		{"COMMAND LIST FILTERBY PATTERN ping", "*1\r\n" + bulk("ping")},
		{"COMMAND LIST FILTERBY", "-ERR syntax error\r\n"},
		{"COMMAND INFO nosuch", "*1\r\n$-1\r\n"},
		{"WAIT x 0", "-ERR value is not an integer or out of range\r\n"},
		{"WAIT 0 x", "-ERR timeout is not an integer or out of range\r\n"},
		{"WAIT 0 -1", "-ERR timeout is negative\r\n"},
		{"RAFT HASH", "*4\r\n" + bulk("index") + ":3\r\n" + bulk("hash") + bulk("0000000000000abc")},
		{"DBSIZE", ":0\r\n"},
		{"RESET", "+RESET\r\n"},
		{"QUIT", "+OK\r\n"},
	} {
		got := c.do(row[0])
		if strings.HasPrefix(row[0], "RAFT HASH") {
			require.Contains(t, got, "0000000000000abc")
			continue
		}
		require.Equal(t, row[1], got, row[0])
	}
	c.closed()
}

// One pipeline mixes everything; the replies come in order.
func TestPipelineOrder(t *testing.T) {
	f, _, c := one(t)
	c.send("SET a 1", "GET a", "PING", "INCR a", "SELECT 1", "GET a", "SET a x", "INCR a", "SELECT 0", "FOO", "GET", "GET a", "DBSIZE", "GET b")
	for _, want := range []string{"+OK\r\n", bulk("1"), "+PONG\r\n", ":2\r\n", "+OK\r\n", "$-1\r\n", "+OK\r\n",
		"-ERR value is not an integer or out of range\r\n", "+OK\r\n", "-ERR unknown command 'FOO', with args beginning with: \r\n",
		"-ERR wrong number of arguments for 'get' command\r\n", bulk("2"), ":1\r\n", "$-1\r\n"} {
		require.Equal(t, want, c.reply())
	}
	require.NotZero(t, f.writes.Load())
}

// The bounds of a run hold, whatever a client pipelines, and nothing is lost or reordered by them.
func TestRunBounds(t *testing.T) {
	f, _, c := one(t)
	var lines []string
	var want []string
	for i := range 1500 {
		lines = append(lines, fmt.Sprintf("SET k%d %d", i, i), fmt.Sprintf("GET k%d", i))
		want = append(want, "+OK\r\n", bulk(fmt.Sprint(i)))
		if i%2 == 0 {
			lines = append(lines, fmt.Sprintf("GET k%d", i))
			want = append(want, bulk(fmt.Sprint(i)))
		}
	}
	go func() { _, _ = c.nc.Write(pack(lines...)) }()
	for _, w := range want {
		require.Equal(t, w, c.reply())
	}
	require.LessOrEqual(t, f.largest.Load(), int64(maxMixed))
}

// A pipeline of reads with large replies is flushed on the way.
func TestLargeReplies(t *testing.T) {
	f, _, c := one(t)
	big := strings.Repeat("x", 40<<10)
	require.Equal(t, "+OK\r\n", c.do("SET big "+big))
	lines := make([]string, 50)
	for i := range lines {
		lines[i] = "GET big"
	}
	go func() { _, _ = c.nc.Write(pack(lines...)) }()
	for range lines {
		require.Equal(t, bulk(big), c.reply())
	}
	require.Greater(t, f.reads.Load(), int64(10))
}

func TestOutcomes(t *testing.T) {
	f, _, c := one(t)
	leader := "10.0.0.9:7001"
	f.leader.Store(&leader)
	require.Equal(t, "+OK\r\n", c.do("SET foo 1"))
	for _, row := range []struct {
		outcome     node.Outcome
		write, read string
	}{
		{node.NotLeader, "-MOVED 12182 10.0.0.9:7001\r\n", "-MOVED 12182 10.0.0.9:7001\r\n"},
		{node.NoLeader, "-" + errNoLeader + "\r\n", "-" + errNoLeader + "\r\n"},
		{node.Uncertain, "-" + errUncertain + "\r\n", "-" + errReadAgain + "\r\n"},
		{node.Overwritten, "-" + errOverwritten + "\r\n", "-" + errOverwritten + "\r\n"},
		{node.Busy, "-" + errBusy + "\r\n", "-" + errBusy + "\r\n"},
		{node.DiskFull, "-" + errDiskFull + "\r\n", "-" + errDiskFull + "\r\n"},
		{node.Loading, "-" + errLoading + "\r\n", "-" + errLoading + "\r\n"},
		{node.Stopped, "-" + errStopped + "\r\n", "-" + errStopped + "\r\n"},
	} {
		f.outcome.Store(int32(row.outcome))
		c.send("INCR foo", "GET foo", "PING")
		require.Equal(t, row.write, c.reply())
		require.Equal(t, row.read, c.reply())
		require.Equal(t, "+PONG\r\n", c.reply(), "the connection stays open")
	}
	f.outcome.Store(int32(node.Done))
	require.Equal(t, bulk("1"), c.do("GET foo"))
}

// The reads of a pipeline are in no log: when the writes around them end badly they are served all the same where this
// node can, and redirected where it cannot. Nothing that clients retry is said of a write whose outcome is unknown.
func TestReadsSurviveTheirRun(t *testing.T) {
	f, _, c := one(t)
	f.group.late.Store(3600_000)
	require.Equal(t, "+OK\r\n", c.do("SET foo 1"))
	pipeline := func(want ...string) {
		t.Helper()
		c.send("INCR foo", "GET foo", "INCR foo", "GET foo", "DBSIZE")
		for i, w := range want {
			require.Equal(t, w, c.reply(), "reply %d", i)
		}
	}
	for _, row := range []struct {
		outcome node.Outcome
		write   string
	}{{node.Uncertain, errUncertain}, {node.Overwritten, errOverwritten}, {node.Busy, errBusy}, {node.DiskFull, errDiskFull}} {
		f.refused.Store(int32(row.outcome))
		f.outcome.Store(int32(node.Done))
		write := "-" + row.write + "\r\n"
		pipeline(write, bulk("1"), write, bulk("1"), ":1\r\n")

		// The leader is another node by now.
		lead := "10.0.0.9:7001"
		f.leader.Store(&lead)
		f.outcome.Store(int32(node.NotLeader))
		pipeline(write, "-MOVED 12182 10.0.0.9:7001\r\n", write, "-MOVED 12182 10.0.0.9:7001\r\n", ":1\r\n")

		// Nobody leads: one read waits for a leader, the others are told what it was told.
		f.outcome.Store(int32(node.NoLeader))
		before := f.reads.Load()
		none := "-" + errNoLeader + "\r\n"
		pipeline(write, none, write, none, none)
		require.Equal(t, before+1, f.reads.Load())
	}

	// A deadline is not told from a clock that lags behind.
	f.outcome.Store(int32(node.Done))
	f.refused.Store(int32(node.Uncertain))
	c.send("TTL foo", "GET foo")
	require.Equal(t, "-"+errReadAgain+"\r\n", c.reply())
	require.Equal(t, bulk("1"), c.reply())
}

// A follower redirects what names keys, serves what does not, and in READONLY mode serves reads.
func TestFollower(t *testing.T) {
	fakes, servers := cluster(t, 2)
	lead, c := dial(t, addrOf(servers[0])), dial(t, addrOf(servers[1]))
	require.Equal(t, "+OK\r\n", lead.do("SET foo 1"))
	movedTo := "-MOVED 12182 " + addrOf(servers[0]) + "\r\n"
	c.send("GET foo", "SET foo 2", "DBSIZE", "FLUSHALL", "GET foo")
	for _, want := range []string{movedTo, movedTo, ":1\r\n", "-MOVED 0 " + addrOf(servers[0]) + "\r\n", movedTo} {
		require.Equal(t, want, c.reply())
	}
	c.send("READONLY", "GET foo", "SET foo 2", "GET foo", "TTL foo", "READWRITE", "GET foo")
	for _, want := range []string{"+OK\r\n", bulk("1"), movedTo, bulk("1"), ":-1\r\n", "+OK\r\n", movedTo} {
		require.Equal(t, want, c.reply())
	}
	require.Equal(t, "-"+errWaitReplica+"\r\n", c.do("WAIT 0 0"))
	fakes[1].leader.Store(new(string))
	require.Equal(t, "-"+errNoLeader+"\r\n", c.do("GET foo"))
}

// A read of a deadline goes through the log when the log's clock is old.
func TestClockReads(t *testing.T) {
	f, _, c := one(t)
	f.group.late.Store(1800_000)
	require.Equal(t, "+OK\r\n", c.do("SET a 1 PX 100000000"))
	before := f.writes.Load()
	c.do("PTTL a")
	require.Equal(t, before+1, f.writes.Load())
	c.do("GET a")
	require.Equal(t, before+1, f.writes.Load())
}

func TestLoading(t *testing.T) {
	f, _, c := one(t)
	f.outcome.Store(int32(node.Loading))
	f.change(func(v *node.View) { v.Loading, v.Role, v.Leader, v.Last, v.Healthy = true, raft.Follower, 0, 0, false })
	for _, line := range []string{"PING", "GET a", "SET a 1", "DBSIZE"} {
		require.Equal(t, "-LOADING Redis is loading the dataset in memory\r\n", c.do(line), line)
	}
	for _, line := range []string{"INFO", "CLUSTER INFO", "CLUSTER SLOTS", "CLUSTER SHARDS", "CLUSTER NODES", "CLUSTER MYID", "COMMAND",
		"COMMAND DOCS", "HELLO", "CLIENT ID", "CONFIG GET *", "CLIENT LIST", "RAFT STATUS", "ROLE", "TIME", "READONLY"} {
		require.NotEqual(t, byte('-'), c.do(line)[0], line)
	}
	require.Contains(t, c.do("CLUSTER INFO"), "cluster_state:fail\r\n")
	require.Contains(t, c.do("INFO persistence"), "loading:1\r\n")
}

func TestAuth(t *testing.T) {
	_, _, c := one(t)
	require.Equal(t, "+OK\r\n", c.do("CONFIG SET requirepass secret"))
	require.Equal(t, "+PONG\r\n", c.do("PING"), "a connection from before stays in")
	s := dial(t, c.nc.RemoteAddr().String())
	s.send("PING", "GET a", "FOO", "GET", "AUTH wrong", "AUTH default wrong", "HELLO 3", "AUTH secret", "PING", "RESET", "PING", "HELLO 2 AUTH default secret SETNAME me", "CLIENT GETNAME")
	for _, want := range []string{"-NOAUTH Authentication required.\r\n", "-NOAUTH Authentication required.\r\n",
		"-ERR unknown command 'FOO', with args beginning with: \r\n", "-ERR wrong number of arguments for 'get' command\r\n",
		"-" + errWrongPass + "\r\n", "-" + errWrongPass + "\r\n", "-" + errHelloNoAuth + "\r\n", "+OK\r\n", "+PONG\r\n", "+RESET\r\n",
		"-NOAUTH Authentication required.\r\n"} {
		require.Equal(t, want, s.reply())
	}
	require.Contains(t, s.reply(), "proto\r\n:2\r\n")
	require.Equal(t, bulk("me"), s.reply())
}

// HELLO does what its words say one by one, as Redis: an error behind AUTH or SETNAME does not undo them.
func TestHelloInSteps(t *testing.T) {
	_, s, c := one(t)
	require.Equal(t, "-ERR Syntax error in HELLO option 'FOO'\r\n", c.do("HELLO 3 SETNAME abc FOO"))
	require.Equal(t, bulk("abc"), c.do("CLIENT GETNAME"), "in RESP2, with the name")
	require.Equal(t, "-"+errWrongPass+"\r\n", c.do("HELLO 3 SETNAME de AUTH a b FOO"))
	require.Equal(t, bulk("de"), c.do("CLIENT GETNAME"))
	require.Equal(t, "+OK\r\n", c.do("CONFIG SET requirepass secret"))
	d := dial(t, addrOf(s))
	require.Equal(t, "-"+errHelloNoAuth+"\r\n", d.do("HELLO 2 SETNAME x"))
	require.Equal(t, "-ERR Syntax error in HELLO option 'FOO'\r\n", d.do("HELLO 3 AUTH default secret FOO"))
	require.Equal(t, bulk("x"), d.do("CLIENT GETNAME"))
}

// A pause of writes holds no read, not even one that brings the log's clock up to date, nor one in front of a write.
func TestPauseHoldsNoReads(t *testing.T) {
	f, s, c := one(t)
	f.group.late.Store(3600_000)
	other := dial(t, addrOf(s))
	require.Equal(t, "+OK\r\n", other.do("SET a 1"))
	require.Equal(t, "+OK\r\n", c.do("CLIENT PAUSE 100000 WRITE"))
	other.send("TTL a", "GET a", "TTL a", "SET a 2", "GET a")
	require.Equal(t, ":-1\r\n", other.reply())
	require.Equal(t, bulk("1"), other.reply())
	require.Equal(t, ":-1\r\n", other.reply())
	require.Eventually(t, func() bool { return countBlocked(s.clients()) == 1 }, 10*time.Second, time.Millisecond)
	require.Contains(t, c.do("CLIENT LIST"), " cmd=set ", "it is the write that waits")
	require.Equal(t, "+OK\r\n", c.do("CLIENT UNPAUSE"))
	require.Equal(t, "+OK\r\n", other.reply())
	require.Equal(t, bulk("2"), other.reply())
}

// CLIENT LIST ID lists in the order of the ids, as often as they are named.
func TestClientListByID(t *testing.T) {
	_, s, c := one(t)
	d := dial(t, addrOf(s))
	a, b := strings.TrimSpace(c.do("CLIENT ID")[1:]), strings.TrimSpace(d.do("CLIENT ID")[1:])
	require.Regexp(t, `^\$\d+\r\nid=`+b+` .*\nid=`+a+` .*\nid=`+b+` .*\n\r\n$`, c.do("CLIENT LIST ID "+b+" "+a+" 999 "+b))
}

// A pause longer than any clock does not end at once.
func TestEndlessPause(t *testing.T) {
	_, s, c := one(t)
	require.Equal(t, "+OK\r\n", c.do("CLIENT PAUSE 9223372036854775807 WRITE"))
	other := dial(t, addrOf(s))
	other.send("SET a 1")
	require.Eventually(t, func() bool { return countBlocked(s.clients()) == 1 }, 10*time.Second, time.Millisecond)
	require.Equal(t, "+OK\r\n", c.do("CLIENT UNPAUSE"))
	require.Equal(t, "+OK\r\n", other.reply())
}

// What CLIENT LIST tells of a connection that waits, that has said nonsense, and of one at rest.
func TestClientLines(t *testing.T) {
	_, s, c := one(t)
	other := dial(t, addrOf(s))
	other.do("FOO")
	require.Contains(t, c.do("CLIENT LIST"), " cmd=NULL ")
	other.do("GET")
	require.Contains(t, c.do("CLIENT LIST"), " cmd=get ")
	other.do("CLIENT FOO")
	require.Contains(t, c.do("CLIENT LIST"), " cmd=NULL ")
	require.Equal(t, "+OK\r\n", c.do("CLIENT PAUSE 100000 WRITE"))
	other.send("READONLY", "SET a 1")
	require.Equal(t, "+OK\r\n", other.reply())
	require.Eventually(t, func() bool { return countBlocked(s.clients()) == 1 }, 10*time.Second, time.Millisecond)
	require.Contains(t, c.do("CLIENT LIST"), " flags=br ")
	require.Equal(t, "+OK\r\n", c.do("CLIENT UNPAUSE"))
	require.Equal(t, "+OK\r\n", other.reply())
	require.Contains(t, c.do("CLIENT LIST"), " flags=r ")
	require.Regexp(t, ` fd=[1-9]\d* .* multi=-1 qbuf=26 qbuf-free=0 argv-mem=10 .* oll=0 omem=0 tot-mem=36 events=r cmd=client\|info `, c.do("CLIENT INFO"))
}

// strangers is a listener whose clients seem to come from another machine.
type strangers struct{ net.Listener }

type stranger struct{ net.Conn }

func (l strangers) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return stranger{nc}, nil
}

func (stranger) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 4} }

func TestProtectedMode(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f := newFake(newGroup(), 0, members(ln.Addr().String()))
	set := config.New()
	start(t, f, strangers{ln}, set)
	c := dial(t, ln.Addr().String())
	require.Equal(t, "-"+errProtected+"\r\n", c.reply())
	c.closed()
	require.NoError(t, set.SetMany([][2]string{{"protected-mode", "no"}}))
	require.Equal(t, "+PONG\r\n", dial(t, ln.Addr().String()).do("PING"))
	require.NoError(t, set.SetMany([][2]string{{"protected-mode", "yes"}, {"requirepass", "x"}}))
	require.Equal(t, "+OK\r\n", dial(t, ln.Addr().String()).do("AUTH x"))
}

func TestClientReply(t *testing.T) {
	_, _, c := one(t)
	c.send("CLIENT REPLY SKIP", "PING", "PING a", "CLIENT REPLY SKIP", "GET x", "SET x 1", "CLIENT REPLY OFF", "PING", "GET x", "FOO", "SET x 2",
		"CLIENT REPLY ON", "GET x", "CLIENT REPLY SKIP", "FOO", "GET x", "CLIENT REPLY SKIP", "RESET", "PING b", "CLIENT REPLY OFF", "PING", "RESET", "PING c")
	for _, want := range []string{bulk("a"), "+OK\r\n", "+OK\r\n", bulk("2"), bulk("2"), bulk("b"), "+RESET\r\n", bulk("c")} {
		require.Equal(t, want, c.reply())
	}
}

func TestClientPause(t *testing.T) {
	_, s, c := one(t)
	other := dial(t, addrOf(s))
	require.Equal(t, "+OK\r\n", c.do("CLIENT PAUSE 100000 WRITE"))
	require.Equal(t, "$-1\r\n", other.do("GET a"), "reads go on")
	other.send("PING", "SET a 1")
	require.Equal(t, "+PONG\r\n", other.reply(), "replies before the pause are sent")
	require.Eventually(t, func() bool { return countBlocked(s.clients()) == 1 }, 10*time.Second, time.Millisecond)
	require.Contains(t, c.do("INFO clients"), "blocked_clients:1\r\n")
	require.Equal(t, "+OK\r\n", c.do("CLIENT UNPAUSE"))
	require.Equal(t, "+OK\r\n", other.reply())
	require.Equal(t, "+OK\r\n", c.do("CLIENT PAUSE 30 ALL"))
	require.Equal(t, bulk("1"), c.do("GET a"), "the pause ends by itself")
}

func TestClientKill(t *testing.T) {
	_, s, c := one(t)
	a, b := dial(t, addrOf(s)), dial(t, addrOf(s))
	id := strings.TrimSpace(a.do("CLIENT ID")[1:])
	require.Equal(t, ":1\r\n", c.do("CLIENT KILL ID "+id))
	a.closed()
	b.do("PING")
	require.Equal(t, "+OK\r\n", c.do("CLIENT KILL "+b.nc.LocalAddr().String()))
	b.closed()
	d := dial(t, addrOf(s))
	d.do("PING")
	require.Equal(t, ":1\r\n", c.do("CLIENT KILL TYPE normal"))
	d.closed()
	c.send("CLIENT KILL TYPE normal SKIPME no", "PING")
	require.Equal(t, ":1\r\n", c.reply())
	c.closed()
}

// A client that was killed is gone for every command behind, whenever its goroutine notices.
func TestKilledClientIsGone(t *testing.T) {
	_, s, c := one(t)
	for range 100 {
		a := dial(t, addrOf(s))
		id := strings.TrimSpace(a.do("CLIENT ID")[1:])
		c.send("CLIENT KILL ID "+id, "CLIENT LIST ID "+id, "CLIENT KILL ID "+id)
		require.Equal(t, ":1\r\n", c.reply())
		require.NotContains(t, c.reply(), "id="+id)
		require.Equal(t, ":0\r\n", c.reply())
	}
}

func TestQuitDropsTheRest(t *testing.T) {
	f, _, c := one(t)
	before := f.writes.Load()
	c.send("PING", "QUIT", "SET a 1", "PING")
	require.Equal(t, "+PONG\r\n", c.reply())
	require.Equal(t, "+OK\r\n", c.reply())
	c.closed()
	require.Equal(t, before, f.writes.Load())
}

func TestClientInfo(t *testing.T) {
	_, _, c := one(t)
	c.do("HELLO 3 SETNAME foo")
	c.do("SELECT 5")
	got := c.do("CLIENT INFO")
	require.True(t, strings.HasPrefix(got, "=") && strings.Contains(got, "txt:id="), got)
	for _, part := range []string{"addr=" + c.nc.LocalAddr().String(), "laddr=" + c.nc.RemoteAddr().String(), " name=foo ", " db=5 ", " flags=N ",
		" cmd=client|info ", " user=default ", " resp=3 ", " lib-name= "} {
		require.Contains(t, got, part)
	}
}

// A panic ends its own connection only.
func TestPanicIsContained(t *testing.T) {
	_, s, c := one(t)
	s.table.byName["ping"].run = func(*conn, [][]byte) { panic("boom") }
	c.send("ECHO x", "PING", "ECHO y")
	require.Equal(t, "-"+errInternal+"\r\n", c.reply())
	c.closed()
	require.Equal(t, bulk("z"), dial(t, addrOf(s)).do("ECHO z"))
}

func TestCloseEndsEverything(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	_, s, c := one(t)
	c.do("CLIENT PAUSE 100000 ALL")
	c.send("PING")
	require.Eventually(t, func() bool { return countBlocked(s.clients()) == 1 }, 10*time.Second, time.Millisecond)
	require.NoError(t, s.Close())
	c.closed()
	_, err := net.Dial("tcp", addrOf(s))
	require.Error(t, err)
}

func TestStats(t *testing.T) {
	_, _, c := one(t)
	c.do("CONFIG RESETSTAT")
	c.send("SET a x", "GET a", "INCR a", "INCR a", "GET", "FOO", "GET a")
	for range 7 {
		c.reply()
	}
	got := c.do("INFO commandstats errorstats")
	require.Contains(t, got, "cmdstat_get:calls=2,")
	require.Contains(t, got, "rejected_calls=1,failed_calls=0")
	require.Regexp(t, `cmdstat_incr:calls=2,usec=\d+,usec_per_call=[\d.]+,rejected_calls=0,failed_calls=2`, got)
	require.Contains(t, got, "errorstat_ERR:count=4\r\n")
	got = c.do("INFO stats")
	require.Contains(t, got, "total_error_replies:4\r\n")
	require.Contains(t, got, "keyspace_hits:")
}

func TestReplyLen(t *testing.T) {
	e := &Encoder{}
	e.SetProto(3)
	for _, write := range []func(){
		func() { e.Simple("OK") }, func() { e.Error("ERR x") }, func() { e.Int(-5) }, func() { e.Bulk([]byte("a\r\nb")) }, func() { e.Null() },
		func() { e.Map(1); e.BulkString("k"); e.Array(2); e.Int(1); e.Set(0) }, func() { e.Verbatim("txt", "hi") }, func() { e.Bool(true) },
		func() { e.Double(1.5) }, func() { e.NullArray() },
	} {
		e.Reset()
		write()
		want := e.Len()
		e.Simple("next")
		require.Equal(t, want, replyLen(e.Bytes()), "%q", e.Bytes())
	}
}

func TestKeylessFollowsTheTable(t *testing.T) {
	for _, s := range fsm.Specs() {
		x := &command{spec: s}
		if x.keyless() {
			require.NotZero(t, s.Flags&fsm.FlagAllKeys, s.Name)
		}
	}
}

// However commands are pipelined, the replies are those of one command at a time.
func TestPipeliningChangesNothing(t *testing.T) {
	_, servers := cluster(t, 1)
	_, others := cluster(t, 1)
	words := []string{"SET %k 1", "SET %k x", "GET %k", "INCR %k", "APPEND %k y", "LPUSH l %k", "LRANGE l 0 -1", "DEL %k", "DBSIZE", "PING", "ECHO %k",
		"SELECT 1", "SELECT 0", "FOO %k", "GET", "CLIENT GETNAME", "CLIENT SETNAME %k", "MGET a b c", "TYPE %k", "CLIENT REPLY ON", "HELLO 3", "HELLO 2", "RESET"}
	rapid.Check(t, func(t2 *rapid.T) {
		lines := rapid.SliceOfN(rapid.Custom(func(t3 *rapid.T) string {
			key := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t3, "key")
			return strings.ReplaceAll(rapid.SampledFrom(words).Draw(t3, "line"), "%k", key)
		}), 1, 60).Draw(t2, "lines")
		one, all := dial(t, addrOf(servers[0])), dial(t, addrOf(others[0]))
		one.do("FLUSHALL")
		all.do("FLUSHALL")
		all.send(lines...)
		for _, l := range lines {
			want, got := one.do(l), all.reply()
			if strings.HasPrefix(l, "HELLO") {
				continue // holds the connection's id
			}
			if want != got {
				t2.Fatalf("%s: alone %q, in the pipeline %q", l, want, got)
			}
		}
		require.NoError(t2, one.nc.Close())
		require.NoError(t2, all.nc.Close())
	})
}
