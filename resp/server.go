package resp

import (
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidwall/redcon"

	"kvapp/internal/config"
	"kvapp/node"
	"kvapp/raft"
)

// Options is what a Server needs.
type Options struct {
	Listener net.Listener // clients; the server closes it
	Node     node.Client
	Settings *config.Settings
	Logger   *slog.Logger // nil = none
	Version  string       // the program's own version, such as 0.1.0
	RunID    string       // 40 hex digits; empty = made up
	// Cluster is the id of the cluster: with a node's name it gives the node's id in CLUSTER NODES. Empty = the node is
	// asked for it once, when it is first needed.
	Cluster string
	// Peers tells what went to and came from the other nodes; nil = it is not known.
	Peers func() []PeerTraffic
	// Incarnation asks the node called name, at its address for other nodes, for the incarnation of its disk; nil = it
	// cannot be asked. Any goroutine.
	Incarnation func(name, peerAddr string) (uint64, error)
	// Meet makes this server's node, alone and empty, join the cluster of the node at addr; Reset makes it an empty cluster
	// of its own, when it belongs to no other. They use Attach, and return when it is done: nil also when nothing was to be
	// done. Any goroutine; nil = it is not possible.
	Meet  func(addr string) error
	Reset func() error
}

// PeerTraffic is what one other node sent and was sent since this node started.
type PeerTraffic struct {
	ID                       raft.NodeID
	Connected                bool   // this node's connection to it is up
	Sent, Received           uint64 // messages
	BytesSent, BytesReceived uint64
	Snapshots                uint64 // sent whole
}

// backend is the node behind the server.
type backend struct {
	node.Client
	cluster atomic.Pointer[string] // id of its cluster, nil until known
}

// Server serves clients. Its methods may be called from any goroutine.
type Server struct {
	at          atomic.Pointer[backend]
	settings    *config.Settings
	log         *slog.Logger
	version     string
	runID       string
	peers       func() []PeerTraffic
	incarnation func(name, peerAddr string) (uint64, error)
	meet        func(addr string) error
	reset       func() error
	port        string
	now         func() time.Time
	started     time.Time

	table   *table
	guard   *Listener
	rc      *redcon.Server
	stats   serverStats
	pause   pause
	tracker *tracker

	limits atomic.Pointer[Limits]
	pass   atomic.Pointer[string]

	mu      sync.Mutex
	conns   map[uint64]*conn
	closing bool           // serving grows no more
	serving sync.WaitGroup // goroutines that have not ended: connections, the sampler
	closed  chan struct{}
}

// NewServer prepares a server; nothing is accepted before Serve.
func NewServer(opt Options) (*Server, error) {
	if opt.Listener == nil || opt.Node == nil || opt.Settings == nil {
		return nil, errors.New("resp: Listener, Node and Settings are required")
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	if opt.RunID == "" {
		var b [20]byte
		_, _ = rand.Read(b[:]) // never fails
		opt.RunID = hex.EncodeToString(b[:])
	}
	s := &Server{
		settings: opt.Settings, log: opt.Logger, version: opt.Version, runID: opt.RunID, peers: opt.Peers,
		now: time.Now, started: time.Now(), table: newTable(), conns: make(map[uint64]*conn), closed: make(chan struct{}),
	}
	if s.peers == nil {
		s.peers = func() []PeerTraffic { return nil }
	}
	if s.incarnation = opt.Incarnation; s.incarnation == nil {
		s.incarnation = func(string, string) (uint64, error) { return 0, errors.New("give it with INCARNATION") }
	}
	if s.meet, s.reset = opt.Meet, opt.Reset; s.meet == nil || s.reset == nil {
		s.meet, s.reset = func(string) error { return errRooted }, func() error { return errRooted }
	}
	s.pause.changed = make(chan struct{})
	s.at.Store(newBackend(opt.Node, opt.Cluster))
	if _, port, err := net.SplitHostPort(opt.Listener.Addr().String()); err == nil {
		s.port = port
	}
	s.tracker = newTracker(s)
	s.configure("")
	s.settings.OnChange(s.configure)
	s.guard = NewListener(opt.Listener, s.limits.Load, s.log)
	s.guard.failed = s.stats.failure
	s.rc = redcon.NewServerNetwork("tcp", opt.Listener.Addr().String(), handle, s.accept, s.left)
	return s, nil
}

// LastMoved returns when a client was last sent to another node with MOVED; the zero time if none was. Any goroutine.
func (s *Server) LastMoved() time.Time {
	if ms := s.stats.movedAt.Load(); ms != 0 {
		return time.UnixMilli(ms)
	}
	return time.Time{}
}

func newBackend(n node.Client, cluster string) *backend {
	b := &backend{Client: n}
	if cluster != "" {
		b.cluster.Store(&cluster)
	}
	return b
}

// node is the node behind the server. A command asks for it once: between two calls it may be another.
func (s *Server) node() *backend { return s.at.Load() }

// Attach puts another node, of another cluster, behind the server: what comes from now on goes to n. The one before must
// have stopped, so that what it was given last has been answered.
func (s *Server) Attach(n node.Client, cluster string) {
	s.tracker.move(func() { s.at.Store(newBackend(n, cluster)) })
}

var errRooted = errors.New("this server's node stays where it is")

// Serve accepts clients until Close; it returns nil then. It is called once.
func (s *Server) Serve() error {
	s.mu.Lock()
	if !s.closing {
		s.serving.Add(2)
		go s.sample()
		go s.tracker.run()
	}
	s.mu.Unlock()
	return s.rc.Serve(s.guard)
}

// Close stops accepting, ends every connection, and returns when their goroutines have ended; a command that waits for
// the node ends when the node answers it.
func (s *Server) Close() error {
	s.mu.Lock()
	again := s.closing
	if !again {
		s.closing = true
		close(s.closed)
	}
	s.mu.Unlock()
	var err error
	if !again {
		err = s.guard.Close()
		s.guard.Range(func(nc *Conn) bool {
			nc.Kill()
			return true
		})
	}
	s.serving.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// handle is redcon's handler.
func handle(rc redcon.Conn, cmd redcon.Command) {
	if c, ok := rc.Context().(*conn); ok {
		c.handle(rc, cmd)
	}
}

// accept registers a connection; false closes it. Accept goroutine.
func (s *Server) accept(rc redcon.Conn) bool {
	nc := FromRedcon(rc)
	if nc == nil {
		return false
	}
	c := s.newConn(nc)
	rc.SetContext(c)
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		rc.SetContext(nil)
		return false
	}
	s.conns[c.state.id] = c
	s.serving.Add(1)
	s.mu.Unlock()
	s.stats.connections.Add(1)
	if s.stranger(nc) {
		c.ended = true
		s.stats.failure([]byte(errProtected))
		_ = nc.Push([]byte("-" + errProtected + "\r\n")) // a client that does not take it is closed all the same
		nc.CloseAfterReply()
	}
	return true
}

// left is told that a connection's goroutine has ended.
func (s *Server) left(rc redcon.Conn, _ error) {
	c, ok := rc.Context().(*conn)
	if !ok {
		return
	}
	c.trackOff()
	c.endTransaction()
	s.mu.Lock()
	delete(s.conns, c.state.id)
	s.stats.netIn += c.net.BytesIn()
	s.stats.netOut += c.net.BytesOut()
	s.mu.Unlock()
	s.serving.Done()
}

// stranger says that protected mode refuses the client: no password, and not from this machine.
func (s *Server) stranger(nc *Conn) bool {
	if s.password() != "" || !s.settings.Bool("protected-mode") {
		return false
	}
	tcp, ok := nc.RemoteAddr().(*net.TCPAddr)
	return ok && !tcp.IP.IsLoopback()
}

// clients returns every connection, oldest first, without those that were killed and have not noticed yet.
func (s *Server) clients() []*conn {
	s.mu.Lock()
	all := make([]*conn, 0, len(s.conns))
	for _, c := range s.conns {
		if !c.net.Killed() {
			all = append(all, c)
		}
	}
	s.mu.Unlock()
	sort.Slice(all, func(i, j int) bool { return all[i].state.id < all[j].state.id })
	return all
}

// configure takes the settings into the forms that hot paths use.
func (s *Server) configure(string) {
	set := s.settings
	pass := set.Get("requirepass")
	s.pass.Store(&pass)
	out := set.Buffers("normal")
	s.limits.Store(&Limits{
		MaxBulk: set.Int("proto-max-bulk-len"), Password: pass != "", MaxInline: 64 << 10, MaxQuery: set.Int("client-query-buffer-limit"),
		OutHard: out.Hard, OutSoft: out.Soft, OutSoftSeconds: int(out.SoftSeconds),
		WriteTimeout: writeTimeout, IdleTimeout: time.Duration(set.Int("timeout")) * time.Second,
		KeepAlive: time.Duration(set.Int("tcp-keepalive")) * time.Second, MaxClients: int(set.Int("maxclients")),
	})
}

// writeTimeout is how long a client may leave its replies unread.
const writeTimeout = 60 * time.Second

func (s *Server) password() string { return *s.pass.Load() }

// passwordIs compares in constant time.
func (s *Server) passwordIs(p []byte) bool {
	want, got := sha256.Sum256([]byte(s.password())), sha256.Sum256(p)
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// clusterID is the id of the cluster, "" when the node stopped before it told.
func (s *Server) clusterID() string {
	b := s.node()
	if id := b.cluster.Load(); id != nil {
		return *id
	}
	st, err := b.Status()
	if err != nil {
		return ""
	}
	b.cluster.Store(&st.Cluster)
	return st.Cluster
}

// groupID is what replication tools see as the id of the history: the same on every node of the cluster.
func (s *Server) groupID() string {
	sum := sha1.Sum([]byte(s.clusterID()))
	return hex.EncodeToString(sum[:])
}

// nodeID is the name of a node in CLUSTER commands: 40 hex digits, the same on every node and for ever.
func (s *Server) nodeID(m *raft.Member) string {
	sum := sha1.Sum([]byte(s.clusterID() + "/" + m.Name))
	return hex.EncodeToString(sum[:])
}
