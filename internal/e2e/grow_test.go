package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/internal/e2e/cluster"
)

// A cluster grows from one node to three, to five, and shrinks to three again, its leader among those that go, while a
// cluster client writes. Nothing fails, and nothing that was acknowledged is lost.
func TestGrowAndShrinkUnderLoad(t *testing.T) {
	c := cluster.New(t, cluster.Options{Nodes: 5, Founders: 1})
	c.Start(1)
	c.WaitReady()
	cl := clusterClient(t, c)
	p := newPulse(cl, 8)
	defer p.stop()
	p.after(t, time.Now(), 20)
	began := time.Now()
	all := []int{1}
	for _, pair := range [][]int{{2, 3}, {4, 5}} { // two at a time
		step := time.Now()
		for _, i := range pair {
			c.Start(i, "--join", c.Addr(all[len(all)-1]))
		}
		all = append(all, pair...)
		for _, i := range pair {
			awaitVoter(t, c, i, all...)
		}
		p.after(t, time.Now(), 20)
		t.Logf("%d voters after %v, longest wait of a writer %v", len(all), time.Since(began), p.gap(step, time.Now()))
	}
	for range 2 {
		step := time.Now()
		lead := c.Leader()
		ask := c.Followers()[0] // the leader is removed through another node
		require.NoError(t, command(t, c, ask, "RAFT", "REMOVE", c.Name(lead)))
		require.NoError(t, cluster.Until(30*time.Second, "it knows that it is removed", func() error {
			st, err := c.Status(lead)
			if err == nil && st["member"] != false {
				err = fmt.Errorf("it knows nothing of it: %v", st["member"])
			}
			return err
		}))
		p.after(t, time.Now(), 20)
		t.Logf("leader removed, longest wait of a writer %v", p.gap(step, time.Now()))
		step = time.Now()
		c.Stop(lead)
		p.after(t, time.Now(), 20)
		t.Logf("it is stopped, longest wait of a writer %v", p.gap(step, time.Now()))
	}
	c.WaitReady()
	for i := range c.Pids() {
		st, err := c.Status(i)
		require.NoError(t, err)
		require.EqualValues(t, 3, st["voters"], "%s", c.Name(i))
	}
	failed := p.end(t, cl)
	acked := 0
	for _, acks := range p.acks {
		acked += len(acks)
	}
	t.Logf("%d writes acknowledged, %d failed", acked, len(failed))
	for _, err := range failed { // the one error that a client may see, for a write of which nobody knows
		require.True(t, strings.HasPrefix(err.Error(), "UNCERTAIN "), err.Error())
	}
	c.SameState()

	// Any one of the three may go now.
	c.Kill(c.Leader())
	require.NoError(t, cluster.Until(30*time.Second, "the others serve", func() error {
		return clusterClient(t, c).Set(context.Background(), "still", "here", 0).Err()
	}))
}
