//go:build oracle

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kvapp/internal/e2e/cluster"
)

// reader runs a page's commands in a directory of its own, as a reader would at the root of the repository.
type reader struct {
	dir, path string
	port      int // stands for 7001
	out       *lockedBuffer
	dev       *exec.Cmd
}

func newReader(t *testing.T) *reader {
	t.Helper()
	r := &reader{dir: t.TempDir(), port: cluster.DevPort(t, 5), out: new(lockedBuffer)}
	bin := filepath.Join(r.dir, "bin")
	require.NoError(t, os.Mkdir(bin, 0o755))
	require.NoError(t, os.Symlink(cluster.Bin(t), filepath.Join(bin, "kvapp")))
	// What a person sees at a terminal: replies with their types.
	cli, err := exec.LookPath("redis-cli")
	require.NoError(t, err)
	script := fmt.Sprintf("#!/bin/sh\nexec %s --no-raw \"$@\"\n", cli)
	require.NoError(t, os.WriteFile(filepath.Join(bin, "redis-cli"), []byte(script), 0o755))
	r.path = bin
	return r
}

var devPorts = regexp.MustCompile(`\b(1|2)?700([1-5])\b`)

// ported moves the ports of `make run` to those of this test.
func (r *reader) ported(text string) string {
	return devPorts.ReplaceAllStringFunc(text, func(p string) string {
		n, _ := strconv.Atoi(p) // five digits at most
		return strconv.Itoa(n - devPort + r.port)
	})
}

func (r *reader) shell(ctx context.Context, command string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "PATH="+r.path+":"+os.Getenv("PATH"))
	return cmd
}

// pattern is the regular expression for what a step prints.
func pattern(want string) string {
	lines := strings.SplitAfter(want, "\n")
	for i, l := range lines {
		if l == "...\n" {
			lines[i] = `(?:.*\n)*?`
			continue
		}
		lines[i] = strings.ReplaceAll(regexp.QuoteMeta(l), `\.\.\.`, `.*`)
	}
	return `^` + strings.Join(lines, "")
}

// colours are what redis-cli --cluster prints whether it has a terminal or not.
var colours = regexp.MustCompile(`\x1b\[[\d;]*m`)

// repeatable commands change nothing when they run twice; they are repeated until they show what the page says, because
// a node needs its time to start, and the others theirs to notice that the leader is gone.
var repeatable = regexp.MustCompile(`^(tail|grep|head|curl|redis-cli (-c )?(-p \d+ (get|set|raft (status|hash))|--cluster check)) `)

func (r *reader) do(t *testing.T, s step) {
	t.Helper()
	command, want := r.ported(strings.TrimSpace(s.command)), pattern(r.ported(s.want))
	if strings.HasPrefix(command, "make run") {
		r.run(t, want)
		return
	}
	command = strings.ReplaceAll(command, "bin/kvapp dev", fmt.Sprintf("bin/kvapp dev --port %d", r.port))
	try := func() (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		out, err := r.shell(ctx, command).CombinedOutput()
		return colours.ReplaceAllString(string(out), ""), err
	}
	if !repeatable.MatchString(command) {
		out, err := try()
		if strings.HasPrefix(s.want, "kvapp: ") { // the page shows how it fails
			require.Error(t, err, "%s\n%s", command, out)
		} else {
			require.NoError(t, err, "%s\n%s", command, out)
		}
		require.Regexp(t, want, out, command)
		return
	}
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		out, err := try()
		assert.NoError(c, err, "%s\n%s", command, out)
		assert.Regexp(c, want, out, command)
	}, 30*time.Second, 50*time.Millisecond)
}

// run is `make run`: its command line, on other ports.
func (r *reader) run(t *testing.T, want string) {
	t.Helper()
	require.Nil(t, r.dev)
	r.dev = exec.Command(filepath.Join(r.path, "kvapp"), "dev", "--port", strconv.Itoa(r.port))
	r.dev.Dir, r.dev.Stdout, r.dev.Stderr = r.dir, r.out, r.out
	require.NoError(t, r.dev.Start())
	ended := make(chan error, 1)
	go func() { ended <- r.dev.Wait() }()
	t.Cleanup(func() {
		assert.NoError(t, r.dev.Process.Signal(syscall.SIGINT))
		assert.NoError(t, <-ended, r.out.String())
	})
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Regexp(c, want, r.out.String()) }, 30*time.Second, 10*time.Millisecond)
}

func TestPages(t *testing.T) {
	for _, name := range pages {
		t.Run(filepath.Base(name), func(t *testing.T) {
			_, steps := page(t, name)
			r := newReader(t)
			for _, s := range steps {
				if !strings.HasPrefix(s.command, "kvapp server ") { // TestThreeMachines
					r.do(t, s)
				}
			}
		})
	}
}

// The line for three machines, on three addresses of this one: the same line but for --node, and the address to listen
// on, which can be all of them only where there is one node a machine.
func TestThreeMachines(t *testing.T) {
	_, steps := page(t, "README.md")
	line := steps[len(steps)-1].command
	r, port := newReader(t), strconv.Itoa(cluster.DevPort(t, 1))
	for i := 1; i <= 3; i++ {
		own := fmt.Sprintf("127.0.1.%d", i)
		command := strings.NewReplacer(
			"--node n1", fmt.Sprintf("--node n%d", i), "/var/lib/kvapp", filepath.Join(r.dir, fmt.Sprintf("n%d", i)),
			"6379", port, "--bind '*'", "--bind "+own, "10.0.0.", "127.0.1.",
		).Replace(line)
		require.Contains(t, command, "--bind "+own)
		cmd := r.shell(t.Context(), "exec "+command)
		cmd.Stdout, cmd.Stderr = r.out, r.out
		require.NoError(t, cmd.Start())
		t.Cleanup(func() {
			_ = cmd.Process.Signal(syscall.SIGTERM) // ended already is as good
			_ = cmd.Wait()
		})
	}
	for i := 1; i <= 3; i++ {
		require.EventuallyWithT(t, func(c *assert.CollectT) {
			cli := r.shell(t.Context(), fmt.Sprintf("redis-cli --no-auth-warning -c -h 127.0.1.%d -p %s -a SECRET set hello world", i, port))
			out, err := cli.CombinedOutput()
			assert.NoError(c, err)
			assert.Equal(c, "OK\n", string(out))
		}, 30*time.Second, 50*time.Millisecond)
	}
	out, err := r.shell(t.Context(), fmt.Sprintf("redis-cli -h 127.0.1.1 -p %s get hello", port)).CombinedOutput()
	require.NoError(t, err)
	require.Equal(t, "(error) NOAUTH Authentication required.\n", string(out))
}
