package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tidwall/redcon"

	"kvapp/raft"
	"kvapp/wal"
)

// How a node joins a running cluster: it asks a member for the cluster's id, notes in its directory that it joins, and
// formats that with the id and an incarnation of its own. From then on nothing is decided twice: whenever it starts and
// has no log yet it asks to be added, as this disk, until a member says that it is, and then the leader sends the log. The
// log of a node that joins is never begun by itself, so it has no say before it has what the cluster has.

// joinName is the file that says that this directory's node joins, and through whom: one line as in a file of settings.
const joinName = "join.conf"

// joinAddrs are the addresses to join through: of the settings, or else those noted in the directory. None: the node is
// a founding member.
func (s *server) joinAddrs() ([]string, error) {
	noted, err := os.ReadFile(filepath.Join(s.set.Get("dir"), joinName))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("join: %w", err)
	}
	line := s.set.Get("join")
	if line == "" {
		_, line, _ = strings.Cut(strings.TrimSpace(string(noted)), " ")
	}
	if line == "" {
		return nil, nil
	}
	var addrs []string
	for _, part := range strings.Split(line, ",") {
		m, err := parseMember("join=" + strings.TrimSpace(part) + "@1") // the same rules; its port for other nodes does not matter
		if err != nil {
			return nil, fmt.Errorf("--join: %q is not host:port", strings.TrimSpace(part))
		}
		addrs = append(addrs, m.ClientAddr)
	}
	return addrs, nil
}

// joins says whether the directory is that of a node that joins, whatever has become of it since.
func joins(dir string) (bool, error) {
	_, err := os.Stat(filepath.Join(dir, joinName))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return false, fmt.Errorf("join: %w", err)
	}
	return err == nil, nil
}

// noteJoin makes it durable that the node of this directory joins. It comes before the log, so that a log without it is
// one that was founded here.
func noteJoin(dir string, addrs []string) error {
	line := []byte("join " + strings.Join(addrs, ",") + "\n")
	name := filepath.Join(dir, joinName)
	if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, line) {
		return nil
	}
	temp := filepath.Join(dir, "new-"+joinName)
	if err := errors.Join(os.MkdirAll(dir, 0o755), writeSynced(temp, line)); err != nil {
		return fmt.Errorf("join: %w", err)
	}
	if err := os.Rename(temp, name); err != nil {
		return fmt.Errorf("join: %w", err)
	}
	if err := syncDir(dir); err != nil {
		return fmt.Errorf("join: %w", err)
	}
	return nil
}

func writeSynced(name string, data []byte) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// picture is what a member tells of its cluster.
type picture struct {
	cluster string
	members []raft.Member // ID, Name and addresses
}

// look asks the node at addr which cluster it belongs to, and who its members are.
func (s *server) look(ctx context.Context, addr string) (p picture, err error) {
	r, err := askNode(ctx, s.set, addr, "RAFT", "STATUS")
	if err != nil {
		return p, err
	}
	fields := r.Map()
	p.cluster = fields["cluster"].String()
	fields["members"].ForEach(func(r redcon.RESP) bool {
		f := r.Map()
		m := raft.Member{Name: f["name"].String(), ClientAddr: f["addr"].String(), PeerAddr: f["peer_addr"].String()}
		m.ID = raft.NodeIDFromName(m.Name)
		p.members = append(p.members, m)
		return true
	})
	if p.cluster == "" {
		return p, errors.New("the answer names no cluster")
	}
	return p, nil
}

// patience is the pause between two attempts to join: it doubles up to the limit.
const (
	patienceMin = 50 * time.Millisecond
	patienceMax = time.Second
)

// persist calls try for one address after the other, in rounds, until it succeeds, is refused for good, or ctx ends.
func (s *server) persist(ctx context.Context, addrs []string, try func(addr string) error) error {
	said := ""
	for wait := patienceMin; ; wait = min(2*wait, patienceMax) {
		for _, addr := range addrs {
			err := try(addr)
			if err == nil {
				return nil
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			var refused replyError
			if errors.As(err, &refused) && refused.final() {
				return fmt.Errorf("%s refuses this node: %w", addr, err)
			}
			if text := addr + ": " + failureText(err); text != said {
				said = text
				s.log.Warn("join_waits", "asks", addr, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

// find returns the id of the cluster to join, "" when the directory holds a log already or founds its own cluster. It
// waits for a member to tell it.
func (s *server) find(ctx context.Context) (cluster string, err error) {
	exists, err := wal.Exists(s.set.Get("dir"))
	if err != nil || exists {
		return "", err
	}
	addrs, err := s.joinAddrs()
	if err != nil || len(addrs) == 0 {
		return "", err
	}
	return s.discover(ctx, addrs)
}

// discover waits until a member tells the cluster's id.
func (s *server) discover(ctx context.Context, addrs []string) (cluster string, err error) {
	s.log.Info("join_begins", "asks", strings.Join(addrs, ","))
	err = s.persist(ctx, addrs, func(addr string) error {
		p, err := s.look(ctx, addr)
		cluster = p.cluster
		return err
	})
	return cluster, err
}

// announce asks to be added, and then keeps in touch with who the members are until the log tells it.
func (in *instance) announce(ctx context.Context) error {
	self := in.srv.self
	add := []string{"RAFT", "ADD", self.Name, self.ClientAddr, "PEER", self.PeerAddr, "INCARNATION", fmt.Sprintf("%016x", in.id.Incarnation)}
	err := in.srv.persist(ctx, in.joins, func(addr string) error {
		if err := in.meet(ctx, addr); err != nil {
			return err
		}
		_, err := askNode(ctx, in.srv.set, addr, add...)
		return err
	})
	if err != nil {
		return err
	}
	in.srv.log.Info("join_accepted", "node", self.Name, "incarnation", add[len(add)-1])
	return in.srv.persist(ctx, in.joins, func(addr string) error {
		if len(in.node.View().Members) > 0 {
			return nil
		}
		if err := in.meet(ctx, addr); err != nil {
			return err
		}
		return errNoLog
	})
}

var errNoLog = errors.New("the leader has not sent the log yet")

// meet learns from the node at addr where the members are: the leader that sends the log must be answered.
func (in *instance) meet(ctx context.Context, addr string) error {
	p, err := in.srv.look(ctx, addr)
	if err != nil {
		return err
	}
	if p.cluster != in.id.Cluster {
		return fmt.Errorf("it belongs to cluster %s, this node joins %s", p.cluster, in.id.Cluster)
	}
	in.wire.introduce(p.members)
	return nil
}
