package resp

import (
	"sync"
	"sync/atomic"

	"kvapp/fsm"
)

// Whether a watched key has changed is decided by versions when the transaction is applied: that holds wherever the leader
// is, and for changes that are under way. A key that is absent has no version, though, and as in Redis one that came and went
// again has changed, too. So a node also notes changes of the keys that its connections watch. Everything that happened
// before an EXEC was sent has been applied by the node that proposes it.

// watchTable knows who watches which keys.
type watchTable struct {
	keys atomic.Int64 // len(by): the applier looks no further while it is 0

	clients int // who watch; under tracker.mu

	mu sync.Mutex
	by map[watchedKey]map[*watches]struct{}
}

type watchedKey struct {
	db  int
	key string
}

// watches is what a connection watches. Its goroutine owns it, but for lost.
type watches struct {
	node *backend    // whose versions list has
	lost atomic.Bool // some key has changed; any goroutine
	list []fsm.Watch
	// known are the keys in list, and those that are about to be.
	known map[watchedKey]struct{}
	bytes int // of the keys
}

// watching returns how many connections watch keys, and how many keys are watched. Any goroutine.
func (t *tracker) watching() (clients, keys int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return int64(t.watched.clients), t.watched.keys.Load()
}

// watch begins to note changes of the keys args[1:] of the connection's database, before their versions are asked for. It
// returns those that were not watched yet.
func (t *tracker) watch(c *conn, args [][]byte) (w *watches, fresh [][]byte) {
	tab := &t.watched
	if w = c.watched.Load(); w == nil {
		w = &watches{node: c.srv.node(), known: make(map[watchedKey]struct{})}
		c.watched.Store(w)
		t.mu.Lock()
		tab.clients++
		t.observe()
		t.mu.Unlock()
	}
	tab.mu.Lock()
	defer tab.mu.Unlock()
	if tab.by == nil {
		tab.by = make(map[watchedKey]map[*watches]struct{})
	}
	for _, name := range args[1:] {
		key := watchedKey{c.db, string(name)}
		if _, ok := w.known[key]; ok {
			continue
		}
		w.known[key] = struct{}{}
		w.bytes += len(name) + watchCost
		fresh = append(fresh, name)
		if tab.by[key] == nil {
			tab.by[key] = make(map[*watches]struct{}, 1)
		}
		tab.by[key][w] = struct{}{}
	}
	tab.keys.Store(int64(len(tab.by)))
	return w, fresh
}

// unwatch ends what watch began, for some keys of the connection's database or, with none given, for all there are. A connection
// without watched keys watches no more.
func (t *tracker) unwatch(c *conn, names ...[]byte) {
	w, tab := c.watched.Load(), &t.watched
	if w == nil {
		return
	}
	tab.mu.Lock()
	if len(names) == 0 {
		for key := range w.known {
			tab.drop(w, key)
		}
	}
	for _, name := range names {
		tab.drop(w, watchedKey{c.db, string(name)})
	}
	tab.keys.Store(int64(len(tab.by)))
	left := len(w.known)
	tab.mu.Unlock()
	if left > 0 {
		return
	}
	c.watched.Store(nil)
	t.mu.Lock()
	tab.clients--
	t.observe()
	t.mu.Unlock()
}

// drop forgets that w watches key. mu is held.
func (tab *watchTable) drop(w *watches, key watchedKey) {
	if delete(tab.by[key], w); len(tab.by[key]) == 0 {
		delete(tab.by, key)
	}
	delete(w.known, key)
	w.bytes -= len(key.key) + watchCost
}

// changed notes that a key was changed. Applier.
func (tab *watchTable) changed(db int, name []byte) {
	if tab.keys.Load() == 0 {
		return
	}
	tab.mu.Lock()
	defer tab.mu.Unlock()
	for w := range tab.by[watchedKey{db, string(name)}] {
		w.lost.Store(true)
	}
}

// allChanged notes that the keys for which touched is true were changed; nil means all. Applier, or the exchange of the node.
func (tab *watchTable) allChanged(touched func(db int, key []byte) bool) {
	if tab.keys.Load() == 0 {
		return
	}
	tab.mu.Lock()
	defer tab.mu.Unlock()
	for key, clients := range tab.by {
		if touched == nil || touched(key.db, []byte(key.key)) {
			for w := range clients {
				w.lost.Store(true)
			}
		}
	}
}
