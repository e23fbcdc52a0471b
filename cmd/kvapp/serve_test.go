package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kvapp/internal/e2e/cluster"
)

func TestMain(m *testing.M) { cluster.Main(m) }

// lockedBuffer is a log that may be read while it grows.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startServer runs `kvapp server` in this process until the test ends or stop is called.
func startServer(t *testing.T, args ...string) (log *lockedBuffer, stop func() error) {
	t.Helper()
	log = new(lockedBuffer)
	ctx, cancel := context.WithCancel(t.Context())
	cmd := rootCommand()
	cmd.SetOut(log)
	cmd.SetArgs(append([]string{"server"}, args...))
	done := make(chan error, 1)
	go func() { done <- cmd.ExecuteContext(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() { _ = stop() })
	return log, stop
}

// ask sends an inline command until the server answers it with want.
func ask(t *testing.T, addr, command, want string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if !assert.NoError(c, err) {
			return
		}
		defer conn.Close() //nolint:errcheck // nothing is pending
		_, err = io.WriteString(conn, command+"\r\n")
		assert.NoError(c, err)
		line, err := bufio.NewReader(conn).ReadString('\n')
		assert.NoError(c, err)
		assert.Equal(c, want+"\r\n", line)
	}, 20*time.Second, 20*time.Millisecond)
}

func TestServe(t *testing.T) {
	ports := cluster.Ports(t, 3)
	port, statusPort := strconv.Itoa(ports[0]), strconv.Itoa(ports[2])
	dir := t.TempDir()
	second := twoAddresses(t)[1]
	file := confFile(t, fmt.Sprintf("bind 127.0.0.1 %s -192.0.2.1\nport %s\nsave 3600 1\nappendfsync everysec\n", second, port))
	args := []string{file, "--dir", filepath.Join(dir, "data"), "--peer-port", strconv.Itoa(ports[1]), "--status-port", statusPort}
	pidfile := filepath.Join(dir, "kvapp.pid")
	log, stop := startServer(t, append(args, "--pidfile", pidfile)...)
	ask(t, "127.0.0.1:"+port, "SET a 1", "+OK")
	ask(t, net.JoinHostPort(second, port), "GET nothing", "$-1")
	resp, err := http.Get("http://127.0.0.1:" + statusPort + "/readyz")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.FileExists(t, pidfile)

	// A second start by mistake fails, and leaves the first one's pid file alone.
	_, again := startServer(t, append(args, "--pidfile", pidfile)...)
	require.ErrorContains(t, again(), "client port: ")
	require.FileExists(t, pidfile)

	require.NoError(t, stop())
	require.NoFileExists(t, pidfile)
	require.Contains(t, log.String(), ` # settings_ignored reason="they have no effect on this server" names=appendfsync,save`)
	require.Contains(t, log.String(), " * serving ")
	require.Contains(t, log.String(), " * stopped\n")
	require.NotContains(t, log.String(), "protected_mode", "only this machine can come")

	// What was written is there after a restart.
	_, stop = startServer(t, args...)
	ask(t, "127.0.0.1:"+port, "EXISTS a", ":1")
	require.NoError(t, stop())
}

// Listening elsewhere without a password is said and refused to strangers, unless it was asked for.
func TestProtectedModeIsSaid(t *testing.T) {
	for _, c := range []struct {
		args []string
		said bool
		pong string
	}{
		{nil, true, "+PONG"},
		{[]string{"--protected-mode", "no"}, false, "+PONG"},
		{[]string{"--requirepass", "secret"}, false, "-NOAUTH Authentication required."},
	} {
		ports := cluster.Ports(t, 2)
		log, stop := startServer(t, append([]string{
			"--bind", "*", "--cluster-announce-ip", "127.0.0.1", "--dir", t.TempDir(),
			"--port", strconv.Itoa(ports[0]), "--peer-port", strconv.Itoa(ports[1]),
		}, c.args...)...)
		ask(t, fmt.Sprintf("127.0.0.1:%d", ports[0]), "PING", c.pong)
		require.NoError(t, stop())
		if c.said {
			require.Contains(t, log.String(), " # protected_mode ", c.args)
		} else {
			require.NotContains(t, log.String(), "protected_mode", c.args)
		}
		require.NotContains(t, log.String(), "secret")
	}
}

func TestServeRefuses(t *testing.T) {
	for want, args := range map[string][]string{
		"--node n9 is not listed":     {"--node", "n9", "--cluster", "n1=127.0.0.1:7001"},
		"give --cluster-announce-ip":  {"--bind", "*"},
		"none of the addresses":       {"--bind", "-192.0.2.1", "--dir", t.TempDir()},
		"logfile: ":                   {"--logfile", t.TempDir()},
		"pidfile: ":                   {"--pidfile", t.TempDir(), "--dir", t.TempDir(), "--port", strconv.Itoa(cluster.Ports(t, 1)[0])},
		"did you mean \"maxclients\"": {"--maxclient", "1"},
	} {
		_, stop := startServer(t, args...)
		require.ErrorContains(t, stop(), want)
	}
}

// A founding member whose fellows are not up yet waits for them, as long as it takes; who asks it meanwhile is answered.
func TestServeWhileRegistering(t *testing.T) {
	ports := cluster.Ports(t, 7)
	addr := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	log, stop := startServer(t, "--dir", t.TempDir(), "--port", strconv.Itoa(ports[0]), "--status-port", strconv.Itoa(ports[6]),
		"--cluster", fmt.Sprintf("n1=%s@%d,n2=%s@%d,n3=%s@%d", addr(0), ports[1], addr(2), ports[3], addr(4), ports[5]))
	ask(t, addr(0), "GET a", "-LOADING Redis is loading the dataset in memory")
	ask(t, addr(0), "RAFT HASH", "-ERR state hash: node is starting")
	ask(t, addr(0), "WAIT 1 0", "-LOADING Redis is loading the dataset in memory")
	for _, line := range []string{"RAFT STATUS", "INFO", "CLUSTER NODES"} {
		conn, err := net.DialTimeout("tcp", addr(0), time.Second)
		require.NoError(t, err)
		require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
		_, err = io.WriteString(conn, line+"\r\n")
		require.NoError(t, err)
		head, err := bufio.NewReader(conn).ReadString('\n')
		require.NoError(t, err, line)
		require.Regexp(t, `^[*$]\d+\r\n$`, head, line)
		require.NoError(t, conn.Close())
	}
	client := http.Client{Timeout: 10 * time.Second}
	for path, want := range map[string]int{"/metrics": 200, "/livez": 200, "/readyz": 503} {
		resp, err := client.Get("http://" + addr(6) + path)
		require.NoError(t, err, path)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, want, resp.StatusCode, path)
	}
	require.NoError(t, stop())
	require.Contains(t, log.String(), " * first_start ")
}
