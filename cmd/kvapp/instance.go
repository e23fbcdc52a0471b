package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"

	"kvapp/internal/journal"
	"kvapp/internal/status"
	"kvapp/node"
	"kvapp/raft"
	"kvapp/transport"
	"kvapp/wal"
)

// instance is the node on its directory, and everything that belongs to one cluster: the client port and the settings
// are the server's.
type instance struct {
	srv      *server
	id       wal.Identity
	joined   bool     // the directory is of a node that was not there when the cluster was founded
	joins    []string // through whom it joins, as long as it has no log
	virgin   bool     // of a founding member: its log holds nothing of its own yet
	registry *wal.Registry
	journal  *wal.Log
	snaps    *wal.Snapshots
	peers    *transport.Transport
	node     *node.Node
	status   *status.Server

	peerListener net.Listener

	published atomic.Pointer[node.Node] // what the transport may talk to
	failed    chan error                // capacity 1: why the node must end
	closing   sync.Once
}

// open makes the directory this process' own and opens everything in it, as a member of cluster if it holds no log yet;
// "" is the cluster that the settings found. ready is called when directory and ports are taken.
func (s *server) open(cluster string, ready func() error) (_ *instance, err error) {
	in := &instance{srv: s, failed: make(chan error, 1)}
	defer func() {
		if err != nil {
			in.close()
		}
	}()
	if err := in.listen(); err != nil {
		return nil, err
	}
	rec, err := in.openJournal(cluster)
	if err != nil {
		return nil, err
	}
	if err := ready(); err != nil {
		return nil, err
	}
	in.registry.Follow(recoveredMembers(rec)) // before anybody calls
	if err := in.openTransport(); err != nil {
		return nil, err
	}
	if err := in.openNode(rec); err != nil {
		return nil, err
	}
	in.virgin = !in.joined && rec.Hard.Term <= bootstrapTerm && rec.Snapshot.Meta.Index == 0 && len(rec.Entries) <= 1
	if in.joined && len(recoveredMembers(rec)) == 0 {
		from, err := readOrigin(s.set.Get("dir"))
		if err != nil {
			return nil, err
		}
		if in.joins, err = s.joinAddrs(from); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// listen takes the port for the other nodes.
func (in *instance) listen() error {
	self := in.srv.self
	_, port, err := net.SplitHostPort(self.PeerAddr)
	if err != nil {
		return fmt.Errorf("peer address of %s: %w", self.Name, err)
	}
	if in.peerListener, err = listenAll(in.srv.set.Words("bind"), port); err != nil {
		return fmt.Errorf("peer port: %w", err)
	}
	return nil
}

// openJournal formats an empty directory, or verifies and opens what is there.
func (in *instance) openJournal(cluster string) (wal.Recovered, error) {
	s, dir := in.srv, in.srv.set.Get("dir")
	var none wal.Recovered
	exists, err := wal.Exists(dir)
	if err == nil && !exists {
		err = s.format(dir, cluster)
	}
	if err != nil {
		return none, err
	}
	from, err := readOrigin(dir)
	if err != nil {
		return none, err
	}
	in.joined = len(from.join) > 0
	if exists && !in.joined && s.set.Get("join") != "" {
		s.log.Warn("join_ignored", "reason", "this directory's node belongs to a cluster already", "dir", dir)
	}
	l, rec, err := wal.Open(dir, wal.Identity{Name: s.self.Name, Node: s.self.ID}, wal.Options{Logger: s.log})
	if err != nil {
		return none, err
	}
	in.journal, in.id = l, rec.Identity
	if s.set.Get("cluster") != "" && in.id.Cluster != clusterID(s.line) {
		// The membership of a running cluster lives in its log; the line on the command line only starts a new one.
		s.log.Warn("cluster_line_ignored", "reason", "this directory belongs to another or a changed cluster line; the members in its log count",
			"cluster", in.id.Cluster)
	}
	if rec.Snapshot.Meta.Index == 0 && len(rec.Entries) == 0 && !in.joined {
		first, err := in.bootstrap()
		if err != nil {
			return none, err
		}
		rec.Entries, rec.First = []raft.Entry{first}, 1
		rec.Hard = raft.HardState{Term: bootstrapTerm, Commit: 1}
	}
	if in.registry, err = wal.OpenRegistry(dir); err != nil {
		return none, err
	}
	if in.snaps, err = wal.OpenSnapshots(filepath.Clean(dir)); err != nil {
		return none, err
	}
	return rec, nil
}

// format makes an empty directory that of a new node of cluster.
func (s *server) format(dir, cluster string) error {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return err
	}
	fresh := wal.Identity{
		Cluster: cluster, Node: s.self.ID, Name: s.self.Name, Incarnation: binary.LittleEndian.Uint64(b[:]) | 1,
	}
	o, err := readOrigin(dir)
	if err != nil {
		return err
	}
	switch {
	case cluster != "":
		if o.join, err = s.joinAddrs(o); err != nil {
			return err
		}
		if err := o.write(dir); err != nil {
			return err
		}
	case s.set.Get("cluster") != "" && !o.alone:
		fresh.Cluster = clusterID(s.line)
	default:
		fresh.Cluster = loneID(fresh)
	}
	if err := wal.Create(dir, fresh); err != nil {
		return err
	}
	s.log.Info("formatted", "dir", dir, "node", fresh.Name, "cluster", fresh.Cluster)
	return nil
}

// clusterID names a cluster by its founding line: every member computes the same.
func clusterID(members []raft.Member) string {
	h := sha256.New()
	for _, m := range members {
		fmt.Fprintf(h, "%s=%s/%s\n", m.Name, m.ClientAddr, m.PeerAddr)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// loneID names the cluster that a node founds alone: by its disk, so that no other cluster ever has the same.
func loneID(id wal.Identity) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%s/%016x", id.Name, id.Incarnation))
	return hex.EncodeToString(h[:16])
}

// bootstrapTerm is the term of the first entry, which every founding member writes by itself.
const bootstrapTerm = 1

// bootstrap writes the founding membership as entry 1: the same bytes on every member, so it counts as committed.
func (in *instance) bootstrap() (raft.Entry, error) {
	var m raft.Membership
	switch in.id.Cluster {
	case loneID(in.id):
		m.Members = []raft.Member{in.srv.self}
	case clusterID(in.srv.line):
		m.Members = in.srv.line
	default:
		return raft.Entry{}, fmt.Errorf("%s was prepared for another --cluster line and holds no data yet: give that line, or remove the directory",
			in.srv.set.Get("dir"))
	}
	e := raft.Entry{Index: 1, Term: bootstrapTerm, Kind: raft.EntryMembership, Data: raft.AppendMembership(nil, m)}
	err := in.journal.Append(&wal.Batch{
		Hard: raft.HardState{Term: bootstrapTerm, Commit: 1}, HasHard: true, Entries: []raft.Entry{e},
	})
	return e, err
}

// recoveredMembers are the members that a log names last.
func recoveredMembers(rec wal.Recovered) []raft.Member {
	m, err := rec.Membership()
	if err != nil {
		return nil // the core refuses the log in a moment, and says why
	}
	return m.Members
}

func (in *instance) hello() transport.Hello {
	return transport.Hello{
		Cluster: in.id.Cluster, Name: in.id.Name, Node: in.id.Node, Incarnation: in.id.Incarnation, Addr: in.srv.self.PeerAddr,
	}
}

func (in *instance) openTransport() error {
	var err error
	in.peers, err = transport.New(transport.Config{
		Self:     in.hello(),
		Listener: in.peerListener,
		Admit:    in.admit,
		Deliver: func(_ uint32, _ raft.NodeID, msgs []raft.Message) {
			if n := in.running(); n != nil {
				n.Deliver(msgs)
			}
		},
		Unreachable: func(id raft.NodeID) {
			if n := in.running(); n != nil {
				n.Unreachable(id)
			}
		},
		ReceiveSnapshot: in.receiveSnapshot,
		Refused:         in.refused,
		Logger:          in.srv.log,
	})
	if err != nil {
		return err
	}
	in.peers.Start()
	return nil
}

// admit asks the registry whether a peer may speak; any goroutine. A registry that cannot be written ends this node, and
// must not look to the peer as if its own disk were at fault.
func (in *instance) admit(name string, incarnation uint64) error {
	err := in.registry.Admit(name, incarnation)
	var wiped *wal.WipedError
	if err != nil && !errors.As(err, &wiped) {
		in.fail(err)
		return fmt.Errorf("%w: %w", transport.ErrTryLater, err)
	}
	return err
}

// fail ends the node; any goroutine. The first reason counts.
func (in *instance) fail(err error) {
	select {
	case in.failed <- err:
	default:
	}
}

// refused reports a peer that will never talk to this node again as it is.
func (in *instance) refused(p transport.Peer, err *transport.RefusedError) {
	// Whoever refuses a node that was added has not heard of the addition yet: it will, from the leader.
	if err.Code != transport.CodeAdmit || in.joined {
		return // logged by the transport; an operator may still correct the other side
	}
	in.fail(wipedError(in.id.Name, in.srv.set.Get("dir"), err))
}

func wipedError(name, dir string, err error) error {
	return fmt.Errorf("node %s was a member of this cluster with other data: its directory %s has been wiped or replaced, "+
		"and an empty log must not vote in its name; put the old directory back, or remove the member (RAFT REMOVE %s) and start "+
		"with an empty directory and --join (%w)", name, dir, name, err)
}

func (in *instance) openNode(rec wal.Recovered) error {
	s := in.srv
	deps := node.Deps{
		Log:       journal.NewLog(in.journal),
		Snapshots: journal.Snapshots{Files: in.snaps},
		Transport: &peerTransport{t: in.peers, snaps: in.snaps, registry: in.registry, self: in.id.Node},
		Clock:     bootClock{},
		Seed:      randomSeed(),
		Logger:    s.log,
		Recovered: raft.Recovered{
			Hard: rec.Hard, Snapshot: rec.Snapshot.Meta, First: rec.First, Terms: rec.Terms, Entries: rec.Entries,
		},
		Snapshot: node.SnapshotFile(rec.Snapshot),
		OnRole:   logRole,
	}
	cfg := nodeConfig(s.set, in.id, s.self)
	cfg.Memory = s.memory
	n, err := node.New(cfg, deps)
	if err != nil {
		return err
	}
	in.node = n
	logRole(raft.Follower)
	if port := s.set.Get("status-port"); port != "0" {
		l, err := listenAll(s.set.Words("bind"), port)
		if err != nil {
			return fmt.Errorf("status port: %w", err)
		}
		in.status = status.Serve(l, n, version)
	}
	return nil
}

// run takes part until ctx ends (nil) or a part fails. A virgin node registers with the others first, and one that joins
// asks to be added meanwhile.
func (in *instance) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	wg.Go(func() {
		var err error
		if in.virgin {
			err = in.register(ctx)
		}
		if err == nil {
			if len(in.joins) == 0 {
				in.published.Store(in.node)
			}
			err = in.node.Run(ctx)
		}
		cancel(err)
	})
	if len(in.joins) > 0 {
		wg.Go(func() {
			if err := in.announce(ctx); err != nil {
				cancel(err)
			}
		})
	}
	var err error
	select {
	case <-ctx.Done():
		err = context.Cause(ctx)
	case err = <-in.failed:
	}
	cancel(err)
	wg.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// running returns the node once it takes part; any goroutine.
func (in *instance) running() *node.Node { return in.published.Load() }

// close takes down what is open, the journal last. A second call does nothing.
func (in *instance) close() { in.closing.Do(in.takeDown) }

func (in *instance) takeDown() {
	var errs []error
	if in.status != nil {
		errs = append(errs, in.status.Close())
	}
	if in.peers != nil {
		errs = append(errs, in.peers.Close())
	}
	if in.peerListener != nil {
		if err := in.peerListener.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if in.journal != nil {
		errs = append(errs, in.journal.Close())
	}
	if err := errors.Join(errs...); err != nil {
		in.srv.log.Warn("close_failed", "error", err)
	}
}
