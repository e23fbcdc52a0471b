package node

import (
	"math"
	"sync"
)

// queue is an inbox with many writers and one reader. The reader takes everything at once; a writer wakes the reader only
// when the queue was empty, so a burst costs one wake-up. put never waits, putBytes does.
type queue[T any] struct {
	mu     sync.Mutex
	items  []T
	spare  []T
	closed bool
	wake   chan struct{} // capacity 1

	room    sync.Cond // signalled when everything was taken, and at the end
	bytes   int64     // of the items that putBytes put
	blocked int       // writers that wait for room
	waits   uint64    // how often one did
}

func newQueue[T any]() *queue[T] {
	q := &queue[T]{wake: make(chan struct{}, 1)}
	q.room.L = &q.mu
	return q
}

// putBytes is put for an item of size bytes, of which limit bytes may stand in the queue, or one larger item: before that
// it waits for the reader. Not for the reader's goroutine.
func (q *queue[T]) putBytes(v T, size, limit int64) bool {
	q.mu.Lock()
	if q.bytes > 0 && q.bytes+size > limit && !q.closed {
		q.waits++
		q.blocked++
		for q.bytes > 0 && q.bytes+size > limit && !q.closed {
			q.room.Wait()
		}
		q.blocked--
	}
	if q.closed {
		q.mu.Unlock()
		return false
	}
	first := len(q.items) == 0
	q.items = append(q.items, v)
	q.bytes += size
	q.mu.Unlock()
	if first {
		q.nudge()
	}
	return true
}

// put appends one item; any goroutine. It reports false, and drops the item, when the queue is closed.
func (q *queue[T]) put(v T) bool { return q.putBytes(v, 0, math.MaxInt64) }

// close makes every later put fail and returns what still stood in the queue. The reader has ended.
func (q *queue[T]) close() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.items
	q.items, q.spare, q.closed, q.bytes = nil, nil, true, 0
	q.room.Broadcast()
	return items
}

// nudge wakes the reader although there may be nothing to take.
func (q *queue[T]) nudge() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// waiting reports that the reader was woken and did not come yet. Any goroutine.
func (q *queue[T]) waiting() bool { return len(q.wake) > 0 }

// take returns everything that stands in the queue. The slice is valid until the next take; reader goroutine only.
func (q *queue[T]) take() []T {
	q.mu.Lock()
	items := q.items
	clear(q.spare)
	q.items = q.spare[:0]
	if q.bytes = 0; q.blocked > 0 {
		q.room.Broadcast()
	}
	q.mu.Unlock()
	q.spare = items
	if cap(q.spare) > maxSpare {
		q.spare = nil
	}
	return items
}

// maxSpare is the number of items above which a buffer is not kept for reuse.
const maxSpare = 1 << 14
