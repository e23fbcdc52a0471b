package e2e

import (
	"sync"
	"testing"
	"time"
)

// stalls notes when this process did not run although it wanted to: what was measured meanwhile says nothing about the
// program under test.
type stalls struct {
	mu   sync.Mutex
	list []stall
}

type stall struct{ from, to time.Time }

// stallLimit is how late a timer may fire before the machine counts as overloaded.
const stallLimit = 100 * time.Millisecond

// watchStalls notes stalls until the test ends.
func watchStalls(t *testing.T) *stalls {
	s := &stalls{}
	end := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for last := time.Now(); ; {
			select {
			case <-end:
				return
			case <-tick.C:
			}
			now := time.Now()
			if now.Sub(last) > stallLimit {
				s.mu.Lock()
				s.list = append(s.list, stall{last, now})
				s.mu.Unlock()
			}
			last = now
		}
	})
	t.Cleanup(func() {
		close(end)
		wg.Wait()
	})
	return s
}

// between tells whether there was a stall in the time from from to to.
func (s *stalls) between(from, to time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.list {
		if x.from.Before(to) && x.to.After(from) {
			return true
		}
	}
	return false
}
