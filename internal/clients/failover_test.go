//go:build clients

package clients

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"kvapp/internal/e2e/cluster"
)

const (
	writers    = 6
	enough     = 20               // acknowledged writes of each writer before and after the fault
	flowLimit  = 15 * time.Second // from the fault until every writer's writes flow again
	retryPause = 10 * time.Millisecond
)

// attempt is one write with a value of its own, tried once.
type attempt struct {
	id         int
	op         string
	start, end time.Time
	err        error
}

// load is a stream of writes through one client. Each writer counts (INCRBY), queues (RPUSH) and sets (SET) in turn, on
// keys of its own and with values of its own, as an application that goes on after an error.
type load struct {
	c      client
	prefix string
	stop   chan struct{}
	once   sync.Once
	wg     sync.WaitGroup

	mu  sync.Mutex
	all [writers][]attempt
}

func startLoad(t *testing.T, c client, prefix string) *load {
	t.Helper()
	l := &load{c: c, prefix: prefix, stop: make(chan struct{})}
	for w := range writers {
		l.wg.Add(1)
		go l.write(w)
	}
	t.Cleanup(l.finish)
	return l
}

func (l *load) list(w int) string        { return fmt.Sprintf("%s:list:%d", l.prefix, w) }
func (l *load) counter(w int) string     { return fmt.Sprintf("%s:counter:%d", l.prefix, w) }
func (l *load) register(w, i int) string { return fmt.Sprintf("%s:%d:%d", l.prefix, w, i) }

func (l *load) write(w int) {
	defer l.wg.Done()
	for id := 0; ; id++ {
		a := attempt{id: id, op: []string{"rpush", "incrby", "set"}[id%3], start: time.Now()}
		args := map[string][]any{
			"rpush": anys(l.list(w), strconv.Itoa(id)), "incrby": anys(l.counter(w), 1), "set": anys(l.register(w, id), strconv.Itoa(id)),
		}[a.op]
		ctx, cancel := context.WithTimeout(context.Background(), callLimit)
		_, a.err = l.c.do(ctx, a.op, args...)
		cancel()
		a.end = time.Now()
		l.mu.Lock()
		l.all[w] = append(l.all[w], a)
		l.mu.Unlock()
		pause := time.Duration(0)
		if a.err != nil {
			pause = retryPause
		}
		select {
		case <-l.stop:
			return
		case <-time.After(pause):
		}
	}
}

// finish ends the writers; again is as good.
func (l *load) finish() {
	l.once.Do(func() { close(l.stop) })
	l.wg.Wait()
}

// flows waits until every writer has had enough writes acknowledged that it began after since. It returns when the
// first of all came back, and the last writer's first.
func (l *load) flows(since time.Time, limit time.Duration) (first, last time.Duration, err error) {
	err = cluster.Until(limit, "writes flow through "+l.prefix, func() error {
		first, last = limit, 0
		l.mu.Lock()
		defer l.mu.Unlock()
		for w := range writers {
			acked := slices.DeleteFunc(slices.Clone(l.all[w]), func(a attempt) bool { return a.err != nil || a.start.Before(since) })
			if len(acked) < enough {
				return fmt.Errorf("writer %d: %d acknowledged, last errors %v", w, len(acked), lastErrors(l.all[w]))
			}
			back := acked[0].end.Sub(since)
			first, last = min(first, back), max(last, back)
		}
		return nil
	})
	return first, last, err
}

func lastErrors(all []attempt) (list []string) {
	for i := len(all) - 1; i >= 0 && len(list) < 3; i-- {
		if all[i].err != nil {
			list = append(list, all[i].err.Error())
		}
	}
	return list
}

// shortest is the shortest time after which a library gives up waiting for an answer and may send again.
const shortest = 4 * time.Second

// fault is a span in time during which the leader died or stood still. A write that was under way then may have been
// executed twice if the library sends again what got no answer (resent).
type fault struct {
	begin, end time.Time
	resent     bool
}

func (f *fault) doubles(a *attempt) bool {
	return f.resent && !a.start.After(f.end) && !a.end.Before(f.begin)
}

// verify reads everything back from the leader: what was acknowledged is there, in order, and nothing is there twice.
func (l *load) verify(t *testing.T, r *redis.Client, f *fault) {
	t.Helper()
	for w := range writers {
		queued, err := r.LRange(within(t), l.list(w), 0, -1).Result()
		require.NoError(t, err)
		times := map[string]int{}
		for _, v := range queued {
			times[v]++
		}
		counted, err := r.Get(within(t), l.counter(w)).Int()
		require.NoError(t, err)
		least, most := 0, 0
		var order []string
		for i := range l.all[w] {
			a := &l.all[w][i]
			value, acked, twice := strconv.Itoa(a.id), a.err == nil, f.doubles(a)
			switch a.op {
			case "rpush":
				n := times[value]
				require.True(t, n > 0 || !acked, "%s: %s was acknowledged and is lost", l.list(w), value)
				require.LessOrEqual(t, n, 1+truth(twice), "%s: %s stands there %d times, err %v", l.list(w), value, n, a.err)
				if acked {
					order = append(order, value)
				}
				delete(times, value)
			case "incrby":
				least += truth(acked)
				most += 1 + truth(twice)
			case "set":
				got, err := r.Get(within(t), l.register(w, a.id)).Result()
				if errors.Is(err, redis.Nil) {
					require.False(t, acked, "%s was acknowledged and is lost", l.register(w, a.id))
					continue
				}
				require.NoError(t, err)
				require.Equal(t, value, got)
			}
		}
		require.Empty(t, times, "%s: values that nobody wrote", l.list(w))
		require.GreaterOrEqual(t, counted, least, l.counter(w))
		require.LessOrEqual(t, counted, most, l.counter(w))
		require.True(t, inOrder(order, queued), "%s: acknowledged %v stand in another order: %v", l.list(w), order, queued)
	}
}

// inOrder says that the values of order stand in all in that order.
func inOrder(order, all []string) bool {
	for _, v := range all {
		if len(order) > 0 && order[0] == v {
			order = order[1:]
		}
	}
	return len(order) == 0
}

// errorsSeen counts the errors that the application saw by their beginning.
func (l *load) errorsSeen() string {
	counts := map[string]int{}
	for w := range writers {
		for _, a := range l.all[w] {
			if a.err != nil {
				words := strings.Fields(a.err.Error())
				counts[strings.Join(words[:min(5, len(words))], " ")]++
			}
		}
	}
	var list []string
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		list = append(list, fmt.Sprintf("%d x %q", counts[k], k))
	}
	return strings.Join(list, ", ")
}

// readBack compares what the library itself reads after the fault with what the leader holds.
func (l *load) readBack(t *testing.T, r *redis.Client) {
	t.Helper()
	for w := range writers {
		want, err := r.LRange(within(t), l.list(w), 0, -1).Result()
		require.NoError(t, err)
		require.NoError(t, perform(within(t), l.c, step{op: "lrange", args: anys(l.list(w), 0, -1), want: want}))
	}
}

// kill ends the leader under one client and waits until its writes flow again; back is called right after the kill.
func kill(t *testing.T, cl *cluster.Cluster, lib *library, c client, back func(node int)) {
	t.Helper()
	lead := cl.Leader()
	l := startLoad(t, c, lib.name+t.Name())
	defer cl.WaitReady()
	defer func() {
		if !cl.Running(lead) {
			cl.Start(lead)
		}
	}()
	_, _, err := l.flows(time.Time{}, flowLimit)
	require.NoError(t, err)
	f := fault{begin: time.Now(), resent: lib.resends}
	cl.Kill(lead)
	f.end = time.Now()
	back(lead)
	first, last, err := l.flows(f.end, flowLimit)
	l.finish()
	t.Logf("%s: writes flow again after %d ms, from every writer after %d ms; errors seen: %s",
		lib.name, first.Milliseconds(), last.Milliseconds(), l.errorsSeen())
	require.NoError(t, err)
	r := cl.Client(cl.Leader())
	l.verify(t, r, &f)
	l.readBack(t, r)
}

// TestLeaderRestarted kills the leader under each cluster client in turn and starts it again at once, as a supervisor
// does. With the defaults of each library its writes must flow again by themselves, and no acknowledged one may be lost.
func TestLeaderRestarted(t *testing.T) {
	cl := cluster.Start(t, cluster.Options{})
	for i := range libraries {
		lib := &libraries[i]
		t.Run(lib.name, func(t *testing.T) {
			kill(t, cl, lib, lib.connect(t, clustered, 0, cl.Addrs()...), func(node int) { cl.Start(node) })
		})
	}
}

// TestLeaderKilled is the same with a leader that stays away.
func TestLeaderKilled(t *testing.T) {
	cl := cluster.Start(t, cluster.Options{})
	for i := range libraries {
		lib := &libraries[i]
		t.Run(lib.name, func(t *testing.T) {
			l := *lib
			if l.patient != nil {
				l.open = l.patient
			}
			kill(t, cl, lib, l.connect(t, clustered, 0, cl.Addrs()...), func(int) {})
		})
	}
}

// TestLeaderPaused lets the leader stand still until another one serves, under all cluster clients at once. Their
// connections stay open and everything under way is answered in the end: nothing may be executed twice, whatever the
// library makes of the answers. (Unless the machine is so slow that the library gives up waiting.)
func TestLeaderPaused(t *testing.T) {
	cl := cluster.Start(t, cluster.Options{})
	lead := cl.Leader()
	var loads []*load
	for i := range libraries {
		lib := &libraries[i]
		loads = append(loads, startLoad(t, lib.connect(t, clustered, 0, cl.Addrs()...), lib.name))
	}
	for _, l := range loads {
		_, _, err := l.flows(time.Time{}, flowLimit)
		require.NoError(t, err)
	}
	f := fault{begin: time.Now()}
	cl.Pause(lead)
	err := cluster.Until(flowLimit, "another leader", func() error {
		for n := 1; n <= cl.Nodes(); n++ {
			if n != lead && cl.Part(n, time.Second) == cluster.Leading {
				return nil
			}
		}
		return errors.New("nobody leads")
	})
	cl.Resume(lead)
	require.NoError(t, err)
	f.end = time.Now()
	for _, l := range loads {
		first, last, err := l.flows(f.end, flowLimit)
		l.finish()
		require.NoError(t, err)
		t.Logf("%s: paused for %d ms; writes flow again %d ms later, from every writer after %d ms; errors seen: %s",
			l.prefix, f.end.Sub(f.begin).Milliseconds(), first.Milliseconds(), last.Milliseconds(), l.errorsSeen())
	}
	r := cl.Client(cl.Leader())
	for i, l := range loads {
		f.resent = libraries[i].resends && f.end.Sub(f.begin) > shortest
		l.verify(t, r, &f)
		l.readBack(t, r)
	}
}
