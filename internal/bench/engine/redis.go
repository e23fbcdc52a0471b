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
	detach func() bool // from the context that ends what is under way
}

// pipeline is how many commands are sent before their replies are read.
const pipeline = 512

// startRedis starts one that has its files in dir, and waits until it has loaded what it finds there.
func startRedis(ctx context.Context, dir string) (*redis, error) {
	s, err := process.StartRedis(ctx, dir, "--save", "", "--appendonly", "no", "--enable-debug-command", "local",
		"--slowlog-log-slower-than", strconv.Itoa(slowCall), "--slowlog-max-len", "1000000")
	if err != nil {
		return nil, err
	}
	r := &redis{server: s}
	if r.conn, err = net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.Port)); err != nil {
		s.Stop()
		return nil, err
	}
	r.detach = context.AfterFunc(ctx, func() { _ = r.conn.Close() }) // whoever uses it gets an error
	r.in = bufio.NewReaderSize(r.conn, 64<<10)
	if err := r.waitLoaded(ctx); err != nil {
		r.stop()
		return nil, err
	}
	return r, nil
}

func (r *redis) stop() {
	r.detach()
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

// ask executes one command.
func (r *redis) ask(args ...string) (reply, error) {
	r.words.reset()
	for _, a := range args {
		r.words.text(a)
	}
	if _, err := r.conn.Write(r.words.resp(r.out[:0])); err != nil {
		return reply{}, err
	}
	return readReply(r.in)
}

// do is ask for a command whose reply is no aggregate.
func (r *redis) do(args ...string) (string, error) {
	answer, err := r.ask(args...)
	return answer.text, err
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

// reply is a text, or an array. A null is as good as an empty one.
type reply struct {
	text string
	list []reply
}

// readReply reads one reply. An error reply is an error.
func readReply(in *bufio.Reader) (reply, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return reply{}, err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if line == "" {
		return reply{}, errors.New("redis-server: empty line")
	}
	rest := line[1:]
	switch line[0] {
	case '+', ':':
		return reply{text: rest}, nil
	case '-':
		return reply{}, errors.New("redis-server answers " + rest)
	case '$', '*':
	default:
		return reply{}, fmt.Errorf("redis-server: unexpected reply %q", line)
	}
	n, err := strconv.Atoi(rest)
	if err != nil || n < 0 {
		return reply{}, err
	}
	if line[0] == '*' {
		var answer reply
		for range n {
			part, err := readReply(in)
			if err != nil {
				return reply{}, err
			}
			answer.list = append(answer.list, part)
		}
		return answer, nil
	}
	b := make([]byte, n+2)
	_, err = io.ReadFull(in, b)
	return reply{text: string(b[:n])}, err
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

// resetStats forgets the statistics of commands and the slow ones.
func (r *redis) resetStats() error {
	return r.all([]string{"config", "resetstat"}, []string{"slowlog", "reset"})
}

// usec is the microseconds that all calls of a command took since resetStats, and their number. The server counts whole
// microseconds: less than one in all counts as one.
func (r *redis) usec(command string) (usec, calls float64, err error) {
	text, err := r.field("commandstats", "cmdstat_"+command)
	if err != nil {
		return 0, 0, err
	}
	for part := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "calls":
			calls, err = strconv.ParseFloat(value, 64)
		case "usec":
			usec, err = strconv.ParseFloat(value, 64)
		}
		if err != nil {
			return 0, 0, err
		}
	}
	return max(usec, 1), max(calls, 1), nil
}

// slowCall is the microseconds beyond which a command of constant time was not slow, but interrupted.
const slowCall = 100

// perCall is the microseconds of one call since resetStats, on the average. The server's clock goes on while another
// process has the core, as that of the state machine does not: calls that took longer than slowCall are left out.
func (r *redis) perCall(command string) (float64, error) {
	usec, calls, err := r.usec(command)
	if err != nil {
		return 0, err
	}
	slow, err := r.ask("slowlog", "get", "-1")
	if err != nil {
		return 0, err
	}
	for _, e := range slow.list { // number, time, microseconds, arguments, address, name
		if len(e.list) < 4 || len(e.list[3].list) == 0 {
			return 0, errors.New("SLOWLOG GET has another form")
		}
		if !strings.EqualFold(e.list[3].list[0].text, command) {
			continue
		}
		took, err := strconv.ParseFloat(e.list[2].text, 64)
		if err != nil {
			return 0, err
		}
		usec, calls = usec-took, calls-1
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
