//go:build oracle

package config

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/internal/e2e/cluster"
)

// debian is the file that Debian's package redis-server installs, unless its owner has changed it.
const debian = "/etc/redis/redis.conf"

func TestDebiansFileLoads(t *testing.T) {
	s := New()
	require.NoError(t, s.LoadFile(debian))
	require.Equal(t, "6379", s.Get("port"))
	require.Equal(t, []string{"127.0.0.1", "-::1"}, s.Words("bind"))
	require.Equal(t, "always", s.Get("appendfsync"))
	require.Subset(t, s.Ignored(), []string{"appendfsync", "appendonly", "daemonize"})
}

// Whatever redis-server shows is a setting here, and the value it shows is accepted.
func TestEverySettingOfRedis(t *testing.T) {
	port := strconv.Itoa(cluster.Ports(t, 1)[0])
	server := exec.Command("redis-server", "--port", port, "--save", "", "--dir", t.TempDir())
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait() // killed
	})
	var out []byte
	require.Eventually(t, func() bool {
		var err error
		out, err = exec.Command("redis-cli", "-p", port, "config", "get", "*").Output()
		return err == nil
	}, 10*time.Second, 20*time.Millisecond)
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	require.Greater(t, len(lines), 300)
	s, named := New(), make(map[string]bool)
	for i := 0; i+1 < len(lines); i += 2 {
		name, value := lines[i], lines[i+1]
		named[name] = true
		require.NoError(t, s.Set(name, value), name)
		if row := Lookup(name); !row.constant && name != "dir" && name != "port" && name != "bind" {
			require.Equal(t, value, row.Default(), name)
		}
	}
	// The other way round: what is no setting of Redis is a setting of ours, with its line of help.
	for _, name := range Names() {
		if strings.HasPrefix(name, "set-max-listpack-") {
			require.False(t, named[name], "%s: of Redis 7.2", name)
			continue
		}
		require.True(t, named[name] || Lookup(name).Doc() != "", name)
	}
}
