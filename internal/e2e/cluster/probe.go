package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// readyLimit is how long the tests wait for a cluster that is about to serve: generous, for loaded machines. What is
// promised is measured elsewhere.
const readyLimit = 30 * time.Second

// Client returns a plain connection pool to one address that repeats nothing by itself: an error is what the server
// said or what the connection did. The test closes it.
func Client(t testing.TB, addr string) *redis.Client {
	t.Helper()
	cl := Dial(addr)
	t.Cleanup(func() { _ = cl.Close() }) // closed already is as good
	return cl
}

// answerLimit is how long a client waits for the answers to what it has sent, a pipeline of thousands of commands too, before
// the server counts as hung: machines that test are busy.
const answerLimit = 30 * time.Second

// Dial is Client for callers that close it themselves.
func Dial(addr string) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: addr, MaxRetries: -1, DialTimeout: time.Second, DialerRetries: 1,
		ReadTimeout: answerLimit, WriteTimeout: answerLimit, ContextTimeoutEnabled: true,
	})
}

// Client returns a plain connection pool to node i; the test closes it.
func (c *Cluster) Client(i int) *redis.Client {
	c.t.Helper()
	return Client(c.t, c.Addr(i))
}

// Part is what a node does right now.
type Part int

// The parts. A Leading node has just served a linearizable read; a Following one has named the leader.
const (
	Down Part = iota
	Following
	Leading
)

// Part asks node i, which takes up to limit.
func (c *Cluster) Part(i int, limit time.Duration) Part {
	if !c.Running(i) {
		return Down
	}
	cl := Dial(c.Addr(i))
	defer cl.Close() //nolint:errcheck // nothing is pending
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	err := cl.Do(ctx, "EXISTS", "kvapp").Err()
	switch {
	case err == nil:
		return Leading
	case strings.HasPrefix(err.Error(), "MOVED "):
		return Following
	default:
		return Down
	}
}

// WaitReady waits until one running node leads and every other one knows it. It fails the test.
func (c *Cluster) WaitReady() {
	c.t.Helper()
	if err := c.ready(readyLimit); err != nil {
		c.t.Fatal(err)
	}
}

func (c *Cluster) ready(limit time.Duration) error {
	return Until(limit, "every running node serves", func() error {
		lead := 0
		for i := 1; i <= c.opts.Nodes; i++ {
			p := c.process(i)
			if p == nil {
				continue
			}
			if p.surprising() {
				return &Final{fmt.Errorf("%s has ended by itself, exit code %d", c.Name(i), p.code)}
			}
			if !c.Running(i) {
				continue
			}
			switch c.Part(i, 3*time.Second) {
			case Leading:
				lead = i
			case Down:
				return fmt.Errorf("%s does not serve", c.Name(i))
			}
		}
		if lead == 0 {
			return errors.New("nobody leads")
		}
		return nil
	})
}

// Leader waits for a leader that serves and returns its number. It fails the test.
func (c *Cluster) Leader() int {
	c.t.Helper()
	i, err := c.FindLeader(readyLimit)
	if err != nil {
		c.t.Fatal(err)
	}
	return i
}

// FindLeader waits up to limit for a leader that serves and returns its number. Nodes are asked at the same time, so
// that one that is paused delays nothing.
func (c *Cluster) FindLeader(limit time.Duration) (int, error) {
	found := 0
	err := Until(limit, "a leader serves", func() error {
		parts := make(chan int, c.opts.Nodes)
		for i := 1; i <= c.opts.Nodes; i++ {
			go func() {
				if c.Part(i, 3*time.Second) == Leading {
					parts <- i
				} else {
					parts <- 0
				}
			}()
		}
		for range c.opts.Nodes {
			if i := <-parts; i != 0 {
				found = i
				return nil
			}
		}
		return errors.New("nobody leads")
	})
	return found, err
}

// Followers waits for a leader and returns the other running nodes. It fails the test.
func (c *Cluster) Followers() []int {
	c.t.Helper()
	lead := c.Leader()
	var list []int
	for i := 1; i <= c.opts.Nodes; i++ {
		if i != lead && c.Running(i) {
			list = append(list, i)
		}
	}
	return list
}

// Follower is the first of Followers. It fails the test.
func (c *Cluster) Follower() int {
	c.t.Helper()
	f := c.Followers()
	if len(f) == 0 {
		c.t.Fatal("no follower is running")
	}
	return f[0]
}

// Final makes Until give up at once.
type Final struct{ Err error }

func (f *Final) Error() string { return f.Err.Error() }
func (f *Final) Unwrap() error { return f.Err }

// Until polls cond until it returns nil or a Final error, at most for limit; what names the state in the error.
func Until(limit time.Duration, what string, cond func() error) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); ; <-tick.C {
		err := cond()
		if err == nil {
			return nil
		}
		var final *Final
		if errors.As(err, &final) {
			return fmt.Errorf("waiting until %s: %w", what, final.Err)
		}
		if time.Now().After(end) {
			return fmt.Errorf("waited %v in vain until %s: %w", limit, what, err)
		}
	}
}

// StateHash asks node i for the hash of its state and the log index it stands for.
func (c *Cluster) StateHash(i int) (index int64, hash string, err error) {
	cl := Dial(c.Addr(i))
	defer cl.Close() //nolint:errcheck // nothing is pending
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	m, err := fields(cl.Do(ctx, "RAFT", "HASH"))
	if err != nil {
		return 0, "", err
	}
	index, ok := m["index"].(int64)
	hash, ok2 := m["hash"].(string)
	if !ok || !ok2 {
		return 0, "", fmt.Errorf("RAFT HASH answered %v", m)
	}
	return index, hash, nil
}

// Status asks node i for RAFT STATUS.
func (c *Cluster) Status(i int) (map[string]any, error) {
	cl := Dial(c.Addr(i))
	defer cl.Close() //nolint:errcheck // nothing is pending
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return fields(cl.Do(ctx, "RAFT", "STATUS"))
}

// fields reads a map reply with names as keys.
func fields(cmd *redis.Cmd) (map[string]any, error) {
	v, err := cmd.Result()
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[any]any)
	if !ok {
		return nil, fmt.Errorf("%v answered %T", cmd.Args(), v)
	}
	named := map[string]any{}
	for k, v := range m {
		named[fmt.Sprint(k)] = v
	}
	return named, nil
}

// SameState waits until all running nodes have the same state hash at the same index, which needs writes to have
// ended, and returns both. It fails the test.
func (c *Cluster) SameState() (index int64, hash string) {
	c.t.Helper()
	err := Until(readyLimit, "all nodes are at the same index", func() error {
		index = -1
		for i := range c.Pids() {
			at, h, err := c.StateHash(i)
			if err != nil {
				return err
			}
			if index >= 0 && at != index {
				return fmt.Errorf("%d and %d", index, at)
			}
			if index >= 0 && h != hash {
				return &Final{fmt.Errorf("%s: at index %d the hash is %s, elsewhere %s", c.Name(i), at, h, hash)}
			}
			index, hash = at, h
		}
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return index, hash
}
