package resp

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/fsm"
	"kvapp/internal/config"
	"kvapp/node"
	"kvapp/raft"
)

// group is one keyspace that several fake nodes share, as if every entry reached all of them at once.
type group struct {
	mu    sync.Mutex // the applier
	store *fsm.Store
	index uint64
	late  atomic.Int64 // ms by which stamps are behind the clock
	// parked are the batches whose command waits.
	parked map[*fsm.Blocked]*node.Batch
}

// fake is a node that commits at once. Its outcome can be switched, its view replaced.
type fake struct {
	group   *group
	outcome atomic.Int32 // node.Outcome of writes, and of reads unless the batch may be served here
	refused atomic.Int32 // node.Outcome of writes alone, unless it is node.Done
	limit   atomic.Int64 // bytes of keys above which writes are refused as Redis does, 0 = none
	leader  atomic.Pointer[string]
	view    atomic.Pointer[node.View]
	stopped atomic.Bool // Status fails
	acks    atomic.Int64
	durable atomic.Bool  // the node has everything on its own disk
	patient atomic.Bool  // Wait takes its time
	silence atomic.Int64 // ns since peers answered

	mode    atomic.Pointer[readNeeds] // of the last Read
	onWrite atomic.Pointer[func()]    // called first in every Write

	writes, reads atomic.Int64 // calls
	largest       atomic.Int64 // commands in one Write

	mu       sync.Mutex
	requests []any // []raft.Change or raft.NodeID, in the order they came
	refusal  error // of every request
}

// readNeeds is what a batch of reads asked for.
type readNeeds struct {
	mode     node.ReadMode
	maxStale int64
}

func members(addrs ...string) []raft.Member {
	var all []raft.Member
	for i, a := range addrs {
		all = append(all, raft.Member{ID: raft.NodeID(i + 1), Name: fmt.Sprintf("n%d", i+1), ClientAddr: a, PeerAddr: "127.0.0.1:17000"})
	}
	return all
}

func newFake(g *group, self int, all []raft.Member) *fake {
	f := &fake{group: g}
	addr := all[0].ClientAddr
	f.leader.Store(&addr)
	role := raft.Follower
	if self == 0 {
		role = raft.Leader
	} else {
		f.outcome.Store(int32(node.NotLeader))
	}
	f.view.Store(&node.View{Self: all[self], Member: true, Role: role, Term: 3, Leader: all[0].ID, Last: all[0].ID, Members: all,
		Healthy: true})
	return f
}

func newGroup() *group {
	g := &group{store: fsm.NewStore(), parked: map[*fsm.Blocked]*node.Batch{}}
	g.late.Store(3600_000)
	g.begin()
	g.late.Store(0)
	g.store.End()
	return g
}

func (g *group) begin() {
	g.index++
	g.store.Begin(g.index, time.Now().UnixMilli()-g.late.Load(), g.index)
}

func (f *fake) Write(b *node.Batch) { f.write(b, func() {}) }

// write executes a batch and calls then with the group's lock held.
func (f *fake) write(b *node.Batch, then func()) {
	if g := f.onWrite.Load(); g != nil {
		(*g)()
	}
	f.group.mu.Lock()
	defer f.group.mu.Unlock()
	defer then()
	f.writes.Add(1)
	f.largest.Store(max(f.largest.Load(), int64(len(b.Cmds))))
	b.Outcome, b.Leader = node.Outcome(f.outcome.Load()), *f.leader.Load()
	if o := node.Outcome(f.refused.Load()); o != node.Done {
		b.Outcome = o
	}
	if b.Outcome != node.Done {
		return
	}
	g := f.group
	if limit := f.limit.Load(); limit > 0 && g.store.Counted() > limit && grows(b) {
		b.Outcome = node.OutOfMemory
		return
	}
	g.begin()
	for i := range b.Cmds {
		g.store.Exec(&b.Cmds[i], b.Out)
	}
	g.store.End()
	b.Index = g.index
	g.answer()
}

// answer answers the batches whose command waits no longer. mu is held.
func (g *group) answer() {
	for _, w := range g.store.TakeAnswered() {
		if b := g.parked[w]; b != nil {
			delete(g.parked, w)
			b.Index = g.index
			b.Outcome = node.Done
			if w.Lost {
				b.Outcome = node.Uncertain
			}
			b.Answer(b.Outcome)
		}
	}
}

func (f *fake) Block(b *node.Batch) {
	w := b.Cmds[0].Blocked
	f.write(b, func() {
		if b.Outcome == node.Done && w.Waits {
			f.group.parked[w] = b
			b.Park()
			return
		}
		b.Answer(b.Outcome)
	})
}

func (f *fake) Unblock(id fsm.WaiterID, why fsm.Unblocking) {
	b := node.NewBatch(fsm.Discard)
	b.Cmds = []fsm.Command{fsm.UnblockCommand(id, why)}
	f.Write(b)
}

// grows says that Redis would refuse a command of b when memory is short.
func grows(b *node.Batch) bool {
	denied := func(c fsm.Command) bool { return c.Spec.Flags&fsm.FlagDenyOOM != 0 }
	return slices.ContainsFunc(b.Cmds, func(c fsm.Command) bool {
		return denied(c) || c.Txn != nil && slices.ContainsFunc(c.Txn.Cmds, denied)
	})
}

// follow has the node heed the settings, as the program does.
func (f *fake) follow(set *config.Settings) {
	set.OnChange(func(string) {
		f.limit.Store(set.Int("maxmemory"))
		f.group.store.NoteUse(0, fsm.Use{LFU: fsm.ParsePolicy(set.Get("maxmemory-policy")).LFU(), LogFactor: set.Int("lfu-log-factor"),
			Decay: set.Int("lfu-decay-time")})
	})
}

func (f *fake) Read(b *node.Batch, from int) int {
	f.reads.Add(1)
	f.mode.Store(&readNeeds{b.Mode, b.MaxStale})
	b.Outcome, b.Leader = node.Outcome(f.outcome.Load()), *f.leader.Load()
	if b.Outcome == node.NotLeader && (b.ReadOnly || b.Mode == node.ReadStale) {
		b.Outcome = node.Done
	}
	if b.Outcome != node.Done {
		return from
	}
	limit := b.Out.Len() + b.Limit
	for from < len(b.Cmds) && b.Out.Len() < limit {
		f.group.store.Read(&b.Cmds[from], b.Out)
		from++
	}
	return from
}

func (f *fake) Store() *fsm.Store { return f.group.store }
func (f *fake) View() *node.View  { return f.view.Load() }

func (f *fake) Status() (node.Status, error) {
	if f.stopped.Load() {
		return node.Status{}, node.ErrStopped
	}
	v := f.view.Load()
	applied := f.group.store.Applied()
	st := node.Status{Name: v.Self.Name, Cluster: "test", Now: fakeNow, LeaderSeen: fakeNow - f.silence.Load()}
	st.Status = raft.Status{ID: v.Self.ID, Role: v.Role, Term: v.Term, Leader: v.Leader, Commit: applied, Applied: applied, LastIndex: applied}
	if v.Role == raft.Leader {
		for _, m := range v.Members {
			if m.ID != v.Self.ID {
				st.Peers = append(st.Peers, raft.PeerStatus{ID: m.ID, Match: 1, Next: 2, State: "replicate",
					LastContact: fakeNow - f.silence.Load()})
			}
		}
	}
	return st, nil
}

// fakeNow is the interval clock of fakes: an hour.
const fakeNow = 3600e9

// Wait answers at once unless there are fewer acknowledgements than wanted; then it takes its time.
func (f *fake) Wait(_ uint64, own bool, n int, timeoutMs int64) (bool, int) {
	until := time.Now().Add(time.Duration(timeoutMs) * time.Millisecond)
	for f.patient.Load() && int(f.acks.Load()) < n && time.Now().Before(until) {
		runtime.Gosched()
	}
	return f.durable.Load(), int(f.acks.Load())
}
func (f *fake) Purge()                             { f.group.store.Purge() }
func (f *fake) StateHash() (uint64, uint64, error) { return f.group.store.Applied(), 0xabc, nil }
func (f *fake) Snapshot() (uint64, error)          { return f.group.store.Applied(), nil }

func (f *fake) Change(changes []raft.Change, _ int64) error { return f.request(changes) }
func (f *fake) Transfer(to raft.NodeID, _ int64) error      { return f.request(to) }

// request notes what was asked for, and refuses it if the test says so.
func (f *fake) request(what any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, what)
	return f.refusal
}

func (f *fake) change(edit func(v *node.View)) { v := *f.view.Load(); edit(&v); f.view.Store(&v) }

// cluster starts n servers over one keyspace; the first leads.
func cluster(t testing.TB, n int) (fakes []*fake, servers []*Server) {
	t.Helper()
	var lns []net.Listener
	var addrs []string
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		lns = append(lns, ln)
		addrs = append(addrs, ln.Addr().String())
	}
	g := newGroup()
	for i := range n {
		f := newFake(g, i, members(addrs...))
		fakes = append(fakes, f)
		servers = append(servers, start(t, f, lns[i], config.New()))
	}
	return fakes, servers
}

// start serves until the test ends.
func start(t testing.TB, f node.Client, ln net.Listener, set *config.Settings) *Server {
	t.Helper()
	if f, ok := f.(*fake); ok {
		f.follow(set)
	}
	s, err := NewServer(Options{Listener: ln, Node: f, Settings: set, Version: "0.0.1", Cluster: "test"})
	require.NoError(t, err)
	serveUntilEnd(t, s)
	return s
}

func serveUntilEnd(t testing.TB, s *Server) {
	t.Helper()
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.NoError(t, <-served)
	})
}

// client is a raw connection.
type client struct {
	t  testing.TB
	nc net.Conn
	rd *bufio.Reader
}

func dial(t testing.TB, addr string) *client {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = nc.Close() })
	require.NoError(t, nc.SetDeadline(time.Now().Add(20*time.Second)))
	return &client{t: t, nc: nc, rd: bufio.NewReader(nc)}
}

// addrOf is where a server listens.
func addrOf(s *Server) string { return s.guard.Addr().String() }

// send writes each line as a command of words.
func (c *client) send(lines ...string) {
	c.t.Helper()
	_, err := c.nc.Write(pack(lines...))
	require.NoError(c.t, err)
}

func pack(lines ...string) []byte {
	var b []byte
	for _, l := range lines {
		words := strings.Fields(l)
		b = fmt.Appendf(b, "*%d\r\n", len(words))
		for _, w := range words {
			b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(w), w)
		}
	}
	return b
}

// reply reads one whole reply as it came.
func (c *client) reply() string {
	c.t.Helper()
	r, err := c.read()
	require.NoError(c.t, err)
	return r
}

// pending says that a reply, or a part of it, has come.
func (c *client) pending() bool {
	require.NoError(c.t, c.nc.SetReadDeadline(time.Now().Add(time.Millisecond)))
	_, err := c.rd.Peek(1)
	require.NoError(c.t, c.nc.SetReadDeadline(time.Now().Add(20*time.Second)))
	return err == nil
}

func (c *client) read() (string, error) {
	line, err := c.rd.ReadString('\n')
	if err != nil {
		return "", err
	}
	n := 0
	_, _ = fmt.Sscanf(line[1:], "%d", &n)
	out, parts := line, 0
	switch line[0] {
	case '$', '=':
		if n >= 0 {
			body := make([]byte, n+2)
			if _, err := io.ReadFull(c.rd, body); err != nil {
				return "", err
			}
			return out + string(body), nil
		}
	case '*', '~', '>':
		parts = n
	case '%':
		parts = 2 * n
	}
	for range max(0, parts) {
		p, err := c.read()
		if err != nil {
			return "", err
		}
		out += p
	}
	return out, nil
}

// do sends one command and returns its reply.
func (c *client) do(line string) string {
	c.t.Helper()
	c.send(line)
	return c.reply()
}

// closed says that the server closed the connection with nothing left to read.
func (c *client) closed() {
	c.t.Helper()
	_, err := c.rd.ReadByte()
	require.Error(c.t, err)
	var ne net.Error
	if ok := asNet(err, &ne); ok {
		require.False(c.t, ne.Timeout(), "still open")
	}
}

func asNet(err error, ne *net.Error) bool {
	e, ok := err.(net.Error)
	*ne = e
	return ok
}

func bulk(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }
