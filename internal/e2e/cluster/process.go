package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is one child from its start to its end.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	code int           // exit code, -1 after a signal; valid once done is closed

	mu      sync.Mutex
	awaited bool // the test has asked for its end
}

// launch starts bin with args; both its outputs are appended to the file log.
func launch(bin, log string, env, args []string) (*process, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // the child has its own
	cmd := exec.Command(bin, args...)
	cmd.Stdout, cmd.Stderr = f, f
	cmd.Env = append(environ(), env...)
	cmd.SysProcAttr = childAttr()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // how it ended is in ProcessState
		p.code = cmd.ProcessState.ExitCode()
	}()
	return p, nil
}

// environ is the environment without settings of kvapp: a test knows what it starts.
func environ() []string {
	return slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "KVAPP_") })
}

// signal sends s; that the process has ended already is no error.
func (p *process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("pid %d: %w", p.cmd.Process.Pid, err)
	}
	return nil
}

// expect notes that the process ends on the test's behalf.
func (p *process) expect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.awaited = true
}

// surprising tells whether the process has ended without anybody's wish.
func (p *process) surprising() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.done:
		return !p.awaited
	default:
		return false
	}
}

// wait waits for the end.
func (p *process) wait(limit time.Duration) (code int, err error) {
	p.expect()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.done:
		return p.code, nil
	case <-timer.C:
		return 0, fmt.Errorf("pid %d has not ended after %v", p.cmd.Process.Pid, limit)
	}
}

// tail returns the last n lines of a file.
func tail(name string, n int) string {
	b, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
