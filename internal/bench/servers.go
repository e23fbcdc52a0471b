package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is something to measure.
type server struct {
	name string
	port int   // of its clients; of kvapp: the leader's
	pids []int // the processes that do its work
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
}

// startLimit is how long a server may take to serve.
const startLimit = 20 * time.Second

func launch(name string, cmd *exec.Cmd) (*server, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches this program, which stops the servers
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{name: name, cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		_ = cmd.Wait() // how it ended is of no interest: either it was asked to, or it does not answer any more
	}()
	return s, nil
}

// stop ends the server: politely, and after 10 s not.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // gone already is as good
	select {
	case <-s.done:
	case <-time.After(10 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.done
	}
}

func startRedis(ctx context.Context, dir string) (*server, error) {
	port, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "redis")
	if err := os.MkdirAll(data, 0o755); err != nil {
		return nil, err
	}
	s, err := launch("redis", exec.Command("redis-server", "--port", strconv.Itoa(port), "--dir", data,
		"--save", "", "--appendonly", "yes", "--appendfsync", "always"))
	if err != nil {
		return nil, err
	}
	s.port, s.pids = port, []int{s.cmd.Process.Pid}
	if err := s.waitPort(ctx); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// waitPort polls until the port accepts.
func (s *server) waitPort(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.port))
		if err == nil {
			return c.Close()
		}
		select {
		case <-tick.C:
		case <-s.done:
			return fmt.Errorf("%s ended: %w", s.name, err)
		case <-ctx.Done():
			return fmt.Errorf("%s does not serve: %w", s.name, ctx.Err())
		}
	}
}

func startKvapp(ctx context.Context, bin, dir string) (*server, error) {
	port, err := freePorts(nodes)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "kvapp")
	cmd := exec.Command(bin, "dev", "--nodes", strconv.Itoa(nodes), "--port", strconv.Itoa(port), "--dir", data)
	says, out := io.Pipe()
	cmd.Stdout = out
	s, err := launch("kvapp", cmd)
	if err != nil {
		return nil, err
	}
	type answer struct {
		port int
		err  error
	}
	ready := make(chan answer, 1)
	go func() {
		leader, err := leaderPort(says)
		ready <- answer{leader, err}
		_, _ = io.Copy(io.Discard, says) // until the end: dev must be able to speak
	}()
	select {
	case a := <-ready:
		s.port, err = a.port, a.err
	case <-s.done:
		err = errors.New("kvapp dev ended")
	case <-time.After(startLimit):
		err = errors.New("kvapp dev is not ready")
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err == nil {
		s.pids, err = readPids(data)
	}
	if err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// nodes is the size of the cluster.
const nodes = 3

// leaderPort reads what `kvapp dev` prints up to `ready` and returns the leader's port.
func leaderPort(r io.Reader) (int, error) {
	port := 0
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) == 5 && f[0] == "leader" { // leader n2 on port 7002
			var err error
			if port, err = strconv.Atoi(f[4]); err != nil {
				return 0, fmt.Errorf("kvapp dev says %q: %w", lines.Text(), err)
			}
		}
		if lines.Text() == "ready" && port != 0 {
			return port, nil
		}
	}
	return 0, errors.New("kvapp dev named no leader")
}

// readPids reads the pid files of the nodes below dir.
func readPids(dir string) ([]int, error) {
	var pids []int
	for i := 1; i <= nodes; i++ {
		b, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("n%d", i), "kvapp.pid"))
		if err != nil {
			return nil, err
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// freePorts returns the first of n consecutive free ports whose peer and status ports are free too. All lie below the
// range from which the system takes the ports of outgoing connections.
func freePorts(n int) (int, error) {
next:
	for base := 10200; base < 12700; base += n {
		for i := range n {
			for _, p := range []int{base + i, base + i + 10000, base + i + 20000} {
				l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
				if err != nil {
					continue next
				}
				if err := l.Close(); err != nil {
					return 0, err
				}
			}
		}
		return base, nil
	}
	return 0, errors.New("no free ports between 10200 and 12700")
}
