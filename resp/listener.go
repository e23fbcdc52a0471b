package resp

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidwall/redcon"
)

// Limits bound what one client may cost. They are read anew at every use.
type Limits struct {
	MaxBulk        int64         // bytes of one argument
	Password       bool          // there is one: clients that have not given it get far less of everything
	MaxInline      int           // bytes of an inline request
	MaxQuery       int64         // bytes of a command that is not whole yet; 0 = no limit
	OutHard        int64         // bytes of replies not sent at which the client is dropped; 0 = no limit
	OutSoft        int64         // the same, when it lasts for OutSoftSeconds; 0 = no limit
	OutSoftSeconds int           // seconds
	WriteTimeout   time.Duration // without progress of a write; 0 = no limit
	IdleTimeout    time.Duration // since the last byte came, while no command runs; 0 = no limit
	KeepAlive      time.Duration // of TCP; 0 = off
	MaxClients     int           // 0 = no limit
}

const (
	sweepEvery   = 100 * time.Millisecond // how exact idle and soft limits are
	acceptMin    = 5 * time.Millisecond   // first wait after a failed accept
	acceptMax    = time.Second
	refuseWithin = time.Second // for the error that a client over the limit gets
)

// Listener accepts clients for redcon. Every connection it returns is a *Conn. Its methods may be called from any
// goroutine. It runs one goroutine, from the first Accept to Close.
type Listener struct {
	net.Listener
	lim    func() *Limits
	log    *slog.Logger
	start  sync.Once
	stop   sync.Once
	closed chan struct{}

	rejected atomic.Uint64
	failed   func(msg []byte) // is told of every protocol error that is answered; nil = nobody

	mu    sync.Mutex
	next  uint64
	conns map[uint64]*Conn // until their socket is closed
}

// NewListener guards ln, which it then owns. lim must be cheap and never return nil.
func NewListener(ln net.Listener, lim func() *Limits, log *slog.Logger) *Listener {
	return &Listener{Listener: ln, lim: lim, log: log, closed: make(chan struct{}), conns: make(map[uint64]*Conn)}
}

// FromRedcon returns the guarded connection under rc, nil if it has none.
func FromRedcon(rc redcon.Conn) *Conn {
	c, _ := rc.NetConn().(*Conn)
	return c
}

// Accept waits for a client. Over MaxClients it answers an error itself and goes on; after a failure that may pass,
// such as too many open files, it waits and tries again. It returns an error only when the listener is done for.
func (l *Listener) Accept() (net.Conn, error) {
	l.start.Do(func() { go l.sweep() })
	var wait time.Duration
	for {
		nc, err := l.Listener.Accept()
		if err == nil {
			wait = 0
			if c := l.admit(nc); c != nil {
				return c, nil
			}
			continue
		}
		select {
		case <-l.closed:
			return nil, net.ErrClosed
		default:
		}
		if errors.Is(err, net.ErrClosed) {
			return nil, err
		}
		wait = min(max(2*wait, acceptMin), acceptMax)
		l.log.Warn("accept_failed", "error", err, "retry", wait)
		t := time.NewTimer(wait)
		select {
		case <-l.closed:
			t.Stop()
			return nil, net.ErrClosed
		case <-t.C:
		}
	}
}

// admit registers a connection, or refuses it and returns nil.
func (l *Listener) admit(nc net.Conn) *Conn {
	lim := l.lim()
	l.mu.Lock()
	if lim.MaxClients > 0 && len(l.conns) >= lim.MaxClients {
		l.mu.Unlock()
		l.rejected.Add(1)
		l.refuse(nc)
		return nil
	}
	l.next++
	c := newGuarded(l, nc, l.next)
	l.conns[c.id] = c
	l.mu.Unlock()
	if tcp, ok := nc.(*net.TCPConn); ok {
		// A socket that refuses these options is broken; its first read says so.
		_ = tcp.SetNoDelay(true)
		_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{
			Enable: lim.KeepAlive > 0, Idle: lim.KeepAlive, Interval: max(time.Second, lim.KeepAlive/3), Count: 3,
		})
	}
	return c
}

// refuse answers a client that is one too many. A new socket's buffer takes the line at once, so this does not block;
// the deadline is for sockets that are different.
func (l *Listener) refuse(nc net.Conn) {
	_ = nc.SetWriteDeadline(time.Now().Add(refuseWithin))
	_, _ = nc.Write([]byte("-ERR max number of clients reached\r\n"))
	_ = nc.Close()
}

// Close stops accepting; connections live on.
func (l *Listener) Close() error {
	l.stop.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// Range calls f for every open connection until it returns false, in no order. f may call anything.
func (l *Listener) Range(f func(*Conn) bool) {
	l.mu.Lock()
	all := make([]*Conn, 0, len(l.conns))
	for _, c := range l.conns {
		all = append(all, c)
	}
	l.mu.Unlock()
	for _, c := range all {
		if !f(c) {
			return
		}
	}
}

// Count returns the number of open connections.
func (l *Listener) Count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

// Find returns an open connection, or nil.
func (l *Listener) Find(id uint64) *Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conns[id]
}

// Rejected counts the clients that were refused over MaxClients.
func (l *Listener) Rejected() uint64 { return l.rejected.Load() }

func (l *Listener) forget(id uint64) {
	l.mu.Lock()
	delete(l.conns, id)
	l.mu.Unlock()
}

// sweep ends connections whose time is over.
func (l *Listener) sweep() {
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	for {
		select {
		case <-l.closed:
			return
		case now := <-t.C:
			if lim := l.lim(); lim.IdleTimeout > 0 || lim.OutSoft > 0 {
				l.Range(func(c *Conn) bool {
					if c.overdue(now, lim) {
						c.Kill()
					}
					return true
				})
			}
		}
	}
}
