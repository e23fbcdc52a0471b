package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kvapp/fsm"
	"kvapp/node"
	"kvapp/resp"
)

// How a node leaves a cluster while the process goes on: CLUSTER MEET on one that is alone and empty, CLUSTER RESET on one
// that was removed. The connection's goroutine checks what can be checked (meet, reset) and hands the wish to serve's,
// which stops the node, notes what is to become of the directory (origin), sets aside what lies there, opens the new node,
// and attaches it to the client port. Clients of the old node are told that it stops.

// move is such a wish.
type move struct {
	from    *instance // the node that is to go
	to      origin    // what its directory is to become
	cluster string    // to join; "" = a cluster of its own
	done    chan error
}

const (
	// lookLimit is how long the node that is to be met may take to say which cluster it belongs to.
	lookLimit = 5 * time.Second
	// hearLimit is how long a removed node may take to hear of it: redis-cli resets it right after its removal.
	hearLimit = 5 * time.Second
	// meetLimit is how long CLUSTER MEET waits until this node is a member. It goes on by itself afterwards.
	meetLimit = 5 * time.Second
	// loadLimit is how long the new node may take to find out that its log is empty.
	loadLimit = 5 * time.Second
	pollEvery = 10 * time.Millisecond
)

// meet is CLUSTER MEET; the connection's goroutine.
func (s *server) meet(addr string) error {
	in := s.current.Load()
	v := in.node.View()
	for i := range v.Members {
		if v.Members[i].ClientAddr == addr {
			return nil // they have met
		}
	}
	switch {
	case !alone(v):
		return errors.New("this node is not alone: send CLUSTER MEET to the new node, with the address of a member")
	case keys(in.node.Store()) > 0:
		return resp.ErrHoldsKeys
	}
	ctx, cancel := context.WithTimeout(s.ctx, lookLimit)
	defer cancel()
	p, err := s.look(ctx, addr)
	if err != nil {
		return fmt.Errorf("%s: %w", addr, err)
	}
	if len(p.members) == 0 {
		return fmt.Errorf("%s is no member of a cluster itself", addr)
	}
	for _, m := range p.members {
		if m.Name == s.self.Name {
			return fmt.Errorf("the cluster of %s has a member %s already: start this node with another --node", addr, m.Name)
		}
	}
	if err := s.move(move{from: in, to: origin{aside: in.id.Incarnation, join: []string{addr}}, cluster: p.cluster}); err != nil {
		return err
	}
	s.await(meetLimit, func() bool { return s.current.Load().node.View().Member })
	return nil
}

// reset is CLUSTER RESET; the connection's goroutine.
func (s *server) reset() error {
	in := s.current.Load()
	if v := in.node.View(); alone(v) {
		if keys(in.node.Store()) > 0 {
			return resp.ErrHoldsKeys
		}
		return nil // it is what it would become
	}
	if !s.await(hearLimit, func() bool { return !in.node.View().Member }) {
		return fmt.Errorf("%[1]s is a member of its cluster: remove it first (RAFT REMOVE %[1]s)", s.self.Name)
	}
	return s.move(move{from: in, to: origin{aside: in.id.Incarnation, alone: true}})
}

// alone says that a node is the only member of its cluster.
func alone(v *node.View) bool { return v.Member && len(v.Members) == 1 }

// keys counts the keys of all databases.
func keys(store *fsm.Store) (n int64) {
	for db := range fsm.Databases {
		have, _ := store.Keys(db)
		n += int64(have)
	}
	return n
}

// await polls cond and reports whether it became true in time.
func (s *server) await(limit time.Duration, cond func() bool) bool {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for end := time.Now().Add(limit); !cond(); {
		select {
		case <-s.ctx.Done():
			return false
		case <-tick.C:
		}
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// move hands a wish to serve's goroutine and waits until it is done.
func (s *server) move(m move) error {
	m.done = make(chan error, 1)
	select {
	case s.moves <- m:
		err := <-m.done
		s.await(loadLimit, func() bool { return !s.current.Load().node.View().Loading })
		return err
	case <-s.ctx.Done():
		return node.ErrStopped
	}
}

var errMoved = errors.New("this node has just moved to another cluster")

// replace puts another node in the place of in, which has stopped. It returns the node that is to run now; without one
// the error ends the process. in is closed.
func (s *server) replace(in *instance, m *move) (*instance, error) {
	// A write may have been acknowledged since the connection looked, and must not be set aside.
	stays := len(m.to.join) > 0 && (!alone(in.node.View()) || keys(in.node.Store()) > 0)
	in.close()
	dir := s.set.Get("dir")
	if !stays {
		err := m.to.write(dir)
		if err == nil {
			_, err = settle(dir)
		}
		if err != nil {
			return nil, err
		}
		s.log.Warn("set_aside", "dir", dir, "files", "*.old-"+hexText(in.id.Incarnation), "joins", m.cluster)
	}
	next, err := s.open(m.cluster, func() error { return nil })
	if err != nil {
		return nil, err
	}
	s.current.Store(next)
	s.clients.Attach(next.node, next.id.Cluster)
	if stays {
		m.done <- resp.ErrHoldsKeys
		return next, nil
	}
	m.done <- nil
	return next, nil
}
