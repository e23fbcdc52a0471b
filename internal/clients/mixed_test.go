//go:build clients

package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kvapp/internal/e2e/cluster"
)

// operations is the length of the mixed workload.
const operations = 1000

// perform executes a step and compares the reply.
func perform(ctx context.Context, c client, s step) error {
	got, err := c.do(ctx, s.op, s.args...)
	if s.check != nil {
		err = s.check(got, err)
	} else if err == nil {
		err = same(s.want, got)
	}
	if err != nil {
		args, _ := json.Marshal(s.args)
		return fmt.Errorf("%s %s: %w", s.op, args, err)
	}
	return nil
}

func same(want, got any) error {
	a, err := normal(want)
	if err != nil {
		return err
	}
	b, err := normal(got)
	if err != nil {
		return err
	}
	x, y := show(a), show(b)
	if x != y {
		return fmt.Errorf("reply %s instead of %s", y, x)
	}
	return nil
}

// show prints a JSON value with sorted maps.
func show(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// mixed does the operations and reads everything back.
func mixed(t *testing.T, c client, m *model) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for i := range operations {
		require.NoError(t, perform(ctx, c, m.next()), "operation %d", i)
	}
	for _, s := range m.final() {
		require.NoError(t, perform(ctx, c, s), "at the end")
	}
	expires(t, c, m.prefix)
}

// expires checks that a key goes when its time has come.
func expires(t *testing.T, c client, prefix string) {
	t.Helper()
	ctx := within(t)
	k := prefix + "gone"
	require.NoError(t, perform(ctx, c, step{op: "setpx", args: anys(k, "v", 50), want: "OK"}))
	require.NoError(t, cluster.Until(10*time.Second, k+" is gone", func() error {
		return perform(ctx, c, step{op: "get", args: anys(k), want: nil})
	}))
	require.NoError(t, perform(ctx, c, step{op: "exists", args: anys(k), want: 0}))
	require.NoError(t, perform(ctx, c, step{op: "setnx", args: anys(k, "w"), want: true}))
}

// TestMixed does 1,000 mixed operations with every library: through each node, with every protocol, as a cluster
// client, as one that reads from replicas, and as a client of the leader alone.
func TestMixed(t *testing.T) {
	cl := cluster.Start(t, cluster.Options{})
	lead := cl.Leader()
	followers := cl.Followers()
	seed := uint64(0)
	for i := range libraries {
		l := &libraries[i]
		run := func(m mode, resp, node int) {
			seed++
			number := seed
			t.Run(fmt.Sprintf("%s/%s/%s/n%d", l.name, m, protocol(resp), node), func(t *testing.T) {
				t.Parallel()
				ops := newModel(fmt.Sprintf("%s%d:", l.name, number), number)
				ops.readPipes = m == replicas
				mixed(t, l.connect(t, m, resp, cl.Addr(node)), ops)
			})
		}
		for n := 1; n <= cl.Nodes(); n++ {
			run(clustered, 0, n)
		}
		run(replicas, 0, followers[0])
		run(plain, 0, lead)
		for _, resp := range l.resps {
			run(clustered, resp, followers[1])
			run(plain, resp, lead)
		}
	}
}

func protocol(resp int) string {
	if resp == 0 {
		return "default"
	}
	return fmt.Sprintf("RESP%d", resp)
}

// TestPlainOnFollower: a client that knows nothing of clusters is told where the leader is.
func TestPlainOnFollower(t *testing.T) {
	cl := cluster.Start(t, cluster.Options{})
	lead := cl.Leader()
	for i := range libraries {
		l := &libraries[i]
		t.Run(l.name, func(t *testing.T) {
			c := l.connect(t, plain, 0, cl.Addr(cl.Followers()[0]))
			for _, s := range []step{{op: "set", args: anys("a", "1")}, {op: "get", args: anys("a")}} {
				_, err := c.do(within(t), s.op, s.args...)
				require.Error(t, err, s.op)
				// redis-py's exception has the slot and the address only.
				want := "15495 " + cl.Addr(lead)
				require.True(t, strings.Contains(err.Error(), want), "%s: %v does not contain %q", s.op, err, want)
			}
		})
	}
}

// TestReplicasServeReads: with the option for it, each cluster client reads from followers, and what it reads is never
// older than what was acknowledged to somebody else before.
func TestReplicasServeReads(t *testing.T) {
	cl := cluster.Start(t, cluster.Options{})
	lead := cl.Leader()
	writer := cl.Client(lead)
	for i := range libraries {
		l := &libraries[i]
		t.Run(l.name, func(t *testing.T) {
			// Through the leader: rueidis keeps its first connection for good, and one to a follower has no READONLY.
			c := l.connect(t, replicas, 0, cl.Addr(lead))
			before := followerGets(t, cl)
			for n := range 200 {
				require.NoError(t, writer.Set(within(t), l.name, n, 0).Err())
				require.NoError(t, perform(within(t), c, step{op: "get", args: anys(l.name), want: fmt.Sprint(n)}))
			}
			require.Greater(t, followerGets(t, cl), before, "no follower has served a GET")
		})
	}
}

// followerGets adds up the GETs that the followers have executed.
func followerGets(t *testing.T, cl *cluster.Cluster) (sum int) {
	t.Helper()
	for _, i := range cl.Followers() {
		text, err := cl.Client(i).Info(within(t), "commandstats").Result()
		require.NoError(t, err)
		for _, line := range strings.Split(text, "\r\n") {
			var calls int
			if _, err := fmt.Sscanf(line, "cmdstat_get:calls=%d,", &calls); err == nil {
				sum += calls
			}
		}
	}
	return sum
}
