package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"kvapp/internal/bench/process"
)

func startKvapp(ctx context.Context, bin, dir string) (*process.Server, error) {
	port, err := process.FreePorts(nodes)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "kvapp")
	cmd := exec.Command(bin, "dev", "--nodes", strconv.Itoa(nodes), "--port", strconv.Itoa(port), "--dir", data)
	says, out := io.Pipe()
	cmd.Stdout = out
	s, err := process.Launch("kvapp", cmd)
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
		s.Port, err = a.port, a.err
	case <-s.Ended():
		err = errors.New("kvapp dev ended")
	case <-time.After(process.StartLimit):
		err = errors.New("kvapp dev is not ready")
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err == nil {
		s.Pids, err = readPids(data)
	}
	if err != nil {
		s.Stop()
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
