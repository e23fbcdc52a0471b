package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/redcon"

	"kvapp/raft"
	"kvapp/wal"
)

// How a node joins a running cluster: it asks a member for the cluster's id, notes in its directory that it joins (origin),
// and formats that with the id and an incarnation of its own. From then on nothing is decided twice: whenever it starts and
// has no log yet it asks to be added, as this disk, until a member says that it is, and then the leader sends the log. The
// log of a node that joins is never begun by itself, so it has no say before it has what the cluster has.

// joinAddrs are the addresses to join through: those noted in the directory, and those of the settings. None: the node
// founds its cluster.
func (s *server) joinAddrs(o origin) ([]string, error) {
	line := s.set.Get("join")
	if o.alone || line == "" {
		return o.join, nil
	}
	more, err := parseAddrs(line)
	if err != nil {
		return nil, fmt.Errorf("--join: %w", err)
	}
	addrs := slices.Clone(o.join)
	for _, a := range more {
		if !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	return addrs, nil
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
	o, err := settle(s.set.Get("dir"))
	if err != nil {
		return "", err
	}
	exists, err := wal.Exists(s.set.Get("dir"))
	if err != nil || exists {
		return "", err
	}
	addrs, err := s.joinAddrs(o)
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

// announce asks to be added. Afterwards the leader comes by itself, with the log.
func (in *instance) announce(ctx context.Context) error {
	self := in.srv.self
	add := []string{"RAFT", "ADD", self.Name, self.ClientAddr, "PEER", self.PeerAddr, "INCARNATION", hexText(in.id.Incarnation)}
	err := in.srv.persist(ctx, in.joins, func(addr string) error {
		p, err := in.srv.look(ctx, addr)
		if err == nil && p.cluster != in.id.Cluster {
			err = fmt.Errorf("it belongs to cluster %s, this node joins %s", p.cluster, in.id.Cluster)
		}
		if err == nil {
			_, err = askNode(ctx, in.srv.set, addr, add...)
		}
		return err
	})
	if err != nil {
		return err
	}
	in.srv.log.Info("join_accepted", "node", self.Name, "incarnation", add[len(add)-1])
	// Only now: whoever had the name before is removed for good, so nobody counts on what that one had.
	in.published.Store(in.node)
	return nil
}
