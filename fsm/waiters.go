package fsm

import "math/bits"

// waiters holds who waits, in the order of age and by key. Applier only, but for views, which keep waiters that do not change.
type waiters struct {
	n           int // how many; 0 most of the time: then nothing here costs anything
	sum         uint64
	first, last *waiter // the oldest and the newest
	byID        map[WaiterID]*waiter
	keys        map[waitedName]*waitedKey // never ranged over where order shows

	deprived int // keys with waitedKey.gone > 0

	ready []*waitedKey // written since who waits for them was served last, in the order of the first write

	// feeds counts, by pairs of shards, the places in queues of waiters whose command writes what it takes from a key to another
	// one. They say which locks a write needs beside its own.
	feeds map[[2]uint8]int32
	into  *[shardCount]shardSet // the second of the pairs by the first
}

type waitedName struct {
	db  int
	key string
}

// waitedKey is a key that somebody waits for. Invariant: some list is not empty, or ready is true.
type waitedKey struct {
	db    int
	name  []byte
	lists [kindCount]waitList // by the kind that is waited for
	n     int                 // waiters in them
	gone  int                 // those with wish.gone
	ready bool                // it is in waiters.ready
}

// waitList is a queue, the oldest first.
type waitList struct {
	first, last *waitLink
	gone        int // waiters with wish.gone
}

// waitLink is a waiter's place in the queue of a key.
type waitLink struct {
	w          *waiter
	key        *waitedKey
	prev, next *waitLink
}

// add puts the newest waiter into all queues.
func (q *waiters) add(w *waiter) {
	if q.byID == nil {
		q.byID, q.keys, q.feeds = make(map[WaiterID]*waiter), make(map[waitedName]*waitedKey), make(map[[2]uint8]int32)
		q.into = new([shardCount]shardSet)
	}
	q.byID[w.id] = w
	if w.prev = q.last; w.prev == nil {
		q.first = w
	} else {
		w.prev.next = w
	}
	q.last = w
	q.n++
	q.sum += w.sum
	w.links = make([]waitLink, 0, len(w.wish.keys)) // never grows: queues point into it
	for _, i := range w.wish.keys {
		q.link(w, w.args[i])
	}
}

// link puts w into the queue of a key, if it is not there yet.
func (q *waiters) link(w *waiter, name []byte) {
	k := q.keys[waitedName{w.db, string(name)}]
	if k == nil {
		k = &waitedKey{db: w.db, name: name}
		q.keys[waitedName{w.db, string(name)}] = k
	}
	l := &k.lists[w.wish.kind]
	if l.last != nil && l.last.w == w {
		return // the same key twice
	}
	w.links = append(w.links, waitLink{w: w, key: k, prev: l.last})
	link := &w.links[len(w.links)-1]
	if l.last == nil {
		l.first = link
	} else {
		l.last.next = link
	}
	l.last = link
	k.n++
	if w.wish.gone {
		l.gone++
		if k.gone++; k.gone == 1 {
			q.deprived++
		}
	}
	q.note(w, name, 1)
}

// note counts a place of w in the queue of a key in or out.
func (q *waiters) note(w *waiter, name []byte, delta int32) {
	if w.wish.dst == 0 {
		return
	}
	from, to := int(Slot(name))/pageSlots, int(Slot(w.args[w.wish.dst]))/pageSlots
	pair := [2]uint8{uint8(from), uint8(to)}
	if q.feeds[pair] += delta; q.feeds[pair] > 0 {
		q.into[from].add(to)
		return
	}
	delete(q.feeds, pair)
	q.into[from][to/64] &^= 1 << (to % 64)
}

// remove takes w out of all queues.
func (q *waiters) remove(w *waiter) {
	delete(q.byID, w.id)
	if w.prev == nil {
		q.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		q.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	q.n--
	q.sum -= w.sum
	for i := range w.links {
		q.unlink(&w.links[i])
	}
}

func (q *waiters) unlink(link *waitLink) {
	k, w := link.key, link.w
	l := &k.lists[w.wish.kind]
	if link.prev == nil {
		l.first = link.next
	} else {
		link.prev.next = link.next
	}
	if link.next == nil {
		l.last = link.prev
	} else {
		link.next.prev = link.prev
	}
	if w.wish.gone {
		l.gone--
		if k.gone--; k.gone == 0 {
			q.deprived--
		}
	}
	q.note(w, k.name, -1)
	if k.n--; k.n == 0 {
		delete(q.keys, waitedName{k.db, string(k.name)})
	}
}

// written notes that a key was written.
func (q *waiters) written(db int, name []byte) {
	k := q.keys[waitedName{db, string(name)}]
	if k != nil && !k.ready {
		k.ready = true
		q.ready = append(q.ready, k)
	}
}

// writtenAll notes that the keys for which touched is true were written.
func (q *waiters) writtenAll(touched func(db int, key []byte) bool) {
	for w := q.first; w != nil; w = w.next {
		for i := range w.links {
			if k := w.links[i].key; !k.ready && touched(k.db, k.name) {
				k.ready = true
				q.ready = append(q.ready, k)
			}
		}
	}
}

// spread adds to the shards of keys that are going to be written those that serving may write to then. Most of the time it adds
// nothing: nobody waits for a key in these shards, or does not pass on what it takes.
func (q *waiters) spread(set *shardSet) {
	if len(q.feeds) == 0 {
		return
	}
	for done := (shardSet{}); done != *set; {
		todo := *set
		for i := range todo {
			todo[i] &^= done[i]
		}
		done = *set
		for i, word := range todo {
			for ; word != 0; word &= word - 1 {
				set.join(&q.into[i*64+bits.TrailingZeros64(word)])
			}
		}
	}
}

// all lists the waiters, the oldest first; nil if there are none.
func (q *waiters) all() (list []*waiter) {
	if q.n == 0 {
		return nil
	}
	list = make([]*waiter, 0, q.n)
	for w := q.first; w != nil; w = w.next {
		list = append(list, w)
	}
	return list
}

// join adds the shards of another set.
func (set *shardSet) join(other *shardSet) {
	for i := range set {
		set[i] |= other[i]
	}
}

// holds says that the other set's shards are all in this one.
func (set *shardSet) holds(other *shardSet) bool {
	for i := range set {
		if other[i]&^set[i] != 0 {
			return false
		}
	}
	return true
}
