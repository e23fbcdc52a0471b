package resp

import (
	"strings"
	"sync"
	"sync/atomic"

	"kvapp/fsm"
)

// Client-side caching: a client reads a key, keeps the value, and is told when the key changes.
//
// Three parties meet here. A connection's goroutine notes the keys its client reads, before it reads them. The applier
// (KeyChanged, under the lock of the key) takes the clients of a changed key out of the table and into the queue. The
// notifier, one goroutine of the server, writes the messages, so that a write never waits for its readers' sockets.
//
// No change is missed: a key is in the table before it is read, so a change after the read finds it there. A change
// before the read that takes it out again causes a message, and the message follows the reply: while a connection
// executes commands, what it is to be told is held back (cacheState.hold). The client then drops what it has just got,
// which is needless but never wrong.

// queueLimit is how many changes may wait for the notifier; beyond it every client is told to drop everything.
const queueLimit = 1 << 16

// heldLimit is how many bytes of messages are held back for one connection; beyond it they become "drop everything".
const heldLimit = 1 << 20

// tracker is the server's table of who caches what.
type tracker struct {
	srv     *Server
	watched watchTable
	wake    chan struct{} // capacity 1: the queue is not empty
	busy    atomic.Int64  // len(keys) + len(prefixes): the applier looks no further while it is 0

	mu       sync.Mutex
	clients  int               // with tracking on
	keys     map[string]*idSet // by key: who may have it, broadcasting clients apart
	items    int               // sum of the sizes of keys
	prefixes map[string]map[*conn]bool
	queue    []change
}

// change is one thing the notifier has to tell.
type change struct {
	key   string
	all   bool     // everything changed; key is empty
	ids   []uint64 // clients that may have the key
	casts bool     // some broadcasting client may want to know
	by    fsm.Out  // the replies of the connection that made the change, nil = none of this node
}

// idSet is a set of client ids, mostly of one.
type idSet struct {
	first uint64
	more  map[uint64]struct{}
}

func (s *idSet) add(id uint64) bool {
	if id == s.first {
		return false
	}
	if _, ok := s.more[id]; ok {
		return false
	}
	if s.more == nil {
		s.more = make(map[uint64]struct{})
	}
	s.more[id] = struct{}{}
	return true
}

func (s *idSet) len() int { return 1 + len(s.more) }

func (s *idSet) list() []uint64 {
	all := append(make([]uint64, 0, s.len()), s.first)
	for id := range s.more {
		all = append(all, id)
	}
	return all
}

// cacheState is one connection's part. The connection's goroutine alone changes the upper fields, under mu; others read
// them under mu.
type cacheState struct {
	on, bcast, optin, optout, noloop bool
	caching                          bool // CLIENT CACHING came right before; the connection's goroutine only
	redirect                         uint64
	prefixes                         []string

	mu      sync.Mutex
	broken  bool // the client to redirect to is gone
	hold    bool // commands are being executed
	held    []byte
	heldAll bool // instead of held: everything is to be dropped
}

func newTracker(s *Server) *tracker {
	return &tracker{srv: s, wake: make(chan struct{}, 1), keys: make(map[string]*idSet), prefixes: make(map[string]map[*conn]bool)}
}

// run is the notifier; it ends with the server.
func (t *tracker) run() {
	defer t.srv.serving.Done()
	for {
		select {
		case <-t.srv.closed:
			return
		case <-t.wake:
		}
		t.mu.Lock()
		queue := t.queue
		t.queue = nil
		t.mu.Unlock()
		t.deliver(queue)
	}
}

// enable counts a client that tracks keys; the first one makes the state machine report changes.
func (t *tracker) enable(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !c.cache.on {
		t.clients++
		t.observe()
	}
	for _, p := range c.cache.prefixes {
		if t.prefixes[p] == nil {
			t.prefixes[p] = make(map[*conn]bool)
		}
		t.prefixes[p][c] = true
	}
	t.count()
}

// disable forgets a client. What the table holds of it goes when the keys change, or with the last client.
func (t *tracker) disable(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range c.cache.prefixes {
		if delete(t.prefixes[p], c); len(t.prefixes[p]) == 0 {
			delete(t.prefixes, p)
		}
	}
	if t.clients--; t.clients == 0 {
		t.observe()
		t.forget()
	}
	t.count()
}

// move lets exchange put another state machine behind the server. It holds other values for every key.
func (t *tracker) move(exchange func()) {
	t.mu.Lock()
	t.srv.node().Store().SetObserver(nil)
	exchange()
	t.observe()
	t.mu.Unlock()
	t.AllChanged(nil, nil)
}

// observe makes the state machine report changes while anybody wants to know of them. mu is held.
func (t *tracker) observe() {
	if t.clients > 0 || t.watched.clients > 0 {
		t.srv.node().Store().SetObserver(t)
	} else {
		t.srv.node().Store().SetObserver(nil)
	}
}

// forget empties the table. mu is held.
func (t *tracker) forget() {
	clear(t.keys)
	t.items = 0
}

// count keeps busy. mu is held.
func (t *tracker) count() { t.busy.Store(int64(len(t.keys) + len(t.prefixes))) }

// remember notes that client id is about to read key. Over the limit of the table some other key is given up: its
// clients are told as if it had changed.
func (t *tracker) remember(id uint64, key []byte) {
	limit := t.srv.settings.Int("tracking-table-max-keys")
	t.mu.Lock()
	defer t.mu.Unlock()
	if set := t.keys[string(key)]; set != nil {
		if set.add(id) {
			t.items++
		}
		return
	}
	name := string(key)
	t.keys[name] = &idSet{first: id}
	t.items++
	if limit > 0 && int64(len(t.keys)) > limit {
		for other := range t.keys {
			if other != name {
				t.enqueue(change{key: other, ids: t.take(other)})
				break
			}
		}
	}
	t.count()
}

// take removes a key from the table and returns its clients. mu is held.
func (t *tracker) take(key string) []uint64 {
	set := t.keys[key]
	if set == nil {
		return nil
	}
	t.items -= set.len()
	delete(t.keys, key)
	return set.list()
}

// KeyChanged implements fsm.Observer.
func (t *tracker) KeyChanged(db int, name []byte, expired bool, by fsm.Out) {
	if !expired {
		t.watched.changed(db, name)
	}
	if t.busy.Load() == 0 {
		return
	}
	key := string(name)
	t.mu.Lock()
	defer t.mu.Unlock()
	ids := t.take(key)
	casts := false
	for p := range t.prefixes {
		casts = casts || strings.HasPrefix(key, p)
	}
	if ids == nil && !casts {
		return
	}
	if n := len(t.queue); n > 0 && ids == nil && t.queue[n-1].casts && t.queue[n-1].key == key && t.queue[n-1].by == by {
		return // one command reports a key several times
	}
	t.enqueue(change{key: key, ids: ids, casts: casts, by: by})
	t.count()
}

// AllChanged implements fsm.Observer.
func (t *tracker) AllChanged(touched func(db int, key []byte) bool, by fsm.Out) {
	t.watched.allChanged(touched)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.clients == 0 {
		return
	}
	t.forget()
	t.count()
	if n := len(t.queue); n == 0 || !t.queue[n-1].all {
		t.enqueue(change{all: true, by: by})
	}
}

// enqueue hands one change to the notifier. mu is held.
func (t *tracker) enqueue(ch change) {
	if len(t.queue) >= queueLimit {
		t.forget()
		t.queue = append(t.queue[:0], change{all: true})
	} else {
		t.queue = append(t.queue, ch)
	}
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// deliver tells the clients. Broadcasts of one turn go out together, one message per prefix.
func (t *tracker) deliver(queue []change) {
	var cast []change
	for i := range queue {
		ch := &queue[i]
		switch {
		case ch.all:
			t.broadcast(cast)
			cast = cast[:0]
			for _, c := range t.srv.clients() {
				if c.tracks(false) || c.tracks(true) {
					c.invalidate(nil)
				}
			}
		case ch.casts:
			cast = append(cast, *ch)
		}
		for _, id := range ch.ids {
			if c := t.srv.client(id); c != nil && c.tracks(false) && !c.own(ch.by) {
				c.invalidate([]string{ch.key})
			}
		}
	}
	t.broadcast(cast)
}

func (t *tracker) broadcast(cast []change) {
	if len(cast) == 0 {
		return
	}
	type target struct {
		c      *conn
		prefix string
	}
	var targets []target
	t.mu.Lock()
	for p, clients := range t.prefixes {
		for c := range clients {
			targets = append(targets, target{c, p})
		}
	}
	t.mu.Unlock()
	for _, to := range targets {
		var keys []string
		for i := range cast {
			if strings.HasPrefix(cast[i].key, to.prefix) && !to.c.own(cast[i].by) {
				keys = append(keys, cast[i].key)
			}
		}
		if len(keys) > 0 && to.c.tracks(true) {
			to.c.invalidate(keys)
		}
	}
}

// tracks says that the connection tracks keys, in the broadcasting mode or in the other.
func (c *conn) tracks(bcast bool) bool {
	c.cache.mu.Lock()
	defer c.cache.mu.Unlock()
	return c.cache.on && c.cache.bcast == bcast
}

// client finds a connection by its id, nil if it is gone.
func (s *Server) client(id uint64) *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns[id]
}

// own says that the change whose replies go to by is the connection's own and that it does not want to hear of those.
func (c *conn) own(by fsm.Out) bool {
	c.cache.mu.Lock()
	defer c.cache.mu.Unlock()
	return c.cache.noloop && by != nil && by == fsm.Out(c.out)
}

// invalidate sends the message for keys, nil = all, to the client or to where it redirects. Only RESP3 has messages
// outside of replies.
func (c *conn) invalidate(keys []string) {
	to := c
	c.cache.mu.Lock()
	redirect := c.cache.redirect
	c.cache.mu.Unlock()
	if redirect != 0 {
		if to = c.srv.client(redirect); to == nil {
			c.brokenRedirect(redirect)
			return
		}
	}
	if to.state.proto.Load() == 3 {
		to.push(encodeInvalidate(keys), keys == nil)
	}
}

func (c *conn) brokenRedirect(id uint64) {
	c.cache.mu.Lock()
	c.cache.broken = true
	c.cache.mu.Unlock()
	if c.state.proto.Load() == 3 {
		e := push3()
		e.Push(2)
		e.BulkString("tracking-redir-broken")
		e.Int(int64(id))
		c.push(e.Bytes(), false)
	}
}

func push3() *Encoder {
	e := &Encoder{}
	e.SetProto(3)
	return e
}

func encodeInvalidate(keys []string) []byte {
	e := push3()
	e.Push(2)
	e.BulkString("invalidate")
	if keys == nil {
		e.Null()
	} else {
		e.Array(len(keys))
		for _, k := range keys {
			e.BulkString(k)
		}
	}
	return e.Bytes()
}

// push sends a message, behind the replies of the commands in execution; all says that it makes earlier ones needless.
// Any goroutine. A client that does not take its messages is dropped by the output limits.
func (c *conn) push(b []byte, all bool) {
	s := &c.cache
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.hold:
		_ = c.net.Push(b) // an error means that the connection is closed
	case s.heldAll:
	case all || len(s.held)+len(b) > heldLimit:
		s.held, s.heldAll = nil, true
	default:
		s.held = append(s.held, b...)
	}
}

// holdPushes keeps messages back until releasePushes. Connection's goroutine.
func (c *conn) holdPushes() {
	c.cache.mu.Lock()
	c.cache.hold = true
	c.cache.mu.Unlock()
}

// releasePushes sends what was held back. The replies are written.
func (c *conn) releasePushes() {
	s := &c.cache
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.heldAll {
		s.held = encodeInvalidate(nil)
	}
	if len(s.held) > 0 {
		_ = c.net.Push(s.held) // an error means that the connection is closed
	}
	s.hold, s.held, s.heldAll = false, nil, false
}

// track notes the keys of a command of a tracking client before it is executed.
func (c *conn) track(x *command, v verdict, args [][]byte) {
	s := &c.cache
	caching := s.caching
	// As in Redis CLIENT commands do not count, and a transaction counts as one.
	s.caching = caching && x != nil && (strings.HasPrefix(x.name, "client|") || x.name == "multi")
	if v != accepted || !x.data() || !x.is(fsm.FlagReadonly) || s.bcast || s.optin && !caching || s.optout && caching {
		return
	}
	c.keys = x.spec.KeyPositions(args, c.keys[:0])
	for _, i := range c.keys {
		c.srv.tracker.remember(c.state.id, args[i])
	}
}
