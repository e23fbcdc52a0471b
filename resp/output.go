package resp

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"kvapp/internal/nonblock"
)

const (
	writeChunk  = 256 << 10 // bytes of a write that must make progress within Limits.WriteTimeout
	highWater   = 1 << 20   // bytes waiting at which the connection's own goroutine waits
	lowWater    = 256 << 10 // bytes waiting at which it goes on
	pushHard    = 32 << 20  // bytes waiting at which Push drops the client when Limits.OutHard is 0
	keepQueue   = 64 << 10  // bytes of a queue that is kept for the next time
	hardStrange = 16 << 10  // bytes waiting at which a client that has given no password is dropped
)

// output is the way to the socket. While nothing waits, a reply is written by who brings it, without blocking; what
// the socket does not take waits in queue, and a goroutine writes it until nothing waits.
//
// Invariant: bytes leave in the order of the calls, and those of one call together, because each call either writes
// under mu while nothing waits, or appends to queue under mu.
type output struct {
	direct  *nonblock.Writer // nil: the socket cannot be written without blocking
	sent    atomic.Uint64
	waiting atomic.Int64 // bytes in queue and in the writer's hands
	over    atomic.Bool  // ending or dead: nothing more is answered

	mu      sync.Mutex
	queue   []byte
	spare   []byte
	writing bool          // the writer goroutine exists
	ending  bool          // close when nothing waits
	dead    bool          // nothing is taken any more
	room    chan struct{} // closed at low water; nil when nobody waits
	soft    time.Time     // since when more than OutSoft waits; zero = it does not
}

// Write implements net.Conn: b is whole replies. Without a hard limit it blocks while more waits than 1 MB, or than the
// soft limit if that is more; with one the client is dropped at the limit instead, as Redis does. An error means that
// the connection is closed.
func (c *Conn) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	l := c.ln.lim()
	if err := c.send(b, l.OutHard); err != nil {
		return 0, err
	}
	c.touch()
	if high := max(highWater, l.OutSoft); l.OutHard <= 0 && c.output.waiting.Load() > high {
		c.waitRoom(high)
	}
	return len(b), nil
}

// Push sends whole replies. It never blocks: a client that does not take them is dropped at the output limit, or at
// 32 MB if there is none.
func (c *Conn) Push(b []byte) error {
	hard := c.ln.lim().OutHard
	if hard <= 0 {
		hard = pushHard
	}
	return c.send(b, hard)
}

func (c *Conn) send(b []byte, hard int64) error {
	o := &c.output
	l := c.ln.lim()
	if c.stranger(l) && (hard <= 0 || hard > hardStrange) {
		hard = hardStrange
	}
	o.mu.Lock()
	if o.dead || o.ending {
		o.mu.Unlock()
		return net.ErrClosed
	}
	if !o.writing && o.direct != nil {
		n, err := o.direct.Write(b)
		o.sent.Add(uint64(n))
		b = b[n:]
		if err != nil {
			o.mu.Unlock()
			c.Kill()
			return err
		}
	}
	if hard > 0 && o.waiting.Load()+int64(len(b)) > hard {
		o.mu.Unlock()
		c.ln.log.Warn("output_limit", "client", c.RemoteAddr().String(), "limit", hard)
		c.Kill()
		return net.ErrClosed
	}
	if len(b) > 0 {
		o.queue = append(o.queue, b...)
		o.waiting.Add(int64(len(b)))
		o.note(time.Now(), l)
		if !o.writing {
			o.writing = true
			go c.drain()
		}
	}
	o.mu.Unlock()
	return nil
}

// note keeps soft. mu is held.
func (o *output) note(now time.Time, lim *Limits) {
	switch {
	case lim.OutSoft <= 0 || o.waiting.Load() <= lim.OutSoft:
		o.soft = time.Time{}
	case o.soft.IsZero():
		o.soft = now
	}
}

// overSoft says that the soft limit has been exceeded for too long.
func (o *output) overSoft(now time.Time, lim *Limits) bool {
	if lim.OutSoft <= 0 || o.waiting.Load() <= lim.OutSoft {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.note(now, lim)
	return !o.soft.IsZero() && now.Sub(o.soft) >= time.Duration(lim.OutSoftSeconds)*time.Second
}

// waitRoom waits until the writer has caught up, or the connection is closed, if more than high bytes wait.
func (c *Conn) waitRoom(high int64) {
	o := &c.output
	o.mu.Lock()
	if o.dead || o.waiting.Load() <= high {
		o.mu.Unlock()
		return
	}
	if o.room == nil {
		o.room = make(chan struct{})
	}
	room := o.room
	o.mu.Unlock()
	<-room
}

// drain writes what waits, then ends.
func (c *Conn) drain() {
	o := &c.output
	for {
		o.mu.Lock()
		if len(o.queue) == 0 || o.dead {
			// The deadline of the last piece must not meet a later reply.
			_ = c.SetWriteDeadline(time.Time{}) // fails only if the socket is closed
			o.writing = false
			ending := o.ending
			if cap(o.queue) > keepQueue {
				o.queue = nil
			}
			o.spare = nil
			o.mu.Unlock()
			if ending {
				c.finish()
			}
			return
		}
		b := o.queue
		o.queue, o.spare = o.spare[:0], nil
		o.mu.Unlock()
		if !c.drainOne(b) {
			c.Kill()
			return
		}
		if cap(b) <= keepQueue {
			o.mu.Lock()
			o.spare = b
			o.mu.Unlock()
		}
	}
}

// drainOne writes b in pieces; the client must take something of each within the write timeout.
func (c *Conn) drainOne(b []byte) bool {
	for len(b) > 0 {
		lim := c.ln.lim()
		var until time.Time
		if lim.WriteTimeout > 0 {
			until = time.Now().Add(lim.WriteTimeout)
		}
		if c.SetWriteDeadline(until) != nil {
			return false
		}
		n, err := c.Conn.Write(b[:min(len(b), writeChunk)])
		b = b[n:]
		c.output.took(n, lim)
		if n > 0 {
			c.touch()
		}
		if err != nil && (n == 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
			c.ln.log.Debug("write_failed", "client", c.RemoteAddr().String(), "error", err)
			return false
		}
	}
	return true
}

// took books n bytes that the socket has taken.
func (o *output) took(n int, lim *Limits) {
	o.sent.Add(uint64(n))
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.dead {
		return
	}
	left := o.waiting.Add(int64(-n))
	o.note(time.Now(), lim)
	if left <= lowWater && o.room != nil {
		close(o.room)
		o.room = nil
	}
}

// CloseAfterReply takes no more replies and closes the socket when those that wait are written.
func (c *Conn) CloseAfterReply() {
	o := &c.output
	o.mu.Lock()
	o.ending = true
	o.over.Store(true)
	writing := o.writing
	o.mu.Unlock()
	if !writing {
		c.finish()
	}
}

// Close implements net.Conn for redcon: as CloseAfterReply.
func (c *Conn) Close() error {
	c.CloseAfterReply()
	return nil
}

// finish closes a socket to which everything was written. Input that was never read would make the kernel reset the
// connection, and the client lose the last reply: what has come by now is read first.
func (c *Conn) finish() {
	if o := &c.output; o.direct != nil {
		if w, ok := c.Conn.(interface{ CloseWrite() error }); ok && w.CloseWrite() == nil {
			o.direct.Discard()
		}
	}
	c.Kill()
}

// abort lets go of everything that waits, and of who waits.
func (o *output) abort() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dead = true
	o.over.Store(true)
	o.queue, o.spare = nil, nil
	o.waiting.Store(0)
	if o.room != nil {
		close(o.room)
		o.room = nil
	}
}
