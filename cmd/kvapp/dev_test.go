package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/internal/e2e/cluster"
)

func devOn(t *testing.T, nodes int) *devOptions {
	t.Helper()
	return &devOptions{nodes: nodes, port: cluster.DevPort(t, nodes), dir: t.TempDir()}
}

func TestDevCommandLine(t *testing.T) {
	o := devOn(t, 3)
	o.extra = []string{"--read-mode", "quorum"}
	cmd, err := o.command(2)
	require.NoError(t, err)
	line := strings.Join(cmd.Args[1:], " ")
	require.Equal(t, fmt.Sprintf("server --node n2 --dir %[1]s/n2/data --port %[3]d"+
		" --logfile %[1]s/n2/kvapp.log --pidfile %[1]s/n2/kvapp.pid --status-port %[5]d"+
		" --cluster n1=127.0.0.1:%[2]d,n2=127.0.0.1:%[3]d,n3=127.0.0.1:%[4]d --read-mode quorum",
		o.dir, o.port, o.port+1, o.port+2, o.port+20001), line)
	// What dev passes on is a command line that server takes.
	set, err := settings(t, nil, cmd.Args[2:]...)
	require.NoError(t, err)
	require.Equal(t, "n2", set.Get("node"))
	require.Equal(t, "quorum", set.Get("read-mode"))
	require.DirExists(t, filepath.Join(o.dir, "n2"))

	// A further node has no part in the founding line.
	o.join = "127.0.0.1:7001"
	cmd, err = o.command(4)
	require.NoError(t, err)
	set, err = settings(t, nil, cmd.Args[2:]...)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:7001", set.Get("join"))
	require.Empty(t, set.Get("cluster"))
}

func TestDevRefuses(t *testing.T) {
	for _, n := range []int{-1, 0, 10} {
		require.ErrorContains(t, runDev(t.Context(), &devOptions{nodes: n}, nil), "1 to 9")
	}
	o := devOn(t, 2)
	l, err := net.Listen("tcp", o.addr(2))
	require.NoError(t, err)
	require.ErrorContains(t, runDev(t.Context(), o, nil), "n2: listen tcp")
	require.NoError(t, l.Close())
	for arg, want := range map[string]string{"0": "1 to 9", "3": "1 to 2", "9": "1 to 2", "10": "1 to 9", "x": "1 to 9", "": "1 to 9"} {
		require.ErrorContains(t, devKill(o, arg, nil), want)
		require.ErrorContains(t, devStart(o, arg, nil), want)
	}
	require.ErrorContains(t, devKill(o, "n1", nil), "n1 is not running")

	// A pid file that a kill -9 has left: its number may be anybody's by now, here this test's own.
	require.NoError(t, writePid(o.pidfile(1)))
	require.ErrorContains(t, devKill(o, "n1", nil), "n1 is not running")
}

func TestDevSaysWhatToType(t *testing.T) {
	o := devOptions{nodes: devNodes, port: devPort, dir: devDir}
	require.Equal(t, os.Args[0]+" dev kill 2", o.line("kill", 2))
	o = devOptions{nodes: 5, port: 8000, dir: "my data"}
	require.Equal(t, os.Args[0]+` dev --nodes 5 --port 8000 --dir "my data" start 4`, o.line("start", 4))
}

func TestDevTail(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.log")
	require.Contains(t, tail(name, 2), "no such file")
	require.NoError(t, os.WriteFile(name, []byte("a\nb\nc\n"), 0o600))
	require.Equal(t, "  b\n  c\n", tail(name, 2))
	require.Equal(t, "  a\n  b\n  c\n", tail(name, 5))
}

// The whole of dev: start, ready, kill one and bring it back, Ctrl-C ends all of them.
func TestDev(t *testing.T) {
	port, dir := cluster.DevPort(t, 3), t.TempDir()
	flags := []string{"--port", strconv.Itoa(port), "--dir", dir}
	out := new(lockedBuffer)
	cmd := cluster.Command(t, append([]string{"dev"}, flags...)...)
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // ended already is as good
	until := func(what string) {
		t.Helper()
		require.Eventually(t, func() bool { return strings.Contains(out.String(), what) }, 30*time.Second, 10*time.Millisecond, what)
	}
	until("\nready\n")
	require.Contains(t, out.String(), fmt.Sprintf("redis-cli -c -p %d set hello world", port))

	run := func(args ...string) string {
		t.Helper()
		var b bytes.Buffer
		c := cluster.Command(t, append(append([]string{"dev"}, args...), flags...)...)
		c.Stdout, c.Stderr = &b, &b
		require.NoError(t, c.Run(), b.String())
		return b.String()
	}
	require.Regexp(t, `^killed n2 \(pid \d+\)\n$`, run("kill", "2"))
	until("n2 ended; ")
	require.Equal(t, "", serves(fmt.Sprintf("127.0.0.1:%d", port+1)))
	require.Regexp(t, `^started n2 \(pid \d+\), log `, run("start", "2"))
	require.Eventually(t, func() bool { return serves(fmt.Sprintf("127.0.0.1:%d", port+1)) != "" }, 30*time.Second, 20*time.Millisecond)
	require.NoError(t, func() error { _, err := readPid(filepath.Join(dir, "n2", "kvapp.pid")); return err }(), "started means it can be found")
	var exit *exec.ExitError
	require.ErrorAs(t, cluster.Command(t, append([]string{"dev", "start", "2"}, flags...)...).Run(), &exit, "it runs already")

	require.NoError(t, cmd.Process.Signal(syscall.SIGHUP)) // as Ctrl-C, which the pages' tests use
	require.NoError(t, <-ended, out.String())
	for i := range 3 {
		_, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port+i))
		require.Error(t, err, "all nodes have ended, the one that `dev start` brought back too")
	}
}
