package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Options say what to start.
type Options struct {
	Nodes int // 0 = 3
	// Founders is how many of the nodes found the cluster, 0 = all: the others join it when they are started.
	Founders int
	Args     []string // further flags of every node
	Env      []string // further NAME=value of every node
	// Hosts are the addresses that nodes are told to the others by, where it is not 127.0.0.1, on which they listen: whoever
	// gives one forwards connections to it.
	Hosts map[int]string
}

// endLimit is how long a node may take to end after SIGTERM or a refusal.
const endLimit = 10 * time.Second

// Cluster is a set of nodes on this machine.
type Cluster struct {
	t    testing.TB
	bin  string
	dir  string
	opts Options
	line string
	port []int // client ports
	peer []int // peer ports

	mu   sync.Mutex
	proc []*process // of the newest start of each node, nil before
}

// New prepares a cluster without starting a node. It fails the test.
func New(t testing.TB, o Options) *Cluster {
	t.Helper()
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.Founders == 0 {
		o.Founders = o.Nodes
	}
	c := &Cluster{t: t, bin: Bin(t), dir: t.TempDir(), opts: o, proc: make([]*process, o.Nodes)}
	ports := Ports(t, 2*o.Nodes)
	c.port, c.peer = ports[:o.Nodes], ports[o.Nodes:]
	var line []string
	for i := range o.Nodes {
		host := o.Hosts[i+1]
		if host == "" {
			host = "127.0.0.1"
		}
		if i < o.Founders {
			line = append(line, fmt.Sprintf("%s=%s:%d@%d", c.Name(i+1), host, c.port[i], c.peer[i]))
		}
	}
	c.line = strings.Join(line, ",")
	t.Cleanup(c.finish)
	return c
}

// Start prepares a cluster, starts every founding node and waits until all serve. It fails the test.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	c := New(t, o)
	c.StartAll()
	c.WaitReady()
	return c
}

// Nodes is the number of nodes.
func (c *Cluster) Nodes() int { return c.opts.Nodes }

// Name returns the name of node i.
func (c *Cluster) Name(i int) string { return "n" + strconv.Itoa(i) }

// Port returns the client port of node i.
func (c *Cluster) Port(i int) int { return c.port[i-1] }

// PeerPort returns the port of node i for the other nodes.
func (c *Cluster) PeerPort(i int) int { return c.peer[i-1] }

// Addr returns the client address of node i.
func (c *Cluster) Addr(i int) string { return local(c.Port(i)) }

// Addrs returns the client addresses of all nodes.
func (c *Cluster) Addrs() []string {
	var list []string
	for i := range c.opts.Nodes {
		list = append(list, c.Addr(i+1))
	}
	return list
}

// DataDir returns the data directory of node i; it exists once the node has been started.
func (c *Cluster) DataDir(i int) string { return filepath.Join(c.dir, c.Name(i)) }

// LogFile returns the file with everything node i has printed since its first start.
func (c *Cluster) LogFile(i int) string { return filepath.Join(c.dir, c.Name(i)+".log") }

// LogTail returns the last n lines that node i has printed.
func (c *Cluster) LogTail(i, n int) string { return tail(c.LogFile(i), n) }

// CommandLine returns the arguments with which node i is started; more come last and override.
func (c *Cluster) CommandLine(i int, more ...string) []string {
	args := []string{"server", "--node", c.Name(i), "--dir", c.DataDir(i), "--port", strconv.Itoa(c.Port(i))}
	if i <= c.opts.Founders {
		args = append(args, "--cluster", c.line)
	} else {
		args = append(args, "--peer-port", strconv.Itoa(c.PeerPort(i)), "--join", strings.Join(c.Addrs()[:c.opts.Founders], ","))
		if host := c.opts.Hosts[i]; host != "" {
			args = append(args, "--cluster-announce-ip", host)
		}
	}
	return slices.Concat(args, c.opts.Args, more)
}

// Start starts node i and returns at once; more are further flags. It fails the test.
func (c *Cluster) Start(i int, more ...string) {
	c.t.Helper()
	if err := c.start(i, more...); err != nil {
		c.t.Fatalf("start %s: %v", c.Name(i), err)
	}
}

func (c *Cluster) start(i int, more ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.proc[i-1]; p != nil {
		select {
		case <-p.done:
			if p.surprising() {
				return fmt.Errorf("it has ended by itself, exit code %d", p.code)
			}
		default:
			return fmt.Errorf("it is running (pid %d)", p.cmd.Process.Pid)
		}
	}
	p, err := launch(c.bin, c.LogFile(i), c.opts.Env, c.CommandLine(i, more...))
	if err != nil {
		return err
	}
	c.proc[i-1] = p
	return nil
}

// StartAll starts every node that is not running, of those that join the ones that have been started before, and returns
// at once. It fails the test.
func (c *Cluster) StartAll() {
	c.t.Helper()
	for i := 1; i <= c.opts.Nodes; i++ {
		if !c.Running(i) && (i <= c.opts.Founders || c.process(i) != nil) {
			c.Start(i)
		}
	}
}

// Running tells whether node i has been started and has not ended; a paused node is running.
func (c *Cluster) Running(i int) bool {
	p := c.process(i)
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

func (c *Cluster) process(i int) *process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.proc[i-1]
}

// Pids returns the process ids of the running nodes by node number.
func (c *Cluster) Pids() map[int]int {
	pids := map[int]int{}
	for i := 1; i <= c.opts.Nodes; i++ {
		if c.Running(i) {
			pids[i] = c.process(i).cmd.Process.Pid
		}
	}
	return pids
}

// Kill ends node i with SIGKILL and returns when it is gone. It fails the test.
func (c *Cluster) Kill(i int) {
	c.t.Helper()
	c.end(syscall.SIGKILL, i)
}

// KillAll ends every running node with SIGKILL, all signals sent before the first is waited for. It fails the test.
func (c *Cluster) KillAll() {
	c.t.Helper()
	var running []int
	for i := range c.Pids() {
		running = append(running, i)
	}
	c.end(syscall.SIGKILL, running...)
}

// end signals the nodes and waits for their end.
func (c *Cluster) end(s syscall.Signal, nodes ...int) {
	c.t.Helper()
	for _, i := range nodes {
		if !c.Running(i) {
			c.t.Fatalf("%s is not running", c.Name(i))
		}
		p := c.process(i)
		p.expect()
		if err := p.signal(s); err != nil {
			c.t.Fatalf("%s: %v", c.Name(i), err)
		}
	}
	for _, i := range nodes {
		c.WaitExit(i)
	}
}

// Stop ends node i with SIGTERM, which must lead to exit code 0, and returns how long it took. It fails the test.
func (c *Cluster) Stop(i int) time.Duration {
	c.t.Helper()
	begin := time.Now()
	c.end(syscall.SIGTERM, i)
	took := time.Since(begin)
	if code := c.process(i).code; code != 0 {
		c.t.Fatalf("%s: exit code %d after SIGTERM", c.Name(i), code)
	}
	return took
}

// WaitExit waits until node i has ended, of which it takes the fault on itself, and returns the exit code: -1 after a
// signal. It fails the test.
func (c *Cluster) WaitExit(i int) int {
	c.t.Helper()
	code, err := c.process(i).wait(endLimit)
	if err != nil {
		c.t.Fatalf("%s: %v", c.Name(i), err)
	}
	return code
}

// Pause stops node i with SIGSTOP: it neither runs nor answers, but its sockets stay open. It fails the test.
func (c *Cluster) Pause(i int) {
	c.t.Helper()
	if err := c.process(i).signal(syscall.SIGSTOP); err != nil {
		c.t.Fatalf("%s: %v", c.Name(i), err)
	}
}

// Resume lets node i run on after Pause. It fails the test.
func (c *Cluster) Resume(i int) {
	c.t.Helper()
	if err := c.process(i).signal(syscall.SIGCONT); err != nil {
		c.t.Fatalf("%s: %v", c.Name(i), err)
	}
}

// finish ends what is left and reports what went wrong unasked.
func (c *Cluster) finish() {
	for i := 1; i <= c.opts.Nodes; i++ {
		p := c.process(i)
		if p == nil {
			continue
		}
		if p.surprising() {
			c.t.Errorf("%s has ended by itself, exit code %d", c.Name(i), p.code)
		}
		p.expect()
		if err := p.signal(syscall.SIGKILL); err != nil {
			c.t.Error(err)
		}
		<-p.done
		c.inspect(i)
	}
	if !c.t.Failed() {
		return
	}
	for i := 1; i <= c.opts.Nodes; i++ {
		c.t.Logf("last lines of %s:\n%s", c.Name(i), c.LogTail(i, 40))
	}
}

// inspect looks for what a Go program prints when it is broken.
func (c *Cluster) inspect(i int) {
	b, err := os.ReadFile(c.LogFile(i))
	if err != nil {
		c.t.Error(err)
		return
	}
	text := string(b)
	for _, sign := range []string{"WARNING: DATA RACE", "\npanic: ", "\nfatal error: "} {
		if at := strings.Index(text, sign); at >= 0 {
			c.t.Errorf("%s printed:\n%s", c.Name(i), text[at:min(len(text), at+6000)])
		}
	}
}

// Command is the program with other arguments, not started; it ends with the test process.
func Command(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(Bin(t), args...)
	cmd.Env = environ()
	cmd.SysProcAttr = childAttr()
	return cmd
}
