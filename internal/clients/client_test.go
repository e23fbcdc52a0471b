//go:build clients

package clients

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/internal/e2e/cluster"
)

func TestMain(m *testing.M) { cluster.Main(m) }

// client is a library behind the operations of this package. Any goroutine may call do; close comes last.
type client interface {
	// do executes one operation. Replies are JSON values: numbers, strings, booleans, null, lists, maps; sets and key
	// lists are sorted.
	do(ctx context.Context, op string, args ...any) (any, error)
	close() error
}

// mode is how a library is used.
type mode string

const (
	clustered mode = "cluster"  // as a cluster client
	replicas  mode = "replicas" // as a cluster client that reads from replicas
	plain     mode = "plain"    // as a client of one server
)

// library is one of the clients under test.
type library struct {
	name  string
	resps []int // protocols other than the default that it can be told to speak
	// open connects by the library's defaults to the first of the addresses that answers.
	open func(m mode, resp int, addrs []string) (client, error)
	// patient is open with the one setting, if there is one, without which the library does not find a new leader
	// within seconds while the old one stays away.
	patient func(m mode, resp int, addrs []string) (client, error)
	// resends says that the cluster client sends a write again after its connection broke without a reply: then
	// what was under way when the leader died may have been executed twice, which no server can prevent.
	resends bool
}

var libraries = []library{
	{name: "go-redis", resps: []int{2, 3}, open: openGoRedis(0), patient: openGoRedis(time.Second), resends: true},
	{name: "rueidis", resps: []int{2}, open: openRueidis},
	{name: "ioredis", resps: []int{2, 3}, open: openScript("node", "node/ioredis.js"), resends: true},
	{name: "node-redis", resps: []int{2, 3}, open: openScript("node", "node/noderedis.js")},
	{name: "redis-py", open: openScript(python(), "python/adapter.py"), patient: openScript(python(), "python/adapter.py", "reopen"), resends: true},
}

// python is the interpreter that finds redis-py; the Makefile looks for it.
func python() string {
	if p := os.Getenv("PYTHON"); p != "" {
		return p
	}
	return "/usr/bin/python3"
}

// connect opens a library and closes it with the test.
func (l *library) connect(t *testing.T, m mode, resp int, addrs ...string) client {
	t.Helper()
	c, err := l.open(m, resp, addrs)
	require.NoError(t, err, "%s connects as %s, RESP %d, to %s", l.name, m, resp, addrs)
	t.Cleanup(func() { require.NoError(t, c.close()) })
	return c
}

// callLimit bounds one operation: above every library's own limit.
const callLimit = 20 * time.Second

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), callLimit)
	t.Cleanup(cancel)
	return ctx
}

// normal brings a value into the form that JSON gives it.
func normal(v any) (any, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var n any
	return n, json.Unmarshal(b, &n)
}

// request and response are the lines of a script.
type request struct {
	ID   int    `json:"id"`
	Op   string `json:"op"`
	Args []any  `json:"args"`
}

type response struct {
	ID  int    `json:"id"`
	V   any    `json:"v"`
	Err string `json:"err"`
}

// script is a library in a child process.
type script struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stderr bytes.Buffer  // read after done
	done   chan struct{} // closed when the child has said its last

	mu   sync.Mutex
	next int
	open map[int]chan response
}

func openScript(program, file string, more ...string) func(mode, int, []string) (client, error) {
	return func(m mode, resp int, addrs []string) (client, error) {
		s := &script{open: map[int]chan response{}, done: make(chan struct{})}
		s.cmd = exec.Command(program, append([]string{file, string(m), fmt.Sprint(resp), strings.Join(addrs, ",")}, more...)...)
		s.cmd.Stderr = &s.stderr
		stdin, err := s.cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		s.stdin = stdin
		stdout, err := s.cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		hello := make(chan response, 1)
		s.open[0] = hello
		if err := s.cmd.Start(); err != nil {
			return nil, err
		}
		go s.read(stdout)
		select {
		case r := <-hello:
			if r.Err == "" {
				return s, nil
			}
			return nil, errors.Join(errors.New(r.Err), s.close())
		case <-s.done:
			return nil, errors.Join(fmt.Errorf("%s ended without a word", file), s.close())
		case <-time.After(callLimit):
			return nil, errors.Join(fmt.Errorf("%s does not connect within %v", file, callLimit), s.cmd.Process.Kill(), s.close())
		}
	}
}

// read hands out the answers until the child closes its output.
func (s *script) read(stdout io.Reader) {
	defer close(s.done)
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var r response
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			fmt.Fprintf(os.Stderr, "%v: %q\n", err, lines.Bytes())
			continue
		}
		s.mu.Lock()
		reply := s.open[r.ID]
		delete(s.open, r.ID)
		s.mu.Unlock()
		if reply != nil {
			reply <- r
		}
	}
}

func (s *script) do(ctx context.Context, op string, args ...any) (any, error) {
	if args == nil {
		args = []any{}
	}
	reply := make(chan response, 1)
	s.mu.Lock()
	s.next++
	line, err := json.Marshal(request{s.next, op, args})
	if err == nil {
		s.open[s.next] = reply
		_, err = s.stdin.Write(append(line, '\n'))
	}
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case r := <-reply:
		if r.Err != "" {
			return nil, errors.New(r.Err)
		}
		return r.V, nil
	case <-s.done:
		return nil, errors.New("the script has ended")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *script) close() error {
	err := s.stdin.Close()
	select {
	case <-s.done:
	case <-time.After(callLimit):
		err = errors.Join(errors.New("the script does not end"), s.cmd.Process.Kill())
		<-s.done
	}
	if end := s.cmd.Wait(); end != nil {
		err = errors.Join(err, fmt.Errorf("%w: %s", end, s.stderr.Bytes()))
	}
	return err
}

// operation is one of a Go library's operations.
type operation func(ctx context.Context, a arguments) (any, error)

// table is a Go library's operations by name.
type table map[string]operation

func (f table) do(ctx context.Context, op string, args []any) (any, error) {
	run := f[op]
	if run == nil {
		return nil, fmt.Errorf("no operation %q", op)
	}
	v, err := run(ctx, args)
	if err != nil {
		return nil, err
	}
	return normal(v)
}

// arguments are those of one operation: strings, ints and float64s, as the operation has them.
type arguments []any

func (a arguments) str(i int) string { return fmt.Sprint(a[i]) }

func (a arguments) int(i int) int64 {
	n, _ := a[i].(int)
	return int64(n)
}

func (a arguments) float(i int) float64 {
	if f, ok := a[i].(float64); ok {
		return f
	}
	return float64(a.int(i))
}

// time returns a duration given in units.
func (a arguments) time(i int, unit time.Duration) time.Duration {
	return time.Duration(a.int(i)) * unit
}

// from returns the arguments from i on as strings.
func (a arguments) from(i int) []string {
	var list []string
	for ; i < len(a); i++ {
		list = append(list, a.str(i))
	}
	return list
}
