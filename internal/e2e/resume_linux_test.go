package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/internal/e2e/cluster"
	"kvapp/internal/race"
)

// farHost is where the other nodes find the node behind a gate. Linux answers on all of 127.0.0.0/8.
const farHost = "127.0.0.2"

// gate forwards the connections of other nodes to one node. A connection that carries a snapshot is cut after limit
// bytes. Goroutines: one accepts, two per connection copy.
type gate struct {
	ln     net.Listener
	target string
	wg     sync.WaitGroup

	limit     atomic.Int64  // of a snapshot connection, bytes; 0 = it is cut at once
	cuts      atomic.Int64  // snapshot connections that were cut at the limit
	forwarded atomic.Int64  // bytes of snapshot connections
	cut       chan struct{} // gets a value per cut, as far as somebody listens

	mu    sync.Mutex
	conns map[net.Conn]bool
}

func newGate(t *testing.T, c *cluster.Cluster, i int) *gate {
	t.Helper()
	ln, err := net.Listen("tcp", fmt.Sprintf("%s:%d", farHost, c.PeerPort(i)))
	require.NoError(t, err)
	g := &gate{
		ln: ln, target: fmt.Sprintf("127.0.0.1:%d", c.PeerPort(i)), cut: make(chan struct{}), conns: map[net.Conn]bool{},
	}
	g.wg.Go(g.accept)
	t.Cleanup(func() {
		_ = ln.Close() // the accept loop ends
		g.mu.Lock()
		for conn := range g.conns {
			_ = conn.Close() // its copies end
		}
		g.conns = nil
		g.mu.Unlock()
		g.wg.Wait()
	})
	return g
}

func (g *gate) accept() {
	for {
		in, err := g.ln.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", g.target)
		if err != nil || !g.keep(in, out) {
			_ = in.Close() // as if the node were down
			continue
		}
		g.wg.Go(func() { g.copy(in, out) })
		g.wg.Go(func() { _, _ = io.Copy(in, out); g.drop(in, out) })
	}
}

// keep makes the end of the test close the connections.
func (g *gate) keep(conns ...net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.conns == nil {
		return false
	}
	for _, c := range conns {
		g.conns[c] = true
	}
	return true
}

func (g *gate) drop(conns ...net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range conns {
		_ = c.Close() // a second time does nothing
		delete(g.conns, c)
	}
}

// copy forwards what another node sends. The eighth byte of a connection says what it is for: 2 is a snapshot.
func (g *gate) copy(in, out net.Conn) {
	defer g.drop(in, out)
	var preamble [8]byte
	if _, err := io.ReadFull(in, preamble[:]); err != nil {
		return
	}
	if _, err := out.Write(preamble[:]); err != nil {
		return
	}
	if preamble[7] != 2 {
		_, _ = io.Copy(out, in)
		return
	}
	limit := g.limit.Load()
	n, _ := io.CopyN(out, in, limit)
	g.forwarded.Add(n)
	if n == limit {
		g.cuts.Add(1)
		select {
		case g.cut <- struct{}{}:
		default:
		}
	}
}

// awaitCut waits for the next cut.
func (g *gate) awaitCut(t *testing.T) {
	t.Helper()
	select {
	case <-g.cut:
	case <-time.After(60 * time.Second):
		require.FailNow(t, "no snapshot stream reached the limit")
	}
}

// fewer is what the sizes of these tests are divided by: a byte costs much under the race detector.
func fewer() int {
	if race.Enabled {
		return 3
	}
	return 1
}

// behindGate is a cluster whose node 3 is down, behind a gate, and so far behind that it needs a
// snapshot: the others have written values that end with pad to about so many keys.
func behindGate(t *testing.T) (c *cluster.Cluster, g *gate, keys int, pad string) {
	size := fmt.Sprintf("%dmb", 8/fewer())
	c = cluster.New(t, cluster.Options{
		Args:  []string{"--raft-snapshot-bytes", size, "--raft-election-ms", "2000"}, // a busy machine is no reason to elect
		Hosts: map[int]string{3: farHost},
	})
	g = newGate(t, c, 3)
	g.limit.Store(1 << 60)
	c.StartAll()
	c.WaitReady()
	c.Kill(3)
	lead := c.Leader()
	require.NoError(t, cluster.Until(30*time.Second, "the leader keeps no log for it any more", func() error {
		st, err := c.Status(lead)
		if err != nil {
			return err
		}
		for _, x := range st["peers"].([]any) {
			p := x.(map[any]any)
			if ms := p["last_contact_ms"].(int64); p["name"] == c.Name(3) && ms >= 0 && ms <= 2000 { // -1: never
				return fmt.Errorf("heard %d ms ago", ms)
			}
		}
		return nil
	}))
	keys, pad = 40_000, strings.Repeat("x", 600)
	if race.Enabled {
		keys, pad = 6000, strings.Repeat("x", 1000)
	}
	begin := time.Now()
	_, err := flood(context.Background(), c, 4, keys, 2*int64(keys), pad)
	require.NoError(t, err)
	t.Logf("%d keys of %d bytes are written after %v", keys, len(pad), time.Since(begin))
	return c, g, keys, pad
}

// caughtUp waits until node i has caught up with what node lead had committed.
func caughtUp(c *cluster.Cluster, i, lead int) error {
	want, err := c.Status(lead)
	if err != nil {
		return err
	}
	return cluster.Until(120*time.Second, "the follower has caught up", func() error {
		st, err := c.Status(i)
		if err != nil {
			return err
		}
		if st["applied"].(int64) < want["commit"].(int64) {
			return fmt.Errorf("at %d of %d", st["applied"], want["commit"])
		}
		return nil
	})
}

// A snapshot reaches a follower while writes go on, although every connection is cut after less than a tenth of it, and the
// follower is killed in the middle: what has arrived is never sent again.
func TestSnapshotStreamIsCutTenTimes(t *testing.T) {
	c, g, keys, pad := behindGate(t)
	lead := c.Leader()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var more int64
	var err error
	var wg sync.WaitGroup
	wg.Go(func() { more, err = flood(ctx, c, 1, keys, 1<<60, pad) })
	g.limit.Store(1_300_000 / int64(fewer())) // of some 15 MB
	c.Start(3)
	for range 5 {
		g.awaitCut(t)
	}
	c.Kill(3)
	c.Start(3)
	require.NoError(t, caughtUp(c, 3, lead))
	cancel()
	wg.Wait()
	require.NoError(t, err)
	require.Positive(t, more, "no writes went on meanwhile")
	log := c.LogTail(3, 10_000)
	size := received(t, log)
	t.Logf("%d cuts, %d bytes forwarded for a snapshot of %d, %d writes meanwhile", g.cuts.Load(), g.forwarded.Load(), size, more)
	require.GreaterOrEqual(t, g.cuts.Load(), int64(10))
	require.Contains(t, log, "snapshot_resumed")
	// A cut or a crash costs what had not been written yet.
	require.Less(t, g.forwarded.Load(), size+g.cuts.Load()*1_000_000)
	c.WaitReady()
	c.SameState()
}

// received returns the size of the last snapshot that a node has received according to its log.
func received(t *testing.T, log string) int64 {
	t.Helper()
	all := regexp.MustCompile(`snapshot_received index=\d+ bytes=(\d+)`).FindAllStringSubmatch(log, -1)
	require.NotEmpty(t, all, log)
	size, err := strconv.ParseInt(all[len(all)-1][1], 10, 64)
	require.NoError(t, err)
	return size
}

// The leader dies while it sends a snapshot. The next one has a snapshot of the same index, which is the same to the
// byte, and goes on where the first one stopped.
func TestSnapshotStreamGoesOnUnderTheNextLeader(t *testing.T) {
	c, g, _, _ := behindGate(t)
	ctx := context.Background()
	lead := c.Leader()
	next := 3 - lead
	require.NoError(t, cluster.Until(30*time.Second, "both have the same snapshot", func() error {
		// No writes: the index stays, unless a snapshot was under way.
		at, err := c.Client(lead).Do(ctx, "RAFT", "SNAPSHOT").Result()
		if err != nil {
			return err
		}
		other, err := c.Client(next).Do(ctx, "RAFT", "SNAPSHOT").Result()
		if err == nil && other != at {
			err = fmt.Errorf("index %v and %v", at, other)
		}
		return err
	}))
	one, two := newestSnapshot(t, c.DataDir(lead)), newestSnapshot(t, c.DataDir(next))
	require.Equal(t, filepath.Base(one), filepath.Base(two))
	a, err := os.ReadFile(one)
	require.NoError(t, err)
	b, err := os.ReadFile(two)
	require.NoError(t, err)
	require.True(t, string(a) == string(b), "snapshots of one index differ")

	g.limit.Store(int64(len(a)) / 2)
	c.Start(3)
	g.awaitCut(t)
	g.limit.Store(0)
	g.awaitCut(t)
	c.Kill(lead)
	g.limit.Store(1 << 60)
	require.Equal(t, next, c.Leader(), "the one behind cannot lead")
	require.NoError(t, caughtUp(c, 3, next))
	t.Logf("%d bytes forwarded for a snapshot of %d", g.forwarded.Load(), len(a))
	require.Contains(t, c.LogTail(3, 10_000), "snapshot_resumed")
	require.Less(t, g.forwarded.Load(), int64(len(a)+2_000_000))
	c.Start(lead)
	c.WaitReady()
	c.SameState()
}

// newestSnapshot is the path of the newest snapshot file of a node.
func newestSnapshot(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "snapshots", "*.snap"))
	require.NoError(t, err)
	require.NotEmpty(t, names)
	return names[len(names)-1] // Glob sorts, and the index comes first
}
