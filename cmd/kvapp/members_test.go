package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"kvapp/internal/config"
	"kvapp/raft"
)

func TestParseMember(t *testing.T) {
	for text, want := range map[string]raft.Member{
		"n1=127.0.0.1:7001":       {Name: "n1", ClientAddr: "127.0.0.1:7001", PeerAddr: "127.0.0.1:17001"},
		"a.b-c=db.example:6379@1": {Name: "a.b-c", ClientAddr: "db.example:6379", PeerAddr: "db.example:1"},
		"n1=[::1]:7001":           {Name: "n1", ClientAddr: "[::1]:7001", PeerAddr: "[::1]:17001"},
		"n1=h:55535":              {Name: "n1", ClientAddr: "h:55535", PeerAddr: "h:65535"},
		"n1=h:65535@65534":        {Name: "n1", ClientAddr: "h:65535", PeerAddr: "h:65534"},
	} {
		want.ID = raft.NodeIDFromName(want.Name)
		got, err := parseMember(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for text, why := range map[string]string{
		"":                 `"" is not name=host:port`,
		"n1":               `"n1" is not name=host:port`,
		"=h:1":             `"=h:1" is not name=host:port`,
		"n1=":              `"n1=" is not name=host:port`,
		"n1=h":             `"n1=h" is not name=host:port`,
		"n1=:7001":         `"n1=:7001" is not name=host:port`,
		"n1=::1:7001":      `"n1=::1:7001" is not name=host:port`,
		"n1=h:0":           `n1: "0" is no port (1-65535)`,
		"n1=h:-1":          `n1: "-1" is no port (1-65535)`,
		"n1=h:http":        `n1: "http" is no port (1-65535)`,
		"n1=h:7001@":       `n1: "" is no port (1-65535)`,
		"n1=h:7001@70000":  `n1: "70000" is no port (1-65535)`,
		"n1=h:55536":       `n1: port 55536 + 10000 is no port: give the port for the other nodes as host:port@peerport`,
		"n1=h:99999":       `n1: "99999" is no port (1-65535)`,
		"n1=h:99999@1":     `n1: "99999" is no port (1-65535)`,
		"n1=h:1@2@3":       `n1: "2@3" is no port (1-65535)`,
		"n1=h:7001,n2=h:1": `"n1=h:7001,n2=h:1" is not name=host:port`,
	} {
		_, err := parseMember(text)
		require.EqualError(t, err, why, text)
	}
}

func membersOf(t *testing.T, pairs ...string) ([]raft.Member, raft.Member, error) {
	t.Helper()
	set := config.New()
	for i := 0; i < len(pairs); i += 2 {
		require.NoError(t, set.Set(pairs[i], pairs[i+1]))
	}
	return clusterMembers(set)
}

func TestClusterLine(t *testing.T) {
	line := "n1=127.0.0.1:7001, n2=127.0.0.1:7002,n3=127.0.0.1:7003"
	members, self, err := membersOf(t, "cluster", line, "node", "n2")
	require.NoError(t, err)
	require.Len(t, members, 3)
	require.Equal(t, "127.0.0.1:7002", self.ClientAddr)
	// The order of the line does not matter: every member computes the same cluster id.
	turned, _, err := membersOf(t, "cluster", "n3=127.0.0.1:7003,n1=127.0.0.1:7001,n2=127.0.0.1:7002", "node", "n1")
	require.NoError(t, err)
	require.Equal(t, members, turned)
	require.Equal(t, clusterID(members), clusterID(turned))
	moved, _, err := membersOf(t, "cluster", "n1=127.0.0.1:7001,n2=127.0.0.1:7002,n3=127.0.0.1:7003@1", "node", "n1")
	require.NoError(t, err)
	require.NotEqual(t, clusterID(members), clusterID(moved))

	for line, why := range map[string]string{
		"n1=h:1,n1=h:2":     "--cluster: node n1 is listed twice",
		"n1=h:1,n3=h:1":     "--cluster: n1 and n3 have the same address",
		"n1=h:1@9,n3=h:2@9": "--cluster: n1 and n3 have the same address",
		"n1=h:1,":           `--cluster: "" is not name=host:port`,
		"n1=h:1,n3=h:3":     "--node n2 is not listed in --cluster n1=h:1,n3=h:3",
	} {
		_, _, err := membersOf(t, "cluster", line, "node", "n2")
		require.EqualError(t, err, why)
	}
}

func TestClusterOfOne(t *testing.T) {
	_, self, err := membersOf(t, "port", "7001")
	require.NoError(t, err)
	require.Equal(t, "n1", self.Name)
	require.Equal(t, "127.0.0.1:7001", self.ClientAddr)
	require.Equal(t, "127.0.0.1:17001", self.PeerAddr)
	_, self, err = membersOf(t, "port", "7001", "bind", "-10.0.0.1 127.0.0.1", "peer-port", "9", "node", "x")
	require.NoError(t, err)
	require.Equal(t, "10.0.0.1:7001", self.ClientAddr)
	require.Equal(t, "10.0.0.1:9", self.PeerAddr)
	_, self, err = membersOf(t, "bind", "*", "cluster-announce-ip", "192.0.2.7", "cluster-announce-port", "8000")
	require.NoError(t, err)
	require.Equal(t, "192.0.2.7:8000", self.ClientAddr)
	for _, bind := range []string{"*", "::*", "-::*", "0.0.0.0", "::", ""} {
		_, _, err = membersOf(t, "bind", bind)
		require.ErrorContains(t, err, "give --cluster-announce-ip", "bind %q", bind)
	}
}
