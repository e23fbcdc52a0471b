package node

import "sync"

// queue is an unbounded inbox with many writers and one reader. The reader takes everything at once; a writer wakes
// the reader only when the queue was empty, so a burst costs one wake-up.
type queue[T any] struct {
	mu     sync.Mutex
	items  []T
	spare  []T
	closed bool
	wake   chan struct{} // capacity 1
}

func newQueue[T any]() *queue[T] { return &queue[T]{wake: make(chan struct{}, 1)} }

// put appends one item; any goroutine. It reports false, and drops the item, when the queue is closed.
func (q *queue[T]) put(v T) bool {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return false
	}
	first := len(q.items) == 0
	q.items = append(q.items, v)
	q.mu.Unlock()
	if first {
		q.nudge()
	}
	return true
}

// close makes every later put fail and returns what still stood in the queue. The reader has ended.
func (q *queue[T]) close() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.items
	q.items, q.spare, q.closed = nil, nil, true
	return items
}

// nudge wakes the reader although there may be nothing to take.
func (q *queue[T]) nudge() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take returns everything that stands in the queue. The slice is valid until the next take; reader goroutine only.
func (q *queue[T]) take() []T {
	q.mu.Lock()
	items := q.items
	clear(q.spare)
	q.items = q.spare[:0]
	q.mu.Unlock()
	q.spare = items
	if cap(q.spare) > maxSpare {
		q.spare = nil
	}
	return items
}

// maxSpare is the number of items above which a buffer is not kept for reuse.
const maxSpare = 1 << 14
