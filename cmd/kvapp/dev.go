package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"kvapp/wal"
)

// What dev does without flags.
const (
	devNodes = 3
	devPort  = 7001
	devDir   = "kvapp-dev"
	devMost  = 9 // nodes, those that have joined included
)

// devOptions describe a cluster of child processes on this machine.
type devOptions struct {
	nodes, port int
	dir         string
	join        string   // of start: addresses of members of the cluster that the node is to join
	extra       []string // settings passed on to every node
}

// devCommand runs a cluster for trying out: one process per node, everything below one directory.
func devCommand() *cobra.Command {
	var o devOptions
	cmd := &cobra.Command{
		Use:   "dev [-- --setting value ...]",
		Short: "Run a whole cluster on this machine",
		RunE: func(cmd *cobra.Command, args []string) error {
			o.extra = args
			// A terminal that is closed ends the nodes too: they are in groups of their own and would live on.
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGHUP)
			defer stop()
			return runDev(ctx, &o, cmd.OutOrStdout())
		},
	}
	cmd.PersistentFlags().IntVar(&o.nodes, "nodes", devNodes, "number of nodes")
	cmd.PersistentFlags().IntVar(&o.port, "port", devPort, "client port of the first node; the others follow")
	cmd.PersistentFlags().StringVar(&o.dir, "dir", devDir, "directory of the nodes' data, logs and pid files")
	start := &cobra.Command{
		Use: "start N", Short: "Start node N again in the background, or a further one that joins", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return devStart(&o, args[0], cmd.OutOrStdout()) },
	}
	start.Flags().StringVar(&o.join, "join", "", "join the cluster of these nodes (host:port of clients) with an empty directory")
	cmd.AddCommand(
		start,
		&cobra.Command{
			Use: "kill N", Short: "Kill node N with SIGKILL", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error { return devKill(&o, args[0], cmd.OutOrStdout()) },
		},
	)
	return cmd
}

func (o *devOptions) name(i int) string    { return fmt.Sprintf("n%d", i) }
func (o *devOptions) home(i int) string    { return filepath.Join(o.dir, o.name(i)) }
func (o *devOptions) data(i int) string    { return filepath.Join(o.home(i), "data") }
func (o *devOptions) addr(i int) string    { return fmt.Sprintf("127.0.0.1:%d", o.port+i-1) }
func (o *devOptions) logfile(i int) string { return filepath.Join(o.home(i), "kvapp.log") }
func (o *devOptions) pidfile(i int) string { return filepath.Join(o.home(i), "kvapp.pid") }

// line is what to type to kill or start node i of this cluster.
func (o *devOptions) line(verb string, i int) string {
	b := os.Args[0] + " dev"
	if o.nodes != devNodes {
		b += fmt.Sprintf(" --nodes %d", o.nodes)
	}
	if o.port != devPort {
		b += fmt.Sprintf(" --port %d", o.port)
	}
	if o.dir != devDir {
		b += " --dir " + strconv.Quote(o.dir)
	}
	return fmt.Sprintf("%s %s %d", b, verb, i)
}

// command is the child process of node i, not started.
func (o *devOptions) command(i int) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var line []string
	for j := 1; j <= o.nodes; j++ {
		line = append(line, o.name(j)+"="+o.addr(j))
	}
	args := []string{
		"server", "--node", o.name(i), "--dir", o.data(i), "--port", strconv.Itoa(o.port + i - 1),
		"--logfile", o.logfile(i), "--pidfile", o.pidfile(i), "--status-port", strconv.Itoa(o.port + i - 1 + 20000),
	}
	if i <= o.nodes {
		args = append(args, "--cluster", strings.Join(line, ","))
	}
	if o.join != "" {
		args = append(args, "--join", o.join)
	}
	cmd := exec.Command(self, append(args, o.extra...)...)
	cmd.Stderr = os.Stderr
	// A group of its own: Ctrl-C reaches the parent, which then stops the children in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd, os.MkdirAll(o.home(i), 0o755)
}

// child is one running node.
type child struct {
	i    int
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

func runDev(ctx context.Context, o *devOptions, out io.Writer) error {
	if o.nodes < 1 || o.nodes > devMost {
		return fmt.Errorf("--nodes %d: 1 to %d", o.nodes, devMost)
	}
	for i := 1; i <= o.nodes; i++ {
		l, err := net.Listen("tcp", o.addr(i))
		if err != nil {
			return fmt.Errorf("node %s: %w (is another cluster running here? --port chooses other ports)", o.name(i), err)
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	var children []*child
	defer func() { stopAll(children) }()
	for i := 1; i <= o.nodes; i++ {
		c, err := o.start(i)
		if err != nil {
			return err
		}
		children = append(children, c)
	}
	o.greet(out)
	leader, err := o.waitReady(ctx, children)
	if err != nil {
		return err
	}
	if leader != 0 {
		fmt.Fprintf(out, "leader     %s on port %d\nready\n", o.name(leader), o.port+leader-1)
	}
	o.watch(ctx, children, out)
	return nil
}

func (o *devOptions) start(i int) (*child, error) {
	cmd, err := o.command(i)
	if err != nil {
		return nil, err
	}
	endWithParent(cmd.SysProcAttr)
	return run(i, cmd)
}

func run(i int, cmd *exec.Cmd) (*child, error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{i: i, cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		_ = cmd.Wait() // how it ended stands in its log
	}()
	return c, nil
}

// watch waits for the end, and tells of nodes that die meanwhile: killing one is what this command is for.
func (o *devOptions) watch(ctx context.Context, children []*child, out io.Writer) {
	for _, c := range children {
		go func() {
			select {
			case <-c.done:
				if ctx.Err() == nil {
					fmt.Fprintf(out, "%s ended; `%s` starts it again. Last lines of %s:\n%s",
						o.name(c.i), o.line("start", c.i), o.logfile(c.i), tail(o.logfile(c.i), 5))
				}
			case <-ctx.Done():
			}
		}()
	}
	<-ctx.Done()
	others := map[string]int{} // nodes that `dev start` brought back are not our children
	for i := 1; i <= devMost; i++ {
		if pid, err := o.running(i); err == nil && !ours(children, pid) {
			others[o.pidfile(i)] = pid
		}
	}
	endOthers(others)
}

// stopLimit is how long a node may take to end after SIGTERM.
const stopLimit = 5 * time.Second

// endOthers ends processes that are nobody's children here, by their pid files, and returns when they are gone: their
// ports are free then. A node removes its pid file last of all; its pid may stay until somebody collects it.
func endOthers(pids map[string]int) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGTERM) // gone already is as good
	}
	limit := time.Now().Add(stopLimit)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for file, pid := range pids {
		for lives(file, pid) && time.Now().Before(limit) {
			<-tick.C
		}
		if lives(file, pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL) // gone is what it should be
		}
	}
}

// lives tells whether the process pid exists and its pid file still names it.
func lives(file string, pid int) bool {
	named, err := readPid(file)
	return err == nil && named == pid && syscall.Kill(pid, 0) == nil
}

func ours(children []*child, pid int) bool {
	for _, c := range children {
		if c.cmd.Process.Pid == pid {
			return true
		}
	}
	return false
}

// stopAll ends the children: politely, and after stopLimit not.
func stopAll(children []*child) {
	for _, c := range children {
		_ = c.cmd.Process.Signal(syscall.SIGTERM) // gone already is as good
	}
	limit := time.After(stopLimit)
	for _, c := range children {
		select {
		case <-c.done:
		case <-limit:
			_ = c.cmd.Process.Kill()
			<-c.done
		}
	}
}

func (o *devOptions) greet(out io.Writer) {
	for i := 1; i <= o.nodes; i++ {
		fmt.Fprintf(out, "node       %s  clients %s  status http://127.0.0.1:%d/metrics  log %s\n",
			o.name(i), o.addr(i), o.port+i-1+20000, o.logfile(i))
	}
	fmt.Fprintf(out, "try        redis-cli -c -p %d set hello world\n", o.port)
	fmt.Fprintf(out, "break      %s\nmend       %s\n", o.line("kill", min(2, o.nodes)), o.line("start", min(2, o.nodes)))
}

// waitReady polls until every node answers and one of them leads.
func (o *devOptions) waitReady(ctx context.Context, children []*child) (leader int, err error) {
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		found, all := 0, true
		for _, c := range children {
			select {
			case <-c.done:
				return 0, fmt.Errorf("%s did not start:\n%s", o.name(c.i), tail(o.logfile(c.i), 10))
			default:
			}
			switch serves(o.addr(c.i)) {
			case "leader":
				found = c.i
			case "":
				all = false
			}
		}
		if found != 0 && all {
			return found, nil
		}
		select {
		case <-ctx.Done():
			return 0, nil
		case <-tick.C:
		}
	}
}

// serves asks a node for its part: "leader" when it answers a linearizable read, "follower" when it knows the leader,
// "" otherwise.
func serves(addr string) string {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return ""
	}
	defer conn.Close() //nolint:errcheck // nothing was written that could be lost
	if err := conn.SetDeadline(time.Now().Add(3 * time.Second)); err != nil {
		return ""
	}
	if _, err := io.WriteString(conn, "EXISTS kvapp\r\n"); err != nil {
		return ""
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	switch {
	case err != nil:
		return ""
	case strings.HasPrefix(line, ":"), strings.HasPrefix(line, "-NOAUTH"):
		return "leader"
	case strings.HasPrefix(line, "-MOVED"):
		return "follower"
	}
	return ""
}

// tail returns the last lines of a file, or why there are none.
func tail(name string, n int) string {
	b, err := os.ReadFile(name)
	if err != nil {
		return "  " + err.Error() + "\n"
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return "  " + strings.Join(lines, "\n  ") + "\n"
}

// number reads which node is meant: one of those that dev starts, one that has joined, or one that is about to.
func (o *devOptions) number(text string) (int, error) {
	i, err := strconv.Atoi(strings.TrimPrefix(text, "n"))
	if err != nil || i < 1 || i > devMost {
		return 0, fmt.Errorf("%q is no node: 1 to %d", text, devMost)
	}
	if _, err := os.Stat(o.home(i)); i > o.nodes && o.join == "" && err != nil {
		return 0, fmt.Errorf("%q is no node: 1 to %d, or one that joins (--join)", text, o.nodes)
	}
	return i, nil
}

// running returns the process of node i. The file alone proves nothing: after a kill -9 it stays, and its number may be
// another process' by now. A node holds its port from before it writes the file to its end.
func (o *devOptions) running(i int) (pid int, err error) {
	if pid, err = readPid(o.pidfile(i)); err != nil {
		return 0, err
	}
	conn, err := net.DialTimeout("tcp", o.addr(i), time.Second)
	if err != nil {
		return 0, err
	}
	return pid, conn.Close()
}

func devKill(o *devOptions, arg string, out io.Writer) error {
	i, err := o.number(arg)
	if err != nil {
		return err
	}
	pid, err := o.running(i)
	if err != nil {
		return fmt.Errorf("%s is not running: %w", o.name(i), err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("%s (pid %d): %w", o.name(i), pid, err)
	}
	// What comes next may want the ports or the directory. The pid may stay until somebody collects it.
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(stopLimit); wal.Locked(o.data(i)) || serves(o.addr(i)) != ""; <-tick.C {
		if time.Now().After(limit) {
			return fmt.Errorf("%s (pid %d) was killed and is still there", o.name(i), pid)
		}
	}
	fmt.Fprintf(out, "killed %s (pid %d)\n", o.name(i), pid)
	return nil
}

func devStart(o *devOptions, arg string, out io.Writer) error {
	i, err := o.number(arg)
	if err != nil {
		return err
	}
	if serves(o.addr(i)) != "" {
		return fmt.Errorf("%s is running", o.name(i))
	}
	cmd, err := o.command(i)
	if err != nil {
		return err
	}
	// The node outlives this command: it must not hold on to its terminal, or to the pipe of whoever reads what it says.
	stderr, err := os.OpenFile(o.logfile(i), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer stderr.Close() //nolint:errcheck // the child has its own
	cmd.Stderr = stderr
	c, err := run(i, cmd)
	if err != nil {
		return err
	}
	note, err := o.waitStarted(c)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "started %s (pid %d), log %s%s\n", o.name(i), cmd.Process.Pid, o.logfile(i), note)
	return nil
}

const (
	// startLimit is how long a node may take to verify its log and write its pid file.
	startLimit = time.Minute
	// aloneLimit is how long a node that can be found is given to find the others.
	aloneLimit = 3 * time.Second
)

// waitStarted polls until the node takes part in the cluster. A node that the others refuse, because its disk was wiped,
// ends meanwhile, and that is the error. A node that finds nobody is there all the same once it has its ports and
// directory and says so by its pid file; note tells what it waits for.
func (o *devOptions) waitStarted(c *child) (note string, err error) {
	began := time.Now()
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		if serves(o.addr(c.i)) != "" {
			return "", nil
		}
		pid, err := readPid(o.pidfile(c.i))
		found := err == nil && pid == c.cmd.Process.Pid
		select {
		case <-tick.C:
		case <-c.done:
			return "", fmt.Errorf("%s did not start:\n%s", o.name(c.i), tail(o.logfile(c.i), 5))
		}
		switch took := time.Since(began); {
		case found && took > aloneLimit:
			return ", waits for the others", nil
		case took > startLimit:
			return "", fmt.Errorf("%s (pid %d) is not ready after %v; see %s", o.name(c.i), c.cmd.Process.Pid, startLimit, o.logfile(c.i))
		}
	}
}
