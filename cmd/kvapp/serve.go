package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"

	"kvapp/internal/config"
	"kvapp/internal/status"
	"kvapp/node"
	"kvapp/raft"
	"kvapp/resp"
	"kvapp/transport"
	"kvapp/wal"
)

// server is one running node: everything that serve opened, in the order in which close takes it down.
type server struct {
	set      *config.Settings
	log      *slog.Logger
	id       wal.Identity
	self     raft.Member
	members  []raft.Member
	registry *wal.Registry
	journal  *wal.Log
	snaps    *wal.Snapshots
	peers    *transport.Transport
	node     *node.Node
	clients  *resp.Server
	status   *status.Server

	peerListener, clientListener net.Listener

	published atomic.Pointer[node.Node] // what the transport may talk to
	failed    chan error                // capacity 1: why the node must end
}

// serve opens the node's directory, joins the cluster and serves clients until ctx ends or something is damaged. opened
// is called when ports and directory are this process' own.
func serve(ctx context.Context, set *config.Settings, log *slog.Logger, opened func() error) error {
	s := &server{set: set, log: log, failed: make(chan error, 1)}
	defer s.close()
	if err := s.identify(); err != nil {
		return err
	}
	if err := s.listen(); err != nil {
		return err
	}
	rec, err := s.openJournal()
	if err != nil {
		return err
	}
	shareCores(s.members, s.self, log)
	if err := opened(); err != nil {
		return err
	}
	if err := s.openTransport(); err != nil {
		return err
	}
	if err := s.openNode(rec); err != nil {
		return err
	}
	virgin := rec.Hard.Term <= bootstrapTerm && rec.Snapshot.Meta.Index == 0 && len(rec.Entries) <= 1
	return s.run(ctx, virgin)
}

// identify works out who this node is and who the members are.
func (s *server) identify() error {
	members, self, err := clusterMembers(s.set)
	if err != nil {
		return err
	}
	s.members, s.self = members, self
	s.id = wal.Identity{Cluster: clusterID(members), Node: self.ID, Name: self.Name}
	return nil
}

// listen takes both ports before anything else, so that a second process on them fails at once.
func (s *server) listen() error {
	bind := s.set.Words("bind")
	var err error
	if s.clientListener, err = listenAll(bind, s.set.Get("port")); err != nil {
		return fmt.Errorf("client port: %w", err)
	}
	if open(s.clientListener) && s.set.Get("requirepass") == "" && s.set.Bool("protected-mode") {
		s.log.Warn("protected_mode", "effect", "clients of other machines are refused: give --requirepass, or --protected-mode no if everybody may come")
	}
	_, peerPort, err := net.SplitHostPort(s.self.PeerAddr)
	if err != nil {
		return fmt.Errorf("peer address of %s: %w", s.self.Name, err)
	}
	if s.peerListener, err = listenAll(bind, peerPort); err != nil {
		return fmt.Errorf("peer port: %w", err)
	}
	return nil
}

// openJournal formats an empty directory, or verifies and opens what is there.
func (s *server) openJournal() (wal.Recovered, error) {
	dir := s.set.Get("dir")
	var none wal.Recovered
	exists, err := wal.Exists(dir)
	if err != nil {
		return none, err
	}
	if !exists {
		var b [8]byte
		if _, err := rand.Read(b[:]); err != nil {
			return none, err
		}
		fresh := s.id
		fresh.Incarnation = binary.LittleEndian.Uint64(b[:]) | 1
		if err := wal.Create(dir, fresh); err != nil {
			return none, err
		}
		s.log.Info("formatted", "dir", dir, "node", fresh.Name, "cluster", fresh.Cluster)
	}
	journal, rec, err := wal.Open(dir, wal.Identity{Name: s.id.Name, Node: s.id.Node}, wal.Options{Logger: s.log})
	if err != nil {
		return none, err
	}
	s.journal = journal
	if rec.Identity.Cluster != s.id.Cluster {
		// The membership of a running cluster lives in its log; the line on the command line only starts a new one.
		s.log.Warn("cluster_line_ignored", "reason", "this directory belongs to another or a changed cluster line; the members in its log count",
			"cluster", rec.Identity.Cluster)
	}
	s.id = rec.Identity
	if rec.Snapshot.Meta.Index == 0 && len(rec.Entries) == 0 {
		first, err := s.bootstrap()
		if err != nil {
			return none, err
		}
		rec.Entries, rec.First = []raft.Entry{first}, 1
		rec.Hard = raft.HardState{Term: bootstrapTerm, Commit: 1}
	}
	if s.registry, err = wal.OpenRegistry(dir); err != nil {
		return none, err
	}
	if s.snaps, err = wal.OpenSnapshots(filepath.Clean(dir)); err != nil {
		return none, err
	}
	return rec, nil
}

// bootstrapTerm is the term of the first entry, which every founding member writes by itself.
const bootstrapTerm = 1

// bootstrap writes the founding membership as entry 1: the same bytes on every member, so it counts as committed.
func (s *server) bootstrap() (raft.Entry, error) {
	m := raft.Membership{Members: s.members}
	e := raft.Entry{Index: 1, Term: bootstrapTerm, Kind: raft.EntryMembership, Data: raft.AppendMembership(nil, m)}
	err := s.journal.Append(&wal.Batch{
		Hard: raft.HardState{Term: bootstrapTerm, Commit: 1}, HasHard: true, Entries: []raft.Entry{e},
	})
	return e, err
}

func (s *server) hello() transport.Hello {
	return transport.Hello{Cluster: s.id.Cluster, Name: s.id.Name, Node: s.id.Node, Incarnation: s.id.Incarnation}
}

func (s *server) openTransport() error {
	var err error
	s.peers, err = transport.New(transport.Config{
		Self:     s.hello(),
		Listener: s.peerListener,
		Admit:    s.admit,
		Deliver: func(_ uint32, _ raft.NodeID, msgs []raft.Message) {
			if n := s.running(); n != nil {
				n.Deliver(msgs)
			}
		},
		Unreachable: func(id raft.NodeID) {
			if n := s.running(); n != nil {
				n.Unreachable(id)
			}
		},
		ReceiveSnapshot: s.receiveSnapshot,
		Refused:         s.refused,
		Logger:          s.log,
	})
	if err != nil {
		return err
	}
	s.peers.Start()
	return nil
}

// admit asks the registry whether a peer may speak; any goroutine. A registry that cannot be written ends this node, and
// must not look to the peer as if its own disk were at fault.
func (s *server) admit(name string, incarnation uint64) error {
	err := s.registry.Admit(name, incarnation)
	var wiped *wal.WipedError
	if err != nil && !errors.As(err, &wiped) {
		s.fail(err)
		return fmt.Errorf("%w: %w", transport.ErrTryLater, err)
	}
	return err
}

// fail ends the node; any goroutine. The first reason counts.
func (s *server) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// refused reports a peer that will never talk to this node again as it is.
func (s *server) refused(p transport.Peer, err *transport.RefusedError) {
	if err.Code != transport.CodeAdmit {
		return // logged by the transport; an operator may still correct the other side
	}
	s.fail(wipedError(s.id.Name, s.set.Get("dir"), err))
}

func wipedError(name, dir string, err error) error {
	return fmt.Errorf("node %s was a member of this cluster with other data: its directory %s has been wiped or replaced, "+
		"and an empty log must not vote in its name; put the old directory back (%w)", name, dir, err)
}

func (s *server) openNode(rec wal.Recovered) error {
	cfg := nodeConfig(s.set, s.id, s.self)
	deps := node.Deps{
		Log:       &journalLog{log: s.journal},
		Snapshots: snapshotFiles{s.snaps},
		Transport: &peerTransport{t: s.peers, snaps: s.snaps, self: s.id.Node},
		Clock:     bootClock{},
		Seed:      randomSeed(),
		Logger:    s.log,
		Recovered: raft.Recovered{
			Hard: rec.Hard, Snapshot: rec.Snapshot.Meta, First: rec.First, Terms: rec.Terms, Entries: rec.Entries,
		},
		Snapshot: node.SnapshotFile(rec.Snapshot),
		OnRole:   logRole,
	}
	n, err := node.New(cfg, deps)
	if err != nil {
		return err
	}
	s.node = n
	s.clients, err = resp.NewServer(resp.Options{
		Listener: s.clientListener, Node: n, Settings: s.set, Logger: s.log, Version: version, Cluster: s.id.Cluster,
		Peers: s.peerTraffic, Incarnation: s.incarnationOf,
	})
	if err != nil {
		return err
	}
	if port := s.set.Get("status-port"); port != "0" {
		l, err := listenAll(s.set.Words("bind"), port)
		if err != nil {
			return fmt.Errorf("status port: %w", err)
		}
		s.status = status.Serve(l, n, version)
	}
	return nil
}

// run serves until ctx ends or a part fails. A virgin node, whose log holds nothing of its own, registers with the
// others before it takes part; clients are told LOADING meanwhile.
func (s *server) run(ctx context.Context, virgin bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	wg.Go(func() {
		var err error
		if virgin {
			err = s.register(ctx)
		}
		if err == nil {
			s.published.Store(s.node)
			err = s.node.Run(ctx)
		}
		cancel(err)
	})
	wg.Go(func() {
		if err := s.clients.Serve(); err != nil {
			cancel(err)
		}
	})
	s.log.Info("serving", "node", s.id.Name, "clients", s.clientListener.Addr().String(),
		"peers", s.peerListener.Addr().String(), "dir", s.set.Get("dir"))
	var err error
	select {
	case <-ctx.Done():
		if err = context.Cause(ctx); errors.Is(err, context.Canceled) {
			err = nil
		}
	case err = <-s.failed:
	}
	cancel(err)
	closeErr := s.clients.Close()
	wg.Wait()
	return errors.Join(err, closeErr)
}

// close takes down what is open, clients first, the journal last.
func (s *server) close() {
	var errs []error
	if s.status != nil {
		errs = append(errs, s.status.Close())
	}
	if s.peers != nil {
		errs = append(errs, s.peers.Close())
	}
	for _, l := range []net.Listener{s.clientListener, s.peerListener} {
		if l != nil {
			if err := l.Close(); !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
	}
	if s.journal != nil {
		errs = append(errs, s.journal.Close())
	}
	if err := errors.Join(errs...); err != nil {
		s.log.Warn("close_failed", "error", err)
	}
}
