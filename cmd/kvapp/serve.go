package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"kvapp/internal/config"
	"kvapp/raft"
	"kvapp/resp"
)

// server is one running process: its settings, the client port, and the node behind it.
type server struct {
	set  *config.Settings
	log  *slog.Logger
	self raft.Member   // this node, as the settings describe it
	line []raft.Member // the founding members that they name; without a cluster line this node alone

	clientListener net.Listener
}

// serve opens the node's directory, joins the cluster and serves clients until ctx ends or something is damaged. opened
// is called when ports and directory are this process' own.
func serve(ctx context.Context, set *config.Settings, log *slog.Logger, opened func() error) error {
	s := &server{set: set, log: log}
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
	defer in.close()
	return s.run(ctx, in)
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
func (s *server) run(ctx context.Context, in *instance) error {
	clients, err := resp.NewServer(resp.Options{
		Listener: s.clientListener, Node: in.node, Settings: s.set, Logger: s.log, Version: version, Cluster: in.id.Cluster,
		Peers: in.peerTraffic, Incarnation: in.incarnationOf,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := clients.Serve(); err != nil {
			cancel(err)
		}
	})
	s.log.Info("serving", "node", in.id.Name, "clients", s.clientListener.Addr().String(),
		"peers", in.peerListener.Addr().String(), "dir", s.set.Get("dir"))
	err = in.run(ctx)
	err = errors.Join(err, clients.Close())
	wg.Wait()
	return err
}
