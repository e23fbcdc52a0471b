package fsm

import (
	"fmt"
	"slices"
)

// A command that has to wait, as BLPOP with empty lists, leaves a waiter. Waiters are state: they follow from the log alone, are
// the same on all nodes, and part of snapshots and of the state hash. Two nodes that differ in them would soon differ in keys.
//
// The write that feeds a waiter serves it, in the same command of the entry and under the same locks: no reader and no other
// client sees the element in between. What is served, and in which order, is as in Redis:
//
//   - After the whole command, or the whole transaction, the keys that it wrote are looked at in the order in which they were
//     written first. Of a key, who waits longest is served first, as long as there is something. A key that serving has written,
//     as the destination of BLMOVE, stands at the end of the same queue.
//   - A waiter is served by executing its command again, with the ready key as the only one (Tx.offered). If that finds nothing it
//     keeps its place. If it fails, as BLMOVE with a destination of another type, that is the answer.
//   - A key of another type serves nobody. Every change of a key passes through Tx.note, so whatever creates a list wakes who waits
//     for it; deletion by expiry or eviction has nothing to give.
//
// A waiter's name is the index of its entry and the position of its command there. What ends it otherwise stands in the log as well:
//
//   - _unblock, which the leader proposes when the time is over, when the client has gone, or when CLIENT UNBLOCK wants it. Times
//     run on the leader's clock: how long a command waits is no part of the state.
//   - The first entry of a leader (Store.NewTerm). All waiters are of terms before, their connections were to other leaders, or to
//     the same one in another life. So nobody waits for clients that nobody knows.
//
// The connection is where the command was proposed. There, and only there, the Command came with a Blocked and an Out, which the
// waiter keeps: its reply is written when the entry that serves it is applied on that node, by whoever leads by then. So a client
// is told exactly what became of its command, also behind a change of the leader. On all other nodes replies are discarded.
//
// # A command that waits
//
// Its Spec has FlagBlocking, and Blocks if it waits with some arguments only. Its function answers, or calls Tx.await before it has
// answered anything; if that returns false it may not wait (a transaction, or a read that is in no log) and answers that there
// is nothing. While it is served it must look at no key but those of Tx.offered. XREAD with BLOCK, a read, has a Logged command as
// well: the connection tries the read first, and proposes the command that may wait when it answers null. XREAD gives await
// arguments in which $ is replaced by the last id of then, and wish.kind is that of streams: every change of the key retries the
// command. XREADGROUP sets wish.gone: it is retried also when the key was deleted, or is of another type, and answers the error.

// WaiterID names a waiter: the index of the entry that its command stands in, and its number there among the commands that write,
// those of transactions included, from 1.
type WaiterID struct{ Index, Position uint64 }

// Blocked is what the proposer of a command that may have to wait is told, on its node. The applier writes it while it executes
// an entry.
type Blocked struct {
	Waits   bool  // it waits, and its reply is not given
	Lost    bool  // nobody knows what became of it: it may still be served on other nodes
	Timeout int64 // ms that it wants to wait, 0 = without end
	ID      WaiterID
}

// Unblocking says why a waiter is to end.
type Unblocking uint8

// The reasons. They stand in the log.
const (
	UnblockTimeout Unblocking = iota // its time is over: it is answered that there is nothing
	UnblockError                     // CLIENT UNBLOCK ERROR
	UnblockGone                      // its client has gone: it is not answered
)

// Unblocked is the error of CLIENT UNBLOCK ERROR.
const Unblocked = "UNBLOCKED client unblocked via CLIENT UNBLOCK"

const errUnblockedRole = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"

// wish is what a command waits for.
type wish struct {
	kind kind  // of the key that serves it
	keys []int // positions of the keys in its arguments
	dst  int   // position of the key that gets what is taken, 0 = none
	ms   int64 // Blocked.Timeout
	gone bool  // it is retried also when a key is no longer of the kind
}

// waiter is a command that waits. It does not change, but for its place among the others.
type waiter struct {
	id   WaiterID
	spec *Spec
	db   int
	args [][]byte
	wish wish
	sum  uint64 // its part in the state hash, in that of slot
	slot int

	out     Out      // takes the reply
	blocked *Blocked // on the node where the client is, else nil

	links      []waitLink
	prev, next *waiter // in the order of age
}

// awaiting is the part of a Tx that commands that wait need.
type awaiting struct {
	cmd   *Command // the command in execution, if it may wait
	w     *waiter  // whose command is in execution again
	key   []byte   // with w: the key that is ready
	again bool     // with w: it found nothing
}

// await has the command in execution wait for w. args are those with which it is executed again. It returns false if the
// command may not wait.
func (tx *Tx) await(w wish, args [][]byte, out Out) bool {
	switch {
	case tx.wait.w != nil:
		tx.wait.again = true
	case tx.wait.cmd != nil:
		tx.s.register(tx.wait.cmd, w, args, out)
	default:
		return false
	}
	return true
}

// offered returns those of the keys that the command may take from: all, or while it is served the one that is ready.
func (tx *Tx) offered(keys [][]byte) [][]byte {
	if tx.wait.w == nil {
		return keys
	}
	return [][]byte{tx.wait.key}
}

// register makes c, the command in execution, a waiter.
func (s *Store) register(c *Command, want wish, args [][]byte, out Out) {
	w := &waiter{id: WaiterID{s.index, s.position}, spec: c.Spec, db: c.DB, args: cloneArgs(args), wish: want, out: Discard}
	w.count()
	if b := c.Blocked; b != nil {
		w.out, w.blocked = out, b
		*b = Blocked{Waits: true, Timeout: want.ms, ID: w.id}
	}
	s.waits.add(w)
}

// count sets what the waiter adds to the state hash.
func (w *waiter) count() {
	h := fold(w.id.Index^mixA, w.id.Position*golden+uint64(w.db))
	for _, a := range w.args {
		h = fold(h^mixC, hashBytes(a))
	}
	w.sum, w.slot = h, int(Slot(w.args[w.wish.keys[0]]))
}

func cloneArgs(args [][]byte) [][]byte {
	size := 0
	for _, a := range args {
		size += len(a)
	}
	buf, all := make([]byte, 0, size), make([][]byte, len(args))
	for i, a := range args {
		at := len(buf)
		buf = append(buf, a...)
		all[i] = buf[at:len(buf):len(buf)]
	}
	return all
}

// execWaiting is the end of exec for a command that may wait, and for all while somebody waits.
func (s *Store) execWaiting(c *Command, out Out) {
	tx := &s.tx
	tx.gather(c.Spec, c.Args)
	s.waits.spread(&tx.locked)
	tx.acquire()
	if c.Spec.Flags&FlagBlocking != 0 {
		tx.wait.cmd = c
	}
	tx.run(c, out)
	tx.wait.cmd = nil
	s.serve()
	tx.unlock()
	tx.by = nil
}

// serve serves who waits for the keys that have been written.
func (s *Store) serve() {
	q := &s.waits
	if len(q.ready) == 0 {
		return
	}
	var need shardSet
	for _, k := range q.ready {
		need.add(int(Slot(k.name)) / pageSlots)
	}
	q.spread(&need)
	if tx := &s.tx; !tx.locked.holds(&need) { // a command that took the locks of its keys one by one
		tx.unlock()
		tx.locked = need
		tx.acquire()
	}
	for i := 0; i < len(q.ready); i++ {
		k := q.ready[i]
		k.ready = false
		s.serveKey(k)
	}
	clear(q.ready)
	q.ready = q.ready[:0]
}

// serveKey serves who waits for the key, as long as it is of the right type.
func (s *Store) serveKey(k *waitedKey) {
	for kd := range k.lists {
		l := &k.lists[kd]
		for at := l.first; at != nil; {
			link := at
			at = at.next
			if link.w.wish.gone || s.kindAt(k) == kind(kd) {
				s.retry(link.w, k)
			} else if l.gone == 0 {
				break
			}
		}
	}
}

// kindAt returns the type of a key that somebody waits for.
func (s *Store) kindAt(k *waitedKey) kind {
	tx := &s.tx
	tx.DB = k.db
	if it := tx.peek(k.name); !it.absent() {
		return it.kind()
	}
	return kindNone
}

// retry executes the command of a waiter again, now that a key is ready, and ends the wait if that was answered.
func (s *Store) retry(w *waiter, k *waitedKey) {
	tx := &s.tx
	tx.begin(s, w.db, s.now, splitMix(s.entrySeed+s.position*golden))
	tx.writes, tx.by = true, w.out
	tx.wait = awaiting{w: w, key: k.name}
	tx.run(&Command{Spec: w.spec, DB: w.db, Args: w.args}, w.out)
	again := tx.wait.again
	tx.wait = awaiting{}
	if !again {
		s.end(w)
	}
}

// end takes a waiter that has been answered out of the state.
func (s *Store) end(w *waiter) {
	s.waits.remove(w)
	if b := w.blocked; b != nil {
		b.Waits = false
		s.answered = append(s.answered, b)
	}
}

// TakeAnswered returns, once, whose reply was given by what the applier has done since the last call, or who was lost. It is valid
// until the next entry. Applier only.
func (s *Store) TakeAnswered() []*Blocked {
	all := s.answered
	s.answered = s.answered[:0]
	return all
}

// Waiting returns the number of keys that some command waits for, and of those among them where it is also told when the key is gone
// (XREADGROUP), as of the last entry. Any goroutine.
func (s *Store) Waiting() (keys, onGone int64) { return s.waitedKeys.Load(), s.deprivedKeys.Load() }

// measureWaits notes what Waiting tells.
func (s *Store) measureWaits() {
	if n := int64(len(s.waits.keys)); n != s.waitedKeys.Load() {
		s.waitedKeys.Store(n)
	}
	if n := int64(s.waits.deprived); n != s.deprivedKeys.Load() {
		s.deprivedKeys.Store(n)
	}
}

// NewTerm passes the entry that begins a leader's term: whoever waits was told to by an earlier leader, and ends. Applier only.
func (s *Store) NewTerm(index uint64) {
	for w := s.waits.first; w != nil; w = s.waits.first {
		w.out.Error(errUnblockedRole)
		s.end(w)
	}
	s.measureWaits()
	s.applied.Store(index)
}

// Abandon lets go of all clients that wait on this node: nobody here will know what became of their commands. It changes nothing
// of the state. Applier only.
func (s *Store) Abandon() {
	for w := s.waits.first; w != nil; w = w.next {
		w.abandon(s)
	}
}

func (w *waiter) abandon(s *Store) {
	if b := w.blocked; b != nil {
		b.Waits, b.Lost = false, true
		s.answered = append(s.answered, b)
		w.out, w.blocked = Discard, nil
	}
}

// Orphans returns the waiters of the newest entry, of which index is the number, that have no client on this node. Applier only.
func (s *Store) Orphans(index uint64) (ids []WaiterID) {
	for w := s.waits.last; w != nil && w.id.Index == index; w = w.prev {
		if w.blocked == nil {
			ids = append(ids, w.id)
		}
	}
	slices.Reverse(ids)
	return ids
}

const unblockName = "_unblock"

var unblockSpec = &Spec{
	Name: unblockName, Event: noEvent, Arity: 4, Flags: FlagWrite | FlagInternal, Group: "generic", Run: runUnblock,
	Summary: "Ends the wait of a command.", Complexity: "O(1)",
}

// UnblockCommand returns the internal write command that ends a wait. It answers 1, or 0 if nobody waits by that name any more.
func UnblockCommand(id WaiterID, why Unblocking) Command {
	args := [][]byte{[]byte(unblockName), appendInt(nil, int64(id.Index)), appendInt(nil, int64(id.Position)), appendInt(nil, int64(why))}
	return Command{Spec: unblockSpec, Args: args, Raw: appendCommand(nil, args)}
}

func runUnblock(tx *Tx, args [][]byte, out Out) {
	var n [3]int64
	for i := range n {
		ok := false
		if n[i], ok = intArg(args[1+i], out); !ok {
			return
		}
	}
	w := tx.s.waits.byID[WaiterID{uint64(n[0]), uint64(n[1])}]
	if w == nil {
		out.Int(0)
		return
	}
	switch Unblocking(n[2]) {
	case UnblockTimeout:
		w.out.NullArray() // as Redis, also for commands that otherwise answer a null
	case UnblockError:
		w.out.Error(Unblocked)
	}
	tx.s.end(w)
	out.Int(1)
}

// checkWaiters verifies that the waiters stand in their queues, and that none waits for what is there.
func (s *Store) checkWaiters() error {
	q, n, sum := &s.waits, 0, uint64(0)
	var last WaiterID
	names, deprived := make(map[*waitedKey]bool), 0
	for w := q.first; w != nil; w = w.next {
		if w.id.Index < last.Index || w.id.Index == last.Index && w.id.Position <= last.Position {
			return &InvariantError{"waiters stand in the order of age", fmt.Sprintf("%v behind %v", w.id, last)}
		}
		if q.byID[w.id] != w {
			return &InvariantError{"a waiter is found by its name", fmt.Sprintf("%v", w.id)}
		}
		for i := range w.links {
			k := w.links[i].key
			if !names[k] {
				names[k] = true
				if k.gone > 0 {
					deprived++
				}
			}
			if q.keys[waitedName{k.db, string(k.name)}] != k || !w.links[i].stands() {
				return &InvariantError{"a waiter stands in the queue of its key", fmt.Sprintf("%v: %q", w.id, k.name)}
			}
			if it := s.itemOf(k); !w.wish.gone && !it.absent() && it.kind() == w.wish.kind && w.wish.kind <= kindZSet {
				return &InvariantError{"nobody waits for what is there", fmt.Sprintf("%v: %q of database %d", w.id, k.name, k.db)}
			}
		}
		last, n, sum = w.id, n+1, sum+w.sum
	}
	if len(names) != len(q.keys) || q.deprived != deprived {
		return &InvariantError{"keys that are waited for", fmt.Sprintf("%d, %d in queues, %d of %d also for their end", len(q.keys), len(names), q.deprived, deprived)}
	}
	if n != q.n || n != len(q.byID) || sum != q.sum || len(q.ready) != 0 {
		return &InvariantError{"waiters", fmt.Sprintf("%d, counted %d, %d with a name, %d keys ready", n, q.n, len(q.byID), len(q.ready))}
	}
	return nil
}

// stands says that the neighbours in the queue know the link, and come in the order of age.
func (link *waitLink) stands() bool {
	l := &link.key.lists[link.w.wish.kind]
	before, behind := l.first == link, l.last == link
	if p := link.prev; p != nil {
		before = p.next == link && (p.w.id.Index < link.w.id.Index || p.w.id.Index == link.w.id.Index && p.w.id.Position < link.w.id.Position)
	}
	if n := link.next; n != nil {
		behind = n.prev == link
	}
	return before && behind
}

// itemOf returns what is at a key that somebody waits for, by the state's clock.
func (s *Store) itemOf(k *waitedKey) (it item) {
	db := s.dbs[k.db].Load()
	if db == nil {
		return it
	}
	_, _, rec := db.find(int(Slot(k.name)), hashKey(s.seed, k.name), k.name, -1)
	if found := (item{rec, db.objects.dir.Load()}); rec != nil && !found.expired(s.clock.Load()) {
		it = found
	}
	return it
}
