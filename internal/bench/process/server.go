package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Server is something to measure.
type Server struct {
	Name string
	Port int   // of its clients; of kvapp: the leader's
	Pids []int // the processes that do its work
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
}

// StartLimit is how long a server may take to serve.
const StartLimit = 20 * time.Second

// Launch starts a program whose ports and processes the caller then fills in.
func Launch(name string, cmd *exec.Cmd) (*Server, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches this program, which stops the servers
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &Server{Name: name, cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		_ = cmd.Wait() // how it ended is of no interest: either it was asked to, or it does not answer any more
	}()
	return s, nil
}

// Ended is closed when the program has ended.
func (s *Server) Ended() <-chan struct{} { return s.done }

// Stop ends the server: politely, and after 10 s not.
func (s *Server) Stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // gone already is as good
	select {
	case <-s.done:
	case <-time.After(10 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.done
	}
}

// StartRedis starts redis-server on a free port, with dir/redis as its directory and with settings such as "--save", "", and
// returns when it accepts connections. The caller stops it.
func StartRedis(ctx context.Context, dir string, settings ...string) (*Server, error) {
	port, err := FreePorts(1)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "redis")
	if err := os.MkdirAll(data, 0o755); err != nil {
		return nil, err
	}
	args := append([]string{"--port", strconv.Itoa(port), "--dir", data}, settings...)
	s, err := Launch("redis", exec.Command("redis-server", args...))
	if err != nil {
		return nil, err
	}
	s.Port, s.Pids = port, []int{s.cmd.Process.Pid}
	if err := s.waitPort(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// waitPort polls until the port accepts.
func (s *Server) waitPort(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, StartLimit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.Port))
		if err == nil {
			return c.Close()
		}
		select {
		case <-tick.C:
		case <-s.done:
			return fmt.Errorf("%s ended: %w", s.Name, err)
		case <-ctx.Done():
			return fmt.Errorf("%s does not serve: %w", s.Name, ctx.Err())
		}
	}
}

// FreePorts returns the first of n consecutive free ports whose peer and status ports are free too. All lie below the
// range from which the system takes the ports of outgoing connections.
func FreePorts(n int) (int, error) {
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
