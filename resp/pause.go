package resp

import (
	"sync"
	"sync/atomic"
	"time"
)

// pause is CLIENT PAUSE: connections ask it before they execute. Any goroutine.
type pause struct {
	until atomic.Int64 // Unix ns; 0 = no pause

	mu      sync.Mutex
	all     bool          // or writes only
	changed chan struct{} // closed and replaced at every change
}

// active says, cheaply, that wait must be called.
func (p *pause) active() bool { return p.until.Load() != 0 }

// set pauses; a pause that is under way is never shortened or weakened.
func (p *pause) set(until time.Time, all bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.until.Load(); old > time.Now().UnixNano() {
		all = all || p.all
		p.until.Store(max(old, until.UnixNano()))
	} else {
		p.until.Store(until.UnixNano())
	}
	p.all = all
	p.wake()
}

// clear ends the pause.
func (p *pause) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until.Store(0)
	p.wake()
}

func (p *pause) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// wait returns true when a command that writes, or not, may run, and false when gone or stop is closed first.
func (p *pause) wait(write bool, gone, stop <-chan struct{}) bool {
	for {
		p.mu.Lock()
		until, changed := p.until.Load(), p.changed
		held := until != 0 && (p.all || write)
		left := time.Until(time.Unix(0, until))
		if held && left <= 0 {
			p.until.Store(0)
			p.wake()
			held = false
		}
		p.mu.Unlock()
		if !held {
			return true
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-changed:
		case <-gone:
			timer.Stop()
			return false
		case <-stop:
			timer.Stop()
			return false
		}
		timer.Stop()
	}
}
