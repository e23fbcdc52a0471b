package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"kvapp/internal/config"
	"kvapp/node"
	"kvapp/raft"
	"kvapp/resp"
)

// server is one running process: its settings, the client port, and the node behind it.
type server struct {
	set  *config.Settings
	log  *slog.Logger
	ctx  context.Context // ends when the process is to end
	self raft.Member     // this node, as the settings describe it
	// memory is what the settings say of the memory of keys.
	memory func() *node.Memory
	line   []raft.Member // the founding members that they name; without a cluster line this node alone

	clientListener net.Listener
	clients        *resp.Server
	current        atomic.Pointer[instance] // the node behind the client port
	moves          chan move
}

// serve opens the node's directory, joins the cluster and serves clients until ctx ends or something is damaged. opened
// is called when ports and directory are this process' own.
func serve(ctx context.Context, set *config.Settings, log *slog.Logger, opened func() error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &server{set: set, log: log, ctx: ctx, memory: memoryOf(set), moves: make(chan move)}
	var err error
	if s.line, s.self, err = clusterMembers(set); err != nil {
		return err
	}
	cluster, err := s.find(ctx)
	switch {
	case errors.Is(err, context.Canceled):
		return nil // asked to stop
	case err != nil:
		return err
	}
	if err := s.listen(); err != nil {
		return err
	}
	defer s.clientListener.Close() //nolint:errcheck // closed already, unless the start fails
	in, err := s.open(cluster, func() error {
		shareCores(s.line, s.self, log)
		return opened()
	})
	if err != nil {
		return err
	}
	s.current.Store(in)
	defer func() { s.current.Load().close() }()
	return s.run(cancel)
}

// listen takes the client port before anything else, so that a second process on it fails at once.
func (s *server) listen() error {
	var err error
	if s.clientListener, err = listenAll(s.set.Words("bind"), s.set.Get("port")); err != nil {
		return fmt.Errorf("client port: %w", err)
	}
	if open(s.clientListener) && s.set.Get("requirepass") == "" && s.set.Bool("protected-mode") {
		s.log.Warn("protected_mode", "effect", "clients of other machines are refused: give --requirepass, or --protected-mode no if everybody may come")
	}
	return nil
}

// run serves clients until ctx ends or a part fails. Before the node takes part they are told LOADING.
func (s *server) run(cancel context.CancelCauseFunc) (err error) {
	in := s.current.Load()
	s.clients, err = resp.NewServer(resp.Options{
		Listener: s.clientListener, Node: in.node, Settings: s.set, Logger: s.log, Version: version, Cluster: in.id.Cluster,
		Peers:       func() []resp.PeerTraffic { return s.current.Load().peerTraffic() },
		Incarnation: func(name, addr string) (uint64, error) { return s.current.Load().incarnationOf(name, addr) },
		Meet:        s.meet, Reset: s.reset,
	})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.clients.Serve(); err != nil {
			cancel(err)
		}
	})
	for err == nil && in != nil {
		s.log.Info("serving", "node", in.id.Name, "clients", s.clientListener.Addr().String(),
			"peers", in.peerListener.Addr().String(), "dir", s.set.Get("dir"))
		in, err = s.runOne(in)
	}
	cancel(err)
	err = errors.Join(err, s.clients.Close())
	wg.Wait()
	return err
}

// runOne runs a node until it is to be replaced; it returns the one to run next, nil at the end.
func (s *server) runOne(in *instance) (*instance, error) {
	ctx, stop := context.WithCancelCause(context.WithoutCancel(s.ctx))
	defer stop(nil)
	ended := make(chan error, 1)
	go func() { ended <- in.run(ctx) }()
	for {
		select {
		case err := <-ended:
			return nil, err
		case <-s.ctx.Done():
			cause := context.Cause(s.ctx)
			if errors.Is(cause, context.Canceled) {
				s.retire(in, ended)
			}
			stop(cause)
			return nil, <-ended
		case m := <-s.moves:
			if m.from != in {
				m.done <- errMoved
				continue
			}
			stop(nil)
			err := <-ended
			if err == nil {
				in, err = s.replace(in, &m)
			}
			if err != nil {
				m.done <- err
			}
			return in, err
		}
	}
}

const (
	// transferSlack is how much longer than an election timeout, after which the core gives up, a hand-over may take.
	transferSlack = 100 * time.Millisecond
	// lingerFor is how long a node stays that has handed over, or has just sent clients to another node: a client that is at
	// work asks within this time, and then knows where to go. One that finds the port closed has to find out by itself. Client
	// libraries ask for the map of slots again some 200 ms after they did last.
	lingerFor = 250 * time.Millisecond
)

// retire hands leadership over before the node ends, so that nobody has to wait until it is missed, and names the new leader to
// those that still come here. Whatever comes of it, the node ends then.
func (s *server) retire(in *instance, ended chan error) {
	switch v := in.node.View(); {
	case alone(v):
		return
	case v.Role == raft.Leader:
		began := time.Now()
		limit := s.set.Int("raft-election-ms") + transferSlack.Milliseconds()
		if err := in.node.Transfer(0, limit); err != nil {
			s.log.Warn("hand_over_failed", "error", err)
			return
		}
		s.log.Info("handed_over", "took_ms", time.Since(began).Milliseconds())
	case time.Since(s.clients.LastMoved()) > lingerFor:
		return
	}
	select {
	case <-time.After(lingerFor):
	case err := <-ended:
		ended <- err
	}
}
