package main

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"kvapp/internal/config"
	"kvapp/raft"
)

// clusterMembers reads the founding members from the settings, sorted by id, and finds this node among them. Without
// a cluster line the node founds a cluster of its own.
func clusterMembers(set *config.Settings) (members []raft.Member, self raft.Member, err error) {
	name, line := set.Get("node"), set.Get("cluster")
	if line == "" {
		if line, err = ownLine(set); err != nil {
			return nil, self, err
		}
	}
	for _, part := range strings.Split(line, ",") {
		m, err := parseMember(strings.TrimSpace(part))
		if err != nil {
			return nil, self, fmt.Errorf("--cluster: %w", err)
		}
		for _, o := range members {
			if o.Name == m.Name || o.ID == m.ID {
				return nil, self, fmt.Errorf("--cluster: node %s is listed twice", m.Name)
			}
			if o.ClientAddr == m.ClientAddr || o.PeerAddr == m.PeerAddr {
				return nil, self, fmt.Errorf("--cluster: %s and %s have the same address", o.Name, m.Name)
			}
		}
		members = append(members, m)
	}
	slices.SortFunc(members, func(a, b raft.Member) int { return cmp.Compare(a.ID, b.ID) })
	for _, m := range members {
		if m.Name == name {
			return members, m, nil
		}
	}
	return nil, self, fmt.Errorf("--node %s is not listed in --cluster %s", name, line)
}

// ownLine is the cluster line of a node that founds a cluster alone.
func ownLine(set *config.Settings) (string, error) {
	host := set.Get("cluster-announce-ip")
	if bind := set.Words("bind"); host == "" && len(bind) > 0 {
		host = strings.TrimPrefix(bind[0], "-")
	}
	if ip := net.ParseIP(host); host == "" || strings.HasSuffix(host, "*") || ip != nil && ip.IsUnspecified() {
		return "", fmt.Errorf("--bind %q is no address that clients can be told: give --cluster-announce-ip", set.Get("bind"))
	}
	port := set.Get("port")
	if p := set.Get("cluster-announce-port"); p != "0" {
		port = p
	}
	line := set.Get("node") + "=" + net.JoinHostPort(host, port)
	if p := set.Get("peer-port"); p != "0" {
		line += "@" + p
	}
	return line, nil
}

// parseMember reads name=host:port or name=host:port@peerport.
func parseMember(text string) (raft.Member, error) {
	var m raft.Member
	name, addr, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return m, fmt.Errorf("%q is not name=host:port", text)
	}
	addr, peer, hasPeer := strings.Cut(addr, "@")
	host, portText, err := net.SplitHostPort(addr)
	if err != nil || host == "" {
		return m, fmt.Errorf("%q is not name=host:port", text)
	}
	port, err := parsePort(portText)
	if err != nil {
		return m, fmt.Errorf("%s: %w", name, err)
	}
	peerPort := port + config.PeerPortOffset
	if hasPeer {
		if peerPort, err = parsePort(peer); err != nil {
			return m, fmt.Errorf("%s: %w", name, err)
		}
	} else if peerPort > 65535 {
		return m, fmt.Errorf("%s: port %d + %d is no port: give the port for the other nodes as host:port@peerport", name, port, config.PeerPortOffset)
	}
	return raft.Member{
		ID: raft.NodeIDFromName(name), Name: name,
		ClientAddr: net.JoinHostPort(host, strconv.Itoa(port)), PeerAddr: net.JoinHostPort(host, strconv.Itoa(peerPort)),
	}, nil
}

func parsePort(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 65535 {
		return 0, fmt.Errorf("%q is no port (1-65535)", text)
	}
	return n, nil
}
