package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"kvapp/internal/bench/process"
)

// redis is a redis-server without persistence, and a connection to it. One goroutine uses it.
type redis struct {
	server *process.Server
	conn   net.Conn
	in     *bufio.Reader
	out    []byte
	words  words
}

// pipeline is how many commands are sent before their replies are read.
const pipeline = 512

// startRedis starts one that has its files in dir, and waits until it has loaded what it finds there.
func startRedis(ctx context.Context, dir string) (*redis, error) {
	s, err := process.StartRedis(ctx, dir, "--save", "", "--appendonly", "no", "--enable-debug-command", "local")
	if err != nil {
		return nil, err
	}
	r := &redis{server: s}
	if r.conn, err = net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.Port)); err != nil {
		s.Stop()
		return nil, err
	}
	r.in = bufio.NewReaderSize(r.conn, 64<<10)
	if err := r.waitLoaded(ctx); err != nil {
		r.stop()
		return nil, err
	}
	return r, nil
}

func (r *redis) stop() {
	_ = r.conn.Close() // nothing is in flight
	r.server.Stop()
}

// waitLoaded asks until the server does not answer that it is loading, and makes sure that it is the one started: the
// port was free, not reserved.
func (r *redis) waitLoaded(ctx context.Context) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := r.do("ping")
		if err == nil {
			break
		}
		if !strings.Contains(err.Error(), "LOADING") {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	pid, err := r.info("server", "process_id")
	if err == nil && int(pid) != r.server.Pids[0] {
		err = fmt.Errorf("another redis-server has port %d", r.server.Port)
	}
	return err
}

// do executes one command.
func (r *redis) do(args ...string) (string, error) {
	r.words.reset()
	for _, a := range args {
		r.words.text(a)
	}
	if _, err := r.conn.Write(r.words.resp(r.out[:0])); err != nil {
		return "", err
	}
	return readReply(r.in)
}

// all executes commands of which none may fail.
func (r *redis) all(cmds ...[]string) error {
	for _, c := range cmds {
		if _, err := r.do(c...); err != nil {
			return fmt.Errorf("%s: %w", c[0], err)
		}
	}
	return nil
}

// run executes n commands of a script in pipelines.
func (r *redis) run(s script, from, n int) error {
	for done := 0; done < n; {
		k := min(pipeline, n-done)
		r.out = r.out[:0]
		for i := range k {
			r.words.reset()
			s.say(from+done+i, &r.words)
			r.out = r.words.resp(r.out)
		}
		if _, err := r.conn.Write(r.out); err != nil {
			return err
		}
		for range k {
			if _, err := readReply(r.in); err != nil {
				return err
			}
		}
		done += k
	}
	return nil
}

func (r *redis) fill(s script) error { return r.run(s, 0, s.n) }

// readReply reads one reply that is no aggregate.
func readReply(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if line == "" {
		return "", errors.New("redis-server: empty line")
	}
	switch rest := line[1:]; line[0] {
	case '+', ':':
		return rest, nil
	case '-':
		return "", errors.New("redis-server answers " + rest)
	case '$':
		n, err := strconv.Atoi(rest)
		if err != nil || n < 0 {
			return "", err // a null is as good as an empty string
		}
		b := make([]byte, n+2)
		if _, err := io.ReadFull(in, b); err != nil {
			return "", err
		}
		return string(b[:n]), nil
	}
	return "", fmt.Errorf("redis-server: unexpected reply %q", line)
}

// info is a number of INFO.
func (r *redis) info(section, field string) (float64, error) {
	text, err := r.field(section, field)
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(text, 64)
}

func (r *redis) field(section, field string) (string, error) {
	text, err := r.do("info", section)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && name == field {
			return value, nil
		}
	}
	return "", fmt.Errorf("INFO %s has no %s", section, field)
}

// usec is the microseconds of one call of a command since CONFIG RESETSTAT, on the average. The server counts whole
// ones: less than one in all counts as one.
func (r *redis) usec(command string) (float64, error) {
	text, err := r.field("commandstats", "cmdstat_"+command)
	if err != nil {
		return 0, err
	}
	var calls, usec float64
	for part := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "calls":
			calls, err = strconv.ParseFloat(value, 64)
		case "usec":
			usec, err = strconv.ParseFloat(value, 64)
		}
		if err != nil {
			return 0, err
		}
	}
	return max(usec, 1) / max(calls, 1), nil
}

// memory is the resident bytes, and those that the server knows of.
func (r *redis) memory() (rss, used float64, err error) {
	n, err := resident(r.server.Pids[0])
	if err != nil {
		return 0, 0, err
	}
	used, err = r.info("memory", "used_memory")
	return float64(n), used, err
}
